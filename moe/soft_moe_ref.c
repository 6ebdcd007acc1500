/* SPDX-License-Identifier: MIT */
#include "moe/soft_moe_ref.h"

#include <assert.h>
#include <stdlib.h>
#include <tgmath.h>

#include "nn/cost.h"
#include "nn/kernels/kernels_ref.h"

static real *zeros(int64_t n)
{
    real *x = calloc((size_t)n + 1, sizeof *x);
    assert(x);
    return x;
}

static real length(const real *x, int64_t D)
{
    real sum = (real)1e-12f;
    for (int64_t d = 0; d < D; d++)
        sum += x[d] * x[d];
    return sqrt(sum);
}

/* Writes what the expert of a slot makes of it. */
static void expert(real *y, const struct REF(peer_soft_moe) * m, const real *x, int64_t e)
{
    int64_t D = m->D, F = m->config->hidden;
    for (int64_t d = 0; d < D; d++)
        y[d] = 0;
    for (int64_t f = 0; f < F; f++) {
        real in = 0, gate = 0, act;
        for (int64_t d = 0; d < D; d++)
            in += m->in[(e * F + f) * D + d] * x[d];
        for (int64_t d = 0; m->gate && d < D; d++)
            gate += m->gate[(e * F + f) * D + d] * x[d];
        REF(peer_act_forward)(&act, m->gate ? &gate : &in, 1, m->config->activation);
        for (int64_t d = 0; d < D; d++)
            y[d] += m->out[(e * D + d) * F + f] * (m->gate ? act * in : act);
        COUNT(PEER_PART_EXPERTS, (m->gate ? 6 : 4) * D);
    }
}

/* One group of n tokens; l [n, S] and slot [2 D] are scratch. */
static void group(real *y, const struct REF(peer_soft_moe) * m, const real *x, const uint8_t *mask,
                  int64_t n, real *l, real *slot)
{
    int64_t D = m->D, S = m->config->experts * m->config->slots;
    for (int64_t i = 0; i < n * S; i++) {
        const real *token = x + i / S * D, *phi = m->phi + i % S * D;
        real dot = 0;
        for (int64_t d = 0; d < D; d++)
            dot += token[d] * phi[d];
        COUNT(PEER_PART_QUERY, 2 * D);
        l[i] = *m->scale * dot / length(token, D) / length(phi, D);
    }
    for (int64_t i = 0; i < n * D; i++)
        y[i] = 0;
    for (int64_t s = 0; s < S; s++) {
        real sum = 0;
        for (int64_t d = 0; d < D; d++)
            slot[d] = 0;
        for (int64_t t = 0; t < n; t++)
            sum += mask && !mask[t] ? 0 : exp(l[t * S + s]);
        for (int64_t t = 0; t < n; t++)
            for (int64_t d = 0; d < D; d++) {
                slot[d] += mask && !mask[t] ? 0 : exp(l[t * S + s]) / sum * x[t * D + d];
                COUNT(PEER_PART_OUTPUT, 2);
            }
        expert(slot + D, m, slot, s / m->config->slots);
        for (int64_t t = 0; t < n; t++) {
            real row = 0;
            for (int64_t other = 0; other < S; other++)
                row += exp(l[t * S + other]);
            for (int64_t d = 0; d < D; d++) {
                y[t * D + d] += mask && !mask[t] ? 0 : exp(l[t * S + s]) / row * slot[D + d];
                COUNT(PEER_PART_OUTPUT, 2);
            }
        }
    }
}

void REF(peer_soft_moe_forward)(real *y, const struct REF(peer_soft_moe) * m, const real *x,
                                int64_t T)
{
    int64_t G = m->config->group, D = m->D;
    real *logits = zeros((G < T ? G : T) * m->config->experts * m->config->slots);
    real *slot = zeros(2 * D);
    for (int64_t t = 0; t < T; t += G)
        group(y + t * D, m, x + t * D, m->mask ? m->mask + t : NULL, T - t < G ? T - t : G, logits,
              slot);
    free(logits);
    free(slot);
}
