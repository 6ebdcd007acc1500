/* SPDX-License-Identifier: MIT */
/* The search for one rate on a grid that grows until its lowest loss is inside. */
#ifndef PEER_EXPERIMENTS_STUDY_RATE_CELL_H
#define PEER_EXPERIMENTS_STUDY_RATE_CELL_H

#include <stdbool.h>
#include <stdint.h>

enum { LAB_PROBES = 15 };

/* One search. */
struct lab_rate_cell {
    int variant;          /* of the study */
    bool scale;           /* of the tables' own rate; else of the learning rate */
    int64_t size, budget; /* places in tune's lists */
    double N;             /* of its table: memories or experts; 0 without */
    double start;         /* the grid's middle */
    double factor;        /* between neighbours: 2 or 4 */
    int64_t probes;
    int64_t step[LAB_PROBES]; /* value = start * factor^step, rising */
    double loss[LAB_PROBES];  /* nats; infinite where it diverged, NaN where there is none */
    bool found;               /* the lowest is inside the grid, between two that ended */
    double log2_best;         /* of the vertex; of the lowest probe where not `found` */
};

/* The next step to probe: 0, -1, 1, then past the edge where the loss is lowest, a probe that
 * diverged being worse than any other: below where all have; INT64_MAX when there is none. */
int64_t lab_rate_cell_next(const struct lab_rate_cell *cell);

/* Puts a probe in its place: infinite where it diverged, NaN where it failed. */
void lab_rate_cell_insert(struct lab_rate_cell *cell, int64_t step, double loss);

/* Sets found and log2_best. */
void lab_rate_cell_fit(struct lab_rate_cell *cell);

/* The place of the probe with the lowest loss; -1 where none is finite. */
int64_t lab_rate_cell_lowest(const struct lab_rate_cell *cell);

#endif
