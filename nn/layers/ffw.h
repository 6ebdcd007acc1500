/* SPDX-License-Identifier: MIT */
/* The FFW slot. Whatever stands between two attention layers (dense, PKM, PEER, a mixture) is a
 * `const struct peer_ffw_type`, and every layer of any type a `struct peer_ffw`; language model,
 * tests, benches and sweeps iterate over a list of types.
 *
 * A layer is weights and, where it trains, their gradients. A cache is what one forward pass leaves
 * for its backward pass: as many passes can be in flight as there are caches of the layer. Each
 * layer has a cache of its own, which the short forms of the calls use.
 *
 * Thread-safety: one call at a time on a cache. Several threads may evaluate on caches of one
 * layer, each made in a context of its own, since evaluation only reads it; but not while rows of
 * its table wait for an optimizer that lets them fall behind (call peer_optim_catch_up() before) or
 * for their first values in a mapped file (evaluate in one thread, or draw them, before). Training
 * passes and all else come one at a time. */
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

struct peer_ffw;       /* a layer */
struct peer_ffw_cache; /* of one pass at a time */

struct peer_ffw_shape {
    int64_t width;           /* D >= 1 */
    int64_t tokens;          /* most tokens T of a call on the layer's own cache >= 1 */
    int64_t tokens_per_step; /* most tokens in backward calls, on all caches, between two optimizer
                                steps; 0 = tokens. Not read where forward_only. Caches for more may
                                evaluate; to train on more is a mistake, and asserted */
    bool forward_only;       /* only PEER_MODE_EVAL: a layer may leave out its gradients, and list
                                weights without one as buffers */
    unsigned frozen;         /* set of PEER_FROZEN(role): the layer's entries of that role stand
                                still; they have no gradients and are listed as buffers. A frozen
                                router decides in training as at evaluation: running statistics
                                are used and kept, nothing is drawn, no bias moves */
    struct peer_table_file *table; /* where the rows of a layer's table lie, which must outlive it;
                                      NULL = in memory. Layers without a table leave it aside */
    struct peer_ffw *table_of; /* a layer whose table this one uses instead of having one, and to
                                  whose gradient it adds. It is of the same type and table, must
                                  outlive this layer, and its tokens_per_step counts the tokens of
                                  all that share; optimizers see the table in its entries alone.
                                  NULL = none. Layers without a table refuse it */
};

#define PEER_FROZEN(role) (1u << (role))

/* Whether entries of that role have a gradient. */
static inline bool peer_ffw_trains(const struct peer_ffw_shape *shape, enum peer_role role)
{
    return !shape->forward_only && !(shape->frozen & PEER_FROZEN(role));
}

/* Most tokens in backward calls of a step, the default filled in. */
static inline int64_t peer_ffw_step_tokens(const struct peer_ffw_shape *shape)
{
    return shape->forward_only || shape->tokens_per_step == 0 ? shape->tokens
                                                              : shape->tokens_per_step;
}

/* What one call is given. Sequences lie one behind the other; a layer may look at the ids and at
 * earlier tokens of a token's own sequence, never at later ones. */
struct peer_ffw_batch {
    const float *x;        /* [T, D] */
    int64_t T;             /* tokens >= 0 */
    const uint8_t *mask;   /* [T]: 0 = padding, whose y is 0 and which no statistic counts; NULL =
                              none. What padding holds, and its dy, is finite and changes nothing
                              else */
    const int32_t *ids;    /* [T]: token ids, -1 where padding; NULL = not known, which types that
                              read ids do not take */
    const int64_t *starts; /* [sequences]: each one's first token, ascending from 0; NULL = one
                              sequence */
    int64_t sequences;     /* read with starts */
};

/* Which experts (or memories) a forward pass used. Arrays belong to the cache and are valid until
 * its next call. */
struct peer_routing {
    int64_t experts;     /* N */
    int64_t side;        /* n with N = n*n, or 0 where the experts form no grid */
    int64_t heads, kept; /* H, k */
    bool experts_choose; /* experts choose tokens: k is only the most that a token can get, and an
                            id of -1 no choice that found no room */
    const int32_t *ids;  /* [T, H, k]; -1 = nothing (padding, dropped) */
    const float *gates;  /* [T, H, k] */
};

/* A type: what it is and costs, and what layers are made and run by; those are called through the
 * functions below. */
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

    /* Objects of layer and cache: nn/layers/ffw_object.h says what they begin with. */
    size_t layer_size, cache_size;
    /* Weights and gradients of a layer whose config and shape are set; takes memory from its pool.
     * What is taken otherwise, destroy gives back: it may find a layer half built. */
    enum peer_status (*build)(struct peer_ffw *layer);
    void (*destroy)(struct peer_ffw *layer); /* NULL = nothing to do */
    /* What a pass of up to cache->tokens tokens needs, from the cache's pool. */
    enum peer_status (*build_cache)(struct peer_ffw_cache *cache);
    enum peer_status (*params)(struct peer_ffw *layer, struct peer_params *list,
                               const char *prefix);
    void (*forward)(struct peer_ffw_cache *cache, float *y, const struct peer_ffw_batch *batch,
                    enum peer_mode mode);
    void (*backward)(struct peer_ffw_cache *cache, float *dx, const float *dy,
                     const struct peer_ffw_batch *batch);
    void (*step)(struct peer_ffw *layer);                                          /* may be NULL */
    void (*routing)(const struct peer_ffw_cache *cache, struct peer_routing *ret); /* may be NULL */
    int (*losses)(const struct peer_ffw_cache *cache, struct peer_ffw_loss *ret);  /* may be NULL */
    int64_t (*skipped)(const struct peer_ffw *layer);                              /* may be NULL */
};

