/* SPDX-License-Identifier: MIT */
#include "moe/soft_moe.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/products/linear.h"

enum { TILE = 64 }; /* rows */

static const float least_square = 1e-12f; /* added to |x|^2 */

struct job {
    const struct peer_ctx *ctx;
    const struct peer_kernels *kernels;
    const struct peer_soft_moe *m;
    struct peer_soft_moe_cache *c;
    float *y, *dx;
    const float *x, *dy;
};

struct units {
    float *unit, *inverse, *to;
    const float *x, *dunit;
    int64_t rows, D;
    uint8_t *lost; /* [rows] or NULL: those without a finite length, which have the unit 0 */
};

static void unit_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct units *u = arg;
    int64_t end = peer_min((tile + 1) * TILE, u->rows);
    for (int64_t r = tile * TILE; r < end; r++) {
        float sum = least_square;
        for (int64_t d = 0; d < u->D; d++)
            sum += u->x[r * u->D + d] * u->x[r * u->D + d];
        bool finite = sum <= FLT_MAX;
        u->inverse[r] = finite ? 1 / sqrtf(sum) : NAN;
        for (int64_t d = 0; d < u->D; d++)
            u->unit[r * u->D + d] = u->x[r * u->D + d] * u->inverse[r];
        if (!u->lost)
            continue;
        u->lost[r] = !finite;
        if (!finite)
            memset(u->unit + r * u->D, 0, (size_t)u->D * sizeof *u->unit);
    }
}

/* to += (dunit - unit (unit . dunit)) / |x|. */
static void unit_backward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct units *u = arg;
    int64_t end = peer_min((tile + 1) * TILE, u->rows);
    for (int64_t r = tile * TILE; r < end; r++) {
        const float *unit = u->unit + r * u->D, *dunit = u->dunit + r * u->D;
        float dot = 0;
        for (int64_t d = 0; d < u->D; d++)
            dot += unit[d] * dunit[d];
        for (int64_t d = 0; d < u->D; d++)
            u->to[r * u->D + d] += u->inverse[r] * (dunit[d] - unit[d] * dot);
    }
}

/* Enters no slot: padding, or a token without a length. */
static bool masked(const struct peer_soft_moe_cache *c, int64_t t)
{
    return (c->mask && !c->mask[t]) || c->lost[t];
}

static int64_t group_tokens(const struct job *j, int64_t group)
{
    return peer_min(j->m->G, j->c->T - group * j->m->G);
}

/* Softmax over the n tokens of each slot, in place, row by row; `sum` [S] and `most` [S] are
 * scratch: the slots' rows of the group in `in`, not yet written. */
static void softmax_over_tokens(const struct job *j, float *w, int64_t first, int64_t n,
                                float *most, float *sum)
{
    const struct peer_soft_moe_cache *c = j->c;
    int64_t S = j->m->S;
    for (int64_t s = 0; s < S; s++) {
        most[s] = -INFINITY;
        sum[s] = 0;
    }
    for (int64_t t = 0; t < n; t++)
        for (int64_t s = 0; !masked(c, first + t) && s < S; s++)
            most[s] = w[t * S + s] > most[s] ? w[t * S + s] : most[s];
    for (int64_t t = 0; t < n; t++)
        for (int64_t s = 0; s < S; s++) {
            w[t * S + s] = masked(c, first + t) ? 0 : expf(w[t * S + s] - most[s]);
            sum[s] += w[t * S + s];
        }
    for (int64_t t = 0; t < n; t++)
        for (int64_t s = 0; s < S && sum[s] != 0; s++)
            w[t * S + s] /= sum[s];
}

