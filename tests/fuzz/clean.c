/* SPDX-License-Identifier: MIT */
/* Files of Debian's packages of text. The first byte says of which kind:
 *   m Markdown   f fortunes   g dictionary
 *   s SWORD: index and data between a line "%%%%"   S its text alone, packed here
 *   r R's data: as it lies in the file              R a serialized vector, packed here */
#include "experiments/data/clean.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/fuzz/fuzz.h"

struct packed {
    uint8_t *bytes; /* to be free()d */
    uLongf size;
};

static struct packed pack(struct fuzz_input input, size_t head)
{
    struct packed packed = {.size = compressBound((uLong)input.size)};
    packed.bytes = malloc(head + packed.size);
    FUZZ_CHECK(packed.bytes);
    FUZZ_CHECK(compress2(packed.bytes + head, &packed.size, input.size ? input.bytes : packed.bytes,
                         (uLong)input.size, 1) == Z_OK);
    return packed;
}

static const char *write_sword(struct fuzz_input input)
{
    struct packed packed = pack(input, 0);
    uint32_t record[] = {0, (uint32_t)packed.size, (uint32_t)input.size};
    fuzz_file("ot.bzz", packed.bytes, packed.size);
    free(packed.bytes);
    return fuzz_file("ot.bzs", record, sizeof record);
}

static const char *write_rdata(struct fuzz_input input)
{
    struct packed packed = pack(input, 4);
    for (int i = 0; i < 4; i++)
        packed.bytes[i] = (uint8_t)(input.size >> (24 - 8 * i));
    const char *path = fuzz_file("Rdata.rdb", packed.bytes, packed.size + 4);
    free(packed.bytes);
    return path;
}

static lab_clean_file *choose(const char **path, int kind, struct fuzz_input input)
{
    struct fuzz_input part;
    switch (kind) {
    case 's':
        part = fuzz_part(&input);
        fuzz_file("ot.bzz", input.bytes, input.size);
        *path = fuzz_file("ot.bzs", part.bytes, part.size);
        return lab_clean_sword;
    case 'S':
        *path = write_sword(input);
        return lab_clean_sword;
    case 'r':
        *path = fuzz_file("Rdata.rdb", input.bytes, input.size);
        return lab_clean_rdata;
    case 'R':
        *path = write_rdata(input);
        return lab_clean_rdata;
    default:
        *path = fuzz_file("text", input.bytes, input.size);
        return kind == 'f'   ? lab_clean_fortunes
               : kind == 'g' ? lab_clean_gcide
                             : lab_clean_markdown;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct fuzz_input input = {data, size};
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    int kind = fuzz_byte(&input);
    const char *path;
    lab_clean_file *clean = choose(&path, kind, input);
    struct lab_text_file file = {.ctx = fuzz_ctx(), .path = "written", .file = nowhere};
    struct lab_cleaner cleaner = lab_cleaner_create(fuzz_ctx(), &file);
    fuzz_reason(clean(&cleaner, path));
    lab_cleaner_free(&cleaner);
    fuzz_end();
    return 0;
}
