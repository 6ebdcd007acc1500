/* SPDX-License-Identifier: MIT */
/* Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
 * easy as 1, 2, 3"). Draw i of a stream depends on (seed, stream, i) alone, so that results do not
 * depend on threads or order. Thread-safety: all functions are pure. */
#ifndef PEER_NN_RANDOM_H
#define PEER_NN_RANDOM_H

#include <stdint.h>

#include "nn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One Philox block: out = philox(counter, key), ten rounds. */
PEER_API void peer_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* The stream called `name`: its 64-bit FNV-1a hash. */
PEER_API uint64_t peer_stream(const char *name);

/* Draw `index` of a stream: 32 random bits. */
PEER_API uint32_t peer_random_bits(uint64_t seed, uint64_t stream, uint64_t index);

/* Uniform integer in [0, bound), bound >= 1, by multiplication of 32 bits; the bias is below
 * bound / 2^32. */
PEER_API uint32_t peer_random_below(uint64_t seed, uint64_t stream, uint64_t index, uint32_t bound);

/* x[i] uniform from low to high, which only rounding can reach, draws first ... first+n-1 of the
 * stream. */
PEER_API void peer_fill_uniform_from(float *x, int64_t first, int64_t n, float low, float high,
                                     uint64_t seed, uint64_t stream);

/* x[i] normal with the given mean and standard deviation, by Box-Muller in double precision, draws
 * first ... first+n-1 of the stream; `first` is even. */
PEER_API void peer_fill_normal_from(float *x, int64_t first, int64_t n, float mean, float deviation,
                                    uint64_t seed, uint64_t stream);

/* The same from draw 0. */
PEER_API void peer_fill_uniform(float *x, int64_t n, float low, float high, uint64_t seed,
                                uint64_t stream);
PEER_API void peer_fill_normal(float *x, int64_t n, float mean, float deviation, uint64_t seed,
                               uint64_t stream);

#ifdef __cplusplus
}
#endif

#endif
