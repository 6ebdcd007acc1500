/* SPDX-License-Identifier: MIT */
/* A page that is written once and comes out as HTML or as Markdown. All text is plain UTF-8 and is
 * escaped on its way; errors stay in the stream. */
#ifndef PEER_EXPERIMENTS_REPORT_DOCUMENT_H
#define PEER_EXPERIMENTS_REPORT_DOCUMENT_H

#include "experiments/report/gnuplot.h"
#include "nn/status.h"

enum lab_markup { LAB_HTML = 0, LAB_MARKDOWN };

enum lab_block {
    LAB_PARAGRAPH = 0,
    LAB_LEAD,    /* the page's first words */
    LAB_SMALL,   /* small print */
    LAB_WARNING, /* what is missing */
    LAB_LIST,    /* of items */
    LAB_ITEM
};

/* Of a table. Lists end with a NULL title. */
struct lab_column {
    const char *title;
    bool number; /* to the right */
};

enum { LAB_SECTIONS = 32, LAB_SECTION_ID = 32, LAB_SECTION_TITLE = 96 };

struct lab_document {
    FILE *file;
    enum lab_markup markup;
    int figures;                     /* so far */
    const struct lab_column *column; /* of the next cell */
    int sections, contents;          /* headings so far; of the pass before this one */
    char id[LAB_SECTIONS][LAB_SECTION_ID], section[LAB_SECTIONS][LAB_SECTION_TITLE];
};

/* Writes a page, which `write` makes of `page`: twice, first to nowhere, so that the contents at
 * its top know all headings. */
void lab_document_write(FILE *file, enum lab_markup markup,
                        void (*write)(struct lab_document *document, const void *page),
                        const void *page);

/* Of every page: its style, and a script that sorts tables and shows tooltips to fingers. */
extern const char lab_page_style[], lab_page_script[];

/* The page begins with its title, and ends. `style` is CSS beside that of every page. The contents
 * stand where lab_document_contents() is called; nothing in Markdown, which viewers list. */
void lab_document_begin(struct lab_document *document, const char *title, const char *style);
void lab_document_end(struct lab_document *document);
void lab_document_contents(struct lab_document *document);

/* `id` is what links point at: letters, digits, '-'. */
void lab_document_heading(struct lab_document *document, const char *id, const char *title);

void lab_document_open(struct lab_document *document, enum lab_block block);
void lab_document_close(struct lab_document *document, enum lab_block block);

/* Text inside of a block; at most 2047 bytes a call. */
void lab_document_say(struct lab_document *document, const char *format, ...) PEER_PRINTF(2, 3);
void lab_document_strong(struct lab_document *document, const char *text);
void lab_document_code(struct lab_document *document, const char *text);
/* To a file beside the page, or to a section, "#ID". */
void lab_document_link(struct lab_document *document, const char *path, const char *text);
/* "Data: a.csv, b.csv", links to FOLDER/NAME.csv; the list ends with NULL. */
void lab_document_data(struct lab_document *document, const char *folder,
                       const char *const *tables);

/* Notes that many rows share: each text once, with how many have it, and behind it which. */
struct lab_notes {
    const void *of;
    int64_t count;
    const char *rows; /* what has them: "curves" */
    /* The note of row i, "" = none; and what the row is called. */
    void (*text)(char *ret, size_t size, const void *of, int64_t i);
    void (*name)(char *ret, size_t size, const void *of, int64_t i);
};
/* A list; nothing where there is no note. */
void lab_document_notes(struct lab_document *document, const struct lab_notes *notes);

/* What is shown on demand: one line, and behind it all until the end; in Markdown all. */
void lab_document_fold(struct lab_document *document, const char *format, ...) PEER_PRINTF(2, 3);
void lab_document_fold_end(struct lab_document *document);

/* A whole block. */
void lab_document_block(struct lab_document *document, enum lab_block block, const char *format,
                        ...) PEER_PRINTF(3, 4);

/* The picture FOLDER/NAME.svg with its caption, free of markup; nothing where it was not drawn. */
void lab_document_figure(struct lab_document *document, const struct lab_figure *figure,
                         const char *folder, const char *name, const char *caption);

/* Rows of as many cells as there are columns; `tall` ones scroll. An empty text becomes a dash. */
void lab_document_table(struct lab_document *document, const struct lab_column *columns, bool tall);
void lab_document_row(struct lab_document *document, const struct lab_column *columns);
void lab_document_row_end(struct lab_document *document);
void lab_document_table_end(struct lab_document *document);
void lab_document_cell(struct lab_document *document, const char *format, ...) PEER_PRINTF(2, 3);
/* A dash where the value is not finite. */
void lab_document_number(struct lab_document *document, int digits, double value);
/* With small print below; "" = none. `class` is a CSS class, or NULL. */
void lab_document_cell_with(struct lab_document *document, const char *class, const char *text,
                            const char *small);

#endif
