/* SPDX-License-Identifier: MIT */
/* Grouped experts alone, large enough for several blocks of tokens and tiles of weights, against
 * sums in double over every entry. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moe/experts.h"
#include "nn/random.h"
#include "tests/support/twin.h"

enum { SEED = 90817, T = 171, E = 3, R = 2, D = 103, F = 131 };

struct trial {
    struct peer_ctx *ctx;
    struct peer_pool pool;
    struct peer_moe_experts ex;
    struct peer_moe_experts_cache cache;
    float *x, *y, *dy, *dx, gates[T * R], dgates[T * R];
    int32_t ids[T * R]; /* two thirds to expert 1, some to none */
};

static void fill(float *x, int64_t n, float deviation, const char *name)
{
    if (x)
        peer_fill_normal(x, n, 0, deviation, SEED, peer_stream(name));
}

static void open_trial(struct trial *t, bool gated, int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    t->ctx = NULL;
    cr_assert_eq(peer_ctx_create(&t->ctx, &config), PEER_OK);
    t->pool = (struct peer_pool){.ctx = t->ctx};
    struct peer_moe_sizes sizes = {
        .E = E, .D = D, .F = F, .gated = gated, .trained = true, .activation = PEER_ACT_SILU};
    peer_moe_experts_alloc(&t->ex, &t->pool, &sizes);
    peer_moe_experts_cache_alloc(&t->cache, &t->pool, &sizes, T * R, T, R, true);
    cr_assert(!t->pool.failed);
    fill(t->ex.in, E * F * D, 0.1f, "in");
    fill(t->ex.gate, E * F * D, 0.1f, "gate");
    fill(t->ex.out, E * D * F, 0.1f, "out");
    t->x = twin_floats(T * D, 0, 1, SEED, "x");
    t->dy = twin_floats(T * D, 0, 1, SEED, "dy");
    t->y = twin_floats(T * D, 0, 0, SEED, "zero");
    t->dx = twin_floats(T * D, 0, 0, SEED, "zero");
    fill(t->gates, T * R, 1, "gates");
    for (uint64_t i = 0; i < T * R; i++) {
        uint32_t draw = peer_random_below(SEED, 7, i, 12);
        t->ids[i] = draw == 0 ? -1 : draw < 9 ? 1 : draw < 11 ? 0 : 2;
    }
}

