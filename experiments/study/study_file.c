/* SPDX-License-Identifier: MIT */
#include "experiments/study/study_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/facts/grammar.h"
#include "experiments/yaml/yaml_place.h"
#include "lm/dataset.h"
#include "nn/random.h"

static const char *const study_keys[] = {"name",  "data", "effect",   "cut",   "seeds", "model",
                                         "train", "tune", "variants", "parts", "notes", NULL};
static const char *const note_keys[] = {"on", "text", NULL};
static const char *const variant_keys[] = {"name", "ffw", "options", "sparse_at", "rate", NULL};
static const char *const facts_keys[] = {"people",    "attributes", "values",
                                         "templates", "exposures",  NULL};
static const char *const part_keys[] = {"budgets", "sizes", "variants", "seeds",
                                        "facts",   "lr",    NULL};
static const char *const tune_keys[] = {"budgets", "sizes", "variants", "scales", NULL};
static const char *const size_keys[] = {"width", "blocks", "heads", "from", "to", NULL};
static const char *const tune_size_keys[] = {"width", "blocks", "heads", NULL};

/* What is being read. */
struct reader {
    struct peer_ctx *ctx;
    struct lab_study *study;
    const struct lab_yaml_node *root;
    const char *out;
};

static enum peer_status list_of(const struct lab_yaml_node **ret, struct reader *r,
                                const struct lab_yaml_node *mapping, const char *key, int64_t most,
                                const char *example)
{
    char text[160];
    const struct lab_yaml_node *node = lab_yaml_get(mapping, key);
    int64_t count = lab_yaml_count(node);
    snprintf(text, sizeof text, "the field %s is missing: %s", key, example);
    if (!node)
        return lab_yaml_complain(r->ctx, mapping, text);
    snprintf(text, sizeof text, "%s, of 1 to %lld items", example, (long long)most);
    if (count < 1 || count > most)
        return lab_yaml_expected(r->ctx, node, text);
    *ret = node;
    return PEER_OK;
}

static enum peer_status read_budgets(struct lab_part *part, struct reader *r)
{
    const struct lab_yaml_node *list = NULL;
    enum peer_status status = list_of(&list, r, part->node, "budgets", LAB_STUDY_BUDGETS,
                                      "a list of FLOPs, such as [1e12, 4e12]");
    for (int64_t i = 0; status == PEER_OK && i < lab_yaml_count(list); i++) {
        status = lab_yaml_number(r->ctx, &part->budget[i], lab_yaml_item(list, i), 1, 1e30);
        if (status == PEER_OK && i > 0 && part->budget[i] <= part->budget[i - 1])
            status = lab_yaml_complain(r->ctx, lab_yaml_item(list, i), "budgets must rise");
        part->budgets++;
    }
    return status;
}

/* The budgets of a size: one at least. */
static enum peer_status read_range(const struct lab_part *part, struct lab_study_size *size,
                                   struct reader *r)
{
    const struct lab_yaml_node *from = lab_yaml_get(size->node, "from");
    const struct lab_yaml_node *to = lab_yaml_get(size->node, "to");
    enum peer_status status = PEER_OK;
    size->from = 0;
    size->to = INFINITY;
    if (from)
        status = lab_yaml_number(r->ctx, &size->from, from, 1, 1e30);
    if (status == PEER_OK && to)
        status = lab_yaml_number(r->ctx, &size->to, to, 1, 1e30);
    for (int64_t b = 0; status == PEER_OK && b < part->budgets; b++)
        if (lab_study_planned(part, size - part->size, b))
            return PEER_OK;
    return status == PEER_OK ? lab_yaml_complain(r->ctx, size->node,
                                                 "no budget of this part lies within from and to")
                             : status;
}

