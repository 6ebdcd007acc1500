/* SPDX-License-Identifier: MIT */
/* A checkpoint's weights for other programs. */
#ifndef PEER_EXPERIMENTS_RUNS_WEIGHTS_OUT_H
#define PEER_EXPERIMENTS_RUNS_WEIGHTS_OUT_H

#include "nn/context.h"
#include "peer/foreign.h"

enum lab_weights_form {
    LAB_WEIGHTS_PT = 0, /* safetensors, layers under names of modules of torch (peer/foreign.h) */
    LAB_WEIGHTS_NPY,    /* a folder of .npy files, u and v of experts apart */
    LAB_WEIGHTS_SPLIT,  /* safetensors, own names, u and v apart */
    LAB_WEIGHTS_COUNT
};

/* "pt", "npy", "split", NULL. */
extern const char *const lab_weights_form_names[];

struct lab_weights_out {
    enum lab_weights_form form;
    int names; /* enum peer_foreign; -1 = by the form: split, and of pt lucidrains for PEER, meta
                  for PKM, split for GLU experts */
    int64_t block; /* that block's layer alone, its names without a prefix; -1 = all weights */
};

/* `path` is a checkpoint or a run's folder. Writes the file OUT, or for npy the folder. A
 * safetensors file's metadata have the model's config as JSON ("model") and the names ("names").
 * *tensors: how many were written. Errors: PEER_ERR_ARGUMENT where OUT is there and not what this
 * wrote before, or the model has no such block or names; those of lab_checkpoint_model_open(),
 * peer_params_save() and lab_npy_write(). */
enum peer_status lab_weights_out(int64_t *tensors, struct peer_ctx *ctx, const char *path,
                                 const struct lab_weights_out *options, const char *out);

#endif
