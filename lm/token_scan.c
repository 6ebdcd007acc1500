/* SPDX-License-Identifier: MIT */
/* One pass over the ids of token files, in parallel: their checksum, their largest, and whether
 * they look like ids of another width. */
#include <string.h>
#include <zlib.h>

#include "lm/token_file.h"
#include "nn/parallel.h"
#include "nn/pool.h"

/* Ids of a tile, of a part of it that stays in the cache; a stream of fewer ids shows no pattern.
 */
enum { TILE = 1 << 19, PART = 1 << 13, PHASES = 4, LEAST = 64, EXAMINED = 1 << 20 };

struct tile {
    uint32_t crc, largest;
    int64_t zeros[PHASES]; /* at positions 0, 1, 2, 3 mod 4 */
    uint32_t most[2];      /* the largest id at even and at odd positions */
};

struct scan {
    const struct lm_token_file *file;
    struct tile *tiles;
};

static uint32_t id_at(const struct lm_token_file *file, int64_t at)
{
    uint16_t narrow;
    uint32_t wide;
    if (file->width == 4) {
        memcpy(&wide, file->ids + 4 * at, sizeof wide);
        return wide;
    }
    memcpy(&narrow, file->ids + 2 * at, sizeof narrow);
    return narrow;
}

/* Largest and zeros of ids of one width; compiles to vector instructions. `count` is a multiple of
 * PHASES but at a file's end. */
#define SCAN(name, type)                                                                           \
    static void name(struct tile *tile, const type *ids, int64_t count)                            \
    {                                                                                              \
        type most[PHASES] = {0};                                                                   \
        int32_t zeros[PHASES] = {0};                                                               \
        for (int64_t at = 0; at < count; at += PHASES)                                             \
            for (int phase = 0; phase < PHASES && at + phase < count; phase++) {                   \
                type id = ids[at + phase];                                                         \
                most[phase] = id > most[phase] ? id : most[phase];                                 \
                zeros[phase] += id == 0;                                                           \
            }                                                                                      \
        for (int phase = 0; phase < PHASES; phase++) {                                             \
            tile->zeros[phase] += zeros[phase];                                                    \
            if (most[phase] > tile->most[phase % 2])                                               \
                tile->most[phase % 2] = most[phase];                                               \
        }                                                                                          \
    }

SCAN(scan_narrow, uint16_t)
SCAN(scan_wide, uint32_t)

static void scan_tile(void *arg, int64_t number, int thread)
{
    (void)thread;
    const struct scan *scan = arg;
    const struct lm_token_file *file = scan->file;
    struct tile *tile = &scan->tiles[number];
    int64_t first = number * TILE, end = peer_min(first + TILE, file->tokens);
    unsigned long crc = crc32_z(0, NULL, 0);
    for (int64_t at = first; at < end; at += PART) {
        int64_t count = peer_min(PART, end - at);
        const uint8_t *ids = file->ids + at * file->width;
        crc = crc32_z(crc, ids, (size_t)(count * file->width));
        if (file->width == 2)
            scan_narrow(tile, (const uint16_t *)ids, count);
        else
            scan_wide(tile, (const uint32_t *)ids, count);
    }
    tile->crc = (uint32_t)crc;
    tile->largest = tile->most[0] > tile->most[1] ? tile->most[0] : tile->most[1];
}

/* What ids whose width nothing states look like besides, and what to do; NULL = nothing. The user's
 * word for 2 bytes is taken; that for 4 is not asked whether they are 8, which it cannot say. Of a
 * larger width the high halves stand at every second place, or three of four, and are 0 or low. */
static const char *suspicion(const struct lm_token_file *file, const struct tile *all)
{
    int64_t quarter = file->tokens / PHASES;
    bool zero[PHASES];
    int empty = 0;
    if (file->stated || (file->asked && file->width == 2) || file->tokens < LEAST)
        return NULL;
    for (int phase = 0; phase < PHASES; phase++)
        empty += zero[phase] = 10 * all->zeros[phase] >= 9 * quarter;
    bool odd = zero[1] && zero[3], even = zero[0] && zero[2];
    bool low = file->width == 2 && all->most[1] < 32 && all->most[0] >= 1024;
    if (empty == 3)
        return file->width == 2 ? "three of four ids are 0: these look like 64-bit integers; store "
                                  "them as uint32 (dtype: uint32) or as .npy of uint16 or uint32; "
                                  "if they are uint16, set dtype: uint16"
                                : NULL;
    if (empty == 2 && odd && file->width == 2)
        return "nearly every second id is 0: this looks like uint32; set dtype: uint32, or dtype: "
               "uint16 if that is what it is";
    if (empty == 2 && odd)
        return "nearly every second id is 0: these look like 64-bit integers; store them as "
               "uint32; if they are that, store them as .npy, whose header says so";
    if (empty == 2 && even)
        return "nearly every second id is 0, the first among them: this looks like larger integers "
               "in big-endian order; store them as little-endian uint16 or uint32; if they are "
               "that, store them as .npy, whose header says so";
    return low ? "every second id is below 32, the others are not: this looks like uint32; set "
                 "dtype: uint32, or dtype: uint16 if that is what it is"
               : NULL;
}

