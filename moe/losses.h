/* SPDX-License-Identifier: MIT */
/* Internal. Auxiliary losses of a routing, summed in token order in double. Each returns its value,
 * coefficient included, and, where its gradient pointer is not NULL, adds `scale` times its
 * gradient, with the choice of experts held fixed. A perfectly balanced router has a balance loss
 * of exactly the coefficient; n unmasked tokens, of which 0 give 0. */
#ifndef PEER_MOE_LOSSES_H
#define PEER_MOE_LOSSES_H

#include "moe/router.h"

struct peer_moe_balance {
    int64_t choices;      /* of a token, its first ones, that count */
    bool shares;          /* scores are divided by their sum over experts: sigmoids */
    int64_t group;        /* tokens that are balanced among themselves, 0 = all */
    const int64_t *loads; /* [E]: choices by expert, in place of the routes' own; NULL = these.
                             Not with groups */
    float coefficient;
};

/* E sum_e f_e P_e, f_e the share of the choices that went to e, P_e the mean score (Fedus et al.
 * 2022, eq. 4; DeepSeek-V3, eq. 18). Each group's value is weighted by its tokens. Adds to
 * dscores [T, E]. work [2 E] */
double peer_moe_balance_loss(float *dscores, const struct peer_moe_routes *r,
                             const struct peer_moe_balance *balance, float scale, double *work);

/* Adds the first `choices` choices of each token to loads [E]. */
void peer_moe_count(int64_t *loads, const struct peer_moe_routes *r, int64_t choices);

/* Mean over tokens of (log sum_e exp l_e)^2 (Zoph et al. 2022, eq. 5). Adds to dlogits [T, E]; the
 * scores are a softmax. */
double peer_moe_z_loss(float *dlogits, const struct peer_moe_routes *r, float coefficient,
                       float scale);

/* CV^2 of the gates' sums by expert (Shazeer et al. 2017, eq. 7): population variance over squared
 * mean, 0 where the mean is 0. Adds to dgates [T, R]. work [E] */
double peer_moe_importance_loss(float *dgates, const struct peer_moe_routes *r, float coefficient,
                                float scale, double *work);

/* Coefficient times CV^2 of x [E]; turns x into `scale` times the gradient. */
double peer_moe_cv_squared(double *x, int64_t E, float coefficient, float scale);

#endif
