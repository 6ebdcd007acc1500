/* SPDX-License-Identifier: MIT */
#include "pkm/retrieval.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/parallel.h"
#include "nn/products/linear.h"
#include "pkm/retrieval_private.h"
#include "pkm/select.h"

/* n with n*n = experts, or the integer below it. */
static int64_t side_of(int64_t experts)
{
    int64_t n = (int64_t)sqrt((double)experts);
    while (n * n > experts)
        n--;
    while ((n + 1) * (n + 1) <= experts)
        n++;
    return n;
}

static enum peer_status check_keys(struct peer_ctx *ctx, const char *who,
                                   const struct pkm_retrieval_config *c)
{
    if (c->experts < 1 || c->experts > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: N = %lld, expected 1 to %d keys", who,
                         (long long)c->experts, INT32_MAX);
    long long n = (long long)side_of(c->experts);
    if (n * n != c->experts)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: N = %lld is not a square, the nearest are %lld^2 = %lld and %lld^2 "
                         "= %lld",
                         who, (long long)c->experts, n, n * n, n + 1, (n + 1) * (n + 1));
    if (c->kept < 1 || c->kept > c->experts)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: k = %lld kept of N = %lld, expected 1 to N",
                         who, (long long)c->kept, (long long)c->experts);
    if (c->query_width < 2 || c->query_width > PKM_QUERY_WIDTH_MAX || c->query_width % 2)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: query width K = %lld, expected an even number from 2 to %d", who,
                         (long long)c->query_width, PKM_QUERY_WIDTH_MAX);
    return PEER_OK;
}

enum peer_status pkm_retrieval_check(struct peer_ctx *ctx, const char *who,
                                     const struct pkm_retrieval_config *config)
{
    if (config->width < 1 || config->width > PKM_WIDTH_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: width D = %lld, expected 1 to %d", who,
                         (long long)config->width, PKM_WIDTH_MAX);
    if (config->heads < 1 || config->heads > PKM_HEADS_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: heads H = %lld, expected 1 to %d", who,
                         (long long)config->heads, PKM_HEADS_MAX);
    if ((int)config->gate < 0 || config->gate >= PEER_GATE_COUNT || (int)config->query_norm < 0 ||
        config->query_norm >= PEER_NORM_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: gate %d or query norm %d is unknown", who,
                         (int)config->gate, (int)config->query_norm);
    return check_keys(ctx, who, config);
}

int64_t pkm_retrieval_tokens_max(const struct pkm_retrieval_config *config)
{
    return INT32_MAX / (config->heads * config->kept);
}

enum peer_status pkm_retrieval_check_shape(struct peer_ctx *ctx, const char *who,
                                           const struct pkm_retrieval_config *config,
                                           const struct peer_ffw_shape *shape)
{
    int64_t most = pkm_retrieval_tokens_max(config);
    if (most < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: heads * kept = %lld * %lld = %lld keys for each token, expected at "
                         "most %d",
                         who, (long long)config->heads, (long long)config->kept,
                         (long long)(config->heads * config->kept), INT32_MAX);
    int64_t step = peer_ffw_step_tokens(shape);
    if (shape->tokens < 1 || shape->tokens > most || step < 1 || step > most)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: tokens = %lld, tokens_per_step = %lld of H*k = %lld keys each, "
                         "expected 1 to %lld",
                         who, (long long)shape->tokens, (long long)step,
                         (long long)(config->heads * config->kept), (long long)most);
    return PEER_OK;
}

static float *gradient(const struct pkm_retrieval *r, struct peer_pool *pool, const char *what,
                       int64_t n0, int64_t n1)
{
    return r->config.frozen ? NULL : peer_pool_floats(pool, what, n0, n1);
}

static void build_norm(struct pkm_retrieval *r, struct peer_pool *pool)
{
    int64_t H = r->config.heads, K = r->config.query_width;
    enum peer_norm norm = r->config.query_norm;
    if (norm == PEER_NORM_NONE)
        return;
    r->gain = peer_pool_floats(pool, "query norm", H, K);
    r->dgain = gradient(r, pool, "query norm", H, K);
    if (norm == PEER_NORM_RMS)
        return;
    r->bias = peer_pool_floats(pool, "query norm", H, K);
    r->dbias = gradient(r, pool, "query norm", H, K);
    if (norm != PEER_NORM_BATCH)
        return;
    r->run_mean = peer_pool_floats(pool, "query norm", H, K);
    r->run_var = peer_pool_floats(pool, "query norm", H, K);
}

