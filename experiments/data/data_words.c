/* SPDX-License-Identifier: MIT */
#include "experiments/data/data_words.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES_MEAN = 16 };

static bool is_control(uint8_t byte)
{
    return byte < ' ' || byte == 0x7f;
}

/* U+2581, LOWER ONE EIGHTH BLOCK. */
static bool is_space_mark(const uint8_t *text, int64_t bytes)
{
    return bytes >= 3 && text[0] == 0xe2 && text[1] == 0x96 && text[2] == 0x81;
}

int64_t lab_word_next(const uint8_t *text, int64_t bytes, bool *plain)
{
    *plain = true;
    if (is_control(text[0]))
        return 1;
    if (is_space_mark(text, bytes))
        return 3;
    *plain = false;
    int64_t limit = bytes < LAB_WORD_BYTES ? bytes : LAB_WORD_BYTES;
    int64_t at = 1;
    while (at < limit && text[at] != ' ' && !is_control(text[at]) &&
           !(text[at] == 0xe2 && is_space_mark(text + at, bytes - at)))
        at++;
    if (at == LAB_WORD_BYTES && at < bytes)
        while ((text[at] & 0xc0) == 0x80)
            at--;
    return at;
}

enum peer_status lab_words_create(struct lab_words *ret, struct peer_ctx *ctx, int64_t capacity)
{
    struct lab_words words = {.pool = {.ctx = ctx}, .capacity = capacity};
    struct peer_pool *pool = &words.pool;
    words.bytes_capacity = WORD_BYTES_MEAN * capacity;
    words.slots = 1;
    while (words.slots < 2 * capacity)
        words.slots *= 2;
    words.word = peer_pool_alloc(pool, "words", sizeof *words.word, capacity, 1, 1);
    words.slot = peer_pool_alloc(pool, "word slots", sizeof *words.slot, words.slots, 1, 1);
    words.bytes = peer_pool_alloc(pool, "word bytes", 1, words.bytes_capacity, 1, 1);
    words.ids = peer_pool_alloc(pool, "word tokens", sizeof *words.ids, words.bytes_capacity, 1, 1);
    if (pool->failed) {
        peer_pool_free(pool);
        return PEER_ERR_MEMORY;
    }
    *ret = words;
    return PEER_OK;
}

void lab_words_free(struct lab_words *words)
{
    peer_pool_free(&words->pool);
}

static void clear_slots(struct lab_words *words)
{
    memset(words->slot, 0, sizeof *words->slot * words->slots);
}

void lab_words_clear(struct lab_words *words)
{
    clear_slots(words);
    words->count = words->bytes_used = 0;
}

bool lab_words_have_room(const struct lab_words *words, int64_t bytes)
{
    return words->capacity - words->count >= bytes &&
           words->bytes_capacity - words->bytes_used >= bytes;
}

/* FNV-1a, 64 bits, folded. */
static uint32_t hash(const uint8_t *text, int64_t length)
{
    uint64_t value = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < length; i++)
        value = (value ^ text[i]) * 0x100000001b3u;
    return (uint32_t)(value ^ (value >> 32));
}

/* The slot that holds the word, or the free one where it belongs. */
static uint32_t *find_slot(const struct lab_words *words, const uint8_t *text, int64_t length)
{
    for (uint32_t i = hash(text, length);; i++) {
        uint32_t *slot = &words->slot[i & (words->slots - 1)];
        const struct lab_word *word = *slot ? &words->word[*slot - 1] : NULL;
        if (!word ||
            (word->length == length && memcmp(words->bytes + word->at, text, (size_t)length) == 0))
            return slot;
    }
}

int64_t lab_words_find(struct lab_words *words, const uint8_t *text, int64_t length)
{
    assert(length >= 1 && length <= LAB_WORD_BYTES);
    uint32_t *slot = find_slot(words, text, length);
    if (*slot)
        return *slot - 1;
    assert(lab_words_have_room(words, length));
    int64_t number = words->count++;
    words->word[number] =
        (struct lab_word){.at = (uint32_t)words->bytes_used, .length = (uint8_t)length};
    memcpy(words->bytes + words->bytes_used, text, (size_t)length);
    words->bytes_used += length;
    *slot = (uint32_t)number + 1;
    return number;
}

/* Keeps the words that occurred more than `least` times; their tokens are forgotten. */
static void keep_above(struct lab_words *words, uint64_t least)
{
    int64_t kept = 0, bytes_used = 0;
    clear_slots(words);
    for (int64_t i = 0; i < words->count; i++) {
        struct lab_word word = words->word[i];
        if (word.count <= least)
            continue;
        memmove(words->bytes + bytes_used, words->bytes + word.at, word.length);
        word.at = (uint32_t)bytes_used;
        word.tokens = 0;
        bytes_used += word.length;
        words->word[kept++] = word;
        *find_slot(words, words->bytes + word.at, word.length) = (uint32_t)kept;
    }
    words->dropped += words->count - kept;
    words->count = kept;
    words->bytes_used = bytes_used;
}

void lab_words_thin(struct lab_words *words)
{
    for (uint64_t least = 1;
         2 * words->count > words->capacity || 2 * words->bytes_used > words->bytes_capacity;
         least *= 2)
        keep_above(words, least);
}

static int by_count(const void *first, const void *second, void *user)
{
    const struct lab_word *a = first, *b = second;
    const uint8_t *bytes = user;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    int length = a->length < b->length ? a->length : b->length;
    int order = memcmp(bytes + a->at, bytes + b->at, (size_t)length);
    return order ? order : a->length - b->length;
}

void lab_words_sort(struct lab_words *words)
{
    qsort_r(words->word, (size_t)words->count, sizeof *words->word, by_count, words->bytes);
}
