/* SPDX-License-Identifier: MIT */
/* What the harnesses share: a context, files in memory, parts of an input, checksums to mend. */
#ifndef PEER_TESTS_FUZZ_FUZZ_H
#define PEER_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "nn/context.h"

/* The entry point of every harness, as libFuzzer calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, as a finding, with the text of the condition that does not hold. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_finding(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_finding(const char *file, int line, const char *what);

/* The context of the process: one thread, at most 64 MiB in all, each block of exactly its size so
 * that sanitizers see its ends. */
struct peer_ctx *fuzz_ctx(void);

/* To be called at the end of every input: nothing may be held in the context. */
void fuzz_end(void);

/* `status` is PEER_OK, or its reason stands in the context. */
void fuzz_reason(enum peer_status status);

/* A folder of the process's own, on a file system in memory where there is one; gone at exit. */
const char *fuzz_folder(void);

/* Writes the file `name` in that folder, which may hold one '/', and returns its path, valid until
 * the next call but three. */
const char *fuzz_file(const char *name, const void *bytes, size_t size);
const char *fuzz_path(const char *name);
void fuzz_remove(const char *name);

/* What is left of an input. */
struct fuzz_input {
    const uint8_t *bytes;
    size_t size;
};

/* Takes the next byte; 0 at the end. */
uint8_t fuzz_byte(struct fuzz_input *input);

/* Takes what stands before the next line that is "%%%%", and the line; all where there is none. */
struct fuzz_input fuzz_part(struct fuzz_input *input);

/* A copy with a 0 byte behind, to be free()d. */
char *fuzz_text(struct fuzz_input input);

/* Whether the checksums of this input are to be mended: three of four, told by its contents. */
bool fuzz_mends(struct fuzz_input input);

#endif
