/* SPDX-License-Identifier: MIT */
/* Internal. What an optimizer keeps for a table, and the step of one row. Rows are handed in as
 * floats: in place, or as a copy that whoever stores them otherwise writes back. */
#ifndef PEER_NN_OPTIM_TABLE_H
#define PEER_NN_OPTIM_TABLE_H

#include <stdatomic.h>

#include "nn/kernels/kernels.h"
#include "nn/optim/optim.h"
#include "nn/pool.h"

struct peer_optim_history;

struct peer_optim_table {
    const struct peer_ctx *ctx;
    const struct peer_kernels *kernels;
    const struct peer_optim_config *config;
    const struct peer_param *param;
    int64_t rows, width, stride; /* stride of `moments`, in values */
    int32_t id;                  /* tells tables apart in random draws */
    void *moments;               /* [rows, stride], float or bfloat16: m | v, or m; else NULL */
    float *second;               /* [rows, shared]: see peer_optim_state(); else NULL */
    int64_t shared;
    bool by_part;   /* a gradient is taken segment by segment, and need not be formed */
    bool streams;   /* and the step itself fetches the row to come */
    float *scratch; /* [threads, peer_optim_table_scratch()], shared by all tables */
    int64_t scratch_stride;

    /* Deferred AdamW only. */
    const struct peer_optim_history *history;
    int32_t *moment_step;         /* [rows]: the step of the last gradient; 0 = none */
    _Atomic int32_t *weight_step; /* [rows]: the step that the weights are of */
};

/* One step for one table. */
struct peer_table_step {
    struct peer_adam_step adam; /* rate and shrink are the table's */
    float lr;                   /* the table's */
    int32_t number;             /* t */
};

/* A row to be stepped: weights `p` and gradient `g`, [width] each. */
struct peer_optim_row {
    int64_t row;
    float *p;
    const float *g; /* NULL: only `part` has it */
    /* With by_part: */
    struct peer_rows_part part[PEER_ROWS_SEGMENTS];        /* the gradient, by segment */
    struct peer_rows_part coming_part[PEER_ROWS_SEGMENTS]; /* the first entry of the row `coming` */
    int64_t coming; /* a row to be fetched, floats of f32 weights and moments; -1 = none */
};

/* Everything that is allocated, in a table whose param and config are set. A pool without a context
 * measures. */
void peer_optim_table_allocate(struct peer_optim_table *table, struct peer_pool *pool);

/* Values of scratch that a thread needs for tables of that width. */
int64_t peer_optim_table_scratch(int64_t width);

/* Steps a row and its state. Rows of deferred AdamW are up to date. `scratch` is the thread's. */
void peer_optim_table_step(const struct peer_optim_table *table, const struct peer_optim_row *row,
                           const struct peer_table_step *step, float *scratch);

/* Moments of a row as floats, [width] each, in place or read into scratch [2 width]; a shared
 * second moment is spread over its segment. For reading only. */
void peer_optim_table_moments(const float **m, const float **v,
                              const struct peer_optim_table *table, int64_t row, float *scratch);

/* Asks for the state of a row that is soon needed. */
void peer_optim_table_prefetch(const struct peer_optim_table *table, int64_t row);

/* p = shrink p - rate g. */
void peer_optim_descend(float *p, const float *g, int64_t n, float shrink, float rate);

/* 1 - lr decay of an entry, lr being for lr_scale = 1. */
static inline float peer_optim_shrink(const struct peer_optim_config *config,
                                      const struct peer_param *param, float lr)
{
    return 1 - lr * param->lr_scale * param->decay * config->weight_decay;
}

/* Appends the table's state; the caller takes back what was added on failure. */
enum peer_status peer_optim_table_state(const struct peer_optim_table *table,
                                        struct peer_params *list);

static inline bool peer_optim_has_moments(const struct peer_optim_config *config)
{
    return config->rows == PEER_ROWS_ADAMW || config->rows == PEER_ROWS_DEFERRED_ADAMW;
}

#endif
