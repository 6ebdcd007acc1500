/* SPDX-License-Identifier: MIT */
/* Internal. The standard error of a mean over tokens, from sums over parts of a text: documents, or
 * where there are none up to 64 blocks of the text, whose losses depend on one another less than
 * those of neighbours. */
#ifndef PEER_LM_SPREAD_H
#define PEER_LM_SPREAD_H

#include <stdint.h>

enum { LM_SPREAD_BLOCKS = 64 };

struct lm_spread {
    int64_t windows; /* of the text */
    double loss[LM_SPREAD_BLOCKS], tokens[LM_SPREAD_BLOCKS];
};

/* Adds the loss of some tokens of window `window`, 0 ... windows-1. */
void lm_spread_add(struct lm_spread *spread, int64_t window, double loss, double tokens);

/* Standard error of sum(loss) / sum(tokens) where the `parts` are taken as independent draws of
 * loss and tokens together: sqrt(n / (n - 1) sum (loss - mean tokens)^2) / sum(tokens), what a
 * bootstrap over the parts comes to with ever more draws. Parts without tokens are left out; NaN
 * for fewer than two. */
double lm_spread_of(const double *loss, const double *tokens, int64_t parts);
double lm_spread_error(const struct lm_spread *spread);

#endif
