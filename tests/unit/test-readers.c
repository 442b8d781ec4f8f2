/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are known, and those that are not. */
#include "hosts/readers.h"

#include "unit.h"

static struct reader reader_of(const char *path, const struct readers *readers)
{
    struct reader reader;

    memcpy(reader.namespace, readers->namespaces[0], sizeof(reader.namespace));
    (void)snprintf(reader.path, sizeof(reader.path), "%s", path);
    readers_clean(reader.path);
    return reader;
}

static bool knows(const struct readers *readers, const char *path)
{
    struct reader reader = reader_of(path, readers);

    return readers_know(readers, &reader);
}

static void the_usual_ones(void **ignored)
{
    const struct settings settings = { 0 };
    struct readers readers;
    struct pullkey_error error;
    struct reader self;

    (void)ignored;
    assert_fine(readers_load(&settings, &readers, &error), error);
    assert_false(readers.deny);
    assert_true(knows(&readers, "/usr/bin/containerd"));
    assert_true(knows(&readers, "/usr/bin/containerd (deleted)"));
    assert_true(knows(&readers, "/usr/local/bin/nerdctl"));
    assert_false(knows(&readers, "/usr/bin/containerd2"));
    assert_false(knows(&readers, "/usr/bin/containerd (deleted) (deleted)"));
    assert_false(knows(&readers, "containerd"));
    assert_false(knows(&readers, ""));
    readers_look(getpid(), &self);
    assert_true(readers_know(&readers, &self));
    readers_done(&readers);
}

static void those_that_are_listed(void **ignored)
{
    cJSON *list = cJSON_Parse("[\"/opt/k3s\", \"/proc/self/exe\"]");
    const struct settings settings = { .readers = list, .readers_policy = SETTINGS_READERS_DENY };
    struct readers readers;
    struct pullkey_error error;
    char self[4096] = "";

    (void)ignored;
    assert_fine(readers_load(&settings, &readers, &error), error);
    assert_true(readers.deny);
    assert_true(knows(&readers, "/opt/k3s"));
    assert_false(knows(&readers, "/usr/bin/containerd"));
    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    assert_true(knows(&readers, self));
    readers_done(&readers);
    cJSON_Delete(list);
}

/* -- A "*" in a path -------------------------------------------------------------------------- */

static char root[512];

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(root);
    assert_int_equal(0, chmod(root, 0700));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(root);
    return 0;
}

/* A name below the root; what is not there yet is made, with a file at its end. */
static const char *place(const char *name)
{
    static char path[1024];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        (void)mkdir(path, 0755);
        *at = '/';
    }
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    (void)close(fd);
    return path;
}

static void load_one(const char *name, struct readers *ret)
{
    char path[1024];
    cJSON *list = cJSON_CreateArray();
    const struct settings settings = { .readers = list };
    struct pullkey_error error;

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_true(cJSON_AddItemToArray(list, cJSON_CreateString(path)));
    assert_fine(readers_load(&settings, ret, &error), error);
    cJSON_Delete(list);
}

static void any_part(void **ignored)
{
    struct readers readers;

    (void)ignored;
    load_one("data/*/bin/containerd", &readers);
    assert_true(knows(&readers, place("data/0123/bin/containerd")));
    assert_true(knows(&readers, place("data/4567/bin/containerd")));
    assert_false(knows(&readers, place("data/bin/containerd")));
    assert_false(knows(&readers, place("data/a/b/bin/containerd")));
    assert_false(knows(&readers, place("data/0123/bin/containerd2")));
    assert_false(knows(&readers, place("data/0123/bin/container")));
    assert_false(knows(&readers, place("data/0123/other/containerd")));
    assert_false(knows(&readers, place("other/0123/bin/containerd")));
    readers_done(&readers);
    load_one("data/*/*/containerd", &readers);
    assert_true(knows(&readers, place("data/0123/bin/containerd")));
    assert_false(knows(&readers, place("data/bin/containerd")));
    readers_done(&readers);
}

