/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper/docker: the first byte of the input chooses get, store or erase, the rest is standard
 * input. It is served twice: where nothing can be asked every request ends in an error of one line;
 * with a backend that keeps entries in memory an answer is one JSON object on one line, and what
 * was stored comes back as it was given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "core/credential.h"
#include "docker/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 8

struct entry {
    char *server;
    struct pullkey_credential credential;
};

static struct entry entries[ENTRIES_MAX];
static size_t entry_count;
static const struct pullkey_host *memory_host;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void remove_entry(size_t at)
{
    secret_release(entries[at].server);
    credential_done(&entries[at].credential);
    entries[at] = entries[--entry_count];
    entries[entry_count] = (struct entry){ 0 };
}

static void put(const char *server, const struct pullkey_credential *credential)
{
    struct entry *entry = &entries[entry_count++];
    struct pullkey_error error;

    require(entry_count <= ENTRIES_MAX);
    entry->server = secret_copy(server, strlen(server));
    entry->credential.username = secret_copy(credential->username, strlen(credential->username));
    entry->credential.kind = credential->kind;
    require(entry->server && entry->credential.username);
    require(secret_set(&entry->credential.secret, credential->secret.bytes,
                       credential->secret.length, &error) == 0);
}

static const struct entry *find(const struct pullkey_request *request)
{
    const struct entry *best = NULL;
    int best_match = 0;

    for (size_t i = 0; i < entry_count; i++) {
        int match = memory_host->match(request, entries[i].server, true);

        if (match > best_match) {
            best = &entries[i];
            best_match = match;
        }
    }
    return best;
}

static bool remove_aliases(const struct pullkey_request *request)
{
    size_t before = entry_count;

    for (size_t i = entry_count; i-- > 0;)
        if (memory_host->match(request, entries[i].server, false) > 0)
            remove_entry(i);
    return entry_count < before;
}

static int memory_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                       void **ret, struct pullkey_error *error)
{
    (void)instance;
    (void)error;
    memory_host = host;
    *ret = entries;
    return 0;
}

static int memory_get(void *state, const struct pullkey_request *request,
                      struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct entry *entry = find(request);

    (void)state;
    if (!entry)
        return error_set(error, PULLKEY_NOT_FOUND, "there is none");
    ret->username = secret_copy(entry->credential.username, strlen(entry->credential.username));
    ret->kind = entry->credential.kind;
    require(ret->username != NULL);
    return secret_set(&ret->secret, entry->credential.secret.bytes,
                      entry->credential.secret.length, error);
}

static int memory_store(void *state, const struct pullkey_request *request,
                        const struct pullkey_credential *credential, struct pullkey_error *error)
{
    (void)state;
    (void)error;
    (void)remove_aliases(request);
    put(request->text, credential);
    return 0;
}

static int memory_erase(void *state, const struct pullkey_request *request,
                        struct pullkey_error *error)
{
    (void)state;
    return remove_aliases(request) ? 0 : error_set(error, PULLKEY_NOT_FOUND, "there is none");
}

static int memory_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                       struct pullkey_error *error)
{
    int r = 0;

    (void)state;
    (void)deadline_ms;
    for (size_t i = 0; r == 0 && i < entry_count; i++)
        r = memory_host->list_add(ret, entries[i].server, entries[i].credential.username, error);
    return r;
}

static void memory_close(void *state)
{
    (void)state;
}

static const struct pullkey_backend memory = {
    .module = { PULLKEY_ABI_MAJOR, PULLKEY_ABI_MINOR, sizeof(memory), PULLKEY_KIND_BACKEND,
                "memory", PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST, NULL, NULL },
    .open = memory_open,
    .get = memory_get,
    .store = memory_store,
    .erase = memory_erase,
    .list = memory_list,
    .close = memory_close,
};

extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = { &memory.module, NULL };

static void use(const char *type)
{
    char text[128];

    (void)snprintf(text, sizeof(text),
                   "{\"version\":1,\"backends\":{\"x\":{\"type\":\"%s\"}},\"default\":[\"x\"]}", type);
    require(setenv("PULLKEY_CONFIG_JSON", text, 1) == 0);
}

static void set_entries(void)
{
    static const char *const servers[] = { "registry.example.com", "docker.io",
                                           "paths.example.com/team", "http://h:5000" };
    char username[] = "J\xc3\xbcrgen \"<>&\"", secret[] = "s\"\\\n\xe2\x80\xa8\x01";
    const struct pullkey_credential credential = { .username = username,
                                                   .secret = { secret, sizeof(secret) - 1 } };

    while (entry_count > 0)
        remove_entry(entry_count - 1);
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        put(servers[i], &credential);
}

