/* SPDX-License-Identifier: MIT */
#include "pkm/screen.h"

#include <math.h>

#include "nn/parallel.h"

enum {
    SIDE_LEAST = 1024, /* sub-keys per half from which rounded scores save more than they cost */
    KEPT_MOST = 64,    /* of the kernel */
    RUN = 64,          /* sub-keys rounded at a time */
};

bool pkm_screen_pays(int64_t n, int64_t k)
{
    return n >= SIDE_LEAST && k <= KEPT_MOST;
}

struct pkm_screen *pkm_screen_alloc(struct peer_pool *pool, int64_t n, int64_t K)
{
    struct pkm_screen *screen = peer_pool_alloc(pool, "screen", sizeof *screen, 1, 1, 1);
    float *keys = peer_pool_floats(pool, "rounded sub-keys", 2 * n, (K / 2 + 1) / 2);
    struct pkm_lengths *runs =
        peer_pool_alloc(pool, "lengths of sub-keys", sizeof *runs, 2, peer_tiles(n, RUN), 1);
    if (screen)
        *screen = (struct pkm_screen){.n = n, .K = K, .keys = keys, .runs = runs};
    return screen;
}

/* Squares of floats, summed in float, err by less than one in 10^4 where they are well inside its
 * range; elsewhere NaN. Their sum is 0 also where the values are so small, below 2^-74, that their
 * squares vanish; that is less than what sub-keys of length 10^-9 are allowed to err by. */
static struct pkm_lengths lengths_of(const float squares[2])
{
    const double least = 1e-18, most = 1e30, slack = 1 + 1e-4;
    if (squares[0] == 0)
        return (struct pkm_lengths){0, 0};
    if (!(squares[0] >= least && squares[0] <= most))
        return (struct pkm_lengths){NAN, NAN};
    return (struct pkm_lengths){slack * sqrt(squares[0]), slack * sqrt(squares[1])};
}

/* NaN stays. */
static void lengthen(struct pkm_lengths *most, const struct pkm_lengths *other)
{
    most->whole = other->whole <= most->whole ? most->whole : other->whole;
    most->off = other->off <= most->off ? most->off : other->off;
}

struct prepare {
    const struct peer_kernels *kernels;
    const struct pkm_screen *screen;
    const float *keys;
};

static void round_run(void *job, int64_t number, int thread)
{
    (void)thread;
    const struct prepare *p = job;
    const struct pkm_screen *s = p->screen;
    int64_t depth = s->K / 2, pairs = (depth + 1) / 2, runs = peer_tiles(s->n, RUN);
    int64_t first = number / runs * s->n, begin = first + number % runs * RUN;
    int64_t end = peer_min(begin + RUN, first + s->n);
    struct pkm_lengths most = {0, 0};
    for (int64_t row = begin; row < end; row++) {
        float squares[2];
        p->kernels->bf16_pairs(s->keys + row * pairs, squares, p->keys + row * depth, depth);
        struct pkm_lengths lengths = lengths_of(squares);
        lengthen(&most, &lengths);
    }
    s->runs[number] = most;
}

void pkm_screen_prepare(const struct peer_ctx *ctx, struct pkm_screen *screen, const float *keys)
{
    struct prepare job = {peer_kernels(ctx), screen, keys};
    int64_t runs = peer_tiles(screen->n, RUN);
    peer_parallel(ctx, 2 * runs, round_run, &job);
    for (int half = 0; half < 2; half++) {
        screen->all[half] = (struct pkm_lengths){0, 0};
        for (int64_t run = 0; run < runs; run++)
            lengthen(&screen->all[half], &screen->runs[half * runs + run]);
    }
}

/* q and key are rounded to q' = q - r, key' = key - s. Then q.key - q'.key' = r.key + q'.s, at most
 * |r| |key| + (|q| + |r|) |s|. With d products, u = 2^-24 and S = |q'| |key'|: sums of the rounded
 * ones in any order err by 2 d u S, in float by (d + 1) u S; where bf16 arithmetic takes subnormals
 * for 0, by 2^-126 times what they were multiplied with. A sub-key wins only if its approximate
 * score is within twice the sum of the k-th best one; 4 u S is for that comparison. */
float pkm_screen_margin(const struct pkm_screen *screen, const float squares[2], int half)
{
    const double u = ldexp(1, -24), tiny = ldexp(1, -120), depth = (double)(screen->K / 2);
    struct pkm_lengths q = lengths_of(squares), key = screen->all[half];
    if (q.whole == 0 || key.whole == 0) /* of zeros or lost squares, which cannot be told apart */
        return NAN;
    double size = (q.whole + q.off) * (key.whole + key.off);
    double rounded = q.off * key.whole + (q.whole + q.off) * key.off;
    double bound = rounded + (3 * depth + 5) * u * size + tiny * depth * (1 + q.whole + key.whole);
    return (float)(2.001 * bound);
}
