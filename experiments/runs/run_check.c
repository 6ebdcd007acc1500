/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_check.h"

#include <stdint.h>

#include "experiments/cli/progress.h"
#include "experiments/facts/describe.h"
#include "experiments/runs/machine.h"

enum peer_status lab_run_open_data(struct lm_dataset *data, struct lab_facts **facts,
                                   struct peer_ctx *ctx, const struct lab_run_config *config)
{
    int64_t vocab = config->model.vocab, length = config->train.length;
    enum peer_status status = lm_dataset_open(data, ctx, config->data, vocab, config->text.dtype);
    if (status != PEER_OK)
        return status;
    if (vocab && vocab != data->vocab)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: its vocabulary is %lld, the run's %lld",
                         config->data, (long long)data->vocab, (long long)vocab);
    if (lm_corpus_sequences(data->train, length) < 1)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: %lld training tokens do not make one sequence of %lld", config->data,
                         (long long)lm_corpus_tokens(data->train), (long long)length);
    status = lab_facts_open(facts, ctx, config->data);
    if (status == PEER_OK && *facts) /* said now, not after hours of training */
        status = lab_facts_probe_check(ctx, *facts, data->vocab, length);
    return status;
}

static int64_t pass_tokens(const struct lab_run_config *config)
{
    return config->train.sequences / config->train.accumulate * config->train.length;
}

size_t lab_run_memory(const struct lab_run_config *config, const struct lm_config *model)
{
    return peer_size_add(lm_config_memory(model, pass_tokens(config)),
                         lm_config_optim_memory(model, &config->train.optim));
}

/* Moments of rows are left out: they take memory only where a row is used. */
static enum peer_status check_memory(struct peer_ctx *ctx, size_t bytes)
{
    char need[24] = "more than can be counted", has[24];
    double total = lab_machine_memory_total();
    if (bytes != SIZE_MAX)
        lab_format_bytes(need, sizeof need, (double)bytes);
    lab_format_bytes(has, sizeof has, total);
    if (bytes != SIZE_MAX && (double)bytes <= total)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_MEMORY,
                     "weights, gradients and activations need %s of memory, this machine has %s: "
                     "take fewer experts, a smaller model or fewer tokens per pass "
                     "(train.accumulate), or `tables: mapped`",
                     need, has);
}

enum peer_status lab_run_check(struct lm_config *model, struct peer_ctx *ctx,
                               const struct lab_run_config *config, int64_t vocab)
{
    *model = config->model;
    model->vocab = vocab;
    enum peer_status status = lm_config_check(ctx, model);
    if (status == PEER_OK)
        status = lm_train_config_check(ctx, &config->train, model);
    return status == PEER_OK ? check_memory(ctx, lm_config_memory(model, pass_tokens(config)))
                             : status;
}
