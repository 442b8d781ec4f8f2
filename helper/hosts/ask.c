/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/depth.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "core/cache.h"
#include "core/credential.h"
#include "core/module.h"
#include "core/resolve.h"
#include "hosts.h"
#include "lifetime.h"
#include "pullkey-build.h"
#include "sandbox.h"

#define PLACES_MAX 9 /* the cache, and two for each of four backends */
#define HUB_KEY "https://index.docker.io/v1/"
#define TIMEOUT_MAX_MS 120000

void ask_write(const struct ask *ask, struct buffer *ret)
{
    buffer_append_text(ret, "{\"helper\":");
    json_write_string(ret, ask->helper, strlen(ask->helper));
    buffer_append_text(ret, ",\"url\":");
    json_write_string(ret, ask->url, strlen(ask->url));
    buffer_printf(ret, ",\"lifetime\":%lld,\"timeout\":%lld}", (long long)ask->assume_lifetime,
                  (long long)ask->timeout_ms);
}

static int ask_read(const struct json *json, struct ask *ret, struct pullkey_error *error)
{
    const cJSON *helper = json_member(json->root, "helper"), *url = json_member(json->root, "url");
    const cJSON *lifetime = json_member(json->root, "lifetime");
    const cJSON *timeout = json_member(json->root, "timeout");

    if (!cJSON_IsString(helper) || !cJSON_IsString(url) || !cJSON_IsNumber(lifetime) ||
        !cJSON_IsNumber(timeout) || timeout->valuedouble < 1 ||
        timeout->valuedouble > TIMEOUT_MAX_MS)
        return error_set(error, PULLKEY_INVALID, "this command is for pullkey-hosts itself");
    *ret = (struct ask){ helper->valuestring, url->valuestring, (int64_t)lifetime->valuedouble,
                         (int64_t)timeout->valuedouble };
    return 0;
}

static const char *add_name(char ret[ASK_NAMES_MAX][PULLKEY_KEY_MAX + 1], size_t *count,
                            const char *scheme, const struct registry_reference *reference)
{
    char *name = ret[(*count)++];

    if (reference->port == 0)
        (void)snprintf(name, PULLKEY_KEY_MAX + 1, "%s%s", scheme, reference->host);
    else
        (void)snprintf(name, PULLKEY_KEY_MAX + 1, "%s%s:%u", scheme, reference->host,
                       reference->port);
    return name;
}

size_t ask_names(const struct registry_reference *reference,
                 char ret[ASK_NAMES_MAX][PULLKEY_KEY_MAX + 1])
{
    size_t count = 0;

    if (strcmp(reference->host, "docker.io") == 0 && reference->port == 0 && !reference->http)
        (void)snprintf(ret[count++], PULLKEY_KEY_MAX + 1, "%s", HUB_KEY);
    (void)add_name(ret, &count, "", reference);
    (void)add_name(ret, &count, reference->http ? "http://" : "https://", reference);
    return count;
}

struct ask_chain ask_chain(const struct config *config, const struct registry_reference *reference)
{
    const struct config_asker asker = { .caller = CONFIG_HOSTS };
    const struct config_rule *rule = config_find_rule(config, reference, &asker);

    return rule ? (struct ask_chain){ rule->chain, rule->chain_count }
                : (struct ask_chain){ config->default_chain, config->default_count };
}

/* An exec backend fails in the sandbox, and "permission denied" would not tell why. */
static int explain_exec(const struct config *config, const struct registry_reference *reference,
                        struct pullkey_error *error)
{
    const struct ask_chain chain = ask_chain(config, reference);

    for (size_t i = 0; i < chain.count; i++) {
        const struct config_instance *item = &chain.items[i];
        size_t length = strlen(item->name);

        if (strcmp(item->type, "exec") == 0 && strncmp(error->message, item->name, length) == 0 &&
            error->message[length] == ':')
            return error_set(error, PULLKEY_UNSUPPORTED,
                             "%s: the process that asks here may run no program, so exec backends "
                             "do not work; name the helper itself as credHelper",
                             item->name);
    }
    return -(int)error->code;
}

/* Directories in which something may change once the process is confined, so they are made before.
 */
struct places {
    char paths[PLACES_MAX][FILE_PATH_MAX];
    const char *list[PLACES_MAX + 1];
    size_t count;
};

