/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_tables.h"

#include <math.h>

#include "experiments/report/csv.h"
#include "experiments/report/export.h"

static void interval_cells(struct lab_csv *csv, struct lab_interval interval)
{
    lab_csv_number(csv, interval.known ? interval.low : NAN);
    lab_csv_number(csv, interval.known ? interval.high : NAN);
}

static void write_power(FILE *file, const struct lab_findings *f)
{
    fputs("seeds,difference_nats,low,high,wanted_nats,taken,needed\n", file);
    for (int i = 0; i < LAB_POWER_ROWS; i++) {
        const struct lab_detectable *row = &f->detectable[i];
        struct lab_csv csv = {file, false};
        if (!isfinite(row->difference))
            continue;
        lab_csv_integer(&csv, row->seeds);
        lab_csv_number(&csv, row->difference);
        interval_cells(&csv, row->likely);
        lab_csv_number(&csv, f->study->effect);
        lab_csv_integer(&csv, f->seeds);
        lab_csv_number(&csv, f->needed.seeds > 0 ? (double)f->needed.seeds : NAN);
        lab_csv_end(&csv);
    }
}

static void seeds_cells(struct lab_csv *csv, struct lab_seeds_needed needed)
{
    lab_csv_number(csv, needed.seeds > 0 ? (double)needed.seeds : NAN);
    lab_csv_number(csv, needed.low > 0 ? (double)needed.low : NAN);
    lab_csv_number(csv, needed.high > 0 ? (double)needed.high : NAN);
}

static void write_budgets(FILE *file, const struct lab_findings *f)
{
    const struct lab_part *fig1 = lab_study_part(f->study, "fig1");
    fputs("budget_flops,variant,base,pairs,sizes,difference_nats,low,high,pair_deviation_nats,"
          "deviation_low,deviation_high,freedom,seeds,shown_nats,shown_low,shown_high,"
          "to_show_it,to_show_it_low,to_show_it_high,wanted_nats,to_show_wanted,"
          "to_show_wanted_low,to_show_wanted_high\n",
          file);
    for (int64_t i = 0; i < f->budget_noises; i++) {
        const struct lab_budget_noise *row = &f->budget_noise[i];
        const struct lab_effect *effect = &row->pooled.effect;
        struct lab_csv csv = {file, false};
        lab_csv_number(&csv, fig1->budget[row->budget]);
        lab_csv_text(&csv, f->study->variant[fig1->variant[fig1->variants - 1]].name);
        lab_csv_text(&csv, f->study->variant[row->base].name);
        lab_csv_integer(&csv, effect->seeds);
        lab_csv_integer(&csv, row->pooled.sizes);
        lab_csv_number(&csv, effect->mean);
        interval_cells(&csv, effect->interval);
        lab_csv_number(&csv, row->noise.deviation);
        interval_cells(&csv, row->noise.interval);
        lab_csv_number(&csv, effect->freedom);
        lab_csv_integer(&csv, f->seeds);
        lab_csv_number(&csv, row->shown.difference);
        interval_cells(&csv, row->shown.likely);
        seeds_cells(&csv, row->to_see);
        lab_csv_number(&csv, f->study->effect);
        seeds_cells(&csv, row->to_want);
        lab_csv_end(&csv);
    }
}

static void write_claims(FILE *file, const struct lab_findings *f)
{
    fputs("claim,claimed,unit,effect,low,high,seeds,verdict,note,remark\n", file);
    for (int64_t i = 0; i < f->claims; i++) {
        const struct lab_claim *claim = &f->claim[i];
        struct lab_csv csv = {file, false};
        lab_csv_text(&csv, claim->text);
        lab_csv_text(&csv, claim->direction < 0 ? "below zero" : "above zero");
        lab_csv_text(&csv, claim->unit);
        lab_csv_number(&csv, claim->effect);
        interval_cells(&csv, claim->interval);
        lab_csv_integer(&csv, claim->seeds);
        lab_csv_text(&csv, lab_verdict_names[claim->verdict]);
        lab_csv_text(&csv, claim->note);
        const char *remark = lab_study_note_on(f->study, claim->text);
        lab_csv_text(&csv, remark ? remark : "");
        lab_csv_end(&csv);
    }
}

static void write_outlook(FILE *file, const struct lab_findings *f)
{
    fputs("quantity,unit,runs,budget_flops,there,there_low,there_high,per_tenfold,"
          "per_tenfold_low,per_tenfold_high,ahead,ahead_low,ahead_high,note\n",
          file);
    for (int64_t i = 0; i < f->outlooks; i++) {
        const struct lab_outlook *outlook = &f->outlook[i];
        struct lab_csv csv = {file, false};
        lab_csv_text(&csv, outlook->text);
        lab_csv_text(&csv, outlook->unit);
        lab_csv_integer(&csv, outlook->trend.runs);
        lab_csv_number(&csv, outlook->budget);
        lab_csv_number(&csv, outlook->here.y);
        interval_cells(&csv, outlook->here.interval);
        lab_csv_number(&csv, outlook->trend.slope);
        interval_cells(&csv, outlook->trend.interval);
        lab_csv_number(&csv, outlook->ahead.y);
        interval_cells(&csv, outlook->ahead.interval);
        lab_csv_text(&csv, outlook->trend.note);
        lab_csv_end(&csv);
    }
}

