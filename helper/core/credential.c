/* SPDX-License-Identifier: Apache-2.0 */
#include "credential.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"

void credential_done(struct pullkey_credential *credential)
{
    secret_release(credential->username);
    secret_done(&credential->secret);
    *credential = (struct pullkey_credential){ 0 };
}

int credential_check(const struct pullkey_credential *credential, struct pullkey_error *error)
{
    if (!credential->username || !credential->secret.bytes)
        return error_set(error, PULLKEY_INTERNAL, "the backend gave an incomplete credential");
    if (strnlen(credential->username, PULLKEY_USERNAME_MAX + 1) > PULLKEY_USERNAME_MAX)
        return error_set(error, PULLKEY_INVALID, "the user name is longer than %d bytes",
                         PULLKEY_USERNAME_MAX);
    if (credential->secret.length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "the secret is longer than %d bytes",
                         PULLKEY_SECRET_MAX);
    if (memchr(credential->secret.bytes, '\0', credential->secret.length))
        return error_set(error, PULLKEY_INVALID, "the secret holds a NUL byte");
    if (credential->username[0] == '\0' || credential->secret.length == 0)
        return error_set(error, PULLKEY_INVALID, "the user name or the secret is empty");
    return 0;
}

void list_done(struct pullkey_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        secret_release(list->entries[i].server);
        secret_release(list->entries[i].username);
    }
    secret_release(list->entries);
    *list = (struct pullkey_list){ 0 };
}

int list_add(struct pullkey_list *list, const char *server, const char *username,
             struct pullkey_error *error)
{
    struct pullkey_entry entry = {
        .server = secret_copy(server, strlen(server)),
        .username = secret_copy(username, strlen(username)),
    };

    if (!entry.server || !entry.username)
        goto memory;
    /* Room grows at 8, 16, 32, ... entries, so it follows from the count. */
    if (list->count == 0 || (list->count >= 8 && (list->count & (list->count - 1)) == 0)) {
        size_t room = list->count == 0 ? 8 : 2 * list->count;
        struct pullkey_entry *grown = secret_alloc(room * sizeof(*grown));

        if (!grown)
            goto memory;
        if (list->count > 0)
            memcpy(grown, list->entries, list->count * sizeof(*grown));
        secret_release(list->entries);
        list->entries = grown;
    }
    list->entries[list->count++] = entry;
    return 0;

memory:
    secret_release(entry.server);
    secret_release(entry.username);
    return error_memory(error);
}
