/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pullkey config add: a backend and the rule that uses it, put in front of the others. The user's
 * are added to config.json, of which everything else stays as it is; those of the system are a file
 * of config.d.
 */
#include "admin.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/diff.h"
#include "base/error.h"
#include "base/json-edit.h"
#include "base/output.h"
#include "base/text.h"
#include "change.h"
#include "core/config-parts.h"
#include "prompt.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATTERNS_MAX 3

static const struct kind {
    const char *name, *type, *recipe;
    const char *patterns[PATTERNS_MAX]; /* where no --match is given */
    enum admin_option needs;            /* ADMIN_HELP: none */
} kinds[] = {
    { "ecr", "token", "ecr", { "*.dkr.ecr.*.amazonaws.com" }, ADMIN_HELP },
    { "gcp", "token", "gcp", { "gcr.io", "*.gcr.io", "*.pkg.dev" }, ADMIN_HELP },
    { "acr", "token", "acr", { "*.azurecr.io" }, ADMIN_HELP },
    { "kubernetes", "kubernetes", NULL, { NULL }, ADMIN_SECRET },
    { "exec", "exec", NULL, { NULL }, ADMIN_HELPER },
};

/* Those of one object stand together. */
static const struct field {
    enum admin_option option;
    const char *kind, *object, *key;
    bool is_list;
} fields[] = {
    { ADMIN_PROFILE, "ecr", "aws", "profile", false },
    { ADMIN_REGION, "ecr", "aws", "region", false },
    { ADMIN_ROLE_ARN, "ecr", "aws", "role_arn", false },
    { ADMIN_TENANT, "acr", "azure", "tenant", false },
    { ADMIN_CLIENT_ID, "acr", "azure", "client_id", false },
    { ADMIN_SECRET, "kubernetes", NULL, "secret", false },
    { ADMIN_KUBECONFIG, "kubernetes", NULL, "kubeconfig", false },
    { ADMIN_HELPER, "exec", NULL, "helper", false },
    { ADMIN_ENV, "exec", NULL, "env", true },
};

struct addition {
    const struct admin_call *call;
    const struct kind *kind;
    const char *name; /* of the backend */
    struct buffer backend, rule;
    struct change change;
};

static void addition_done(struct addition *addition)
{
    buffer_done(&addition->backend);
    buffer_done(&addition->rule);
    change_done(&addition->change);
}

#define cleanup_addition __attribute__((cleanup(addition_done)))

/* -- The command line ------------------------------------------------------------------------- */

/* How many of them the text begins with. */
static size_t span(const char *text, const char *more)
{
    size_t length = 0;

    while (isalnum((unsigned char)text[length]) ||
           (text[length] != '\0' && strchr(more, text[length])))
        length++;
    return length;
}

/* arn:PARTITION:iam::123456789012:role/NAME */
static bool is_role(const char *text)
{
    const char *name = strncmp(text, "arn:", 4) == 0 ? text + 4 + span(text + 4, "-") : "";

    return name > text + 4 && strncmp(name, ":iam::", 6) == 0 &&
           strspn(name + 6, "0123456789") == 12 && strncmp(name + 18, ":role/", 6) == 0 &&
           name[24] != '\0' && name[24 + span(name + 24, "+=,.@_/-")] == '\0';
}

/* RFC 9562 section 4 */
static bool is_uuid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;

    while (form[i] == 'x' ? isxdigit((unsigned char)text[i]) : text[i] == '-')
        i++;
    return form[i] == '\0' && text[i] == '\0';
}

static int check_values(const struct admin_call *call, struct pullkey_error *error)
{
    const char *role = call->values[ADMIN_ROLE_ARN], *client = call->values[ADMIN_CLIENT_ID];

    if (role && !is_role(role))
        return admin_usage(error, "--role-arn: it is arn:aws:iam::123456789012:role/NAME");
    if (client && !is_uuid(client))
        return admin_usage(error, "--client-id: it is 11111111-2222-3333-4444-555555555555");
    return 0;
}

