/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_buffer.h"

#include <string.h>

/* Where an empty buffer points, since NULL + 0 is undefined, and so is NULL for memchr(). */
static uint8_t nothing[1];

struct lab_buffer lab_buffer_create(struct peer_ctx *ctx)
{
    return (struct lab_buffer){.pool = {.ctx = ctx}, .bytes = nothing};
}

void lab_buffer_free(struct lab_buffer *buffer)
{
    peer_pool_free(&buffer->pool);
    buffer->bytes = nothing;
    buffer->count = buffer->capacity = 0;
}

enum peer_status lab_buffer_reserve(struct lab_buffer *buffer, int64_t more)
{
    if (more <= buffer->capacity - buffer->count)
        return PEER_OK;
    if (more > LAB_BUFFER_MOST - buffer->count)
        return peer_fail(buffer->pool.ctx, PEER_ERR_FORMAT,
                         "a text of more than %d bytes, the most that is held in one piece",
                         LAB_BUFFER_MOST);
    int64_t capacity = 2 * (buffer->count + more) + 256;
    struct peer_pool pool = {.ctx = buffer->pool.ctx};
    uint8_t *bytes = peer_pool_alloc(&pool, "text", 1, capacity, 1, 1);
    if (pool.failed)
        return PEER_ERR_MEMORY;
    if (buffer->count)
        memcpy(bytes, buffer->bytes, (size_t)buffer->count);
    peer_pool_free(&buffer->pool);
    buffer->pool = pool;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return PEER_OK;
}

enum peer_status lab_buffer_add(struct lab_buffer *buffer, const void *bytes, int64_t count)
{
    enum peer_status status = lab_buffer_reserve(buffer, count);
    if (status == PEER_OK && count) {
        memcpy(buffer->bytes + buffer->count, bytes, (size_t)count);
        buffer->count += count;
    }
    return status;
}

enum peer_status lab_buffer_add_text(struct lab_buffer *buffer, const char *text)
{
    enum peer_status status = lab_buffer_add(buffer, text, (int64_t)strlen(text) + 1);
    if (status == PEER_OK)
        buffer->count--;
    return status;
}
