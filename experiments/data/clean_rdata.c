/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <zlib.h>

#include "experiments/data/clean.h"

enum {
    STRSXP = 16,
    CHARSXP = 9,
    VERSION_WITH_ENCODING = 3,
    HEADING_BYTES = 200,
    VECTOR_MAX = 1 << 26
};

/* A serialized vector that is being read. */
struct vector {
    const uint8_t *bytes;
    int64_t count, at;
    bool failed;
};

static uint32_t read_u32(struct vector *vector)
{
    if (vector->failed || vector->count - vector->at < 4) {
        vector->failed = true;
        return 0;
    }
    const uint8_t *bytes = vector->bytes + vector->at;
    vector->at += 4;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           (uint32_t)bytes[3];
}

static void skip(struct vector *vector, int64_t bytes)
{
    vector->failed = vector->failed || bytes < 0 || vector->count - vector->at < bytes;
    if (!vector->failed)
        vector->at += bytes;
}

/* Number of elements, or -1 where it is no vector of strings in the XDR format. */
static int64_t read_head(struct vector *vector)
{
    if (vector->count < 2 || memcmp(vector->bytes, "X\n", 2) != 0)
        return -1;
    skip(vector, 2);
    uint32_t version = read_u32(vector);
    skip(vector, 8);
    if (version == VERSION_WITH_ENCODING)
        skip(vector, read_u32(vector));
    bool strings = (read_u32(vector) & 0xff) == STRSXP;
    int64_t count = read_u32(vector);
    return vector->failed || !strings ? -1 : count;
}

static bool begins(const uint8_t *line, int64_t bytes, const char *word)
{
    int64_t length = (int64_t)strlen(word);
    return bytes >= length && memcmp(line, word, (size_t)length) == 0;
}

/* A line of a novel: chapters are documents, the headings before one belong to it. */
static void take_line(struct lab_cleaner *cleaner, const uint8_t *line, int64_t bytes)
{
    bool heading = begins(line, bytes, "CHAPTER") || begins(line, bytes, "Chapter") ||
                   begins(line, bytes, "VOLUME");
    if (heading && cleaner->text.count > HEADING_BYTES)
        lab_clean_end(cleaner);
    lab_clean_gap(cleaner, bytes == 0 ? LAB_GAP_PARAGRAPH : LAB_GAP_SPACE);
    lab_clean_text(cleaner, line, bytes);
}

static enum peer_status clean_vector(struct lab_cleaner *cleaner, const char *path,
                                     struct vector vector)
{
    int64_t lines = read_head(&vector);
    for (int64_t i = 0; i < lines && !vector.failed; i++) {
        bool string = (read_u32(&vector) & 0xff) == CHARSXP;
        int32_t bytes = (int32_t)read_u32(&vector);
        const uint8_t *line = vector.bytes + vector.at;
        bytes = bytes < 0 ? 0 : bytes;
        skip(&vector, bytes);
        vector.failed = vector.failed || !string;
        if (!vector.failed)
            take_line(cleaner, line, bytes);
    }
    lab_clean_end(cleaner);
    if (lines < 0 || vector.failed)
        return peer_fail(cleaner->ctx, PEER_ERR_FORMAT, "%s: not a vector of strings", path);
    return cleaner->status;
}

/* Unpacks the zlib stream at data[*at], which makes at most `size` bytes, and moves *at behind it.
 */
static bool unpack(uint8_t *text, int64_t size, const struct lab_buffer *data, int64_t *at)
{
    z_stream stream = {.next_in = data->bytes + *at,
                       .avail_in = (uInt)(data->count - *at),
                       .next_out = text,
                       .avail_out = (uInt)size};
    if (inflateInit(&stream) != Z_OK)
        return false;
    bool done = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
    *at = data->count - stream.avail_in;
    inflateEnd(&stream);
    return done;
}

enum peer_status lab_clean_rdata(struct lab_cleaner *cleaner, const char *path)
{
    struct lab_buffer data;
    enum peer_status status = lab_clean_read(&data, cleaner->ctx, path);
    if (status != PEER_OK)
        return status;
    for (int64_t at = 0; at < data.count && status == PEER_OK;) {
        struct vector length = {data.bytes, data.count, at, false};
        struct peer_pool pool = {.ctx = cleaner->ctx};
        int64_t size = read_u32(&length);
        int64_t from = at;
        at += 4;
        if (length.failed || size > VECTOR_MAX) {
            status = peer_fail(cleaner->ctx, PEER_ERR_FORMAT, "%s: a vector of %lld bytes at %lld",
                               path, (long long)size, (long long)from);
            break;
        }
        uint8_t *text = peer_pool_alloc(&pool, "text of a vector", 1, size, 1, 1);
        if (pool.failed)
            status = PEER_ERR_MEMORY;
        else if (!unpack(text, size, &data, &at))
            status = peer_fail(cleaner->ctx, PEER_ERR_FORMAT, "%s: the vector at %lld is damaged",
                               path, (long long)from);
        else
            status = clean_vector(cleaner, path, (struct vector){text, size, 0, false});
        peer_pool_free(&pool);
    }
    lab_buffer_free(&data);
    return status;
}
