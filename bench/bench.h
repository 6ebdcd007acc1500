/* SPDX-License-Identifier: MIT */
/* The frame of the benchmarks: a case is set up, warmed up, timed until it has run often and long
 * enough, and printed as one row; the median is what counts. */
#ifndef PEER_BENCH_BENCH_H
#define PEER_BENCH_BENCH_H

#include <stdio.h>

#include "nn/context.h"

struct bench_summary;

struct bench {
    struct peer_ctx *ctx;
    const char *filter;            /* only cases whose name holds it; NULL = all */
    FILE *csv;                     /* or NULL */
    const char *plot;              /* SVG that `scaling` draws; NULL = none */
    const char *folder;            /* where `mapped` makes its file; NULL = not said */
    int64_t side;                  /* of `mapped`: sub-keys per half. Default 8192 */
    const char *python;            /* what runs the rivals; NULL = Debian's, else PATH's */
    double seconds;                /* least time per case, warm-up apart. Default 1 */
    double gemm_flops;             /* FLOP/s of a large square sgemm in this run; 0 before */
    struct bench_summary *summary; /* of comparisons, match.h */
    bool failed;                   /* results disagreed, or a file could not be written */
};

/* One row of the table. */
struct bench_row {
    const char *name; /* "peer/forward" */
    char sizes[96];   /* "N=1024^2 D=256 T=2048" */
    const char *unit; /* of work: "tokens", "queries", "rows" */
    double work;      /* units per call */
    double flops;     /* per call; 0 = not counted */
    double bytes;     /* moved per call; 0 = not counted */
};

/* Median, 10th and 90th percentile. */
struct bench_stat {
    double median, low, high;
};

enum { BENCH_MOST_RUNS = 2000, BENCH_LEAST_RUNS = 5 };

/* Seconds by a clock that only goes forward. */
double bench_now(void);

/* Of values[count], which it sorts. count >= 1. */
struct bench_stat bench_stat_of(double *values, int count);

/* Whether a case of this name is asked for; ask before costly set-ups. */
bool bench_wants(const struct bench *bench, const char *name);

/* Times run(job) and prints the row. Returns the median seconds of a call. */
double bench_time(struct bench *bench, const struct bench_row *row, void (*run)(void *job),
                  void *job);

/* The row alone, of times measured elsewhere, which it sorts. */
struct bench_stat bench_report(struct bench *bench, const struct bench_row *row, double *times,
                               int runs);

/* Ends the program with the context's reason if `status` is not PEER_OK. */
void bench_check(const struct bench *bench, enum peer_status status);

/* The groups, one file each. */
void bench_gemm(struct bench *bench);
void bench_kernels(struct bench *bench);
void bench_products(struct bench *bench);
void bench_retrieval(struct bench *bench);
void bench_layers(struct bench *bench);
void bench_optim(struct bench *bench);
void bench_lm(struct bench *bench);
void bench_mapped(struct bench *bench); /* needs bench->folder */

/* Groups of comparisons: with rivals, and of the library with itself and the machine's limits. */
void bench_versus_layers(struct bench *bench);
void bench_versus_search(struct bench *bench);
void bench_versus_lm(struct bench *bench);
void bench_versus_self(struct bench *bench);
void bench_versus_mixtures(struct bench *bench);
void bench_scaling(struct bench *bench);

#endif
