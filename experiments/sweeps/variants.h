/* SPDX-License-Identifier: MIT */
/* Internal to sweeps. Which runs are one variant: this is decided here and nowhere else. */
#ifndef PEER_EXPERIMENTS_SWEEPS_VARIANTS_H
#define PEER_EXPERIMENTS_SWEEPS_VARIANTS_H

#include "experiments/sweeps/results.h"
#include "nn/context.h"

/* What the store knows of a run beside its result. */
struct lab_variant_source {
    const char *config; /* text of its run file */
    uint64_t key;       /* lab_settings_plan_key() when it was planned; 0 = not recorded */
};

/* Sets `variant` of every row out of its `name`, so that two rows have the same `variant` exactly
 * where they have the same name and the same settings (README.md: "What a variant is"). Where one
 * name has several, what differs stands behind it: "dense (lr 0.004)". Errors: PEER_ERR_MEMORY. */
enum peer_status lab_variants_tell_apart(struct lab_result *rows, struct peer_ctx *ctx,
                                         const struct lab_variant_source *source, int64_t count);

#endif
