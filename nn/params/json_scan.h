/* SPDX-License-Identifier: MIT */
/* Internal. A strict reader of JSON text (RFC 8259), from front to back, for headers of files: it
 * makes no tree and allocates nothing. The first error stays, with the byte where it stands, and
 * from then on every function says that there is nothing more. */
#ifndef PEER_NN_JSON_SCAN_H
#define PEER_NN_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>

enum { PEER_JSON_DEPTH = 32 }; /* most brackets inside one another */

struct peer_json {
    const char *text;             /* [size] */
    int64_t size, at;             /* `at`: the next byte; after an error, the byte of it */
    bool closed[PEER_JSON_DEPTH]; /* the bracket of that depth is '}' */
    bool fresh;                   /* a bracket has just been opened */
    int depth;
    const char *error; /* NULL = none so far */
};

/* A string as it stands between its quotes, escapes and all. */
struct peer_json_string {
    const char *text;
    int64_t size;
};

/* Text that is not UTF-8 is an error from the start. */
struct peer_json peer_json_begin(const char *text, int64_t size);

/* The byte that the next value begins with, or 0. */
char peer_json_peek(struct peer_json *json);

/* Enters an object ('{') or an array ('['); false, an error, where the next value is none. */
bool peer_json_enter(struct peer_json *json, char bracket);

/* Whether another member or element follows in the innermost bracket; where none does, leaves it.
 */
bool peer_json_more(struct peer_json *json);

/* The next member's name, and the colon; the next value, a string; a whole number from 0 on. False
 * after an error. */
bool peer_json_name(struct peer_json *json, struct peer_json_string *ret);
bool peer_json_text(struct peer_json *json, struct peer_json_string *ret);
bool peer_json_whole(struct peer_json *json, int64_t *ret);

/* Passes over the next value, whatever it is. */
bool peer_json_skip(struct peer_json *json);

/* Nothing but white space is left, and there was no error. */
bool peer_json_end(struct peer_json *json);

/* Writes the string's characters as UTF-8 to `to` and returns their number, at most string.size.
 * What peer_json_name() and peer_json_text() gave is right; one that means a 0 byte has it. */
int64_t peer_json_unescape(char *to, struct peer_json_string string);

/* Whether its characters are those of `text`; false for one that takes more than 128 bytes. */
bool peer_json_is(struct peer_json_string string, const char *text);

#endif
