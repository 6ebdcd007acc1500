/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "experiments/cli/command.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/facts/make.h"

static const char help[] =
    "Usage: peerlab data facts --out FOLDER [--people P] [--attributes A] [--values V] ...\n\n"
    "A text whose answer is known: P people with made-up names, A attributes of each, every one\n"
    "drawn uniformly from V values, told in sentences such as \"the town of Bako Lumison is\n"
    "tevak.\" That is P A log2 V bits to learn, no more and no less, so that what a model has\n"
    "stored can be measured: `peerlab train` on the folder, and `peerlab eval` of the run, ask "
    "for\n"
    "every fact and report the bits learned, which runs.csv of a sweep has as facts_bits.\n\n"
    "  --out FOLDER     the folder to make, ready for train and sweep; a token is a word\n"
    "  --people P       (default 1000)\n"
    "  --attributes A   of each, 1 ... 24 (default 5)\n"
    "  --values V       that an attribute can have, 2 ... 60000 (default 256); each is one token\n"
    "  --templates T    sentences that can tell a fact, 1 ... 6 (default 6), drawn each time; one\n"
    "                   takes far fewer exposures to learn\n"
    "  --names M        names are M first words x M last words, of which P are drawn without\n"
    "                   repetition (default: about four names a person)\n"
    "  --exposures E    times that the training text tells each fact, in rounds of random order\n"
    "                   (default 20); longer runs go through the text again\n"
    "  --valid N        sentences of the held-out text (default 10000): the same facts, drawn "
    "anew\n"
    "  --seed S         of the table and the text; equal seeds give equal text (default 1)\n"
    "  --force          replace FOLDER, at the end and only if all went well\n\n"
    "Prints what there is to learn, the loss of who knows every fact and the loss of who knows\n"
    "names and grammar only; facts.json keeps it. The formulas: experiments/facts/README.md.\n"
    "A model stores up to about two bits a parameter: to see its limit, let P A log2 V be more.\n"
    "Example:\n"
    "  peerlab data facts --out data/facts --people 500 --attributes 4 --values 512\n"
    "  peerlab train experiments/configs/facts.yaml --out runs/facts\n";

#define OPTION(field) offsetof(struct lab_facts_options, field)

int lab_cmd_facts(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"out", LAB_OPTION_TEXT, OPTION(out), 0, 0},
        {"people", LAB_OPTION_INTEGER, OPTION(table.people), 1, INT64_MAX},
        {"attributes", LAB_OPTION_INTEGER, OPTION(table.attributes), 1, LAB_FACTS_ATTRIBUTES},
        {"values", LAB_OPTION_INTEGER, OPTION(table.values), 2, LAB_FACTS_VALUES},
        {"templates", LAB_OPTION_INTEGER, OPTION(table.templates), 1, LAB_FACTS_TEMPLATES},
        {"names", LAB_OPTION_INTEGER, OPTION(table.names), 1, LAB_FACTS_NAMES},
        {"exposures", LAB_OPTION_INTEGER, OPTION(exposures), 1, INT64_MAX},
        {"valid", LAB_OPTION_INTEGER, OPTION(valid), 1, INT64_MAX},
        {"seed", LAB_OPTION_INTEGER, OPTION(table.seed), 0, INT64_MAX},
        {"force", LAB_OPTION_FLAG, OPTION(force), 0, 0},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    static const struct lab_work work = {.stopped = lab_stop_asked, .show = true};
    struct lab_facts_options make = lab_facts_options_default();
    char name[] = "data facts"; /* in messages */
    argv[0] = name;
    int operands = 0, result = lab_parse(&make, &operands, argc, argv, help, options);
    if (result != LAB_GO_ON)
        return result;
    if (!make.out || operands != 0)
        return lab_usage("data facts", "expected --out FOLDER");
    struct peer_ctx *ctx = lab_context(1);
    if (!ctx)
        return LAB_FAILURE;
    lab_stop_install();
    struct lab_facts_config config;
    struct lab_facts_text text;
    enum peer_status status = lab_facts_make(&config, &text, ctx, &make, &work);
    if (status == PEER_OK) {
        char tokens[24];
        lab_format_count(tokens, sizeof tokens, (double)text.train_tokens);
        lab_facts_print(stderr, &config);
        fprintf(stderr, "%-10s %lld exposures, %s tokens; held out %lld sentences, %lld tokens\n",
                "text", (long long)text.exposures, tokens, (long long)text.valid_sentences,
                (long long)text.valid_tokens);
    }
    result = lab_report(ctx, status);
    peer_ctx_destroy(&ctx);
    return result;
}
