/* SPDX-License-Identifier: MIT */
/* facts.json, which makes a prepared folder one of facts: the config of the table, its checksum,
 * the entropies, and what the text holds. */
#ifndef PEER_EXPERIMENTS_FACTS_DESCRIBE_H
#define PEER_EXPERIMENTS_FACTS_DESCRIBE_H

#include <stdio.h>

#include "experiments/facts/entropy.h"
#include "experiments/facts/score.h"

/* What was written of the text. */
struct lab_facts_text {
    int64_t exposures; /* E, of every fact in the training text */
    int64_t train_tokens;
    int64_t valid_sentences, valid_tokens;
};

/* Writes the file called `path`. Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_facts_describe(struct peer_ctx *ctx, const char *path,
                                    const struct lab_facts *facts,
                                    const struct lab_facts_text *text);

/* Reads facts.json of a prepared folder and draws its table again; *ret = NULL where there is no
 * such file. Errors: PEER_ERR_IO; PEER_ERR_FORMAT naming file and field, also where the table drawn
 * is not the one that the text tells; PEER_ERR_MEMORY. */
enum peer_status lab_facts_open(struct lab_facts **ret, struct peer_ctx *ctx, const char *folder);

/* Prints table and entropies, a line each. */
void lab_facts_print(FILE *file, const struct lab_facts_config *config);

/* Prints what was learned, as one line that begins with two spaces; nothing where nothing was
 * asked. */
void lab_facts_print_score(FILE *file, const struct lab_facts_score *score);

#endif
