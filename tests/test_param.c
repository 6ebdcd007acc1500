/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/params/param.h"
#include "nn/random.h"
#include "tests/support/failing.h"

enum { N = 60 };

static struct peer_param entry(float *data, float *grad, int64_t n)
{
    return (struct peer_param){.name = "w",
                               .kind = grad ? PEER_PARAM_DENSE : PEER_PARAM_BUFFER,
                               .dims = 1,
                               .shape = {n},
                               .data = data,
                               .grad = grad,
                               .lr_scale = 1,
                               .decay = 1};
}

Test(param, a_list_grows_and_finds)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    struct peer_params list = peer_params_empty(ctx);
    float data[N], grad[N];
    cr_expect_null(peer_params_find(&list, "w"));
    for (int i = 0; i < 100; i++) {
        char prefix[20];
        snprintf(prefix, sizeof prefix, "blocks.%d.", i);
        struct peer_param param = entry(data, i % 4 ? grad : NULL, i % N + 1);
        cr_assert_eq(peer_params_add(&list, prefix, &param), PEER_OK);
    }
    cr_expect_eq(list.count, 100);
    for (int i = 0; i < 100; i++)
        cr_expect_eq(peer_param_size(&list.items[i]), i % N + 1);
    cr_expect_eq(peer_params_find(&list, "blocks.77.w"), &list.items[77]);
    cr_expect_null(peer_params_find(&list, "blocks.7"));
    int64_t trained = 0;
    for (int i = 0; i < 100; i++)
        trained += i % 4 ? i % N + 1 : 0;
    cr_expect_eq(peer_params_trained(&list), trained);
    peer_params_free(&list);
    peer_params_free(&list);
    cr_expect_eq(failing.held, 0);
    peer_ctx_destroy(&ctx);
}

Test(param, size_is_the_product_of_the_shape)
{
    struct peer_param param = {.dims = 4, .shape = {2, 3, 5, 7}};
    cr_expect_eq(peer_param_size(&param), 210);
    param.dims = 2;
    cr_expect_eq(peer_param_size(&param), 6);
    param.shape[0] = param.shape[1] = (int64_t)1 << 20;
    cr_expect_eq(peer_param_size(&param), (int64_t)1 << 40);
}

