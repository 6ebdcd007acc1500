/* SPDX-License-Identifier: MIT */
#include "experiments/runs/eval_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "experiments/runs/tokenize.h"

enum peer_status lab_eval_text_open(struct lab_eval_text *ret, struct peer_ctx *ctx,
                                    const struct lab_checkpoint_model *loaded, const char *folder,
                                    const char *text)
{
    int64_t vocab = loaded->config.vocab;
    memset(ret, 0, sizeof *ret);
    if (!folder)
        folder = loaded->data;
    if (!*folder)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "%s: the text it was trained on is not known; give --data FOLDER",
                         loaded->path);
    enum peer_status status = lm_dataset_open(&ret->data, ctx, folder, vocab);
    if (status == PEER_OK && ret->data.vocab != vocab)
        status = peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: vocabulary %lld, the model's is %lld",
                           folder, (long long)ret->data.vocab, (long long)vocab);
    if (status == PEER_OK && !text && !ret->data.valid)
        status =
            peer_fail(ctx, PEER_ERR_ARGUMENT, "%s: has no validation text; give --text", folder);
    if (status == PEER_OK && text)
        status = lab_tokenize(&ret->own, ctx, folder, text, vocab);
    ret->scored = text ? ret->own : ret->data.valid;
    return status;
}

void lab_eval_text_close(struct lab_eval_text *text)
{
    lm_corpus_close(&text->own);
    lm_dataset_close(&text->data);
    text->scored = NULL;
}

void lab_eval_print(const struct lm_eval_result *result)
{
    printf("%lld tokens: %.4f nats per token, perplexity %.3f", (long long)result->tokens,
           result->nats, result->perplexity);
    if (isfinite(result->bits_per_byte))
        printf(", %.4f bits per byte of %lld bytes", result->bits_per_byte,
               (long long)result->bytes);
    putchar('\n');
}
