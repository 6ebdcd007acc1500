/* SPDX-License-Identifier: MIT */
/* Training: batches, schedule, optimizer, evaluation, checkpoints, and a resume that ends with the
 * same bits as an uninterrupted run. */
#ifndef PEER_LM_TRAIN_H
#define PEER_LM_TRAIN_H

#include "lm/corpus.h"
#include "lm/eval.h"
#include "lm/model.h"
#include "nn/optim/optim.h"

enum lm_schedule { LM_SCHEDULE_COSINE = 0, LM_SCHEDULE_CONSTANT, LM_SCHEDULE_COUNT };

/* "cosine", "constant" (with a linear cool-down), NULL. */
extern const char *const lm_schedule_names[];

/* What becomes of a step whose loss or gradient is not finite. It is never taken. */
enum lm_nonfinite {
    LM_NONFINITE_STOP = 0, /* the run has diverged, and ends */
    LM_NONFINITE_SKIP,     /* the step is passed over and counted, and the run goes on with the next
                              batch; after LM_SKIPS in a row it has diverged */
    LM_NONFINITE_COUNT
};

/* "stop", "skip", NULL. */
extern const char *const lm_nonfinite_names[];

enum { LM_SKIPS = 100, LM_REASON = 240 };

struct lm_train_config {
    int64_t steps;      /* optimizer steps >= 1 */
    int64_t sequences;  /* per step >= 1. Default 8 */
    int64_t length;     /* S, tokens of a sequence, 1 ... context. Default 256 */
    int64_t accumulate; /* a step's sequences are cut into this many passes >= 1, dividing
                           `sequences`. Default 1 */
    float lr;           /* peak learning rate, 0 < lr <= 1. Default 3e-3 */
    float warmup;       /* share of the steps with rising rate, 0 ... 1. Default 0.05 */
    float final_lr;     /* share of the peak that is left at the end, 0 ... 1. Default 0.1 */
    float cooldown;     /* constant only: share of the steps with falling rate. Default 0.2 */
    enum lm_schedule schedule; /* default cosine */
    struct peer_optim_config optim;
    uint64_t seed;        /* of the data order. Default 1 */
    int64_t eval_every;   /* steps between evaluations; 0 = at the end only. Default 0 */
    int64_t eval_tokens;  /* tokens of validation text per evaluation; 0 = all. Default 0 */
    int64_t usage_points; /* steps at which hooks measure, 0 or 2 ... 100. Default 0 */
    int64_t usage_tokens; /* tokens of validation text they take; 0 = eval_tokens. Default 0 */
    enum lm_nonfinite nonfinite; /* default stop */
    float checkpoint_seconds;    /* least time between checkpoints, > 0. Default 30 */
};

/* 1000 steps, and the defaults above. */
struct lm_train_config lm_train_config_default(void);

/* PEER_OK, or PEER_ERR_ARGUMENT with field and numbers, also where `model` does not hold them. */
enum peer_status lm_train_config_check(struct peer_ctx *ctx, const struct lm_train_config *config,
                                       const struct lm_config *model);

/* Where accumulate > 1 makes a step other than one pass over the same sequences would, because
 * state of the model moves with each pass (batch norm of queries): writes why, as text for the
 * user, and returns true. */
bool lm_train_passes_differ(char *text, size_t size, const struct lm_train_config *config,
                            const struct lm_config *model);

/* Learning rate of step `step`, 0 ... steps-1: rises linearly and reaches the peak with the last
 * step of the warm-up, then falls along half a cosine, or stays and falls linearly in the
 * cool-down; the last step has final_lr of the peak. */
float lm_train_lr(const struct lm_train_config *config, int64_t step);

/* Whether hooks measure after `step` steps, 0 ... steps: before the first step, after the last, and
 * after usage_points - 2 steps between, evenly spaced in their logarithm from 1 on. Those that
 * rounding makes the same are one. */
bool lm_train_measures(const struct lm_train_config *config, int64_t step);

/* What is told after every step and every evaluation, the last one included. A run that is carried
 * on where one is due evaluates again; what only its last step knew is NAN there: loss, auxiliary,
 * lr, grad_norm. */
