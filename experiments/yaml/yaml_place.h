/* SPDX-License-Identifier: MIT */
/* Paths in a YAML file. A relative one is looked for beside the file, and where nothing is there
 * relative to the current folder, so that a file names its neighbours from wherever it is read. */
#ifndef PEER_EXPERIMENTS_YAML_PLACE_H
#define PEER_EXPERIMENTS_YAML_PLACE_H

#include <stdio.h>

#include "experiments/yaml/yaml_file.h"

/* Reads a field that holds a path: `name` as it is written and `place` as it is to be opened from
 * the current folder, [size] both. Errors: as lab_yaml_string(), also for a place that is too long.
 */
enum peer_status lab_yaml_place(struct peer_ctx *ctx, char *name, char *place, size_t size,
                                const struct lab_yaml_node *node);

/* Tells on `file` which of the two a relative `name` in the YAML file `path` became, unless that
 * lies in the current folder, where they are one. */
void lab_yaml_place_tell(FILE *file, const char *path, const char *field, const char *name,
                         const char *place);

/* Whether something is there: a file, a folder, or what a pattern such as "f/train_*.bin" matches.
 * What cannot be told counts as there: who opens it will say why. */
bool lab_yaml_place_exists(const char *path);

/* `path` so that it holds in every folder: absolute, without links; where that is not known, not of
 * `size` bytes, or not UTF-8, as it is. Errors: PEER_ERR_IO, where the disk does not say. */
enum peer_status lab_yaml_place_everywhere(char *ret, size_t size, struct peer_ctx *ctx,
                                           const char *path);

#endif
