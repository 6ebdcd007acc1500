/* SPDX-License-Identifier: MIT */
/* Retrieval and lookup are two things: a layer is their composition, each works alone with ids and
 * gates of anybody's, and layers can share a table. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers/dense.h"
#include "nn/optim/optim.h"
#include "nn/random.h"
#include "peer/layer.h"
#include "pkm/layer.h"

enum { D = 6, T = 19, N = 25, H = 2, K = 4, KEPT = 3, SLOTS = H * KEPT, BLOCKS = 3 };

static struct peer_ctx *ctx;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void tear_down(void)
{
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
}

TestSuite(lookup, .init = set_up, .fini = tear_down);

#define OK(call) cr_assert_eq((call), PEER_OK, "%s", peer_ctx_error(ctx))

static struct peer_layer_config peer_config(void)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = N;
    config.heads = H;
    config.kept = KEPT;
    config.query_width = K;
    return config;
}

static struct pkm_config pkm_of(void)
{
    struct pkm_config config = pkm_config_default(D);
    config.memories = N;
    config.heads = H;
    config.kept = KEPT;
    config.query_width = K;
    return config;
}

static const struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = BLOCKS * T};

struct data {
    float x[T * D], dy[T * D], y[T * D], dx[T * D];
};

static struct data draw(uint64_t stream)
{
    struct data d = {.y = {0}};
    peer_fill_normal(d.x, T * D, 0, 1, 11, 2 * stream);
    peer_fill_normal(d.dy, T * D, 0, 1, 11, 2 * stream + 1);
    return d;
}

/* The layer's entries, drawn by name, so that another object with such names has the same. */
static struct peer_params params_of(struct peer_ffw *layer)
{
    struct peer_params params = peer_params_empty(ctx);
    OK(peer_ffw_params(layer, &params, ""));
    peer_params_init(&params, 5);
    return params;
}

static void expect_same_grad(const struct peer_params *a, const struct peer_params *b)
{
    for (int64_t i = 0; i < b->count; i++) {
        const struct peer_param *q = &b->items[i], *p = peer_params_find(a, q->name);
        cr_assert(p, "%s", q->name);
        if (p->kind == PEER_PARAM_DENSE)
            cr_expect_arr_eq(p->grad, q->grad, (size_t)peer_param_size(p) * sizeof(float), "%s",
                             p->name);
        if (p->kind != PEER_PARAM_ROWS)
            continue;
        peer_rows_group(p->rows);
        peer_rows_group(q->rows);
        cr_assert_eq(p->rows->touched, q->rows->touched);
        for (int64_t r = 0; r < p->rows->touched; r++) {
            float g[3 * D], h[3 * D];
            peer_rows_gradient(g, p->rows, r);
            peer_rows_gradient(h, q->rows, r);
            cr_expect_arr_eq(g, h, (size_t)p->shape[1] * sizeof *g);
        }
    }
}

Test(lookup, a_peer_layer_is_retrieval_and_lookup)
{
    struct peer_layer_config config = peer_config();
    struct pkm_retrieval_config of = {D,     N,    H, KEPT, K, config.gate, config.query_norm,
                                      false, false};
    struct peer_experts_config by = {N, SLOTS, config.expert, config.activation, config.table, 1};
    struct peer_ffw *layer = NULL;
    struct pkm_retrieval *retrieval = NULL;
    struct pkm_retrieval_cache *found = NULL;
    struct peer_experts *experts = NULL;
    struct peer_experts_cache *cache = NULL;
    struct data a = draw(1), b = draw(1);
    float dgates[T * SLOTS];
    OK(peer_layer_create(&layer, ctx, &config, &shape));
    OK(pkm_retrieval_create(&retrieval, ctx, &of));
    OK(pkm_retrieval_cache_create(&found, ctx, retrieval, T));
    OK(peer_experts_create(&experts, ctx, &by, &shape));
    OK(peer_experts_cache_create(&cache, ctx, experts, T));
    struct peer_params whole = params_of(layer), parts = peer_params_empty(ctx);
    OK(pkm_retrieval_params(retrieval, &parts, ""));
    OK(peer_experts_params(experts, &parts, ""));
    peer_params_init(&parts, 5);
    peer_ffw_forward(layer, a.y, a.x, NULL, T, PEER_MODE_TRAIN);
    peer_ffw_backward(layer, a.dx, a.dy, a.x, T);
    pkm_retrieval_forward(found, b.x, NULL, T, PEER_MODE_TRAIN);
    struct peer_routing routing = pkm_retrieval_result(found);
    peer_experts_forward(cache, b.y, b.x, routing.ids, routing.gates, T);
    peer_experts_backward(cache, b.dx, dgates, b.dy, b.x, routing.ids, routing.gates, T);
    pkm_retrieval_backward(found, b.dx, dgates, b.x, NULL, T);
    cr_expect_arr_eq(a.y, b.y, sizeof a.y);
    cr_expect_arr_eq(a.dx, b.dx, sizeof a.dx);
    expect_same_grad(&whole, &parts);
    peer_params_free(&whole);
    peer_params_free(&parts);
    peer_experts_cache_destroy(&cache);
    peer_experts_destroy(&experts);
    pkm_retrieval_cache_destroy(&found);
    pkm_retrieval_destroy(&retrieval);
    peer_ffw_destroy(&layer);
}

