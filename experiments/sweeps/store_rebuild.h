/* SPDX-License-Identifier: MIT */
/* Internal to sweeps. A store that was lost, out of the run folders. */
#ifndef PEER_EXPERIMENTS_SWEEPS_STORE_REBUILD_H
#define PEER_EXPERIMENTS_SWEEPS_STORE_REBUILD_H

#include "experiments/sweeps/store.h"

/* Enters every run of FOLDER/runs/NUMBER whose planned.yaml can be read, under its number, into a
 * store without runs, all or none; what is finished with its result. `*taken` counts the latter. A
 * folder whose files are not what they should be is passed over: its run is trained again. Errors:
 * those of the store; PEER_ERR_IO and PEER_ERR_MEMORY where a file cannot be read. */
enum peer_status lab_store_rebuild(struct lab_store *store, struct peer_ctx *ctx,
                                   const char *folder, int64_t *taken);

#endif
