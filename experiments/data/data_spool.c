/* SPDX-License-Identifier: MIT */
#include "experiments/data/data_spool.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "experiments/base/output.h"

#include "nn/random.h"

enum { DOCUMENT_END = 0xff, RUNS = 1024, RUN_BYTES_MAX = 1 << 16 };

static enum peer_status fail_io(const struct lab_spool *spool, const char *what)
{
    return peer_fail(spool->ctx, PEER_ERR_IO, "%s: cannot %s: %s", spool->path, what,
                     strerror(errno));
}

enum peer_status lab_spool_create(struct lab_spool *ret, struct peer_ctx *ctx, const char *path)
{
    struct lab_spool spool = {.ctx = ctx, .trained = -1};
    snprintf(spool.path, sizeof spool.path, "%s", path);
    spool.file = lab_output_stream(path);
    if (!spool.file)
        return fail_io(&spool, "create");
    *ret = spool;
    return PEER_OK;
}

enum peer_status lab_spool_text(struct lab_spool *spool, const uint8_t *bytes, int64_t count)
{
    if (fwrite(bytes, 1, (size_t)count, spool->file) != (size_t)count)
        return fail_io(spool, "write");
    spool->pending += count;
    return PEER_OK;
}

enum peer_status lab_spool_end_document(struct lab_spool *spool)
{
    if (spool->pending == 0) {
        spool->empty++;
        return PEER_OK;
    }
    if (fputc(DOCUMENT_END, spool->file) == EOF)
        return fail_io(spool, "write");
    spool->size += spool->pending + 1;
    spool->pending = 0;
    spool->documents++;
    return PEER_OK;
}

void lab_spool_hold_out(struct lab_spool *spool)
{
    spool->trained = spool->documents;
}

static uint64_t unit_hash(const struct lab_spool *spool, int64_t unit)
{
    uint64_t stream = peer_stream("held-out documents");
    uint32_t out[4];
    uint32_t counter[4] = {(uint32_t)unit, (uint32_t)((uint64_t)unit >> 32), (uint32_t)stream,
                           (uint32_t)(stream >> 32)};
    uint32_t key[2] = {(uint32_t)spool->seed, (uint32_t)(spool->seed >> 32)};
    peer_philox4x32(out, counter, key);
    return ((uint64_t)out[1] << 32) | out[0];
}

static int split_of(const struct lab_spool *spool, int64_t unit)
{
    if (spool->trained >= 0)
        return unit < spool->trained ? LAB_TRAIN : LAB_VALID;
    return unit_hash(spool, unit) < spool->threshold ? LAB_VALID : LAB_TRAIN;
}

/* Where a paragraph's empty line, or a line, ends at or behind `from`; `end` where none does. */
static int64_t boundary(const struct lab_spool *spool, int64_t from, int64_t end)
{
    const uint8_t *bytes = spool->bytes;
    while (from < end) {
        const uint8_t *feed = memchr(bytes + from, '\n', (size_t)(end - from));
        if (!feed)
            return end;
        from = feed - bytes + 1;
        if (spool->unit == LAB_UNIT_LINE)
            return from;
        int64_t next = from + (from < end && bytes[from] == '\r');
        if (next < end && bytes[next] == '\n')
            return next + 1;
    }
    return end;
}

/* End of the unit that begins at `at`, without the 0xff. */
static int64_t unit_end(const struct lab_spool *spool, int64_t at)
{
    const uint8_t *bytes = spool->bytes;
    int64_t last = spool->size - 1;
    if (spool->unit == LAB_UNIT_DOCUMENT)
        return (const uint8_t *)memchr(bytes + at, DOCUMENT_END, (size_t)(spool->size - at)) -
               bytes;
    return at + spool->run_bytes < last ? boundary(spool, at + spool->run_bytes, last) : last;
}

/* Where the unit behind the one that ends at `end` begins. */
static int64_t next_unit(const struct lab_spool *spool, int64_t end)
{
    return end + (spool->bytes[end] == DOCUMENT_END);
}

struct extremes {
    int64_t units;
    uint64_t low, high;
};

