/* SPDX-License-Identifier: MIT */
/* data.json, which says what a prepared folder holds (lm/dataset.h):
 *   format "peerlab-data", version 1, created (UTC), tokenizer, vocab,
 *   train and valid: tokens, bytes (of text), documents, crc32 (of the .bin file),
 *   inputs: list of path, bytes (of the file), split; unit, seed, repaired; where records were
 *   left out, skipped (their number) and first_skipped ("file:line: why"). */
#ifndef PEER_EXPERIMENTS_DATA_DESCRIBE_H
#define PEER_EXPERIMENTS_DATA_DESCRIBE_H

#include <stdio.h>

#include "experiments/data/data.h"
#include "experiments/data/data_folder.h"
#include "experiments/data/text_inputs.h"

#define LAB_DATA_DESCRIPTION "data.json"

enum { LAB_BYTES_VOCAB = 257 };

/* Errors: PEER_ERR_IO, PEER_ERR_MEMORY. */
enum peer_status lab_description_write(struct peer_ctx *ctx, const struct lab_folder *folder,
                                       const struct lab_data_report *report,
                                       const struct lab_data_options *options,
                                       const struct lab_inputs inputs[LAB_SPLITS]);

/* Takes tokenizer and vocabulary from a prepared folder. Errors: PEER_ERR_IO; PEER_ERR_FORMAT;
 * PEER_ERR_ARGUMENT where it has a vocabulary and no tokenizer. */
enum peer_status lab_description_tokenizer(struct lab_data_report *report, struct peer_ctx *ctx,
                                           const char *folder);

/* Prints what a prepared folder holds, after checking its files. Errors: those of
 * lm_dataset_open(). */
enum peer_status lab_data_info(struct peer_ctx *ctx, const char *folder, FILE *file);

#endif
