/* SPDX-License-Identifier: MIT */
/* The language model: a pre-norm decoder with a pluggable FFW slot.
 *
 *   x_0 = E[token]
 *   x   = x + Wo attention(RMSNorm(x))      causal, rotary positions (Su et al. 2021)
 *   x   = x + ffw(RMSNorm(x))
 *   logits = RMSNorm(x_L) E^T               tied embeddings
 *
 * One block (the middle one by default) or a list of blocks takes the sparse FFW, the rest the
 * dense one, as in the PEER paper, Sec. 3. No biases. Thread-safety: one call at a time. */
#ifndef PEER_LM_MODEL_H
#define PEER_LM_MODEL_H

#include "nn/layers/dense.h"
#include "nn/layers/ffw.h"
#include "nn/optim/optim.h"

enum { LM_MAX_BLOCKS = 256, LM_MAX_VOCAB = 1 << 20 };

/* What stands still in training, by the roles of parameters (nn/params/param.h). */
enum lm_freeze {
    LM_FREEZE_NONE = 0,
    LM_FREEZE_ROUTER,  /* what decides which experts serve a token */
    LM_FREEZE_EXPERTS, /* what they are made of */
    LM_FREEZE_MIXTURE, /* both */
    LM_FREEZE_REST,    /* all but the mixture */
    LM_FREEZE_COUNT
};

/* "none", "router", "experts", "mixture", "rest", NULL. */
extern const char *const lm_freeze_names[];

/* Where the rows of tables lie. */
enum lm_place {
    LM_PLACE_MEMORY = 0,
    LM_PLACE_MAPPED, /* in files mapped into memory, which may be larger (lm/tables.h) */
    LM_PLACE_COUNT
};

/* "memory", "mapped", NULL. */
extern const char *const lm_place_names[];

struct lm_tables;

struct lm_config {
    int64_t vocab;   /* V, 1 ... LM_MAX_VOCAB */
    int64_t width;   /* D, 2 ... 16384, a multiple of 2 * heads */
    int64_t blocks;  /* L, 1 ... LM_MAX_BLOCKS */
    int64_t heads;   /* attention heads >= 1. Default: lm_config_default_heads() */
    int64_t context; /* most tokens of a sequence, 1 ... 65536. Default 256 */
    int64_t passes;  /* most backward passes between two optimizer steps, 1 ... 65536. Default 1 */
    enum lm_freeze freeze;           /* of a model that is trained. Default none; another needs a
                                        mixture in some block */
    enum lm_place tables;            /* no weight depends on it. Default memory; mapped needs tables
                                        of f32 or bf16 */
    struct lm_tables *table_files;   /* of mapped tables, opened; must outlive a model. Not needed
                                        to check, cost or measure a config */
    struct peer_dense_config dense;  /* of the blocks that are not sparse */
    const struct peer_ffw_type *ffw; /* type of the sparse blocks; NULL = dense everywhere */
    const void *ffw_config;          /* config of that type; copied by create */
    bool sparse_at[LM_MAX_BLOCKS];   /* which blocks take it, with ffw at least one.
                                        Default: block (L-1)/2 only */
};

struct lm_model;

/* The number of heads that a model of width D has by default. Their width is 32 up to D = 256 and
 * 64 above, or where such do not divide D evenly the next wider, up to twice that, or else the next
 * narrower, down to half; where none does (D twice a prime, for one), there is one head. */
int64_t lm_config_default_heads(int64_t width);

/* Everything but vocab, width and blocks at its default. */
struct lm_config lm_config_default(int64_t vocab, int64_t width, int64_t blocks);

/* PEER_OK or PEER_ERR_ARGUMENT with field and numbers. */
enum peer_status lm_config_check(struct peer_ctx *ctx, const struct lm_config *config);

/* Likewise, whether a model of this config, which lm_config_check() accepts, can be trained on
 * batches of `tokens` tokens: what lm_model_create() would refuse. */
enum peer_status lm_config_check_tokens(struct peer_ctx *ctx, const struct lm_config *config,
                                        int64_t tokens);

/* Cost per token at sequence length `length`: parts of attention (whose scores count the mean
 * length of the causal window, (length + 1) / 2), of each FFW and of the vocabulary; all
 * parameters. */
void lm_config_cost(struct peer_cost *ret, const struct lm_config *config, int64_t length);

