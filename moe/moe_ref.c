/* SPDX-License-Identifier: MIT */
#include "moe/moe_ref.h"

#include <assert.h>
#include <stdlib.h>
#include <tgmath.h>

#include "moe/rule.h"
#include "nn/cost.h"
#include "nn/kernels/kernels_ref.h"
#include "nn/layers/dense_ref.h"

/* Arrays of one pass. */
struct arrays {
    real *logits, *clean, *deviation, *scores; /* [T, E] */
    real *gates;                               /* [T, R] */
    real *hidden;                              /* [F] */
    real *sums;                                /* [2 E] */
};

static real *zeros(int64_t n)
{
    real *x = calloc((size_t)n + 1, sizeof *x);
    assert(x);
    return x;
}

static bool masked(const struct REF(peer_moe) * m, int64_t t)
{
    return m->mask && !m->mask[t];
}

static void write_logits(const struct REF(peer_moe) * m, const struct arrays *a, const real *x,
                         int64_t T)
{
    int64_t E = m->config->experts, D = m->D;
    for (int64_t i = 0; i < T * E; i++) {
        const real *row = x + i / E * D, *w = m->router + i % E * D;
        real clean = 0, raw = 0;
        for (int64_t d = 0; d < D; d++) {
            clean += (m->jitter ? m->jitter[i / E * D + d] : 1) * row[d] * w[d];
            COUNT(PEER_PART_QUERY, 2);
            if (!m->router_noise)
                continue;
            raw += row[d] * m->router_noise[i % E * D + d];
            COUNT(PEER_PART_QUERY, 2);
        }
        a->clean[i] = clean;
        a->deviation[i] = log(1 + exp(raw)) + (real)0.01f;
        a->logits[i] = clean + (m->normal ? m->normal[i] * a->deviation[i] : 0);
    }
}

static void write_scores(const struct REF(peer_moe) * m, const struct arrays *a, int64_t T)
{
    int64_t E = m->config->experts;
    bool sigmoid = peer_moe_gating_of(m->config).score == PEER_MOE_SIGMOID;
    for (int64_t t = 0; t < T; t++) {
        real *scores = a->scores + t * E;
        for (int64_t e = 0; e < E; e++)
            scores[e] = sigmoid ? 1 / (1 + exp(-a->logits[t * E + e])) : a->logits[t * E + e];
        if (!sigmoid)
            REF(peer_softmax)(scores, 1, E);
    }
}

/* The gates of one token by the formulas of moe/README.md; a softmax over the chosen is one over
 * all, normalized. */
static void write_gates(const struct REF(peer_moe) * m, const struct arrays *a, int64_t t)
{
    const struct peer_moe_gating gating = peer_moe_gating_of(m->config);
    const int32_t *choice = m->choice + t * m->R;
    const real *scores = a->scores + t * m->config->experts;
    real *gates = a->gates + t * m->R, sum = gating.epsilon;
    bool normalized = gating.score == PEER_MOE_KEPT || gating.normalized;
    for (int64_t i = 0; i < m->R; i++)
        sum += choice[i] >= 0 ? scores[choice[i]] : 0;
    for (int64_t i = 0; i < m->R; i++)
        gates[i] = choice[i] < 0 ? 0 : scores[choice[i]] / (normalized ? sum : 1) * gating.scale;
}

/* Adds gate FFW_e(x) to y. */
static void add_expert(real *y, const struct REF(peer_moe) * m, real *hidden, const real *x,
                       int64_t e, real gate)
{
    int64_t D = m->D, F = m->config->hidden;
    for (int64_t f = 0; f < F; f++) {
        real in = 0, before = 0, act;
        for (int64_t d = 0; d < D; d++)
            in += m->in[(e * F + f) * D + d] * x[d];
        for (int64_t d = 0; m->gate && d < D; d++)
            before += m->gate[(e * F + f) * D + d] * x[d];
        COUNT(PEER_PART_EXPERTS, (m->gate ? 4 : 2) * D);
        REF(peer_act_forward)(&act, m->gate ? &before : &in, 1, m->config->activation);
        hidden[f] = m->gate ? act * in : act;
    }
    for (int64_t d = 0; d < D; d++) {
        real out = 0;
        for (int64_t f = 0; f < F; f++)
            out += m->out[(e * D + d) * F + f] * hidden[f];
        y[d] += gate * out;
        COUNT(PEER_PART_EXPERTS, 2 * F + 2);
    }
}

static void shared_forward(real *y, const struct REF(peer_moe) * m, const real *x, int64_t T)
{
    int64_t F = m->config->shared * m->config->hidden;
    struct REF(peer_dense) shared = {.D = m->D,
                                     .F = F,
                                     .activation = m->config->activation,
                                     .w_in = m->shared_in,
                                     .w_gate = m->shared_gate,
                                     .w_out = m->shared_out,
                                     .in = zeros(T * F),
                                     .gate = zeros(T * F),
                                     .hidden = zeros(T * F)};
    REF(peer_dense_forward)(&shared, y, x, m->mask, T);
    free(shared.in);
    free(shared.gate);
    free(shared.hidden);
}

