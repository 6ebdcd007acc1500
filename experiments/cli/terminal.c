/* SPDX-License-Identifier: MIT */
#include "experiments/cli/terminal.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a character by its first; 0 where none begins so. */
static unsigned length_of(unsigned char lead)
{
    return lead < 0x80                   ? 1
           : lead >= 0xC2 && lead < 0xE0 ? 2
           : (lead & 0xF0) == 0xE0       ? 3
           : lead >= 0xF0 && lead < 0xF5 ? 4
                                         : 0;
}

/* The character of `length` bytes, all there; 0xFFFFFFFF where they are no UTF-8. */
static uint32_t decode(const unsigned char *bytes, unsigned length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = length == 1 ? bytes[0] : bytes[0] & (0xFFu >> (length + 1));
    for (unsigned i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3Fu);
    bool valid = code >= least[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    return valid ? code : UINT32_MAX;
}

static bool may_show(uint32_t code)
{
    if (code < 0xA0)
        return code == '\n' || code == '\t' || (code >= 0x20 && code < 0x7F);
    bool turns = code == 0x061C || code == 0x200E || code == 0x200F ||
                 (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
    return !turns && code != 0xFEFF && (code & 0xFFFE) != 0xFFFE;
}

static size_t show_bytes(char *out, const unsigned char *bytes, unsigned count)
{
    size_t used = 0;
    for (unsigned i = 0; i < count; i++)
        used += (size_t)sprintf(out + used, "\\x%02x", bytes[i]);
    return used;
}

/* Six bytes at most for one, or \U and eight digits for four. */
static size_t show_character(char *out, const unsigned char *bytes, unsigned length)
{
    uint32_t code = decode(bytes, length);
    if (code == UINT32_MAX)
        return show_bytes(out, bytes, length);
    if (!may_show(code))
        return (size_t)sprintf(out, code > 0xFFFF ? "\\U%08x" : "\\u%04x", (unsigned)code);
    memcpy(out, bytes, length);
    return length;
}

size_t lab_filter(struct lab_filter *filter, char *out, const char *text, size_t size, bool end)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (filter->used > 0 && (byte & 0xC0) != 0x80) { /* the one before was cut */
            used += show_bytes(out + used, filter->part, filter->used);
            filter->used = 0;
        }
        unsigned length = length_of(filter->used ? filter->part[0] : byte);
        filter->part[filter->used++] = byte;
        if (length == 0)
            used += show_bytes(out + used, filter->part, filter->used);
        else if (filter->used == length)
            used += show_character(out + used, filter->part, length);
        if (length == 0 || filter->used == length)
            filter->used = 0;
    }
    if (end && filter->used > 0) {
        used += show_bytes(out + used, filter->part, filter->used);
        filter->used = 0;
    }
    return used;
}

/* ---- streams ---- */

struct outlet {
    int descriptor;
    struct lab_filter filter;
};

static bool write_all(int descriptor, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(descriptor, bytes, size);
        if (wrote < 0 && errno != EINTR)
            return false;
        bytes += wrote > 0 ? wrote : 0;
        size -= wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

static ssize_t pass(void *cookie, const char *text, size_t size)
{
    enum { PIECE = 1024 };
    struct outlet *outlet = cookie;
    char out[LAB_FILTER_GROWTH * PIECE + LAB_FILTER_SLACK];
    for (size_t done = 0; done < size; done += PIECE) {
        size_t piece = size - done < PIECE ? size - done : PIECE;
        size_t ready = lab_filter(&outlet->filter, out, text + done, piece, false);
        if (!write_all(outlet->descriptor, out, ready))
            return 0; /* an error, for stdio */
    }
    return (ssize_t)size;
}

/* A stream to the descriptor, or NULL. */
static FILE *filtered(struct outlet *outlet, int descriptor, int buffering)
{
    outlet->descriptor = descriptor;
    FILE *stream = fopencookie(outlet, "w", (cookie_io_functions_t){.write = pass});
    if (stream)
        setvbuf(stream, NULL, buffering, BUFSIZ);
    return stream;
}

bool lab_terminal_install(void)
{
    static struct outlet out, err;
    if (out.descriptor)
        return true;
    FILE *output = filtered(&out, STDOUT_FILENO, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
    FILE *errors = filtered(&err, STDERR_FILENO, _IONBF);
    fflush(stdout);
    stdout = output ? output : stdout;
    stderr = errors ? errors : stderr;
    return output && errors;
}

/* ---- cells and lines ---- */

/* Text without what would leave its line, malloc()ed; NULL: no memory. */
static char *one_line(const char *text)
{
    size_t size = strlen(text);
    struct lab_filter filter = {0};
    char *out = malloc(LAB_FILTER_GROWTH * size + LAB_FILTER_SLACK);
    if (!out)
        return NULL;
    out[lab_filter(&filter, out, text, size, true)] = 0;
    for (char *c = out; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    return out;
}

/* Columns that a character takes: 2 for those of East Asia and pictures, 0 for marks that combine.
 */
static int columns(unsigned long code)
{
    static const struct {
        unsigned long first, last;
        int columns;
    } ranges[] = {{0x300, 0x36F, 0},     {0x1100, 0x115F, 2},   {0x200B, 0x200F, 0},
                  {0x20D0, 0x20FF, 0},   {0x2E80, 0x303E, 2},   {0x3041, 0xA4CF, 2},
                  {0xAC00, 0xD7A3, 2},   {0xF900, 0xFAFF, 2},   {0xFE00, 0xFE0F, 0},
                  {0xFE30, 0xFE6F, 2},   {0xFF00, 0xFF60, 2},   {0xFFE0, 0xFFE6, 2},
                  {0x1F300, 0x1F64F, 2}, {0x1F900, 0x1F9FF, 2}, {0x20000, 0x3FFFD, 2}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return ranges[i].columns;
    return 1;
}

static int characters(const char *text)
{
    int count = 0;
    while (*text) {
        unsigned char first = (unsigned char)*text++;
        unsigned long code = first < 0x80    ? first
                             : first >= 0xF0 ? first & 7
                             : first >= 0xE0 ? first & 15
                                             : first & 31;
        for (; (*text & 0xC0) == 0x80; text++)
            code = code << 6 | (unsigned long)(*text & 0x3F);
        count += columns(code);
    }
    return count;
}

/* Columns of the text on one line; prints it too, where there is a file. */
static int put_line(FILE *file, const char *text)
{
    struct lab_filter filter = {0};
    int width = 0;
    for (bool end = false; !end; text++) {
        char out[LAB_FILTER_GROWTH + LAB_FILTER_SLACK + 1];
        end = !*text;
        out[lab_filter(&filter, out, text, !end, end)] = 0;
        if (*out == '\n' || *out == '\t')
            *out = ' ';
        width += characters(out);
        if (file)
            fputs(out, file);
    }
    return width;
}

int lab_cell_width(const char *text)
{
    return put_line(NULL, text);
}

void lab_print_cell(FILE *file, int width, const char *text)
{
    int length = put_line(file, text);
    fprintf(file, "%*s", length < width ? width - length : 0, "");
}

void lab_terminal_line(const char *text, int room)
{
    static const char wipe[] = "\r\033[K";
    char *line = one_line(text);
    int length = line ? (int)strlen(line) : 0;
    if (length > room)
        for (length = room > 0 ? room : 0; length > 0 && ((line[length] & 0xC0) == 0x80);)
            length--;
    fflush(stderr);
    if (write_all(STDERR_FILENO, wipe, sizeof wipe - 1) && length > 0)
        (void)write_all(STDERR_FILENO, line, (size_t)length);
    free(line);
}
