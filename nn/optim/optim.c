/* SPDX-License-Identifier: MIT */
#include "nn/optim/optim.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "nn/optim/optim_deferred.h"
#include "nn/optim/optim_table.h"
#include "nn/parallel.h"
#include "nn/tables/squares.h"
#include "nn/tables/table_lookup.h"

/* Values of a dense entry, and touched rows of a table, in one tile; rows between a prefetch and
 * its use. */
enum { DENSE_TILE = 16384, ROWS_TILE = 64, AHEAD = 2 };

const char *const peer_optim_names[] = {"adamw", "sgd", NULL};
const char *const peer_optim_rows_names[] = {"adamw", "sgd", "deferred_adamw", "adagrad", NULL};
const char *const peer_optim_moments_names[] = {"f32", "bf16", NULL};
const char *const peer_optim_second_names[] = {"value", "row", NULL};

struct peer_optim {
    struct peer_pool pool;
    struct peer_optim_config config;
    struct peer_param *param; /* [count]: the trained entries */
    int64_t count;
    float **m, **v;                     /* [count] moments of dense entries, NULL for SGD */
    struct peer_optim_table *table;     /* [count] of table entries */
    struct peer_optim_history *history; /* of deferred AdamW; else NULL */
    int64_t *first_tile; /* [count + 1]: entry i has tiles first_tile[i] ... first_tile[i+1]-1 */
    double *square;      /* [tiles]: sum of squares of a tile's gradient */
    float *row_grad;     /* [threads, 2, widest]: of the row at hand the gradient, and its values
                            where the table does not hold floats */
    int64_t widest;
    int64_t steps, skipped;
    struct peer_adam_step adam; /* of the step being made, for lr_scale = 1, but for shrink */
    float lr;                   /* of the step being made, for lr_scale = 1 */
};

struct peer_optim_config peer_optim_config_default(void)
{
    return (struct peer_optim_config){.dense = PEER_OPTIM_ADAMW,
                                      .rows = PEER_ROWS_ADAMW,
                                      .rows_moments = PEER_TYPE_F32,
                                      .rows_second = PEER_SECOND_VALUE,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.95f,
                                      .epsilon = 1e-8f,
                                      .weight_decay = 0.1f,
                                      .clip = 1,
                                      .seed = 1,
                                      .nonfinite = PEER_NONFINITE_SKIP};
}

static enum peer_status check_kinds(struct peer_ctx *ctx, const struct peer_optim_config *c)
{
    if ((int)c->dense < 0 || c->dense >= PEER_OPTIM_COUNT || (int)c->rows < 0 ||
        c->rows >= PEER_ROWS_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: kinds %d and %d, expected 0 to %d and 0 to %d",
                         (int)c->dense, (int)c->rows, PEER_OPTIM_COUNT - 1, PEER_ROWS_COUNT - 1);
    if ((c->rows_moments != PEER_TYPE_F32 && c->rows_moments != PEER_TYPE_BF16) ||
        (int)c->rows_second < 0 || c->rows_second >= PEER_SECOND_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: rows_moments = %d, rows_second = %d, expected 0 or 1",
                         (int)c->rows_moments, (int)c->rows_second);
    if ((int)c->nonfinite < 0 || c->nonfinite >= PEER_NONFINITE_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: nonfinite = %d, expected 0 to %d", (int)c->nonfinite,
                         PEER_NONFINITE_COUNT - 1);
    return PEER_OK;
}

static enum peer_status check_numbers(struct peer_ctx *ctx, const struct peer_optim_config *c)
{
    if (!(c->beta1 >= 0 && c->beta1 < 1) || !(c->beta2 >= 0 && c->beta2 < 1))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: beta1 = %g, beta2 = %g, expected 0 <= beta < 1",
                         c->beta1, c->beta2);
    if (!(c->epsilon > 0) || !(c->weight_decay >= 0) || !(c->clip >= 0))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_optim_create: epsilon = %g, weight_decay = %g, clip = %g, expected "
                         "a positive epsilon and none negative",
                         c->epsilon, c->weight_decay, c->clip);
    return c->rows == PEER_ROWS_DEFERRED_ADAMW ? peer_optim_history_check(ctx, c) : PEER_OK;
}