static enum peer_status read_sizes(struct lab_part *part, struct reader *r, const char *const *keys)
{
    const struct lab_yaml_node *list = NULL;
    enum peer_status status = list_of(&list, r, part->node, "sizes", LAB_STUDY_SIZES,
                                      "a list such as [{width: 64, blocks: 4}]");
    for (int64_t i = 0; status == PEER_OK && i < lab_yaml_count(list); i++) {
        struct lab_study_size *size = &part->size[i];
        size->node = lab_yaml_item(list, i);
        const struct lab_yaml_node *width = lab_yaml_get(size->node, "width");
        const struct lab_yaml_node *blocks = lab_yaml_get(size->node, "blocks");
        status = lab_yaml_keys(r->ctx, size->node, keys, NULL);
        if (status == PEER_OK && (!width || !blocks))
            status =
                lab_yaml_complain(r->ctx, size->node, "the fields width and blocks are needed");
        if (status == PEER_OK)
            status = lab_yaml_integer(r->ctx, &size->width, width, 2, 16384);
        if (status == PEER_OK)
            status = lab_yaml_integer(r->ctx, &size->blocks, blocks, 1, LM_MAX_BLOCKS);
        if (status == PEER_OK && i > 0 && size->width <= size[-1].width)
            status = lab_yaml_complain(r->ctx, width, "widths must rise");
        if (status == PEER_OK)
            status = read_range(part, size, r);
        part->sizes++;
    }
    return status;
}

/* A list of names of the study's variants. */
static enum peer_status read_names(int *ret, int64_t *count, struct reader *r,
                                   const struct lab_yaml_node *mapping, const char *key)
{
    const struct lab_yaml_node *list = NULL;
    enum peer_status status = list_of(&list, r, mapping, key, LAB_STUDY_VARIANTS,
                                      "a list of names of variants, such as [dense, peer]");
    for (int64_t i = 0; status == PEER_OK && i < lab_yaml_count(list); i++) {
        const struct lab_yaml_node *item = lab_yaml_item(list, i);
        const char *name = lab_yaml_scalar(item);
        ret[i] = name ? lab_study_variant_find(r->study, name) : -1;
        if (ret[i] < 0)
            return lab_yaml_expected(r->ctx, item, "the name of a variant of this study");
        for (int64_t j = 0; j < i; j++)
            if (ret[j] == ret[i])
                return lab_yaml_complain(r->ctx, item, "this variant is named twice");
        ++*count;
    }
    return status;
}

/* A text of facts: its size, and how often the training text tells each. */
static enum peer_status read_facts(struct lab_part *part, struct reader *r,
                                   const struct lab_yaml_node *node)
{
    part->facts = true;
    part->make = lab_facts_options_default();
    struct lab_facts_config *table = &part->make.table;
    const struct {
        const char *key;
        int64_t *value, most;
    } fields[] = {{"people", &table->people, LAB_FACTS_CELLS},
                  {"attributes", &table->attributes, LAB_FACTS_ATTRIBUTES},
                  {"values", &table->values, LAB_FACTS_VALUES},
                  {"templates", &table->templates, LAB_FACTS_TEMPLATES},
                  {"exposures", &part->make.exposures, 1000000}};
    enum peer_status status = lab_yaml_keys(r->ctx, node, facts_keys, NULL);
    for (size_t i = 0; i < sizeof fields / sizeof *fields && status == PEER_OK; i++) {
        const struct lab_yaml_node *field = lab_yaml_get(node, fields[i].key);
        if (field)
            status = lab_yaml_integer(r->ctx, fields[i].value, field, 1, fields[i].most);
    }
    if (status == PEER_OK)
        status = lab_yaml_blame(r->ctx, node, lab_facts_config_check(table, r->ctx));
    part->vocab = lab_facts_vocabulary(table);
    if (r->out)
        snprintf(part->data, sizeof part->data, "%.900s/facts-%lldx%lld-of-%lld-t%lld-e%lld",
                 r->out, (long long)table->people, (long long)table->attributes,
                 (long long)table->values, (long long)table->templates,
                 (long long)part->make.exposures);
    return status;
}

/* Facts want other rates than prose does. */
static enum peer_status read_start(struct lab_part *part, struct reader *r)
{
    const struct lab_yaml_node *lr = lab_yaml_get(part->node, "lr");
    if (!lr)
        return PEER_OK;
    if (!part->facts)
        return lab_yaml_complain(r->ctx, lr, "only a part of facts has a search of its own");
    return lab_yaml_number(r->ctx, &part->lr, lr, 1e-9, 1);
}

