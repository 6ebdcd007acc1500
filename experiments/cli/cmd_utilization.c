/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cli/command.h"
#include "experiments/cli/stop.h"
#include "experiments/report/stage.h"
#include "experiments/runs/run_result.h"
#include "experiments/runs/usage_compare.h"
#include "experiments/runs/usage_pictures.h"
#include "lm/json.h"

static const char help[] =
    "Usage: peerlab utilization RUN... [--csv | --json] [--out FOLDER]\n"
    "       peerlab utilization compare A B [--block I] [--against J] [OPTIONS]\n"
    "       peerlab utilization compare A --block I --against J [OPTIONS]\n\n"
    "Which experts a model uses, over its training and at its end, and how two models, two\n"
    "checkpoints of one run or two of its blocks differ.\n\n"
    "RUN is a run folder. With `train: {usage_points: 12}` in its run file the utilization on\n"
    "the validation text was tracked, and a row is shown for each point: usage (experts\n"
    "retrieved), unevenness (KL divergence of the gates' mass from even use, nats), top-1 usage,\n"
    "shared (a token's experts that several heads retrieve), born dead (never retrieved so far),\n"
    "died (retrieved at an earlier point, not at this one), revived (again).\n\n"
    "  compare         the measures of A and B side by side, and where both have as many experts\n"
    "                  the overlap of the sets in use (Jaccard), rank correlation of the loads\n"
    "                  (Spearman) and the total variation distance of the loads, experts matched\n"
    "                  by number. A and B are run folders or checkpoints. Two finished runs are\n"
    "                  compared as they ended, from their folders; anything else, and everything\n"
    "                  with --data or --text, is evaluated\n\n"
    "  --block I       block of A (default: every block that both have)\n"
    "  --against J     block of B (default: I)\n"
    "  --data FOLDER   evaluate on the validation part of a prepared folder (default: that which\n"
    "                  the model was trained on)\n"
    "  --text FILE     evaluate on any text: plain, JSON lines, .gz, .zst, a folder, - for stdin\n"
    "  --tokens N      only its first N tokens (default: all)\n"
    "  --length S      window of S tokens (default: the model's context)\n"
    "  --csv, --json   for a program, on standard output\n"
    "  --out FOLDER    pictures: Lorenz curves, maps or loads side by side, and what was tracked;\n"
    "                  their data as tables/NAME.csv\n"
    "  --threads N     (default: all cores)\n\n"
    "Examples:\n"
    "  peerlab utilization runs/one --out look\n"
    "  peerlab utilization compare runs/one runs/two --out look\n"
    "  peerlab utilization compare runs/one --block 1 --against 3\n"
    "  peerlab utilization compare early.safetensors runs/one --text book.txt --json\n";

struct arguments {
    const char *data, *text, *out;
    int64_t block, against, tokens, length, threads;
    bool csv, json;
};

static enum lab_usage_format format_of(const struct arguments *a)
{
    return a->json ? LAB_USAGE_JSON : a->csv ? LAB_USAGE_CSV : LAB_USAGE_TEXT;
}

/* The last part of a path, slashes at its end aside. */
static void base_name(char *ret, size_t size, const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/')
        start--;
    snprintf(ret, size, "%.*s", (int)(length - start), path + start);
}

static enum peer_status draw(struct peer_ctx *ctx, const char *folder,
                             const struct lab_usage_view *views, int64_t count)
{
    char note[512];
    enum peer_status status = lab_usage_pictures(ctx, folder, views, count, note, sizeof note);
    if (status == PEER_OK && *note)
        fprintf(stderr, "peerlab utilization: no pictures: %s\n", note);
    return status;
}

/* Pictures of all blocks of all finished runs. */
static enum peer_status draw_runs(struct peer_ctx *ctx, const char *folder, char **paths, int runs)
{
    enum { NAME = 64 };
    struct lab_usage_source *sources = calloc((size_t)runs, sizeof *sources);
    struct lab_usage_view *views = calloc((size_t)runs * LM_MAX_BLOCKS, sizeof *views);
    char(*names)[NAME] = calloc((size_t)runs, sizeof *names);
    enum peer_status status = PEER_OK;
    int64_t count = 0;
    if (!sources || !views || !names)
        status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %d runs", runs);
    for (int run = 0; run < runs && status == PEER_OK; run++) {
        base_name(names[run], NAME, paths[run]);
        status = lab_usage_source_read(&sources[run], ctx, paths[run]);
        for (int64_t i = 0; i < sources[run].blocks && status == PEER_OK; i++)
            views[count++] = (struct lab_usage_view){names[run], run + 1, &sources[run].block[i]};
    }
    if (status == PEER_OK)
        status = draw(ctx, folder, views, count);
    for (int run = 0; sources && run < runs; run++)
        lab_usage_source_free(&sources[run]);
    free(sources);
    free(views);
    free(names);
    return status;
}

