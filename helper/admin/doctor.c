/* SPDX-License-Identifier: Apache-2.0 */
/* `pullkey doctor`: the steps of a pull, in their order. */
#include "admin.h"
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/jwt.h"
#include "base/output.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/credential.h"
#include "core/module.h"

#define HUB_HOST "docker.io"
#define OFFICIAL "library/"
#define HTTPS "https://"

void doctor_tell(struct doctor_caller *caller, const char *name, enum pullkey_step_state state,
                 int64_t took_ms, const char *cause, const char *format, ...)
{
    struct doctor_step *step = &caller->steps[caller->count];
    struct pullkey_error text;
    va_list arguments;

    if (caller->count == DOCTOR_STEPS_MAX)
        return;
    va_start(arguments, format);
    (void)error_set_list(&text, PULLKEY_INTERNAL, format, arguments);
    va_end(arguments);
    (void)snprintf(step->name, sizeof(step->name), "%s", name);
    (void)snprintf(step->cause, sizeof(step->cause), "%s", cause);
    memcpy(step->text, text.message, sizeof(step->text));
    step->state = state;
    step->took_ms = took_ms;
    caller->count++;
}

/* -- The name --------------------------------------------------------------------------------- */

/* As docker decides it: what stands before the first slash is a host if it looks like one. */
static bool has_host(const char *text, size_t length)
{
    return memchr(text, '.', length) || memchr(text, ':', length) ||
           (length == 9 && memcmp(text, "localhost", 9) == 0);
}

/* True for what follows the host of a registry alone. */
static bool is_root(const char *rest)
{
    return rest[0] == '\0' || strcmp(rest, "/") == 0 || strcmp(rest, "/v1/") == 0 ||
           strcmp(rest, "/v2/") == 0;
}

static bool is_registry(const char *text)
{
    const char *scheme = strstr(text, "://");
    const size_t length = strcspn(text, "/");

    if (scheme)
        return strncmp(text, "http://", 7) == 0 || (strncmp(text, HTTPS, strlen(HTTPS)) == 0 &&
                                                    is_root(scheme + 3 + strcspn(scheme + 3, "/")));
    /* "nginx:1.25" is an image: a host has its dot before the colon. */
    if (text[length] == '\0')
        return text[0] == '[' || has_host(text, strcspn(text, ":")) ||
               strncmp(text, "localhost:", 10) == 0;
    return has_host(text, length) && is_root(text + length);
}

static int read_image(const char *text, struct run_image *ret, struct pullkey_error *error)
{
    char whole[PULLKEY_KEY_MAX + 1];
    const bool is_short = !strstr(text, "://") && !has_host(text, strcspn(text, "/"));

    (void)snprintf(whole, sizeof(whole), "%s%s", is_short || !strchr(text, '/') ? "docker://" : "",
                   text);
    if (!run_image_read(whole, ret)) {
        for (char *c = strchr(whole, '/'); c && *c != '\0'; c++)
            *c = text_lower(*c);
        return error_set(error, PULLKEY_INVALID,
                         "\"%.128s\" is no name of a registry or an image%s", text,
                         run_image_read(whole, ret) ? ": its path has to be in lower case" : "");
    }
    if (ret->tag[0] == '\0')
        memcpy(ret->tag, "latest", sizeof("latest"));
    return 0;
}

/* docker.io/alpine is docker.io/library/alpine. */
static int add_official(struct run_image *image, struct pullkey_error *error)
{
    const size_t size = strlen(image->repository) + 1, prefix = strlen(OFFICIAL);

    if (strchr(image->repository, '/'))
        return 0;
    if (size + prefix > sizeof(image->repository))
        return error_set(error, PULLKEY_INVALID, "the name of the image is too long");
    memmove(image->repository + prefix, image->repository, size);
    memcpy(image->repository, OFFICIAL, prefix);
    return 0;
}

