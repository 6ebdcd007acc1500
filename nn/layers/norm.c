/* SPDX-License-Identifier: MIT */
#include "nn/layers/norm.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "nn/parallel.h"

/* Tokens in a tile, over which sums of gains' gradients and batch statistics run in float; across
 * tiles they run in double, in order. Features in a tile of the second step. */
enum { TOKENS = 64, FEATURES = 64 };

const char *const peer_norm_names[] = {"none", "layer", "rms", "batch", NULL};

int64_t peer_norm_partials(int64_t T)
{
    return peer_tiles(T, TOKENS);
}

/* `size` is G*K; `count` the number of unmasked tokens. */
struct job {
    const struct peer_query_norm *norm;
    float *y, *dx;
    const float *x, *dy;
    const uint8_t *mask;
    int64_t T, size, count;
    bool add;   /* to dx */
    bool *lost; /* a running statistic was skipped or limited */
};

static bool counts(const uint8_t *mask, int64_t t)
{
    return !mask || mask[t];
}

static int64_t count_tokens(const uint8_t *mask, int64_t first, int64_t end)
{
    int64_t count = 0;
    for (int64_t t = first; t < end; t++)
        count += counts(mask, t);
    return count;
}

/* Partial sums of a tile: which = 0 is what dgain or squares need, 1 what dbias or means do. */
static float *partial_of(const struct job *job, int which, int64_t tile)
{
    return job->norm->partial + (which * peer_norm_partials(job->T) + tile) * job->size;
}

/* 1 / deviation; NaN where the variance is too large for a float: the 0 that it would be otherwise
 * makes an overflow look like a constant. */
static float inverse_deviation(float variance, float epsilon)
{
    return variance <= FLT_MAX ? 1 / sqrtf(variance + epsilon) : NAN;
}

/* Layer and rms, and none. */

static float sum_of(const float *x, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static float squares_around(const float *x, float mean, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static void group_forward(const struct job *job, int64_t row)
{
    const struct peer_query_norm *norm = job->norm;
    int64_t K = norm->width, first = row % norm->groups * K;
    float *restrict y = job->y + row * K;
    const float *x = job->x + row * K, *gain = norm->gain + first;
    bool layer = norm->kind == PEER_NORM_LAYER;
    float mean = layer ? sum_of(x, K) / (float)K : 0;
    float inv_dev = inverse_deviation(squares_around(x, mean, K) / (float)K, norm->epsilon);
    norm->inv_dev[row] = inv_dev;
    if (layer) {
        const float *bias = norm->bias + first;
        norm->mean[row] = mean;
        for (int64_t i = 0; i < K; i++)
            y[i] = gain[i] * ((x[i] - mean) * inv_dev) + bias[i];
    } else {
        for (int64_t i = 0; i < K; i++)
            y[i] = gain[i] * (x[i] * inv_dev);
    }
}

static void groups_forward_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    int64_t t = tile * TOKENS, end = peer_min(t + TOKENS, job->T);
    if (job->norm->kind == PEER_NORM_NONE) {
        memcpy(job->y + t * job->size, job->x + t * job->size,
               (size_t)((end - t) * job->size) * sizeof *job->y);
        return;
    }
    for (int64_t row = t * job->norm->groups; row < end * job->norm->groups; row++)
        group_forward(job, row);
}

/* With u = (x - mean) / dev and a = dy g:
 * dx = (a - mean(a) - u mean(a u)) / dev; rms has no mean to subtract. */
static void group_backward(const struct job *job, float *restrict dgain, float *restrict dbias,
                           int64_t row)
{
    const struct peer_query_norm *norm = job->norm;
    int64_t K = norm->width, first = row % norm->groups * K;
    float *restrict dx = job->dx + row * K;
    const float *x = job->x + row * K, *dy = job->dy + row * K, *gain = norm->gain + first;
    bool layer = norm->kind == PEER_NORM_LAYER;
    float mean = layer ? norm->mean[row] : 0, inv_dev = norm->inv_dev[row], sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
    for (int64_t i = 0; i < K; i++) {
        float a = dy[i] * gain[i];
        sum += a;
        along += a * ((x[i] - mean) * inv_dev);
    }
    sum = layer ? sum / (float)K : 0;
    along /= (float)K;
    if (!job->add)
        memset(dx, 0, (size_t)K * sizeof *dx);
    for (int64_t i = 0; i < K; i++) {
        float u = (x[i] - mean) * inv_dev;
        dx[i] += inv_dev * (dy[i] * gain[i] - sum - u * along);
        dgain[first + i] += dy[i] * u;
    }
    for (int64_t i = 0; layer && i < K; i++)
        dbias[first + i] += dy[i];
}

static void groups_backward_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    const struct peer_query_norm *norm = job->norm;
    int64_t size = job->size, t = tile * TOKENS, end = peer_min(t + TOKENS, job->T);
    size_t bytes = (size_t)size * sizeof(float);
    float *dgain = NULL, *dbias = NULL;
    if (norm->kind != PEER_NORM_NONE)
        dgain = memset(partial_of(job, 0, tile), 0, bytes);
    if (norm->kind == PEER_NORM_LAYER)
        dbias = memset(partial_of(job, 1, tile), 0, bytes);
    for (; t < end; t++)
        if (!counts(job->mask, t))
            memset(job->dx + t * size, 0, bytes);
        else if (norm->kind == PEER_NORM_NONE)
            memcpy(job->dx + t * size, job->dy + t * size, bytes);
        else
            for (int64_t g = 0; g < norm->groups; g++)
                group_backward(job, dgain, dbias, t * norm->groups + g);
}

