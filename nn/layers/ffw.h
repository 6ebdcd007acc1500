/* SPDX-License-Identifier: MIT */
/* The FFW slot: the one table of function pointers. Whatever stands between two attention layers
 * (dense, PKM, PEER, a mixture) is a `const struct peer_ffw_type`; language model, tests, benches
 * and sweeps iterate over a list of them. Thread-safety: one call at a time on a layer and on all
 * else that shares its context. */
#ifndef PEER_NN_FFW_H
#define PEER_NN_FFW_H

#include "nn/cost.h"
#include "nn/option.h"
#include "nn/params/param.h"
#include "nn/tables/table_file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum peer_mode {
    PEER_MODE_EVAL = 0, /* running statistics; nothing is updated */
    PEER_MODE_TRAIN,    /* batch statistics; keeps what backward needs */
};

/* Traits: what a reader of a comparison must know. */
enum {
    PEER_FFW_MIXES_TOKENS_IN_TRAINING = 1, /* batch statistics of the whole batch */
    PEER_FFW_NOT_CAUSAL = 2,               /* lets tokens see later ones, also at evaluation */
    PEER_FFW_SHARES_CAPACITY = 4, /* earlier tokens of the call, of other sequences too, can take
                                     the room that a token needs, also at evaluation */
};

/* A loss that a layer adds to the model's, of its last forward pass in PEER_MODE_TRAIN. */
struct peer_ffw_loss {
    const char *name;  /* "balance" */
    double value;      /* coefficient included */
    float coefficient; /* > 0 */
};

enum { PEER_FFW_LOSSES = 4 }; /* most losses of one layer */

struct peer_ffw_shape {
    int64_t width;           /* D >= 1 */
    int64_t tokens;          /* most tokens T in one call >= 1 */
    int64_t tokens_per_step; /* most tokens in backward calls between two optimizer steps */
    bool forward_only;       /* only PEER_MODE_EVAL: a layer may leave out its gradients, and list
                                weights without one as buffers */
    unsigned frozen;         /* set of PEER_FROZEN(role): the layer's entries of that role stand
                                still; they have no gradients and are listed as buffers. A frozen
                                router decides in training as at evaluation: running statistics
                                are used and kept, nothing is drawn, no bias moves */
    struct peer_table_file *table; /* where the rows of a layer's table lie, which must outlive it;
                                      NULL = in memory. Layers without a table leave it aside */
};

#define PEER_FROZEN(role) (1u << (role))

/* Whether entries of that role have a gradient. */
static inline bool peer_ffw_trains(const struct peer_ffw_shape *shape, enum peer_role role)
{
    return !shape->forward_only && !(shape->frozen & PEER_FROZEN(role));
}

/* Which experts (or memories) the last forward pass used. Arrays belong to the layer and are valid
 * until its next call. */
struct peer_routing {
    int64_t experts;     /* N */
    int64_t side;        /* n with N = n*n, or 0 where the experts form no grid */
    int64_t heads, kept; /* H, k */
    bool experts_choose; /* experts choose tokens: k is only the most that a token can get, and an
                            id of -1 no choice that found no room */
    const int32_t *ids;  /* [T, H, k]; -1 = nothing (padding, dropped) */
    const float *gates;  /* [T, H, k] */
};

struct peer_ffw_type {
    const char *name;    /* as in configuration files: "peer" */
    const char *summary; /* one line */
    const char *source;  /* paper and equation */
    size_t config_size;
    const struct peer_option *options; /* fields of the config, NULL-terminated */

    /* Fills a config with the defaults for width D. */
    void (*config_default)(void *config, int64_t width);
    /* PEER_OK, or PEER_ERR_ARGUMENT with the reason. */
    enum peer_status (*check)(struct peer_ctx *ctx, const void *config, int64_t width);
    /* What create refuses of a shape, for a config that check accepts: PEER_OK, or
     * PEER_ERR_ARGUMENT with the reason. */
    enum peer_status (*check_shape)(struct peer_ctx *ctx, const void *config,
                                    const struct peer_ffw_shape *shape);
    /* Traits of this config: a set of PEER_FFW_... flags. */
    unsigned (*traits)(const void *config);
    /* The file that a layer's rows would need, seed and stream aside; returns the name, without
     * prefix, of the entry that they are. NULL here = the type has no table. */
    const char *(*table)(struct peer_table_file_config *ret, const void *config, int64_t width);
    /* What a layer of this config costs per token. */
    void (*cost)(struct peer_cost *ret, const void *config, int64_t width);
    /* Bytes that create will allocate (weights, gradients, caches; not the optimizer's state) in a
     * context of one thread, for a config that check accepts; further threads may add scratch.
     * SIZE_MAX on overflow. */
    size_t (*memory)(const void *config, const struct peer_ffw_shape *shape);

    /* Weights are zero until peer_params_init(). */
    enum peer_status (*create)(void **ret, struct peer_ctx *ctx, const void *config,
                               const struct peer_ffw_shape *shape);
    /* Appends the layer's entries under `prefix`, all or none. Errors: those of
     * peer_params_add(). */
    enum peer_status (*params)(void *layer, struct peer_params *list, const char *prefix);
    /* Writes y [T, D]. mask [T]: 0 = padding, whose y is 0 and which no statistic counts; NULL =
     * none. What padding holds, and its dy, is finite and changes nothing else. In PEER_MODE_TRAIN
     * x must stay unchanged until backward.
     * A token that is not finite, or whose squares, queries, scores or logits are not, has a y of
     * NaN, or of infinities: never one of 0. In PEER_MODE_EVAL it is to all other tokens what
     * padding is; in PEER_MODE_TRAIN batch statistics take it to the whole batch. */
    void (*forward)(void *layer, float *y, const float *x, const uint8_t *mask, int64_t T,
                    enum peer_mode mode);
    /* Once after forward in PEER_MODE_TRAIN of the same x and T: adds to dx [T, D] and to the
     * parameters' gradients, of which it writes the stale ones. */
    void (*backward)(void *layer, float *dx, const float *dy, const float *x, int64_t T);
    /* The routing of the last forward pass, whose sizes (experts, side, heads, kept) are known from
     * create on; false (or a NULL pointer here) where there is none. */
    bool (*routing)(const void *layer, struct peer_routing *ret);
    /* Writes the auxiliary losses of the last forward pass in PEER_MODE_TRAIN and returns their
     * number, at most PEER_FFW_LOSSES. NULL = the type has none. */
    int (*losses)(const void *layer, struct peer_ffw_loss *ret);
    /* Multiplies the auxiliary losses' gradients in the next backward pass, as the mean loss's
     * gradient is multiplied in dy; 1 before any call. NULL = the type has none. */
    void (*loss_scale)(void *layer, float scale);
    /* Training passes since create in which running statistics skipped or limited what the batch
     * said (nn/layers/norm.h); not saved. NULL = the type has none. */
    int64_t (*skipped)(const void *layer);
    void (*destroy)(void **layer);
};

#ifdef __cplusplus
}
#endif

#endif
