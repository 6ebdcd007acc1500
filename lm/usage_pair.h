/* SPDX-License-Identifier: MIT */
/* How alike two distributions over the same N experts are. Experts are matched by number, which
 * means something only where they have a common origin: one model at two steps, or models that
 * began with the same weights. */
#ifndef PEER_LM_USAGE_PAIR_H
#define PEER_LM_USAGE_PAIR_H

#include "nn/context.h"

struct lm_usage_pair {
    double jaccard;  /* experts used by both over those used by either; NaN where none is */
    double chance;   /* what independent sets of these sizes would give in the mean of a large N:
                        u v / (u + v - u v) with shares u, v of N */
    double spearman; /* correlation of ranks, ties having their mean, -1 ... 1; NaN where one of
                        the two has all masses alike */
    double distance; /* total variation, 1/2 sum |p_i - q_i| of the masses over their sums, 0 ... 1;
                        NaN where a sum is 0 */
};

/* a, b [N] >= 0: masses, used where they are not 0. Errors: PEER_ERR_MEMORY. */
enum peer_status lm_usage_compare(struct lm_usage_pair *ret, struct peer_ctx *ctx, const double *a,
                                  const double *b, int64_t N);

#endif
