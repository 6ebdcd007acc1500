/* SPDX-License-Identifier: MIT */
/* A file of tokens, behind a byte that says which vocabulary its ids are checked against. */
#include "lm/corpus.h"

#include "tests/fuzz/fuzz.h"

enum { WINDOW = 2 };

static void use(const struct lm_corpus *corpus, int64_t vocab)
{
    int32_t ids[2][WINDOW];
    int64_t tokens = lm_corpus_tokens(corpus);
    FUZZ_CHECK(tokens >= 2);
    for (int64_t at = 0; at < 4 && lm_corpus_sequences(corpus, WINDOW) > 0; at++) {
        lm_corpus_batch(corpus, ids[0], ids[1], 1, WINDOW, 3, at);
        lm_corpus_window(corpus, ids[0], ids[1], 1, WINDOW, tokens / WINDOW - at / 2);
        for (int i = 0; i < WINDOW && vocab; i++)
            FUZZ_CHECK(ids[0][i] < vocab && ids[1][i] < vocab);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t vocabularies[] = {0, 11, 257, 50257, 65535, 65536};
    struct fuzz_input input = {data, size};
    struct lm_corpus *corpus = NULL;
    int64_t vocab = vocabularies[fuzz_byte(&input) % (sizeof vocabularies / sizeof *vocabularies)];
    const char *path = fuzz_file("train.bin", input.bytes, input.size);
    enum peer_status status = lm_corpus_open(&corpus, fuzz_ctx(), path, vocab);
    fuzz_reason(status);
    if (status == PEER_OK)
        use(corpus, vocab);
    lm_corpus_close(&corpus);
    fuzz_end();
    return 0;
}