enum peer_status peer_optim_config_check(struct peer_ctx *ctx,
                                         const struct peer_optim_config *config)
{
    enum peer_status status = check_kinds(ctx, config);
    return status ? status : check_numbers(ctx, config);
}

/* A shared second moment is of segments: columns in none would have no moment at all. */
static enum peer_status check_segments(struct peer_ctx *ctx, const struct peer_param *param)
{
    int64_t columns = peer_rows_columns(&param->rows->config);
    if (columns == param->shape[1])
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "peer_optim_create: %s has %lld of %lld columns in segments, expected all for "
                     "a second moment by row",
                     param->name, (long long)columns, (long long)param->shape[1]);
}

/* Deferred AdamW brings all rows up to date now and then: those of a mapped table are too many, and
 * a bf16 one would be rounded again each time. */
static enum peer_status check_deferred(struct peer_ctx *ctx, const struct peer_param *param)
{
    if (param->data && !(param->table && param->table->file))
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "peer_optim_create: %s is %s, expected f32 in memory for deferred_adamw",
                     param->name, param->data ? "mapped" : peer_table_names[param->table->type]);
}

static enum peer_status check(struct peer_ctx *ctx, const struct peer_params *params,
                              const struct peer_optim_config *c)
{
    enum peer_status status = peer_optim_config_check(ctx, c);
    for (int64_t i = 0; !status && i < params->count; i++) {
        const struct peer_param *param = &params->items[i];
        if (!(param->lr_scale >= 0) || !(param->decay >= 0))
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "peer_optim_create: %s has lr_scale = %g and decay = %g, expected "
                             "none negative",
                             param->name, param->lr_scale, param->decay);
        if (param->kind == PEER_PARAM_ROWS && c->rows == PEER_ROWS_DEFERRED_ADAMW)
            status = check_deferred(ctx, param);
        if (!status && param->kind == PEER_PARAM_ROWS && peer_optim_has_moments(c) &&
            c->rows_second == PEER_SECOND_ROW)
            status = check_segments(ctx, param);
    }
    return status;
}

static bool is_table(const struct peer_optim *o, int64_t i)
{
    return o->param[i].kind == PEER_PARAM_ROWS;
}

static int64_t most_tiles(const struct peer_param *param)
{
    if (param->kind == PEER_PARAM_DENSE)
        return peer_tiles(peer_param_size(param), DENSE_TILE);
    const struct peer_rows_config *c = &param->rows->config;
    return peer_tiles(peer_min(c->rows, c->entries), ROWS_TILE);
}

static void copy_trained(struct peer_optim *o, const struct peer_params *params)
{
    for (int64_t i = 0; i < params->count; i++)
        if (params->items[i].kind != PEER_PARAM_BUFFER)
            o->param[o->count++] = params->items[i];
}

static void allocate_entry(struct peer_optim *o, struct peer_pool *pool, int64_t i)
{
    const struct peer_param *param = &o->param[i];
    if (is_table(o, i)) {
        o->table[i] = (struct peer_optim_table){.ctx = pool->ctx,
                                                .kernels = peer_kernels(pool->ctx),
                                                .config = &o->config,
                                                .param = param,
                                                .id = (int32_t)i,
                                                .history = o->history};
        peer_optim_table_allocate(&o->table[i], pool);
        o->widest = param->shape[1] > o->widest ? param->shape[1] : o->widest;
    } else if (o->config.dense == PEER_OPTIM_ADAMW) {
        o->m[i] = peer_pool_floats(pool, param->name, peer_param_size(param), 1);
        o->v[i] = peer_pool_floats(pool, param->name, peer_param_size(param), 1);
    }
}

