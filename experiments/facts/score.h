/* SPDX-License-Identifier: MIT */
/* How much of a table somebody knows, from the probabilities they give its values. Knows nothing of
 * models: README.md has the estimator. */
#ifndef PEER_EXPERIMENTS_FACTS_SCORE_H
#define PEER_EXPERIMENTS_FACTS_SCORE_H

#include <stdbool.h>
#include <stdint.h>

/* Sums over the facts asked so far; zero to begin with. */
struct lab_facts_tally {
    int64_t asked, right;
    double bits, squares; /* of log2 V + log2 p */
    double clipped;       /* of the same, at least 0 */
};

struct lab_facts_score {
    int64_t facts, asked; /* in the table; asked, each once. 0 = there was no table */
    double bits;          /* learned: sum over the table of log2 V + log2 p(value | prompt). Below 0
                             where the model is surer than it is right */
    double bits_error;    /* standard error of `bits` from asking a sample; 0 if all were asked */
    double bits_clipped;  /* the same sum with 0 for a fact that is below 0: an upper companion */
    double bits_total;    /* P A log2 V, what there is to learn */
    double accuracy;      /* share of the facts whose value was the likeliest word */
};

/* One fact: `value_bits` is log2 V, `surprise` is -log2 p(value | prompt), in bits. */
void lab_facts_tally_add(struct lab_facts_tally *tally, double value_bits, double surprise,
                         bool right);

/* Scales what `tally` asked, a sample without replacement, to a table of `facts` facts. At least
 * one fact must have been asked. */
struct lab_facts_score lab_facts_score(const struct lab_facts_tally *tally, int64_t facts,
                                       double value_bits);

#endif
