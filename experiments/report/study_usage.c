/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_usage.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "nn/file.h"

/* Reads what the block tracked; *ret = false where there is no such file, or it holds something
 * else. */
static enum peer_status read_track(bool *ret, struct peer_ctx *ctx, struct lab_study_track *track)
{
    char path[LAB_STAGE_PATH + 8], line[1024];
    bool first = true;
    snprintf(path, sizeof path, "%s.csv", track->stem);
    FILE *file = NULL;
    enum peer_status status = peer_file_stream(&file, ctx, NULL, path);
    *ret = false;
    if (!file)
        return status;
    bool known = fgets(line, sizeof line, file) &&
                 strcspn(line, "\n") == strlen(lab_track_columns) &&
                 memcmp(line, lab_track_columns, strlen(lab_track_columns)) == 0;
    while (known && fgets(line, sizeof line, file)) {
        long long step;
        double used;
        if (sscanf(line, "%lld,%*f,%*f,%*f,%lf,%*f,%*f,%lf,%lf,%lf,%lf", &step, &used, &track->top1,
                   &track->overlap, &track->born_dead, &track->died) != 6)
            break;
        if (first)
            track->first = used;
        if (first || used > track->most) {
            track->most = used;
            track->most_step = step;
        }
        track->last = used;
        track->last_step = step;
        first = false;
    }
    if (ferror(file))
        status = peer_fail(ctx, PEER_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    fclose(file);
    *ret = !first;
    return status;
}

static bool taken(const struct lab_study_usage *usage, const char *variant)
{
    for (int64_t i = 0; i < usage->count; i++)
        if (strcmp(usage->track[i].track.name, variant) == 0)
            return true;
    return false;
}

/* Takes the first run of a variant that has a track. */
static enum peer_status take(struct lab_study_usage *usage, struct peer_ctx *ctx,
                             const struct lab_study_report *report,
                             const struct lab_finding *finding, int variant)
{
    const char *name = report->findings->study->variant[variant].name;
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < finding->rows.count && status == PEER_OK; i++) {
        const struct lab_part_row *row = &finding->rows.row[i];
        if (row->variant != variant || !lab_row_done(row) || row->result->usages == 0 ||
            usage->count == LAB_STUDY_TRACKS || taken(usage, name))
            continue;
        struct lab_study_track *track = &usage->track[usage->count];
        track->track = lab_track_of(report->sweep, row->result, &row->result->usage[0],
                                    usage->count + 1, track->stem);
        track->track.name = name; /* the run may have been another part's first */
        track->seed = row->seed;
        bool known;
        status = read_track(&known, ctx, track);
        usage->count += status == PEER_OK && known;
    }
    return status;
}

/* The most experts of a part's variants; 0 where none has any. */
static double most_experts(const struct lab_finding *finding)
{
    double most = 0;
    for (int64_t i = 0; i < finding->rows.count; i++)
        most = fmax(most, finding->rows.row[i].N);
    return most;
}

static enum peer_status take_part(struct lab_study_usage *usage, struct peer_ctx *ctx,
                                  const struct lab_study_report *report, const char *part,
                                  bool largest_alone)
{
    enum peer_status status = PEER_OK;
    const struct lab_finding *finding = lab_findings_part(report->findings, part);
    double most = finding ? most_experts(finding) : 0;
    for (int64_t v = 0; finding && v < finding->rows.part->variants && status == PEER_OK; v++) {
        int variant = finding->rows.part->variant[v];
        const struct lab_part_row *row = lab_study_row(&finding->rows, variant);
        if (row && row->N > 0 && (!largest_alone || row->N >= most))
            status = take(usage, ctx, report, finding, variant);
    }
    return status;
}

enum peer_status lab_study_usage_tables(struct lab_study_usage *ret, struct lab_stage *stage,
                                        const struct lab_study_report *report)
{
    struct lab_track tracks[LAB_STUDY_TRACKS];
    int64_t fewest = INT64_MAX, most = 0;
    *ret = (struct lab_study_usage){0};
    if (!report->sweep)
        return PEER_OK;
    enum peer_status status = take_part(ret, stage->ctx, report, "fig3a", false);
    if (status == PEER_OK)
        status = take_part(ret, stage->ctx, report, "table2", true);
    if (status != PEER_OK)
        return status;
    for (int64_t i = 0; i < ret->count; i++) {
        int64_t experts = ret->track[i].track.experts;
        fewest = experts < fewest ? experts : fewest;
        most = experts > most ? experts : most;
    }
    for (int64_t i = 0; i < ret->count; i++) {
        tracks[i] = ret->track[i].track;
        if (tracks[i].experts != fewest && tracks[i].experts != most)
            tracks[i].side = 0;
    }
    return ret->count ? lab_track_tables(&ret->drawn, stage, "results", tracks, ret->count)
                      : PEER_OK;
}
