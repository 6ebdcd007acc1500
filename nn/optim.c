/* SPDX-License-Identifier: MIT */
#include "nn/optim.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/context_private.h"
#include "nn/kernels.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/squares.h"

/* Values of a dense entry, and touched rows of a table, in one tile. */
enum { DENSE_TILE = 16384, ROWS_TILE = 64 };

/* Touched rows between a prefetch and its use; values of a row that are asked for: its first cache
 * lines set the hardware's streams going, which fetch the rest, and asking for all is slower. */
enum { AHEAD = 8, LINE = 64 / sizeof(float), ASKED = 16 * LINE };

const char *const peer_optim_names[] = {"adamw", "sgd", NULL};

struct peer_optim {
    struct peer_pool pool;
    struct peer_optim_config config;
    struct peer_param *param; /* [count]: the trained entries */
    int64_t count;
    float **m, **v;      /* [count] moments in the entry's shape, NULL for SGD */
    int64_t *first_tile; /* [count + 1]: entry i has tiles first_tile[i] ... first_tile[i+1]-1 */
    double *square;      /* [tiles]: sum of squares of a tile's gradient */
    float *row_grad;     /* [threads, widest]: the gradient of the row at hand */
    int64_t widest;
    int64_t steps;
    struct peer_adam_step adam; /* of the step being made, but for rate and shrink */
    float lr, rate;             /* of the step being made, for lr_scale = 1 */
};

struct peer_optim_config peer_optim_config_default(void)
{
    return (struct peer_optim_config){.dense = PEER_OPTIM_ADAMW,
                                      .rows = PEER_OPTIM_ADAMW,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.95f,
                                      .epsilon = 1e-8f,
                                      .weight_decay = 0.1f,
                                      .clip = 1};
}

static enum peer_status check(struct peer_ctx *ctx, const struct peer_params *params,
                              const struct peer_optim_config *c)
{
    if ((int)c->dense < 0 || c->dense >= PEER_OPTIM_COUNT || (int)c->rows < 0 ||
        c->rows >= PEER_OPTIM_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: kinds %d and %d, expected 0 to %d", (int)c->dense,
                         (int)c->rows, PEER_OPTIM_COUNT - 1);
    if (!(c->beta1 >= 0 && c->beta1 < 1) || !(c->beta2 >= 0 && c->beta2 < 1))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: beta1 = %g, beta2 = %g, expected 0 <= beta < 1",
                         c->beta1, c->beta2);
    if (!(c->epsilon > 0) || !(c->weight_decay >= 0) || !(c->clip >= 0))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: epsilon = %g, weight_decay = %g, clip = %g, expected "
                         "a positive epsilon and none negative",
                         c->epsilon, c->weight_decay, c->clip);
    for (int64_t i = 0; i < params->count; i++)
        if (!(params->items[i].lr_scale >= 0) || !(params->items[i].decay >= 0))
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "peer_optim_create: %s has lr_scale = %g and decay = %g, expected "
                             "none negative",
                             params->items[i].name, params->items[i].lr_scale,
                             params->items[i].decay);
    return PEER_OK;
}

static int64_t most_tiles(const struct peer_param *param)
{
    if (param->kind == PEER_PARAM_DENSE)
        return peer_tiles(peer_param_size(param), DENSE_TILE);
    const struct peer_rows_config *c = &param->rows->config;
    return peer_tiles(peer_min(c->rows, c->entries), ROWS_TILE);
}

static enum peer_optim_kind kind_of(const struct peer_optim *o, int64_t i)
{
    return o->param[i].kind == PEER_PARAM_ROWS ? o->config.rows : o->config.dense;
}

static void copy_trained(struct peer_optim *o, const struct peer_params *params)
{
    for (int64_t i = 0; i < params->count; i++)
        if (params->items[i].kind != PEER_PARAM_BUFFER)
            o->param[o->count++] = params->items[i];
}

static void allocate_moments(struct peer_optim *o, struct peer_pool *pool)
{
    int64_t tiles = 0;
    for (int64_t i = 0; i < o->count; i++) {
        const struct peer_param *param = &o->param[i];
        tiles += most_tiles(param);
        if (param->kind == PEER_PARAM_ROWS && param->shape[1] > o->widest)
            o->widest = param->shape[1];
        if (kind_of(o, i) == PEER_OPTIM_ADAMW) {
            o->m[i] = peer_pool_floats(pool, param->name, peer_param_size(param), 1);
            o->v[i] = peer_pool_floats(pool, param->name, peer_param_size(param), 1);
        }
    }
    o->square = peer_pool_alloc(pool, "optim.square", sizeof *o->square, tiles, 1, 1);
    o->row_grad = peer_pool_floats(pool, "optim.row_grad", peer_ctx_threads(pool->ctx), o->widest);
}

