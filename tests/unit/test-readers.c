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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
