/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(memory, bytes) ((void)(memory))
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) ((void)(memory))
#endif

enum { MOST_BYTES = 64 << 20, PATHS = 4, KEPT = 8, LARGE = 1 << 16, MOST_KEPT = 1 << 20 };

static size_t held;

/* Large blocks of sizes that return with every input: sanitizers map and unmap such ones. */
static struct {
    void *memory;
    size_t bytes;
} kept[KEPT];

void fuzz_finding(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

static void *grant(void *user, size_t bytes)
{
    void *memory = NULL;
    (void)user;
    if (bytes > MOST_BYTES - held)
        return NULL;
    for (int i = 0; i < KEPT && !memory; i++)
        if (kept[i].memory && kept[i].bytes == bytes) {
            memory = kept[i].memory;
            kept[i].memory = NULL;
            ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
        }
    if (!memory && posix_memalign(&memory, 64, bytes ? bytes : 1))
        return NULL;
    held += bytes;
    return memset(memory, 0, bytes);
}

static void take_back(void *user, void *memory, size_t bytes)
{
    (void)user;
    held -= bytes;
    for (int i = 0; i < KEPT && bytes >= LARGE && bytes < MOST_KEPT; i++)
        if (!kept[i].memory) {
            kept[i].memory = memory;
            kept[i].bytes = bytes;
            ASAN_POISON_MEMORY_REGION(memory, bytes);
            return;
        }
    free(memory);
}

struct peer_ctx *fuzz_ctx(void)
{
    static struct peer_ctx *ctx;
    struct peer_ctx_config config = peer_ctx_config_default();
    config.threads = 1;
    config.allocator = (struct peer_allocator){grant, take_back, NULL};
    if (!ctx && peer_ctx_create(&ctx, &config))
        abort();
    return ctx;
}

void fuzz_end(void)
{
    FUZZ_CHECK(held == 0);
}

void fuzz_reason(enum peer_status status)
{
    FUZZ_CHECK(status == PEER_OK || *peer_ctx_error(fuzz_ctx()));
}

static char folder[PATH_MAX];

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
    if (*folder)
        return folder;
    const char *place = getenv("TMPDIR");
    if (!place)
        place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/peer-fuzz-XXXXXX", place);
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    atexit(remove_folder);
    return folder;
}

const char *fuzz_path(const char *name)
{
    static char paths[PATHS][PATH_MAX + 64];
    static int next;
    char *path = paths[next++ % PATHS];
    snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder(), name);
    return path;
}

const char *fuzz_file(const char *name, const void *bytes, size_t size)
{
    const char *path = fuzz_path(name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        char parent[PATH_MAX];
        snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
        mkdir(parent, 0700);
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    FUZZ_CHECK(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    close(file);
    return path;
}

void fuzz_remove(const char *name)
{
    remove(fuzz_path(name));
}

uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (!input->size)
        return 0;
    input->size--;
    return *input->bytes++;
}

struct fuzz_input fuzz_part(struct fuzz_input *input)
{
    static const char line[] = "\n%%%%\n";
    const size_t length = sizeof line - 1;
    const uint8_t *found = input->size ? memmem(input->bytes, input->size, line, length) : NULL;
    struct fuzz_input part = *input;
    if (found) {
        part.size = (size_t)(found - input->bytes);
        input->bytes = found + length;
        input->size -= part.size + length;
    } else {
        input->size = 0;
    }
    return part;
}

char *fuzz_text(struct fuzz_input input)
{
    char *text = malloc(input.size + 1);
    FUZZ_CHECK(text);
    if (input.size)
        memcpy(text, input.bytes, input.size);
    text[input.size] = 0;
    return text;
}

bool fuzz_mends(struct fuzz_input input)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < input.size; i++)
        sum = sum * 31 + input.bytes[i];
    return sum % 4 != 0;
}
