/* SPDX-License-Identifier: MIT */
/* Every level that this machine runs, against the double twin. */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cost.h"
#include "nn/kernels/bf16.h"
#include "nn/kernels/kernels.h"
#include "nn/kernels/kernels_ref.h"
#include "nn/random.h"

enum { SEED = 4717, MOST = 600 };

/* u = 2^-24, the rounding error of one float operation. */
static const double U = 1.0 / (1 << 24);

static const int64_t sizes[] = {1,  2,  3,  7,  8,  9,  15, 16,  17,  31,
                                32, 33, 47, 48, 63, 64, 65, 127, 130, 257};
enum { SIZES = sizeof sizes / sizeof *sizes };

#define EACH_LEVEL(cpu) for (enum peer_cpu cpu = PEER_CPU_REF; cpu <= peer_cpu_detect(); cpu++)

static uint32_t below(uint64_t index, uint32_t bound)
{
    return peer_random_below(SEED, 99, index, bound);
}

static void widen(double *wide, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        wide[i] = x[i];
}

/* Fills an array that a kernel writes n values of, so that a write past them shows. */
static void guard(float *x, int64_t n)
{
    for (int64_t i = -16; i < n + 16; i++)
        x[i] = -12345;
}

static void expect_guarded(const float *x, int64_t n, const char *what)
{
    for (int64_t i = 1; i <= 16; i++)
        cr_expect(x[-i] == -12345 && x[n + i - 1] == -12345, "%s writes out of bounds", what);
}

/* A table of rows at a stride above D, not aligned, and ids of which some are -1; `ahead` ids
 * follow the m that count. */
struct gather {
    int64_t D, m, ahead, stride;
    float table[40 * 300 + 3];
    double table64[40 * 300 + 3];
    float x[MOST], y[MOST];
    double x64[MOST], y64[MOST];
    int32_t *ids; /* [m + ahead] */
};

enum { ROWS = 40 };

static void gather_fill(struct gather *g, int64_t D, int64_t m, uint64_t trial)
{
    g->D = D;
    g->m = m;
    g->stride = D + below(trial, 40);
    g->ahead = below(trial + 1000, 3) ? (int64_t)below(trial + 2000, 20) : -m;
    peer_fill_normal(g->table, ROWS * g->stride + 3, 0, 1, SEED, trial);
    peer_fill_normal(g->x, MOST, 0.5f, 1, SEED, trial + 1);
    peer_fill_normal(g->y, MOST, 0, 1, SEED, trial + 2);
    widen(g->table64, g->table, ROWS * g->stride + 3);
    widen(g->x64, g->x, MOST);
    widen(g->y64, g->y, MOST);
    int64_t count = m + (g->ahead > 0 ? g->ahead : 0);
    free(g->ids);
    g->ids = calloc((size_t)count, sizeof *g->ids);
    for (int64_t j = 0; j < count; j++)
        g->ids[j] = below(trial + 100 + (uint64_t)j, 5) ? (int32_t)below((uint64_t)j, ROWS) : -1;
}

static double magnitude(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs(a[i] * b[i]);
    return sum;
}

/* A sum of D products in any order errs by at most D u times the sum of absolute products. */
Test(gather, rows_dot_matches_the_double_twin)
{
    static struct gather g;
    float buffer[64 + 32], *out = buffer + 16;
    double expected[64];
    for (int s = 0; s < SIZES; s++)
        for (int64_t m = 0; m <= 19; m += 1 + m / 3) {
            gather_fill(&g, sizes[s], m, (uint64_t)(100 * s + m));
            peer_rows_dot_f64(expected, g.table64 + 1, g.stride, g.ids, m, g.ahead, g.x64 + 3, g.D);
            EACH_LEVEL (cpu) {
                guard(out, m);
                peer_kernels_for(cpu)->rows_dot(out, g.table + 1, g.stride, g.ids, m, g.ahead,
                                                g.x + 3, g.D);
                expect_guarded(out, m, "rows_dot");
                for (int64_t j = 0; j < m; j++) {
                    double *row = g.table64 + 1 + g.ids[j] * g.stride;
                    double bound =
                        g.ids[j] < 0 ? 0 : (double)g.D * U * magnitude(row, g.x64 + 3, g.D);
                    cr_expect(fabs(out[j] - expected[j]) <= bound, "%s D %ld m %ld: %.9g, %.9g",
                              peer_cpu_name(cpu), (long)g.D, (long)m, out[j], expected[j]);
                }
            }
        }
}

