/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "hosts/config-text.h"

#define PATH "/run/pullkey/certs.d"
#define CRI "plugins.\"io.containerd.grpc.v1.cri\""

/* Takes out the members of the table of registries with these names; NULL where that is refused. */
static void assert_change(const char *before, const char *after, const char *const *names,
                          const char *path)
{
    cleanup_toml struct toml_document toml = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(CONFIG_TEXT_SIZE_MAX);
    const struct toml_item *gone[8], *registry, *version;
    struct config_text change = { .toml = &toml, .gone = gone, .config_path = path, .version = 2 };
    struct pullkey_error error;

    assert_fine(toml_parse(&toml, "c", before, strlen(before), &error), error);
    version = toml_member(toml.root, "version");
    change.version = version ? version->integer : 1;
    registry = toml_member(toml_member(toml.root, "plugins"),
                           change.version == 1 ? "cri" : "io.containerd.grpc.v1.cri");
    registry = toml_member(registry, "registry");
    for (size_t i = 0; names[i]; i++)
        if (toml_member(registry, names[i]))
            gone[change.gone_count++] = toml_member(registry, names[i]);
    if (!after) {
        assert_refused(config_text(&change, &text, &error), PULLKEY_INVALID,
                       "without changing the rest", error);
        return;
    }
    assert_fine(config_text(&change, &text, &error), error);
    assert_string_equal(text.data, after);
}

static const char *const all[] = { "mirrors", "configs", "auths", NULL };
static const char *const none[] = { NULL };

static void tables_go_and_comments_stay(void **state)
{
    (void)state;
    assert_change("version = 2 # v\n# registry\n[" CRI ".registry] # r\n  a = 1\n\n"
                  "# the mirrors\n[" CRI ".registry.mirrors]\n  [" CRI
                  ".registry.mirrors.\"x\"] # x\n    endpoint = [\n\"y\",\n]\n\n"
                  "[" CRI ".registry.auths.\"z\"]\n  # old\n  username = \"u\"\n  # kept\n\n"
                  "[debug]\n  level = \"x\"\n",
                  "version = 2 # v\n# registry\n[" CRI ".registry] # r\n"
                  "  config_path = \"" PATH "\"\n  a = 1\n\n"
                  "# the mirrors\n  # kept\n\n[debug]\n  level = \"x\"\n",
                  all, PATH);
}

static void config_path_finds_its_place(void **state)
{
    (void)state;
    /* It is there. */
    assert_change("version = 2\n[" CRI ".registry]\n  config_path = '' # none\n",
                  "version = 2\n[" CRI ".registry]\n  config_path = \"" PATH "\" # none\n", none,
                  PATH);
    /* The table has no header of its own. */
    assert_change("version = 2\n\n  [" CRI ".registry.mirrors.\"x\"]\n    endpoint = []\n",
                  "version = 2\n\n  [" CRI ".registry]\n    config_path = \"" PATH "\"\n", all,
                  PATH);
    /* Schema 1, no table at all, and no line end. */
    assert_change("[debug]\n  level = \"x\"",
                  "[debug]\n  level = \"x\"\n\n[plugins.cri.registry]\n  config_path = \"" PATH
                  "\"\n",
                  none, PATH);
    assert_change("", "\n[plugins.cri.registry]\n  config_path = \"" PATH "\"\n", none, PATH);
}

static void nothing_else_changes(void **state)
{
    (void)state;
    assert_change("version = 2\n", "version = 2\n", none, NULL);
    assert_change("version = 2\n[" CRI ".registry]\nmirrors.\"x\".endpoint = []\nb = 2\n",
                  "version = 2\n[" CRI ".registry]\n  config_path = \"" PATH "\"\nb = 2\n", all,
                  PATH);
    assert_change("version = 2\n[" CRI "]\nregistry = { mirrors = { x = 1 }, b = 2 }\n", NULL, all,
                  PATH);
    assert_change("version = 2\n[" CRI "]\nregistry = { b = 2 }\n", NULL, none, PATH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_go_and_comments_stay),
        cmocka_unit_test(config_path_finds_its_place),
        cmocka_unit_test(nothing_else_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
