/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads YAML with libyaml, for files that hold credentials: k3s' registries.yaml and the like. Less
 * than YAML, so that nobody has to know its corners: one document of mappings, sequences and
 * scalars. Anchors, aliases, tags and merge keys are refused. Of plain scalars only null, true and
 * false are what they say (YAML 1.2, core schema); all others are strings with the text that is
 * there, numbers too, because a password may look like one.
 *
 * libyaml has no hook for its memory. What it hands out, and its buffers, are wiped here; what it
 * outgrew while it read a long scalar is not.
 */
#include <string.h>
#include <yaml.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"

#define TEXT_MAX JSON_SIZE_MAX
#define PLACES_FIRST 64

/* A position that follows libyaml's, which counts code points. */
struct cursor {
    size_t character, at, line;
};

struct level {
    bool is_mapping;
    bool is_flow;
    bool has_key;   /* a key was read, its value is next */
    size_t members; /* or elements, begun so far */
    size_t place;   /* of itself */
};

struct conversion {
    const struct pullkey_host *host;
    const char *name;
    const char *text;
    size_t length;
    yaml_parser_t parser;
    yaml_event_t event;
    struct cursor cursor;
    struct level levels[JSON_DEPTH_MAX];
    size_t depth;
    bool is_done; /* the value of the document is complete */
    struct buffer json;
    size_t json_line;
    struct pullkey_place *places;
    size_t place_count, place_capacity;
    struct pullkey_place key; /* of the value that comes next */
    size_t last_end;          /* of the last scalar or closing bracket */
};

static size_t find_place(struct conversion *conversion, const yaml_mark_t *mark)
{
    struct cursor *cursor = &conversion->cursor;

    while (cursor->character < mark->index && cursor->at < conversion->length) {
        cursor->line += conversion->text[cursor->at] == '\n';
        cursor->at++;
        while (cursor->at < conversion->length && (conversion->text[cursor->at] & 0xc0) == 0x80)
            cursor->at++;
        cursor->character++;
    }
    while (cursor->character > mark->index && cursor->at > 0) {
        cursor->at--;
        while (cursor->at > 0 && (conversion->text[cursor->at] & 0xc0) == 0x80)
            cursor->at--;
        cursor->line -= conversion->text[cursor->at] == '\n';
        cursor->character--;
    }
    return cursor->at;
}

static int refuse(struct conversion *conversion, const char *what, struct pullkey_error *error)
{
    (void)find_place(conversion, &conversion->event.start_mark);
    return error_set(error, PULLKEY_INVALID, "%s:%zu: %s", conversion->name,
                     conversion->cursor.line, what);
}

/* -- Output ----------------------------------------------------------------------------------- */

static void go_to_line(struct conversion *conversion, size_t line)
{
    for (; conversion->json_line < line; conversion->json_line++)
        buffer_append_text(&conversion->json, "\n");
}

static int add_place(struct conversion *conversion, const struct pullkey_place *place,
                     struct pullkey_error *error)
{
    if (conversion->place_count == conversion->place_capacity) {
        size_t capacity =
            conversion->place_capacity == 0 ? PLACES_FIRST : 2 * conversion->place_capacity;
        struct pullkey_place *places = conversion->host->alloc(capacity * sizeof(*places));

        if (!places)
            return error_memory(error);
        if (conversion->place_count > 0)
            memcpy(places, conversion->places, conversion->place_count * sizeof(*places));
        conversion->host->release(conversion->places);
        conversion->places = places;
        conversion->place_capacity = capacity;
    }
    conversion->places[conversion->place_count++] = *place;
    return 0;
}

/* A value begins: its place, and the comma in front of an element. */
static int begin_value(struct conversion *conversion, struct pullkey_error *error)
{
    const yaml_event_t *event = &conversion->event;
    struct level *level = conversion->depth > 0 ? &conversion->levels[conversion->depth - 1] : NULL;
    struct pullkey_place place = conversion->key;
    size_t begin = find_place(conversion, &event->start_mark);

    if (!level || !level->is_mapping) {
        if (level && level->members++ > 0)
            buffer_append_text(&conversion->json, ",");
        place.line = conversion->cursor.line;
        place.key_begin = place.key_end = begin;
        go_to_line(conversion, place.line);
    } else {
        level->has_key = false;
    }
    place.begin = begin;
    place.end = find_place(conversion, &event->end_mark);
    conversion->last_end = place.end;
    return add_place(conversion, &place, error);
}

