/* SPDX-License-Identifier: MIT */
/* Weights of other programs in a model: which layer goes where, biases, and what is refused. */
#include "experiments/runs/weights_in.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/params/access.h"
#include "nn/params/weights.h"
#include "peer/foreign.h"
#include "peer/layer.h"
#include "pkm/layer.h"
#include "tests/support/run_case.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "weights.safetensors");
}

static void tear_down(void)
{
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(weights_in, .init = set_up, .fini = tear_down);

/* A model of three blocks, and the list of a layer's entries in one of its blocks. */
struct made {
    struct run_case setting;
    struct lm_model *model;
    struct peer_params layer;
};

static const struct peer_params *all(const struct made *made)
{
    return lm_model_params(made->model);
}

static void make(struct made *made, const struct peer_ffw_type *ffw, const char *const *options,
                 uint64_t seed)
{
    run_case_init(&made->setting, ffw);
    for (; *options; options += 2)
        cr_assert(run_case_set(&made->setting, options[0], options[1]), "%s", options[0]);
    made->model = run_case_model(&made->setting, ctx, 9, seed);
    made->layer = peer_params_empty(ctx);
    for (int64_t i = 0; i < all(made)->count; i++)
        if (strncmp(all(made)->items[i].name, "blocks.1.ffw.", 13) == 0 &&
            strcmp(all(made)->items[i].name + 13, "norm.gain"))
            cr_assert_eq(peer_params_add(&made->layer, "", &all(made)->items[i]), PEER_OK);
}

static void end(struct made *made)
{
    peer_params_free(&made->layer);
    lm_model_destroy(&made->model);
}

static const struct lab_weights_in plain = {.block = -1};

static enum peer_status take(struct lab_weights_told *told, const struct made *made,
                             const struct lab_weights_in *options)
{
    return lab_weights_in(told, ctx, file.path, all(made), &made->setting.config, options);
}

static void refused(const struct made *made, const struct lab_weights_in *options,
                    const char *words)
{
    struct lab_weights_told told;
    enum peer_status status = take(&told, made, options);
    const char *error = peer_ctx_error(ctx);
    cr_expect(status == PEER_ERR_FORMAT || status == PEER_ERR_ARGUMENT, "%s", words);
    cr_expect(strstr(error, file.path) && strstr(error, words), "%s\n  without: %s", error, words);
}

static void taken(const struct made *made, const struct lab_weights_in *options)
{
    struct lab_weights_told told;
    cr_assert_eq(take(&told, made, options), PEER_OK, "%s", peer_ctx_error(ctx));
}

/* Writes the layer alone, and behind it entries of the test's own. */
static void save(const struct made *made, enum peer_foreign form, const char *prefix,
                 const struct peer_param *more, int count)
{
    struct peer_params list = peer_params_empty(ctx);
    struct peer_name_map map = peer_name_map_empty(ctx);
    for (int64_t i = 0; i < made->layer.count; i++)
        cr_assert_eq(peer_params_add(&list, "", &made->layer.items[i]), PEER_OK);
    cr_assert_eq(peer_foreign_map(&map, &list, "blocks.1.ffw.", prefix, form), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    for (int i = 0; i < count; i++)
        cr_assert_eq(peer_params_add(&list, "", &more[i]), PEER_OK);
    cr_assert_eq(peer_params_save(&list, file.path, &map, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    peer_params_free(&list);
    peer_name_map_free(&map);
}

/* Whether two layers have the same values in all entries but one. */
static bool same_layer(const struct made *a, const struct made *b, const char *but)
{
    bool same = a->layer.count == b->layer.count;
    for (int64_t i = 0; i < a->layer.count && same; i++)
        same = strcmp(a->layer.items[i].name, but) == 0 ||
               !memcmp(peer_param_memory(&a->layer.items[i]), peer_param_memory(&b->layer.items[i]),
                       peer_param_bytes(&a->layer.items[i]));
    return same;
}

static const char *const peer_options[] = {"query_norm", "none", "keys_per_head", "true", NULL};
static const char *const none[] = {NULL};

/* One layer alone, by whatever names, into the one sparse block; nothing else moves. */
Test(weights_in, one_layer_alone)
{
    static const char *const prefixes[] = {"", "model.layers.7.peer.", "blocks.1.ffw."};
    for (int form = 0; form < PEER_FOREIGN_XLM; form++) {
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
            struct made from, to, before;
            struct lab_weights_told told;
            make(&from, &peer_ffw_peer, peer_options, 1);
            make(&to, &peer_ffw_peer, peer_options, 2);
            make(&before, &peer_ffw_peer, peer_options, 2);
            save(&from, form, prefixes[i], NULL, 0);
            cr_expect(!same_layer(&from, &to, ""));
            cr_assert_eq(take(&told, &to, &plain), PEER_OK, "%s", peer_ctx_error(ctx));
            cr_expect(same_layer(&from, &to, ""));
            cr_expect_eq(told.tensors, 4);
            cr_expect_eq(told.kept, all(&to)->count - to.layer.count);
            cr_expect_str_eq(told.first_kept, "embed");
            cr_expect(strstr(told.layers, "block 1: "), "%s", told.layers);
            const struct peer_param *kept = peer_params_find(all(&to), "blocks.1.ffw.norm.gain");
            cr_expect_eq(kept->data[0], 1);
            kept = peer_params_find(all(&to), "blocks.0.attention.qkv");
            cr_expect(!memcmp(kept->data, peer_params_find(all(&before), kept->name)->data,
                              peer_param_bytes(kept)));
            end(&from);
            end(&to);
            end(&before);
        }
    }
}

/* This program's own names, of a layer by the library and of a whole model. */
Test(weights_in, own_names)
{
    struct made from, to;
    struct peer_name_map map = peer_name_map_empty(ctx);
    make(&from, &peer_ffw_pkm, none, 1);
    make(&to, &peer_ffw_pkm, none, 2);
    for (int64_t i = 0; i < from.layer.count; i++)
        cr_assert_eq(
            peer_name_map_rename(&map, from.layer.items[i].name, from.layer.items[i].name + 13),
            PEER_OK);
    cr_assert_eq(peer_params_save(&from.layer, file.path, &map, NULL), PEER_OK);
    taken(&to, &plain);
    cr_expect(same_layer(&from, &to, ""));
    struct lab_weights_told told;
    cr_assert_eq(peer_params_save(all(&from), file.path, NULL, NULL), PEER_OK);
    cr_assert_eq(take(&told, &to, &plain), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect(told.kept == 0 && told.left_over == 0 && told.tensors == all(&to)->count);
    for (int64_t i = 0; i < all(&to)->count; i++)
        cr_expect(!memcmp(all(&to)->items[i].data, all(&from)->items[i].data,
                          peer_param_bytes(&all(&to)->items[i])));
    peer_name_map_free(&map);
    end(&from);
    end(&to);
}

static struct peer_param bias(const char *name, float *data, int64_t n)
{
    struct peer_param param = {.kind = PEER_PARAM_BUFFER, .dims = 1, .shape = {n}, .data = data};
    snprintf(param.name, sizeof param.name, "%s", name);
    return param;
}

/* norm(q + b) with running mean m is norm(q) with m - b. */
Test(weights_in, a_bias_before_a_batch_norm)
{
    static const struct {
        enum peer_foreign form;
        const char *name;
    } cases[] = {{PEER_FOREIGN_META, "m.query_proj.query_mlps.0.bias"},
                 {PEER_FOREIGN_XLM, "m.query_proj.query_mlps.0.bias"},
                 {PEER_FOREIGN_NOTEBOOK, "m.query_proj.0.bias"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made from, to;
        make(&from, &peer_ffw_pkm, none, 1);
        make(&to, &peer_ffw_pkm, none, 2);
        const char *mean = "blocks.1.ffw.query_norm.mean";
        struct peer_param *statistics = peer_params_find(all(&from), mean);
        int64_t n = statistics->shape[0];
        float values[1024];
        cr_assert(n <= 1024);
        for (int64_t j = 0; j < n; j++) {
            statistics->data[j] = (float)j;
            values[j] = (float)(3 * j + 1);
        }
        struct peer_param more = bias(cases[i].name, values, n);
        save(&from, cases[i].form, "m.", &more, 1);
        taken(&to, &plain);
        cr_expect(same_layer(&from, &to, mean));
        const float *got = peer_params_find(all(&to), mean)->data;
        for (int64_t j = 0; j < n; j++)
            cr_expect_eq(got[j], (float)(-2 * j - 1));
        end(&from);
        end(&to);
    }
}

/* Elsewhere a bias must be 0, or be left out by the user's word; nothing is touched before. */
Test(weights_in, biases_that_have_no_place)
{
    static const char *const gated[] = {"gated", "true", "query_norm", "none", NULL};
    static const char *const pattern[] = {"*_proj*.bias"};
    struct made from, to, before;
    float zeros[1024] = {0}, one[12] = {0, 0, -0.25f};
    make(&from, &peer_ffw_pkm, gated, 1);
    make(&to, &peer_ffw_pkm, gated, 2);
    make(&before, &peer_ffw_pkm, gated, 2);
    struct peer_param more[] = {bias("query_proj.query_mlps.0.bias", zeros,
                                     peer_params_find(all(&from), "blocks.1.ffw.query")->shape[0]),
                                bias("value_proj.bias", zeros, 12),
                                bias("swilu_projection.bias", zeros, 12)};
    save(&from, PEER_FOREIGN_META, "", more, 3);
    taken(&to, &plain);
    cr_expect(same_layer(&from, &to, ""));
    end(&to);
    make(&to, &peer_ffw_pkm, gated, 2);
    more[1].data = one;
    save(&from, PEER_FOREIGN_META, "", more, 3);
    refused(&to, &plain, "tensor value_proj.bias is not 0 (its largest value is 0.25)");
    cr_expect(same_layer(&before, &to, ""), "a value was touched");
    more[1].data = zeros;
    zeros[5] = NAN;
    save(&from, PEER_FOREIGN_META, "", more, 1);
    refused(&to, &plain, "tensor query_proj.query_mlps.0.bias is not 0");
    struct lab_weights_in options = {.block = -1, .drop = pattern, .drops = 1};
    taken(&to, &options);
    cr_expect(same_layer(&from, &to, ""));
    end(&from);
    end(&to);
    end(&before);
}

/* Two layers of a whole model go to the two sparse blocks by the numbers in their names. */
Test(weights_in, layers_in_their_order)
{
    struct made from, to;
    make(&from, &peer_ffw_peer, peer_options, 1);
    make(&to, &peer_ffw_peer, peer_options, 2);
    end(&to);
    to.setting.config.sparse_at[2] = true;
    to.model = run_case_model(&to.setting, ctx, 9, 2);
    to.layer = peer_params_empty(ctx);
    struct peer_params list = peer_params_empty(ctx);
    struct peer_name_map map = peer_name_map_empty(ctx);
    float *second[3], extra[3] = {1, 2, 3};
    cr_assert_eq(from.layer.count, 3);
    for (int64_t i = 0; i < from.layer.count; i++) {
        struct peer_param param = from.layer.items[i];
        cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
        char name[PEER_PARAM_NAME];
        snprintf(name, sizeof name, "second.%.40s", param.name + 13);
        memcpy(param.name, name, sizeof name);
        second[i] = param.data = calloc((size_t)peer_param_size(&param), sizeof(float));
        for (int64_t j = 0; j < peer_param_size(&param); j++)
            param.data[j] = 3;
        cr_assert_eq(peer_params_add(&list, "", &param), PEER_OK);
    }
    cr_assert_eq(
        peer_foreign_map(&map, &list, "second.", "layers.10.peer.", PEER_FOREIGN_LUCIDRAINS),
        PEER_OK);
    cr_assert_eq(
        peer_foreign_map(&map, &list, "blocks.1.ffw.", "layers.9.peer.", PEER_FOREIGN_LUCIDRAINS),
        PEER_OK);
    struct peer_param more = bias("lm_head.bias", extra, 3);
    cr_assert_eq(peer_params_add(&list, "", &more), PEER_OK);
    cr_assert_eq(peer_params_save(&list, file.path, &map, NULL), PEER_OK);
    refused(&to, &plain, "tensor lm_head.bias, F32 [3], is left over");
    struct lab_weights_in options = {.block = -1, .partial = true};
    struct lab_weights_told told;
    cr_assert_eq(take(&told, &to, &options), PEER_OK, "%s", peer_ctx_error(ctx));
    cr_expect(told.left_over == 1 && told.tensors == 8);
    cr_expect_str_eq(told.first_left_over, "lm_head.bias");
    cr_expect_str_eq(told.layers, "block 1: lucidrains' PEER at \"layers.9.peer.\"\n"
                                  "block 2: lucidrains' PEER at \"layers.10.peer.\"\n");
    cr_expect_eq(peer_params_find(all(&to), "blocks.2.ffw.experts")->data[0], 3);
    cr_expect_eq(peer_params_find(all(&to), "blocks.1.ffw.experts")->data[0],
                 peer_params_find(all(&from), "blocks.1.ffw.experts")->data[0]);
    /* One layer for two blocks: the user says which. */
    save(&from, PEER_FOREIGN_LUCIDRAINS, "", NULL, 0);
    refused(&to, &plain, "1 layers of PEER or PKM (the first at \"\"), but the model has 2");
    options = (struct lab_weights_in){.block = 0};
    refused(&to, &options, "block 0 of the model, of 3, is not sparse");
    options.block = 2;
    taken(&to, &options);
    cr_expect_neq(peer_params_find(all(&to), "blocks.2.ffw.experts")->data[0], 3);
    for (int i = 0; i < 3; i++)
        free(second[i]);
    peer_params_free(&list);
    peer_name_map_free(&map);
    end(&from);
    end(&to);
}

Test(weights_in, layers_of_another_kind)
{
    static const char *const shared[] = {"query_norm", "none", NULL};
    static const char *const normed[] = {"keys_per_head", "true", NULL};
    static const char *const other[] = {
        "query_norm", "none", "keys_per_head", "true", "experts", "4", "kept", "2", NULL};
    struct made from, to;
    make(&from, &peer_ffw_peer, peer_options, 1);
    save(&from, PEER_FOREIGN_LUCIDRAINS, "a.", NULL, 0);
    make(&to, &peer_ffw_pkm, none, 2);
    refused(&to, &plain,
            "a.to_queries.0.weight is of a layer of type peer (lucidrains' PEER), but block 1");
    end(&to);
    make(&to, &peer_ffw_peer, shared, 2);
    refused(&to, &plain, "keys_per_head: true");
    end(&to);
    make(&to, &peer_ffw_peer, normed, 2);
    refused(&to, &plain,
            "there is no tensor a.query_norm.gain, which is the model's "
            "blocks.1.ffw.query_norm.gain: where the module");
    end(&to);
    make(&to, &peer_ffw_peer, other, 2);
    refused(&to, &plain, "expected [");
    end(&to);
    make(&to, NULL, none, 2);
    refused(&to, &plain, "but the model has 0 sparse blocks");
    end(&to);
    make(&to, &peer_ffw_peer, peer_options, 2);
    float value[1] = {1};
    struct peer_params list = peer_params_empty(ctx);
    struct peer_param unknown = bias("w", value, 1);
    cr_assert_eq(peer_params_add(&list, "", &unknown), PEER_OK);
    cr_assert_eq(peer_params_save(&list, file.path, NULL, NULL), PEER_OK);
    refused(&to, &plain, "tensor w, F32 [1], is left over");
    struct lab_weights_in options = {.block = -1, .partial = true};
    refused(&to, &options, "none of its 1 tensors has a name of the model's");
    peer_params_free(&list);
    end(&from);
    end(&to);
}
