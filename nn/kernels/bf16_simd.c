/* SPDX-License-Identifier: MIT */
/* Plain loops over the lanes of nn/kernels/bf16.h, which the compiler turns into vector code. */
#include "nn/kernels/bf16.h"
#include "nn/kernels/simd.h"

enum { LANES = PEER_BF16_LANES, TILE = PEER_BF16_TILE, ROUNDS = 10, GROUPS = LANES / WORDS };

void ISA(peer_bf16_read)(float *x, const uint16_t *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] = peer_bf16_value(y[i]);
}

/* peer_philox4x32() of LANES blocks from `block` on, to out[word][lane]. Words stand in lanes of 64
 * bits, where the product of two is one instruction; the upper halves hold leftovers. The groups
 * go side by side, because a round waits for its products. */
static void philox(uint32_t out[4][LANES], uint32_t block, const struct peer_rounding *draws)
{
    uint64_t lane[WORDS];
    words c0[GROUPS], c1[GROUPS], c2[GROUPS], c3[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        for (int l = 0; l < WORDS; l++)
            lane[l] = block + (uint32_t)(g * WORDS + l);
        c0[g] = words_load(lane);
        c1[g] = words_set(draws->counter[0]);
        c2[g] = words_set(draws->counter[1]);
        c3[g] = words_set(draws->counter[2]);
    }
    uint32_t k0 = draws->key[0], k1 = draws->key[1];
    for (int round = 0; round < ROUNDS; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        words key0 = words_set(k0), key1 = words_set(k1);
        for (int g = 0; g < GROUPS; g++) {
            words p0 = words_mul(c0[g], words_set(0xD2511F53u));
            words p1 = words_mul(c2[g], words_set(0xCD9E8D57u));
            c0[g] = words_xor(words_xor(words_high(p1), c1[g]), key0);
            c2[g] = words_xor(words_xor(words_high(p0), c3[g]), key1);
            c1[g] = p1;
            c3[g] = p0;
        }
    }
    for (int g = 0; g < GROUPS; g++) {
        words_store_low(out[0] + g * WORDS, c0[g]);
        words_store_low(out[1] + g * WORDS, c1[g]);
        words_store_low(out[2] + g * WORDS, c2[g]);
        words_store_low(out[3] + g * WORDS, c3[g]);
    }
}

/* Values i ... i+TILE-1, i a multiple of TILE. */
static void round_tile(uint16_t *y, const float *x, int64_t i, const struct peer_rounding *draws)
{
    uint32_t word[4][LANES];
    philox(word, (uint32_t)(i / PEER_BF16_DRAWS), draws);
    for (int w = 0; w < 4; w++) {
        const float *low = x + w * LANES, *high = low + TILE / 2;
        uint16_t *to_low = y + w * LANES, *to_high = to_low + TILE / 2;
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            to_low[l] = peer_bf16_up(low[l], word[w][l]);
            to_high[l] = peer_bf16_up(high[l], word[w][l] >> 16);
        }
    }
}

void ISA(peer_bf16_round)(uint16_t *y, const float *x, int64_t n, const struct peer_rounding *draws)
{
    float last[TILE] = {0};
    uint16_t rounded[TILE];
    int64_t i = 0;
    for (; i + TILE <= n; i += TILE)
        round_tile(y + i, x + i, i, draws);
    if (i == n)
        return;
    memcpy(last, x + i, (size_t)(n - i) * sizeof *x);
    round_tile(rounded, last, i, draws);
    memcpy(y + i, rounded, (size_t)(n - i) * sizeof *y);
}
