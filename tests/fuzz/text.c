/* SPDX-License-Identifier: MIT */
/* Text to train on and to score. The first byte says how it is taken:
 *   p plain   m plain, cut at "%"   e plain, cut at empty lines   j JSON lines
 *   w WikiText   d WikiText, its spaces undone   l LAMBADA
 *   J L the same, of which every record must be good
 *   g z plain behind gzip or zstd, s JSON lines behind gzip: the input as it lies in the file */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/data/text_documents.h"
#include "experiments/runs/text_convert.h"
#include "tests/fuzz/fuzz.h"

/* Documents that came, and the state of UTF-8 in the one that is open. */
struct seen {
    int64_t documents, bytes;
    int more; /* bytes that the last character still wants */
};

/* Well-formed but for lengths of ranges: what lead bytes ask for comes. */
static enum peer_status take_text(void *user, const uint8_t *bytes, int64_t count)
{
    struct seen *seen = user;
    for (int64_t i = 0; i < count; i++) {
        bool tail = (bytes[i] & 0xc0) == 0x80;
        FUZZ_CHECK(tail == (seen->more > 0));
        if (tail)
            seen->more--;
        else
            seen->more = (bytes[i] >= 0xc0) + (bytes[i] >= 0xe0) + (bytes[i] >= 0xf0);
    }
    seen->bytes += count;
    return PEER_OK;
}

static enum peer_status take_end(void *user)
{
    struct seen *seen = user;
    FUZZ_CHECK(seen->more == 0);
    seen->documents++;
    return PEER_OK;
}

static void read_documents(const char *path, enum lab_text_format format, const char *mark,
                           bool strict)
{
    struct seen seen = {0};
    struct lab_document_options options = {.format = format, .mark = mark, .strict = strict};
    struct lab_document_sink sink = {.text = take_text, .end = take_end, .user = &seen};
    struct lab_document_notes notes = {0};
    fuzz_reason(lab_documents_read(fuzz_ctx(), path, &options, &sink, &notes));
    FUZZ_CHECK(!strict || notes.skipped == 0);
}

/* What is written is read back as the same documents. */
static void convert(const char *path, enum lab_form form, bool strict)
{
    char *text = NULL;
    size_t size = 0;
    struct lab_text_counts counts;
    struct seen seen = {0};
    struct lab_document_options options = {.format = LAB_TEXT_JSON};
    struct lab_document_sink sink = {.text = take_text, .end = take_end, .user = &seen};
    struct lab_document_notes notes = {0}, again = {0};
    struct lab_text_source source = {.form = form, .path = path, .strict = strict};
    FILE *file = open_memstream(&text, &size);
    FUZZ_CHECK(file);
    enum peer_status status = lab_text_convert(&counts, fuzz_ctx(), file, &source, &notes);
    fclose(file);
    fuzz_reason(status);
    if (status == PEER_OK) {
        const char *written = fuzz_file("written.jsonl", text, size);
        FUZZ_CHECK(lab_documents_read(fuzz_ctx(), written, &options, &sink, &again) == PEER_OK ||
                   counts.written == 0);
        FUZZ_CHECK(seen.bytes == counts.written && !again.repaired && !again.skipped);
    }
    lab_buffer_free(&counts.last_words);
    free(text);
}

static void take(int how, struct fuzz_input input)
{
    bool strict = how == 'J' || how == 'L';
    how |= 'a' - 'A';
    const char *name = how == 'j' || how == 'l' ? "in.jsonl" : how == 's' ? "in.jsonl.gz" : "in";
    const char *path = fuzz_file(name, input.bytes, input.size);
    switch (how) {
    case 'm':
        read_documents(path, LAB_TEXT_PLAIN, "%", strict);
        break;
    case 'e':
        read_documents(path, LAB_TEXT_PLAIN, "", strict);
        break;
    case 'w':
        convert(path, LAB_FORM_WIKITEXT, strict);
        break;
    case 'd':
        convert(path, LAB_FORM_DETOK, strict);
        break;
    case 'l':
        convert(path, LAB_FORM_LAMBADA, strict);
        break;
    default:
        read_documents(path, LAB_TEXT_AUTO, NULL, strict);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    take(fuzz_byte(&input), input);
    fuzz_end();
    return 0;
}