static int check_call(struct addition *addition, struct pullkey_error *error)
{
    const struct admin_call *call = addition->call;
    const char *caller = call->values[ADMIN_CALLER];

    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i].name, call->arguments[0]) == 0)
            addition->kind = &kinds[i];
    if (!addition->kind)
        return admin_usage(error,
                           "there is no \"%s\" to be added: it is ecr, gcp, acr, kubernetes "
                           "or exec",
                           call->arguments[0]);
    for (size_t i = 0; i < COUNT(fields); i++)
        if (call->values[fields[i].option] && strcmp(fields[i].kind, addition->kind->name) != 0)
            return admin_usage(error, "%s goes with %s", admin_options[fields[i].option].name,
                               fields[i].kind);
    if (addition->kind->needs != ADMIN_HELP && !call->values[addition->kind->needs])
        return admin_usage(error, "%s needs %s", addition->kind->name,
                           admin_options[addition->kind->needs].name);
    if (!addition->kind->patterns[0] && call->item_count == 0)
        return admin_usage(error, "%s needs --match: the registries that it is for",
                           addition->kind->name);
    if (caller && !call->values[ADMIN_SYSTEM] && strcmp(caller, "docker") != 0)
        return admin_usage(error,
                           "--caller %s: those read the system's configuration alone, so "
                           "add --system",
                           caller);
    addition->name = call->values[ADMIN_NAME] ? call->values[ADMIN_NAME] : addition->kind->name;
    return check_values(call, error);
}

/* -- What is added ---------------------------------------------------------------------------- */

static void quote(struct buffer *text, const char *before, const char *value, size_t length)
{
    buffer_append_text(text, before);
    json_write_string(text, value, length);
}

/* "A,B" */
static void write_list(struct buffer *text, const char *values)
{
    const char *before = "[";

    for (size_t length; length = strcspn(values, ","), true; values += length + 1, before = ", ") {
        quote(text, before, values, length);
        if (values[length] == '\0')
            break;
    }
    buffer_append_text(text, "]");
}

static void write_backend(struct addition *addition)
{
    struct buffer *text = &addition->backend;
    const char *open = NULL;
    bool is_plain = addition->kind->recipe != NULL;

    quote(text, "{ \"type\": ", addition->kind->type, strlen(addition->kind->type));
    if (addition->kind->recipe)
        quote(text, ", \"recipe\": ", addition->kind->recipe, strlen(addition->kind->recipe));
    for (size_t i = 0; i < COUNT(fields); i++) {
        const char *value = addition->call->values[fields[i].option];

        if (!value)
            continue;
        is_plain = false;
        buffer_append_text(text, ", ");
        if (fields[i].object && !open)
            buffer_printf(text, "\"%s\": { ", fields[i].object);
        open = fields[i].object;
        buffer_printf(text, "\"%s\": ", fields[i].key);
        if (fields[i].is_list)
            write_list(text, value);
        else
            quote(text, "", value, strlen(value));
    }
    /* Whoever is nobody there asked anonymously before, and still does. */
    buffer_append_text(text, open ? " } }" : is_plain ? ", \"optional\": true }" : " }");
}

static void write_rule(struct addition *addition)
{
    const struct admin_call *call = addition->call;
    const char *const *patterns = call->item_count > 0 ? call->items : addition->kind->patterns;
    const size_t limit = call->item_count > 0 ? call->item_count : PATTERNS_MAX;
    struct buffer *text = &addition->rule;

    for (size_t i = 0; i < limit && patterns[i]; i++)
        quote(text, i > 0 ? ", " : "{ \"match\": [", patterns[i], strlen(patterns[i]));
    quote(text, "], \"use\": [", addition->name, strlen(addition->name));
    buffer_append_text(text, "]");
    if (call->values[ADMIN_CALLER]) {
        buffer_append_text(text, ", \"when\": { \"caller\": ");
        write_list(text, call->values[ADMIN_CALLER]);
        buffer_append_text(text, " }");
    }
    buffer_append_text(text, " }");
}

/* -- The new text ----------------------------------------------------------------------------- */

static void write_new(struct addition *addition)
{
    struct buffer *text = &addition->change.new;

    quote(text, "{\n  \"version\": 1,\n  \"backends\": {\n    ", addition->name,
          strlen(addition->name));
    buffer_printf(text, ": %s\n  },\n  \"rules\": [\n    %s\n  ]\n}\n", addition->backend.data,
                  addition->rule.data);
}

