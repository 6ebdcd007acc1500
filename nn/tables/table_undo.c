/* SPDX-License-Identifier: MIT */
#include "nn/tables/table_undo.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/parallel.h"
#include "nn/pool.h"
#include "nn/tables/table_file_private.h"

enum { PAGE = 4096, VERSION = 1, WORD = 64, BUFFER = 1 << 20 };

static const char magic[8] = "peerund";

/* The first bytes of page 0; without padding, little-endian. */
struct header {
    char magic[8];
    uint32_t version, table; /* table: CRC-32 of its header */
    int64_t last, prepared;  /* savepoints */
    int64_t entries;
    uint32_t changed; /* 1: rows have changed since the last savepoint */
    uint32_t crc;     /* of all before it */
};

struct peer_table_undo {
    struct peer_pool pool;
    struct peer_table_file *table;
    char *path;
    int file;
    bool writes;
    struct header header;
    size_t bitmap_bytes, row_bytes;
    uint64_t *kept; /* bitmap of rows that need no entry: new since the savepoint, or in the log */
    char *buffer;   /* [capacity] entries on their way */
    int64_t capacity, filled;
    bool failed; /* rows that `kept` has may not be in the log */
};

static enum peer_status io_error(const struct peer_table_undo *u, const char *what)
{
    return peer_fail(u->pool.ctx, PEER_ERR_IO, "%s: %s: %s", u->path, what, strerror(errno));
}

static enum peer_status write_at(const struct peer_table_undo *u, const void *bytes, size_t size,
                                 size_t offset)
{
    for (const char *at = bytes; size > 0;) {
        ssize_t done = pwrite(u->file, at, size, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return io_error(u, "write");
        at += done;
        offset += (size_t)done;
        size -= (size_t)done;
    }
    return PEER_OK;
}

static enum peer_status read_at(const struct peer_table_undo *u, void *bytes, size_t size,
                                size_t offset)
{
    for (char *at = bytes; size > 0;) {
        ssize_t done = pread(u->file, at, size, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return io_error(u, "read");
        if (done == 0)
            return peer_fail(u->pool.ctx, PEER_ERR_FORMAT, "%s: cut: it ends at byte %zu", u->path,
                             offset);
        at += done;
        offset += (size_t)done;
        size -= (size_t)done;
    }
    return PEER_OK;
}

static enum peer_status sync_file(const struct peer_table_undo *u)
{
    return fdatasync(u->file) ? io_error(u, "sync") : PEER_OK;
}

static size_t entry_bytes(const struct peer_table_undo *u)
{
    return sizeof(int64_t) + u->row_bytes;
}

static size_t entry_at(const struct peer_table_undo *u, int64_t entry)
{
    return PAGE + u->bitmap_bytes + (size_t)entry * entry_bytes(u);
}

static char *row_at(const struct peer_table_undo *u, int64_t row)
{
    const struct peer_table *table = peer_table_file_table(u->table);
    char *rows = table->f32 ? (char *)table->f32 : (char *)table->bf16;
    return rows + (size_t)row * u->row_bytes;
}

/* It counts once it is on disk, as all written before it then is. */
static enum peer_status write_header(struct peer_table_undo *u)
{
    u->header.crc = peer_crc32(&u->header, offsetof(struct header, crc));
    enum peer_status status = write_at(u, &u->header, sizeof u->header, 0);
    return status ? status : sync_file(u);
}

/* A log without entries, at a savepoint at which the table is, all on disk. */
static enum peer_status start(struct peer_table_undo *u, int64_t savepoint)
{
    const uint64_t *drawn = peer_table_file_bitmap(u->table);
    u->failed = true; /* until it has not */
    enum peer_status status = write_at(u, drawn, u->bitmap_bytes, PAGE);
    if (!status)
        status = sync_file(u);
    if (status)
        return status;
    u->header.last = u->header.prepared = savepoint;
    u->header.entries = u->header.changed = 0;
    status = write_header(u);
    if (!status && ftruncate(u->file, (off_t)entry_at(u, 0)))
        status = io_error(u, "cut");
    for (size_t i = 0; i < u->bitmap_bytes / sizeof *drawn; i++)
        u->kept[i] = ~drawn[i];
    u->failed = status != PEER_OK;
    return status;
}

static bool none_drawn(const struct peer_table_undo *u)
{
    const uint64_t *drawn = peer_table_file_bitmap(u->table);
    uint64_t any = 0;
    for (size_t i = 0; i < u->bitmap_bytes / sizeof *drawn; i++)
        any |= drawn[i];
    return !any;
}

/* Under another name first, so that no half of a log is taken for one. */
static enum peer_status make(struct peer_table_undo *u)
{
    char temporary[PATH_MAX];
    snprintf(temporary, sizeof temporary, "%s.tmp", u->path);
    unlink(temporary);
    u->file = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (u->file < 0)
        return io_error(u, "create");
    memcpy(u->header.magic, magic, sizeof magic);
    u->header.version = VERSION;
    u->header.table = peer_table_file_crc(u->table);
    enum peer_status status = start(u, 0);
    if (!status && rename(temporary, u->path))
        status = io_error(u, "rename");
    if (status)
        unlink(temporary);
    return status;
}

static enum peer_status read_header(struct peer_table_undo *u)
{
    struct peer_ctx *ctx = u->pool.ctx;
    struct header *h = &u->header;
    enum peer_status status = read_at(u, h, sizeof *h, 0);
    if (status)
        return status;
    if (memcmp(h->magic, magic, sizeof magic) || h->version != VERSION)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: no undo log of version %d", u->path, VERSION);
    uint32_t crc = peer_crc32(h, offsetof(struct header, crc));
    if (h->crc != crc)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: damaged: the header's checksum is %08x, its contents give %08x",
                         u->path, (unsigned)h->crc, (unsigned)crc);
    crc = peer_table_file_crc(u->table);
    if (h->table != crc)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: of another table: of checksum %08x, here %08x",
                         u->path, (unsigned)h->table, (unsigned)crc);
    return PEER_OK;
}

