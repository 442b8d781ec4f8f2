/* SPDX-License-Identifier: Apache-2.0 */
/* The setups: how each backend is brought up in a scratch directory. */
#include "contract.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "core/credential.h"
#include "core/module.h"
#include "core/registry.h"
#include "pullkey-build.h"

const char *fake_helper;
const struct setup *fixture_setup;
static struct fixture *current; /* for the log, which has no context */

const struct seed seeds[] = {
    { "registry.example.com", "bob", MARKER "-1", PULLKEY_PASSWORD },
    { "https://index.docker.io/v1/", "hubuser", MARKER "-hub", PULLKEY_PASSWORD },
    { "https://index.docker.io/v1/access-token", "hubuser", MARKER "-access", PULLKEY_PASSWORD },
    { "http://plain.example.com", "plain", MARKER "-http", PULLKEY_PASSWORD },
    { "ports.example.com:5000", "five", MARKER "-5000", PULLKEY_PASSWORD },
    { "paths.example.com", "host", MARKER "-host", PULLKEY_PASSWORD },
    { "paths.example.com/team", "team", MARKER "-team", PULLKEY_PASSWORD },
    { "paths.example.com/team/app", "app", MARKER "-app", PULLKEY_PASSWORD },
    { "only.example.com/team", "only", MARKER "-only", PULLKEY_PASSWORD },
    { "[2001:db8::1]:5000", "six", MARKER "-v6", PULLKEY_PASSWORD },
    { "token.example.com", "<token>", MARKER ".refresh.token", PULLKEY_IDENTITY_TOKEN },
    { "colon.example.com", "domain:user", MARKER ":with:colons", PULLKEY_PASSWORD },
    { "robot.example.com", "robot$pull+ci", MARKER "$(id) `id` %s %n", PULLKEY_PASSWORD },
    { "quotes.example.com", "a \"b\" \\ c", MARKER "\"'\\/<>&", PULLKEY_PASSWORD },
    { "letters.example.com", "J\xc3\xbcrgen", MARKER "\xe2\x82\xac\xf0\x9f\x94\x91\xe2\x80\xa8",
      PULLKEY_PASSWORD },
    { "control.example.com", "tab\there", MARKER "\n\r\t\x01\x7f", PULLKEY_PASSWORD },
    { "blank.example.com", "user name", " " MARKER " ", PULLKEY_PASSWORD },
    { "large.example.com", "large", NULL, PULLKEY_PASSWORD },
};
const size_t seed_count = COUNT(seeds);

char *seed_secret(const struct seed *seed)
{
    char *secret;

    if (seed->secret)
        return strdup(seed->secret);
    secret = calloc(1, PULLKEY_SECRET_MAX + 1);
    assert_non_null(secret);
    memset(secret, 'x', PULLKEY_SECRET_MAX);
    memcpy(secret, MARKER, strlen(MARKER));
    return secret;
}

/* A line of the log is held to the same rule as an error. */
__attribute__((format(printf, 2, 3))) static void check_log(const char *source, const char *format,
                                                            ...)
{
    char line[2048];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    current->logged++;
    if (strstr(line, MARKER))
        fail_msg("the log of %s has a secret in it", source);
}

#ifdef WITH_CMS
extern const struct pullkey_codec cms_codec;

/* Nothing is installed when this runs, so that the loader would find no module. */
static int find_codec(const char *type, const struct pullkey_codec **ret,
                      struct pullkey_error *error)
{
    (void)error;
    assert_string_equal(type, "cms");
    *ret = &cms_codec;
    return 0;
}
#endif

static void path_in(const struct fixture *fixture, const char *name, char path[FILE_PATH_MAX])
{
    assert_true(snprintf(path, FILE_PATH_MAX, "%s/%s", fixture->root, name) < FILE_PATH_MAX);
}

static void put_file(const char *path, const char *bytes, size_t length, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    struct pullkey_error error;

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, bytes, length, &error), 0);
    assert_int_equal(close(fd), 0);
}

static void write_member(struct buffer *out, const char *name, const char *value)
{
    buffer_printf(out, "\"%s\":", name);
    json_write_string(out, value, strlen(value));
}

