/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output_check.h"
#include "experiments/cli/command.h"
#include "experiments/cli/stop.h"
#include "experiments/cli/usage_print.h"
#include "experiments/report/stage.h"
#include "experiments/runs/eval_facts.h"
#include "experiments/runs/eval_models.h"
#include "experiments/runs/eval_rows.h"
#include "experiments/runs/run_result.h"
#include "experiments/runs/same_vocabulary.h"
#include "experiments/runs/usage_files.h"

static const char help[] =
    "Usage: peerlab eval CHECKPOINT [--text [FORM:]FILE]... [--usage FOLDER] ...\n"
    "       peerlab eval --ensemble CHECKPOINT CHECKPOINT... [--text [FORM:]FILE]... ...\n\n"
    "Loss of a checkpoint on texts, and which of its experts they use. CHECKPOINT is a file or a\n"
    "run folder.\n\n"
    "  --text [FORM:]FILE\n"
    "                  a text: a file, also .gz or .zst, a folder, or - for stdin; may be given\n"
    "                  more than once (default: the held-out text)\n"
    "  --held-out      the validation part of the data folder besides\n"
    "  --strict        stop at a record that cannot be read, or a passage of one word; else it is\n"
    "                  left out, counted, and the first is named\n"
    "  --data FOLDER   prepared folder: its tokenizer and its validation part (default: the one\n"
    "                  that the model was trained on)\n"
    "  --ensemble      several models as one: the mean of their probabilities (not logits), with\n"
    "                  each model's own loss. They must share one tokenizer, by its\n"
    "                  checksum. Not with --usage\n"
    "  --tokens N      only the first N tokens of each text (default: all)\n"
    "  --length S      window of S tokens (default: the model's context, the shortest of several)\n"
    "  --json FILE     the same numbers for programs, with all digits\n"
    "  --csv FILE      the same; - for stdout, in place of the table\n"
    "  --markdown      the table in Markdown, and nothing else\n"
    "  --usage FOLDER  utilization.csv, and per routed block the retrievals of each expert as\n"
    "                  text and as a picture (usage-BLOCK.txt, .svg), over all texts; no picture\n"
    "                  of more than 256 experts that form no grid\n"
    "  --table TYPE    hold the experts or memories as f32, bf16 or int8, rounded to the nearest\n"
    "                  (default: as trained)\n"
    "  --threads N     (default: all cores)\n\n"
    "Forms, where the name of the file does not tell (.jsonl .ndjson .json: json; .tokens .raw:\n"
    "wikitext; else plain):\n"
    "  plain     a file is a document\n"
    "  json      JSON lines, each a document, {\"text\": \"...\"}: C4, the Pile\n"
    "  wikitext  WikiText as it comes, raw or with <unk>, also perplexity per word: exp(nats of\n"
    "            the whole / words), words being what stands between white space, and line ends\n"
    "  detok     the same with the spaces around punctuation and @-@ undone, by the rules of\n"
    "            lm-evaluation-harness; bytes and words are those before, so that both compare\n"
    "  lambada   JSON lines, each a passage whose last word also counts alone: its perplexity,\n"
    "            exp(mean of its nats), and the share of passages where it is right: each of its\n"
    "            tokens, the space before the word among them, is the most likely one after the\n"
    "            true ones. The other numbers are of whole passages\n\n"
    "Context: held-out text is one stream, cut into windows side by side, as in training. In\n"
    "other texts no document sees another: each begins behind the mark that ends documents, and\n"
    "all its tokens are scored, in windows side by side, the last one moved back to be full.\n\n"
    "+- is a standard error, over documents or over 64 blocks of a stream. It is the text's:\n"
    "another seed of the run may be further away.\n"
    "Loss is in nats per token; across tokenizers only bits per byte and perplexities per word\n"
    "compare. Usage: share of the experts with any gate mass. Unevenness: KL divergence of the\n"
    "mass from uniform, in nats. Both by gate and by count of retrievals; top-1 usage: share of\n"
    "experts that came first in a head.\n"
    "Facts, where FOLDER was made by `peerlab data facts`: bits learned of the table, also per\n"
    "parameter and per FLOP of training (experiments/facts/README.md).\n"
    "Load: retrievals per expert; CV: its standard deviation over its mean. Dropped: choices that\n"
    "found no room in an expert (- where experts choose); unserved: tokens that no expert took.\n"
    "Retrieved by several heads: of the experts that a token retrieves, mean over tokens.\n\n"
    "Examples:\n"
    "  peerlab eval runs/one\n"
    "  peerlab eval runs/one --held-out --text wiki.test.tokens --text detok:wiki.test.raw \\\n"
    "      --text lambada:lambada_test.jsonl --text c4.jsonl.zst --csv scores.csv\n";

