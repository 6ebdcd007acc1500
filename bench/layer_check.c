/* SPDX-License-Identifier: MIT */
#include "bench/layer_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/match.h"
#include "peer/peer.h"

double bench_rival_difference(struct rival *rival, const char *name, const float *ours,
                              int64_t count)
{
    float *theirs = malloc((size_t)count * sizeof *theirs);
    double difference = -1;
    if (theirs && rival_get_floats(rival, name, theirs, count))
        difference = bench_difference(ours, theirs, count);
    free(theirs);
    return difference;
}

static struct peer_routing routing_of(const struct bench_layer *l)
{
    struct peer_routing routing = {0};
    if (l->type->routing)
        l->type->routing(l->object, &routing);
    return routing;
}

void bench_layer_send_sample(const struct bench_layer *l, struct rival *rival)
{
    struct peer_routing routing = routing_of(l);
    rival_send_ids(rival, "sample", routing.ids, routing.heads * routing.kept, 0);
}

/* Of columns first ... first + width of the sampled rows of a table of moments. */
static double sample_difference(const struct bench_layer *l, struct rival *rival, const char *name,
                                const struct peer_param *moments, int64_t first, int64_t width)
{
    struct peer_routing routing = routing_of(l);
    int64_t count = routing.heads * routing.kept, stride = moments->shape[1];
    float *ours = malloc((size_t)(count * width) * sizeof *ours);
    if (!ours)
        return NAN;
    for (int64_t i = 0; i < count; i++)
        memcpy(ours + i * width, moments->data + routing.ids[i] * stride + first,
               (size_t)width * sizeof *ours);
    double difference = bench_rival_difference(rival, name, ours, count * width);
    free(ours);
    return difference;
}

static double moment_difference(const struct bench_layer *l, struct rival *rival,
                                const struct peer_param *param, const struct peer_param *moments)
{
    if (param->kind == PEER_PARAM_DENSE)
        return bench_rival_difference(rival, param->name, moments->data, peer_param_size(moments));
    if (l->type != &peer_ffw_peer)
        return sample_difference(l, rival, param->name, moments, 0, l->D);
    return bench_worse(sample_difference(l, rival, "u", moments, 0, l->D),
                       sample_difference(l, rival, "v", moments, l->D, l->D));
}

/* Of every parameter's first moment. */
static double moments_difference(const struct bench_layer *l, struct rival *rival)
{
    struct peer_params state = peer_params_empty(l->pool.ctx);
    double worst = 0;
    if (peer_optim_state(l->optim, &state) != PEER_OK)
        return NAN;
    for (int64_t i = 0; i < l->params.count; i++) {
        char name[PEER_PARAM_NAME + 8];
        snprintf(name, sizeof name, "optim.m.%s", l->params.items[i].name);
        const struct peer_param *moments = peer_params_find(&state, name);
        if (moments)
            worst = bench_worse(worst, moment_difference(l, rival, &l->params.items[i], moments));
    }
    peer_params_free(&state);
    return worst;
}

static double gradients_difference(const struct bench_layer *l, struct rival *rival)
{
    double worst = 0;
    for (int64_t i = 0; i < l->params.count; i++) {
        const struct peer_param *p = &l->params.items[i];
        if (p->kind == PEER_PARAM_DENSE)
            worst = bench_worse(
                worst, bench_rival_difference(rival, p->name, p->grad, peer_param_size(p)));
    }
    return worst;
}

double bench_layer_difference(const struct bench_layer *l, struct rival *rival,
                              enum bench_layer_work work)
{
    int64_t count = l->calls * l->T * l->D;
    double worst = bench_rival_difference(rival, "y", l->y, count);
    if (work != BENCH_FORWARD)
        worst = bench_worse(worst, bench_rival_difference(rival, "dx", l->dx, count));
    if (work == BENCH_GRADIENTS)
        worst = bench_worse(worst, gradients_difference(l, rival));
    if (work == BENCH_STEP)
        worst = bench_worse(worst, moments_difference(l, rival));
    return *rival_error(rival) ? -1 : worst;
}

int64_t bench_layer_touched(const struct bench_layer *l)
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
