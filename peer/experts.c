/* SPDX-License-Identifier: MIT */
#include "peer/experts.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/layers/ffw_object.h"
#include "nn/parallel.h"
#include "nn/tables/table_lookup.h"
#include "peer/experts_private.h"

enum {
    TILE = 16,     /* tokens */
    CHUNK = 8,     /* slots worked on at a time, while the rows of as many more are fetched */
    SHORT = 512,   /* bytes of a vector up to which each is asked for in the pass that reads it:
                      after a longer one the hardware's streams go on to the next */
    SOURCE_X = 0,  /* what multiplies gradients of g and u */
    SOURCE_DY = 1, /* what multiplies gradients of v */
};

const char *const peer_expert_names[] = {"single", "glu", NULL};

int64_t peer_experts_vectors(enum peer_expert expert)
{
    return expert == PEER_EXPERT_GLU ? 3 : 2;
}

static struct peer_rows_config rows_config(const struct peer_experts *e)
{
    int64_t D = e->D, vectors = peer_experts_vectors(e->config.expert);
    struct peer_rows_config rows = {
        .rows = e->config.experts,
        .width = vectors * D,
        .tokens = e->tokens_per_step,
        .entries = e->tokens_per_step * e->config.slots,
        .segments = (int)vectors,
    };
    for (int s = 0; s < rows.segments; s++)
        rows.segment[s] = (struct peer_rows_segment){
            .offset = s * D, .width = D, .source = s == rows.segments - 1 ? SOURCE_DY : SOURCE_X};
    return rows;
}

static struct peer_table table_of(const struct peer_experts_config *config, int64_t D)
{
    int64_t vectors = peer_experts_vectors(config->expert);
    return (struct peer_table){.type = config->table,
                               .rows = config->experts,
                               .width = vectors * D,
                               .segments = (int)vectors};
}

static enum peer_status check_tokens(struct peer_ctx *ctx, const char *who, int64_t tokens,
                                     int64_t slots)
{
    if (tokens < 1 || tokens > INT32_MAX / slots)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: %lld tokens of %lld slots each, expected 1 to %lld tokens", who,
                         (long long)tokens, (long long)slots, (long long)(INT32_MAX / slots));
    return PEER_OK;
}

enum peer_status peer_experts_check(struct peer_ctx *ctx, const char *who,
                                    const struct peer_experts_config *config,
                                    const struct peer_ffw_shape *shape)
{
    if (shape->width < 1 || shape->width > INT32_MAX / 3)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: width D = %lld, expected 1 to %d", who,
                         (long long)shape->width, INT32_MAX / 3);
    if (config->experts < 1 || config->experts > INT32_MAX || config->slots < 1 ||
        config->slots > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: N = %lld experts, S = %lld slots, expected 1 to %d of each", who,
                         (long long)config->experts, (long long)config->slots, INT32_MAX);
    if ((int)config->expert < 0 || config->expert >= PEER_EXPERT_COUNT ||
        (int)config->activation < 0 || config->activation >= PEER_ACT_COUNT ||
        (int)config->table < 0 || config->table >= PEER_TABLE_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: expert %d, activation %d or table %d is unknown", who,
                         (int)config->expert, (int)config->activation, (int)config->table);
    struct peer_table table = table_of(config, shape->width);
    bool trains = peer_ffw_trains(shape, PEER_ROLE_EXPERTS);
    enum peer_status status = check_tokens(ctx, who, shape->tokens, config->slots);
    if (!status)
        status = check_tokens(ctx, who, peer_ffw_step_tokens(shape), config->slots);
    return status ? status : peer_table_check(ctx, who, &table, shape->table, trains);
}

enum peer_status peer_experts_build(struct peer_experts *experts, struct peer_pool *pool,
                                    const struct peer_experts_config *config,
                                    const struct peer_ffw_shape *shape)
{
    bool trains = peer_ffw_trains(shape, PEER_ROLE_EXPERTS);
    experts->config = *config;
    experts->D = shape->width;
    experts->tokens_per_step = peer_ffw_step_tokens(shape);
    experts->scratch = !shape->forward_only && !trains;
    experts->table = table_of(config, shape->width);
    peer_table_alloc(&experts->table, pool, "peer.experts", shape->table);
    if (experts->tokens_per_step > INT32_MAX / config->slots) { /* no check has seen it: measured */
        pool->bytes = SIZE_MAX;
        return PEER_OK;
    }
    struct peer_rows_config rows = rows_config(experts);
    return trains && !pool->failed ? peer_ffw_rows(&experts->rows, pool, &rows) : PEER_OK;
}

