/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/temporary.h"
#include "experiments/cli/command.h"
#include "experiments/runs/eval_models.h"
#include "experiments/runs/run_tokenizer.h"
#include "experiments/runs/same_vocabulary.h"
#include "experiments/runs/tokenize.h"
#include "lm/dataset.h"
#include "lm/generate.h"

static const char help[] =
    "Usage: peerlab generate CHECKPOINT [--data FOLDER] [--prompt TEXT] [--tokens N] ...\n\n"
    "Continues a text, for a look at what a model has learned. CHECKPOINT is a file or a run\n"
    "folder.\n\n"
    "  --data FOLDER      whose tokenizer to use (default: the one that its run keeps)\n"
    "  --prompt TEXT      to continue (default: the start of a document)\n"
    "  --tokens N         to append (default 100)\n"
    "  --temperature X    0 = always the most likely token (default 0.8)\n"
    "  --top K            draw from the K most likely only; 0 = all (default 50)\n"
    "  --seed S           (default 1)\n"
    "  --threads N        (default: all cores)\n";

struct arguments {
    const char *checkpoint, *data, *prompt;
    int64_t threads, seed;
    double temperature;
    struct lm_generate_config config;
};

static void emit(void *user, int32_t id)
{
    int64_t bytes;
    const char *text = lm_vocabulary_text(user, id, &bytes);
    fwrite(text, 1, (size_t)bytes, stdout);
    fflush(stdout);
}

/* Writes the prompt to an open file, and closes it. */
static bool write_prompt(FILE *file, const char *text)
{
    bool written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

/* Token ids of the prompt, without the end of document that preparing puts behind a text. */
static enum peer_status encode(int32_t **ids, int64_t *used, struct peer_ctx *ctx,
                               const struct arguments *a, const char *data, int64_t vocab)
{
    char path[PATH_MAX];
    struct lm_corpus *corpus = NULL;
    struct lab_document_options plain = {.format = LAB_TEXT_PLAIN};
    struct lab_document_notes notes = {0};
    FILE *file = lab_temporary_file(path, ctx);
    if (!file)
        return PEER_ERR_IO;
    enum peer_status status = write_prompt(file, a->prompt)
                                  ? lab_tokenize(&corpus, ctx, data, path, &plain, vocab, &notes)
                                  : peer_fail(ctx, PEER_ERR_IO, "%s: cannot be written", path);
    unlink(path);
    if (status != PEER_OK)
        return status;
    int64_t count = lm_corpus_tokens(corpus) - 1;
    *ids = calloc((size_t)(count + a->config.count + 1), sizeof **ids);
    if (!*ids)
        status = peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %lld tokens", (long long)count);
    else
        lm_corpus_read(corpus, *ids, 0, count);
    *used = count;
    lm_corpus_close(&corpus);
    return status;
}

/* What the ids mean, and where to begin without a prompt: the first token of the training text. */
struct words {
    struct lm_vocabulary *vocabulary;
    int64_t vocab, begin;
};

/* From a prepared folder, or from what a run keeps of one. */
static enum peer_status open_words(struct words *words, struct peer_ctx *ctx, const char *folder,
                                   const struct lab_checkpoint_model *loaded)
{
    struct lm_dataset data = {0};
    bool kept;
    enum peer_status status = lab_is_run_tokenizer(&kept, ctx, folder);
    if (status != PEER_OK)
        return status;
    if (kept) {
        status =
            lab_run_tokenizer_open(&words->vocabulary, &words->vocab, &words->begin, ctx, folder);
    } else {
        status = lm_dataset_open(&data, ctx, folder, loaded->config.vocab, loaded->text.dtype);
        if (status == PEER_OK) {
            words->vocabulary = data.vocabulary;
            words->vocab = data.vocab;
            words->begin = lm_corpus_id(data.train, 0);
            data.vocabulary = NULL;
            lm_dataset_close(&data);
        }
    }
    if (status == PEER_OK)
        status = lab_same_vocabulary(ctx, loaded->path, &loaded->origin, folder, words->vocab,
                                     words->vocabulary);
    if (status == PEER_OK && !words->vocabulary)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT,
                           "%s: what its ids mean is not known (no data.json); give --data FOLDER",
                           folder);
    return status;
}

static enum peer_status begin(int32_t **ids, int64_t *used, struct peer_ctx *ctx,
                              const struct arguments *a, const struct words *words)
{
    *ids = calloc((size_t)a->config.count + 1, sizeof **ids);
    if (!*ids)
        return peer_fail(ctx, PEER_ERR_MEMORY, "no memory for %lld tokens",
                         (long long)a->config.count);
    (*ids)[0] = (int32_t)words->begin;
    *used = 1;
    return PEER_OK;
}

static enum peer_status generate(struct peer_ctx *ctx, const struct arguments *a)
{
    struct lab_checkpoint_model loaded;
    struct words words = {0};
    const char *folder = NULL;
    int32_t *ids = NULL;
    int64_t used = 0;
    enum peer_status status = lab_checkpoint_model_open(&loaded, ctx, a->checkpoint, 1, NULL);
    if (status != PEER_OK)
        return status;
    status = lab_eval_folder(&folder, ctx, &loaded, a->data, false);
    if (status == PEER_OK)
        status = open_words(&words, ctx, folder, &loaded);
    bool prompted = a->prompt && *a->prompt;
    if (status == PEER_OK)
        status = prompted ? encode(&ids, &used, ctx, a, folder, words.vocab)
                          : begin(&ids, &used, ctx, a, &words);
    if (status == PEER_OK && prompted)
        fputs(a->prompt, stdout);
    if (status == PEER_OK)
        status = lm_generate(ctx, loaded.model, ids, used, &a->config, emit, words.vocabulary);
    if (status == PEER_OK)
        putchar('\n');
    free(ids);
    lm_vocabulary_close(&words.vocabulary);
    lab_checkpoint_model_close(&loaded);
    return status;
}

int lab_cmd_generate(int argc, char **argv)
{
    static const struct lab_option options[] = {
        {"data", LAB_OPTION_TEXT, offsetof(struct arguments, data), 0, 0},
        {"prompt", LAB_OPTION_TEXT, offsetof(struct arguments, prompt), 0, 0},
        {"tokens", LAB_OPTION_INTEGER, offsetof(struct arguments, config.count), 0, 1000000},
        {"temperature", LAB_OPTION_NUMBER, offsetof(struct arguments, temperature), 0, 1000000},
        {"top", LAB_OPTION_INTEGER, offsetof(struct arguments, config.top), 0, 65536},
        {"seed", LAB_OPTION_INTEGER, offsetof(struct arguments, seed), 0, INT64_MAX},
        {"threads", LAB_OPTION_INTEGER, offsetof(struct arguments, threads), 1, 1024},
        {NULL, LAB_OPTION_TEXT, 0, 0, 0}};
    struct arguments a = {.config = lm_generate_config_default(), .seed = 1};
    a.config.count = 100;
    a.temperature = (double)a.config.temperature;
    int operands = 0, status = lab_parse(&a, &operands, argc, argv, help, options);
    if (status != LAB_GO_ON)
        return status;
    if (operands != 1)
        return lab_usage("generate", "expected one checkpoint");
    a.checkpoint = argv[1];
    a.config.seed = (uint64_t)a.seed;
    a.config.temperature = (float)a.temperature;
    struct peer_ctx *ctx = lab_context((int)a.threads);
    if (!ctx)
        return LAB_FAILURE;
    status = lab_report(ctx, generate(ctx, &a));
    peer_ctx_destroy(&ctx);
    return status;
}
