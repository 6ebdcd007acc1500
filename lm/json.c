/* SPDX-License-Identifier: MIT */
#include "lm/json.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/file.h"
#include "nn/pool.h"

/* A parse that is going on. What it gives back is freed at its end: to look for a block among those
 * that it holds would take the square of their number. */
struct guard {
    jmp_buf back;
    void **taken, **given; /* [count] of [capacity]; [gone], all of them taken */
    size_t count, gone, capacity;
};

static _Thread_local struct guard *guard; /* NULL = none: what jansson is asked for is no parse */
static _Thread_local bool failed;

/* Memory has ended: the parse is left, and frees what it holds. */
static void *give_up(void)
{
    failed = true;
    if (guard)
        longjmp(guard->back, 1);
    return NULL;
}

static bool grow(void ***list, size_t capacity)
{
    void **moved = realloc(*list, capacity * sizeof *moved);
    if (moved)
        *list = moved;
    return moved != NULL;
}

static void *take(size_t size)
{
    if (guard && guard->count == guard->capacity) {
        size_t capacity = 2 * guard->capacity + 64;
        if (!grow(&guard->taken, capacity) || !grow(&guard->given, capacity))
            return give_up();
        guard->capacity = capacity;
    }
    void *block = malloc(size);
    if (!block)
        return give_up();
    if (guard)
        guard->taken[guard->count++] = block;
    return block;
}

static void give(void *block)
{
    if (guard && block)
        guard->given[guard->gone++] = block;
    else
        free(block);
}

static void free_all(void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

/* Before main(): the functions are jansson's own state, and no thread may change them later. Blocks
 * are malloc()'s whoever took them. */
__attribute__((constructor)) static void set_functions(void)
{
    json_set_alloc_funcs(take, give);
}

void lm_json_watch(void)
{
    failed = false;
}

bool lm_json_failed(void)
{
    return failed;
}

char *lm_json_text(const json_t *json, size_t flags)
{
    char *text = json && !failed ? json_dumps(json, flags) : NULL;
    if (!failed)
        return text;
    free(text);
    return NULL;
}

/* NULL where memory ended, or the text is wrong. */
static json_t *load(struct guard *own, const char *text, size_t size, size_t flags,
                    json_error_t *error)
{
    json_t *json = NULL;
    if (setjmp(own->back) == 0) {
        guard = own;
        json = json_loadb(text, size, flags, error);
        guard = NULL;
        free_all(own->given, own->gone);
        return json;
    }
    guard = NULL;
    free_all(own->taken, own->count);
    return NULL;
}

enum peer_status lm_json_parse(json_t **ret, struct peer_ctx *ctx, const char *who,
                               const char *name, const char *text, size_t size, size_t flags)
{
    struct guard own = {.count = 0};
    json_error_t error = {.line = 1};
    const char *lead = who ? who : "", *colon = who ? ": " : "";
    lm_json_watch();
    json_t *json = load(&own, text, size, flags, &error);
    free(own.taken);
    free(own.given);
    if (failed)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s%s%s: no memory to read it", lead, colon, name);
    if (!json)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s%s%s:%d: %s", lead, colon, name, error.line,
                         error.text);
    *ret = json;
    return PEER_OK;
}

enum peer_status lm_json_open(json_t **ret, struct peer_ctx *ctx, const char *who, const char *path,
                              int64_t most, size_t flags)
{
    int file;
    int64_t size = 0;
    const char *reader = who ? who : "lm_json_open";
    enum peer_status status = peer_file_open(&file, &size, ctx, reader, path);
    if (status)
        return status;
    struct peer_pool pool = {.ctx = ctx};
    char *text = NULL;
    if (size > most)
        status = peer_fail(ctx, PEER_ERR_FORMAT, "%s: %s: bytes = %lld, expected at most %lld",
                           reader, path, (long long)size, (long long)most);
    else if (!(text = peer_pool_alloc(&pool, reader, 1, size, 1, 1)))
        status = PEER_ERR_MEMORY;
    else
        status = peer_file_read(text, size, 0, ctx, file, reader, path);
    close(file);
    if (!status)
        status = lm_json_parse(ret, ctx, who, path, text, (size_t)size, flags);
    peer_pool_free(&pool);
    return status;
}