/* Nothing if it cannot be made: what needs it says so. */
static void add_place(struct places *places, const char *directory, const char *suffix)
{
    char *path = places->paths[places->count], inside[FILE_PATH_MAX];
    struct pullkey_error error;

    if (places->count == PLACES_MAX ||
        snprintf(path, FILE_PATH_MAX, "%s%s", directory, suffix) >= FILE_PATH_MAX)
        return;
    if (file_join(inside, path, "any", &error) < 0 || file_make_parents(inside, &error) < 0) {
        log_line("hosts", "%s", error.message);
        return;
    }
    places->list[places->count++] = path;
}

/* Where an instance with the option "keep" has its last good values, and their key. */
static void add_kept(struct places *places, const struct config_instance *instance, bool system)
{
    const cJSON *keep = json_member(instance->options, "keep"), *path = json_member(keep, "path");
    struct pullkey_error ignored;
    char directory[FILE_PATH_MAX], home[FILE_PATH_MAX];

    if (!cJSON_IsObject(keep))
        return;
    if (cJSON_IsString(path) && path->valuestring[0] == '/')
        (void)snprintf(directory, sizeof(directory), "%s", path->valuestring);
    else if (system)
        (void)snprintf(directory, sizeof(directory), "%s/keep", PULLKEY_STATEDIR);
    else if (file_place(FILE_STATE_HOME, home, &ignored) < 0 ||
             file_join(directory, home, "keep", &ignored) < 0)
        return;
    for (size_t length = strlen(directory); length > 1 && directory[length - 1] == '/';)
        directory[--length] = '\0';
    add_place(places, directory, "");
    add_place(places, directory, "-key");
}

static void find_places(const struct config *config, const struct registry_reference *reference,
                        struct places *ret)
{
    const struct ask_chain chain = ask_chain(config, reference);
    struct cache *cache = NULL;
    struct pullkey_error ignored;

    if (cache_open(config->system, &cache, &ignored) == 0 && cache &&
        cache_directory(config->system, ret->paths[0], &ignored) == 0)
        ret->list[ret->count++] = ret->paths[0];
    cache_close(&cache);
    for (size_t i = 0; i < chain.count; i++)
        add_kept(ret, &chain.items[i], config->system);
}

/* Core knows when its tokens expire. */
static int ask_core(const struct ask *ask, const struct registry_reference *reference,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    struct places places = { 0 };
    struct resolve resolve;
    int r = hosts_load(&config, error);

    if (r < 0)
        return r;
    find_places(&config, reference, &places);
    resolve = (struct resolve){
        .config = &config,
        .asker = { .caller = CONFIG_HOSTS },
        .deadline_ms = clock_monotonic_ms() + ask->timeout_ms,
    };
    r = depth_read(&resolve.depth, error);
    if (r == 0)
        r = sandbox_enter(places.list, error);
    if (r == 0)
        r = resolve_get(&resolve, reference, ret, NULL, error);
    /* Most often it was stored for the user who did, and not for the machine. */
    if (r == -(int)PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "no credential for %s; \"pullkey %slogin %s\" stores one", reference->text,
                         config.system ? "--system " : "", reference->host);
    return r < 0 ? explain_exec(&config, reference, error) : r;
}

static int find_account(const char *name, uid_t *ret_user, gid_t *ret_group)
{
    FILE *accounts = fopen("/etc/passwd", "re");
    const struct passwd *account;
    bool found = false;

    /* Not getpwnam, which loads name service modules: it is a system account. */
    while (accounts && !found && (account = fgetpwent(accounts))) {
        found = strcmp(account->pw_name, name) == 0;
        *ret_user = account->pw_uid;
        *ret_group = account->pw_gid;
    }
    if (accounts)
        (void)fclose(accounts);
    return found ? 0 : -1;
}

/* Also where the one that asks is killed. The kernel forgets it when the user changes. */
static void end_with_asker(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
}

static int become_helper_user(struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_settings struct settings settings = { 0 };
    uid_t user = 0;
    gid_t group = 0;
    int r;

    if (file_caller() != 0)
        return 0;
    r = hosts_load(&config, error);
    if (r == 0)
        r = settings_load(&config, &settings, error);
    if (r < 0)
        return r;
    if (find_account(settings.helper_user, &user, &group) < 0)
        return error_set(error, PULLKEY_INVALID,
                         "there is no account \"%s\" in /etc/passwd to run credential helpers as; "
                         "make one, or name another as containerd.helper_user in the configuration",
                         settings.helper_user);
    if (user == 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0 ||
        setresuid(user, user, user) < 0)
        return error_set(error, PULLKEY_DENIED, "cannot become the user \"%s\"",
                         settings.helper_user);
    file_caller_changed();
    end_with_asker();
    return chdir("/") < 0 ? error_set(error, PULLKEY_DENIED, "cannot enter /") : 0;
}

