/* SPDX-License-Identifier: MIT */
/* Training: counts of words, then spm_train. */
#include "experiments/data/data_tokenizer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "experiments/data/data_words.h"

enum { WORDS_COUNTED = 1 << 20, WORDS_TRAINED = 1 << 17, LOG_BYTES = 1 << 14 };

static void count_slice(struct lab_words *words, const struct lab_slice *slice)
{
    bool plain;
    if (!lab_words_have_room(words, slice->bytes))
        lab_words_thin(words);
    for (int64_t at = 0, length; at < slice->bytes; at += length) {
        length = lab_word_next(slice->text + at, slice->bytes - at, &plain);
        if (!plain)
            words->word[lab_words_find(words, slice->text + at, length)].count++;
    }
}

static enum peer_status count_words(struct lab_words *words, const struct lab_spool *spool,
                                    const struct lab_work *work)
{
    struct lab_spool_cursor cursor = {0};
    struct lab_progress progress;
    struct lab_slice slice;
    enum peer_status status = PEER_OK;
    lab_progress_start(&progress, "counting words", "bytes", (double)spool->size, 0);
    while (status == PEER_OK && lab_spool_next(spool, &cursor, &slice)) {
        if (slice.split == LAB_TRAIN)
            count_slice(words, &slice);
        if (work->show)
            lab_progress_update(&progress, (double)cursor.at, NULL);
        status = lab_work_check(spool->ctx, work);
    }
    lab_progress_end(&progress);
    return status;
}

/* sentencepiece's table of sentences: "word TAB count", most frequent first. */
static enum peer_status write_table(struct peer_ctx *ctx, struct lab_words *words, const char *path)
{
    if (words->count == 0)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "the training text has no words to make a vocabulary of; use --bytes");
    lab_words_sort(words);
    FILE *file = lab_output_stream(path);
    if (!file)
        return peer_fail(ctx, PEER_ERR_IO, "%s: cannot create: %s", path, strerror(errno));
    for (int64_t i = 0; i < words->count && i < WORDS_TRAINED; i++) {
        const struct lab_word *word = &words->word[i];
        fwrite(words->bytes + word->at, 1, word->length, file);
        fprintf(file, "\t%llu\n", (unsigned long long)word->count);
    }
    bool written = fflush(file) == 0 && !ferror(file);
    int error = errno;
    fclose(file);
    if (!written)
        return peer_fail(ctx, PEER_ERR_IO, "%s: cannot write: %s", path, strerror(error));
    return PEER_OK;
}

/* spm_train's words for its reasons, in ours. */
static enum peer_status explain(struct peer_ctx *ctx, char *log, int64_t vocab, int result)
{
    long long asked, limit;
    const char *small = strstr(log, "smaller than required_chars. ");
    if (small && sscanf(small, "smaller than required_chars. %lld vs %lld", &asked, &limit) == 2)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "a vocabulary of %lld is too small for this text: its characters and the "
                         "256 bytes alone need %lld; use --vocab %lld or more, or --bytes",
                         (long long)vocab, limit, limit);
    const char *high = strstr(log, "Vocabulary size too high (");
    if (high && sscanf(high, "Vocabulary size too high (%lld). Please set it to a value <= %lld",
                       &asked, &limit) == 2)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "a vocabulary of %lld is larger than this text allows: use --vocab %lld "
                         "or less, or more text",
                         (long long)vocab, limit);
    if (WIFSIGNALED(result))
        return peer_fail(ctx, PEER_ERR_IO,
                         "spm_train ended by signal %d (%s), as it does where no two characters "
                         "can be joined; use more text, or --bytes",
                         WTERMSIG(result), strsignal(WTERMSIG(result)));
    char *end = strstr(log, "Program terminated");
    end = end ? end : log + strlen(log);
    while (end > log && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    const char *line = strrchr(log, '\n');
    return peer_fail(ctx, PEER_ERR_IO, "spm_train failed: %s", line ? line + 1 : log);
}

/* Reads spm_train's messages to its end. They name the size reached, which grows to `vocab` with
 * BPE; unigram comes down from many pieces (vocab = 0). */
static enum peer_status follow(struct lab_child *child, char *log, double vocab)
{
    struct lab_progress progress;
    int64_t used = 0, got = 1;
    enum peer_status status = PEER_OK;
    lab_progress_start(&progress, "training sentencepiece", "pieces", vocab, 0);
    while (status == PEER_OK && got > 0) {
        if (used > LOG_BYTES / 2) {
            memmove(log, log + used - LOG_BYTES / 2, LOG_BYTES / 2);
            used = LOG_BYTES / 2;
        }
        status = lab_child_read(child, log + used, LOG_BYTES - 1 - used, &got);
        if (status != PEER_OK)
            break;
        used += got;
        log[used] = '\0';
        const char *last = NULL;
        for (const char *at = log; (at = strstr(at, " size=")); at++)
            last = at;
        if (child->work->show)
            lab_progress_update(&progress, last ? strtod(last + 6, NULL) : 0, NULL);
    }
    log[used] = '\0';
    lab_progress_end(&progress);
    return status;
}

static enum peer_status run_training(struct peer_ctx *ctx, const char *folder, int64_t vocab,
                                     const char *model, const struct lab_work *work)
{
    char size[32], type[32], log[LOG_BYTES];
    snprintf(size, sizeof size, "--vocab_size=%lld", (long long)vocab);
    snprintf(type, sizeof type, "--model_type=%s", model);
    /* The number of threads is a part of unigram's result, so that it is fixed. */
    const char *const argv[] = {"spm_train",
                                "--input=words.tsv",
                                "--input_format=tsv",
                                "--model_prefix=tokenizer",
                                size,
                                type,
                                "--normalization_rule_name=identity",
                                "--remove_extra_whitespaces=false",
                                "--add_dummy_prefix=false",
                                "--byte_fallback=true",
                                "--num_threads=4",
                                NULL};
    struct lab_child_setup setup = {
        .argv = argv, .folder = folder, .pipe = LAB_CHILD_ERRORS, .package = "sentencepiece"};
    struct lab_child child;
    bool failed;
    enum peer_status status = lab_child_start(&child, ctx, &setup, work);
    if (status != PEER_OK)
        return status;
    status = follow(&child, log, strcmp(model, "bpe") == 0 ? (double)vocab : 0);
    status = lab_child_end(&child, status, &failed);
    if (status == PEER_OK && failed)
        status = explain(ctx, log, vocab, child.result);
    return status;
}

enum peer_status lab_tokenizer_train(struct peer_ctx *ctx, const struct lab_spool *spool,
                                     const char *folder, int64_t vocab, const char *model,
                                     const struct lab_work *work)
{
    char table[4096];
    struct lab_words words;
    int length = snprintf(table, sizeof table, "%s/words.tsv", folder);
    if (length >= (int)sizeof table)
        return peer_fail(ctx, PEER_ERR_IO, "%s: the path is too long", folder);
    enum peer_status status = lab_words_create(&words, ctx, WORDS_COUNTED);
    if (status != PEER_OK)
        return status;
    status = count_words(&words, spool, work);
    if (status == PEER_OK)
        status = write_table(ctx, &words, table);
    lab_words_free(&words);
    if (status == PEER_OK)
        status = run_training(ctx, folder, vocab, model, work);
    unlink(table);
    return status;
}
