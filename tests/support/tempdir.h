/* SPDX-License-Identifier: MIT */
/* A folder of a test's own, and the files in it. Every function asserts that it succeeds. */
#ifndef PEER_TESTS_SUPPORT_TEMPDIR_H
#define PEER_TESTS_SUPPORT_TEMPDIR_H

#include <stddef.h>

struct tempdir {
    char path[64];
};

/* A new empty folder. */
struct tempdir tempdir_create(void);

/* For tests of permissions, which do not stop the superuser: gives the folder to "nobody", as whom
 * the process goes on until the folder is removed, where it was the superuser's. */
void tempdir_become_nobody(const struct tempdir *dir);

/* Removes the folder with all that is in it. */
void tempdir_remove(const struct tempdir *dir);

struct tempfile {
    char path[256];
};

/* The path of `name` in the folder; no file is made. */
struct tempfile tempdir_file(const struct tempdir *dir, const char *name);

/* Number of entries in the folder. */
int tempdir_count(const struct tempdir *dir);

/* Writes a file of `size` bytes, and reads one whole; free() what the latter returns. */
void tempfile_write(const struct tempfile *file, const void *bytes, size_t size);
char *tempfile_read(const struct tempfile *file, size_t *size);

#endif
