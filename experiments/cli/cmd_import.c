/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>

#include "experiments/cli/command.h"
#include "experiments/runs/import.h"

static const char help[] =
    "Usage: peerlab import FILE --into RUN --out FOLDER [--block I] [--partial] [--drop "
    "NAME]...\n\n"
    "A model with weights that another program wrote: FILE is a safetensors file of any program,\n"
    "with this program's names (peerlab export --to split, or peer_params_save of the library) or\n"
    "those of lucidrains' PEER-pytorch and product-key-memory, Meta's memory layer and XLM's PKM,\n"
    "found by their names; one layer alone, or those of a whole model.\n\n"
    "  --into RUN     the model: a run file, whose weights are drawn by its seed, or a run folder\n"
    "                 or checkpoint. Its sizes and options must be those of the file's layers\n"
    "  --out FOLDER   gets checkpoint.safetensors and start.yaml, a run that starts from it\n"
    "  --block I      the file's one layer goes to block I (default: the sparse block of that\n"
    "                 name, or the sparse blocks in their order)\n"
    "  --partial      pass over tensors that nobody asks for: a whole model, of which the layers\n"
    "                 are wanted\n"
    "  --drop NAME    pass over a tensor that is known but has no place, such as a bias that is\n"
    "                 not 0; NAME may be a pattern ('*.bias'); may be given more than once\n\n"
    "A layer comes whole or not at all; what else the file does not have keeps its values. F32,\n"
    "BF16 and F16 are read. A run's init takes such files too, where no option is needed.\n\n"
    "  peerlab import peer.safetensors --into run.yaml --out runs/from-torch\n"
    "  peerlab train runs/from-torch/start.yaml --out runs/one\n";

struct arguments {
    const char *into, *out;
    int64_t block;
    bool partial;
    struct lab_list drop;
};

int lab_cmd_import(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"into", LAB_OPTION_TEXT, offsetof(struct arguments, into), 0, 0},
        {"out", LAB_OPTION_TEXT, offsetof(struct arguments, out), 0, 0},
        {"block", LAB_OPTION_INTEGER, offsetof(struct arguments, block), 0, LM_MAX_BLOCKS - 1},
        {"partial", LAB_OPTION_FLAG, offsetof(struct arguments, partial), 0, 0},
        {"drop", LAB_OPTION_LIST, offsetof(struct arguments, drop), 0, 0},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {.block = -1};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    if (operands != 1 || !a.into || !a.out)
        return lab_usage("import", "expected one file, --into RUN and --out FOLDER");
    struct peer_ctx *ctx = lab_context(0);
    if (!ctx)
        return LAB_FAILURE;
    struct lab_weights_in job = {a.block, a.partial, a.drop.items, a.drop.count};
    struct lab_weights_told told;
    status = lab_report(ctx, lab_import(&told, ctx, argv[1], a.into, &job, a.out));
    if (status == LAB_DONE_OK) {
        printf("%s: ", a.out);
        lab_weights_told_print(stdout, argv[1], &told);
    }
    peer_ctx_destroy(&ctx);
    return status;
}
