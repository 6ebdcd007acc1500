/* SPDX-License-Identifier: MIT */
#include "experiments/study/table1.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/runs/eval_models.h"
#include "experiments/runs/eval_rows.h"
#include "experiments/study/checkpoints.h"

static void scores_path(char *path, size_t size, const struct lab_campaign *campaign,
                        const struct lab_result *result)
{
    snprintf(path, size, "%s/runs/%06lld/texts.json", campaign->sweep.folder,
             (long long)result->id);
}

/* ---- scores that are there ---- */

static double number(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void read_score(struct lab_text_score *score, const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "text"));
    const char *form = json_string_value(json_object_get(row, "form"));
    snprintf(score->text, sizeof score->text, "%.63s", text ? text : "");
    snprintf(score->form, sizeof score->form, "%.15s", form ? form : "");
    score->tokens = number(row, "tokens");
    score->nats = number(row, "nats");
    score->perplexity = number(row, "perplexity");
    score->bits_per_byte = number(row, "bits_per_byte");
    score->word_perplexity = number(row, "word_perplexity");
    score->last_word_perplexity = number(row, "last_word_perplexity");
    score->last_word_accuracy = number(row, "last_word_accuracy");
}

/* What cannot be read is scored again. */
static void read_scores(struct lab_table1_model *model, const struct lab_campaign *campaign)
{
    char path[LAB_PATH];
    scores_path(path, sizeof path, campaign, model->result);
    json_t *root = json_load_file(path, 0, NULL);
    const json_t *rows = json_object_get(root, "rows");
    model->texts = 0;
    for (size_t i = 0; i < json_array_size(rows) && i < LAB_TABLE1_TEXTS; i++)
        read_score(&model->text[model->texts++], json_array_get(rows, i));
    json_decref(root);
}

/* Whether all texts are among the scores. */
static bool has_all(const struct lab_table1_model *model, const struct lab_eval_text *texts,
                    int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        bool found = false;
        for (int64_t j = 0; j < model->texts; j++)
            found |= strncmp(model->text[j].text, texts[i].name, 63) == 0 &&
                     strcmp(model->text[j].form, lab_form_names[texts[i].form]) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* ---- scoring ---- */

static enum peer_status score_all(struct lab_eval_row *rows, struct peer_ctx *ctx,
                                  const struct lab_eval_models *models,
                                  const struct lab_eval_text *texts, int64_t count)
{
    const struct lab_eval_setting setting = {
        .list = models->list, .models = 1, .length = models->length, .show = true};
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < count && status == PEER_OK; i++) {
        struct lab_eval_score score[2];
        status = lab_eval_text_score(score, ctx, &texts[i], &setting);
        if (status == PEER_OK)
            rows[i] = (struct lab_eval_row){.model = models->loaded[0].path,
                                            .text = texts[i].name,
                                            .form = texts[i].form,
                                            .score = score[0]};
    }
    return status;
}

static enum peer_status score_model(struct lab_table1_model *model, struct lab_campaign *campaign,
                                    const struct lab_eval_text *texts, int64_t count)
{
    char checkpoint[LAB_PATH], path[LAB_PATH];
    char *const paths[] = {checkpoint};
    struct lab_eval_row rows[LAB_TABLE1_TEXTS];
    struct lab_eval_models models;
    lab_checkpoints_path(checkpoint, sizeof checkpoint, campaign, model->result);
    scores_path(path, sizeof path, campaign, model->result);
    if (has_all(model, texts, count) || access(checkpoint, R_OK) != 0)
        return PEER_OK;
    enum peer_status status = lab_eval_models_open(&models, campaign->ctx, paths, 1, 0, NULL);
    if (status == PEER_OK)
        status = score_all(rows, campaign->ctx, &models, texts, count);
    if (status == PEER_OK) {
        const struct lab_eval_rows all = {rows, count, models.length};
        status = lab_eval_rows_json(campaign->ctx, path, &all);
    }
    lab_eval_models_close(&models);
    if (status == PEER_OK)
        read_scores(model, campaign);
    return status;
}

static enum peer_status score_models(struct lab_table1 *table, struct lab_campaign *campaign,
                                     const struct lab_text_source *source, int64_t count)
{
    struct lab_eval_text *texts = calloc(LAB_TABLE1_TEXTS, sizeof *texts);
    const struct lab_study *study = campaign->study;
    int64_t opened = 0;
    enum peer_status status =
        texts ? PEER_OK : peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for texts");
    for (; opened < count && status == PEER_OK; opened++)
        status = lab_eval_text_open(&texts[opened], campaign->ctx, study->data, study->vocab,
                                    &source[opened]);
    for (int64_t i = 0; i < table->models && status == PEER_OK; i++)
        status = score_model(&table->model[i], campaign, texts, count);
    for (int64_t i = 0; i < opened; i++)
        lab_eval_text_close(&texts[i]);
    free(texts);
    return status;
}

enum peer_status lab_table1_make(struct lab_table1 *ret, struct lab_campaign *campaign,
                                 const struct lab_text_source *source, int64_t count)
{
    const struct lab_study *study = campaign->study;
    const struct lab_part *fig1 = lab_study_part(study, "fig1");
    *ret = (struct lab_table1){0};
    if (!fig1)
        return PEER_OK;
    ret->model = calloc((size_t)(fig1->budgets * fig1->variants), sizeof *ret->model);
    if (!ret->model)
        return peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory for table 1");
    for (int64_t b = 0; b < fig1->budgets; b++)
        for (int64_t v = 0; v < fig1->variants; v++) {
            struct lab_table1_model *model = &ret->model[ret->models];
            const char *name = study->variant[fig1->variant[v]].name;
            model->result = lab_checkpoints_best(campaign, name, fig1->budget[b]);
            model->variant = fig1->variant[v];
            model->budget = b;
            if (!model->result)
                continue;
            read_scores(model, campaign);
            ret->models++;
        }
    if (campaign->plan_only || ret->models == 0 || count == 0)
        return PEER_OK;
    return score_models(ret, campaign, source, count);
}

void lab_table1_free(struct lab_table1 *table)
{
    free(table->model);
    *table = (struct lab_table1){0};
}
