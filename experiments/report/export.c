/* SPDX-License-Identifier: MIT */
#include "experiments/report/export.h"

#include <math.h>

struct tables {
    const struct lab_minima *minima;
    const struct lab_sweep_laws *laws;
    const struct lab_result *results;
    int64_t count;
};

/* Cells that are empty where the run's text was none of facts. */
static void write_facts(struct lab_csv *row, const struct lab_result *r)
{
    const struct lab_facts_score *facts = &r->facts;
    bool asked = r->state == LAB_DONE && facts->asked > 0;
    lab_csv_number(row, asked ? (double)facts->facts : NAN);
    lab_csv_number(row, asked ? (double)facts->asked : NAN);
    lab_csv_number(row, asked ? facts->bits : NAN);
    lab_csv_number(row, asked ? facts->bits_error : NAN);
    lab_csv_number(row, asked ? facts->bits_clipped : NAN);
    lab_csv_number(row, asked ? facts->bits_total : NAN);
    lab_csv_number(row, asked ? facts->accuracy : NAN);
}

static void write_runs(FILE *file, const struct tables *tables)
{
    fputs("run,variant,ffw,budget_flops,width,blocks,seed,state,params_total,params_active,tokens,"
          "epochs,flops,bytes_per_token,seconds,tokens_per_second,peak_bytes,loss_nats,perplexity,"
          "bits_per_byte,traits,message,"
          "facts,facts_asked,facts_bits,facts_bits_error,facts_bits_clipped,facts_bits_total,"
          "facts_accuracy\n",
          file);
    for (int64_t i = 0; i < tables->count; i++) {
        const struct lab_result *r = &tables->results[i];
        bool ended = r->state == LAB_DONE;
        struct lab_csv row = {file, false};
        lab_csv_integer(&row, r->id);
        lab_csv_text(&row, r->variant);
        lab_csv_text(&row, r->ffw);
        lab_csv_number(&row, r->budget);
        lab_csv_integer(&row, r->width);
        lab_csv_integer(&row, r->blocks);
        lab_csv_integer(&row, r->seed);
        lab_csv_text(&row, lab_state_names[r->state]);
        lab_csv_integer(&row, r->params_total);
        lab_csv_integer(&row, r->params_active);
        lab_csv_integer(&row, r->tokens);
        lab_csv_number(&row, r->epochs);
        lab_csv_number(&row, r->flops);
        lab_csv_number(&row, r->bytes_per_token);
        lab_csv_number(&row, r->seconds);
        lab_csv_number(&row, r->seconds > 0 ? (double)r->tokens / r->seconds : NAN);
        lab_csv_integer(&row, r->peak_bytes);
        lab_csv_number(&row, ended ? r->nats : NAN);
        lab_csv_number(&row, ended ? r->perplexity : NAN);
        lab_csv_number(&row, ended ? r->bits_per_byte : NAN);
        lab_csv_integer(&row, r->traits);
        lab_csv_text(&row, r->message);
        write_facts(&row, r);
        lab_csv_end(&row);
    }
}

static void write_stats(struct lab_csv *row, const struct lm_usage_stats *stats)
{
    lab_csv_number(row, stats->used);
    lab_csv_number(row, stats->unevenness);
    lab_csv_number(row, stats->gini);
    lab_csv_number(row, stats->hold50);
    lab_csv_number(row, stats->hold90);
    lab_csv_number(row, stats->hold99);
}

const char lab_usage_columns[] =
    "block,experts,side,"
    "score_used,score_unevenness_nats,score_gini,score_hold50,score_hold90,score_hold99,"
    "count_used,count_unevenness_nats,count_gini,count_hold50,count_hold90,count_hold99,"
    "top1_used,expected_used,"
    "load_entropy_nats,load_entropy_share,load_cv,load_peak,dropped,unserved,head_overlap";

