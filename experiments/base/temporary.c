/* SPDX-License-Identifier: MIT */
#include "experiments/base/temporary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum peer_status refused(struct peer_ctx *ctx, const char *path, int reason)
{
    return peer_fail(ctx, PEER_ERR_IO, "%s: cannot create: %s (TMPDIR says where)", path,
                     strerror(reason));
}

static enum peer_status name(char path[PATH_MAX], struct peer_ctx *ctx)
{
    const char *base = getenv("TMPDIR");
    base = base && *base ? base : "/tmp";
    int length = snprintf(path, PATH_MAX, "%s/peerlab-XXXXXX", base);
    if (length < PATH_MAX)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_IO, "TMPDIR: a path of %zu characters, at most %d", strlen(base),
                     PATH_MAX - 16);
}

FILE *lab_temporary_file(char path[PATH_MAX], struct peer_ctx *ctx)
{
    if (name(path, ctx) != PEER_OK)
        return NULL;
    int descriptor = mkstemp(path);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (file)
        return file;
    refused(ctx, path, errno);
    if (descriptor >= 0) {
        close(descriptor);
        unlink(path);
    }
    return NULL;
}

enum peer_status lab_temporary_folder(char path[PATH_MAX], struct peer_ctx *ctx)
{
    enum peer_status status = name(path, ctx);
    if (status == PEER_OK && !mkdtemp(path))
        status = refused(ctx, path, errno);
    return status;
}
