/* SPDX-License-Identifier: MIT */
#include "experiments/data/text_utf8.h"

#include <string.h>

/* Length of the sequence that `lead` begins; 0 where it begins none (Table 3-7). */
static int sequence_length(uint8_t lead)
{
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

/* Whether `next` may follow: the second byte is narrower behind some leads (no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static int may_follow(const struct lab_utf8 *state, uint8_t next)
{
    uint8_t low = 0x80, high = 0xbf;
    if (state->count == 1) {
        switch (state->held[0]) {
        case 0xe0:
            low = 0xa0;
            break;
        case 0xed:
            high = 0x9f;
            break;
        case 0xf0:
            low = 0x90;
            break;
        case 0xf4:
            high = 0x8f;
            break;
        }
    }
    return next >= low && next <= high;
}

static uint8_t *replace(struct lab_utf8 *state, uint8_t *out)
{
    state->count = 0;
    state->repaired++;
    memcpy(out, "\xef\xbf\xbd", 3);
    return out + 3;
}

int64_t lab_utf8_repair(struct lab_utf8 *state, uint8_t *out, const uint8_t *in, int64_t count)
{
    uint8_t *end = out;
    for (int64_t i = 0; i < count; i++) {
        uint8_t byte = in[i];
        if (state->count > 0) {
            if (may_follow(state, byte)) {
                state->held[state->count++] = byte;
                if (state->count == state->length) {
                    memcpy(end, state->held, (size_t)state->length);
                    end += state->length;
                    state->count = 0;
                }
                continue;
            }
            end = replace(state, end);
        }
        if (byte < 0x80) {
            *end++ = byte;
        } else if ((state->length = sequence_length(byte)) > 0) {
            state->held[0] = byte;
            state->count = 1;
        } else {
            end = replace(state, end);
        }
    }
    return end - out;
}

int64_t lab_utf8_end(struct lab_utf8 *state, uint8_t *out)
{
    return state->count > 0 ? replace(state, out) - out : 0;
}