static void allocate_state(struct peer_optim *o, struct peer_pool *pool)
{
    int64_t tiles = 0, threads = peer_ctx_threads(pool->ctx);
    if (o->config.rows == PEER_ROWS_DEFERRED_ADAMW)
        o->history = peer_pool_alloc(pool, "optim.history", sizeof *o->history, 1, 1, 1);
    for (int64_t i = 0; i < o->count; i++) {
        allocate_entry(o, pool, i);
        tiles += most_tiles(&o->param[i]);
    }
    int64_t scratch = peer_optim_table_scratch(o->widest);
    float *shared = peer_pool_floats(pool, "optim.scratch", threads, scratch);
    o->square = peer_pool_alloc(pool, "optim.square", sizeof *o->square, tiles, 1, 1);
    o->row_grad = peer_pool_floats(pool, "optim.row_grad", 2 * threads, o->widest);
    for (int64_t i = 0; i < o->count; i++) {
        o->table[i].scratch = shared;
        o->table[i].scratch_stride = scratch;
    }
}

/* From here on, forward passes tell which rows they read. */
static void start_deferring(struct peer_optim *o)
{
    peer_optim_history_init(o->history, &o->config);
    for (int64_t i = 0; i < o->count; i++) {
        if (!is_table(o, i))
            continue;
        o->param[i].rows->catch_up = peer_optim_catch_up_ids;
        o->param[i].rows->catch_up_user = &o->table[i];
    }
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
        o->table = peer_pool_alloc(&pool, "optim.table", sizeof *o->table, n, 1, 1);
        o->first_tile = peer_pool_alloc(&pool, "optim.tiles", sizeof *o->first_tile, n + 1, 1, 1);
    }
    if (!pool.failed) {
        copy_trained(o, params);
        allocate_state(o, &pool);
    }
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    if (o->history)
        start_deferring(o);
    o->pool = pool;
    *ret = o;
    return PEER_OK;
}

void peer_optim_catch_up(struct peer_optim *optim)
{
    for (int64_t i = 0; optim->history && i < optim->count; i++)
        if (is_table(optim, i))
            peer_optim_catch_up_range(&optim->table[i], 0, optim->table[i].rows);
}

void peer_optim_destroy(struct peer_optim **optim)
{
    if (!optim || !*optim)
        return;
    struct peer_optim *o = *optim;
    peer_optim_catch_up(o);
    for (int64_t i = 0; o->history && i < o->count; i++)
        if (is_table(o, i))
            o->param[i].rows->catch_up = NULL;
    struct peer_pool pool = o->pool;
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
    float *g = o->row_grad + 2 * thread * o->widest;
    double sum = 0;
    for (int64_t row = r.begin; row < r.end; row++)
        sum += peer_rows_gradient_squares(g, param->rows, row);
    o->square[tile] = sum;
}

/* The step being made, for one entry. */
static struct peer_table_step step_of(const struct peer_optim *o, const struct peer_param *param)
{
    struct peer_table_step step = {
        .adam = o->adam, .lr = o->lr * param->lr_scale, .number = (int32_t)o->steps};
    step.adam.rate *= param->lr_scale;
    step.adam.shrink = peer_optim_shrink(&o->config, param, o->lr);
    return step;
}

static bool clips(const struct peer_optim *o)
{
    return o->config.clip > 0;
}

/* Squares are taken before the update where it depends on their sum; else in passing. */
static bool looks_first(const struct peer_optim *o)
{
    return clips(o) || o->config.nonfinite != PEER_NONFINITE_APPLY;
}

static void update_dense(struct peer_optim *o, int64_t i, int64_t tile)
{
    const struct peer_param *param = &o->param[i];
    struct range r = range_of(o, i, tile);
    struct peer_table_step step = step_of(o, param);
    float *p = param->data + r.begin, *g = param->grad + r.begin;
    int64_t n = r.end - r.begin;
    if (!looks_first(o))
        o->square[tile] = peer_sum_squares(g, n);
    if (o->m[i])
        peer_kernels(o->pool.ctx)
            ->adamw(p, o->m[i] + r.begin, o->v[i] + r.begin, g, n, &step.adam, NULL);
    else
        peer_optim_descend(p, g, n, step.adam.shrink, step.lr * step.adam.grad_scale);
    if (!param->stale)
        memset(g, 0, (size_t)n * sizeof *g);
}