struct arguments {
    const char *data, *usage, *table, *json, *csv;
    struct lab_list text;
    int64_t threads, tokens, length;
    bool ensemble, held_out, markdown, strict;
    char *const *checkpoints; /* [count] */
    int count;
};

struct evaluation {
    struct peer_ctx *ctx;
    const struct arguments *arguments;
    struct lab_eval_models models;
    struct lab_text_source sources[LAB_LIST_MAX + 1]; /* [texts] */
    struct lab_eval_text texts[LAB_LIST_MAX + 1];     /* [texts], of which `opened` are to close */
    int count, opened;
    struct lab_eval_row *rows; /* [texts * rows of a text] */
    char mean[32];             /* name of the ensemble */
    struct peer_pool pool;
    struct lm_usage *usage[LM_MAX_BLOCKS];
    struct lab_output output[2]; /* of --json and --csv, where those are files */
};

static void list_sources(struct evaluation *e)
{
    const struct arguments *a = e->arguments;
    if (a->held_out || a->text.count == 0)
        e->sources[e->count++] = (struct lab_text_source){.form = LAB_FORM_HELD_OUT};
    for (int i = 0; i < a->text.count; i++)
        e->sources[e->count++] = lab_text_source_parse(a->text.items[i]);
}

/* Opens all texts, so that what is wrong with the last does not show after hours. */
static enum peer_status open_texts(struct evaluation *e)
{
    const struct lab_checkpoint_model *first = &e->models.loaded[0];
    const char *folder = NULL;
    bool held_out = e->sources[0].form == LAB_FORM_HELD_OUT;
    enum peer_status status = lab_eval_folder(&folder, e->ctx, first, e->arguments->data, held_out);
    while (e->opened < e->count && status == PEER_OK) {
        e->sources[e->opened].dtype = first->text.dtype;
        e->sources[e->opened].strict = e->arguments->strict;
        status = lab_eval_text_open_for(&e->texts[e->opened], e->ctx, folder, first->path,
                                        &first->origin, &e->sources[e->opened]);
        const struct lm_dataset *data = &e->texts[e->opened].data;
        for (int64_t m = 1; m < e->models.count && status == PEER_OK; m++) {
            const struct lab_checkpoint_model *other = &e->models.loaded[m];
            status = lab_same_vocabulary(e->ctx, other->path, &other->origin, folder, data->vocab,
                                         data->vocabulary);
        }
        lab_notes_print(stderr, &e->texts[e->opened++].notes);
    }
    return status;
}

/* Rows of one text: each model's, and that of several as one. */
static int64_t rows_per_text(const struct evaluation *e)
{
    return e->models.count + e->arguments->ensemble;
}

