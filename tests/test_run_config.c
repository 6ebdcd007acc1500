/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runs/run_config.h"
#include "lm/options.h"
#include "peer/types.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "run.yaml");
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(run_config, .init = set_up, .fini = tear_down);

static void expect_same_options(const void *a, const void *b, const struct peer_option *options,
                                const char *skipped)
{
    for (const struct peer_option *option = options; option->name; option++) {
        char left[64], right[64];
        if (skipped && strcmp(option->name, skipped) == 0)
            continue;
        peer_option_text(left, sizeof left, a, option);
        peer_option_text(right, sizeof right, b, option);
        cr_expect_str_eq(left, right, "%s: %s, %s", option->name, left, right);
    }
}

static void expect_same(const struct lab_run_config *a, const struct lab_run_config *b)
{
    cr_expect_str_eq(a->data, b->data);
    cr_expect_str_eq(a->init, b->init);
    cr_expect_str_eq(a->init_crc32, b->init_crc32);
    cr_expect_eq(a->model.freeze, b->model.freeze);
    cr_expect_eq(a->text.dtype, b->text.dtype);
    cr_expect_eq(a->model.tables, b->model.tables);
    cr_expect_str_eq(a->variant, b->variant);
    cr_expect_eq(a->budget, b->budget);
    cr_expect_eq(a->model.ffw, b->model.ffw);
    cr_expect_eq(a->model.passes, b->model.passes);
    cr_expect_eq(a->middle, b->middle);
    cr_expect_arr_eq(a->model.sparse_at, b->model.sparse_at, sizeof a->model.sparse_at);
    cr_expect_eq(b->model.ffw_config, b->ffw_config);
    expect_same_options(&a->model, &b->model, lm_config_options, NULL);
    expect_same_options(&a->model.dense, &b->model.dense, peer_ffw_dense.options, NULL);
    expect_same_options(a->ffw_config, b->ffw_config, a->model.ffw->options, NULL);
    expect_same_options(&a->train, &b->train, lm_train_options, NULL);
}

static void expect_round_trip(const struct lab_run_config *config)
{
    struct lab_run_config read;
    FILE *stream = fopen(file.path, "w");
    cr_assert(stream);
    cr_assert(lab_run_config_write(stream, config));
    cr_assert_eq(fclose(stream), 0);
    cr_assert_eq(lab_run_config_read(&read, ctx, file.path), PEER_OK, "%s", peer_ctx_error(ctx));
    expect_same(config, &read);
}

static void case_of(struct lab_run_config *config, const struct peer_ffw_type *ffw)
{
    lab_run_config_default(config, 48, 5, ffw);
    strcpy(config->data, "data/a \"b\" \\ c: #d\t\xc3\xa9");
    config->budget = 1e13 / 3;
    config->train.length = 100;
}

/* Sets an option to a value that is not its own and that `check` accepts; false if there is none
 * among the first to try. */
static bool change(struct lab_run_config *config, const struct peer_option *option)
{
    static const char *const values[] = {"0",   "1",   "2",    "4",     "16",   "64",
                                         "0.3", "0.7", "true", "false", "1024", "1e-3"};
    char old[64], now[64];
    const struct peer_ffw_type *ffw = config->model.ffw;
    peer_option_text(old, sizeof old, config->ffw_config, option);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (peer_option_set(ctx, config->ffw_config, option, values[i]) != PEER_OK)
            continue;
        peer_option_text(now, sizeof now, config->ffw_config, option);
        if (strcmp(now, old) && ffw->check(ctx, config->ffw_config, config->model.width) == PEER_OK)
            return true;
    }
    for (int i = 0; option->choices && option->choices[i]; i++)
        if (strcmp(option->choices[i], old) &&
            peer_option_set(ctx, config->ffw_config, option, option->choices[i]) == PEER_OK &&
            ffw->check(ctx, config->ffw_config, config->model.width) == PEER_OK)
            return true;
    peer_option_set(ctx, config->ffw_config, option, old);
    return false;
}

Test(run_config, every_variant_and_each_of_its_options_come_back)
{
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++) {
        struct lab_run_config config;
        case_of(&config, *type);
        expect_round_trip(&config);
        for (const struct peer_option *option = (*type)->options; option->name; option++) {
            case_of(&config, *type);
            cr_expect(change(&config, option), "%s: %s cannot be changed", (*type)->name,
                      option->name);
            expect_round_trip(&config);
        }
    }
}

Test(run_config, blocks_and_training_come_back)
{
    struct lab_run_config config;
    case_of(&config, &peer_ffw_dense);
    strcpy(config.variant, "mine: \n[1]");
    strcpy(config.init, "runs/\"one\": #1");
    strcpy(config.init_crc32, "01e10000"); /* no number */
    memset(config.model.sparse_at, 0, sizeof config.model.sparse_at);
    config.model.sparse_at[0] = config.model.sparse_at[4] = true;
    config.middle = false;
    config.model.vocab = 61;
    config.model.heads = 3;
    config.model.dense.hidden = 77;
    config.train.accumulate = config.model.passes = 4;
    config.train.lr = 1.0F / 3;
    config.train.seed = 8999999999999999;
    config.train.steps = 123456789;
    config.train.schedule = LM_SCHEDULE_CONSTANT;
    config.train.optim.clip = 0;
    config.train.nonfinite = LM_NONFINITE_SKIP;
    config.train.usage_points = 33;
    config.train.usage_tokens = 1234567;
    expect_round_trip(&config);
}

