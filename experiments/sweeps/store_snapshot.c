/* SPDX-License-Identifier: MIT */
/* SQLite reads a file in WAL mode only where it can make or write two more beside it, and one that
 * it is told to be immutable without its log. So the file and its log are read here, by the format
 * of https://www.sqlite.org/fileformat2.html: committed frames of the log lie over the pages. */
#include "experiments/sweeps/store_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "experiments/runs/run_config.h"

enum { LOG_HEADER = 32, FRAME_HEADER = 24, TRIES = 200 };

struct bytes {
    unsigned char *data; /* malloc()ed: SQLite's own gives 2 GiB at most */
    size_t size;
    struct stat info; /* of the file, before it was read */
};

static uint32_t big_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t little_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

/* ---- the log ---- */

struct log {
    const unsigned char *data;
    size_t page, frames; /* bytes of a page; whole frames in the file */
    bool big;            /* checksums are over big-endian words */
    uint32_t sum[2];
};

static void add_to_sum(struct log *log, const unsigned char *bytes, size_t size)
{
    uint32_t (*word)(const unsigned char *) = log->big ? big_endian : little_endian;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        log->sum[0] += word(bytes + i) + log->sum[1];
        log->sum[1] += word(bytes + i + 4) + log->sum[0];
    }
}

static bool sum_is(const struct log *log, const unsigned char *bytes)
{
    return log->sum[0] == big_endian(bytes) && log->sum[1] == big_endian(bytes + 4);
}

/* False for a log that holds nothing, which is what SQLite makes of one with a broken header. */
static bool open_log(struct log *log, const struct bytes *file)
{
    const unsigned char *header = file->data;
    if (file->size < LOG_HEADER || (big_endian(header) & ~1u) != 0x377f0682)
        return false;
    *log =
        (struct log){.data = header, .big = big_endian(header) & 1, .page = big_endian(header + 8)};
    if (log->page < 512 || log->page > 65536 || (log->page & (log->page - 1)))
        return false;
    log->frames = (file->size - LOG_HEADER) / (FRAME_HEADER + log->page);
    add_to_sum(log, header, 24);
    return sum_is(log, header + 24);
}

static const unsigned char *frame_of(const struct log *log, size_t i)
{
    return log->data + LOG_HEADER + i * (FRAME_HEADER + log->page);
}

/* Frames up to the last one that commits, and the pages that the database has then. */
static size_t committed(struct log *log, size_t *pages)
{
    size_t end = 0;
    for (size_t i = 0; i < log->frames; i++) {
        const unsigned char *frame = frame_of(log, i);
        add_to_sum(log, frame, 8);
        add_to_sum(log, frame + FRAME_HEADER, log->page);
        if (memcmp(frame + 8, log->data + 16, 8) != 0 || !sum_is(log, frame + 16))
            break;
        if (big_endian(frame + 4)) {
            end = i + 1;
            *pages = big_endian(frame + 4);
        }
    }
    return end;
}

/* Lays the committed pages over those of the file. False: no memory. */
static bool apply_log(struct bytes *file, const struct bytes *log_file)
{
    struct log log;
    size_t pages = 0, count = open_log(&log, log_file) ? committed(&log, &pages) : 0;
    /* Every page stands in the file or in the log. */
    if (count == 0 || pages > file->size / log.page + count)
        return true;
    unsigned char *grown = realloc(file->data, pages * log.page);
    if (!grown)
        return false;
    if (file->size < pages * log.page)
        memset(grown + file->size, 0, pages * log.page - file->size);
    file->data = grown;
    file->size = pages * log.page;
    for (size_t i = 0; i < count; i++) {
        size_t number = big_endian(frame_of(&log, i));
        if (number >= 1 && number <= pages)
            memcpy(grown + (number - 1) * log.page, frame_of(&log, i) + FRAME_HEADER, log.page);
    }
    return true;
}

/* ---- the files ---- */

static void release(struct bytes *file)
{
    free(file->data);
    file->data = NULL;
}

