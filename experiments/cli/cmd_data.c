/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cli/command.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/stop.h"
#include "experiments/data/corpus.h"
#include "experiments/data/data.h"
#include "experiments/data/data_describe.h"
#include "experiments/data/data_tokenizer.h"
#include "experiments/data/synthetic.h"
#include "experiments/facts/describe.h"

static const char help[] =
    "Usage: peerlab data prepare   --out FOLDER [OPTIONS] INPUT...   text to tokens\n"
    "       peerlab data corpus    --out FOLDER [prose|all]          English text from Debian\n"
    "       peerlab data synthetic --out FOLDER [OPTIONS]            made-up text\n"
    "       peerlab data facts     --out FOLDER [OPTIONS]            a text whose answer is known\n"
    "       peerlab data info      FOLDER                            what a prepared folder holds\n"
    "\n"
    "peerlab data COMMAND --help explains each. From nothing to tokens:\n"
    "  peerlab data corpus --out corpus && peerlab data prepare --out data/prose corpus\n"
    "With your own text:\n"
    "  peerlab data prepare --out data/mine --vocab 8192 books/ articles.jsonl.zst\n";

static const char help_prepare[] =
    "Usage: peerlab data prepare --out FOLDER [OPTIONS] INPUT...\n\n"
    "Makes a folder for training: train.bin and valid.bin (uint16 token ids, nanoGPT's format),\n"
    "data.json, and the tokenizer. INPUT is a text file (one document), JSON lines (.jsonl\n"
    ".ndjson .json; one document a line), any of them packed by gzip or zstd, a folder (all text\n"
    "below it), or - for standard input.\n\n"
    "  --out FOLDER          the folder to make\n"
    "  --vocab V             tokens of sentencepiece's vocabulary, 260 ... 65536 (default 4096)\n"
    "  --model TYPE          bpe (default) or unigram\n"
    "  --tokenizer FOLDER    use the tokenizer of a folder prepared before, so that its models\n"
    "                        can be evaluated on this text\n"
    "  --bytes               no tokenizer: a token is a byte (V = 257); needs no sentencepiece\n"
    "  --valid-share S       share of the documents to hold out, 0 ... 0.5 (default 0.02); of a\n"
    "                        single document, share of its paragraphs\n"
    "  --valid INPUT         hold out this text instead; may be given more than once\n"
    "  --seed N              chooses the documents held out (default 1)\n"
    "  --split-documents M   plain text: a line that is just M ends a document, such as\n"
    "                        '<|endoftext|>'; '' means an empty line\n"
    "  --format FORMAT       text or jsonl, whatever the files are called\n"
    "  --field NAME          JSON: the field that holds the text (default text)\n"
    "  --strict              JSON: stop at a record that cannot be read or has no such field; "
    "else\n"
    "                        it is left out, counted, and the first is named at the end\n"
    "  --force               replace FOLDER, at the end and only if all went well\n\n"
    "The text is taken as it is, byte for byte; what is not UTF-8 becomes U+FFFD and is counted.\n"
    "Examples:\n"
    "  peerlab data prepare --out data/books --vocab 4096 books/*.txt.gz\n"
    "  zcat stories.gz | peerlab data prepare --out data/s --split-documents '<|endoftext|>' -\n";

static const char help_corpus[] =
    "Usage: peerlab data corpus --out FOLDER [--strict] [prose|all]\n\n"
    "Fetches packages of English text with apt-get (Debian, Ubuntu), takes the text out and "
    "cleans\n"
    "it. Nothing is installed, no root is needed, about 33 MB are fetched. The texts are written "
    "as\n"
    "JSON lines, one file a package, with their licences in FOLDER/SOURCES.\n\n"
    "  prose (default)   books and essays, about 35 MB\n"
    "  all               a dictionary and a collection of epigrams besides, about 65 MB\n"
    "  --strict          fail where a text differs from the one this program was tested with\n";

