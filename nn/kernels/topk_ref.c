/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <math.h>

#include "nn/kernels/kernels_ref.h"

/* Insertion into a sorted list. Scores come in index order and an equal score goes behind, so that
 * ties keep the lower index. */
void REF(peer_topk)(real *values, int32_t *ids, const real *scores, int64_t n, int64_t k)
{
    assert(k >= 1 && k <= n);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        real score = isnan(scores[i]) ? -(real)INFINITY : scores[i];
        if (kept == k && !(score > values[k - 1]))
            continue;
        int64_t place = kept < k ? kept++ : k - 1;
        for (; place > 0 && score > values[place - 1]; place--) {
            values[place] = values[place - 1];
            ids[place] = ids[place - 1];
        }
        values[place] = score;
        ids[place] = (int32_t)i;
    }
}
