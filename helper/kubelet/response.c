/* SPDX-License-Identifier: Apache-2.0 */
#include "response.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"

static void append_key(struct buffer *buffer, const char *bytes, size_t length)
{
    buffer_append_text(buffer, buffer->data[buffer->length - 1] == '{' ? "" : ",");
    json_write_string(buffer, bytes, length);
    buffer_append_text(buffer, ":");
}

/* The kubelet takes a first segment "v1" or "v2" off a key, though not off the image that it
 * compares with it: there must be one more. */
static void append_image_key(struct buffer *buffer, const struct request *request)
{
    const char *path = request->image + request->host_length;
    const bool has_version = strncmp(path, "/v1/", 4) == 0 || strncmp(path, "/v2/", 4) == 0;
    char key[REQUEST_IMAGE_MAX + 4], *end = mempcpy(key, request->image, request->host_length);

    if (has_version)
        end = mempcpy(end, "/v2", 3);
    end = mempcpy(end, path, request->image_length - request->host_length);
    append_key(buffer, key, (size_t)(end - key));
}

static void append_pair(struct buffer *buffer, const struct pullkey_credential *credential)
{
    buffer_append_text(buffer, "{\"username\":");
    json_write_string(buffer, credential->username, strlen(credential->username));
    buffer_append_text(buffer, ",\"password\":");
    json_write_string(buffer, credential->secret.bytes, credential->secret.length);
    buffer_append_text(buffer, "}");
}

/* What '*' can stand for in a host; the kubelet takes the brackets off an address with a port. */
static size_t label_length(const char *host)
{
    return host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ".:/");
}

/*
 * A key that matches the registry and comes after the credential's: the kubelet tries longer keys
 * first, and of others '*' last, as it sorts before letters and digits. Its parts of a host are as
 * many as the image's.
 */
static void append_anonymous(struct buffer *buffer, const struct request *request,
                             bool is_registry_wide)
{
    char key[REQUEST_IMAGE_MAX + 1];
    const char *host = request->image;
    const size_t first = is_registry_wide ? label_length(host) : 0;
    const size_t length = request->host_length - first;

    if (is_registry_wide)
        key[0] = '*';
    memcpy(key + is_registry_wide, host + first, length);
    append_key(buffer, key, length + is_registry_wide);
    buffer_append_text(buffer, "{\"username\":\"\",\"password\":\"\"}");
}

static int check(const struct pullkey_credential *credential, struct pullkey_error *error)
{
    if (credential->kind == PULLKEY_IDENTITY_TOKEN)
        return error_set(error, PULLKEY_INVALID,
                         "the credential is an identity token, which the kubelet cannot use: "
                         "store a user name and a password");
    if (!text_is_utf8(credential->username, strlen(credential->username)) ||
        !text_is_utf8(credential->secret.bytes, credential->secret.length))
        return error_set(error, PULLKEY_INVALID,
                         "the credential is not UTF-8, which this protocol cannot carry");
    return 0;
}

int response_write(const struct request *request, const struct response *response,
                   struct buffer *ret, struct pullkey_error *error)
{
    const struct pullkey_credential *credential = response->credential;
    const bool wide = credential && response->is_registry_wide;
    int r = credential ? check(credential, error) : 0;

    if (r < 0)
        return r;
    buffer_printf(ret,
                  "{\"apiVersion\":\"%s\",\"kind\":\"CredentialProviderResponse\","
                  "\"cacheKeyType\":\"%s\",\"cacheDuration\":\"%jds\",\"auth\":{",
                  request->api_version, wide ? "Registry" : "Image",
                  (intmax_t)response->cache_seconds);
    if (buffer_check(ret, error) < 0)
        return -(int)error->code;
    if (credential) {
        if (wide)
            append_key(ret, request->image, request->host_length);
        else
            append_image_key(ret, request);
        append_pair(ret, credential);
        if (response->anonymous_last)
            append_anonymous(ret, request, wide);
    }
    buffer_append_text(ret, "}}\n");
    return buffer_check(ret, error);
}