Test(gather, a_dot_does_not_depend_on_its_company)
{
    static struct gather g;
    gather_fill(&g, 77, 40, 5);
    EACH_LEVEL (cpu) {
        float together[40], alone;
        peer_kernels_for(cpu)->rows_dot(together, g.table, g.stride, g.ids, 40, 0, g.x, g.D);
        for (int j = 0; j < 40; j++) {
            peer_kernels_for(cpu)->rows_dot(&alone, g.table, g.stride, g.ids + j, 1, 0, g.x, g.D);
            cr_expect_eq(alone, together[j]);
        }
    }
}

/* m + 1 terms are summed per column. */
Test(gather, rows_axpy_matches_the_double_twin)
{
    static struct gather g;
    float buffer[MOST + 33], *y = buffer + 17;
    for (int s = 0; s < SIZES; s++)
        for (int64_t m = 0; m <= 19; m += 1 + m / 3) {
            gather_fill(&g, sizes[s], m, (uint64_t)(100 * s + m + 50));
            double bound[MOST];
            for (int64_t i = 0; i < g.D; i++) {
                bound[i] = fabs(g.y64[i]);
                for (int64_t j = 0; j < m; j++)
                    if (g.ids[j] >= 0)
                        bound[i] += fabs(g.x64[j] * g.table64[g.ids[j] * g.stride + i + 1]);
                bound[i] *= (double)(m + 1) * U;
            }
            peer_rows_axpy_f64(g.y64, g.table64 + 1, g.stride, g.ids, m, g.ahead, g.x64, g.D);
            EACH_LEVEL (cpu) {
                guard(y, g.D);
                memcpy(y, g.y, (size_t)g.D * sizeof *y);
                peer_kernels_for(cpu)->rows_axpy(y, g.table + 1, g.stride, g.ids, m, g.ahead, g.x,
                                                 g.D);
                expect_guarded(y, g.D, "rows_axpy");
                for (int64_t i = 0; i < g.D; i++)
                    cr_expect(fabs(y[i] - g.y64[i]) <= bound[i], "%s D %ld m %ld: %.9g, %.9g",
                              peer_cpu_name(cpu), (long)g.D, (long)m, y[i], g.y64[i]);
            }
        }
}

/* In order, so that two calls with parts of the rows are one call with all. */
Test(gather, rows_axpy_adds_in_order)
{
    static struct gather g;
    gather_fill(&g, 77, 40, 6);
    EACH_LEVEL (cpu) {
        float whole[77], parts[77];
        memcpy(whole, g.y, sizeof whole);
        memcpy(parts, g.y, sizeof parts);
        const struct peer_kernels *k = peer_kernels_for(cpu);
        k->rows_axpy(whole, g.table, g.stride, g.ids, 40, 0, g.x, g.D);
        for (int j = 0; j < 40; j += 5)
            k->rows_axpy(parts, g.table, g.stride, g.ids + j, 5, 0, g.x + j, g.D);
        cr_expect_arr_eq(whole, parts, sizeof whole);
    }
}

Test(gather, the_twin_counts_its_flops)
{
    static struct gather g;
    gather_fill(&g, 9, 12, 7);
    int64_t used = 0;
    for (int j = 0; j < 12; j++)
        used += g.ids[j] >= 0;
    cr_assert(used > 0 && used < 12);
    double out[12];
    peer_counted[PEER_PART_EXPERTS] = 0;
    peer_rows_dot_f64(out, g.table64, g.stride, g.ids, 12, 0, g.x64, g.D);
    cr_expect_eq(peer_counted[PEER_PART_EXPERTS], 2 * 9 * used);
    peer_rows_axpy_f64(g.y64, g.table64, g.stride, g.ids, 12, 0, g.x64, g.D);
    cr_expect_eq(peer_counted[PEER_PART_EXPERTS], 4 * 9 * used);
}

