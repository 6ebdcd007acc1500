/* SPDX-License-Identifier: MIT */
/* Internal. Documents cut into windows: lm/documents.h. */
#ifndef PEER_LM_DOCUMENTS_CUT_H
#define PEER_LM_DOCUMENTS_CUT_H

#include "lm/documents.h"
#include "nn/pool.h"

/* Targets first ... first + length - 1 of the corpus. The first `skip` only stand in for context:
 * they are scored in another window. */
struct lm_cut_window {
    int64_t first, document;
    int32_t length, skip;
};

struct lm_cut {
    struct lm_cut_window *windows;      /* [count], in the order of the text */
    const struct lm_cut_window **order; /* [count] longest first, else in the order of the text */
    int64_t *tail; /* [documents] where a document's tail begins; INT64_MAX = none */
    int64_t count, documents, longer, tokens;
};

/* Arrays come from `pool`, which tells failure. */
void lm_cut_make(struct lm_cut *ret, struct peer_pool *pool, const struct lm_documents *documents);

#endif
