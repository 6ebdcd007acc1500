/* SPDX-License-Identifier: MIT */
#include "nn/kernels/simd.h"

#define VALUE float
#define GATHER(name) ISA(name)

static inline vec row_load(const float *p)
{
    return vec_load(p);
}

static inline vec row_load_first(const float *p, int64_t n)
{
    return vec_load_first(p, n);
}

#include "nn/kernels/gather_simd.h"
