/* SPDX-License-Identifier: MIT */
/* Parameters as a list of named entries. Optimizers, checkpoints, initialisers, gradient checks
 * and counts walk the list; nobody else needs to know what a layer is made of. */
#ifndef PEER_NN_PARAM_H
#define PEER_NN_PARAM_H

#include "nn/context.h"
#include "nn/tables/rows.h"
#include "nn/tables/table.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_param_kind {
    PEER_PARAM_DENSE = 0, /* every value has a gradient in every step */
    PEER_PARAM_ROWS,      /* a table of rows of which a step touches few */
    PEER_PARAM_BUFFER,    /* saved but not trained: running statistics, moments, frozen weights */
};

/* What an entry does in its model, so that parts of it can be frozen. A layer says it of its
 * entries. */
enum peer_role {
    PEER_ROLE_REST = 0, /* all but mixtures of experts: embeddings, attention, norms, dense FFWs */
    PEER_ROLE_ROUTER,   /* decides which experts serve a token, and with what gate */
    PEER_ROLE_EXPERTS,  /* makes the mixture's output: experts, values, what goes with them */
    PEER_ROLE_COUNT
};

/* What the values of an entry are; entries that are trained are floats. */
enum peer_type { PEER_TYPE_F32 = 0, PEER_TYPE_BF16, PEER_TYPE_I32, PEER_TYPE_COUNT };

/* As in safetensors files: "F32", "BF16", "I32", NULL. */
PEER_API extern const char *const peer_type_names[];

/* Bytes of one value. */
static inline size_t peer_type_bytes(enum peer_type type)
{
    return type == PEER_TYPE_BF16 ? sizeof(uint16_t) : sizeof(float);
}

enum peer_init_kind { PEER_INIT_CONSTANT = 0, PEER_INIT_UNIFORM, PEER_INIT_NORMAL };

/* constant: scale; uniform: [-scale, scale); normal: mean 0, standard deviation scale. */
struct peer_init {
    enum peer_init_kind kind;
    float scale;
};

enum { PEER_PARAM_NAME = 80, PEER_PARAM_DIMS = 4 };

struct peer_param {
    char name[PEER_PARAM_NAME]; /* dotted path, such as "blocks.1.ffw.keys" */
    enum peer_param_kind kind;
    int dims;                       /* 1 ... PEER_PARAM_DIMS */
    int64_t shape[PEER_PARAM_DIMS]; /* row-major; [rows, width] for PEER_PARAM_ROWS */
    enum peer_type type;            /* of `data`; default F32 */
    float *data;                    /* [shape], owned by the layer; buffers of another type cast;
                                       NULL in a table that does not hold floats */
    float **place;                  /* where the layer keeps `data`, for peer_params_bind(); NULL in
                                       tables, and where it cannot be bound */
    bool bound;                     /* it has been */
    struct peer_table *table;       /* [shape], what holds the rows of a table; else NULL */
    float *grad;                    /* [shape] for dense, else NULL; see peer_param_grad() */
    bool *stale;                    /* the layer's mark that `grad` is left over and counts as
                                       zeros; NULL where the layer only adds */
    struct peer_rows *rows;         /* gradient of a table, else NULL */
    float lr_scale;                 /* multiplies the learning rate; default 1 */
    float decay;                    /* multiplies the weight decay; default 1, norms and biases 0 */
    struct peer_init init;
    enum peer_role role; /* default rest */
};

/* Thread-safety: a list is built by one thread and read by many. */
struct peer_params {
    struct peer_ctx *ctx;
    struct peer_param *items;
    int64_t count, capacity;
};

/* An empty list; never fails. Free it with peer_params_free(), which frees no parameter. */
PEER_API struct peer_params peer_params_empty(struct peer_ctx *ctx);
PEER_API void peer_params_free(struct peer_params *list);

/* Appends a copy of `param` under the name `prefix` + param->name. Errors: PEER_ERR_MEMORY;
 * PEER_ERR_ARGUMENT for a name that is too long or taken. */
PEER_API enum peer_status peer_params_add(struct peer_params *list, const char *prefix,
                                          const struct peer_param *param);

/* Takes back the entries after the first `count`, so that adding several can fail as a whole. */
PEER_API void peer_params_truncate(struct peer_params *list, int64_t count);

/* The entry called `name`, or NULL. */
PEER_API struct peer_param *peer_params_find(const struct peer_params *list, const char *name);

/* Values in one entry, and trained values in the list. */
PEER_API int64_t peer_param_size(const struct peer_param *param);
PEER_API int64_t peer_params_trained(const struct peer_params *list);

/* The bytes of an entry as they lie in memory, and how many; int8 without its scales. */
PEER_API void *peer_param_memory(const struct peer_param *param);
PEER_API size_t peer_param_bytes(const struct peer_param *param);

/* Draws every entry's initial value from (seed, its name): the same name and shape get the same
 * values in any model, in bf16 rounded to the nearest. An int8 table stays as it is, since it is
 * made from trained values, and so does a mapped one, which has its own initial values. */
PEER_API void peer_params_init(const struct peer_params *list, uint64_t seed);

/* Zeroes dense gradients, or marks them stale, and clears rows'. A stale gradient costs no pass
 * over memory: the layer's next backward pass writes all of it instead of adding, and takes the
 * mark off. So after a backward pass of its layer `grad` is what it says. */
PEER_API void peer_params_zero_grad(const struct peer_params *list);

/* The gradient of a dense entry, zeroed first where it is stale: for whoever reads `grad` without
 * knowing that the layer has had a backward pass since. NULL for other kinds. */
PEER_API float *peer_param_grad(const struct peer_param *param);

#ifdef __cplusplus
}
#endif

#endif
