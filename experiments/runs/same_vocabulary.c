/* SPDX-License-Identifier: MIT */
#include "experiments/runs/same_vocabulary.h"

#include <stdio.h>
#include <string.h>

enum peer_status lab_same_vocabulary(struct peer_ctx *ctx, const char *path,
                                     const struct lm_run_origin *origin, const char *folder,
                                     int64_t vocab, const struct lm_vocabulary *vocabulary)
{
    char crc[16] = "";
    const char *text = *origin->data ? origin->data : "a text that it does not name";
    if (origin->vocab != vocab)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: trained on %s with a vocabulary of %lld, but %s has one of %lld; "
                         "prepare the text with the tokenizer of the first "
                         "(peerlab data prepare --tokenizer)",
                         path, text, (long long)origin->vocab, folder, (long long)vocab);
    if (vocabulary)
        snprintf(crc, sizeof crc, "%08x", (unsigned)lm_vocabulary_crc(vocabulary));
    if (!*crc || !*origin->vocabulary || strcmp(crc, origin->vocabulary) == 0)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "%s: trained on %s with a vocabulary of checksum %s, but that of %s has %s: "
                     "prepare the text with the tokenizer of the first "
                     "(peerlab data prepare --tokenizer)",
                     path, text, origin->vocabulary, folder, crc);
}

enum peer_status lab_same_vocabularies(struct peer_ctx *ctx, const char *path,
                                       const struct lm_run_origin *origin, const char *other_path,
                                       const struct lm_run_origin *other)
{
    if (origin->vocab != other->vocab)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: vocabulary %lld, that of %s is %lld", path,
                         (long long)origin->vocab, other_path, (long long)other->vocab);
    if (!*origin->vocabulary || !*other->vocabulary ||
        strcmp(origin->vocabulary, other->vocabulary) == 0)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "%s: its vocabulary has the checksum %s, that of %s has %s: their tokens are "
                     "not the same",
                     path, origin->vocabulary, other_path, other->vocabulary);
}
