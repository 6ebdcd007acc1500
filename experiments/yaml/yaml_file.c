/* SPDX-License-Identifier: MIT */
#include "experiments/yaml/yaml_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { FIELD = 96 };

struct lab_yaml {
    char *path;
    char *text;
    size_t size;
    yaml_document_t document;
    bool parsed;
    struct lab_yaml_node *nodes; /* one per node of the document, same order */
};

struct lab_yaml_node {
    struct lab_yaml *yaml;
    yaml_node_t *node;
    char field[FIELD]; /* dotted path: "variants[2].peer.experts"; "" for the root */
};

/* No configuration comes near; a bound keeps the work on hostile files small. */
enum { LARGEST_FILE = 1 << 20, MOST_FIELDS = 1000, DEEPEST = 100 };

static enum peer_status read_text(char **ret, size_t *ret_size, struct peer_ctx *ctx,
                                  const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(errno));
    char *text = malloc(LARGEST_FILE + 1);
    if (!text) {
        fclose(file);
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    }
    size_t size = fread(text, 1, LARGEST_FILE + 1, file);
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed || size > LARGEST_FILE) {
        free(text);
        return failed ? peer_fail(ctx, PEER_ERR_IO, "%s: %s", path, strerror(failed))
                      : peer_fail(ctx, PEER_ERR_FORMAT,
                                  "%s: larger than %d bytes, not a "
                                  "configuration file",
                                  path, LARGEST_FILE);
    }
    text[size] = 0;
    *ret = text;
    *ret_size = size;
    return PEER_OK;
}

/* What the file says may hold line ends and codes that a terminal obeys. */
static enum peer_status complain_at(struct peer_ctx *ctx, const struct lab_yaml *yaml,
                                    yaml_mark_t mark, const char *field, const char *text)
{
    char line[480];
    snprintf(line, sizeof line, "%s%s%s", field, *field ? ": " : "", text);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return peer_fail(ctx, PEER_ERR_FORMAT, "%s:%zu:%zu: %s", yaml->path, mark.line + 1,
                     mark.column + 1, line);
}

static yaml_mark_t mark_of(const struct lab_yaml *yaml, size_t offset)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < yaml->size; i++) {
        bool newline = yaml->text[i] == '\n';
        mark.line += newline;
        mark.column = newline ? 0 : mark.column + 1;
    }
    return mark;
}

/* Lists in lists cost the parser time that grows with the square of their depth, at least. */
static enum peer_status check_depth(struct peer_ctx *ctx, const struct lab_yaml *yaml)
{
    int depth = 0;
    for (size_t i = 0; i < yaml->size; i++) {
        char c = yaml->text[i];
        depth += (c == '[' || c == '{') - (depth > 0 && (c == ']' || c == '}'));
        if (depth > DEEPEST)
            return complain_at(ctx, yaml, mark_of(yaml, i), "", "brackets in too many brackets");
    }
    return PEER_OK;
}

static enum peer_status not_yaml(struct peer_ctx *ctx, const struct lab_yaml *yaml,
                                 const yaml_parser_t *parser)
{
    char text[160];
    /* Some of its ways out of memory name no error. */
    if (parser->error == YAML_MEMORY_ERROR || parser->error == YAML_NO_ERROR)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to parse it", yaml->path);
    snprintf(text, sizeof text, "not YAML: %s%s%s", parser->problem ? parser->problem : "?",
             parser->context ? " " : "", parser->context ? parser->context : "");
    /* Of bytes that are no text the parser knows the offset only. */
    return complain_at(ctx, yaml,
                       parser->error == YAML_READER_ERROR ? mark_of(yaml, parser->problem_offset)
                                                          : parser->problem_mark,
                       "", text);
}

/* Whatever stands behind the document would be passed over in silence. */
static enum peer_status expect_end(struct peer_ctx *ctx, const struct lab_yaml *yaml,
                                   yaml_parser_t *parser)
{
    yaml_document_t second;
    if (!yaml_parser_load(parser, &second))
        return not_yaml(ctx, yaml, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&second);
    enum peer_status status = PEER_OK;
    if (root)
        status =
            complain_at(ctx, yaml, root->start_mark, "", "expected one document, got a second");
    yaml_document_delete(&second);
    return status;
}

static enum peer_status parse(struct peer_ctx *ctx, struct lab_yaml *yaml)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to parse it", yaml->path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml->text, yaml->size);
    yaml->parsed = yaml_parser_load(&parser, &yaml->document);
    enum peer_status status =
        yaml->parsed ? expect_end(ctx, yaml, &parser) : not_yaml(ctx, yaml, &parser);
    yaml_parser_delete(&parser);
    return status;
}

