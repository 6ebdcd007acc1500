/* SPDX-License-Identifier: MIT */
/* Internal to the store. A store as it stands, in memory: for readers, who may write neither to the
 * file nor beside it, and need not be able to. */
#ifndef PEER_EXPERIMENTS_SWEEPS_STORE_SNAPSHOT_H
#define PEER_EXPERIMENTS_SWEEPS_STORE_SNAPSHOT_H

#include <sqlite3.h>

#include "nn/context.h"

/* Opens what the SQLite file `path` holds, with what is committed in its write-ahead log, as a
 * database in memory that cannot be changed. A process at work there is not in the way, nor is it
 * hindered. Errors: PEER_ERR_IO where there is no such file or it cannot be read; PEER_ERR_FORMAT
 * for what is no database; PEER_ERR_MEMORY. */
enum peer_status lab_store_snapshot(sqlite3 **ret, struct peer_ctx *ctx, const char *path);

#endif
