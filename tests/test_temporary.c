/* SPDX-License-Identifier: MIT */
/* Files and folders for a moment lie where TMPDIR says. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/base/temporary.h"
#include "tests/support/tempdir.h"

static struct peer_ctx *ctx;
static struct tempdir dir;

static void set_up(void)
{
    cr_assert_eq(peer_ctx_create(&ctx, NULL), PEER_OK);
    dir = tempdir_create();
    setenv("TMPDIR", dir.path, 1);
}

static void tear_down(void)
{
    tempdir_remove(&dir);
    peer_ctx_destroy(&ctx);
}

TestSuite(temporary, .init = set_up, .fini = tear_down);

Test(temporary, lies_where_tmpdir_says_under_names_of_its_own)
{
    char path[3][PATH_MAX];
    FILE *files[2] = {lab_temporary_file(path[0], ctx), lab_temporary_file(path[1], ctx)};
    struct stat info;
    cr_assert(files[0] && files[1], "%s", peer_ctx_error(ctx));
    cr_assert_eq(lab_temporary_folder(path[2], ctx), PEER_OK);
    cr_expect_eq(tempdir_count(&dir), 3);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(strncmp(path[i], dir.path, strlen(dir.path)), 0, "%s", path[i]);
    cr_expect(stat(path[2], &info) == 0 && S_ISDIR(info.st_mode));
    cr_expect(fputs("abc", files[0]) >= 0 && fclose(files[0]) == 0 && fclose(files[1]) == 0);
    cr_expect(stat(path[0], &info) == 0 && info.st_size == 3);
}

Test(temporary, without_tmpdir_it_is_tmp)
{
    char path[PATH_MAX];
    setenv("TMPDIR", "", 1);
    FILE *file = lab_temporary_file(path, ctx);
    cr_assert(file, "%s", peer_ctx_error(ctx));
    cr_expect_eq(strncmp(path, "/tmp/", 5), 0, "%s", path);
    fclose(file);
    unlink(path);
}

static void expect_refused(const char *says)
{
    char path[PATH_MAX];
    cr_expect_null(lab_temporary_file(path, ctx));
    cr_expect(strstr(peer_ctx_error(ctx), says), "%s: without %s", peer_ctx_error(ctx), says);
    cr_expect_eq(lab_temporary_folder(path, ctx), PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(ctx), says), "%s: without %s", peer_ctx_error(ctx), says);
}

Test(temporary, refusals_name_the_place)
{
    char deep[PATH_MAX + 8];
    setenv("TMPDIR", "/nowhere/at/all", 1);
    expect_refused("/nowhere/at/all/peerlab-");
    memset(deep, 'x', sizeof deep);
    deep[sizeof deep - 1] = 0;
    setenv("TMPDIR", deep, 1);
    expect_refused("TMPDIR: a path of");
}
