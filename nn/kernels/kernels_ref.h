/* SPDX-License-Identifier: MIT */
/* Internal. The plain level of the kernels, in `real`: same names and arguments as in
 * nn/kernels/kernels.h, with the suffix of the build. rows_dot and rows_axpy of all types count
 * their FLOPs under PEER_PART_EXPERTS. */
#ifndef PEER_NN_KERNELS_REF_H
#define PEER_NN_KERNELS_REF_H

#include "nn/kernels/kernels.h"
#include "nn/real.h"

void REF(peer_rows_dot)(real *out, const real *table, int64_t stride, const int32_t *ids, int64_t m,
                        int64_t ahead, const real *x, int64_t D);
void REF(peer_rows_axpy)(real *y, const real *table, int64_t stride, const int32_t *ids, int64_t m,
                         int64_t ahead, const real *coef, int64_t D);
void REF(peer_rows_dot_bf16)(real *out, const uint16_t *table, int64_t stride, const int32_t *ids,
                             int64_t m, int64_t ahead, const real *x, int64_t D);
void REF(peer_rows_axpy_bf16)(real *y, const uint16_t *table, int64_t stride, const int32_t *ids,
                              int64_t m, int64_t ahead, const real *coef, int64_t D);
void REF(peer_rows_dot_int8)(real *out, const int8_t *table, int64_t stride, const int32_t *ids,
                             int64_t m, int64_t ahead, const real *x, int64_t D);
void REF(peer_rows_axpy_int8)(real *y, const int8_t *table, int64_t stride, const int32_t *ids,
                              int64_t m, int64_t ahead, const real *coef, int64_t D);
void REF(peer_product)(real *c, int64_t ldc, const real *a, int64_t a_row, int64_t a_step,
                       const real *b, int64_t ldb, int64_t M, int64_t N, int64_t K, bool adds);
void REF(peer_product_stream)(real *c, int64_t ldc, const real *a, int64_t a_row, int64_t a_step,
                              const real *b, int64_t ldb, int64_t M, int64_t N, int64_t K);
void REF(peer_topk)(real *values, int32_t *ids, const real *scores, int64_t n, int64_t k);
void REF(peer_topk_columns)(real *values, int32_t *ids, const real *scores, int64_t ld, int64_t n,
                            int64_t m, int64_t k);
void REF(peer_transpose)(real *to, int64_t ldto, const real *from, int64_t ldfrom, int64_t rows,
                         int64_t columns);
void REF(peer_screen_columns)(int32_t *ids, int32_t *counts, const real *scores, int64_t ld,
                              int64_t n, int64_t m, int64_t k, const real *margins);
void REF(peer_bf16_pairs)(float *to, real *squares, const real *from, int64_t n);
void REF(peer_product_bf16)(real *c, int64_t ldc, const float *a, int64_t a_row, const float *b,
                            int64_t ldb, int64_t M, int64_t N, int64_t K);
void REF(peer_rows_chain)(real *out, const real *table, int64_t stride, const int32_t *ids,
                          int64_t m, const real *x, int64_t D);
void REF(peer_act_forward)(real *y, const real *x, int64_t n, enum peer_act act);
void REF(peer_act_slope)(real *slope, const real *x, int64_t n, enum peer_act act);
void REF(peer_softmax)(real *x, int64_t rows, int64_t n);
void REF(peer_softmax_backward)(real *dx, const real *p, int64_t n);
void REF(peer_cross_entropy)(real *x, real *loss, int64_t n, int64_t target, real scale);
void REF(peer_adamw)(real *p, real *m, real *v, const real *g, int64_t n,
                     const struct peer_adam_step *step, const struct peer_adam_coming *coming);
void REF(peer_adamw_shared)(real *p, real *m, real v, const real *g, int64_t n,
                            const struct peer_adam_step *step);
void REF(peer_adamw_missed)(real *p, const real *m, const real *v, int64_t n, float epsilon,
                            const struct peer_adam_missed *missed, int64_t count);
void REF(peer_bf16_read)(real *x, const uint16_t *y, int64_t n);
void REF(peer_bf16_round)(uint16_t *y, const real *x, int64_t n, const struct peer_rounding *draws);

#endif
