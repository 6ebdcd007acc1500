/* SPDX-License-Identifier: MIT */
#include "lm/options.h"

#include <stddef.h>

#include "lm/dataset.h"
#include "lm/train.h"

#define TRAIN(field) offsetof(struct lm_train_config, field)

const struct peer_option lm_data_options[] = {
    {"dtype", PEER_OPTION_CHOICE, offsetof(struct lm_data_config, dtype), 0, 0, lm_dtype_names,
     "ids of token files without a header, made by other programs; auto: uint16"},
    {NULL, PEER_OPTION_INT, 0, 0, 0, NULL, NULL}};

const struct peer_option lm_train_options[] = {
    {"steps", PEER_OPTION_INT, TRAIN(steps), 1, 1e12, NULL, "optimizer steps"},
    {"sequences", PEER_OPTION_INT, TRAIN(sequences), 1, 65536, NULL, "sequences per step"},
    {"length", PEER_OPTION_INT, TRAIN(length), 1, 65536, NULL,
     "tokens of a sequence, at most the model's context, which is the default if it is less"},
    {"accumulate", PEER_OPTION_INT, TRAIN(accumulate), 1, 65536, NULL,
     "passes that a step's sequences are cut into"},
    {"lr", PEER_OPTION_FLOAT, TRAIN(lr), 1e-9, 1, NULL, "peak learning rate"},
    {"warmup", PEER_OPTION_FLOAT, TRAIN(warmup), 0, 1, NULL, "share of the steps with rising rate"},
    {"final_lr", PEER_OPTION_FLOAT, TRAIN(final_lr), 0, 1, NULL,
     "share of the peak rate left at the end"},
    {"cooldown", PEER_OPTION_FLOAT, TRAIN(cooldown), 0, 1, NULL,
     "schedule constant: share of the steps with falling rate"},
    {"schedule", PEER_OPTION_CHOICE, TRAIN(schedule), 0, 0, lm_schedule_names,
     "how the rate moves"},
    {"optimizer", PEER_OPTION_CHOICE, TRAIN(optim.dense), 0, 0, peer_optim_names,
     "for dense parameters"},
    {"table_optimizer", PEER_OPTION_CHOICE, TRAIN(optim.rows), 0, 0, peer_optim_rows_names,
     "for tables of experts and memories: adamw leaves rows alone that a step does not use, "
     "deferred_adamw lets them catch up later"},
    {"table_moments", PEER_OPTION_CHOICE, TRAIN(optim.rows_moments), 0, 0, peer_optim_moments_names,
     "of tables, with either adamw: their precision"},
    {"table_second_moment", PEER_OPTION_CHOICE, TRAIN(optim.rows_second), 0, 0,
     peer_optim_second_names,
     "of tables, with either adamw: one per value, or per vector of a row"},
    {"beta1", PEER_OPTION_FLOAT, TRAIN(optim.beta1), 0, 0.999999, NULL, "decay of the mean"},
    {"beta2", PEER_OPTION_FLOAT, TRAIN(optim.beta2), 0, 0.999999, NULL, "decay of the mean square"},
    {"epsilon", PEER_OPTION_FLOAT, TRAIN(optim.epsilon), 1e-20, 1, NULL,
     "added to the root of the mean square"},
    {"weight_decay", PEER_OPTION_FLOAT, TRAIN(optim.weight_decay), 0, 10, NULL,
     "decoupled weight decay"},
    {"clip", PEER_OPTION_FLOAT, TRAIN(optim.clip), 0, 1e9, NULL,
     "largest global norm of the gradient, 0 = none"},
    {"nonfinite", PEER_OPTION_CHOICE, TRAIN(nonfinite), 0, 0, lm_nonfinite_names,
     "where a loss or gradient is not finite: the run has diverged and ends, or the step is "
     "skipped "
     "and counted"},
    {"seed", PEER_OPTION_INT, TRAIN(seed), 0, 9e15, NULL, "of weights and data order"},
    {"eval_every", PEER_OPTION_INT, TRAIN(eval_every), 0, 1e12, NULL,
     "steps between evaluations, 0 = at the end only"},
    {"eval_tokens", PEER_OPTION_INT, TRAIN(eval_tokens), 0, 1e12, NULL,
     "validation tokens per evaluation, 0 = all"},
    {"usage_points", PEER_OPTION_INT, TRAIN(usage_points), 0, 100, NULL,
     "steps at which utilization is tracked, about log-spaced, the first and last included; "
     "0 = at the end only"},
    {"usage_tokens", PEER_OPTION_INT, TRAIN(usage_tokens), 0, 1e12, NULL,
     "validation tokens of each of these, 0 = as eval_tokens"},
    {"checkpoint_seconds", PEER_OPTION_FLOAT, TRAIN(checkpoint_seconds), 0.001, 1e6, NULL,
     "least seconds between checkpoints"},
    {NULL, PEER_OPTION_INT, 0, 0, 0, NULL, NULL}};
