/* SPDX-License-Identifier: MIT */
/* A prepared folder: data.json, tokenizer.vocab, train.bin and valid.bin, between lines "%%%%".
 * A part that is empty is no file. The numbers of tokens and the checksums in data.json are mended.
 */
#include "lm/dataset.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/fuzz/fuzz.h"

static const char *const names[] = {"d/data.json", "d/tokenizer.vocab", "d/train.bin",
                                    "d/valid.bin"};
enum { PARTS = 4, WINDOW = 3 };

static void mend_split(json_t *split, struct fuzz_input tokens)
{
    if (!json_is_integer(json_object_get(split, "crc32")))
        return;
    json_int_t sum = (json_int_t)crc32_z(0, tokens.bytes, tokens.size);
    json_object_set_new(split, "crc32", json_integer(sum));
    json_object_set_new(split, "tokens", json_integer((json_int_t)tokens.size / 2));
}

/* data.json with what it should say, to be free()d, or NULL. */
static char *mended(const struct fuzz_input parts[PARTS])
{
    json_t *root = json_loadb((const char *)parts[0].bytes, parts[0].size, 0, NULL);
    mend_split(json_object_get(root, "train"), parts[2]);
    mend_split(json_object_get(root, "valid"), parts[3]);
    char *text = root ? json_dumps(root, 0) : NULL;
    json_decref(root);
    return text;
}

static void write_folder(const struct fuzz_input parts[PARTS], bool mend)
{
    char *description = mend ? mended(parts) : NULL;
    for (int i = 0; i < PARTS; i++)
        if (i == 0 && description)
            fuzz_file(names[i], description, strlen(description));
        else if (parts[i].size)
            fuzz_file(names[i], parts[i].bytes, parts[i].size);
        else
            fuzz_remove(names[i]);
    free(description);
}

static void use(const struct lm_dataset *data)
{
    int32_t ids[2][WINDOW];
    int64_t bytes;
    FUZZ_CHECK(data->vocab >= 1 && data->vocab <= 65536);
    for (int64_t at = 0; at < lm_corpus_sequences(data->train, WINDOW) && at < 3; at++) {
        lm_corpus_batch(data->train, ids[0], ids[1], 1, WINDOW, 1, at);
        lm_corpus_window(data->valid ? data->valid : data->train, ids[0], ids[1], 1, WINDOW, at);
        for (int i = 0; i < WINDOW; i++)
            FUZZ_CHECK(ids[0][i] < data->vocab && ids[1][i] < data->vocab);
    }
    for (int64_t id = -1; data->vocabulary && id < 300; id++)
        lm_vocabulary_text(data->vocabulary, id, &bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size}, parts[PARTS];
    bool mend = fuzz_mends(input);
    struct lm_dataset dataset;
    for (int i = 0; i < PARTS; i++)
        parts[i] = fuzz_part(&input);
    write_folder(parts, mend);
    enum peer_status status =
        lm_dataset_open(&dataset, fuzz_ctx(), fuzz_path("d"), 11, LM_DTYPE_AUTO);
    fuzz_reason(status);
    if (status == PEER_OK) {
        use(&dataset);
        lm_dataset_close(&dataset);
    }
    fuzz_end();
    return 0;
}