/* The result of one request, which is 0 with an answer or an error of one line. */
static int serve(enum protocol_verb verb, const char *bytes, size_t length, struct buffer *output)
{
    cleanup_buffer struct buffer input = BUFFER_INIT(PROTOCOL_INPUT_MAX);
    struct pullkey_error error = { 0 };
    int r;

    buffer_append(&input, bytes, length);
    r = protocol_serve(verb, &input, INT64_MAX, output, &error);
    if (r == 0)
        return 0;
    require(output->length == 0 && error.code != PULLKEY_OK && r == -(int)error.code);
    require(error.message[0] != '\0' && !strpbrk(error.message, "\r\n"));
    return r;
}

/* Reads an answer back: one JSON object on one line. */
static void parse(const struct buffer *output, struct json *ret)
{
    struct pullkey_error error;

    require(output->length > 1 && output->data[output->length - 1] == '\n');
    require(memchr(output->data, '\n', output->length) == output->data + output->length - 1);
    require(json_parse(ret, "answer", output->data, output->length, 0, &error) == 0);
    require(cJSON_IsObject(ret->root));
}

static const char *member(const struct json *json, const char *key)
{
    const cJSON *item = json_member(json->root, key);

    require(cJSON_IsString(item));
    return item->valuestring;
}

static void check_answer(const struct buffer *output, const struct entry *entry)
{
    cleanup_json struct json json = { 0 };

    parse(output, &json);
    require(cJSON_GetArraySize(json.root) == 3);
    require(member(&json, "ServerURL")[0] != '\0');
    require(strcmp(member(&json, "Username"), entry->credential.username) == 0);
    require(strcmp(member(&json, "Secret"), entry->credential.secret.bytes) == 0);
}

/* Every entry is listed under its key, and found by it. */
static void check_list(void)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(PROTOCOL_OUTPUT_MAX);
    cleanup_json struct json json = { 0 };

    require(serve(PROTOCOL_LIST, "", 0, &output) == 0);
    parse(&output, &json);
    require(cJSON_GetArraySize(json.root) == (int)entry_count);
    for (size_t i = 0; i < entry_count; i++) {
        cleanup_buffer struct buffer answer = BUFFER_INIT(PROTOCOL_OUTPUT_MAX);
        const struct entry *entry = &entries[i];

        require(strcmp(member(&json, entry->server), entry->credential.username) == 0);
        require(serve(PROTOCOL_GET, entry->server, strlen(entry->server), &answer) == 0);
        check_answer(&answer, entry);
    }
}

/* The text of a member of the input, read without what is tested here. */
static const char *given(const struct json *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(json->root, key); /* in any case */

    require(cJSON_IsString(item));
    return item->valuestring;
}

/* What a store took is what the input has, and nothing else went but its aliases. */
static void check_stored(const char *bytes, size_t length)
{
    const struct entry *last = &entries[entry_count - 1];
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;

    require(entry_count > 0);
    require(json_parse(&json, "input", bytes, length, JSON_ANY_CASE, &error) == 0);
    require(strstr(given(&json, "ServerURL"), last->server) != NULL);
    require(strcmp(given(&json, "Username"), last->credential.username) == 0);
    require(strcmp(given(&json, "Secret"), last->credential.secret.bytes) == 0);
    require((last->credential.kind == PULLKEY_IDENTITY_TOKEN) ==
            (strcmp(last->credential.username, "<token>") == 0));
}

static void serve_from_memory(enum protocol_verb verb, const char *bytes, size_t length)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(PROTOCOL_OUTPUT_MAX);
    size_t before;
    int r;

    set_entries();
    before = entry_count;
    r = serve(verb, bytes, length, &output);
    if (r == 0 && verb == PROTOCOL_GET) {
        check_answer(&output, &entries[0]); /* all have the same */
        require(entry_count == before);
    } else if (r == 0) {
        require(output.length == 0);
    } else {
        require(entry_count == before);
    }
    if (r == 0 && verb == PROTOCOL_STORE)
        check_stored(bytes, length);
    if (r == 0 && verb == PROTOCOL_ERASE) {
        before = entry_count;
        require(serve(verb, bytes, length, &output) == 0 && entry_count == before);
    }
    check_list();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum protocol_verb verbs[] = { PROTOCOL_GET, PROTOCOL_STORE, PROTOCOL_ERASE };
    cleanup_buffer struct buffer output = BUFFER_INIT(PROTOCOL_OUTPUT_MAX);
    enum protocol_verb verb;

    if (size == 0 || size > PROTOCOL_INPUT_MAX)
        return 0;
    json_start();
    verb = verbs[data[0] % 3];
    use("none");
    require(serve(verb, (const char *)data + 1, size - 1, &output) < 0);
    use("memory");
    serve_from_memory(verb, (const char *)data + 1, size - 1);
    return 0;
}
