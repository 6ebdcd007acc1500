/* SPDX-License-Identifier: MIT */
#include "experiments/report/svg.h"

#include <string.h>

#include "experiments/report/html.h"

static const char style[] =
    "<style>:root { color-scheme: light dark } image { image-rendering: pixelated }\n"
    ".tip:hover use { opacity: .3 }\n"
    "@media screen and (prefers-color-scheme: dark) { [color='black'] { color: #e8e6e3 }\n"
    "[stroke='black'] { stroke: #e8e6e3 } [fill='black'] { fill: #e8e6e3 } }</style>\n";

/* The end of the opening <svg ...> tag, or of the text where there is none. */
static const char *after_tag(const char *svg)
{
    const char *tag = strstr(svg, "<svg"), *end = tag ? strchr(tag, '>') : NULL;
    return end ? end + 1 : svg + strlen(svg);
}

/* What stands between <title> ... </title> and <desc> ... </desc> right after the tag. */
static const char *skip_element(const char *text, const char *open, const char *close)
{
    const char *start = text + strspn(text, " \n\r\t");
    if (strncmp(start, open, strlen(open)))
        return text;
    const char *end = strstr(start, close);
    return end ? end + strlen(close) : text;
}

static const char *skip_titles(const char *text)
{
    return skip_element(skip_element(text, "<title>", "</title>"), "<desc>", "</desc>");
}

/* gnuplot names its plots, and leaves texts of points to a script of its own: the names go, the
 * texts become titles, which every viewer shows. Returns what of `text` was taken, 0 = nothing. */
static size_t write_tip(FILE *file, const char *text)
{
    static const char plot[] = "<title>",
                      point[] = "<g onmousemove=\"gnuplot_svg.showHypertext(evt,'",
                      behind[] = "')\" onmouseout=\"gnuplot_svg.hideHypertext()\"><title> </title>",
                      empty[] = ">\n</g>\n";
    const char *end = strncmp(text, plot, strlen(plot)) ? NULL : strstr(text, "</title>");
    if (end)
        return (size_t)(end - text) + strlen("</title>");
    end = strncmp(text, "<g ", 3) ? NULL : strchr(text, '>');
    if (end && !strncmp(end, empty, strlen(empty)))
        return (size_t)(end - text) + strlen(empty);
    end = strncmp(text, point, strlen(point)) ? NULL : strstr(text, behind);
    if (!end)
        return 0;
    text += strlen(point);
    fputs("<g class=\"tip\"><title>", file);
    fwrite(text, 1, (size_t)(end - text), file);
    fputs("</title>", file);
    return (size_t)(end - text) + strlen(point) + strlen(behind);
}

/* Text with `prefix` after every id=" and every reference to one. */
static void write_prefixed(FILE *file, const char *text, const char *prefix)
{
    static const char *const marks[] = {"id=\"", "id='", "href='#", "href=\"#", "url(#"};
    for (; *text; text++) {
        size_t taken = *text == '<' ? write_tip(file, text) : 0;
        if (taken) {
            text += taken - 1;
            continue;
        }
        fputc(*text, file);
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
            size_t length = strlen(marks[i]);
            if (!strncmp(text, marks[i], length)) {
                fputs(marks[i] + 1, file);
                fputs(prefix, file);
                text += length - 1;
                break;
            }
        }
    }
}

void lab_svg_write(FILE *file, const char *svg, const char *title)
{
    const char *body = after_tag(svg);
    fwrite(svg, 1, (size_t)(body - svg), file);
    fputs("\n<title>", file);
    lab_html_text(file, title);
    fputs("</title>\n", file);
    fputs(style, file);
    write_prefixed(file, skip_titles(body), "");
}

void lab_svg_inline(FILE *file, const char *svg, const char *title, const char *prefix)
{
    const char *tag = strstr(svg, "<svg"), *body = after_tag(svg);
    if (!tag)
        return;
    fputs("<svg class=\"plot\" role=\"img\" aria-label=\"", file);
    lab_html_text(file, title);
    fputs("\"", file);
    int width;
    const char *box = strstr(tag, "viewBox=\"0 0 ");
    if (box && box < body && sscanf(box, "viewBox=\"0 0 %d", &width) == 1)
        fprintf(file, " style=\"max-width:%dpx\"", width);
    fwrite(tag + 4, 1, (size_t)(body - tag) - 4, file);
    write_prefixed(file, skip_titles(body), prefix);
}