static void set_sizes(struct pkm_retrieval *r, const struct pkm_retrieval_config *config)
{
    r->config = *config;
    r->n = side_of(config->experts);
    r->tables = config->keys_per_head ? config->heads : 1;
}

void pkm_retrieval_build(struct pkm_retrieval *r, struct peer_pool *pool,
                         const struct pkm_retrieval_config *config)
{
    int64_t out = config->heads * config->query_width;
    set_sizes(r, config);
    r->query = peer_pool_floats(pool, "query", out, config->width);
    r->dquery = gradient(r, pool, "query", out, config->width);
    r->keys = peer_pool_floats(pool, "keys", r->tables * r->n, config->query_width);
    r->dkeys = gradient(r, pool, "keys", r->tables * r->n, config->query_width);
    build_norm(r, pool);
}

static struct pkm_backward backward_alloc(const struct pkm_retrieval *r, struct peer_pool *pool)
{
    int64_t k = r->config.kept;
    struct pkm_backward scratch = {.dscores = peer_pool_floats(pool, "scores", k, 1)};
    for (int half = 0; half < 2; half++) {
        scratch.keys[half] = peer_pool_ids(pool, "sub-keys", k, 1);
        scratch.sums[half] = peer_pool_floats(pool, "sub-scores", r->n, 1);
    }
    return scratch;
}

static void build_threads(struct pkm_retrieval_cache *cache, struct peer_pool *pool)
{
    const struct pkm_retrieval *r = cache->of;
    int threads = peer_pool_threads(pool);
    cache->tiles = pkm_tiles_alloc(pool, threads, r->n, r->config.query_width, r->config.kept);
    cache->backward = peer_pool_alloc(pool, "retrieval", sizeof *cache->backward, threads, 1, 1);
    for (int i = 0; i < threads; i++) {
        struct pkm_backward scratch = backward_alloc(r, pool);
        if (cache->backward)
            cache->backward[i] = scratch;
    }
}

/* Statistics of a pass. */
static void build_statistics(struct pkm_retrieval_cache *cache, struct peer_pool *pool)
{
    const struct pkm_retrieval_config *c = &cache->of->config;
    int64_t H = c->heads, K = c->query_width;
    bool batch = c->query_norm == PEER_NORM_BATCH, layer = c->query_norm == PEER_NORM_LAYER;
    if (c->query_norm == PEER_NORM_NONE)
        return;
    if (batch || layer)
        cache->mean = peer_pool_floats(pool, "query norm", batch ? K : cache->capacity, H);
    cache->inv_dev = peer_pool_floats(pool, "query norm", batch ? K : cache->capacity, H);
    cache->partial = peer_pool_alloc(pool, "query norm", sizeof(float), 2,
                                     peer_norm_partials(cache->capacity), H * K);
}

void pkm_retrieval_cache_build(struct pkm_retrieval_cache *cache, struct peer_pool *pool,
                               struct pkm_retrieval *of, int64_t tokens)
{
    const struct pkm_retrieval_config *c = &of->config;
    int64_t H = c->heads, K = c->query_width, T = tokens, k = c->kept, uses = pkm_uses(of);
    cache->of = of;
    cache->ctx = pool->ctx;
    cache->kernels = pool->ctx ? peer_kernels(pool->ctx) : NULL;
    cache->capacity = tokens;
    build_statistics(cache, pool);
    cache->q = peer_pool_floats(pool, "queries", T, H * K);
    cache->q_raw =
        c->query_norm == PEER_NORM_NONE ? cache->q : peer_pool_floats(pool, "queries", T, H * K);
    cache->dq = peer_pool_floats(pool, "queries", T, H * K);
    cache->ids = peer_pool_ids(pool, "ids", T, H * k);
    cache->gates = peer_pool_floats(pool, "gates", T, H * k);
    cache->row_keys = peer_pool_alloc(pool, "sub-keys", sizeof(int32_t), 2, T, H * uses);
    cache->row_dscores = peer_pool_alloc(pool, "sub-keys", sizeof(float), 2, T, H * uses);
    if (of->tables == 1 && pkm_screen_pays(of->n, k))
        cache->screen = pkm_screen_alloc(pool, of->n, K);
    build_threads(cache, pool);
    if (c->frozen)
        return;
    cache->use_query = peer_pool_alloc(pool, "sub-key uses", sizeof(int32_t), 2, T, H * uses);
    cache->use_dscore = peer_pool_alloc(pool, "sub-key uses", sizeof(float), 2, T, H * uses);
    cache->use_first =
        peer_pool_alloc(pool, "sub-key uses", sizeof(int32_t), 2, of->tables, of->n + 1);
}

