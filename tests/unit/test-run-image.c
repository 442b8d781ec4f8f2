/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "admin/run-image.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789abcdef"
#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ARGUMENTS_MAX 8

/* All that is found in some arguments, as "authority repository;". */
static void find(const char *const *arguments, char ret[1024])
{
    char copies[ARGUMENTS_MAX][1024];
    char *list[ARGUMENTS_MAX + 1] = { NULL };
    struct run_images images = { .arguments = list };
    struct run_image image;
    size_t used = 0;

    for (size_t i = 0; arguments[i]; i++) {
        (void)snprintf(copies[i], sizeof(copies[i]), "%s", arguments[i]);
        list[i] = copies[i];
    }
    ret[0] = '\0';
    while (run_images_next(&images, &image)) {
        used += (size_t)snprintf(ret + used, 1024 - used, "%s %s;", image.authority,
                                 image.repository);
        assert_true(used < 1024);
    }
}

static void expect(const char *argument, const char *found)
{
    const char *const arguments[] = { argument, NULL };
    char text[1024];

    find(arguments, text);
    if (strcmp(text, found) != 0)
        fail_msg("%s: found \"%s\", not \"%s\"", argument, text, found);
}

static void images_with_their_registry(void **state)
{
    static const char *const vectors[][2] = {
        { "r.example.com/a", "r.example.com a;" },
        { "r.example.com/team/app:1.0", "r.example.com team/app;" },
        { "r.example.com/team/app:V_1.0-x", "r.example.com team/app;" },
        { "r.example.com:5000/app", "r.example.com:5000 app;" },
        { "r.example.com:443/app", "r.example.com:443 app;" },
        { "R.Example.COM/app", "R.Example.COM app;" },
        { "localhost/app", "localhost app;" },
        { "localhost:5000/app", "localhost:5000 app;" },
        { "registry:5000/app", "registry:5000 app;" },
        { "10.0.0.1/app", "10.0.0.1 app;" },
        { "[::1]:5000/app", "[::1]:5000 app;" },
        { "r.example.com/a.b_c__d---e/f", "r.example.com a.b_c__d---e/f;" },
        { "r.example.com/app@sha256:" HEX64, "r.example.com app;" },
        { "r.example.com/app:1@sha256:" HEX64, "r.example.com app;" },
        { "docker.io/library/nginx", "docker.io library/nginx;" },
        { "docker://r.example.com/app:1", "r.example.com app;" },
        { "oci://r.example.com/charts/app", "r.example.com charts/app;" },
        { "docker://nginx", "docker.io library/nginx;" },
        { "docker://nginx:1", "docker.io library/nginx;" },
        { "docker://team/app", "docker.io team/app;" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(vectors); i++)
        expect(vectors[i][0], vectors[i][1]);
}

static void what_is_read_whole(void **state)
{
    static const char *const vectors[][2] = {
        { "r.example.com/a", "" },
        { "r.example.com:5000/a:V_1.0-x", "V_1.0-x" },
        { "docker://nginx:1", "1" },
        { "r.example.com/app@sha256:" HEX64, "sha256:" HEX64 },
        { "r.example.com/app:1@sha256:" HEX64, "sha256:" HEX64 },
    };
    static const char *const words[] = { "", "nginx", "a=r.example.com/a", "r.example.com/a,b.c/d",
                                         "--image=r.example.com/a", "r.example.com/a " };
    struct run_image image;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(vectors); i++) {
        memset(&image, 'x', sizeof(image));
        assert_true(run_image_read(vectors[i][0], &image));
        assert_string_equal(image.tag, vectors[i][1]);
    }
    for (size_t i = 0; i < UNIT_COUNT(words); i++)
        assert_false(run_image_read(words[i], &image));
}

static void other_words(void **state)
{
    static const char *const words[] = {
        "", "/", "pull", "nginx", "nginx:1", "nginx:5000", "team/app", "library/nginx", "a.b",
        "r.example.com", "r.example.com:5000", "localhost", "./r.example.com/app", "../a.b/c",
        "/etc/r.example.com/app", "./a", "https://r.example.com/app", "http://r.example.com/app",
        "docker-archive:/a.b/c", "oci:a.b/c", "docker-daemon:r.example.com/app", "oci://team/app",
        "r.example.com/", "r.example.com//app", "r.example.com/app/", "r.example.com/App",
        "r.example.com/app:", "r.example.com/app:-x", "r.example.com/app:a/b",
        "r.example.com/app@", "r.example.com/app@sha256", "r.example.com/app@sha256:12",
        "r.example.com/app@sha256:" HEX64 "x", "r.example.com/app:1:2", "r.example.com/a___b",
        "r.example.com/-a", "r.example.com/a-", "r.example.com/a b", "r.example.com/a..b",
        "r .example.com/app", "user@r.example.com/app", "user:pw@r.example.com/app",
        "r.example.com:/app", "r.example.com:0/app", "r.example.com:99999/app", "a:b/app",
        "r..example.com/app", ".example.com/app", "r.example.com./app", "-r.example.com/app",
        "1.2/app", "0x7f.1/app", "[::1/app", "[::g]/app", "r.example.com/\xc3\xa4pp",
        "r\xc3\xa4.example.com/app", "r.example.com/app\n", "docker://", "docker://Nginx",
        "docker:///app", "DOCKER://nginx", "_.example.com/app", "r.example.com/%2e",
        "-v", "-e", "-", "--", "--flag", "-tr.example.com/app",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(words); i++)
        expect(words[i], "");
}