Test(lookup, a_pkm_layer_is_retrieval_and_lookup)
{
    struct pkm_config config = pkm_of();
    struct pkm_retrieval_config of = {D,    N,    H, KEPT, K, config.gate, config.query_norm,
                                      true, false};
    struct pkm_values_config by = {N, SLOTS, config.table, 1};
    struct peer_ffw *layer = NULL;
    struct pkm_retrieval *retrieval = NULL;
    struct pkm_retrieval_cache *found = NULL;
    struct pkm_values *values = NULL;
    struct data a = draw(1), b = draw(1);
    float dgates[T * SLOTS];
    OK(pkm_layer_create(&layer, ctx, &config, &shape));
    OK(pkm_retrieval_create(&retrieval, ctx, &of));
    OK(pkm_retrieval_cache_create(&found, ctx, retrieval, T));
    OK(pkm_values_create(&values, ctx, &by, &shape));
    struct peer_params whole = params_of(layer), parts = peer_params_empty(ctx);
    OK(pkm_retrieval_params(retrieval, &parts, ""));
    OK(pkm_values_params(values, &parts, ""));
    peer_params_init(&parts, 5);
    peer_ffw_forward(layer, a.y, a.x, NULL, T, PEER_MODE_TRAIN);
    peer_ffw_backward(layer, a.dx, a.dy, a.x, T);
    pkm_retrieval_forward(found, b.x, NULL, T, PEER_MODE_TRAIN);
    struct peer_routing routing = pkm_retrieval_result(found);
    pkm_values_forward(ctx, values, b.y, routing.ids, routing.gates, T);
    pkm_values_backward(ctx, values, dgates, b.dy, routing.ids, routing.gates, T);
    pkm_retrieval_backward(found, b.dx, dgates, b.x, NULL, T);
    cr_expect_arr_eq(a.y, b.y, sizeof a.y);
    cr_expect_arr_eq(a.dx, b.dx, sizeof a.dx);
    expect_same_grad(&whole, &parts);
    peer_params_free(&whole);
    peer_params_free(&parts);
    pkm_values_destroy(&values);
    pkm_retrieval_cache_destroy(&found);
    pkm_retrieval_destroy(&retrieval);
    peer_ffw_destroy(&layer);
}