/* Values from -100 to 100, dense around 0, of both signs, and the ends of the range. */
static int64_t arguments(float *x, int64_t capacity)
{
    static const float special[] = {0.0f,  -0.0f,  INFINITY,        -INFINITY, 1e-40f, -1e-40f,
                                    3e38f, -3e38f, 1.17549435e-38f, -14.3f,    88.8f,  -88.8f,
                                    104,   -104};
    int64_t n = sizeof special / sizeof *special;
    memcpy(x, special, sizeof special);
    for (; n < capacity; n++) {
        float size = powf(10, -6 + 8 * (float)below((uint64_t)n, 1 << 20) / (1 << 20));
        x[n] = n % 2 ? size : -size;
    }
    return n;
}

/* exp, the logistic function and the normal distribution function err by at most 6 units of 2 u
 * (see nn/kernels/vecmath.h; libm by 1) and the formula by 4 u. Where an argument rounds before exp
 * or erfc, which have the condition number |x| <= 104 and 208 while the result is no denormal, a
 * relative 3 u and 1.5 u become 312 u: gelu_tanh, and gelu at the plain level. A denormal result
 * errs by its spacing, times |x|. Slopes' two terms, at most 1.2, may cancel. */
static void expect_act(enum peer_cpu cpu, enum peer_act act, const float *got, const double *want,
                       int64_t n, bool slope)
{
    bool rounded_first = act == PEER_ACT_GELU_TANH || (act == PEER_ACT_GELU && cpu == PEER_CPU_REF);
    for (int64_t i = 0; i < n; i++) {
        double relative = (rounded_first ? 330 : 16) * U;
        double bound = relative * (slope ? 1.2 : fabs(want[i])) + ldexp(1, -143);
        bool same = got[i] == (float)want[i] || fabs(got[i] - want[i]) <= bound;
        cr_expect(same, "%s %s%s [%ld]: %.9g, twin %.9g", peer_cpu_name(cpu), peer_act_names[act],
                  slope ? " slope" : "", (long)i, got[i], want[i]);
    }
}

Test(elementwise, activations_and_slopes_match_the_double_twin)
{
    enum { n = 5003 };
    static float x[n], buffer[n + 33];
    static double x64[n], y64[n], slope64[n];
    arguments(x, n);
    widen(x64, x, n);
    for (enum peer_act act = 0; act < PEER_ACT_COUNT; act++) {
        peer_act_forward_f64(y64, x64, n, act);
        peer_act_slope_f64(slope64, x64, n, act);
        EACH_LEVEL (cpu) {
            const struct peer_kernels *k = peer_kernels_for(cpu);
            float *y = buffer + 17;
            guard(y, n);
            k->act_forward(y, x, n, act);
            expect_act(cpu, act, y, y64, n, false);
            k->act_slope(y, x, n, act);
            expect_act(cpu, act, y, slope64, n, true);
            expect_guarded(y, n, peer_act_names[act]);
        }
    }
}

/* Whatever the length and the place in an array, in place or not, a value's result is the same. */
Test(elementwise, a_value_does_not_depend_on_its_company)
{
    static float x[MOST], whole[MOST], part[MOST];
    arguments(x, MOST);
    EACH_LEVEL (cpu)
        for (enum peer_act act = 0; act < PEER_ACT_COUNT; act++) {
            peer_kernels_for(cpu)->act_forward(whole, x, MOST, act);
            for (int s = 0; s < SIZES; s++) {
                memcpy(part, x, sizeof x);
                peer_kernels_for(cpu)->act_forward(part + s, part + s, sizes[s], act);
                cr_expect_arr_eq(part + s, whole + s, (size_t)sizes[s] * sizeof *x);
                cr_expect_arr_eq(part + s + sizes[s], x + s + sizes[s], 64);
            }
        }
}