static bool all_below(const struct lm_token_file *file, int64_t limit, int width, bool swapped)
{
    struct lm_token_file other = *file;
    other.width = width;
    other.tokens = peer_min(file->tokens * file->width / width, EXAMINED);
    for (int64_t i = 0; i < other.tokens; i++) {
        uint32_t id = id_at(&other, i);
        if (swapped)
            id = width == 2 ? (uint32_t)__builtin_bswap16((uint16_t)id) : __builtin_bswap32(id);
        if (id >= limit)
            return false;
    }
    return true;
}

/* Why ids may not fit the vocabulary. */
static const char *reason(const struct lm_token_file *file, int64_t limit)
{
    if (file->stated)
        return "";
    if (all_below(file, limit, file->width, true))
        return "; in big-endian order they fit: swap the bytes of each id";
    if (file->width == 2 && file->bytes % 4 == 0 && all_below(file, limit, 4, false))
        return "; read as uint32 they fit: set dtype: uint32";
    return file->width == 4 && all_below(file, limit, 2, false)
               ? "; read as uint16 they fit: set dtype: uint16"
               : "";
}

static enum peer_status check_ids(const struct scan *scan, struct peer_ctx *ctx, int64_t vocab)
{
    const struct lm_token_file *file = scan->file;
    int64_t limit = vocab ? vocab : (int64_t)1 << 31, tile = 0;
    int64_t tiles = peer_tiles(file->tokens, TILE);
    while (tile < tiles && scan->tiles[tile].largest < limit)
        tile++;
    if (tile == tiles)
        return PEER_OK;
    int64_t at = tile * TILE;
    while (id_at(file, at) < limit)
        at++;
    if (!vocab)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: id %u at position %lld, but ids are below %lld in "
                         "any vocabulary",
                         file->path, (unsigned)id_at(file, at), (long long)at, (long long)limit);
    return peer_fail(ctx, PEER_ERR_FORMAT,
                     "lm_corpus_open: %s: id %u at position %lld, but the vocabulary has %lld%s",
                     file->path, (unsigned)id_at(file, at), (long long)at, (long long)limit,
                     reason(file, limit));
}

static enum peer_status scan_file(uint32_t *crc, struct peer_ctx *ctx,
                                  const struct lm_token_file *file, int64_t vocab, bool known)
{
    struct peer_pool pool = {.ctx = ctx};
    struct scan scan = {.file = file};
    struct tile all = {0};
    int64_t tiles = peer_tiles(file->tokens, TILE);
    scan.tiles = peer_pool_alloc(&pool, "lm_corpus_open", sizeof *scan.tiles, tiles, 1, 1);
    if (pool.failed)
        return PEER_ERR_MEMORY;
    peer_parallel(ctx, tiles, scan_tile, &scan);
    for (int64_t i = 0; i < tiles; i++) {
        const struct tile *tile = &scan.tiles[i];
        int64_t bytes = peer_min(TILE, file->tokens - i * TILE) * file->width;
        *crc = (uint32_t)crc32_combine(*crc, tile->crc, bytes);
        for (int phase = 0; phase < PHASES; phase++)
            all.zeros[phase] += tile->zeros[phase];
        for (int parity = 0; parity < 2; parity++)
            if (tile->most[parity] > all.most[parity])
                all.most[parity] = tile->most[parity];
    }
    const char *doubt = known ? NULL : suspicion(file, &all);
    enum peer_status status =
        doubt ? peer_fail(ctx, PEER_ERR_FORMAT, "lm_corpus_open: %s: %s", file->path, doubt)
              : check_ids(&scan, ctx, vocab);
    peer_pool_free(&pool);
    return status;
}

enum peer_status lm_token_scan(uint32_t *crc, struct peer_ctx *ctx,
                               const struct lm_token_file *files, int64_t count, int64_t vocab,
                               bool known)
{
    uint32_t sum = (uint32_t)crc32_z(0, NULL, 0);
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < count && !status; i++)
        status = scan_file(&sum, ctx, &files[i], vocab, known);
    if (!status)
        *crc = sum;
    return status;
}
