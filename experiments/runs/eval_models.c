/* SPDX-License-Identifier: MIT */
#include "experiments/runs/ensemble.h"

#include <stdio.h>

#include "experiments/cli/stop.h"
#include "experiments/runs/eval_text.h"
#include "lm/ensemble.h"
#include "nn/pool.h"

/* The models of an ensemble and what they came to. */
struct evaluation {
    struct lab_checkpoint_model *loaded; /* [models] */
    struct lm_model **list;              /* [models] */
    struct lm_eval_result *each, all;    /* each [models] */
    struct lab_eval_text text;
    int64_t length;
};

/* Opens one model more, which must go with the first and take the windows asked for. */
static enum peer_status open_model(struct evaluation *e, struct peer_ctx *ctx,
                                   const struct lab_ensemble *ensemble, int64_t m)
{
    struct lab_checkpoint_model *loaded = &e->loaded[m];
    enum peer_status status = lab_checkpoint_model_open(loaded, ctx, ensemble->paths[m],
                                                        LAB_EVAL_SEQUENCES, ensemble->table);
    if (status != PEER_OK)
        return status;
    int64_t vocab = loaded->config.vocab, context = loaded->config.context;
    if (vocab != e->loaded[0].config.vocab)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: vocabulary %lld, that of %s is %lld",
                         loaded->path, (long long)vocab, e->loaded[0].path,
                         (long long)e->loaded[0].config.vocab);
    if (ensemble->length > context)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "--length %lld: the context of %s is %lld",
                         (long long)ensemble->length, loaded->path, (long long)context);
    if (ensemble->length)
        e->length = ensemble->length;
    else if (m == 0 || context < e->length)
        e->length = context;
    e->list[m] = loaded->model;
    return PEER_OK;
}

static enum peer_status evaluate(struct evaluation *e, struct peer_ctx *ctx,
                                 const struct lab_ensemble *ensemble)
{
    enum peer_status status = PEER_OK;
    for (int64_t m = 0; m < ensemble->models && status == PEER_OK; m++)
        status = open_model(e, ctx, ensemble, m);
    if (status == PEER_OK)
        status = lab_eval_text_open(&e->text, ctx, &e->loaded[0], ensemble->data, ensemble->text);
    if (status == PEER_OK)
        status = lm_ensemble_evaluate(&e->all, e->each, ctx, e->list, ensemble->models,
                                      e->text.scored, e->text.data.vocabulary, ensemble->tokens,
                                      e->length, LAB_EVAL_SEQUENCES, lab_stop_asked, NULL);
    return status;
}

enum peer_status lab_ensemble_eval(struct peer_ctx *ctx, const struct lab_ensemble *ensemble)
{
    static const char who[] = "lab_ensemble_eval";
    int64_t models = ensemble->models;
    struct peer_pool pool = {.ctx = ctx};
    struct evaluation e = {0};
    e.loaded = peer_pool_alloc(&pool, who, sizeof *e.loaded, models, 1, 1);
    e.list = peer_pool_alloc(&pool, who, sizeof(struct lm_model *), models, 1, 1);
    e.each = peer_pool_alloc(&pool, who, sizeof *e.each, models, 1, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : evaluate(&e, ctx, ensemble);
    for (int64_t m = 0; m < models && status == PEER_OK; m++) {
        printf("%s: ", ensemble->paths[m]);
        lab_eval_print(&e.each[m]);
    }
    if (status == PEER_OK) {
        printf("ensemble of %lld: ", (long long)models);
        lab_eval_print(&e.all);
    }
    lab_eval_text_close(&e.text);
    for (int64_t m = 0; m < models && e.loaded; m++)
        lab_checkpoint_model_close(&e.loaded[m]);
    peer_pool_free(&pool);
    return status;
}
