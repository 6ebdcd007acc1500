/* SPDX-License-Identifier: MIT */
/* A mapped table and its undo log. Both files are mostly zeros, so that the input holds what is
 * not: two bytes that say what is done, the headers of both, 8 bytes of either bitmap, entries of
 * the log, then rows. Both headers' checksums, and the table's length, are mended. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "nn/tables/table_file_private.h"
#include "nn/tables/table_lookup.h"
#include "nn/tables/table_undo.h"
#include "tests/fuzz/fuzz.h"

enum {
    PAGE = 4096,
    TABLE_HEADER = 56,
    UNDO_HEADER = 48,
    BITS = 8,
    MOST_ROWS = 1 << 14,
    MOST_FILE = 1 << 20
};

struct place {
    const char *path;
    int file;
};

static struct place begin(const char *name)
{
    struct place place = {fuzz_file(name, "", 0), -1};
    place.file = open(place.path, O_WRONLY | O_CLOEXEC);
    FUZZ_CHECK(place.file >= 0);
    return place;
}

static struct fuzz_input take(struct fuzz_input *input, size_t size)
{
    struct fuzz_input part = {input->bytes, size < input->size ? size : input->size};
    input->bytes += part.size;
    input->size -= part.size;
    return part;
}

static void put(const struct place *place, struct fuzz_input part, off_t offset)
{
    FUZZ_CHECK(pwrite(place->file, part.bytes, part.size, offset) == (ssize_t)part.size);
}

/* A header whose last four bytes are its checksum. */
static struct fuzz_input header(uint8_t *bytes, size_t size, struct fuzz_input *input, bool mend)
{
    struct fuzz_input part = take(input, size);
    memset(bytes, 0, size);
    memcpy(bytes, part.bytes, part.size);
    uint32_t sum = peer_crc32(bytes, size - sizeof sum);
    if (mend)
        memcpy(bytes + size - sizeof sum, &sum, sizeof sum);
    return (struct fuzz_input){bytes, size};
}

/* What the header asks for, where that is little. */
static size_t file_bytes(const uint8_t *bytes)
{
    struct peer_table_file_config config = {0};
    uint32_t type;
    memcpy(&type, bytes + 12, sizeof type);
    memcpy(&config.rows, bytes + 16, sizeof config.rows);
    memcpy(&config.width, bytes + 24, sizeof config.width);
    config.type = type == PEER_TABLE_BF16 ? PEER_TABLE_BF16 : PEER_TABLE_F32;
    size_t size = config.rows > 0 && config.rows < MOST_ROWS && config.width > 0
                      ? peer_table_file_bytes(&config)
                      : 0;
    return size < MOST_FILE ? size : 0;
}

static void use(struct peer_table_file *table, struct peer_table_undo *undo, int64_t savepoint)
{
    const int32_t rows[] = {0, 2, 0, -1, 1};
    int count = peer_table_file_table(table)->rows > 2 ? 5 : 1;
    peer_table_prepare(peer_table_file_table(table), rows, count);
    if (peer_table_file_access(table) != PEER_TABLE_READ_WRITE)
        return;
    enum peer_status status = peer_table_undo_keep(undo, rows, count);
    fuzz_reason(status);
    if (status == PEER_OK && savepoint < INT64_MAX &&
        peer_table_undo_prepare(undo, savepoint + 1) == PEER_OK)
        fuzz_reason(peer_table_undo_commit(undo));
}

static void read_back(const char *table_path, const char *undo_path, bool write, uint8_t savepoint)
{
    struct peer_ctx *ctx = fuzz_ctx();
    struct peer_table_file *table = NULL;
    struct peer_table_undo *undo = NULL;
    enum peer_status status = peer_table_file_open(&table, ctx, table_path,
                                                   write ? PEER_TABLE_READ_WRITE : PEER_TABLE_READ);
    fuzz_reason(status);
    if (status == PEER_OK)
        status = peer_table_undo_open(&undo, ctx, table, undo_path);
    fuzz_reason(status);
    if (status == PEER_OK)
        status = peer_table_undo_restore(undo, savepoint);
    fuzz_reason(status);
    if (status == PEER_OK)
        use(table, undo, savepoint);
    peer_table_undo_close(&undo);
    peer_table_file_close(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[TABLE_HEADER], log[UNDO_HEADER];
    struct fuzz_input input = {data, size};
    bool mend = fuzz_mends(input);
    uint8_t what = fuzz_byte(&input), savepoint = fuzz_byte(&input);
    struct place table = begin("table"), undo = begin("table.undo");
    put(&table, header(bytes, sizeof bytes, &input, mend), 0);
    if (mend && !(what & 2)) { /* the log knows its table by that checksum */
        struct fuzz_input known = input;
        if (known.size >= UNDO_HEADER) {
            memcpy(log, known.bytes, sizeof log);
            memcpy(log + 12, bytes + sizeof bytes - 4, 4);
            struct fuzz_input again = {log, sizeof log};
            uint8_t whole[UNDO_HEADER];
            take(&input, sizeof log);
            put(&undo, header(whole, sizeof whole, &again, true), 0);
        }
    } else {
        put(&undo, header(log, sizeof log, &input, mend), 0);
    }
    put(&table, take(&input, BITS), PAGE);
    put(&undo, take(&input, BITS), PAGE);
    put(&undo, take(&input, input.size / 2), 2 * PAGE);
    put(&table, input, 2 * PAGE);
    size_t bytes_asked = file_bytes(bytes);
    if (mend && bytes_asked)
        FUZZ_CHECK(ftruncate(table.file, (off_t)bytes_asked) == 0);
    close(table.file);
    close(undo.file);
    read_back(table.path, undo.path, what & 1, savepoint);
    fuzz_end();
    return 0;
}
