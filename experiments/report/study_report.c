/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_report.h"

#include <stdlib.h>

#include "experiments/report/study_page.h"
#include "experiments/report/study_tables.h"

enum {
    PATH = LAB_STUDY_NAME + 32,
    FIXED = 2 + LAB_STUDY_TABLES, /* pages, and tables that belong to no part */
    MOST = FIXED + 2 * LAB_STUDY_PARTS + 2 * LAB_STUDY_PICTURES
};

/* Everything the report may consist of; the pages come last, when what they speak of is there. */
struct names {
    char path[MOST][PATH];
    const char *list[MOST + 1];
    int64_t count;
};

static void add(struct names *names, const char *folder, const char *name, const char *ending)
{
    char *path = names->path[names->count];
    snprintf(path, PATH, "%s%s%s", folder, name, ending);
    names->list[names->count++] = path;
}

static void list_names(struct names *names, const struct lab_study *study)
{
    names->count = 0;
    for (int i = 0; i < LAB_STUDY_TABLES; i++)
        add(names, "results/", lab_study_table_names[i], ".csv");
    for (int64_t p = 0; p < study->parts; p++) {
        char name[LAB_STUDY_NAME];
        lab_study_file_name(name, study, p);
        add(names, "results/", name, ".csv");
        add(names, "results/", name, "-minima.csv");
    }
    for (int i = 0; i < LAB_STUDY_PICTURES; i++) {
        add(names, "results/", lab_study_picture_name(i), ".svg");
        add(names, "results/", lab_study_picture_name(i), ".pdf");
    }
    add(names, "", "RESULTS.md", "");
    add(names, "", "report.html", "");
    names->list[names->count] = NULL;
}

static enum peer_status write_page(struct lab_stage *stage, const struct lab_study_report *report,
                                   const struct lab_study_figures *figures,
                                   const struct lab_study_usage *usage, enum lab_markup markup,
                                   const char *name)
{
    FILE *file = lab_stage_create(stage, name);
    if (!file)
        return PEER_ERR_IO;
    lab_study_page_write(file, markup,
                         &(struct lab_study_page){NULL, report, report->findings, figures, usage});
    return lab_stage_close(stage, file, name);
}

static enum peer_status write_all(struct lab_stage *stage, struct names *names,
                                  const struct lab_study_report *report,
                                  const struct lab_report_tools *tools)
{
    struct lab_study_figures figures;
    struct lab_study_usage *usage = malloc(sizeof *usage);
    enum peer_status status = lab_study_tables(stage, report);
    if (!usage)
        status = peer_fail(stage->ctx, PEER_ERR_MEMORY, "no memory for tracks");
    if (status == PEER_OK)
        status = lab_study_usage_tables(usage, stage, report);
    if (status == PEER_OK)
        status = lab_study_figures_draw(&figures, stage, report, &usage->drawn, tools);
    if (status != PEER_OK) {
        free(usage);
        return status;
    }
    status = write_page(stage, report, &figures, usage, LAB_MARKDOWN, "RESULTS.md");
    if (status == PEER_OK)
        status = write_page(stage, report, &figures, usage, LAB_HTML, "report.html");
    free(usage);
    lab_study_figures_free(&figures);
    list_names(names, report->findings->study);
    return status == PEER_OK ? lab_stage_commit(stage, names->list) : status;
}

enum peer_status lab_study_report_write(struct peer_ctx *ctx, const char *folder,
                                        const struct lab_study_report *report,
                                        const struct lab_report_tools *tools)
{
    struct lab_stage stage;
    struct names *names = malloc(sizeof *names);
    if (!names)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for the report's list of files");
    enum peer_status status = lab_stage_open(&stage, ctx, folder);
    if (status == PEER_OK) {
        status = write_all(&stage, names, report, tools);
        lab_stage_discard(&stage);
    }
    free(names);
    return status;
}