Test(elementwise, activations_pass_nan_on)
{
    float x[33], y[33];
    for (int i = 0; i < 33; i++)
        x[i] = i % 3 ? (float)i : NAN;
    EACH_LEVEL (cpu)
        for (enum peer_act act = 0; act < PEER_ACT_COUNT; act++) {
            peer_kernels_for(cpu)->act_forward(y, x, 33, act);
            for (int i = 0; i < 33; i++)
                cr_expect_eq(isnan(y[i]) != 0, i % 3 == 0, "%s %s", peer_cpu_name(cpu),
                             peer_act_names[act]);
            peer_kernels_for(cpu)->act_slope(y, x, 33, act);
            for (int i = 0; i < 33; i += 3)
                cr_expect(isnan(y[i]) || act == PEER_ACT_IDENTITY);
        }
}

/* The difference x - max errs by u |x - max| at most, where the result is not yet 0 by 104 u; exp
 * by 2, the sum of n by n, scale and product by 3. */
Test(elementwise, softmax_matches_the_double_twin)
{
    for (int s = 0; s < SIZES; s++) {
        int64_t n = sizes[s], rows = 1 + s % 4;
        static float x[4 * 257], buffer[4 * 257 + 33];
        static double x64[4 * 257];
        peer_fill_normal(x, rows * n, 3, s % 2 ? 20 : 1, SEED, (uint64_t)s);
        x[rows * n - 1] = s % 3 ? x[rows * n - 1] : -INFINITY;
        widen(x64, x, rows * n);
        peer_softmax_f64(x64, rows, n);
        EACH_LEVEL (cpu) {
            float *y = buffer + 17;
            guard(y, rows * n);
            memcpy(y, x, (size_t)(rows * n) * sizeof *x);
            peer_kernels_for(cpu)->softmax(y, rows, n);
            expect_guarded(y, rows * n, "softmax");
            for (int64_t i = 0; i < rows * n; i++)
                cr_expect(fabs(y[i] - x64[i]) <= (double)(n + 110) * U * x64[i] + ldexp(1, -147),
                          "%s n %ld: %.9g, %.9g", peer_cpu_name(cpu), (long)n, y[i], x64[i]);
        }
    }
}

/* The mean errs by n + 1 roundings of its terms' sizes; difference and product round once each. */
Test(elementwise, softmax_backward_matches_the_double_twin)
{
    for (int s = 0; s < SIZES; s++) {
        int64_t n = sizes[s];
        static float x[257], p[257], buffer[257 + 33];
        static double x64[257], p64[257];
        double size = 0;
        peer_fill_normal(x, n, 0, 3, SEED, (uint64_t)s);
        peer_fill_normal(p, n, 0, 1, SEED, (uint64_t)(100 + s));
        peer_kernels_for(PEER_CPU_REF)->softmax(p, 1, n);
        widen(x64, x, n);
        widen(p64, p, n);
        for (int64_t i = 0; i < n; i++)
            size += p64[i] * fabs(x64[i]);
        peer_softmax_backward_f64(x64, p64, n);
        EACH_LEVEL (cpu) {
            float *y = buffer + 17;
            guard(y, n);
            memcpy(y, x, (size_t)n * sizeof *x);
            peer_kernels_for(cpu)->softmax_backward(y, p, n);
            expect_guarded(y, n, "softmax_backward");
            for (int64_t i = 0; i < n; i++)
                cr_expect(fabs(y[i] - x64[i]) <=
                              U * (p64[i] * (double)(n + 1) * size + 3 * fabs(x64[i])),
                          "%s n %ld: %.9g, %.9g", peer_cpu_name(cpu), (long)n, y[i], x64[i]);
        }
    }
}

