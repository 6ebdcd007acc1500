/* SPDX-License-Identifier: MIT */
#include "lm/loss_ref.h"

#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "nn/cost.h"

/* Writes logits [V] and returns the logarithm of the sum of their exponentials. */
static real log_sum(real *logits, const real *x, const real *embed, int64_t V, int64_t D)
{
    real largest = -(real)INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++) {
        logits[v] = 0;
        for (int64_t i = 0; i < D; i++)
            logits[v] += x[i] * embed[v * D + i];
        COUNT(PEER_PART_VOCAB, 2 * D);
        largest = logits[v] > largest ? logits[v] : largest;
    }
    for (int64_t v = 0; v < V; v++)
        sum += exp(logits[v] - largest);
    return largest + log(sum);
}

real REF(lm_loss_forward)(int64_t *scored, real *losses, real *probabilities, const real *x,
                          const real *embed, const int32_t *targets, int64_t T, int64_t V,
                          int64_t D)
{
    real sum = 0;
    *scored = 0;
    for (int64_t t = 0; t < T; t++) {
        real *p = probabilities + t * V, normaliser = log_sum(p, x + t * D, embed, V, D);
        losses[t] = targets[t] < 0 ? 0 : normaliser - p[targets[t]];
        *scored += targets[t] >= 0;
        sum += losses[t];
        for (int64_t v = 0; v < V; v++)
            p[v] = exp(p[v] - normaliser);
    }
    return sum;
}

void REF(lm_loss_backward)(real *dx, real *dembed, const real *probabilities, const real *x,
                           const real *embed, const int32_t *targets, int64_t T, int64_t V,
                           int64_t D)
{
    int64_t scored = 0;
    memset(dx, 0, (size_t)(T * D) * sizeof *dx);
    memset(dembed, 0, (size_t)(V * D) * sizeof *dembed);
    for (int64_t t = 0; t < T; t++)
        scored += targets[t] >= 0;
    for (int64_t t = 0; t < T; t++) {
        if (targets[t] < 0)
            continue;
        for (int64_t v = 0; v < V; v++) {
            real dlogit = (probabilities[t * V + v] - (v == targets[t])) / (real)scored;
            for (int64_t i = 0; i < D; i++) {
                dx[t * D + i] += dlogit * embed[v * D + i];
                dembed[v * D + i] += dlogit * x[t * D + i];
            }
            COUNT(PEER_PART_VOCAB, 4 * D);
        }
    }
}
