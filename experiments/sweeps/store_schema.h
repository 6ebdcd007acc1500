/* SPDX-License-Identifier: MIT */
/* Internal to the store: the tables of its file, and whether a file has these and no others. */
#ifndef PEER_EXPERIMENTS_SWEEPS_STORE_SCHEMA_H
#define PEER_EXPERIMENTS_SWEEPS_STORE_SCHEMA_H

#include <sqlite3.h>

#include "nn/context.h"

/* Makes a file from somebody else harmless before anything is read: no triggers, no views, no
 * functions out of the schema, no writes to it, no value of more than 64 MiB. */
void lab_store_harden(sqlite3 *db);

/* Makes the tables in an empty file where `create`, and says whether the file is a store that
 * peerlab made, whole. Errors: PEER_ERR_FORMAT for what is none, for one of a newer version, for
 * one with tables, views, triggers or indexes that peerlab did not make, and for a damaged one;
 * PEER_ERR_IO. */
enum peer_status lab_store_check(sqlite3 *db, struct peer_ctx *ctx, const char *path, bool create);

/* Makes what an older program's store does not have yet, and the view for those who come with SQL.
 * An SQL text. */
extern const char lab_store_renew[];

/* Records what the database says is wrong, and returns PEER_ERR_FORMAT for a file that is damaged
 * or none of SQLite's, else PEER_ERR_IO. */
enum peer_status lab_store_fail(sqlite3 *db, struct peer_ctx *ctx, const char *path);

#endif