/* Folders and stores know a run by its text, also one from before there was tracking. */
Test(run_config, what_is_not_tracked_is_not_written)
{
    struct lab_run_config config;
    char *text = NULL;
    size_t size;
    case_of(&config, peer_ffw_find("peer"));
    for (int points = 0; points < 4; points += 2) {
        FILE *stream = open_memstream(&text, &size);
        config.train.usage_points = points;
        cr_assert(stream && lab_run_config_write(stream, &config));
        fclose(stream);
        cr_expect_eq(strstr(text, "usage_points: 2") != NULL, points == 2, "%s", text);
        cr_expect_null(strstr(text, "nonfinite"), "nor what is not skipped");
        cr_expect_null(strstr(text, points ? "usage_tokens" : "usage_"), "%s", text);
        free(text);
    }
}

Test(run_config, what_is_frozen_comes_back)
{
    for (int freeze = 0; freeze < LM_FREEZE_COUNT; freeze++) {
        struct lab_run_config config;
        case_of(&config, peer_ffw_find("mixtral"));
        config.model.freeze = (enum lm_freeze)freeze;
        expect_round_trip(&config);
    }
}

Test(run_config, where_tables_lie_comes_back)
{
    for (int place = 0; place < LM_PLACE_COUNT; place++) {
        struct lab_run_config config;
        case_of(&config, peer_ffw_find("pkm"));
        config.model.tables = (enum lm_place)place;
        config.train.optim.rows = PEER_ROWS_SGD;
        expect_round_trip(&config);
    }
}

Test(run_config, the_width_of_ids_comes_back)
{
    for (int dtype = LM_DTYPE_AUTO; dtype <= LM_DTYPE_UINT32; dtype++) {
        struct lab_run_config config;
        case_of(&config, &peer_ffw_dense);
        config.text.dtype = (enum lm_dtype)dtype;
        expect_round_trip(&config);
    }
}

Test(run_config, what_is_left_out_has_its_default)
{
    static const char text[] = "data: d\nmodel: {width: 48, blocks: 5, ffw: peer, context: 64}\n";
    struct lab_run_config config, expected;
    tempfile_write(&file, text, strlen(text));
    cr_assert_eq(lab_run_config_read(&config, ctx, file.path), PEER_OK, "%s", peer_ctx_error(ctx));
    lab_run_config_default(&expected, 48, 5, peer_ffw_find("peer"));
    strcpy(expected.data, "d");
    expected.model.context = 64;
    expected.train.length = 64; /* follows the context */
    expect_same(&expected, &config);
    cr_expect_eq(config.model.sparse_at[2], true, "the middle block takes the layer");
    cr_expect_str_eq(config.variant, "peer");
}

#define HEAD "data: d\nmodel: {width: 48, blocks: 3"

