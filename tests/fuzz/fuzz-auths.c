/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backends/auths: the input is a document. Whatever is in it, what is stored can be read back and
 * erased, and entries of other registries answer as before.
 */
#include <string.h>

#include "auths/auths.h"
#include "fuzz-host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_request(const char *server, struct registry_reference *reference,
                         struct registry_request *ret)
{
    struct pullkey_error error;

    require(registry_parse(server, strlen(server), reference, &error) == 0);
    registry_request(reference, 0, ret);
}

/* The class of the error, or PULLKEY_OK with a credential that keeps the limits. */
static enum pullkey_error_class look_up(const struct json *document, const char *server,
                                        struct pullkey_credential *ret)
{
    struct registry_reference reference;
    struct registry_request request;
    struct pullkey_error error = { 0 };
    const cJSON *entry;
    cJSON *map;

    make_request(server, &reference, &request);
    if (auths_map(document, &map, &error) < 0)
        return error.code;
    entry = auths_find(&host, map, &request.request);
    if (!entry)
        return PULLKEY_NOT_FOUND;
    if (auths_read(&host, document, entry, ret, &error) < 0) {
        require(error.code == PULLKEY_INVALID && !strchr(error.message, '\n'));
        return error.code;
    }
    require(auths_check(ret, &error) == 0);
    require(ret->secret.bytes[ret->secret.length] == '\0');
    return PULLKEY_OK;
}

static void store_and_erase(struct json *document)
{
    static const char server[] = "registry.example.com", other[] = "other.example.com/team";
    cleanup_credential struct pullkey_credential before = { 0 }, after = { 0 }, read = { 0 };
    char username[] = "us:er", secret[] = "a \"secret\"";
    const struct pullkey_credential credential = { .username = username,
                                                   .secret = { secret, strlen(secret) } };
    enum pullkey_error_class code = look_up(document, other, &before);
    struct registry_reference reference;
    struct registry_request request;
    struct pullkey_error error = { 0 };
    cJSON *map;

    make_request(server, &reference, &request);
    if (auths_put(&host, document, &request.request, &credential, &error) < 0) {
        require(error.code == PULLKEY_INVALID);
        return;
    }
    require(look_up(document, server, &read) == PULLKEY_OK);
    require(strcmp(read.username, username) == 0 && strcmp(read.secret.bytes, secret) == 0);
    require(look_up(document, other, &after) == code);
    if (code == PULLKEY_OK)
        require(strcmp(before.username, after.username) == 0 &&
                secret_equal(&before.secret, &after.secret) && before.kind == after.kind);
    require(auths_map(document, &map, &error) == 0);
    require(auths_remove(&host, map, &request.request));
    require(!auths_has_alias(&host, map, &request.request));
}

/* Numbers stay as they are written, whatever cJSON makes of them. */
static void write_and_read_again(struct json *document)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(16 * JSON_SIZE_MAX);
    cleanup_json struct json again = { 0 };
    struct pullkey_error error;

    require(json_keep_numbers(document, &error) == 0);
    require(json_write_tree(&text, document->root, true, &error) == 0);
    if (text.length <= JSON_SIZE_MAX)
        require(json_parse(&again, "again", text.data, text.length, 0, &error) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const servers[] = { "registry.example.com", "docker.io",
                                           "registry.example.com:5000/team/app" };
    cleanup_json struct json document = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    struct pullkey_error error = { 0 };

    json_start();
    if (json_parse(&document, "input", (const char *)data, size, 0, &error) < 0)
        return 0;
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        cleanup_credential struct pullkey_credential found = { 0 };

        (void)look_up(&document, servers[i], &found);
    }
    if (auths_list(&host, &document, &list, &error) < 0)
        require(error.code == PULLKEY_INVALID);
    write_and_read_again(&document);
    store_and_erase(&document);
    return 0;
}