void peer_experts_cache_build(struct peer_experts_cache *cache, struct peer_pool *pool,
                              struct peer_experts *of, int64_t tokens)
{
    int64_t S = of->config.slots;
    cache->of = of;
    cache->ctx = pool->ctx;
    cache->kernels = pool->ctx ? peer_kernels(pool->ctx) : NULL;
    cache->capacity = tokens;
    cache->T = -1;
    cache->vector_bytes = peer_table_row_bytes(of->config.table, of->D, 1);
    cache->pre = peer_pool_floats(pool, "peer.pre", tokens, S);
    if (of->config.expert == PEER_EXPERT_GLU)
        cache->linear = peer_pool_floats(pool, "peer.linear", tokens, S);
    cache->hidden = peer_pool_floats(pool, "peer.hidden", tokens, S);
    cache->work = peer_pool_floats(pool, "peer.work", tokens, S);
    for (int64_t i = 0; of->scratch && i < peer_experts_vectors(of->config.expert); i++)
        cache->coef[i] = peer_pool_floats(pool, "peer.coef", tokens, S);
}

enum peer_status peer_experts_create(struct peer_experts **ret, struct peer_ctx *ctx,
                                     const struct peer_experts_config *config,
                                     const struct peer_ffw_shape *shape)
{
    enum peer_status status = peer_experts_check(ctx, "peer_experts_create", config, shape);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_experts *experts = peer_pool_alloc(&pool, "peer_experts", sizeof *experts, 1, 1, 1);
    if (!experts)
        return PEER_ERR_MEMORY;
    status = peer_experts_build(experts, &pool, config, shape);
    experts->pool = pool;
    if (!status && pool.failed)
        status = PEER_ERR_MEMORY;
    if (status)
        peer_experts_destroy(&experts);
    else
        *ret = experts;
    return status;
}

void peer_experts_destroy(struct peer_experts **experts)
{
    if (!experts || !*experts)
        return;
    peer_rows_destroy(&(*experts)->rows);
    struct peer_pool pool = (*experts)->pool;
    peer_pool_free(&pool);
    *experts = NULL;
}

enum peer_status peer_experts_cache_create(struct peer_experts_cache **ret, struct peer_ctx *ctx,
                                           struct peer_experts *experts, int64_t tokens)
{
    enum peer_status status =
        check_tokens(ctx, "peer_experts_cache_create", tokens, experts->config.slots);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_experts_cache *cache =
        peer_pool_alloc(&pool, "peer_experts_cache", sizeof *cache, 1, 1, 1);
    if (!cache)
        return PEER_ERR_MEMORY;
    peer_experts_cache_build(cache, &pool, experts, tokens);
    cache->pool = pool;
    if (pool.failed)
        peer_experts_cache_destroy(&cache);
    else
        *ret = cache;
    return pool.failed ? PEER_ERR_MEMORY : PEER_OK;
}

void peer_experts_cache_destroy(struct peer_experts_cache **cache)
{
    if (!cache || !*cache)
        return;
    struct peer_pool pool = (*cache)->pool;
    peer_pool_free(&pool);
    *cache = NULL;
}

enum peer_status peer_experts_params(struct peer_experts *experts, struct peer_params *list,
                                     const char *prefix)
{
    struct peer_param entry = {.name = "experts",
                               .kind = experts->rows ? PEER_PARAM_ROWS : PEER_PARAM_BUFFER,
                               .dims = 2,
                               .shape = {experts->table.rows, experts->table.width},
                               .data = experts->table.f32,
                               .table = &experts->table,
                               .rows = experts->rows,
                               .lr_scale = experts->config.table_lr_scale,
                               .decay = 1,
                               .init = {PEER_INIT_NORMAL, 1 / sqrtf((float)experts->D)},
                               .role = PEER_ROLE_EXPERTS};
    return peer_params_add(list, prefix, &entry);
}

struct job {
    struct peer_experts_cache *cache;
    float *y, *dx, *dgates;
    const float *x, *dy, *gates;
    const int32_t *ids;
    int64_t T;
    struct peer_rows_block block;
};

/* Slots at ... at+m-1, all of one token: y += sum of gate * e(x). The `ahead` slots that follow
 * are prefetched. */
static void forward_chunk(const struct job *job, float *y, const float *x, int64_t at, int64_t m,
                          int64_t ahead)
{
    const struct peer_experts_cache *cache = job->cache;
    const struct peer_kernels *kernels = cache->kernels;
    const struct peer_table *experts = &cache->of->table;
    const int32_t *ids = job->ids + at;
    const float *gates = job->gates + at;
    float *pre = cache->pre + at, *hidden = cache->hidden + at, *work = cache->work + at;
    int64_t then = cache->vector_bytes > SHORT ? 0 : ahead;
    peer_table_dot(pre, experts, kernels, 0, ids, m, ahead, x);
    kernels->act_forward(hidden, pre, m, cache->of->config.activation);
    if (cache->linear) {
        float *linear = cache->linear + at;
        peer_table_dot(linear, experts, kernels, 1, ids, m, then, x);
        for (int64_t j = 0; j < m; j++)
            hidden[j] *= linear[j];
    }
    for (int64_t j = 0; j < m; j++)
        work[j] = gates[j] * hidden[j];
    peer_table_axpy(y, experts, kernels, experts->segments - 1, ids, m, then, work);
}

static void forward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->cache->of->D, slots = j->cache->of->config.slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T);
    memset(j->y + begin * D, 0, (size_t)((end - begin) * D) * sizeof(float));
    for (int64_t t = begin; t < end; t++) {
        for (int64_t s = 0; s < slots; s += CHUNK) {
            int64_t m = peer_min(CHUNK, slots - s), at = t * slots + s;
            int64_t ahead = peer_min(CHUNK, end * slots - at - m);
            forward_chunk(j, j->y + t * D, j->x + t * D, at, m, ahead);
        }
    }
}

