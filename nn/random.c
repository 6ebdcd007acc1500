/* SPDX-License-Identifier: MIT */
#include "nn/random.h"

#include <assert.h>
#include <math.h>

/* Multipliers and Weyl increments of Philox 4x32, from the paper's Table 2 and its code. */
static const uint32_t mul0 = 0xD2511F53u, mul1 = 0xCD9E8D57u;
static const uint32_t weyl0 = 0x9E3779B9u, weyl1 = 0xBB67AE85u;
enum { ROUNDS = 10 };

void peer_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)mul0 * c0, p1 = (uint64_t)mul1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += weyl0;
        k1 += weyl1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint64_t peer_stream(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

/* Block `block` of the stream: four draws. */
static void stream_block(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t block)
{
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream,
                           (uint32_t)(stream >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    peer_philox4x32(out, counter, key);
}

uint32_t peer_random_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t out[4];
    stream_block(out, seed, stream, index / 4);
    return out[index % 4];
}

uint32_t peer_random_below(uint64_t seed, uint64_t stream, uint64_t index, uint32_t bound)
{
    return (uint32_t)(((uint64_t)peer_random_bits(seed, stream, index) * bound) >> 32);
}

void peer_fill_uniform_from(float *x, int64_t first, int64_t n, float low, float high,
                            uint64_t seed, uint64_t stream)
{
    uint32_t bits[4];
    for (int64_t i = 0; i < n; i++) {
        int64_t draw = first + i;
        if (i == 0 || draw % 4 == 0)
            stream_block(bits, seed, stream, (uint64_t)draw / 4);
        x[i] = low + (high - low) * ((float)(bits[draw % 4] >> 8) * 0x1p-24f);
    }
}

void peer_fill_normal_from(float *x, int64_t first, int64_t n, float mean, float deviation,
                           uint64_t seed, uint64_t stream)
{
    assert(first % 2 == 0);
    const double two_pi = 6.283185307179586;
    uint32_t bits[4];
    for (int64_t i = 0; i < n; i += 2) {
        int64_t draw = first + i;
        if (i == 0 || draw % 4 == 0)
            stream_block(bits, seed, stream, (uint64_t)draw / 4);
        const uint32_t *pair = bits + draw % 4;
        double radius = deviation * sqrt(-2 * log((pair[0] + 0.5) * 0x1p-32)), sine, cosine;
        sincos(two_pi * pair[1] * 0x1p-32, &sine, &cosine);
        x[i] = (float)(mean + radius * cosine);
        if (i + 1 < n)
            x[i + 1] = (float)(mean + radius * sine);
    }
}

void peer_fill_uniform(float *x, int64_t n, float low, float high, uint64_t seed, uint64_t stream)
{
    peer_fill_uniform_from(x, 0, n, low, high, seed, stream);
}

void peer_fill_normal(float *x, int64_t n, float mean, float deviation, uint64_t seed,
                      uint64_t stream)
{
    peer_fill_normal_from(x, 0, n, mean, deviation, seed, stream);
}