static enum peer_status show(struct peer_ctx *ctx, const struct arguments *a, char **paths,
                             int runs)
{
    lm_json_watch();
    json_t *list = a->json ? json_array() : NULL;
    bool lost = lm_json_failed();
    enum peer_status status = PEER_OK;
    for (int i = 0; i < runs && status == PEER_OK; i++)
        status = lab_usage_show(stdout, list, ctx, paths[i], format_of(a), i == 0);
    if (status == PEER_OK && list) {
        lost = lost || json_dumpf(list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) != 0 ||
               lm_json_failed();
        putchar('\n');
    }
    if (status == PEER_OK && lost)
        status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory to print it as JSON");
    json_decref(list);
    if (status == PEER_OK && a->out)
        status = draw_runs(ctx, a->out, paths, runs);
    return status;
}

/* Both from their files, or both evaluated; where they are one, only the first. */
static enum peer_status open_sources(struct lab_usage_source source[2], struct peer_ctx *ctx,
                                     const struct arguments *a, char **paths, int count)
{
    const struct lab_usage_text text = {a->data, a->text, a->tokens, a->length};
    bool stored = !a->data && !a->text && !a->tokens && !a->length;
    enum peer_status status = PEER_OK;
    for (int i = 0; i < count && stored && status == PEER_OK; i++)
        status = lab_run_finished(&stored, ctx, paths[i]);
    for (int i = 0; i < count && status == PEER_OK; i++)
        status = stored ? lab_usage_source_read(&source[i], ctx, paths[i])
                        : lab_usage_source_evaluate(&source[i], ctx, paths[i], &text);
    return status;
}

static enum peer_status no_such_block(struct peer_ctx *ctx, const struct lab_usage_source *source,
                                      int64_t block)
{
    char list[200] = "";
    for (int64_t i = 0; i < source->blocks && strlen(list) < sizeof list - 16; i++)
        snprintf(list + strlen(list), 16, "%s%lld", i ? ", " : "",
                 (long long)source->block[i].block);
    return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: block %lld does not route; these do: %s",
                     source->path, (long long)block, list);
}

/* The pairs of blocks to compare; all that both have unless the arguments name them. */
static enum peer_status pair_blocks(struct lab_usage_versus *list, int64_t *count,
                                    struct peer_ctx *ctx, const struct arguments *a,
                                    const struct lab_usage_source *const side[2])
{
    enum peer_status status = PEER_OK;
    bool named = a->block >= 0 || a->against >= 0;
    int64_t first = a->block >= 0 ? a->block : a->against;
    int64_t second = a->against >= 0 ? a->against : a->block;
    for (int64_t i = 0; i < side[0]->blocks && status == PEER_OK; i++) {
        const struct lab_usage_block *x = &side[0]->block[i];
        const struct lab_usage_block *y = lab_usage_source_find(side[1], named ? second : x->block);
        if (y && (!named || x->block == first))
            status = lab_usage_versus(&list[(*count)++], ctx, side[0], x, side[1], y);
    }
    if (status != PEER_OK || *count)
        return status;
    if (named && !lab_usage_source_find(side[0], first))
        return no_such_block(ctx, side[0], first);
    return no_such_block(ctx, side[1], named ? second : side[0]->block[0].block);
}

static enum peer_status draw_compared(struct peer_ctx *ctx, const char *folder,
                                      const struct lab_usage_versus *list, int64_t count)
{
    char names[2][64];
    struct lab_usage_view *views = calloc((size_t)count * 2, sizeof *views);
    for (int side = 0; side < 2; side++) {
        names[side][0] = side ? 'B' : 'A';
        names[side][1] = ' ';
        base_name(names[side] + 2, sizeof names[side] - 2, list->source[side]->path);
    }
    for (int64_t i = 0; views && i < 2 * count; i++)
        views[i] = (struct lab_usage_view){names[i % 2], i % 2 + 1, list[i / 2].block[i % 2]};
    enum peer_status status = views ? draw(ctx, folder, views, 2 * count)
                                    : peer_fail(ctx, PEER_ERR_MEMORY, "no memory for pictures");
    free(views);
    return status;
}