static int ask_by_name(const struct pullkey_backend *backend, void *state, const char *name,
                       int64_t deadline_ms, struct pullkey_credential *ret,
                       struct pullkey_error *error)
{
    struct registry_reference reference;
    struct registry_request request;
    int r = registry_parse(name, strlen(name), &reference, error);

    if (r < 0)
        return r;
    registry_request(&reference, deadline_ms, &request);
    /* This form and no other. */
    request.request.name_count = 1;
    request.request.alias_count = 1;
    r = backend->get(state, &request.request, ret, error);
    return r == 0 ? credential_check(ret, error) : r;
}

static int ask_helper(const struct ask *ask, const struct registry_reference *reference,
                      struct pullkey_credential *ret, struct pullkey_error *error)
{
    const int64_t deadline_ms = clock_monotonic_ms() + ask->timeout_ms;
    const bool system = file_caller() == 0;
    char names[ASK_NAMES_MAX][PULLKEY_KEY_MAX + 1];
    cleanup_buffer struct buffer options = BUFFER_INIT(1024);
    const struct pullkey_backend *backend;
    struct pullkey_instance instance;
    void *state = NULL;
    size_t count = ask_names(reference, names);
    int r = become_helper_user(error);

    if (r == 0)
        r = module_find_backend("exec", &backend, error);
    if (r < 0)
        return r;
    buffer_append_text(&options, "{\"helper\":");
    json_write_string(&options, ask->helper, strlen(ask->helper));
    buffer_append_text(&options, "}");
    instance = (struct pullkey_instance){
        .size = sizeof(instance),
        .name = ask->helper,
        .options = options.data,
        .system = system,
    };
    r = buffer_check(&options, error);
    if (r == 0)
        r = depth_read(&instance.depth, error);
    if (r == 0)
        r = backend->open(&module_host, &instance, &state, error);
    if (r < 0) {
        /* A helper that is missing must not look like a missing credential. */
        if (r == -(int)PULLKEY_NOT_FOUND)
            error->code = PULLKEY_INVALID;
        return -(int)error->code;
    }
    r = -(int)PULLKEY_NOT_FOUND;
    for (size_t i = 0; i < count && r == -(int)PULLKEY_NOT_FOUND; i++)
        r = ask_by_name(backend, state, names[i], deadline_ms, ret, error);
    backend->close(state);
    return r;
}

static int answer(const struct ask *ask, struct record *ret, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct registry_reference reference;
    bool core = strcmp(ask->helper, ASK_PULLKEY) == 0;
    int r = registry_parse(ask->url, strlen(ask->url), &reference, error);

    if (r == 0)
        r = core ? ask_core(ask, &reference, &credential, error)
                 : ask_helper(ask, &reference, &credential, error);
    if (r == 0)
        r = record_header(&credential, &ret->header, error);
    if (r < 0)
        return r;
    ret->expiry = credential.expiry;
    if (ret->expiry == 0 && !core) {
        ret->expiry = lifetime_read(&credential.secret);
        if (ret->expiry == 0)
            ret->expiry = clock_wall_seconds() + ask->assume_lifetime;
    }
    return 0;
}

int ask_serve(int in, int out, struct pullkey_error *error)
{
    cleanup_buffer struct buffer input = BUFFER_INIT(ASK_SIZE_MAX);
    cleanup_buffer struct buffer output = BUFFER_INIT(RECORD_SIZE_MAX);
    cleanup_json struct json json = { 0 };
    cleanup_record struct record record = { 0 };
    struct ask ask = { 0 };
    int r;

    end_with_asker();
    r = buffer_read(&input, in, error);

    if (r == 0)
        r = json_parse(&json, "request", input.data ? input.data : "", input.length, 0, error);
    if (r == 0)
        r = ask_read(&json, &ask, error);
    if (r < 0)
        return r;
    /* What was tried before the name that is known leaves its error behind. */
    if (answer(&ask, &record, &record.error) == 0)
        record.error = (struct pullkey_error){ 0 };
    else
        log_line("hosts", "%s for %s: %s", ask.helper, ask.url, record.error.message);
    record_write(&record, &output);
    r = buffer_check(&output, error);
    return r < 0 ? r : file_write_all(out, output.data, output.length, error);
}
