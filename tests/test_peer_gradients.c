/* SPDX-License-Identifier: MIT */
/* The double twin against central differences, routing held fixed; the float layer against the
 * double twin; both over the options of the layer. */
#include "tests/support/peer_pair.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/random.h"

/* Option combinations by number. */
enum { COMBINATIONS = PEER_GATE_COUNT * PEER_NORM_COUNT * PEER_ACT_COUNT * 2 * 2 * 2 };

static void choose(struct peer_layer_config *config, int number)
{
    config->gate = (enum peer_gate)(number % PEER_GATE_COUNT);
    number /= PEER_GATE_COUNT;
    config->query_norm = (enum peer_norm)(number % PEER_NORM_COUNT);
    number /= PEER_NORM_COUNT;
    config->activation = (enum peer_act)(number % PEER_ACT_COUNT);
    number /= PEER_ACT_COUNT;
    config->keys_per_head = number % 2;
    config->expert = number / 2 % 2 ? PEER_EXPERT_GLU : PEER_EXPERT_SINGLE;
    config->tables_per_head = number / 4 % 2;
}

static const char *describe(char text[160], const struct peer_layer_config *config)
{
    snprintf(text, 160, "gate %s, norm %s, act %s, expert %s, keys per head %d, tables per head %d",
             peer_gate_names[config->gate], peer_norm_names[config->query_norm],
             peer_act_names[config->activation], peer_expert_names[config->expert],
             config->keys_per_head, config->tables_per_head);
    return text;
}

/* Central difference of the twin's loss with step 1e-5: its own error is near 1e-10, so that 1e-6
 * of the largest gradient of the array tells any wrong term. */
static void expect_differences(struct peer_pair *pair, const char *name, double *value,
                               const double *grad, int64_t n, const char *text)
{
    const double step = 1e-5;
    double scale = 1e-3;
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(grad[i]));
    for (int64_t i = 0; i < n; i++) {
        double middle = value[i];
        value[i] = middle + step;
        double above = pair_twin_loss(pair, true);
        value[i] = middle - step;
        double below = pair_twin_loss(pair, true);
        value[i] = middle;
        double slope = (above - below) / (2 * step);
        cr_expect(fabs(slope - grad[i]) <= 1e-6 * scale, "%s: d%s[%lld] = %.10g, difference %.10g",
                  text, name, (long long)i, grad[i], slope);
    }
}

/* A twin, run forward, whose routing would stand changes of 1e-4 in any score: its function is
 * smooth there. Layer norm of two values per half leaves near ties to some seeds. */
static struct peer_pair *create_with_margin(const struct peer_layer_config *config, int number)
{
    for (uint64_t seed = 1000 + (uint64_t)number;; seed += COMBINATIONS) {
        struct peer_pair *pair = pair_create(config, 3, 5, 1, seed);
        if (number % 2)
            pair_mask(pair, 4);
        pair_twin_loss(pair, true);
        if (pair->cache.retrieval.margin > 1e-4)
            return pair;
        pair_destroy(pair);
    }
}

Test(peer_gradients, twin_agrees_with_central_differences_for_every_option)
{
    struct peer_layer_config config = peer_layer_config_default(3);
    config.experts = 9;
    config.heads = 2;
    config.kept = 3;
    config.query_width = 4;
    for (int number = 0; number < COMBINATIONS; number++) {
        char text[160];
        choose(&config, number);
        describe(text, &config);
        struct peer_pair *pair = create_with_margin(&config, number);
        pair->cache.retrieval.fixed = true;
        pair_twin_backward(pair);
        for (int a = 0; a < PAIR_TRAINED; a++)
            expect_differences(pair, pair_names[a], pair->value[a], pair->grad[a], pair->size[a],
                               text);
        expect_differences(pair, "x", pair->twin_x, pair->twin_dx, pair->T * pair->D, text);
        pair_destroy(pair);
    }
}

static int compare_ids(const void *a, const void *b)
{
    return (*(const int32_t *)a > *(const int32_t *)b) -
           (*(const int32_t *)a < *(const int32_t *)b);
}

/* Each head's ids as a set; near ties among the kept may come in another order. */
static void expect_same_choice(struct peer_pair *pair, const int32_t *twin_ids, const char *text)
{
    int64_t k = pair->config.kept;
    for (int64_t s = 0; s < pair->T * pair->slots; s += k) {
        int32_t layer[64], twin[64];
        for (int64_t j = 0; j < k; j++) {
            layer[j] = pair->cache.retrieval.ids[s + j];
            twin[j] = twin_ids[s + j];
        }
        qsort(layer, (size_t)k, sizeof *layer, compare_ids);
        qsort(twin, (size_t)k, sizeof *twin, compare_ids);
        cr_expect_arr_eq(layer, twin, (size_t)k * sizeof *layer, "%s: slot %lld", text,
                         (long long)s);
    }
}

