/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin/setup-toml against a parser of TOML: a document that this takes, and that we change, is one
 * afterwards too, with the key in the table of its version, and every byte but the value of that
 * key unchanged.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/setup-toml.h"
#include "base/error.h"
#include "hosts/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUE "/run/pullkey/certs.d"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static const struct toml_item *find(const struct toml_item *root)
{
    static const char *const plugins[] = { "cri", "io.containerd.grpc.v1.cri",
                                           "io.containerd.cri.v1.images" };
    const struct toml_item *version = toml_member(root, "version");
    const int64_t number = version ? version->integer : 1;

    require(number >= 1 && number <= 4);
    return toml_member(
        toml_member(toml_member(toml_member(root, "plugins"), plugins[number > 3 ? 2 : number - 1]),
                    "registry"),
        "config_path");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct setup_toml edit = { .text = BUFFER_INIT(2 * TOML_SIZE_MAX) };
    cleanup_buffer struct buffer text = BUFFER_INIT(2 * TOML_SIZE_MAX);
    cleanup_toml struct toml_document old = { 0 }, new = { 0 };
    struct pullkey_error error;
    const struct toml_item *item;
    const char *bytes = (const char *)data;
    int r;

    if (size > TOML_SIZE_MAX / 2)
        return 0;
    r = setup_toml("config.toml", size > 0 ? bytes : "", size, VALUE, &edit, &error);
    if (r == 0 && toml_parse(&old, "old", size > 0 ? bytes : "", size, &error) == 0) {
        item = toml_member(old.root, "version");
        if (item && item->kind != TOML_INTEGER)
            goto end; /* which containerd does not start with */
        require(edit.begin <= edit.end && edit.end <= size);
        buffer_append(&text, bytes, edit.begin);
        buffer_append(&text, edit.text.data ? edit.text.data : "", edit.text.length);
        buffer_append(&text, bytes + edit.end, size - edit.end);
        require(toml_parse(&new, "new", text.data ? text.data : "", text.length, &error) == 0);
        item = find(new.root);
        require(item && item->kind == TOML_STRING && strcmp(item->string, VALUE) == 0);
        item = find(old.root);
        require(edit.begin == edit.end ||
                (item && item->begin == edit.begin && item->end == edit.end));
    }
end:
    buffer_done(&edit.text);
    return 0;
}
