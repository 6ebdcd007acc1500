/* SPDX-License-Identifier: MIT */
#include "experiments/report/document.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "experiments/report/html.h"

static bool html(const struct lab_document *document)
{
    return document->markup == LAB_HTML;
}

/* Text so that Markdown takes it as text: in one line, with what it means to it escaped. */
static void markdown_text(FILE *file, const char *text)
{
    char character[5];
    for (int length; (length = lab_next_character(character, text)) > 0; text += length) {
        char c = *character;
        if (c == '<' || c == '>' || c == '&')
            fputs(c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&amp;", file);
        else if (c == '\n' || c == '\r' || c == '\t')
            fputc(' ', file);
        else
            fprintf(file, strchr("\\`*_{}[]|#~$", c) ? "\\%s" : "%s", character);
    }
}

static void put(const struct lab_document *document, const char *text)
{
    if (html(document))
        lab_html_text(document->file, text);
    else
        markdown_text(document->file, text);
}

void lab_document_begin(struct lab_document *document, const char *title, const char *style)
{
    if (!html(document)) {
        fputs("# ", document->file);
        put(document, title);
        fputs("\n\n", document->file);
        return;
    }
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
          document->file);
    put(document, title);
    fprintf(document->file, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<h1>",
            lab_page_style, style);
    put(document, title);
    fputs("</h1>\n", document->file);
}

void lab_document_end(struct lab_document *document)
{
    if (html(document))
        fprintf(document->file, "<script>\n%s</script>\n</body>\n</html>\n", lab_page_script);
}

void lab_document_contents(struct lab_document *document)
{
    if (!html(document) || document->contents < 2)
        return;
    fputs("<nav aria-label=\"Contents\"><ul>\n", document->file);
    for (int i = 0; i < document->contents; i++) {
        char path[LAB_SECTION_ID + 1];
        snprintf(path, sizeof path, "#%s", document->id[i]);
        fputs("<li>", document->file);
        lab_document_link(document, path, document->section[i]);
        fputs("</li>\n", document->file);
    }
    fputs("</ul></nav>\n", document->file);
}

void lab_document_write(FILE *file, enum lab_markup markup,
                        void (*write)(struct lab_document *document, const void *page),
                        const void *page)
{
    struct lab_document document = {.file = fopen("/dev/null", "w"), .markup = markup};
    if (document.file) {
        write(&document, page);
        fclose(document.file);
    }
    document.file = file;
    document.contents = document.sections;
    document.sections = document.figures = 0;
    write(&document, page);
}

void lab_document_heading(struct lab_document *document, const char *id, const char *title)
{
    if (document->sections < LAB_SECTIONS) {
        int i = document->sections++;
        snprintf(document->id[i], sizeof document->id[i], "%s", id);
        snprintf(document->section[i], sizeof document->section[i], "%s", title);
    }
    if (html(document))
        fprintf(document->file, "<h2 id=\"%s\">", id);
    else
        fputs("## ", document->file);
    put(document, title);
    fputs(html(document) ? "</h2>\n" : "\n\n", document->file);
}

void lab_document_open(struct lab_document *document, enum lab_block block)
{
    static const char *const tags[] = {
        "<p>", "<p class=\"lead\">", "<p class=\"soft\">", "<p class=\"warn\">", "<ul>\n", "<li>"};
    static const char *const marks[] = {"", "", "", "", "", "- "};
    fputs(html(document) ? tags[block] : marks[block], document->file);
}

void lab_document_close(struct lab_document *document, enum lab_block block)
{
    static const char *const tags[] = {"</p>\n", "</p>\n",  "</p>\n",
                                       "</p>\n", "</ul>\n", "</li>\n"};
    static const char *const marks[] = {"\n\n", "\n\n", "\n\n", "\n\n", "\n", "\n"};
    fputs(html(document) ? tags[block] : marks[block], document->file);
}

static void say(const struct lab_document *document, const char *format, va_list arguments)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, arguments);
    put(document, text);
}

void lab_document_say(struct lab_document *document, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(document, format, arguments);
    va_end(arguments);
}

void lab_document_block(struct lab_document *document, enum lab_block block, const char *format,
                        ...)
{
    va_list arguments;
    lab_document_open(document, block);
    va_start(arguments, format);
    say(document, format, arguments);
    va_end(arguments);
    lab_document_close(document, block);
}

void lab_document_strong(struct lab_document *document, const char *text)
{
    fputs(html(document) ? "<strong>" : "**", document->file);
    put(document, text);
    fputs(html(document) ? "</strong>" : "**", document->file);
}

void lab_document_code(struct lab_document *document, const char *text)
{
    if (html(document)) {
        fputs("<code>", document->file);
        put(document, text);
        fputs("</code>", document->file);
        return;
    }
    char character[5];
    fputc('`', document->file);
    for (int length; (length = lab_next_character(character, text)) > 0; text += length)
        fputs(strchr("`\n\r\t", *character) ? " " : character, document->file);
    fputc('`', document->file);
}

void lab_document_link(struct lab_document *document, const char *path, const char *text)
{
    if (html(document)) {
        fputs("<a href=\"", document->file);
        put(document, path);
        fputs("\">", document->file);
        put(document, text);
        fputs("</a>", document->file);
    } else {
        fputc('[', document->file);
        put(document, text);
        fprintf(document->file, "](%s)", path);
    }
}