enum peer_status pkm_retrieval_create(struct pkm_retrieval **ret, struct peer_ctx *ctx,
                                      const struct pkm_retrieval_config *config)
{
    enum peer_status status = pkm_retrieval_check(ctx, "pkm_retrieval_create", config);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct pkm_retrieval *r = peer_pool_alloc(&pool, "retrieval", sizeof *r, 1, 1, 1);
    struct pkm_retrieval made = {.skipped = 0};
    pkm_retrieval_build(&made, &pool, config);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    made.pool = pool;
    *r = made;
    *ret = r;
    return PEER_OK;
}

void pkm_retrieval_destroy(struct pkm_retrieval **retrieval)
{
    if (!retrieval || !*retrieval)
        return;
    struct peer_pool pool = (*retrieval)->pool;
    peer_pool_free(&pool);
    *retrieval = NULL;
}

enum peer_status pkm_retrieval_cache_create(struct pkm_retrieval_cache **ret, struct peer_ctx *ctx,
                                            struct pkm_retrieval *retrieval, int64_t tokens)
{
    const struct pkm_retrieval_config *c = &retrieval->config;
    int64_t most = pkm_retrieval_tokens_max(c);
    if (tokens < 1 || tokens > most)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "pkm_retrieval_cache_create: tokens = %lld of H*k = %lld keys each, "
                         "expected 1 to %lld tokens",
                         (long long)tokens, (long long)(c->heads * c->kept), (long long)most);
    struct peer_pool pool = {.ctx = ctx};
    struct pkm_retrieval_cache *cache =
        peer_pool_alloc(&pool, "retrieval cache", sizeof *cache, 1, 1, 1);
    struct pkm_retrieval_cache made = {.T = 0};
    pkm_retrieval_cache_build(&made, &pool, retrieval, tokens);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    made.pool = pool;
    *cache = made;
    *ret = cache;
    return PEER_OK;
}

void pkm_retrieval_cache_destroy(struct pkm_retrieval_cache **cache)
{
    if (!cache || !*cache)
        return;
    struct peer_pool pool = (*cache)->pool;
    peer_pool_free(&pool);
    *cache = NULL;
}

size_t pkm_retrieval_memory(const struct pkm_retrieval_config *config)
{
    struct peer_pool measure = {.ctx = NULL};
    struct pkm_retrieval r = {.skipped = 0};
    peer_pool_alloc(&measure, "retrieval", sizeof r, 1, 1, 1);
    pkm_retrieval_build(&r, &measure, config);
    return measure.bytes;
}

size_t pkm_retrieval_cache_memory(const struct pkm_retrieval_config *config, int64_t tokens)
{
    struct peer_pool measure = {.ctx = NULL};
    struct pkm_retrieval r;
    struct pkm_retrieval_cache cache = {.T = 0};
    set_sizes(&r, config);
    peer_pool_alloc(&measure, "retrieval cache", sizeof cache, 1, 1, 1);
    pkm_retrieval_cache_build(&cache, &measure, &r, tokens);
    return measure.bytes;
}

size_t pkm_retrieval_thread_memory(const struct pkm_retrieval_config *config)
{
    struct peer_pool measure = {.ctx = NULL};
    struct pkm_retrieval r;
    struct pkm_retrieval_cache cache = {.of = &r};
    set_sizes(&r, config);
    build_threads(&cache, &measure);
    return measure.bytes;
}

/* Adds one entry; a name, where it lies and how it starts. */
static enum peer_status add(struct peer_params *list, const char *prefix, const char *name,
                            struct peer_param param)
{
    param.data = *param.place;
    if (!param.data)
        return PEER_OK;
    snprintf(param.name, sizeof param.name, "%s", name);
    param.lr_scale = 1;
    param.kind = param.grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER;
    param.role = PEER_ROLE_ROUTER;
    return peer_params_add(list, prefix, &param);
}

static struct peer_param norm_param(const struct pkm_retrieval *r, float **place, float *grad,
                                    float start)
{
    return (struct peer_param){.dims = 1,
                               .shape = {r->config.heads * r->config.query_width},
                               .place = place,
                               .grad = grad,
                               .init = {PEER_INIT_CONSTANT, start}};
}

