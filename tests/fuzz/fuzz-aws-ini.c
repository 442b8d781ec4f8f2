/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/aws-ini: the input is a file of profiles. What is read lies inside the text, and everything
 * that is there is found again; what is refused leaves nothing behind, and its error is one line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token/aws-ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_entry(const struct aws_ini *ini, const struct aws_ini_entry *entry)
{
    const char *value;

    require(entry->section[0] != '\0');
    require(aws_ini_has(ini, "", entry->section));
    if (!entry->key)
        return;
    require(entry->key[0] != '\0' && !strchr(entry->key, '='));
    for (const char *c = entry->value; *c != '\0'; c++)
        require(*c != '\n');
    value = aws_ini_get(ini, "", entry->section, entry->key);
    require(!value || value[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pullkey_error error = { 0 };
    struct aws_ini ini;

    if (aws_ini_parse("config", (const char *)data, size, &ini, &error) < 0) {
        require(!ini.text && !ini.entries && error.code == PULLKEY_INVALID);
        require(error.message[0] != '\0' && strlen(error.message) < 100);
        return 0;
    }
    for (size_t i = 0; i < ini.count; i++)
        check_entry(&ini, &ini.entries[i]);
    (void)aws_ini_get(&ini, "profile", "a", "role_arn");
    (void)aws_ini_get(&ini, "sso-session", "a", "sso_region");
    aws_ini_done(&ini);
    return 0;
}
