/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/cli/command.h"
#include "experiments/cli/stop.h"
#include "experiments/runs/checkpoint_model.h"
#include "experiments/runs/ensemble.h"
#include "experiments/runs/eval_facts.h"
#include "experiments/runs/eval_text.h"
#include "experiments/runs/usage_files.h"
#include "lm/eval.h"

enum { SEQUENCES = LAB_EVAL_SEQUENCES };

static const char help[] =
    "Usage: peerlab eval CHECKPOINT [--data FOLDER] [--text FILE] [--usage FOLDER] ...\n"
    "       peerlab eval --ensemble CHECKPOINT CHECKPOINT... [--data FOLDER] [--text FILE] ...\n\n"
    "Loss of a checkpoint on a text, and which of its experts the text uses. CHECKPOINT is a file\n"
    "or a run folder.\n\n"
    "  --ensemble      several models as one: the mean of their probabilities (not logits), with\n"
    "                  each model's own loss. They must share one tokenizer: a vocabulary of\n"
    "                  another size is refused. Not with --usage\n"
    "  --data FOLDER   prepared folder: its tokenizer and, without --text, its validation part\n"
    "                  (default: the folder the model was trained on)\n"
    "  --text FILE     any text instead: plain, JSON lines, .gz, .zst, a folder, - for stdin\n"
    "  --tokens N      only the first N tokens (default: all)\n"
    "  --length S      window of S tokens (default: the model's context, the shortest of several)\n"
    "  --usage FOLDER  utilization.csv, and per routed block the retrievals of each expert as\n"
    "                  text and as a picture (usage-BLOCK.txt, .svg); no picture\n"
    "                  of more than 256 experts that form no grid\n"
    "  --table TYPE    hold the experts or memories as f32, bf16 or int8, rounded to the nearest\n"
    "                  (default: as trained)\n"
    "  --threads N     (default: all cores)\n\n"
    "Loss is in nats per token; only bits per byte compare across tokenizers. Usage: share of the\n"
    "experts with any gate mass. Unevenness: KL divergence of the mass from uniform, in nats.\n"
    "Both by gate and by count of retrievals; top-1 usage: share of experts that came first in a\n"
    "head.\n"
    "Facts, where FOLDER was made by `peerlab data facts`: bits learned of the table, also per\n"
    "parameter and per FLOP of training (experiments/facts/README.md).\n"
    "Load: retrievals per expert; CV: its standard deviation over its mean. Dropped: choices that\n"
    "found no room in an expert (- where experts choose); unserved: tokens that no expert took.\n"
    "Retrieved by several heads: of the experts that a token retrieves, mean over tokens.\n";

struct arguments {
    const char *checkpoint, *data, *text, *usage, *table;
    int64_t threads, tokens, length;
    bool ensemble;
};

struct evaluation {
    struct peer_ctx *ctx;
    const struct arguments *arguments;
    struct lab_checkpoint_model loaded;
    struct lab_eval_text text;
    struct lm_usage *usage[LM_MAX_BLOCKS];
    struct lm_eval_result result;
};

/* A layer knows its sizes before its first pass. */
static enum peer_status make_usage(struct evaluation *e)
{
    enum peer_status status = PEER_OK;
    for (int64_t block = 0; block < e->loaded.config.blocks && status == PEER_OK; block++) {
        struct peer_routing routing;
        if (lm_model_routing(e->loaded.model, block, &routing))
            status = lm_usage_create(&e->usage[block], e->ctx, &routing);
    }
    return status;
}

static void print_stats(const char *name, const struct lm_usage_stats *s)
{
    printf("  %-16s %7.2f %% %11.4f %7.4f %8.2f %% %8.2f %% %8.2f %%\n", name, 100 * s->used,
           s->unevenness, s->gini, 100 * s->hold50, 100 * s->hold90, 100 * s->hold99);
}

/* NaN as "-". */
static void print_value(const char *name, double value, const char *format)
{
    char text[32] = "-";
    if (isfinite(value))
        snprintf(text, sizeof text, format, value);
    printf("%s%s", name, text);
}

static void print_load(const struct lm_usage_load *load)
{
    print_value("  load: entropy ", load->entropy, "%.4f");
    print_value(" nats (", 100 * load->entropy_share, "%.2f %% of log N");
    print_value("), CV ", load->cv, "%.4f");
    print_value(", highest over mean ", load->peak, "%.3f");
    print_value("\n  dropped choices ", 100 * load->dropped, "%.2f %%");
    print_value(", unserved tokens ", 100 * load->unserved, "%.2f %%");
    putchar('\n');
}

