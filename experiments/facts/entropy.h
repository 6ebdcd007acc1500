/* SPDX-License-Identifier: MIT */
/* What a table of facts and its text are worth, exactly. README.md has the formulas. */
#ifndef PEER_EXPERIMENTS_FACTS_ENTROPY_H
#define PEER_EXPERIMENTS_FACTS_ENTROPY_H

#include "experiments/facts/table.h"

struct lab_facts_entropy {
    double table_bits;      /* P A log2 V: of the values, given the names */
    double names_bits;      /* log2 binomial(M^2, P): of which names there are */
    double sentence_bits;   /* log2 (P A T): of a sentence drawn anew, to who knows the table */
    double value_bits;      /* log2 V: what it takes more without the fact */
    double round_bits;      /* log2 (P A)! + P A log2 T: of a round of the training text, in which
                               every fact comes once, to who knows the table */
    double sentence_tokens; /* mean over templates */
    double exposure_tokens; /* mean, to tell every fact once */
    double known_nats;      /* per token of the held-out text, to who knows the table */
    double unknown_nats;    /* to who knows names and grammar, and no fact */
};

/* `config` is one that lab_facts_config_check() has passed. */
struct lab_facts_entropy lab_facts_entropy(const struct lab_facts_config *config);

#endif