/* Each form of an entry is used by some seed, as other programs write it. */
static void write_entry(struct buffer *out, const struct seed *seed)
{
    char *secret = seed_secret(seed);
    struct buffer pair = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);

    if (seed->kind == PULLKEY_IDENTITY_TOKEN) {
        buffer_append_text(out, "\"auth\":\"PHRva2VuPjo=\",");
        write_member(out, "identitytoken", secret);
    } else if (strchr(seed->username, ':')) {
        write_member(out, "username", seed->username);
        buffer_append_text(out, ",");
        write_member(out, "password", secret);
    } else {
        buffer_append_text(&pair, seed->username);
        buffer_append_text(&pair, ":");
        buffer_append_text(&pair, secret);
        buffer_append_text(out, "\"email\":null,\"auth\":\"");
        text_base64_encode(out, pair.data, pair.length);
        buffer_append_text(out, "\"");
    }
    buffer_done(&pair);
    free(secret);
}

static void write_document(struct buffer *out, size_t from, size_t to)
{
    /* The helpers named here must not be run. */
    buffer_append_text(out, "{\"credsStore\":\"nobody\",\"credHelpers\":{\"other.example.com\":"
                            "\"nobody\"},\"auths\":{\"marked.example.com\":{}");
    for (size_t i = from; i < to; i++) {
        buffer_append_text(out, ",");
        json_write_string(out, seeds[i].server, strlen(seeds[i].server));
        buffer_append_text(out, ":{");
        write_entry(out, &seeds[i]);
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, "}}");
    assert_int_equal(out->state, BUFFER_FINE);
}

static void put_document(const char *path, size_t from, size_t to)
{
    struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);

    write_document(&text, from, to);
    put_file(path, text.data, text.length, 0600);
    buffer_done(&text);
}

static void prepare_file_plain(struct fixture *fixture)
{
    (void)snprintf(fixture->options, sizeof(fixture->options),
                   "{\"encryption\":\"none\",\"path\":\"%s/store/auth\"}", fixture->root);
}

#ifdef WITH_CMS
static void prepare_file_cms(struct fixture *fixture)
{
    (void)snprintf(fixture->options, sizeof(fixture->options),
                   "{\"path\":\"%s/store/auth\",\"key\":\"%s/keys/key\"}", fixture->root,
                   fixture->root);
}
#endif

static void block_file(struct fixture *fixture)
{
    char path[FILE_PATH_MAX];

    path_in(fixture, "store/auth.lock", path);
    fixture->block_fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fixture->block_fd >= 0);
    assert_int_equal(flock(fixture->block_fd, LOCK_EX), 0);
}

static void prepare_file_credential(struct fixture *fixture)
{
    char path[FILE_PATH_MAX];

    path_in(fixture, "registry-auth", path);
    put_document(path, 0, seed_count);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", fixture->root, 1), 0);
    (void)snprintf(fixture->options, sizeof(fixture->options),
                   "{\"credential\":\"registry-auth\"}");
}

/* Half of the seeds in each, behind a link, with one that is missing between. */
static void prepare_file_sources(struct fixture *fixture)
{
    char path[FILE_PATH_MAX], target[FILE_PATH_MAX];

    path_in(fixture, "target.json", target);
    put_document(target, 0, seed_count / 2);
    path_in(fixture, "first.json", path);
    assert_int_equal(symlink("target.json", path), 0);
    path_in(fixture, "second.json", path);
    put_document(path, seed_count / 2, seed_count);
    (void)snprintf(fixture->options, sizeof(fixture->options),
                   "{\"sources\":[\"%s/first.json\",\"%s/missing.json\",\"~/second.json\"]}",
                   fixture->root, fixture->root);
}

static void prepare_env(struct fixture *fixture)
{
    struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);

    write_document(&text, 0, seed_count);
    assert_int_equal(setenv("DOCKER_AUTH_CONFIG", text.data, 1), 0);
    buffer_done(&text);
    (void)snprintf(fixture->options, sizeof(fixture->options), "{}");
}

