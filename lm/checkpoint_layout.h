/* SPDX-License-Identifier: MIT */
/* Internal. The layout of a checkpoint file, shared by its writer and its reader:
 *   8 bytes    length of the header, little-endian
 *   header     {"__metadata__": {"crc32": "0123abcd", "header_crc32": "4567cdef", ...},
 *               NAME: {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}, ...}
 *              with spaces at its end to a multiple of 8
 *   tensors    without holes, offsets from here
 * Both checksums stand at fixed places at the start of the header. The first is of the tensors, the
 * second of the header with its own eight digits as zeros. */
#ifndef PEER_LM_CHECKPOINT_LAYOUT_H
#define PEER_LM_CHECKPOINT_LAYOUT_H

#include <stdio.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "checkpoints and token files are read and written as they lie in memory, little-endian"
#endif

#define LM_CHECKPOINT_METADATA "__metadata__"
#define LM_CHECKPOINT_CRC "crc32"
#define LM_CHECKPOINT_HEADER_CRC "header_crc32"
#define LM_CHECKPOINT_START                                                                        \
    "{\"" LM_CHECKPOINT_METADATA "\":{\"" LM_CHECKPOINT_CRC                                        \
    "\":\"00000000\",\"" LM_CHECKPOINT_HEADER_CRC "\":\"00000000\""

enum {
    LM_CHECKPOINT_ALIGN = 8,
    LM_CHECKPOINT_DIGITS = 8,
    /* Where the digits start, and where the start that every header shares ends. */
    LM_CHECKPOINT_CRC_AT =
        sizeof "{\"" LM_CHECKPOINT_METADATA "\":{\"" LM_CHECKPOINT_CRC "\":\"" - 1,
    LM_CHECKPOINT_START_END = sizeof LM_CHECKPOINT_START - 1,
    LM_CHECKPOINT_HEADER_CRC_AT = LM_CHECKPOINT_START_END - 1 - LM_CHECKPOINT_DIGITS,
    LM_CHECKPOINT_MAX_HEADER = 100000000, /* safetensors' own limit */
};

/* A checksum as the header has it. */
static inline void lm_checkpoint_digits(char digits[LM_CHECKPOINT_DIGITS + 1], unsigned long crc)
{
    snprintf(digits, LM_CHECKPOINT_DIGITS + 1, "%08x", (unsigned)crc);
}

#endif
