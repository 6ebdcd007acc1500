/* SPDX-License-Identifier: MIT */
#include "nn/tables/rows.h"

#include <assert.h>
#include <string.h>

#include "nn/context_private.h"
#include "nn/kernels/kernels.h"
#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/tables/squares.h"

enum {
    DIGIT_BITS = 11,
    DIGITS = 3, /* 3 * 11 >= 31 */
    BUCKETS = 1 << DIGIT_BITS,
    PERMUTE_TILE = 16384, /* entries */
    SQUARES_TILE = 64,    /* tokens */
    AHEAD = 4,            /* source rows of the next touched row to prefetch */
};

/* The object behind a struct peer_rows. Sorting keeps pairs (key, position), twice; afterwards the
 * entries in use lie in row order in `sorted_token` and `sorted_coef`, so that a row's gradient
 * reads them in sequence. */
struct owner {
    struct peer_rows rows;
    struct peer_pool pool;
    int64_t used; /* entries with a row, after grouping */
    int32_t *key, *spare_key, *spare_order;
    int32_t (*histogram)[BUCKETS]; /* [DIGITS] */
    int32_t *sorted_token;
    float *sorted_coef[PEER_ROWS_SEGMENTS];
    double *squares[PEER_ROWS_SEGMENTS]; /* [tokens]: sum of squares of a source, after grouping */
    int64_t source_width[PEER_ROWS_SEGMENTS]; /* 0 where no segment uses the source */
};

static enum peer_status check_segments(struct peer_ctx *ctx, const struct peer_rows_config *c)
{
    for (int s = 0; s < c->segments; s++) {
        const struct peer_rows_segment *a = &c->segment[s];
        if (a->offset < 0 || a->width < 1 || a->width > c->width ||
            a->offset > c->width - a->width || a->source < 0 || a->source >= PEER_ROWS_SEGMENTS)
            return peer_fail(ctx, PEER_ERR_ARGUMENT,
                             "peer_rows_create: segment %d of %lld columns from %lld with source "
                             "%d, expected columns within %lld and a source from 0 to %d",
                             s, (long long)a->width, (long long)a->offset, a->source,
                             (long long)c->width, PEER_ROWS_SEGMENTS - 1);
        for (int r = 0; r < s; r++) {
            const struct peer_rows_segment *b = &c->segment[r];
            if (a->offset < b->offset + b->width && b->offset < a->offset + a->width)
                return peer_fail(ctx, PEER_ERR_ARGUMENT,
                                 "peer_rows_create: segments %d and %d overlap: columns %lld to "
                                 "%lld and %lld to %lld",
                                 r, s, (long long)b->offset, (long long)(b->offset + b->width - 1),
                                 (long long)a->offset, (long long)(a->offset + a->width - 1));
            if (a->source == b->source && a->width != b->width)
                return peer_fail(ctx, PEER_ERR_ARGUMENT,
                                 "peer_rows_create: segments %d and %d share source %d but are "
                                 "%lld and %lld columns wide",
                                 r, s, a->source, (long long)b->width, (long long)a->width);
        }
    }
    return PEER_OK;
}

static enum peer_status check(struct peer_ctx *ctx, const struct peer_rows_config *c)
{
    if (c->rows < 1 || c->rows > INT32_MAX || c->width < 1 || c->tokens < 1 ||
        c->tokens > INT32_MAX || c->entries < 1 || c->entries > INT32_MAX)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_rows_create: rows = %lld, width = %lld, tokens = %lld, entries = "
                         "%lld, expected at least 1 and, but for the width, at most %d",
                         (long long)c->rows, (long long)c->width, (long long)c->tokens,
                         (long long)c->entries, INT32_MAX);
    if (c->segments < 1 || c->segments > PEER_ROWS_SEGMENTS)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "peer_rows_create: segments = %d, expected 1 to %d", c->segments,
                         PEER_ROWS_SEGMENTS);
    return check_segments(ctx, c);
}

