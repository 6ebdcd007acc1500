/* SPDX-License-Identifier: MIT */
#include "bench/results.h"

#include <stdlib.h>
#include <string.h>

#include "bench/match.h"
#include "nn/kernels/bf16.h"
#include "peer/peer.h"

static struct peer_routing routing_of(const struct bench_layer *l)
{
    struct peer_routing routing = {0};
    if (l->type->routing)
        peer_ffw_routing(l->object, &routing);
    return routing;
}

/* Room for `count` values under `name`. */
static float *room(struct bench_results *r, const char *name, int64_t count)
{
    struct bench_result *item = &r->item[r->count];
    float *values = malloc((size_t)count * sizeof *values);
    if (!values || r->count == BENCH_MOST_RESULTS) {
        fprintf(stderr, "bench: no memory for results\n");
        exit(1);
    }
    snprintf(item->name, sizeof item->name, "%s", name);
    item->values = values;
    item->count = count;
    r->count++;
    return values;
}

static void keep(struct bench_results *r, const char *name, const float *values, int64_t count)
{
    memcpy(room(r, name, count), values, (size_t)count * sizeof *values);
}

/* Value i of an entry of floats or bfloat16. */
static float value_of(const struct peer_param *param, int64_t i)
{
    const uint16_t *halves = (const uint16_t *)(const void *)param->data;
    return param->type == PEER_TYPE_BF16 ? peer_bf16_value(halves[i]) : param->data[i];
}

/* Of the sampled rows of a table, columns first ... first + width. */
static void keep_rows(struct bench_results *r, const struct bench_layer *l, const char *name,
                      const struct peer_param *table, int64_t first, int64_t width)
{
    struct peer_routing routing = routing_of(l);
    int64_t count = routing.heads * routing.kept, stride = table->shape[1];
    float *values = room(r, name, count * width);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < width; j++)
            values[i * width + j] = value_of(table, routing.ids[i] * stride + first + j);
}

static void keep_gradients(struct bench_results *r, const struct bench_layer *l)
{
    for (int64_t i = 0; i < l->params.count; i++) {
        const struct peer_param *p = &l->params.items[i];
        if (p->kind == PEER_PARAM_DENSE)
            keep(r, p->name, p->grad, peer_param_size(p));
    }
}

static void keep_moment(struct bench_results *r, const struct bench_layer *l,
                        const struct peer_param *param, const struct peer_param *moment)
{
    if (param->kind == PEER_PARAM_DENSE) {
        keep(r, param->name, moment->data, peer_param_size(moment));
    } else if (l->type == &peer_ffw_peer) {
        keep_rows(r, l, "u", moment, 0, l->D);
        keep_rows(r, l, "v", moment, l->D, l->D);
    } else {
        keep_rows(r, l, param->name, moment, 0, param->shape[1]);
    }
}

static void keep_moments(struct bench_results *r, struct bench *bench, const struct bench_layer *l)
{
    struct peer_params state = peer_params_empty(bench->ctx);
    bench_check(bench, peer_optim_state(l->optim, &state));
    for (int64_t i = 0; i < l->params.count; i++) {
        char name[PEER_PARAM_NAME + 16];
        const struct peer_param *param = &l->params.items[i];
        snprintf(name, sizeof name, "optim.%s.%s", param->kind == PEER_PARAM_ROWS ? "moments" : "m",
                 param->name);
        const struct peer_param *moment = peer_params_find(&state, name);
        if (moment)
            keep_moment(r, l, param, moment);
    }
    peer_params_free(&state);
}

void bench_results_take(struct bench_results *ret, struct bench *bench, const struct bench_layer *l,
                        enum bench_work work)
{
    int64_t count = l->calls * l->T * l->D;
    ret->count = 0;
    keep(ret, "y", l->y, count);
    if (work != BENCH_FORWARD)
        keep(ret, "dx", l->dx, count);
    if (work == BENCH_GRADIENTS)
        keep_gradients(ret, l);
    if (work == BENCH_STEP)
        keep_moments(ret, bench, l);
}

void bench_results_free(struct bench_results *results)
{
    while (results->count > 0)
        free(results->item[--results->count].values);
}

double bench_results_difference(const struct bench_results *results, struct rival *rival)
{
    double worst = 0;
    for (int i = 0; i < results->count; i++) {
        const struct bench_result *item = &results->item[i];
        float *theirs = malloc((size_t)item->count * sizeof *theirs);
        bool known = theirs && rival_get_floats(rival, item->name, theirs, item->count);
        if (known)
            worst = bench_worse(worst, bench_difference(item->values, theirs, item->count));
        free(theirs);
        if (!known)
            return -1;
    }
    return worst;
}

void bench_results_sample(const struct bench_layer *l, struct rival *rival)
{
    struct peer_routing routing = routing_of(l);
    rival_send_ids(rival, "sample", routing.ids, routing.heads * routing.kept, 0);
}

int64_t bench_results_touched(const struct bench_layer *l)
{
    struct peer_routing routing = routing_of(l);
    int64_t touched = 0;
    unsigned char *seen = calloc(1, (size_t)routing.experts);
    for (int64_t i = 0; seen && i < l->T * routing.heads * routing.kept; i++) {
        touched += !seen[routing.ids[i]];
        seen[routing.ids[i]] = 1;
    }
    free(seen);
    return touched;
}