static const char help_synthetic[] =
    "Usage: peerlab data synthetic --out FOLDER [--megabytes M] [--seed N]\n\n"
    "Writes made-up English stories by a small probabilistic grammar: a large vocabulary with\n"
    "Zipf's frequencies, facts about people that stay true within a story, agreement, sums. For\n"
    "trying things out where no text can be fetched; a loss on it says nothing about language.\n\n"
    "  --megabytes M   size of the text, 0.01 ... 10000 (default 4)\n"
    "  --seed N        equal seeds give equal text (default 1)\n";

static const char help_info[] =
    "Usage: peerlab data info FOLDER\n\n"
    "Checks a prepared folder and prints tokens, bytes and documents of each split, and of a text\n"
    "of facts what there is to learn.\n";

/* Values of options that have no letter. */
enum flag {
    OUT = 256,
    VOCAB,
    MODEL,
    TOKENIZER,
    BYTES,
    SHARE,
    VALID,
    SEED,
    SPLIT,
    FORMAT,
    FIELD,
    FORCE,
    STRICT,
    MEGABYTES
};

enum { VALID_MAX = 64 };

struct prepare_arguments {
    struct lab_data_options options;
    const char *valid[VALID_MAX];
    bool bytes, vocab;
};

static bool parse_real(double *ret, const char *option, const char *text, double low, double high)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high)) {
        lab_usage("data", "%s: expected a number from %g to %g, got \"%s\"", option, low, high,
                  text);
        return false;
    }
    *ret = value;
    return true;
}

static bool parse_format(enum lab_text_format *ret, const char *text)
{
    bool json = strcmp(text, "jsonl") == 0;
    if (!json && strcmp(text, "text") != 0) {
        lab_usage("data prepare", "--format: expected text or jsonl, got \"%s\"", text);
        return false;
    }
    *ret = json ? LAB_TEXT_JSON : LAB_TEXT_PLAIN;
    return true;
}

/* One option of prepare; false after a message. */
static bool take_option(struct prepare_arguments *arguments, int option, const char *text)
{
    struct lab_data_options *options = &arguments->options;
    int64_t number = 0;
    switch (option) {
    case OUT:
        options->out = text;
        return true;
    case VOCAB:
        arguments->vocab = true;
        return lab_argument(&options->vocab, "data prepare", "--vocab", text, LAB_VOCAB_MIN,
                            LAB_VOCAB_MAX);
    case MODEL:
        options->model = text;
        return true;
    case TOKENIZER:
        options->tokenizer = text;
        return true;
    case BYTES:
        arguments->bytes = true;
        return true;
    case SHARE:
        return parse_real(&options->valid_share, "--valid-share", text, 0, 0.5);
    case VALID:
        if (options->valid_count == VALID_MAX) {
            lab_usage("data prepare", "--valid: at most %d times; name a folder", VALID_MAX);
            return false;
        }
        arguments->valid[options->valid_count++] = text;
        return true;
    case SEED:
        if (!lab_argument(&number, "data prepare", "--seed", text, 0, INT64_MAX))
            return false;
        options->seed = (uint64_t)number;
        return true;
    case SPLIT:
        options->documents.mark = text;
        return true;
    case FORMAT:
        return parse_format(&options->documents.format, text);
    case FIELD:
        options->documents.field = text;
        return true;
    case FORCE:
        options->force = true;
        return true;
    case STRICT:
        options->documents.strict = true;
        return true;
    default:
        lab_usage("data prepare", "what that option means is not known");
        return false;
    }
}

static void print_split(const char *name, const struct lab_data_split *split)
{
    char tokens[24], bytes[24];
    lab_format_count(tokens, sizeof tokens, (double)split->tokens);
    lab_format_bytes(bytes, sizeof bytes, (double)split->bytes);
    fprintf(stderr, "%-9s %8s tokens, %s of text, %lld documents\n", name, tokens, bytes,
            (long long)split->documents);
}

