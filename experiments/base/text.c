/* SPDX-License-Identifier: MIT */
#include "experiments/base/text.h"

#include <string.h>

void lab_text_cut(char *ret, size_t size, const char *text)
{
    size_t length = strnlen(text, size);
    if (length == size) {
        length--;
        /* A character has three bytes at most behind its first; more of them are none. */
        for (int back = 0; back < 4 && length >= (size_t)back; back++)
            if (((unsigned char)text[length - (size_t)back] & 0xC0) != 0x80) {
                length -= (size_t)back;
                break;
            }
    }
    memmove(ret, text, length);
    ret[length] = 0;
}

/* Bytes of the character at `text`; 0 where it is none. */
static int character(const unsigned char *text)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = *text < 0x80             ? 1
                 : (*text & 0xE0) == 0xC0 ? 2
                 : (*text & 0xF0) == 0xE0 ? 3
                 : (*text & 0xF8) == 0xF0 ? 4
                                          : 0;
    unsigned code = length > 1 ? *text & (0xFFu >> (length + 1)) : 0;
    for (int i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3F);
    }
    bool surrogate = code >= 0xD800 && code < 0xE000;
    return code < least[length] || code > 0x10FFFF || surrogate ? 0 : length;
}

bool lab_text_is_utf8(const char *text)
{
    for (int length; *text; text += length)
        if ((length = character((const unsigned char *)text)) == 0)
            return false;
    return true;
}
