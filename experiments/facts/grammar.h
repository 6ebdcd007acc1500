/* SPDX-License-Identifier: MIT */
/* How facts are said, and the words: one id per word. Ids in this order: the words of the
 * templates, of which 0 is the full stop, then A attributes, M first words of names, M last words,
 * V values. */
#ifndef PEER_EXPERIMENTS_FACTS_GRAMMAR_H
#define PEER_EXPERIMENTS_FACTS_GRAMMAR_H

#include "experiments/facts/table.h"

enum {
    LAB_FACTS_STOP = 0,      /* id of the full stop */
    LAB_FACTS_SENTENCE = 11, /* most tokens of a sentence */
    LAB_FACTS_WORD = 32      /* bytes of a word's piece, with the terminating 0 */
};

/* Size of the vocabulary. */
int64_t lab_facts_vocabulary(const struct lab_facts_config *config);

/* Id of a value, 0 ... V-1. */
int64_t lab_facts_value_id(const struct lab_facts_config *config, int64_t value);

/* Writes the sentence that says `fact` by `template`, 0 ... T-1, to ids[LAB_FACTS_SENTENCE] and
 * returns its number of tokens. The last is the full stop, the last but one the value; what comes
 * before names person and attribute and is the prompt for the value. Sentences of different facts
 * or templates differ. */
int lab_facts_sentence(uint16_t *ids, const struct lab_facts *facts, int64_t fact, int template);

/* Tokens of a sentence by `template`. */
int lab_facts_template_tokens(int template);

/* Writes the piece of `id` as sentencepiece would, a space before a word being U+2581. All pieces
 * differ. */
void lab_facts_word(char piece[LAB_FACTS_WORD], const struct lab_facts_config *config, int64_t id);

#endif