int doctor_read_image(const char *text, struct doctor_image *ret, struct pullkey_error *error)
{
    struct run_image *image = &ret->image;
    struct registry_reference *registry = &ret->registry;
    int r = 0;

    *ret = (struct doctor_image){ .name = "" };
    if (text[strspn(text, " \t\r\n")] == '\0')
        return admin_reference(text, registry, error);
    if (!is_registry(text))
        r = read_image(strncmp(text, HTTPS, strlen(HTTPS)) == 0 ? text + strlen(HTTPS) : text,
                       image, error);
    if (r == 0)
        r = admin_reference(image->authority[0] != '\0' ? image->authority : text, registry, error);
    if (r == 0 && registry->opaque)
        r = error_set(error, PULLKEY_INVALID,
                      "this is a key of one tool's own, and names no registry");
    if (r < 0)
        return r;
    registry->path[0] = '\0';
    registry_canonical(registry, ret->name);
    memcpy(registry->text, ret->name, strlen(ret->name) + 1);
    if (image->repository[0] == '\0')
        return 0;
    if (strcmp(registry->host, HUB_HOST) == 0)
        r = add_official(image, error);
    (void)snprintf(ret->name, sizeof(ret->name), "%s/%s%c%s", image->authority, image->repository,
                   strchr(image->tag, ':') ? '@' : ':', image->tag);
    return r;
}

/* "registry:5000": a number of four digits is more often a port than a tag. */
static bool has_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    const size_t length = colon ? strspn(colon + 1, "0123456789") : 0;

    return length >= 4 && length <= 5 && colon[1 + length] == '\0' && !strchr(text, '/');
}

int doctor_read_reference(const char *text, struct registry_reference *ret,
                          struct pullkey_error *error)
{
    char name[RUN_AUTHORITY_MAX + RUN_REPOSITORY_MAX + 2];
    struct doctor_image image;
    struct pullkey_error ignored;

    if (strstr(text, "://") || has_port(text) || doctor_read_image(text, &image, &ignored) < 0 ||
        image.image.repository[0] == '\0')
        return admin_reference(text, ret, error);
    (void)snprintf(name, sizeof(name), "%s/%s", image.image.authority, image.image.repository);
    return admin_reference(name, ret, error);
}

/* -- The credential --------------------------------------------------------------------------- */

static const char *cause_of(const struct resolve_answer *answer)
{
    static const char *const classes[PULLKEY_ERROR_CLASS_MAX] = {
        [PULLKEY_NO_IDENTITY] = "no-identity",   [PULLKEY_LOCKED] = "locked",
        [PULLKEY_DENIED] = "backend-denied",     [PULLKEY_UNREACHABLE] = "backend-unreachable",
        [PULLKEY_INVALID] = "backend-invalid",   [PULLKEY_UNSUPPORTED] = "no-module",
        [PULLKEY_INTERNAL] = "backend-internal",
    };
    static const struct {
        const char *type, *cause;
    } types[] = { { "exec", "helper-failed" }, { "file", "store-unreadable" } };

    if (answer->is_forgiven)
        return answer->instance->implicit || answer->instance->optional ? "" : "backend-forgiven";
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(answer->instance->type, types[i].type) == 0)
            return types[i].cause;
    return classes[-answer->result] ? classes[-answer->result] : "backend-internal";
}

static void write_expiry(int64_t expiry, char ret[48])
{
    const time_t time = (time_t)expiry;
    struct tm parts;

    if (expiry == 0 || !gmtime_r(&time, &parts) ||
        strftime(ret, 48,
                 expiry > clock_wall_seconds() ? ", good until %Y-%m-%d %H:%M UTC"
                                               : ", which expired at %Y-%m-%d %H:%M UTC",
                 &parts) == 0)
        ret[0] = '\0';
}

static void tell_credential(struct doctor_caller *caller, const struct resolve_answer *answer)
{
    static const char *const caches[] = { "", ", from the cache", ", and not from the cache" };
    const struct pullkey_credential *credential = answer->credential;
    const int64_t expiry =
        credential->expiry != 0 ? credential->expiry : jwt_expiry(&credential->secret);
    const bool is_over = expiry != 0 && expiry <= clock_wall_seconds();
    char until[48];

    write_expiry(expiry, until);
    doctor_tell(caller, answer->instance->name, is_over ? PULLKEY_STEP_NOTE : PULLKEY_STEP_FINE,
                answer->took_ms, is_over ? "expired-token" : "", "%s has %s%s%s%s%s",
                answer->instance->name,
                credential->kind == PULLKEY_IDENTITY_TOKEN ? "an identity token" : "a secret of ",
                credential->kind == PULLKEY_IDENTITY_TOKEN ? "" : credential->username,
                caches[answer->cache], until, "");
}

