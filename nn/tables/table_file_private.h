/* SPDX-License-Identifier: MIT */
/* Internal. What the undo log of a table file needs of it. */
#ifndef PEER_NN_TABLE_FILE_PRIVATE_H
#define PEER_NN_TABLE_FILE_PRIVATE_H

#include "nn/tables/table_file.h"

/* One bit per row, set where it has been drawn; to a whole page. */
uint64_t *peer_table_file_bitmap(const struct peer_table_file *file);
size_t peer_table_file_bitmap_bytes(const struct peer_table_file *file);

/* CRC-32 of its header, by which a log knows its table. */
uint32_t peer_table_file_crc(const struct peer_table_file *file);

/* CRC-32 of a few bytes: slow. */
uint32_t peer_crc32(const void *bytes, size_t size);

#endif
