/* SPDX-License-Identifier: MIT */
/* Encoding: each distinct word once, by spm_encode, then the text by table. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "experiments/data/data_tokenizer.h"
#include "experiments/data/data_words.h"
#include "lm/vocabulary.h"

enum { WORDS_KEPT = 1 << 20, READ_BYTES = 1 << 16, BYTES_END = 256 };

struct encoder {
    struct peer_ctx *ctx;
    const struct lab_spool *spool;
    const char *folder;
    const struct lab_work *work;
    struct lab_bin *bins; /* [LAB_SPLITS] */
    struct lm_vocabulary *vocabulary;
    int64_t vocab;
    struct lab_words words;
    int64_t known;   /* words whose tokens are known: the first so many */
    int64_t respelt; /* words that spm_encode did not spell, given as bytes */
    uint16_t *ids;   /* [LAB_SLICE_BYTES + 1], tokens of a slice */
    struct peer_pool pool;
};

static enum peer_status check_vocabulary(struct encoder *encoder)
{
    for (int byte = 0; byte < 256; byte++) {
        int64_t bytes = 0;
        const char *text = lm_vocabulary_text(encoder->vocabulary, LAB_TOKEN_BYTES + byte, &bytes);
        if (bytes != 1 || (unsigned char)*text != byte)
            return peer_fail(encoder->ctx, PEER_ERR_FORMAT,
                             "%s: id %d of this tokenizer is not byte %d; only tokenizers that "
                             "peerlab data prepare made can be used",
                             encoder->folder, LAB_TOKEN_BYTES + byte, byte);
    }
    return PEER_OK;
}

static enum peer_status open_encoder(struct encoder *encoder)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/tokenizer.vocab", encoder->folder);
    if (length >= (int)sizeof path)
        return peer_fail(encoder->ctx, PEER_ERR_IO, "%s: the path is too long", encoder->folder);
    encoder->pool.ctx = encoder->ctx;
    encoder->ids =
        peer_pool_alloc(&encoder->pool, "tokens", sizeof *encoder->ids, LAB_SLICE_BYTES + 1, 1, 1);
    if (encoder->pool.failed)
        return PEER_ERR_MEMORY;
    enum peer_status status = lm_vocabulary_open(&encoder->vocabulary, encoder->ctx, path);
    if (status == PEER_OK)
        status = check_vocabulary(encoder);
    if (status == PEER_OK)
        status = lab_words_create(&encoder->words, encoder->ctx, WORDS_KEPT);
    if (status == PEER_OK)
        encoder->vocab = lm_vocabulary_size(encoder->vocabulary);
    return status;
}

static void close_encoder(struct encoder *encoder)
{
    lab_words_free(&encoder->words);
    lm_vocabulary_close(&encoder->vocabulary);
    peer_pool_free(&encoder->pool);
}

/* Finds the words from `cursor` on, as far as the table has room. */
static enum peer_status find_words(struct encoder *encoder, struct lab_spool_cursor *cursor)
{
    struct lab_slice slice;
    struct lab_spool_cursor next = *cursor;
    enum peer_status status = PEER_OK;
    bool plain;
    while (status == PEER_OK && lab_spool_next(encoder->spool, &next, &slice) &&
           lab_words_have_room(&encoder->words, slice.bytes)) {
        for (int64_t at = 0, length; at < slice.bytes; at += length) {
            length = lab_word_next(slice.text + at, slice.bytes - at, &plain);
            if (!plain)
                lab_words_find(&encoder->words, slice.text + at, length);
        }
        *cursor = next;
        status = lab_work_check(encoder->ctx, encoder->work);
    }
    return status;
}

/* One unknown word a line, for spm_encode. */
static enum peer_status write_words(const struct encoder *encoder)
{
    char path[4096];
    const struct lab_words *words = &encoder->words;
    snprintf(path, sizeof path, "%s/words.txt", encoder->folder);
    FILE *file = lab_output_stream(path);
    if (!file)
        return peer_fail(encoder->ctx, PEER_ERR_IO, "%s: cannot create: %s", path, strerror(errno));
    for (int64_t i = encoder->known; i < words->count; i++) {
        fwrite(words->bytes + words->word[i].at, 1, words->word[i].length, file);
        fputc('\n', file);
    }
    bool written = fflush(file) == 0 && !ferror(file);
    int error = errno;
    fclose(file);
    if (!written)
        return peer_fail(encoder->ctx, PEER_ERR_IO, "%s: cannot write: %s", path, strerror(error));
    return PEER_OK;
}