static struct extremes find_extremes(const struct lab_spool *spool)
{
    struct extremes extremes = {.low = UINT64_MAX};
    for (int64_t at = 0; at < spool->size; at = next_unit(spool, unit_end(spool, at))) {
        uint64_t hash = unit_hash(spool, extremes.units++);
        extremes.low = hash < extremes.low ? hash : extremes.low;
        extremes.high = hash > extremes.high ? hash : extremes.high;
    }
    return extremes;
}

/* Sets unit and threshold. */
static enum peer_status decide(struct lab_spool *spool, double share)
{
    spool->run_bytes = spool->size / RUNS < RUN_BYTES_MAX ? spool->size / RUNS : RUN_BYTES_MAX;
    spool->unit = spool->documents > 1 ? LAB_UNIT_DOCUMENT : LAB_UNIT_PARAGRAPH;
    struct extremes extremes = find_extremes(spool);
    if (extremes.units < 2 && spool->unit == LAB_UNIT_PARAGRAPH) {
        spool->unit = LAB_UNIT_LINE;
        extremes = find_extremes(spool);
    }
    if (extremes.units < 2)
        return peer_fail(spool->ctx, PEER_ERR_ARGUMENT,
                         "the text is one line of one document (%lld bytes), so no part of it can "
                         "be held out; give --valid FILE, or --valid-share 0 for none",
                         (long long)(spool->size - 1));
    spool->threshold = (uint64_t)ldexp(share, 64);
    if (extremes.low >= spool->threshold)
        spool->threshold = extremes.low + 1;
    if (extremes.high < spool->threshold)
        spool->threshold = extremes.high;
    return PEER_OK;
}

static enum peer_status map_file(struct lab_spool *spool)
{
    bool written = fflush(spool->file) == 0;
    if (!written)
        return fail_io(spool, "write");
    void *bytes = mmap(NULL, (size_t)spool->size, PROT_READ, MAP_PRIVATE, fileno(spool->file), 0);
    if (bytes == MAP_FAILED)
        return fail_io(spool, "map");
    madvise(bytes, (size_t)spool->size, MADV_SEQUENTIAL);
    spool->bytes = bytes;
    return PEER_OK;
}

enum peer_status lab_spool_split(struct lab_spool *spool, double share, uint64_t seed)
{
    assert(share >= 0 && share < 1);
    if (spool->documents == 0 || spool->trained == 0)
        return peer_fail(spool->ctx, PEER_ERR_ARGUMENT, "there is no text in the input");
    if (spool->trained == spool->documents)
        return peer_fail(spool->ctx, PEER_ERR_ARGUMENT, "there is no text in the --valid file");
    enum peer_status status = map_file(spool);
    spool->seed = seed;
    if (status == PEER_OK && spool->trained < 0 && share > 0)
        status = decide(spool, share);
    return status;
}

void lab_spool_remove(struct lab_spool *spool)
{
    if (spool->bytes)
        munmap((void *)spool->bytes, (size_t)spool->size);
    if (spool->file) {
        fclose(spool->file);
        unlink(spool->path);
    }
    spool->bytes = NULL;
    spool->file = NULL;
}

/* A place to cut text[0 ... limit): before a space or behind a control byte, else before a lead
 * byte, so that no word or no character is cut. */
static int64_t cut(const uint8_t *text, int64_t limit)
{
    for (int64_t at = limit; at > limit / 2; at--)
        if (text[at] == ' ' || text[at - 1] < ' ')
            return at;
    while ((text[limit] & 0xc0) == 0x80)
        limit--;
    return limit;
}

bool lab_spool_next(const struct lab_spool *spool, struct lab_spool_cursor *cursor,
                    struct lab_slice *slice)
{
    if (cursor->at >= spool->size)
        return false;
    if (cursor->limit == 0)
        cursor->limit = unit_end(spool, cursor->at);
    slice->text = spool->bytes + cursor->at;
    slice->bytes = cursor->limit - cursor->at;
    slice->split = split_of(spool, cursor->unit);
    slice->ends = false;
    if (slice->bytes > LAB_SLICE_BYTES) {
        slice->bytes = cut(slice->text, LAB_SLICE_BYTES);
        cursor->at += slice->bytes;
        return true;
    }
    bool document = spool->bytes[cursor->limit] == DOCUMENT_END;
    cursor->at = next_unit(spool, cursor->limit);
    cursor->limit = 0;
    cursor->unit++;
    slice->ends = document || split_of(spool, cursor->unit) != slice->split;
    return true;
}
