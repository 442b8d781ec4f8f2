/* SPDX-License-Identifier: Apache-2.0 */
/* registries.yaml, turned into JSON by the module "yaml". */
#include "node.h"

#include "base/error.h"
#include "base/secret.h"
#include "core/convert.h"

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
        r = convert_yaml(yaml->path, yaml->text, yaml->length, &yaml->json, &yaml->places,
                         &yaml->place_count, &yaml->problem);
    }
    if (r == 0)
        yaml->problem = (struct pullkey_error){ 0 };
    return r == -PULLKEY_INTERNAL ? error_memory(error) : 0;
}

const struct pullkey_place *node_place(const struct node_yaml *yaml, const cJSON *item)
{
    return convert_place(&yaml->json, yaml->places, yaml->place_count, item);
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