/* A copy, because a checkout may be writable by others and helpers there are refused. */
static void prepare_exec(struct fixture *fixture)
{
    struct buffer script = BUFFER_INIT(65536);
    struct pullkey_error error;
    char path[FILE_PATH_MAX];

    if (file_read(fake_helper, FILE_INPUT, 0, &script, NULL, &error) < 0)
        fail_msg("%s", error.message);
    path_in(fixture, "docker-credential-fake", path);
    put_file(path, script.data, script.length, 0700);
    buffer_done(&script);
    path_in(fixture, "fake", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(setenv("FAKE_STORE", path, 1), 0);
    (void)snprintf(fixture->options, sizeof(fixture->options),
                   "{\"path\":\"%s/docker-credential-fake\"}", fixture->root);
}

static void block_exec(struct fixture *fixture)
{
    char path[FILE_PATH_MAX];

    path_in(fixture, "fake/hang", path);
    put_file(path, "", 0, 0600);
}

const struct setup setups[] = {
    { "file-plain", "file", SETUP_WRITABLE, prepare_file_plain, block_file,
      "{\"encryption\":\"rot13\"}" },
#ifdef WITH_CMS
    { "file-cms", "file", SETUP_WRITABLE, prepare_file_cms, block_file,
      "{\"path\":\"/nowhere/auth\",\"key\":\"/nowhere/key\"}" },
#endif
    { "file-credential", "file", 0, prepare_file_credential, NULL,
      "{\"credential\":\"../registry-auth\"}" },
    { "file-sources", "file", 0, prepare_file_sources, NULL, "{\"sources\":[\"relative.json\"]}" },
    { "env", "env", 0, prepare_env, NULL, "{\"username\":\"ONLY_ONE\"}" },
    { "exec", "exec", SETUP_WRITABLE | SETUP_EXACT_NAMES, prepare_exec, block_exec,
      "{\"helper\":\"../fake\"}" },
};
const size_t setup_count = COUNT(setups);

static const char *stranger_options;

static void prepare_module(struct fixture *fixture)
{
    static const char mark[] = "@ROOT@";
    struct buffer text = BUFFER_INIT(OPTIONS_MAX - 1);
    const char *rest = stranger_options, *found;

    for (; (found = strstr(rest, mark)); rest = found + strlen(mark)) {
        buffer_append(&text, rest, (size_t)(found - rest));
        buffer_append_text(&text, fixture->root);
    }
    buffer_append_text(&text, rest);
    assert_int_equal(text.state, BUFFER_FINE);
    memcpy(fixture->options, text.data, text.length + 1);
    buffer_done(&text);
}

int fixture_use_module(const struct stranger *stranger, struct pullkey_error *error)
{
    static struct setup setup = { .prepare = prepare_module };
    const struct pullkey_backend *backend;
    int r = module_find_backend(stranger->type, &backend, error);

    if (r < 0)
        return r;
    setup.name = setup.type = stranger->type;
    setup.bad_options = stranger->bad_options;
    stranger_options = stranger->options;
    setup.flags =
        backend->module.capabilities & PULLKEY_CAN_STORE ? SETUP_WRITABLE : SETUP_WITHOUT_SEEDS;
    if (!(backend->module.capabilities & PULLKEY_CAN_LIST))
        setup.flags |= SETUP_WITHOUT_LIST;
    if (stranger->exact_names)
        setup.flags |= SETUP_EXACT_NAMES;
    if (stranger->lasting)
        setup.flags |= SETUP_LASTING;
    fixture_setup = &setup;
    return 0;
}

int fixture_open(struct fixture *fixture, const char *options, void **ret,
                 struct pullkey_error *error)
{
    const struct pullkey_instance instance = {
        .size = sizeof(instance),
        .name = fixture->setup->name,
        .options = options,
    };

    return fixture->backend->open(&fixture->host, &instance, ret, error);
}

static void close_if_open(struct fixture *fixture)
{
    if (fixture->is_open)
        fixture->backend->close(fixture->state);
    fixture->is_open = false;
    fixture->state = NULL;
}

void fixture_reopen(struct fixture *fixture)
{
    struct pullkey_error error = { 0 };

    close_if_open(fixture);
    if (fixture_open(fixture, fixture->options, &fixture->state, &error) < 0)
        fail_msg("open: %s", error.message);
    fixture->is_open = true;
}

static void store_seed(struct fixture *fixture, const struct seed *seed)
{
    struct registry_reference reference;
    struct registry_request request;
    char *secret = seed_secret(seed), *username = strdup(seed->username);
    const struct pullkey_credential credential = {
        .username = username,
        .secret = { secret, strlen(secret) },
        .kind = seed->kind,
    };
    struct pullkey_error error = { 0 };

    assert_int_equal(registry_parse(seed->server, strlen(seed->server), &reference, &error), 0);
    registry_request(&reference, clock_monotonic_ms() + 20000, &request);
    if (fixture->backend->store(fixture->state, &request.request, &credential, &error) < 0)
        fail_msg("store %s: %s", seed->server, error.message);
    free(secret);
    free(username);
}

/* All that is listed. */
static void clear(struct fixture *fixture)
{
    cleanup_list struct pullkey_list entries = { 0 };
    const int64_t deadline_ms = clock_monotonic_ms() + 20000;
    struct pullkey_error error = { 0 };

    if (fixture->backend->list(fixture->state, deadline_ms, &entries, &error) < 0)
        fail_msg("list: %s", error.message);
    for (size_t i = 0; i < entries.count; i++) {
        const char *server = entries.entries[i].server;
        struct registry_reference reference;
        struct registry_request request;
        int r;

        assert_int_equal(registry_parse(server, strlen(server), &reference, &error), 0);
        registry_request(&reference, deadline_ms, &request);
        r = fixture->backend->erase(fixture->state, &request.request, &error);
        if (r < 0 && r != -PULLKEY_NOT_FOUND)
            fail_msg("erase %s: %s", server, error.message);
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status;
    (void)type;
    (void)position;
    return remove(path);
}

static void discard(struct fixture *fixture)
{
    close_if_open(fixture);
    if (fixture->block_fd >= 0)
        (void)close(fixture->block_fd);
    (void)nftw(fixture->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    current = NULL;
    free(fixture);
}

int fixture_end_all(void **state)
{
    (void)state;
    if (current)
        discard(current);
    return 0;
}

/* As tests/token/without-home.py has it, the account's entry alone says where the home is. */
static void set_home(const struct fixture *fixture)
{
    const char *accounts = getenv("PULLKEY_TEST_ACCOUNTS");
    FILE *file;

    assert_int_equal(setenv("HOME", fixture->root, 1), 0);
    if (!accounts)
        return;
    assert_int_equal(unsetenv("HOME"), 0);
    file = fopen(accounts, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "root:x:0:0:root:%s:/bin/sh\n", fixture->root) > 0);
    assert_int_equal(fclose(file), 0);
}

int fixture_begin(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const char *place = getenv("TMPDIR");
    struct pullkey_error error;

    assert_non_null(fixture);
    (void)fixture_end_all(NULL);
    current = fixture;
    fixture->setup = fixture_setup;
    fixture->block_fd = -1;
    fixture->host = module_host;
    fixture->host.log = check_log;
#ifdef WITH_CMS
    if (!stranger_options)
        fixture->host.codec = find_codec;
#endif
    if (module_find_backend(fixture_setup->type, &fixture->backend, &error) < 0)
        fail_msg("%s", error.message);
    (void)snprintf(fixture->root, sizeof(fixture->root), "%s/contract-XXXXXX",
                   place ? place : "/tmp");
    assert_non_null(mkdtemp(fixture->root));
    set_home(fixture);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
    fixture_setup->prepare(fixture);
    fixture_reopen(fixture);
    if (fixture_setup->flags & SETUP_LASTING)
        clear(fixture);
    if (fixture_setup->flags & SETUP_WRITABLE)
        for (size_t i = 0; i < seed_count; i++)
            store_seed(fixture, &seeds[i]);
    *state = fixture;
    return 0;
}

int fixture_end(void **state)
{
    discard(*state);
    return 0;
}
