/* SPDX-License-Identifier: MIT */
/* Cases in which the PEER layer must equal something simpler. */
#include "tests/support/peer_pair.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/kernels/kernels_ref.h"

static struct peer_layer_config plain(int64_t N, int64_t H, int64_t k, int64_t K)
{
    struct peer_layer_config config = peer_layer_config_default(K);
    config.experts = N;
    config.heads = H;
    config.kept = k;
    config.query_width = K;
    config.query_norm = PEER_NORM_NONE;
    return config;
}

static void forward(struct peer_pair *pair)
{
    peer_ffw_forward(pair->layer, pair->y, pair->x, NULL, pair->T, PEER_MODE_EVAL);
}

/* act(u.x) v_d of one expert. */
static double expert(const struct peer_pair *pair, int64_t row, int64_t t, int64_t d)
{
    const double *u = pair->value[PAIR_EXPERTS] + row * 2 * pair->D, *v = u + pair->D;
    double hidden = 0;
    for (int64_t i = 0; i < pair->D; i++)
        hidden += u[i] * pair->twin_x[t * pair->D + i];
    peer_act_forward_f64(&hidden, &hidden, 1, pair->config.activation);
    return hidden * v[d];
}

/* Score of one key for the one head of a layer without query norm. */
static double score(const struct peer_pair *pair, int64_t key, int64_t t, int64_t n)
{
    int64_t K = pair->config.query_width, half = K / 2;
    const double *left = pair->value[PAIR_KEYS] + key / n * half;
    const double *right = pair->value[PAIR_KEYS] + (n + key % n) * half;
    double sum = 0;
    for (int64_t c = 0; c < K; c++) {
        double q = 0;
        for (int64_t i = 0; i < pair->D; i++)
            q += pair->value[PAIR_QUERY][c * pair->D + i] * pair->twin_x[t * pair->D + i];
        sum += q * (c < half ? left[c] : right[c - half]);
    }
    return sum;
}

/* One head, all kept, softmax: y = sum over all experts of softmax(scores)_i e_i(x). */
Test(peer_properties, keeping_all_is_a_gated_dense_layer)
{
    enum { n = 5, N = n * n, D = 7, T = 11 };
    struct peer_layer_config config = plain(N, 1, N, 6);
    struct peer_pair *pair = pair_create(&config, D, T, 2, 3);
    forward(pair);
    double expected[T * D] = {0};
    for (int64_t t = 0; t < T; t++) {
        double weight[N], total = 0;
        for (int64_t i = 0; i < N; i++)
            total += weight[i] = exp(score(pair, i, t, n));
        for (int64_t d = 0; d < D; d++)
            for (int64_t i = 0; i < N; i++)
                expected[t * D + d] += weight[i] / total * expert(pair, i, t, d);
    }
    pair_expect_close("y", pair->y, expected, T * D, pair_tolerance(pair), 0);
    pair_destroy(pair);
}

/* n = 1: every head finds the one expert, with gate 1. */
Test(peer_properties, one_expert_is_used_by_every_head)
{
    enum { D = 3, T = 5, H = 4 };
    struct peer_layer_config config = plain(1, H, 1, 2);
    struct peer_pair *pair = pair_create(&config, D, T, 1, 5);
    forward(pair);
    double expected[T * D];
    for (int64_t i = 0; i < T * D; i++)
        expected[i] = H * expert(pair, 0, i / D, i % D);
    pair_expect_close("y", pair->y, expected, T * D, pair_tolerance(pair), 0);
    pair_destroy(pair);
}

/* Eq. 8: with k = 1 the gates are 1 and the layer is y = V act(W^T x), W and V put together from
 * one expert per head. */
Test(peer_properties, one_kept_per_head_is_a_perceptron_put_together_per_token)
{
    enum { D = 9, T = 13, H = 6, N = 49 };
    struct peer_layer_config config = plain(N, H, 1, 4);
    struct peer_pair *pair = pair_create(&config, D, T, 2, 7);
    forward(pair);
    struct peer_routing routing = pair_routing(pair);
    double expected[T * D] = {0};
    for (int64_t s = 0; s < T * H; s++) {
        cr_expect_eq(routing.gates[s], 1.0f);
        for (int64_t d = 0; d < D; d++)
            expected[s / H * D + d] += expert(pair, routing.ids[s], s / H, d);
    }
    pair_expect_close("y", pair->y, expected, T * D, pair_tolerance(pair), 0);
    pair_destroy(pair);
}

