/* SPDX-License-Identifier: MIT */
/* Internal. Reference sources (*_ref.c) are written in `real` and compiled twice: as float, suffix
 * _ref, the plain level of the kernels; and as double with PEER_REAL_DOUBLE, suffix _f64, the
 * double twin that kernels and gradients are tested against. They use <tgmath.h>. */
#ifndef PEER_NN_REAL_H
#define PEER_NN_REAL_H

#include <stdint.h>

#ifdef PEER_REAL_DOUBLE
typedef double real;
#define REF(name) name##_f64
#else
typedef float real;
#define REF(name) name##_ref
#endif

/* FLOPs that the double twin has executed, by enum peer_part, so that cost formulas can be held
 * against counts; the float build counts nothing. Set and read by tests, one thread only. */
#ifdef PEER_REAL_DOUBLE
extern int64_t peer_counted[];
#define COUNT(part, flops) ((void)(peer_counted[part] += (flops)))
#else
#define COUNT(part, flops) ((void)0)
#endif

#endif