/* At most so many seeds: one number for all budgets, or one for each. */
static enum peer_status read_part_seeds(struct lab_part *part, struct reader *r)
{
    const struct lab_yaml_node *seeds = lab_yaml_get(part->node, "seeds");
    int64_t count = lab_yaml_count(seeds);
    enum peer_status status = PEER_OK;
    if (seeds && !lab_yaml_scalar(seeds) && count != part->budgets)
        return lab_yaml_expected(r->ctx, seeds, "a number, or a list of one for each budget");
    for (int64_t b = 0; status == PEER_OK && seeds && b < part->budgets; b++)
        status = lab_yaml_integer(r->ctx, &part->seeds[b],
                                  lab_yaml_scalar(seeds) ? seeds : lab_yaml_item(seeds, b), 1,
                                  LAB_STUDY_SEEDS);
    return status;
}

static enum peer_status read_part(struct lab_part *part, struct reader *r,
                                  const struct lab_yaml_node *node, const char *const *keys)
{
    part->node = node;
    enum peer_status status = lab_yaml_keys(r->ctx, node, keys, NULL);
    if (status == PEER_OK)
        status = read_budgets(part, r);
    if (status == PEER_OK)
        status = read_sizes(part, r, keys == tune_keys ? tune_size_keys : size_keys);
    if (status == PEER_OK)
        status = read_names(part->variant, &part->variants, r, node, "variants");
    if (status == PEER_OK)
        status = read_part_seeds(part, r);
    const struct lab_yaml_node *facts = lab_yaml_get(node, "facts");
    if (status == PEER_OK && facts)
        status = read_facts(part, r, facts);
    return status == PEER_OK ? read_start(part, r) : status;
}

static enum peer_status read_notes(struct reader *r)
{
    struct lab_study *study = r->study;
    const struct lab_yaml_node *list = NULL;
    if (!lab_yaml_get(r->root, "notes"))
        return PEER_OK;
    enum peer_status status = list_of(&list, r, r->root, "notes", LAB_STUDY_NOTES,
                                      "a list such as [{on: fig3a, text: one seed only}]");
    for (int64_t i = 0; status == PEER_OK && i < lab_yaml_count(list); i++) {
        struct lab_study_note *note = &study->note[i];
        const struct lab_yaml_node *item = lab_yaml_item(list, i);
        const struct lab_yaml_node *on = lab_yaml_get(item, "on");
        const struct lab_yaml_node *text = lab_yaml_get(item, "text");
        status = lab_yaml_keys(r->ctx, item, note_keys, NULL);
        if (status == PEER_OK && (!on || !text))
            status = lab_yaml_complain(r->ctx, item, "the fields on and text are needed");
        if (status == PEER_OK)
            status = lab_yaml_string(r->ctx, note->on, sizeof note->on, on);
        if (status == PEER_OK)
            status = lab_yaml_string(r->ctx, note->text, sizeof note->text, text);
        study->notes++;
    }
    return status;
}

const char *lab_study_note_on(const struct lab_study *study, const char *part_or_claim)
{
    for (int64_t i = 0; i < study->notes; i++) {
        const char *on = study->note[i].on;
        bool is_part = lab_study_part(study, on) != NULL;
        if (is_part ? strcmp(part_or_claim, on) == 0 : strncmp(part_or_claim, on, strlen(on)) == 0)
            return study->note[i].text;
    }
    return NULL;
}

