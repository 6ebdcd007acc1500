/* SPDX-License-Identifier: MIT */
#include "experiments/runs/usage_track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/base/memory.h"
#include "experiments/report/csv.h"
#include "experiments/runs/run_config.h"
#include "experiments/runs/run_result.h"
#include "nn/file.h"

static const char magic[8] = {'p', 'e', 'e', 'r', 'u', 's', 'e', 'd'};
enum { HEADER = sizeof magic + sizeof(int64_t) };

/* A point being added. */
struct point {
    struct peer_ctx *ctx;
    const char *folder;
    int64_t block, step, tokens;
    const struct lm_usage *usage;
    struct lm_usage_report report;
    int64_t before; /* points kept */
    int64_t born_dead, died, revived;
    char path[LAB_PATH]; /* of the file at hand */
};

static const char *path_of(struct point *p, const char *suffix)
{
    snprintf(p->path, sizeof p->path, "%s/usage-%lld%s", p->folder, (long long)p->block, suffix);
    return p->path;
}

static enum peer_status no_memory(struct point *p)
{
    return peer_fail(p->ctx, PEER_ERR_MEMORY, "%s: no memory to write it", p->path);
}

/* The file's bytes, NUL-terminated and malloc()ed; "" where there is none yet. */
static enum peer_status read_old(struct point *p, char **ret, size_t *size)
{
    bool there;
    *ret = NULL;
    *size = 0;
    enum peer_status status = peer_file_there(&there, p->ctx, NULL, p->path);
    if (status != PEER_OK)
        return status;
    *ret = there ? lab_read_bytes(p->ctx, p->path, size) : calloc(1, 1);
    if (!there)
        *size = 0;
    if (*ret)
        return PEER_OK;
    return there ? PEER_ERR_IO : no_memory(p);
}

static enum peer_status wrong(struct point *p, const char *what)
{
    return peer_fail(p->ctx, PEER_ERR_FORMAT,
                     "%s: %s of %lld experts before step %lld; to go on without the points so far "
                     "delete usage-%lld.used, usage-%lld.csv and usage-%lld-maps.txt",
                     p->path, what, (long long)p->usage->experts, (long long)p->step,
                     (long long)p->block, (long long)p->block, (long long)p->block);
}

static bool used_in(const char *bits, int64_t expert)
{
    return (unsigned char)bits[expert / 8] >> expert % 8 & 1;
}

/* Counts of what the bits at hand say beside those of earlier points. */
static void compare_with(struct point *p, const char *records, size_t stride)
{
    for (int64_t i = 0; i < p->usage->experts; i++) {
        bool ever = false, last = false, now = p->usage->count[i] > 0;
        for (int64_t point = 0; point < p->before; point++) {
            last = used_in(records + (size_t)point * stride + sizeof(int64_t), i);
            ever |= last;
        }
        p->born_dead += !ever && !now;
        p->died += ever && !now;
        p->revived += ever && now && !last;
    }
}

/* How many points of the file stay: those before the step. Their bits are checked for their size.
 */
static enum peer_status count_kept(struct point *p, const char *old, size_t size, size_t stride)
{
    int64_t held = 0, step;
    if (size == 0)
        return PEER_OK;
    if (size >= HEADER)
        memcpy(&held, old + sizeof magic, sizeof held);
    if (held != p->usage->experts || memcmp(old, magic, sizeof magic) != 0 ||
        (size - HEADER) % stride != 0)
        return wrong(p, "not the points");
    for (size_t at = HEADER; at < size; at += stride) {
        memcpy(&step, old + at, sizeof step);
        if (step >= p->step)
            break;
        p->before++;
    }
    return PEER_OK;
}

static enum peer_status add_bits(struct point *p)
{
    char *old;
    size_t size, stride = sizeof(int64_t) + (size_t)(p->usage->experts + 7) / 8;
    path_of(p, ".used");
    enum peer_status status = read_old(p, &old, &size);
    if (status == PEER_OK)
        status = count_kept(p, old, size, stride);
    size_t kept = HEADER + (size_t)p->before * stride;
    char *bytes = status == PEER_OK ? calloc(1, kept + stride) : NULL;
    if (bytes) {
        memcpy(bytes, old, size < kept ? size : kept);
        memcpy(bytes, magic, sizeof magic);
        memcpy(bytes + sizeof magic, &p->usage->experts, sizeof(int64_t));
        memcpy(bytes + kept, &p->step, sizeof p->step);
        for (int64_t i = 0; i < p->usage->experts; i++)
            if (p->usage->count[i] > 0)
                bytes[kept + sizeof(int64_t) + (size_t)i / 8] |= (char)(1 << i % 8);
        compare_with(p, bytes + HEADER, stride);
        status = lab_write_file(p->ctx, p->path, bytes, kept + stride);
    } else if (status == PEER_OK) {
        status = no_memory(p);
    }
    free(bytes);
    free(old);
    return status;
}