static void end_value(struct conversion *conversion)
{
    if (conversion->depth == 0)
        conversion->is_done = true;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static void write_scalar(struct conversion *conversion)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const trues[] = { "true", "True", "TRUE", NULL };
    static const char *const falses[] = { "false", "False", "FALSE", NULL };
    const char *text = (const char *)conversion->event.data.scalar.value;
    bool is_plain = conversion->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (is_plain && is_one_of(text, nulls))
        buffer_append_text(&conversion->json, "null");
    else if (is_plain && is_one_of(text, trues))
        buffer_append_text(&conversion->json, "true");
    else if (is_plain && is_one_of(text, falses))
        buffer_append_text(&conversion->json, "false");
    else
        json_write_string(&conversion->json, text, conversion->event.data.scalar.length);
}

/* -- Events ----------------------------------------------------------------------------------- */

static int read_key(struct conversion *conversion, struct level *level, struct pullkey_error *error)
{
    const yaml_event_t *event = &conversion->event;
    const char *text = (const char *)event->data.scalar.value;

    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(text, "<<") == 0)
        return refuse(conversion, "merge keys are not supported: write the members out", error);
    if (level->members++ > 0)
        buffer_append_text(&conversion->json, ",");
    conversion->key.key_begin = find_place(conversion, &event->start_mark);
    conversion->key.line = conversion->cursor.line;
    conversion->key.key_end = find_place(conversion, &event->end_mark);
    go_to_line(conversion, conversion->key.line);
    json_write_string(&conversion->json, text, event->data.scalar.length);
    buffer_append_text(&conversion->json, ":");
    level->has_key = true;
    return 0;
}

static int read_scalar(struct conversion *conversion, struct pullkey_error *error)
{
    const yaml_event_t *event = &conversion->event;
    struct level *level = conversion->depth > 0 ? &conversion->levels[conversion->depth - 1] : NULL;
    int r;

    if (event->data.scalar.tag)
        return refuse(conversion, "tags are not supported", error);
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return refuse(conversion, "there is a NUL in a string", error);
    if (level && level->is_mapping && !level->has_key)
        return read_key(conversion, level, error);
    r = begin_value(conversion, error);
    if (r < 0)
        return r;
    write_scalar(conversion);
    end_value(conversion);
    return 0;
}

static int open_level(struct conversion *conversion, bool is_mapping, bool is_flow, bool has_tag,
                      struct pullkey_error *error)
{
    const struct level *level =
        conversion->depth > 0 ? &conversion->levels[conversion->depth - 1] : NULL;
    int r;

    if (has_tag)
        return refuse(conversion, "tags are not supported", error);
    if (level && level->is_mapping && !level->has_key)
        return refuse(conversion, "a key must be a string", error);
    if (conversion->depth == JSON_DEPTH_MAX)
        return refuse(conversion, "there are too many levels", error);
    r = begin_value(conversion, error);
    if (r < 0)
        return r;
    buffer_append_text(&conversion->json, is_mapping ? "{" : "[");
    conversion->levels[conversion->depth++] = (struct level){
        .is_mapping = is_mapping,
        .is_flow = is_flow,
        .place = conversion->place_count - 1,
    };
    return 0;
}

/* What ends by its indentation ends with what is in it. */
static void close_level(struct conversion *conversion)
{
    const struct level *level = &conversion->levels[--conversion->depth];

    buffer_append_text(&conversion->json, level->is_mapping ? "}" : "]");
    if (level->is_flow)
        conversion->last_end = find_place(conversion, &conversion->event.end_mark);
    conversion->places[level->place].end = conversion->last_end;
    end_value(conversion);
}

static bool has_anchor(const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT: return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT: return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT: return event->data.mapping_start.anchor;
    default: return event->type == YAML_ALIAS_EVENT;
    }
}

