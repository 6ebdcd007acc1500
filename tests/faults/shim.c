/* SPDX-License-Identifier: MIT */
/* Loaded before the C library (LD_PRELOAD), makes the n-th call of a kind fail, counted over
 * peerlab and its children of the same name:
 *   PEER_FAULT=KIND:N     alloc, open, read, write, short, sync, rename, close, grow,
 *                         folder or look (is it there? what is in it?);
 *                         N = 1, 2, ...; 0 = none, only count
 *   PEER_FAULT_TRACE=1    shows on standard error who made the call that fails
 *   PEER_FAULT_COUNT=FILE 8 bytes, a number that every call of the kind raises by one
 *   PEER_FAULT_PLACES=FILE gets 8 bytes from every call of the kind: a hash of who called whom
 * A call that fails does nothing, and leaves the reason in errno; "short" writes half. A stream
 * that cannot be written loses what it holds, as it would on a full disk; standard error is spared.
 * What OpenMP, BLAS and the linker ask for is not ours, and is granted. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { ALLOC, OPEN, READ, WRITE, SHORT, SYNC, RENAME, CLOSE, GROW, FOLDER, LOOK, KINDS };

static const char *const names[KINDS] = {"alloc",  "open",  "read", "write",  "short", "sync",
                                         "rename", "close", "grow", "folder", "look"};

enum { MOST_RANGES = 64 };

static struct {
    uintptr_t begin, end;
} spared[MOST_RANGES];
static int ranges;
static enum kind chosen = KINDS;
static uint64_t number;
static _Atomic uint64_t *count, own;
static int places = -1;

static int spare_library(struct dl_phdr_info *info, size_t size, void *data)
{
    static const char *const libraries[] = {"libgomp", "libopenblas", "libgfortran", "ld-linux",
                                            "libquadmath"};
    (void)size;
    (void)data;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        for (int j = 0; strstr(info->dlpi_name, libraries[i]) && j < info->dlpi_phnum; j++) {
            const ElfW(Phdr) *part = &info->dlpi_phdr[j];
            if (part->p_type == PT_LOAD && (part->p_flags & PF_X) && ranges < MOST_RANGES) {
                spared[ranges].begin = info->dlpi_addr + part->p_vaddr;
                spared[ranges].end = spared[ranges].begin + part->p_memsz;
                ranges++;
            }
        }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *fault = getenv("PEER_FAULT"), *path = getenv("PEER_FAULT_COUNT");
    const char *colon = fault ? strchr(fault, ':') : NULL;
    if (!colon || strcmp(program_invocation_short_name, "peerlab") != 0)
        return;
    dl_iterate_phdr(spare_library, NULL);
    number = strtoull(colon + 1, NULL, 10);
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *memory =
        file < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    count = memory == MAP_FAILED ? &own : memory;
    path = getenv("PEER_FAULT_PLACES");
    places = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    for (int kind = 0; kind < KINDS; kind++)
        if (strlen(names[kind]) == (size_t)(colon - fault) &&
            memcmp(names[kind], fault, (size_t)(colon - fault)) == 0)
            chosen = (enum kind)kind; /* from here on calls count */
}

static _Thread_local bool looking; /* backtrace() may ask for memory, too */

static void note_place(void)
{
    void *callers[48];
    uint64_t hash = 14695981039346656037u;
    looking = true;
    for (int i = 0, depth = backtrace(callers, 48); i < depth; i++)
        hash = (hash ^ (uintptr_t)callers[i]) * 1099511628211u;
    looking = false;
    syscall(SYS_write, places, &hash, sizeof hash);
}

/* Whether this call, made from `caller`, fails. */
static bool strikes(enum kind kind, const void *caller, int reason)
{
    if (kind != chosen || looking)
        return false;
    for (int i = 0; i < ranges; i++)
        if ((uintptr_t)caller >= spared[i].begin && (uintptr_t)caller < spared[i].end)
            return false;
    if (places >= 0)
        note_place();
    if (atomic_fetch_add(count, 1) + 1 != number)
        return false;
    if (getenv("PEER_FAULT_TRACE")) {
        void *callers[32];
        looking = true;
        backtrace_symbols_fd(callers, backtrace(callers, 32), STDERR_FILENO);
        looking = false;
    }
    errno = reason;
    return true;
}

