/* SPDX-License-Identifier: MIT */
/* Internal to experiments. A list's entries as .npy files, one a tensor: float32 ('<f4'), whatever
 * holds the values, and int32 for integers. */
#ifndef PEER_EXPERIMENTS_RUNS_NPY_H
#define PEER_EXPERIMENTS_RUNS_NPY_H

#include "nn/params/names.h"

/* Writes FOLDER/NAME.npy for every tensor of the list under its name in `map` (NULL = their own);
 * each file appears whole or not at all. Errors: PEER_ERR_IO; PEER_ERR_ARGUMENT for a map that is
 * not of this list; PEER_ERR_MEMORY. */
enum peer_status lab_npy_write(const struct peer_params *list, const struct peer_name_map *map,
                               const char *folder);

#endif
