/* SPDX-License-Identifier: MIT */
/* Files of tokens, between lines "%%%%", behind a byte of which the lower half says which
 * vocabulary ids are checked against and the upper half what plain ids are taken for. */
#include "lm/corpus.h"

#include "tests/fuzz/fuzz.h"

enum { WINDOW = 2, FILES = 3 };

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
    static const char *const names[] = {"train_0.bin", "train_1.bin", "train_2.bin"};
    struct fuzz_input input = {data, size};
    struct lm_corpus *corpus = NULL;
    uint8_t what = fuzz_byte(&input);
    int64_t vocab = vocabularies[(what & 15) % (sizeof vocabularies / sizeof *vocabularies)];
    const char *paths[FILES];
    struct lm_corpus_source source = {.paths = paths, .dtype = (enum lm_dtype)((what >> 4) % 3)};
    do {
        struct fuzz_input part = fuzz_part(&input);
        paths[source.count] = fuzz_file(names[source.count], part.bytes, part.size);
        source.count++;
    } while (input.size && source.count < FILES);
    enum peer_status status = lm_corpus_open(&corpus, fuzz_ctx(), &source, vocab);
    fuzz_reason(status);
    if (status == PEER_OK)
        use(corpus, vocab);
    lm_corpus_close(&corpus);
    fuzz_end();
    return 0;
}