/* A header alone without laws. */
static void write_fits(FILE *file, const struct lab_findings *f)
{
    static const struct lab_sweep_laws none = {0};
    const struct lab_finding *fig1 = lab_findings_part(f, "fig1");
    lab_export_fits(file, fig1 && fig1->laws ? fig1->laws : &none);
}

static void write_table1(FILE *file, const struct lab_findings *f)
{
    const struct lab_part *fig1 = lab_study_part(f->study, "fig1");
    fputs("text,form,budget_flops,variant,width,blocks,seed,tokens,loss_nats,perplexity,"
          "bits_per_byte,word_perplexity,last_word_perplexity,last_word_accuracy\n",
          file);
    for (int64_t i = 0; fig1 && i < f->table1.models; i++) {
        const struct lab_table1_model *model = &f->table1.model[i];
        for (int64_t j = 0; j < model->texts; j++) {
            const struct lab_text_score *score = &model->text[j];
            struct lab_csv csv = {file, false};
            lab_csv_text(&csv, score->text);
            lab_csv_text(&csv, score->form);
            lab_csv_number(&csv, fig1->budget[model->budget]);
            lab_csv_text(&csv, f->study->variant[model->variant].name);
            lab_csv_integer(&csv, model->result->width);
            lab_csv_integer(&csv, model->result->blocks);
            lab_csv_integer(&csv, model->result->seed);
            lab_csv_number(&csv, score->tokens);
            lab_csv_number(&csv, score->nats);
            lab_csv_number(&csv, score->perplexity);
            lab_csv_number(&csv, score->bits_per_byte);
            lab_csv_number(&csv, score->word_perplexity);
            lab_csv_number(&csv, score->last_word_perplexity);
            lab_csv_number(&csv, score->last_word_accuracy);
            lab_csv_end(&csv);
        }
    }
}

static void effect_row(FILE *file, const struct lab_findings *f, int64_t p, int variant, int base,
                       int64_t size, int64_t budget)
{
    const struct lab_part *part = &f->study->part[p];
    const struct lab_part_rows *rows = &f->part[p].rows;
    struct lab_effect effect = lab_part_effect(rows, variant, base, size, budget);
    struct lab_csv csv = {file, false};
    if (effect.seeds == 0)
        return;
    lab_csv_text(&csv, part->name);
    lab_csv_number(&csv, part->budget[budget]);
    lab_csv_integer(&csv, part->size[size].width);
    lab_csv_integer(&csv, part->size[size].blocks);
    lab_csv_text(&csv, f->study->variant[variant].name);
    lab_csv_text(&csv, f->study->variant[base].name);
    lab_csv_integer(&csv, effect.seeds);
    lab_csv_number(&csv, effect.mean);
    interval_cells(&csv, effect.interval);
    lab_csv_number(&csv, effect.deviation);
    lab_csv_text(&csv, effect.note);
    lab_csv_end(&csv);
}

static void write_effects(FILE *file, const struct lab_findings *f)
{
    fputs("part,budget_flops,width,blocks,variant,base,pairs,difference_nats,low,high,"
          "pair_deviation_nats,note\n",
          file);
    for (int64_t p = 0; p < f->study->parts; p++) {
        const struct lab_part *part = &f->study->part[p];
        for (int64_t v = 0; v < part->variants; v++) {
            int base = lab_study_base(&f->part[p].rows, part->variant[v]);
            for (int64_t b = 0; base >= 0 && b < part->budgets; b++)
                for (int64_t s = 0; s < part->sizes; s++)
                    effect_row(file, f, p, part->variant[v], base, s, b);
        }
    }
}

