/* SPDX-License-Identifier: MIT */
/* Asks a model for the facts of a table. */
#ifndef PEER_EXPERIMENTS_FACTS_PROBE_H
#define PEER_EXPERIMENTS_FACTS_PROBE_H

#include "experiments/facts/grammar.h"
#include "experiments/facts/score.h"
#include "lm/model.h"

/* Facts that a run asks for at most. */
enum { LAB_FACTS_SAMPLE = 65536 };

/* Who is asked. */
struct lab_facts_model {
    void *user;
    /* Reads B sequences of S ids, inputs [B, S], padded by -1 at the end. */
    void (*read)(void *user, const int32_t *inputs, int64_t B, int64_t S);
    /* Writes logits [vocabulary] for the token after position s of sequence b of what was read. */
    void (*logits)(void *user, float *logits, int64_t b, int64_t s);
};

struct lab_facts_probe {
    int64_t sample;           /* facts to ask for, 1 ...; P A or more = the whole table */
    int64_t length;           /* S, of a window, at least 1 + LAB_FACTS_SENTENCE */
    int64_t sequences;        /* windows read at once, >= 1 */
    bool (*stop)(void *user); /* asked before each reading; may be NULL */
    void *user;
};

/* Whether a language model with a vocabulary of `vocab` can be asked in windows of `length` tokens:
 * they must be the table's, and hold a sentence. Errors: PEER_ERR_ARGUMENT with the numbers. */
enum peer_status lab_facts_probe_check(struct peer_ctx *ctx, const struct lab_facts *facts,
                                       int64_t vocab, int64_t length);

/* Asks each fact of the sample once, by a template drawn for it, in windows like those of training:
 * a full stop, then as many whole sentences as fit, in random order. Facts, order and templates
 * follow from the table's seed alone, so that all models hear the same questions. Errors:
 * PEER_ERR_ARGUMENT, PEER_ERR_MEMORY, PEER_ERR_STOPPED; *ret is untouched then. */
enum peer_status lab_facts_ask(struct lab_facts_score *ret, struct peer_ctx *ctx,
                               const struct lab_facts *facts, const struct lab_facts_model *model,
                               const struct lab_facts_probe *probe);

/* The same of a language model, in windows of `length` tokens, as many at once as it holds. Errors:
 * also those of the check. */
enum peer_status lab_facts_ask_lm(struct lab_facts_score *ret, struct peer_ctx *ctx,
                                  const struct lab_facts *facts, struct lm_model *model,
                                  int64_t length, int64_t sample, bool (*stop)(void *user),
                                  void *user);

#endif
