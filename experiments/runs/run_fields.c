/* SPDX-License-Identifier: MIT */
#include "experiments/runs/run_fields.h"

#include <assert.h>
#include <string.h>

#include "lm/dataset.h"
#include "lm/options.h"
#include "lm/train.h"
#include "peer/types.h"

const struct lab_field lab_run_fields[] = {
    {"data", "needed", "the text", "a folder that peerlab data prepare made"},
    {"model", "needed", "what is trained", "a mapping, see below"},
    {"train", "defaults", "how it is trained", "a mapping, see below"},
    {"init", "drawn", "weights to start from, with a new optimizer",
     "a run folder or a checkpoint of the same shapes and vocabulary, or a safetensors file"},
    {"init_crc32", "any", "checksum of the tensors of init, so that no other is taken",
     "eight hexadecimal digits"},
    {"data_called", "as data", "what a sweep's file calls data, by which its store knows the run",
     "a path"},
    {"init_called", "as init", "the same of init", "a path"},
    {"variant", "name of ffw", "what the run is called in tables", "a text"},
    {"budget", "0", "FLOPs that a sweep planned for it; for tables alone",
     "a number from 0 to 1e+30"},
    {NULL, NULL, NULL, NULL}};

const struct peer_option *const lab_run_options[] = {lm_data_options, lm_freeze_options,
                                                     lm_tables_options, NULL};

const struct lab_field lab_model_fields[] = {
    {"dense", "defaults", "options of the dense FFWs", "a mapping, see below"},
    {"ffw", "dense", "the FFW under test", "one of those that peerlab variants lists"},
    {"options", "defaults", "options of ffw", "a mapping, see peerlab variants NAME"},
    {"sparse_at", "the middle", "blocks that take ffw; the others are dense",
     "a list of block numbers from 0, such as [1, 3]"},
    {NULL, NULL, NULL, NULL}};

const char lab_run_example[] =
    "# A run to start from: peerlab train THIS.yaml --out runs/first\n"
    "# What it costs: peerlab info THIS.yaml. Every field: peerlab train --help\n"
    "data: data/mine             # made by peerlab data prepare --out data/mine TEXT...\n"
    "model:\n"
    "  width: 128                # numbers per token; heads of attention follow from it\n"
    "  blocks: 4\n"
    "  context: 256              # most tokens of a sequence\n"
    "  ffw: peer                 # what stands in the middle block: see peerlab variants\n"
    "  options: {experts: 16384, heads: 4, kept: 16, query_width: 64}\n"
    "  # sparse_at: [1, 3]       # these blocks instead of the middle one\n"
    "train:\n"
    "  steps: 2000\n"
    "  sequences: 8              # a step is 8 * 256 tokens\n"
    "  length: 256\n"
    "  lr: 0.003                 # peak of the learning rate; a cosine follows\n"
    "  seed: 1                   # of weights and data order\n"
    "  eval_every: 200           # steps from one validation loss to the next\n"
    "  eval_tokens: 65536        # of the validation text; 0 = all\n"
    "  usage_points: 12          # utilization of experts over the training\n"
    "# init: runs/one            # weights to start from, instead of drawn ones\n"
    "# freeze: router            # or experts, mixture, rest\n"
    "# tables: mapped            # experts in files, larger than memory if need be; wants\n"
    "                            # table_optimizer: sgd or adagrad in train\n";

void lab_field_names(const char *names[LAB_FIELD_NAMES], const struct lab_field *fields,
                     const struct peer_option *const *tables)
{
    int count = 0;
    for (; fields->name; fields++)
        names[count++] = fields->name;
    for (; tables && *tables; tables++)
        for (const struct peer_option *option = *tables; option->name; option++)
            names[count++] = option->name;
    assert(count < LAB_FIELD_NAMES);
    names[count] = NULL;
}

/* One field: two columns, and a text that is broken behind them. */
static void print_field(FILE *file, const char *name, const char *standard, const char *meaning,
                        const char *expected)
{
    enum { INDENT = 36, COLUMNS = 99 };
    char text[600];
    snprintf(text, sizeof text, "%s: %s", meaning, expected);
    int column = fprintf(file, "  %-20s %-12s", name, standard);
    for (const char *word = text; *word;) {
        size_t length = strcspn(word, " ");
        if (column + 1 + (int)length > COLUMNS)
            column = fprintf(file, "\n%*s", INDENT - 1, "") - 1;
        column += fprintf(file, " %.*s", (int)length, word);
        word += length + (word[length] == ' ');
    }
    fputc('\n', file);
}

static void print_fields(FILE *file, const struct lab_field *fields)
{
    for (; fields->name; fields++)
        print_field(file, fields->name, fields->standard, fields->meaning, fields->expected);
}

void lab_option_print(FILE *file, const struct peer_option *option, const void *config,
                      const void *other)
{
    char value[64], there[64], expected[256], standard[80];
    peer_option_text(value, sizeof value, config, option);
    peer_option_text(there, sizeof there, other, option);
    peer_option_expected(expected, sizeof expected, option);
    snprintf(standard, sizeof standard, "%s%s", value, strcmp(value, there) != 0 ? " ~" : "");
    print_field(file, option->name, standard, option->unit_and_meaning, expected);
}

static void print_options(FILE *file, const struct peer_option *options, const void *config,
                          const void *other)
{
    for (; options->name; options++)
        lab_option_print(file, options, config, other);
}

/* The sizes that have no default; the others' are those of a model. */
static void print_model(FILE *file, const struct lm_config *model, const struct lm_config *wider)
{
    for (const struct peer_option *option = lm_config_options; option->name; option++) {
        char expected[256];
        bool vocab = strcmp(option->name, "vocab") == 0;
        peer_option_expected(expected, sizeof expected, option);
        if (vocab || strcmp(option->name, "width") == 0 || strcmp(option->name, "blocks") == 0)
            print_field(file, option->name, vocab ? "the text's" : "needed",
                        option->unit_and_meaning, expected);
        else
            lab_option_print(file, option, model, wider);
    }
}

void lab_run_fields_print(FILE *file)
{
    const struct lm_config model = lm_config_default(1, 128, 4),
                           wider = lm_config_default(1, 192, 4);
    const struct lm_train_config train = lm_train_config_default();
    const struct lm_data_config text = {0};
    fputs("A field, its default, what it means and what may stand there. ~ marks what follows the\n"
          "width; shown for 128.\n\n",
          file);
    print_fields(file, lab_run_fields);
    print_options(file, lm_data_options, &text, &text);
    print_options(file, lm_freeze_options, &model, &model);
    print_options(file, lm_tables_options, &model, &model);
    fputs("\nmodel:\n", file);
    print_model(file, &model, &wider);
    print_fields(file, lab_model_fields);
    fputs("\nmodel: dense:\n", file);
    print_options(file, peer_ffw_dense.options, &model.dense, &wider.dense);
    fputs("\nmodel: options: depend on ffw; peerlab variants NAME lists them. ffw is one of:\n ",
          file);
    for (const struct peer_ffw_type *const *type = peer_ffw_types; *type; type++)
        fprintf(file, " %s", (*type)->name);
    fputs("\n\ntrain:\n", file);
    print_options(file, lm_train_options, &train, &train);
}