static void expect_layer_agrees(struct peer_pair *pair, const char *text)
{
    char what[200];
    int64_t slots = pair->T * pair->slots;
    pair_twin_loss(pair, true);
    cr_expect_gt(pair->cache.retrieval.margin, 1e-6, "%s: routing may differ", text);
    int32_t *twin_ids = malloc((size_t)slots * sizeof *twin_ids);
    for (int64_t s = 0; s < slots; s++)
        twin_ids[s] = pair->cache.retrieval.ids[s];
    pair_run(pair);
    pair_fix_routing(pair);
    expect_same_choice(pair, twin_ids, text);
    free(twin_ids);
    pair_twin_loss(pair, true);
    pair_twin_backward(pair);
    double query_scale, x_scale, tolerance = pair_tolerance(pair);
    pair_query_scales(pair, &query_scale, &x_scale);
    snprintf(what, sizeof what, "%s: y", text);
    pair_expect_close(what, pair->y, pair->twin_y, pair->T * pair->D, tolerance, 0);
    snprintf(what, sizeof what, "%s: dx", text);
    pair_expect_close(what, pair->dx, pair->twin_dx, pair->T * pair->D, tolerance, x_scale);
    for (int a = 0; a < PAIR_TRAINED; a++) {
        if (!pair->size[a])
            continue;
        float *grad = pair_gradient(pair, (enum pair_array)a);
        snprintf(what, sizeof what, "%s: d%s", text, pair_names[a]);
        pair_expect_close(what, grad, pair->grad[a], pair->size[a], tolerance,
                          a == PAIR_QUERY ? query_scale : 0);
        free(grad);
    }
}

Test(peer_gradients, layer_agrees_with_twin_for_every_option)
{
    static const struct {
        int64_t D, T, n, H, k, K;
    } shapes[] = {
        {7, 33, 7, 3, 5, 6}, {17, 3, 5, 2, 7, 10}, {33, 18, 3, 1, 2, 2}, {1, 5, 4, 5, 1, 4}};
    for (int number = 0; number < COMBINATIONS; number++) {
        const int i = number % 4;
        char text[160];
        struct peer_layer_config config = peer_layer_config_default(shapes[i].D);
        config.experts = shapes[i].n * shapes[i].n;
        config.heads = shapes[i].H;
        config.kept = shapes[i].k;
        config.query_width = shapes[i].K;
        choose(&config, number);
        describe(text, &config);
        struct peer_pair *pair =
            pair_create(&config, shapes[i].D, shapes[i].T, 1, 2000 + (uint64_t)number);
        if (number % 3 == 0)
            pair_mask(pair, 7);
        expect_layer_agrees(pair, text);
        pair_destroy(pair);
    }
}

/* Many chunks of rows per token, and a row too wide for one chunk of several. */
Test(peer_gradients, layer_agrees_with_twin_for_long_rows)
{
    struct peer_layer_config config = peer_layer_config_default(1030);
    config.experts = 36;
    config.heads = 3;
    config.kept = 11;
    config.query_width = 8;
    for (int glu = 0; glu < 2; glu++) {
        config.expert = glu ? PEER_EXPERT_GLU : PEER_EXPERT_SINGLE;
        struct peer_pair *pair = pair_create(&config, 1030, 5, 2, 71);
        expect_layer_agrees(pair, glu ? "glu, D = 1030" : "single, D = 1030");
        pair_destroy(pair);
    }
}

/* Moves the twin by `step` along a fixed random direction. */
static void move(struct peer_pair *pair, double step)
{
    for (int a = 0; a < PAIR_TRAINED; a++) {
        float *direction = malloc((size_t)pair->size[a] * sizeof *direction);
        peer_fill_normal(direction, pair->size[a], 0, 1, 5, (uint64_t)a);
        for (int64_t i = 0; i < pair->size[a]; i++)
            pair->value[a][i] += step * (double)direction[i];
        free(direction);
    }
}

/* The layer's gradient along a random direction of all parameters at once, against the twin's
 * central difference; the sum's rounding grows with the number of its terms. */
Test(peer_gradients, direction_at_large_N)
{
    struct peer_layer_config config = peer_layer_config_default(16);
    config.experts = 128 * 128;
    config.heads = 4;
    for (int glu = 0; glu < 2; glu++) {
        config.expert = glu ? PEER_EXPERT_GLU : PEER_EXPERT_SINGLE;
        struct peer_pair *pair = pair_create(&config, 16, 40, 1, 31);
        pair_run(pair);
        pair_fix_routing(pair);
        double slope = 0, magnitude = 0;
        for (int a = 0; a < PAIR_TRAINED; a++) {
            float *grad = pair_gradient(pair, (enum pair_array)a);
            float *direction = malloc((size_t)pair->size[a] * sizeof *direction);
            peer_fill_normal(direction, pair->size[a], 0, 1, 5, (uint64_t)a);
            for (int64_t i = 0; i < pair->size[a]; i++) {
                slope += (double)grad[i] * (double)direction[i];
                magnitude += pow((double)grad[i] * (double)direction[i], 2);
            }
            free(direction);
            free(grad);
        }
        const double step = 1e-6;
        move(pair, step);
        double above = pair_twin_loss(pair, true);
        move(pair, -2 * step);
        double below = pair_twin_loss(pair, true);
        double difference = (above - below) / (2 * step);
        cr_expect(fabs(slope - difference) <= pair_tolerance(pair) * sqrt(magnitude),
                  "glu %d: slope %.9g, difference %.9g", glu, slope, difference);
        pair_destroy(pair);
    }
}
