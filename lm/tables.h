/* SPDX-License-Identifier: MIT */
/* The tables of a model in mapped files, which may be larger than memory: FOLDER/table-BLOCK for
 * each block that has one, and beside it FOLDER/table-BLOCK.undo (nn/tables/table_undo.h), which
 * takes it back to the step of the last checkpoint. A checkpoint holds everything else. */
#ifndef PEER_LM_TABLES_H
#define PEER_LM_TABLES_H

#include "lm/model.h"

struct lm_tables;

/* Bytes of all table files of a model, logs apart; 0 where it has no table; SIZE_MAX on overflow.
 */
size_t lm_tables_bytes(const struct lm_config *config);

/* Opens the files of a model; for writing, makes those that are missing, of which rows are drawn
 * from `seed` as lm_model_create() would draw them. Errors: those of peer_table_file_create(),
 * peer_table_file_open(), peer_table_undo_open(); *ret untouched then. */
enum peer_status lm_tables_open(struct lm_tables **ret, struct peer_ctx *ctx,
                                const struct lm_config *config, const char *folder, uint64_t seed,
                                enum peer_table_access access);
void lm_tables_close(struct lm_tables **tables);

/* Removes the files, which are gone once they are closed; NULL has none. */
void lm_tables_remove(const struct lm_tables *tables);

/* Of block `block`, or NULL. */
struct peer_table_file *lm_tables_file(const struct lm_tables *tables, int64_t block);

/* As the functions of nn/tables/table_undo.h, for all files; savepoints are steps of training.
 * keep: the rows that have a gradient in `params`. NULL is a model whose tables are in memory:
 * nothing is to be done. */
enum peer_status lm_tables_restore(struct lm_tables *tables, int64_t step);
enum peer_status lm_tables_keep(struct lm_tables *tables, const struct peer_params *params);
enum peer_status lm_tables_prepare(struct lm_tables *tables, int64_t step);
enum peer_status lm_tables_commit(struct lm_tables *tables);

/* Appends those of `params` that are in memory: what a checkpoint holds. Errors: PEER_ERR_MEMORY.
 */
enum peer_status lm_tables_rest(struct peer_params *list, const struct peer_params *params);

#endif
