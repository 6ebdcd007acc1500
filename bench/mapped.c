/* SPDX-License-Identifier: MIT */
/* A PEER layer on a table in a mapped file, which may be larger than memory. Most rows that a token
 * uses are alone on their page of the disk, so what counts is where that page is: new (its rows are
 * drawn), in memory, or on disk. Each case is run on a few batches of tokens of its own. */
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/layer.h"
#include "nn/parallel.h"
#include "nn/random.h"
#include "nn/tables/table_file.h"
#include "peer/peer.h"

/* RUNS: batches of a case; MOST_STEPS: of the last one. */
enum { D = 64, T = 1024, HEADS = 8, KEPT = 16, RUNS = 5, MOST_STEPS = 256, PAGE = 4096 };

struct mapped {
    struct bench *bench;
    char path[1024], sizes[64];
    int64_t side, batches; /* batches that the layer has tokens for */
    struct peer_table_file_config table;
    struct peer_table_file *file;
    struct bench_layer layer;
    double own_gb; /* resident at most, pages of the file apart */
};

static void report(const struct mapped *m, const char *name, const char *unit, double work,
                   double *times, int runs)
{
    struct bench_row row = {.name = name, .unit = unit, .work = work};
    snprintf(row.sizes, sizeof row.sizes, "%s", m->sizes);
    bench_report(m->bench, &row, times, runs);
}

static void open_file(struct mapped *m)
{
    bench_check(m->bench,
                peer_table_file_open(&m->file, m->bench->ctx, m->path, PEER_TABLE_READ_WRITE));
}

/* The layer draws the same weights and tokens each time. */
static void open_layer(struct mapped *m, const struct peer_optim_config *optim)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = m->side * m->side;
    config.heads = HEADS;
    config.kept = KEPT;
    open_file(m);
    bench_layer_open(&m->layer, m->bench, m->bench->ctx,
                     &(struct bench_layer_config){.type = &peer_ffw_peer,
                                                  .config = &config,
                                                  .D = D,
                                                  .T = T,
                                                  .calls = m->batches,
                                                  .train = optim != NULL,
                                                  .optim = optim,
                                                  .table = m->file});
}

/* A size of this process, by its name in the system's table. */
static double status_gb(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[128];
    long long kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)))
            kib = strtoll(line + strlen(name) + 1, NULL, 10);
    if (file)
        fclose(file);
    return 1024e-9 * (double)kib;
}

static void close_layer(struct mapped *m)
{
    m->own_gb = fmax(m->own_gb, status_gb("RssAnon"));
    bench_layer_close(&m->layer);
    peer_table_file_close(&m->file);
}

/* Writes all changes to disk, and has the system forget the file. */
static void forget(struct mapped *m)
{
    int file = open(m->path, O_RDWR | O_CLOEXEC);
    bool done = file >= 0 && !fsync(file) && !posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    if (!done) {
        fprintf(stderr, "bench: %s: %s\n", m->path, strerror(errno));
        exit(1);
    }
    close(file);
}

static double seconds_of(struct mapped *m, int64_t batch)
{
    struct bench_layer one = m->layer;
    int64_t at = batch * T * D;
    one.x += at;
    one.y += at;
    one.dx += at;
    one.dy += at;
    one.calls = 1;
    double before = bench_now();
    (one.optim ? bench_layer_step : bench_layer_forward)(&one);
    return bench_now() - before;
}

static void run_batches(struct mapped *m, const char *name, const char *where, int64_t first)
{
    double times[RUNS];
    char full[64];
    snprintf(full, sizeof full, "mapped/%s, %s", name, where);
    for (int i = 0; i < RUNS; i++)
        times[i] = seconds_of(m, first + i);
    report(m, full, "tokens", T, times, RUNS);
}

/* One kind of work, on batches from `first` on: on rows that are new, in memory, on disk. */
static void time_work(struct mapped *m, const char *name, int64_t first,
                      const struct peer_optim_config *optim)
{
    double seconds;
    char full[64];
    snprintf(full, sizeof full, "mapped/%s", name);
    if (!bench_wants(m->bench, full))
        return;
    open_layer(m, optim);
    run_batches(m, name, "new rows", first);
    run_batches(m, name, "in memory", first);
    double before = bench_now();
    bench_check(m->bench, peer_table_file_flush(m->file));
    seconds = bench_now() - before;
    snprintf(full, sizeof full, "mapped/%s, flush", name);
    report(m, full, "steps", RUNS, &seconds, 1);
    close_layer(m);
    forget(m);
    open_layer(m, optim);
    run_batches(m, name, "on disk", first);
    close_layer(m);
    forget(m);
}

