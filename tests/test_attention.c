/* SPDX-License-Identifier: MIT */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm/attention.h"
#include "lm/attention_ref.h"
#include "nn/context.h"
#include "nn/cost.h"
#include "tests/support/twin.h"

enum { SEED = 20261124 };

static const struct size {
    int64_t B, S, heads, width; /* of a head */
} sizes[] = {{1, 1, 1, 2},  {1, 2, 3, 4},   {2, 3, 1, 6},  {3, 7, 2, 2},   {2, 17, 3, 8},
             {1, 33, 5, 4}, {2, 64, 1, 16}, {1, 65, 2, 6}, {2, 131, 3, 10}};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* One attention in float and in its double twin. */
struct pair {
    struct size size;
    int64_t T, D;
    struct peer_ctx *ctx;
    struct lm_attention attention;
    float *input, *qkv, *y, *dy, *dqkv;
    double *input64, *qkv64, *y64, *dy64, *dqkv64, *weights64;
};

static struct pair pair_of(const struct size *size, int threads)
{
    int64_t T = size->B * size->S, D = size->heads * size->width;
    int64_t scratch = lm_attention_scratch(size->S, size->width);
    struct pair p = {.size = *size, .T = T, .D = D};
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    cr_assert_eq(peer_ctx_create(&p.ctx, &config), PEER_OK);
    p.input = twin_floats(T * 3 * D, 0, 1, SEED, "qkv");
    p.qkv = twin_floats(T * 3 * D, 0, 1, SEED, "qkv");
    p.y = twin_floats(T * D, 0, 1, SEED, "y");
    p.dy = twin_floats(T * D, 0, 1, SEED, "dy");
    p.dqkv = twin_floats(T * 3 * D, 0, 1, SEED, "dqkv");
    p.input64 = twin_doubles(p.input, T * 3 * D);
    p.qkv64 = twin_doubles(p.input, T * 3 * D);
    p.dy64 = twin_doubles(p.dy, T * D);
    p.y64 = twin_zeros(T * D);
    p.dqkv64 = twin_zeros(T * 3 * D);
    p.weights64 = twin_zeros(size->B * size->heads * size->S * size->S);
    p.attention = (struct lm_attention){
        .width = D,
        .heads = size->heads,
        .rotation = twin_floats(size->S * size->width, 0, 1, SEED, "rotation"),
        .scratch = twin_floats(threads * scratch, 0, 1, SEED, "scratch"),
        .scratch_size = scratch};
    lm_attention_rotations(p.attention.rotation, size->S, size->width);
    return p;
}

static void pair_free(struct pair *p)
{
    void *blocks[] = {p->attention.rotation,
                      p->attention.scratch,
                      p->input,
                      p->qkv,
                      p->y,
                      p->dy,
                      p->dqkv,
                      p->input64,
                      p->qkv64,
                      p->y64,
                      p->dy64,
                      p->dqkv64,
                      p->weights64};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    peer_ctx_destroy(&p->ctx);
}

static void forward(struct pair *p)
{
    lm_attention_forward(p->ctx, p->y, p->qkv, &p->attention, p->size.B, p->size.S);
}

static void backward(struct pair *p)
{
    lm_attention_backward(p->ctx, p->dqkv, p->dy, p->qkv, &p->attention, p->size.B, p->size.S);
}

/* From input64; returns sum(dy * y). */
static double forward64(void *user)
{
    struct pair *p = user;
    memcpy(p->qkv64, p->input64, (size_t)(p->T * 3 * p->D) * sizeof *p->qkv64);
    lm_attention_forward_f64(p->y64, p->weights64, p->qkv64, p->size.B, p->size.S, p->D,
                             p->size.heads);
    double sum = 0;
    for (int64_t i = 0; i < p->T * p->D; i++)
        sum += p->dy64[i] * p->y64[i];
    return sum;
}

static void backward64(struct pair *p)
{
    lm_attention_backward_f64(p->dqkv64, p->dy64, p->weights64, p->qkv64, p->size.B, p->size.S,
                              p->D, p->size.heads);
}

/* With u the unit roundoff and M the largest |q|, |k| or |v|: rotation errs by 4 u M (its table
 * and three roundings), so a score of d products by (d + 10) u d M^2 / sqrt(d) = e. A weight then
 * has the relative error w = 2 e + (S + 8) u (exponential, sum, quotient), and y, a mean of at most
 * S values, errs by (w + S u) M. */
static double weight_error(const struct pair *p, double M)
{
    double d = (double)p->size.width, S = (double)p->size.S, u = FLT_EPSILON / 2;
    return 2 * (d + 10) * u * sqrt(d) * M * M + (S + 8) * u;
}

Test(attention, float_is_within_its_bound_of_the_twin)
{
    for (int i = 0; i < SIZES; i++) {
        struct pair p = pair_of(&sizes[i], 2);
        double M = twin_largest(p.input64, p.T * 3 * p.D), S = (double)p.size.S;
        forward(&p);
        forward64(&p);
        double y_bound = (weight_error(&p, M) + S * FLT_EPSILON / 2) * M;
        cr_expect_leq(twin_distance(p.y, p.y64, p.T * p.D), y_bound, "size %d", i);

        /* A gradient sums over up to S keys, whose weights sum to one, or S queries, products of
         * weights, q, k or v, and dweights - mean of them: 2 d M dM / sqrt(d) at most, twice the
         * weights' relative error each, and the products' own (S + d + 10) u. */
        double d = (double)p.size.width, dM = twin_largest(p.dy64, p.T * p.D);
        double size = 2 * sqrt(d) * M * M * dM > dM ? 2 * sqrt(d) * M * M * dM : dM;
        double error = 2 * weight_error(&p, M) + (S + d + 10) * FLT_EPSILON / 2;
        double rows = 0; /* most weight that falls on one key */
        for (int64_t u = 0; u < p.size.S; u++) {
            double sum = 0;
            for (int64_t t = 0; t < p.size.S; t++)
                sum += p.weights64[t * p.size.S + u];
            rows = sum > rows ? sum : rows;
        }
        backward(&p);
        backward64(&p);
        cr_expect_leq(twin_distance(p.dqkv, p.dqkv64, p.T * 3 * p.D),
                      error * size * (rows > 1 ? rows : 1), "size %d", i);
        pair_free(&p);
    }
}

