/* SPDX-License-Identifier: MIT */
#include "nn/optim/optim_table.h"

#include <math.h>

#include "nn/optim/optim_deferred.h"
#include "nn/parallel.h"
#include "nn/random.h"
#include "nn/tables/squares.h"

/* Bytes in a cache line; bytes that are well asked for in one go, of weights and both moments: more
 * would fill the queue of misses and hold up the work. */
enum { LINE = 64, BURST = 4096 };

static int64_t moments_of(const struct peer_optim_config *config, int64_t width)
{
    if (!peer_optim_has_moments(config))
        return 0;
    return config->rows_second == PEER_SECOND_ROW ? width : 2 * width;
}

static int64_t shared_of(const struct peer_optim_config *config, int segments)
{
    if (config->rows == PEER_ROWS_ADAGRAD)
        return 1;
    return peer_optim_has_moments(config) && config->rows_second == PEER_SECOND_ROW ? segments : 0;
}

int64_t peer_optim_row_bytes(const struct peer_optim_config *config, int64_t width, int segments)
{
    int64_t bytes = moments_of(config, width) * (int64_t)peer_type_bytes(config->rows_moments) +
                    shared_of(config, segments) * (int64_t)sizeof(float);
    return bytes + (config->rows == PEER_ROWS_DEFERRED_ADAMW ? 2 * (int64_t)sizeof(int32_t) : 0);
}

void peer_optim_table_allocate(struct peer_optim_table *t, struct peer_pool *pool)
{
    const struct peer_optim_config *c = t->config;
    const char *name = t->param->name;
    t->rows = t->param->shape[0];
    t->width = t->param->shape[1];
    t->stride = moments_of(c, t->width);
    t->shared = shared_of(c, t->param->rows->config.segments);
    t->by_part =
        t->stride == 2 * t->width && peer_rows_columns(&t->param->rows->config) == t->width;
    t->streams = t->by_part && t->param->data && c->rows_moments == PEER_TYPE_F32 &&
                 3 * t->width * (int64_t)sizeof(float) > BURST;
    if (t->stride)
        t->moments =
            peer_pool_alloc(pool, name, peer_type_bytes(c->rows_moments), t->rows, t->stride, 1);
    if (t->shared)
        t->second = peer_pool_floats(pool, name, t->rows, t->shared);
    if (c->rows == PEER_ROWS_DEFERRED_ADAMW) {
        t->moment_step = peer_pool_ids(pool, name, t->rows, 1);
        t->weight_step = peer_pool_alloc(pool, name, sizeof *t->weight_step, t->rows, 1, 1);
    }
}

int64_t peer_optim_table_scratch(int64_t width)
{
    return 2 * width;
}

/* A row's moments in place, or read into scratch where they are no floats. */
static float *read_moments(const struct peer_optim_table *t, int64_t row, float *scratch)
{
    if (t->config->rows_moments != PEER_TYPE_BF16)
        return (float *)t->moments + row * t->stride;
    t->kernels->bf16_read(scratch, (const uint16_t *)t->moments + row * t->stride, t->stride);
    return scratch;
}

static void write_moments(const struct peer_optim_table *t, int64_t row, const float *scratch,
                          int32_t step)
{
    if (t->config->rows_moments != PEER_TYPE_BF16)
        return;
    uint64_t seed = t->config->seed;
    struct peer_rounding draws = {
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {(uint32_t)row, (uint32_t)step, (uint32_t)t->id},
    };
    t->kernels->bf16_round((uint16_t *)t->moments + row * t->stride, scratch, t->stride, &draws);
}

static float mean_square(const float *g, int64_t n, float scale)
{
    return (float)(peer_sum_squares(g, n) * scale * scale / (double)n);
}

/* Columns at ... of the row to come, i being their segment. */
static struct peer_adam_coming coming_of(const struct peer_optim_table *t,
                                         const struct peer_optim_row *r, int i, int64_t at)
{
    const float *m = (const float *)t->moments + r->coming * t->stride + at;
    return (struct peer_adam_coming){.p = t->param->data + r->coming * t->width + at,
                                     .m = m,
                                     .v = m + t->width,
                                     .g = r->coming_part[i].values};
}

/* The second moment being each value's own. */
static void step_parts(const struct peer_optim_table *t, const struct peer_optim_row *r, float *m,
                       struct peer_adam_step s)
{
    const struct peer_rows_config *rows = &t->param->rows->config;
    struct peer_adam_coming coming;
    for (int i = 0; i < rows->segments; i++) {
        int64_t at = rows->segment[i].offset, n = rows->segment[i].width;
        const struct peer_rows_part *g = &r->part[i];
        s.coef = g->coef;
        if (r->coming >= 0)
            coming = coming_of(t, r, i, at);
        t->kernels->adamw(r->p + at, m + at, m + t->width + at, g->values, n, &s,
                          r->coming < 0 ? NULL : &coming);
    }
}

