/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "nn/pool.h"

enum { INPUT_BYTES = 1 << 16, MAGIC_BYTES = 4, GZIP_WINDOW = 15 + 16 };

enum packing { PLAIN, GZIP, ZSTD };

struct lab_stream {
    struct peer_pool pool;
    char *path;
    int file;
    uint8_t *input; /* [INPUT_BYTES], of which first ... count-1 are not used yet */
    int64_t first, count;
    int64_t taken;
    enum packing packing;
    bool ended;   /* no more bytes in the file */
    bool between; /* no gzip member or zstd frame is open */
    z_stream gzip;
    ZSTD_DCtx *zstd;
};

static struct peer_ctx *context(const struct lab_stream *stream)
{
    return stream->pool.ctx;
}

/* Appends bytes of the file to the input, until `want` are there or the file ends. */
static enum peer_status fill(struct lab_stream *stream, int64_t want)
{
    memmove(stream->input, stream->input + stream->first, (size_t)(stream->count - stream->first));
    stream->count -= stream->first;
    stream->first = 0;
    while (!stream->ended && stream->count < want) {
        ssize_t got = read(stream->file, stream->input + stream->count,
                           (size_t)(INPUT_BYTES - stream->count));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return peer_fail(context(stream), PEER_ERR_IO, "%s: cannot read: %s", stream->path,
                             strerror(errno));
        stream->ended = got == 0;
        stream->count += got;
        stream->taken += got;
    }
    return PEER_OK;
}

static bool is_gzip(const uint8_t *bytes, int64_t count)
{
    return count >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

static bool is_zstd(const uint8_t *bytes, int64_t count)
{
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd};
    return count >= MAGIC_BYTES && memcmp(bytes, frame, sizeof frame) == 0;
}

static enum peer_status detect(struct lab_stream *stream)
{
    enum peer_status status = fill(stream, MAGIC_BYTES);
    if (status != PEER_OK)
        return status;
    stream->between = true;
    if (is_gzip(stream->input, stream->count)) {
        if (inflateInit2(&stream->gzip, GZIP_WINDOW) != Z_OK)
            return peer_fail(context(stream), PEER_ERR_MEMORY, "%s: no memory to unpack gzip",
                             stream->path);
        stream->packing = GZIP;
    } else if (is_zstd(stream->input, stream->count)) {
        stream->zstd = ZSTD_createDCtx();
        if (!stream->zstd)
            return peer_fail(context(stream), PEER_ERR_MEMORY, "%s: no memory to unpack zstd",
                             stream->path);
        ZSTD_DCtx_setParameter(stream->zstd, ZSTD_d_windowLogMax, LAB_STREAM_WINDOW_LOG);
        stream->packing = ZSTD;
    }
    return PEER_OK;
}

enum peer_status lab_stream_open(struct lab_stream **ret, struct peer_ctx *ctx, const char *path)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lab_stream *stream = peer_pool_alloc(&pool, "stream", sizeof *stream, 1, 1, 1);
    uint8_t *input = peer_pool_alloc(&pool, "stream input", 1, INPUT_BYTES, 1, 1);
    char *name = peer_pool_alloc(&pool, "stream name", 1, (int64_t)strlen(path) + 32, 1, 1);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    bool standard = strcmp(path, "-") == 0;
    stream->pool = pool;
    stream->input = input;
    stream->path = strcpy(name, standard ? "standard input" : path);
    stream->file = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    enum peer_status status = PEER_OK;
    if (stream->file < 0)
        status = peer_fail(ctx, PEER_ERR_IO, "%s: cannot open: %s", name, strerror(errno));
    if (status == PEER_OK)
        status = detect(stream);
    if (status != PEER_OK)
        lab_stream_close(&stream);
    else
        *ret = stream;
    return status;
}

void lab_stream_close(struct lab_stream **stream)
{
    if (!stream || !*stream)
        return;
    struct lab_stream *old = *stream;
    if (old->file >= 0)
        close(old->file);
    if (old->packing == GZIP)
        inflateEnd(&old->gzip);
    ZSTD_freeDCtx(old->zstd);
    struct peer_pool pool = old->pool;
    peer_pool_free(&pool);
    *stream = NULL;
}