/* in [S, D] = sums over the group's tokens, without lost ones: 0 times NaN is NaN. */
static void sum_tokens(const struct job *j, float *in, int64_t first, int64_t n)
{
    const struct peer_soft_moe *m = j->m;
    const struct peer_soft_moe_cache *c = j->c;
    int64_t S = m->S, D = m->D, end = first + n;
    bool adds = false;
    memset(in, 0, (size_t)(S * D) * sizeof *in);
    for (int64_t t = first; t < end; t++) {
        int64_t run = t;
        while (run < end && !c->lost[run])
            run++;
        if (run > t)
            peer_gemm(j->ctx, true, false, S, D, run - t, c->dispatch + t * S, S, j->x + t * D, D,
                      adds, in, D);
        adds |= run > t;
        t = run;
    }
}

/* Weights of a group, and its slots. */
static void dispatch_tile(void *arg, int64_t group, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_soft_moe *m = j->m;
    const struct peer_soft_moe_cache *c = j->c;
    int64_t first = group * m->G, n = group_tokens(j, group), S = m->S, D = m->D;
    float *dispatch = c->dispatch + first * S, *combine = c->combine + first * S;
    float *in = c->in + group * S * D, *sums = c->dones + group * 2 * S;
    for (int64_t i = 0; i < n * S; i++)
        dispatch[i] = combine[i] = *m->scale * c->cosine[first * S + i];
    softmax_over_tokens(j, dispatch, first, n, sums, sums + S);
    j->kernels->softmax(combine, n, S);
    for (int64_t t = 0; t < n; t++)
        if (masked(c, first + t))
            memset(combine + t * S, 0, (size_t)S * sizeof *combine);
    sum_tokens(j, in, first, n);
}

static void combine_tile(void *arg, int64_t group, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_soft_moe *m = j->m;
    const struct peer_soft_moe_cache *c = j->c;
    int64_t first = group * m->G, n = group_tokens(j, group), S = m->S, D = m->D;
    peer_gemm(j->ctx, false, false, n, D, S, c->combine + first * S, S, c->out + group * S * D, D,
              false, j->y + first * D, D);
    for (int64_t t = first; t < first + n; t++)
        for (int64_t d = 0; c->lost[t] && (!c->mask || c->mask[t]) && d < D; d++)
            j->y[t * D + d] = NAN;
}

void peer_soft_moe_forward(const struct peer_ctx *ctx, const struct peer_soft_moe *m,
                           struct peer_soft_moe_cache *c, float *y, const float *x)
{
    int64_t T = c->T, S = m->S, D = m->D, groups = peer_tiles(T, m->G);
    struct units tokens = {
        .unit = c->x_unit, .inverse = c->x_inverse, .x = x, .rows = T, .D = D, .lost = c->lost};
    struct units slots = {
        .unit = c->phi_unit, .inverse = c->phi_inverse, .x = m->phi, .rows = S, .D = D};
    struct job job = {.ctx = ctx, .kernels = peer_kernels(ctx), .m = m, .c = c, .y = y, .x = x};
    peer_parallel(ctx, peer_tiles(T, TILE), unit_tile, &tokens);
    peer_parallel(ctx, peer_tiles(S, TILE), unit_tile, &slots);
    peer_linear_forward(ctx, c->cosine, c->x_unit, c->phi_unit, T, D, S);
    peer_parallel(ctx, groups, dispatch_tile, &job);
    memset(c->out, 0, (size_t)(groups * S * D) * sizeof *c->out);
    peer_moe_experts_forward(ctx, &m->experts, &c->experts, c->out, c->in, c->expert, c->ones,
                             groups * S, 1);
    peer_parallel(ctx, groups, combine_tile, &job);
}

