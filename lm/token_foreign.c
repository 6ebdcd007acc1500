/* SPDX-License-Identifier: MIT */
/* Kinds of files that are no token ids, known by their first bytes. */
#include <string.h>

#include "lm/token_file.h"

enum { TEXT_LEAST = 32, LOOK = 1 << 16 };

struct magic {
    int64_t at, length;
    const char *bytes, *what;
};

static const struct magic magics[] = {
    {0, 4, "\x8a\xd8\x34\x01",
     "llm.c's evaluation file (magic 20240522): questions with several endings, not a stream"},
    {0, 4, "\xc6\xd7\x34\x01", "a checkpoint of llm.c (magic 20240326), not token ids"},
    {0, 4, "\xc7\xd7\x34\x01", "llm.c's debugging file (magic 20240327), not token ids"},
    {0, 4, "\xc8\xd7\x34\x01", "llm.c's tokenizer (magic 20240328), not token ids"},
    {0, 4, "\x01\x34\xd8\x88",
     "llm.c's file of tokens (magic 20240520) in big-endian order; swap the bytes of each number"},
    {0, 4, "\x01\x34\xd9\xa1",
     "llm.c's file of tokens (magic 20240801) in big-endian order; swap the bytes of each number"},
    {0, 4, "\x01\x34\xd8\x8a", "llm.c's evaluation file (magic 20240522), in big-endian order"},
    {0, 3, "\x1f\x8b\x08", "packed by gzip; unpack it first: gunzip"},
    {0, 4, "\x28\xb5\x2f\xfd", "packed by zstd; unpack it first: unzstd"},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     "packed by xz; unpack it first: unxz"},
    {0, 4, "\x04\x22\x4d\x18", "packed by lz4; unpack it first: unlz4"},
    {0, 4, "BZh9", "packed by bzip2; unpack it first: bunzip2"},
    {0, 6, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"},
    {0, 4, "PK\3\4",
     "a zip archive: .npz of numpy, or .pt of torch; store the ids alone, such as by "
     "numpy.save(\"train.npy\", ids.astype(\"<u2\"))"},
    {0, 4, "PK\5\6", "an empty zip archive"},
    {257, 5, "ustar", "a tar archive; unpack it first"},
    {0, 4, "PAR1", "a Parquet file; export its text: peerlab data prepare reads JSON lines"},
    {0, 6, "ARROW1", "an Arrow file; export its text: peerlab data prepare reads JSON lines"},
    {0, 8, "\x89HDF\r\n\x1a\n", "an HDF5 file; store the ids alone, such as by numpy.save()"},
    {0, 4, "GGUF", "a GGUF model, not token ids"},
    {0, 9, "MMIDIDX\0\0", "the index of a Megatron data set, not its ids"},
    {0, 16, "SQLite format 3", "an SQLite database, not token ids"},
    {0, 5, "%PDF-", "a PDF document, not token ids"},
    {0, 4,
     "\x7f"
     "ELF",
     "a program, not token ids"},
    {0, 23, "version https://git-lfs",
     "a pointer of Git LFS, not the file that it stands for; fetch it: git lfs pull"},
    {0, 9, "<!DOCTYPE", "a web page (was the download refused?), not token ids"},
    {0, 5, "<html", "a web page (was the download refused?), not token ids"},
};

static bool has(const struct magic *magic, const uint8_t *bytes, int64_t count)
{
    return magic->at + magic->length <= count &&
           memcmp(bytes + magic->at, magic->bytes, (size_t)magic->length) == 0;
}

/* A pickle of protocol 2 ... 5: a start of two or three bytes alone may be ids. */
static bool is_pickle(const uint8_t *bytes, int64_t size)
{
    static const uint8_t torch[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc}, no_size[4] = {0};
    if (size < 12 || bytes[0] != 0x80 || bytes[1] < 2 || bytes[1] > 5)
        return false;
    if (memcmp(bytes, torch, sizeof torch) == 0)
        return true;
    if (bytes[1] >= 4) /* a frame, of less than 4 GB */
        return bytes[2] == 0x95 && memcmp(bytes + 7, no_size, sizeof no_size) == 0;
    return bytes[2] && strchr("]}(cX)", bytes[2]) && bytes[size - 1] == '.';
}

/* An order mark, then ASCII in two bytes. */
static bool is_utf16(const uint8_t *bytes, int64_t count)
{
    bool little = count >= 4 && bytes[0] == 0xff && bytes[1] == 0xfe;
    bool big = count >= 4 && bytes[0] == 0xfe && bytes[1] == 0xff;
    return (little && bytes[3] == 0 && bytes[2]) || (big && bytes[2] == 0 && bytes[3]);
}

static bool is_safetensors(const uint8_t *bytes, int64_t count)
{
    uint64_t header = 0;
    if (count < 10)
        return false;
    memcpy(&header, bytes, sizeof header);
    return header > 0 && header < 1 << 30 && bytes[8] == '{' && bytes[9] == '"';
}

/* Length of a well-formed character of text at `at`; 0 where there is none. */
static int64_t character(const uint8_t *at, int64_t left)
{
    if (*at < 0x80)
        return *at >= ' ' ? *at != 0x7f : *at == '\t' || *at == '\n' || *at == '\r' || *at == '\f';
    int64_t length = *at >= 0xf0 && *at <= 0xf4 ? 4 : *at >= 0xe0 && *at < 0xf0 ? 3 : 2;
    if (*at < 0xc2 || *at > 0xf4)
        return 0;
    for (int64_t i = 1; i < length && i < left; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Ids have bytes below ' ' all over; text has none but line ends and tabs. */
static bool is_text(const uint8_t *bytes, int64_t count, int64_t size)
{
    int64_t at = 0;
    while (at < count) {
        int64_t length = character(bytes + at, count - at);
        if (length == 0)
            return false;
        at += length;
    }
    return count >= TEXT_LEAST && (at == count || count < size);
}

const char *lm_token_foreign(const uint8_t *bytes, int64_t size)
{
    int64_t count = size < LOOK ? size : LOOK;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (has(&magics[i], bytes, count))
            return magics[i].what;
    if (is_pickle(bytes, size))
        return "a pickle of Python (.pt of torch, .pkl); store the ids alone, such as by "
               "numpy.save(\"train.npy\", ids.astype(\"<u2\"))";
    if (is_safetensors(bytes, count))
        return "a safetensors file: weights, not token ids";
    if (is_utf16(bytes, count))
        return "text in UTF-16, not token ids; convert it, iconv -f UTF-16 -t UTF-8, and give it "
               "to peerlab data prepare";
    if (!is_text(bytes, count, size))
        return NULL;
    return *bytes == '{' || *bytes == '['
               ? "JSON, not token ids; peerlab data prepare makes ids of JSON lines"
               : "text, not token ids; peerlab data prepare makes ids of it";
}