static void pieces_of_an_argument(void **state)
{
    (void)state;
    expect("--image=r.example.com/app", "r.example.com app;");
    expect("-t=r.example.com/app", "r.example.com app;");
    expect("type=image,name=r.example.com/app,push=true", "r.example.com app;");
    expect("--output=type=image,name=r.example.com/app:1", "r.example.com app;");
    expect("a.example/x,b.example/y", "a.example x;b.example y;");
    expect("BASE=r.example.com/app", "r.example.com app;");
    expect("=,=r.example.com/app,,=", "r.example.com app;");
    expect("--image=", "");
}

static void all_arguments(void **state)
{
    static const char *const arguments[] = {
        "copy", "docker://a.example/x:1", "-q", "docker://b.example/y", "a.example/x", NULL,
    };
    char text[1024];

    (void)state;
    find(arguments, text);
    assert_string_equal(text, "a.example x;b.example y;a.example x;");
    find(arguments + 5, text);
    assert_string_equal(text, "");
}

/* What they hold may be a secret that looks like an image. */
static void values_of_secret_options(void **state)
{
    static const char *const passed_over[] = {
        "--password", "-Dpassword", "--src-creds", "--authfile", "--auth", "--registry-token",
        "--client-SECRET", "--pass",
    };
    char text[1024], glued[64];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(passed_over); i++) {
        const char *const arguments[] = { passed_over[i], "p.w/x", "r.example.com/app", NULL };

        find(arguments, text);
        assert_string_equal(text, "r.example.com app;");
        (void)snprintf(glued, sizeof(glued), "%s=p.w/x", passed_over[i]);
        expect(glued, "");
    }
    expect("TOKEN=p.w/x", "");
    expect("r.example.com/auth", "r.example.com auth;");
    expect("--image=r.example.com/auth", "r.example.com auth;");
    find((const char *const[]){ "--password", NULL }, text);
    assert_string_equal(text, "");
    find((const char *const[]){ "--password=x", "r.example.com/app", NULL }, text);
    assert_string_equal(text, "r.example.com app;");
}

static void limits(void **state)
{
    char longest[RUN_REPOSITORY_MAX + 64], found[RUN_REPOSITORY_MAX + 64];
    char name[RUN_REPOSITORY_MAX + 2];
    char tag[160];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[RUN_REPOSITORY_MAX] = '\0';
    (void)snprintf(longest, sizeof(longest), "r.example.com/%s", name);
    (void)snprintf(found, sizeof(found), "r.example.com %s;", name);
    expect(longest, found);
    name[RUN_REPOSITORY_MAX] = 'a';
    name[RUN_REPOSITORY_MAX + 1] = '\0';
    (void)snprintf(longest, sizeof(longest), "r.example.com/%s", name);
    expect(longest, "");
    /* Of a name that becomes too long by the "library/" in front of it. */
    name[RUN_REPOSITORY_MAX - 8] = '\0';
    (void)snprintf(longest, sizeof(longest), "docker://%s", name);
    (void)snprintf(found, sizeof(found), "docker.io library/%s;", name);
    expect(longest, found);
    name[RUN_REPOSITORY_MAX - 8] = 'a';
    name[RUN_REPOSITORY_MAX - 7] = '\0';
    (void)snprintf(longest, sizeof(longest), "docker://%s", name);
    expect(longest, "");
    memset(tag, 't', sizeof(tag));
    tag[128] = '\0';
    (void)snprintf(longest, sizeof(longest), "r.example.com/app:%s", tag);
    expect(longest, "r.example.com app;");
    tag[128] = 't';
    tag[129] = '\0';
    (void)snprintf(longest, sizeof(longest), "r.example.com/app:%s", tag);
    expect(longest, "");
    expect(LABEL63 "." LABEL63 "/app", LABEL63 "." LABEL63 " app;");
    expect(LABEL63 "a." LABEL63 "/app", "");
    expect(LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 "/app", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_with_their_registry), cmocka_unit_test(what_is_read_whole),
        cmocka_unit_test(other_words),
        cmocka_unit_test(pieces_of_an_argument),      cmocka_unit_test(all_arguments),
        cmocka_unit_test(values_of_secret_options),   cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests_name("run-image", tests, NULL, NULL);
}
