/* SPDX-License-Identifier: MIT */
#include "experiments/study/table1.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/runs/eval_models.h"
#include "experiments/runs/eval_text.h"
#include "experiments/runs/run_result.h"
#include "experiments/runs/same_vocabulary.h"
#include "experiments/study/checkpoints.h"
#include "lm/json.h"

static void scores_path(char *path, size_t size, const struct lab_campaign *campaign,
                        const struct lab_result *result)
{
    snprintf(path, size, "%s/runs/%06lld/texts.json", campaign->sweep.folder,
             (long long)result->id);
}

/* ---- scores that are kept ---- */

/* The numbers of a score, by their names in texts.json. */
static const struct {
    const char *name;
    size_t offset;
} numbers[] = {{"size", offsetof(struct lab_text_score, size)},
               {"tokens", offsetof(struct lab_text_score, tokens)},
               {"nats", offsetof(struct lab_text_score, nats)},
               {"perplexity", offsetof(struct lab_text_score, perplexity)},
               {"bits_per_byte", offsetof(struct lab_text_score, bits_per_byte)},
               {"word_perplexity", offsetof(struct lab_text_score, word_perplexity)},
               {"last_word_perplexity", offsetof(struct lab_text_score, last_word_perplexity)},
               {"last_word_accuracy", offsetof(struct lab_text_score, last_word_accuracy)}};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static double *number_of(struct lab_text_score *score, int i)
{
    return (double *)(void *)((char *)score + numbers[i].offset);
}

static void read_score(struct lab_text_score *score, const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "text"));
    const char *form = json_string_value(json_object_get(row, "form"));
    snprintf(score->text, sizeof score->text, "%.63s", text ? text : "");
    snprintf(score->form, sizeof score->form, "%.15s", form ? form : "");
    for (int i = 0; i < NUMBERS; i++) {
        const json_t *value = json_object_get(row, numbers[i].name);
        *number_of(score, i) = json_is_number(value) ? json_number_value(value) : NAN;
    }
}

enum { MAX_SCORES = 1 << 24 };

/* What cannot be read is scored again. */
static void read_scores(struct lab_table1_model *model, const struct lab_campaign *campaign)
{
    char path[LAB_PATH];
    scores_path(path, sizeof path, campaign, model->result);
    json_t *root = NULL;
    if (access(path, F_OK) == 0)
        lm_json_open(&root, campaign->ctx, NULL, path, MAX_SCORES, 0);
    const json_t *rows = json_object_get(root, "texts");
    model->texts = 0;
    for (size_t i = 0; i < json_array_size(rows) && i < LAB_TABLE1_TEXTS; i++)
        read_score(&model->text[model->texts++], json_array_get(rows, i));
    json_decref(root);
}

static enum peer_status write_scores(struct lab_table1_model *model,
                                     const struct lab_campaign *campaign)
{
    char path[LAB_PATH];
    lm_json_watch();
    json_t *rows = json_array();
    for (int64_t i = 0; i < model->texts; i++) {
        json_t *row =
            json_pack("{s:s, s:s}", "text", model->text[i].text, "form", model->text[i].form);
        for (int n = 0; n < NUMBERS; n++) {
            double value = *number_of(&model->text[i], n);
            json_object_set_new(row, numbers[n].name,
                                isfinite(value) ? json_real(value) : json_null());
        }
        json_array_append_new(rows, row);
    }
    json_t *root =
        json_pack("{s:s, s:i, s:o}", "format", "peerlab-texts", "version", 1, "texts", rows);
    char *text = lm_json_text(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    scores_path(path, sizeof path, campaign, model->result);
    enum peer_status status =
        text ? lab_write_file(campaign->ctx, path, text, strlen(text))
             : peer_fail(campaign->ctx, PEER_ERR_MEMORY, "no memory to write %s", path);
    free(text);
    return status;
}

/* ---- scoring ---- */

/* The place of a text among a model's scores, or of one that has changed; -1 = it has none. */
static int64_t place_of(const struct lab_table1_model *model, const struct lab_eval_text *text)
{
    for (int64_t i = 0; i < model->texts; i++)
        if (strncmp(model->text[i].text, text->name, 63) == 0 &&
            strcmp(model->text[i].form, lab_form_names[text->form]) == 0)
            return i;
    return -1;
}

static double size_of(const struct lab_eval_text *text)
{
    return (double)lm_corpus_tokens(text->scored);
}

static bool scored(const struct lab_table1_model *model, const struct lab_eval_text *text)
{
    int64_t place = place_of(model, text);
    return place >= 0 && model->text[place].size == size_of(text);
}

static void put_score(struct lab_table1_model *model, const struct lab_eval_text *text,
                      const struct lab_eval_score *score)
{
    int64_t place = place_of(model, text);
    if (place < 0 && model->texts == LAB_TABLE1_TEXTS)
        return; /* more texts over time than the table shows */
    struct lab_text_score *row = &model->text[place < 0 ? model->texts++ : place];
    *row = (struct lab_text_score){.size = size_of(text),
                                   .tokens = (double)score->result.tokens,
                                   .nats = score->result.nats,
                                   .perplexity = score->result.perplexity,
                                   .bits_per_byte = score->result.bits_per_byte,
                                   .word_perplexity = score->word_perplexity,
                                   .last_word_perplexity = score->last_perplexity,
                                   .last_word_accuracy = score->last_accuracy};
    snprintf(row->text, sizeof row->text, "%.63s", text->name);
    snprintf(row->form, sizeof row->form, "%s", lab_form_names[text->form]);
}

/* Scores the texts that are not scored yet; what is done is kept after each. */
static enum peer_status score_texts(struct lab_table1_model *model, struct lab_campaign *campaign,
                                    const struct lab_eval_models *models,
                                    const struct lab_eval_text *texts, int64_t count)
{
    const struct lab_eval_setting setting = {
        .list = models->list, .models = 1, .length = models->length, .show = true};
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < count && status == PEER_OK; i++) {
        struct lab_eval_score score[2];
        if (scored(model, &texts[i]))
            continue;
        status = lab_eval_text_score(score, campaign->ctx, &texts[i], &setting);
        if (status != PEER_OK)
            break;
        put_score(model, &texts[i], score);
        status = write_scores(model, campaign);
    }
    return status;
}

static enum peer_status score_model(struct lab_table1_model *model, struct lab_campaign *campaign,
                                    const struct lab_eval_text *texts, int64_t count)
{
    char checkpoint[LAB_PATH];
    char *const paths[] = {checkpoint};
    struct lab_eval_models models;
    bool all = true;
    for (int64_t i = 0; i < count; i++)
        all &= scored(model, &texts[i]);
    lab_checkpoints_path(checkpoint, sizeof checkpoint, campaign, model->result);
    if (all)
        return PEER_OK;
    enum peer_status status = lab_checkpoints_restore(campaign, model->result);
    if (status != PEER_OK)
        return status;
    status = lab_eval_models_open(&models, campaign->ctx, paths, 1, 0, NULL);
    const struct lab_checkpoint_model *loaded = &models.loaded[0];
    if (status == PEER_OK)
        status =
            lab_same_vocabulary(campaign->ctx, loaded->path, &loaded->origin, campaign->study->data,
                                texts->data.vocab, texts->data.vocabulary);
    if (status == PEER_OK)
        status = score_texts(model, campaign, &models, texts, count);
    lab_eval_models_close(&models);
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
    for (int64_t i = 0; i < opened; i++)
        lab_notes_print(stderr, &texts[i].notes);
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
