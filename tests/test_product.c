/* SPDX-License-Identifier: MIT */
/* The kernel of matrix products at every level that this machine runs. */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/kernels/kernels.h"
#include "nn/kernels/kernels_ref.h"
#include "nn/random.h"
#include "tests/support/twin.h"

enum { SEED = 2719, GUARD = 16, ALIGNMENT = 64 };

#define EACH_LEVEL(cpu, from) for (enum peer_cpu cpu = from; cpu <= peer_cpu_detect(); cpu++)

/* One product: sizes, leading dimensions larger than they must be, a by rows or by columns. */
struct product {
    int64_t M, N, K, ldc, a_row, a_step, ldb;
    bool adds;
    float *a, *b, *start;        /* start: what c holds before */
    double *a64, *b64, *start64; /* the same, and |c| after it for the bound */
};

static struct product make(int64_t M, int64_t N, int64_t K, bool transposed, bool adds)
{
    struct product p = {.M = M, .N = N, .K = K, .ldc = N + 3, .ldb = N + 5, .adds = adds};
    p.a_row = transposed ? 1 : K + 2;
    p.a_step = transposed ? M + 7 : 1;
    int64_t a = M * p.a_row + K * p.a_step;
    p.a = twin_floats(a, 0.1f, 1, SEED, "a");
    p.b = twin_floats((K + 1) * p.ldb, -0.2f, 1, SEED, "b");
    p.start = twin_floats(M * p.ldc + GUARD, 0, 3, SEED, "c");
    p.a64 = twin_doubles(p.a, a);
    p.b64 = twin_doubles(p.b, (K + 1) * p.ldb);
    p.start64 = twin_doubles(p.start, M * p.ldc + GUARD);
    return p;
}

