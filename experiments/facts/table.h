/* SPDX-License-Identifier: MIT */
/* A table of facts, drawn: P people, A attributes of each, one of V values in every cell, all
 * cells independent and uniform. A person is a name of two words. Everything follows from the
 * config alone, so that a model can be asked for the table wherever the config is known. */
#ifndef PEER_EXPERIMENTS_FACTS_TABLE_H
#define PEER_EXPERIMENTS_FACTS_TABLE_H

#include "nn/pool.h"

enum {
    LAB_FACTS_ATTRIBUTES = 24,    /* most attributes */
    LAB_FACTS_TEMPLATES = 6,      /* most templates */
    LAB_FACTS_NAMES = 30000,      /* most words of either part of a name */
    LAB_FACTS_VALUES = 60000,     /* most values */
    LAB_FACTS_VOCABULARY = 65536, /* most words in all: ids are uint16 */
    LAB_FACTS_CELLS = 1 << 26     /* most facts */
};

struct lab_facts_config {
    int64_t people;     /* P >= 1. Default 1000 */
    int64_t attributes; /* A, 1 ... 24. Default 5 */
    int64_t values;     /* V, 2 ... 60000, shared by all attributes. Default 256 */
    int64_t templates;  /* T, 1 ... 6, of every attribute. Default 6 */
    int64_t names;      /* M, 1 ... 30000: first words, and last words, of the M^2 names from which
                           the P are drawn; 0 = about four names a person, ceil(2 sqrt(P)) */
    int64_t seed;       /* of the table and of all text. >= 0. Default 1 */
};

struct lab_facts_config lab_facts_config_default(void);

/* Fills in config->names where it is 0, then checks. Errors: PEER_ERR_ARGUMENT with the field and
 * the numbers: a range left, more people than names, too many cells, too many words. */
enum peer_status lab_facts_config_check(struct lab_facts_config *config, struct peer_ctx *ctx);

/* Read-only once drawn. Fact f is attribute f % A of person f / A. */
struct lab_facts {
    struct peer_pool pool;
    struct lab_facts_config config;
    int64_t count;   /* of facts, P A */
    int32_t *name;   /* [P], all different: first word * M + last word */
    uint16_t *value; /* [P A], 0 ... V-1 */
};

/* Draws the table: a uniform subset of the names (Floyd's sampling), uniform values. Errors: those
 * of the check; PEER_ERR_MEMORY. */
enum peer_status lab_facts_create(struct lab_facts **ret, struct peer_ctx *ctx,
                                  const struct lab_facts_config *config);
void lab_facts_destroy(struct lab_facts **facts);

/* CRC-32 of names and values: tells whether another program draws the same table. */
uint32_t lab_facts_crc(const struct lab_facts *facts);

/* Writes a uniform permutation of the facts (Fisher-Yates), order [P A], number `round` of the
 * stream called `name`. */
void lab_facts_shuffle(const struct lab_facts *facts, int32_t *order, const char *name,
                       int64_t round);

#endif
