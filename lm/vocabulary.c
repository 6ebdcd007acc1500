/* SPDX-License-Identifier: MIT */
#include "lm/vocabulary.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "nn/file.h"
#include "nn/pool.h"

enum { MAX_PIECES = 65536, MAX_FILE = 64 << 20, BYTE_IDS = 256 };

struct lm_vocabulary {
    struct peer_pool pool;
    int64_t size;   /* V */
    char *text;     /* of all ids, one after the other */
    int32_t *start; /* [V + 1], into `text` */
};

static struct lm_vocabulary *allocate(struct peer_ctx *ctx, const char *who, int64_t size,
                                      int64_t text)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lm_vocabulary *vocabulary = peer_pool_alloc(&pool, who, sizeof *vocabulary, 1, 1, 1);
    int32_t *start = peer_pool_ids(&pool, who, size + 1, 1);
    char *bytes = peer_pool_alloc(&pool, who, 1, text, 1, 1);
    if (pool.failed) {
        peer_pool_free(&pool);
        return NULL;
    }
    *vocabulary = (struct lm_vocabulary){pool, size, bytes, start};
    return vocabulary;
}

void lm_vocabulary_close(struct lm_vocabulary **vocabulary)
{
    if (!vocabulary || !*vocabulary)
        return;
    struct peer_pool pool = (*vocabulary)->pool;
    peer_pool_free(&pool);
    *vocabulary = NULL;
}

enum peer_status lm_vocabulary_bytes(struct lm_vocabulary **ret, struct peer_ctx *ctx)
{
    struct lm_vocabulary *vocabulary = allocate(ctx, "lm_vocabulary_bytes", BYTE_IDS + 1, BYTE_IDS);
    if (!vocabulary)
        return PEER_ERR_MEMORY;
    for (int i = 0; i < BYTE_IDS; i++) {
        vocabulary->text[i] = (char)i;
        vocabulary->start[i] = i;
    }
    vocabulary->start[BYTE_IDS] = vocabulary->start[BYTE_IDS + 1] = BYTE_IDS;
    *ret = vocabulary;
    return PEER_OK;
}

/* Value of a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Writes what `piece` stands for, at most `length` bytes, and returns their number. `text` may be
 * `piece` or lie before it. */
static int64_t decode_piece(char *text, const char *piece, int64_t length)
{
    static const char *const silent[] = {"<unk>", "<s>", "</s>"};
    static const char space[] = "\xe2\x96\x81"; /* U+2581 */
    enum { SPACE_BYTES = 3, BYTE_PIECE = 6 /* <0xNN> */ };
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        if (length == (int64_t)strlen(silent[i]) && !memcmp(piece, silent[i], (size_t)length))
            return 0;
    if (length == BYTE_PIECE && !memcmp(piece, "<0x", 3) && piece[5] == '>') {
        int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
        if (high >= 0 && low >= 0) {
            *text = (char)(high * 16 + low);
            return 1;
        }
    }
    int64_t written = 0;
    for (int64_t i = 0; i < length;) {
        if (length - i >= SPACE_BYTES && !memcmp(piece + i, space, SPACE_BYTES)) {
            text[written++] = ' ';
            i += SPACE_BYTES;
        } else {
            text[written++] = piece[i++];
        }
    }
    return written;
}

/* Decodes the `bytes` bytes of lines in vocabulary->text in place: pieces never grow. */
static enum peer_status decode_lines(struct lm_vocabulary *vocabulary, int64_t bytes,
                                     const char *path)
{
    struct peer_ctx *ctx = vocabulary->pool.ctx;
    char *text = vocabulary->text, *end = text + bytes;
    int64_t written = 0, size = 0;
    for (char *line = text; line < end; size++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        *stop = 0;
        char *tab = stop, *number_end = NULL;
        while (tab > line && *tab != '\t')
            tab--;
        if (tab > line)
            strtod(tab + 1, &number_end);
        if (number_end == tab + 1 || number_end != stop)
            return peer_fail(ctx, PEER_ERR_FORMAT,
                             "lm_vocabulary_open: %s:%lld: expected a piece, a TAB and a number",
                             path, (long long)size + 1);
        if (size == MAX_PIECES)
            return peer_fail(ctx, PEER_ERR_FORMAT, "lm_vocabulary_open: %s:%d: more than %d pieces",
                             path, MAX_PIECES + 1, MAX_PIECES);
        vocabulary->start[size] = (int32_t)written;
        written += decode_piece(text + written, line, tab - line);
        line = stop + 1;
    }
    if (size == 0)
        return peer_fail(ctx, PEER_ERR_FORMAT, "lm_vocabulary_open: %s: empty", path);
    vocabulary->start[size] = (int32_t)written;
    vocabulary->size = size;
    return PEER_OK;
}

enum peer_status lm_vocabulary_open(struct lm_vocabulary **ret, struct peer_ctx *ctx,
                                    const char *path)
{
    static const char who[] = "lm_vocabulary_open";
    int file = -1;
    int64_t bytes = 0;
    enum peer_status status = peer_file_open(&file, &bytes, ctx, who, path);
    if (status)
        return status;
    if (bytes > MAX_FILE) {
        close(file);
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: %s: bytes = %lld, expected at most %d", who,
                         path, (long long)bytes, MAX_FILE);
    }
    struct lm_vocabulary *vocabulary = allocate(ctx, who, MAX_PIECES, bytes + 1);
    if (vocabulary)
        status = peer_file_read(vocabulary->text, bytes, 0, ctx, file, who, path);
    close(file);
    if (!vocabulary)
        return PEER_ERR_MEMORY;
    if (!status)
        status = decode_lines(vocabulary, bytes, path);
    if (status) {
        lm_vocabulary_close(&vocabulary);
        return status;
    }
    *ret = vocabulary;
    return PEER_OK;
}

int64_t lm_vocabulary_size(const struct lm_vocabulary *vocabulary)
{
    return vocabulary->size;
}

uint32_t lm_vocabulary_crc(const struct lm_vocabulary *vocabulary)
{
    size_t starts = (size_t)(vocabulary->size + 1) * sizeof *vocabulary->start;
    unsigned long crc = crc32_z(0, (const Bytef *)vocabulary->start, starts);
    return (uint32_t)crc32_z(crc, (const Bytef *)vocabulary->text,
                             (size_t)vocabulary->start[vocabulary->size]);
}

const char *lm_vocabulary_text(const struct lm_vocabulary *vocabulary, int64_t id, int64_t *bytes)
{
    bool known = id >= 0 && id < vocabulary->size;
    int32_t start = known ? vocabulary->start[id] : 0;
    *bytes = known ? vocabulary->start[id + 1] - start : 0;
    return vocabulary->text + start;
}
