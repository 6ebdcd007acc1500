/* SPDX-License-Identifier: MIT */
/* Where a part of several sizes wants more than its first seed: of every variant and budget at the
 * size with the lowest mean loss and at its two neighbours. Seeds can move that mean, so what is
 * wanted is asked for again when they are done; what was trained once stays. */
#ifndef PEER_EXPERIMENTS_STUDY_PART_SEEDS_H
#define PEER_EXPERIMENTS_STUDY_PART_SEEDS_H

#include "experiments/study/part_rows.h"

/* The points of the seeds seed[1 ... seeds - 1] that no row has yet, of each budget as many seeds
 * as the part allows it, seed by seed and budget by budget; with nothing known of a variant the
 * middle size stands for the best. `ret` takes up to 3 * seeds * budgets * variants of the part.
 * Returns their number; 0 = nothing more is wanted. */
int64_t lab_part_seeds(struct lab_point *ret, const struct lab_part_rows *rows, const int64_t *seed,
                       int64_t seeds);

#endif