/* Puts the value into the object or list of that key, which is made if it is not there. */
static int put_in(const char *path, const char *text, size_t length, const char *key,
                  const char *name, const char *value, struct buffer *ret,
                  struct pullkey_error *error)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    cleanup_buffer struct buffer made = BUFFER_INIT(CONFIG_FILE_MAX);
    cleanup_json struct json json = { 0 };
    const cJSON *parent;
    int r = json_parse(&json, path, text, length, JSON_COMMENTS, error);

    if (r < 0)
        return r;
    parent = json_member(json.root, key);
    if (parent) {
        r = json_edit_insert(&json, parent, name, value, &edit, error);
    } else {
        if (name)
            quote(&made, "{ ", name, strlen(name));
        buffer_printf(&made, "%s %s %s", name ? ":" : "[", value, name ? "}" : "]");
        r = buffer_check(&made, error);
        if (r == 0)
            r = json_edit_insert(&json, json.root, key, made.data, &edit, error);
    }
    return r < 0 ? r : json_edit_apply(&edit, json.text, json.length, ret, error);
}

static int write_text(struct addition *addition, struct pullkey_error *error)
{
    cleanup_buffer struct buffer half = BUFFER_INIT(CONFIG_FILE_MAX);
    struct change *change = &addition->change;
    int r;

    write_backend(addition);
    write_rule(addition);
    r = buffer_check(&addition->backend, error);
    if (r == 0)
        r = buffer_check(&addition->rule, error);
    if (r < 0)
        return r;
    if (change_is_new(change)) {
        write_new(addition);
        return buffer_check(&change->new, error);
    }
    r = put_in(change->path, change->old.data ? change->old.data : "", change->old.length, "rules",
               NULL, addition->rule.data, &half, error);
    return r < 0 ? r
                 : put_in(change->path, half.data, half.length, "backends", addition->name,
                          addition->backend.data, &change->new, error);
}

/* -- The command ------------------------------------------------------------------------------ */

static int find_file(const struct addition *addition, const struct config_source *source,
                     char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    char name[CONFIG_NAME_MAX + sizeof("config.d/.json")];

    if (source->text)
        return error_set(error, PULLKEY_INVALID,
                         "PULLKEY_CONFIG_JSON is the whole configuration here, and no file");
    if (source->only_file)
        return file_join(ret, "", source->only_file + 1, error);
    if (!source->system)
        return source->user_directory
                   ? file_join(ret, source->user_directory, "config.json", error)
                   : error_set(error, PULLKEY_INVALID, "you have no home directory");
    (void)snprintf(name, sizeof(name), "config.d/%s.json", addition->name);
    return file_join(ret, source->system_directory, name, error);
}

static int check_name(const struct addition *addition, const struct config *config,
                      struct pullkey_error *error)
{
    if (!text_is_name(addition->name, CONFIG_NAME_MAX))
        return admin_usage(error, "--name: a name has lower-case letters, digits, '-' and '_'");
    for (size_t i = 0; i < config->document_count; i++) {
        const struct json *document = &config->documents[i];
        const cJSON *item = json_member(json_member(document->root, "backends"), addition->name);

        if (item)
            return json_error(document, item, error,
                              "there is such a backend already: give yours another --name");
    }
    return 0;
}

/* A comment, a string, or one other character. */
static size_t piece(const char *text)
{
    const char *end = NULL;
    size_t length = 1;

    if (text[0] == '/' && text[1] == '/')
        return strcspn(text, "\n");
    if (text[0] == '/' && text[1] == '*') {
        end = strstr(text + 2, "*/");
        return end ? (size_t)(end - text) + 2 : strlen(text);
    }
    if (text[0] != '"')
        return 1;
    while (text[length] != '\0' && text[length] != '"')
        length += text[length] == '\\' && text[length + 1] != '\0' ? 2 : 1;
    return length + (text[length] == '"');
}

