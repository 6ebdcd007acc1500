/* SPDX-License-Identifier: MIT */
#include "experiments/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* One byte more stays free, for the NUL. */
static bool make_room(struct lab_memory *memory, size_t size)
{
    size_t wanted = memory->size + size + 1;
    if (wanted <= memory->room)
        return true;
    size_t room = wanted > 2 * memory->room ? wanted : 2 * memory->room;
    char *text = realloc(memory->text, room);
    memory->failed |= !text;
    if (!text)
        return false;
    memory->text = text;
    memory->room = room;
    return true;
}

static ssize_t add(void *cookie, const char *bytes, size_t size)
{
    struct lab_memory *memory = cookie;
    if (!make_room(memory, size))
        return 0; /* an error, for stdio */
    memcpy(memory->text + memory->size, bytes, size);
    memory->size += size;
    return (ssize_t)size;
}

bool lab_memory_open(struct lab_memory *ret)
{
    *ret = (struct lab_memory){0};
    ret->file = fopencookie(ret, "w", (cookie_io_functions_t){.write = add});
    return ret->file;
}

char *lab_memory_close(struct lab_memory *memory, size_t *size)
{
    bool whole = !ferror(memory->file);
    whole = fclose(memory->file) == 0 && whole && make_room(memory, 0) && !memory->failed;
    if (!whole) {
        free(memory->text);
        return NULL;
    }
    memory->text[memory->size] = 0;
    if (size)
        *size = memory->size;
    return memory->text;
}