/* Probabilities as above; 1 less rounds once. The logarithm of the sum has its absolute error. */
Test(elementwise, cross_entropy_matches_the_double_twin)
{
    for (int s = 0; s < SIZES; s++) {
        int64_t n = sizes[s], target = n / 3;
        static float x[257], buffer[257 + 33];
        static double x64[257];
        double loss64, bound = (double)(n + 111) * U, scale = 1.0 / (1 << s % 5);
        peer_fill_normal(x, n, 3, s % 2 ? 20 : 1, SEED, (uint64_t)s);
        x[n - 1] = s % 3 ? x[n - 1] : -50;
        widen(x64, x, n);
        peer_cross_entropy_f64(x64, &loss64, n, target, scale);
        EACH_LEVEL (cpu) {
            float *y = buffer + 17, loss;
            guard(y, n);
            memcpy(y, x, (size_t)n * sizeof *x);
            peer_kernels_for(cpu)->cross_entropy(y, &loss, n, target, (float)scale);
            expect_guarded(y, n, "cross_entropy");
            cr_expect(fabs(loss - loss64) <= bound + 4 * U * loss64, "%s n %ld: %.9g, %.9g",
                      peer_cpu_name(cpu), (long)n, loss, loss64);
            for (int64_t i = 0; i < n; i++) {
                double one = (i == target) * scale, p64 = x64[i] + one;
                cr_expect(fabs(y[i] - x64[i]) <= bound * p64 + U * one + ldexp(1, -147),
                          "%s n %ld: %.9g, %.9g", peer_cpu_name(cpu), (long)n, y[i], x64[i]);
            }
        }
    }
}

Test(elementwise, cross_entropy_of_nan_or_infinity_is_nan)
{
    EACH_LEVEL (cpu)
        for (int s = 1; s < SIZES; s++)
            for (int bad = 0; bad < 2; bad++) {
                int64_t n = sizes[s];
                float x[257], loss = 0;
                peer_fill_normal(x, n, 0, 1, SEED, (uint64_t)s);
                x[n - 1] = bad ? INFINITY : NAN;
                peer_kernels_for(cpu)->cross_entropy(x, &loss, n, 0, 1);
                cr_expect(isnan(loss), "%s n %ld: %g", peer_cpu_name(cpu), (long)n, loss);
                for (int64_t i = 0; i < n; i++)
                    cr_expect(isnan(x[i]));
            }
}

Test(elementwise, a_softmax_does_not_depend_on_its_place)
{
    float x[64 * 3 + 16], first[64];
    EACH_LEVEL (cpu)
        for (int s = 0; s < SIZES && sizes[s] <= 64; s++)
            for (int64_t offset = 0; offset < 16; offset++) {
                int64_t n = sizes[s];
                float *row = x + offset + offset % 3 * n;
                for (int r = 0; r < 3; r++)
                    peer_fill_normal(x + offset + r * n, n, 0, 2, SEED,
                                     r == offset % 3 ? 1000 : (uint64_t)(10 * offset + r));
                peer_kernels_for(cpu)->softmax(x + offset, 3, n);
                if (offset == 0)
                    memcpy(first, row, (size_t)n * sizeof *row);
                cr_expect_arr_eq(first, row, (size_t)n * sizeof *row);
            }
}

Test(elementwise, softmax_of_nothing_is_zero_and_of_nan_is_nan)
{
    EACH_LEVEL (cpu)
        for (int s = 0; s < SIZES; s++) {
            int64_t n = sizes[s];
            float x[3 * 257];
            for (int64_t i = 0; i < 3 * n; i++)
                x[i] = i < n ? -INFINITY : i < 2 * n ? 2 : (float)i;
            x[2 * n + n / 2] = NAN;
            peer_kernels_for(cpu)->softmax(x, 3, n);
            for (int64_t i = 0; i < n; i++) {
                cr_expect_eq(x[i], 0);
                cr_expect(fabs(x[n + i] - 1.0 / (double)n) <= 2 * U / (double)n);
                cr_expect(isnan(x[2 * n + i]));
            }
        }
}

/* The step from `start` again, other values being fetched meanwhile, ends at `now` bit for bit. */
static void expect_fetching_changes_nothing(enum peer_cpu cpu, float *const now[3],
                                            float start[4][257], int64_t n,
                                            const struct peer_adam_step *step)
{
    static float other[4][257];
    const struct peer_adam_coming coming = {other[0], other[1], other[2], other[3]};
    float again[3][257 + 33];
    for (int i = 0; i < 3; i++) {
        guard(again[i] + 17, n);
        memcpy(again[i] + 17, start[i], (size_t)n * sizeof *start[i]);
    }
    peer_kernels_for(cpu)->adamw(again[0] + 17, again[1] + 17, again[2] + 17, start[3], n, step,
                                 &coming);
    for (int i = 0; i < 3; i++) {
        expect_guarded(again[i] + 17, n, "adamw, fetching");
        cr_expect_arr_eq(again[i] + 17, now[i], (size_t)n * sizeof *now[i]);
    }
}

