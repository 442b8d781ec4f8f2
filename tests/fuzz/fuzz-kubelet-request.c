/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubelet/request and kubelet/response: the input is what a kubelet sends. Host and image of what
 * is taken are in the input; a refusal is one line; each answer is strict JSON whose keys begin
 * with that host, or with a star in place of its first label.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kubelet/request.h"
#include "kubelet/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_image(const char *text, size_t length, const struct request *request)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
    static const char host_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789.-:[]";
    const char *path = request->image + request->host_length;
    const size_t path_length = request->image_length - request->host_length;
    struct registry_reference again;
    struct pullkey_error error;

    require(request->host_length > 0 && path[0] == '/' && path_length > 1);
    require(strspn(request->image, host_characters) >= request->host_length);
    require(strlen(request->image) <= REQUEST_IMAGE_MAX);
    require(strspn(path, characters) >= path_length && path[path_length - 1] != '/');
    require(strchr(":@", request->image[request->image_length]));
    require(!request->reference.http && request->reference.host[0] != '\0');
    require(registry_parse(request->image, request->host_length, &again, &error) == 0);
    require(strcmp(again.host, request->reference.host) == 0 &&
            again.port == request->reference.port && again.path[0] == '\0');
    require(request->reference.opaque ||
            (strlen(request->reference.path) == path_length - 1 &&
             memcmp(request->reference.path, path + 1, path_length - 1) == 0));
    if (!memchr(text, '\\', length)) {
        require(memmem(text, length, request->image, strlen(request->image)));
        require(!request->token || memmem(text, length, request->token, strlen(request->token)));
    }
}

static void check_keys(const cJSON *auth, const struct request *request, bool wide)
{
    const cJSON *key = auth->child;

    require(key && strncmp(key->string, request->image, request->host_length) == 0);
    require(wide ? key->string[request->host_length] == '\0'
                 : strlen(key->string) >= request->image_length);
    require(!strchr(key->string, '*'));
    key = key->next;
    if (!key)
        return;
    require(!key->next && strlen(key->string) <= request->host_length);
    require(wide ? key->string[0] == '*' && !strchr(key->string + 1, '*')
                 : !strchr(key->string, '*'));
}

static void check_answers(const struct request *request)
{
    char user[] = "alice", secret[] = "s3cret";
    const struct pullkey_credential credential = {
        .username = user, .secret = { .bytes = secret, .length = strlen(secret) }
    };

    for (unsigned int i = 0; i < 8; i++) {
        const struct response response = {
            .credential = i & 4 ? NULL : &credential,
            .is_registry_wide = i & 1,
            .anonymous_last = i & 2,
            .cache_seconds = i,
        };
        cleanup_buffer struct buffer output = BUFFER_INIT(JSON_SIZE_MAX);
        cleanup_json struct json json = { 0 };
        const cJSON *auth;
        struct pullkey_error error;

        require(response_write(request, &response, &output, &error) == 0);
        require(output.data[output.length - 1] == '\n');
        require(json_parse(&json, "answer", output.data, output.length, 0, &error) == 0);
        require(cJSON_GetArraySize(json.root) == 5);
        auth = json_member(json.root, "auth");
        if (response.credential)
            check_keys(auth, request, response.is_registry_wide);
        else
            require(cJSON_IsObject(auth) && !auth->child);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_request struct request request = { .json = { 0 } };
    struct pullkey_error error = { 0 };

    json_start();
    if (request_parse((const char *)data, size, &request, &error) < 0) {
        require(error.code == PULLKEY_INVALID && error.message[0] != '\0');
        require(!strchr(error.message, '\n') && !request.json.root && !request.image);
        return 0;
    }
    check_image((const char *)data, size, &request);
    check_answers(&request);
    return 0;
}
