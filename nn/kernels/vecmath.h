/* SPDX-License-Identifier: MIT */
/* Internal. exp, the logistic function and the normal distribution function in float, without
 * branches, tables or calls, so that a loop over them becomes vector code. fmaf() stands
 * where one rounding matters. NaN gives NaN; infinities give limits; denormal results are not
 * flushed. Error bounds, in units of the last place of the exact result, hold over all floats and
 * are tested. */
#ifndef PEER_NN_VECMATH_H
#define PEER_NN_VECMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float vecmath_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t vecmath_to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2^n for -126 <= n <= 127, as two's complement in 32 bits. */
static inline float vecmath_power_of_two(uint32_t n)
{
    return vecmath_from_bits((n + 127) << 23);
}

/* exp(x), within 1.1 units. x = n log(2) + r with |r| <= log(2)/2; the polynomial is minimax of
 * degree 6 for the relative error, 3.3e-9. */
static inline float vecmath_exp(float x)
{
    const float round = 12582912; /* 1.5 * 2^23: adding it leaves the integer in the low bits */
    float z = x > 89 ? 89 : x;
    z = z < -104 ? -104 : z;
    float shifted = fmaf(z, 1.44269504f, round), n = shifted - round;
    float r = fmaf(n, -1.42860682e-6f, fmaf(n, -0.693145752f, z)); /* log(2) in two parts */
    float p = 0.00138131446f;
    p = fmaf(p, r, 0.00836941883f);
    p = fmaf(p, r, 0.0416684568f);
    p = fmaf(p, r, 0.166665148f);
    p = fmaf(p, r, 0.499999931f);
    p = fmaf(p * r, r, r) + 1;
    /* 2^n in two factors, because n runs from -150 to 128. */
    uint32_t whole = vecmath_to_bits(shifted) - vecmath_to_bits(round);
    uint32_t half = (uint32_t)((int32_t)whole >> 1);
    return p * vecmath_power_of_two(half) * vecmath_power_of_two(whole - half);
}

/* 1 / (1 + exp(-x)), within 3 units. */
static inline float vecmath_sigmoid(float x)
{
    float e = vecmath_exp(x < 0 ? x : -x);
    return (x < 0 ? e : 1) / (1 + e);
}

/* exp(-z^2/2), within 2 units for 0 <= z <= 15. The rounding error of z^2, up to 8e-6 here, is
 * made good to first order. */
static inline float vecmath_bell(float z)
{
    float square = z * z, error = fmaf(z, z, -square);
    float e = vecmath_exp(-0.5f * square);
    return fmaf(-0.5f * error, e, e);
}

/* The upper tail of the standard normal, given bell = vecmath_bell(z), 0 <= z <= 15:
 * bell t P(u) with t = 1 / (1 + 0.35 z), u = 1 - t. P is minimax of degree 8 for the relative
 * error, 3.2e-8; u is formed without cancellation, so that small z loses nothing. */
static inline float vecmath_normal_tail(float z, float bell)
{
    float t = 1 / fmaf(0.35f, z, 1), u = 0.35f * z * t;
    float p = -0.0291637923f;
    p = fmaf(p, u, 0.089250168f);
    p = fmaf(p, u, -0.0640655924f);
    p = fmaf(p, u, -0.0160791313f);
    p = fmaf(p, u, -0.0641738033f);
    p = fmaf(p, u, 0.102640424f);
    p = fmaf(p, u, 0.261044987f);
    p = fmaf(p, u, -0.639831985f);
    p = fmaf(p, u, 0.499999984f);
    return bell * (t * p);
}

/* Phi(x), within 6 units. */
static inline float vecmath_normal_cdf(float x)
{
    float z = fabsf(x);
    z = z > 15 ? 15 : z;
    float tail = vecmath_normal_tail(z, vecmath_bell(z));
    return x < 0 ? tail : 1 - tail;
}

#endif