/* Every operation of the formula rounds once: m is within 4 u of its parts, v within 7 u, the step
 * within 12 u of itself and p within 2 u of itself more. */
Test(elementwise, adamw_matches_the_double_twin)
{
    const struct peer_adam_step step = {.beta1 = 0.9f,
                                        .beta2 = 0.95f,
                                        .fresh1 = 0.1f,
                                        .fresh2 = 0.05f,
                                        .epsilon = 1e-8f,
                                        .rate = 0.003f,
                                        .second_scale = 3.7f,
                                        .shrink = 0.999f,
                                        .grad_scale = 0.44f,
                                        .coef = -0.7f};
    for (int s = 0; s < SIZES; s++) {
        int64_t n = sizes[s];
        float start[4][257], buffer[3][257 + 33];
        double wide[4][257];
        for (int i = 0; i < 4; i++)
            peer_fill_normal(start[i], n, 0, i == 2 ? 0 : 1, SEED, (uint64_t)(10 * s + i));
        for (int64_t i = 0; i < n; i++)
            start[2][i] = (float)below((uint64_t)i, 1000) / 500;
        for (int i = 0; i < 4; i++)
            widen(wide[i], start[i], n);
        peer_adamw_f64(wide[0], wide[1], wide[2], wide[3], n, &step, NULL);
        EACH_LEVEL (cpu) {
            float *now[3];
            for (int i = 0; i < 3; i++) {
                now[i] = buffer[i] + 17;
                guard(now[i], n);
                memcpy(now[i], start[i], (size_t)n * sizeof *start[i]);
            }
            peer_kernels_for(cpu)->adamw(now[0], now[1], now[2], start[3], n, &step, NULL);
            for (int i = 0; i < 3; i++)
                expect_guarded(now[i], n, "adamw");
            expect_fetching_changes_nothing(cpu, now, start, n, &step);
            for (int64_t i = 0; i < n; i++) {
                double m = 0.9 * fabs(start[1][i]) + 0.0308 * fabs(start[3][i]), v = wide[2][i];
                double change = 0.003 * m / (sqrt(v * 3.7) + 1e-8);
                cr_expect(fabs(now[1][i] - wide[1][i]) <= 4 * U * m);
                cr_expect(fabs(now[2][i] - v) <= 7 * U * v);
                cr_expect(fabs(now[0][i] - wide[0][i]) <= U * (12 * change + 3 * fabs(start[0][i])),
                          "%s n %ld [%ld]: %.9g, %.9g", peer_cpu_name(cpu), (long)n, (long)i,
                          now[0][i], wide[0][i]);
            }
        }
    }
}

/* First step from zero moments with gradient g = 4: m/(1-beta1) = g, sqrt(v/(1-beta2)) = |g|, so
 * that p = 0.5 (1 - 0.1 * 0.2) - 0.1 = 0.39. */
Test(elementwise, adamw_by_hand)
{
    const struct peer_adam_step step = {.beta1 = 0.75f,
                                        .beta2 = 0.5f,
                                        .fresh1 = 0.25f,
                                        .fresh2 = 0.5f,
                                        .epsilon = 1e-12f,
                                        .rate = 0.1f / 0.25f,
                                        .second_scale = 2,
                                        .shrink = 1 - 0.1f * 0.2f,
                                        .grad_scale = 1,
                                        .coef = 2};
    EACH_LEVEL (cpu) {
        float p = 0.5f, m = 0, v = 0, g = 2;
        peer_kernels_for(cpu)->adamw(&p, &m, &v, &g, 1, &step, NULL);
        cr_expect_eq(m, 1);
        cr_expect_eq(v, 8);
        cr_expect_float_eq(p, 0.39, 1e-7);
    }
}

