/* SPDX-License-Identifier: MIT */
/* Internal. bfloat16: the upper half of a float.
 *
 * Stochastic rounding adds 16 random bits below the kept ones and cuts them off, so that the mean
 * over draws is the value itself and small updates are not lost. A Philox block is four words of
 * 32 bits, eight draws. Values are taken in tiles of 128, so that 16 blocks fill vectors: value i
 * takes draw i % 128 / 16 of block i / 128 * 16 + i % 16, the draws of a block being the lower
 * halves of its words, then the upper ones. */
#ifndef PEER_NN_BF16_H
#define PEER_NN_BF16_H

#include <stdint.h>
#include <string.h>

enum {
    PEER_BF16_LANES = 16, /* blocks at a time */
    PEER_BF16_DRAWS = 8,  /* of a block */
    PEER_BF16_TILE = PEER_BF16_LANES * PEER_BF16_DRAWS,
};

static inline float peer_bf16_value(uint16_t y)
{
    uint32_t bits = (uint32_t)y << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x, rounded away from zero if the lower 16 bits of `draw` carry into the kept ones. NaN stays NaN
 * and infinities stay themselves. */
static inline uint16_t peer_bf16_up(float x, uint32_t draw)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t size = bits & 0x7fffffffu;
    uint32_t rounded = (bits + (draw & 0xffffu)) >> 16;
    uint32_t kept = bits >> 16 | (size > 0x7f800000u ? 0x40u : 0);
    return (uint16_t)(size >= 0x7f800000u ? kept : rounded);
}

#endif