static enum peer_status read_variants(struct reader *r)
{
    struct lab_study *study = r->study;
    const struct lab_yaml_node *list = NULL;
    enum peer_status status = list_of(&list, r, r->root, "variants", LAB_STUDY_VARIANTS,
                                      "a list such as [{name: dense, ffw: dense}]");
    for (int64_t i = 0; status == PEER_OK && i < lab_yaml_count(list); i++) {
        struct lab_study_variant *variant = &study->variant[i];
        variant->node = lab_yaml_item(list, i);
        const struct lab_yaml_node *name = lab_yaml_get(variant->node, "name");
        const struct lab_yaml_node *ffw = lab_yaml_get(variant->node, "ffw");
        const struct lab_yaml_node *rate = lab_yaml_get(variant->node, "rate");
        status = lab_yaml_keys(r->ctx, variant->node, variant_keys, NULL);
        if (status == PEER_OK && (!name || !ffw))
            status = lab_yaml_complain(r->ctx, variant->node, "the fields name and ffw are needed");
        if (status == PEER_OK)
            status = lab_yaml_name(r->ctx, variant->name, sizeof variant->name, name);
        if (status == PEER_OK && strpbrk(variant->name, " \t\r\n"))
            status = lab_yaml_complain(r->ctx, name, "a variant's name has no spaces");
        if (status == PEER_OK)
            status = lab_yaml_string(r->ctx, variant->ffw, sizeof variant->ffw, ffw);
        if (status == PEER_OK && rate)
            status = lab_yaml_string(r->ctx, variant->rate, sizeof variant->rate, rate);
        if (status == PEER_OK && lab_study_variant_find(study, variant->name) >= 0)
            status = lab_yaml_complain(r->ctx, name, "a variant of this name is given twice");
        study->variants++;
    }
    return status;
}

/* The tuned variant that a variant takes its rate from must be there. */
static enum peer_status resolve_rates(struct reader *r)
{
    struct lab_study *study = r->study;
    for (int64_t i = 0; i < study->variants; i++) {
        struct lab_study_variant *variant = &study->variant[i];
        const struct lab_study_variant *found = NULL;
        for (int64_t j = study->tune.variants - 1; j >= 0; j--) {
            const struct lab_study_variant *tuned = &study->variant[study->tune.variant[j]];
            bool itself = tuned == variant, type = strcmp(tuned->ffw, variant->ffw) == 0;
            if (*variant->rate ? strcmp(tuned->name, variant->rate) == 0
                               : itself || (type && found != variant))
                found = tuned;
        }
        if (!found)
            return lab_yaml_complain(r->ctx, variant->node,
                                     *variant->rate
                                         ? "rate names no variant of tune.variants"
                                         : "no variant of this type is tuned: name one in rate");
        memcpy(variant->rate, found->name, sizeof variant->rate);
    }
    return PEER_OK;
}

static enum peer_status read_seeds(struct reader *r)
{
    const struct lab_yaml_node *list = NULL;
    enum peer_status status = list_of(&list, r, r->root, "seeds", LAB_STUDY_SEEDS,
                                      "a list of integers, such as [1, 2, 3]");
    for (int64_t i = 0; status == PEER_OK && i < lab_yaml_count(list); i++) {
        const struct lab_yaml_node *item = lab_yaml_item(list, i);
        status = lab_yaml_integer(r->ctx, &r->study->seed[i], item, 0, 1000000000);
        for (int64_t j = 0; status == PEER_OK && j < i; j++)
            if (r->study->seed[j] == r->study->seed[i])
                status = lab_yaml_complain(r->ctx, item, "this seed is given twice");
        r->study->seeds++;
    }
    return status;
}

/* What is judged as one setting must be one. */
static enum peer_status check_shape(const struct lab_part *part, struct reader *r)
{
    static const struct {
        const char *name;
        int64_t budgets, sizes;
    } single[] = {{"power", 1, 1},
                  {"fig3a", 1, 1},
                  {"fig3b", 1, 1},
                  {"table2", 1, 1},
                  {"fig4", 1, LAB_STUDY_SIZES}};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        if (strcmp(part->name, single[i].name) == 0 &&
            (part->budgets > single[i].budgets || part->sizes > single[i].sizes))
            return lab_yaml_complain(r->ctx, part->node,
                                     part->budgets > single[i].budgets
                                         ? "this part is judged at one budget"
                                         : "this part is judged at one size");
    return part->facts && part->budgets > 1
               ? lab_yaml_complain(r->ctx, part->node, "a part of facts has one budget")
               : PEER_OK;
}