/* The second moment being one per segment. */
static void step_shared(const struct peer_optim_table *t, const struct peer_optim_row *r, float *m,
                        const struct peer_adam_step *s)
{
    for (int64_t i = 0; i < t->shared; i++) {
        const struct peer_rows_segment *segment = &t->param->rows->config.segment[i];
        int64_t at = segment->offset, n = segment->width;
        float *v = &t->second[r->row * t->shared + i];
        *v = s->beta2 * *v + s->fresh2 * mean_square(r->g + at, n, s->grad_scale);
        t->kernels->adamw_shared(r->p + at, m + at, *v, r->g + at, n, s);
    }
}

static void step_adamw(const struct peer_optim_table *t, const struct peer_optim_row *r,
                       const struct peer_table_step *step, float *scratch)
{
    struct peer_adam_step s = step->adam;
    if (t->history)
        peer_optim_fade(&s, t, r->row, step->number);
    float *m = read_moments(t, r->row, scratch);
    if (t->shared)
        step_shared(t, r, m, &s);
    else if (t->by_part)
        step_parts(t, r, m, s);
    else
        t->kernels->adamw(r->p, m, m + t->width, r->g, t->width, &s, NULL);
    write_moments(t, r->row, m, step->number);
}

void peer_optim_descend(float *p, const float *g, int64_t n, float shrink, float rate)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = shrink * p[i] - rate * g[i];
}

void peer_optim_table_step(const struct peer_optim_table *t, const struct peer_optim_row *r,
                           const struct peer_table_step *step, float *scratch)
{
    float rate = step->lr * step->adam.grad_scale;
    if (t->moments) {
        step_adamw(t, r, step, scratch);
        return;
    }
    if (t->second) {
        t->second[r->row] += mean_square(r->g, t->width, step->adam.grad_scale);
        rate /= sqrtf(t->second[r->row]) + step->adam.epsilon;
    }
    peer_optim_descend(r->p, r->g, t->width, step->adam.shrink, rate);
}

void peer_optim_table_moments(const float **m, const float **v, const struct peer_optim_table *t,
                              int64_t row, float *scratch)
{
    float *read = read_moments(t, row, scratch), *spread = scratch + t->width;
    *m = read;
    *v = t->shared ? spread : read + t->width;
    for (int64_t i = 0; i < t->shared; i++) {
        const struct peer_rows_segment *segment = &t->param->rows->config.segment[i];
        for (int64_t j = 0; j < segment->width; j++)
            spread[segment->offset + j] = t->second[row * t->shared + i];
    }
}

/* All of it: rows are read and written once, too short a while for the hardware's streams. */
static void prefetch(const void *row, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += LINE)
        __builtin_prefetch((const char *)row + at, 0, 2);
}

void peer_optim_table_prefetch(const struct peer_optim_table *t, int64_t row)
{
    int64_t bytes = t->stride * (int64_t)peer_type_bytes(t->config->rows_moments);
    const struct peer_param *param = t->param;
    if (param->data)
        prefetch(param->data + row * t->width, t->width * (int64_t)sizeof(float));
    else
        prefetch(param->table->bf16 + row * t->width, t->width * (int64_t)sizeof(uint16_t));
    if (t->moments)
        prefetch((const char *)t->moments + row * bytes, bytes);
    if (t->second)
        __builtin_prefetch(t->second + row * t->shared, 0, 2);
}

static enum peer_status add_buffer(struct peer_params *list, const struct peer_optim_table *t,
                                   const char *prefix, void *data, int64_t columns,
                                   enum peer_type type)
{
    struct peer_param buffer = *t->param;
    if (!data)
        return PEER_OK;
    buffer.kind = PEER_PARAM_BUFFER;
    buffer.type = type;
    buffer.data = data;
    buffer.table = NULL;
    buffer.rows = NULL;
    buffer.init = (struct peer_init){PEER_INIT_CONSTANT, 0};
    buffer.shape[1] = columns;
    return peer_params_add(list, prefix, &buffer);
}

enum peer_status peer_optim_table_state(const struct peer_optim_table *t, struct peer_params *list)
{
    enum peer_status status =
        add_buffer(list, t, "optim.moments.", t->moments, t->stride, t->config->rows_moments);
    if (!status)
        status = add_buffer(list, t, "optim.second.", t->second, t->shared, PEER_TYPE_F32);
    if (!status)
        status = add_buffer(list, t, "optim.step.", t->moment_step, 1, PEER_TYPE_I32);
    return status;
}
