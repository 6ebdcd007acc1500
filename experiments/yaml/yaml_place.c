/* SPDX-License-Identifier: MIT */
#include "experiments/yaml/yaml_place.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/report/html.h"
#include "lm/token_shards.h"

/* Bytes of the folder in a path, its '/' included; 0 = the current one. */
static int folder_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) + 1 : 0;
    return length == 2 && path[0] == '.' ? 0 : length;
}

static bool is_absent(int reason)
{
    return reason == ENOENT || reason == ENOTDIR;
}

bool lab_yaml_place_exists(const char *path)
{
    glob_t found = {0};
    char pattern[2 * PATH_MAX];
    if (access(path, F_OK) == 0 || !is_absent(errno))
        return true;
    bool any = strpbrk(path, "*?[") && lm_shards_pattern(pattern, sizeof pattern, path) &&
               glob(pattern, GLOB_NOSORT, NULL, &found) != GLOB_NOMATCH;
    globfree(&found);
    return any;
}

enum peer_status lab_yaml_place(struct peer_ctx *ctx, char *name, char *place, size_t size,
                                const struct lab_yaml_node *node)
{
    const char *file = lab_yaml_path(node);
    enum peer_status status = lab_yaml_string(ctx, name, size, node);
    if (status != PEER_OK)
        return status;
    int folder = *name == '/' ? 0 : folder_bytes(file);
    int length = snprintf(place, size, "%.*s%s", folder, file, name);
    if (length >= (int)size || !lab_yaml_place_exists(place))
        memcpy(place, name, strlen(name) + 1);
    return PEER_OK;
}

void lab_yaml_place_tell(FILE *file, const char *path, const char *field, const char *name,
                         const char *place)
{
    if (!*name || *name == '/' || folder_bytes(path) == 0)
        return;
    bool beside = strcmp(name, place) != 0;
    if (beside && lab_yaml_place_exists(name))
        fprintf(file, "peerlab: %s: %s is %s, beside %s; not that of the current folder\n", field,
                name, place, path);
    else if (!beside && lab_yaml_place_exists(name))
        fprintf(file, "peerlab: %s: %s of the current folder; there is none beside %s\n", field,
                name, path);
}

static bool is_utf8(const char *text)
{
    char character[5];
    for (int length; (length = lab_next_character(character, text)) > 0; text += length)
        if (strncmp(character, text, (size_t)length) != 0)
            return false;
    return true;
}

/* Where realpath() fails so, the path is left to whoever opens it. */
static bool leads_nowhere(int reason)
{
    return is_absent(reason) || reason == EACCES || reason == ELOOP || reason == ENAMETOOLONG;
}

enum peer_status lab_yaml_place_everywhere(char *ret, size_t size, struct peer_ctx *ctx,
                                           const char *path)
{
    char folder[PATH_MAX], place[PATH_MAX], whole[2 * PATH_MAX] = "";
    bool known = realpath(path, whole), unsaid = !known && !leads_nowhere(errno);
    if (!known && !unsaid && lab_yaml_place_exists(path)) { /* a pattern, in a folder */
        int length = folder_bytes(path);
        snprintf(folder, sizeof folder, "%.*s", length ? length : 1, length ? path : ".");
        known = realpath(folder, place);
        unsaid = !known && !leads_nowhere(errno);
        snprintf(whole, sizeof whole, "%s/%s", place, path + length);
    }
    if (unsaid)
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
    const char *best = known && strlen(whole) < size && is_utf8(whole) ? whole : path;
    memmove(ret, best, strlen(best) + 1);
    return PEER_OK;
}
