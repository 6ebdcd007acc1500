/* SPDX-License-Identifier: MIT */
/* Internal. The list of tensors in a safetensors file, whoever wrote it:
 *   8 bytes    length of the header, little-endian
 *   header     JSON: {"__metadata__": {...}, NAME: {"dtype": "F32", "shape": [...],
 *              "data_offsets": [begin, end]}, ...}
 *   tensors    offsets from here, row-major, little-endian
 * Order, alignment, holes and metadata are the writer's. A header is refused as a whole where it is
 * no such JSON, names a tensor twice, or places one outside of the file, over another, or in
 * another number of bytes than its shape has. */
#ifndef PEER_NN_SAFETENSORS_H
#define PEER_NN_SAFETENSORS_H

#include "nn/pool.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files of tensors are read and written as they lie in memory, little-endian"
#endif

#define PEER_TENSOR_METADATA "__metadata__"

enum {
    PEER_TENSOR_HEADER = 100000000, /* most bytes of a header: safetensors' own limit */
    PEER_TENSOR_NAME = 4096,        /* most bytes of a name */
    PEER_TENSOR_DIMS = 16,
    PEER_TENSOR_DTYPE = 16,
    PEER_TENSOR_TEXT = 400, /* of shapes in messages */
};

/* What its values are: those that are read, and others. */
enum peer_dtype {
    PEER_DTYPE_F32 = 0,
    PEER_DTYPE_BF16,
    PEER_DTYPE_F16,
    PEER_DTYPE_I32,
    PEER_DTYPE_OTHER,
};

struct peer_tensor {
    const char *name; /* owned by the file */
    enum peer_dtype dtype;
    char dtype_name[PEER_TENSOR_DTYPE]; /* as in the file, cut where it is longer */
    int bits;                           /* of a value; 0 = a type that is not known here */
    int dims;
    int64_t shape[PEER_TENSOR_DIMS];
    int64_t begin, end; /* bytes in the file */
};

struct peer_tensor_file {
    struct peer_ctx *ctx;
    const char *who, *path; /* of messages; borrowed */
    struct peer_pool pool;
    int file;
    struct peer_tensor *items; /* [count], as they stand in the header */
    int64_t count;
    const struct peer_tensor **by_name; /* [count] */
};

/* Opens a file and reads its header; close it where this succeeds. Errors: PEER_ERR_IO,
 * PEER_ERR_FORMAT with file, tensor and numbers, PEER_ERR_MEMORY. */
enum peer_status peer_tensor_file_open(struct peer_tensor_file *ret, struct peer_ctx *ctx,
                                       const char *who, const char *path);
void peer_tensor_file_close(struct peer_tensor_file *file);

/* The tensor called `name`, or NULL. */
const struct peer_tensor *peer_tensor_file_find(const struct peer_tensor_file *file,
                                                const char *name);

/* Bytes of a value; 0 for other types. */
int64_t peer_dtype_bytes(enum peer_dtype dtype);

/* Reads values first ... first+n-1 of a tensor as they lie in the file to `raw`, and, of F32, BF16
 * and F16, as floats to `values`; raw and values may be the same for F32. Errors: those of
 * peer_file_read(). */
enum peer_status peer_tensor_read(float *values, void *raw, const struct peer_tensor_file *file,
                                  const struct peer_tensor *tensor, int64_t first, int64_t n);

/* "[3, 5]". */
void peer_shape_text(char text[PEER_TENSOR_TEXT], const int64_t *shape, int dims);

#endif