static enum peer_status open_log(struct peer_table_undo *u)
{
    u->file = open(u->path, (u->writes ? O_RDWR | O_NOFOLLOW : O_RDONLY) | O_CLOEXEC);
    if (u->file >= 0)
        return read_header(u);
    if (errno != ENOENT)
        return io_error(u, "open");
    if (!none_drawn(u))
        return peer_fail(u->pool.ctx, PEER_ERR_IO,
                         "%s is not there: its table has been used, and nobody knows for how long",
                         u->path);
    return u->writes ? make(u) : PEER_OK;
}

static void allocate(struct peer_table_undo *u, const char *path)
{
    static const char who[] = "peer_table_undo_open";
    const struct peer_table *table = peer_table_file_table(u->table);
    int64_t length = (int64_t)strlen(path) + 1;
    u->bitmap_bytes = peer_table_file_bitmap_bytes(u->table);
    u->row_bytes = (size_t)peer_table_row_bytes(table->type, table->width, 1);
    u->path = peer_pool_alloc(&u->pool, who, 1, length, 1, 1);
    if (u->path)
        memcpy(u->path, path, (size_t)length);
    if (!u->writes)
        return;
    u->capacity = BUFFER / (int64_t)entry_bytes(u) + 1;
    u->kept = peer_pool_alloc(&u->pool, who, 1, (int64_t)u->bitmap_bytes, 1, 1);
    u->buffer = peer_pool_alloc(&u->pool, who, entry_bytes(u), u->capacity, 1, 1);
}

enum peer_status peer_table_undo_open(struct peer_table_undo **ret, struct peer_ctx *ctx,
                                      struct peer_table_file *table, const char *path)
{
    struct peer_pool pool = {.ctx = ctx};
    struct peer_table_undo *u = peer_pool_alloc(&pool, "peer_table_undo_open", sizeof *u, 1, 1, 1);
    if (!u)
        return PEER_ERR_MEMORY;
    *u = (struct peer_table_undo){.pool = pool,
                                  .table = table,
                                  .file = -1,
                                  .writes = peer_table_file_access(table) == PEER_TABLE_READ_WRITE};
    allocate(u, path);
    enum peer_status status = u->pool.failed ? PEER_ERR_MEMORY : open_log(u);
    if (status)
        peer_table_undo_close(&u);
    else
        *ret = u;
    return status;
}

void peer_table_undo_close(struct peer_table_undo **undo)
{
    if (!undo || !*undo)
        return;
    if ((*undo)->file >= 0)
        close((*undo)->file);
    struct peer_pool pool = (*undo)->pool;
    peer_pool_free(&pool);
    *undo = NULL;
}