static void what_is_not_there(void **ignored)
{
    struct readers readers;
    char path[1024];

    (void)ignored;
    load_one("data/*/bin/containerd", &readers);
    (void)snprintf(path, sizeof(path), "%s", place("data/gone/bin/containerd"));
    assert_true(knows(&readers, path));
    assert_int_equal(0, unlink(path));
    assert_false(knows(&readers, path));
    readers_done(&readers);
}

/* Each one that others could write to: it is for nobody to choose what the "*" is. */
static void writable_parts(void **ignored)
{
    static const struct {
        const char *name;
        mode_t bad, good;
    } parts[] = {
        { "data", 0777, 0755 },
        { "data", 01777, 0755 },
        { "data", 0775, 0755 },
        { "data/0123", 0757, 0755 },
        { "data/0123", 01777, 0755 },
        { "data/0123/bin", 0775, 0755 },
        { "data/0123/bin/containerd", 0757, 0755 },
        { "data/0123/bin/containerd", 0775, 0755 },
        { "", 0777, 0700 },
    };
    struct readers readers;
    char path[1024];

    (void)ignored;
    load_one("data/*/bin/containerd", &readers);
    (void)snprintf(path, sizeof(path), "%s", place("data/0123/bin/containerd"));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char part[1024];

        (void)snprintf(part, sizeof(part), "%s/%s", root, parts[i].name);
        assert_true(knows(&readers, path));
        assert_int_equal(0, chmod(part, parts[i].bad));
        assert_false(knows(&readers, path));
        assert_int_equal(0, chmod(part, parts[i].good));
    }
    assert_true(knows(&readers, path));
    readers_done(&readers);
}

/* As in /home: the directory is root's, and those in it are not. */
static void parts_of_others(void **ignored)
{
    static const char *const parts[] = { "data", "data/0123", "data/0123/bin/containerd" };
    struct readers readers;
    char path[1024];

    (void)ignored;
    if (geteuid() != 0)
        return;
    load_one("data/*/bin/containerd", &readers);
    (void)snprintf(path, sizeof(path), "%s", place("data/0123/bin/containerd"));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char part[1024];

        (void)snprintf(part, sizeof(part), "%s/%s", root, parts[i]);
        assert_true(knows(&readers, path));
        assert_int_equal(0, chown(part, 65534, 65534));
        assert_false(knows(&readers, path));
        assert_int_equal(0, chown(part, 0, 0));
    }
    readers_done(&readers);
}

static void links_before_it(void **ignored)
{
    struct readers readers;
    char path[1024], link[1024];

    (void)ignored;
    (void)snprintf(path, sizeof(path), "%s", place("data/0123/bin/containerd"));
    (void)snprintf(link, sizeof(link), "%s/link", root);
    assert_int_equal(0, symlink("data", link));
    load_one("link/*/bin/containerd", &readers);
    assert_true(knows(&readers, path));
    readers_done(&readers);
}

static void those_of_other_namespaces(void **ignored)
{
    const struct settings settings = { 0 };
    struct readers readers;
    struct pullkey_error error;
    struct reader reader;
    char text[READERS_PATH_MAX];

    (void)ignored;
    assert_fine(readers_load(&settings, &readers, &error), error);
    reader = reader_of("/usr/bin/ctr", &readers);
    readers_describe(&readers, &reader, text);
    assert_string_equal("/usr/bin/ctr", text);
    reader.namespace[5]++;
    assert_false(readers_know(&readers, &reader));
    readers_describe(&readers, &reader, text);
    assert_string_equal("/usr/bin/ctr in another mount namespace", text);
    reader.namespace[0] = '\0';
    readers.namespaces[1][0] = '\0';
    assert_false(readers_know(&readers, &reader));
    readers_look(0, &reader);
    assert_false(readers_know(&readers, &reader));
    readers_describe(&readers, &reader, text);
    assert_string_equal("a program that cannot be told", text);
    readers_done(&readers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_ones),
        cmocka_unit_test(those_that_are_listed),
        cmocka_unit_test(those_of_other_namespaces),
        cmocka_unit_test_setup_teardown(any_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writable_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_before_it, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