/* Everything but the object itself. */
static void allocate(struct owner *o, struct peer_pool *pool, const struct peer_rows_config *c)
{
    struct peer_rows *rows = &o->rows;
    int64_t touched = peer_min(c->entries, c->rows);
    rows->row = peer_pool_ids(pool, "rows.row", c->entries, 1);
    rows->token = peer_pool_ids(pool, "rows.token", c->entries, 1);
    rows->ids = peer_pool_ids(pool, "rows.ids", touched, 1);
    rows->first = peer_pool_ids(pool, "rows.first", touched + 1, 1);
    rows->order = peer_pool_ids(pool, "rows.order", c->entries, 1);
    o->key = peer_pool_ids(pool, "rows.key", c->entries, 1);
    o->spare_key = peer_pool_ids(pool, "rows.key", c->entries, 1);
    o->spare_order = peer_pool_ids(pool, "rows.order", c->entries, 1);
    o->histogram = peer_pool_alloc(pool, "rows.histogram", sizeof *o->histogram, DIGITS, 1, 1);
    for (int s = 0; s < c->segments; s++) {
        int source = c->segment[s].source;
        rows->coef[s] = peer_pool_floats(pool, "rows.coef", c->entries, 1);
        o->sorted_coef[s] = peer_pool_floats(pool, "rows.coef", c->entries, 1);
        o->source_width[source] = c->segment[s].width;
    }
    for (int source = 0; source < PEER_ROWS_SEGMENTS; source++) {
        if (!o->source_width[source])
            continue;
        rows->source[source] =
            peer_pool_floats(pool, "rows.source", c->tokens, o->source_width[source]);
        o->squares[source] = peer_pool_alloc(pool, "rows.squares", sizeof(double), c->tokens, 1, 1);
    }
}

enum peer_status peer_rows_create(struct peer_rows **ret, struct peer_ctx *ctx,
                                  const struct peer_rows_config *config)
{
    enum peer_status status = check(ctx, config);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    struct owner *o = peer_pool_alloc(&pool, "rows", sizeof *o, 1, 1, 1);
    if (o)
        allocate(o, &pool, config);
    if (pool.failed) {
        peer_pool_free(&pool);
        return PEER_ERR_MEMORY;
    }
    o->pool = pool;
    o->rows.config = *config;
    o->rows.owner = o;
    *ret = &o->rows;
    return PEER_OK;
}

int64_t peer_rows_columns(const struct peer_rows_config *config)
{
    int64_t columns = 0;
    for (int s = 0; s < config->segments; s++)
        columns += config->segment[s].width;
    return columns;
}

size_t peer_rows_memory(const struct peer_rows_config *config)
{
    struct peer_pool measure = {.ctx = NULL};
    struct owner unused = {.used = 0};
    peer_pool_alloc(&measure, "rows", sizeof unused, 1, 1, 1);
    allocate(&unused, &measure, config);
    return measure.bytes;
}

void peer_rows_destroy(struct peer_rows **rows)
{
    if (!rows || !*rows)
        return;
    struct peer_pool pool = ((struct owner *)(*rows)->owner)->pool;
    peer_pool_free(&pool);
    *rows = NULL;
}

void peer_rows_catch_up(const struct peer_rows *rows, const int32_t *ids, int64_t n)
{
    if (rows && rows->catch_up)
        rows->catch_up(rows->catch_up_user, ids, n);
}

void peer_rows_clear(struct peer_rows *rows)
{
    rows->tokens = rows->entries = rows->touched = 0;
    rows->grouped = false;
}

struct peer_rows_block peer_rows_reserve(struct peer_rows *rows, int64_t tokens, int64_t slots)
{
    const struct peer_rows_config *c = &rows->config;
    assert(tokens >= 0 && slots >= 0 && tokens <= c->tokens - rows->tokens);
    assert(tokens == 0 || slots <= (c->entries - rows->entries) / tokens);
    int64_t at = rows->entries;
    struct peer_rows_block block = {.row = rows->row + at};
    for (int s = 0; s < c->segments; s++) {
        int source = c->segment[s].source;
        block.coef[s] = rows->coef[s] + at;
        block.source[source] = rows->source[source] + rows->tokens * c->segment[s].width;
    }
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t j = 0; j < slots; j++)
            rows->token[at + t * slots + j] = (int32_t)(rows->tokens + t);
    rows->tokens += tokens;
    rows->entries += tokens * slots;
    rows->grouped = false;
    return block;
}

static int digit_of(int32_t key, int digit)
{
    return (int)((uint32_t)key >> (digit * DIGIT_BITS)) & (BUCKETS - 1);
}

/* Copies the entries that have a row to (key, order) and counts their digits. */
static void collect(struct owner *o)
{
    struct peer_rows *rows = &o->rows;
    memset(o->histogram, 0, DIGITS * sizeof *o->histogram);
    int64_t used = 0;
    for (int64_t e = 0; e < rows->entries; e++) {
        int32_t row = rows->row[e];
        assert(row >= -1 && row < rows->config.rows);
        if (row < 0)
            continue;
        o->key[used] = row;
        rows->order[used++] = (int32_t)e;
        for (int digit = 0; digit < DIGITS; digit++)
            o->histogram[digit][digit_of(row, digit)]++;
    }
    o->used = used;
}

