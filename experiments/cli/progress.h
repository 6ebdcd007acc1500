/* SPDX-License-Identifier: MIT */
/* Progress of long work on stderr: one line that is rewritten, with rate and time left, on a
 * terminal; a plain line now and then elsewhere. Nothing is shown before two seconds. */
#ifndef PEER_EXPERIMENTS_CLI_PROGRESS_H
#define PEER_EXPERIMENTS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct lab_progress {
    char what[64];    /* "encoding text" */
    const char *unit; /* "tokens", "MB" */
    double total;     /* amount in all; 0 = unknown */
    double done;
    double started, shown; /* seconds on the monotonic clock */
    double skipped;        /* amount done before this process, for the rate */
    bool terminal;
    bool visible; /* a line was shown */
};

/* Seconds on the monotonic clock. */
double lab_now(void);

/* `unit` is borrowed. `skipped` is work that an earlier process did. */
void lab_progress_start(struct lab_progress *progress, const char *what, const char *unit,
                        double total, double skipped);

/* Reports that `done` in all is done; `note` (may be NULL) is shown behind, such as "loss 3.214".
 * Cheap to call often. */
void lab_progress_update(struct lab_progress *progress, double done, const char *note);

/* Takes the line away on a terminal, for a line of text; the next update shows it again. */
void lab_progress_hide(struct lab_progress *progress);

/* The same for good. */
void lab_progress_end(struct lab_progress *progress);

/* "850 ms", "12 s", "3 min 20 s", "2 h 05 min", for people. */
void lab_format_seconds(char *text, int size, double seconds);

/* "512 B", "3.2 MiB". */
void lab_format_bytes(char *text, int size, double bytes);

/* "950", "12.3k", "1.05M", "3.1G": three significant digits. */
void lab_format_count(char *text, int size, double count);

#endif
