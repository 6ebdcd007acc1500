/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output_check.h"
#include "experiments/cli/command.h"
#include "experiments/cli/stop.h"
#include "experiments/report/gnuplot.h"

static const char help[] =
    "Usage: peerlab plot SCRIPT.gp --tables FOLDER --out FIGURE.svg\n\n"
    "Draws one figure of a report again from its tables alone, without the runs: with gnuplot, "
    "and\n"
    "then as reports do it, for light and dark pages and with values on points. SCRIPT.gp is one "
    "of\n"
    "the scripts of the folder plots/, by its name; plots/README.md lists them with their "
    "tables.\n\n"
    "  --tables FOLDER   of the CSV files\n"
    "  --out FILE        the figure\n"
    "  --set COMMANDS    gnuplot commands before the script, such as \"axis='total'; "
    "part='fig1'\"\n"
    "  --columns N       panels side by side (default: 2); 1 for a narrow page\n"
    "  --title TEXT      what it shows, for those who do not see it\n\n"
    "  peerlab plot isoflop.gp --tables demo/report/tables --out isoflop.svg\n";

struct arguments {
    const char *tables, *out, *set, *title;
    int64_t columns;
};

static enum peer_status draw(struct peer_ctx *ctx, const struct arguments *a, const char *script)
{
    char *tables = realpath(a->tables, NULL), folder[LAB_STAGE_PATH], link[LAB_STAGE_PATH];
    const char *slash = strrchr(a->out, '/'), *name = slash ? slash + 1 : a->out;
    const char *names[] = {name, NULL};
    struct lab_stage stage;
    struct lab_drawing drawing;
    if (!tables)
        return peer_fail(ctx, PEER_ERR_IO, "%s: no such folder of tables", a->tables);
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - a->out) : 1,
             slash ? a->out : ".");
    enum peer_status status = lab_stage_open(&stage, ctx, *folder ? folder : "/");
    if (status != PEER_OK) {
        free(tables);
        return status;
    }
    /* A name of the stage, so that gnuplot need not be told what the folder's own path holds. */
    status = lab_stage_path(&stage, link, "tables");
    if (status == PEER_OK && symlink(tables, link))
        status = peer_fail(ctx, PEER_ERR_IO, "%s: %s", link, strerror(errno));
    lab_drawing_start(&drawing, &stage, NULL, "tables", ".");
    const struct lab_picture picture = {name, script, a->set, a->title, false};
    if (status == PEER_OK)
        status = lab_drawing_svg(&drawing, &picture, (int)a->columns, name);
    if (status == PEER_OK && *drawing.note)
        status = peer_fail(ctx, PEER_ERR_IO, "%s", drawing.note);
    if (status == PEER_OK)
        status = lab_stage_commit(&stage, names);
    lab_stage_discard(&stage);
    free(tables);
    return status;
}

int lab_cmd_plot(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"tables", LAB_OPTION_TEXT, offsetof(struct arguments, tables), 0, 0},
        {"out", LAB_OPTION_TEXT, offsetof(struct arguments, out), 0, 0},
        {"set", LAB_OPTION_TEXT, offsetof(struct arguments, set), 0, 0},
        {"title", LAB_OPTION_TEXT, offsetof(struct arguments, title), 0, 0},
        {"columns", LAB_OPTION_INTEGER, offsetof(struct arguments, columns), 1, 12},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {.set = "", .title = "", .columns = 2};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    if (operands != 1 || !a.tables || !a.out || strchr(argv[1], '/') || strlen(a.set) > 600)
        return lab_usage("plot", "expected the name of a script, --tables FOLDER and --out FILE");
    struct peer_ctx *ctx = lab_context(0);
    if (!ctx)
        return LAB_FAILURE;
    lab_stop_install();
    enum peer_status drawn = lab_output_check_file(ctx, a.out, "<?xml");
    status = lab_report(ctx, drawn == PEER_OK ? draw(ctx, &a, argv[1]) : drawn);
    if (status == LAB_DONE_OK)
        puts(a.out);
    peer_ctx_destroy(&ctx);
    return status;
}
