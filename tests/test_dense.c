/* SPDX-License-Identifier: MIT */
#define PEER_REAL_DOUBLE
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers/dense.h"
#include "nn/layers/dense_ref.h"
#include "nn/random.h"
#include "tests/support/failing.h"

enum { SEED = 41 };

static struct peer_ctx *make_ctx(int threads)
{
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = threads;
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, &config), PEER_OK);
    return ctx;
}

/* The double twin with its arrays in one block. */
struct twin {
    struct peer_dense_f64 layer;
    double *block, *x, *y, *dy, *dx;
    double *weights[3], *gradients[3]; /* in, out, gate */
    int64_t T, size[3];
};

static double *take(double **next, int64_t n)
{
    double *array = *next;
    *next += n;
    return array;
}

static struct twin make_twin(int64_t T, const struct peer_dense_config *config, int64_t D)
{
    int64_t F = config->hidden;
    struct twin twin = {.T = T, .size = {F * D, D * F, config->gated ? F * D : 0}};
    double *next = calloc((size_t)(6 * F * D + 4 * T * D + 6 * T * F), sizeof *next);
    twin.block = next;
    twin.x = take(&next, T * D);
    twin.y = take(&next, T * D);
    twin.dx = take(&next, T * D);
    twin.dy = take(&next, T * D);
    for (int i = 0; i < 3; i++) {
        twin.weights[i] = take(&next, F * D);
        twin.gradients[i] = take(&next, F * D);
    }
    twin.layer = (struct peer_dense_f64){.D = D,
                                         .F = F,
                                         .activation = config->activation,
                                         .w_in = twin.weights[0],
                                         .w_out = twin.weights[1],
                                         .w_gate = config->gated ? twin.weights[2] : NULL,
                                         .dw_in = twin.gradients[0],
                                         .dw_out = twin.gradients[1],
                                         .dw_gate = twin.gradients[2],
                                         .in = take(&next, T * F),
                                         .gate = take(&next, T * F),
                                         .hidden = take(&next, T * F),
                                         .din = take(&next, T * F),
                                         .dgate = take(&next, T * F),
                                         .dhidden = take(&next, T * F)};
    return twin;
}

static void fill(double *x, int64_t n, double deviation, uint64_t stream)
{
    float *draws = malloc((size_t)n * sizeof *draws);
    peer_fill_normal(draws, n, 0, (float)deviation, SEED, stream);
    for (int64_t i = 0; i < n; i++)
        x[i] = draws[i];
    free(draws);
}

static void fill_twin(struct twin *twin)
{
    fill(twin->x, twin->T * twin->layer.D, 1, 1);
    fill(twin->dy, twin->T * twin->layer.D, 1, 2);
    for (int i = 0; i < 3; i++)
        fill(twin->weights[i], twin->size[0], 1 / sqrt((double)twin->layer.D), 3 + (uint64_t)i);
}

static void run_twin(struct twin *twin, const uint8_t *mask)
{
    peer_dense_forward_f64(&twin->layer, twin->y, twin->x, mask, twin->T);
    peer_dense_backward_f64(&twin->layer, twin->dx, twin->dy, twin->x, mask, twin->T);
}

/* The same sums with every factor replaced by its magnitude and the activation by the identity,
 * which bounds every activation: what errors are relative to. */
static struct twin make_magnitude(const struct twin *twin, const uint8_t *mask)
{
    struct peer_dense_config config = {twin->layer.F, PEER_ACT_IDENTITY, twin->size[2] > 0};
    struct twin magnitude = make_twin(twin->T, &config, twin->layer.D);
    for (int64_t i = 0; i < twin->T * twin->layer.D; i++) {
        magnitude.x[i] = fabs(twin->x[i]);
        magnitude.dy[i] = fabs(twin->dy[i]);
    }
    for (int w = 0; w < 3; w++)
        for (int64_t i = 0; i < twin->size[0]; i++)
            magnitude.weights[w][i] = fabs(twin->weights[w][i]);
    run_twin(&magnitude, mask);
    return magnitude;
}

/* The float layer, driven through the slot. */
struct fast {
    struct peer_ctx *ctx;
    struct peer_ffw *layer;
    struct peer_params params;
    float *x, *y, *dy, *dx;
};

static struct fast make_fast(int threads, int64_t T, const struct peer_dense_config *config,
                             int64_t D)
{
    struct fast fast = {.ctx = make_ctx(threads)};
    struct peer_ffw_shape shape = {D, T, T, false, 0, NULL, NULL};
    cr_assert_eq(peer_ffw_create(&fast.layer, fast.ctx, &peer_ffw_dense, config, &shape), PEER_OK,
                 "%s", peer_ctx_error(fast.ctx));
    fast.params = peer_params_empty(fast.ctx);
    cr_assert_eq(peer_ffw_params(fast.layer, &fast.params, "ffw."), PEER_OK);
    fast.x = calloc((size_t)(4 * T * D), sizeof *fast.x);
    fast.y = fast.x + T * D;
    fast.dy = fast.y + T * D;
    fast.dx = fast.dy + T * D;
    return fast;
}

