/* SPDX-License-Identifier: MIT */
#include "lm/corpus.h"

#include <assert.h>
#include <string.h>

#include "lm/token_file.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/random.h"

struct lm_corpus {
    struct peer_pool pool;
    struct lm_token_file *files; /* [count], read one after the other as one stream */
    int64_t *start;              /* [count + 1] position of each one's first id */
    int64_t count, opened;
    uint32_t crc;
};

static struct lm_corpus *allocate(struct peer_ctx *ctx, int64_t count)
{
    struct peer_pool pool = {.ctx = ctx};
    static const char who[] = "lm_corpus_open";
    struct lm_corpus *corpus = peer_pool_alloc(&pool, who, sizeof *corpus, 1, 1, 1);
    struct lm_token_file *files = peer_pool_alloc(&pool, who, sizeof *files, count, 1, 1);
    int64_t *start = peer_pool_alloc(&pool, who, sizeof *start, count + 1, 1, 1);
    if (pool.failed) {
        peer_pool_free(&pool);
        return NULL;
    }
    *corpus = (struct lm_corpus){.pool = pool, .files = files, .start = start, .count = count};
    return corpus;
}

static enum peer_status open_files(struct lm_corpus *corpus, const struct lm_corpus_source *source)
{
    struct peer_ctx *ctx = corpus->pool.ctx;
    enum peer_status status = PEER_OK;
    while (corpus->opened < corpus->count) {
        int64_t i = corpus->opened;
        struct lm_token_file *file = &corpus->files[i];
        status = lm_token_file_open(file, ctx, source->paths[i], source->dtype, source->known);
        if (status)
            return status;
        corpus->opened++;
        corpus->start[i + 1] = corpus->start[i] + file->tokens;
        if (file->width != corpus->files->width)
            return peer_fail(ctx, PEER_ERR_FORMAT,
                             "lm_corpus_open: %s has ids of %d bytes, %s of %d; one stream has one "
                             "kind",
                             corpus->files->path, corpus->files->width, file->path, file->width);
    }
    if (corpus->start[corpus->count] < 2)
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "lm_corpus_open: %s: tokens = %lld, expected at least 2",
                           source->paths[0], (long long)corpus->start[corpus->count]);
    return status;
}

enum peer_status lm_corpus_open(struct lm_corpus **ret, struct peer_ctx *ctx,
                                const struct lm_corpus_source *source, int64_t vocab)
{
    assert(source->count >= 1);
    struct lm_corpus *corpus = allocate(ctx, source->count);
    if (!corpus)
        return PEER_ERR_MEMORY;
    enum peer_status status = open_files(corpus, source);
    if (!status)
        status =
            lm_token_scan(&corpus->crc, ctx, corpus->files, corpus->count, vocab, source->known);
    for (int64_t i = 0; i < corpus->opened; i++)
        corpus->files[i].path = NULL; /* the caller's */
    if (status)
        lm_corpus_close(&corpus);
    else
        *ret = corpus;
    return status;
}

void lm_corpus_close(struct lm_corpus **corpus)
{
    if (!corpus || !*corpus)
        return;
    struct peer_pool pool = (*corpus)->pool;
    for (int64_t i = 0; i < (*corpus)->opened; i++)
        lm_token_file_close(&(*corpus)->files[i]);
    peer_pool_free(&pool);
    *corpus = NULL;
}

int64_t lm_corpus_tokens(const struct lm_corpus *corpus)
{
    return corpus->start[corpus->count];
}

uint32_t lm_corpus_crc(const struct lm_corpus *corpus)
{
    return corpus->crc;
}

/* The file that holds position `at`. */
static int64_t file_of(const struct lm_corpus *corpus, int64_t at)
{
    int64_t low = 0, high = corpus->count;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (corpus->start[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void copy_ids(int32_t *ids, const struct lm_token_file *file, int64_t first, int64_t count)
{
    if (file->width == 2) {
        const uint16_t *from = (const uint16_t *)file->ids + first;
        for (int64_t i = 0; i < count; i++)
            ids[i] = from[i];
    } else {
        memcpy(ids, file->ids + 4 * first, (size_t)count * sizeof *ids);
    }
}

void lm_corpus_read(const struct lm_corpus *corpus, int32_t *ids, int64_t first, int64_t count)
{
    assert(first >= 0 && count >= 0 && first + count <= lm_corpus_tokens(corpus));
    for (int64_t i = file_of(corpus, first); count > 0; i++) {
        int64_t here = peer_min(corpus->start[i + 1] - first, count);
        copy_ids(ids, &corpus->files[i], first - corpus->start[i], here);
        ids += here;
        first += here;
        count -= here;
    }
}

int32_t lm_corpus_id(const struct lm_corpus *corpus, int64_t at)
{
    int32_t id;
    lm_corpus_read(corpus, &id, at, 1);
    return id;
}

int64_t lm_corpus_sequences(const struct lm_corpus *corpus, int64_t length)
{
    return (lm_corpus_tokens(corpus) - 1) / length;
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
    uint64_t pairs = (uint64_t)lm_corpus_tokens(corpus) - 1, count = pairs / (uint64_t)S;
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
        for (int64_t s = 0; s < S;) {
            int64_t run = peer_min(S - s, (int64_t)(pairs - at));
            lm_corpus_read(corpus, inputs + b * S + s, (int64_t)at, run);
            lm_corpus_read(corpus, targets + b * S + s, (int64_t)at + 1, run);
            s += run;
            at = 0;
        }
    }
}

void lm_corpus_window(const struct lm_corpus *corpus, int32_t *inputs, int32_t *targets, int64_t B,
                      int64_t S, int64_t first)
{
    int64_t pairs = lm_corpus_tokens(corpus) - 1, at = first * S;
    int64_t there = at < pairs ? peer_min(pairs - at, B * S) : 0;
    if (there > 0) {
        lm_corpus_read(corpus, inputs, at, there);
        lm_corpus_read(corpus, targets, at + 1, there);
    }
    for (int64_t i = there; i < B * S; i++)
        inputs[i] = targets[i] = -1;
}