static void print_report(const struct lab_data_report *report, const char *out, double seconds)
{
    static const char *const units[] = {"", "paragraphs", "lines"};
    char time[32];
    lab_format_seconds(time, sizeof time, seconds);
    fprintf(stderr, "%s: %s, vocabulary %lld, %lld files, %s\n", out, report->tokenizer,
            (long long)report->vocab, (long long)report->files, time);
    print_split("training", &report->split[LAB_TRAIN]);
    if (report->split[LAB_VALID].tokens > 0)
        print_split("held out", &report->split[LAB_VALID]);
    if (report->unit != LAB_UNIT_DOCUMENT)
        fprintf(stderr, "note: the input is one document; runs of its %s were held out\n",
                units[report->unit]);
    lab_notes_print(stderr, &report->notes);
    if (report->empty > 0)
        fprintf(stderr, "note: %lld empty documents were left out\n", (long long)report->empty);
    if (report->passed_over > 0)
        fprintf(stderr, "note: %lld files in folders are not called like text; not read\n",
                (long long)report->passed_over);
}

static const struct lab_work work = {.stopped = lab_stop_asked, .show = true};

static int run_prepare(const struct lab_data_options *options)
{
    struct lab_data_report report;
    struct peer_ctx *ctx = lab_context(1);
    if (!ctx)
        return LAB_FAILURE;
    double start = lab_now();
    lab_stop_install();
    enum peer_status status = lab_data_prepare(&report, ctx, options, &work);
    if (status == PEER_OK)
        print_report(&report, options->out, lab_now() - start);
    int result = lab_report(ctx, status);
    peer_ctx_destroy(&ctx);
    return result;
}

static int cmd_prepare(int argc, char **argv)
{
    static const struct option options[] = {{"out", required_argument, NULL, OUT},
                                            {"vocab", required_argument, NULL, VOCAB},
                                            {"model", required_argument, NULL, MODEL},
                                            {"tokenizer", required_argument, NULL, TOKENIZER},
                                            {"bytes", no_argument, NULL, BYTES},
                                            {"valid-share", required_argument, NULL, SHARE},
                                            {"valid", required_argument, NULL, VALID},
                                            {"seed", required_argument, NULL, SEED},
                                            {"split-documents", required_argument, NULL, SPLIT},
                                            {"format", required_argument, NULL, FORMAT},
                                            {"field", required_argument, NULL, FIELD},
                                            {"strict", no_argument, NULL, STRICT},
                                            {"force", no_argument, NULL, FORCE},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct prepare_arguments arguments = {.options = lab_data_options_default()};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help_prepare, stdout);
            return LAB_DONE_OK;
        }
        if (option == '?' || !take_option(&arguments, option, optarg))
            return LAB_USAGE;
    }
    struct lab_data_options *prepare = &arguments.options;
    if (!prepare->out || optind == argc)
        return lab_usage("data prepare", "expected --out FOLDER and at least one INPUT");
    if (arguments.bytes + arguments.vocab + (prepare->tokenizer != NULL) > 1)
        return lab_usage("data prepare", "of --vocab, --bytes and --tokenizer at most one");
    if (arguments.bytes)
        prepare->vocab = 0;
    prepare->valid = arguments.valid;
    prepare->inputs = (const char *const *)argv + optind;
    prepare->input_count = argc - optind;
    return run_prepare(prepare);
}

