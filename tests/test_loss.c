/* SPDX-License-Identifier: MIT */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lm/embedding.h"
#include "lm/loss.h"
#include "lm/loss_ref.h"
#include "nn/context.h"
#include "nn/cost.h"
#include "nn/random.h"
#include "tests/support/twin.h"

enum { SEED = 20261125 };

static const struct size {
    int64_t T, V, D;
} sizes[] = {{1, 1, 1},   {1, 2, 3},     {3, 1, 2},    {2, 17, 7},    {17, 33, 5},
             {64, 15, 6}, {65, 129, 17}, {7, 1031, 3}, {1025, 67, 4}, {3, 60001, 2}};
enum { SIZES = sizeof sizes / sizeof *sizes };

struct pair {
    struct size size;
    struct peer_ctx *ctx;
    struct lm_loss loss;
    float *x, *embed, *losses;
    int32_t *targets;
    double *x64, *embed64, *losses64, *probabilities, *dx64, *dembed64;
};

/* Every fifth token or so is not scored. */
static struct pair pair_of(const struct size *size, int threads)
{
    int64_t T = size->T, V = size->V, D = size->D;
    struct pair p = {.size = *size};
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    cr_assert_eq(peer_ctx_create(&p.ctx, &config), PEER_OK);
    p.x = twin_floats(T * D, 0, 1, SEED, "x");
    p.embed = twin_floats(V * D, 0, 1, SEED, "embed");
    p.losses = twin_floats(T, 0, 1, SEED, "losses");
    p.targets = calloc((size_t)T, sizeof *p.targets);
    for (int64_t t = 0; t < T; t++)
        p.targets[t] = peer_random_below(SEED, 1, (uint64_t)t, 5)
                           ? (int32_t)peer_random_below(SEED, 2, (uint64_t)t, (uint32_t)V)
                           : -1;
    p.loss = (struct lm_loss){.vocab = V,
                              .width = D,
                              .embed = p.embed,
                              .logits = twin_floats(lm_loss_scratch(V, T), 0, 1, SEED, "logits"),
                              .dx = twin_floats(T * D, 0, 1, SEED, "dx"),
                              .dembed = twin_floats(V * D, 0, 1, SEED, "dembed")};
    p.x64 = twin_doubles(p.x, T * D);
    p.embed64 = twin_doubles(p.embed, V * D);
    p.losses64 = twin_zeros(T);
    p.probabilities = twin_zeros(T * V);
    p.dx64 = twin_zeros(T * D);
    p.dembed64 = twin_zeros(V * D);
    return p;
}

static void pair_free(struct pair *p)
{
    void *blocks[] = {p->x,       p->embed,    p->losses,        p->targets, p->loss.logits,
                      p->x64,     p->dx64,     p->probabilities, p->loss.dx, p->loss.dembed,
                      p->embed64, p->dembed64, p->losses64};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    peer_ctx_destroy(&p->ctx);
}

static double forward(struct pair *p, int64_t *scored)
{
    return lm_loss_forward(p->ctx, scored, p->losses, &p->loss, p->x, p->targets, p->size.T);
}

static double forward64(struct pair *p, int64_t *scored)
{
    return lm_loss_forward_f64(scored, p->losses64, p->probabilities, p->x64, p->embed64,
                               p->targets, p->size.T, p->size.V, p->size.D);
}

static void backward64(struct pair *p)
{
    lm_loss_backward_f64(p->dx64, p->dembed64, p->probabilities, p->x64, p->embed64, p->targets,
                         p->size.T, p->size.V, p->size.D);
}

static double mean64(void *user)
{
    int64_t scored;
    double sum = forward64(user, &scored);
    return scored ? sum / (double)scored : 0;
}

/* Largest sum of |x_i E_vi|: of a logit. */
static double logit_size(const struct pair *p)
{
    double largest = 0;
    for (int64_t t = 0; t < p->size.T; t++)
        for (int64_t v = 0; v < p->size.V; v++) {
            double sum = 0;
            for (int64_t i = 0; i < p->size.D; i++)
                sum += fabs(p->x64[t * p->size.D + i] * p->embed64[v * p->size.D + i]);
            largest = sum > largest ? sum : largest;
        }
    return largest;
}