/* As above, with one rounded factor for all. */
Test(elementwise, adamw_shared_matches_the_double_twin)
{
    const struct peer_adam_step step = {.beta1 = 0.9f,
                                        .fresh1 = 0.1f,
                                        .epsilon = 1e-8f,
                                        .rate = 0.003f,
                                        .second_scale = 3.7f,
                                        .shrink = 0.999f,
                                        .grad_scale = 0.31f};
    const float v = 0.17f;
    for (int s = 0; s < SIZES; s++) {
        int64_t n = sizes[s];
        float start[3][257], buffer[2][257 + 33];
        double wide[3][257];
        for (int i = 0; i < 3; i++) {
            peer_fill_normal(start[i], n, 0, 1, SEED, (uint64_t)(10 * s + i));
            widen(wide[i], start[i], n);
        }
        peer_adamw_shared_f64(wide[0], wide[1], (double)v, wide[2], n, &step);
        EACH_LEVEL (cpu) {
            float *now[2];
            for (int i = 0; i < 2; i++) {
                now[i] = buffer[i] + 17;
                guard(now[i], n);
                memcpy(now[i], start[i], (size_t)n * sizeof *start[i]);
            }
            peer_kernels_for(cpu)->adamw_shared(now[0], now[1], v, start[2], n, &step);
            for (int64_t i = 0; i < n; i++) {
                double m = 0.9 * fabs(start[1][i]) + 0.031 * fabs(start[2][i]);
                double change = 0.003 * m / sqrt(v * 3.7);
                cr_expect(fabs(now[1][i] - wide[1][i]) <= 4 * U * m);
                cr_expect(fabs(now[0][i] - wide[0][i]) <= U * (12 * change + 3 * fabs(start[0][i])),
                          "%s n %ld [%ld]", peer_cpu_name(cpu), (long)n, (long)i);
            }
            for (int i = 0; i < 2; i++)
                expect_guarded(now[i], n, "adamw_shared");
        }
    }
}

/* Each missed step rounds p twice and its change five times. Without moments only p shrinks. */
Test(elementwise, adamw_missed_matches_the_double_twin)
{
    enum { COUNT = 37 };
    const float epsilon = 1e-3f;
    struct peer_adam_missed missed[COUNT];
    for (int j = 0; j < COUNT; j++)
        missed[j] = (struct peer_adam_missed){.shrink = 1 - 0.001f * (float)(j % 5),
                                              .rate = 0.01f * powf(0.9f, (float)j),
                                              .root = 2 * powf(0.975f, (float)j)};
    for (int s = 0; s < 2 * SIZES; s++) {
        int64_t n = sizes[s / 2], count = s % 3 ? COUNT : s % 2;
        float start[3][257], buffer[257 + 33], *p = buffer + 17;
        double wide[3][257];
        bool moments = s % 2;
        for (int i = 0; i < 3; i++)
            peer_fill_normal(start[i], n, 0, 1, SEED, (uint64_t)(10 * s + i));
        for (int64_t i = 0; i < n; i++)
            start[2][i] *= start[2][i] * (i % 3 ? 1 : 1e-8f);
        for (int i = 0; i < 3; i++)
            widen(wide[i], start[i], n);
        peer_adamw_missed_f64(wide[0], moments ? wide[1] : NULL, moments ? wide[2] : NULL, n,
                              epsilon, missed, count);
        EACH_LEVEL (cpu) {
            guard(p, n);
            memcpy(p, start[0], (size_t)n * sizeof *p);
            peer_kernels_for(cpu)->adamw_missed(
                p, moments ? start[1] : NULL, moments ? start[2] : NULL, n, epsilon, missed, count);
            for (int64_t i = 0; i < n; i++) {
                double change = 0;
                for (int64_t j = 0; j < count && moments; j++)
                    change += missed[j].rate * fabs(start[1][i]) /
                              (missed[j].root * sqrt(start[2][i]) + epsilon);
                double most = fabs(start[0][i]) + change;
                cr_expect(fabs(p[i] - wide[0][i]) <= U * (8 * change + 2 * (double)count * most),
                          "%s n %ld [%ld]: %.9g, %.9g", peer_cpu_name(cpu), (long)n, (long)i, p[i],
                          wide[0][i]);
            }
            expect_guarded(p, n, "adamw_missed");
        }
    }
}