/* Whether the tokens of the word stand for its bytes. */
static bool spells(const struct encoder *encoder, const struct lab_word *word)
{
    const struct lab_words *words = &encoder->words;
    int64_t at = 0;
    for (int i = 0; i < word->tokens; i++) {
        int64_t bytes = 0;
        const char *text =
            lm_vocabulary_text(encoder->vocabulary, words->ids[word->at + i], &bytes);
        if (at + bytes > word->length ||
            memcmp(words->bytes + word->at + at, text, (size_t)bytes) != 0)
            return false;
        at += bytes;
    }
    return at == word->length;
}

static void end_word(struct encoder *encoder)
{
    struct lab_words *words = &encoder->words;
    struct lab_word *word = &words->word[encoder->known++];
    if (spells(encoder, word))
        return;
    encoder->respelt++;
    word->tokens = word->length;
    for (int i = 0; i < word->length; i++)
        words->ids[word->at + i] = LAB_TOKEN_BYTES + words->bytes[word->at + i];
}

/* State of reading spm_encode's lines of ids. */
struct id_reader {
    int64_t value;
    bool digits;
};

static enum peer_status bad_output(const struct encoder *encoder)
{
    return peer_fail(encoder->ctx, PEER_ERR_FORMAT,
                     "spm_encode gave something else than the tokens of word %lld of %lld",
                     (long long)encoder->known, (long long)encoder->words.count);
}

static enum peer_status take_byte(struct encoder *encoder, struct id_reader *reader, char byte)
{
    struct lab_words *words = &encoder->words;
    if (byte >= '0' && byte <= '9') {
        reader->value = reader->value * 10 + (byte - '0');
        reader->digits = true;
        return reader->value < encoder->vocab ? PEER_OK : bad_output(encoder);
    }
    if ((byte != ' ' && byte != '\n') || encoder->known == words->count)
        return bad_output(encoder);
    struct lab_word *word = &words->word[encoder->known];
    if (reader->digits && word->tokens == word->length)
        return bad_output(encoder);
    if (reader->digits)
        words->ids[word->at + word->tokens++] = (uint16_t)reader->value;
    *reader = (struct id_reader){0};
    if (byte == '\n')
        end_word(encoder);
    return PEER_OK;
}

static enum peer_status read_ids(struct encoder *encoder, struct lab_child *child)
{
    char bytes[READ_BYTES];
    struct id_reader reader = {0};
    int64_t got = 1;
    struct lab_progress progress;
    enum peer_status status = PEER_OK;
    lab_progress_start(&progress, "tokenizing words", "words", (double)encoder->words.count,
                       (double)encoder->known);
    while (status == PEER_OK && got > 0) {
        status = lab_child_read(child, bytes, READ_BYTES, &got);
        for (int64_t i = 0; i < got && status == PEER_OK; i++)
            status = take_byte(encoder, &reader, bytes[i]);
        if (encoder->work->show)
            lab_progress_update(&progress, (double)encoder->known, NULL);
    }
    lab_progress_end(&progress);
    return status;
}

/* The last line of what spm_encode complained of. */
static enum peer_status encode_failed(const struct encoder *encoder)
{
    char path[4096], text[1024];
    snprintf(path, sizeof path, "%s/errors.txt", encoder->folder);
    FILE *file = fopen(path, "rbe");
    size_t got = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[got] = '\0';
    return peer_fail(encoder->ctx, PEER_ERR_IO, "spm_encode failed after %lld of %lld words: %s",
                     (long long)encoder->known, (long long)encoder->words.count, text);
}

/* Has spm_encode tokenize the words that are not known yet. */
static enum peer_status encode_words(struct encoder *encoder)
{
    static const char *const argv[] = {"spm_encode", "--model=tokenizer.model",
                                       "--output_format=id", NULL};
    struct lab_child_setup setup = {.argv = argv,
                                    .folder = encoder->folder,
                                    .input = "words.txt",
                                    .other = "errors.txt",
                                    .pipe = LAB_CHILD_OUTPUT,
                                    .package = "sentencepiece"};
    struct lab_child child;
    bool failed;
    if (encoder->known == encoder->words.count)
        return PEER_OK;
    enum peer_status status = write_words(encoder);
    if (status == PEER_OK)
        status = lab_child_start(&child, encoder->ctx, &setup, encoder->work);
    if (status != PEER_OK)
        return status;
    status = read_ids(encoder, &child);
    status = lab_child_end(&child, status, &failed);
    if (status == PEER_OK && (failed || encoder->known != encoder->words.count))
        status = encode_failed(encoder);
    if (status == PEER_OK && encoder->respelt > 8 + encoder->words.count / 1000)
        status = peer_fail(encoder->ctx, PEER_ERR_FORMAT,
                           "%s/tokenizer.model: %lld of %lld words are not spelt by their tokens; "
                           "the model and tokenizer.vocab do not belong together",
                           encoder->folder, (long long)encoder->respelt,
                           (long long)encoder->words.count);
    return status;
}

