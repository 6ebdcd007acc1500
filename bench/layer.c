/* SPDX-License-Identifier: MIT */
#include "bench/layer.h"

#include <stdlib.h>
#include <string.h>

#include "nn/random.h"
#include "peer/peer.h"

/* An int8 table starts as zeros, which are one page of the system's until they are written. */
static void fill_tables(const struct bench_layer *l)
{
    for (int64_t i = 0; i < l->params.count; i++) {
        struct peer_table *table = l->params.items[i].table;
        if (!table || table->type != PEER_TABLE_INT8)
            continue;
        for (int64_t row = 0; row < table->rows; row++)
            peer_table_write(table, l->x, row, 1);
    }
}

void bench_layer_open(struct bench_layer *layer, struct bench *bench, struct peer_ctx *ctx,
                      const struct bench_layer_config *c)
{
    struct peer_ffw_shape shape = {.width = c->D,
                                   .tokens = c->T,
                                   .tokens_per_step = c->train ? c->T : 1,
                                   .forward_only = !c->train,
                                   .table = c->table};
    struct bench_layer l = {.type = c->type,
                            .params = peer_params_empty(ctx),
                            .pool = {.ctx = ctx},
                            .D = c->D,
                            .T = c->T,
                            .calls = c->calls};
    int64_t tokens = c->T * c->calls;
    c->type->cost(&l.cost, c->config, c->D);
    bench_check(bench, peer_ffw_create(&l.object, ctx, c->type, c->config, &shape));
    bench_check(bench, peer_ffw_params(l.object, &l.params, ""));
    if (c->optim)
        bench_check(bench, peer_optim_create(&l.optim, ctx, &l.params, c->optim));
    l.x = peer_pool_floats(&l.pool, "x", tokens, c->D);
    l.y = peer_pool_floats(&l.pool, "y", tokens, c->D);
    l.dx = peer_pool_floats(&l.pool, "dx", tokens, c->D);
    l.dy = peer_pool_floats(&l.pool, "dy", tokens, c->D);
    bench_check(bench, l.pool.failed ? PEER_ERR_MEMORY : PEER_OK);
    peer_params_init(&l.params, 1);
    peer_fill_normal(l.x, tokens * c->D, 0, 1, 1, 1);
    peer_fill_normal(l.dy, tokens * c->D, 0, 1, 1, 2);
    fill_tables(&l);
    *layer = l;
}

void bench_layer_close(struct bench_layer *layer)
{
    peer_pool_free(&layer->pool);
    peer_optim_destroy(&layer->optim);
    peer_params_free(&layer->params);
    peer_ffw_destroy(&layer->object);
}

void bench_layer_forward(void *job)
{
    const struct bench_layer *l = job;
    int64_t size = l->T * l->D;
    for (int64_t i = 0; i < l->calls; i++)
        peer_ffw_forward(l->object, l->y + i * size, l->x + i * size, NULL, l->T, PEER_MODE_EVAL);
}

static void backward(const struct bench_layer *l)
{
    memset(l->dx, 0, (size_t)(l->T * l->D) * sizeof *l->dx);
    peer_ffw_forward(l->object, l->y, l->x, NULL, l->T, PEER_MODE_TRAIN);
    peer_ffw_backward(l->object, l->dx, l->dy, l->x, l->T);
}

void bench_layer_gradients(void *job)
{
    const struct bench_layer *l = job;
    peer_params_zero_grad(&l->params);
    backward(l);
}

void bench_layer_step(void *job)
{
    const struct bench_layer *l = job;
    backward(l);
    peer_optim_step(l->optim, 1e-4f);
}

double bench_layer_flops(const struct bench_layer *l, bool train)
{
    double tokens = (double)(l->T * l->calls);
    return tokens * (train ? peer_cost_train(&l->cost) : peer_cost_forward(&l->cost));
}

/* The values of an entry as floats: its own, or a copy to be freed. */
static float *values_of(const struct peer_param *p)
{
    float *values = p->data ? p->data : malloc((size_t)peer_param_size(p) * sizeof *values);
    if (!values) {
        fprintf(stderr, "bench: no memory for the values of %s\n", p->name);
        exit(1);
    }
    if (!p->data)
        peer_table_read(values, p->table, 0, p->shape[0]);
    return values;
}

void bench_layer_send(const struct bench_layer *l, struct rival *rival)
{
    int64_t tokens = l->T * l->calls;
    for (int64_t i = 0; i < l->params.count; i++) {
        const struct peer_param *p = &l->params.items[i];
        int64_t rows = p->shape[0], rest = peer_param_size(p) / rows;
        float *values = values_of(p);
        if (l->type == &peer_ffw_peer && !strcmp(p->name, "experts")) {
            rival_send_columns(rival, "u", values, rows, rest, rest / 2);
            rival_send_columns(rival, "v", values + rest / 2, rows, rest, rest / 2);
        } else {
            rival_send_floats(rival, p->name, values, rows, p->dims > 1 ? rest : 0);
        }
        if (values != p->data)
            free(values);
    }
    rival_send_floats(rival, "x", l->x, tokens, l->D);
    rival_send_floats(rival, "dy", l->dy, tokens, l->D);
}