void peer_experts_forward(struct peer_experts_cache *cache, float *y, const float *x,
                          const int32_t *ids, const float *gates, int64_t T)
{
    struct peer_experts *e = cache->of;
    assert(T >= 0 && T <= cache->capacity);
    struct job job = {.cache = cache, .y = y, .x = x, .ids = ids, .gates = gates, .T = T};
    peer_table_prepare(&e->table, ids, T * e->config.slots);
    peer_rows_catch_up(e->rows, ids, T * e->config.slots);
    peer_parallel(cache->ctx, peer_tiles(T, TILE), forward_tile, &job);
    cache->T = T;
}

/* The slots' coefficients: see peer/layer_ref.c. On entry dgates = z = v.dy. */
static void backward_coefficients(const struct job *job, int64_t at, int64_t m)
{
    const struct peer_experts_cache *cache = job->cache;
    const struct peer_kernels *kernels = cache->kernels;
    float *const *coef = job->block.coef;
    enum peer_act act = cache->of->config.activation;
    const float *gates = job->gates + at, *hidden = cache->hidden + at;
    float *z = job->dgates + at, *da = coef[0] + at, *db = coef[1] + at;
    float *dv = coef[cache->linear ? 2 : 1] + at;
    kernels->act_slope(da, cache->pre + at, m, act);
    if (cache->linear) {
        const float *linear = cache->linear + at;
        kernels->act_forward(db, cache->pre + at, m, act);
        for (int64_t j = 0; j < m; j++) {
            da[j] *= linear[j];
            db[j] *= gates[j] * z[j];
        }
    }
    for (int64_t j = 0; j < m; j++) {
        da[j] *= gates[j] * z[j];
        dv[j] = gates[j] * hidden[j];
        z[j] *= hidden[j];
    }
}

/* As forward_chunk, but v of a row is read first. What is fetched for the next slots is what the
 * same pass will read then: the first lines of v, then those of u. */
static void backward_chunk(const struct job *job, float *dx, const float *dy, int64_t at, int64_t m,
                           int64_t ahead)
{
    const struct peer_experts_cache *cache = job->cache;
    const struct peer_kernels *kernels = cache->kernels;
    const struct peer_table *experts = &cache->of->table;
    const int32_t *ids = job->ids + at;
    int last = experts->segments - 1;
    peer_table_dot(job->dgates + at, experts, kernels, last, ids, m, ahead, dy);
    backward_coefficients(job, at, m);
    peer_table_axpy(dx, experts, kernels, 0, ids, m, ahead, job->block.coef[0] + at);
    if (cache->linear)
        peer_table_axpy(dx, experts, kernels, 1, ids, m, 0, job->block.coef[1] + at);
}

/* What the table's gradient needs of tokens begin ... end-1, beside the coefficients. */
static void fill_block(const struct job *j, int64_t begin, int64_t end)
{
    int64_t D = j->cache->of->D, slots = j->cache->of->config.slots;
    size_t values = (size_t)((end - begin) * D) * sizeof(float);
    memcpy(j->block.source[SOURCE_X] + begin * D, j->x + begin * D, values);
    memcpy(j->block.source[SOURCE_DY] + begin * D, j->dy + begin * D, values);
    memcpy(j->block.row + begin * slots, j->ids + begin * slots,
           (size_t)((end - begin) * slots) * sizeof(int32_t));
}

static void backward_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const struct job *j = arg;
    int64_t D = j->cache->of->D, slots = j->cache->of->config.slots;
    int64_t begin = tile * TILE, end = peer_min(begin + TILE, j->T);
    if (j->cache->of->rows)
        fill_block(j, begin, end);
    for (int64_t t = begin; t < end; t++) {
        for (int64_t s = 0; s < slots; s += CHUNK) {
            int64_t m = peer_min(CHUNK, slots - s), at = t * slots + s;
            int64_t ahead = peer_min(CHUNK, end * slots - at - m);
            backward_chunk(j, j->dx + t * D, j->dy + t * D, at, m, ahead);
        }
    }
}

void peer_experts_backward(struct peer_experts_cache *cache, float *dx, float *dgates,
                           const float *dy, const float *x, const int32_t *ids, const float *gates,
                           int64_t T)
{
    struct peer_experts *e = cache->of;
    assert(T == cache->T);
    assert(e->rows || e->scratch);
    struct job job = {.cache = cache,
                      .dx = dx,
                      .dgates = dgates,
                      .dy = dy,
                      .x = x,
                      .ids = ids,
                      .gates = gates,
                      .T = T};
    if (e->rows)
        job.block = peer_rows_reserve(e->rows, T, e->config.slots);
    else
        memcpy(job.block.coef, cache->coef, sizeof cache->coef);
    peer_parallel(cache->ctx, peer_tiles(T, TILE), backward_tile, &job);
    cache->T = -1;
}