/* A layer of the type's config (type->config_size bytes, copied), its weights zero until
 * peer_params_init(), and a cache for shape->tokens tokens. Errors: those of check and check_shape;
 * PEER_ERR_MEMORY. *ret is untouched then. */
PEER_API enum peer_status peer_ffw_create(struct peer_ffw **ret, struct peer_ctx *ctx,
                                          const struct peer_ffw_type *type, const void *config,
                                          const struct peer_ffw_shape *shape);
/* With its own cache; further ones go first. */
PEER_API void peer_ffw_destroy(struct peer_ffw **layer);

PEER_API const struct peer_ffw_type *peer_ffw_type_of(const struct peer_ffw *layer);

/* Bytes that create takes (weights, gradients, cache; not the optimizer's state) in a context of
 * one thread, for a config that check accepts; further threads may add scratch. SIZE_MAX on
 * overflow. */
PEER_API size_t peer_ffw_memory(const struct peer_ffw_type *type, const void *config,
                                const struct peer_ffw_shape *shape);

/* Appends the layer's entries under `prefix`, all or none. Errors: those of peer_params_add(). */
PEER_API enum peer_status peer_ffw_params(struct peer_ffw *layer, struct peer_params *list,
                                          const char *prefix);

/* Writes y [T, D]. In PEER_MODE_TRAIN x and ids must stay unchanged until backward.
 * A token that is not finite, or whose squares, queries, scores or logits are not, has a y of
 * NaN, or of infinities: never one of 0. In PEER_MODE_EVAL it is to all other tokens what
 * padding is; in PEER_MODE_TRAIN batch statistics take it to the whole batch. */
PEER_API void peer_ffw_forward(struct peer_ffw *layer, float *y, const float *x,
                               const uint8_t *mask, int64_t T, enum peer_mode mode);

/* Once after forward in PEER_MODE_TRAIN of the same x and T: adds to dx [T, D] and to the
 * parameters' gradients, of which it writes the stale ones. */
PEER_API void peer_ffw_backward(struct peer_ffw *layer, float *dx, const float *dy, const float *x,
                                int64_t T);

/* Once per optimizer step, after the step's backward passes on all caches: moves what follows them
 * without a gradient, such as a bias that balances the loads of experts. What the passes counted
 * for it is not saved, so that a checkpoint is made after it, not between two passes. */
PEER_API void peer_ffw_step(struct peer_ffw *layer);

/* The routing of the last forward pass, whose sizes (experts, side, heads, kept) are known from
 * create on; false where the type has none. */
PEER_API bool peer_ffw_routing(const struct peer_ffw *layer, struct peer_routing *ret);

/* Writes the auxiliary losses of the last forward pass in PEER_MODE_TRAIN and returns their number,
 * at most PEER_FFW_LOSSES. */
PEER_API int peer_ffw_losses(const struct peer_ffw *layer, struct peer_ffw_loss *ret);

/* Multiplies the auxiliary losses' gradients in backward passes on the cache, as the mean loss's
 * gradient is multiplied in dy; 1 before any call. */
PEER_API void peer_ffw_loss_scale(struct peer_ffw *layer, float scale);

/* Training passes since create in which running statistics skipped or limited what the batch said
 * (nn/layers/norm.h); not saved. */
PEER_API int64_t peer_ffw_skipped(const struct peer_ffw *layer);

/* A further cache of a layer, for passes of up to `tokens` tokens >= 1, in a context with as many
 * threads as it is to use, that of the layer or another. The layer must outlive it. Errors:
 * PEER_ERR_ARGUMENT where the layer would refuse as many tokens, PEER_ERR_MEMORY, in the text of
 * `ctx`; *ret is untouched then. */
PEER_API enum peer_status peer_ffw_cache_create(struct peer_ffw_cache **ret, struct peer_ctx *ctx,
                                                struct peer_ffw *layer, int64_t tokens);
PEER_API void peer_ffw_cache_destroy(struct peer_ffw_cache **cache);

/* The layer's own cache, which the short forms above use. */
PEER_API struct peer_ffw_cache *peer_ffw_own_cache(const struct peer_ffw *layer);

/* The same calls on a cache. forward and backward get the same batch. */
PEER_API void peer_ffw_cache_forward(struct peer_ffw_cache *cache, float *y,
                                     const struct peer_ffw_batch *batch, enum peer_mode mode);
PEER_API void peer_ffw_cache_backward(struct peer_ffw_cache *cache, float *dx, const float *dy,
                                      const struct peer_ffw_batch *batch);
PEER_API bool peer_ffw_cache_routing(const struct peer_ffw_cache *cache, struct peer_routing *ret);
PEER_API int peer_ffw_cache_losses(const struct peer_ffw_cache *cache, struct peer_ffw_loss *ret);
PEER_API void peer_ffw_cache_loss_scale(struct peer_ffw_cache *cache, float scale);

#ifdef __cplusplus
}
#endif

#endif
