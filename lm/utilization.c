/* SPDX-License-Identifier: MIT */
#include "lm/utilization.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/pool.h"

enum peer_status lm_usage_create(struct lm_usage **ret, struct peer_ctx *ctx,
                                 const struct peer_routing *routing)
{
    static const char who[] = "lm_usage_create";
    if (routing->experts < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: experts = %lld, expected at least 1", who,
                         (long long)routing->experts);
    struct peer_pool pool = {.ctx = ctx};
    struct lm_usage *usage = peer_pool_alloc(&pool, who, sizeof *usage, 1, 1, 1);
    struct peer_pool *owner = peer_pool_alloc(&pool, who, sizeof *owner, 1, 1, 1);
    struct lm_usage filled = {
        .experts = routing->experts,
        .side = routing->side,
        .score = peer_pool_alloc(&pool, who, sizeof(double), routing->experts, 1, 1),
        .count = peer_pool_alloc(&pool, who, sizeof(int64_t), routing->experts, 1, 1),
        .top1 = peer_pool_alloc(&pool, who, sizeof(int64_t), routing->experts, 1, 1),
        .last = peer_pool_alloc(&pool, who, sizeof(int64_t), routing->experts, 1, 1),
        .owner = owner,
    };
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    *owner = pool;
    *usage = filled;
    *ret = usage;
    return PEER_OK;
}

void lm_usage_destroy(struct lm_usage **usage)
{
    if (!usage || !*usage)
        return;
    struct peer_pool pool = *(struct peer_pool *)(*usage)->owner;
    peer_pool_free(&pool);
    *usage = NULL;
}

void lm_usage_clear(struct lm_usage *usage)
{
    size_t N = (size_t)usage->experts;
    memset(usage->score, 0, N * sizeof *usage->score);
    memset(usage->count, 0, N * sizeof *usage->count);
    memset(usage->top1, 0, N * sizeof *usage->top1);
    memset(usage->last, 0, N * sizeof *usage->last);
    usage->tokens = usage->present = usage->offered = 0;
    usage->overlap = 0;
}

/* Share of the experts of one token, ids [H, k], that more than one head retrieves; 0 without any.
 * An expert's mark names the token and the head that retrieved it last, or H once heads share it:
 * tokens are numbered from 1, so that no earlier mark passes for one of this token. */
static double overlap_of(struct lm_usage *usage, const int32_t *ids, int64_t heads, int64_t kept)
{
    int64_t distinct = 0, shared = 0, first = usage->present * (heads + 1);
    for (int64_t h = 0; h < heads; h++) {
        for (int64_t i = h * kept; i < (h + 1) * kept; i++) {
            if (ids[i] < 0)
                continue;
            int64_t *mark = &usage->last[ids[i]];
            if (*mark < first) {
                distinct++;
                *mark = first + h;
            } else if (*mark < first + h) {
                shared++;
                *mark = first + heads;
            }
        }
    }
    return distinct ? (double)shared / (double)distinct : 0;
}

void lm_usage_add(struct lm_usage *usage, const struct peer_routing *routing, const int32_t *inputs,
                  int64_t T)
{
    int64_t heads = routing->heads, kept = routing->kept;
    for (int64_t t = 0; t < T; t++) {
        bool counted = false;
        if (inputs && inputs[t] < 0)
            continue;
        usage->present++;
        usage->offered += routing->experts_choose ? 0 : heads * kept;
        for (int64_t h = t * heads; h < (t + 1) * heads; h++) {
            bool first = true;
            for (int64_t i = h * kept; i < (h + 1) * kept; i++) {
                int32_t id = routing->ids[i];
                if (id < 0)
                    continue;
                usage->score[id] += routing->gates[i];
                usage->count[id]++;
                usage->top1[id] += first;
                first = false;
                counted = true;
            }
        }
        usage->tokens += counted;
        if (heads > 1)
            usage->overlap += overlap_of(usage, &routing->ids[t * heads * kept], heads, kept);
    }
}

