/* SPDX-License-Identifier: MIT */
#include "tests/support/table_layer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/random.h"

enum { D = TABLE_LAYER_D, T = TABLE_LAYER_T };

static void set(struct peer_ctx *ctx, const struct peer_ffw_type *type, void *config,
                const char *text)
{
    char name[32] = {0}, value[32] = {0};
    cr_assert_eq(sscanf(text, "%31[^=]=%31s", name, value), 2);
    const struct peer_option *option = peer_option_find(type->options, name);
    if (option)
        cr_assert_eq(peer_option_set(ctx, config, option, value), PEER_OK);
}

static void make_batch(struct table_layer *l)
{
    float **arrays[] = {&l->x, &l->dy, &l->y, &l->dx};
    for (int a = 0; a < 4; a++) {
        *arrays[a] = calloc(T * D, sizeof(float));
        cr_assert(*arrays[a]);
        if (a < 2)
            peer_fill_normal(*arrays[a], T * D, 0, 1, TABLE_LAYER_SEED, (uint64_t)a);
    }
}

enum peer_status table_layer_create(struct table_layer *l, const struct peer_ffw_type *type,
                                    const char *const *options, const struct peer_ffw_shape *how,
                                    int threads)
{
    _Alignas(16) unsigned char config[512];
    struct peer_ffw_shape shape = how ? *how : (struct peer_ffw_shape){.forward_only = false};
    struct peer_ctx_config ctx_config = peer_ctx_config_default();
    shape.width = D;
    shape.tokens = shape.tokens_per_step = T;
    ctx_config.threads = threads;
    *l = (struct table_layer){.type = type};
    cr_assert_eq(peer_ctx_create(&l->ctx, &ctx_config), PEER_OK);
    type->config_default(config, D);
    for (; *options; options++)
        set(l->ctx, type, config, *options);
    enum peer_status status = peer_ffw_create(&l->object, l->ctx, type, config, &shape);
    if (status)
        return status;
    if (threads == 1)
        cr_expect_eq(peer_ctx_bytes(l->ctx), peer_ffw_memory(type, config, &shape));
    l->params = peer_params_empty(l->ctx);
    cr_assert_eq(peer_ffw_params(l->object, &l->params, ""), PEER_OK);
    peer_params_init(&l->params, TABLE_LAYER_SEED);
    for (int64_t i = 0; i < l->params.count; i++)
        if (l->params.items[i].table)
            l->table = &l->params.items[i];
    cr_assert(l->table);
    make_batch(l);
    return PEER_OK;
}

void table_layer_destroy(struct table_layer *l)
{
    free(l->x);
    free(l->y);
    free(l->dx);
    free(l->dy);
    peer_params_free(&l->params);
    if (l->object)
        peer_ffw_destroy(&l->object);
    peer_ctx_destroy(&l->ctx);
}

void table_layer_run(struct table_layer *l)
{
    peer_ffw_forward(l->object, l->y, l->x, NULL, T, PEER_MODE_TRAIN);
    peer_ffw_backward(l->object, l->dx, l->dy, l->x, T);
}
