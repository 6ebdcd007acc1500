/* SPDX-License-Identifier: MIT */
/* A PEER or PKM layer by the slot's table, its entries, and one batch, on a table of any kind. */
#ifndef PEER_TESTS_SUPPORT_TABLE_LAYER_H
#define PEER_TESTS_SUPPORT_TABLE_LAYER_H

#include "nn/layers/ffw.h"

enum { TABLE_LAYER_D = 22, TABLE_LAYER_T = 37, TABLE_LAYER_SEED = 5023 };

struct table_layer {
    const struct peer_ffw_type *type;
    struct peer_ctx *ctx;
    struct peer_ffw *object;
    struct peer_params params;
    struct peer_param *table; /* its entry */
    float *x, *y, *dx, *dy;   /* [T, D] */
};

/* A layer of width D for T tokens, its values drawn, a random x and dy. `options`: "name=value",
 * NULL-terminated; names that the type does not have are left out. `how` gives forward_only and
 * table, NULL = a layer that trains in memory. On failure only ctx is set. */
enum peer_status table_layer_create(struct table_layer *ret, const struct peer_ffw_type *type,
                                    const char *const *options, const struct peer_ffw_shape *how,
                                    int threads);
void table_layer_destroy(struct table_layer *layer);

/* Forward and backward. */
void table_layer_run(struct table_layer *layer);

#endif