static enum peer_status read_parts(struct reader *r)
{
    struct lab_study *study = r->study;
    const struct lab_yaml_node *parts = lab_yaml_get(r->root, "parts");
    int64_t count = lab_yaml_fields(parts);
    if (!parts)
        return lab_yaml_complain(r->ctx, r->root, "the field parts is missing");
    if (count < 1 || count > LAB_STUDY_PARTS)
        return lab_yaml_expected(r->ctx, parts, "a mapping such as {fig1: {budgets: ...}}");
    enum peer_status status = PEER_OK;
    for (int64_t i = 0; status == PEER_OK && i < count; i++) {
        struct lab_part *part = &study->part[study->parts++];
        const char *name = lab_yaml_scalar(lab_yaml_key(parts, i));
        if (strlen(name) >= sizeof part->name ||
            name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
            return lab_yaml_complain(r->ctx, lab_yaml_key(parts, i),
                                     "a part's name is 1 to 23 of a-z, 0-9 and -");
        snprintf(part->name, sizeof part->name, "%s", name);
        status = read_part(part, r, lab_yaml_get(parts, name), part_keys);
        if (status == PEER_OK)
            status = check_shape(part, r);
    }
    return status;
}

static enum peer_status read_tune(struct reader *r)
{
    struct lab_study *study = r->study;
    const struct lab_yaml_node *tune = lab_yaml_get(r->root, "tune");
    if (!tune)
        return lab_yaml_complain(r->ctx, r->root, "the field tune is missing");
    snprintf(study->tune.name, sizeof study->tune.name, "tune");
    enum peer_status status = read_part(&study->tune, r, tune, tune_keys);
    if (status == PEER_OK && lab_yaml_get(tune, "scales"))
        status = read_names(study->scale, &study->scales, r, tune, "scales");
    return status == PEER_OK ? resolve_rates(r) : status;
}

static enum peer_status read_head(struct reader *r, const char *data)
{
    struct lab_study *study = r->study;
    const struct lab_yaml_node *name = lab_yaml_get(r->root, "name");
    const struct lab_yaml_node *folder = lab_yaml_get(r->root, "data");
    const struct lab_yaml_node *effect = lab_yaml_get(r->root, "effect");
    const struct lab_yaml_node *cut = lab_yaml_get(r->root, "cut");
    char called[LAB_PATH];
    strcpy(study->name, "study");
    study->effect = 0.01;
    enum peer_status status = lab_yaml_keys(r->ctx, r->root, study_keys, NULL);
    if (status == PEER_OK && name)
        status = lab_yaml_name(r->ctx, study->name, sizeof study->name, name);
    if (status == PEER_OK && effect)
        status = lab_yaml_number(r->ctx, &study->effect, effect, 1e-6, 10);
    if (status == PEER_OK && cut)
        status = lab_yaml_string(r->ctx, study->cut, sizeof study->cut, cut);
    if (status == PEER_OK && data)
        snprintf(study->data, sizeof study->data, "%s", data);
    else if (status == PEER_OK && folder)
        status = lab_yaml_place(r->ctx, called, study->data, sizeof study->data, folder);
    return status;
}

/* The vocabulary is the text's; without a text it must be stated. */
static enum peer_status read_vocab(struct reader *r)
{
    struct lab_study *study = r->study;
    const struct lab_yaml_node *vocab = lab_yaml_get(lab_yaml_get(r->root, "model"), "vocab");
    struct lm_dataset data;
    enum peer_status status = PEER_OK;
    if (!*study->data && !vocab)
        return lab_yaml_complain(r->ctx, r->root,
                                 "no text: give --data FOLDER (peerlab data prepare makes it)");
    if (!*study->data)
        return lab_yaml_integer(r->ctx, &study->vocab, vocab, 1, LM_MAX_VOCAB);
    status = lm_dataset_open(&data, r->ctx, study->data, 0, LM_DTYPE_AUTO);
    if (status != PEER_OK)
        return status;
    study->vocab = data.vocab;
    lm_dataset_close(&data);
    return PEER_OK;
}

/* Parts that have no text of their own take the study's. */
static void hand_out_text(struct lab_study *study)
{
    for (int64_t i = -1; i < study->parts; i++) {
        struct lab_part *part = i < 0 ? &study->tune : &study->part[i];
        if (part->facts)
            continue;
        memcpy(part->data, study->data, sizeof part->data);
        part->vocab = study->vocab;
    }
}

static enum peer_status read_study(struct reader *r, const char *data)
{
    enum peer_status status = read_head(r, data);
    if (status == PEER_OK)
        status = read_seeds(r);
    if (status == PEER_OK)
        status = read_notes(r);
    if (status == PEER_OK)
        status = read_variants(r);
    if (status == PEER_OK)
        status = read_tune(r);
    if (status == PEER_OK)
        status = read_parts(r);
    if (status == PEER_OK)
        status = read_vocab(r);
    hand_out_text(r->study);
    return status;
}

/* `text` NULL: of the file. */
static enum peer_status read_text(struct lab_study **ret, struct peer_ctx *ctx, const char *path,
                                  const char *text, const char *data, const char *out)
{
    struct lab_study *study = calloc(1, sizeof *study);
    if (!study)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory for the study", path);
    struct reader r = {.ctx = ctx, .study = study, .out = out};
    enum peer_status status = text ? lab_yaml_parse(&study->yaml, ctx, path, text)
                                   : lab_yaml_open(&study->yaml, ctx, path);
    if (status == PEER_OK) {
        r.root = lab_yaml_root(study->yaml);
        status = read_study(&r, data);
    }
    if (status != PEER_OK) {
        lab_study_free(&study);
        return status;
    }
    *ret = study;
    return PEER_OK;
}

enum peer_status lab_study_read(struct lab_study **ret, struct peer_ctx *ctx, const char *path,
                                const char *data, const char *out)
{
    return read_text(ret, ctx, path, NULL, data, out);
}

enum peer_status lab_study_parse(struct lab_study **ret, struct peer_ctx *ctx, const char *path,
                                 const char *text, const char *data, const char *out)
{
    return read_text(ret, ctx, path, text, data, out);
}

void lab_study_free(struct lab_study **study)
{
    if (!study || !*study)
        return;
    lab_yaml_close(&(*study)->yaml);
    free(*study);
    *study = NULL;
}

const struct lab_part *lab_study_part(const struct lab_study *study, const char *name)
{
    for (int64_t i = 0; i < study->parts; i++)
        if (strcmp(study->part[i].name, name) == 0)
            return &study->part[i];
    return NULL;
}

bool lab_study_planned(const struct lab_part *part, int64_t size, int64_t budget)
{
    return part->budget[budget] >= part->size[size].from &&
           part->budget[budget] <= part->size[size].to;
}

int64_t lab_study_seeds(const struct lab_part *part, int64_t budget, int64_t seeds)
{
    int64_t most = part->seeds[budget];
    return most > 0 && most < seeds ? most : seeds;
}

int lab_study_variant_find(const struct lab_study *study, const char *name)
{
    for (int64_t i = 0; i < study->variants; i++)
        if (strcmp(study->variant[i].name, name) == 0)
            return (int)i;
    return -1;
}

enum peer_status lab_study_run(struct lab_plan_run *ret, struct peer_ctx *ctx,
                               const struct lab_study *study, const struct lab_part *part,
                               struct lab_point point)
{
    const struct lab_recipe recipe = {.head = lab_yaml_root(study->yaml),
                                      .size = part->size[point.size].node,
                                      .variant = study->variant[point.variant].node,
                                      .data = part->data,
                                      .vocab = part->vocab};
    struct lab_plan_run run;
    enum peer_status status = lab_plan_run_read(&run, ctx, &recipe);
    if (status == PEER_OK)
        status = lab_plan_run_budget(&run, ctx, part->budget[point.budget], NULL);
    if (status != PEER_OK)
        return status;
    run.config.train.seed = (uint64_t)point.seed;
    if (part->lr > 0) { /* the part's rate is another setting; a rule's follows size and budget */
        run.config.train.lr = (float)part->lr;
        run.config.settings ^= peer_stream("part") + (uint64_t)(part->lr * 1e12);
    }
    lab_plan_run_copy(ret, &run);
    return PEER_OK;
}
