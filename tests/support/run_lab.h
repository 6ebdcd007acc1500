/* SPDX-License-Identifier: MIT */
/* Runs of a tiny model, each in a folder of its own: for tests of what a run leaves behind. Every
 * function asserts that it succeeds. */
#ifndef PEER_TESTS_SUPPORT_RUN_LAB_H
#define PEER_TESTS_SUPPORT_RUN_LAB_H

#include "experiments/runs/run.h"
#include "tests/support/tempdir.h"

enum { RUN_LAB_STEPS = 12 };

struct run_lab {
    struct peer_ctx *ctx;
    struct tempdir dir, text;     /* of runs; of the data: 400 and 61 tokens */
    struct lab_run_config config; /* of the next run: run_case.h with PEER in block 1 */
};

void run_lab_open(struct run_lab *lab);
void run_lab_close(struct run_lab *lab);

/* The file of a run. */
struct tempfile run_lab_file(const struct run_lab *lab, const char *name, const char *file);

enum peer_status run_lab_execute(const struct run_lab *lab, const char *name,
                                 const struct lab_run_watch *watch);
void run_lab_whole(const struct run_lab *lab, const char *name);
/* The run ends with this status, and a message that holds `part`. */
void run_lab_fails(const struct run_lab *lab, const char *name, enum peer_status status,
                   const char *part);

/* Asks for a stop once `step` steps are done. */
struct run_stopper {
    int64_t step, done;
};
bool run_stop_asked(void *user);
void run_lab_stopped(const struct run_lab *lab, const char *name, struct run_stopper stopper);

/* The tensors of a run's checkpoint, malloc()ed; what stands before them holds the time it took. */
char *run_lab_tensors(const struct run_lab *lab, const char *name, size_t *size);

/* Two runs have the same file; the same weights and results. */
void run_lab_same_file(const struct run_lab *lab, const char *a, const char *b, const char *file);
void run_lab_same_end(const struct run_lab *lab, const char *a, const char *b);

#endif