/* Batch. */

/* Sum, and squares around the tile's own mean, of the unmasked tokens of one tile. */
static void batch_sums_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    int64_t size = job->size, first = tile * TOKENS, end = peer_min(first + TOKENS, job->T);
    int64_t count = count_tokens(job->mask, first, end);
    float *restrict squares = memset(partial_of(job, 0, tile), 0, (size_t)size * sizeof(float));
    float *restrict sum = memset(partial_of(job, 1, tile), 0, (size_t)size * sizeof(float));
    float inverse = count > 0 ? 1 / (float)count : 0;
    for (int64_t t = first; t < end; t++) {
        if (!counts(job->mask, t))
            continue;
        const float *x = job->x + t * size;
        for (int64_t f = 0; f < size; f++)
            sum[f] += x[f];
    }
    for (int64_t t = first; t < end; t++) {
        if (!counts(job->mask, t))
            continue;
        const float *x = job->x + t * size;
        for (int64_t f = 0; f < size; f++) {
            float d = x[f] - sum[f] * inverse;
            squares[f] += d * d;
        }
    }
}

/* Running deviations, and eps, by which one batch can move a running statistic. */
static const double reach = 1 << 10;

/* Moves the running statistics of a feature towards those of a batch, unless these are no finite
 * floats; running ones that are not, as from an older checkpoint, are replaced. Returns false where
 * they were skipped or limited. */
static bool learn(float *run_mean, float *run_var, const struct peer_query_norm *norm, double mean,
                  double variance, bool has_variance)
{
    if (!(fabs(mean) <= FLT_MAX) || (has_variance && !(variance <= FLT_MAX)))
        return false;
    double spread = *run_var + (double)norm->epsilon, shift = mean - *run_mean;
    double most = isfinite(spread) ? reach * reach * spread : INFINITY;
    bool far = shift * shift > most, wide = has_variance && variance > most;
    if (far)
        shift = copysign(sqrt(most), shift);
    if (wide)
        variance = most;
    *run_mean = isfinite(*run_mean) ? (float)(*run_mean + norm->momentum * shift) : (float)mean;
    if (has_variance)
        *run_var = isfinite(*run_var) ? (float)(*run_var + norm->momentum * (variance - *run_var))
                                      : (float)variance;
    return !far && !wide;
}

/* Joins the tiles: squares around the whole mean are the tiles' own plus those of their means
 * (Chan, Golub and LeVeque 1983). */