/* Steps on ever new rows after which more pages have been used than memory holds; 0 where it holds
 * the whole file. A step's rows fall on any page. */
static int64_t steps_beyond_memory(const struct mapped *m)
{
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double bytes = (double)peer_table_file_bytes(&m->table), rows = T * HEADS * KEPT;
    double steps = memory < bytes ? -log1p(-memory / bytes) * bytes / PAGE / rows : 0;
    return peer_min((int64_t)ceil(steps), MOST_STEPS);
}

/* The last quarter of these steps, of SGD. */
static void time_beyond_memory(struct mapped *m, const struct peer_optim_config *optim)
{
    double times[MOST_STEPS];
    int64_t steps = m->batches, last = (steps + 3) / 4;
    if (!bench_wants(m->bench, "mapped/beyond memory"))
        return;
    open_layer(m, optim);
    for (int64_t i = 0; i < steps; i++)
        times[i] = seconds_of(m, i);
    report(m, "mapped/beyond memory", "tokens", T, times + steps - last, (int)last);
    double before = bench_now(), seconds;
    bench_check(m->bench, peer_table_file_flush(m->file));
    seconds = bench_now() - before;
    report(m, "mapped/beyond memory, flush", "steps", (double)steps, &seconds, 1);
    close_layer(m);
}

static void time_opening(struct mapped *m)
{
    double times[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double before = bench_now();
        open_file(m);
        times[i] = bench_now() - before;
        peer_table_file_close(&m->file);
    }
    report(m, "mapped/open", "rows", (double)m->table.rows, times, RUNS);
}

static void print_memory(const struct mapped *m)
{
    printf("memory: at most %.2f GB resident, of which at most %.2f GB were no pages of the file\n",
           status_gb("VmHWM"), m->own_gb);
    fflush(stdout);
}

static void time_all(struct mapped *m)
{
    struct peer_optim_config sgd = peer_optim_config_default(), adagrad;
    sgd.dense = PEER_OPTIM_SGD;
    sgd.rows = PEER_ROWS_SGD;
    adagrad = sgd;
    adagrad.rows = PEER_ROWS_ADAGRAD;
    time_opening(m);
    m->batches = 3 * RUNS;
    time_work(m, "forward", 0, NULL);
    time_work(m, "sgd", RUNS, &sgd);
    time_work(m, "adagrad", 2 * RUNS, &adagrad);
    m->batches = steps_beyond_memory(m);
    if (m->batches > 0)
        time_beyond_memory(m, &sgd);
    else
        printf("mapped/beyond memory: left out, memory holds the whole file\n");
    print_memory(m);
}

void bench_mapped(struct bench *bench)
{
    int64_t n = bench->side;
    struct mapped m = {.bench = bench,
                       .side = n,
                       .table = {.type = PEER_TABLE_F32,
                                 .rows = n * n,
                                 .width = 2 * D,
                                 .deviation = 1 / sqrtf(D),
                                 .seed = 1,
                                 .stream = peer_stream("experts")}};
    snprintf(m.path, sizeof m.path, "%.900s/bench-mapped.table", bench->folder);
    snprintf(m.sizes, sizeof m.sizes, "N=%lld^2 D=%d T=%d, %.1f GB", (long long)n, D, T,
             1e-9 * (double)peer_table_file_bytes(&m.table));
    unlink(m.path); /* of a run that was killed */
    double before = bench_now(), seconds;
    bench_check(bench, peer_table_file_create(bench->ctx, m.path, &m.table));
    seconds = bench_now() - before;
    report(&m, "mapped/create", "rows", (double)m.table.rows, &seconds, 1);
    time_all(&m);
    before = bench_now();
    unlink(m.path);
    seconds = bench_now() - before;
    report(&m, "mapped/remove", "rows", (double)m.table.rows, &seconds, 1);
}
