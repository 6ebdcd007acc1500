/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "experiments/cli/command.h"
#include "experiments/runs/weights_out.h"
#include "lm/model.h"

static const char help[] =
    "Usage: peerlab export CHECKPOINT --to pt|npy|split --out FILE [--block I] [--names NAMES]\n\n"
    "The weights of a checkpoint for other programs. CHECKPOINT is a file or a run folder.\n\n"
    "  --to pt       a safetensors file; PEER and PKM layers have the names and shapes of modules\n"
    "                of torch: PEER lucidrains', PKM Meta's\n"
    "  --to split    a safetensors file with this program's names, but u and v of experts are\n"
    "                tensors of their own (experts.u, experts.v)\n"
    "  --to npy      a folder with a .npy file for each tensor, float32, named as by split\n"
    "  --out FILE    the file, or for npy the folder\n"
    "  --block I     the layer of block I alone; its names have no prefix, so that a module takes\n"
    "                them by load_state_dict\n"
    "  --names NAMES other names for the layers: split, lucidrains (PEER, PKM), meta (PEER, PKM),\n"
    "                xlm or notebook (PKM)\n\n"
    "  peerlab export runs/one --to pt --block 1 --out peer.safetensors\n"
    "  python3 -c 'from safetensors.torch import load_file; "
    "print(load_file(\"peer.safetensors\"))'\n\n"
    "What such a module does not have keeps its own name: query_norm.* of a PEER layer, which\n"
    "lucidrains' module lacks. Sub-keys that heads share are written as often as there are heads.\n"
    "peerlab import takes these files back.\n";

struct arguments {
    const char *to, *out, *names;
    int64_t block;
};

static int index_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

int lab_cmd_export(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"to", LAB_OPTION_TEXT, offsetof(struct arguments, to), 0, 0},
        {"out", LAB_OPTION_TEXT, offsetof(struct arguments, out), 0, 0},
        {"names", LAB_OPTION_TEXT, offsetof(struct arguments, names), 0, 0},
        {"block", LAB_OPTION_INTEGER, offsetof(struct arguments, block), 0, LM_MAX_BLOCKS - 1},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {.block = -1};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    if (operands != 1 || !a.to || !a.out)
        return lab_usage("export", "expected one checkpoint, --to FORM and --out FILE");
    int form = index_of(lab_weights_form_names, a.to);
    int names = a.names ? index_of(peer_foreign_names, a.names) : -1;
    if (form < 0)
        return lab_usage("export", "--to %s: expected pt, npy or split", a.to);
    if (a.names && names < 0)
        return lab_usage("export", "--names %s: expected split, lucidrains, meta, xlm or notebook",
                         a.names);
    struct peer_ctx *ctx = lab_context(0);
    if (!ctx)
        return LAB_FAILURE;
    struct lab_weights_out job = {(enum lab_weights_form)form, names, a.block};
    int64_t tensors = 0;
    status = lab_report(ctx, lab_weights_out(&tensors, ctx, argv[1], &job, a.out));
    if (status == LAB_DONE_OK)
        printf("%s: %lld tensors\n", a.out, (long long)tensors);
    peer_ctx_destroy(&ctx);
    return status;
}
