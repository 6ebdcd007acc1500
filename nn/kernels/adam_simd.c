/* SPDX-License-Identifier: MIT */
/* Plain loops, which the compiler turns into vector code. */
#include <math.h>

#include "nn/kernels/simd.h"

enum {
    BLOCK = 64, /* values that stay in the first-level cache from one missed step to the next */
    LINE = 16,  /* values in a cache line */
};

static inline void step_values(float *p, float *m, float *v, const float *g, int64_t n,
                               const struct peer_adam_step s)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float gradient = g[i] * s.coef * s.grad_scale;
        m[i] = s.beta1 * m[i] + s.fresh1 * gradient;
        v[i] = s.beta2 * v[i] + s.fresh2 * gradient * gradient;
        p[i] = p[i] * s.shrink - s.rate * m[i] / (sqrtf(v[i] * s.second_scale) + s.epsilon);
    }
}

/* Requests line by line between the lines worked on: in one go they would fill the queue of misses
 * and hold up what follows. */
void ISA(peer_adamw)(float *p, float *m, float *v, const float *g, int64_t n,
                     const struct peer_adam_step *step, const struct peer_adam_coming *coming)
{
    const struct peer_adam_step s = *step;
    int64_t i = 0;
    for (; coming && i + LINE <= n; i += LINE) {
        _mm_prefetch((const char *)(coming->p + i), _MM_HINT_T1);
        _mm_prefetch((const char *)(coming->m + i), _MM_HINT_T1);
        _mm_prefetch((const char *)(coming->v + i), _MM_HINT_T1);
        _mm_prefetch((const char *)(coming->g + i), _MM_HINT_T1);
        step_values(p + i, m + i, v + i, g + i, LINE, s);
    }
    step_values(p + i, m + i, v + i, g + i, n - i, s);
}

void ISA(peer_adamw_shared)(float *p, float *m, float v, const float *g, int64_t n,
                            const struct peer_adam_step *step)
{
    const struct peer_adam_step s = *step;
    const float rate = s.rate / (sqrtf(v * s.second_scale) + s.epsilon);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        m[i] = s.beta1 * m[i] + s.fresh1 * (g[i] * s.grad_scale);
        p[i] = p[i] * s.shrink - rate * m[i];
    }
}

static void shrink_block(float *p, int64_t n, const struct peer_adam_missed *missed, int64_t count)
{
    for (int64_t j = 0; j < count; j++) {
        const float shrink = missed[j].shrink;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            p[i] *= shrink;
    }
}

static void missed_block(float *p, const float *m, const float *v, int64_t n, float epsilon,
                         const struct peer_adam_missed *missed, int64_t count)
{
    float root[BLOCK];
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        root[i] = sqrtf(v[i]);
    for (int64_t j = 0; j < count; j++) {
        const struct peer_adam_missed s = missed[j];
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            p[i] = p[i] * s.shrink - s.rate * m[i] / (s.root * root[i] + epsilon);
    }
}

void ISA(peer_adamw_missed)(float *p, const float *m, const float *v, int64_t n, float epsilon,
                            const struct peer_adam_missed *missed, int64_t count)
{
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t size = n - i < BLOCK ? n - i : BLOCK;
        if (m)
            missed_block(p + i, m + i, v + i, size, epsilon, missed, count);
        else
            shrink_block(p + i, size, missed, count);
    }
}
