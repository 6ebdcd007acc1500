/* SPDX-License-Identifier: MIT */
/* Forms in which texts for evaluation come: what is a document, what a word, what is scored. */
#ifndef PEER_EXPERIMENTS_RUNS_TEXT_FORM_H
#define PEER_EXPERIMENTS_RUNS_TEXT_FORM_H

#include "experiments/data/text_buffer.h"
#include "lm/corpus.h"

enum lab_form {
    LAB_FORM_HELD_OUT =
        0,             /* the validation part of a prepared folder, one stream, as in training */
    LAB_FORM_PLAIN,    /* a file is one document */
    LAB_FORM_JSON,     /* JSON lines: the string "text" of each is one */
    LAB_FORM_WIKITEXT, /* as plain; words count: those between white space, and line ends */
    LAB_FORM_DETOK,    /* the same, its spaces around punctuation undone (lab_detokenize());
                        * bytes and words are those before */
    LAB_FORM_LAMBADA,  /* as JSON; the last word, with the space before it, also counts alone */
    LAB_FORM_COUNT
};

/* "held-out", "plain", "json", "wikitext", "detok", "lambada". */
extern const char *const lab_form_names[LAB_FORM_COUNT];

struct lab_text_source {
    enum lab_form form;
    const char *path;    /* file, folder or "-"; NULL = held out */
    bool strict;         /* a record that cannot be used is an error; else it is left out */
    enum lm_dtype dtype; /* held out: of token files that other programs made */
};

/* "FORM:FILE", or a file whose form its name tells: .jsonl .ndjson .json are JSON lines, .tokens
 * and .raw WikiText, all else is plain; .gz or .zst may follow. The path points into `argument`. */
struct lab_text_source lab_text_source_parse(const char *argument);

/* Words between ASCII white space, and line feeds: what WikiText's perplexities per word are over
 * (Merity et al. 2016). */
int64_t lab_wikitext_words(const uint8_t *text, int64_t bytes);

/* Undoes WikiText's spaces in place, as lm-evaluation-harness and Megatron-LM do before they score
 * it, rule by rule; white space is ASCII. The text does not grow. */
void lab_detokenize(struct lab_buffer *text);

/* Cuts white space off the end of a passage and returns the bytes of its last word and of the
 * space before it, or 0 where it has no word before or none behind a space. */
int64_t lab_last_word(struct lab_buffer *text);

#endif