static void batch_statistics_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    const struct peer_query_norm *norm = job->norm;
    int64_t first = tile * FEATURES, width = peer_min(FEATURES, job->size - first);
    double mean[FEATURES] = {0}, squares[FEATURES] = {0};
    for (int64_t p = 0; p < peer_norm_partials(job->T); p++)
        for (int64_t f = 0; f < width; f++)
            mean[f] += partial_of(job, 1, p)[first + f] / (double)job->count;
    for (int64_t p = 0; p < peer_norm_partials(job->T); p++) {
        double count =
            (double)count_tokens(job->mask, p * TOKENS, peer_min((p + 1) * TOKENS, job->T));
        for (int64_t f = 0; count > 0 && f < width; f++) {
            double d = partial_of(job, 1, p)[first + f] / count - mean[f];
            squares[f] += partial_of(job, 0, p)[first + f] + count * d * d;
        }
    }
    double count = (double)job->count;
    bool lost = false;
    for (int64_t f = 0; f < width; f++) {
        double variance = squares[f] / count;
        norm->mean[first + f] = (float)mean[f];
        norm->inv_dev[first + f] =
            variance <= FLT_MAX ? (float)(1 / sqrt(variance + norm->epsilon)) : NAN;
        lost |= !learn(norm->run_mean + first + f, norm->run_var + first + f, norm, mean[f],
                       squares[f] / (count - 1), count > 1);
    }
    if (lost)
        __atomic_store_n(job->lost, true, __ATOMIC_RELAXED);
}

static void batch_forward_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    const struct peer_query_norm *norm = job->norm;
    int64_t size = job->size, end = peer_min((tile + 1) * TOKENS, job->T);
    for (int64_t t = tile * TOKENS; t < end; t++) {
        float *restrict y = job->y + t * size;
        const float *x = job->x + t * size;
        for (int64_t f = 0; f < size; f++)
            y[f] = norm->gain[f] * ((x[f] - norm->mean[f]) * norm->inv_dev[f]) + norm->bias[f];
    }
}

/* Sums over the tile of dy u and dy. */
static void batch_gradient_sums_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    const struct peer_query_norm *norm = job->norm;
    int64_t size = job->size, end = peer_min((tile + 1) * TOKENS, job->T);
    float *restrict along = memset(partial_of(job, 0, tile), 0, (size_t)size * sizeof(float));
    float *restrict sum = memset(partial_of(job, 1, tile), 0, (size_t)size * sizeof(float));
    for (int64_t t = tile * TOKENS; t < end; t++) {
        const float *x = job->x + t * size, *dy = job->dy + t * size;
        if (!counts(job->mask, t))
            continue;
        for (int64_t f = 0; f < size; f++) {
            sum[f] += dy[f];
            along[f] += dy[f] * ((x[f] - norm->mean[f]) * norm->inv_dev[f]);
        }
    }
}

/* dx = g / dev (dy - mean(dy) - u mean(dy u)); the whole sums are in the first tile's partials. */
static void batch_backward_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    const struct peer_query_norm *norm = job->norm;
    int64_t size = job->size, end = peer_min((tile + 1) * TOKENS, job->T);
    const float *along = partial_of(job, 0, 0), *sum = partial_of(job, 1, 0);
    float inverse = 1 / (float)job->count;
    for (int64_t t = tile * TOKENS; t < end; t++) {
        float *restrict dx = job->dx + t * size;
        const float *x = job->x + t * size, *dy = job->dy + t * size;
        if (!counts(job->mask, t)) {
            memset(dx, 0, (size_t)size * sizeof *dx);
            continue;
        }
        for (int64_t f = 0; f < size; f++) {
            float u = (x[f] - norm->mean[f]) * norm->inv_dev[f];
            dx[f] = norm->gain[f] * norm->inv_dev[f] *
                    (dy[f] - sum[f] * inverse - u * (along[f] * inverse));
        }
    }
}

/* With constant statistics dx = g / dev dy. */
static void frozen_backward_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    const struct peer_query_norm *norm = job->norm;
    int64_t size = job->size, end = peer_min((tile + 1) * TOKENS, job->T);
    for (int64_t t = tile * TOKENS; t < end; t++) {
        float *restrict dx = job->dx + t * size;
        const float *dy = job->dy + t * size;
        for (int64_t f = 0; f < size; f++)
            dx[f] = counts(job->mask, t) ? norm->gain[f] * norm->inv_dev[f] * dy[f] : 0;
    }
}

