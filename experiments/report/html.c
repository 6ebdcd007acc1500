/* SPDX-License-Identifier: MIT */
#include "experiments/report/html.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cli/progress.h"

/* Length of the UTF-8 character at `text`, or 0 where it is broken or XML forbids it. */
static int character_length(const unsigned char *text)
{
    unsigned lead = text[0];
    int length = lead < 0x80                   ? 1
                 : lead >= 0xC2 && lead < 0xE0 ? 2
                 : (lead & 0xF0) == 0xE0       ? 3
                 : lead >= 0xF0 && lead < 0xF5 ? 4
                                               : 0;
    if (length == 1)
        return (lead >= 32 && lead != 127) || lead == '\t' || lead == '\n' || lead == '\r';
    uint32_t code = lead & (0xFFu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3F);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool allowed = code >= least[length] && code <= 0x10FFFF && (code & 0xFFFE) != 0xFFFE &&
                   !(code >= 0xD800 && code <= 0xDFFF) && !(code >= 0x80 && code < 0xA0);
    /* Marks that turn the direction of writing would turn what stands behind the text, too. */
    allowed = allowed && !(code >= 0x202A && code <= 0x202E) && !(code >= 0x2066 && code <= 0x2069);
    return allowed ? length : 0;
}

int lab_next_character(char out[5], const char *text)
{
    if (!*text)
        return 0;
    int length = character_length((const unsigned char *)text);
    memcpy(out, length ? text : "\xEF\xBF\xBD", length ? (size_t)length : 3);
    out[length ? length : 3] = 0;
    return length ? length : 1;
}

void lab_html_text(FILE *file, const char *text)
{
    static const char special[] = "&<>\"'";
    static const char *const escaped[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    char character[5];
    for (int length; (length = lab_next_character(character, text)) > 0; text += length) {
        const char *found = length == 1 ? strchr(special, character[0]) : NULL;
        fputs(found ? escaped[found - special] : character, file);
    }
}

void lab_html_cell(FILE *file, const char *text)
{
    fputs("<td>", file);
    lab_html_text(file, text);
    fputs("</td>", file);
}

static const char none[] = "<td class=\"n\">\xE2\x80\x93</td>";

static void put(FILE *file, bool there, const char *text)
{
    if (there)
        fprintf(file, "<td class=\"n\">%s</td>", text);
    else
        fputs(none, file);
}

void lab_html_count(FILE *file, double count)
{
    char text[32] = "";
    lab_format_count(text, sizeof text, count);
    put(file, isfinite(count) && count > 0, text);
}

void lab_html_bytes(FILE *file, double bytes)
{
    char text[32] = "";
    lab_format_bytes(text, sizeof text, bytes);
    put(file, isfinite(bytes) && bytes > 0, text);
}

void lab_html_seconds(FILE *file, double seconds)
{
    char text[32] = "";
    lab_format_seconds(text, sizeof text, seconds);
    put(file, isfinite(seconds) && seconds > 0, text);
}

void lab_html_number(FILE *file, int digits, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.*f", digits, value);
    put(file, isfinite(value) && fabs(value) < 1e30, text);
}

void lab_html_share(FILE *file, double share)
{
    char text[64];
    snprintf(text, sizeof text, "%.1f\xC2\xA0%%", 100 * share);
    put(file, isfinite(share), text);
}

void lab_html_table(FILE *file, bool tall, const char *header)
{
    fprintf(file,
            "<div class=\"scroll%s\" tabindex=\"0\"><table>\n<thead><tr>%s</tr></thead>\n"
            "<tbody>\n",
            tall ? " tall" : "", header);
}

void lab_html_table_end(FILE *file)
{
    fputs("</tbody></table></div>\n", file);
}

void lab_power_text(char text[48], double value)
{
    static const char *const raised[] = {
        "\xE2\x81\xB0", "\xC2\xB9",     "\xC2\xB2",     "\xC2\xB3",     "\xE2\x81\xB4",
        "\xE2\x81\xB5", "\xE2\x81\xB6", "\xE2\x81\xB7", "\xE2\x81\xB8", "\xE2\x81\xB9"};
    char plain[32];
    if (!isfinite(value) || value <= 0) {
        snprintf(text, 48, "0");
        return;
    }
    snprintf(plain, sizeof plain, "%.2e", value);
    double digits = strtod(plain, NULL) / pow(10, strtol(strchr(plain, 'e') + 1, NULL, 10));
    int length = snprintf(text, 48,
                          "%.3g\xC3\x97"
                          "10",
                          digits);
    const char *exponent = strchr(plain, 'e') + 1;
    if (*exponent == '-')
        length += snprintf(text + length, 48 - (size_t)length, "\xE2\x81\xBB");
    exponent += 1 + strspn(exponent + 1, "0");
    for (; *exponent && length < 40; exponent++)
        length += snprintf(text + length, 48 - (size_t)length, "%s", raised[*exponent - '0']);
}

void lab_html_power(FILE *file, double value)
{
    char text[48];
    lab_power_text(text, value);
    fputs(text, file);
}
