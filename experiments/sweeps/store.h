/* SPDX-License-Identifier: MIT */
/* The run store of a sweep: one SQLite file, sweep.db, beside the run folders. One process writes;
 * any may read meanwhile (WAL). The view `results` has one column per figure, for those who come
 * with SQL:
 *     sqlite3 -header -csv sweep.db 'select * from results' */
#ifndef PEER_EXPERIMENTS_SWEEPS_STORE_H
#define PEER_EXPERIMENTS_SWEEPS_STORE_H

#include "experiments/runs/run_config.h"
#include "experiments/sweeps/results.h"

struct lab_store;

/* Opens the store in `folder`: to be written, where folder and store are made if they are missing;
 * or only to be read, as it is at this moment, which writes nothing and needs no right to. Errors:
 * PEER_ERR_IO; PEER_ERR_FORMAT for a file that is no store of peerlab's own making (it may come
 * from anywhere, so its tables, views, triggers and indexes are compared), or one of a newer
 * version. */
enum peer_status lab_store_open(struct lab_store **ret, struct peer_ctx *ctx, const char *folder,
                                bool write);
void lab_store_close(struct lab_store **store);

/* Facts about the sweep as a whole. */
enum peer_status lab_store_set_info(struct lab_store *store, const struct lab_sweep_info *info);
/* The config text is owned by the store. */
enum peer_status lab_store_info(struct lab_store *store, struct lab_sweep_info *ret);

/* Another fact about it, under a key of its own. What lab_store_fact() gives is malloc()ed; NULL
 * = there is none. Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_store_set_fact(struct lab_store *store, const char *key, const char *value);
enum peer_status lab_store_fact(char **ret, struct lab_store *store, const char *key);

/* Adds a run unless one with the same config is there; writes its id either way. */
enum peer_status lab_store_add(struct lab_store *store, int64_t *id,
                               const struct lab_run_config *config, double flops);

/* Puts back a run whose folder has this number; nothing where one with the same config is there. */
enum peer_status lab_store_restore(struct lab_store *store, int64_t id,
                                   const struct lab_run_config *config, double flops);

bool lab_store_empty(struct lab_store *store);

/* What is written between these two is written whole or, where `status` is a failure, not at all.
 * lab_store_end() returns that failure, or its own. */
enum peer_status lab_store_begin(struct lab_store *store);
enum peer_status lab_store_end(struct lab_store *store, enum peer_status status);

/* Whether the file that was opened is still the one at its place. Errors: PEER_ERR_IO, which says
 * what to do. */
enum peer_status lab_store_in_place(struct lab_store *store);

/* The id of the run with this config; 0 = there is none. */
enum peer_status lab_store_find(struct lab_store *store, int64_t *id,
                                const struct lab_run_config *config);

/* Runs found in flight were killed: they become pending. With `retry`, failed ones too. */
enum peer_status lab_store_recover(struct lab_store *store, bool retry);

enum peer_status lab_store_state(struct lab_store *store, int64_t id, enum lab_state *ret);

/* Sets a run's state; with DONE or DIVERGED, the result and curve in `run_folder` are taken in. */
enum peer_status lab_store_set(struct lab_store *store, int64_t id, enum lab_state state,
                               const char *message, const char *run_folder);

/* All runs, by id. Free with lab_results_free(). */
enum peer_status lab_store_results(struct lab_store *store, struct lab_result **ret,
                                   int64_t *count);
void lab_results_free(struct lab_result **results, int64_t count);

#endif