static struct lab_yaml_node *wrap(const struct lab_yaml *yaml, int id)
{
    return &yaml->nodes[id - 1];
}

/* A node reached twice is an alias. */
static enum peer_status claim(struct peer_ctx *ctx, struct lab_yaml *yaml,
                              struct lab_yaml_node *node, const char *field)
{
    if (node->yaml)
        return complain_at(ctx, yaml, node->node->start_mark, field, "aliases are not allowed");
    const yaml_node_t *scalar = node->node->type == YAML_SCALAR_NODE ? node->node : NULL;
    if (scalar && memchr(scalar->data.scalar.value, 0, scalar->data.scalar.length))
        return complain_at(ctx, yaml, scalar->start_mark, field, "a text cannot hold U+0000");
    node->yaml = yaml;
    snprintf(node->field, sizeof node->field, "%s", field);
    return PEER_OK;
}

static enum peer_status name_items(struct peer_ctx *ctx, struct lab_yaml *yaml,
                                   const struct lab_yaml_node *parent)
{
    enum peer_status status = PEER_OK;
    const yaml_node_t *node = parent->node;
    int index = 0;
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && status == PEER_OK; item++, index++) {
        char field[FIELD];
        snprintf(field, sizeof field, "%.80s[%d]", parent->field, index);
        status = claim(ctx, yaml, wrap(yaml, *item), field);
    }
    return status;
}

static enum peer_status name_values(struct peer_ctx *ctx, struct lab_yaml *yaml,
                                    const struct lab_yaml_node *parent)
{
    enum peer_status status = PEER_OK;
    yaml_node_pair_t *start = parent->node->data.mapping.pairs.start;
    yaml_node_pair_t *top = parent->node->data.mapping.pairs.top;
    if (top - start > MOST_FIELDS)
        return complain_at(ctx, yaml, parent->node->start_mark, parent->field, "too many fields");
    for (yaml_node_pair_t *pair = start; pair < top && status == PEER_OK; pair++) {
        struct lab_yaml_node *key = wrap(yaml, pair->key);
        const char *name = lab_yaml_scalar(key);
        if (!name)
            return complain_at(ctx, yaml, key->node->start_mark, parent->field,
                               "a key must be a word");
        char field[FIELD];
        snprintf(field, sizeof field, "%.60s%s%.30s", parent->field, *parent->field ? "." : "",
                 name);
        for (yaml_node_pair_t *other = start; other < pair; other++)
            if (strcmp(lab_yaml_scalar(wrap(yaml, other->key)), name) == 0)
                return complain_at(ctx, yaml, key->node->start_mark, field,
                                   "this key is given twice");
        status = claim(ctx, yaml, key, field);
        if (status == PEER_OK)
            status = claim(ctx, yaml, wrap(yaml, pair->value), field);
    }
    return status;
}

static enum peer_status index_nodes(struct peer_ctx *ctx, struct lab_yaml *yaml)
{
    yaml_node_t *root = yaml_document_get_root_node(&yaml->document);
    if (!root || root->type != YAML_MAPPING_NODE)
        return peer_fail(ctx, PEER_ERR_FORMAT, "%s:1:1: expected a mapping (key: value lines)%s",
                         yaml->path, root ? "" : ", the file is empty");
    int count = (int)(yaml->document.nodes.top - yaml->document.nodes.start);
    yaml->nodes = calloc((size_t)count, sizeof *yaml->nodes);
    if (!yaml->nodes)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory for %d fields", yaml->path, count);
    for (int id = 1; id <= count; id++)
        wrap(yaml, id)->node = yaml_document_get_node(&yaml->document, id);
    wrap(yaml, 1)->yaml = yaml; /* the root */
    /* A child's id is larger than its parent's, so one pass reaches all, parents first. Refusing
     * aliases also bounds the depth of hostile files. */
    enum peer_status status = PEER_OK;
    for (int id = 1; id <= count && status == PEER_OK; id++) {
        const struct lab_yaml_node *node = wrap(yaml, id);
        if (node->node->type == YAML_SEQUENCE_NODE)
            status = name_items(ctx, yaml, node);
        else if (node->node->type == YAML_MAPPING_NODE)
            status = name_values(ctx, yaml, node);
    }
    return status;
}