static enum peer_status compare(struct peer_ctx *ctx, const struct arguments *a, char **paths,
                                int models)
{
    struct lab_usage_source source[2] = {{.path = paths[0]}, {.path = paths[models - 1]}};
    const struct lab_usage_source *const side[2] = {&source[0], &source[models - 1]};
    struct lab_usage_versus *list = calloc(LM_MAX_BLOCKS, sizeof *list);
    int64_t count = 0;
    enum peer_status status =
        list ? open_sources(source, ctx, a, paths, models)
             : peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %d blocks", LM_MAX_BLOCKS);
    if (status == PEER_OK)
        status = pair_blocks(list, &count, ctx, a, side);
    if (status == PEER_OK && !lab_usage_versus_print(stdout, list, count, format_of(a)))
        status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory to print the comparison");
    if (status == PEER_OK && a->out)
        status = draw_compared(ctx, a->out, list, count);
    free(list);
    lab_usage_source_free(&source[0]);
    lab_usage_source_free(&source[1]);
    return status;
}

/* What is wrong with the operands, or LAB_GO_ON. */
static int check(const struct arguments *a, bool comparing, int operands)
{
    if (a->csv && a->json)
        return lab_usage("utilization", "--csv and --json: one of them");
    if (!comparing && operands < 1)
        return lab_usage("utilization", "expected run folders, or compare A B");
    if (!comparing &&
        (a->block >= 0 || a->against >= 0 || a->data || a->text || a->tokens || a->length))
        return lab_usage("utilization", "--block, --against, --data, --text, --tokens and --length "
                                        "are of compare");
    if (comparing && (operands < 2 || operands > 3))
        return lab_usage("utilization", "compare: expected A and B, got %d", operands - 1);
    if (comparing && operands == 2 && (a->block < 0 || a->against < 0))
        return lab_usage("utilization",
                         "compare: one model against itself needs --block I and --against J");
    if (comparing && operands == 3 && a->text && strcmp(a->text, "-") == 0)
        return lab_usage("utilization", "compare: --text -: standard input cannot be read twice");
    return LAB_GO_ON;
}

int lab_cmd_utilization(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"data", LAB_OPTION_TEXT, offsetof(struct arguments, data), 0, 0},
        {"text", LAB_OPTION_TEXT, offsetof(struct arguments, text), 0, 0},
        {"out", LAB_OPTION_TEXT, offsetof(struct arguments, out), 0, 0},
        {"block", LAB_OPTION_INTEGER, offsetof(struct arguments, block), 0, LM_MAX_BLOCKS - 1},
        {"against", LAB_OPTION_INTEGER, offsetof(struct arguments, against), 0, LM_MAX_BLOCKS - 1},
        {"tokens", LAB_OPTION_INTEGER, offsetof(struct arguments, tokens), 2, INT64_MAX},
        {"length", LAB_OPTION_INTEGER, offsetof(struct arguments, length), 1, 65536},
        {"threads", LAB_OPTION_INTEGER, offsetof(struct arguments, threads), 1, 1024},
        {"csv", LAB_OPTION_FLAG, offsetof(struct arguments, csv), 0, 0},
        {"json", LAB_OPTION_FLAG, offsetof(struct arguments, json), 0, 0},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {.block = -1, .against = -1};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    bool comparing = operands > 0 && strcmp(argv[1], "compare") == 0;
    status = check(&a, comparing, operands);
    if (status != LAB_GO_ON)
        return status;
    lab_stop_install();
    struct peer_ctx *ctx = lab_context((int)a.threads);
    if (!ctx)
        return LAB_FAILURE;
    enum peer_status found = a.out ? lab_stage_try(ctx, a.out) : PEER_OK;
    if (found == PEER_OK)
        found = comparing ? compare(ctx, &a, argv + 2, operands - 1)
                          : show(ctx, &a, argv + 1, operands);
    status = lab_report(ctx, found);
    peer_ctx_destroy(&ctx);
    return status;
}