static void take_answer(void *context, const struct resolve_answer *answer)
{
    struct doctor_caller *caller = context;
    const char *name = answer->instance->name;

    if (answer->result == 0)
        tell_credential(caller, answer);
    else if (answer->result == -PULLKEY_NOT_FOUND)
        doctor_tell(caller, name, PULLKEY_STEP_FINE, answer->took_ms, "", "has none%s",
                    answer->cache == RESOLVE_CACHED ? ", as the cache remembers" : "");
    else
        doctor_tell(caller, name, answer->is_forgiven ? PULLKEY_STEP_NOTE : PULLKEY_STEP_FAILED,
                    answer->took_ms, cause_of(answer), "%s", answer->error->message);
}

static void tell_rule(struct doctor_caller *caller, const struct resolve_chain *chain)
{
    cleanup_buffer struct buffer names = BUFFER_INIT(PULLKEY_ERROR_SIZE);
    char place[CONFIG_RULE_NAME_MAX];

    config_rule_name(chain->rule, place);
    for (size_t i = 0; i < chain->count; i++)
        buffer_printf(&names, "%s%s", i > 0 ? ", " : "", chain->items[i]->name);
    doctor_tell(caller, "rule", PULLKEY_STEP_FINE, -1, "", "%s%s%s", place,
                chain->count > 0 ? " asks " : " asks nobody", names.data ? names.data : "");
}

/* A login goes where the credential comes from, or where there is none, somewhere. */
static bool can_log_in(const struct resolve *resolve, const struct registry_reference *registry,
                       const char *source)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    struct pullkey_error ignored;

    return resolve_find_store(resolve, registry, NULL, &opened, &ignored) == 0 && opened.backend &&
           (source[0] == '\0' || strcmp(opened.instance->name, source) == 0);
}

void doctor_find_credential(struct doctor_caller *caller, const struct config *config,
                            enum config_caller who, const struct doctor_image *image,
                            struct pullkey_credential *ret)
{
    struct registry_reference asked = image->registry;
    struct resolve resolve = admin_resolve(config);
    char source[RESOLVE_SOURCE_MAX] = "";
    struct pullkey_error ignored;
    struct resolve_chain chain;
    int r;

    resolve.asker.caller = who;
    if (who == CONFIG_KUBELET)
        memcpy(asked.path, image->image.repository, sizeof(image->image.repository));
    resolve_chain_find(&resolve, &asked, &chain);
    tell_rule(caller, &chain);
    resolve.watch = take_answer;
    resolve.watch_context = caller;
    r = resolve_get(&resolve, &asked, ret, source, &ignored);
    resolve.watch = NULL;
    caller->has_credential = r == 0;
    caller->can_log_in = can_log_in(&resolve, &asked, source);
    if (r == -PULLKEY_NOT_FOUND && who == CONFIG_DOCKER)
        doctor_look_around(caller, &resolve, image);
}

/* -- The registry ----------------------------------------------------------------------------- */

static void take_step(void *context, const struct pullkey_step *step)
{
    doctor_tell(context, step->name, step->state, step->took_ms, step->cause, "%s", step->text);
}

/* What docker trusts for a registry, beside the system's authorities, if nobody says otherwise. */
static struct admin_call with_authority(const struct admin_call *call,
                                        const struct doctor_image *image, bool has_own,
                                        char path[REGISTRY_CANONICAL_MAX])
{
    struct admin_call own = *call;

    (void)snprintf(path, REGISTRY_CANONICAL_MAX, "/etc/docker/certs.d/%.*s/ca.crt", PULLKEY_KEY_MAX,
                   image->registry.text);
    if (!own.values[ADMIN_CA_FILE] && !has_own && access(path, R_OK) == 0)
        own.values[ADMIN_CA_FILE] = path;
    return own;
}

int doctor_walk(const struct admin_call *call, struct doctor_caller *caller,
                const struct doctor_image *image, const struct pullkey_credential *credential,
                struct pullkey_error *error)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(JSON_SIZE_MAX);
    char authority[REGISTRY_CANONICAL_MAX];
    const struct admin_call own = with_authority(call, image, caller->is_containerd, authority);
    const struct pullkey_probe *probe;
    struct registry_request request;
    struct pullkey_error why;
    int r = module_find_probe("probe", &probe, &why);

    if (r == 0 && (probe->module.size < offsetof(struct pullkey_probe, walk) + sizeof(void *) ||
                   !probe->walk))
        r = error_set(&why, PULLKEY_UNSUPPORTED, "the module \"probe\" is too old");
    if (r < 0) {
        doctor_tell(caller, "registry", PULLKEY_STEP_FAILED, -1, "no-module", "%s", why.message);
        return 0;
    }
    r = admin_probe_options(&own, &image->registry, &options, error);
    if (r < 0)
        return r;
    registry_request(&image->registry, clock_monotonic_ms() + RESOLVE_DEADLINE_MS, &request);
    return probe->walk(&module_host,
                       &(struct pullkey_walk){
                           .size = sizeof(struct pullkey_walk),
                           .request = &request.request,
                           .credential = caller->has_credential ? credential : NULL,
                           .options = options.data,
                           .repository = image->image.repository,
                           .tag = image->image.tag,
                           .step = take_step,
                           .context = caller,
                       },
                       error);
}

