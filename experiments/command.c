/* SPDX-License-Identifier: MIT */
#include "experiments/command.h"

#include <cblas.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Other builds of OpenBLAS bring threads of their own, which get into the way of ours. */
static void check_openblas(void)
{
    if (openblas_get_parallel() != OPENBLAS_OPENMP)
        fputs("peerlab: this OpenBLAS is not its OpenMP build: slower, by up to 2 x; install "
              "libopenblas0-openmp and build again\n",
              stderr);
}

struct peer_ctx *lab_context(int threads)
{
    check_openblas();
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    const char *level = getenv("PEER_CPU");
    if (level && *level) {
        int cpu = peer_cpu_from_name(level);
        if (cpu < 0) {
            fprintf(stderr, "peerlab: PEER_CPU is \"%s\", expected ref, avx2 or avx512\n", level);
            return NULL;
        }
        config.cpu_max = (enum peer_cpu)cpu;
    }
    struct peer_ctx *ctx = NULL;
    enum peer_status status = peer_ctx_create(&ctx, &config);
    if (status != PEER_OK)
        fprintf(stderr, "peerlab: no context for %d threads: %s\n", threads,
                peer_status_name(status));
    return ctx;
}

int lab_report(const struct peer_ctx *ctx, enum peer_status status)
{
    if (status == PEER_OK)
        return LAB_DONE_OK;
    fprintf(stderr, "peerlab: %s\n", peer_ctx_error(ctx));
    return status == PEER_ERR_STOPPED ? LAB_INTERRUPTED : LAB_FAILURE;
}

int lab_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "peerlab %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry: peerlab %s --help\n", command);
    va_end(arguments);
    return LAB_USAGE;
}

bool lab_argument(int64_t *ret, const char *command, const char *option, const char *text,
                  int64_t min, int64_t max)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max) {
        lab_usage(command, "%s: expected an integer from %lld to %lld, got \"%s\"", option,
                  (long long)min, (long long)max, text);
        return false;
    }
    *ret = value;
    return true;
}
