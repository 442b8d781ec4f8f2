/* SPDX-License-Identifier: Apache-2.0 */
#include "grant.h"

#include <string.h>

#include "base/jwt.h"

static bool is_text(const cJSON *object, const char *key, const char *text)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

static int read_actions(const cJSON *actions)
{
    static const char *const names[] = { "pull", "push", "delete" };
    const cJSON *item;
    int bits = 0;

    cJSON_ArrayForEach(item, actions) {
        if (!cJSON_IsString(item))
            continue;
        for (int i = 0; i < 3; i++)
            if (strcmp(item->valuestring, names[i]) == 0 || strcmp(item->valuestring, "*") == 0)
                bits |= 1 << i;
    }
    return bits;
}

int grant_read(const struct pullkey_secret *token, const char *repository)
{
    cleanup_json struct json claims = { 0 };
    struct pullkey_error ignored;
    const cJSON *access = NULL, *item;
    int bits = 0;

    if (jwt_claims(token, &claims, &ignored) == 0)
        access = json_member(claims.root, "access");
    /* Null is what a program in Go writes for a list of nothing. */
    if (!cJSON_IsArray(access) && !cJSON_IsNull(access))
        return GRANT_UNKNOWN;
    cJSON_ArrayForEach(item, access)
        if (is_text(item, "type", "repository") && is_text(item, "name", repository))
            bits |= read_actions(json_member(item, "actions"));
    return bits;
}