/* Every level draws the same. */
Test(bf16, levels_round_alike)
{
    const struct peer_rounding draws = {.key = {1, 2}, .counter = {3, 4, 5}};
    for (int s = 0; s < SIZES; s++) {
        int64_t n = sizes[s];
        float x[257], back[257 + 33];
        uint16_t plain[257], y[257 + 2];
        peer_fill_normal(x, n, 0, 1, SEED, (uint64_t)s);
        peer_kernels_for(PEER_CPU_REF)->bf16_round(plain, x, n, &draws);
        EACH_LEVEL (cpu) {
            y[0] = y[n + 1] = 4711;
            guard(back + 17, n);
            peer_kernels_for(cpu)->bf16_round(y + 1, x, n, &draws);
            peer_kernels_for(cpu)->bf16_read(back + 17, y + 1, n);
            cr_expect_arr_eq(y + 1, plain, (size_t)n * sizeof *y, "%s", peer_cpu_name(cpu));
            cr_expect(y[0] == 4711 && y[n + 1] == 4711);
            expect_guarded(back + 17, n, "bf16_read");
            for (int64_t i = 0; i < n; i++) {
                cr_expect_eq(back[17 + i], peer_bf16_value(plain[i]));
                cr_expect_lt(fabsf(back[17 + i] - x[i]), fabsf(x[i]) / 128);
            }
        }
    }
}

/* Draw 0 of value 0 is the lower half of the first word of block 0, that of value 16 of the second;
 * value 64 takes the upper half of the first. Known answer of Philox: Random123. */
Test(bf16, draws_are_philox)
{
    const struct peer_rounding zero = {.key = {0, 0}, .counter = {0, 0, 0}};
    const uint32_t word[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    float x[128];
    uint16_t y[128];
    for (int i = 0; i < 128; i++)
        x[i] = 1 + 0x1p-8f; /* half way: up from draws of 0x8000 on */
    EACH_LEVEL (cpu) {
        peer_kernels_for(cpu)->bf16_round(y, x, 128, &zero);
        for (int draw = 0; draw < 8; draw++) {
            bool up = (word[draw % 4] >> (draw < 4 ? 0 : 16) & 0xffff) >= 0x8000;
            cr_expect_eq(y[16 * draw], up ? 0x3f81 : 0x3f80, "%s %d", peer_cpu_name(cpu), draw);
        }
    }
}

/* What bfloat16 holds stays; so do infinities and NaN. The mean of many roundings is the value: its
 * deviation is below u/2 / sqrt(4096) of a last place u, and five of these are allowed. */
Test(bf16, rounding_is_exact_on_average)
{
    enum { DRAWS = 4096 };
    const float kept[] = {0, -0.0f, 1, -3, 0x1p-126f, INFINITY, -INFINITY};
    EACH_LEVEL (cpu) {
        const struct peer_kernels *kernels = peer_kernels_for(cpu);
        struct peer_rounding draws = {.key = {7, 8}};
        uint16_t y[7], nan[3];
        float back[7];
        kernels->bf16_round(y, kept, 7, &draws);
        kernels->bf16_read(back, y, 7);
        cr_expect_arr_eq(back, kept, sizeof kept);
        uint32_t bits[3] = {0x7fc00000, 0x7f800001, 0xffffffff};
        float x[3];
        memcpy(x, bits, sizeof x);
        kernels->bf16_round(nan, x, 3, &draws);
        for (int i = 0; i < 3; i++)
            cr_expect(isnan(peer_bf16_value(nan[i])));
        double sum[3] = {0};
        const float values[3] = {1.001f, -0.3f, 77.7f}, last[3] = {0x1p-7f, 0x1p-9f, 0.5f};
        for (uint32_t i = 0; i < DRAWS; i++) {
            draws.counter[1] = i;
            kernels->bf16_round(y, values, 3, &draws);
            for (int j = 0; j < 3; j++)
                sum[j] += (double)peer_bf16_value(y[j]);
        }
        for (int j = 0; j < 3; j++)
            cr_expect_float_eq(sum[j] / DRAWS, values[j], 5 * last[j] / 2 / 64);
    }
}