/* A password in the wrong place, as `config show` has it: the diff shows lines around its own. */
static void mask(const char *text, struct buffer *ret)
{
    bool is_secret = false; /* what follows the last string, if that is a key */

    for (size_t length; *text != '\0'; text += length) {
        length = piece(text);
        if (*text == '"' && is_secret)
            buffer_append_text(ret, "\"***\"");
        else
            buffer_append(ret, text, length);
        if (*text == '"' && !is_secret) {
            for (size_t i = 0; i < length; i++)
                is_secret = is_secret || strncasecmp(text + i, "password", 8) == 0 ||
                            strncasecmp(text + i, "token", 5) == 0;
        } else if (*text != '/' && !strchr(": \t\r\n", *text)) {
            is_secret = false;
        }
    }
}

static int show(const struct change *change, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(4 * JSON_SIZE_MAX), old = text, new = text;
    int r;

    if (change->old.data)
        mask(change->old.data, &old);
    mask(change->new.data, &new);
    r = buffer_check(&old, error);
    if (r == 0)
        r = buffer_check(&new, error);
    if (r == 0)
        r = diff_unified(&(struct diff_text){ old.data, old.length,
                                              change_is_new(change) ? "/dev/null" : change->path },
                         &(struct diff_text){ new.data, new.length, change->path }, DIFF_CONTEXT,
                         &text, error);
    if (r == 0)
        output_lines(&text);
    return r;
}

static int show_json(const struct addition *addition, const struct buffer *findings, bool is_done,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(16u * JSON_SIZE_MAX);

    json_write_format(&json, "{\"file\":%s,\"backend\":%s,", addition->change.path, addition->name);
    buffer_printf(&json, "\"rule\":%s,\"findings\":[%s],\"done\":%s}\n", addition->rule.data,
                  findings->data ? findings->data : "", is_done ? "true" : "false");
    return output_buffer(&json, error);
}

static int publish(struct addition *addition, const struct config_source *source,
                   struct pullkey_error *error)
{
    const struct change *change = &addition->change;
    const struct config_draft draft = { change->path, change->new.data, change->new.length };
    const bool is_json = addition->call->values[ADMIN_JSON] != NULL;
    cleanup_buffer struct buffer findings = BUFFER_INIT(8u * JSON_SIZE_MAX);
    cleanup_config struct config config = { 0 };
    bool agreed = false;
    int r = config_load_draft(source, &draft, &config, error), shown = 0;

    if (r == 0 && !is_json)
        r = show(change, error);
    if (r == 0)
        r = admin_check_config(addition->call, &config, change->path, &findings, error);
    if (r == ADMIN_PROBLEM)
        output_note("Nothing was changed");
    if (r == 0)
        r = prompt_agree(addition->call, "Write it? [y/N] ", &agreed, error);
    if (r == 0 && agreed)
        r = change_write(change, error);
    if (is_json && (r == 0 || r == ADMIN_PROBLEM))
        shown = show_json(addition, &findings, agreed, error);
    else if (r == 0 && agreed)
        output_line("Added to %s", change->path);
    return shown < 0 ? shown : r;
}

int admin_config_add(const struct admin_call *call, struct pullkey_error *error)
{
    const bool system = call->values[ADMIN_SYSTEM] != NULL;
    cleanup_addition struct addition addition = {
        .call = call,
        .backend = BUFFER_INIT(CONFIG_FILE_MAX),
        .rule = BUFFER_INIT(CONFIG_FILE_MAX),
        .change = CHANGE_INIT(system ? 0644 : 0600),
    };
    cleanup_lock struct lock lock = LOCK_INIT;
    cleanup_config struct config config = { 0 };
    struct config_source source;
    char path[FILE_PATH_MAX];
    int r = check_call(&addition, error);

    if (r == 0)
        r = config_source_default(system, &source, error);
    if (r == 0)
        r = config_load(&source, &config, error);
    if (r == 0)
        r = check_name(&addition, &config, error);
    if (r == 0)
        r = find_file(&addition, &source, path, error);
    if (r == 0)
        r = change_lock(system, "setup.lock", &lock, error);
    if (r == 0)
        r = change_open(path, &addition.change, error);
    if (r == 0)
        r = write_text(&addition, error);
    return r < 0 ? r : publish(&addition, &source, error);
}
