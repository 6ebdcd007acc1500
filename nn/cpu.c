/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "nn/context.h"

static const char *const names[PEER_CPU_COUNT] = {"ref", "avx2", "avx512"};

const char *peer_cpu_name(enum peer_cpu cpu)
{
    return cpu >= PEER_CPU_REF && cpu < PEER_CPU_COUNT ? names[cpu] : "unknown";
}

int peer_cpu_from_name(const char *name)
{
    for (int cpu = 0; cpu < PEER_CPU_COUNT; cpu++)
        if (strcmp(names[cpu], name) == 0)
            return cpu;
    return -1;
}

enum peer_cpu peer_cpu_detect(void)
{
#ifdef PEER_X86
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return PEER_CPU_REF;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return PEER_CPU_AVX512;
    return PEER_CPU_AVX2;
#else
    return PEER_CPU_REF;
#endif
}