enum peer_status pkm_retrieval_params(struct pkm_retrieval *retrieval, struct peer_params *list,
                                      const char *prefix)
{
    struct pkm_retrieval *r = retrieval;
    const struct pkm_retrieval_config *c = &r->config;
    int64_t half = c->query_width / 2;
    struct peer_param query = {.dims = 2,
                               .shape = {c->heads * c->query_width, c->width},
                               .place = &r->query,
                               .grad = r->dquery,
                               .decay = 1,
                               .init = {PEER_INIT_NORMAL, 1 / sqrtf((float)c->width)}};
    struct peer_param keys = {.dims = 4,
                              .shape = {r->tables, 2, r->n, half},
                              .place = &r->keys,
                              .grad = r->dkeys,
                              .decay = 1,
                              .init = {PEER_INIT_UNIFORM, 1 / sqrtf((float)half)}};
    const struct {
        const char *name;
        struct peer_param param;
    } entries[] = {
        {"query", query},
        {"query_norm.gain", norm_param(r, &r->gain, r->dgain, 1)},
        {"query_norm.bias", norm_param(r, &r->bias, r->dbias, 0)},
        {"query_norm.mean", norm_param(r, &r->run_mean, NULL, 0)},
        {"query_norm.var", norm_param(r, &r->run_var, NULL, 1)},
        {"keys", keys},
    };
    int64_t before = list->count;
    enum peer_status status = PEER_OK;
    for (size_t i = 0; i < sizeof entries / sizeof *entries && !status; i++)
        status = add(list, prefix, entries[i].name, entries[i].param);
    if (status)
        peer_params_truncate(list, before);
    return status;
}

struct peer_query_norm pkm_retrieval_norm(const struct pkm_retrieval_cache *cache)
{
    struct pkm_retrieval *r = cache->of;
    return (struct peer_query_norm){.kind = r->config.query_norm,
                                    .groups = r->config.heads,
                                    .width = r->config.query_width,
                                    .epsilon = PKM_NORM_EPSILON,
                                    .momentum = PKM_NORM_MOMENTUM,
                                    .gain = r->gain,
                                    .bias = r->bias,
                                    .dgain = r->dgain,
                                    .dbias = r->dbias,
                                    .run_mean = r->run_mean,
                                    .run_var = r->run_var,
                                    .mean = cache->mean,
                                    .inv_dev = cache->inv_dev,
                                    .partial = cache->partial,
                                    .skipped = &r->skipped,
                                    .frozen = r->config.frozen};
}

/* In place: scores [rows, k] to gates. */
static void apply_gate(const struct pkm_retrieval_cache *cache, float *gates, int64_t rows)
{
    int64_t k = cache->of->config.kept;
    switch (cache->of->config.gate) {
    case PEER_GATE_SIGMOID:
        for (int64_t i = 0; i < rows * k; i++)
            gates[i] = 1 / (1 + expf(-gates[i]));
        break;
    case PEER_GATE_RELU:
        for (int64_t i = 0; i < rows * k; i++)
            gates[i] = gates[i] > 0 ? gates[i] : 0;
        break;
    default:
        cache->kernels->softmax(gates, rows, k);
    }
}

/* Padding retrieves nothing. */
static void retrieve_nothing(int32_t *ids, float *gates, int64_t k)
{
    memset(gates, 0, (size_t)k * sizeof *gates);
    for (int64_t j = 0; j < k; j++)
        ids[j] = -1;
}

/* Scores to gates. Where the best score is not finite, so is the query, or its scores overflow: the
 * gates are NaN, or a softmax of nothing but -infinity would make them, and the output, 0. */
static void finish_row(const struct pkm_retrieval_cache *cache, float *gates)
{
    bool finite = isfinite(gates[0]);
    apply_gate(cache, gates, 1);
    for (int64_t j = 0; !finite && j < cache->of->config.kept; j++)
        gates[j] = NAN;
}

/* Scores to gates, padding to nothing. */
static void finish_rows(struct pkm_retrieval_cache *cache, int64_t first,
                        const struct pkm_queries *queries)
{
    int64_t H = cache->of->config.heads, k = cache->of->config.kept;
    for (int64_t i = 0; i < queries->rows; i++) {
        int64_t row = first + i * queries->step;
        if (cache->mask && !cache->mask[row / H])
            retrieve_nothing(cache->ids + row * k, cache->gates + row * k, k);
        else
            finish_row(cache, cache->gates + row * k);
    }
}

