/* SPDX-License-Identifier: MIT */
#include "lm/corpus.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lm/file.h"
#include "nn/pool.h"
#include "nn/random.h"

enum { LLMC_MAGIC = 20240520, LLMC_VERSION = 1, LLMC_HEADER = 256 * 4, SCAN_BLOCK = 1 << 16 };

struct lm_corpus {
    struct peer_pool pool;
    void *map;
    size_t bytes;
    const uint16_t *ids;
    int64_t tokens;
};

static enum peer_status map_file(struct lm_corpus *corpus, const char *path)
{
    struct peer_ctx *ctx = corpus->pool.ctx;
    int file;
    int64_t bytes;
    enum peer_status status = lm_file_open(&file, &bytes, ctx, "lm_corpus_open", path);
    if (status)
        return status;
    void *map = bytes ? mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    if (map == MAP_FAILED) {
        status = peer_fail(ctx, PEER_ERR_IO, "lm_corpus_open: %s: %s", path, strerror(errno));
    } else if (!map) {
        status = peer_fail(ctx, PEER_ERR_FORMAT, "lm_corpus_open: %s: empty", path);
    } else {
        corpus->map = map;
        corpus->bytes = (size_t)bytes;
    }
    close(file);
    return status;
}

/* Finds ids and tokens of an llm.c file. */
static enum peer_status read_llmc(struct lm_corpus *corpus, const char *path)
{
    struct peer_ctx *ctx = corpus->pool.ctx;
    const int32_t *header = corpus->map;
    if (corpus->bytes < LLMC_HEADER)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: %zu bytes, but llm.c's header has %d", path,
                         corpus->bytes, LLMC_HEADER);
    if (header[1] != LLMC_VERSION)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: llm.c version = %d, expected %d", path, header[1],
                         LLMC_VERSION);
    int64_t held = (int64_t)(corpus->bytes - LLMC_HEADER);
    if (header[2] < 0 || held != 2 * (int64_t)header[2])
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: the header says %d tokens of 2 bytes, but %lld bytes "
                         "follow it",
                         path, header[2], (long long)held);
    corpus->ids = (const uint16_t *)(header + LLMC_HEADER / 4);
    corpus->tokens = header[2];
    return PEER_OK;
}

static enum peer_status read_layout(struct lm_corpus *corpus, const char *path)
{
    struct peer_ctx *ctx = corpus->pool.ctx;
    int32_t magic = 0;
    memcpy(&magic, corpus->map, corpus->bytes < sizeof magic ? corpus->bytes : sizeof magic);
    if (magic == LLMC_MAGIC)
        return read_llmc(corpus, path);
    if (corpus->bytes % 2)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: %zu bytes are not a whole number of 2-byte ids", path,
                         corpus->bytes);
    corpus->ids = corpus->map;
    corpus->tokens = (int64_t)(corpus->bytes / 2);
    return PEER_OK;
}

/* Ids are compared in blocks by their maximum, which compiles to vector instructions. */
static enum peer_status check_ids(const struct lm_corpus *corpus, const char *path, int64_t vocab)
{
    if (vocab == 0 || vocab > UINT16_MAX)
        return PEER_OK;
    for (int64_t start = 0; start < corpus->tokens; start += SCAN_BLOCK) {
        int64_t left = corpus->tokens - start;
        int count = left < SCAN_BLOCK ? (int)left : SCAN_BLOCK;
        const uint16_t *ids = corpus->ids + start;
        uint16_t largest = 0;
        for (int i = 0; i < count; i++)
            largest = ids[i] > largest ? ids[i] : largest;
        if (largest < vocab)
            continue;
        int at = 0;
        while (ids[at] < vocab)
            at++;
        return peer_fail(corpus->pool.ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: id %d at position %lld, but the vocabulary has %lld",
                         path, ids[at], (long long)(start + at), (long long)vocab);
    }
    return PEER_OK;
}

enum peer_status lm_corpus_open(struct lm_corpus **ret, struct peer_ctx *ctx, const char *path,
                                int64_t vocab)
{
    struct peer_pool pool = {.ctx = ctx};
    struct lm_corpus *corpus = peer_pool_alloc(&pool, "lm_corpus_open", sizeof *corpus, 1, 1, 1);
    if (!corpus)
        return PEER_ERR_MEMORY;
    corpus->pool = pool;
    enum peer_status status = map_file(corpus, path);
    if (!status)
        status = read_layout(corpus, path);
    if (!status && corpus->tokens < 2)
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "lm_corpus_open: %s: tokens = %lld, expected at least 2", path,
                           (long long)corpus->tokens);
    if (!status)
        status = check_ids(corpus, path, vocab);
    if (status) {
        lm_corpus_close(&corpus);
        return status;
    }
    *ret = corpus;
    return PEER_OK;
}