Test(attention, gradient_of_the_twin_is_the_central_difference)
{
    static const int some[] = {0, 1, 2, 3, 4};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct pair p = pair_of(&sizes[some[i]], 1);
        forward64(&p);
        backward64(&p);
        double *gradient = twin_zeros(p.T * 3 * p.D);
        memcpy(gradient, p.dqkv64, (size_t)(p.T * 3 * p.D) * sizeof *gradient);
        for (int64_t j = 0; j < p.T * 3 * p.D; j++) {
            double slope = twin_slope(forward64, &p, &p.input64[j], 1e-3);
            cr_expect_float_eq(gradient[j], slope, 1e-8, "size %d entry %lld: %.12g, slope %.12g",
                               some[i], (long long)j, gradient[j], slope);
        }
        free(gradient);
        pair_free(&p);
    }
}

Test(attention, same_bits_for_any_number_of_threads)
{
    for (int i = 0; i < SIZES; i++) {
        struct pair one = pair_of(&sizes[i], 1);
        forward(&one);
        backward(&one);
        for (int threads = 2; threads <= 3; threads++) {
            struct pair p = pair_of(&sizes[i], threads);
            forward(&p);
            backward(&p);
            cr_expect_arr_eq(p.y, one.y, (size_t)(p.T * p.D) * sizeof(float));
            cr_expect_arr_eq(p.dqkv, one.dqkv, (size_t)(p.T * 3 * p.D) * sizeof(float));
            pair_free(&p);
        }
        pair_free(&one);
    }
}

/* A later token's query, key and value reach no earlier result, and their change reaches its own.
 */
Test(attention, is_causal)
{
    struct size size = {1, 131, 2, 6};
    struct pair p = pair_of(&size, 2), q = pair_of(&size, 2);
    forward(&p);
    for (int64_t t = 0; t < size.S; t += 13) {
        memcpy(q.qkv, q.input, (size_t)(q.T * 3 * q.D) * sizeof(float));
        for (int64_t i = 0; i < 3 * q.D; i++)
            q.qkv[t * 3 * q.D + i] += 1;
        forward(&q);
        cr_expect_arr_eq(p.y, q.y, (size_t)(t * p.D) * sizeof(float), "token %lld", (long long)t);
        cr_expect_neq(p.y[t * p.D], q.y[t * p.D], "token %lld", (long long)t);
    }
    pair_free(&p);
    pair_free(&q);
}

/* Scores depend on q, k and the distance of their positions alone (Su et al. 2021, eq. 16): with
 * all tokens' q and k equal, the weights of the last query are those of distances S-1 ... 0. */
Test(attention, rotation_is_relative)
{
    enum { S = 9, d = 6 };
    double qkv[S * 3 * d], y[S * d], weights[S * S];
    struct pair p = pair_of(&(struct size){1, S, 1, d}, 1);
    for (int t = 0; t < S; t++)
        for (int i = 0; i < 3 * d; i++)
            qkv[t * 3 * d + i] = p.input64[i];
    lm_attention_forward_f64(y, weights, qkv, 1, S, d, 1);
    for (int t = 1; t < S; t++)
        for (int u = 1; u <= t; u++)
            cr_expect_float_eq(weights[t * S + u] / weights[t * S + t],
                               weights[(t - u) * S] / weights[(t - u) * S + t - u], 1e-12);
    pair_free(&p);
}

/* By hand: one head of width 2, S = 2, angle of position 1 = 1 rad. */
Test(attention, a_case_by_hand)
{
    struct pair p = pair_of(&(struct size){1, 2, 1, 2}, 1);
    const float qkv[12] = {1, 0, 1, 0, 3, 4, 0, 2, 1, 0, 5, 8};
    memcpy(p.qkv, qkv, sizeof qkv);
    forward(&p);
    /* q_1 = (-2 sin 1, 2 cos 1), k_0 = (1, 0), k_1 = (cos 1, sin 1). */
    double s0 = -2 * sin(1) / sqrt(2), s1 = 0;
    double w = exp(s1) / (exp(s0) + exp(s1));
    const double expected[4] = {3, 4, 3 + 2 * w, 4 + 4 * w};
    for (int i = 0; i < 4; i++)
        cr_expect_float_eq(p.y[i], expected[i], 1e-6);
    pair_free(&p);
}

Test(attention, counts_are_of_the_causal_half)
{
    struct size size = {2, 17, 3, 8};
    struct pair p = pair_of(&size, 1);
    peer_counted[PEER_PART_ATTENTION] = 0;
    forward64(&p);
    int64_t pairs = size.S * (size.S + 1) / 2 * size.B, expected = 4 * p.D * pairs;
    cr_expect_eq(peer_counted[PEER_PART_ATTENTION], expected);
    peer_counted[PEER_PART_ATTENTION] = 0;
    backward64(&p);
    cr_expect_eq(peer_counted[PEER_PART_ATTENTION], 2 * expected);
    pair_free(&p);
}
