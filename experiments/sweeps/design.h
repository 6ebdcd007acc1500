/* SPDX-License-Identifier: MIT */
/* Internal to sweeps. What a run's config, as the store keeps it, says of the model. */
#ifndef PEER_EXPERIMENTS_SWEEPS_DESIGN_H
#define PEER_EXPERIMENTS_SWEEPS_DESIGN_H

#include "experiments/sweeps/results.h"
#include "nn/context.h"

/* Sets row's vocab, granularity and design out of `config`, the text of a run file; 0 where it does
 * not say, as for a field of which this program knows nothing. Errors: PEER_ERR_MEMORY. */
enum peer_status lab_design_read(struct lab_result *row, struct peer_ctx *ctx, const char *config);

#endif