/* Adds the tiles' sums to the gradients and leaves them in the first tile's place. */
static void join_gradients_tile(void *data, int64_t tile, int thread)
{
    (void)thread;
    const struct job *job = data;
    int64_t first = tile * FEATURES, width = peer_min(FEATURES, job->size - first);
    float *const results[2] = {job->norm->dgain, job->norm->dbias};
    int kinds = job->norm->kind == PEER_NORM_RMS ? 1 : 2;
    for (int which = 0; which < kinds; which++) {
        double sum[FEATURES] = {0};
        for (int64_t p = 0; p < peer_norm_partials(job->T); p++)
            for (int64_t f = 0; f < width; f++)
                sum[f] += partial_of(job, which, p)[first + f];
        for (int64_t f = 0; f < width; f++) {
            if (results[which])
                results[which][first + f] += (float)sum[f];
            partial_of(job, which, 0)[first + f] = (float)sum[f];
        }
    }
}

static void forward(struct peer_ctx *ctx, struct job *job, bool train)
{
    const struct peer_query_norm *norm = job->norm;
    int64_t tiles = peer_norm_partials(job->T);
    if (norm->kind != PEER_NORM_BATCH) {
        peer_parallel(ctx, tiles, groups_forward_tile, job);
        return;
    }
    if (train && job->count > 0 && !norm->frozen) {
        bool lost = false;
        job->lost = &lost;
        peer_parallel(ctx, tiles, batch_sums_tile, job);
        peer_parallel(ctx, peer_tiles(job->size, FEATURES), batch_statistics_tile, job);
        if (norm->skipped)
            *norm->skipped += lost;
    } else {
        for (int64_t f = 0; f < job->size; f++) {
            norm->mean[f] = norm->run_mean[f];
            norm->inv_dev[f] = inverse_deviation(norm->run_var[f], norm->epsilon);
        }
    }
    peer_parallel(ctx, tiles, batch_forward_tile, job);
}

static void backward(struct peer_ctx *ctx, struct job *job)
{
    const struct peer_query_norm *norm = job->norm;
    int64_t tiles = peer_norm_partials(job->T), joins = peer_tiles(job->size, FEATURES);
    bool batch = norm->kind == PEER_NORM_BATCH;
    peer_parallel(ctx, tiles, batch ? batch_gradient_sums_tile : groups_backward_tile, job);
    if (norm->kind != PEER_NORM_NONE && tiles > 0)
        peer_parallel(ctx, joins, join_gradients_tile, job);
    if (batch)
        peer_parallel(ctx, tiles, norm->frozen ? frozen_backward_tile : batch_backward_tile, job);
}

void peer_query_norm_forward(struct peer_ctx *ctx, float *y, const struct peer_query_norm *norm,
                             const float *x, const uint8_t *mask, int64_t T, bool train)
{
    struct job job = {.norm = norm, .y = y, .x = x, .mask = mask, .T = T};
    job.size = norm->groups * norm->width;
    job.count = count_tokens(mask, 0, T);
    forward(ctx, &job, train);
}

void peer_query_norm_backward(struct peer_ctx *ctx, float *dx, const struct peer_query_norm *norm,
                              const float *dy, const float *x, const uint8_t *mask, int64_t T)
{
    struct job job = {.norm = norm, .dx = dx, .dy = dy, .x = x, .mask = mask, .T = T};
    job.size = norm->groups * norm->width;
    job.count = count_tokens(mask, 0, T);
    backward(ctx, &job);
}

void peer_rmsnorm_forward(struct peer_ctx *ctx, float *y, float *inv_rms, const float *x,
                          const float *g, int64_t T, int64_t D)
{
    struct peer_query_norm norm = {.kind = PEER_NORM_RMS,
                                   .groups = 1,
                                   .width = D,
                                   .epsilon = PEER_RMSNORM_EPSILON,
                                   .gain = g,
                                   .inv_dev = inv_rms};
    struct job job = {.norm = &norm, .y = y, .x = x, .T = T, .size = D};
    forward(ctx, &job, true);
}

void peer_rmsnorm_backward(struct peer_ctx *ctx, float *dx, float *dg, float *partial,
                           const float *dy, const float *x, const float *g, const float *inv_rms,
                           int64_t T, int64_t D)
{
    struct peer_query_norm norm = {
        .kind = PEER_NORM_RMS, .groups = 1, .width = D, .gain = g, .dgain = dg, .partial = partial};
    norm.inv_dev = (float *)inv_rms; /* backward only reads it */
    struct job job = {.norm = &norm, .dx = dx, .dy = dy, .x = x, .T = T, .size = D, .add = true};
    backward(ctx, &job);
}