#define CALLER __builtin_return_address(0)
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    find(&real, #name)

/* The C library's own function of that name; ISO C has no way from object to function pointers. */
static void find(void *ret, const char *name)
{
    void *found, **function = ret;
    memcpy(&found, function, sizeof found);
    if (!found) {
        found = dlsym(RTLD_NEXT, name);
        memcpy(function, &found, sizeof found);
    }
}

/* Memory. dlsym() itself may ask for some: the C library has other names for these. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    return strikes(ALLOC, CALLER, ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return strikes(ALLOC, CALLER, ENOMEM) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
    return strikes(ALLOC, CALLER, ENOMEM) ? NULL : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return strikes(ALLOC, CALLER, ENOMEM) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (strikes(ALLOC, CALLER, ENOMEM))
        return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    REAL(mmap);
    return strikes(ALLOC, CALLER, ENOMEM) ? MAP_FAILED
                                          : real(address, size, protection, flags, file, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int file, off64_t offset)
{
    REAL(mmap64);
    return strikes(ALLOC, CALLER, ENOMEM) ? MAP_FAILED
                                          : real(address, size, protection, flags, file, offset);
}

/* Files are opened. */
static int mode_of(int flags, va_list more)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0;
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list more;
    va_start(more, flags);
    int mode = mode_of(flags, more);
    va_end(more);
    return strikes(OPEN, CALLER, EIO) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    va_list more;
    va_start(more, flags);
    int mode = mode_of(flags, more);
    va_end(more);
    return strikes(OPEN, CALLER, EIO) ? -1 : real(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(openat);
    va_list more;
    va_start(more, flags);
    int mode = mode_of(flags, more);
    va_end(more);
    return strikes(OPEN, CALLER, EIO) ? -1 : real(folder, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(fopen);
    return strikes(OPEN, CALLER, EIO) ? NULL : real(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    REAL(fopen64);
    return strikes(OPEN, CALLER, EIO) ? NULL : real(path, mode);
}

FILE *fdopen(int file, const char *mode)
{
    REAL(fdopen);
    return strikes(OPEN, CALLER, ENOMEM) ? NULL : real(file, mode);
}

/* Files are read. */
ssize_t read(int file, void *bytes, size_t size)
{
    REAL(read);
    return strikes(READ, CALLER, EIO) ? -1 : real(file, bytes, size);
}

ssize_t pread(int file, void *bytes, size_t size, off_t offset)
{
    REAL(pread);
    return strikes(READ, CALLER, EIO) ? -1 : real(file, bytes, size, offset);
}

ssize_t pread64(int file, void *bytes, size_t size, off64_t offset)
{
    REAL(pread64);
    return strikes(READ, CALLER, EIO) ? -1 : real(file, bytes, size, offset);
}

/* A stream over a file, not over memory, and not the one that complaints go to. */
static bool on_file(FILE *stream)
{
    int before = errno;
    bool is = fileno(stream) >= 0 && fileno(stream) != STDERR_FILENO;
    errno = before;
    return is;
}

static bool stream_strikes(enum kind kind, const void *caller, int reason, FILE *stream)
{
    if (kind != chosen || !stream || !on_file(stream) || !strikes(kind, caller, reason))
        return false;
    if (kind == WRITE)
        __fpurge(stream);
    stream->_flags |= _IO_ERR_SEEN;
    return true;
}

size_t fread(void *bytes, size_t size, size_t n, FILE *stream)
{
    REAL(fread);
    return stream_strikes(READ, CALLER, EIO, stream) ? 0 : real(bytes, size, n, stream);
}

char *fgets(char *text, int size, FILE *stream)
{
    REAL(fgets);
    return stream_strikes(READ, CALLER, EIO, stream) ? NULL : real(text, size, stream);
}

ssize_t getline(char **line, size_t *room, FILE *stream)
{
    REAL(getline);
    return stream_strikes(READ, CALLER, EIO, stream) ? -1 : real(line, room, stream);
}

/* Files are written. */
ssize_t write(int file, const void *bytes, size_t size)
{
    REAL(write);
    if (file == STDERR_FILENO)
        return real(file, bytes, size);
    if (size > 1 && strikes(SHORT, CALLER, 0))
        size /= 2;
    return strikes(WRITE, CALLER, ENOSPC) ? -1 : real(file, bytes, size);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    REAL(pwrite);
    if (size > 1 && strikes(SHORT, CALLER, 0))
        size /= 2;
    return strikes(WRITE, CALLER, ENOSPC) ? -1 : real(file, bytes, size, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset)
{
    REAL(pwrite64);
    if (size > 1 && strikes(SHORT, CALLER, 0))
        size /= 2;
    return strikes(WRITE, CALLER, ENOSPC) ? -1 : real(file, bytes, size, offset);
}

size_t fwrite(const void *bytes, size_t size, size_t n, FILE *stream)
{
    REAL(fwrite);
    return stream_strikes(WRITE, CALLER, ENOSPC, stream) ? 0 : real(bytes, size, n, stream);
}

int fputs(const char *text, FILE *stream)
{
    REAL(fputs);
    return stream_strikes(WRITE, CALLER, ENOSPC, stream) ? EOF : real(text, stream);
}

int fputc(int byte, FILE *stream)
{
    REAL(fputc);
    return stream_strikes(WRITE, CALLER, ENOSPC, stream) ? EOF : real(byte, stream);
}

int vfprintf(FILE *stream, const char *format, va_list arguments)
{
    REAL(vfprintf);
    return stream_strikes(WRITE, CALLER, ENOSPC, stream) ? -1 : real(stream, format, arguments);
}

int fprintf(FILE *stream, const char *format, ...)
{
    if (stream_strikes(WRITE, CALLER, ENOSPC, stream))
        return -1;
    va_list arguments;
    va_start(arguments, format);
    REAL(vfprintf);
    int written = real(stream, format, arguments);
    va_end(arguments);
    return written;
}

int vprintf(const char *format, va_list arguments)
{
    return vfprintf(stdout, format, arguments);
}

int printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int written = vfprintf(stdout, format, arguments);
    va_end(arguments);
    return written;
}

int puts(const char *text)
{
    return fputs(text, stdout) == EOF ? EOF : fputc('\n', stdout);
}

int putchar(int byte)
{
    return fputc(byte, stdout);
}

int putc(int byte, FILE *stream)
{
    return fputc(byte, stream);
}

int fflush(FILE *stream)
{
    REAL(fflush);
    return stream_strikes(WRITE, CALLER, ENOSPC, stream) ? EOF : real(stream);
}

static bool is_written(FILE *stream)
{
    return on_file(stream) && __fwriting(stream) && __fpending(stream) > 0;
}

int fclose(FILE *stream)
{
    REAL(fclose);
    bool lost = chosen == CLOSE && is_written(stream) && strikes(CLOSE, CALLER, ENOSPC);
    if (lost)
        __fpurge(stream);
    int status = real(stream);
    if (lost)
        errno = ENOSPC;
    return lost ? EOF : status;
}

int close(int file)
{
    REAL(close);
    int status = real(file);
    return strikes(CLOSE, CALLER, EIO) ? -1 : status;
}

/* What else a disk may refuse. */
int fsync(int file)
{
    REAL(fsync);
    return strikes(SYNC, CALLER, EIO) ? -1 : real(file);
}

int fdatasync(int file)
{
    REAL(fdatasync);
    return strikes(SYNC, CALLER, EIO) ? -1 : real(file);
}

int msync(void *memory, size_t size, int flags)
{
    REAL(msync);
    return strikes(SYNC, CALLER, EIO) ? -1 : real(memory, size, flags);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    return strikes(RENAME, CALLER, EIO) ? -1 : real(from, to);
}

int renameat(int a, const char *from, int b, const char *to)
{
    REAL(renameat);
    return strikes(RENAME, CALLER, EIO) ? -1 : real(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    REAL(renameat2);
    return strikes(RENAME, CALLER, EIO) ? -1 : real(a, from, b, to, flags);
}

int link(const char *from, const char *to)
{
    REAL(link);
    return strikes(RENAME, CALLER, EIO) ? -1 : real(from, to);
}

int ftruncate(int file, off_t size)
{
    REAL(ftruncate);
    return strikes(GROW, CALLER, ENOSPC) ? -1 : real(file, size);
}

int ftruncate64(int file, off64_t size)
{
    REAL(ftruncate64);
    return strikes(GROW, CALLER, ENOSPC) ? -1 : real(file, size);
}

int posix_fallocate(int file, off_t offset, off_t size)
{
    REAL(posix_fallocate);
    return strikes(GROW, CALLER, ENOSPC) ? ENOSPC : real(file, offset, size);
}

int posix_fallocate64(int file, off64_t offset, off64_t size)
{
    REAL(posix_fallocate64);
    return strikes(GROW, CALLER, ENOSPC) ? ENOSPC : real(file, offset, size);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(mkdirat);
    return strikes(FOLDER, CALLER, ENOSPC) ? -1 : real(folder, path, mode);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return strikes(FOLDER, CALLER, ENOSPC) ? -1 : real(path, mode);
}

char *mkdtemp(char *pattern)
{
    REAL(mkdtemp);
    return strikes(FOLDER, CALLER, ENOSPC) ? NULL : real(pattern);
}

int mkstemp(char *pattern)
{
    REAL(mkstemp);
    return strikes(OPEN, CALLER, EIO) ? -1 : real(pattern);
}

int mkstemp64(char *pattern)
{
    REAL(mkstemp64);
    return strikes(OPEN, CALLER, EIO) ? -1 : real(pattern);
}

/* Is it there, and what is in it? */
int access(const char *path, int mode)
{
    REAL(access);
    return strikes(LOOK, CALLER, EIO) ? -1 : real(path, mode);
}

int stat64(const char *path, struct stat64 *info)
{
    REAL(stat64);
    return strikes(LOOK, CALLER, EIO) ? -1 : real(path, info);
}

int lstat64(const char *path, struct stat64 *info)
{
    REAL(lstat64);
    return strikes(LOOK, CALLER, EIO) ? -1 : real(path, info);
}

int fstat64(int file, struct stat64 *info)
{
    REAL(fstat64);
    return strikes(LOOK, CALLER, EIO) ? -1 : real(file, info);
}

char *realpath(const char *path, char *whole)
{
    REAL(realpath);
    return strikes(LOOK, CALLER, EIO) ? NULL : real(path, whole);
}

DIR *opendir(const char *path)
{
    REAL(opendir);
    return strikes(LOOK, CALLER, EIO) ? NULL : real(path);
}

struct dirent64 *readdir64(DIR *folder)
{
    REAL(readdir64);
    return strikes(LOOK, CALLER, EIO) ? NULL : real(folder);
}

int scandir64(const char *path, struct dirent64 ***entries,
              int (*choose)(const struct dirent64 *entry),
              int (*compare)(const struct dirent64 **a, const struct dirent64 **b))
{
    REAL(scandir64);
    return strikes(LOOK, CALLER, EIO) ? -1 : real(path, entries, choose, compare);
}

int glob64(const char *pattern, int flags, int (*error)(const char *path, int reason),
           glob64_t *found)
{
    REAL(glob64);
    return strikes(LOOK, CALLER, EIO) ? GLOB_ABORTED : real(pattern, flags, error, found);
}