/* Values that config->freeze keeps from training, of the params_total of its cost. */
int64_t lm_config_frozen(const struct lm_config *config);

/* Bytes of weights, mapped tables apart, gradients and activations for batches of `tokens` tokens,
 * and (apart) of the
 * optimizer's state, of what is trained; SIZE_MAX on overflow. */
size_t lm_config_memory(const struct lm_config *config, int64_t tokens);
size_t lm_config_optim_memory(const struct lm_config *config,
                              const struct peer_optim_config *optim);

/* Bytes of optimizer state per expert or memory; 0 where there are none. */
int64_t lm_config_row_memory(const struct lm_config *config, const struct peer_optim_config *optim);

/* A model for batches of up to `tokens` tokens in all; weights are drawn from `seed` by name, so
 * that models that share a part share its initial values. Frozen parameters have no gradients and
 * are listed as buffers. With `trainable` false all are, no gradients are allocated where that
 * saves memory, and only PEER_MODE_EVAL may be used.
 * Errors: as check; PEER_ERR_MEMORY. */
enum peer_status lm_model_create(struct lm_model **ret, struct peer_ctx *ctx,
                                 const struct lm_config *config, int64_t tokens, uint64_t seed,
                                 bool trainable);
void lm_model_destroy(struct lm_model **model);

const struct lm_config *lm_model_config(const struct lm_model *model);

/* The most tokens of one pass, as given to create. */
int64_t lm_model_tokens(const struct lm_model *model);

/* All parameters and buffers: "embed" [V, D], "norm.gain" [D], "blocks.I.attention.norm.gain",
 * ".qkv" [3 D, D], ".out" [D, D], "blocks.I.ffw.norm.gain", "blocks.I.ffw." + the layer's own.
 * Owned by the model. */
const struct peer_params *lm_model_params(const struct lm_model *model);

/* Forward pass over B sequences of S tokens, B*S <= tokens, S <= context. inputs [B, S]: token ids,
 * each in 0 ... V-1, or -1 = padding (at the end of a sequence). targets [B, S]: the id to predict,
 * or -1 = not scored; padding is never scored. Returns the summed loss in nats over scored
 * positions and writes their number to *scored; losses [B, S] receives each position's loss (0
 * where not scored), if not NULL. In PEER_MODE_TRAIN it also forms the gradient of the logits, of
 * the mean loss over scored positions, and must be followed by lm_model_backward(). */
double lm_model_forward(struct lm_model *model, int64_t *scored, float *losses,
                        const int32_t *inputs, const int32_t *targets, int64_t B, int64_t S,
                        enum peer_mode mode);

/* After a forward pass in PEER_MODE_TRAIN, before the next: writes where its first value that is
 * not finite is, in the order of computation: "the output of blocks.1.ffw.norm, token 5". False
 * where all up to the logits are finite. */
bool lm_model_nonfinite(const struct lm_model *model, char *text, size_t size);

/* Adds `scale` times the gradient of the mean loss, and of lm_model_auxiliary(), to the parameters'
 * gradients. */
void lm_model_backward(struct lm_model *model, float scale);

/* Sum of the FFW layers' auxiliary losses of the last forward pass in PEER_MODE_TRAIN; 0 where they
 * have none. It is no part of what lm_model_forward() returns. */
double lm_model_auxiliary(const struct lm_model *model);

/* The same for block `block` alone, loss by loss: nn/layers/ffw.h. */
int lm_model_losses(const struct lm_model *model, int64_t block, struct peer_ffw_loss *ret);

/* Once per optimizer step, after its backward passes: layers move what is theirs to move, such as
 * the biases of loss_free (nn/layers/ffw.h). */
void lm_model_step(struct lm_model *model);

/* Training passes in which running statistics of block `block`'s FFW skipped what was not finite
 * (nn/layers/ffw.h); 0 where it has none. */
int64_t lm_model_skipped(const struct lm_model *model, int64_t block);

/* Logits [V] of the last position that is not padding of sequence `b` of the last forward pass. */
void lm_model_logits(struct lm_model *model, float *logits, int64_t b);

/* The same of position `s`, 0 ... S-1, which is not padding. */
void lm_model_logits_at(struct lm_model *model, float *logits, int64_t b, int64_t s);

/* Routing of block `block`'s FFW in the last forward pass; false where it has none. */
bool lm_model_routing(const struct lm_model *model, int64_t block, struct peer_routing *ret);

#endif
