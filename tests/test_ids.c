/* SPDX-License-Identifier: MIT */
/* The slot hands a layer its batch: ids, borders of sequences, mask. A type that reads them proves
 * it, in a model: y_t = w[id_t] + w[id_(t-1)] of the same sequence, as a memory of n-grams would.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lm/model.h"
#include "nn/layers/ffw_object.h"
#include "nn/option.h"
#include "nn/random.h"

enum { V = 13, D = 8, B = 3, S = 7, T = B * S, SCORED = T - 1, SEED = 3 };

struct bigram {
    struct peer_ffw base;
    float *w, *dw; /* [V, D] */
};

struct bigram_config {
    int64_t vocab;
};

static const struct peer_option options[] = {
    {.name = "vocab",
     .kind = PEER_OPTION_INT,
     .offset = offsetof(struct bigram_config, vocab),
     .min = 1,
     .max = 1 << 20,
     .unit_and_meaning = "ids"},
    {.name = NULL},
};

static void config_default(void *config, int64_t width)
{
    (void)width;
    ((struct bigram_config *)config)->vocab = V;
}

static enum peer_status check(struct peer_ctx *ctx, const void *config, int64_t width)
{
    (void)width;
    return peer_options_check(ctx, "bigram", config, options);
}

static enum peer_status check_shape(struct peer_ctx *ctx, const void *config,
                                    const struct peer_ffw_shape *shape)
{
    (void)ctx, (void)config, (void)shape;
    return PEER_OK;
}

static unsigned traits(const void *config)
{
    (void)config;
    return 0;
}

static void cost(struct peer_cost *ret, const void *config, int64_t width)
{
    int64_t values = ((const struct bigram_config *)config)->vocab * width;
    *ret = (struct peer_cost){.params_total = values, .params_active = 2 * width};
}

static enum peer_status build(struct peer_ffw *layer)
{
    struct bigram *l = (struct bigram *)layer;
    l->w = peer_pool_floats(&layer->pool, "bigram", V, D);
    if (peer_ffw_trains(&layer->shape, PEER_ROLE_REST))
        l->dw = peer_pool_floats(&layer->pool, "bigram", V, D);
    return PEER_OK;
}

static enum peer_status build_cache(struct peer_ffw_cache *cache)
{
    (void)cache;
    return PEER_OK;
}

static enum peer_status params(struct peer_ffw *layer, struct peer_params *list, const char *prefix)
{
    struct bigram *l = (struct bigram *)layer;
    struct peer_param param = {.name = "rows",
                               .kind = l->dw ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                               .dims = 2,
                               .shape = {V, D},
                               .data = l->w,
                               .grad = l->dw,
                               .lr_scale = 1,
                               .init = {PEER_INIT_NORMAL, 1}};
    return peer_params_add(list, prefix, &param);
}

/* The row of token t's own id, or of the one before it in its sequence; -1 = none. */
static int32_t row_of(const struct peer_ffw_batch *batch, int64_t t, int before)
{
    int64_t start = 0;
    for (int64_t s = 0; s < batch->sequences && batch->starts[s] <= t; s++)
        start = batch->starts[s];
    return t - before < start ? -1 : batch->ids[t - before];
}

static void forward(struct peer_ffw_cache *cache, float *y, const struct peer_ffw_batch *batch,
                    enum peer_mode mode)
{
    const struct bigram *l = (const struct bigram *)cache->layer;
    (void)mode;
    memset(y, 0, (size_t)(batch->T * D) * sizeof *y);
    for (int64_t i = 0; i < batch->T * 2; i++) {
        int32_t row = row_of(batch, i / 2, i % 2);
        bool padding = batch->mask && !batch->mask[i / 2];
        for (int64_t d = 0; d < D && row >= 0 && !padding; d++)
            y[i / 2 * D + d] += l->w[row * D + d];
    }
}

