/* SPDX-License-Identifier: MIT */
/* Internal. Deferred AdamW: rows catch up on the steps that they missed. */
#ifndef PEER_NN_OPTIM_DEFERRED_H
#define PEER_NN_OPTIM_DEFERRED_H

#include "nn/optim/optim_table.h"

/* Steps that are remembered: no row falls further behind. */
enum { PEER_OPTIM_RING = 1024 };

/* Constants of the last steps; step t is at t % PEER_OPTIM_RING. One for all tables. */
struct peer_optim_history {
    int64_t steps;               /* taken so far */
    int64_t reach;               /* after so many steps, moments move weights no longer */
    float lr[PEER_OPTIM_RING];   /* for lr_scale = 1 */
    float rate[PEER_OPTIM_RING]; /* lr / (1 - beta1^t) */
    float root[PEER_OPTIM_RING]; /* 1 / sqrt(1 - beta2^t) */
    /* beta1^j, beta2^j, beta2^(j/2) */
    float fade1[PEER_OPTIM_RING + 1], fade2[PEER_OPTIM_RING + 1], root_fade[PEER_OPTIM_RING + 1];
};

/* PEER_ERR_ARGUMENT where an update would not fade within the ring. */
enum peer_status peer_optim_history_check(struct peer_ctx *ctx,
                                          const struct peer_optim_config *config);
void peer_optim_history_init(struct peer_optim_history *history,
                             const struct peer_optim_config *config);

/* Step number `steps` + 1 will be made at learning rate lr with these constants. */
void peer_optim_history_add(struct peer_optim_history *history, float lr,
                            const struct peer_adam_step *step);

/* Lets step `number` of row `row`, its weights up to date, start from older moments: they have
 * faded for every step since their own. The row's moments are then of that step. */
void peer_optim_fade(struct peer_adam_step *step, const struct peer_optim_table *table, int64_t row,
                     int32_t number);

/* Brings row `row`, in place, up to date with `number` steps. Many may ask for a row at once: one
 * of them does it, and it is done when all have returned. */
void peer_optim_catch_up_row(const struct peer_optim_table *table, int64_t row, int64_t number,
                             float *scratch);

/* Rows begin ... end-1, and those that anybody is about to read. */
void peer_optim_catch_up_range(const struct peer_optim_table *table, int64_t begin, int64_t end);
void peer_optim_catch_up_ids(void *table, const int32_t *ids, int64_t n);

/* The share of a table that catches up after every step, so that none falls behind the ring. */
void peer_optim_sweep(const struct peer_optim_table *table);

/* State was loaded: weights are of step `steps`, and no moments of a later one. */
void peer_optim_deferred_restart(const struct peer_optim_table *table, int64_t steps);

#endif
