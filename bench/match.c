/* SPDX-License-Identifier: MIT */
#include "bench/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 256 };

/* A row of the table at the end. */
struct line {
    char name[64], sizes[96], against[64], verdict[160];
    struct bench_stat ours, theirs, ratio; /* 0 where there is none */
    double target;
    bool met;
};

struct bench_summary {
    struct line line[MOST_LINES];
    int count;
};

double bench_difference(const float *a, const float *b, int64_t n)
{
    double apart = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        apart += d * d;
        size += (double)b[i] * (double)b[i];
    }
    return apart > 0 || isnan(apart) ? sqrt(apart / size) : 0;
}

double bench_worse(double difference, double other)
{
    return isnan(difference) || difference > other ? difference : other;
}

bool bench_match_wanted(const struct bench *bench, const struct bench_match *match)
{
    char text[256];
    snprintf(text, sizeof text, "%s %s %s", match->name, match->sizes, match->theirs.name);
    return bench_wants(bench, text);
}

static double seconds_of(const struct bench_side *side)
{
    if (side->rival)
        return rival_run(side->rival);
    double before = bench_now();
    side->run(side->job);
    return bench_now() - before;
}

static void judge(struct bench *bench, const struct bench_match *match, struct line *line)
{
    const struct rival *rival = match->theirs.rival;
    bool differs = match->difference >= 0 && !(match->difference <= match->tolerance);
    line->met = line->ratio.median >= match->target;
    if (rival && *rival_error(rival))
        snprintf(line->verdict, sizeof line->verdict, "%s%.120s",
                 rival_missing(rival) ? "not installed: " : "failed: ", rival_error(rival));
    else if (differs || isnan(match->difference))
        snprintf(line->verdict, sizeof line->verdict, "RESULTS DISAGREE by %.1e, expected %.1e",
                 match->difference, match->tolerance);
    else if (match->target > 0)
        snprintf(line->verdict, sizeof line->verdict, "%s", line->met ? "met" : "missed");
    if (differs || isnan(match->difference))
        bench->failed = true;
}

static void print_line(const struct line *line, const struct bench_match *match)
{
    printf("%-22s %-36s %10.3f ms [%.3f-%.3f]", line->name, line->sizes, 1e3 * line->ours.median,
           1e3 * line->ours.low, 1e3 * line->ours.high);
    printf("  %9.4g %s/s", match->work / line->ours.median, match->unit);
    printf(" | %-22s", line->against);
    if (line->theirs.median > 0)
        printf(" %10.3f ms [%.3f-%.3f]", 1e3 * line->theirs.median, 1e3 * line->theirs.low,
               1e3 * line->theirs.high);
    if (line->ratio.median > 0)
        printf(" | ratio %.2f [%.2f-%.2f]", line->ratio.median, line->ratio.low, line->ratio.high);
    if (line->target > 0)
        printf(" of %.3g", line->target);
    if (*line->verdict)
        printf(" %s", line->verdict);
    if (match->difference >= 0)
        printf(" | results differ by %.1e", match->difference);
    putchar('\n');
    fflush(stdout);
}

static void write_line(const struct bench *bench, const struct line *line,
                       const struct bench_match *match, int runs)
{
    if (!bench->csv)
        return;
    fprintf(bench->csv, "%s,%s,%d,%s,%s,%d,%.9g,%s", line->name, line->sizes,
            peer_ctx_threads(bench->ctx), peer_cpu_name(peer_ctx_cpu(bench->ctx)), line->against,
            runs, match->work, match->unit);
    const struct bench_stat *stats[] = {&line->ours, &line->theirs, &line->ratio};
    for (int i = 0; i < 3; i++)
        fprintf(bench->csv, ",%.9g,%.9g,%.9g", stats[i]->median, stats[i]->low, stats[i]->high);
    fprintf(bench->csv, ",%.9g,%.9g,\"%s\"\n", line->target, match->difference, line->verdict);
}

static void report(struct bench *bench, struct line *line, const struct bench_match *match,
                   int runs)
{
    snprintf(line->name, sizeof line->name, "%s", match->name);
    snprintf(line->sizes, sizeof line->sizes, "%s", match->sizes);
    snprintf(line->against, sizeof line->against, "%s", match->theirs.name);
    line->target = match->target;
    judge(bench, match, line);
    print_line(line, match);
    write_line(bench, line, match, runs);
    if (bench->summary->count < MOST_LINES)
        bench->summary->line[bench->summary->count++] = *line;
}

