/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "nn/kernels/kernels_ref.h"

/* The lower half of a pair, or the upper one. */
static real half_of(float pair, bool upper)
{
    uint32_t bits;
    float x;
    memcpy(&bits, &pair, sizeof bits);
    bits = upper ? bits & 0xffff0000u : bits << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The bits of x rounded to the nearest, ties to even. */
static uint32_t rounded(real x)
{
    float narrow = (float)x;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

void REF(peer_bf16_pairs)(float *to, real *squares, const real *from, int64_t n)
{
    squares[0] = squares[1] = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t pair = 0;
        if (i % 2)
            memcpy(&pair, to + i / 2, sizeof pair);
        pair |= rounded(from[i]) << (i % 2 ? 16 : 0);
        memcpy(to + i / 2, &pair, sizeof pair);
        real off = from[i] - half_of(to[i / 2], i % 2);
        squares[0] += from[i] * from[i];
        squares[1] += off * off;
    }
}

void REF(peer_product_bf16)(real *c, int64_t ldc, const float *a, int64_t a_row, const float *b,
                            int64_t ldb, int64_t M, int64_t N, int64_t K)
{
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            real sum = 0;
            for (int64_t k = 0; k < K; k++)
                for (int upper = 0; upper < 2; upper++)
                    sum += half_of(a[i * a_row + k], upper) * half_of(b[k * ldb + j], upper);
            c[i * ldc + j] = sum;
        }
}

void REF(peer_rows_chain)(real *out, const real *table, int64_t stride, const int32_t *ids,
                          int64_t m, const real *x, int64_t D)
{
    for (int64_t j = 0; j < m; j++) {
        real sum = 0;
        for (int64_t i = 0; i < D; i++)
            sum += table[ids[j] * stride + i] * x[i];
        out[j] = sum;
    }
}

/* The k-th largest of a column, or NaN where k scores do not reach -infinity. */
static real kth_largest(const real *scores, int64_t ld, int64_t n, int64_t k)
{
    real best[PEER_SCREEN_MOST];
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        real score = scores[i * ld];
        if (!(score >= -(real)INFINITY) || (kept == k && !(score > best[k - 1])))
            continue;
        int64_t place = kept < k ? kept++ : k - 1;
        for (; place > 0 && score > best[place - 1]; place--)
            best[place] = best[place - 1];
        best[place] = score;
    }
    return kept == k ? best[k - 1] : (real)NAN;
}

void REF(peer_screen_columns)(int32_t *ids, int32_t *counts, const real *scores, int64_t ld,
                              int64_t n, int64_t m, int64_t k, const real *margins)
{
    assert(k >= 1 && k <= n && k <= PEER_SCREEN_MOST);
    for (int64_t q = 0; q < m; q++) {
        real least = kth_largest(scores + q, ld, n, k) - margins[q];
        int32_t count = 0;
        for (int64_t i = 0; i < n && count >= 0; i++) {
            if (!(scores[i * ld + q] >= least))
                continue;
            if (count == PEER_SCREEN_MOST)
                count = -1;
            else
                ids[q * PEER_SCREEN_MOST + count++] = (int32_t)i;
        }
        counts[q] = count >= k ? count : -1;
    }
}