int64_t lab_stream_taken(const struct lab_stream *stream)
{
    return stream->taken;
}

static enum peer_status damaged(struct lab_stream *stream, const char *what, const char *why)
{
    return peer_fail(context(stream), PEER_ERR_FORMAT, "%s: damaged %s data near byte %lld: %s",
                     stream->path, what, (long long)(stream->taken - stream->count + stream->first),
                     why);
}

static enum peer_status ends_early(struct lab_stream *stream, const char *what)
{
    return peer_fail(context(stream), PEER_ERR_FORMAT,
                     "%s: %s data ends early, after %lld bytes; the file is cut short",
                     stream->path, what, (long long)stream->taken);
}

/* One step of unpacking gzip; sets *got. Zero bytes behind the last member are padding. */
static enum peer_status unpack_gzip(struct lab_stream *stream, void *bytes, int64_t room,
                                    int64_t *got)
{
    if (stream->between) {
        while (stream->first < stream->count && stream->input[stream->first] == 0)
            stream->first++;
        if (stream->first == stream->count)
            return PEER_OK;
        if (!is_gzip(stream->input + stream->first, stream->count - stream->first))
            return damaged(stream, "gzip", "bytes that are not gzip follow");
        inflateReset(&stream->gzip);
    }
    stream->gzip.next_in = stream->input + stream->first;
    stream->gzip.avail_in = (uInt)(stream->count - stream->first);
    stream->gzip.next_out = bytes;
    stream->gzip.avail_out = (uInt)room;
    int result = inflate(&stream->gzip, Z_NO_FLUSH);
    stream->first = stream->count - stream->gzip.avail_in;
    *got = room - stream->gzip.avail_out;
    stream->between = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return damaged(stream, "gzip", stream->gzip.msg ? stream->gzip.msg : "not readable");
    return PEER_OK;
}

static enum peer_status unpack_zstd(struct lab_stream *stream, void *bytes, int64_t room,
                                    int64_t *got)
{
    ZSTD_inBuffer in = {stream->input, (size_t)stream->count, (size_t)stream->first};
    ZSTD_outBuffer out = {bytes, (size_t)room, 0};
    size_t result = ZSTD_decompressStream(stream->zstd, &out, &in);
    stream->first = (int64_t)in.pos;
    *got = (int64_t)out.pos;
    if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge)
        return peer_fail(context(stream), PEER_ERR_FORMAT,
                         "%s: its zstd window is larger than %d MiB, the most that is unpacked "
                         "here; unpack it first: zstd -d --long=31, or pipe zstd -dc --long=31 in",
                         stream->path, 1 << (LAB_STREAM_WINDOW_LOG - 20));
    if (ZSTD_isError(result))
        return damaged(stream, "zstd", ZSTD_getErrorName(result));
    stream->between = result == 0;
    return PEER_OK;
}

static void copy_plain(struct lab_stream *stream, void *bytes, int64_t room, int64_t *got)
{
    int64_t here = stream->count - stream->first;
    *got = here < room ? here : room;
    memcpy(bytes, stream->input + stream->first, (size_t)*got);
    stream->first += *got;
}

enum peer_status lab_stream_read(struct lab_stream *stream, void *bytes, int64_t room, int64_t *got)
{
    assert(room >= 1);
    room = room < (1 << 30) ? room : 1 << 30;
    *got = 0;
    for (;;) {
        if (stream->count - stream->first < MAGIC_BYTES) {
            enum peer_status status = fill(stream, MAGIC_BYTES);
            if (status != PEER_OK)
                return status;
        }
        bool empty = stream->first == stream->count;
        if (empty && (stream->packing == PLAIN || stream->between))
            return PEER_OK;
        enum peer_status status = PEER_OK;
        if (stream->packing == GZIP)
            status = unpack_gzip(stream, bytes, room, got);
        else if (stream->packing == ZSTD)
            status = unpack_zstd(stream, bytes, room, got);
        else
            copy_plain(stream, bytes, room, got);
        if (status != PEER_OK || *got > 0)
            return status;
        if (empty && !stream->between)
            return ends_early(stream, stream->packing == GZIP ? "gzip" : "zstd");
    }
}
