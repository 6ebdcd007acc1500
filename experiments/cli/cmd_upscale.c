/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>

#include "experiments/cli/command.h"
#include "experiments/runs/upscale.h"

static const char help[] =
    "Usage: peerlab upscale CHECKPOINT --drop M --out FOLDER\n\n"
    "A deeper model from a trained one, by SOLAR's depth up-scaling (arXiv 2312.15166): the L\n"
    "blocks twice, without the last M of the first copy and the first M of the second: 2 (L - M)\n"
    "blocks. CHECKPOINT is a file or a run folder. SOLAR: L = 32, M = 8.\n\n"
    "  --drop M       blocks dropped on each side of the seam, 0 ... L - 1\n"
    "  --out FOLDER   gets checkpoint.safetensors, the tokenizer that the source keeps, and\n"
    "                 start.yaml, a run that starts from it\n\n"
    "The result is worse than its source until it is trained further:\n\n"
    "  peerlab upscale runs/one --drop 1 --out runs/deep\n"
    "  peerlab train runs/deep/start.yaml --out runs/two\n";

struct arguments {
    const char *out;
    int64_t drop;
};

int lab_cmd_upscale(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"drop", LAB_OPTION_INTEGER, offsetof(struct arguments, drop), 0, LM_MAX_BLOCKS},
        {"out", LAB_OPTION_TEXT, offsetof(struct arguments, out), 0, 0},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {.drop = -1};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    if (operands != 1 || a.drop < 0 || !a.out)
        return lab_usage("upscale", "expected one checkpoint, --drop M and --out FOLDER");
    struct peer_ctx *ctx = lab_context(0);
    if (!ctx)
        return LAB_FAILURE;
    int64_t blocks = 0;
    status = lab_report(ctx, lab_upscale(&blocks, ctx, argv[1], a.drop, a.out));
    if (status == LAB_DONE_OK)
        printf("%s: %lld blocks from %lld\n", a.out, (long long)(2 * (blocks - a.drop)),
               (long long)blocks);
    peer_ctx_destroy(&ctx);
    return status;
}