static void backward(struct peer_ffw_cache *cache, float *dx, const float *dy,
                     const struct peer_ffw_batch *batch)
{
    const struct bigram *l = (const struct bigram *)cache->layer;
    (void)dx;
    for (int64_t i = 0; i < batch->T * 2; i++) {
        int32_t row = row_of(batch, i / 2, i % 2);
        bool padding = batch->mask && !batch->mask[i / 2];
        for (int64_t d = 0; d < D && row >= 0 && !padding; d++)
            l->dw[row * D + d] += dy[i / 2 * D + d];
    }
}

static const struct peer_ffw_type bigram = {
    .name = "bigram",
    .summary = "a row for each id, and for the id before",
    .source = "this test",
    .config_size = sizeof(struct bigram_config),
    .options = options,
    .config_default = config_default,
    .check = check,
    .check_shape = check_shape,
    .traits = traits,
    .cost = cost,
    .layer_size = sizeof(struct bigram),
    .cache_size = sizeof(struct peer_ffw_cache),
    .build = build,
    .build_cache = build_cache,
    .params = params,
    .forward = forward,
    .backward = backward,
};

struct made {
    struct peer_ctx *ctx;
    struct lm_model *model;
    struct bigram_config config;
    int32_t inputs[T], targets[T];
};

/* In the last block attention is behind it: a token's id reaches its y, and the next one's, by the
 * layer's own way too. */
static void make(struct made *m)
{
    struct lm_config config = lm_config_default(V, D, 2);
    config_default(&m->config, D);
    config.heads = 1;
    config.context = S;
    config.ffw = &bigram;
    config.ffw_config = &m->config;
    config.sparse_at[0] = false;
    config.sparse_at[1] = true;
    cr_assert_eq(peer_ctx_create(&m->ctx, NULL), PEER_OK);
    cr_assert_eq(lm_model_create(&m->model, m->ctx, &config, T, SEED, true), PEER_OK, "%s",
                 peer_ctx_error(m->ctx));
    for (int i = 0; i < T; i++) {
        m->inputs[i] = (i * 5 + i / S) % V;
        m->targets[i] = (i * 3 + 1) % V;
    }
    m->inputs[T - 1] = -1;
}

static void unmake(struct made *m)
{
    lm_model_destroy(&m->model);
    peer_ctx_destroy(&m->ctx);
}

static double losses_of(struct made *m, float *losses, enum peer_mode mode)
{
    int64_t scored;
    return lm_model_forward(m->model, &scored, losses, m->inputs, m->targets, B, S, mode);
}

Test(ids, no_token_sees_a_later_id)
{
    struct made m;
    float before[T], after[T];
    make(&m);
    losses_of(&m, before, PEER_MODE_EVAL);
    for (int t = 0; t < S; t++) {
        int32_t *changed = &m.inputs[S + t], old = *changed;
        *changed = (old + 4) % V;
        losses_of(&m, after, PEER_MODE_EVAL);
        cr_expect_arr_eq(before, after, (size_t)(S + t) * sizeof *after);
        cr_expect_neq(before[S + t], after[S + t]);
        cr_expect_arr_eq(before + 2 * S, after + 2 * S, S * sizeof *after);
        *changed = old;
    }
    unmake(&m);
}

/* Each row's gradient by central differences: ids, borders and mask are those of the batch, in both
 * passes. */
Test(ids, the_gradient_is_the_slope)
{
    struct made m;
    make(&m);
    struct peer_param *rows = peer_params_find(lm_model_params(m.model), "blocks.1.ffw.rows");
    cr_assert(rows);
    losses_of(&m, NULL, PEER_MODE_TRAIN);
    lm_model_backward(m.model, 1);
    const float *grad = peer_param_grad(rows);
    for (int i = 0; i < V * D; i++) {
        float at = rows->data[i];
        rows->data[i] = at + 1e-2f;
        double up = losses_of(&m, NULL, PEER_MODE_EVAL) / SCORED;
        rows->data[i] = at - 1e-2f;
        double down = losses_of(&m, NULL, PEER_MODE_EVAL) / SCORED;
        rows->data[i] = at;
        cr_expect_float_eq(grad[i], (up - down) / 2e-2, 2e-4, "row %d: %g, %g", i / D,
                           (double)grad[i], (up - down) / 2e-2);
    }
    unmake(&m);
}
