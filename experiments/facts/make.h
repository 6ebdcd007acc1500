/* SPDX-License-Identifier: MIT */
/* A prepared folder (lm/dataset.h) that tells a table of facts. */
#ifndef PEER_EXPERIMENTS_FACTS_MAKE_H
#define PEER_EXPERIMENTS_FACTS_MAKE_H

#include "experiments/data/data_child.h"
#include "experiments/facts/describe.h"

struct lab_facts_options {
    const char *out; /* folder to make */
    struct lab_facts_config table;
    int64_t exposures; /* E >= 1: times that the training text tells each fact. Default 20 */
    int64_t valid;     /* sentences of the held-out text >= 1. Default 10000 */
    bool force;        /* replace a prepared folder called `out`. Default false */
};

struct lab_facts_options lab_facts_options_default(void);

/* Makes train.bin (E rounds, each telling every fact once in a random order, each time by a
 * template drawn for it), valid.bin (sentences drawn anew: fact and template uniform, so that its
 * ideal code is known whatever came before), data.json, tokenizer.vocab and facts.json. The folder
 * appears whole or not at all. Equal options give equal files, but for the date in data.json.
 * Writes the config with everything filled in. Errors: those of lab_facts_config_check();
 * PEER_ERR_ARGUMENT with the numbers, PEER_ERR_IO, PEER_ERR_MEMORY, PEER_ERR_STOPPED. */
enum peer_status lab_facts_make(struct lab_facts_config *ret, struct lab_facts_text *ret_text,
                                struct peer_ctx *ctx, const struct lab_facts_options *options,
                                const struct lab_work *work);

#endif