/* One stable pass of the radix sort, from (key, order) to the spare pair, which then becomes it. */
static void sort_by_digit(struct owner *o, int digit)
{
    struct peer_rows *rows = &o->rows;
    int32_t *next = o->histogram[digit], *key = o->key, *order = rows->order;
    int32_t sum = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        int32_t count = next[bucket];
        next[bucket] = sum;
        sum += count;
    }
    for (int64_t e = 0; e < o->used; e++) {
        int32_t to = next[digit_of(key[e], digit)]++;
        o->spare_key[to] = key[e];
        o->spare_order[to] = order[e];
    }
    o->key = o->spare_key;
    o->spare_key = key;
    rows->order = o->spare_order;
    o->spare_order = order;
}

static void permute_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    struct owner *o = job;
    const struct peer_rows *rows = &o->rows;
    int64_t begin = tile * PERMUTE_TILE, end = peer_min(begin + PERMUTE_TILE, o->used);
    for (int64_t e = begin; e < end; e++)
        o->sorted_token[e] = rows->token[rows->order[e]];
    for (int s = 0; s < rows->config.segments; s++)
        for (int64_t e = begin; e < end; e++)
            o->sorted_coef[s][e] = rows->coef[s][rows->order[e]];
}

static void squares_tile(void *job, int64_t tile, int thread)
{
    (void)thread;
    struct owner *o = job;
    const struct peer_rows *rows = &o->rows;
    int64_t begin = tile * SQUARES_TILE, end = peer_min(begin + SQUARES_TILE, rows->tokens);
    for (int source = 0; source < PEER_ROWS_SEGMENTS; source++)
        for (int64_t t = begin; t < end && rows->source[source]; t++)
            o->squares[source][t] = peer_sum_squares(
                rows->source[source] + t * o->source_width[source], o->source_width[source]);
}

void peer_rows_group(struct peer_rows *rows)
{
    if (rows->grouped)
        return;
    struct owner *o = rows->owner;
    collect(o);
    for (int digit = 0; digit < DIGITS; digit++)
        if (o->used && o->histogram[digit][digit_of(o->key[0], digit)] != o->used)
            sort_by_digit(o, digit);
    rows->touched = 0;
    for (int64_t e = 0; e < o->used; e++) {
        if (e && o->key[e] == o->key[e - 1])
            continue;
        rows->ids[rows->touched] = o->key[e];
        rows->first[rows->touched++] = (int32_t)e;
    }
    rows->first[rows->touched] = (int32_t)o->used;
    o->sorted_token = o->spare_key;
    peer_parallel(o->pool.ctx, peer_tiles(o->used, PERMUTE_TILE), permute_tile, o);
    peer_parallel(o->pool.ctx, peer_tiles(rows->tokens, SQUARES_TILE), squares_tile, o);
    rows->grouped = true;
}

void peer_rows_gradient(float *g, const struct peer_rows *rows, int64_t i)
{
    assert(rows->grouped && i >= 0 && i < rows->touched);
    const struct owner *o = rows->owner;
    const struct peer_rows_config *c = &rows->config;
    int64_t first = rows->first[i], m = rows->first[i + 1] - first;
    int64_t ahead = peer_min(AHEAD, o->used - first - m);
    memset(g, 0, (size_t)c->width * sizeof *g);
    for (int s = 0; s < c->segments; s++) {
        const struct peer_rows_segment *segment = &c->segment[s];
        peer_kernels(o->pool.ctx)
            ->rows_axpy(g + segment->offset, rows->source[segment->source], segment->width,
                        o->sorted_token + first, m, ahead, o->sorted_coef[s] + first,
                        segment->width);
    }
}

int64_t peer_rows_first(struct peer_rows_part *parts, const struct peer_rows *rows, int64_t i)
{
    assert(rows->grouped && i >= 0 && i < rows->touched);
    const struct owner *o = rows->owner;
    int64_t first = rows->first[i];
    for (int s = 0; s < rows->config.segments; s++) {
        const struct peer_rows_segment *segment = &rows->config.segment[s];
        parts[s].values = rows->source[segment->source] + o->sorted_token[first] * segment->width;
        parts[s].coef = o->sorted_coef[s][first];
    }
    return rows->first[i + 1] - first;
}

double peer_rows_gradient_squares(float *g, const struct peer_rows *rows, int64_t i)
{
    assert(rows->grouped && i >= 0 && i < rows->touched);
    const struct owner *o = rows->owner;
    const struct peer_rows_config *c = &rows->config;
    int64_t first = rows->first[i];
    if (rows->first[i + 1] - first > 1) {
        peer_rows_gradient(g, rows, i);
        return peer_sum_squares(g, c->width);
    }
    double sum = 0;
    for (int s = 0; s < c->segments; s++) {
        double coef = o->sorted_coef[s][first];
        sum += coef * coef * o->squares[c->segment[s].source][o->sorted_token[first]];
    }
    return sum;
}
