/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "nn/option.h"

enum fruit { APPLE = 0, PEAR, PLUM };

struct config {
    int64_t count;
    float rate;
    bool ripe;
    enum fruit fruit;
};

static const char *const fruits[] = {"apple", "pear", "plum", NULL};

static const struct peer_option options[] = {
    {"count", PEER_OPTION_INT, offsetof(struct config, count), 1, 64, NULL, "pieces"},
    {"rate", PEER_OPTION_FLOAT, offsetof(struct config, rate), 0, 0.1, NULL, "per day"},
    {"ripe", PEER_OPTION_BOOL, offsetof(struct config, ripe), 0, 0, NULL, "can be eaten"},
    {"fruit", PEER_OPTION_CHOICE, offsetof(struct config, fruit), 0, 0, fruits, "which"},
    {.name = NULL},
};

static const struct config start = {7, 0.05f, true, PLUM};

static struct peer_ctx *make_ctx(void)
{
    struct peer_ctx *ctx = NULL;
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    return ctx;
}

static void expect_equal(const struct config *a, const struct config *b)
{
    cr_expect_eq(a->count, b->count);
    cr_expect_eq(a->rate, b->rate);
    cr_expect_eq(a->ripe, b->ripe);
    cr_expect_eq(a->fruit, b->fruit);
}

Test(option, is_found_by_its_whole_name)
{
    cr_expect_eq(peer_option_find(options, "fruit"), &options[3]);
    cr_expect_null(peer_option_find(options, "fru"));
    cr_expect_null(peer_option_find(options, ""));
}

Test(option, text_sets_one_field)
{
    struct peer_ctx *ctx = make_ctx();
    static const char *const texts[] = {"64", "0.1", "false", "apple"};
    struct config got = start, expected = start;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(peer_option_set(ctx, &got, &options[i], texts[i]), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        switch (i) {
        case 0:
            expected.count = 64;
            break;
        case 1:
            expected.rate = 0.1f;
            break;
        case 2:
            expected.ripe = false;
            break;
        default:
            expected.fruit = APPLE;
        }
        expect_equal(&got, &expected);
    }
    peer_ctx_destroy(&ctx);
}

Test(option, other_text_is_refused_and_changes_nothing)
{
    static const struct {
        int option;
        const char *text, *error;
    } cases[] = {
        {0, "0", "count = 0, expected an integer from 1 to 64"},
        {0, "65", "count = 65, expected an integer from 1 to 64"},
        {0, "1.5", "count = 1.5, expected an integer from 1 to 64"},
        {0, "1e1", "count = 1e1, expected an integer from 1 to 64"},
        {0, "", "count = , expected an integer from 1 to 64"},
        {0, " 3", "count =  3, expected an integer from 1 to 64"},
        {0, "3 ", "count = 3 , expected an integer from 1 to 64"},
        {0, "18446744073709551618",
         "count = 18446744073709551618, expected an integer from 1 to 64"},
        {1, "0.1001", "rate = 0.1001, expected a number from 0 to 0.1"},
        {1, "-1e-9", "rate = -1e-9, expected a number from 0 to 0.1"},
        {1, "nan", "rate = nan, expected a number from 0 to 0.1"},
        {1, "1e999", "rate = 1e999, expected a number from 0 to 0.1"},
        {1, "x", "rate = x, expected a number from 0 to 0.1"},
        {2, "1", "ripe = 1, expected true or false"},
        {2, "True", "ripe = True, expected true or false"},
        {3, "app", "fruit = app, expected one of: apple, pear, plum"},
        {3, "0", "fruit = 0, expected one of: apple, pear, plum"},
    };
    struct peer_ctx *ctx = make_ctx();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config got = start;
        cr_expect_eq(peer_option_set(ctx, &got, &options[cases[i].option], cases[i].text),
                     PEER_ERR_ARGUMENT);
        cr_expect_str_eq(peer_ctx_error(ctx), cases[i].error);
        expect_equal(&got, &start);
    }
    peer_ctx_destroy(&ctx);
}

