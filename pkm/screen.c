/* SPDX-License-Identifier: MIT */
#include "pkm/screen.h"

#include <math.h>

#include "nn/parallel.h"
#include "nn/squares.h"

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
    double *squares =
        peer_pool_alloc(pool, "lengths of sub-keys", sizeof *squares, 2, peer_tiles(n, RUN), 1);
    if (screen)
        *screen = (struct pkm_screen){.n = n, .K = K, .keys = keys, .squares = squares};
    return screen;
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
    int64_t begin = number % runs * RUN, end = peer_min(begin + RUN, s->n);
    double most = 0;
    for (int64_t row = number / runs * s->n + begin; row < number / runs * s->n + end; row++) {
        double square = peer_sum_squares(p->keys + row * depth, depth);
        most = square <= most ? most : square; /* NaN too */
        p->kernels->bf16_pairs(s->keys + row * pairs, p->keys + row * depth, depth);
    }
    s->squares[number] = most;
}

void pkm_screen_prepare(const struct peer_ctx *ctx, struct pkm_screen *screen, const float *keys)
{
    struct prepare job = {peer_kernels(ctx), screen, keys};
    int64_t runs = peer_tiles(screen->n, RUN);
    peer_parallel(ctx, 2 * runs, round_run, &job);
    for (int half = 0; half < 2; half++) {
        double most = 0;
        for (int64_t run = 0; run < runs; run++) {
            double square = screen->squares[half * runs + run];
            most = square <= most ? most : square;
        }
        screen->lengths[half] = sqrt(most);
    }
}

/* With d = K/2 products per sub-score, S = |q| |key| >= sum |q_i key_i|, u = 2^-24 and bf16's
 * w = 2^-8: rounding both factors changes a product by at most (1 + w)^2 - 1 of itself; sums of
 * the rounded ones in any order err by 2 d u, in float by (d + 1) u; where bf16 arithmetic takes
 * subnormals for 0, by 2^-126 times what they were multiplied with. A sub-key wins only if its
 * approximate score is within twice the sum of the k-th best one. */
static double error_bound(double length, double key_length, double depth)
{
    const double u = ldexp(1, -24), w = ldexp(1, -8), tiny = ldexp(1, -120);
    double size = length * key_length;
    double rounded = (1 + w) * (1 + w) * (1 + 2 * depth * u) - 1, exact = (depth + 1) * u;
    return (rounded + exact + 4 * u) * size + tiny * depth * (1 + length + key_length);
}

bool pkm_screen_margins(const struct pkm_screen *screen, float *margins, const float *q,
                        int64_t stride, int64_t rows, int half)
{
    const double most = 1e18; /* far from where products or roundings overflow */
    int64_t depth = screen->K / 2;
    double key_length = screen->lengths[half];
    for (int64_t row = 0; row < rows; row++) {
        double length = sqrt(peer_sum_squares(q + row * stride + half * depth, depth));
        if (!(length <= most && key_length <= most))
            return false;
        margins[row] = (float)(2.001 * error_bound(length, key_length, (double)depth));
    }
    return true;
}