static void destroy(struct product *p)
{
    void *const all[] = {p->a, p->b, p->start, p->a64, p->b64, p->start64};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* c, in memory of its own; everything outside [M, N] must stay as it was. */
static float *run(const struct product *p, enum peer_cpu cpu, bool streams)
{
    size_t bytes = (size_t)(p->M * p->ldc + GUARD) * sizeof(float);
    const struct peer_kernels *kernels = peer_kernels_for(cpu);
    float *c = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    cr_assert_not_null(c);
    memcpy(c, p->start, bytes);
    if (streams)
        kernels->product_stream(c, p->ldc, p->a, p->a_row, p->a_step, p->b, p->ldb, p->M, p->N,
                                p->K);
    else
        kernels->product(c, p->ldc, p->a, p->a_row, p->a_step, p->b, p->ldb, p->M, p->N, p->K,
                         p->adds);
    for (int64_t i = 0; i < p->M * p->ldc + GUARD; i++)
        if (i / p->ldc >= p->M || i % p->ldc >= p->N)
            cr_assert_eq(c[i], p->start[i], "%s writes at %ld", peer_cpu_name(cpu), (long)i);
    return c;
}

/* A chain of K additions of products errs by at most K u times the sum of its terms' sizes where
 * products round with the addition, by (K + 1) u where they round first. */
static void expect_close(const struct product *p)
{
    double *exact = twin_zeros(p->M * p->ldc + GUARD), *size = twin_zeros(p->M * p->ldc + GUARD);
    memcpy(exact, p->start64, (size_t)(p->M * p->ldc) * sizeof *exact);
    peer_product_f64(exact, p->ldc, p->a64, p->a_row, p->a_step, p->b64, p->ldb, p->M, p->N, p->K,
                     p->adds);
    for (int64_t i = 0; i < p->M; i++)
        for (int64_t j = 0; j < p->N; j++) {
            double *sum = &size[i * p->ldc + j];
            *sum = p->adds ? fabs(p->start64[i * p->ldc + j]) : 0;
            for (int64_t k = 0; k < p->K; k++)
                *sum += fabs(p->a64[i * p->a_row + k * p->a_step] * p->b64[k * p->ldb + j]);
        }
    EACH_LEVEL (cpu, PEER_CPU_REF) {
        float *c = run(p, cpu, false);
        for (int64_t i = 0; i < p->M; i++)
            for (int64_t j = 0; j < p->N; j++) {
                int64_t at = i * p->ldc + j;
                double bound = (double)(p->K + 1) / (1 << 24) * size[at];
                cr_assert(fabs(c[at] - exact[at]) <= bound,
                          "%s M %ld N %ld K %ld [%ld, %ld]: %.9g, %.9g", peer_cpu_name(cpu),
                          (long)p->M, (long)p->N, (long)p->K, (long)i, (long)j, c[at], exact[at]);
            }
        free(c);
    }
    free(exact);
    free(size);
}

Test(product, matches_the_double_twin)
{
    static const int64_t rows[] = {1, 2, 3, 5, 12, 13, 24, 31, 49};
    static const int64_t columns[] = {1, 7, 8, 9, 16, 17, 32, 33, 47, 48, 63, 81};
    static const int64_t depths[] = {0, 1, 2, 17, 63, 64, 65, 130};
    for (size_t m = 0; m < sizeof rows / sizeof *rows; m++)
        for (size_t n = 0; n < sizeof columns / sizeof *columns; n++)
            for (int variant = 0; variant < 4; variant++) {
                int64_t K = depths[(m + 3 * n) % (sizeof depths / sizeof *depths)];
                struct product p = make(rows[m], columns[n], K, variant & 1, variant & 2);
                expect_close(&p);
                destroy(&p);
            }
}

/* Sums have one order, whatever the width of vectors: levels with fused multiply-add agree. */
Test(product, levels_of_vectors_agree_bit_for_bit)
{
    for (int transposed = 0; transposed < 2; transposed++) {
        struct product p = make(29, 45, 131, transposed, true);
        float *c[PEER_CPU_COUNT] = {NULL};
        EACH_LEVEL (cpu, PEER_CPU_AVX2) {
            c[cpu] = run(&p, cpu, false);
            for (int64_t i = 0; cpu > PEER_CPU_AVX2 && i < p.M * p.ldc; i++)
                cr_assert_eq(c[cpu][i], c[PEER_CPU_AVX2][i]);
        }
        EACH_LEVEL (cpu, PEER_CPU_AVX2)
            free(c[cpu]);
        destroy(&p);
    }
}

/* Past the caches or not, c is the same. Its rows are aligned where N + 3 is a multiple of 16. */
Test(product, streamed_values_are_the_same)
{
    static const int64_t columns[] = {1, 13, 16, 29, 45, 48, 61}, depths[] = {0, 1, 33, 150};
    for (size_t n = 0; n < sizeof columns / sizeof *columns; n++)
        for (int variant = 0; variant < 8; variant++) {
            struct product p = make(29, columns[n], depths[variant % 4], variant & 4, false);
            EACH_LEVEL (cpu, PEER_CPU_REF) {
                float *expected = run(&p, cpu, false), *c = run(&p, cpu, true);
                for (int64_t i = 0; i < p.M * p.ldc; i++)
                    cr_assert_eq(c[i], expected[i], "%s N %ld K %ld [%ld]", peer_cpu_name(cpu),
                                 (long)p.N, (long)p.K, (long)i);
                free(expected);
                free(c);
            }
            destroy(&p);
        }
}

/* A value depends on its row and column alone: neither on the other rows and columns of the call
 * nor on how a sum is cut into calls that add. */
Test(product, a_value_does_not_depend_on_its_company)
{
    struct product p = make(37, 50, 150, false, false);
    EACH_LEVEL (cpu, PEER_CPU_REF) {
        const struct peer_kernels *kernels = peer_kernels_for(cpu);
        float *c = run(&p, cpu, false);
        for (int64_t i = 0; i < p.M; i += 5)
            for (int64_t j = 0; j < p.N; j += 7) {
                float alone = -1;
                kernels->product(&alone, 1, p.a + i * p.a_row, p.a_row, 1, p.b + j, p.ldb, 1, 1, 41,
                                 false);
                kernels->product(&alone, 1, p.a + i * p.a_row + 41, p.a_row, 1,
                                 p.b + 41 * p.ldb + j, p.ldb, 1, 1, p.K - 41, true);
                cr_assert_eq(alone, c[i * p.ldc + j], "%s [%ld, %ld]: %.9g alone, %.9g",
                             peer_cpu_name(cpu), (long)i, (long)j, alone, c[i * p.ldc + j]);
            }
        free(c);
    }
    destroy(&p);
}

Test(product, nan_and_infinity_stay_in_their_row_and_column)
{
    struct product p = make(26, 34, 9, true, false);
    p.a[3 * p.a_row + 2 * p.a_step] = NAN;
    p.b[4 * p.ldb + 5] = INFINITY;
    EACH_LEVEL (cpu, PEER_CPU_REF) {
        float *c = run(&p, cpu, false);
        for (int64_t i = 0; i < p.M; i++)
            for (int64_t j = 0; j < p.N; j++) {
                float value = c[i * p.ldc + j];
                cr_assert(i == 3   ? isnan(value)
                          : j == 5 ? !isfinite(value)
                                   : isfinite(value),
                          "%s [%ld, %ld]: %g", peer_cpu_name(cpu), (long)i, (long)j, value);
            }
        free(c);
    }
    destroy(&p);
}

/* Every size up to three vectors each way, rows further apart than they are long. */
Test(transpose, turns_rows_into_columns)
{
    enum { MOST = 49, LD = 53 };
    float from[MOST * LD], to[MOST * LD];
    for (int i = 0; i < MOST * LD; i++)
        from[i] = (float)i + 0.25f;
    EACH_LEVEL (cpu, PEER_CPU_REF)
        for (int64_t rows = 0; rows <= MOST; rows += 1 + rows / 9)
            for (int64_t columns = 0; columns <= MOST; columns++) {
                for (int i = 0; i < MOST * LD; i++)
                    to[i] = -1;
                peer_kernels_for(cpu)->transpose(to, LD, from, LD, rows, columns);
                for (int j = 0; j < MOST; j++)
                    for (int i = 0; i < LD; i++) {
                        float expected = i < rows && j < columns ? from[i * LD + j] : -1;
                        cr_assert_eq(to[j * LD + i], expected, "%s %ld x %ld [%d, %d]",
                                     peer_cpu_name(cpu), (long)rows, (long)columns, j, i);
                    }
            }
}
