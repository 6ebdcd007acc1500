/* SPDX-License-Identifier: MIT */
/* The files that a user's list of files and folders stands for. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_INPUTS_H
#define PEER_EXPERIMENTS_DATA_TEXT_INPUTS_H

#include "experiments/data/text_buffer.h"

struct lab_inputs {
    struct lab_buffer paths; /* each ended by a 0 byte */
    int64_t files;
    int64_t bytes;       /* of all files as they lie on disk; standard input and pipes count 0 */
    int64_t passed_over; /* files in folders whose names do not end like text */
};

/* Expands `count` names: a file or "-" stands for itself, a folder for the files in and below it
 * that end in .txt .text .md .tokens .jsonl .ndjson .json, or in one of these and .gz or .zst, in
 * the order of their names as bytes; names that begin with a dot are left out. Errors: PEER_ERR_IO
 * naming what is missing or unreadable; PEER_ERR_ARGUMENT for a folder without text. */
enum peer_status lab_inputs_expand(struct lab_inputs *ret, struct peer_ctx *ctx,
                                   const char *const *names, int count);
void lab_inputs_free(struct lab_inputs *inputs);

/* The first path, the one behind `path`; NULL behind the last. */
const char *lab_inputs_next(const struct lab_inputs *inputs, const char *path);

/* Whether `path` is called like JSON lines: .jsonl .ndjson .json, or these and .gz or .zst. */
bool lab_is_json_name(const char *path);

#endif
