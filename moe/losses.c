/* SPDX-License-Identifier: MIT */
#include "moe/losses.h"

#include <math.h>
#include <string.h>

#include "nn/parallel.h"

static bool masked(const struct peer_moe_routes *r, int64_t t)
{
    return r->mask && !r->mask[t];
}

static int64_t present(const struct peer_moe_routes *r, int64_t from, int64_t to)
{
    int64_t n = 0;
    for (int64_t t = from; t < to; t++)
        n += !masked(r, t);
    return n;
}

static double score_sum(const struct peer_moe_routes *r, int64_t t, bool shares)
{
    double sum = 0;
    for (int64_t e = 0; shares && e < r->E; e++)
        sum += r->scores[t * r->E + e];
    return shares ? sum : 1;
}

/* f [E] and P [E] of one group, as sums. */
static void balance_sums(double *f, double *P, const struct peer_moe_routes *r, int64_t from,
                         int64_t to, int64_t choices, bool shares)
{
    for (int64_t e = 0; e < r->E; e++)
        f[e] = P[e] = 0;
    for (int64_t t = from; t < to; t++) {
        double sum = score_sum(r, t, shares);
        for (int64_t i = 0; i < choices; i++)
            if (r->choice[t * r->R + i] >= 0)
                f[r->choice[t * r->R + i]]++;
        for (int64_t e = 0; sum > 0 && e < r->E; e++)
            P[e] += r->scores[t * r->E + e] / sum;
    }
}

/* slope [E] is the gradient by P's sums. */
static void balance_gradient(float *dscores, const struct peer_moe_routes *r, int64_t from,
                             int64_t to, const double *slope, bool shares)
{
    for (int64_t t = from; t < to; t++) {
        const float *scores = r->scores + t * r->E;
        double sum = score_sum(r, t, shares), dot = 0;
        if (masked(r, t) || sum <= 0)
            continue;
        for (int64_t e = 0; shares && e < r->E; e++)
            dot += slope[e] * scores[e] / sum;
        for (int64_t e = 0; e < r->E; e++)
            dscores[t * r->E + e] += (float)((slope[e] - dot) / sum);
    }
}

void peer_moe_count(int64_t *loads, const struct peer_moe_routes *r, int64_t choices)
{
    for (int64_t t = 0; t < r->T; t++)
        for (int64_t i = t * r->R; i < t * r->R + choices; i++)
            if (r->choice[i] >= 0)
                loads[r->choice[i]]++;
}

/* f [E], sums of n choices, with the shares of `loads`; the same bits where loads are the sums. */
static void take_shares(double *f, const int64_t *loads, int64_t E, int64_t n)
{
    int64_t all = 0;
    for (int64_t e = 0; e < E; e++)
        all += loads[e];
    for (int64_t e = 0; e < E; e++)
        f[e] = (double)loads[e] * (double)n / (double)all;
}

double peer_moe_balance_loss(float *dscores, const struct peer_moe_routes *r,
                             const struct peer_moe_balance *b, float scale, double *work)
{
    int64_t step = b->group ? b->group : r->T, all = present(r, 0, r->T);
    double loss = 0, *f = work, *P = work + r->E;
    for (int64_t from = 0; from < r->T; from += step) {
        int64_t to = peer_min(from + step, r->T), n = present(r, from, to);
        if (n == 0)
            continue;
        balance_sums(f, P, r, from, to, b->choices, b->shares);
        if (b->loads)
            take_shares(f, b->loads, r->E, n * b->choices);
        double weight =
            (double)b->coefficient * (double)r->E / ((double)(n * b->choices) * (double)all);
        for (int64_t e = 0; e < r->E; e++) {
            loss += weight * f[e] * P[e];
            f[e] *= weight * scale;
        }
        if (dscores)
            balance_gradient(dscores, r, from, to, f, b->shares);
    }
    return loss;
}

static double log_sum_exp(const float *x, int64_t n)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i] - most);
    return most + log(sum);
}

double peer_moe_z_loss(float *dlogits, const struct peer_moe_routes *r, float coefficient,
                       float scale)
{
    double sum = 0, n = (double)present(r, 0, r->T);
    for (int64_t t = 0; t < r->T; t++) {
        if (masked(r, t))
            continue;
        double z = log_sum_exp(r->logits + t * r->E, r->E);
        sum += z * z / n;
        double slope = 2 * (double)coefficient * (double)scale * z / n;
        for (int64_t e = 0; dlogits && e < r->E; e++)
            dlogits[t * r->E + e] += (float)(slope * r->scores[t * r->E + e]);
    }
    return coefficient * sum;
}

double peer_moe_cv_squared(double *x, int64_t E, float coefficient, float scale)
{
    double mean = 0, variance = 0, N = (double)E;
    for (int64_t e = 0; e < E; e++)
        mean += x[e] / N;
    for (int64_t e = 0; e < E; e++)
        variance += (x[e] - mean) * (x[e] - mean) / N;
    if (mean == 0) {
        memset(x, 0, (size_t)E * sizeof *x);
        return 0;
    }
    double square = mean * mean;
    for (int64_t e = 0; e < E; e++)
        x[e] = 2 * (double)coefficient * (double)scale * (x[e] - mean - variance / mean) /
               (N * square);
    return coefficient * variance / square;
}

double peer_moe_importance_loss(float *dgates, const struct peer_moe_routes *r, float coefficient,
                                float scale, double *work)
{
    memset(work, 0, (size_t)r->E * sizeof *work);
    for (int64_t i = 0; i < r->T * r->R; i++)
        if (r->choice[i] >= 0)
            work[r->choice[i]] += r->gates[i];
    double loss = peer_moe_cv_squared(work, r->E, coefficient, scale);
    for (int64_t i = 0; dgates && i < r->T * r->R; i++)
        if (r->choice[i] >= 0)
            dgates[i] += (float)work[r->choice[i]];
    return loss;
}