/* Gradient of the slots' outputs; in dweight that of the logits by way of `combine`. */
static void combine_backward_tile(void *arg, int64_t group, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_soft_moe *m = j->m;
    const struct peer_soft_moe_cache *c = j->c;
    int64_t first = group * m->G, n = group_tokens(j, group), S = m->S, D = m->D;
    const float *combine = c->combine + first * S, *dy = j->dy + first * D;
    float *dweight = c->dweight + first * S;
    peer_gemm(j->ctx, false, true, n, S, D, dy, D, c->out + group * S * D, D, false, dweight, S);
    peer_gemm(j->ctx, true, false, S, D, n, combine, S, dy, D, false, c->dout + group * S * D, D);
    for (int64_t t = 0; t < n; t++) {
        float dot = 0;
        for (int64_t i = t * S; i < (t + 1) * S; i++)
            dot += combine[i] * dweight[i];
        for (int64_t i = t * S; i < (t + 1) * S; i++)
            dweight[i] = combine[i] * (dweight[i] - dot);
    }
}

/* From the gradient of the slots, in `in`, to that of x; adds that of the logits by way of
 * `dispatch` to dweight. `combine` becomes scratch. */
static void dispatch_backward_tile(void *arg, int64_t group, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct peer_soft_moe *m = j->m;
    const struct peer_soft_moe_cache *c = j->c;
    int64_t first = group * m->G, n = group_tokens(j, group), S = m->S, D = m->D;
    const float *dispatch = c->dispatch + first * S, *din = c->in + group * S * D;
    float *dweight = c->dweight + first * S, *ddispatch = c->combine + first * S;
    float *dots = c->dones + group * 2 * S;
    peer_gemm(j->ctx, false, true, n, S, D, j->x + first * D, D, din, D, false, ddispatch, S);
    peer_gemm(j->ctx, false, false, n, D, S, dispatch, S, din, D, true, j->dx + first * D, D);
    memset(dots, 0, (size_t)S * sizeof *dots);
    for (int64_t t = 0; t < n; t++)
        for (int64_t s = 0; s < S; s++)
            dots[s] += dispatch[t * S + s] * ddispatch[t * S + s];
    for (int64_t t = 0; t < n; t++)
        for (int64_t s = 0; s < S; s++)
            dweight[t * S + s] += dispatch[t * S + s] * (ddispatch[t * S + s] - dots[s]);
}

void peer_soft_moe_backward(const struct peer_ctx *ctx, struct peer_soft_moe *m,
                            struct peer_soft_moe_cache *c, float *dx, const float *dy,
                            const float *x)
{
    int64_t T = c->T, S = m->S, D = m->D, groups = peer_tiles(T, m->G);
    struct job job = {
        .ctx = ctx, .kernels = peer_kernels(ctx), .m = m, .c = c, .dx = dx, .x = x, .dy = dy};
    double dscale = 0;
    peer_parallel(ctx, groups, combine_backward_tile, &job);
    memset(c->in, 0, (size_t)(groups * S * D) * sizeof *c->in);
    peer_moe_experts_backward(ctx, &m->experts, &c->experts, c->in, c->dones, c->dout, c->ones,
                              groups * S, 1);
    peer_parallel(ctx, groups, dispatch_backward_tile, &job);
    for (int64_t i = 0; i < T * S; i++) {
        dscale += (double)c->dweight[i] * c->cosine[i];
        c->dweight[i] *= *m->scale;
    }
    struct units tokens = {
        .unit = c->x_unit, .inverse = c->x_inverse, .to = dx, .dunit = c->dunit, .rows = T, .D = D};
    peer_linear_backward_x(ctx, c->dunit, c->dweight, c->phi_unit, T, D, S, false);
    peer_parallel(ctx, peer_tiles(T, TILE), unit_backward_tile, &tokens);
    if (!m->dphi)
        return;
    *m->dscale += (float)dscale;
    struct units slots = {.unit = c->phi_unit,
                          .inverse = c->phi_inverse,
                          .to = m->dphi,
                          .dunit = c->dunit,
                          .rows = S,
                          .D = D};
    memset(c->dunit, 0, (size_t)(S * D) * sizeof *c->dunit);
    peer_linear_backward_w(ctx, c->dunit, c->dweight, c->x_unit, T, D, S);
    peer_parallel(ctx, peer_tiles(S, TILE), unit_backward_tile, &slots);
}
