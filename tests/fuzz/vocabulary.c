/* SPDX-License-Identifier: MIT */
/* A vocabulary as sentencepiece writes it. */
#include "lm/vocabulary.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_vocabulary *vocabulary = NULL;
    const char *path = fuzz_file("tokenizer.vocab", data, size);
    enum peer_status status = lm_vocabulary_open(&vocabulary, fuzz_ctx(), path);
    fuzz_reason(status);
    int64_t sum = 0, bytes = 0;
    for (int64_t id = 0; status == PEER_OK && id < lm_vocabulary_size(vocabulary); id++) {
        lm_vocabulary_text(vocabulary, id, &bytes);
        FUZZ_CHECK(bytes >= 0);
        sum += bytes;
    }
    FUZZ_CHECK(sum <= (int64_t)size);
    if (status == PEER_OK)
        lm_vocabulary_crc(vocabulary);
    lm_vocabulary_close(&vocabulary);
    fuzz_end();
    return 0;
}
