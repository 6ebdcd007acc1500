/* SPDX-License-Identifier: MIT */
#include "experiments/runs/usage_compare.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "experiments/report/csv.h"
#include "experiments/runs/usage_measures.h"
#include "lm/json.h"
#include "nn/pool.h"

static const struct {
    const char *name, *label;
    bool share;
    size_t offset;
} pair_measures[] = {
    {"jaccard", "used by both, of those used by either", true,
     offsetof(struct lm_usage_pair, jaccard)},
    {"jaccard_chance", "  that independent sets would share", true,
     offsetof(struct lm_usage_pair, chance)},
    {"spearman", "rank correlation of loads (Spearman)", false,
     offsetof(struct lm_usage_pair, spearman)},
    {"distance", "total variation distance of loads", false,
     offsetof(struct lm_usage_pair, distance)},
};
enum { PAIR_MEASURES = sizeof pair_measures / sizeof *pair_measures };

static double pair_value(const struct lm_usage_pair *pair, int measure)
{
    return *(const double *)(const void *)((const char *)pair + pair_measures[measure].offset);
}

enum peer_status lab_usage_versus(struct lab_usage_versus *ret, struct peer_ctx *ctx,
                                  const struct lab_usage_source *a, const struct lab_usage_block *x,
                                  const struct lab_usage_source *b, const struct lab_usage_block *y)
{
    static const struct lm_usage_pair none = {NAN, NAN, NAN, NAN};
    int64_t N = x->usage->experts;
    struct lab_usage_versus versus = {{a, b}, {x, y}, none, none};
    enum peer_status status = PEER_OK;
    if (y->usage->experts == N) {
        struct peer_pool pool = {.ctx = ctx};
        double *counts = peer_pool_alloc(&pool, "lab_usage_versus", sizeof *counts, 2, N, 1);
        for (int64_t i = 0; counts && i < N; i++) {
            counts[i] = (double)x->usage->count[i];
            counts[N + i] = (double)y->usage->count[i];
        }
        status =
            counts ? lm_usage_compare(&versus.count, ctx, counts, counts + N, N) : PEER_ERR_MEMORY;
        if (status == PEER_OK && a->tokens && b->tokens)
            status = lm_usage_compare(&versus.score, ctx, x->usage->score, y->usage->score, N);
        peer_pool_free(&pool);
    }
    if (status == PEER_OK)
        *ret = versus;
    return status;
}

static void print_side(FILE *file, const char *letter, const struct lab_usage_source *source,
                       const struct lab_usage_block *block)
{
    const struct lm_usage *usage = block->usage;
    fprintf(file, "%s  %s, block %lld: %lld experts", letter, source->path, (long long)block->block,
            (long long)usage->experts);
    if (usage->side)
        fprintf(file, " (%lld x %lld)", (long long)usage->side, (long long)usage->side);
    if (source->tokens)
        fprintf(file, ", on %lld tokens\n", (long long)source->tokens);
    else
        fputs(", on the run's validation text\n", file);
}

static void print_pair(FILE *file, const struct lab_usage_versus *v)
{
    if (v->block[0]->usage->experts != v->block[1]->usage->experts) {
        fprintf(file, "%lld and %lld experts: they cannot be matched one to one\n",
                (long long)v->block[0]->usage->experts, (long long)v->block[1]->usage->experts);
        return;
    }
    fprintf(file, "%-38s%11s%11s\n", "expert i of A against expert i of B", "retrieval", "gate");
    for (int i = 0; i < PAIR_MEASURES; i++) {
        fprintf(file, "  %-36s", pair_measures[i].label);
        lab_measure_print(file, pair_value(&v->count, i), pair_measures[i].share, false);
        lab_measure_print(file, pair_value(&v->score, i), pair_measures[i].share, false);
        fputc('\n', file);
    }
}