static void print_row(const struct point *p, FILE *file)
{
    const struct lm_usage_report *report = &p->report;
    double N = (double)p->usage->experts;
    struct lab_csv row = {file, false};
    lab_csv_integer(&row, p->step);
    lab_csv_integer(&row, p->tokens);
    lab_csv_integer(&row, p->usage->tokens);
    lab_csv_number(&row, report->score.used);
    lab_csv_number(&row, report->count.used);
    lab_csv_number(&row, report->score.unevenness);
    lab_csv_number(&row, report->count.unevenness);
    lab_csv_number(&row, report->top1_used);
    lab_csv_number(&row, report->head_overlap);
    lab_csv_number(&row, (double)p->born_dead / N);
    lab_csv_number(&row, (double)p->died / N);
    lab_csv_number(&row, (double)p->revived / N);
    lab_csv_end(&row);
}

/* Lines of sums of neighbours; without a grid one line. */
static void print_map(const struct point *p, FILE *file)
{
    const struct lm_usage *usage = p->usage;
    int64_t rows = usage->side ? usage->side : 1, columns = usage->experts / rows;
    int64_t cell = lab_track_cell(columns);
    fprintf(file, "# step %lld\n", (long long)p->step);
    for (int64_t top = 0; top < rows; top += cell) {
        for (int64_t left = 0; left < columns; left += cell) {
            int64_t sum = 0;
            for (int64_t i = top; i < top + cell && i < rows; i++)
                for (int64_t j = left; j < left + cell && j < columns; j++)
                    sum += usage->count[i * columns + j];
            fprintf(file, left ? " %lld" : "%lld", (long long)sum);
        }
        fputc('\n', file);
    }
    fputs("\n\n", file);
}

/* Where the text of the kept points ends: after `lines` lines that begin with `mark`, up to the
 * next one or the end; NULL where there are fewer. */
static const char *end_of_kept(const char *text, const char *mark, int64_t lines)
{
    int64_t seen = 0;
    while (*text) {
        if (!strncmp(text, mark, strlen(mark)) && seen++ == lines)
            return text;
        const char *end = strchr(text, '\n');
        if (!end)
            return NULL; /* files are whole */
        text = end + 1;
    }
    return seen == lines ? text : NULL;
}

/* Replaces a text file by its kept points and `print` of this one. Every point begins with a line
 * that begins with `mark`; `header`, where there is one, stands before the first. */
static enum peer_status add_text(struct point *p, const char *suffix, const char *mark,
                                 const char *header,
                                 void (*print)(const struct point *p, FILE *file))
{
    char *old, *text = NULL;
    size_t old_size, size = 0;
    path_of(p, suffix);
    enum peer_status status = read_old(p, &old, &old_size);
    if (status != PEER_OK)
        return status;
    bool headed = header && (old_size || p->before);
    const char *end = end_of_kept(old, mark, p->before + headed);
    if (end && *end && strtoll(end + strlen(mark), NULL, 10) < p->step)
        end = NULL;
    struct lab_memory memory;
    if (end && lab_memory_open(&memory)) {
        fwrite(old, 1, (size_t)(end - old), memory.file);
        if (header && !headed)
            fprintf(memory.file, "%s\n", header);
        print(p, memory.file);
        text = lab_memory_close(&memory, &size);
        status = text ? lab_write_file(p->ctx, p->path, text, size) : no_memory(p);
    } else {
        status = end ? no_memory(p) : wrong(p, "not the points of the file .used");
    }
    free(text);
    free(old);
    return status;
}

enum peer_status lab_track_add(struct peer_ctx *ctx, const char *folder, int64_t block,
                               int64_t step, int64_t tokens, const struct lm_usage *usage)
{
    struct point p = {.ctx = ctx,
                      .folder = folder,
                      .block = block,
                      .step = step,
                      .tokens = tokens,
                      .usage = usage};
    enum peer_status status = lm_usage_summarize(&p.report, ctx, usage);
    if (status == PEER_OK)
        status = add_bits(&p);
    if (status == PEER_OK)
        status = add_text(&p, "-maps.txt", "# step ", NULL, print_map);
    if (status == PEER_OK)
        status = add_text(&p, ".csv", "", lab_track_columns, print_row);
    return status;
}