static enum peer_status emit_slice(struct encoder *encoder, const struct lab_slice *slice)
{
    struct lab_words *words = &encoder->words;
    uint16_t *ids = encoder->ids;
    int64_t count = 0;
    bool plain;
    for (int64_t at = 0, length; at < slice->bytes; at += length) {
        const uint8_t *text = slice->text + at;
        length = lab_word_next(text, slice->bytes - at, &plain);
        if (plain) {
            for (int64_t i = 0; i < length; i++)
                ids[count++] = (uint16_t)(LAB_TOKEN_BYTES + text[i]);
            continue;
        }
        const struct lab_word *word = &words->word[lab_words_find(words, text, length)];
        memcpy(ids + count, words->ids + word->at, word->tokens * sizeof *ids);
        count += word->tokens;
    }
    if (slice->ends)
        ids[count++] = LAB_TOKEN_END;
    return lab_bin_put(&encoder->bins[slice->split], ids, count, slice->bytes, slice->ends);
}

/* Calls `emit` for the slices from `first` to `last`. */
static enum peer_status
emit_range(struct encoder *encoder, struct lab_spool_cursor first, int64_t last,
           enum peer_status (*emit)(struct encoder *encoder, const struct lab_slice *slice))
{
    struct lab_slice slice;
    struct lab_progress progress;
    enum peer_status status = PEER_OK;
    lab_progress_start(&progress, "writing tokens", "bytes", (double)encoder->spool->size,
                       (double)first.at);
    while (status == PEER_OK && first.at < last && lab_spool_next(encoder->spool, &first, &slice)) {
        status = emit(encoder, &slice);
        if (encoder->work->show)
            lab_progress_update(&progress, (double)first.at, NULL);
        if (status == PEER_OK)
            status = lab_work_check(encoder->ctx, encoder->work);
    }
    lab_progress_end(&progress);
    return status;
}

enum peer_status lab_tokenizer_encode(struct peer_ctx *ctx, const struct lab_spool *spool,
                                      const char *folder, struct lab_bin bins[LAB_SPLITS],
                                      const struct lab_work *work)
{
    struct encoder encoder = {
        .ctx = ctx, .spool = spool, .folder = folder, .work = work, .bins = bins};
    struct lab_spool_cursor first = {0}, next = {0};
    enum peer_status status = open_encoder(&encoder);
    while (status == PEER_OK && first.at < spool->size) {
        status = find_words(&encoder, &next);
        if (status == PEER_OK)
            status = encode_words(&encoder);
        if (status == PEER_OK)
            status = emit_range(&encoder, first, next.at, emit_slice);
        if (next.at < spool->size) {
            lab_words_clear(&encoder.words);
            encoder.known = 0;
        }
        first = next;
    }
    close_encoder(&encoder);
    return status;
}

static enum peer_status emit_bytes(struct encoder *encoder, const struct lab_slice *slice)
{
    for (int64_t i = 0; i < slice->bytes; i++)
        encoder->ids[i] = slice->text[i];
    encoder->ids[slice->bytes] = BYTES_END;
    return lab_bin_put(&encoder->bins[slice->split], encoder->ids, slice->bytes + slice->ends,
                       slice->bytes, slice->ends);
}

enum peer_status lab_bytes_encode(struct peer_ctx *ctx, const struct lab_spool *spool,
                                  struct lab_bin bins[LAB_SPLITS], const struct lab_work *work)
{
    struct encoder encoder = {
        .ctx = ctx, .spool = spool, .work = work, .bins = bins, .pool = {.ctx = ctx}};
    encoder.ids =
        peer_pool_alloc(&encoder.pool, "tokens", sizeof *encoder.ids, LAB_SLICE_BYTES + 1, 1, 1);
    if (encoder.pool.failed)
        return PEER_ERR_MEMORY;
    enum peer_status status =
        emit_range(&encoder, (struct lab_spool_cursor){0}, spool->size, emit_bytes);
    peer_pool_free(&encoder.pool);
    return status;
}