Test(run_config, complaints_name_the_place)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"model: {width: 8, blocks: 1}\n", ":1:1: the field data is missing: the folder that "
                                           "`peerlab data prepare` made"},
        {"data: d\n", ":1:1: the field model is missing"},
        {"data: d\ndtype: int64\nmodel: {width: 8, blocks: 1}\n",
         ":2:8: dtype: expected one of: auto, uint16, uint32, got \"int64\""},
        {"data: d\nmodel: {width: 8, blocks: 1, vocab: 1048577}\n",
         ":2:37: model.vocab: expected an integer from 1 to 1048576, got \"1048577\""},
        {"data: d\nfreeze: gates\nmodel: {width: 8, blocks: 1, ffw: peer}\n",
         ":2:9: freeze: expected one of: none, router, experts, mixture, rest, got \"gates\""},
        {"data: d\nfreeze: router\nmodel: {width: 8, blocks: 1}\n",
         ":3:8: model: lm_config: freeze = router, but ffw = dense is no mixture of experts: there "
         "is nothing to freeze"},
        {"data: d\ntables: disk\nmodel: {width: 8, blocks: 1, ffw: peer}\n",
         ":2:9: tables: expected one of: memory, mapped, got \"disk\""},
        {"data: d\ntables: mapped\nmodel: {width: 8, blocks: 1, ffw: mixtral}\n",
         ":3:8: model: lm_config: tables = mapped, but ffw = mixtral has none"},
        {"data: d\ntables: mapped\nmodel: {width: 8, blocks: 1, ffw: peer}\n",
         ":3:8: model: lm_train_config: table_optimizer = adamw, expected sgd or adagrad where "
         "tables are mapped: moments would be larger than the table, and in memory"},
        {"data: d\ntables: mapped\ninit: runs/a\nmodel: {width: 8, blocks: 1, ffw: peer}\n",
         ":2:9: tables: mapped tables are drawn as they are used, so that a run cannot have both "
         "them and init"},
        {"data: d\ntables: mapped\nmodel: {width: 8, blocks: 1, ffw: peer, options: {table: "
         "int8}}\n",
         ":3:8: model: lm_config: tables = mapped, table = int8, expected f32 or bf16"},
        {"data: d\nmodel:\n", ":2:7: model: expected a mapping (key: value), got \"\""},
        {"data: []\nmodel: {width: 8, blocks: 1}\n",
         ":1:7: data: expected a text of 1 to 1023 bytes, got a list"},
        {"data: d\nmodel: {width: 48}\n", ":2:8: model: the fields width and blocks are needed"},
        {"data: d\nmodel: {width: 1, blocks: 1}\n",
         ":2:16: model.width: expected an integer from 2 to 16384, got \"1\""},
        {HEAD "}\nvariant: 0123456789012345678901234567890123456789012345678901234567890123\n",
         ":3:10: variant: expected a text of 1 to 47 bytes, got "
         "\"012345678901234567890123456789012345678901234567890123456789\""},
        {HEAD "}\ntrian: {}\n", ":3:1: trian: unknown field; did you mean \"train\"?"},
        {HEAD ", widht: 3}\n", ":2:31: model.widht: unknown field; did you mean \"width\"?"},
        {HEAD ", ffw: pear}\n",
         ":2:36: model.ffw: expected one of: "
         "dense, pkm, peer, soft_gate, noisy_topk, gshard, switch, "
         "expert_choice, mixtral, deepseek, dropless, soft_moe, got \"pear\""},
        {HEAD ", ffw: peer, options: {expert_: 4}}\n",
         ":2:52: model.options.expert_: unknown field; did you mean \"experts\"?"},
        {HEAD ", ffw: peer, options: {heads: -1}}\n",
         ":2:59: model.options.heads: expected an integer from 1 to 1024, got \"-1\""},
        {HEAD ", ffw: peer, options: {experts: 10}}\n",
         ":2:51: model.options: peer: N = 10 is not a square, the nearest are 3^2 = 9 and "
         "4^2 = 16"},
        {HEAD ", ffw: peer, sparse_at: [3]}\n",
         ":2:54: model.sparse_at[0]: expected an integer from 0 to 2, got \"3\""},
        {HEAD ", ffw: peer, sparse_at: []}\n",
         ":2:53: model.sparse_at: expected a list of block numbers, such as [1, 3], got a list"},
        {HEAD ", heads: 5}\n", ":2:8: model: lm_config: width = 48, heads = 5, expected a width "
                               "that is a multiple of 2 * heads"},
        {HEAD ", dense: {hiden: 3}}\n",
         ":2:39: model.dense.hiden: unknown field; did you mean \"hidden\"?"},
        {HEAD "}\ntrain: {lr: fast}\n",
         ":3:13: train.lr: expected a number from 1e-09 to 1, got \"fast\""},
        {HEAD "}\ntrain: {length: 4, lr: 0.1, lr: 0.2}\n",
         ":3:29: train.lr: this key is given twice"},
        {HEAD ", context: 8}\ntrain: {length: 9}\n",
         ":3:8: train: lm_train_config: length = 9, expected at most the model's context of 8"},
        {HEAD "}\ntrain: {sequences: 8, accumulate: 3}\n",
         ":3:8: train: lm_train_config: accumulate = 3, expected a divisor of sequences = 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lab_run_config config, before;
        memset(&config, 7, sizeof config);
        memcpy(&before, &config, sizeof config);
        tempfile_write(&file, cases[i].text, strlen(cases[i].text));
        cr_expect_eq(lab_run_config_read(&config, ctx, file.path), PEER_ERR_FORMAT, "%s",
                     cases[i].text);
        const char *error = peer_ctx_error(ctx);
        cr_expect_eq(strncmp(error, file.path, strlen(file.path)), 0, "%s", error);
        cr_expect_str_eq(error + strlen(file.path), cases[i].complaint);
        cr_expect_eq(memcmp(&config, &before, sizeof config), 0, "%s", cases[i].text);
    }
}

Test(run_config, a_file_cut_at_any_byte_is_read_or_refused)
{
    struct lab_run_config config;
    char *text = NULL;
    size_t size = 0;
    case_of(&config, peer_ffw_find("peer"));
    FILE *stream = open_memstream(&text, &size);
    cr_assert(stream && lab_run_config_write(stream, &config));
    cr_assert_eq(fclose(stream), 0);
    for (size_t cut = 0; cut < size; cut++) {
        tempfile_write(&file, text, cut);
        enum peer_status status = lab_run_config_read(&config, ctx, file.path);
        cr_expect(status == PEER_OK || status == PEER_ERR_FORMAT, "%zu: %s", cut,
                  peer_ctx_error(ctx));
    }
    free(text);
}

Test(run_config, a_full_disk_is_noticed)
{
    struct lab_run_config config;
    case_of(&config, peer_ffw_find("pkm"));
    FILE *stream = fopen("/dev/full", "w");
    cr_assert(stream);
    setvbuf(stream, NULL, _IONBF, 0);
    cr_expect_not(lab_run_config_write(stream, &config));
    fclose(stream);
}
