/* SPDX-License-Identifier: MIT */
#include "experiments/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double quiet_seconds = 2;       /* shorter work shows nothing */
static const double terminal_seconds = 0.25; /* between two updates of the line */
static const double plain_seconds = 15;      /* between two plain lines */

double lab_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void lab_format_seconds(char *text, int size, double seconds)
{
    if (!isfinite(seconds) || seconds < 0)
        snprintf(text, (size_t)size, "?");
    else if (seconds < 1)
        snprintf(text, (size_t)size, "%.0f ms", seconds * 1e3);
    else if (seconds < 60)
        snprintf(text, (size_t)size, "%.0f s", seconds);
    else if (seconds < 3600)
        snprintf(text, (size_t)size, "%d min %02d s", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(text, (size_t)size, "%.0f h %02d min", floor(seconds / 3600),
                 (int)fmod(seconds / 60, 60));
}

static void format_scaled(char *text, int size, double value, double step,
                          const char *const units[], int count)
{
    int unit = 0;
    while (unit + 1 < count && fabs(value) >= step * 0.9995) {
        value /= step;
        unit++;
    }
    int digits = unit == 0 || fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
    snprintf(text, (size_t)size, "%.*f%s", digits, value, units[unit]);
}

void lab_format_bytes(char *text, int size, double bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    format_scaled(text, size, bytes, 1024, units, 5);
}

void lab_format_count(char *text, int size, double count)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    format_scaled(text, size, count, 1000, units, 7);
}

void lab_progress_start(struct lab_progress *progress, const char *what, const char *unit,
                        double total, double skipped)
{
    *progress =
        (struct lab_progress){.unit = unit, .total = total, .done = skipped, .skipped = skipped};
    snprintf(progress->what, sizeof progress->what, "%s", what);
    progress->terminal = isatty(STDERR_FILENO);
    progress->started = progress->shown = lab_now();
}

static void show(struct lab_progress *progress, double now, const char *note)
{
    char done[24], total[24] = "", rate[24], left[32] = "?";
    double elapsed = now - progress->started;
    double speed = elapsed > 0 ? (progress->done - progress->skipped) / elapsed : 0;
    lab_format_count(done, sizeof done, progress->done);
    lab_format_count(rate, sizeof rate, speed);
    if (progress->total > 0)
        lab_format_count(total, sizeof total, progress->total);
    if (progress->total > 0 && speed > 0)
        lab_format_seconds(left, sizeof left, (progress->total - progress->done) / speed);
    fprintf(stderr, "%s%s: %s%s%s %s", progress->terminal ? "\r\033[K" : "", progress->what, done,
            *total ? "/" : "", total, progress->unit);
    if (progress->total > 0)
        fprintf(stderr, " (%.0f %%), %s/s, %s left", 100 * progress->done / progress->total, rate,
                left);
    else
        fprintf(stderr, ", %s/s", rate);
    if (note && *note)
        fprintf(stderr, ", %s", note);
    if (!progress->terminal)
        fputc('\n', stderr);
    fflush(stderr);
    progress->shown = now;
    progress->visible = true;
}

void lab_progress_update(struct lab_progress *progress, double done, const char *note)
{
    double now = lab_now();
    progress->done = done;
    double pause = progress->terminal ? terminal_seconds : plain_seconds;
    bool due = progress->visible ? now - progress->shown >= pause
                                 : now - progress->started >= quiet_seconds;
    if (due)
        show(progress, now, note);
}

void lab_progress_end(struct lab_progress *progress)
{
    if (progress->visible && progress->terminal) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress->visible = false;
}
