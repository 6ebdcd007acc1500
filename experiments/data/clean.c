/* SPDX-License-Identifier: MIT */
#include "experiments/data/clean.h"

#include <string.h>

#include "experiments/data/text_stream.h"
#include "experiments/data/text_utf8.h"

enum { READ_BYTES = 1 << 16 };

struct lab_cleaner lab_cleaner_create(struct peer_ctx *ctx, struct lab_text_file *file)
{
    return (struct lab_cleaner){.ctx = ctx,
                                .file = file,
                                .text = lab_buffer_create(ctx),
                                .repaired = lab_buffer_create(ctx)};
}

void lab_cleaner_free(struct lab_cleaner *cleaner)
{
    lab_buffer_free(&cleaner->text);
    lab_buffer_free(&cleaner->repaired);
}

void lab_clean_gap(struct lab_cleaner *cleaner, enum lab_gap gap)
{
    cleaner->gap = gap > cleaner->gap ? gap : cleaner->gap;
}

static void add(struct lab_cleaner *cleaner, const void *bytes, int64_t count)
{
    if (cleaner->status == PEER_OK)
        cleaner->status = lab_buffer_add(&cleaner->text, bytes, count);
}

void lab_clean_byte(struct lab_cleaner *cleaner, uint8_t byte)
{
    static const char *const gaps[] = {"", " ", "\n", "\n\n"};
    if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
        lab_clean_gap(cleaner, LAB_GAP_SPACE);
        return;
    }
    if (cleaner->text.count > 0)
        add(cleaner, gaps[cleaner->gap], (int64_t)strlen(gaps[cleaner->gap]));
    cleaner->gap = LAB_GAP_NONE;
    add(cleaner, &byte, 1);
}

void lab_clean_text(struct lab_cleaner *cleaner, const uint8_t *text, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i++)
        lab_clean_byte(cleaner, text[i]);
}

void lab_clean_end(struct lab_cleaner *cleaner)
{
    struct lab_utf8 utf8 = {.count = 0};
    struct lab_buffer *repaired = &cleaner->repaired;
    repaired->count = 0;
    if (cleaner->status == PEER_OK)
        cleaner->status = lab_buffer_reserve(repaired, 3 * (cleaner->text.count + 4));
    if (cleaner->status == PEER_OK) {
        int64_t bytes =
            lab_utf8_repair(&utf8, repaired->bytes, cleaner->text.bytes, cleaner->text.count);
        bytes += lab_utf8_end(&utf8, repaired->bytes + bytes);
        cleaner->status = lab_text_file_add(cleaner->file, (const char *)repaired->bytes, bytes);
    }
    cleaner->text.count = 0;
    cleaner->gap = LAB_GAP_NONE;
}

enum peer_status lab_clean_read(struct lab_buffer *ret, struct peer_ctx *ctx, const char *path)
{
    struct lab_stream *stream;
    struct lab_buffer buffer = lab_buffer_create(ctx);
    int64_t got = 1;
    enum peer_status status = lab_stream_open(&stream, ctx, path);
    if (status != PEER_OK)
        return status;
    while (status == PEER_OK && got > 0) {
        status = lab_buffer_reserve(&buffer, READ_BYTES + 1);
        if (status == PEER_OK)
            status = lab_stream_read(stream, buffer.bytes + buffer.count, READ_BYTES, &got);
        if (status == PEER_OK)
            buffer.count += got;
    }
    lab_stream_close(&stream);
    if (status == PEER_OK) {
        buffer.bytes[buffer.count] = '\0';
        *ret = buffer;
    } else {
        lab_buffer_free(&buffer);
    }
    return status;
}
