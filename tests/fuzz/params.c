/* SPDX-License-Identifier: MIT */
/* A safetensors file of somebody else's into a list of entries of every type, under a map of names.
 * The input is the file; its first eight bytes, the header's length, are mended to the end of the
 * JSON, and bytes are added until what the header asks for is there. */
#include <stdlib.h>
#include <string.h>

#include "nn/params/safetensors.h"
#include "nn/params/weights.h"
#include "tests/fuzz/fuzz.h"

enum { MOST_FILE = 1 << 13, ROWS = 3, WIDTH = 4, ALL = ROWS * WIDTH };

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
            return i + 1 < size ? i + 1 : size;
    }
    return size;
}

static const char *mended(const uint8_t *data, size_t size)
{
    static uint8_t file[MOST_FILE];
    memset(file, 0, sizeof file);
    memcpy(file, data, size < sizeof file ? size : sizeof file);
    uint64_t header = object_bytes(data + 8, size - 8);
    memcpy(file, &header, sizeof header);
    return fuzz_file("params.safetensors", file, sizeof file);
}

/* A list of an array, integers and tables of f32, bf16 and int8, the f32 one in two tensors. */
struct entries {
    struct peer_params list;
    struct peer_name_map map;
    struct peer_table table[PEER_TABLE_COUNT];
    float w[6], f32[ALL], scales[2 * ROWS];
    int32_t n[2];
    uint16_t bf16[ALL];
    int8_t int8[ALL];
};

static void add(struct entries *e, const char *name, void *data, int dims, int64_t n0, int64_t n1,
                struct peer_table *table)
{
    struct peer_param param = {.kind = PEER_PARAM_BUFFER,
                               .dims = dims,
                               .shape = {n0, n1},
                               .type = data == e->n ? PEER_TYPE_I32 : PEER_TYPE_F32,
                               .data = data,
                               .table = table};
    strcpy(param.name, name);
    FUZZ_CHECK(peer_params_add(&e->list, "", &param) == PEER_OK);
}

static void make(struct entries *e)
{
    static const char *const names[] = {"f32", "bf16", "int8"};
    memset(e, 0, sizeof *e);
    e->list = peer_params_empty(fuzz_ctx());
    e->map = peer_name_map_empty(fuzz_ctx());
    add(e, "w", e->w, 2, 2, 3, NULL);
    add(e, "n", e->n, 1, 2, 0, NULL);
    for (int type = 0; type < PEER_TABLE_COUNT; type++) {
        struct peer_table *table = &e->table[type];
        *table = (struct peer_table){.type = type, .rows = ROWS, .width = WIDTH, .segments = 2};
        table->f32 = type == PEER_TABLE_F32 ? e->f32 : NULL;
        table->bf16 = type == PEER_TABLE_BF16 ? e->bf16 : NULL;
        table->int8 = type == PEER_TABLE_INT8 ? e->int8 : NULL;
        table->scales = type == PEER_TABLE_INT8 ? e->scales : NULL;
        add(e, names[type], table->f32, 2, ROWS, WIDTH, table);
    }
    for (int half = 0; half < 2; half++) {
        struct peer_name name = {.entry = "f32",
                                 .dims = 2,
                                 .shape = {ROWS, WIDTH / 2},
                                 .steps = 2,
                                 .view = {ROWS, WIDTH / 2},
                                 .stride = {WIDTH, 1},
                                 .offset = half * WIDTH / 2};
        strcpy(name.tensor, half ? "v" : "u");
        FUZZ_CHECK(peer_name_map_add(&e->map, &name) == PEER_OK);
    }
}

static void free_lists(struct entries *e)
{
    peer_params_free(&e->list);
    peer_name_map_free(&e->map);
}

static void report(void *user, const struct peer_mismatch *mismatch)
{
    FUZZ_CHECK(*mismatch->text && mismatch->tensor);
    ++*(int64_t *)user;
}

/* Nothing is touched where it fails; what was read is written and read again, bit for bit. */
static void load(const char *path, bool strict)
{
    static struct entries e, before;
    int64_t told = 0;
    struct peer_load_options options = {!strict, !strict, report, &told};
    make(&e);
    memset(e.w, 1, sizeof e.w);
    memcpy(&before, &e, sizeof e);
    enum peer_status status = peer_params_load(&e.list, path, &e.map, &options);
    fuzz_reason(status);
    FUZZ_CHECK(status || !strict || told == 0);
    if (status)
        FUZZ_CHECK(!memcmp(&e, &before, sizeof e));
    else {
        const char *again = fuzz_path("again.safetensors");
        fuzz_reason(peer_params_save(&e.list, again, &e.map, NULL));
        memcpy(&before, &e, sizeof e);
        FUZZ_CHECK(peer_params_load(&e.list, again, &e.map, NULL) == PEER_OK);
        FUZZ_CHECK(!memcmp(e.w, before.w, sizeof e.w) && !memcmp(e.n, before.n, sizeof e.n) &&
                   !memcmp(e.f32, before.f32, sizeof e.f32) &&
                   !memcmp(e.bf16, before.bf16, sizeof e.bf16));
    }
    free_lists(&e);
}

/* The list of tensors: by name, each in the file. */
static void list(const char *path)
{
    struct peer_tensor_file file;
    enum peer_status status = peer_tensor_file_open(&file, fuzz_ctx(), "fuzz", path);
    fuzz_reason(status);
    if (status)
        return;
    for (int64_t i = 0; i < file.count; i++) {
        FUZZ_CHECK(file.items[i].begin <= file.items[i].end && file.items[i].begin >= 10);
        FUZZ_CHECK(peer_tensor_file_find(&file, file.items[i].name) == &file.items[i]);
        FUZZ_CHECK(i == 0 || strcmp(file.by_name[i - 1]->name, file.by_name[i]->name) < 0);
    }
    peer_tensor_file_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool mend = size > 8 && size < MOST_FILE && fuzz_mends((struct fuzz_input){data, size});
    const char *path = mend ? mended(data, size) : fuzz_file("params.safetensors", data, size);
    list(path);
    load(path, false);
    load(path, true);
    fuzz_end();
    return 0;
}