struct lm_train_progress {
    int64_t step, steps; /* steps done, steps in all */
    int64_t tokens;      /* trained on so far */
    double loss;         /* of this step's batch, nats per token; NaN of a skipped step */
    double auxiliary;    /* the FFW layers' own losses, which are trained on too */
    double lr, grad_norm;
    double seconds; /* in steps, resumed runs included; not in evaluation and saving */
    const struct lm_eval_result *eval; /* non-NULL right after an evaluation */
    bool saved;                        /* a checkpoint is written next */
};

/* What a caller may hook in. Every pointer may be NULL. */
struct lm_train_hooks {
    void *user;
    void (*progress)(void *user, const struct lm_train_progress *progress);
    bool (*stop)(void *user); /* true: write a checkpoint, return PEER_ERR_STOPPED */
    /* Called where lm_train_measures(), and again where a run resumes at such a step. It may use
     * the model in PEER_MODE_EVAL, which changes no bit of the training. Its failure ends the
     * training; PEER_ERR_STOPPED does as stop() does. */
    enum peer_status (*measure)(void *user, int64_t step, int64_t tokens);
    /* Called before the final evaluation: writes where its routing is added, as lm_evaluate() takes
     * it. Its failure ends the training. */
    enum peer_status (*final_usage)(void *user, struct lm_usage *const **ret);
    /* Called once all is allocated, read and checked, before the first step and what it writes. Its
     * failure ends the training. */
    enum peer_status (*begin)(void *user);
    /* Called before (true) and after a checkpoint is written, which is not to be cut off then. Its
     * failure before keeps the checkpoint from being written and ends the training. */
    enum peer_status (*saving)(void *user, bool begins);
    bool discard; /* writes no checkpoint after the last step: the result is all that is wanted */
};

struct lm_train_result {
    int64_t steps, tokens;
    double seconds;
    double flops;               /* tokens * cost per token */
    bool diverged;              /* training ended because a loss, gradient or parameter was not
                                   finite, or all gradients were 0 */
    char reason[LM_REASON];     /* why it diverged: "step 12: gradient of blocks.1.ffw.keys is not
                                   finite (first at index 17)"; "" = it has not */
    int64_t skipped;            /* steps passed over, of `steps` */
    int64_t skipped_statistics; /* passes of this process in which running statistics of an FFW
                                   skipped what was not finite (nn/layers/ffw.h) */
    struct lm_eval_result eval; /* final */
};

/* Trains `model`, which holds sequences / accumulate * length tokens and as many passes as
 * `accumulate`, on data->train and evaluates on data->valid (result->eval is NaN where that is
 * NULL). Where `checkpoint` (a path, may be NULL) exists, it is resumed from, after checking that
 * it is of this model, config and data (lm/run_state.h); it is written atomically during training,
 * in at most a tenth of the time, at stops, and at the end unless hooks discard it.
 *
 * A run has diverged where a step's loss or gradient is not finite (config->nonfinite may skip the
 * step instead), where all gradients are exactly 0 though there is a loss and nothing is frozen, as
 * overflows leave them, where a parameter or the optimizer's state is not finite, which is looked
 * for at the start and before each save, and where the final validation loss is not. What is not
 * finite is never saved over a good checkpoint; the last good one stays. So it does where a step is
 * known for bad only once it has been taken, and the model is ahead of the checkpoint then: with
 * nonfinite = stop and clip = 0, and where all gradients are 0.
 *
 * Mapped tables are first taken back to the step of the
 * checkpoint, or without one to their start. Errors: PEER_ERR_IO, PEER_ERR_FORMAT (damaged or
 * another run's checkpoint, or tables of another step), PEER_ERR_STOPPED, PEER_ERR_ARGUMENT,
 * PEER_ERR_MEMORY; *ret is untouched then. */
enum peer_status lm_train(struct lm_train_result *ret, struct peer_ctx *ctx, struct lm_model *model,
                          const struct lm_dataset *data, const struct lm_train_config *config,
                          const char *checkpoint, const struct lm_train_hooks *hooks);

#endif
