/* SPDX-License-Identifier: MIT */
/* Internal. The inner loops that exist once per instruction set. KERNELS.md is the contract:
 * equation, shapes, aliasing, tails, ties, NaN. The signature of each is declared here once; the
 * table is filled with the plain C level and overridden by what the CPU has. */
#ifndef PEER_NN_KERNELS_H
#define PEER_NN_KERNELS_H

#include "nn/activation.h"
#include "nn/context.h"

/* Constants of one AdamW step; see nn/optim/optim.c. */
struct peer_adam_step {
    float beta1, beta2;   /* what is kept of the moments */
    float fresh1, fresh2; /* what is added of the gradient and its square: 1 - beta */
    float epsilon;
    float rate;         /* lr / (1 - beta1^t) */
    float second_scale; /* 1 / (1 - beta2^t) */
    float shrink;       /* 1 - lr * decay */
    float grad_scale;   /* clipping factor */
    float coef;         /* g comes without this factor; adamw alone looks at it */
};

/* What comes after the values at hand, as many of each: asked for while these are worked on. */
struct peer_adam_coming {
    const float *p, *m, *v, *g;
};

/* Columns of the widest vector. */
enum { PEER_COLUMNS = 16 };

/* Constants of one AdamW step without a gradient, j steps after the moments at hand; see
 * nn/optim/optim_deferred.c. */
struct peer_adam_missed {
    float shrink; /* of that step */
    float rate;   /* its rate times beta1^j */
    float root;   /* sqrt(second_scale beta2^j) */
};

/* Where the draws of a stochastic rounding come from: Philox with this key, block b at
 * {b, counter}. */
struct peer_rounding {
    uint32_t key[2], counter[3];
};

/* Most candidates of a column. */
enum { PEER_SCREEN_MOST = 128 };

