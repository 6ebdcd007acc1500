/* SPDX-License-Identifier: MIT */
/* A checkpoint: its metadata, origin and config, and a model rebuilt from it. The input is the
 * file; the header's length, the number of bytes behind it and both checksums are mended. */
#include "lm/checkpoint.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lm/checkpoint_layout.h"
#include "lm/model.h"
#include "lm/run_state.h"
#include "tests/fuzz/fuzz.h"

enum { MOST_TENSORS = 1 << 16, MOST_MODEL = 1 << 22 };

/* Bytes of the JSON object at `text`, or all. */
static size_t object_bytes(const uint8_t *text, size_t size)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (text[i] == '{') - (text[i] == '}');
        if (!quoted && depth <= 0)
            return i + 1;
    }
    return size;
}

/* Where the last tensor ends by what the header says. */
static size_t tensors_end(const uint8_t *header, size_t size)
{
    size_t most = 0;
    const char *name;
    json_t *entry, *root = json_loadb((const char *)header, size, 0, NULL);
    json_object_foreach (root, name, entry) {
        json_int_t end =
            json_integer_value(json_array_get(json_object_get(entry, "data_offsets"), 1));
        if (end > 0 && (size_t)end > most)
            most = (size_t)end;
    }
    json_decref(root);
    return most < MOST_TENSORS ? most : MOST_TENSORS;
}

static void mend_digits(char *digits, const uint8_t *bytes, size_t size)
{
    char sum[LM_CHECKPOINT_DIGITS + 1];
    memset(digits, '0', LM_CHECKPOINT_DIGITS);
    lm_checkpoint_digits(sum, crc32_z(0, bytes, size));
    memcpy(digits, sum, LM_CHECKPOINT_DIGITS);
}

static const char *mended(const uint8_t *data, size_t size)
{
    const uint8_t *json = data + sizeof(uint64_t);
    size_t header = object_bytes(json, size - sizeof(uint64_t));
    size_t there = size - sizeof(uint64_t) - header, tensors = tensors_end(json, header);
    size_t total = sizeof(uint64_t) + header + tensors;
    uint8_t *file = calloc(1, total + LM_CHECKPOINT_START_END);
    FUZZ_CHECK(file);
    uint64_t stated = header;
    char *text = (char *)file + sizeof stated;
    memcpy(file, &stated, sizeof stated);
    memcpy(text, json, header);
    memcpy(text + header, json + header, there < tensors ? there : tensors);
    if (header >= LM_CHECKPOINT_START_END) {
        mend_digits(text + LM_CHECKPOINT_CRC_AT, (uint8_t *)text + header, tensors);
        mend_digits(text + LM_CHECKPOINT_HEADER_CRC_AT, (uint8_t *)text, header);
    }
    const char *path = fuzz_file("checkpoint.safetensors", file, total);
    free(file);
    return path;
}

/* A model of that config takes the weights, where it is a small one. */
static void load(const struct lm_config *config, const char *path)
{
    struct lm_model *model = NULL;
    if (config->tables != LM_PLACE_MEMORY || lm_config_memory(config, 1) > MOST_MODEL)
        return;
    enum peer_status status = lm_model_create(&model, fuzz_ctx(), config, 1, 1, false);
    fuzz_reason(status);
    if (status == PEER_OK)
        fuzz_reason(lm_checkpoint_load(fuzz_ctx(), path, lm_model_params(model)));
    lm_model_destroy(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(16) unsigned char ffw_config[256];
    struct lm_config config;
    struct lm_run_origin origin;
    json_t *metadata = NULL;
    bool mend = size > sizeof(uint64_t) && fuzz_mends((struct fuzz_input){data, size});
    const char *path = mend ? mended(data, size) : fuzz_file("checkpoint.safetensors", data, size);
    fuzz_reason(lm_checkpoint_metadata(&metadata, fuzz_ctx(), path));
    json_decref(metadata);
    fuzz_reason(lm_run_origin(&origin, fuzz_ctx(), path));
    enum peer_status status =
        lm_run_model(&config, ffw_config, sizeof ffw_config, fuzz_ctx(), path);
    fuzz_reason(status);
    if (status == PEER_OK)
        load(&config, path);
    fuzz_end();
    return 0;
}