/* The squares of row j's gradient, formed in g, as peer_rows_gradient_squares() has them. */
static double squares_of(const struct peer_rows *rows, int64_t j, float *g)
{
    if (rows->first[j + 1] - rows->first[j] > 1)
        return peer_sum_squares(g, rows->config.width);
    return peer_rows_gradient_squares(g, rows, j);
}

/* The gradient of touched row j: formed in g, but for a single entry whose parts serve as well. */
static void gradient_of(struct peer_optim_row *r, const struct peer_optim_table *t, int64_t j,
                        float *g)
{
    const struct peer_rows *rows = t->param->rows;
    r->g = NULL;
    if (t->by_part && peer_rows_first(r->part, rows, j) == 1)
        return;
    peer_rows_gradient(g, rows, j);
    r->g = g;
    for (int s = 0; s < rows->config.segments; s++)
        r->part[s] = (struct peer_rows_part){g + rows->config.segment[s].offset, 1};
}

/* Has touched row j + AHEAD fetched while row j is worked on: by its step; or at once, which then
 * goes on while its gradient is formed. */
static void fetch(struct peer_optim_row *r, const struct peer_optim_table *t, int64_t j)
{
    const struct peer_rows *rows = t->param->rows;
    if (t->streams && rows->first[j + 1] - rows->first[j] == 1) {
        r->coming = rows->ids[j + AHEAD];
        peer_rows_first(r->coming_part, rows, j + AHEAD);
    } else {
        peer_optim_table_prefetch(t, rows->ids[j + AHEAD]);
    }
}

/* Where the table holds bf16, its row is read to `values` and rounded back. */
static void step_row(struct peer_optim_row *r, const struct peer_optim_table *t, float *values,
                     const struct peer_table_step *step, float *scratch)
{
    struct peer_table *table = t->param->table;
    r->p = t->param->data ? t->param->data + r->row * t->width : values;
    if (!t->param->data)
        t->kernels->bf16_read(values, table->bf16 + r->row * t->width, t->width);
    peer_optim_table_step(t, r, step, scratch);
    if (!t->param->data)
        peer_table_round(table, t->kernels, values, r->row, step->number);
}

static void update_rows(struct peer_optim *o, int64_t i, int64_t tile, int thread)
{
    const struct peer_optim_table *table = &o->table[i];
    const struct peer_rows *rows = table->param->rows;
    struct range r = range_of(o, i, tile);
    struct peer_table_step step = step_of(o, table->param);
    float *g = o->row_grad + 2 * thread * o->widest;
    float *scratch = table->scratch + thread * table->scratch_stride;
    double sum = 0;
    for (int64_t j = r.begin; j < r.end; j++) {
        struct peer_optim_row row = {.row = rows->ids[j], .coming = -1};
        if (j + AHEAD < r.end)
            fetch(&row, table, j);
        gradient_of(&row, table, j, g);
        if (!looks_first(o))
            sum += squares_of(rows, j, g);
        if (o->history)
            peer_optim_catch_up_row(table, row.row, o->steps - 1, scratch);
        step_row(&row, table, g + o->widest, &step, scratch);
    }
    if (!looks_first(o))
        o->square[tile] = sum;
}

static void update_tile(void *job, int64_t tile, int thread)
{
    struct peer_optim *o = job;
    int64_t i = entry_of(o, tile);
    if (is_table(o, i))
        update_rows(o, i, tile, thread);
    else
        update_dense(o, i, tile);
}

static double norm_of(const struct peer_optim *o, int64_t tiles)
{
    double sum = 0;
    for (int64_t tile = 0; tile < tiles; tile++)
        sum += o->square[tile];
    return sqrt(sum);
}

static void prepare(struct peer_optim *o, float lr, double norm)
{
    const struct peer_optim_config *c = &o->config;
    double t = (double)o->steps;
    bool clipped = clips(o) && isfinite(norm) && norm > c->clip;
    o->lr = lr;
    o->adam = (struct peer_adam_step){.beta1 = c->beta1,
                                      .beta2 = c->beta2,
                                      .fresh1 = 1 - c->beta1,
                                      .fresh2 = 1 - c->beta2,
                                      .epsilon = c->epsilon,
                                      .rate = (float)(lr / (1 - pow(c->beta1, t))),
                                      .second_scale = (float)(1 / (1 - pow(c->beta2, t))),
                                      .grad_scale = clipped ? (float)(c->clip / norm) : 1,
                                      .coef = 1};
    if (o->history)
        peer_optim_history_add(o->history, lr, &o->adam);
}

