/* SPDX-License-Identifier: MIT */
/* Text that is written like a file and kept in memory. Of a stream by open_memstream() a part may
 * be missing and fclose() call it whole: where memory ends, that one does not say so. */
#ifndef PEER_EXPERIMENTS_BASE_MEMORY_H
#define PEER_EXPERIMENTS_BASE_MEMORY_H

#include <stdbool.h>
#include <stdio.h>

struct lab_memory {
    FILE *file; /* to be written */
    char *text;
    size_t size, room;
    bool failed;
};

/* Begins an empty text; false, and nothing to close: no memory. The address is kept until the
 * text is closed. */
bool lab_memory_open(struct lab_memory *ret);

/* Ends the text: NUL-terminated, malloc()ed, and its bytes in *size unless that is NULL; NULL where
 * memory failed at any time. */
char *lab_memory_close(struct lab_memory *memory, size_t *size);

#endif
