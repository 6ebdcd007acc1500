/* SPDX-License-Identifier: MIT */
#include "lm/documents_cut.h"

#include <stdlib.h>

#include "nn/parallel.h"

/* A walk over the documents that are not empty. */
struct walk {
    const struct lm_corpus *corpus;
    int64_t count, at, left; /* ids; the next one; tokens still to be scored */
    int32_t end;
    int64_t first, tokens; /* the present document, of which `tokens` are scored */
    bool whole;
};

static struct walk walk_of(const struct lm_documents *documents)
{
    return (struct walk){.corpus = documents->corpus,
                         .count = lm_corpus_tokens(documents->corpus),
                         .left = documents->tokens ? documents->tokens : INT64_MAX,
                         .end = documents->end};
}

static bool next_document(struct walk *walk)
{
    while (walk->at < walk->count && lm_corpus_id(walk->corpus, walk->at) == walk->end)
        walk->at++;
    walk->first = walk->at;
    while (walk->at < walk->count && lm_corpus_id(walk->corpus, walk->at) != walk->end)
        walk->at++;
    int64_t all = walk->at - walk->first;
    walk->tokens = peer_min(all, walk->left);
    walk->whole = walk->tokens == all;
    walk->left -= walk->tokens;
    return walk->tokens > 0;
}

/* Writes the windows of `walk`'s document, at most of S tokens each. */
static void cut_document(struct lm_cut_window *windows, const struct walk *walk, int64_t S,
                         int64_t document)
{
    int64_t n = walk->tokens;
    for (int64_t from = 0; from < n; from += S, windows++) {
        int64_t to = peer_min(from + S, n), start = n > S ? to - S : 0;
        *windows = (struct lm_cut_window){.first = walk->first + start,
                                          .document = document,
                                          .length = (int32_t)(to - start),
                                          .skip = (int32_t)(from - start)};
    }
}

/* Order by length, then by place: one place holds no two windows of one length. */
static int longer_first(const void *left, const void *right)
{
    const struct lm_cut_window *a = *(const struct lm_cut_window *const *)left;
    const struct lm_cut_window *b = *(const struct lm_cut_window *const *)right;
    if (a->length != b->length)
        return a->length < b->length ? 1 : -1;
    return (a->first > b->first) - (a->first < b->first);
}

static void count_documents(struct lm_cut *cut, const struct lm_documents *documents)
{
    for (struct walk walk = walk_of(documents); next_document(&walk);) {
        cut->documents++;
        cut->longer += walk.tokens > documents->length;
        cut->tokens += walk.tokens;
        cut->count += peer_tiles(walk.tokens, documents->length);
    }
}

void lm_cut_make(struct lm_cut *ret, struct peer_pool *pool, const struct lm_documents *documents)
{
    static const char who[] = "lm_documents_evaluate: windows";
    struct lm_cut cut = {0};
    count_documents(&cut, documents);
    cut.windows = peer_pool_alloc(pool, who, sizeof *cut.windows, cut.count, 1, 1);
    cut.order = peer_pool_alloc(pool, who, sizeof(struct lm_cut_window *), cut.count, 1, 1);
    cut.tail = peer_pool_alloc(pool, who, sizeof *cut.tail, cut.documents, 1, 1);
    *ret = cut;
    if (pool->failed)
        return;
    struct lm_cut_window *window = cut.windows;
    struct walk walk = walk_of(documents);
    for (int64_t d = 0; next_document(&walk); d++) {
        cut_document(window, &walk, documents->length, d);
        window += peer_tiles(walk.tokens, documents->length);
        int64_t tail = documents->tails && walk.whole ? documents->tails[d] : 0;
        cut.tail[d] = tail ? walk.first + walk.tokens - peer_min(tail, walk.tokens) : INT64_MAX;
    }
    for (int64_t i = 0; i < cut.count; i++)
        cut.order[i] = &cut.windows[i];
    qsort(cut.order, (size_t)cut.count, sizeof *cut.order, longer_first);
}