/* With u the unit roundoff a logit errs by D u L, L its size, and its difference to the largest by
 * 2 D u L + 2 u L; the logarithm of a sum of V terms by that and (V + 8) u, and a probability
 * relatively by twice as much. The loss is rounded twice more at a size of at most 2 L + log V. */
Test(loss, float_is_within_its_bound_of_the_twin)
{
    for (int i = 0; i < SIZES; i++) {
        struct pair p = pair_of(&sizes[i], 2);
        double T = (double)p.size.T, V = (double)p.size.V, D = (double)p.size.D;
        double u = FLT_EPSILON / 2, L = logit_size(&p);
        double error = (2 * D + 4) * u * L + (V + 8) * u + 2 * u * (2 * L + log(V));
        int64_t scored, scored64;
        double sum = forward(&p, &scored), sum64 = forward64(&p, &scored64);
        backward64(&p);
        cr_expect_eq(scored, scored64);
        cr_expect_leq(twin_distance(p.losses, p.losses64, p.size.T), error, "size %d", i);
        cr_expect_float_eq(sum, sum64, T * error, "size %d: %g, twin %g", i, sum, sum64);

        /* dx sums dlogits, of which sum |dlogit| <= 2 / scored, times embeddings; dembed sums them
         * over at most T tokens: relative error 2 error of each, plus the sums' own. */
        double per_token = scored ? 2 / (double)scored : 0;
        double E = twin_largest(p.embed64, p.size.V * p.size.D);
        double X = twin_largest(p.x64, p.size.T * p.size.D);
        cr_expect_leq(twin_distance(p.loss.dx, p.dx64, p.size.T * p.size.D),
                      per_token * E * (2 * error + (V + 4) * u), "size %d", i);
        cr_expect_leq(twin_distance(p.loss.dembed, p.dembed64, p.size.V * p.size.D),
                      per_token * T * X * (2 * error + (T + 4) * u), "size %d", i);
        pair_free(&p);
    }
}

Test(loss, gradient_of_the_twin_is_the_central_difference)
{
    for (int i = 0; i < 6; i++) {
        struct pair p = pair_of(&sizes[i], 1);
        mean64(&p);
        backward64(&p);
        double *arrays[] = {p.x64, p.embed64}, *gradients[] = {p.dx64, p.dembed64};
        int64_t counts[] = {p.size.T * p.size.D, p.size.V * p.size.D};
        for (int a = 0; a < 2; a++)
            for (int64_t j = 0; j < counts[a]; j++) {
                double slope = twin_slope(mean64, &p, &arrays[a][j], 1e-3);
                cr_expect_float_eq(gradients[a][j], slope, 1e-9, "size %d, %d entry %lld", i, a,
                                   (long long)j);
            }
        pair_free(&p);
    }
}

Test(loss, same_bits_for_any_number_of_threads_and_without_gradients)
{
    for (int i = 0; i < SIZES; i++) {
        struct pair one = pair_of(&sizes[i], 1);
        int64_t scored, T = one.size.T, V = one.size.V, D = one.size.D;
        double sum = forward(&one, &scored);
        for (int threads = 2; threads <= 3; threads++) {
            struct pair p = pair_of(&sizes[i], threads);
            cr_expect_eq(forward(&p, &scored), sum);
            cr_expect_arr_eq(p.losses, one.losses, (size_t)T * sizeof(float));
            cr_expect_arr_eq(p.loss.dx, one.loss.dx, (size_t)(T * D) * sizeof(float));
            cr_expect_arr_eq(p.loss.dembed, one.loss.dembed, (size_t)(V * D) * sizeof(float));
            free(p.loss.dx);
            p.loss.dx = NULL;
            cr_expect_eq(forward(&p, &scored), sum);
            pair_free(&p);
        }
        pair_free(&one);
    }
}