void lab_csv_usage(struct lab_csv *row, const struct lab_usage *usage)
{
    lab_csv_integer(row, usage->block);
    lab_csv_integer(row, usage->experts);
    lab_csv_integer(row, usage->side);
    write_stats(row, &usage->report.score);
    write_stats(row, &usage->report.count);
    lab_csv_number(row, usage->report.top1_used);
    lab_csv_number(row, usage->report.expected_used);
    lab_csv_number(row, usage->report.load.entropy);
    lab_csv_number(row, usage->report.load.entropy_share);
    lab_csv_number(row, usage->report.load.cv);
    lab_csv_number(row, usage->report.load.peak);
    lab_csv_number(row, usage->report.load.dropped);
    lab_csv_number(row, usage->report.load.unserved);
    lab_csv_number(row, usage->report.head_overlap);
}

static void write_utilization(FILE *file, const struct tables *tables)
{
    fprintf(file, "run,variant,budget_flops,width,blocks,seed,%s,map\n", lab_usage_columns);
    for (int64_t i = 0; i < tables->count; i++) {
        const struct lab_result *r = &tables->results[i];
        for (int j = 0; r->state == LAB_DONE && j < r->usages; j++) {
            const struct lab_usage *usage = &r->usage[j];
            struct lab_csv row = {file, false};
            lab_csv_integer(&row, r->id);
            lab_csv_text(&row, r->variant);
            lab_csv_number(&row, r->budget);
            lab_csv_integer(&row, r->width);
            lab_csv_integer(&row, r->blocks);
            lab_csv_integer(&row, r->seed);
            lab_csv_usage(&row, usage);
            lab_csv_text(&row, usage->map);
            lab_csv_end(&row);
        }
    }
}

static double params(double x)
{
    return pow(10, x);
}

static void write_interval(struct lab_csv *row, struct lab_interval interval)
{
    lab_csv_number(row, interval.low);
    lab_csv_number(row, interval.high);
}

static void write_akima(struct lab_csv *row, const struct lab_akima *akima)
{
    lab_csv_integer(row, akima->minimum);
    lab_csv_text(row, akima->reason);
    lab_csv_number(row, params(akima->x));
    lab_csv_number(row, akima->y);
}

static void write_minimum(FILE *file, const struct lab_curve *curve, int axis)
{
    const struct lab_fit *fit = &curve->fit[axis];
    const struct lab_difference *difference = &curve->difference[axis];
    struct lab_csv row = {file, false};
    lab_csv_text(&row, curve->variant);
    lab_csv_text(&row, curve->ffw);
    lab_csv_number(&row, curve->budget);
    lab_csv_text(&row, lab_axis_names[axis]);
    lab_csv_integer(&row, fit->runs);
    lab_csv_integer(&row, fit->sizes);
    lab_csv_number(&row, params(fit->best_x));
    lab_csv_number(&row, fit->best_y);
    lab_csv_number(&row, params(fit->low));
    lab_csv_number(&row, params(fit->high));
    lab_csv_number(&row, fit->fitted ? fit->center : NAN);
    for (int power = 0; power < 3; power++)
        lab_csv_number(&row, fit->fitted ? fit->c[power] : NAN);
    lab_csv_integer(&row, fit->minimum);
    lab_csv_text(&row, fit->reason);
    lab_csv_number(&row, params(fit->x));
    write_interval(&row, (struct lab_interval){fit->x_interval.known, params(fit->x_interval.low),
                                               params(fit->x_interval.high)});
    lab_csv_number(&row, fit->y);
    write_interval(&row, fit->y_interval);
    lab_csv_text(&row, fit->note);
    lab_csv_text(&row, curve->base ? curve->base->variant : "");
    lab_csv_number(&row, difference->value);
    write_interval(&row, difference->interval);
    lab_csv_text(&row, difference->note);
    write_akima(&row, &curve->akima[axis]);
    lab_csv_end(&row);
}

