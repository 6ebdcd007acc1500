/* SPDX-License-Identifier: MIT */
#include "experiments/data/data_bin.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "experiments/base/output.h"

static enum peer_status fail_io(const struct lab_bin *bin, const char *what)
{
    return peer_fail(bin->ctx, PEER_ERR_IO, "%s: cannot %s: %s", bin->path, what, strerror(errno));
}

enum peer_status lab_bin_create(struct lab_bin *ret, struct peer_ctx *ctx, const char *path)
{
    struct lab_bin bin = {.ctx = ctx, .crc = (uint32_t)crc32_z(0, NULL, 0)};
    snprintf(bin.path, sizeof bin.path, "%s", path);
    bin.file = lab_output_stream(path);
    if (!bin.file)
        return fail_io(&bin, "create");
    *ret = bin;
    return PEER_OK;
}

enum peer_status lab_bin_put(struct lab_bin *bin, uint16_t *ids, int64_t count, int64_t bytes,
                             int64_t documents)
{
    for (int64_t i = 0; i < count; i++)
        ids[i] = htole16(ids[i]);
    size_t size = (size_t)count * sizeof *ids;
    bin->crc = (uint32_t)crc32_z(bin->crc, (const Bytef *)ids, size);
    if (fwrite(ids, 1, size, bin->file) != size)
        return fail_io(bin, "write");
    bin->tokens += count;
    bin->bytes += bytes;
    bin->documents += documents;
    return PEER_OK;
}

enum peer_status lab_bin_finish(struct lab_bin *bin)
{
    bool written = fflush(bin->file) == 0 && !ferror(bin->file) && fsync(fileno(bin->file)) == 0;
    enum peer_status status = written ? PEER_OK : fail_io(bin, "write");
    lab_bin_abandon(bin);
    return status;
}

void lab_bin_abandon(struct lab_bin *bin)
{
    if (bin->file)
        fclose(bin->file);
    bin->file = NULL;
}