static void free_fast(struct fast *fast)
{
    peer_params_free(&fast->params);
    peer_ffw_destroy(&fast->layer);
    cr_expect_eq(peer_ctx_bytes(fast->ctx), 0);
    peer_ctx_destroy(&fast->ctx);
    free(fast->x);
}

static const char *const names[] = {"ffw.in", "ffw.out", "ffw.gate"};

static void copy_inputs(struct fast *fast, const struct twin *twin)
{
    for (int64_t i = 0; i < twin->T * twin->layer.D; i++) {
        fast->x[i] = (float)twin->x[i];
        fast->dy[i] = (float)twin->dy[i];
    }
    for (int w = 0; w < 3; w++) {
        struct peer_param *param = peer_params_find(&fast->params, names[w]);
        cr_assert_eq(param ? peer_param_size(param) : 0, twin->size[w]);
        for (int64_t i = 0; i < twin->size[w]; i++)
            param->data[i] = (float)twin->weights[w][i];
    }
}

static void expect_near(const char *what, const float *got, const double *expected,
                        const double *magnitude, int64_t n, double relative)
{
    for (int64_t i = 0; i < n; i++)
        cr_assert_leq(fabs(got[i] - expected[i]), relative * magnitude[i],
                      "%s [%lld]: %.9g, expected %.9g +- %.2g", what, (long long)i, got[i],
                      expected[i], relative * magnitude[i]);
}

/* Rounding of a sum of n products is below n eps of the sum of magnitudes. Two products of lengths
 * D and F follow each other, the slope of an activation is below 1.13 and its change below 1.1 per
 * unit, the activations' own error below 8 eps: in all less than C eps of the magnitudes, where a
 * gradient multiplies by a slope whose argument is at most `reach` in magnitude. */
static void expect_twin(int64_t T, int64_t D, const struct peer_dense_config *config)
{
    struct twin twin = make_twin(T, config, D);
    struct fast fast = make_fast(2, T, config, D);
    fill_twin(&twin);
    copy_inputs(&fast, &twin);
    uint8_t *mask = malloc((size_t)T);
    for (int64_t t = 0; t < T; t++)
        mask[t] = t % 5 != 1;
    run_twin(&twin, mask);
    struct twin magnitude = make_magnitude(&twin, mask);
    peer_ffw_forward(fast.layer, fast.y, fast.x, mask, T, PEER_MODE_TRAIN);
    peer_ffw_backward(fast.layer, fast.dx, fast.dy, fast.x, T);
    double reach = 0;
    for (int64_t i = 0; i < T * config->hidden; i++)
        reach = fmax(reach, fmax(magnitude.layer.in[i], magnitude.layer.gate[i]));
    double C = (2.4 * (double)(D + 8) + (double)config->hidden) * FLT_EPSILON;
    double gradient = (C + (double)(T + D) * FLT_EPSILON) * (1 + reach);
    expect_near("y", fast.y, twin.y, magnitude.y, T * D, C);
    expect_near("dx", fast.dx, twin.dx, magnitude.dx, T * D, gradient);
    for (int w = 0; w < 3; w++)
        if (twin.size[w])
            expect_near(names[w], peer_params_find(&fast.params, names[w])->grad, twin.gradients[w],
                        magnitude.gradients[w], twin.size[w], gradient);
    free(mask);
    free(twin.block);
    free(magnitude.block);
    free_fast(&fast);
}

Test(dense, is_its_double_twin)
{
    static const int64_t sizes[][3] = {
        {1, 1, 1}, {2, 3, 7}, {7, 17, 33}, {129, 33, 17}, {300, 7, 65}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int act = 0; act < PEER_ACT_COUNT; act++)
            for (int gated = 0; gated < 2; gated++) {
                struct peer_dense_config config = {sizes[i][2], (enum peer_act)act, gated};
                expect_twin(sizes[i][0], sizes[i][1], &config);
            }
}

static double loss(struct twin *twin, const uint8_t *mask)
{
    double sum = 0;
    peer_dense_forward_f64(&twin->layer, twin->y, twin->x, mask, twin->T);
    for (int64_t i = 0; i < twin->T * twin->layer.D; i++)
        sum += twin->dy[i] * twin->y[i];
    return sum;
}

