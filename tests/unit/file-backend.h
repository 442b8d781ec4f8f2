/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the file backend share: a home, and instances that do one thing in it. */
#ifndef PULLKEY_TESTS_FILE_BACKEND_H
#define PULLKEY_TESTS_FILE_BACKEND_H

#include "unit.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "core/credential.h"
#include "core/module.h"
#include "core/registry.h"
#include "pullkey-build.h"

#define PATIENCE_MS 20000
#define ENTRY(key, members) "{\"auths\":{\"" key "\":{" members "}}}"
#define BOB "\"auth\":\"Ym9iOnMzY3JldA==\"" /* bob:s3cret */

extern const struct pullkey_backend file_backend;
static struct pullkey_host host;
static char root[512];
static char logged[4096];

__attribute__((format(printf, 2, 3))) static inline void keep_log(const char *source,
                                                                  const char *format, ...)
{
    va_list arguments;

    assert_string_equal(source, "file");
    va_start(arguments, format);
    (void)vsnprintf(logged, sizeof(logged), format, arguments);
    va_end(arguments);
}

#ifdef WITH_CMS
extern const struct pullkey_codec cms_codec;

static inline int find_codec(const char *type, const struct pullkey_codec **ret,
                             struct pullkey_error *error)
{
    (void)error;
    assert_string_equal(type, "cms");
    *ret = &cms_codec;
    return 0;
}
#endif

static inline int find_no_codec(const char *type, const struct pullkey_codec **ret,
                                struct pullkey_error *error)
{
    (void)ret;
    return error_set(error, PULLKEY_UNSUPPORTED, "the module \"%s\" is not installed", type);
}

static inline int set_up(void **state)
{
    (void)state;
    host = module_host;
    host.log = keep_log;
#ifdef WITH_CMS
    host.codec = find_codec;
#else
    host.codec = find_no_codec;
#endif
    logged[0] = '\0';
    unit_make_directory(root);
    assert_int_equal(setenv("HOME", root, 1), 0);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(root);
    return 0;
}

/* A path below the scratch directory; the last eight stay valid. */
static inline const char *at(const char *name)
{
    static char paths[8][FILE_PATH_MAX];
    static size_t next;
    char *path = paths[next++ % 8];

    assert_true(snprintf(path, FILE_PATH_MAX, "%s/%s", root, name) < FILE_PATH_MAX);
    return path;
}

static inline void put(const char *name, const char *text)
{
    struct pullkey_error error;

    assert_fine(file_make_parents(at(name), &error), error);
    unit_write(at(name), text, strlen(text), 0600);
}

static inline char *content(const char *name)
{
    static char text[65536];
    struct buffer buffer = BUFFER_INIT(sizeof(text) - 1);
    struct pullkey_error error;

    assert_fine(file_read(at(name), FILE_INPUT, 0, &buffer, NULL, &error), error);
    memcpy(text, buffer.data, buffer.length + 1);
    buffer_done(&buffer);
    return text;
}

static inline bool exists(const char *name)
{
    return access(at(name), F_OK) == 0;
}

static inline mode_t mode_of(const char *name)
{
    struct stat status;

    assert_int_equal(stat(at(name), &status), 0);
    return status.st_mode & 07777;
}

enum verb { GET, STORE, ERASE, LIST };

/*
 * Opens an instance, does one thing, closes it. The user name and secret of get come back in
 * `found`.
 */
static char found[256];

static inline int run(const char *options, enum verb verb, const char *server,
                      struct pullkey_error *error)
{
    const struct pullkey_instance instance = { .size = sizeof(instance),
                                               .name = "file",
                                               .options = options };
    char username[] = "alice", secret[] = "new-s3cret";
    const struct pullkey_credential stored = { .username = username,
                                               .secret = { secret, strlen(secret) } };
    cleanup_credential struct pullkey_credential read = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    struct registry_reference reference;
    struct registry_request request;
    void *state;
    int r;

    found[0] = '\0';
    assert_fine(registry_parse(server, strlen(server), &reference, error), *error);
    registry_request(&reference, clock_monotonic_ms() + PATIENCE_MS, &request);
    r = file_backend.open(&host, &instance, &state, error);
    if (r < 0)
        return r;
    if (verb == GET)
        r = file_backend.get(state, &request.request, &read, error);
    else if (verb == STORE)
        r = file_backend.store(state, &request.request, &stored, error);
    else if (verb == ERASE)
        r = file_backend.erase(state, &request.request, error);
    else
        r = file_backend.list(state, request.request.deadline_ms, &list, error);
    if (r == 0 && verb == GET)
        (void)snprintf(found, sizeof(found), "%s %s", read.username, read.secret.bytes);
    for (size_t i = 0; r == 0 && i < list.count; i++)
        (void)snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s=%s;",
                       list.entries[i].server, list.entries[i].username);
    file_backend.close(state);
    return r;
}

#define PLAIN "{\"encryption\":\"none\"}"
#define PLAIN_STORE ".config/pullkey/auth.json"
#define SEALED "{}"
#define SEALED_STORE ".config/pullkey/auth.cms"
#define KEY ".local/state/pullkey/store.key"
#define REGISTRY "registry.example.com"

#define ADVICE "; restore it from a backup, or move it away and log in again"

static inline void expect(const char *options, const char *server, const char *credential)
{
    struct pullkey_error error;

    assert_fine(run(options, GET, server, &error), error);
    assert_string_equal(found, credential);
}

static inline void refuse(const char *options, enum verb verb, enum pullkey_error_class code,
                          const char *part)
{
    struct pullkey_error error = { 0 };

    assert_refused(run(options, verb, REGISTRY, &error), code, part, error);
    assert_null(strstr(error.message, "s3cret"));
    assert_null(strchr(error.message, '\n'));
}

static inline void store(const char *options)
{
    struct pullkey_error error;

    assert_fine(run(options, STORE, REGISTRY, &error), error);
    expect(options, REGISTRY, "alice new-s3cret");
}

static inline void store_in_child(const char *options, size_t number)
{
    char server[64];
    struct pullkey_error error = { 0 };

    (void)snprintf(server, sizeof(server), "host-%zu.example.com", number);
    _exit(run(options, STORE, server, &error) < 0);
}

static inline void parallel_stores_keep_all(const char *options)
{
    enum { CHILDREN = 40 };
    pid_t children[CHILDREN];
    struct pullkey_error error;
    size_t count = 0;

    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            store_in_child(options, i);
    }
    for (size_t i = 0; i < CHILDREN; i++)
        assert_int_equal(unit_wait(children[i]), 0);
    for (size_t i = 0; i < CHILDREN; i++) {
        char server[64];

        (void)snprintf(server, sizeof(server), "host-%zu.example.com", i);
        assert_fine(run(options, GET, server, &error), error);
        count++;
    }
    assert_int_equal(count, CHILDREN);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