enum peer_status peer_optim_create(struct peer_optim **ret, struct peer_ctx *ctx,
                                   const struct peer_params *params,
                                   const struct peer_optim_config *config)
{
    enum peer_status status = check(ctx, params, config);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct peer_optim *o = peer_pool_alloc(&pool, "optim", sizeof *o, 1, 1, 1);
    if (o) {
        int64_t n = params->count;
        o->config = *config;
        o->param = peer_pool_alloc(&pool, "optim.param", sizeof *o->param, n, 1, 1);
        o->m = peer_pool_alloc(&pool, "optim.m", sizeof *o->m, n, 1, 1);
        o->v = peer_pool_alloc(&pool, "optim.v", sizeof *o->v, n, 1, 1);
        o->first_tile = peer_pool_alloc(&pool, "optim.tiles", sizeof *o->first_tile, n + 1, 1, 1);
    }
    if (!pool.failed) {
        copy_trained(o, params);
        allocate_moments(o, &pool);
    }
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    o->pool = pool;
    *ret = o;
    return PEER_OK;
}

void peer_optim_destroy(struct peer_optim **optim)
{
    if (!optim || !*optim)
        return;
    struct peer_pool pool = (*optim)->pool;
    peer_pool_free(&pool);
    *optim = NULL;
}

/* Groups the rows and lays out this step's tiles; returns their number. */
static int64_t lay_out(struct peer_optim *o)
{
    int64_t tiles = 0;
    for (int64_t i = 0; i < o->count; i++) {
        const struct peer_param *param = &o->param[i];
        o->first_tile[i] = tiles;
        if (param->kind == PEER_PARAM_DENSE) {
            tiles += most_tiles(param);
        } else {
            peer_rows_group(param->rows);
            tiles += peer_tiles(param->rows->touched, ROWS_TILE);
        }
    }
    return o->first_tile[o->count] = tiles;
}

