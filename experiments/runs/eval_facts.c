/* SPDX-License-Identifier: MIT */
#include "experiments/runs/eval_facts.h"

#include <string.h>

#include "experiments/cli/progress.h"
#include "experiments/facts/describe.h"
#include "experiments/facts/probe.h"
#include "experiments/runs/run.h"
#include "experiments/runs/run_result.h"

static void print_rate(double bits, int64_t params, const char *of)
{
    char count[24];
    lab_format_count(count, sizeof count, (double)params);
    printf("  %.4f bits per %s parameter (%s)\n", bits / (double)params, of, count);
}

/* Bits per FLOP, where the run that made the checkpoint has ended and says what it spent. */
static enum peer_status print_flops(struct peer_ctx *ctx, const char *checkpoint, double bits)
{
    char folder[LAB_PATH], count[24];
    struct lab_result result;
    const char *slash = strrchr(checkpoint, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - checkpoint) : 1,
             slash ? checkpoint : ".");
    bool finished = false;
    enum peer_status status = lab_run_finished(&finished, ctx, folder);
    if (finished)
        status = lab_run_result(&result, ctx, folder);
    if (!finished || status != PEER_OK)
        return status;
    lab_format_count(count, sizeof count, result.flops);
    printf("  %.4g bits per GFLOP of training (%s FLOPs)\n", bits / (result.flops / 1e9), count);
    lab_result_free(&result);
    return PEER_OK;
}

static enum peer_status print_facts(struct peer_ctx *ctx, const struct lab_checkpoint_model *loaded,
                                    const struct lab_facts_score *score)
{
    struct peer_cost cost = {0};
    int64_t embedding = loaded->config.vocab * loaded->config.width;
    lm_config_cost(&cost, &loaded->config, loaded->config.context);
    lab_facts_print_score(stdout, score);
    print_rate(score->bits, cost.params_total, "trained");
    print_rate(score->bits, cost.params_active, "active");
    print_rate(score->bits, cost.params_total - embedding, "non-embedding");
    return print_flops(ctx, loaded->path, score->bits);
}

enum peer_status lab_eval_facts(struct peer_ctx *ctx, const struct lab_checkpoint_model *loaded,
                                const char *folder, int64_t length, bool (*stop)(void *user))
{
    struct lab_facts *facts = NULL;
    struct lab_facts_score score;
    enum peer_status status = lab_facts_open(&facts, ctx, folder ? folder : loaded->data);
    if (status != PEER_OK || !facts)
        return status;
    status =
        lab_facts_ask_lm(&score, ctx, facts, loaded->model, length, LAB_FACTS_SAMPLE, stop, NULL);
    lab_facts_destroy(&facts);
    return status == PEER_OK ? print_facts(ctx, loaded, &score) : status;
}