static bool alive(const struct bench_side *side)
{
    return !side->rival || !*rival_error(side->rival);
}

struct bench_stat bench_match_report(struct bench *bench, const struct bench_match *match,
                                     double *ours, double *theirs, int runs)
{
    static double ratio[BENCH_MOST_RUNS];
    double scale = match->scale > 0 ? match->scale : 1;
    struct line line = {.ours = {0}};
    if (theirs) {
        for (int i = 0; i < runs; i++)
            ratio[i] = scale * theirs[i] / ours[i];
        line.ratio = bench_stat_of(ratio, runs);
        line.theirs = bench_stat_of(theirs, runs);
    }
    line.ours = bench_stat_of(ours, runs);
    report(bench, &line, match, runs);
    return line.ours;
}

int bench_side_times(const struct bench *bench, const struct bench_side *side, double *times)
{
    double spent = 0;
    int runs = 0;
    while (alive(side) && runs < BENCH_MOST_RUNS &&
           (runs < BENCH_LEAST_RUNS || spent < bench->seconds)) {
        times[runs] = seconds_of(side);
        spent += times[runs++];
    }
    return runs;
}

/* A rival that takes hundreds of times as long is not waited for until ours has its seconds. */
enum { PATIENCE = 10 };

struct bench_stat bench_match(struct bench *bench, const struct bench_match *match)
{
    static double ours[BENCH_MOST_RUNS], theirs[BENCH_MOST_RUNS];
    double spent = 0, theirs_spent = 0;
    int runs = 0;
    while (runs < BENCH_MOST_RUNS &&
           (runs < BENCH_LEAST_RUNS ||
            (spent < bench->seconds && theirs_spent < PATIENCE * bench->seconds))) {
        ours[runs] = seconds_of(&match->ours);
        theirs[runs] = alive(&match->theirs) ? seconds_of(&match->theirs) : 0;
        theirs_spent += theirs[runs];
        spent += ours[runs++];
    }
    return bench_match_report(bench, match, ours, alive(&match->theirs) ? theirs : NULL, runs);
}

void bench_compare(struct bench *bench, const struct bench_match *match, struct bench_stat ours,
                   double seconds)
{
    double scale = match->scale > 0 ? match->scale : 1;
    struct line line = {.ours = ours,
                        .theirs = {seconds, seconds, seconds},
                        .ratio = {scale * seconds / ours.median, scale * seconds / ours.high,
                                  scale * seconds / ours.low}};
    report(bench, &line, match, 0);
}

void bench_matches_begin(struct bench *bench)
{
    bench->summary = calloc(1, sizeof *bench->summary);
    if (!bench->summary) {
        fprintf(stderr, "bench: no memory\n");
        exit(1);
    }
    if (bench->csv)
        fputs("case,sizes,threads,kernels,against,runs,work,unit,ours_s,ours_p10_s,ours_p90_s,"
              "theirs_s,theirs_p10_s,theirs_p90_s,ratio,ratio_p10,ratio_p90,target,difference,"
              "verdict\n",
              bench->csv);
}

void bench_matches_end(struct bench *bench)
{
    int asked = 0, met = 0;
    printf("\n| case | sizes | ours, ms | against | theirs, ms | ratio | target | |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < bench->summary->count; i++) {
        const struct line *l = &bench->summary->line[i];
        printf("| %s | %s | %.3f [%.3f-%.3f] | %s |", l->name, l->sizes, 1e3 * l->ours.median,
               1e3 * l->ours.low, 1e3 * l->ours.high, l->against);
        if (l->ratio.median > 0)
            printf(" %.3f [%.3f-%.3f] | %.2f [%.2f-%.2f] |", 1e3 * l->theirs.median,
                   1e3 * l->theirs.low, 1e3 * l->theirs.high, l->ratio.median, l->ratio.low,
                   l->ratio.high);
        else
            printf(" | |");
        if (l->target > 0)
            printf(" %.3g", l->target);
        printf(" | %s |\n", l->verdict);
        asked += l->target > 0 && l->ratio.median > 0;
        met += l->target > 0 && l->ratio.median > 0 && l->met;
    }
    printf("\n%d of %d targets met\n", met, asked);
    free(bench->summary);
    bench->summary = NULL;
}
