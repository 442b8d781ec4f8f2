/* SPDX-License-Identifier: Apache-2.0 */
/* registries.yaml, turned into JSON by the module "yaml". */
#include "node.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/module.h"

static int read_yaml(struct node_yaml *yaml, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret json = { 0 };
    const struct pullkey_reader *reader;
    int r = module_find_reader("yaml", &reader, error);

    if (r < 0)
        return error_wrap(error, "%s", yaml->path);
    r = reader->read(&module_host, yaml->path, yaml->text, yaml->length, &json, &yaml->places,
                     &yaml->place_count, error);
    return r < 0 ? r : json_parse(&yaml->json, yaml->path, json.bytes, json.length, 0, error);
}

int node_yaml_read(const struct node *node, struct node_yaml *yaml, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = node_read(node, yaml->inner, &text, &yaml->problem);

    if (r == 0) {
        yaml->length = text.length;
        yaml->text = text.data ? text.data : secret_copy("", 0);
        if (!yaml->text)
            return error_memory(error);
        text = (struct buffer){ 0 };
        r = read_yaml(yaml, &yaml->problem);
    }
    if (r == 0)
        yaml->problem = (struct pullkey_error){ 0 };
    return r == -PULLKEY_INTERNAL ? error_memory(error) : 0;
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

const struct pullkey_place *node_place(const struct node_yaml *yaml, const cJSON *item)
{
    size_t number = 0;

    if (!yaml->json.root || !find_item(yaml->json.root, item, &number) ||
        number >= yaml->place_count)
        return NULL;
    return &yaml->places[number];
}

void node_yaml_done(struct node_yaml *yaml)
{
    json_done(&yaml->json);
    secret_release(yaml->places);
    secret_release(yaml->text);
    secret_release(yaml->inner);
    secret_release(yaml->path);
    *yaml = (struct node_yaml){ 0 };
}