static enum peer_status print_usage(struct evaluation *e)
{
    enum peer_status status = PEER_OK;
    for (int64_t block = 0; block < e->loaded.config.blocks && status == PEER_OK; block++) {
        struct lm_usage_report report;
        if (!e->usage[block])
            continue;
        status = lm_usage_summarize(&report, e->ctx, e->usage[block]);
        if (status != PEER_OK)
            break;
        printf("\nblock %lld: %lld experts, %lld tokens\n", (long long)block,
               (long long)e->usage[block]->experts, (long long)e->usage[block]->tokens);
        printf("  %-16s %9s %11s %7s %10s %10s %10s\n", "weighted by", "used", "unevenness", "gini",
               "hold 50 %", "hold 90 %", "hold 99 %");
        print_stats("gate", &report.score);
        print_stats("retrieval", &report.count);
        print_load(&report.load);
        printf("  first in a head: %.2f %% of the experts; as many uniform draws would reach "
               "%.2f %%\n",
               100 * report.top1_used, 100 * report.expected_used);
        print_value("  retrieved by several heads: ", 100 * report.head_overlap,
                    "%.2f %% of a token's experts");
        putchar('\n');
    }
    return status;
}

static enum peer_status evaluate(struct evaluation *e)
{
    const struct arguments *a = e->arguments;
    enum peer_status status =
        lab_checkpoint_model_open(&e->loaded, e->ctx, a->checkpoint, SEQUENCES, a->table);
    if (status == PEER_OK)
        status = lab_eval_text_open(&e->text, e->ctx, &e->loaded, a->data, a->text);
    if (status == PEER_OK)
        status = make_usage(e);
    int64_t length = a->length ? a->length : e->loaded.config.context;
    if (status == PEER_OK && length > e->loaded.config.context)
        status = peer_fail(e->ctx, PEER_ERR_ARGUMENT, "--length %lld: the model's context is %lld",
                           (long long)length, (long long)e->loaded.config.context);
    if (status == PEER_OK)
        status = lm_evaluate(&e->result, e->ctx, e->loaded.model, e->text.scored,
                             e->text.data.vocabulary, a->tokens, length, SEQUENCES, e->usage,
                             lab_stop_asked, NULL);
    if (status != PEER_OK)
        return status;
    lab_eval_print(&e->result);
    if (!a->text)
        status = lab_eval_facts(e->ctx, &e->loaded, a->data, length, lab_stop_asked);
    if (status == PEER_OK)
        status = print_usage(e);
    if (status == PEER_OK && a->usage) {
        char note[512];
        status = lab_usage_files_write(e->ctx, a->usage, e->usage, e->loaded.config.blocks, note,
                                       sizeof note);
        if (status == PEER_OK && *note)
            fprintf(stderr, "peerlab eval: no pictures: %s\n", note);
    }
    return status;
}

static enum peer_status run(struct peer_ctx *ctx, const struct arguments *arguments)
{
    struct evaluation e = {.ctx = ctx, .arguments = arguments};
    enum peer_status status = evaluate(&e);
    for (int block = 0; block < LM_MAX_BLOCKS; block++)
        lm_usage_destroy(&e.usage[block]);
    lab_eval_text_close(&e.text);
    lab_checkpoint_model_close(&e.loaded);
    return status;
}

int lab_cmd_eval(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"ensemble", LAB_OPTION_FLAG, offsetof(struct arguments, ensemble), 0, 0},
        {"data", LAB_OPTION_TEXT, offsetof(struct arguments, data), 0, 0},
        {"text", LAB_OPTION_TEXT, offsetof(struct arguments, text), 0, 0},
        {"usage", LAB_OPTION_TEXT, offsetof(struct arguments, usage), 0, 0},
        {"table", LAB_OPTION_TEXT, offsetof(struct arguments, table), 0, 0},
        {"tokens", LAB_OPTION_INTEGER, offsetof(struct arguments, tokens), 2, INT64_MAX},
        {"length", LAB_OPTION_INTEGER, offsetof(struct arguments, length), 1, 65536},
        {"threads", LAB_OPTION_INTEGER, offsetof(struct arguments, threads), 1, 1024},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {0};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    if (!a.ensemble && operands != 1)
        return lab_usage("eval", "expected one checkpoint");
    if (a.ensemble && (operands < 1 || a.usage))
        return lab_usage("eval", a.usage ? "--usage is of one model, not of an ensemble"
                                         : "expected the checkpoints of an ensemble");
    a.checkpoint = argv[1];
    lab_stop_install();
    struct peer_ctx *ctx = lab_context((int)a.threads);
    if (!ctx)
        return LAB_FAILURE;
    const struct lab_ensemble ensemble = {
        .paths = argv + 1,
        .models = operands,
        .data = a.data,
        .text = a.text,
        .tokens = a.tokens,
        .length = a.length,
        .table = a.table,
    };
    status = lab_report(ctx, a.ensemble ? lab_ensemble_eval(ctx, &ensemble) : run(ctx, &a));
    peer_ctx_destroy(&ctx);
    return status;
}
