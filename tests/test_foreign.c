/* SPDX-License-Identifier: MIT */
/* Weights under the names of other modules: their equations, written here from the tensors of the
 * file alone, give the layer's y; and a layer that loads the file is the one that saved it. */
#include "peer/foreign.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/params/weights.h"
#include "nn/random.h"
#include "peer/layer.h"
#include "pkm/layer.h"
#include "tests/support/tempdir.h"

enum {
    D = 6,
    T = 5,
    H = 2,
    SIDE = 3,
    N = SIDE * SIDE,
    K = 2,
    HALF = 2,
    Q = 2 * HALF,
    ROWS = H * Q
};

static struct peer_ctx *ctx;
static struct tempdir dir;
static struct tempfile file;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    file = tempdir_file(&dir, "weights");
}

static void tear_down(void)
{
    cr_expect_eq(peer_ctx_bytes(ctx), 0);
    peer_ctx_destroy(&ctx);
    tempdir_remove(&dir);
}

TestSuite(foreign, .init = set_up, .fini = tear_down);

/* A layer of the slot with its entries, all values drawn, running statistics too. */
struct made {
    const struct peer_ffw_type *type;
    struct peer_ffw *layer;
    struct peer_params list;
};

static struct made make(const struct peer_ffw_type *type, const void *config, uint64_t seed)
{
    struct made made = {.type = type, .list = peer_params_empty(ctx)};
    struct peer_ffw_shape shape = {.width = D, .tokens = T, .tokens_per_step = T};
    cr_assert_eq(peer_ffw_create(&made.layer, ctx, type, config, &shape), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_assert_eq(peer_ffw_params(made.layer, &made.list, "ffw."), PEER_OK);
    for (int64_t i = 0; i < made.list.count; i++) {
        const struct peer_param *param = &made.list.items[i];
        peer_fill_normal(param->data, peer_param_size(param), 0, 1, seed, peer_stream(param->name));
        for (int64_t j = 0; strstr(param->name, "var") && j < peer_param_size(param); j++)
            param->data[j] = 0.5f + fabsf(param->data[j]);
    }
    return made;
}

static void end(struct made *made)
{
    peer_params_free(&made->list);
    peer_ffw_destroy(&made->layer);
}

static void output(float *y, const struct made *made)
{
    static float x[T * D];
    peer_fill_normal(x, T * D, 0, 1, 77, 1);
    peer_ffw_forward(made->layer, y, x, NULL, T, PEER_MODE_EVAL);
}

static struct peer_name_map map_of(const struct peer_params *list, enum peer_foreign form,
                                   const char *prefix)
{
    struct peer_name_map map = peer_name_map_empty(ctx);
    cr_assert_eq(peer_foreign_map(&map, list, "ffw.", prefix, form), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    return map;
}

/* The tensors of a file, by other names than the layer's. */
struct tensors {
    struct peer_params list;
    float data[16][N * 3 * D * H];
};

static const float *want(struct tensors *t, const char *name, int dims, const int64_t *shape)
{
    struct peer_param param = {
        .kind = PEER_PARAM_BUFFER, .dims = dims, .data = t->data[t->list.count]};
    memcpy(param.shape, shape, (size_t)dims * sizeof *shape);
    snprintf(param.name, sizeof param.name, "%s", name);
    cr_assert_eq(peer_params_add(&t->list, "", &param), PEER_OK);
    return param.data;
}

#define WANT(name, dims, ...) want(t, name, dims, (int64_t[]){__VA_ARGS__})

/* Saves, reads the tensors that were asked for, and no others, and gives y. */
static void save_and_read(struct tensors *t, const struct made *made,
                          const struct peer_name_map *map)
{
    cr_assert_eq(peer_params_save(&made->list, file.path, map, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    cr_assert_eq(peer_params_load(&t->list, file.path, NULL, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    peer_params_free(&t->list);
}

/* From the file into a layer of other weights: the same y. */
static void load_back(const struct made *made, const void *config, const struct peer_name_map *map)
{
    float y[T * D], again[T * D];
    struct made other = make(made->type, config, 1234);
    output(y, made);
    output(again, &other);
    cr_expect(memcmp(y, again, sizeof y), "the layers are alike before");
    cr_assert_eq(peer_params_load(&other.list, file.path, map, NULL), PEER_OK, "%s",
                 peer_ctx_error(ctx));
    output(again, &other);
    cr_expect_arr_eq(y, again, sizeof y);
    end(&other);
}

/* Scores of all N pairs in one head, sub-scores s[half][i]; the K best and their softmax. */
static void best(int ids[K], double gates[K], double s[2][SIDE])
{
    double score[N], sum = 0;
    for (int i = 0; i < N; i++)
        score[i] = s[0][i / SIDE] + s[1][i % SIDE];
    for (int k = 0; k < K; k++) {
        ids[k] = 0;
        for (int i = 1; i < N; i++)
            if (score[i] > score[ids[k]])
                ids[k] = i;
        gates[k] = exp(score[ids[k]]);
        score[ids[k]] = -INFINITY;
        sum += gates[k];
    }
    for (int k = 0; k < K; k++)
        gates[k] /= sum;
}

static double dot(const float *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void token(double x[D], int t)
{
    float drawn[T * D];
    peer_fill_normal(drawn, T * D, 0, 1, 77, 1);
    for (int i = 0; i < D; i++)
        x[i] = drawn[t * D + i];
}

static void expect_close(const float *y, const double *expected)
{
    for (int i = 0; i < T * D; i++)
        cr_expect(fabs(y[i] - expected[i]) < 2e-4 * (1 + fabs(expected[i])), "%d: %g, not %g", i,
                  (double)y[i], expected[i]);
}

/* lucidrains' PEER: rearrange 'b n (p h d) -> p b n h d'; 'p b n h d, h k p d -> p b n h k'. */
static void lucidrains_peer(double *y, const float *queries, const float *keys, const float *down,
                            const float *up, int t)
{
    double x[D];
    token(x, t);
    for (int h = 0; h < H; h++) {
        int ids[K];
        double s[2][SIDE], gates[K];
        for (int p = 0; p < 2; p++)
            for (int k = 0; k < SIDE; k++) {
                s[p][k] = 0;
                for (int d = 0; d < HALF; d++)
                    s[p][k] += dot(queries + ((p * H + h) * HALF + d) * D, x, D) *
                               keys[((h * SIDE + k) * 2 + p) * HALF + d];
            }
        best(ids, gates, s);
        for (int k = 0; k < K; k++) {
            double a = dot(down + ids[k] * D, x, D);
            double act = 0.5 * a * (1 + erf(a / sqrt(2))) * gates[k];
            for (int i = 0; i < D; i++)
                y[i] += act * up[ids[k] * D + i];
        }
    }
}

static struct peer_layer_config peer_config(bool keys_per_head)
{
    struct peer_layer_config config = peer_layer_config_default(D);
    config.experts = N;
    config.heads = H;
    config.kept = K;
    config.query_width = Q;
    config.query_norm = PEER_NORM_NONE;
    config.keys_per_head = keys_per_head;
    config.activation = PEER_ACT_GELU;
    return config;
}

Test(foreign, lucidrains_peer)
{
    for (int shared = 0; shared < 2; shared++) {
        struct peer_layer_config config = peer_config(!shared);
        struct made made = make(&peer_ffw_peer, &config, 5);
        struct peer_name_map map = map_of(&made.list, PEER_FOREIGN_LUCIDRAINS, "layers.3.");
        struct tensors *t = calloc(1, sizeof *t);
        t->list = peer_params_empty(ctx);
        const float *queries = WANT("layers.3.to_queries.0.weight", 2, ROWS, D);
        const float *keys = WANT("layers.3.keys", 4, H, SIDE, 2, HALF);
        const float *down = WANT("layers.3.weight_down_embed.weight", 2, N, D);
        const float *up = WANT("layers.3.weight_up_embed.weight", 2, N, D);
        save_and_read(t, &made, &map);
        double expected[T * D] = {0};
        float y[T * D];
        for (int i = 0; i < T; i++)
            lucidrains_peer(expected + i * D, queries, keys, down, up, i);
        output(y, &made);
        expect_close(y, expected);
        if (shared) {
            cr_expect_eq(peer_params_load(&made.list, file.path, &map, NULL), PEER_ERR_ARGUMENT);
            cr_expect(strstr(peer_ctx_error(ctx), "layers.3.keys repeats values of ffw.keys"), "%s",
                      peer_ctx_error(ctx));
        } else {
            load_back(&made, &config, &map);
        }
        free(t);
        peer_name_map_free(&map);
        end(&made);
    }
}

/* Queries of one head after a batch norm with running statistics, as torch has it. */
struct normed {
    const float *weight, *bias, *mean, *var;
};

static double normed(double q, const struct normed *norm, int row)
{
    return (q - norm->mean[row]) / sqrt(norm->var[row] + 1e-5) * norm->weight[row] +
           norm->bias[row];
}

/* lucidrains' PKM (p h d), XLM's and Meta's (h p d): where half p of head h has its value d, and
 * key k its own. */
enum order { P_H_D, H_P_D };

static void memory(double *m, const float *queries, const struct normed *norm, const float *keys,
                   enum order order, const float *values, int t)
{
    double x[D];
    token(x, t);
    for (int h = 0; h < H; h++) {
        int ids[K];
        double s[2][SIDE] = {{0}}, gates[K];
        for (int p = 0; p < 2; p++)
            for (int k = 0; k < SIDE; k++)
                for (int d = 0; d < HALF; d++) {
                    int row = ((order == P_H_D ? p * H + h : h * 2 + p)) * HALF + d;
                    int key = order == P_H_D ? (h * SIDE + k) * 2 + p : (h * 2 + p) * SIDE + k;
                    s[p][k] +=
                        normed(dot(queries + row * D, x, D), norm, row) * keys[key * HALF + d];
                }
        best(ids, gates, s);
        for (int k = 0; k < K; k++)
            for (int i = 0; i < D; i++)
                m[i] += gates[k] * values[ids[k] * D + i];
    }
}

static struct pkm_config pkm_case(bool gated)
{
    struct pkm_config config = pkm_config_default(D);
    config.memories = N;
    config.heads = H;
    config.kept = K;
    config.query_width = Q;
    config.gated = gated;
    return config;
}

static struct normed want_norm(struct tensors *t, const char *prefix)
{
    static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
    const float *data[4];
    char name[PEER_PARAM_NAME];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", prefix, names[i]);
        data[i] = WANT(name, 1, ROWS);
    }
    return (struct normed){data[0], data[1], data[2], data[3]};
}

static void pkm(enum peer_foreign form)
{
    bool meta = form == PEER_FOREIGN_META, lucidrains = form == PEER_FOREIGN_LUCIDRAINS;
    bool notebook = form == PEER_FOREIGN_NOTEBOOK;
    struct pkm_config config = pkm_case(meta);
    struct made made = make(&peer_ffw_pkm, &config, 6);
    struct peer_name_map map = map_of(&made.list, form, "");
    struct tensors *t = calloc(1, sizeof *t);
    t->list = peer_params_empty(ctx);
    const float *queries = WANT(notebook     ? "query_proj.0.weight"
                                : lucidrains ? "to_queries.weight"
                                             : "query_proj.query_mlps.0.weight",
                                2, ROWS, D);
    struct normed norm = want_norm(t, notebook     ? "query_proj.1."
                                      : lucidrains ? "norm.fn."
                                                   : "query_proj.query_mlps.1.");
    const float *keys = meta         ? WANT("keys", 2, 2 * H * SIDE, HALF)
                        : lucidrains ? WANT("keys", 4, H, SIDE, 2, HALF)
                                     : WANT("keys", 4, H, 2, SIDE, HALF);
    const float *values = WANT("values.weight", 2, N, D);
    const float *gate = meta ? WANT("swilu_projection.weight", 2, D, D) : NULL;
    const float *out = meta ? WANT("value_proj.weight", 2, D, D) : NULL;
    save_and_read(t, &made, &map);
    double expected[T * D] = {0};
    float y[T * D];
    for (int i = 0; i < T; i++) {
        double x[D], m[D] = {0};
        token(x, i);
        memory(m, queries, &norm, keys, lucidrains ? P_H_D : H_P_D, values, i);
        for (int j = 0; j < D && meta; j++) {
            double z = dot(gate + j * D, x, D);
            m[j] *= z / (1 + exp(-z));
        }
        for (int j = 0; j < D; j++)
            expected[i * D + j] = meta ? dot(out + j * D, m, D) : m[j];
    }
    output(y, &made);
    expect_close(y, expected);
    load_back(&made, &config, &map);
    free(t);
    peer_name_map_free(&map);
    end(&made);
}

Test(foreign, lucidrains_pkm)
{
    pkm(PEER_FOREIGN_LUCIDRAINS);
}

Test(foreign, meta_memory)
{
    pkm(PEER_FOREIGN_META);
}

Test(foreign, xlm_pkm)
{
    pkm(PEER_FOREIGN_XLM);
    pkm(PEER_FOREIGN_NOTEBOOK);
}

/* [g | u | v] are three tensors; other modules have no such experts. */
Test(foreign, experts_apart)
{
    struct peer_layer_config config = peer_config(true);
    config.expert = PEER_EXPERT_GLU;
    config.tables_per_head = true;
    struct made made = make(&peer_ffw_peer, &config, 7);
    struct peer_name_map map = map_of(&made.list, PEER_FOREIGN_SPLIT, "");
    struct tensors *t = calloc(1, sizeof *t);
    t->list = peer_params_empty(ctx);
    WANT("query", 2, ROWS, D);
    WANT("keys", 4, H, 2, SIDE, HALF);
    const float *g = WANT("experts.g", 2, H * N, D), *u = WANT("experts.u", 2, H * N, D);
    const float *v = WANT("experts.v", 2, H * N, D);
    save_and_read(t, &made, &map);
    const float *experts = peer_params_find(&made.list, "ffw.experts")->data;
    for (int i = 0; i < H * N; i++) {
        cr_expect_arr_eq(g + i * D, experts + 3 * i * D, D * sizeof *g);
        cr_expect_arr_eq(u + i * D, experts + (3 * i + 1) * D, D * sizeof *u);
        cr_expect_arr_eq(v + i * D, experts + (3 * i + 2) * D, D * sizeof *v);
    }
    load_back(&made, &config, &map);
    peer_name_map_free(&map);
    for (int form = PEER_FOREIGN_LUCIDRAINS; form < PEER_FOREIGN_COUNT; form++) {
        cr_expect_eq(peer_foreign_map(&map, &made.list, "ffw.", "", form), PEER_ERR_ARGUMENT);
        cr_expect(strstr(peer_ctx_error(ctx), "there are no glu experts in"), "%s",
                  peer_ctx_error(ctx));
        peer_name_map_free(&map);
    }
    cr_expect_eq(peer_foreign_map(&map, &made.list, "x.", "", PEER_FOREIGN_META),
                 PEER_ERR_ARGUMENT);
    peer_name_map_free(&map);
    free(t);
    end(&made);
}

/* What the module does not have keeps its name, in the module's order; torch's count of batches is
 * no difference. */
Test(foreign, norms_that_the_module_does_not_have)
{
    struct peer_layer_config config = peer_config(true);
    config.query_norm = PEER_NORM_BATCH;
    struct made made = make(&peer_ffw_peer, &config, 8);
    struct peer_name_map map = map_of(&made.list, PEER_FOREIGN_LUCIDRAINS, "");
    cr_assert_eq(peer_params_save(&made.list, file.path, &map, NULL), PEER_OK);
    size_t size;
    char *bytes = tempfile_read(&file, &size);
    cr_expect(strstr(bytes + 8, "\"query_norm.gain\":{\"dtype\":\"F32\",\"shape\":[8]"));
    free(bytes);
    load_back(&made, &config, &map);
    peer_name_map_free(&map);
    map = map_of(&made.list, PEER_FOREIGN_META, "");
    bool counter = false;
    for (int64_t i = 0; i < map.count; i++)
        counter = counter ||
                  (!*map.items[i].entry &&
                   !strcmp(map.items[i].tensor, "query_proj.query_mlps.1.num_batches_tracked"));
    cr_expect(counter);
    peer_name_map_free(&map);
    end(&made);
}
