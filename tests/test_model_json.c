/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lm/checkpoint.h"
#include "lm/model_json.h"
#include "lm/options.h"
#include "lm/run_state.h"
#include "nn/random.h"
#include "peer/types.h"
#include "tests/support/run_case.h"

enum { SEED = 91 };

static struct peer_ctx *ctx;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
}

static void tear_down(void)
{
    peer_ctx_destroy(&ctx);
}

TestSuite(model_json, .init = set_up, .fini = tear_down);

/* A value inside the option's range that is hardly its default. */
static void randomize(void *config, const struct peer_option *options, uint64_t stream)
{
    for (uint64_t i = 0; options[i].name; i++) {
        char *field = (char *)config + options[i].offset;
        uint32_t bits = peer_random_bits(SEED, stream, i);
        double share = (bits + 0.5) * 0x1p-32;
        double number = options[i].min + (options[i].max - options[i].min) * share;
        int choices = 0;
        while (options[i].choices && options[i].choices[choices])
            choices++;
        switch (options[i].kind) {
        case PEER_OPTION_INT:
            memcpy(field, &(int64_t){(int64_t)number}, sizeof(int64_t));
            break;
        case PEER_OPTION_FLOAT:
            memcpy(field, &(float){(float)number}, sizeof(float));
            break;
        case PEER_OPTION_BOOL:
            memcpy(field, &(bool){bits % 2}, sizeof(bool));
            break;
        case PEER_OPTION_CHOICE:
            memcpy(field, &(int){(int)(bits % (uint32_t)choices)}, sizeof(int));
            break;
        }
    }
}

static void same_options(const void *left, const void *right, const struct peer_option *options)
{
    for (; options->name; options++) {
        char a[64], b[64];
        peer_option_text(a, sizeof a, left, options);
        peer_option_text(b, sizeof b, right, options);
        cr_expect_str_eq(a, b, "%s: %s, %s", options->name, a, b);
    }
}

/* Through text, as checkpoints keep it. */
static json_t *through_text(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(read, "%s", text);
    free(text);
    return read;
}

Test(model_json, gives_back_every_model_config)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        for (uint64_t stream = 0; stream < 20; stream++) {
            struct lm_config config = lm_config_default(7, 8, 9), read;
            _Alignas(16) unsigned char ffw[512] = {0}, ffw_read[512];
            randomize(&config, lm_config_options, 2 * stream);
            randomize(&config.dense, peer_ffw_dense.options, 2 * stream + 1);
            config.blocks = 1 + config.blocks % 100;
            memset(config.sparse_at, 0, sizeof config.sparse_at);
            for (int i = 0; i < config.blocks; i += 3)
                config.sparse_at[i] = true;
            (*type)->config_default(ffw, config.width);
            randomize(ffw, (*type)->options, 2 * stream + 40);
            config.ffw = stream % 4 ? *type : NULL;
            config.ffw_config = ffw;
            json_t *json = through_text(lm_config_json(&config));
            cr_assert_eq(lm_config_from_json(&read, ffw_read, sizeof ffw_read, ctx, "test", json),
                         PEER_OK, "%s", peer_ctx_error(ctx));
            json_t *again = lm_config_json(&read);
            cr_expect(json_equal(json, again));
            same_options(&config, &read, lm_config_options);
            same_options(&config.dense, &read.dense, peer_ffw_dense.options);
            cr_expect_eq(config.ffw, read.ffw);
            if (config.ffw) {
                cr_expect_eq(read.ffw_config, (void *)ffw_read);
                same_options(ffw, ffw_read, (*type)->options);
                cr_expect_arr_eq(config.sparse_at, read.sparse_at, sizeof read.sparse_at);
            }
            json_decref(json);
            json_decref(again);
        }
}

