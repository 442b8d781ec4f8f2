/* SPDX-License-Identifier: Apache-2.0 */
#include "convert.h"

#include "base/error.h"
#include "base/secret.h"
#include "module.h"

int convert_yaml(const char *name, const char *text, size_t length, struct json *ret,
                 struct pullkey_place **ret_places, size_t *ret_count, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret json = { 0 };
    const struct pullkey_reader *reader;
    int r = module_find_reader("yaml", &reader, error);

    if (r < 0)
        return error_wrap(error, "%s", name);
    r = reader->read(&module_host, name, text, length, &json, ret_places, ret_count, error);
    return r < 0 ? r : json_parse(ret, name, json.bytes, json.length, 0, error);
}

/* Counts the values in front of one, as the reader and the scanner of JSON do. */
static bool find_item(const cJSON *at, const cJSON *item, size_t *number)
{
    if (at == item)
        return true;
    for (const cJSON *child = at->child; child; child = child->next) {
        ++*number;
        if (find_item(child, item, number))
            return true;
    }
    return false;
}

const struct pullkey_place *convert_place(const struct json *json,
                                          const struct pullkey_place *places, size_t count,
                                          const cJSON *item)
{
    size_t number = 0;

    if (!json->root || !find_item(json->root, item, &number) || number >= count)
        return NULL;
    return &places[number];
}