/* The entry that a tile belongs to. */
static int64_t entry_of(const struct peer_optim *o, int64_t tile)
{
    int64_t low = 0, high = o->count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (o->first_tile[middle] <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A tile's share of its entry: values of a dense one, touched rows of a table. */
struct range {
    int64_t begin, end;
};

static struct range range_of(const struct peer_optim *o, int64_t i, int64_t tile)
{
    const struct peer_param *param = &o->param[i];
    bool dense = param->kind == PEER_PARAM_DENSE;
    int64_t size = dense ? DENSE_TILE : ROWS_TILE;
    int64_t count = dense ? peer_param_size(param) : param->rows->touched;
    int64_t begin = (tile - o->first_tile[i]) * size;
    return (struct range){begin, peer_min(begin + size, count)};
}

static void square_tile(void *job, int64_t tile, int thread)
{
    struct peer_optim *o = job;
    int64_t i = entry_of(o, tile);
    const struct peer_param *param = &o->param[i];
    struct range r = range_of(o, i, tile);
    if (param->kind == PEER_PARAM_DENSE) {
        o->square[tile] = peer_sum_squares(param->grad + r.begin, r.end - r.begin);
        return;
    }
    float *g = o->row_grad + thread * o->widest;
    double sum = 0;
    for (int64_t row = r.begin; row < r.end; row++)
        sum += peer_rows_gradient_squares(g, param->rows, row);
    o->square[tile] = sum;
}

/* Applies the gradient g to values at ... at+n-1 of entry i. */
static void apply(const struct peer_optim *o, int64_t i, int64_t at, const float *g, int64_t n)
{
    const struct peer_param *param = &o->param[i];
    struct peer_adam_step step = o->adam;
    step.rate = o->rate * param->lr_scale;
    step.shrink = 1 - o->lr * param->lr_scale * param->decay * o->config.weight_decay;
    float *p = param->data + at;
    if (kind_of(o, i) == PEER_OPTIM_ADAMW) {
        peer_kernels(o->pool.ctx)->adamw(p, o->m[i] + at, o->v[i] + at, g, n, &step);
        return;
    }
    float rate = o->lr * param->lr_scale * step.grad_scale;
    for (int64_t j = 0; j < n; j++)
        p[j] = step.shrink * p[j] - rate * g[j];
}

/* Asks for a row that is soon needed, into the second-level cache. */
static void prefetch_row(const struct peer_optim *o, int64_t i, int64_t at, int64_t n)
{
    const float *const arrays[] = {o->param[i].data, o->m[i], o->v[i]};
    for (int a = 0; a < 3; a++)
        for (int64_t j = 0; arrays[a] && j < peer_min(n, ASKED); j += LINE)
            __builtin_prefetch(arrays[a] + at + j, 0, 2);
}

static void update_tile(void *job, int64_t tile, int thread)
{
    struct peer_optim *o = job;
    int64_t i = entry_of(o, tile);
    const struct peer_param *param = &o->param[i];
    struct range r = range_of(o, i, tile);
    if (param->kind == PEER_PARAM_DENSE) {
        apply(o, i, r.begin, param->grad + r.begin, r.end - r.begin);
        memset(param->grad + r.begin, 0, (size_t)(r.end - r.begin) * sizeof *param->grad);
        return;
    }
    float *g = o->row_grad + thread * o->widest;
    int64_t width = param->shape[1];
    for (int64_t row = r.begin; row < r.end; row++) {
        if (row + AHEAD < r.end)
            prefetch_row(o, i, param->rows->ids[row + AHEAD] * width, width);
        peer_rows_gradient(g, param->rows, row);
        apply(o, i, param->rows->ids[row] * width, g, width);
    }
}

static void prepare(struct peer_optim *o, float lr, double norm)
{
    const struct peer_optim_config *c = &o->config;
    double t = (double)o->steps;
    bool clipped = c->clip > 0 && isfinite(norm) && norm > c->clip;
    o->lr = lr;
    o->rate = (float)(lr / (1 - pow(c->beta1, t)));
    o->adam = (struct peer_adam_step){.beta1 = c->beta1,
                                      .beta2 = c->beta2,
                                      .epsilon = c->epsilon,
                                      .second_scale = (float)(1 / (1 - pow(c->beta2, t))),
                                      .grad_scale = clipped ? (float)(c->clip / norm) : 1};
}

double peer_optim_step(struct peer_optim *optim, float lr)
{
    const struct peer_ctx *ctx = optim->pool.ctx;
    int64_t tiles = lay_out(optim);
    peer_parallel(ctx, tiles, square_tile, optim);
    double sum = 0;
    for (int64_t tile = 0; tile < tiles; tile++)
        sum += optim->square[tile];
    double norm = sqrt(sum);
    optim->steps++;
    prepare(optim, lr, norm);
    peer_parallel(ctx, tiles, update_tile, optim);
    for (int64_t i = 0; i < optim->count; i++)
        if (optim->param[i].kind == PEER_PARAM_ROWS)
            peer_rows_clear(optim->param[i].rows);
    return norm;
}

int64_t peer_optim_steps(const struct peer_optim *optim)
{
    return optim->steps;
}

void peer_optim_set_steps(struct peer_optim *optim, int64_t steps)
{
    assert(steps >= 0);
    optim->steps = steps;
}

enum peer_status peer_optim_state(struct peer_optim *optim, struct peer_params *list)
{
    int64_t before = list->count;
    for (int64_t i = 0; i < optim->count; i++) {
        if (!optim->m[i])
            continue;
        struct peer_param buffer = optim->param[i];
        buffer.kind = PEER_PARAM_BUFFER;
        buffer.grad = NULL;
        buffer.rows = NULL;
        buffer.init = (struct peer_init){PEER_INIT_CONSTANT, 0};
        buffer.data = optim->m[i];
        enum peer_status status = peer_params_add(list, "optim.m.", &buffer);
        buffer.data = optim->v[i];
        if (!status)
            status = peer_params_add(list, "optim.v.", &buffer);
        if (status) {
            peer_params_truncate(list, before);
            return status;
        }
    }
    return PEER_OK;
}

int64_t peer_optim_row_bytes(const struct peer_optim_config *config, int64_t width)
{
    int64_t row = width * (int64_t)sizeof(float);
    return config->rows == PEER_OPTIM_ADAMW ? 2 * row : 0;
}
