/* SPDX-License-Identifier: MIT */
/* Bytes that grow. */
#ifndef PEER_EXPERIMENTS_DATA_TEXT_BUFFER_H
#define PEER_EXPERIMENTS_DATA_TEXT_BUFFER_H

#include "nn/pool.h"

enum { LAB_BUFFER_MOST = 1 << 30 /* bytes */ };

struct lab_buffer {
    struct peer_pool pool;
    uint8_t *bytes; /* [count], never NULL */
    int64_t count, capacity;
};

/* An empty buffer on `ctx`. */
struct lab_buffer lab_buffer_create(struct peer_ctx *ctx);
void lab_buffer_free(struct lab_buffer *buffer);

/* Room for `more` bytes behind the present ones. Errors: PEER_ERR_MEMORY; PEER_ERR_FORMAT beyond
 * LAB_BUFFER_MOST. */
enum peer_status lab_buffer_reserve(struct lab_buffer *buffer, int64_t more);

enum peer_status lab_buffer_add(struct lab_buffer *buffer, const void *bytes, int64_t count);

/* Adds `text` and keeps a 0 behind the last byte, not counted. */
enum peer_status lab_buffer_add_text(struct lab_buffer *buffer, const char *text);

#endif