/* The whole of a plain file. Returns 0 or an errno value. */
static int read_whole(struct bytes *ret, const char *path)
{
    struct bytes file = {0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return errno;
    int reason = fstat(descriptor, &file.info) ? errno : S_ISREG(file.info.st_mode) ? 0 : EINVAL;
    size_t room = (size_t)file.info.st_size;
    if (!reason && !(file.data = malloc(room + 1)))
        reason = ENOMEM;
    while (!reason && file.size < room) {
        ssize_t got = read(descriptor, file.data + file.size, room - file.size);
        if (got < 0 && errno != EINTR)
            reason = errno;
        if (got == 0)
            break;
        file.size += got > 0 ? (size_t)got : 0;
    }
    close(descriptor);
    if (reason)
        release(&file);
    else
        *ret = file;
    return reason;
}

static bool same_file(const struct bytes *file, const char *path)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_ino == file->info.st_ino &&
           now.st_size == file->info.st_size && now.st_mtim.tv_sec == file->info.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == file->info.st_mtim.tv_nsec;
}

/* Whether the log still begins as it did: frames that were added to it do no harm. */
static bool same_log(const struct bytes *log, const char *path)
{
    unsigned char header[LOG_HEADER];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = descriptor >= 0 ? read(descriptor, header, sizeof header) : 0;
    if (descriptor >= 0)
        close(descriptor);
    size_t had = log->size < sizeof header ? log->size : sizeof header;
    return got >= 0 && (size_t)got == had && (had == 0 || memcmp(header, log->data, had) == 0);
}

/* Both files as they stood at one moment: while another process moves the log into the file, it is
 * tried again. Returns 0 or an errno value; EAGAIN where that never ended. */
static int read_both(struct bytes *file, struct bytes *log, const char *path, const char *log_path)
{
    for (int try = 0; try < TRIES; try++) {
        *log = (struct bytes){0}; /* what is not there any more is empty */
        int reason = read_whole(file, path);
        if (reason)
            return reason;
        reason = read_whole(log, log_path);
        if (reason == ENOENT)
            reason = 0;
        if (!reason && same_file(file, path) && same_log(log, log_path))
            return 0;
        release(file);
        release(log);
        if (reason)
            return reason;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return EAGAIN;
}

/* A function that nobody calls: what it was made with is freed once the database is closed. */
static void image(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_null(context);
}

/* Takes over file->data. */
static enum peer_status open_image(sqlite3 **ret, struct peer_ctx *ctx, const char *path,
                                   struct bytes *file)
{
    static const char magic[] = "SQLite format 3";
    if (file->size < 100 || memcmp(file->data, magic, sizeof magic) != 0) {
        release(file);
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s: not a run store", path);
    }
    file->data[18] = file->data[19] = 1; /* what is in memory has no log */
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_deserialize(db, "main", file->data, (sqlite3_int64)file->size,
                                   (sqlite3_int64)file->size, SQLITE_DESERIALIZE_READONLY);
    if (code == SQLITE_OK) { /* frees the image in any case */
        code = sqlite3_create_function_v2(db, "image", 0, SQLITE_UTF8, file->data, image, NULL,
                                          NULL, free);
        file->data = NULL;
    }
    if (code != SQLITE_OK) {
        sqlite3_close(db);
        release(file);
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    }
    *ret = db;
    return PEER_OK;
}

enum peer_status lab_store_snapshot(sqlite3 **ret, struct peer_ctx *ctx, const char *path)
{
    struct bytes file = {0}, log = {0};
    char log_path[LAB_PATH + 8];
    snprintf(log_path, sizeof log_path, "%s-wal", path);
    int reason = read_both(&file, &log, path, log_path);
    if (reason == ENOENT || reason == ENOTDIR)
        return peer_fail(ctx, PEER_ERR_IO, "%s: no sweep is kept here", path);
    if (reason == EAGAIN)
        return peer_fail(ctx, PEER_ERR_IO, "%s: changes faster than it can be read; try again",
                         path);
    if (reason)
        return peer_fail(ctx, reason == ENOMEM ? PEER_ERR_MEMORY : PEER_ERR_IO, "%s: %s", path,
                         reason == EINVAL ? "not a file" : strerror(reason));
    bool applied = apply_log(&file, &log);
    release(&log);
    if (!applied) {
        release(&file);
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    }
    return open_image(ret, ctx, path, &file);
}
