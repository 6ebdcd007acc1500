/* SPDX-License-Identifier: MIT */
#include "lm/token_file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nn/file.h"

enum { LLMC_HEADER = 256 * 4 };

const char *const lm_dtype_names[] = {"auto", "uint16", "uint32", NULL};

/* llm.c's two kinds of token files. */
static const struct llmc {
    int32_t magic, version;
    int width;
} llmc_kinds[] = {{20240520, 1, 2}, {20240801, 7, 4}};

static enum peer_status map_file(struct lm_token_file *file, struct peer_ctx *ctx)
{
    int descriptor;
    enum peer_status status =
        peer_file_open(&descriptor, &file->bytes, ctx, "lm_corpus_open", file->path);
    if (status)
        return status;
    void *map =
        file->bytes ? mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, descriptor, 0) : NULL;
    if (map == MAP_FAILED)
        status = peer_fail(ctx, PEER_ERR_IO, "lm_corpus_open: %s: %s", file->path, strerror(errno));
    else if (!map)
        status = peer_fail(ctx, PEER_ERR_FORMAT, "lm_corpus_open: %s: empty", file->path);
    else
        file->map = map;
    close(descriptor);
    return status;
}

static enum peer_status read_llmc(struct lm_token_file *file, struct peer_ctx *ctx,
                                  const struct llmc *kind)
{
    const int32_t *header = file->map;
    if (file->bytes < LLMC_HEADER)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: %lld bytes, but llm.c's header has %d", file->path,
                         (long long)file->bytes, LLMC_HEADER);
    if (header[1] != kind->version)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: llm.c version = %d, expected %d with magic %d",
                         file->path, header[1], kind->version, kind->magic);
    int64_t held = file->bytes - LLMC_HEADER;
    if (header[2] < 0 || held != kind->width * (int64_t)header[2])
        return peer_fail(
            ctx, PEER_ERR_FORMAT,
            "lm_corpus_open: %s: the header says %d tokens of %d bytes, but %lld bytes "
            "follow it; was it cut short?",
            file->path, header[2], kind->width, (long long)held);
    file->ids = (const uint8_t *)file->map + LLMC_HEADER;
    file->tokens = header[2];
    file->width = kind->width;
    file->stated = true;
    return PEER_OK;
}

static enum peer_status read_plain(struct lm_token_file *file, struct peer_ctx *ctx,
                                   enum lm_dtype dtype, bool known)
{
    const char *foreign = known ? NULL : lm_token_foreign(file->map, file->bytes);
    if (foreign)
        return peer_fail(ctx, PEER_ERR_FORMAT, "lm_corpus_open: %s: %s", file->path, foreign);
    file->width = dtype == LM_DTYPE_UINT32 ? 4 : 2;
    if (file->bytes % file->width)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "lm_corpus_open: %s: %lld bytes are not a whole number of %d-byte ids",
                         file->path, (long long)file->bytes, file->width);
    file->ids = file->map;
    file->tokens = file->bytes / file->width;
    return PEER_OK;
}

static enum peer_status read_layout(struct lm_token_file *file, struct peer_ctx *ctx,
                                    enum lm_dtype dtype, bool known)
{
    int32_t magic = 0;
    size_t bytes = (size_t)file->bytes;
    memcpy(&magic, file->map, bytes < sizeof magic ? bytes : sizeof magic);
    for (size_t i = 0; !known && i < sizeof llmc_kinds / sizeof *llmc_kinds; i++)
        if (magic == llmc_kinds[i].magic)
            return read_llmc(file, ctx, &llmc_kinds[i]);
    if (!known && lm_token_is_npy(file->map, file->bytes))
        return lm_token_npy(file, ctx);
    return read_plain(file, ctx, dtype, known);
}

enum peer_status lm_token_file_open(struct lm_token_file *ret, struct peer_ctx *ctx,
                                    const char *path, enum lm_dtype dtype, bool known)
{
    struct lm_token_file file = {.path = path, .asked = dtype != LM_DTYPE_AUTO};
    enum peer_status status = map_file(&file, ctx);
    if (!status)
        status = read_layout(&file, ctx, dtype, known);
    if (!status && file.stated && dtype != LM_DTYPE_AUTO &&
        file.width != (dtype == LM_DTYPE_UINT16 ? 2 : 4))
        status = peer_fail(ctx, PEER_ERR_FORMAT,
                           "lm_corpus_open: %s: its header says ids of %d bytes, dtype says %s",
                           path, file.width, lm_dtype_names[dtype]);
    if (status)
        lm_token_file_close(&file);
    else
        *ret = file;
    return status;
}

void lm_token_file_close(struct lm_token_file *file)
{
    if (file->map)
        munmap(file->map, (size_t)file->bytes);
    file->map = NULL;
}
