/* SPDX-License-Identifier: MIT */
/* A table in a file, mapped into memory, so that it may be larger than memory: pages that are used
 * stay, the rest wait on disk.
 *
 *   page 0     header: magic, version, type, rows, width, how rows are drawn, CRC-32 of these
 *   bitmap     one bit per row: it has been drawn; then to a whole page
 *   rows       [rows, width], as they lie in memory (little-endian)
 *
 * A row gets its initial values, those that peer_params_init() would give it, when a forward pass
 * first needs it: making a file writes its header alone. The whole file is reserved on disk when it
 * is made, because a full disk under a mapped page would kill the process (SIGBUS). The same
 * happens where another program cuts a file that is open here.
 *
 * One process may have a file open for writing, or many for reading; in the latter nothing is
 * written, rows not drawn yet are drawn in private memory. A killed process leaves the rows as they
 * were then; a machine that loses power, those of the last flush or any later ones; what goes back
 * to the last save is nn/tables/table_undo.h. Optimizers keep their state in memory: SGD none,
 * Adagrad one value per row. */
#ifndef PEER_NN_TABLE_FILE_H
#define PEER_NN_TABLE_FILE_H

#include "nn/tables/table.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_table_file_config {
    enum peer_table_type type; /* f32 or bf16 */
    int64_t rows;              /* 1 ... 2^31 - 1 */
    int64_t width;             /* values in a row, even, 2 ... 2^26 */
    float deviation;           /* initial values are normal with this deviation, finite, >= 0 */
    uint64_t seed, stream;     /* of nn/random.h; peer_params_init() takes peer_stream(name) */
};

enum peer_table_access { PEER_TABLE_READ = 0, PEER_TABLE_READ_WRITE };

struct peer_table_file;

/* Bytes that the file will have; SIZE_MAX for more rows or a larger width than it can have. */
PEER_API size_t peer_table_file_bytes(const struct peer_table_file_config *config);

/* Makes a new file and reserves its space. On failure there is no file. Errors: PEER_ERR_ARGUMENT;
 * PEER_ERR_IO where it exists, cannot be written, or finds no space. */
PEER_API enum peer_status peer_table_file_create(struct peer_ctx *ctx, const char *path,
                                                 const struct peer_table_file_config *config);

/* Maps a file. It must outlive the layers that use it (struct peer_ffw_shape). Errors: PEER_ERR_IO
 * where it cannot be opened or is open for writing elsewhere (for writing: open at all);
 * PEER_ERR_FORMAT where it is no table, damaged in its header, or of another size than that says;
 * PEER_ERR_MEMORY for lack of address space (RLIMIT_AS). *ret untouched then. */
PEER_API enum peer_status peer_table_file_open(struct peer_table_file **ret, struct peer_ctx *ctx,
                                               const char *path, enum peer_table_access access);

/* Waits until all changes are on disk. Errors: PEER_ERR_IO. */
PEER_API enum peer_status peer_table_file_flush(struct peer_table_file *file);

/* Unmaps the file; the system writes what has changed in its own time. */
PEER_API void peer_table_file_close(struct peer_table_file **file);

/* The mapped rows, of one segment; and whether a row has been drawn. */
PEER_API const struct peer_table *peer_table_file_table(const struct peer_table_file *file);
PEER_API bool peer_table_file_drawn(const struct peer_table_file *file, int64_t row);

PEER_API enum peer_table_access peer_table_file_access(const struct peer_table_file *file);

#ifdef __cplusplus
}
#endif

#endif
