/* SPDX-License-Identifier: MIT */
#include "bench/peers.h"

#include <cblas.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

enum { SETTINGS = 8, SETTING = 512 };

struct settings {
    char text[SETTINGS][SETTING];
    const char *list[SETTINGS + 1]; /* NULL-terminated */
    int count;
};

static void set(struct settings *s, const char *key, const char *value)
{
    snprintf(s->text[s->count], SETTING, "%s=%s", key, value);
    s->list[s->count] = s->text[s->count];
    s->count++;
}

/* The file of the OpenBLAS that this program runs on, if that is an OpenMP build: beside torch,
 * the build on plain threads loses up to half of its rate. */
static const char *blas_file(void)
{
    Dl_info info;
    const int openmp = 2;
    if (openblas_get_parallel() != openmp || !dladdr((void *)(uintptr_t)cblas_sgemm, &info))
        return NULL;
    return info.dli_fname;
}

static void tune(struct settings *s, int threads)
{
    char number[16];
    const char *blas = blas_file();
    snprintf(number, sizeof number, "%d", threads);
    set(s, "OMP_NUM_THREADS", number);
    set(s, "OMP_WAIT_POLICY", "passive");
    set(s, "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    if (blas)
        set(s, "LD_PRELOAD", blas);
    if (peer_cpu_detect() >= PEER_CPU_AVX512)
        set(s, "ATEN_CPU_CAPABILITY", "avx512");
}

struct rival *bench_rival(const struct bench *bench, const char *script)
{
    static const char debian[] = "/usr/bin/python3"; /* what Debian's packages are for */
    struct settings settings = {.count = 0};
    char path[1024];
    const char *python = bench->python ? bench->python : debian;
    if (!bench->python && access(debian, X_OK))
        python = "python3";
    snprintf(path, sizeof path, "%s/peers/%s", PEER_BENCH_SOURCE, script);
    tune(&settings, peer_ctx_threads(bench->ctx));
    struct rival *rival = rival_start((const char *[]){python, path, NULL}, settings.list);
    if (!rival) {
        fprintf(stderr, "bench: no memory\n");
        exit(1);
    }
    rival_option(rival, "threads", peer_ctx_threads(bench->ctx));
    return rival;
}