void lm_corpus_close(struct lm_corpus **corpus)
{
    if (!corpus || !*corpus)
        return;
    struct peer_pool pool = (*corpus)->pool;
    if ((*corpus)->map)
        munmap((*corpus)->map, (*corpus)->bytes);
    peer_pool_free(&pool);
    *corpus = NULL;
}

int64_t lm_corpus_tokens(const struct lm_corpus *corpus)
{
    return corpus->tokens;
}

const uint16_t *lm_corpus_ids(const struct lm_corpus *corpus)
{
    return corpus->ids;
}

int64_t lm_corpus_sequences(const struct lm_corpus *corpus, int64_t length)
{
    return (corpus->tokens - 1) / length;
}

/* The order of one epoch. */
struct epoch_order {
    uint32_t key[2];
    uint64_t epoch;
    int low_bits, high_bits; /* of the permuted domain, the smallest power of 2 >= count */
};

enum { ROUNDS = 8, OFFSET_ROUND = ROUNDS };

static uint64_t draw(const struct epoch_order *order, uint32_t round, uint32_t value)
{
    uint32_t out[4];
    uint32_t counter[4] = {value, round, (uint32_t)order->epoch, (uint32_t)(order->epoch >> 32)};
    peer_philox4x32(out, counter, order->key);
    return (uint64_t)out[1] << 32 | out[0];
}

static struct epoch_order order_of(uint64_t seed, int64_t length, uint64_t epoch, uint64_t count)
{
    struct epoch_order order = {.epoch = epoch};
    uint64_t stream = peer_stream("corpus.order");
    for (uint64_t i = 0; i < 2; i++)
        order.key[i] = peer_random_bits(seed, stream, 2 * (uint64_t)length + i);
    int bits = 0;
    while (bits < 63 && (uint64_t)1 << bits < count)
        bits++;
    order.low_bits = bits / 2;
    order.high_bits = bits - bits / 2;
    return order;
}

/* Window number `rank` of the epoch: a Feistel network of Philox rounds permutes the power of two;
 * walking its cycles until the value is below `count` restricts it to a permutation of the windows
 * (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). */
static uint64_t window_at(const struct epoch_order *order, uint64_t count, uint64_t rank)
{
    uint64_t low_mask = ((uint64_t)1 << order->low_bits) - 1;
    uint64_t high_mask = ((uint64_t)1 << order->high_bits) - 1;
    uint64_t value = rank;
    do {
        uint64_t low = value & low_mask, high = value >> order->low_bits;
        for (uint32_t round = 0; round < ROUNDS; round += 2) {
            high ^= draw(order, round, (uint32_t)low) & high_mask;
            low ^= draw(order, round + 1, (uint32_t)high) & low_mask;
        }
        value = high << order->low_bits | low;
    } while (value >= count);
    return value;
}

void lm_corpus_batch(const struct lm_corpus *corpus, int32_t *inputs, int32_t *targets, int64_t B,
                     int64_t S, uint64_t seed, int64_t position)
{
    uint64_t pairs = (uint64_t)corpus->tokens - 1, count = pairs / (uint64_t)S;
    assert(count > 0 && position >= 0);
    struct epoch_order order = {0};
    uint64_t offset = 0;
    for (int64_t b = 0; b < B; b++) {
        uint64_t epoch = (uint64_t)(position + b) / count, rank = (uint64_t)(position + b) % count;
        if (b == 0 || rank == 0) {
            order = order_of(seed, S, epoch, count);
            offset = draw(&order, OFFSET_ROUND, 0) % pairs;
        }
        uint64_t at = (offset + window_at(&order, count, rank) * (uint64_t)S) % pairs;
        for (int64_t s = 0; s < S; s++) {
            inputs[b * S + s] = corpus->ids[at];
            targets[b * S + s] = corpus->ids[at + 1];
            at = at + 1 == pairs ? 0 : at + 1;
        }
    }
}

void lm_corpus_window(const struct lm_corpus *corpus, int32_t *inputs, int32_t *targets, int64_t B,
                      int64_t S, int64_t first)
{
    int64_t pairs = corpus->tokens - 1;
    for (int64_t i = 0; i < B * S; i++) {
        int64_t at = first * S + i;
        inputs[i] = at < pairs ? corpus->ids[at] : -1;
        targets[i] = at < pairs ? corpus->ids[at + 1] : -1;
    }
}