Test(model_json, gives_back_every_training_config)
{
    for (uint64_t stream = 0; stream < 20; stream++) {
        struct lm_train_config config = lm_train_config_default(), read;
        randomize(&config, lm_train_options, stream);
        json_t *json = through_text(lm_train_config_json(&config));
        cr_assert_eq(lm_train_config_from_json(&read, ctx, "test", json), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        same_options(&config, &read, lm_train_options);
        json_decref(json);
    }
}

Test(model_json, missing_fields_have_their_defaults)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "vocab", "50", "width", "64", "blocks", "5",
                             "ffw", peer_ffw_types[1]->name);
    struct lm_config read, expected = lm_config_default(50, 64, 5);
    _Alignas(16) unsigned char ffw[512], ffw_expected[512];
    peer_ffw_types[1]->config_default(ffw_expected, 64);
    cr_assert_eq(lm_config_from_json(&read, ffw, sizeof ffw, ctx, "test", json), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    same_options(&expected, &read, lm_config_options);
    same_options(&expected.dense, &read.dense, peer_ffw_dense.options);
    same_options(ffw_expected, ffw, peer_ffw_types[1]->options);
    cr_expect_arr_eq(expected.sparse_at, read.sparse_at, sizeof read.sparse_at);
    json_decref(json);
}

static void refused(const char *text, const char *word)
{
    struct lm_config read = {.vocab = 77};
    _Alignas(16) unsigned char ffw[512];
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    cr_assert(json, "%s", text);
    cr_expect_eq(lm_config_from_json(&read, ffw, sizeof ffw, ctx, "FILE", json), PEER_ERR_FORMAT);
    const char *error = peer_ctx_error(ctx);
    cr_expect(strstr(error, "FILE") == error && strstr(error, word), "%s: without %s", error, word);
    cr_expect_eq(read.vocab, 77);
    json_decref(json);
}

#define SIZES "\"vocab\": \"50\", \"width\": \"64\", \"blocks\": \"5\""

Test(model_json, bad_fields_are_refused)
{
    refused("[]", "vocab");
    refused("{\"vocab\": \"50\", \"width\": \"64\"}", "blocks");
    refused("{\"vocab\": 50, \"width\": \"64\", \"blocks\": \"5\"}", "vocab");
    refused("{\"vocab\": \"50\", \"width\": \"64\", \"blocks\": \"257\"}", "1 to 256");
    refused("{" SIZES ", \"head\": \"2\"}", "no field head");
    refused("{" SIZES ", \"heads\": \"two\"}", "heads = two");
    refused("{" SIZES ", \"dense\": {\"hiden\": \"2\"}}", "no field hiden");
    refused("{" SIZES ", \"dense\": 3}", "object");
    refused("{" SIZES ", \"ffw\": \"none\"}", "no variant none");
    refused("{" SIZES ", \"ffw\": 3}", "no variant");
    refused("{" SIZES ", \"ffw\": \"dense\", \"options\": {\"experts\": \"4\"}}", "experts");
    refused("{" SIZES ", \"ffw\": \"dense\", \"sparse_at\": 1}", "list");
    refused("{" SIZES ", \"ffw\": \"dense\", \"sparse_at\": [5]}", "0 to 4");
    refused("{" SIZES ", \"ffw\": \"dense\", \"sparse_at\": [\"1\"]}", "integers");
    struct lm_train_config train = {.steps = 77};
    json_t *json = json_pack("{s:s}", "stepz", "3");
    cr_expect_eq(lm_train_config_from_json(&train, ctx, "FILE", json), PEER_ERR_FORMAT);
    cr_expect(train.steps == 77 && strstr(peer_ctx_error(ctx), "FILE: there is no field stepz"));
    json_decref(json);
    struct lm_config config;
    json = json_loads("{" SIZES ", \"ffw\": \"dense\"}", 0, NULL);
    cr_expect_eq(lm_config_from_json(&config, &train, 1, ctx, "FILE", json), PEER_ERR_ARGUMENT);
    json_decref(json);
}

