/* SPDX-License-Identifier: MIT */
/* Weights that another program wrote, into a model: a safetensors file with names of this
 * program's, or with those of modules in use (peer/foreign.h): one layer alone, or several, or all
 * of a model.
 */
#ifndef PEER_EXPERIMENTS_RUNS_WEIGHTS_IN_H
#define PEER_EXPERIMENTS_RUNS_WEIGHTS_IN_H

#include <stdio.h>

#include "lm/model.h"

struct lab_weights_in {
    int64_t block;           /* takes the file's one layer; -1 = as names and order say */
    bool partial;            /* tensors that nobody asks for are passed over */
    const char *const *drop; /* [drops], patterns of tensors to pass over */
    int drops;
};

/* What came of it. */
struct lab_weights_told {
    int64_t tensors, kept; /* read; entries of the model that keep their values */
    char layers[512];      /* which layers came from where, one a line, each with its line feed */
    char first_kept[96];   /* the first such entry */
    int64_t left_over;     /* tensors passed over */
    char first_left_over[96];
};

/* Fills the entries of `params`, those of a model of this config, of which the file has a tensor. A
 * layer comes whole or not at all; other entries may be missing. The file's layers go to the
 * model's sparse blocks of their own names, or in their order. Biases that layers here do not have
 * must be 0, but that of queries before a batch norm, which its running mean takes up. Errors:
 * those of peer_params_load(), before which nothing is touched; PEER_ERR_FORMAT, PEER_ERR_ARGUMENT
 * with file and tensor where the layers are of other kinds or another number. */
enum peer_status lab_weights_in(struct lab_weights_told *ret, struct peer_ctx *ctx,
                                const char *path, const struct peer_params *params,
                                const struct lm_config *config,
                                const struct lab_weights_in *options);

/* What came of it in words: lines on `file`. */
void lab_weights_told_print(FILE *file, const char *path, const struct lab_weights_told *told);

#endif
