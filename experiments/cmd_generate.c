/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/checkpoint_model.h"
#include "experiments/command.h"
#include "experiments/stop.h"
#include "experiments/tokenize.h"
#include "lm/dataset.h"
#include "lm/generate.h"

static const char help[] =
    "Usage: peerlab generate CHECKPOINT [--data FOLDER] [--prompt TEXT] [--tokens N] ...\n\n"
    "Continues a text, for a look at what a model has learned. CHECKPOINT is a file or a run\n"
    "folder.\n\n"
    "  --data FOLDER      whose tokenizer to use (default: the folder it was trained on)\n"
    "  --prompt TEXT      to continue (default: the start of a document)\n"
    "  --tokens N         to append (default 100)\n"
    "  --temperature X    0 = always the most likely token (default 0.8)\n"
    "  --top K            draw from the K most likely only; 0 = all (default 50)\n"
    "  --seed S           (default 1)\n"
    "  --threads N        (default: all cores)\n";

struct arguments {
    const char *checkpoint, *data, *prompt;
    int64_t threads, seed;
    struct lm_generate_config config;
};

static void emit(void *user, int32_t id)
{
    int64_t bytes;
    const char *text = lm_vocabulary_text(user, id, &bytes);
    fwrite(text, 1, (size_t)bytes, stdout);
    fflush(stdout);
}

/* Token ids of the prompt, without the end of document that preparing puts behind a text. */
static enum peer_status encode(int32_t **ids, int64_t *used, struct peer_ctx *ctx,
                               const struct arguments *a, const char *data, int64_t vocab)
{
    char path[] = "/tmp/peerlab-prompt-XXXXXX";
    struct lm_corpus *corpus = NULL;
    int file = mkstemp(path);
    size_t size = strlen(a->prompt);
    if (file < 0 || write(file, a->prompt, size) != (ssize_t)size)
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
    close(file);
    enum peer_status status = lab_tokenize(&corpus, ctx, data, path, vocab);
    unlink(path);
    if (status != PEER_OK)
        return status;
    int64_t count = lm_corpus_tokens(corpus) - 1;
    *ids = calloc((size_t)(count + a->config.count + 1), sizeof **ids);
    if (!*ids)
        status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %lld tokens", (long long)count);
    for (int64_t i = 0; *ids && i < count; i++)
        (*ids)[i] = lm_corpus_ids(corpus)[i];
    *used = count;
    lm_corpus_close(&corpus);
    return status;
}

static enum peer_status generate(struct peer_ctx *ctx, const struct arguments *a)
{
    struct lab_checkpoint_model loaded;
    struct lm_dataset data = {0};
    int32_t *ids = NULL;
    int64_t used = 0;
    enum peer_status status = lab_checkpoint_model_open(&loaded, ctx, a->checkpoint, 1);
    if (status != PEER_OK)
        return status;
    const char *folder = a->data ? a->data : loaded.data;
    status = lm_dataset_open(&data, ctx, folder, loaded.config.vocab);
    if (status == PEER_OK && (!data.vocabulary || data.vocab != loaded.config.vocab))
        status =
            peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: vocabulary of %lld with %s, the model's is %lld",
                      folder, (long long)data.vocab, data.vocabulary ? "text" : "unknown text",
                      (long long)loaded.config.vocab);
    if (status == PEER_OK && a->prompt && *a->prompt) {
        status = encode(&ids, &used, ctx, a, folder, data.vocab);
        if (status == PEER_OK)
            fputs(a->prompt, stdout);
    } else if (status == PEER_OK) {
        ids = calloc((size_t)a->config.count + 1, sizeof *ids);
        if (ids)
            ids[used++] = lm_corpus_ids(data.train)[0];
        else
            status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %lld tokens",
                               (long long)a->config.count);
    }
    if (status == PEER_OK)
        status = lm_generate(ctx, loaded.model, ids, used, &a->config, emit, data.vocabulary);
    putchar('\n');
    free(ids);
    lm_dataset_close(&data);
    lab_checkpoint_model_close(&loaded);
    return status;
}

/* Returns -1 to go on, or an exit status. */
static int parse(struct arguments *a, int argc, char **argv)
{
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"prompt", required_argument, NULL, 'p'},
                                            {"tokens", required_argument, NULL, 'n'},
                                            {"temperature", required_argument, NULL, 'T'},
                                            {"top", required_argument, NULL, 'k'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    bool good = true;
    char *end = NULL;
    while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'd') {
            a->data = optarg;
        } else if (option == 'p') {
            a->prompt = optarg;
        } else if (option == 'n') {
            good = lab_argument(&a->config.count, "generate", "--tokens", optarg, 0, 1000000);
        } else if (option == 'T') {
            a->config.temperature = strtof(optarg, &end);
            if (end == optarg || *end || !(a->config.temperature >= 0))
                return lab_usage("generate", "--temperature: expected a number >= 0");
        } else if (option == 'k') {
            good = lab_argument(&a->config.top, "generate", "--top", optarg, 0, 65536);
        } else if (option == 's') {
            good = lab_argument(&a->seed, "generate", "--seed", optarg, 0, INT64_MAX);
        } else if (option == 't') {
            good = lab_argument(&a->threads, "generate", "--threads", optarg, 1, 1024);
        } else if (option == 'h') {
            fputs(help, stdout);
            return LAB_DONE_OK;
        } else {
            return lab_usage("generate", "see above");
        }
    }
    if (!good)
        return LAB_USAGE;
    if (argc - optind != 1)
        return lab_usage("generate", "expected one checkpoint");
    a->checkpoint = argv[optind];
    a->config.seed = (uint64_t)a->seed;
    return -1;
}

int lab_cmd_generate(int argc, char **argv)
{
    struct arguments arguments = {.config = lm_generate_config_default(), .seed = 1};
    arguments.config.count = 100;
    int status = parse(&arguments, argc, argv);
    if (status >= 0)
        return status;
    lab_stop_install();
    struct peer_ctx *ctx = lab_context((int)arguments.threads);
    if (!ctx)
        return LAB_FAILURE;
    status = lab_report(ctx, generate(ctx, &arguments));
    peer_ctx_destroy(&ctx);
    return status;
}
