/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubernetes/secret: the first byte chooses a type, the rest is what a secret of it holds; after a
 * '{' it is the object of the API itself. What is found keeps the contract, keys serve only what
 * they name, and what is written back says the same.
 */
#include <string.h>

#include "auths/auths.h"
#include "base/text.h"
#include "fuzz-host.h"
#include "kubernetes/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_object(const uint8_t *data, size_t size, struct buffer *ret)
{
    static const struct {
        const char *type, *key;
    } types[] = {
        { "kubernetes.io/dockerconfigjson", ".dockerconfigjson" },
        { "kubernetes.io/dockercfg", ".dockercfg" },
        { "kubernetes.io/basic-auth", "password" },
        { "Opaque", ".dockerconfigjson" },
    };
    size_t i = data[0] % (sizeof(types) / sizeof(types[0]));

    if (data[0] == '{') {
        buffer_append(ret, (const char *)data, size);
        return;
    }
    buffer_printf(ret,
                  "{\"metadata\":{\"name\":\"n\",\"namespace\":\"ns\"},\"type\":\"%s\","
                  "\"data\":{\"%s\":\"",
                  types[i].type, types[i].key);
    text_base64_encode(ret, (const char *)data + 1, size - 1);
    buffer_append_text(ret, "\"}}");
}

/* What a request gets: its rank, and the credential if it can be read. */
static int ask(struct secret *secret, const char *server, struct pullkey_credential *ret)
{
    struct registry_reference reference;
    struct registry_request request;
    struct pullkey_error error = { 0 };
    const cJSON *entry;
    int rank;

    require(registry_parse(server, strlen(server), &reference, &error) == 0);
    registry_request(&reference, 0, &request);
    rank = secret_rank(&host, secret, &request.request, &entry);
    require((rank > 0 && secret->type != SECRET_BASIC_AUTH) == (entry != NULL));
    if (rank == 0 || secret->type == SECRET_BASIC_AUTH)
        return rank;
    /* The labels of the host are as many as the key's. */
    if (strchr(entry->string, '*')) {
        const char *begin = entry->string;
        size_t dots = 0;

        begin += strncmp(begin, "https://", 8) == 0 ? 8 : 0;
        for (const char *c = begin; *c != '\0' && *c != '/' && *c != ':'; c++)
            dots += *c == '.';
        require(dots == 2);
    }
    if (secret_get(&host, secret, entry, ret, &error) < 0) {
        require(error.code == PULLKEY_INVALID && !strchr(error.message, '\n'));
        return rank;
    }
    require(auths_check(ret, &error) == 0);
    require(ret->secret.bytes[ret->secret.length] == '\0');
    return rank;
}

static bool same(const struct pullkey_credential *a, const struct pullkey_credential *b)
{
    if (!a->username || !b->username)
        return a->username == b->username;
    return strcmp(a->username, b->username) == 0 && secret_equal(&a->secret, &b->secret) &&
           a->kind == b->kind;
}

static void write_and_read_again(struct json *object, struct secret *secret)
{
    static const char *const servers[] = { "registry.example.com", "registry.example.com/team/app",
                                           "registry.example.com:5000" };
    struct pullkey_error error = { 0 };
    struct secret again;

    if (secret->document.root)
        require(json_keep_numbers(&secret->document, &error) == 0);
    if (secret_write(secret, object->root, &error) < 0)
        return;
    require(secret_read(&host, object->root, &again, &error) == 0);
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        cleanup_credential struct pullkey_credential before = { 0 }, after = { 0 };

        require(ask(secret, servers[i], &before) == ask(&again, servers[i], &after));
        require(same(&before, &after));
    }
    secret_close(&host, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_json struct json object = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    struct pullkey_error error = { 0 };
    struct secret secret;

    json_start();
    if (size == 0)
        return 0;
    make_object(data, size, &text);
    if (buffer_check(&text, &error) < 0 ||
        json_parse(&object, "input", text.data, text.length, 0, &error) < 0)
        return 0;
    if (secret_read(&host, object.root, &secret, &error) < 0) {
        require(error.code == PULLKEY_INVALID && !strchr(error.message, '\n'));
        require(!secret.document.root && !secret.credential.username);
        return 0;
    }
    if (secret.type == SECRET_BASIC_AUTH)
        require(auths_check(&secret.credential, &error) == 0);
    if (secret.type != SECRET_OTHER)
        write_and_read_again(&object, &secret);
    if (secret_list(&host, &secret, &list, &error) < 0)
        require(error.code == PULLKEY_INVALID);
    for (size_t i = 0; i < list.count; i++)
        require(!strchr(list.entries[i].server, '*'));
    secret_close(&host, &secret);
    return 0;
}
