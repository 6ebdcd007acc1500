/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "nn/kernels/bf16.h"
#include "nn/kernels/kernels_ref.h"
#include "nn/random.h"

void REF(peer_bf16_read)(real *x, const uint16_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = peer_bf16_value(y[i]);
}

/* Each block's four words are eight draws; which value takes which is in nn/kernels/bf16.h. */
void REF(peer_bf16_round)(uint16_t *y, const real *x, int64_t n, const struct peer_rounding *draws)
{
    for (int64_t block = 0; block * PEER_BF16_DRAWS < n + PEER_BF16_TILE; block++) {
        uint32_t word[4], counter[4] = {(uint32_t)block};
        memcpy(counter + 1, draws->counter, sizeof draws->counter);
        peer_philox4x32(word, counter, draws->key);
        int64_t first = block / PEER_BF16_LANES * PEER_BF16_TILE + block % PEER_BF16_LANES;
        for (int draw = 0; draw < PEER_BF16_DRAWS; draw++) {
            int64_t i = first + draw * PEER_BF16_LANES;
            if (i < n)
                y[i] = peer_bf16_up((float)x[i], word[draw % 4] >> (draw < 4 ? 0 : 16));
        }
    }
}
