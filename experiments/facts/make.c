/* SPDX-License-Identifier: MIT */
#include "experiments/facts/make.h"

#include <errno.h>
#include <string.h>

#include "experiments/base/output.h"
#include "experiments/cli/progress.h"
#include "experiments/data/data_bin.h"
#include "experiments/data/data_describe.h"
#include "experiments/data/data_folder.h"
#include "experiments/facts/grammar.h"
#include "nn/random.h"

enum { BUFFER = 1 << 14 };

/* More sentences than any disk holds. */
static const int64_t most_sentences = (int64_t)1 << 36;

struct lab_facts_options lab_facts_options_default(void)
{
    return (struct lab_facts_options){
        .table = lab_facts_config_default(), .exposures = 20, .valid = 10000};
}

/* All that one call works with. */
struct teller {
    struct peer_ctx *ctx;
    const struct lab_facts_options *options;
    const struct lab_work *work;
    struct lab_facts *facts;
    struct lab_folder folder;
    struct lab_bin bins[LAB_SPLITS];
    struct lab_progress progress;
    int32_t *order;   /* [P A] */
    uint8_t *bytes;   /* [vocabulary], of text that an id stands for */
    uint16_t *buffer; /* [BUFFER] */
    int64_t used, used_bytes;
    int64_t told; /* sentences */
};

static enum peer_status check(struct peer_ctx *ctx, const struct lab_facts_options *options,
                              const struct lab_facts *facts)
{
    int64_t most = most_sentences / facts->count;
    if (options->exposures < 1 || options->exposures > most)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "facts: exposures = %lld of %lld facts, expected 1 ... %lld",
                         (long long)options->exposures, (long long)facts->count, (long long)most);
    if (options->valid < 1 || options->valid > most_sentences)
        return peer_fail(ctx, PEER_ERR_ARGUMENT,
                         "facts: %lld held-out sentences, expected 1 ... %lld",
                         (long long)options->valid, (long long)most_sentences);
    return PEER_OK;
}

static enum peer_status flush(struct teller *t, struct lab_bin *bin)
{
    enum peer_status status = lab_bin_put(bin, t->buffer, t->used, t->used_bytes, 0);
    t->used = t->used_bytes = 0;
    if (t->work->show)
        lab_progress_update(&t->progress, (double)t->told, NULL);
    return status == PEER_OK ? lab_work_check(t->ctx, t->work) : status;
}

static enum peer_status tell(struct teller *t, struct lab_bin *bin, int64_t fact, uint32_t template)
{
    enum peer_status status = PEER_OK;
    if (t->used + LAB_FACTS_SENTENCE > BUFFER)
        status = flush(t, bin);
    uint16_t *ids = t->buffer + t->used;
    int length = lab_facts_sentence(ids, t->facts, fact, (int)template);
    for (int i = 0; i < length; i++)
        t->used_bytes += t->bytes[ids[i]];
    t->used += length;
    t->told++;
    return status;
}

static enum peer_status tell_train(struct teller *t)
{
    uint64_t seed = (uint64_t)t->options->table.seed, stream = peer_stream("facts: templates");
    uint32_t templates = (uint32_t)t->facts->config.templates;
    struct lab_bin *bin = &t->bins[LAB_TRAIN];
    enum peer_status status = PEER_OK;
    for (int64_t round = 0; round < t->options->exposures && status == PEER_OK; round++) {
        lab_facts_shuffle(t->facts, t->order, "facts: order", round);
        for (int64_t i = 0; i < t->facts->count && status == PEER_OK; i++)
            status = tell(t, bin, t->order[i],
                          peer_random_below(seed, stream, (uint64_t)t->told, templates));
    }
    return status == PEER_OK ? flush(t, bin) : status;
}

static enum peer_status tell_valid(struct teller *t)
{
    uint64_t seed = (uint64_t)t->options->table.seed, stream = peer_stream("facts: held out");
    uint32_t facts = (uint32_t)t->facts->count, templates = (uint32_t)t->facts->config.templates;
    struct lab_bin *bin = &t->bins[LAB_VALID];
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; i < t->options->valid && status == PEER_OK; i++) {
        uint32_t fact = peer_random_below(seed, stream, 2 * (uint64_t)i, facts);
        status =
            tell(t, bin, fact, peer_random_below(seed, stream, 2 * (uint64_t)i + 1, templates));
    }
    return status == PEER_OK ? flush(t, bin) : status;
}

