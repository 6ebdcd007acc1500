/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/match.h"

static const char help[] =
    "Usage: bench [COMMAND] [--filter TEXT] [--threads N] [--seconds S] [--csv FILE]\n\n"
    "  library  (default) the library alone: matrix products (what the machine can do), each "
    "kernel,\n"
    "           retrieval, each layer's forward pass and whole training step, the update of a\n"
    "           table, the step of the language model. Medians with the 10th and 90th percentile;\n"
    "           FLOPs as the layers count them; bytes without reuse\n"
    "  peers    the same work done by torch and FAISS, where they are installed, in turns with "
    "the\n"
    "           library on identical weights and inputs; results must agree\n"
    "  self     the library against itself: threads, mixtures and the dense layer\n"
    "  scaling  a PEER layer's time per token by number of experts\n"
    "  targets  peers, self and scaling, and a table of all at the end\n"
    "  mapped   a PEER layer of width 64 on a table in a file, forward and steps of SGD and "
    "Adagrad\n"
    "           on rows that are new, in memory, on disk, and with more of them than memory "
    "holds.\n"
    "           8192^2 experts need 34.4 GB of disk at --folder, which are given back at the end,\n"
    "           0.5 GB of memory beside pages of the file, and some 15 minutes\n\n"
    "  --filter TEXT   only cases whose name holds TEXT, such as retrieval, peer/, lm/dense; of "
    "the\n"
    "                  comparisons, whose «name sizes against» holds it, such as \"step N=512\"\n"
    "  --threads N     worker threads (default: all cores)\n"
    "  --seconds S     least time per case, after a warm-up (default 1)\n"
    "  --csv FILE      the table as CSV too\n"
    "  --plot FILE     an SVG of `scaling` (needs gnuplot)\n"
    "  --folder PATH   where `mapped` makes its file\n"
    "  --side N        of `mapped`: N^2 experts (default 8192)\n"
    "  --python PATH   the Python that has torch and FAISS (default: Debian's)\n"
    "PEER_CPU=ref|avx2|avx512 caps the kernels.\n";

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

static FILE *open_csv(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file)
        return file;
    fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
    exit(1);
}

/* Returns the command. */
static const char *parse(struct bench *bench, struct peer_ctx_config *config, int argc, char **argv)
{
    static const struct option options[] = {
        {"filter", required_argument, NULL, 'f'},  {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 's'}, {"csv", required_argument, NULL, 'c'},
        {"plot", required_argument, NULL, 'o'},    {"python", required_argument, NULL, 'p'},
        {"folder", required_argument, NULL, 'd'},  {"side", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "f:t:s:c:o:p:d:n:h", options, NULL)) != -1) {
        if (option == 'f') {
            bench->filter = optarg;
        } else if (option == 't') {
            config->threads = (int)number(optarg, 1, 1024, "--threads: expected 1 to 1024");
        } else if (option == 's') {
            bench->seconds = number(optarg, 0, 3600, "--seconds: expected 0 to 3600");
        } else if (option == 'c') {
            bench->csv = open_csv(optarg);
        } else if (option == 'o') {
            bench->plot = optarg;
        } else if (option == 'p') {
            bench->python = optarg;
        } else if (option == 'd') {
            bench->folder = optarg;
        } else if (option == 'n') {
            bench->side = (int64_t)number(optarg, 4, 46340, "--side: expected 4 to 46340");
        } else if (option == 'h') {
            fputs(help, stdout);
            exit(0);
        } else {
            usage("see above");
        }
    }
    if (optind + 1 < argc)
        usage("one command is expected");
    return optind < argc ? argv[optind] : "library";
}

typedef void group(struct bench *bench);

/* The groups of each command, NULL-terminated. */
struct command {
    const char *name;
    bool compares; /* rows are comparisons */
    group *groups[8];
};

static const struct command commands[] = {
    {"library",
     false,
     {bench_kernels, bench_products, bench_retrieval, bench_layers, bench_optim, bench_lm}},
    {"peers", true, {bench_versus_layers, bench_versus_search, bench_versus_lm}},
    {"self", true, {bench_versus_self, bench_versus_mixtures}},
    {"scaling", true, {bench_scaling}},
    {"mapped", false, {bench_mapped}},
    {"targets",
     true,
     {bench_versus_layers, bench_versus_search, bench_versus_lm, bench_versus_self,
      bench_versus_mixtures, bench_scaling}},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    usage("commands are library, peers, self, scaling, targets, mapped");
    return NULL;
}

static void run(struct bench *bench, const struct command *command)
{
    printf("threads %d, kernels %s\n", peer_ctx_threads(bench->ctx),
           peer_cpu_name(peer_ctx_cpu(bench->ctx)));
    if (command->compares)
        bench_matches_begin(bench);
    else if (bench->csv)
        fputs("case,sizes,threads,kernels,runs,median_s,p10_s,p90_s,rate_per_s,unit,flop_per_s,"
              "byte_per_s\n",
              bench->csv);
    bench_gemm(bench); /* whatever the filter: other rows are compared with it */
    for (group *const *next = command->groups; *next; next++)
        (*next)(bench);
    if (command->compares)
        bench_matches_end(bench);
}

int main(int argc, char **argv)
{
    struct bench bench = {.seconds = 1, .side = 8192};
    struct peer_ctx_config config = peer_ctx_config_default();
    const char *level = getenv("PEER_CPU");
    if (level && *level) {
        if (peer_cpu_from_name(level) < 0)
            usage("PEER_CPU: expected ref, avx2 or avx512");
        config.cpu_max = (enum peer_cpu)peer_cpu_from_name(level);
    }
    const struct command *command = find_command(parse(&bench, &config, argc, argv));
    if (!strcmp(command->name, "mapped") && !bench.folder)
        usage("mapped: say where, with --folder");
    if (peer_ctx_create(&bench.ctx, &config) != PEER_OK)
        usage("no context");
    run(&bench, command);
    if (bench.csv && fclose(bench.csv) != 0) {
        fprintf(stderr, "bench: the CSV file could not be written: %s\n", strerror(errno));
        bench.failed = true;
    }
    peer_ctx_destroy(&bench.ctx);
    return bench.failed;
}
