/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <math.h>

#include "nn/kernels/kernels_ref.h"

void REF(peer_topk_columns)(real *values, int32_t *ids, const real *scores, int64_t ld, int64_t n,
                            int64_t m, int64_t k)
{
    assert(k >= 1 && k <= n && m <= ld);
    for (int64_t q = 0; q < m; q++) {
        real *value = values + q * k;
        int32_t *id = ids + q * k;
        int64_t kept = 0;
        for (int64_t i = 0; i < n; i++) {
            real score = isnan(scores[i * ld + q]) ? -(real)INFINITY : scores[i * ld + q];
            if (kept == k && !(score > value[k - 1]))
                continue;
            int64_t place = kept < k ? kept++ : k - 1;
            for (; place > 0 && score > value[place - 1]; place--) {
                value[place] = value[place - 1];
                id[place] = id[place - 1];
            }
            value[place] = score;
            id[place] = (int32_t)i;
        }
    }
}