static enum peer_status score_text(struct evaluation *e, int index)
{
    int64_t models = e->models.count, rows = rows_per_text(e);
    const struct lab_eval_text *text = &e->texts[index];
    struct lab_eval_setting setting = {.list = e->models.list,
                                       .models = models,
                                       .tokens = e->arguments->tokens,
                                       .length = e->models.length,
                                       .show = true,
                                       .usage = e->arguments->ensemble ? NULL : e->usage};
    struct peer_pool pool = {.ctx = e->ctx};
    struct lab_eval_score *scores =
        peer_pool_alloc(&pool, "scores", sizeof *scores, models + 1, 1, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    if (status == PEER_OK)
        status = lab_eval_text_score(scores, e->ctx, text, &setting);
    for (int64_t m = 0; m < rows && status == PEER_OK; m++)
        e->rows[index * rows + m] = (struct lab_eval_row){
            .model = m < models ? e->arguments->checkpoints[m] : e->mean,
            .text = text->name,
            .form = text->form,
            .score = scores[m],
        };
    peer_pool_free(&pool);
    return status;
}

static enum peer_status score_texts(struct evaluation *e)
{
    e->rows = peer_pool_alloc(&e->pool, "rows", sizeof *e->rows, e->count, rows_per_text(e), 1);
    snprintf(e->mean, sizeof e->mean, "mean of %lld", (long long)e->models.count);
    enum peer_status status = e->pool.failed ? PEER_ERR_MEMORY : PEER_OK;
    for (int i = 0; i < e->count && status == PEER_OK; i++)
        status = score_text(e, i);
    return status;
}

/* What makes the numbers of some variants no measure of prediction. */
static void warn(const struct evaluation *e)
{
    for (int64_t m = 0; m < e->models.count; m++) {
        const struct lm_config *config = &e->models.loaded[m].config;
        unsigned traits = config->ffw ? config->ffw->traits(config->ffw_config) : 0;
        if (traits & PEER_FFW_NOT_CAUSAL)
            fprintf(stderr,
                    "peerlab eval: %s: in %s the output of a token depends on later ones, also at "
                    "evaluation: its numbers are no measure of prediction\n",
                    e->arguments->checkpoints[m], config->ffw->name);
    }
}

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* Opens the files that are asked for, before any work: what cannot be written, or would replace
 * something else, is said now. */
static enum peer_status open_outputs(struct evaluation *e)
{
    const struct arguments *a = e->arguments;
    const char *const paths[] = {a->json, a->csv};
    static const char *const starts[] = {LAB_EVAL_JSON_START, LAB_EVAL_CSV_START};
    enum peer_status status = PEER_OK;
    for (int i = 0; i < 2 && status == PEER_OK; i++) {
        if (!paths[i] || is_stdout(paths[i]))
            continue;
        status = lab_output_check_file(e->ctx, paths[i], starts[i]);
        if (status == PEER_OK)
            status = lab_output_open(&e->output[i], e->ctx, paths[i]);
    }
    return status == PEER_OK && a->usage ? lab_stage_try(e->ctx, a->usage) : status;
}

static enum peer_status write_outputs(struct evaluation *e, const struct lab_eval_rows *rows)
{
    const struct arguments *a = e->arguments;
    FILE *json = is_stdout(a->json) ? stdout : e->output[0].file;
    FILE *csv = is_stdout(a->csv) ? stdout : e->output[1].file;
    enum peer_status first = json ? lab_eval_rows_json(e->ctx, json, rows) : PEER_OK;
    first = lab_output_close(&e->output[0], first);
    enum peer_status second = csv ? lab_eval_rows_csv(e->ctx, csv, rows) : PEER_OK;
    second = lab_output_close(&e->output[1], second);
    return first != PEER_OK ? first : second;
}

/* What people read. */
static enum peer_status print_all(struct evaluation *e, const struct lab_eval_rows *rows)
{
    const struct arguments *a = e->arguments;
    const struct lab_checkpoint_model *first = &e->models.loaded[0];
    enum peer_status status = PEER_OK;
    if (a->markdown) {
        lab_eval_rows_markdown(stdout, rows);
        fflush(stdout);
        return status;
    }
    lab_eval_rows_print(stdout, rows);
    if (!a->ensemble && e->sources[0].form == LAB_FORM_HELD_OUT)
        status = lab_eval_facts(e->ctx, first, a->data, e->models.length, lab_stop_asked);
    if (status == PEER_OK)
        status = lab_usage_print(e->ctx, e->usage, first->config.blocks);
    fflush(stdout);
    return status;
}

/* The table comes first, whatever becomes of the files. */
static enum peer_status show(struct evaluation *e)
{
    const struct arguments *a = e->arguments;
    struct lab_eval_rows rows = {e->rows, e->count * rows_per_text(e), e->models.length};
    enum peer_status status = PEER_OK;
    warn(e);
    if (!is_stdout(a->json) && !is_stdout(a->csv))
        status = print_all(e, &rows);
    enum peer_status written = write_outputs(e, &rows);
    return status != PEER_OK ? status : written;
}

static enum peer_status evaluate(struct evaluation *e)
{
    const struct arguments *a = e->arguments;
    enum peer_status status = open_outputs(e);
    if (status == PEER_OK)
        status =
            lab_eval_models_open(&e->models, e->ctx, a->checkpoints, a->count, a->length, a->table);
    if (status == PEER_OK)
        status = open_texts(e);
    if (status == PEER_OK && !a->ensemble)
        status = lm_usage_of_model(e->usage, e->ctx, e->models.list[0]);
    if (status == PEER_OK)
        status = score_texts(e);
    if (status == PEER_OK)
        status = show(e);
    if (status == PEER_OK && a->usage) {
        char note[512];
        status = lab_usage_files_write(e->ctx, a->usage, e->usage,
                                       e->models.loaded[0].config.blocks, note, sizeof note);
        if (status == PEER_OK && *note)
            fprintf(stderr, "peerlab eval: no pictures: %s\n", note);
    }
    return status;
}

static enum peer_status run(struct peer_ctx *ctx, const struct arguments *arguments)
{
    struct evaluation e = {.ctx = ctx, .arguments = arguments, .pool = {.ctx = ctx}};
    list_sources(&e);
    enum peer_status status = evaluate(&e);
    for (int i = 0; i < 2; i++)
        lab_output_close(&e.output[i], PEER_ERR_STOPPED); /* one still open is given up */
    for (int block = 0; block < LM_MAX_BLOCKS; block++)
        lm_usage_destroy(&e.usage[block]);
    for (int i = 0; i < e.opened; i++)
        lab_eval_text_close(&e.texts[i]);
    peer_pool_free(&e.pool);
    lab_eval_models_close(&e.models);
    return status;
}

/* A mistyped form would be looked for as a file. */
static bool forms_are_known(const struct lab_list *texts)
{
    for (int i = 0; i < texts->count; i++) {
        const char *text = texts->items[i];
        size_t prefix = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
        struct lab_text_source source = lab_text_source_parse(text);
        if (prefix == 0 || text[prefix] != ':' || source.path != text || access(text, F_OK) == 0)
            continue;
        lab_usage("eval",
                  "--text %s: no file of this name, and no form \"%.*s\" (plain, json, "
                  "wikitext, detok, lambada)",
                  text, (int)prefix, text);
        return false;
    }
    return true;
}

int lab_cmd_eval(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"ensemble", LAB_OPTION_FLAG, offsetof(struct arguments, ensemble), 0, 0},
        {"data", LAB_OPTION_TEXT, offsetof(struct arguments, data), 0, 0},
        {"text", LAB_OPTION_LIST, offsetof(struct arguments, text), 0, 0},
        {"strict", LAB_OPTION_FLAG, offsetof(struct arguments, strict), 0, 0},
        {"held-out", LAB_OPTION_FLAG, offsetof(struct arguments, held_out), 0, 0},
        {"json", LAB_OPTION_TEXT, offsetof(struct arguments, json), 0, 0},
        {"csv", LAB_OPTION_TEXT, offsetof(struct arguments, csv), 0, 0},
        {"markdown", LAB_OPTION_FLAG, offsetof(struct arguments, markdown), 0, 0},
        {"usage", LAB_OPTION_TEXT, offsetof(struct arguments, usage), 0, 0},
        {"table", LAB_OPTION_TEXT, offsetof(struct arguments, table), 0, 0},
        {"tokens", LAB_OPTION_INTEGER, offsetof(struct arguments, tokens), 2, INT64_MAX},
        {"length", LAB_OPTION_INTEGER, offsetof(struct arguments, length), 1, 65536},
        {"threads", LAB_OPTION_INTEGER, offsetof(struct arguments, threads), 1, 1024},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {0};
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    if (!a.ensemble && operands != 1)
        return lab_usage("eval", "expected one checkpoint");
    if (a.ensemble && (operands < 1 || a.usage))
        return lab_usage("eval", a.usage ? "--usage is of one model, not of an ensemble"
                                         : "expected the checkpoints of an ensemble");
    if (!forms_are_known(&a.text))
        return LAB_USAGE;
    a.checkpoints = argv + 1;
    a.count = operands;
    lab_stop_install();
    struct peer_ctx *ctx = lab_context((int)a.threads);
    if (!ctx)
        return LAB_FAILURE;
    status = lab_report(ctx, run(ctx, &a));
    peer_ctx_destroy(&ctx);
    return status;
}