/* Rows are t*H + h. One pair of tables for all heads: a tile takes the heads of a run of tokens.
 * Tables per head: a tile takes one head of a run of tokens. */
static void retrieve_tile(void *job, int64_t number, int thread)
{
    struct pkm_retrieval_cache *cache = job;
    const struct pkm_retrieval *r = cache->of;
    int64_t K = r->config.query_width, k = r->config.kept, step = r->tables;
    int64_t begin = number / step * PKM_TILE, first = begin * step + number % step;
    struct pkm_queries queries = {.q = cache->q + first * K,
                                  .rows =
                                      peer_min(PKM_TILE, cache->T * r->config.heads / step - begin),
                                  .step = step};
    pkm_tile_search(&cache->tiles[thread], cache->kernels, cache->ids + first * k,
                    cache->gates + first * k, &queries, r->keys + number % step * r->n * K);
    finish_rows(cache, first, &queries);
}

/* All queries of the call. */
static void retrieve(struct pkm_retrieval_cache *cache)
{
    const struct pkm_retrieval *r = cache->of;
    int64_t rows = cache->T * r->config.heads / r->tables;
    struct pkm_queries queries = {.q = cache->q, .rows = rows, .step = 1};
    if (r->tables > 1 || rows > PKM_TILE) {
        pkm_tiles_screen(cache->ctx, cache->tiles, rows, cache->screen, r->keys);
        peer_parallel(cache->ctx, peer_tiles(rows, PKM_TILE) * r->tables, retrieve_tile, cache);
        return;
    }
    pkm_tile_search_together(cache->ctx, cache->tiles, cache->ids, cache->gates, &queries, r->keys);
    finish_rows(cache, 0, &queries);
}

void pkm_retrieval_forward(struct pkm_retrieval_cache *cache, const float *x, const uint8_t *mask,
                           int64_t T, enum peer_mode mode)
{
    const struct pkm_retrieval_config *c = &cache->of->config;
    assert(T >= 0 && T <= cache->capacity);
    cache->T = T;
    cache->trained = mode == PEER_MODE_TRAIN;
    cache->mask = mask;
    if (T == 0)
        return;
    peer_linear_forward(cache->ctx, cache->q_raw, x, cache->of->query, T, c->width,
                        c->heads * c->query_width);
    struct peer_query_norm norm = pkm_retrieval_norm(cache);
    if (c->query_norm != PEER_NORM_NONE)
        peer_query_norm_forward(cache->ctx, cache->q, &norm, cache->q_raw, mask, T,
                                mode == PEER_MODE_TRAIN);
    retrieve(cache);
}

struct peer_routing pkm_retrieval_result(const struct pkm_retrieval_cache *cache)
{
    const struct pkm_retrieval_config *c = &cache->of->config;
    return (struct peer_routing){.experts = c->experts,
                                 .side = cache->of->n,
                                 .heads = c->heads,
                                 .kept = c->kept,
                                 .ids = cache->ids,
                                 .gates = cache->gates};
}

int64_t pkm_retrieval_skipped(const struct pkm_retrieval *retrieval)
{
    return retrieval->skipped;
}

void pkm_retrieval_cost(struct peer_cost *ret, const struct pkm_retrieval_config *config)
{
    const struct pkm_retrieval_config *c = config;
    int64_t H = c->heads, K = c->query_width, k = c->kept, D = c->width, n = side_of(c->experts);
    int64_t tables = c->keys_per_head ? H : 1;
    int64_t norms = c->query_norm == PEER_NORM_NONE ? 0 : c->query_norm == PEER_NORM_RMS ? 1 : 2;
    int64_t params = H * K * D + norms * H * K + tables * n * K;
    *ret = (struct peer_cost){
        .params_total = params, .params_router = params, .params_active = params};
    ret->forward[PEER_PART_QUERY] = 2.0 * (double)(D * H * K);
    ret->forward[PEER_PART_SCORES] = 2.0 * (double)(H * n * K);
    ret->forward[PEER_PART_SELECTION] = (double)(H * pkm_select_pairs(n, k));
    ret->backward[PEER_PART_QUERY] = 4.0 * (double)(D * H * K);
    ret->backward[PEER_PART_SCORES] = 4.0 * (double)(H * k * K);
    ret->bytes_forward = (double)sizeof(float) * (double)params;
    ret->bytes_train = PEER_STEP_PASSES_DENSE * ret->bytes_forward;
}
