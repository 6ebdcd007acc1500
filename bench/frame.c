/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"

double bench_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

struct bench_stat bench_stat_of(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (struct bench_stat){.median = values[count / 2],
                               .low = values[count / 10],
                               .high = values[count - 1 - count / 10]};
}

bool bench_wants(const struct bench *bench, const char *name)
{
    return !bench->filter || strstr(name, bench->filter);
}

void bench_check(const struct bench *bench, enum peer_status status)
{
    if (status == PEER_OK)
        return;
    fprintf(stderr, "bench: %s\n", peer_ctx_error(bench->ctx));
    exit(1);
}

static void print_rate(double value, const char *unit)
{
    static const char prefix[] = {' ', 'k', 'M', 'G', 'T'};
    int step = 0;
    while (value >= 1000 && step < 4) {
        value /= 1000;
        step++;
    }
    printf("  %7.*f %c%s/s", value >= 100 ? 0 : value >= 10 ? 1 : 2, value, prefix[step], unit);
}

static void print_row(const struct bench *bench, const struct bench_row *row,
                      struct bench_stat time, int runs)
{
    printf("%-26s %-40s %10.3f ms [%.3f-%.3f]", row->name, row->sizes, 1e3 * time.median,
           1e3 * time.low, 1e3 * time.high);
    print_rate(row->work / time.median, row->unit);
    if (row->flops > 0)
        printf("  %6.1f GFLOP/s", 1e-9 * row->flops / time.median);
    if (row->flops > 0 && bench->gemm_flops > 0)
        printf(" (%.0f %% of sgemm)", 100 * row->flops / time.median / bench->gemm_flops);
    if (row->bytes > 0)
        printf("  %5.1f GB/s", 1e-9 * row->bytes / time.median);
    putchar('\n');
    fflush(stdout);
    if (bench->csv && !bench->summary)
        fprintf(bench->csv, "%s,%s,%d,%s,%d,%.9g,%.9g,%.9g,%.9g,%s,%.9g,%.9g\n", row->name,
                row->sizes, peer_ctx_threads(bench->ctx), peer_cpu_name(peer_ctx_cpu(bench->ctx)),
                runs, time.median, time.low, time.high, row->work / time.median, row->unit,
                row->flops / time.median, row->bytes / time.median);
}

struct bench_stat bench_report(struct bench *bench, const struct bench_row *row, double *times,
                               int runs)
{
    struct bench_stat time = bench_stat_of(times, runs);
    print_row(bench, row, time, runs);
    return time;
}

double bench_time(struct bench *bench, const struct bench_row *row, void (*run)(void *job),
                  void *job)
{
    static double times[BENCH_MOST_RUNS];
    run(job);
    int runs = 0;
    double started = bench_now();
    while (runs < BENCH_MOST_RUNS &&
           (runs < BENCH_LEAST_RUNS || bench_now() - started < bench->seconds)) {
        double before = bench_now();
        run(job);
        times[runs++] = bench_now() - before;
    }
    return bench_report(bench, row, times, runs).median;
}
