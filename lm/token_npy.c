/* SPDX-License-Identifier: MIT */
/* numpy's .npy: "\x93NUMPY", a version, the length of a text, and the text, such as
 * {'descr': '<u2', 'fortran_order': False, 'shape': (20000,), }; then the values. */
#include <stdio.h>
#include <string.h>

#include "lm/token_file.h"

enum { MAGIC = 6, MAX_HEADER = 1 << 16, WORD = 48 };

static const char magic[] = "\x93NUMPY";

bool lm_token_is_npy(const uint8_t *bytes, int64_t count)
{
    return count >= MAGIC && memcmp(bytes, magic, MAGIC) == 0;
}

/* The text of a header. */
struct header {
    const char *at, *end;
};

static void skip_space(struct header *h)
{
    while (h->at < h->end && strchr(" \t\r\n", *h->at) && *h->at)
        h->at++;
}

static bool take(struct header *h, char c)
{
    skip_space(h);
    bool there = h->at < h->end && *h->at == c;
    h->at += there;
    return there;
}

/* The next quoted text, or word of letters; false where there is none that short. */
static bool take_word(struct header *h, char word[WORD])
{
    skip_space(h);
    char quote = h->at < h->end && (*h->at == '\'' || *h->at == '"') ? *h->at++ : 0;
    int length = 0;
    while (h->at < h->end && length < WORD - 1 &&
           (quote ? *h->at != quote : (*h->at | 32) >= 'a' && (*h->at | 32) <= 'z'))
        word[length++] = *h->at++;
    word[length] = 0;
    return quote ? take(h, quote) : length > 0;
}

/* (), (N,) or (N, M): number of sizes, the first in *size; -1 where it is none of these. */
static int take_shape(struct header *h, int64_t *size)
{
    int dims = 0;
    if (!take(h, '('))
        return -1;
    while (!take(h, ')')) {
        int64_t value = 0;
        const char *digits = h->at;
        for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
            if (__builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, *h->at - '0', &value))
                return -1;
        if (h->at == digits)
            return -1;
        take(h, 'L'); /* Python 2 */
        if (dims++ == 0)
            *size = value;
        if (!take(h, ',') && (h->at == h->end || *h->at != ')'))
            return -1;
    }
    return dims;
}

struct npy {
    char descr[WORD], order[WORD];
    int dims;
    int64_t size;
};

static bool parse(struct npy *ret, struct header h)
{
    char key[WORD];
    bool whole = take(&h, '{');
    ret->dims = -1;
    while (whole && !take(&h, '}')) {
        whole = take_word(&h, key) && take(&h, ':');
        if (whole && strcmp(key, "shape") == 0)
            whole = (ret->dims = take_shape(&h, &ret->size)) >= 0;
        else if (whole && (strcmp(key, "descr") == 0 || strcmp(key, "fortran_order") == 0))
            whole = take_word(&h, *key == 'd' ? ret->descr : ret->order);
        else
            whole = false;
        take(&h, ',');
    }
    return whole && ret->dims >= 0 && *ret->descr && *ret->order;
}

static enum peer_status refuse(const struct lm_token_file *file, struct peer_ctx *ctx,
                               const char *what)
{
    return peer_fail(ctx, PEER_ERR_FORMAT, "lm_corpus_open: %s: a .npy file %s", file->path, what);
}

static enum peer_status check(const struct lm_token_file *file, struct peer_ctx *ctx,
                              const struct npy *npy)
{
    char text[192];
    if (strcmp(npy->descr, "<u2") != 0 && strcmp(npy->descr, "<u4") != 0) {
        snprintf(text, sizeof text,
                 "of '%s', expected '<u2' or '<u4' (little-endian uint16 or uint32): "
                 "numpy.save(path, ids.astype(\"<u4\"))",
                 npy->descr);
        return refuse(file, ctx, text);
    }
    if (npy->dims != 1) {
        snprintf(text, sizeof text, "of %d dimensions, expected 1: numpy.save(path, ids.ravel())",
                 npy->dims);
        return refuse(file, ctx, text);
    }
    return strcmp(npy->order, "False") == 0
               ? PEER_OK
               : refuse(file, ctx,
                        "in Fortran's order, expected C's: "
                        "numpy.save(path, numpy.ascontiguousarray(ids))");
}

enum peer_status lm_token_npy(struct lm_token_file *file, struct peer_ctx *ctx)
{
    const uint8_t *bytes = file->map;
    struct npy npy = {0};
    int64_t start = file->bytes > 6 && bytes[6] == 1 ? 10 : 12, length = 0;
    if (file->bytes < start)
        return refuse(file, ctx, "that ends within its header");
    if (bytes[6] < 1 || bytes[6] > 3)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: a .npy file of version %d, expected 1, 2 or 3",
                         file->path, bytes[6]);
    for (int64_t i = start - 1; i >= 8; i--)
        length = length << 8 | bytes[i];
    if (length > MAX_HEADER)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: a .npy header of %lld bytes, expected at most %d",
                         file->path, (long long)length, MAX_HEADER);
    if (length > file->bytes - start)
        return refuse(file, ctx, "that ends within its header");
    const char *text = (const char *)bytes + start;
    if (!parse(&npy, (struct header){text, text + length}))
        return refuse(file, ctx,
                      "whose header is not {'descr': ..., 'fortran_order': ..., 'shape': ...}");
    enum peer_status status = check(file, ctx, &npy);
    if (status)
        return status;
    int64_t held = file->bytes - start - length;
    file->width = npy.descr[2] - '0';
    if (held % file->width || held / file->width != npy.size)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: its header says %lld ids of %d bytes, but %lld bytes "
                         "follow it; was it cut short?",
                         file->path, (long long)npy.size, file->width, (long long)held);
    if ((start + length) % file->width)
        return refuse(file, ctx, "whose header has a length that is not a multiple of 4");
    file->ids = bytes + start + length;
    file->tokens = npy.size;
    file->stated = true;
    return PEER_OK;
}
