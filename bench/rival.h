/* SPDX-License-Identifier: MIT */
/* A rival: the same work done by another library, in a child process that is told what to do
 * through pipes. Lines of text, arrays as raw bytes behind them:
 *
 *   to the child                          from the child
 *                                         hello TEXT       at once: who it is, what version
 *   option KEY VALUE
 *   tensor NAME f32|i32 N0 N1 ...  bytes
 *   ready                                 ready            it has built what it needs
 *   run                                   seconds S        the work was done once, in S seconds
 *   get NAME                              tensor NAME f32|i32 N0 N1 ...  bytes
 *                                         missing TEXT     what it needs is not installed
 *                                         failed TEXT      anything else that went wrong
 *
 * The child ends when its input does. Whatever goes wrong, a crash included, makes all later calls
 * fail, and rival_error() tells the first reason: a caller may check once. The child is killed
 * with its parent. Thread-safety: one call at a time. */
#ifndef PEER_BENCH_RIVAL_H
#define PEER_BENCH_RIVAL_H

#include <stdbool.h>
#include <stdint.h>

struct rival;

/* Starts argv[0], found by PATH, in this program's environment but for the settings "KEY=VALUE" of
 * `set`, and waits until it says who it is. Both lists are NULL-terminated. Returns NULL only
 * without memory. */
struct rival *rival_start(const char *const argv[], const char *const set[]);

/* Ends the child, which frees its memory; only title and errors may be asked for from then on. */
void rival_finish(struct rival *rival);

/* The same, and frees the rival. */
void rival_stop(struct rival **rival);

void rival_option(struct rival *rival, const char *key, int64_t value);

/* Sends an array [n0, n1] or, with n1 = 0, [n0]. */
void rival_send_floats(struct rival *rival, const char *name, const float *data, int64_t n0,
                       int64_t n1);
void rival_send_ids(struct rival *rival, const char *name, const int32_t *data, int64_t n0,
                    int64_t n1);

/* Sends `width` columns of a table [rows, stride]. */
void rival_send_columns(struct rival *rival, const char *name, const float *table, int64_t rows,
                        int64_t stride, int64_t width);

/* Waits until the child has built what it needs. */
bool rival_ready(struct rival *rival);

/* Has the work done once. Seconds, or a negative number. */
double rival_run(struct rival *rival);

/* Fetches what the last run computed, `count` values in all. */
bool rival_get_floats(struct rival *rival, const char *name, float *data, int64_t count);
bool rival_get_ids(struct rival *rival, const char *name, int32_t *data, int64_t count);

/* What the child said of itself: "torch 1.13.1"; "" where it did not start. */
const char *rival_title(const struct rival *rival);

/* "" or the first thing that went wrong. */
const char *rival_error(const struct rival *rival);

/* Whether that was that something is not installed. */
bool rival_missing(const struct rival *rival);

#endif
