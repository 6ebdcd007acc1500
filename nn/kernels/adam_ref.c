/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <tgmath.h>

#include "nn/kernels/kernels_ref.h"

void REF(peer_adamw)(real *p, real *m, real *v, const real *g, int64_t n,
                     const struct peer_adam_step *step, const struct peer_adam_coming *coming)
{
    (void)coming;
    for (int64_t i = 0; i < n; i++) {
        real gradient = g[i] * step->coef * step->grad_scale;
        m[i] = step->beta1 * m[i] + step->fresh1 * gradient;
        v[i] = step->beta2 * v[i] + step->fresh2 * gradient * gradient;
        p[i] = p[i] * step->shrink -
               step->rate * m[i] / (sqrt(v[i] * step->second_scale) + step->epsilon);
    }
}

void REF(peer_adamw_shared)(real *p, real *m, real v, const real *g, int64_t n,
                            const struct peer_adam_step *step)
{
    real rate = step->rate / (sqrt(v * step->second_scale) + step->epsilon);
    for (int64_t i = 0; i < n; i++) {
        m[i] = step->beta1 * m[i] + step->fresh1 * (g[i] * step->grad_scale);
        p[i] = p[i] * step->shrink - rate * m[i];
    }
}

void REF(peer_adamw_missed)(real *p, const real *m, const real *v, int64_t n, float epsilon,
                            const struct peer_adam_missed *missed, int64_t count)
{
    for (int64_t i = 0; i < n; i++) {
        real root = m ? sqrt(v[i]) : 0;
        for (int64_t j = 0; j < count; j++) {
            p[i] *= missed[j].shrink;
            if (m)
                p[i] -= missed[j].rate * m[i] / (missed[j].root * root + epsilon);
        }
    }
}
