/* SPDX-License-Identifier: MIT */
#include "experiments/runs/curve.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/memory.h"
#include "experiments/runs/run_result.h"
#include "nn/file.h"

enum { CURVE_POINTS = 400, COLUMNS = 6 };

static const char header[] = "step,tokens,loss,lr,grad_norm,valid_loss\n";

void lab_curve_start(struct lab_curve_file *curve, struct peer_ctx *ctx, const char *folder,
                     const struct lm_train_config *train)
{
    *curve = (struct lab_curve_file){.ctx = ctx,
                                     .eval_every = train->eval_every,
                                     .row_every = train->steps / CURVE_POINTS + 1,
                                     .step = -1};
    snprintf(curve->path, sizeof curve->path, "%s/curve.csv", folder);
}

/* Copies the rows of steps up to `last` to `out`, and makes them as wide as the header: older
 * programs wrote no valid_loss. Of rows of one step the first counts: a program that appended to
 * the file repeated them with the same bits. */
static void keep_rows(struct lab_curve_file *curve, FILE *out, const char *text, int64_t last)
{
    for (const char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        char *digits;
        long long step = strtoll(line, &digits, 10);
        if (digits == line || *digits != ',' || step <= curve->step || step > last)
            continue;
        int commas = 0;
        for (const char *c = line; c < end; c++)
            commas += *c == ',';
        if (commas != COLUMNS - 1 && commas != COLUMNS - 2)
            continue; /* a full disk has cut it */
        bool narrow = commas == COLUMNS - 2;
        fprintf(out, "%.*s%s\n", (int)(end - line), line, narrow ? "," : "");
        curve->step = step;
        curve->measured = !narrow && end[-1] != ',';
    }
}

static void fail(struct lab_curve_file *curve, const char *reason)
{
    snprintf(curve->failure, sizeof curve->failure, "%s", reason);
}

static void io_error(struct lab_curve_file *curve)
{
    peer_fail(curve->ctx, PEER_ERR_IO, "%.200s: %s", curve->path, strerror(errno));
    fail(curve, peer_ctx_error(curve->ctx));
}

/* Makes the file, of the rows of `text` up to step `last`, and opens it behind them. */
static enum peer_status write_rows(struct lab_curve_file *curve, const char *text, int64_t last)
{
    char *kept = NULL;
    size_t size = 0;
    struct lab_memory memory;
    if (lab_memory_open(&memory)) {
        fputs(header, memory.file);
        keep_rows(curve, memory.file, text, last);
        kept = lab_memory_close(&memory, &size);
    }
    enum peer_status status =
        kept ? lab_write_file(curve->ctx, curve->path, kept, size)
             : peer_fail(curve->ctx, PEER_ERR_MEMORY, "%.200s: no memory", curve->path);
    free(kept);
    return status;
}

/* Leaves the rows up to step `last` in the file and opens it behind them. */
static void open_behind(struct lab_curve_file *curve, int64_t last)
{
    bool there = false;
    enum peer_status status = peer_file_there(&there, curve->ctx, NULL, curve->path);
    char *text = there ? lab_read_file(curve->ctx, curve->path) : NULL;
    curve->opened = true;
    if (status != PEER_OK || (there && !text) ||
        write_rows(curve, text ? text : "", last) != PEER_OK) {
        fail(curve, peer_ctx_error(curve->ctx));
    } else {
        int file = open(curve->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        curve->file = file < 0 ? NULL : fdopen(file, "r+");
        if (!curve->file || fseek(curve->file, 0, SEEK_END) != 0)
            io_error(curve);
        if (file >= 0 && !curve->file)
            close(file);
    }
    free(text);
}

/* The last row has an empty last cell, which this fills in: one write, so that a kill cuts none. */
static void add_valid(struct lab_curve_file *curve, double loss)
{
    if (curve->measured)
        return;
    if (fseek(curve->file, -1, SEEK_END) != 0 || fprintf(curve->file, "%.6g\n", loss) < 0 ||
        fflush(curve->file) != 0)
        io_error(curve);
    curve->measured = true;
}

/* A skipped step has no loss: its cells are empty. */
static void add_row(struct lab_curve_file *curve, const struct lm_train_progress *p)
{
    int written = isfinite(p->loss)
                      ? fprintf(curve->file, "%lld,%lld,%.6g,%.6g,%.6g,\n", (long long)p->step,
                                (long long)p->tokens, p->loss, p->lr, p->grad_norm)
                      : fprintf(curve->file, "%lld,%lld,,%.6g,,\n", (long long)p->step,
                                (long long)p->tokens, p->lr);
    if (written < 0 || fflush(curve->file) != 0)
        io_error(curve);
    curve->step = p->step;
    curve->measured = false;
}

void lab_curve_add(struct lab_curve_file *curve, const struct lm_train_progress *p)
{
    if (!curve->opened)
        open_behind(curve, p->eval ? p->step : p->step - 1);
    if (*curve->failure)
        return;
    bool evaluated = curve->eval_every && p->step % curve->eval_every == 0;
    if (p->eval && curve->step == p->step)
        add_valid(curve, p->eval->nats);
    else if (!p->eval && (evaluated || p->step == p->steps || p->step % curve->row_every == 0))
        add_row(curve, p);
}

enum peer_status lab_curve_check(const struct lab_curve_file *curve)
{
    return *curve->failure ? peer_fail(curve->ctx, PEER_ERR_IO, "%s", curve->failure) : PEER_OK;
}

void lab_curve_end(struct lab_curve_file *curve)
{
    if (curve->file)
        fclose(curve->file);
    curve->file = NULL;
}