void lab_export_minima(FILE *file, const struct lab_minima *minima)
{
    fputs("variant,ffw,budget_flops,axis,runs,sizes,best_size_params,best_size_loss_nats,"
          "grid_low,grid_high,center,c0,c1,c2,minimum,reason,params,params_low,params_high,"
          "loss_nats,loss_low,loss_high,interval_note,"
          "base,difference_nats,difference_low,difference_high,difference_note,"
          "akima_minimum,akima_reason,akima_params,akima_loss_nats\n",
          file);
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        for (int axis = 0; axis < LAB_AXIS_COUNT; axis++)
            write_minimum(file, &minima->curve[i], axis);
}

static void write_minima(FILE *file, const struct tables *tables)
{
    lab_export_minima(file, tables->minima);
}

static void write_curves(FILE *file, const struct tables *tables)
{
    enum { STEPS = 64 };
    fputs("variant,budget_flops,axis,params,loss_nats\n", file);
    const struct lab_minima *minima = tables->minima;
    for (int64_t i = 0; i < minima->budgets * minima->variants * LAB_AXIS_COUNT; i++) {
        const struct lab_curve *curve = &minima->curve[i / LAB_AXIS_COUNT];
        const struct lab_fit *fit = &curve->fit[i % LAB_AXIS_COUNT];
        for (int step = 0; fit->fitted && step <= STEPS; step++) {
            double x = fit->low + (fit->high - fit->low) * step / STEPS, t = x - fit->center;
            struct lab_csv row = {file, false};
            lab_csv_text(&row, curve->variant);
            lab_csv_number(&row, curve->budget);
            lab_csv_text(&row, lab_axis_names[i % LAB_AXIS_COUNT]);
            lab_csv_number(&row, params(x));
            lab_csv_number(&row, fit->c[0] + t * (fit->c[1] + t * fit->c[2]));
            lab_csv_end(&row);
        }
    }
}

static void write_fits(FILE *file, const struct tables *tables)
{
    lab_export_fits(file, tables->laws);
}

enum peer_status lab_export_tables(struct lab_stage *stage, const char *under,
                                   const struct lab_minima *minima,
                                   const struct lab_sweep_laws *laws,
                                   const struct lab_result *results, int64_t count)
{
    static const struct {
        const char *name;
        void (*write)(FILE *file, const struct tables *tables);
    } list[] = {{"runs.csv", write_runs},
                {"utilization.csv", write_utilization},
                {"minima.csv", write_minima},
                {"curves.csv", write_curves},
                {"fits.csv", write_fits}};
    struct tables tables = {minima, laws, results, count};
    enum peer_status status = PEER_OK;
    for (size_t i = 0; status == PEER_OK && i < sizeof list / sizeof *list; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", under, list[i].name);
        FILE *file = lab_stage_create(stage, name);
        if (!file)
            return PEER_ERR_IO;
        list[i].write(file, &tables);
        status = lab_stage_close(stage, file, name);
    }
    return status;
}

enum peer_status lab_export_csv(struct peer_ctx *ctx, const char *folder,
                                const struct lab_result *results, int64_t count,
                                const struct lab_watch *watch)
{
    static const char *const names[] = {"runs.csv",   "utilization.csv", "minima.csv",
                                        "curves.csv", "fits.csv",        NULL};
    struct lab_minima *minima = NULL;
    struct lab_sweep_laws *laws = NULL;
    struct lab_stage stage;
    enum peer_status status = lab_minima_create(&minima, ctx, results, count);
    if (status == PEER_OK)
        status = lab_sweep_laws_create(&laws, ctx, minima, results, count, watch);
    bool open = status == PEER_OK && (status = lab_stage_open(&stage, ctx, folder)) == PEER_OK;
    if (open) {
        status = lab_export_tables(&stage, "", minima, laws, results, count);
        if (status == PEER_OK)
            status = lab_stage_commit(&stage, names);
        lab_stage_discard(&stage);
    }
    lab_sweep_laws_destroy(&laws);
    lab_minima_destroy(&minima);
    return status;
}