static int take_event(struct conversion *conversion, struct pullkey_error *error)
{
    const yaml_event_t *event = &conversion->event;

    if (has_anchor(event))
        return refuse(conversion, "anchors and aliases are not supported: write the value out",
                      error);
    switch ((int)event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (conversion->is_done)
            return refuse(conversion, "there is a second document", error);
        if (event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
            return refuse(conversion, "tags are not supported", error);
        return 0;
    case YAML_SCALAR_EVENT: return read_scalar(conversion, error);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(conversion, false,
                          event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE,
                          event->data.sequence_start.tag, error);
    case YAML_MAPPING_START_EVENT:
        return open_level(conversion, true,
                          event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE,
                          event->data.mapping_start.tag, error);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: close_level(conversion); return 0;
    default: return 0;
    }
}

/* -- The reader ------------------------------------------------------------------------------- */

static void wipe_event(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static void wipe_parser(yaml_parser_t *parser)
{
    if (parser->buffer.start)
        explicit_bzero(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    if (parser->raw_buffer.start)
        explicit_bzero(parser->raw_buffer.start,
                       (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    yaml_parser_delete(parser);
}

/* The library's texts are constants and quote nothing. */
static int explain(struct conversion *conversion, struct pullkey_error *error)
{
    const yaml_parser_t *parser = &conversion->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        return error_memory(error);
    (void)find_place(conversion, &parser->problem_mark);
    return error_set(error, PULLKEY_INVALID, "%s:%zu: this is not YAML: %s", conversion->name,
                     conversion->cursor.line, parser->problem ? parser->problem : "?");
}

static int read_events(struct conversion *conversion, struct pullkey_error *error)
{
    bool is_end = false;
    int r = 0;

    while (r == 0 && !is_end) {
        if (!yaml_parser_parse(&conversion->parser, &conversion->event))
            return explain(conversion, error);
        is_end = conversion->event.type == YAML_STREAM_END_EVENT;
        r = take_event(conversion, error);
        wipe_event(&conversion->event);
        if (r == 0 && conversion->json.state != BUFFER_FINE)
            r = buffer_check(&conversion->json, error) < 0
                    ? error_wrap(error, "%s", conversion->name)
                    : 0;
    }
    return r;
}

/* A file of comments is one without a value. */
static int finish(struct conversion *conversion, struct pullkey_secret *ret_json,
                  struct pullkey_error *error)
{
    const struct pullkey_place nowhere = { .line = 1 };

    if (!conversion->is_done) {
        buffer_append_text(&conversion->json, "null");
        if (add_place(conversion, &nowhere, error) < 0)
            return error_memory(error);
    }
    if (buffer_check(&conversion->json, error) < 0)
        return error_wrap(error, "%s", conversion->name);
    ret_json->bytes = conversion->host->alloc(conversion->json.length + 1);
    if (!ret_json->bytes)
        return error_memory(error);
    memcpy(ret_json->bytes, conversion->json.data, conversion->json.length);
    ret_json->length = conversion->json.length;
    return 0;
}

static int yaml_read(const struct pullkey_host *host, const char *name, const char *text,
                     size_t length, struct pullkey_secret *ret_json,
                     struct pullkey_place **ret_places, size_t *ret_count,
                     struct pullkey_error *error)
{
    struct conversion conversion = {
        .host = host,
        .name = name,
        .text = text,
        .length = length,
        .cursor = { .line = 1 },
        .json = BUFFER_INIT(TEXT_MAX),
        .json_line = 1,
    };
    int r;

    if (length > TEXT_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: it has more than %d bytes", name, TEXT_MAX);
    if (!text_is_utf8(text, length) || (length > 0 && memchr(text, '\0', length)))
        return error_set(error, PULLKEY_INVALID, "%s: this is not UTF-8 text", name);
    if (!yaml_parser_initialize(&conversion.parser))
        return error_memory(error);
    yaml_parser_set_input_string(&conversion.parser, (const unsigned char *)text, length);
    yaml_parser_set_encoding(&conversion.parser, YAML_UTF8_ENCODING);
    r = read_events(&conversion, error);
    if (r == 0)
        r = finish(&conversion, ret_json, error);
    if (r == 0) {
        *ret_places = conversion.places;
        *ret_count = conversion.place_count;
    } else {
        host->release(conversion.places);
    }
    wipe_parser(&conversion.parser);
    buffer_done(&conversion.json);
    return r;
}

extern const struct pullkey_reader yaml_reader;
const struct pullkey_reader yaml_reader = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(yaml_reader),
        .kind = PULLKEY_KIND_READER,
        .type = "yaml",
    },
    .read = yaml_read,
};

PULLKEY_EXPORT_MODULE(yaml_reader);