/* Four-point central differences with step h err by O(h^4) + 1e-15 / h, here below 1e-11. */
static void expect_slope(struct twin *twin, const uint8_t *mask, double *value, double expected)
{
    const double h = 1e-3, old = *value;
    double at[4], offset[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *value = old + offset[i] * h;
        at[i] = loss(twin, mask);
    }
    *value = old;
    double slope = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h);
    cr_assert_float_eq(slope, expected, 1e-9 * (1 + fabs(expected)), "%.12g, expected %.12g", slope,
                       expected);
}

Test(dense, twin_has_the_gradients_of_central_differences)
{
    enum { T = 4, D = 3, F = 5 };
    static const uint8_t mask[T] = {1, 1, 0, 1};
    for (int act = 0; act < PEER_ACT_COUNT; act++)
        for (int gated = 0; gated < 2; gated++) {
            struct peer_dense_config config = {F, (enum peer_act)act, gated};
            struct twin twin = make_twin(T, &config, D);
            fill_twin(&twin);
            run_twin(&twin, mask);
            for (int i = 0; i < T * F && act == PEER_ACT_RELU; i++)
                cr_assert_gt(fabs(gated ? twin.layer.gate[i] : twin.layer.in[i]), 0.01,
                             "too close to the kink of relu");
            for (int i = 0; i < T * D; i++)
                expect_slope(&twin, mask, &twin.x[i], twin.dx[i]);
            for (int w = 0; w < 3; w++)
                for (int i = 0; i < twin.size[w]; i++)
                    expect_slope(&twin, mask, &twin.weights[w][i], twin.gradients[w][i]);
            free(twin.block);
        }
}

Test(dense, cost_is_what_the_twin_counts)
{
    enum { T = 7, D = 17, F = 33 };
    for (int gated = 0; gated < 2; gated++) {
        struct peer_dense_config config = {F, PEER_ACT_SILU, gated};
        struct peer_cost cost;
        peer_ffw_dense.cost(&cost, &config, D);
        struct twin twin = make_twin(T, &config, D);
        memset(peer_counted, 0, PEER_PART_COUNT * sizeof *peer_counted);
        peer_dense_forward_f64(&twin.layer, twin.y, twin.x, NULL, T);
        for (int part = 0; part < PEER_PART_COUNT; part++)
            cr_expect_eq((double)peer_counted[part], T * cost.forward[part]);
        memset(peer_counted, 0, PEER_PART_COUNT * sizeof *peer_counted);
        peer_dense_backward_f64(&twin.layer, twin.dx, twin.dy, twin.x, NULL, T);
        for (int part = 0; part < PEER_PART_COUNT; part++)
            cr_expect_eq((double)peer_counted[part], T * cost.backward[part]);
        cr_expect_gt(cost.forward[PEER_PART_DENSE], 0);
        free(twin.block);

        struct fast fast = make_fast(1, T, &config, D);
        cr_expect_eq(cost.params_total, peer_params_trained(&fast.params));
        cr_expect_eq(cost.params_active, cost.params_total);
        free_fast(&fast);
    }
}

Test(dense, padding_gives_nothing_and_backward_adds)
{
    enum { T = 5, D = 3 };
    struct peer_dense_config config = {7, PEER_ACT_GELU, false};
    struct twin twin = make_twin(T, &config, D);
    fill_twin(&twin);
    struct fast fast = make_fast(1, T, &config, D);
    copy_inputs(&fast, &twin);
    const uint8_t none[T] = {0};
    for (int i = 0; i < T * D; i++)
        fast.dx[i] = (float)i;
    for (int i = 0; i < 7 * D; i++)
        fast.params.items[0].grad[i] = (float)(100 + i);
    peer_ffw_forward(fast.layer, fast.y, fast.x, none, T, PEER_MODE_TRAIN);
    peer_ffw_backward(fast.layer, fast.dx, fast.dy, fast.x, T);
    for (int i = 0; i < T * D; i++) {
        cr_expect_eq(fast.y[i], 0);
        cr_expect_eq(fast.dx[i], i);
    }
    for (int i = 0; i < 7 * D; i++)
        cr_expect_eq(fast.params.items[0].grad[i], 100 + i);
    free(twin.block);
    free_fast(&fast);
}

Test(dense, same_bits_for_any_number_of_threads)
{
    enum { T = 300, D = 33, F = 257 };
    struct peer_dense_config config = {F, PEER_ACT_SILU, true};
    struct twin twin = make_twin(T, &config, D);
    fill_twin(&twin);
    struct fast fast[3];
    for (int i = 0; i < 3; i++) {
        fast[i] = make_fast(i + 1, T, &config, D);
        copy_inputs(&fast[i], &twin);
        peer_ffw_forward(fast[i].layer, fast[i].y, fast[i].x, NULL, T, PEER_MODE_TRAIN);
        peer_ffw_backward(fast[i].layer, fast[i].dx, fast[i].dy, fast[i].x, T);
        cr_expect_arr_eq(fast[0].y, fast[i].y, T * D * sizeof(float));
        cr_expect_arr_eq(fast[0].dx, fast[i].dx, T * D * sizeof(float));
        for (int w = 0; w < 3; w++)
            cr_expect_arr_eq(fast[0].params.items[w].grad, fast[i].params.items[w].grad,
                             D * F * sizeof(float));
    }
    for (int i = 0; i < 3; i++)
        free_fast(&fast[i]);
    free(twin.block);
}