static void line_row(FILE *file, const struct lab_findings *f, int64_t p,
                     const struct lab_finding_line *line)
{
    const struct lab_part_rows *rows = &f->part[p].rows;
    const struct lab_part_row *row = line->row;
    const struct lab_study_variant *variant = &f->study->variant[line->variant];
    int base = lab_study_base(rows, line->variant);
    struct lab_effect effect = base < 0 ? lab_effect_paired(NULL, 0)
                                        : lab_part_effect(rows, line->variant, base, line->size, 0);
    struct lab_csv csv = {file, false};
    lab_csv_text(&csv, variant->name);
    lab_csv_text(&csv, variant->ffw);
    lab_csv_number(&csv, row && row->N > 0 ? row->N : NAN);
    lab_csv_number(&csv, row && row->heads > 0 ? (double)row->heads : NAN);
    lab_csv_number(&csv, row && row->kept > 0 ? (double)row->kept : NAN);
    lab_csv_text(&csv, row ? row->norm : "");
    lab_csv_integer(&csv, rows->part->size[line->size].width);
    lab_csv_integer(&csv, rows->part->size[line->size].blocks);
    lab_csv_integer(&csv, line->planned);
    lab_csv_integer(&csv, line->seeds);
    lab_csv_number(&csv, line->nats);
    lab_csv_number(&csv, line->deviation);
    lab_csv_number(&csv, exp(line->nats));
    lab_csv_number(&csv, line->bits_per_byte);
    lab_csv_text(&csv, base < 0 ? "" : f->study->variant[base].name);
    lab_csv_number(&csv, effect.mean);
    interval_cells(&csv, effect.interval);
    lab_csv_number(&csv, line->used);
    lab_csv_number(&csv, line->unevenness);
    lab_csv_number(&csv, line->top1);
    lab_csv_number(&csv, line->bits);
    lab_csv_number(&csv, line->bits_deviation);
    lab_csv_number(&csv, rows->part->facts ? lab_study_facts_bits(rows->part) : NAN);
    lab_csv_number(&csv, line->accuracy);
    lab_csv_number(&csv, line->flops > 0 ? line->flops : NAN);
    lab_csv_number(&csv, line->params_total > 0 ? line->params_total : NAN);
    lab_csv_number(&csv, line->params_active > 0 ? line->params_active : NAN);
    lab_csv_number(&csv, line->bytes_per_token);
    lab_csv_number(&csv, row ? row->flops_per_token : NAN);
    lab_csv_number(&csv, 1e6 * line->seconds_per_token);
    lab_csv_end(&csv);
}

static void write_lines(FILE *file, const struct lab_findings *f, int64_t p)
{
    fputs("variant,ffw,experts,heads,kept,query_norm,width,blocks,planned,seeds,loss_nats,"
          "deviation_nats,perplexity,bits_per_byte,base,difference_nats,difference_low,"
          "difference_high,used,unevenness_nats,top1_used,facts_bits,facts_bits_deviation,"
          "facts_bits_total,facts_accuracy,flops,params_total,params_active,bytes_per_token,flops_"
          "per_token,"
          "microseconds_per_token\n",
          file);
    for (int64_t i = 0; i < f->part[p].lines; i++)
        line_row(file, f, p, &f->part[p].line[i]);
}

static void write_part_runs(FILE *file, const struct lab_findings *f, int64_t p)
{
    lab_study_runs_table(file, f, p);
}

static void write_part_minima(FILE *file, const struct lab_findings *f, int64_t p)
{
    lab_export_minima(file, f->part[p].minima);
}

static void write_all_runs(FILE *file, const struct lab_findings *f)
{
    lab_study_runs_table(file, f, -1);
}

typedef void part_writer(FILE *file, const struct lab_findings *f, int64_t part);

static enum peer_status write_part(struct lab_stage *stage, const struct lab_findings *f, int64_t p,
                                   const char *ending, part_writer *write)
{
    char name[LAB_STUDY_NAME], path[LAB_STUDY_NAME + 32];
    lab_study_file_name(name, f->study, p);
    snprintf(path, sizeof path, "results/%s%s.csv", name, ending);
    FILE *file = lab_stage_create(stage, path);
    if (!file)
        return PEER_ERR_IO;
    write(file, f, p);
    return lab_stage_close(stage, file, path);
}

static enum peer_status write_parts(struct lab_stage *stage, const struct lab_findings *f)
{
    enum peer_status status = PEER_OK;
    for (int64_t p = 0; p < f->study->parts && status == PEER_OK; p++) {
        const struct lab_finding *finding = &f->part[p];
        if (finding->line)
            status = write_part(stage, f, p, "", write_lines);
        else
            status = write_part(stage, f, p, "", write_part_runs);
        if (status == PEER_OK && finding->minima)
            status = write_part(stage, f, p, "-minima", write_part_minima);
    }
    return status;
}

enum peer_status lab_study_tables(struct lab_stage *stage, const struct lab_study_report *report)
{
    static const struct {
        const char *path;
        void (*write)(FILE *file, const struct lab_findings *f);
    } list[] = {{"results/runs.csv", write_all_runs},
                {"results/rates.csv", lab_study_probes_table},
                {"results/rates-optima.csv", lab_study_optima_table},
                {"results/power.csv", write_power},
                {"results/power-budgets.csv", write_budgets},
                {"results/claims.csv", write_claims},
                {"results/effects.csv", write_effects},
                {"results/outlook.csv", write_outlook},
                {"results/fits.csv", write_fits},
                {"results/table1.csv", write_table1}};
    enum peer_status status = PEER_OK;
    for (size_t i = 0; status == PEER_OK && i < sizeof list / sizeof *list; i++) {
        FILE *file = lab_stage_create(stage, list[i].path);
        if (!file)
            return PEER_ERR_IO;
        list[i].write(file, report->findings);
        status = lab_stage_close(stage, file, list[i].path);
    }
    return status == PEER_OK ? write_parts(stage, report->findings) : status;
}
