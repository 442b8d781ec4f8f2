/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define GROUP "credentialprovider.kubelet.k8s.io/"
#define KIND "CredentialProviderRequest"

static int find_text(const struct json *json, const char *key, const char **ret,
                     struct pullkey_error *error)
{
    const cJSON *item = json_member(json->root, key);

    *ret = NULL;
    if (!item || cJSON_IsNull(item))
        return 0;
    if (!cJSON_IsString(item))
        return json_error(json, item, error, "must be a string");
    if (item->valuestring[0] != '\0')
        *ret = item->valuestring;
    return 0;
}

/* Another kind is another protocol, and an unknown version may mean anything. */
static int check_head(const struct json *json, struct request *ret, struct pullkey_error *error)
{
    static const char *const versions[] = { GROUP "v1", GROUP "v1beta1", GROUP "v1alpha1" };
    const char *kind, *version;
    int r = find_text(json, "kind", &kind, error);

    if (r == 0)
        r = find_text(json, "apiVersion", &version, error);
    if (r < 0)
        return r;
    if (!kind || strcmp(kind, KIND) != 0)
        return error_set(error, PULLKEY_INVALID,
                         "the request is no " KIND ": this program is for the kubelet's "
                         "--image-credential-provider-config; container tools run "
                         "docker-credential-pullkey");
    for (size_t i = 0; version && i < sizeof(versions) / sizeof(versions[0]); i++)
        if (strcmp(version, versions[i]) == 0)
            ret->api_version = versions[i];
    if (!ret->api_version)
        return error_set(error, PULLKEY_INVALID,
                         "the request has apiVersion \"%.64s\": this pullkey knows " GROUP
                         "v1, v1beta1 and v1alpha1",
                         version ? version : "");
    return 0;
}

/* Up to a digest, or to a tag, which begins behind the last '/'. */
static size_t length_without_tag(const char *image)
{
    const char *last = strrchr(image, '/');

    return (size_t)(last - image) + strcspn(last, ":@");
}

/* Of the characters that an image's name may have; in a key that the kubelet compares images with,
 * others could mean something. */
static bool is_repository(const char *text, size_t length)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";

    return length > 0 && text[0] != '/' && text[length - 1] != '/' &&
           strspn(text, characters) >= length;
}

/* A repository may begin with a segment v1 or v2, which a registry reference skips once. */
static int parse_image(struct request *ret, struct pullkey_error *error)
{
    const char *image = ret->image, *path = image ? strchr(image, '/') : NULL;
    char text[REQUEST_IMAGE_MAX + 8];
    int length, r;

    if (path && path != image && path[-1] != ':' && strlen(image) <= REQUEST_IMAGE_MAX) {
        ret->host_length = (size_t)(path - image);
        ret->image_length = length_without_tag(image);
    }
    if (ret->host_length == 0 || !is_repository(path + 1, ret->image_length - ret->host_length - 1))
        return error_set(error, PULLKEY_INVALID,
                         "the request names no image as host/repository, of at most %d bytes",
                         REQUEST_IMAGE_MAX);
    length =
        snprintf(text, sizeof(text), "%.*s%s%.*s", (int)ret->host_length, image,
                 path[1] == 'v' ? "/v2" : "", (int)(ret->image_length - ret->host_length), path);
    r = registry_parse(text, (size_t)length, &ret->reference, error);
    /* A registry reference has no blanks around it, and an image none to take off. */
    if (r == 0 && strlen(ret->reference.text) != (size_t)length)
        r = error_set(error, PULLKEY_INVALID, "there are blanks before it");
    return r < 0 ? error_wrap(error, "the image of the request") : 0;
}

static int find_token(const struct json *json, char **ret, struct pullkey_error *error)
{
    const cJSON *item = json_member(json->root, "serviceAccountToken");
    const char *text;
    int r = find_text(json, "serviceAccountToken", &text, error);

    *ret = r == 0 && text ? item->valuestring : NULL;
    return r;
}

static int check_annotations(const struct json *json, struct request *ret,
                             struct pullkey_error *error)
{
    const cJSON *annotations = json_member(json->root, "serviceAccountAnnotations");

    if (!annotations || cJSON_IsNull(annotations))
        return 0;
    if (!cJSON_IsObject(annotations))
        return error_set(error, PULLKEY_INVALID,
                         "serviceAccountAnnotations of the request is no object");
    for (const cJSON *item = annotations->child; item; item = item->next)
        if (!cJSON_IsString(item))
            return error_set(error, PULLKEY_INVALID,
                             "serviceAccountAnnotations of the request must hold strings");
    ret->annotations = annotations;
    return 0;
}

int request_parse(const char *text, size_t length, struct request *ret, struct pullkey_error *error)
{
    struct request request = { .json = { 0 } };
    int r = json_parse(&request.json, "request", text, length, 0, error);

    if (r == 0 && !cJSON_IsObject(request.json.root))
        r = error_set(error, PULLKEY_INVALID, "the request is no JSON object");
    if (r == 0)
        r = check_head(&request.json, &request, error);
    if (r == 0)
        r = find_text(&request.json, "image", &request.image, error);
    if (r == 0)
        r = parse_image(&request, error);
    if (r == 0)
        r = find_token(&request.json, &request.token, error);
    if (r == 0)
        r = check_annotations(&request.json, &request, error);
    if (r < 0) {
        request_done(&request);
        return r;
    }
    *ret = request;
    return 0;
}

void request_done(struct request *request)
{
    json_done(&request->json);
    *request = (struct request){ .json = { 0 } };
}