Test(loss, nothing_scored_is_no_loss_and_no_gradient)
{
    struct pair p = pair_of(&(struct size){65, 33, 5}, 2);
    int64_t scored = 7;
    for (int64_t t = 0; t < p.size.T; t++)
        p.targets[t] = -1;
    cr_expect_eq(forward(&p, &scored), 0);
    cr_expect_eq(scored, 0);
    cr_expect_eq(twin_distance(p.losses, p.losses64, p.size.T), 0);
    cr_expect_eq(twin_distance(p.loss.dx, p.dx64, p.size.T * p.size.D), 0);
    cr_expect_eq(twin_distance(p.loss.dembed, p.dembed64, p.size.V * p.size.D), 0);
    pair_free(&p);
}

Test(loss, equal_logits_cost_log_V)
{
    struct pair p = pair_of(&(struct size){17, 1031, 3}, 1);
    int64_t scored;
    memset(p.x, 0, (size_t)(p.size.T * p.size.D) * sizeof *p.x);
    double sum = forward(&p, &scored);
    cr_expect_float_eq(sum / (double)scored, log(1031), 1e-6);
    pair_free(&p);
}

/* A target whose probability is below the smallest float still has its loss: the logits are 0 and
 * 200, the loss of the first is log(1 + exp(200)) = 200. */
Test(loss, an_unlikely_target_has_a_finite_loss)
{
    struct pair p = pair_of(&(struct size){1, 2, 1}, 1);
    int64_t scored;
    p.x[0] = 20;
    p.embed[0] = 0;
    p.embed[1] = 10;
    p.targets[0] = 0;
    cr_expect_float_eq(forward(&p, &scored), 200, 1e-4);
    cr_expect_float_eq(p.loss.dembed[0], -20, 1e-5);
    cr_expect_float_eq(p.loss.dx[0], 10, 1e-5);
    p.x[0] = NAN;
    cr_expect(isnan(forward(&p, &scored)));
    pair_free(&p);
}

Test(loss, counts_are_a_product_forward_and_two_backward)
{
    struct pair p = pair_of(&(struct size){17, 33, 5}, 1);
    int64_t scored;
    peer_counted[PEER_PART_VOCAB] = 0;
    forward64(&p, &scored);
    cr_expect_eq(peer_counted[PEER_PART_VOCAB], 2 * 17 * 33 * 5);
    peer_counted[PEER_PART_VOCAB] = 0;
    backward64(&p);
    cr_expect_eq(peer_counted[PEER_PART_VOCAB], 4 * scored * 33 * 5);
    pair_free(&p);
}

/* Tokens 5, 2, 5, padding, 0, 5 of V = 7: each row of the gradient gets its tokens' sum in order,
 * on top of what was there and of the scaled head. */
Test(embedding, gradient_by_hand)
{
    enum { T = 6, V = 7 };
    const int32_t ids[T] = {5, 2, 5, -1, 0, 5};
    int32_t first[V + 1], order[T];
    lm_embedding_group(first, order, ids, T, V);
    const int32_t expected_first[V + 1] = {0, 1, 1, 2, 2, 2, 5, 5},
                                     expected_order[5] = {4, 1, 0, 2, 5};
    cr_expect_arr_eq(first, expected_first, sizeof first);
    cr_expect_arr_eq(order, expected_order, sizeof expected_order);

    const float dx[T] = {1, 2, 4, 8, 16, 32}, dhead[V] = {2, 4, 6, 8, 10, 12, 14};
    float dembed[V] = {100, 100, 100, 100, 100, 100, 100};
    const float expected[V] = {117, 102, 105, 104, 105, 143, 107};
    struct peer_ctx *ctx;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    lm_embedding_backward(ctx, dembed, dhead, 0.5f, dx, first, order, V, 1);
    cr_expect_arr_eq(dembed, expected, sizeof dembed);

    float x[T];
    lm_embedding_forward(ctx, x, dhead, ids, T, 1);
    const float expected_x[T] = {12, 6, 12, 0, 2, 12};
    cr_expect_arr_eq(x, expected_x, sizeof x);
    peer_ctx_destroy(&ctx);
}