Test(param, a_name_is_short_and_taken_once)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    struct peer_params list = peer_params_empty(ctx);
    float data[1], grad[1];
    struct peer_param param = entry(data, grad, 1);
    char prefix[100];
    memset(prefix, 'x', sizeof prefix);
    prefix[PEER_PARAM_NAME - 1] = '\0';
    cr_expect_eq(peer_params_add(&list, prefix, &param), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "has 80 characters"), "%s", peer_ctx_error(ctx));
    prefix[PEER_PARAM_NAME - 2] = '\0';
    cr_expect_eq(peer_params_add(&list, prefix, &param), PEER_OK);
    cr_expect_eq(peer_params_add(&list, prefix, &param), PEER_ERR_ARGUMENT);
    cr_expect(strstr(peer_ctx_error(ctx), "xw is taken"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(list.count, 1);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* The 33rd entry needs a second allocation, whose failure leaves the list as it was. */
Test(param, growing_may_fail)
{
    struct failing failing = {.granted = 0};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    struct peer_params list = peer_params_empty(ctx);
    float data[1], grad[1];
    struct peer_param param = entry(data, grad, 1);
    cr_expect_eq(peer_params_add(&list, "", &param), PEER_ERR_MEMORY);
    cr_expect_eq(list.count, 0);
    failing.granted = failing.asked + 1;
    enum peer_status status = PEER_OK;
    int added = 0;
    for (; status == PEER_OK; added += status == PEER_OK) {
        snprintf(param.name, sizeof param.name, "%d", added);
        status = peer_params_add(&list, "", &param);
        cr_assert_lt(added, 1000);
    }
    cr_expect_eq(status, PEER_ERR_MEMORY);
    cr_expect_gt(added, 0);
    cr_expect_eq(list.count, added);
    cr_expect_eq(peer_params_find(&list, "7"), &list.items[7]);
    peer_params_free(&list);
    cr_expect_eq(failing.held, 0);
    peer_ctx_destroy(&ctx);
}

/* Values depend on seed and name, not on the place in the list or what else is there. */
Test(param, initial_values_depend_on_seed_and_name)
{
    enum { LARGE = 300001 };
    static float a[LARGE], b[LARGE], c[LARGE], buffer[3];
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1), *ctx3 = failing_ctx(&failing, 3);
    struct peer_params one = peer_params_empty(ctx), two = peer_params_empty(ctx3);
    struct peer_param param = entry(a, c, LARGE);
    for (int kind = PEER_INIT_UNIFORM; kind <= PEER_INIT_NORMAL; kind++) {
        param.init = (struct peer_init){(enum peer_init_kind)kind, 0.5f};
        param.data = a;
        cr_assert_eq(peer_params_add(&one, "x.", &param), PEER_OK);
        struct peer_param first = entry(buffer, NULL, 3);
        first.init = (struct peer_init){PEER_INIT_CONSTANT, -2.5f};
        cr_assert_eq(peer_params_add(&two, "y.", &first), PEER_OK);
        param.data = b;
        cr_assert_eq(peer_params_add(&two, "x.", &param), PEER_OK);
        peer_params_init(&one, 8);
        peer_params_init(&two, 8);
        cr_expect_arr_eq(a, b, sizeof a);
        for (int i = 0; i < 3; i++)
            cr_expect_eq(buffer[i], -2.5f);
        if (kind == PEER_INIT_UNIFORM)
            peer_fill_uniform(c, LARGE, -0.5f, 0.5f, 8, peer_stream("x.w"));
        else
            peer_fill_normal(c, LARGE, 0, 0.5f, 8, peer_stream("x.w"));
        cr_expect_arr_eq(a, c, sizeof a);
        peer_params_init(&two, 9);
        cr_expect_arr_neq(a, b, sizeof a);
        peer_params_free(&one);
        peer_params_free(&two);
    }
    peer_ctx_destroy(&ctx);
    peer_ctx_destroy(&ctx3);
}

Test(param, zeroing_clears_every_kind)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_rows_config config = {
        .rows = 3, .width = 2, .tokens = 4, .entries = 4, .segments = 1, .segment = {{0, 2, 0}}};
    struct peer_rows *rows = NULL;
    cr_assert_eq(peer_rows_create(&rows, ctx, &config), PEER_OK);
    float table[6], dense[2], grad[2] = {1, 2}, buffer[1] = {5};
    struct peer_param param = {.name = "table",
                               .kind = PEER_PARAM_ROWS,
                               .dims = 2,
                               .shape = {3, 2},
                               .data = table,
                               .rows = rows};
    struct peer_param second = entry(dense, grad, 2), third = entry(buffer, NULL, 1);
    cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
    cr_assert_eq(peer_params_add(&list, "a.", &second), PEER_OK);
    cr_assert_eq(peer_params_add(&list, "b.", &third), PEER_OK);
    peer_rows_reserve(rows, 2, 2);
    peer_params_zero_grad(&list);
    cr_expect_eq(rows->entries, 0);
    cr_expect_eq(grad[0], 0);
    cr_expect_eq(grad[1], 0);
    cr_expect_eq(buffer[0], 5);
    peer_rows_destroy(&rows);
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}

/* A mark is all that zeroing leaves; the first reader writes the zeros, once. */
Test(param, a_stale_gradient_reads_as_zeros)
{
    struct failing failing = {.granted = -1};
    struct peer_ctx *ctx = failing_ctx(&failing, 1);
    struct peer_params list = peer_params_empty(ctx);
    float data[3], grad[3] = {1, 2, 3}, buffer[1] = {5};
    bool stale = false;
    struct peer_param marked = entry(data, grad, 3), other = entry(buffer, NULL, 1);
    marked.stale = &stale;
    cr_assert_eq(peer_params_add(&list, "a.", &marked), PEER_OK);
    cr_assert_eq(peer_params_add(&list, "b.", &other), PEER_OK);
    cr_expect_eq(peer_param_grad(&list.items[0])[2], 3);
    peer_params_zero_grad(&list);
    cr_expect(stale);
    cr_expect_eq(grad[2], 3);
    cr_expect_eq(peer_param_grad(&list.items[0]), grad);
    cr_expect(!stale);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(grad[i], 0);
    grad[1] = 7;
    cr_expect_eq(peer_param_grad(&list.items[0])[1], 7);
    cr_expect_null(peer_param_grad(&list.items[1]));
    peer_params_free(&list);
    peer_ctx_destroy(&ctx);
}