/* Ids and gates of one's own: ids repeat, some are none. */
static void draw_routing(int32_t *ids, float *gates)
{
    peer_fill_normal(gates, T * SLOTS, 0, 1, 21, 1);
    for (int i = 0; i < T * SLOTS; i++)
        ids[i] = i % 11 == 4 ? -1 : i * 7 % N;
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

/* The sum of y dy, by the equation, in double. */
static double loss_of(const double *table, const double *x, const float *dy, const int32_t *ids,
                      const double *gates)
{
    double sum = 0;
    for (int s = 0; s < T * SLOTS; s++) {
        const double *u = table + 2 * D * ids[s], *v = u + D, *xt = x + s / SLOTS * D;
        double pre = 0, along = 0;
        for (int d = 0; d < D && ids[s] >= 0; d++) {
            pre += u[d] * xt[d];
            along += v[d] * dy[s / SLOTS * D + d];
        }
        sum += gates[s] * relu(pre) * along;
    }
    return sum;
}

/* Central differences: the loss is piecewise linear in gates, and quadratic at most in x. */
Test(lookup, gradients_of_given_routing_are_central_differences)
{
    struct peer_experts_config config = {
        N, SLOTS, PEER_EXPERT_SINGLE, PEER_ACT_RELU, PEER_TABLE_F32, 1};
    struct peer_experts *experts = NULL;
    struct peer_experts_cache *cache = NULL;
    struct data a = draw(3);
    int32_t ids[T * SLOTS];
    float gates[T * SLOTS], dgates[T * SLOTS];
    double table[N * 2 * D], x[T * D], g[T * SLOTS];
    const double h = 1e-5;
    draw_routing(ids, gates);
    OK(peer_experts_create(&experts, ctx, &config, &shape));
    OK(peer_experts_cache_create(&cache, ctx, experts, T));
    struct peer_params params = peer_params_empty(ctx);
    OK(peer_experts_params(experts, &params, ""));
    peer_params_init(&params, 9);
    for (int i = 0; i < N * 2 * D; i++)
        table[i] = params.items[0].data[i];
    for (int i = 0; i < T * D; i++)
        x[i] = a.x[i];
    for (int i = 0; i < T * SLOTS; i++)
        g[i] = gates[i];
    peer_experts_forward(cache, a.y, a.x, ids, gates, T);
    peer_experts_backward(cache, a.dx, dgates, a.dy, a.x, ids, gates, T);
    double sum = 0;
    for (int i = 0; i < T * D; i++)
        sum += (double)a.y[i] * a.dy[i];
    cr_expect_float_eq(sum, loss_of(table, x, a.dy, ids, g), 1e-4);
#define DIFFERENCE(value, got)                                                                     \
    do {                                                                                           \
        double at = value;                                                                         \
        value = at + h;                                                                            \
        double up = loss_of(table, x, a.dy, ids, g);                                               \
        value = at - h;                                                                            \
        double down = loss_of(table, x, a.dy, ids, g);                                             \
        value = at;                                                                                \
        cr_expect_float_eq(got, (up - down) / (2 * h), 1e-4);                                      \
    } while (0)
    for (int i = 0; i < T * SLOTS; i++)
        DIFFERENCE(g[i], dgates[i]);
    for (int i = 0; i < T * D; i++)
        DIFFERENCE(x[i], a.dx[i]);
    struct peer_rows *rows = params.items[0].rows;
    peer_rows_group(rows);
    for (int64_t r = 0; r < rows->touched; r++) {
        float row[2 * D];
        peer_rows_gradient(row, rows, r);
        for (int d = 0; d < 2 * D; d++)
            DIFFERENCE(table[rows->ids[r] * 2 * D + d], row[d]);
    }
    peer_params_free(&params);
    peer_experts_cache_destroy(&cache);
    peer_experts_destroy(&experts);
}

static void run(struct peer_ffw *layer, struct data *d)
{
    peer_ffw_forward(layer, d->y, d->x, NULL, T, PEER_MODE_TRAIN);
    peer_ffw_backward(layer, d->dx, d->dy, d->x, T);
}

/* The gradient of a table as it is spread over N rows. */
static void spread(float *g, const struct peer_param *table)
{
    memset(g, 0, (size_t)peer_param_size(table) * sizeof *g);
    peer_rows_group(table->rows);
    for (int64_t r = 0; r < table->rows->touched; r++)
        peer_rows_gradient(g + table->rows->ids[r] * table->shape[1], table->rows, r);
}

/* Blocks with routers of their own: one table, the sum of its gradients, one entry, one update. */
static void expect_shared(const struct peer_ffw_type *type, const void *config, const char *name)
{
    struct peer_ffw *apart[BLOCKS] = {NULL}, *tied[BLOCKS] = {NULL};
    struct peer_params list[BLOCKS], all = peer_params_empty(ctx);
    static float sum[N * 3 * D], one[N * 3 * D];
    memset(sum, 0, sizeof sum);
    for (int i = 0; i < BLOCKS; i++) {
        struct peer_ffw_shape of = shape;
        char prefix[] = {(char)('a' + i), '.', 0};
        OK(peer_ffw_create(&apart[i], ctx, type, config, &of));
        of.table_of = tied[0];
        OK(peer_ffw_create(&tied[i], ctx, type, config, &of));
        OK(peer_ffw_params(tied[i], &all, prefix));
    }
    peer_params_init(&all, 5);
    int64_t tables = 0;
    struct peer_param *table = NULL;
    for (int64_t i = 0; i < all.count; i++)
        if (all.items[i].table) {
            table = &all.items[i];
            tables++;
        }
    cr_assert_eq(tables, 1);
    for (int i = 0; i < BLOCKS; i++) { /* the same weights in layers that do not share */
        list[i] = peer_params_empty(ctx);
        OK(peer_ffw_params(apart[i], &list[i], ""));
        for (int64_t j = 0; j < list[i].count; j++) {
            struct peer_param *to = &list[i].items[j];
            char from[PEER_PARAM_NAME + 2] = {(char)(to->table ? 'a' : 'a' + i), '.'};
            strcpy(from + 2, to->name);
            memcpy(to->data, peer_params_find(&all, from)->data, peer_param_bytes(to));
        }
    }
    for (int i = BLOCKS - 1; i >= 0; i--) {
        struct data a = draw((uint64_t)i), b = draw((uint64_t)i);
        run(apart[i], &a);
        run(tied[i], &b);
        cr_expect_arr_eq(a.y, b.y, sizeof a.y, "%s", type->name);
        cr_expect_arr_eq(a.dx, b.dx, sizeof a.dx, "%s", type->name);
        spread(one, peer_params_find(&list[i], name));
        for (int64_t j = 0; j < peer_param_size(table); j++)
            sum[j] += one[j];
    }
    spread(one, table);
    for (int64_t j = 0; j < peer_param_size(table); j++)
        cr_expect_float_eq(one[j], sum[j], 1e-5, "%s: %g, %g", type->name, (double)one[j],
                           (double)sum[j]);
    struct peer_optim_config sgd = peer_optim_config_default();
    struct peer_optim *optim = NULL;
    static float before[N * 3 * D];
    memcpy(before, table->data, peer_param_bytes(table));
    sgd.dense = PEER_OPTIM_SGD;
    sgd.rows = PEER_ROWS_SGD;
    sgd.clip = 0;
    sgd.weight_decay = 0;
    OK(peer_optim_create(&optim, ctx, &all, &sgd));
    peer_optim_step(optim, 0.5f);
    for (int64_t j = 0; j < peer_param_size(table); j++)
        cr_expect_float_eq(table->data[j], before[j] - 0.5f * one[j], 1e-6);
    peer_optim_destroy(&optim);
    for (int i = BLOCKS - 1; i >= 0; i--) {
        peer_params_free(&list[i]);
        peer_ffw_destroy(&apart[i]);
        peer_ffw_destroy(&tied[i]);
    }
    peer_params_free(&all);
}

Test(lookup, three_layers_share_a_table)
{
    struct peer_layer_config peer = peer_config();
    struct pkm_config pkm = pkm_of();
    expect_shared(&peer_ffw_peer, &peer, "experts");
    expect_shared(&peer_ffw_pkm, &pkm, "values");
    peer.expert = PEER_EXPERT_GLU;
    pkm.gated = true;
    expect_shared(&peer_ffw_peer, &peer, "experts");
    expect_shared(&peer_ffw_pkm, &pkm, "values");
}

/* By default a step has the tokens of one pass, for parts as for layers. */
Test(lookup, a_step_is_one_pass_by_default)
{
    struct peer_ffw_shape of = {.width = D, .tokens = T}, forward = of;
    struct peer_layer_config peer = peer_config();
    struct pkm_config pkm = pkm_of();
    struct peer_experts_config experts = {N, SLOTS, 0, 0, PEER_TABLE_F32, 1};
    struct pkm_values_config values = {N, SLOTS, PEER_TABLE_F32, 1};
    forward.forward_only = true;
    forward.tokens_per_step = INT64_MAX; /* not read */
    for (int i = 0; i < 2; i++) {
        const struct peer_ffw_shape *shape_of = i ? &forward : &of;
        OK(peer_ffw_peer.check_shape(ctx, &peer, shape_of));
        OK(peer_ffw_pkm.check_shape(ctx, &pkm, shape_of));
        OK(peer_experts_check(ctx, "experts", &experts, shape_of));
        OK(pkm_values_check(ctx, "values", &values, shape_of));
    }
    of.tokens_per_step = -1;
    cr_expect_eq(peer_experts_check(ctx, "experts", &experts, &of), PEER_ERR_ARGUMENT);
    cr_expect_eq(pkm_values_check(ctx, "values", &values, &of), PEER_ERR_ARGUMENT);
}

static void expect_refused(const struct peer_ffw_type *type, const void *config,
                           struct peer_ffw_shape of, const char *words)
{
    struct peer_ffw *layer = NULL;
    cr_expect_eq(peer_ffw_create(&layer, ctx, type, config, &of), PEER_ERR_ARGUMENT);
    cr_expect_null(layer);
    cr_expect(strstr(peer_ctx_error(ctx), words), "%s", peer_ctx_error(ctx));
}

Test(lookup, tables_that_cannot_be_shared_are_refused)
{
    struct peer_layer_config peer = peer_config();
    struct pkm_config pkm = pkm_of();
    struct peer_dense_config dense = {.hidden = 4};
    struct peer_ffw *layer = NULL;
    struct peer_ffw_shape of = shape;
    OK(peer_layer_create(&layer, ctx, &peer, &shape));
    of.table_of = layer;
    expect_refused(&peer_ffw_pkm, &pkm, of, "type peer");
    expect_refused(&peer_ffw_dense, &dense, of, "table_of");
    peer.experts = 36;
    expect_refused(&peer_ffw_peer, &peer, of, "36");
    peer.experts = N;
    of.width = D + 1;
    expect_refused(&peer_ffw_peer, &peer, of, "width 7");
    of.width = D;
    of.frozen = PEER_FROZEN(PEER_ROLE_EXPERTS);
    expect_refused(&peer_ffw_peer, &peer, of, "not trained");
    peer_ffw_destroy(&layer);
}
