/* SPDX-License-Identifier: MIT */
/* Stands in for libFuzzer where it is not there: runs the harness on files, and on every file in
 * folders; with -m N also on N changed copies of each, the same ones every time. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

enum { MOST_CHANGES = 4, MOST_MOVED = 16 };

static long inputs, copies;

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}

/* One change of bytes [*size], which has room for MOST_MOVED more. */
static void change(uint8_t *bytes, size_t *size, uint64_t *state)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '-', '9', '\n'};
    if (!*size)
        return;
    size_t at = draw(state, *size), moved = 1 + draw(state, MOST_MOVED);
    size_t from = draw(state, *size), rest = *size - at;
    switch (draw(state, 6)) {
    case 0:
        bytes[at] ^= (uint8_t)(1 << draw(state, 8));
        break;
    case 1:
        bytes[at] = odd[draw(state, sizeof odd)];
        break;
    case 2:
        *size = at;
        break;
    case 3: /* removes */
        moved = moved < rest ? moved : rest;
        memmove(bytes + at, bytes + at + moved, rest - moved);
        *size -= moved;
        break;
    case 4: /* doubles */
        moved = moved < rest ? moved : rest;
        memmove(bytes + at + moved, bytes + at, rest);
        *size += moved;
        break;
    default: /* copies over */
        moved = moved < rest ? moved : rest;
        moved = moved < *size - from ? moved : *size - from;
        memmove(bytes + at, bytes + from, moved);
    }
}

/* The harness gets memory of just the input's size, so that sanitizers see its end. */
static void run_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        exit(1);
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

static void run_copies(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + MOST_CHANGES * MOST_MOVED + 1);
    if (!copy)
        exit(1);
    for (long i = 0; i < copies; i++) {
        uint64_t state = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1) ^ size;
        size_t count = size;
        memcpy(copy, bytes, size);
        for (uint64_t left = 1 + draw(&state, MOST_CHANGES); left; left--)
            change(copy, &count, &state);
        run_bytes(copy, count);
    }
    free(copy);
}

static void run_file(const char *path, FILE *file, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    if (!bytes || fread(bytes, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fprintf(stderr, "%s\n", path);
    run_bytes(bytes, size);
    run_copies(bytes, size);
    free(bytes);
}

static void run_path(const char *path)
{
    struct stat info;
    struct dirent **entries;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info)) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(info.st_mode))
        run_file(path, file, (size_t)info.st_size);
    fclose(file);
    int count = S_ISDIR(info.st_mode) ? scandir(path, &entries, NULL, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            run_path(inner);
        free(entries[i]);
    }
    if (count > 0)
        free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-m") == 0 && i + 1 < argc)
            copies = atol(argv[++i]);
        else
            run_path(argv[i]);
    }
    printf("%ld inputs\n", inputs);
    return inputs ? 0 : 1;
}
