/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"

enum { MOST_RUNS = 2000, LEAST_RUNS = 5 };

static const char help[] =
    "Usage: bench [--filter TEXT] [--threads N] [--seconds S] [--csv FILE]\n\n"
    "Times the library: matrix products (what the machine can do), retrieval, each layer's\n"
    "forward pass and whole training step, the step of the language model. Medians with the 10th\n"
    "and 90th percentile; FLOPs as the layers count them; bytes without reuse.\n\n"
    "  --filter TEXT  only cases whose name holds TEXT, such as retrieval, peer/, lm/dense\n"
    "  --threads N    worker threads (default: all cores)\n"
    "  --seconds S    least time per case, after a warm-up (default 1)\n"
    "  --csv FILE     the table as CSV too\n"
    "PEER_CPU=ref|avx2|avx512 caps the kernels.\n";

static double now(void)
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

static void print_row(const struct bench *bench, const struct bench_row *row, const double *times,
                      int runs)
{
    double median = times[runs / 2], low = times[runs / 10], high = times[runs - 1 - runs / 10];
    printf("%-26s %-40s %10.3f ms [%.3f-%.3f]", row->name, row->sizes, 1e3 * median, 1e3 * low,
           1e3 * high);
    print_rate(row->work / median, row->unit);
    if (row->flops > 0)
        printf("  %6.1f GFLOP/s", 1e-9 * row->flops / median);
    if (row->flops > 0 && bench->gemm_flops > 0)
        printf(" (%.0f %% of sgemm)", 100 * row->flops / median / bench->gemm_flops);
    if (row->bytes > 0)
        printf("  %5.1f GB/s", 1e-9 * row->bytes / median);
    putchar('\n');
    fflush(stdout);
    if (bench->csv)
        fprintf(bench->csv, "%s,%s,%d,%s,%d,%.9g,%.9g,%.9g,%.9g,%s,%.9g,%.9g\n", row->name,
                row->sizes, peer_ctx_threads(bench->ctx), peer_cpu_name(peer_ctx_cpu(bench->ctx)),
                runs, median, low, high, row->work / median, row->unit, row->flops / median,
                row->bytes / median);
}

double bench_time(struct bench *bench, const struct bench_row *row, void (*run)(void *job),
                  void *job)
{
    static double times[MOST_RUNS];
    run(job);
    int runs = 0;
    double started = now();
    while (runs < MOST_RUNS && (runs < LEAST_RUNS || now() - started < bench->seconds)) {
        double before = now();
        run(job);
        times[runs++] = now() - before;
    }
    qsort(times, (size_t)runs, sizeof *times, ascending);
    print_row(bench, row, times, runs);
    return times[runs / 2];
}

static void usage(const char *what)
{
    fprintf(stderr, "bench: %s\n\n%s", what, help);
    exit(2);
}

static double number(const char *text, double low, double high, const char *what)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        usage(what);
    return value;
}

static void parse(struct bench *bench, struct peer_ctx_config *config, int argc, char **argv)
{
    static const struct option options[] = {{"filter", required_argument, NULL, 'f'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"csv", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "f:t:s:c:h", options, NULL)) != -1) {
        if (option == 'f') {
            bench->filter = optarg;
        } else if (option == 't') {
            config->threads = (int)number(optarg, 1, 1024, "--threads: expected 1 to 1024");
        } else if (option == 's') {
            bench->seconds = number(optarg, 0, 3600, "--seconds: expected 0 to 3600");
        } else if (option == 'c') {
            if (!(bench->csv = fopen(optarg, "w"))) {
                fprintf(stderr, "bench: %s: %s\n", optarg, strerror(errno));
                exit(1);
            }
        } else if (option == 'h') {
            fputs(help, stdout);
            exit(0);
        } else {
            usage("see above");
        }
    }
    if (optind < argc)
        usage("no operands are expected");
}

int main(int argc, char **argv)
{
    struct bench bench = {.seconds = 1};
    struct peer_ctx_config config = peer_ctx_config_default();
    const char *level = getenv("PEER_CPU");
    if (level && *level) {
        if (peer_cpu_from_name(level) < 0)
            usage("PEER_CPU: expected ref, avx2 or avx512");
        config.cpu_max = (enum peer_cpu)peer_cpu_from_name(level);
    }
    parse(&bench, &config, argc, argv);
    if (peer_ctx_create(&bench.ctx, &config) != PEER_OK)
        usage("no context");
    printf("threads %d, kernels %s\n", peer_ctx_threads(bench.ctx),
           peer_cpu_name(peer_ctx_cpu(bench.ctx)));
    if (bench.csv)
        fputs("case,sizes,threads,kernels,runs,median_s,p10_s,p90_s,rate_per_s,unit,flop_per_s,"
              "byte_per_s\n",
              bench.csv);
    bench_gemm(&bench);
    bench_retrieval(&bench);
    bench_layers(&bench);
    bench_lm(&bench);
    bool failed = bench.csv && fclose(bench.csv) != 0;
    if (failed)
        fprintf(stderr, "bench: the CSV file could not be written: %s\n", strerror(errno));
    peer_ctx_destroy(&bench.ctx);
    return failed;
}
