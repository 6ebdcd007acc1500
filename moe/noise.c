/* SPDX-License-Identifier: MIT */
#include "moe/noise.h"

#include <math.h>
#include <string.h>

#include "moe/losses.h"
#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/random.h"

enum { TILE = 1 << 14, LOW = 1 << 20 };

static const float floor_of_deviation = 0.01f;

/* Any float is some count. */
static uint64_t whole(float x, float most)
{
    return x > 0.5f ? (uint64_t)llrintf(fminf(x, most)) : 0;
}

void peer_moe_draw(const struct peer_moe_random *random, uint64_t *seed, uint64_t *stream)
{
    uint32_t bits[2];
    memcpy(bits, random->key, sizeof bits);
    uint64_t count = whole(random->count[0], LOW) + LOW * whole(random->count[1], 1 << 23);
    *seed = (uint64_t)bits[1] << 32 | bits[0];
    *stream = count++;
    random->count[0] = (float)(count % LOW);
    random->count[1] = (float)(count / LOW);
}

struct fill {
    float *x, low, high;
    int64_t n;
    uint64_t seed, stream;
    bool normal;
};

static void fill_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct fill *f = arg;
    int64_t at = tile * TILE, n = peer_min(TILE, f->n - at);
    if (f->normal)
        peer_fill_normal_from(f->x + at, at, n, 0, 1, f->seed, f->stream);
    else
        peer_fill_uniform_from(f->x + at, at, n, f->low, f->high, f->seed, f->stream);
}

void peer_moe_uniform(const struct peer_ctx *ctx, float *x, int64_t n, float low, float high,
                      uint64_t seed, uint64_t stream)
{
    struct fill job = {x, low, high, n, seed, stream, false};
    peer_parallel(ctx, peer_tiles(n, TILE), fill_tile, &job);
}

void peer_moe_normal(const struct peer_ctx *ctx, float *x, int64_t n, uint64_t seed,
                     uint64_t stream)
{
    struct fill job = {x, 0, 1, n, seed, stream, true};
    peer_parallel(ctx, peer_tiles(n, TILE), fill_tile, &job);
}

static float deviation_of(float raw)
{
    float softplus = raw > 20 ? raw : log1pf(expf(raw));
    return softplus + floor_of_deviation;
}

void peer_moe_add_noise(float *logits, const struct peer_moe_noise *noise, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        logits[i] = noise->clean[i] + noise->normal[i] * deviation_of(noise->raw[i]);
}

static bool masked(const struct peer_moe_routes *r, int64_t t)
{
    return r->mask && !r->mask[t];
}

/* Index in the token's k + 1 largest of what expert e has to exceed. */
static int64_t threshold_of(const struct peer_moe_noise *noise, int64_t k, int64_t t, int32_t e)
{
    const int32_t *ids = noise->top_ids + t * (k + 1);
    int64_t rank = 0;
    while (rank < k && ids[rank] != e)
        rank++;
    return t * (k + 1) + (rank < k ? k : k - 1);
}

/* Adds the load of token t to loads [E], or with `slope` [E], the gradient of the loads, the
 * token's gradients. */
static void load_token(double *loads, float *dlogits, const struct peer_moe_noise *noise,
                       const struct peer_moe_routes *r, int64_t t, const double *slope)
{
    for (int32_t e = 0; e < r->E; e++) {
        int64_t i = t * r->E + e, at = threshold_of(noise, r->R, t, e);
        double deviation = deviation_of(noise->raw[i]);
        double z = ((double)noise->clean[i] - noise->top[at]) / deviation;
        if (!slope) {
            loads[e] += erfc(-z * M_SQRT1_2) / 2;
            continue;
        }
        double dz = slope[e] * exp(-z * z / 2) * M_SQRT1_2 * M_2_SQRTPI / 2 / deviation;
        noise->dclean[i] = (float)dz;
        noise->draw[i] = (float)(-dz * z);
        dlogits[t * r->E + noise->top_ids[at]] -= (float)dz;
    }
}

double peer_moe_load_loss(const struct peer_ctx *ctx, float *dlogits,
                          const struct peer_moe_noise *noise, const struct peer_moe_routes *r,
                          float coefficient, float scale, bool gradients, double *work)
{
    size_t bytes = (size_t)(r->T * r->E) * sizeof(float);
    if (gradients) {
        memset(noise->dclean, 0, bytes);
        memset(noise->draw, 0, bytes);
    }
    if (r->R == r->E || coefficient == 0)
        return 0; /* all loads are equal */
    const struct peer_kernels *kernels = peer_kernels(ctx);
    int64_t k = r->R;
    memset(work, 0, (size_t)r->E * sizeof *work);
    for (int64_t t = 0; t < r->T; t++) {
        kernels->topk(noise->top + t * (k + 1), noise->top_ids + t * (k + 1), r->logits + t * r->E,
                      r->E, k + 1);
        if (!masked(r, t))
            load_token(work, NULL, noise, r, t, NULL);
    }
    double loss = peer_moe_cv_squared(work, r->E, coefficient, scale);
    for (int64_t t = 0; gradients && t < r->T; t++)
        if (!masked(r, t))
            load_token(NULL, dlogits, noise, r, t, work);
    return loss;
}

void peer_moe_noise_backward(const struct peer_moe_noise *noise, const float *dlogits, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        noise->dclean[i] += dlogits[i];
        noise->draw[i] =
            (noise->draw[i] + noise->normal[i] * dlogits[i]) / (1 + expf(-noise->raw[i]));
    }
}
