/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a CredentialProviderConfig, and the values in it. */
#include "kubelet.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/convert.h"

/* As k8s.io/apimachinery tells them apart. */
static bool is_json(const char *text)
{
    return text[strspn(text, " \t\r\n\v\f")] == '{';
}

int kubelet_file_parse(const char *path, const char *text, size_t length, struct kubelet_file *ret,
                       struct pullkey_error *error)
{
    *ret =
        (struct kubelet_file){ .path = secret_copy(path, strlen(path)), .is_yaml = !is_json(text) };
    if (!ret->path)
        return error_memory(error);
    if (!ret->is_yaml)
        return json_parse(&ret->json, path, text, length, 0, error);
    ret->text = secret_copy(text, length);
    return ret->text ? convert_yaml(path, ret->text, length, &ret->json, &ret->places,
                                    &ret->place_count, error)
                     : error_memory(error);
}

int kubelet_file_read(const char *path, struct kubelet_file *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = file_read(path, FILE_GIVEN, 0, &text, NULL, error);

    *ret = (struct kubelet_file){ 0 };
    return r < 0 ? r
                 : kubelet_file_parse(path, text.data ? text.data : "", text.length, ret, error);
}

void kubelet_file_done(struct kubelet_file *file)
{
    json_done(&file->json);
    secret_release(file->places);
    secret_release(file->text);
    secret_release(file->path);
    *file = (struct kubelet_file){ 0 };
}

/* Without quotes, and not of the kinds that have lines of their own. */
static enum kubelet_scalar plain_scalar(const struct kubelet_file *file, const cJSON *item)
{
    const struct pullkey_place *place =
        convert_place(&file->json, file->places, file->place_count, item);

    if (!place || strchr("'\"|>", file->text[place->begin]))
        return KUBELET_STRING;
    return kubelet_scalar(item->valuestring);
}

enum kubelet_type kubelet_type(const struct kubelet_file *file, const cJSON *item)
{
    if (!item || cJSON_IsNull(item))
        return KUBELET_TYPE_NULL;
    if (cJSON_IsBool(item))
        return KUBELET_TYPE_BOOL;
    if (cJSON_IsArray(item))
        return KUBELET_TYPE_LIST;
    if (cJSON_IsObject(item))
        return KUBELET_TYPE_OBJECT;
    if (!cJSON_IsString(item))
        return KUBELET_TYPE_NUMBER;
    switch (file->is_yaml ? plain_scalar(file, item) : KUBELET_STRING) {
    case KUBELET_TRUE:
    case KUBELET_FALSE: return KUBELET_TYPE_BOOL;
    case KUBELET_NUMBER: return KUBELET_TYPE_NUMBER;
    case KUBELET_NULL: return KUBELET_TYPE_NULL;
    case KUBELET_STRING: break;
    }
    return KUBELET_TYPE_STRING;
}

const cJSON *kubelet_member(const struct kubelet_file *file, const cJSON *object, const char *key,
                            enum kubelet_type type)
{
    const cJSON *item = object ? json_member(object, key) : NULL;

    return kubelet_type(file, item) == type ? item : NULL;
}

const char *kubelet_string(const struct kubelet_file *file, const cJSON *object, const char *key)
{
    const cJSON *item = kubelet_member(file, object, key, KUBELET_TYPE_STRING);

    return item && item->valuestring[0] != '\0' ? item->valuestring : NULL;
}

bool kubelet_is_true(const struct kubelet_file *file, const cJSON *object, const char *key)
{
    const cJSON *item = kubelet_member(file, object, key, KUBELET_TYPE_BOOL);

    return item && (cJSON_IsTrue(item) ||
                    (cJSON_IsString(item) && kubelet_scalar(item->valuestring) == KUBELET_TRUE));
}