/* X(name, arguments): every kernel. */
#define PEER_KERNELS(X)                                                                            \
    /* out[j] = table row ids[j] . x over D columns; 0 where ids[j] < 0. Rows up to                \
     * ids[m + ahead - 1], `stride` columns wide, are prefetched a few rows before their turn; a   \
     * negative `ahead` keeps the last of the m from it, -m all: where rows are in cache. */       \
    X(rows_dot, (float *out, const float *table, int64_t stride, const int32_t *ids, int64_t m,    \
                 int64_t ahead, const float *x, int64_t D))                                        \
    /* y += sum over j, in order, of coef[j] * row ids[j]; ids[j] < 0 is skipped. */               \
    X(rows_axpy, (float *y, const float *table, int64_t stride, const int32_t *ids, int64_t m,     \
                  int64_t ahead, const float *coef, int64_t D))                                    \
    /* Both on rows of bf16, and of int8 without its scales. */                                    \
    X(rows_dot_bf16, (float *out, const uint16_t *table, int64_t stride, const int32_t *ids,       \
                      int64_t m, int64_t ahead, const float *x, int64_t D))                        \
    X(rows_axpy_bf16, (float *y, const uint16_t *table, int64_t stride, const int32_t *ids,        \
                       int64_t m, int64_t ahead, const float *coef, int64_t D))                    \
    X(rows_dot_int8, (float *out, const int8_t *table, int64_t stride, const int32_t *ids,         \
                      int64_t m, int64_t ahead, const float *x, int64_t D))                        \
    X(rows_axpy_int8, (float *y, const int8_t *table, int64_t stride, const int32_t *ids,          \
                       int64_t m, int64_t ahead, const float *coef, int64_t D))                    \
    /* The k largest of scores[n], descending, ties to the lower index; NaN counts as -infinity.   \
     * 1 <= k <= n. */                                                                             \
    X(topk, (float *values, int32_t *ids, const float *scores, int64_t n, int64_t k))              \
    /* The same for each of m columns of scores [n, ld]: values, ids [m, k]. Whole vectors of      \
     * columns are read: ld is a multiple of PEER_COLUMNS. */                                      \
    X(topk_columns, (float *values, int32_t *ids, const float *scores, int64_t ld, int64_t n,      \
                     int64_t m, int64_t k))                                                        \
    /* Of each column at least all ids with a score of the k-th largest less margins[q] >= 0,      \
     * ascending: ids [m, PEER_SCREEN_MOST], counts [m]; a count of -1 where they are more, or     \
     * fewer than k scores are above -infinity. k <= 64. */                                        \
    X(screen_columns, (int32_t * ids, int32_t * counts, const float *scores, int64_t ld,           \
                       int64_t n, int64_t m, int64_t k, const float *margins))                     \
    /* to [ceil(n / 2)]: pairs of bf16 in the place of a float, the lower half first, rounded to   \
     * the nearest; the last of an odd number with 0. squares[0] is the sum of from^2, squares[1]  \
     * that of (from - rounded)^2. NaN gives NaN there, and anything in `to`. */                   \
    X(bf16_pairs, (float *to, float *squares, const float *from, int64_t n))                       \
    /* c[i, j] = sum over k of a[i, k] . b[k, j] of such pairs; rows a_row and ldb apart. */       \
    X(product_bf16, (float *c, int64_t ldc, const float *a, int64_t a_row, const float *b,         \
                     int64_t ldb, int64_t M, int64_t N, int64_t K))                                \
    /* out[j] = sum over i, in order, of table[ids[j], i] x[i]: what `product` gives. */           \
    X(rows_chain, (float *out, const float *table, int64_t stride, const int32_t *ids, int64_t m,  \
                   const float *x, int64_t D))                                                     \
    /* y[i] = act(x[i]); y may be x. */                                                            \
    X(act_forward, (float *y, const float *x, int64_t n, enum peer_act act))                       \
    /* slope[i] = act'(x[i]). */                                                                   \
    X(act_slope, (float *slope, const float *x, int64_t n, enum peer_act act))                     \
    /* c[i, j] = (adds ? c[i, j] : 0) + sum over k, in order, of a[i*a_row + k*a_step] b[k, j];    \
     * i < M, j < N, k < K. a_step = 1, or a_row = 1: then a is read transposed. */                \
    X(product, (float *c, int64_t ldc, const float *a, int64_t a_row, int64_t a_step,              \
                const float *b, int64_t ldb, int64_t M, int64_t N, int64_t K, bool adds))          \
    /* The same without adding, for c that no cache holds or will hold. */                         \
    X(product_stream, (float *c, int64_t ldc, const float *a, int64_t a_row, int64_t a_step,       \
                       const float *b, int64_t ldb, int64_t M, int64_t N, int64_t K))              \
    /* to[j, i] = from[i, j], i < rows, j < columns. */                                            \
    X(transpose,                                                                                   \
      (float *to, int64_t ldto, const float *from, int64_t ldfrom, int64_t rows, int64_t columns)) \
    /* In place over each of `rows` rows of n: softmax. A row of all -infinity becomes 0. */       \
    X(softmax, (float *x, int64_t rows, int64_t n))                                                \
    /* dx[i] = p[i] (dx[i] - sum_j p[j] dx[j]): from the gradient of the softmax p to that of its  \
     * argument. */                                                                                \
    X(softmax_backward, (float *dx, const float *p, int64_t n))                                    \
    /* loss = log sum_i exp(x[i]) - x[target], and x becomes scale times its gradient, softmax(x)  \
     * less 1 at the target; 0 <= target < n, scale > 0. */                                        \
    X(cross_entropy, (float *x, float *loss, int64_t n, int64_t target, float scale))              \
    /* One AdamW step on n values; `coming` is prefetched, NULL = nothing. */                      \
    X(adamw, (float *p, float *m, float *v, const float *g, int64_t n,                             \
              const struct peer_adam_step *step, const struct peer_adam_coming *coming))           \
    /* The same with one second moment `v` for all n, which has been stepped already. */           \
    X(adamw_shared,                                                                                \
      (float *p, float *m, float v, const float *g, int64_t n, const struct peer_adam_step *step)) \
    /* `count` steps without gradients on n weights; m and v stay. m = NULL: no moments. */        \
    X(adamw_missed, (float *p, const float *m, const float *v, int64_t n, float epsilon,           \
                     const struct peer_adam_missed *missed, int64_t count))                        \
    /* x[i] = y[i], bfloat16 to float. */                                                          \
    X(bf16_read, (float *x, const uint16_t *y, int64_t n))                                         \
    /* y[i] = x[i] rounded up or down at random, with the mean x[i]. */                            \
    X(bf16_round, (uint16_t * y, const float *x, int64_t n, const struct peer_rounding *draws))

#define PEER_KERNEL_TYPE(name, arguments) typedef void peer_##name##_fn arguments;
PEER_KERNELS(PEER_KERNEL_TYPE)
#undef PEER_KERNEL_TYPE

struct peer_kernels {
#define PEER_KERNEL_MEMBER(name, arguments) peer_##name##_fn *name;
    PEER_KERNELS(PEER_KERNEL_MEMBER)
#undef PEER_KERNEL_MEMBER
};

/* The table of one level. The level must be one that peer_cpu_detect() allows. */
const struct peer_kernels *peer_kernels_for(enum peer_cpu cpu);

/* Whether product_bf16 has instructions of its own. */
bool peer_kernels_have_bf16(const struct peer_ctx *ctx);

/* The table of a context. */
const struct peer_kernels *peer_kernels(const struct peer_ctx *ctx);

#endif