/* The balance loss of tokens from ... to - 1, times their number. */
static real balance(const struct REF(peer_moe) * m, const struct arrays *a, int64_t from,
                    int64_t to)
{
    int64_t E = m->config->experts, n = 0;
    int64_t choices = m->config->rule->counts_first ? 1 : m->R;
    real *P = a->sums, *f = a->sums + E, loss = 0;
    for (int64_t e = 0; e < E; e++)
        P[e] = f[e] = 0;
    for (int64_t t = from; t < to; t++) {
        real sum = 0;
        if (masked(m, t))
            continue;
        n++;
        for (int64_t e = 0; e < E; e++)
            sum += a->scores[t * E + e];
        for (int64_t e = 0; e < E; e++)
            P[e] += a->scores[t * E + e] / sum;
        for (int64_t i = 0; i < choices; i++)
            f[m->choice[t * m->R + i]]++;
    }
    for (int64_t e = 0; n && e < E; e++)
        loss += (real)E * f[e] / (real)(n * choices) * P[e] / (real)n;
    return loss * (real)n;
}

static real cv_squared(const real *x, int64_t n)
{
    real mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++)
        mean += x[i] / (real)n;
    for (int64_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (real)n;
    return variance / (mean * mean);
}

static real z_loss(const struct REF(peer_moe) * m, const struct arrays *a, int64_t T)
{
    int64_t E = m->config->experts, n = 0;
    real sum = 0;
    for (int64_t t = 0; t < T; t++) {
        real all = 0;
        for (int64_t e = 0; e < E; e++)
            all += exp(a->logits[t * E + e]);
        if (masked(m, t))
            continue;
        sum += log(all) * log(all);
        n++;
    }
    return sum / (real)n;
}

static real importance_and_load(const struct REF(peer_moe) * m, const struct arrays *a, int64_t T)
{
    int64_t E = m->config->experts, k = m->config->kept;
    real *importance = a->sums, *load = a->sums + E;
    for (int64_t e = 0; e < 2 * E; e++)
        a->sums[e] = 0;
    for (int64_t t = 0; t < T; t++) {
        for (int64_t i = 0; i < k && !masked(m, t); i++)
            importance[m->choice[t * k + i]] += a->gates[t * k + i];
        for (int64_t e = 0; m->top && !masked(m, t) && e < E; e++) {
            const int32_t *top = m->top + t * (k + 1);
            int32_t other = top[k - 1];
            for (int64_t i = 0; i < k; i++)
                other = top[i] == e ? top[k] : other;
            real distance = a->clean[t * E + e] - a->logits[t * E + other];
            load[e] += erfc(-distance / a->deviation[t * E + e] / sqrt((real)2)) / 2;
        }
    }
    return m->config->importance_loss * cv_squared(importance, E) +
           (m->top ? m->config->load_loss * cv_squared(load, E) : 0);
}

static real auxiliary(const struct REF(peer_moe) * m, const struct arrays *a, int64_t T)
{
    const struct peer_moe_config *c = m->config;
    real sum = 0, n = 0;
    int64_t step = c->group ? c->group : T;
    for (int64_t t = 0; t < T; t++)
        n += !masked(m, t);
    for (int64_t from = 0; c->balance_loss > 0 && from < T; from += step)
        sum += c->balance_loss * balance(m, a, from, from + step < T ? from + step : T) / n;
    if (c->z_loss > 0)
        sum += c->z_loss * z_loss(m, a, T);
    if (c->importance_loss > 0 || c->load_loss > 0)
        sum += importance_and_load(m, a, T);
    return sum;
}

real REF(peer_moe_forward)(real *y, const struct REF(peer_moe) * given, const real *x, int64_t T,
                           bool train)
{
    const struct peer_moe_config config = peer_moe_read(given->config);
    struct REF(peer_moe) whole = *given, *m = &whole;
    m->config = &config;
    int64_t E = config.experts, D = m->D;
    struct arrays a = {.logits = zeros(T * E),
                       .clean = zeros(T * E),
                       .deviation = zeros(T * E),
                       .scores = zeros(T * E),
                       .gates = zeros(T * m->R),
                       .hidden = zeros(config.hidden),
                       .sums = zeros(2 * E)};
    write_logits(m, &a, x, T);
    write_scores(m, &a, T);
    for (int64_t i = 0; i < T * D; i++)
        y[i] = 0;
    if (m->shared_in)
        shared_forward(y, m, x, T);
    for (int64_t t = 0; t < T; t++) {
        write_gates(m, &a, t);
        for (int64_t i = t * m->R; i < (t + 1) * m->R; i++)
            if (m->ids[i] >= 0)
                add_expert(y + t * D, m, a.hidden, x + t * D, m->ids[i], a.gates[i]);
    }
    real loss = train ? auxiliary(m, &a, T) : 0;
    real *blocks[] = {a.logits, a.clean, a.deviation, a.scores, a.gates, a.hidden, a.sums};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    return loss;
}