static enum peer_status write_tokens(struct teller *t)
{
    static const char *const names[] = {"train.bin", "valid.bin"};
    enum peer_status status = PEER_OK;
    double sentences = (double)t->options->exposures * (double)t->facts->count;
    for (int i = 0; i < LAB_SPLITS && status == PEER_OK; i++) {
        char path[LAB_PATH];
        lab_folder_path(&t->folder, path, names[i]);
        status = lab_bin_create(&t->bins[i], t->ctx, path);
    }
    lab_progress_start(&t->progress, "telling facts", "sentences",
                       sentences + (double)t->options->valid, 0);
    if (status == PEER_OK)
        status = tell_train(t);
    if (status == PEER_OK)
        status = tell_valid(t);
    lab_progress_end(&t->progress);
    for (int i = 0; i < LAB_SPLITS && status == PEER_OK; i++) {
        t->bins[i].documents = 1;
        status = lab_bin_finish(&t->bins[i]);
    }
    return status;
}

/* Writes the words, in sentencepiece's format, and notes how many bytes each stands for. */
static enum peer_status write_vocabulary(struct teller *t)
{
    static const char space[] = "\xe2\x96\x81"; /* U+2581, one byte of text */
    const struct lab_facts_config *config = &t->facts->config;
    char path[LAB_PATH], piece[LAB_FACTS_WORD];
    lab_folder_path(&t->folder, path, "tokenizer.vocab");
    FILE *file = lab_output_stream(path);
    bool written = file != NULL;
    for (int64_t id = 0; id < lab_facts_vocabulary(config) && written; id++) {
        lab_facts_word(piece, config, id);
        bool spaced = strncmp(piece, space, strlen(space)) == 0;
        t->bytes[id] = (uint8_t)(strlen(piece) - (spaced ? strlen(space) - 1 : 0));
        written = fprintf(file, "%s\t%lld\n", piece, -(long long)id) > 0;
    }
    written = written && fflush(file) == 0;
    int error = errno;
    if (file)
        fclose(file);
    return written ? PEER_OK
                   : peer_fail(t->ctx, PEER_ERR_IO, "%s: cannot write: %s", path, strerror(error));
}

static enum peer_status write_descriptions(struct teller *t, struct lab_facts_text *text)
{
    char path[LAB_PATH];
    struct lab_data_options options = lab_data_options_default();
    struct lab_inputs none[LAB_SPLITS] = {{.files = 0}};
    struct lab_data_report report = {.vocab = lab_facts_vocabulary(&t->facts->config),
                                     .tokenizer = "words"};
    options.seed = (uint64_t)t->facts->config.seed;
    for (int i = 0; i < LAB_SPLITS; i++) {
        const struct lab_bin *bin = &t->bins[i];
        report.split[i] =
            (struct lab_data_split){bin->tokens, bin->bytes, bin->documents, bin->crc};
    }
    *text = (struct lab_facts_text){t->options->exposures, t->bins[LAB_TRAIN].tokens,
                                    t->options->valid, t->bins[LAB_VALID].tokens};
    lab_folder_path(&t->folder, path, "facts.json");
    enum peer_status status = lab_facts_describe(t->ctx, path, t->facts, text);
    if (status == PEER_OK)
        status = lab_description_write(t->ctx, &t->folder, &report, &options, none);
    return status;
}

static enum peer_status fill_folder(struct teller *t, struct lab_facts_text *text)
{
    struct peer_pool pool = {.ctx = t->ctx};
    t->order = peer_pool_ids(&pool, "facts: order", t->facts->count, 1);
    t->bytes = peer_pool_alloc(&pool, "facts: words", 1, LAB_FACTS_VOCABULARY, 1, 1);
    t->buffer = peer_pool_alloc(&pool, "facts: text", sizeof *t->buffer, BUFFER, 1, 1);
    enum peer_status status = pool.failed ? PEER_ERR_MEMORY : write_vocabulary(t);
    if (status == PEER_OK)
        status = write_tokens(t);
    if (status == PEER_OK)
        status = write_descriptions(t, text);
    for (int i = 0; i < LAB_SPLITS; i++)
        lab_bin_abandon(&t->bins[i]);
    peer_pool_free(&pool);
    return status;
}

enum peer_status lab_facts_make(struct lab_facts_config *ret, struct lab_facts_text *ret_text,
                                struct peer_ctx *ctx, const struct lab_facts_options *options,
                                const struct lab_work *work)
{
    struct teller t = {.ctx = ctx, .options = options, .work = work};
    struct lab_facts_text text = {0};
    enum peer_status status = lab_facts_create(&t.facts, ctx, &options->table);
    if (status == PEER_OK)
        status = check(ctx, options, t.facts);
    if (status == PEER_OK)
        status =
            lab_folder_create(&t.folder, ctx, options->out, LAB_DATA_DESCRIPTION, options->force);
    if (status == PEER_OK)
        status = lab_folder_finish(&t.folder, fill_folder(&t, &text));
    if (status == PEER_OK) {
        *ret = t.facts->config;
        *ret_text = text;
    }
    lab_facts_destroy(&t.facts);
    return status;
}
