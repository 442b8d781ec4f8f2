/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts/helper-text, hosts/config-text, hosts/mirrors and hosts/yaml-text: the input is a TOML
 * document. As a hosts.toml all of its hosts get a helper, and then there is nothing more to do. As
 * a config.toml it loses its settings of registries. Its endpoints become a hosts.toml that is read
 * again. Its lines are places in a text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "hosts/config-text.h"
#include "hosts/helper-text.h"
#include "hosts/mirrors.h"
#include "hosts/yaml-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_LIMIT 65536
#define PLACES_MAX 8

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void want(const struct hosts_file *file, bool *wanted)
{
    for (size_t i = 0; i < file->host_count; i++)
        wanted[i] =
            file->hosts[i].name && file->hosts[i].reference &&
            (!file->hosts[i].helper || strcmp(file->hosts[i].helper, HELPER_TEXT_NAME) == 0);
}

static void change_hosts(const char *text, size_t length)
{
    cleanup_hosts_file struct hosts_file file = { 0 }, again = { 0 };
    cleanup_buffer struct buffer first = BUFFER_INIT(HELPER_TEXT_SIZE_MAX);
    cleanup_buffer struct buffer second = BUFFER_INIT(HELPER_TEXT_SIZE_MAX);
    bool wanted[HOSTS_PER_FILE_MAX] = { false };
    struct pullkey_error error;

    if (hosts_file_parse("fuzz", "r.example", text, length, NULL, &file, &error) < 0)
        return;
    want(&file, wanted);
    if (helper_text(&file, "r.example", wanted, &first, &error) < 0)
        return;
    require(hosts_file_parse("fuzz", "r.example", first.data ? first.data : "", first.length, NULL,
                             &again, &error) == 0);
    require(helper_text(&again, "r.example", wanted, &second, &error) == 0);
    require(first.length == second.length &&
            (first.length == 0 || memcmp(first.data, second.data, first.length) == 0));
}

static void change_config(const struct toml_document *toml)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(CONFIG_TEXT_SIZE_MAX);
    static const char *const names[] = { "mirrors", "configs", "auths" };
    const struct toml_item *plugins = toml_member(toml->root, "plugins"), *registry, *gone[3];
    struct config_text change = { .toml = toml, .gone = gone, .config_path = "/c", .version = 1 };
    cleanup_toml struct toml_document again = { 0 };
    struct pullkey_error error;

    registry = toml_member(toml_member(plugins, "cri"), "registry");
    for (size_t i = 0; i < 3; i++)
        if (toml_member(registry, names[i]))
            gone[change.gone_count++] = toml_member(registry, names[i]);
    if (config_text(&change, &text, &error) < 0)
        return;
    require(toml_parse(&again, "again", text.data, text.length, &error) == 0);
    plugins = toml_member(again.root, "plugins");
    registry = toml_member(toml_member(plugins, "cri"), "registry");
    require(strcmp(toml_member(registry, "config_path")->string, "/c") == 0);
    for (size_t i = 0; i < 3; i++)
        require(!toml_member(registry, names[i]));
}

static void make_hosts(const struct toml_document *toml)
{
    static struct mirrors mirrors;
    cleanup_buffer struct buffer text = BUFFER_INIT(MIRRORS_TEXT_MAX);
    cleanup_hosts_file struct hosts_file file = { 0 };
    struct pullkey_error error;

    if (mirrors_find("r.example", toml_member(toml->root, "endpoint"), &mirrors, &error) < 0)
        return;
    for (size_t i = 0; i < mirrors.count; i++) {
        mirrors.items[i].tls = toml_member(toml->root, "tls");
        mirrors.items[i].has_helper = true;
    }
    if (mirrors_write(&mirrors, &text, &error) == 0) {
        require(hosts_file_parse("fuzz", "r.example", text.data, text.length, NULL, &file,
                                 &error) == 0);
        for (size_t i = 0; i < file.host_count; i++)
            require(hosts_host_is_managed(&file.hosts[i]) ||
                    (mirrors.count == 1 && file.hosts[i].is_server));
    }
    mirrors_done(&mirrors);
}

static void remove_lines(const char *text, size_t length)
{
    cleanup_buffer struct buffer result = BUFFER_INIT(SIZE_LIMIT);
    struct pullkey_place places[PLACES_MAX];
    const struct pullkey_place *pointers[PLACES_MAX];
    struct pullkey_error error;
    size_t count = 0;

    for (size_t at = 0; at + 4 < length && count < PLACES_MAX; at += (unsigned char)text[at] + 1u) {
        places[count] = (struct pullkey_place){ .key_begin = at, .end = at + 3, .line = 1 };
        pointers[count] = &places[count];
        count++;
    }
    if (yaml_text_remove(text, length, pointers, count, &result, &error) == 0)
        require(result.length <= length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    cleanup_toml struct toml_document toml = { 0 };
    struct pullkey_error error;

    if (size > SIZE_LIMIT)
        return 0;
    remove_lines(size > 0 ? text : "", size);
    if (toml_parse(&toml, "fuzz", size > 0 ? text : "", size, &error) < 0)
        return 0;
    change_hosts(toml.text, toml.length);
    change_config(&toml);
    make_hosts(&toml);
    return 0;
}