/* With n = 33 * 257 draws the standard error of the deviation is 0.77 %. */
Test(dense, initial_values_keep_the_variance)
{
    enum { D = 33, F = 257 };
    struct peer_dense_config config = {F, PEER_ACT_SILU, true};
    struct fast fast = make_fast(1, 1, &config, D);
    peer_params_init(&fast.params, 5);
    const double expected[3] = {1 / sqrt(D), 1 / sqrt(D), 1 / sqrt(F)};
    for (int w = 0; w < 3; w++) {
        double sum = 0;
        for (int i = 0; i < D * F; i++)
            sum += pow(fast.params.items[w].data[i], 2);
        double deviation = sqrt(sum / (D * F));
        cr_expect_float_eq(deviation / expected[w], 1, 0.04);
    }
    free_fast(&fast);
}

Test(dense, defaults_are_the_documented_ones)
{
    struct peer_dense_config config;
    peer_ffw_dense.config_default(&config, 48);
    cr_expect_eq(config.hidden, 192);
    cr_expect_eq(config.activation, PEER_ACT_GELU_TANH);
    cr_expect(!config.gated);
    cr_expect_eq(peer_ffw_dense.traits(&config), 0);
    peer_ffw_dense.config_default(&config, (int64_t)1 << 30);
    cr_expect_eq(config.hidden, 1 << 20);
}

Test(dense, refusals_name_the_numbers)
{
    struct peer_ctx *ctx = make_ctx(1);
    struct peer_dense_config config = {0, PEER_ACT_GELU, false};
    struct peer_ffw_shape shape = {8, 4, 4, false, 0, NULL, NULL};
    struct peer_ffw *layer = NULL;
    cr_expect_eq(peer_ffw_create(&layer, ctx, &peer_ffw_dense, &config, &shape), PEER_ERR_ARGUMENT);
    cr_expect_str_eq(peer_ctx_error(ctx),
                     "dense: hidden = 0, expected an integer from 1 to 1048576");
    config.hidden = 3;
    shape.tokens = 0;
    cr_expect_eq(peer_ffw_create(&layer, ctx, &peer_ffw_dense, &config, &shape), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "tokens = 0"));
    shape = (struct peer_ffw_shape){0, 4, 4, false, 0, NULL, NULL};
    cr_expect_eq(peer_ffw_create(&layer, ctx, &peer_ffw_dense, &config, &shape), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "width = 0"));
    cr_expect_null(layer);
    peer_ctx_destroy(&ctx);
}

Test(dense, memory_is_known_before_and_saturates)
{
    struct peer_dense_config config = {33, PEER_ACT_GELU, true};
    struct peer_ffw_shape shape = {17, 7, 7, false, 0, NULL, NULL};
    struct peer_ctx *ctx = make_ctx(3);
    struct peer_ffw *layer = NULL;
    cr_assert_eq(peer_ffw_create(&layer, ctx, &peer_ffw_dense, &config, &shape), PEER_OK);
    cr_expect_eq(peer_ffw_memory(&peer_ffw_dense, &config, &shape), peer_ctx_bytes(ctx));
    peer_ffw_destroy(&layer);
    peer_ffw_destroy(&layer);
    peer_ctx_destroy(&ctx);
    shape = (struct peer_ffw_shape){INT64_MAX / 64, INT64_MAX / 64, 1, false, 0, NULL, NULL};
    cr_expect_eq(peer_ffw_memory(&peer_ffw_dense, &config, &shape), SIZE_MAX);
}

static enum peer_status create(void **ret, struct peer_ctx *ctx, const void *config)
{
    struct peer_ffw_shape shape = {17, 7, 7, false, 0, NULL, NULL};
    return peer_ffw_create((struct peer_ffw **)ret, ctx, &peer_ffw_dense, config, &shape);
}

static void destroy(void **layer)
{
    struct peer_ffw *whole = *layer;
    peer_ffw_destroy(&whole);
    *layer = whole;
}

Test(dense, every_allocation_may_fail)
{
    struct peer_dense_config config = {33, PEER_ACT_GELU, true};
    cr_expect_eq(failing_every_allocation(create, destroy, &config), 13);
}
