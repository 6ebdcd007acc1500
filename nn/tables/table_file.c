/* SPDX-License-Identifier: MIT */
#include "nn/tables/table_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/random.h"
#include "nn/tables/table_file_private.h"
#include "nn/tables/table_lookup.h"

enum { PAGE = 4096, VERSION = 1, WIDTH_MAX = 1 << 26, WORD = 64, PARTS = 8, CHUNK = 1024 };

static const char magic[8] = "peertab";

/* The first bytes of page 0; without padding, little-endian. */
struct header {
    char magic[8];
    uint32_t version, type;
    int64_t rows, width;
    uint64_t seed, stream;
    float deviation;
    uint32_t crc; /* of all before it */
};

struct peer_table_file {
    struct peer_pool pool;
    struct peer_table table;
    enum peer_table_access access;
    struct header header;
    int file;
    void *memory; /* the whole file */
    size_t bytes;
    uint64_t *drawn; /* bitmap */
};

uint32_t peer_crc32(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static size_t whole_pages(size_t bytes)
{
    return peer_size_add(bytes, PAGE - 1) / PAGE * PAGE;
}

static size_t bitmap_bytes(int64_t rows)
{
    return whole_pages((size_t)peer_tiles(rows, WORD) * sizeof(uint64_t));
}

size_t peer_table_file_bytes(const struct peer_table_file_config *config)
{
    if (config->rows > INT32_MAX || config->width > WIDTH_MAX)
        return SIZE_MAX;
    size_t row = (size_t)peer_table_row_bytes(config->type, config->width, 1);
    return peer_size_add(PAGE + bitmap_bytes(config->rows),
                         peer_size_mul((size_t)config->rows, row));
}

/* PEER_OK, or `refusal` with the reason. */
static enum peer_status check(struct peer_ctx *ctx, enum peer_status refusal, const char *path,
                              const struct peer_table_file_config *c)
{
    if (c->type != PEER_TABLE_F32 && c->type != PEER_TABLE_BF16)
        return peer_fail(ctx, refusal, "%s: values of type %d, expected f32 (0) or bf16 (1)", path,
                         (int)c->type);
    if (c->rows < 1 || c->rows > INT32_MAX || c->width < 2 || c->width > WIDTH_MAX || c->width % 2)
        return peer_fail(ctx, refusal,
                         "%s: a table [%lld, %lld], expected 1 to %d rows and an even width from 2 "
                         "to %d",
                         path, (long long)c->rows, (long long)c->width, INT32_MAX, WIDTH_MAX);
    if (!isfinite(c->deviation) || c->deviation < 0)
        return peer_fail(ctx, refusal, "%s: deviation = %g, expected a finite one >= 0", path,
                         (double)c->deviation);
    return PEER_OK;
}

static enum peer_status io_error(struct peer_ctx *ctx, const char *path, const char *what,
                                 int error)
{
    return peer_fail(ctx, PEER_ERR_IO, "%s: %s: %s", path, what, strerror(error));
}

static struct header header_of(const struct peer_table_file_config *c)
{
    struct header header = {.version = VERSION,
                            .type = (uint32_t)c->type,
                            .rows = c->rows,
                            .width = c->width,
                            .seed = c->seed,
                            .stream = c->stream,
                            .deviation = c->deviation};
    memcpy(header.magic, magic, sizeof magic);
    header.crc = peer_crc32(&header, offsetof(struct header, crc));
    return header;
}

/* Asked first, so that a disk is not filled in vain. What is free can change; reserving decides. */
static enum peer_status check_room(struct peer_ctx *ctx, const char *path, int file, size_t bytes)
{
    struct statvfs disk;
    if (fstatvfs(file, &disk))
        return PEER_OK;
    size_t free_bytes = peer_size_mul(disk.f_bavail, disk.f_frsize);
    return bytes <= free_bytes
               ? PEER_OK
               : peer_fail(ctx, PEER_ERR_IO, "%s: no room for %zu bytes: %zu are free", path, bytes,
                           free_bytes);
}

/* The header comes last: a file that was cut off while it was made is no table. */
static enum peer_status fill_file(struct peer_ctx *ctx, const char *path, int file,
                                  const struct peer_table_file_config *config)
{
    struct header header = header_of(config);
    size_t bytes = peer_table_file_bytes(config);
    enum peer_status status = check_room(ctx, path, file, bytes);
    if (status)
        return status;
    int error = posix_fallocate(file, 0, (off_t)bytes);
    if (error)
        return peer_fail(ctx, PEER_ERR_IO, "%s: no room for %zu bytes: %s", path, bytes,
                         strerror(error));
    if (pwrite(file, &header, sizeof header, 0) != (ssize_t)sizeof header || fsync(file))
        return io_error(ctx, path, "write", errno);
    return PEER_OK;
}

enum peer_status peer_table_file_create(struct peer_ctx *ctx, const char *path,
                                        const struct peer_table_file_config *config)
{
    enum peer_status status = check(ctx, PEER_ERR_ARGUMENT, path, config);
    if (status)
        return status;
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return io_error(ctx, path, "create", errno);
    status = fill_file(ctx, path, file, config);
    if (close(file) && !status)
        status = io_error(ctx, path, "close", errno);
    if (status)
        unlink(path);
    return status;
}

static enum peer_status read_header(struct peer_table_file *f, const char *path)
{
    struct peer_ctx *ctx = f->pool.ctx;
    struct header *h = &f->header;
    struct stat info;
    if (fstat(f->file, &info))
        return io_error(ctx, path, "stat", errno);
    if (!S_ISREG(info.st_mode))
        return peer_fail(ctx, PEER_ERR_IO, "%s: not a regular file", path);
    ssize_t got = pread(f->file, h, sizeof *h, 0);
    if (got < 0)
        return io_error(ctx, path, "read", errno);
    if (got < (ssize_t)sizeof *h || memcmp(h->magic, magic, sizeof magic))
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: not a table: %lld bytes, of which the first 8 "
                         "are not \"%s\"",
                         path, (long long)info.st_size, magic);
    if (h->version != VERSION)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: version %u, expected %d", path,
                         (unsigned)h->version, VERSION);
    if (h->crc != peer_crc32(h, offsetof(struct header, crc)))
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: damaged: the header's checksum is %08x, its "
                         "contents give %08x",
                         path, (unsigned)h->crc,
                         (unsigned)peer_crc32(h, offsetof(struct header, crc)));
    struct peer_table_file_config config = {.type = (enum peer_table_type)h->type,
                                            .rows = h->rows,
                                            .width = h->width,
                                            .deviation = h->deviation};
    enum peer_status status = check(ctx, PEER_ERR_FORMAT, path, &config);
    if (status)
        return status;
    f->bytes = peer_table_file_bytes(&config);
    if ((uint64_t)info.st_size != f->bytes)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: %lld bytes, but a table %s [%lld, %lld] has %zu", path,
                         (long long)info.st_size, peer_table_names[config.type],
                         (long long)config.rows, (long long)config.width, f->bytes);
    return PEER_OK;
}