void lab_document_data(struct lab_document *document, const char *folder, const char *const *tables)
{
    char path[128];
    lab_document_say(document, "Data: ");
    for (int i = 0; tables[i]; i++) {
        snprintf(path, sizeof path, "%s/%s.csv", folder, tables[i]);
        lab_document_say(document, i ? ", " : "");
        lab_document_link(document, path, path + strlen(folder) + 1);
    }
    lab_document_say(document, ".");
}

void lab_document_fold(struct lab_document *document, const char *format, ...)
{
    va_list arguments;
    fputs(html(document) ? "<details>\n<summary>" : "", document->file);
    va_start(arguments, format);
    say(document, format, arguments);
    va_end(arguments);
    fputs(html(document) ? "</summary>\n" : ": ", document->file);
}

void lab_document_fold_end(struct lab_document *document)
{
    fputs(html(document) ? "</details>\n" : "", document->file);
}

enum { NOTE = 512 };

/* Rows from `first` on with the same note, named where `list` is set; 0 where a row before has it.
 */
static int64_t same_note(struct lab_document *list, const struct lab_notes *notes, int64_t first)
{
    char text[NOTE], other[NOTE], name[128];
    int64_t alike = 0;
    notes->text(text, sizeof text, notes->of, first);
    for (int64_t i = 0; i < notes->count; i++) {
        notes->text(other, sizeof other, notes->of, i);
        if (!*text || strcmp(text, other) != 0)
            continue;
        if (i < first)
            return 0;
        notes->name(name, sizeof name, notes->of, i);
        if (list)
            lab_document_say(list, "%s%s", alike ? ", " : "", name);
        alike++;
    }
    return alike;
}

void lab_document_notes(struct lab_document *document, const struct lab_notes *notes)
{
    bool any = false;
    for (int64_t i = 0; i < notes->count; i++) {
        char text[NOTE];
        int64_t alike = same_note(NULL, notes, i);
        if (alike == 0)
            continue;
        if (!any)
            lab_document_open(document, LAB_LIST);
        any = true;
        notes->text(text, sizeof text, notes->of, i);
        lab_document_open(document, LAB_ITEM);
        lab_document_fold(document, "%s (%lld %s)", text, (long long)alike, notes->rows);
        same_note(document, notes, i);
        lab_document_fold_end(document);
        lab_document_close(document, LAB_ITEM);
    }
    if (any)
        lab_document_close(document, LAB_LIST);
}

void lab_document_figure(struct lab_document *document, const struct lab_figure *figure,
                         const char *folder, const char *name, const char *caption)
{
    if (!figure->wide)
        return;
    if (html(document)) {
        lab_figure_inline(document->file, figure, document->figures++, caption);
        return;
    }
    fputs("![", document->file);
    put(document, figure->title);
    fprintf(document->file, "](%s/%s.svg)\n\n", folder, name);
    put(document, caption);
    fputs("\n\n", document->file);
}

void lab_document_table(struct lab_document *document, const struct lab_column *columns, bool tall)
{
    FILE *file = document->file;
    if (html(document))
        fprintf(file, "<div class=\"scroll%s\" tabindex=\"0\"><table>\n<thead><tr>",
                tall ? " tall" : "");
    for (const struct lab_column *column = columns; column->title; column++) {
        if (html(document))
            fputs(column->number ? "<th class=\"n\">" : "<th>", file);
        else
            fputs(column == columns ? "| " : " | ", file);
        put(document, column->title);
        fputs(html(document) ? "</th>" : "", file);
    }
    if (html(document)) {
        fputs("</tr></thead>\n<tbody>\n", file);
        return;
    }
    fputs(" |\n|", file);
    for (const struct lab_column *column = columns; column->title; column++)
        fputs(column->number ? "---:|" : "---|", file);
    fputc('\n', file);
}

void lab_document_table_end(struct lab_document *document)
{
    fputs(html(document) ? "</tbody></table></div>\n" : "\n", document->file);
}

void lab_document_row(struct lab_document *document, const struct lab_column *columns)
{
    document->column = columns;
    fputs(html(document) ? "<tr>" : "|", document->file);
}

void lab_document_row_end(struct lab_document *document)
{
    fputs(html(document) ? "</tr>\n" : "\n", document->file);
}

void lab_document_cell_with(struct lab_document *document, const char *class, const char *text,
                            const char *small)
{
    FILE *file = document->file;
    const char *shown = *text ? text : "\xE2\x80\x93";
    bool number = document->column->number;
    document->column++;
    if (!html(document)) {
        fputc(' ', file);
        put(document, shown);
        if (*small) {
            fputs(" (", file);
            put(document, small);
            fputc(')', file);
        }
        fputs(" |", file);
        return;
    }
    if (class || number)
        fprintf(file, "<td class=\"%s%s%s\">", number ? "n" : "", number && class ? " " : "",
                class ? class : "");
    else
        fputs("<td>", file);
    put(document, shown);
    if (*small) {
        fputs("<span class=\"range\">", file);
        put(document, small);
        fputs("</span>", file);
    }
    fputs("</td>", file);
}

void lab_document_cell(struct lab_document *document, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    lab_document_cell_with(document, NULL, text, "");
}

void lab_document_number(struct lab_document *document, int digits, double value)
{
    char text[64] = "";
    if (isfinite(value))
        snprintf(text, sizeof text, "%.*f", digits, value);
    lab_document_cell_with(document, NULL, text, "");
}