/* Entries, then the bitmap: until the log starts anew, doing it again does no harm. */
static enum peer_status roll_back(struct peer_table_undo *u)
{
    const struct peer_table *table = peer_table_file_table(u->table);
    for (int64_t first = 0; first < u->header.entries; first += u->capacity) {
        int64_t n = peer_min(u->capacity, u->header.entries - first);
        enum peer_status status =
            read_at(u, u->buffer, (size_t)n * entry_bytes(u), entry_at(u, first));
        if (status)
            return status;
        for (int64_t i = 0; i < n; i++) {
            int64_t row;
            const char *entry = u->buffer + (size_t)i * entry_bytes(u);
            memcpy(&row, entry, sizeof row);
            if (row < 0 || row >= table->rows)
                return peer_fail(u->pool.ctx, PEER_ERR_FORMAT,
                                 "%s: damaged: entry %lld is of row %lld, expected 0 to %lld",
                                 u->path, (long long)(first + i), (long long)row,
                                 (long long)table->rows - 1);
            memcpy(row_at(u, row), entry + sizeof row, u->row_bytes);
        }
    }
    return read_at(u, peer_table_file_bitmap(u->table), u->bitmap_bytes, PAGE);
}

enum peer_status peer_table_undo_restore(struct peer_table_undo *u, int64_t savepoint)
{
    const struct header *h = &u->header;
    struct peer_ctx *ctx = u->pool.ctx;
    bool last = h->last == savepoint;
    if (!last && h->prepared != savepoint)
        return peer_fail(ctx, PEER_ERR_FORMAT,
                         "%s: its table is at savepoint %lld, or can be taken back there; expected "
                         "%lld",
                         u->path, (long long)h->last, (long long)savepoint);
    if (!u->writes)
        return last && h->changed ? peer_fail(ctx, PEER_ERR_FORMAT,
                                              "%s: its table has changed since savepoint %lld",
                                              u->path, (long long)savepoint)
                                  : PEER_OK;
    enum peer_status status = last ? roll_back(u) : PEER_OK;
    if (!status)
        status = peer_table_file_flush(u->table);
    return status ? status : start(u, savepoint);
}

static enum peer_status write_entries(struct peer_table_undo *u)
{
    int64_t n = u->filled;
    u->filled = 0;
    enum peer_status status =
        write_at(u, u->buffer, (size_t)n * entry_bytes(u), entry_at(u, u->header.entries));
    if (!status)
        u->header.entries += n;
    return status;
}

static void add_entry(struct peer_table_undo *u, int64_t row)
{
    char *entry = u->buffer + (size_t)u->filled++ * entry_bytes(u);
    memcpy(entry, &row, sizeof row);
    memcpy(entry + sizeof row, row_at(u, row), u->row_bytes);
}

/* The header that counts the entries is written when they are on disk. */
static enum peer_status keep(struct peer_table_undo *u, const int32_t *ids, int64_t count)
{
    enum peer_status status = PEER_OK;
    int64_t before = u->header.entries;
    for (int64_t i = 0; i < count && !status; i++) {
        if (ids[i] < 0)
            continue;
        uint64_t bit = (uint64_t)1 << ids[i] % WORD;
        if (u->kept[ids[i] / WORD] & bit)
            continue;
        u->kept[ids[i] / WORD] |= bit;
        add_entry(u, ids[i]);
        if (u->filled == u->capacity)
            status = write_entries(u);
    }
    if (!status && u->filled)
        status = write_entries(u);
    if (status || (u->header.entries == before && u->header.changed))
        return status;
    status = sync_file(u);
    u->header.changed = 1;
    return status ? status : write_header(u);
}

enum peer_status peer_table_undo_keep(struct peer_table_undo *u, const int32_t *ids, int64_t count)
{
    assert(u->writes);
    if (u->failed)
        return peer_fail(u->pool.ctx, PEER_ERR_IO, "%s: rows were lost by an earlier failure",
                         u->path);
    enum peer_status status = keep(u, ids, count);
    u->failed = status != PEER_OK;
    return status;
}

enum peer_status peer_table_undo_prepare(struct peer_table_undo *u, int64_t savepoint)
{
    assert(u->writes && savepoint >= u->header.last);
    enum peer_status status = peer_table_file_flush(u->table);
    u->header.prepared = savepoint;
    return status ? status : write_header(u);
}

enum peer_status peer_table_undo_commit(struct peer_table_undo *u)
{
    assert(u->writes);
    return start(u, u->header.prepared);
}