static int compare_masses(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Share of the experts, largest masses first, that together have `share` of the total. */
static double holding(const double *ascending, int64_t experts, double total, double share)
{
    double held = 0;
    int64_t number = 0;
    while (number < experts && held < share * total)
        held += ascending[experts - ++number];
    return (double)number / (double)experts;
}

/* Sorts `mass` [N]. */
static struct lm_usage_stats summarize(double *mass, int64_t experts)
{
    double N = (double)experts, total = 0, ranks = 0, logs = 0;
    int64_t used = 0;
    for (int64_t i = 0; i < experts; i++)
        total += mass[i];
    if (!isfinite(total))
        return (struct lm_usage_stats){NAN, NAN, NAN, NAN, NAN, NAN};
    if (total == 0)
        return (struct lm_usage_stats){0, NAN, NAN, NAN, NAN, NAN};
    qsort(mass, (size_t)experts, sizeof *mass, compare_masses);
    for (int64_t i = 0; i < experts; i++) {
        double z = mass[i] / total;
        ranks += (double)(i + 1) * z;
        if (mass[i] != 0) {
            used++;
            logs += z * log(z);
        }
    }
    double unevenness = log(N) + logs, gini = (2 * ranks - (N + 1)) / N;
    return (struct lm_usage_stats){
        .used = (double)used / N,
        .unevenness = fmax(unevenness, 0), /* rounding can leave -1e-16 */
        .gini = fmax(gini, 0),
        .hold50 = holding(mass, experts, total, 0.50),
        .hold90 = holding(mass, experts, total, 0.90),
        .hold99 = holding(mass, experts, total, 0.99),
    };
}

static struct lm_usage_load load_of(const struct lm_usage *usage)
{
    double N = (double)usage->experts, total = 0, most = 0, logs = 0, squares = 0;
    for (int64_t i = 0; i < usage->experts; i++) {
        double n = (double)usage->count[i];
        total += n;
        most = fmax(most, n);
    }
    struct lm_usage_load load = {
        .entropy = NAN,
        .entropy_share = NAN,
        .cv = NAN,
        .peak = NAN,
        .dropped = usage->offered ? 1 - total / (double)usage->offered : NAN,
        .unserved = usage->present ? 1 - (double)usage->tokens / (double)usage->present : NAN,
    };
    if (total == 0)
        return load;
    double mean = total / N;
    for (int64_t i = 0; i < usage->experts; i++) {
        double n = (double)usage->count[i];
        squares += (n - mean) * (n - mean);
        logs += n > 0 ? n / total * log(n / total) : 0;
    }
    load.entropy = fmax(-logs, 0);
    load.entropy_share = usage->experts > 1 ? load.entropy / log(N) : 1;
    load.cv = sqrt(squares / N) / mean;
    load.peak = most / mean;
    return load;
}

/* 1 - (1 - 1/N)^draws. */
static double reached_by(double draws, double experts)
{
    return draws > 0 ? -expm1(draws * log1p(-1 / experts)) : 0;
}

enum peer_status lm_usage_summarize(struct lm_usage_report *ret, struct peer_ctx *ctx,
                                    const struct lm_usage *usage)
{
    struct peer_pool pool = {.ctx = ctx};
    int64_t N = usage->experts;
    double *mass = peer_pool_alloc(&pool, "lm_usage_summarize", sizeof *mass, N, 1, 1);
    if (!mass)
        return PEER_ERR_MEMORY;
    struct lm_usage_report report = {0};
    int64_t first = 0;
    double draws = 0;
    memcpy(mass, usage->score, (size_t)N * sizeof *mass);
    report.score = summarize(mass, N);
    for (int64_t i = 0; i < N; i++) {
        mass[i] = (double)usage->count[i];
        draws += mass[i];
        first += usage->top1[i] != 0;
    }
    report.count = summarize(mass, N);
    report.load = load_of(usage);
    report.top1_used = (double)first / (double)N;
    report.head_overlap = usage->tokens ? usage->overlap / (double)usage->tokens : NAN;
    report.expected_used = reached_by(draws, (double)N);
    peer_pool_free(&pool);
    *ret = report;
    return PEER_OK;
}

void lm_usage_lorenz(double *ret, double *mass, int64_t N)
{
    enum { LAST = LM_LORENZ_POINTS - 1 };
    double total = 0, held = 0;
    int64_t next = 0;
    for (int64_t i = 0; i < N; i++)
        total += mass[i];
    qsort(mass, (size_t)N, sizeof *mass, compare_masses);
    for (int64_t point = 0; point <= LAST; point++) {
        int64_t whole = point * N / LAST, rest = point * N % LAST;
        for (; next < whole; next++)
            held += mass[next];
        double part = rest ? mass[whole] * (double)rest / LAST : 0;
        ret[point] = isfinite(total) && total > 0 ? fmin((held + part) / total, 1) : NAN;
    }
}
