/* SPDX-License-Identifier: MIT */
/* The undo log of a table in a mapped file. Such a table is changed in place, while what belongs to
 * it (other weights, the optimizer's state, the step) is saved now and then: the log takes the
 * table back to the last save, however the process ended. A savepoint is known by a number >= 0,
 * such as the step; a table of which no row has been drawn is at savepoint 0.
 *
 *   restore(0 or the savepoint that was loaded)
 *   for each step:  keep(rows), then change them
 *   for each save:  prepare(number); save the rest, to disk; commit()
 *
 * The log is a file of its own:
 *
 *   page 0     header: magic, version, which table, last savepoint, the one prepared, whether rows
 *              have changed since, how many are kept; CRC-32 of these
 *   bitmap     which rows had been drawn at the savepoint
 *   entries    row and its values at the savepoint, for each row drawn by then and changed since
 *
 * Entries are on disk before their rows change, so that a machine that loses power is no exception.
 * A log grows to the size of the rows changed between two savepoints, and has one bit per row in
 * memory. */
#ifndef PEER_NN_TABLE_UNDO_H
#define PEER_NN_TABLE_UNDO_H

#include "nn/tables/table_file.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_table_undo;

/* Opens the log at `path` of a table, which must outlive it; makes one for a table that is open for
 * writing and of which no row has been drawn. Errors: PEER_ERR_IO, also where there is none, but
 * rows have been drawn; PEER_ERR_FORMAT for a log that is damaged or of another table;
 * PEER_ERR_MEMORY. *ret untouched then. */
PEER_API enum peer_status peer_table_undo_open(struct peer_table_undo **ret, struct peer_ctx *ctx,
                                               struct peer_table_file *table, const char *path);
PEER_API void peer_table_undo_close(struct peer_table_undo **undo);

/* Takes the table back to a savepoint, which must be the last one, or the one prepared. To be
 * called before anything reads the table. Where that is open for reading, this only makes sure that
 * it is at that savepoint. Errors: PEER_ERR_FORMAT with the numbers where it is at another one, or
 * (reading) has changed since; PEER_ERR_IO. */
PEER_API enum peer_status peer_table_undo_restore(struct peer_table_undo *undo, int64_t savepoint);

/* Keeps rows ids [count] (< 0: none), which are about to change. Errors: PEER_ERR_IO, such as a
 * full disk: nothing may be changed then, until the next commit or restore. */
PEER_API enum peer_status peer_table_undo_keep(struct peer_table_undo *undo, const int32_t *ids,
                                               int64_t count);

/* Waits until all changes of the table are on disk, and notes the savepoint to come, a number above
 * the last. From here to commit, restore() takes either for an answer. Errors: PEER_ERR_IO. */
PEER_API enum peer_status peer_table_undo_prepare(struct peer_table_undo *undo, int64_t savepoint);

/* The savepoint prepared is now the last one. Errors: PEER_ERR_IO: nothing may be changed then. */
PEER_API enum peer_status peer_table_undo_commit(struct peer_table_undo *undo);

#ifdef __cplusplus
}
#endif

#endif
