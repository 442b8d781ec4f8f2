/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include <string.h>

#include "base/error.h"
#include "core/config-parts.h"

#define WHOLE_NUMBER_MAX 999999999999999.0 /* cJSON writes 15 digits exactly */

static const struct pullkey_option *find_option(const struct pullkey_module *module,
                                                const char *name)
{
    for (const struct pullkey_option *option = module->options; option && option->name; option++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

static int refuse_option(const struct config_instance *instance,
                         const struct pullkey_module *module, const cJSON *item,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer known = BUFFER_INIT(PULLKEY_ERROR_SIZE);

    for (const struct pullkey_option *option = module->options; option && option->name; option++)
        buffer_printf(&known, "%s%s", known.length > 0 ? ", " : "", option->name);
    if (buffer_check(&known, error) < 0)
        return -(int)error->code;
    if (known.length == 0)
        return json_error(instance->document, item, error, "%s takes no options", module->type);
    return json_error(instance->document, item, error, "%s has no such option: it has %s",
                      module->type, known.data);
}

static bool is_filled_string(const cJSON *item)
{
    return cJSON_IsString(item) && item->valuestring[0] != '\0';
}

static bool is_list_of_strings(const cJSON *item)
{
    if (!cJSON_IsArray(item))
        return false;
    for (const cJSON *each = item->child; each; each = each->next)
        if (!is_filled_string(each))
            return false;
    return true;
}

static bool is_whole_number(const cJSON *item)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 &&
           item->valuedouble <= WHOLE_NUMBER_MAX &&
           item->valuedouble == (double)(uint64_t)item->valuedouble;
}

static bool has_type(const cJSON *item, enum pullkey_option_type type, const char **ret_expected)
{
    switch (type) {
    case PULLKEY_OPTION_STRING:
        *ret_expected = "a string that is not empty";
        return is_filled_string(item);
    case PULLKEY_OPTION_BOOL: *ret_expected = "true or false"; return cJSON_IsBool(item);
    case PULLKEY_OPTION_NUMBER: *ret_expected = "a whole number"; return is_whole_number(item);
    case PULLKEY_OPTION_STRINGS:
        *ret_expected = "a list of strings that are not empty";
        return is_list_of_strings(item);
    case PULLKEY_OPTION_OBJECT: *ret_expected = "an object"; return cJSON_IsObject(item);
    default: *ret_expected = "an option of a kind that this pullkey knows"; return false;
    }
}

static int write_option(const struct config_instance *instance, const struct pullkey_module *module,
                        const cJSON *item, struct buffer *buffer, struct pullkey_error *error)
{
    const struct pullkey_option *option = module ? find_option(module, item->string) : NULL;
    const char *expected;

    if (module && !option)
        return refuse_option(instance, module, item, error);
    if (module && !has_type(item, option->type, &expected))
        return json_error(instance->document, item, error, "expected %s", expected);
    json_write_string(buffer, item->string, strlen(item->string));
    buffer_append_text(buffer, ":");
    return json_write_tree(buffer, item, false, error);
}

static int check_required(const struct config_instance *instance,
                          const struct pullkey_module *module, struct pullkey_error *error)
{
    for (const struct pullkey_option *option = module->options; option && option->name; option++) {
        if (!option->required || json_member(instance->options, option->name))
            continue;
        if (instance->options)
            return json_error(instance->document, instance->options, error,
                              "%s needs the option \"%s\"", module->type, option->name);
        return error_set(error, PULLKEY_INVALID,
                         "%s needs the option \"%s\": declare it under \"backends\"",
                         instance->name, option->name);
    }
    return 0;
}

int config_instance_options(const struct config_instance *instance,
                            const struct pullkey_module *module, struct buffer *ret,
                            struct pullkey_error *error)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(CONFIG_FILE_MAX);
    const cJSON *item = instance->options ? instance->options->child : NULL;
    int r = module ? check_required(instance, module, error) : 0;

    if (r < 0)
        return r;
    buffer_append_text(&buffer, "{");
    for (; item; item = item->next) {
        if (config_is_instance_key(item->string))
            continue;
        if (buffer.length > 1)
            buffer_append_text(&buffer, ",");
        r = write_option(instance, module, item, &buffer, error);
        if (r < 0)
            return r;
    }
    buffer_append_text(&buffer, "}");
    r = buffer_check(&buffer, error);
    if (r < 0)
        return r;
    buffer_append(ret, buffer.data, buffer.length);
    return buffer_check(ret, error);
}
