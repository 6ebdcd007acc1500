/* SPDX-License-Identifier: MIT */
/* Texts that checkpoints are evaluated on, and how it went. A text is opened once, for any number
 * of models with its vocabulary. */
#ifndef PEER_EXPERIMENTS_RUNS_EVAL_TEXT_H
#define PEER_EXPERIMENTS_RUNS_EVAL_TEXT_H

#include "experiments/runs/text_convert.h"
#include "lm/documents.h"
#include "lm/run_state.h"

struct lab_eval_text {
    struct lm_dataset data;
    struct lm_corpus *own;          /* of a text given by the user, else NULL */
    const struct lm_corpus *scored; /* that or the validation text */
    enum lab_form form;
    char name[256]; /* last part of the path, or the folder's name */
    int32_t end;    /* id that ends documents; not of held-out text */
    struct lab_text_counts counts;
    struct lab_document_notes notes; /* what of it was left out */
    int32_t *tails;                  /* [passages] tokens of the last word, or NULL */
    struct peer_pool pool;
};

/* Opens `source` by the tokenizer of the prepared `folder`, or of one that a run keeps, whose
 * vocabulary must be `vocab`. *ret is zeroed before; close it in any case. Errors:
 * PEER_ERR_ARGUMENT where that is not so or there is no text; those of lm_dataset_open(),
 * lab_text_convert() and lab_tokenize(). */
enum peer_status lab_eval_text_open(struct lab_eval_text *ret, struct peer_ctx *ctx,
                                    const char *folder, int64_t vocab,
                                    const struct lab_text_source *source);
/* The same for the checkpoint at `path`, whose ids must mean what the folder's mean. Errors: those,
 * and PEER_ERR_ARGUMENT with both checksums where they do not. */
enum peer_status lab_eval_text_open_for(struct lab_eval_text *ret, struct peer_ctx *ctx,
                                        const char *folder, const char *path,
                                        const struct lm_run_origin *origin,
                                        const struct lab_text_source *source);
void lab_eval_text_close(struct lab_eval_text *text);

/* What one model came to on one text. */
struct lab_eval_score {
    struct lm_eval_result result; /* bytes are those of the text as it came */
    int64_t documents;            /* 0 = not counted: one stream */
    int64_t longer;               /* of them, with more tokens than a window */
    int64_t words;                /* 0 = the form has none */
    double word_perplexity;       /* exp(sum of nats / words), NaN without */
    int64_t passages;             /* whose last word was scored */
    double last_perplexity;       /* exp(mean of a last word's nats), NaN without */
    double last_nats_error;       /* standard error of that mean, NaN without */
    double last_accuracy; /* share of last words whose every token was the most likely, given
                           * the true ones before it; NaN without */
};

struct lab_eval_setting {
    struct lm_model *const *list;  /* [models] of one vocabulary */
    int64_t models;                /* >= 1 */
    int64_t tokens;                /* of each text; 0 = all. Words and bytes of a form that counts
                                    * them before are then taken in proportion */
    int64_t length;                /* of windows, 1 ... the shortest context */
    bool show;                     /* progress on stderr */
    struct lm_usage *const *usage; /* NULL, or [blocks] of a single model */
};

/* Writes ret [models + 1]: of each model, then of the mean of their probabilities. Ctrl-C stops it
 * (cli/stop.h). Held-out text is scored by lm_evaluate(), as at the end of training, others by
 * lm_documents_evaluate(). Errors: theirs. */
enum peer_status lab_eval_text_score(struct lab_eval_score *ret, struct peer_ctx *ctx,
                                     const struct lab_eval_text *text,
                                     const struct lab_eval_setting *setting);

#endif
