/* SPDX-License-Identifier: MIT */
/* What a fallible function returns. The reason, as text, is in the context: peer_ctx_error(). */
#ifndef PEER_NN_STATUS_H
#define PEER_NN_STATUS_H

#if defined(__GNUC__)
#define PEER_API __attribute__((visibility("default")))
#define PEER_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define PEER_API
#define PEER_PRINTF(text, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum peer_status {
    PEER_OK = 0,
    PEER_ERR_ARGUMENT, /* a size, option or combination that has no meaning */
    PEER_ERR_MEMORY,   /* an allocation failed or its size overflows */
    PEER_ERR_IO,       /* the system refused: open, read, write, rename, full disk */
    PEER_ERR_FORMAT,   /* a file's contents are not what they should be */
    PEER_ERR_STOPPED,  /* the caller asked for a stop (a signal, a callback) */
};

/* A short constant name such as "out of memory". Never NULL. */
PEER_API const char *peer_status_name(enum peer_status status);

#ifdef __cplusplus
}
#endif

#endif