/* Layers that have had no backward pass since the last step. */
static void zero_stale(const struct peer_optim *o)
{
    for (int64_t i = 0; i < o->count; i++)
        peer_param_grad(&o->param[i]);
}

/* After the update: gradients that it has not zeroed go, and some rows catch up. */
static void finish_entries(struct peer_optim *o)
{
    if (o->history)
        o->history->steps = o->steps;
    for (int64_t i = 0; i < o->count; i++) {
        if (o->param[i].stale)
            *o->param[i].stale = true;
        if (!is_table(o, i))
            continue;
        peer_rows_clear(o->param[i].rows);
        if (o->history)
            peer_optim_sweep(&o->table[i]);
    }
}

bool peer_optim_takes(const struct peer_optim *optim, double norm)
{
    static const double most = 0x1p63; /* its square is a quarter of what overflows */
    double applied = clips(optim) ? fmin(norm, (double)optim->config.clip) : norm;
    return norm <= FLT_MAX && applied <= most;
}

/* Leaves everything as it is but the gradients, and these too where they are held. */
static void skip(struct peer_optim *o)
{
    struct peer_params list = {.ctx = o->pool.ctx, .items = o->param, .count = o->count};
    if (o->config.nonfinite == PEER_NONFINITE_SKIP)
        peer_params_zero_grad(&list);
    o->skipped++;
}

double peer_optim_step(struct peer_optim *optim, float lr)
{
    const struct peer_ctx *ctx = optim->pool.ctx;
    int64_t tiles = lay_out(optim);
    double norm = 0;
    zero_stale(optim);
    if (looks_first(optim)) {
        peer_parallel(ctx, tiles, square_tile, optim);
        norm = norm_of(optim, tiles);
    }
    if (optim->config.nonfinite != PEER_NONFINITE_APPLY && !peer_optim_takes(optim, norm)) {
        skip(optim);
        return norm;
    }
    optim->steps++;
    prepare(optim, lr, norm);
    peer_parallel(ctx, tiles, update_tile, optim);
    if (!looks_first(optim))
        norm = norm_of(optim, tiles);
    finish_entries(optim);
    return norm;
}

int64_t peer_optim_skipped(const struct peer_optim *optim)
{
    return optim->skipped;
}

int64_t peer_optim_steps(const struct peer_optim *optim)
{
    return optim->steps;
}

void peer_optim_set_steps(struct peer_optim *optim, int64_t steps)
{
    assert(steps >= 0 && steps < INT32_MAX);
    optim->steps = steps;
    if (!optim->history)
        return;
    optim->history->steps = steps;
    for (int64_t i = 0; i < optim->count; i++)
        if (is_table(optim, i))
            peer_optim_deferred_restart(&optim->table[i], steps);
}

static enum peer_status dense_state(const struct peer_optim *o, struct peer_params *list, int64_t i)
{
    struct peer_param buffer = o->param[i];
    if (!o->m[i])
        return PEER_OK;
    buffer.kind = PEER_PARAM_BUFFER;
    buffer.grad = NULL;
    buffer.stale = NULL;
    buffer.init = (struct peer_init){PEER_INIT_CONSTANT, 0};
    buffer.data = o->m[i];
    enum peer_status status = peer_params_add(list, "optim.m.", &buffer);
    buffer.data = o->v[i];
    return status ? status : peer_params_add(list, "optim.v.", &buffer);
}

enum peer_status peer_optim_state(struct peer_optim *optim, struct peer_params *list)
{
    int64_t before = list->count;
    for (int64_t i = 0; i < optim->count; i++) {
        enum peer_status status = is_table(optim, i)
                                      ? peer_optim_table_state(&optim->table[i], list)
                                      : dense_state(optim, list, i);
        if (status) {
            peer_params_truncate(list, before);
            return status;
        }
    }
    return PEER_OK;
}
