/* SPDX-License-Identifier: MIT */
#include "tests/support/tempdir.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

struct tempdir tempdir_create(void)
{
    struct tempdir dir = {"/tmp/peer-test-XXXXXX"};
    cr_assert(mkdtemp(dir.path), "%s: %s", dir.path, strerror(errno));
    return dir;
}

void tempdir_become_nobody(const struct tempdir *dir)
{
    if (geteuid() != 0)
        return;
    cr_assert_eq(chown(dir->path, NOBODY, NOBODY), 0, "%s: %s", dir->path, strerror(errno));
    cr_assert_eq(seteuid(NOBODY), 0, "%s", strerror(errno));
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void tempdir_remove(const struct tempdir *dir)
{
    if (geteuid() != getuid()) {
        cr_assert_eq(seteuid(getuid()), 0, "%s", strerror(errno));
        prctl(PR_SET_DUMPABLE, 1); /* as it was: leak checkers attach to the process */
    }
    chmod(dir->path, 0700);
    cr_assert_eq(nftw(dir->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0, "%s: %s", dir->path,
                 strerror(errno));
}

struct tempfile tempdir_file(const struct tempdir *dir, const char *name)
{
    struct tempfile file;
    int length = snprintf(file.path, sizeof file.path, "%s/%s", dir->path, name);
    cr_assert_lt((size_t)length, sizeof file.path);
    return file;
}

int tempdir_count(const struct tempdir *dir)
{
    DIR *entries = opendir(dir->path);
    cr_assert(entries, "%s: %s", dir->path, strerror(errno));
    int count = -2;
    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
}

void tempfile_write(const struct tempfile *file, const void *bytes, size_t size)
{
    FILE *stream = fopen(file->path, "wb");
    cr_assert(stream, "%s: %s", file->path, strerror(errno));
    cr_assert_eq(fwrite(bytes, 1, size, stream), size);
    cr_assert_eq(fclose(stream), 0);
}

char *tempfile_read(const struct tempfile *file, size_t *size)
{
    FILE *stream = fopen(file->path, "rb");
    cr_assert(stream, "%s: %s", file->path, strerror(errno));
    struct stat info;
    cr_assert_eq(fstat(fileno(stream), &info), 0);
    char *bytes = malloc((size_t)info.st_size + 1);
    cr_assert(bytes);
    *size = fread(bytes, 1, (size_t)info.st_size, stream);
    cr_assert_eq(*size, (size_t)info.st_size);
    fclose(stream);
    return bytes;
}