/* Takes over `text`, malloc()ed. */
static enum peer_status open_text(struct lab_yaml **ret, struct peer_ctx *ctx, const char *path,
                                  char *text, size_t size)
{
    struct lab_yaml *yaml = calloc(1, sizeof *yaml);
    if (!yaml || !(yaml->path = strdup(path))) {
        free(text);
        free(yaml);
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    }
    yaml->text = text;
    yaml->size = size;
    enum peer_status status = check_depth(ctx, yaml);
    if (status == PEER_OK)
        status = parse(ctx, yaml);
    if (status == PEER_OK)
        status = index_nodes(ctx, yaml);
    if (status != PEER_OK) {
        lab_yaml_close(&yaml);
        return status;
    }
    *ret = yaml;
    return PEER_OK;
}

enum peer_status lab_yaml_open(struct lab_yaml **ret, struct peer_ctx *ctx, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    enum peer_status status = read_text(&text, &size, ctx, path);
    return status == PEER_OK ? open_text(ret, ctx, path, text, size) : status;
}

enum peer_status lab_yaml_parse(struct lab_yaml **ret, struct peer_ctx *ctx, const char *path,
                                const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return peer_fail(ctx, PEER_ERR_MEMORY, "%s: no memory to read it", path);
    return open_text(ret, ctx, path, copy, strlen(copy));
}

void lab_yaml_close(struct lab_yaml **yaml)
{
    if (!yaml || !*yaml)
        return;
    if ((*yaml)->parsed)
        yaml_document_delete(&(*yaml)->document);
    free((*yaml)->nodes);
    free((*yaml)->text);
    free((*yaml)->path);
    free(*yaml);
    *yaml = NULL;
}

const char *lab_yaml_text(const struct lab_yaml *yaml)
{
    return yaml->text;
}

const char *lab_yaml_path(const struct lab_yaml_node *node)
{
    return node->yaml->path;
}

const struct lab_yaml_node *lab_yaml_root(const struct lab_yaml *yaml)
{
    return wrap(yaml, 1);
}

const struct lab_yaml_node *lab_yaml_get(const struct lab_yaml_node *mapping, const char *key)
{
    if (!mapping || mapping->node->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = mapping->node->data.mapping.pairs.start;
         pair < mapping->node->data.mapping.pairs.top; pair++)
        if (strcmp(lab_yaml_scalar(wrap(mapping->yaml, pair->key)), key) == 0)
            return wrap(mapping->yaml, pair->value);
    return NULL;
}

int64_t lab_yaml_fields(const struct lab_yaml_node *mapping)
{
    if (!mapping || mapping->node->type != YAML_MAPPING_NODE)
        return -1;
    return mapping->node->data.mapping.pairs.top - mapping->node->data.mapping.pairs.start;
}

const struct lab_yaml_node *lab_yaml_key(const struct lab_yaml_node *mapping, int64_t i)
{
    return wrap(mapping->yaml, mapping->node->data.mapping.pairs.start[i].key);
}

int64_t lab_yaml_count(const struct lab_yaml_node *node)
{
    if (!node || node->node->type != YAML_SEQUENCE_NODE)
        return -1;
    return node->node->data.sequence.items.top - node->node->data.sequence.items.start;
}

const struct lab_yaml_node *lab_yaml_item(const struct lab_yaml_node *sequence, int64_t i)
{
    return wrap(sequence->yaml, sequence->node->data.sequence.items.start[i]);
}

const char *lab_yaml_scalar(const struct lab_yaml_node *node)
{
    if (!node || node->node->type != YAML_SCALAR_NODE)
        return NULL;
    return (const char *)node->node->data.scalar.value;
}

enum peer_status lab_yaml_complain(struct peer_ctx *ctx, const struct lab_yaml_node *node,
                                   const char *text)
{
    return complain_at(ctx, node->yaml, node->node->start_mark, node->field, text);
}

enum peer_status lab_yaml_expected(struct peer_ctx *ctx, const struct lab_yaml_node *node,
                                   const char *what)
{
    static const char *const kinds[] = {[YAML_NO_NODE] = "nothing",
                                        [YAML_SEQUENCE_NODE] = "a list",
                                        [YAML_MAPPING_NODE] = "a mapping"};
    char text[320];
    const char *scalar = lab_yaml_scalar(node);
    if (scalar)
        snprintf(text, sizeof text, "expected %s, got \"%.60s\"", what, scalar);
    else
        snprintf(text, sizeof text, "expected %s, got %s", what, kinds[node->node->type]);
    return lab_yaml_complain(ctx, node, text);
}

enum peer_status lab_yaml_blame(struct peer_ctx *ctx, const struct lab_yaml_node *node,
                                enum peer_status status)
{
    if (status != PEER_ERR_ARGUMENT)
        return status;
    char reason[320];
    snprintf(reason, sizeof reason, "%s", peer_ctx_error(ctx));
    return lab_yaml_complain(ctx, node, reason);
}
