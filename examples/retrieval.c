/* SPDX-License-Identifier: MIT */
/* Retrieval alone: a million product keys, a batch of queries, the best few keys of each. */
#include <peer/peer.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_SUB = 1000, WIDTH = 64, KEPT = 4, QUERIES = 3, SEED = 7 };

static int search(struct peer_ctx *ctx, struct pkm_index *index)
{
    static float queries[QUERIES * WIDTH], scores[QUERIES * KEPT], all_scores[QUERIES * KEPT];
    static int32_t ids[QUERIES * KEPT], all_ids[QUERIES * KEPT];

    /* Key i*n + j is [c_i ; c'_j], rows of two tables [n, WIDTH/2]. */
    float *keys = pkm_index_keys(index);
    peer_fill_normal(keys, 2LL * N_SUB * (WIDTH / 2), 0, 1, SEED, peer_stream("keys"));
    peer_fill_normal(queries, QUERIES * WIDTH, 0, 1, SEED, peer_stream("queries"));

    pkm_index_search(index, ids, scores, queries, QUERIES);
    pkm_index_search_exhaustive(index, all_ids, all_scores, queries, QUERIES);

    int differing = 0;
    for (int t = 0; t < QUERIES; t++) {
        printf("query %d:", t);
        for (int i = 0; i < KEPT; i++) {
            printf("  key %6d (%.3f)", (int)ids[t * KEPT + i], (double)scores[t * KEPT + i]);
            differing += scores[t * KEPT + i] != all_scores[t * KEPT + i];
        }
        printf("\n");
    }
    printf("scores that an exhaustive search over %d keys does not share: %d\n", N_SUB * N_SUB,
           differing);
    printf("memory: %.1f KiB\n", (double)peer_ctx_bytes(ctx) / 1024);
    return differing ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(void)
{
    struct peer_ctx *ctx = NULL;
    struct pkm_index *index = NULL;
    struct pkm_index_config config = {.n = N_SUB, .width = WIDTH, .kept = KEPT, .queries = QUERIES};
    int status = EXIT_FAILURE;

    if (peer_ctx_create(&ctx, NULL) != PEER_OK)
        fprintf(stderr, "no context\n");
    else if (pkm_index_create(&index, ctx, &config) != PEER_OK)
        fprintf(stderr, "%s\n", peer_ctx_error(ctx));
    else
        status = search(ctx, index);

    pkm_index_destroy(&index);
    peer_ctx_destroy(&ctx);
    return status;
}