/* The shortest decimal of nine digits names one float. */
Test(option, written_text_is_read_back_to_the_same_bits)
{
    static const float rates[] = {0, 0.1f, 1e-8f, FLT_MIN, 1 / 3e3f, 0.05f, FLT_TRUE_MIN};
    struct peer_ctx *ctx = make_ctx();
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct config got = {0}, expected = start;
        expected.rate = rates[i];
        expected.count = (int64_t)i + 1;
        for (int j = 0; j < 4; j++) {
            char text[40];
            peer_option_text(text, sizeof text, &expected, &options[j]);
            cr_assert_eq(peer_option_set(ctx, &got, &options[j], text), PEER_OK, "%s",
                         peer_ctx_error(ctx));
        }
        expect_equal(&got, &expected);
    }
    peer_ctx_destroy(&ctx);
}

Test(option, a_whole_struct_is_checked)
{
    struct peer_ctx *ctx = make_ctx();
    struct config config = start;
    cr_expect_eq(peer_options_check(ctx, "basket", &config, options), PEER_OK);
    config.count = 65;
    cr_expect_eq(peer_options_check(ctx, "basket", &config, options), PEER_ERR_ARGUMENT);
    cr_expect_str_eq(peer_ctx_error(ctx), "basket: count = 65, expected an integer from 1 to 64");
    config = start;
    config.rate = NAN;
    cr_expect_eq(peer_options_check(ctx, "basket", &config, options), PEER_ERR_ARGUMENT);
    cr_expect_str_eq(peer_ctx_error(ctx), "basket: rate = nan, expected a number from 0 to 0.1");
    config = start;
    memset(&config.ripe, 2, 1);
    cr_expect_eq(peer_options_check(ctx, "basket", &config, options), PEER_ERR_ARGUMENT);
    cr_expect_str_eq(peer_ctx_error(ctx), "basket: ripe = 2, expected true or false");
    config = start;
    int fruit = -1;
    memcpy(&config.fruit, &fruit, sizeof fruit);
    cr_expect_eq(peer_options_check(ctx, "basket", &config, options), PEER_ERR_ARGUMENT);
    cr_expect_str_eq(peer_ctx_error(ctx), "basket: fruit = -1, expected one of: apple, pear, plum");
    peer_ctx_destroy(&ctx);
}

Test(option, text_is_cut_to_its_size)
{
    char text[9];
    peer_option_expected(text, sizeof text, &options[3]);
    cr_expect_str_eq(text, "one of: ");
    peer_option_expected(text, 5, &options[0]);
    cr_expect_str_eq(text, "an i");
}

static void expect_float(float value, const char *expected)
{
    char text[32];
    peer_float_text(text, sizeof text, value);
    cr_expect_str_eq(text, expected);
}

Test(option, numbers_have_no_more_digits_than_they_need)
{
    char text[32];
    expect_float(0.005f, "0.005");
    expect_float(30, "30");
    expect_float(-0.1f, "-0.1");
    expect_float(1e-8f, "1e-08");
    expect_float(16777216, "16777216");
    expect_float(nextafterf(0.005f, 1), "0.0050000004");
    expect_float(INFINITY, "inf");
    peer_double_text(text, sizeof text, 0.1);
    cr_expect_str_eq(text, "0.1");
    peer_double_text(text, sizeof text, 2.5e11);
    cr_expect_str_eq(text, "250000000000");
    peer_double_text(text, sizeof text, 1.0 / 3);
    cr_expect_str_eq(text, "0.3333333333333333");
}

Test(option, numbers_come_back_to_the_same_bits)
{
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        char text[32];
        uint32_t half = (uint32_t)(state >> 32);
        float single;
        double both;
        memcpy(&single, &half, sizeof single);
        memcpy(&both, &state, sizeof both);
        peer_float_text(text, sizeof text, single);
        cr_expect(isnan(single) || strtof(text, NULL) == single, "%s is not %.9g", text, single);
        peer_double_text(text, sizeof text, both);
        cr_expect(isnan(both) || strtod(text, NULL) == both, "%s is not %.17g", text, both);
    }
}