/* Shared for writing; else private, so that rows can be drawn without changing the file. Pages are
 * read one by one: what lies beside a row is no more likely to be used than the rest. */
static enum peer_status map(struct peer_table_file *f, const char *path)
{
    bool write = f->access == PEER_TABLE_READ_WRITE;
    f->memory = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE,
                     write ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE, f->file, 0);
    if (f->memory == MAP_FAILED)
        return peer_fail(f->pool.ctx, PEER_ERR_MEMORY, "%s: %zu bytes cannot be mapped: %s", path,
                         f->bytes, strerror(errno));
    madvise(f->memory, f->bytes, MADV_RANDOM);
    f->drawn = (uint64_t *)(void *)((char *)f->memory + PAGE);
    void *rows = (char *)f->memory + PAGE + bitmap_bytes(f->header.rows);
    f->table = (struct peer_table){.type = (enum peer_table_type)f->header.type,
                                   .rows = f->header.rows,
                                   .width = f->header.width,
                                   .segments = 1,
                                   .file = f};
    f->table.f32 = f->table.type == PEER_TABLE_F32 ? rows : NULL;
    f->table.bf16 = f->table.type == PEER_TABLE_BF16 ? rows : NULL;
    return PEER_OK;
}

static enum peer_status open_file(struct peer_table_file *f, const char *path)
{
    struct peer_ctx *ctx = f->pool.ctx;
    bool write = f->access == PEER_TABLE_READ_WRITE;
    f->file = open(path, (write ? O_RDWR | O_NOFOLLOW : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
    if (f->file < 0)
        return io_error(ctx, path, "open", errno);
    enum peer_status status = read_header(f, path);
    if (status)
        return status;
    if (flock(f->file, (write ? LOCK_EX : LOCK_SH) | LOCK_NB))
        return errno == EWOULDBLOCK ? peer_fail(ctx, PEER_ERR_IO, "%s: it is open %s", path,
                                                write ? "elsewhere" : "for writing elsewhere")
                                    : io_error(ctx, path, "lock", errno);
    return map(f, path);
}

enum peer_status peer_table_file_open(struct peer_table_file **ret, struct peer_ctx *ctx,
                                      const char *path, enum peer_table_access access)
{
    struct peer_pool pool = {.ctx = ctx};
    struct peer_table_file *f = peer_pool_alloc(&pool, "peer_table_file_open", sizeof *f, 1, 1, 1);
    if (!f)
        return PEER_ERR_MEMORY;
    *f = (struct peer_table_file){.pool = pool, .access = access, .file = -1, .memory = MAP_FAILED};
    enum peer_status status = open_file(f, path);
    if (status)
        peer_table_file_close(&f);
    else
        *ret = f;
    return status;
}

enum peer_status peer_table_file_flush(struct peer_table_file *file)
{
    if (file->access == PEER_TABLE_READ_WRITE && msync(file->memory, file->bytes, MS_SYNC))
        return peer_fail(file->pool.ctx, PEER_ERR_IO, "peer_table_file_flush: %s", strerror(errno));
    return PEER_OK;
}

void peer_table_file_close(struct peer_table_file **file)
{
    if (!file || !*file)
        return;
    struct peer_table_file *f = *file;
    if (f->memory != MAP_FAILED)
        munmap(f->memory, f->bytes);
    if (f->file >= 0)
        close(f->file);
    struct peer_pool pool = f->pool;
    peer_pool_free(&pool);
    *file = NULL;
}

const struct peer_table *peer_table_file_table(const struct peer_table_file *file)
{
    return &file->table;
}

bool peer_table_file_drawn(const struct peer_table_file *file, int64_t row)
{
    return file->drawn[row / WORD] >> (row % WORD) & 1;
}

enum peer_table_access peer_table_file_access(const struct peer_table_file *file)
{
    return file->access;
}

uint64_t *peer_table_file_bitmap(const struct peer_table_file *file)
{
    return file->drawn;
}

size_t peer_table_file_bitmap_bytes(const struct peer_table_file *file)
{
    return bitmap_bytes(file->header.rows);
}

uint32_t peer_table_file_crc(const struct peer_table_file *file)
{
    return file->header.crc;
}

static void draw_row(const struct peer_table_file *f, int64_t row)
{
    const struct header *h = &f->header;
    int64_t first = row * h->width;
    float chunk[CHUNK];
    for (int64_t at = first; at < first + h->width; at += CHUNK) {
        int64_t n = peer_min(CHUNK, first + h->width - at);
        float *values = f->table.f32 ? f->table.f32 + at : chunk;
        peer_fill_normal_from(values, at, n, 0, h->deviation, h->seed, h->stream);
        for (int64_t i = 0; f->table.bf16 && i < n; i++)
            f->table.bf16[at + i] = peer_bf16_nearest(chunk[i]);
    }
}

struct draw_job {
    const struct peer_table_file *file;
    const int32_t *ids;
    int64_t count;
};

/* A part has the rows of every PARTS-th word of the bitmap, so that a row and its word have one
 * writer. The bit comes after the row: a killed process leaves no row marked that is not drawn. */
static void draw_part(void *job, int64_t part, int thread)
{
    (void)thread;
    const struct draw_job *j = job;
    const struct peer_table_file *f = j->file;
    for (int64_t i = 0; i < j->count; i++) {
        int32_t row = j->ids[i];
        if (row < 0 || row / WORD % PARTS != part || peer_table_file_drawn(f, row))
            continue;
        draw_row(f, row);
        __atomic_signal_fence(__ATOMIC_RELEASE);
        f->drawn[row / WORD] |= (uint64_t)1 << row % WORD;
    }
}

void peer_table_prepare(const struct peer_table *table, const int32_t *ids, int64_t count)
{
    if (!table->file)
        return;
    struct draw_job job = {table->file, ids, count};
    peer_parallel(table->file->pool.ctx, PARTS, draw_part, &job);
}
