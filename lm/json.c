/* SPDX-License-Identifier: MIT */
#include "lm/json.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lm/file.h"
#include "nn/pool.h"

/* A parse that is going on, with the blocks that it holds. */
struct guard {
    jmp_buf back;
    void **blocks;
    size_t count, capacity;
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

static void *take(size_t size)
{
    if (guard && guard->count == guard->capacity) {
        size_t capacity = 2 * guard->capacity + 64;
        void **blocks = realloc(guard->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return give_up();
        guard->blocks = blocks;
        guard->capacity = capacity;
    }
    void *block = malloc(size);
    if (!block)
        return give_up();
    if (guard)
        guard->blocks[guard->count++] = block;
    return block;
}

/* What a parse frees it took last, but for a few tables that grew. */
static void give(void *block)
{
    size_t at = guard && block ? guard->count : 0;
    while (at > 0 && guard->blocks[at - 1] != block)
        at--;
    if (at > 0)
        guard->blocks[at - 1] = guard->blocks[--guard->count];
    free(block);
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
        return json;
    }
    guard = NULL;
    for (size_t i = 0; i < own->count; i++)
        free(own->blocks[i]);
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
    free(own.blocks);
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
    enum peer_status status = lm_file_open(&file, &size, ctx, reader, path);
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
        status = lm_file_read(text, size, 0, ctx, file, reader, path);
    close(file);
    if (!status)
        status = lm_json_parse(ret, ctx, who, path, text, (size_t)size, flags);
    peer_pool_free(&pool);
    return status;
}