/* Tables per head whose contents are equal compute what one shared table does. */
Test(peer_properties, equal_tables_per_head_are_one_table)
{
    enum { D = 5, T = 9, H = 3, N = 16 };
    struct peer_layer_config config = plain(N, H, 4, 4);
    struct peer_pair *shared = pair_create(&config, D, T, 1, 11);
    config.tables_per_head = true;
    struct peer_pair *apart = pair_create(&config, D, T, 1, 11);
    const float *table = peer_params_find(&shared->params, "experts")->data;
    struct peer_param *tables = peer_params_find(&apart->params, "experts");
    cr_assert_eq(tables->shape[0], H * N);
    for (int64_t h = 0; h < H; h++)
        memcpy(tables->data + h * N * 2 * D, table, N * 2 * D * sizeof(float));
    forward(shared);
    forward(apart);
    cr_expect_arr_eq(shared->y, apart->y, T * D * sizeof(float));
    struct peer_routing one = pair_routing(shared);
    struct peer_routing many = pair_routing(apart);
    cr_expect_eq(one.experts, N);
    cr_expect_eq(one.side, 4);
    cr_expect_eq(many.experts, H * N);
    cr_expect_eq(many.side, 0);
    for (int64_t s = 0; s < T * H * 4; s++)
        cr_expect_eq(many.ids[s], s / 4 % H * N + one.ids[s]);
    pair_destroy(shared);
    pair_destroy(apart);
}

/* Sub-keys in another order, experts moved along: the same function. */
Test(peer_properties, permuted_keys_and_experts_are_the_same_layer)
{
    enum { n = 7, N = n * n, D = 6, T = 10, half = 3 };
    static const int left[n] = {3, 0, 6, 2, 5, 1, 4}, right[n] = {1, 5, 0, 4, 6, 3, 2};
    struct peer_layer_config config = plain(N, 2, 5, 2 * half);
    struct peer_pair *pair = pair_create(&config, D, T, 1, 13);
    struct peer_pair *moved = pair_create(&config, D, T, 1, 13);
    const float *keys = peer_params_find(&pair->params, "keys")->data;
    const float *experts = peer_params_find(&pair->params, "experts")->data;
    float *moved_keys = peer_params_find(&moved->params, "keys")->data;
    float *moved_experts = peer_params_find(&moved->params, "experts")->data;
    for (int i = 0; i < n; i++) {
        memcpy(moved_keys + left[i] * half, keys + i * half, half * sizeof(float));
        memcpy(moved_keys + (n + right[i]) * half, keys + (n + i) * half, half * sizeof(float));
        for (int j = 0; j < n; j++)
            memcpy(moved_experts + (left[i] * n + right[j]) * 2 * D, experts + (i * n + j) * 2 * D,
                   2 * D * sizeof(float));
    }
    pair_twin_loss(pair, false);
    cr_assert_gt(pair->cache.retrieval.margin, 1e-4);
    forward(moved);
    pair_expect_close("y", moved->y, pair->twin_y, T * D, pair_tolerance(pair), 0);
    struct peer_routing routing = pair_routing(moved);
    for (int64_t s = 0; s < T * 10; s++) {
        int32_t id = pair->cache.retrieval.ids[s];
        cr_expect_eq(routing.ids[s], left[id / n] * n + right[id % n], "slot %lld", (long long)s);
    }
    pair_destroy(pair);
    pair_destroy(moved);
}

/* Queries equal to their inputs, sub-keys on a circle: token [c_i ; c'_j] is nearest to key (i, j),
 * so that N tokens use N experts, and every row gets a gradient. */
Test(peer_properties, every_expert_is_reached_and_learns)
{
    enum { n = 7, N = n * n, D = 4 };
    struct peer_layer_config config = plain(N, 1, 1, D);
    struct peer_pair *pair = pair_create(&config, D, N, 2, 17);
    float *query = peer_params_find(&pair->params, "query")->data;
    float *keys = peer_params_find(&pair->params, "keys")->data;
    const double turn = 8 * atan(1.0);
    for (int i = 0; i < D * D; i++)
        query[i] = i % (D + 1) == 0;
    for (int i = 0; i < 2 * n; i++) {
        keys[2 * i] = (float)cos(turn * (i + 0.3) / n);
        keys[2 * i + 1] = (float)sin(turn * (i + 0.3) / n);
    }
    for (int t = 0; t < N; t++) {
        memcpy(pair->x + t * D, keys + t / n * 2, 2 * sizeof(float));
        memcpy(pair->x + t * D + 2, keys + (n + t % n) * 2, 2 * sizeof(float));
    }
    pair_run(pair);
    struct peer_routing routing = pair_routing(pair);
    struct peer_rows *rows = peer_params_find(&pair->params, "experts")->rows;
    peer_rows_group(rows);
    cr_assert_eq(rows->touched, N);
    for (int t = 0; t < N; t++) {
        float gradient[2 * D];
        peer_rows_gradient(gradient, rows, t);
        cr_expect_eq(routing.ids[t], t);
        cr_expect_eq(rows->ids[t], t);
        for (int d = 0; d < 2 * D; d++)
            cr_expect_neq(gradient[d], 0, "expert %d, column %d", t, d);
    }
    pair_destroy(pair);
}
