/* SPDX-License-Identifier: MIT */
#include "experiments/cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "experiments/cli/terminal.h"

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
    double whole = floor(seconds + 0.5);
    if (!isfinite(seconds) || seconds < 0)
        snprintf(text, (size_t)size, "?");
    else if (seconds < 0.9995)
        snprintf(text, (size_t)size, "%.0f ms", seconds * 1e3);
    else if (whole < 60)
        snprintf(text, (size_t)size, "%.0f s", whole);
    else if (whole < 3600)
        snprintf(text, (size_t)size, "%.0f min %02.0f s", floor(whole / 60), fmod(whole, 60));
    else
        snprintf(text, (size_t)size, "%.0f h %02.0f min", floor(whole / 3600),
                 floor(fmod(whole / 60, 60)));
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

/* Columns of the terminal, less one, within which a line can be rewritten. */
static int room(const struct lab_progress *progress, int most)
{
    struct winsize window;
    if (!progress->terminal || ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0 || !window.ws_col)
        return most;
    return window.ws_col - 1 < most ? window.ws_col - 1 : most;
}

static void show(struct lab_progress *progress, double now, const char *note)
{
    char done[24], total[24], rate[24], left[32] = "?", line[256];
    double elapsed = now - progress->started;
    double speed = elapsed > 0 ? (progress->done - progress->skipped) / elapsed : 0;
    lab_format_count(done, sizeof done, progress->done);
    lab_format_count(rate, sizeof rate, speed);
    lab_format_count(total, sizeof total, progress->total);
    if (speed > 0)
        lab_format_seconds(left, sizeof left, (progress->total - progress->done) / speed);
    const char *behind = note ? note : "", *comma = *behind ? ", " : "";
    if (progress->total > 0)
        snprintf(line, sizeof line, "%s: %s/%s %s (%.0f %%), %s/s, %s left%s%s", progress->what,
                 done, total, progress->unit, 100 * progress->done / progress->total, rate, left,
                 comma, behind);
    else
        snprintf(line, sizeof line, "%s: %s %s, %s/s%s%s", progress->what, done, progress->unit,
                 rate, comma, behind);
    if (progress->terminal)
        lab_terminal_line(line, room(progress, sizeof line));
    else
        fprintf(stderr, "%s\n", line);
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

void lab_progress_hide(struct lab_progress *progress)
{
    if (progress->visible && progress->terminal)
        lab_terminal_line("", 0);
}

void lab_progress_end(struct lab_progress *progress)
{
    lab_progress_hide(progress);
    progress->visible = false;
}
