/* SPDX-License-Identifier: MIT */
/* Matrix products without packing: sums of a strip of rows times a few vectors of columns stay in
 * registers while k runs; a's values are broadcast, b's are read as vectors. */
#include <stdbool.h>

#include "nn/kernels/simd.h"

#if defined(__AVX512F__)
enum { SUMS = 24 }; /* vectors of sums, of 32 registers */
#else
enum { SUMS = 12 }; /* of 16 */
#endif

enum {
    CHUNK = 3,        /* most vectors of columns at a time */
    BLOCK = SUMS,     /* rows that all columns are done for before the next rows; while that is
                         being done, the next rows' a and c are fetched */
    DEPTH = 128,      /* k at a time where a is read down its columns */
    LINE = 16,        /* floats in a cache line */
    AHEAD = 3 * LINE, /* how far ahead of such a column a line is fetched */
};

struct product {
    float *c;
    const float *a, *b;
    int64_t ldc, a_row, a_step, ldb;
    int64_t K, last;             /* last: columns in the chunk's last vector */
    bool adds, fetches, streams; /* streams: stores go past the caches */
};

/* Asks for the values of a that the next rows will need, into the second-level cache. */
static inline __attribute__((always_inline)) void fetch(const struct product *p, int64_t k,
                                                        int rows)
{
    if (p->a_step != 1) {
        _mm_prefetch((const char *)(p->a + k * p->a_step + AHEAD), _MM_HINT_T1);
        return;
    }
    for (int i = 0; k % LINE == 0 && i < rows; i++)
        _mm_prefetch((const char *)(p->a + (BLOCK + i) * p->a_row + k), _MM_HINT_T1);
}

/* The same of the sums that calls add to: one line at each k, as many at once would hold up what is
 * needed now. */
static inline void fetch_sum(const struct product *p, int64_t row, int64_t v)
{
    _mm_prefetch((const char *)(p->c + (BLOCK + row) * p->ldc + v * VEC), _MM_HINT_T1);
}

/* One strip: `rows` rows, `vecs` vectors, the last of them `masked` to p->last columns. */
static inline __attribute__((always_inline)) void strip(const struct product *p, const int rows,
                                                        const int vecs, const bool masked)
{
    vec sum[SUMS];
    const int full = masked ? vecs - 1 : vecs;
#pragma GCC unroll 24
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++) {
            const float *c = p->c + i * p->ldc + v * VEC;
            sum[i * vecs + v] = !p->adds   ? vec_set(0)
                                : v < full ? vec_load(c)
                                           : vec_load_first(c, p->last);
        }
    for (int64_t k = 0; k < p->K; k++) {
        vec b[CHUNK];
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++) {
            const float *from = p->b + k * p->ldb + v * VEC;
            b[v] = v < full ? vec_load(from) : vec_load_first(from, p->last);
        }
        if (p->adds && k < rows * vecs)
            fetch_sum(p, k / vecs, k % vecs);
        if (p->fetches)
            fetch(p, k, rows);
#pragma GCC unroll 24
        for (int i = 0; i < rows; i++) {
            vec a = vec_set(p->a[i * p->a_row + k * p->a_step]);
#pragma GCC unroll 3
            for (int v = 0; v < vecs; v++)
                sum[i * vecs + v] = vec_fma(a, b[v], sum[i * vecs + v]);
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++) {
            float *c = p->c + i * p->ldc + v * VEC;
            if (v < full && p->streams)
                vec_stream(c, sum[i * vecs + v]);
            else if (v < full)
                vec_store(c, sum[i * vecs + v]);
            else
                vec_store_first(c, sum[i * vecs + v], p->last);
        }
}

static inline __attribute__((always_inline)) void strips(struct product p, int64_t rows,
                                                         const int vecs, const bool masked)
{
    for (int most = SUMS / vecs; rows > 0;) {
        int taken = rows >= most ? most : rows >= 4 ? 4 : 1;
        if (taken == most)
            strip(&p, SUMS / vecs, vecs, masked);
        else if (taken == 4)
            strip(&p, 4, vecs, masked);
        else
            strip(&p, 1, vecs, masked);
        p.a += taken * p.a_row;
        p.c += taken * p.ldc;
        rows -= taken;
    }
}

/* The sizes as constants, so that sums stay in registers. */
static void chunk(const struct product *p, int64_t rows, int vecs)
{
    bool masked = p->last < VEC;
    if (vecs == 1)
        masked ? strips(*p, rows, 1, true) : strips(*p, rows, 1, false);
    else if (vecs == 2)
        masked ? strips(*p, rows, 2, true) : strips(*p, rows, 2, false);
    else
        masked ? strips(*p, rows, 3, true) : strips(*p, rows, 3, false);
}

/* All columns of a block of rows, in chunks of two vectors, three at the end of an odd number. */
static void block(struct product p, int64_t rows, int64_t N)
{
    int64_t left = (N + VEC - 1) / VEC, last = N - (left - 1) * VEC;
    for (p.fetches = true; left > 0; p.fetches = false) {
        int vecs = left == CHUNK ? CHUNK : left < CHUNK ? (int)left : 2;
        left -= vecs;
        p.last = left ? VEC : last;
        chunk(&p, rows, vecs);
        p.b += vecs * VEC;
        p.c += vecs * VEC;
    }
}

static void product(struct product p, int64_t M, int64_t N, int64_t K)
{
    const struct product first = p;
    int64_t depth = p.a_step == 1 ? K : DEPTH, k = 0;
    do {
        p.K = K - k < depth ? K - k : depth;
        p.b = first.b + k * p.ldb;
        for (int64_t i = 0; i < M; i += BLOCK) {
            p.a = first.a + i * p.a_row + k * p.a_step;
            p.c = first.c + i * p.ldc;
            block(p, M - i < BLOCK ? M - i : BLOCK, N);
        }
        p.adds = true;
        p.streams = false;
        k += depth;
    } while (k < K);
}

void ISA(peer_product)(float *c, int64_t ldc, const float *a, int64_t a_row, int64_t a_step,
                       const float *b, int64_t ldb, int64_t M, int64_t N, int64_t K, bool adds)
{
    struct product p = {c, a, b, ldc, a_row, a_step, ldb, .adds = adds};
    product(p, M, N, K);
}

/* Other threads see what goes past the caches no later than other stores: hence the fence. */
void ISA(peer_product_stream)(float *c, int64_t ldc, const float *a, int64_t a_row, int64_t a_step,
                              const float *b, int64_t ldb, int64_t M, int64_t N, int64_t K)
{
    bool aligned = (uintptr_t)c % sizeof(vec) == 0 && ldc % VEC == 0;
    struct product p = {c, a, b, ldc, a_row, a_step, ldb, .streams = aligned};
    product(p, M, N, K);
    _mm_sfence();
}