static void print_text(FILE *file, const struct lab_usage_versus *v)
{
    print_side(file, "A", v->source[0], v->block[0]);
    print_side(file, "B", v->source[1], v->block[1]);
    fprintf(file, "%-38s%11s%11s%11s\n", "", "A", "B", "B - A");
    for (const struct lab_measure *m = lab_measures; m->name; m++) {
        double a = lab_measure_of(&v->block[0]->report, m);
        double b = lab_measure_of(&v->block[1]->report, m);
        fprintf(file, "  %-36s", m->label);
        lab_measure_print(file, a, m->share, false);
        lab_measure_print(file, b, m->share, false);
        lab_measure_print(file, b - a, m->share, true);
        fputc('\n', file);
    }
    print_pair(file, v);
}

static void csv_row(FILE *file, const struct lab_usage_versus *v, const char *measure, double a,
                    double b, double value)
{
    struct lab_csv row = {file, false};
    for (int i = 0; i < 2; i++) {
        lab_csv_text(&row, v->source[i]->path);
        lab_csv_integer(&row, v->block[i]->block);
        lab_csv_integer(&row, v->block[i]->usage->experts);
    }
    lab_csv_text(&row, measure);
    lab_csv_number(&row, a);
    lab_csv_number(&row, b);
    lab_csv_number(&row, value);
    lab_csv_end(&row);
}

/* The value of a pair stands in the last column, as the differences do. */
static void print_csv(FILE *file, const struct lab_usage_versus *v)
{
    for (const struct lab_measure *m = lab_measures; m->name; m++) {
        double a = lab_measure_of(&v->block[0]->report, m);
        double b = lab_measure_of(&v->block[1]->report, m);
        csv_row(file, v, m->name, a, b, b - a);
    }
    for (int weight = 0; weight < 2; weight++)
        for (int i = 0; i < PAIR_MEASURES; i++) {
            char name[40];
            snprintf(name, sizeof name, "%s_%s", weight ? "score" : "count", pair_measures[i].name);
            csv_row(file, v, name, NAN, NAN, pair_value(weight ? &v->score : &v->count, i));
        }
}

static json_t *side_json(const struct lab_usage_source *source, const struct lab_usage_block *block)
{
    return json_pack("{s:s,s:I,s:I,s:I,s:o,s:o}", "path", source->path, "block",
                     (json_int_t)block->block, "experts", (json_int_t)block->usage->experts, "side",
                     (json_int_t)block->usage->side, "tokens",
                     source->tokens ? json_integer(source->tokens) : json_null(), "measures",
                     lab_measures_json(&block->report));
}

static json_t *pair_json(const struct lm_usage_pair *pair)
{
    json_t *object = json_object();
    for (int i = 0; i < PAIR_MEASURES; i++)
        json_object_set_new(object, pair_measures[i].name, lab_measure_json(pair_value(pair, i)));
    return object;
}

static bool print_json(FILE *file, const struct lab_usage_versus *list, int64_t count)
{
    lm_json_watch();
    json_t *array = json_array();
    for (int64_t i = 0; i < count; i++) {
        const struct lab_usage_versus *v = &list[i];
        json_array_append_new(
            array, json_pack("{s:o,s:o,s:o,s:o}", "a", side_json(v->source[0], v->block[0]), "b",
                             side_json(v->source[1], v->block[1]), "by_retrieval",
                             pair_json(&v->count), "by_gate", pair_json(&v->score)));
    }
    bool whole = (int64_t)json_array_size(array) == count &&
                 json_dumpf(array, file, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0 &&
                 !lm_json_failed();
    fputc('\n', file);
    json_decref(array);
    return whole;
}

bool lab_usage_versus_print(FILE *file, const struct lab_usage_versus *list, int64_t count,
                            enum lab_usage_format format)
{
    if (format == LAB_USAGE_JSON)
        return print_json(file, list, count);
    if (format == LAB_USAGE_CSV)
        fputs("a,block_a,experts_a,b,block_b,experts_b,measure,value_a,value_b,difference\n", file);
    for (int64_t i = 0; i < count; i++) {
        if (format == LAB_USAGE_CSV)
            print_csv(file, &list[i]);
        else
            print_text(file, &list[i]);
        if (format == LAB_USAGE_TEXT && i + 1 < count)
            fputc('\n', file);
    }
    if (format == LAB_USAGE_TEXT)
        fputs("\nMatching experts by number means something only where they have a common origin: "
              "two steps\nof one run, or runs that began with the same weights. Between other "
              "runs expect chance.\n",
              file);
    return true;
}
