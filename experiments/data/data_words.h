/* SPDX-License-Identifier: MIT */
/* Words of a text, counted and numbered in bounded memory.
 *
 * sentencepiece never joins characters across the start of a word (its option split_by_whitespace;
 * a space belongs to the word behind it), so that the tokens of a text are those of its words one
 * by one. Each distinct word is therefore tokenized once. */
#ifndef PEER_EXPERIMENTS_DATA_WORDS_H
#define PEER_EXPERIMENTS_DATA_WORDS_H

#include "nn/pool.h"

enum { LAB_WORD_BYTES = 240 };

/* Length of the element of text that begins at text[0], bytes >= 1: a word, which is an optional
 * space and what follows up to the next space or `plain` element, at most LAB_WORD_BYTES, no
 * character cut; or a `plain` one, which sentencepiece is not asked about: a control byte, or
 * U+2581, which it takes for a space. */
int64_t lab_word_next(const uint8_t *text, int64_t bytes, bool *plain);

struct lab_word {
    uint32_t at;    /* first byte in `bytes` */
    uint8_t length; /* bytes */
    uint8_t tokens; /* known ids, at `ids` + at; 0 = not known yet */
    uint64_t count; /* occurrences */
};

struct lab_words {
    struct peer_pool pool;
    int64_t count, capacity, bytes_used, bytes_capacity;
    int64_t dropped;       /* rarest words given up to stay in memory */
    struct lab_word *word; /* [capacity], in order of first occurrence */
    uint32_t *slot; /* [2 * capacity rounded up to a power of 2], number of a word + 1; 0 = free */
    uint32_t slots;
    uint8_t *bytes; /* [bytes_capacity] */
    uint16_t *ids;  /* [bytes_capacity]: a word has at most as many tokens as bytes */
};

/* Room for `capacity` words of together 16 * capacity bytes. Errors: PEER_ERR_MEMORY. */
enum peer_status lab_words_create(struct lab_words *ret, struct peer_ctx *ctx, int64_t capacity);
void lab_words_free(struct lab_words *words);

/* Forgets all words. */
void lab_words_clear(struct lab_words *words);

/* Whether any text of `bytes` bytes fits in besides. */
bool lab_words_have_room(const struct lab_words *words, int64_t bytes);

/* The word's number, made where it is new; lab_words_have_room() was true. */
int64_t lab_words_find(struct lab_words *words, const uint8_t *text, int64_t length);

/* Drops words that occurred least, until at least half of the room is free. */
void lab_words_thin(struct lab_words *words);

/* Sorts the words by falling count, equal counts by bytes. No word is found afterwards until
 * lab_words_clear(). */
void lab_words_sort(struct lab_words *words);

#endif