static void close_trial(struct trial *t)
{
    float *const all[] = {t->x, t->y, t->dy, t->dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    peer_pool_free(&t->pool);
    peer_ctx_destroy(&t->ctx);
}

static void run(struct trial *t)
{
    peer_moe_experts_forward(t->ctx, &t->ex, &t->cache, t->y, t->x, t->ids, t->gates, T, R);
    peer_moe_experts_backward(t->ctx, &t->ex, &t->cache, t->dx, t->dgates, t->dy, t->gates, T, R);
}

/* The same in double, by the equations of moe/moe.h. */
struct exact {
    double y[T * D], dx[T * D], dgates[T * R], din[E * F * D], dgate[E * F * D], dout[E * D * F];
};

static double silu_slope(double a)
{
    double s = 1 / (1 + exp(-a));
    return s * (1 + a * (1 - s));
}

/* One token by one expert: adds to everything. */
static void add_entry(struct exact *exact, const struct trial *t, int token, int i)
{
    int e = t->ids[token * R + i];
    const float *x = t->x + token * D, *dy = t->dy + token * D, gate = t->gates[token * R + i];
    const float *in = t->ex.in + e * F * D, *g = t->ex.gate, *out = t->ex.out + e * D * F;
    for (int f = 0; f < F; f++) {
        double b = 0, a = 0, dh = 0;
        for (int d = 0; d < D; d++) {
            b += (double)in[f * D + d] * x[d];
            a += g ? (double)g[(e * F + f) * D + d] * x[d] : 0;
            dh += (double)gate * dy[d] * out[d * F + f];
        }
        double at = g ? a : b, act = at / (1 + exp(-at)), hidden = g ? act * b : act;
        double dact = dh * (g ? b : 1) * silu_slope(at), db = g ? dh * act : dact;
        for (int d = 0; d < D; d++) {
            exact->y[token * D + d] += gate * hidden * out[d * F + f];
            exact->dgates[token * R + i] += dy[d] * hidden * out[d * F + f];
            exact->dout[(e * D + d) * F + f] += (double)gate * dy[d] * hidden;
            exact->din[(e * F + f) * D + d] += db * x[d];
            exact->dx[token * D + d] += db * in[f * D + d];
            if (!g)
                continue;
            exact->dgate[(e * F + f) * D + d] += dact * x[d];
            exact->dx[token * D + d] += dact * g[(e * F + f) * D + d];
        }
    }
}

/* Sums of at most D, F and T terms after one another, in float. */
static void expect_near(const float *got, const double *exact, int64_t n, const char *what)
{
    double distance = twin_distance(got, exact, n), largest = twin_largest(exact, n);
    cr_expect(largest > 0.1, "%s is nothing", what);
    cr_expect(distance <= (D + F + T) * largest / (1 << 24), "%s: off by %g of %g", what, distance,
              largest);
}

Test(moe_experts, blocks_and_tiles_add_up_to_all_entries)
{
    for (int gated = 0; gated < 2; gated++) {
        static struct trial t;
        static struct exact exact;
        memset(&exact, 0, sizeof exact);
        open_trial(&t, gated, 2);
        run(&t);
        cr_assert(t.cache.by.offsets[2] - t.cache.by.offsets[1] > 3 * PEER_MOE_BLOCK);
        for (int token = 0; token < T; token++)
            for (int i = 0; i < R; i++)
                if (t.ids[token * R + i] >= 0)
                    add_entry(&exact, &t, token, i);
        expect_near(t.y, exact.y, T * D, "y");
        expect_near(t.dx, exact.dx, T * D, "dx");
        expect_near(t.dgates, exact.dgates, T * R, "dgates");
        expect_near(t.ex.din, exact.din, E * F * D, "din");
        expect_near(t.ex.dout, exact.dout, E * D * F, "dout");
        if (gated)
            expect_near(t.ex.dgate, exact.dgate, E * F * D, "dgate");
        close_trial(&t);
    }
}

/* What others an expert serves changes no bit of a token's output or input gradient. */
Test(moe_experts, a_token_alone_gets_what_it_gets_in_company)
{
    static struct trial all, few;
    open_trial(&all, true, 2);
    open_trial(&few, true, 1);
    for (int i = 0; i < T * R; i++)
        if (i / R % 50 != 17)
            few.ids[i] = -1;
    run(&all);
    run(&few);
    for (int token = 17; token < T; token += 50)
        for (int d = 0; d < D; d++) {
            cr_assert_eq(few.y[token * D + d], all.y[token * D + d]);
            cr_assert_eq(few.dx[token * D + d], all.dx[token * D + d]);
        }
    close_trial(&all);
    close_trial(&few);
}

/* Gradients of over 2^23 values: few entries for most experts, none for many, several blocks for
 * the last. Written over NaN they are what is added to zeros. */
Test(moe_experts, large_stale_gradients_are_written_past_the_caches)
{
    enum { MANY = 1100, WIDE = 96, HIDDEN = 80, VALUES = MANY * WIDE * HIDDEN, BUSY = 131 };
    static float x[T * WIDE], y[T * WIDE], dy[T * WIDE], dx[T * WIDE], gates[T], dgates[T];
    static int32_t ids[T];
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    struct peer_pool pool = {.ctx = ctx};
    struct peer_moe_sizes sizes = {.E = MANY, .D = WIDE, .F = HIDDEN, .trained = true};
    struct peer_moe_experts ex;
    struct peer_moe_experts_cache cache = {.x = NULL};
    peer_moe_experts_alloc(&ex, &pool, &sizes);
    peer_moe_experts_cache_alloc(&cache, &pool, &sizes, T, T, 1, true);
    float *const gradients[] = {ex.din, ex.dout};
    float *added = peer_pool_floats(&pool, "added", 2, VALUES);
    cr_assert(!pool.failed);
    fill(ex.in, VALUES, 0.1f, "in");
    fill(ex.out, VALUES, 0.1f, "out");
    fill(x, T * WIDE, 1, "x");
    fill(dy, T * WIDE, 1, "dy");
    fill(gates, T, 1, "gates");
    for (int t = 0; t < T; t++)
        ids[t] = t < BUSY ? MANY - 1 : (int32_t)peer_random_below(SEED, 8, (uint64_t)t, MANY);
    for (int stale = 0; stale < 2; stale++) {
        ex.din_stale = ex.dout_stale = stale;
        peer_moe_experts_forward(ctx, &ex, &cache, y, x, ids, gates, T, 1);
        peer_moe_experts_backward(ctx, &ex, &cache, dx, dgates, dy, gates, T, 1);
        cr_expect(!ex.din_stale && !ex.dout_stale);
        for (int i = 0; i < 2; i++)
            if (stale)
                cr_expect_arr_eq(gradients[i], added + i * VALUES, VALUES * sizeof *added);
            else
                memcpy(added + i * VALUES, gradients[i], VALUES * sizeof *added);
        for (int i = 0; i < 2; i++)
            memset(gradients[i], 0xff, VALUES * sizeof *added);
    }
    peer_pool_free(&pool);
    peer_ctx_destroy(&ctx);
}
