/* SPDX-License-Identifier: MIT */
/* Well-formed UTF-8 out of any bytes. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_UTF8_H
#define PEER_EXPERIMENTS_DATA_TEXT_UTF8_H

#include <stdint.h>

/* A sequence that has begun, so that text may come in parts; zero at first. */
struct lab_utf8 {
    uint8_t held[4];
    int count;        /* bytes held */
    int length;       /* of the sequence that they begin */
    int64_t repaired; /* U+FFFD put in so far */
};

/* Copies `count` bytes to `out`, which has room for 3 * (count + 4), and returns how many it wrote.
 * Every longest run of bytes that begins a well-formed sequence but does not end it, and every
 * other byte that fits nowhere, becomes one U+FFFD (The Unicode Standard 15, 3.9, "Substitution of
 * Maximal Subparts"). */
int64_t lab_utf8_repair(struct lab_utf8 *state, uint8_t *out, const uint8_t *in, int64_t count);

/* The text ends: a sequence that has begun becomes U+FFFD. Writes at most 3 bytes. */
int64_t lab_utf8_end(struct lab_utf8 *state, uint8_t *out);

#endif