/* Whoever calls docker-credential-pullkey, as docker does. */
static int examine(const struct admin_call *call, const struct doctor_image *image,
                   struct doctor_caller *caller, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_config struct config config = { 0 };
    struct pullkey_error why;

    caller->name = "docker";
    doctor_tell(caller, "name", PULLKEY_STEP_FINE, -1, "",
                image->image.repository[0] != '\0' ? "image %s" : "registry %s", image->name);
    if (admin_load(call, &config, &why) < 0) {
        doctor_tell(caller, "rule", PULLKEY_STEP_FAILED, -1, "configuration", "%s", why.message);
        return 0;
    }
    doctor_find_credential(caller, &config, CONFIG_DOCKER, image, &credential);
    caller->is_system = config.system;
    if (!config.system)
        doctor_look_at_docker(caller, image);
    return doctor_walk(call, caller, image, &credential, error);
}

/* Whoever runs this, and on a node those that pull there: where they can be seen, or are asked for.
 * A node without anything that asks as docker does has no docker. */
static int examine_all(const struct admin_call *call, const struct doctor_image *image,
                       struct doctor_caller *callers, size_t *count, struct pullkey_error *error)
{
    const char *as = call->values[ADMIN_AS];
    const bool is_root = geteuid() == 0;
    const bool has_hosts = access("/etc/containerd", F_OK) == 0 && admin_has_hosts();
    const bool has_kubelet = as ? strcmp(as, "kubelet") == 0 : is_root && doctor_has_kubelet(call);
    const bool shows_hosts = as ? strcmp(as, "hosts") == 0 : is_root && has_hosts;
    const bool is_node = shows_hosts || has_kubelet;
    int r = 0;

    if (!is_node || (!as && admin_has_program("docker nerdctl podman buildah skopeo")))
        r = examine(call, image, &callers[(*count)++], error);
    if (!as && has_hosts && !is_root)
        doctor_tell(&callers[0], "containerd", PULLKEY_STEP_NOTE, -1, "",
                    "as root this shows what containerd does too");
    if (r == 0 && shows_hosts)
        r = doctor_ask_hosts(&callers[(*count)++], image, error);
    if (r == 0 && has_kubelet)
        r = doctor_kubelet(call, image, &callers[(*count)++], error);
    return r;
}

/* Before anything is read: whose environment and files count. */
static int read_caller(const struct admin_call *call, struct pullkey_error *error)
{
    const char *as = call->values[ADMIN_AS];

    if (!as || strcmp(as, "docker") == 0 || strcmp(as, "kubelet") == 0)
        return 0;
    if (strncmp(as, "user:", 5) == 0 && as[5] != '\0')
        return doctor_become(as + 5, error);
    if (strcmp(as, "hosts") != 0)
        return admin_usage(error,
                           "--as takes docker, hosts, kubelet or user:NAME and nothing else");
    if (call->values[ADMIN_SYSTEM] || call->values[ADMIN_CA_FILE] || call->values[ADMIN_REALM] ||
        call->values[ADMIN_PLAIN_HTTP])
        return admin_usage(error, "what containerd does is in its files: --as hosts takes no "
                                  "option but --json");
    return admin_has_hosts() ? 0
                             : error_set(error, PULLKEY_UNSUPPORTED,
                                         "pullkey-hosts is not installed on this machine");
}

int admin_doctor(const struct admin_call *call, struct pullkey_error *error)
{
    struct doctor_caller callers[DOCTOR_CALLERS_MAX] = { 0 };
    struct doctor_image image;
    size_t count = 0;
    int r = read_caller(call, error);

    if (r == 0)
        r = doctor_read_image(call->arguments[0], &image, error);
    if (r == 0)
        r = examine_all(call, &image, callers, &count, error);
    output_wait_end();
    return r < 0 ? r : doctor_show(&image, callers, count, call->values[ADMIN_JSON] != NULL, error);
}