static int cmd_corpus(int argc, char **argv)
{
    static const struct option options[] = {{"out", required_argument, NULL, OUT},
                                            {"strict", no_argument, NULL, STRICT},
                                            {"force", no_argument, NULL, FORCE},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct lab_corpus_options corpus = {0};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help_corpus, stdout);
            return LAB_DONE_OK;
        }
        if (option == '?')
            return LAB_USAGE;
        corpus.out = option == OUT ? optarg : corpus.out;
        corpus.strict = corpus.strict || option == STRICT;
        corpus.force = corpus.force || option == FORCE;
    }
    const char *part = optind < argc ? argv[optind] : "prose";
    corpus.all = strcmp(part, "all") == 0;
    if (!corpus.out || optind + 1 < argc || (!corpus.all && strcmp(part, "prose") != 0))
        return lab_usage("data corpus", "expected --out FOLDER, and prose or all");
    struct peer_ctx *ctx = lab_context(1);
    if (!ctx)
        return LAB_FAILURE;
    lab_stop_install();
    enum peer_status status = lab_corpus_make(ctx, &corpus, &work, stderr);
    int result = lab_report(ctx, status);
    if (result == LAB_FAILURE)
        fputs("With text of your own, nothing has to be fetched:\n"
              "  peerlab data prepare --out FOLDER TEXT...   (files, folders, .jsonl, .gz, .zst)\n"
              "or, for a try-out without any text:\n"
              "  peerlab data synthetic --out FOLDER\n",
              stderr);
    peer_ctx_destroy(&ctx);
    return result;
}

static int cmd_synthetic(int argc, char **argv)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, OUT},   {"megabytes", required_argument, NULL, MEGABYTES},
        {"seed", required_argument, NULL, SEED}, {"force", no_argument, NULL, FORCE},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    struct lab_synthetic_options synthetic = {.bytes = 4000000, .seed = 1};
    double megabytes = 4;
    int64_t seed = 1;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help_synthetic, stdout);
            return LAB_DONE_OK;
        }
        if (option == '?' ||
            (option == MEGABYTES && !parse_real(&megabytes, "--megabytes", optarg, 0.01, 1e4)) ||
            (option == SEED &&
             !lab_argument(&seed, "data synthetic", "--seed", optarg, 0, INT64_MAX)))
            return LAB_USAGE;
        synthetic.out = option == OUT ? optarg : synthetic.out;
        synthetic.force = synthetic.force || option == FORCE;
    }
    if (!synthetic.out || optind != argc)
        return lab_usage("data synthetic", "expected --out FOLDER");
    synthetic.bytes = (int64_t)llround(megabytes * 1e6);
    synthetic.seed = (uint64_t)seed;
    struct peer_ctx *ctx = lab_context(1);
    if (!ctx)
        return LAB_FAILURE;
    lab_stop_install();
    struct lab_synthetic_report report;
    enum peer_status status = lab_synthetic_make(&report, ctx, &synthetic, &work);
    if (status == PEER_OK)
        fprintf(stderr,
                "%s: %lld stories, %lld bytes; knowing the grammar, they take at most %.3f bits "
                "per byte\n",
                synthetic.out, (long long)report.documents, (long long)report.bytes,
                report.bits / (double)report.bytes);
    int result = lab_report(ctx, status);
    peer_ctx_destroy(&ctx);
    return result;
}

static int cmd_info(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help_info, stdout);
        return LAB_DONE_OK;
    }
    if (argc != 2)
        return lab_usage("data info", "expected one folder");
    struct peer_ctx *ctx = lab_context(1);
    if (!ctx)
        return LAB_FAILURE;
    struct lab_facts *facts = NULL;
    enum peer_status status = lab_data_info(ctx, argv[1], stdout);
    if (status == PEER_OK)
        status = lab_facts_open(&facts, ctx, argv[1]);
    if (status == PEER_OK && facts)
        lab_facts_print(stdout, &facts->config);
    lab_facts_destroy(&facts);
    int result = lab_report(ctx, status);
    peer_ctx_destroy(&ctx);
    return result;
}

int lab_cmd_data(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"prepare", cmd_prepare},
                    {"corpus", cmd_corpus},
                    {"synthetic", cmd_synthetic},
                    {"facts", lab_cmd_facts},
                    {"info", cmd_info}};
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return LAB_DONE_OK;
    }
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        return lab_usage("data", "no command \"%s\"", argv[1]);
    fputs(help, stderr);
    return LAB_USAGE;
}