Test(model_json, names_the_first_difference)
{
    struct run_case setting;
    char text[128] = "";
    run_case_init(&setting, peer_ffw_find("peer"));
    json_t *here = lm_config_json(&setting.config);
    json_t *there = lm_config_json(&setting.config);
    cr_expect(!lm_json_difference(text, sizeof text, here, there), "%s", text);
    json_object_set_new(json_object_get(there, "options"), "experts", json_string("64"));
    cr_expect(lm_json_difference(text, sizeof text, here, there));
    cr_expect_str_eq(text, "options.experts = 64, here 49");
    json_decref(there);
    there = json_deep_copy(here);
    json_object_set_new(there, "extra", json_string("1"));
    cr_expect(lm_json_difference(text, sizeof text, here, there));
    cr_expect_str_eq(text, "extra is there, but not here");
    cr_expect(lm_json_difference(text, sizeof text, there, here));
    cr_expect_str_eq(text, "extra = nothing, here 1");
    json_object_del(there, "extra");
    json_object_set_new(there, "sparse_at", json_pack("[i, i]", 0, 2));
    cr_expect(lm_json_difference(text, sizeof text, here, there));
    cr_expect_str_eq(text, "sparse_at = [0,2], here [1]");
    json_decref(here);
    json_decref(there);
}

/* A model built from a checkpoint alone gives the same logits. */
Test(model_json, a_checkpoint_rebuilds_its_model)
{
    struct tempdir dir = tempdir_create();
    struct tempfile file = tempdir_file(&dir, "checkpoint");
    struct lm_dataset data = run_case_data(ctx, &dir, 50, 0);
    struct lm_train_config train = lm_train_config_default();
    static const int32_t inputs[] = {4, 5, 6, 0, 1};
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct run_case setting;
        struct lm_config config;
        _Alignas(16) unsigned char ffw[512];
        run_case_init(&setting, *type);
        struct lm_model *model = run_case_model(&setting, ctx, 5, SEED), *read = NULL;
        struct lm_run run = {&setting.config, &train, &data};
        json_t *metadata = NULL;
        cr_assert_eq(lm_run_metadata(&metadata, ctx, &run, &(struct lm_run_state){0}), PEER_OK);
        cr_assert_eq(lm_checkpoint_save(ctx, file.path, lm_model_params(model), metadata), PEER_OK);
        json_decref(metadata);
        cr_assert_eq(lm_run_model(&config, ffw, sizeof ffw, ctx, file.path), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        cr_assert_eq(lm_model_create(&read, ctx, &config, 5, SEED + 1, false), PEER_OK);
        cr_assert_eq(lm_checkpoint_load(ctx, file.path, lm_model_params(read)), PEER_OK, "%s",
                     peer_ctx_error(ctx));
        float expected[RUN_CASE_VOCAB], got[RUN_CASE_VOCAB];
        int64_t scored;
        lm_model_forward(model, &scored, NULL, inputs, inputs, 1, 5, PEER_MODE_EVAL);
        lm_model_logits(model, expected, 0);
        lm_model_forward(read, &scored, NULL, inputs, inputs, 1, 5, PEER_MODE_EVAL);
        lm_model_logits(read, got, 0);
        cr_expect_arr_eq(got, expected, sizeof got, "%s", (*type)->name);
        lm_model_destroy(&model);
        lm_model_destroy(&read);
    }
    struct peer_params none = peer_params_empty(ctx);
    struct lm_config untouched = {.vocab = 77};
    cr_assert_eq(lm_checkpoint_save(ctx, file.path, &none, NULL), PEER_OK);
    cr_expect_eq(lm_run_model(&untouched, NULL, 0, ctx, file.path), PEER_ERR_FORMAT);
    cr_expect(strstr(peer_ctx_error(ctx), "no model"), "%s", peer_ctx_error(ctx));
    cr_expect_eq(untouched.vocab, 77);
    lm_dataset_close(&data);
    tempdir_remove(&dir);
}

/* Older programs wrote floats with nine digits; integers are told apart to the last digit. */
Test(model_json, numbers_are_the_same_however_they_are_written)
{
    char text[200];
    static const char *const pairs[][3] = {{"0.005", "0.00499999989", "same"},
                                           {"1e-08", "9.99999994e-09", "same"},
                                           {"0.005", "0.00500000036", NULL},
                                           {"0.005", "0.005x", NULL},
                                           {"9007199254740993", "9007199254740992", NULL}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        json_t *here = json_pack("{s:s}", "lr", pairs[i][0]),
               *there = json_pack("{s:s}", "lr", pairs[i][1]);
        cr_expect_eq(lm_json_difference(text, sizeof text, here, there), !pairs[i][2], "%s, %s",
                     pairs[i][0], pairs[i][1]);
        json_decref(here);
        json_decref(there);
    }
}
