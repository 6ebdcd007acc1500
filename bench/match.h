/* SPDX-License-Identifier: MIT */
/* A comparison: two sides do the same work in turns, so that drift of the machine hits both, and
 * the ratio is taken pair by pair. While one side is timed the other sleeps. Comparisons are
 * printed as they come, as CSV, and once more as one table at the end. */
#ifndef PEER_BENCH_MATCH_H
#define PEER_BENCH_MATCH_H

#include "bench/bench.h"
#include "bench/rival.h"

/* Either a function of this program or a rival. */
struct bench_side {
    const char *name; /* "torch, rows in place" */
    void (*run)(void *job);
    void *job;
    struct rival *rival;
};

struct bench_match {
    const char *name; /* "peer/step" */
    char sizes[96];
    const char *unit; /* of work: "tokens" */
    double work;      /* units per run */
    double target;    /* least ratio asked for; 0 = none */
    double scale;     /* of the ratio, where the two sides do different work; 0 = 1 */
    struct bench_side ours, theirs;
    double difference; /* of the results, as bench_difference(); negative = not compared */
    double tolerance;  /* largest difference that counts as agreement */
};

/* Whether it is asked for: by its name, sizes, and theirs.name, spaces between. */
bool bench_match_wanted(const struct bench *bench, const struct bench_match *match);

/* Runs the match (each side has been warmed up) and prints its row: ratio = scale * seconds of
 * theirs / seconds of ours. With a rival that is missing or failed, ours runs alone and the row
 * says why. A difference above the tolerance is printed and makes the program fail. Returns
 * seconds of ours. */
struct bench_stat bench_match(struct bench *bench, const struct bench_match *match);

/* The row alone, of times measured elsewhere: theirs may be NULL. Sorts both. */
struct bench_stat bench_match_report(struct bench *bench, const struct bench_match *match,
                                     double *ours, double *theirs, int runs);

/* Times one side until it has run often and long enough; returns the number of times, at most
 * BENCH_MOST_RUNS. */
int bench_side_times(const struct bench *bench, const struct bench_side *side, double *times);

/* A row without a second side: `seconds` is what ours is compared with. */
void bench_compare(struct bench *bench, const struct bench_match *match, struct bench_stat ours,
                   double seconds);

/* |a - b| / |b|, Euclidean norms over n values; NaN where either has one. */
double bench_difference(const float *a, const float *b, int64_t n);

/* The largest of the two; NaN wins. */
double bench_worse(double difference, double other);

/* Header of the CSV file; the table at the end; frees the summary. */
void bench_matches_begin(struct bench *bench);
void bench_matches_end(struct bench *bench);

#endif
