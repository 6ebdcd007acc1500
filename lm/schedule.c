/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lm/config.h"
#include "lm/options.h"
#include "lm/train.h"
#include "nn/layers/norm.h"

const char *const lm_schedule_names[] = {"cosine", "constant", NULL};
const char *const lm_nonfinite_names[] = {"stop", "skip", NULL};

struct lm_train_config lm_train_config_default(void)
{
    return (struct lm_train_config){.steps = 1000,
                                    .sequences = 8,
                                    .length = 256,
                                    .accumulate = 1,
                                    .lr = 3e-3f,
                                    .warmup = 0.05f,
                                    .final_lr = 0.1f,
                                    .cooldown = 0.2f,
                                    .schedule = LM_SCHEDULE_COSINE,
                                    .optim = peer_optim_config_default(),
                                    .seed = 1,
                                    .checkpoint_seconds = 30};
}

/* What the optimizer and the layers would refuse once the model is made. */
static enum peer_status check_making(struct peer_ctx *ctx, const struct lm_train_config *config,
                                     const struct lm_config *model)
{
    enum peer_status status = peer_optim_config_check(ctx, &config->optim);
    struct peer_table_file_config table = {.type = PEER_TABLE_F32};
    if (model->ffw && model->ffw->table)
        model->ffw->table(&table, model->ffw_config, model->width);
    if (!status && config->optim.rows == PEER_ROWS_DEFERRED_ADAMW && table.type != PEER_TABLE_F32 &&
        !(lm_freeze_roles(model->freeze) & PEER_FROZEN(PEER_ROLE_EXPERTS)))
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "lm_train_config: table_optimizer = deferred_adamw and a table of %s, "
                         "expected one of f32",
                         peer_table_names[table.type]);
    return status ? status
                  : lm_config_check_tokens(ctx, model,
                                           config->sequences / config->accumulate * config->length);
}

enum peer_status lm_train_config_check(struct peer_ctx *ctx, const struct lm_train_config *config,
                                       const struct lm_config *model)
{
    static const char who[] = "lm_train_config";
    enum peer_status status = peer_options_check(ctx, who, config, lm_train_options);
    if (status)
        return status;
    if (config->usage_points == 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: usage_points = 1, expected 0, or at least 2: the first and the last",
                         who);
    if (config->length > model->context)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: length = %lld, expected at most the model's context of %lld", who,
                         (long long)config->length, (long long)model->context);
    if (config->sequences % config->accumulate)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: accumulate = %lld, expected a divisor of sequences = %lld", who,
                         (long long)config->accumulate, (long long)config->sequences);
    if (config->accumulate > model->passes)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: accumulate = %lld, expected at most the model's passes of %lld", who,
                         (long long)config->accumulate, (long long)model->passes);
    if (model->tables == LM_PLACE_MAPPED && config->optim.rows != PEER_ROWS_SGD &&
        config->optim.rows != PEER_ROWS_ADAGRAD)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: table_optimizer = %s, expected sgd or adagrad where tables are "
                         "mapped: moments would be larger than the table, and in memory",
                         who, peer_optim_rows_names[config->optim.rows]);
    if (config->schedule == LM_SCHEDULE_CONSTANT && config->warmup + config->cooldown > 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: warmup + cooldown = %g, expected at most 1",
                         who, (double)(config->warmup + config->cooldown));
    return check_making(ctx, config, model);
}

/* Whether an option of the sparse layers has that value. */
static bool has_option(const struct lm_config *model, const char *name, const char *value)
{
    char text[64];
    const struct peer_option *option =
        model->ffw ? peer_option_find(model->ffw->options, name) : NULL;
    if (option)
        peer_option_text(text, sizeof text, model->ffw_config, option);
    return option && strcmp(text, value) == 0;
}

bool lm_train_passes_differ(char *text, size_t size, const struct lm_train_config *config,
                            const struct lm_config *model)
{
    bool moves =
        config->accumulate > 1 && !(lm_freeze_roles(model->freeze) & PEER_FROZEN(PEER_ROLE_ROUTER));
    bool norm = moves && has_option(model, "query_norm", peer_norm_names[PEER_NORM_BATCH]);
    long long passes = (long long)config->accumulate;
    if (norm)
        snprintf(
            text, size,
            "accumulate: %lld cuts a step into %lld passes, and query_norm: batch normalizes "
            "the queries of each by its own %lld tokens, not by the step's: losses differ from "
            "accumulate: 1; query_norm: rms or layer has no such statistics",
            passes, passes, (long long)(config->sequences / passes * config->length));
    return norm;
}

/* `share` of the steps, as a whole number. */
static int64_t part_of(int64_t steps, float share)
{
    return (int64_t)(share * (double)steps + 0.5);
}

float lm_train_lr(const struct lm_train_config *config, int64_t step)
{
    int64_t rising = part_of(config->steps, config->warmup);
    if (step < rising)
        return (float)(config->lr * ((double)(step + 1) / (double)rising));
    bool cosine = config->schedule == LM_SCHEDULE_COSINE;
    int64_t falling = config->steps - rising;
    if (!cosine && part_of(config->steps, config->cooldown) < falling)
        falling = part_of(config->steps, config->cooldown);
    int64_t fallen = step + 1 - (config->steps - falling);
    double x = fallen > 0 ? (double)fallen / (double)falling : 0;
    double left = cosine ? 0.5 + 0.5 * cos(3.141592653589793 * x) : 1 - x;
    return (float)(config->lr * (config->final_lr + (1 - config->final_lr) * left));
}

bool lm_train_measures(const struct lm_train_config *config, int64_t step)
{
    int64_t between = config->usage_points - 2;
    if (between < 0)
        return false;
    bool measures = step == 0 || step == config->steps;
    for (int64_t i = 0; i < between && !measures; i++)
        measures = step == llround(pow((double)config->steps, (double)i / (double)between));
    return measures;
}
