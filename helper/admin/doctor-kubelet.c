/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet: whether it asks our plugin for the image, and what that answers with the environment
 * that it has there. containerd pulls with the answer, so the registry is asked as from here.
 */
#include "doctor.h"
#include "kubelet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/credential.h"

#define ENVIRONMENT_MAX (2u * 1024 * 1024) /* as long as Linux has them */
#define VARIABLES_MAX 4096                 /* each is compared with those before it */
#define NAME_SIZE 256
#define FINDINGS_SHOWN 8
#define UNIT "set it in a drop-in of its unit, or in \"env\" of the provider"

bool doctor_has_kubelet(const struct admin_call *call)
{
    struct kubelet_node node;
    struct pullkey_error ignored;

    return kubelet_node_find(call, &node, &ignored) == 0 &&
           (node.pid != 0 || node.config[0] != '\0');
}

/* -- Its configuration ------------------------------------------------------------------------ */

/* What keeps it from starting, and what keeps it from asking anybody. */
static void tell_findings(struct doctor_caller *caller, const struct kubelet_check *check)
{
    for (size_t i = 0, shown = 0; shown < FINDINGS_SHOWN && i < check->findings.count; i++) {
        const struct finding *finding = &check->findings.items[i];
        const bool is_error = finding->level == OUTPUT_ERROR;
        char line[32] = "";

        /* That of pullkey is read below, with the kubelet's environment. */
        if (is_error ? strcmp(finding->id, "configuration") == 0
                     : strcmp(finding->id, "kubelet-flags") != 0 &&
                           strcmp(finding->id, "no-config") != 0)
            continue;
        shown++;
        if (finding->line > 0)
            (void)snprintf(line, sizeof(line), ":%zu", finding->line);
        doctor_tell(caller, "kubelet", is_error ? PULLKEY_STEP_FAILED : PULLKEY_STEP_NOTE, -1,
                    finding->id, "%s%s%s%s: %s", finding->file ? finding->file : "", line,
                    finding->file ? ": " : "", finding->text, finding->fix);
    }
}

static const char *matching(const struct kubelet_provider *provider, const char *image)
{
    for (const cJSON *item = provider->match ? provider->match->child : NULL; item;
         item = item->next)
        if (cJSON_IsString(item) && kubelet_pattern_matches(item->valuestring, image))
            return item->valuestring;
    return NULL;
}

/* Ours that is asked for the image, or NULL; the kubelet asks all that match. */
static const struct kubelet_provider *find_provider(struct doctor_caller *caller,
                                                    const struct kubelet_check *check,
                                                    const struct doctor_image *image)
{
    char name[REGISTRY_CANONICAL_MAX + RUN_REPOSITORY_MAX + 2];
    const struct kubelet_provider *ours = NULL, *other = NULL;

    (void)snprintf(name, sizeof(name), "%s%s%s", image->registry.text,
                   image->image.repository[0] != '\0' ? "/" : "", image->image.repository);
    for (size_t i = 0; i < check->provider_count; i++) {
        const struct kubelet_provider *provider = &check->providers[i];
        const char *pattern = matching(provider, name);

        if (!pattern)
            continue;
        if (provider->is_ours && !ours)
            ours = provider;
        else
            other = provider;
        doctor_tell(caller, "provider", PULLKEY_STEP_FINE, -1, "",
                    "%s: \"%s\" has the kubelet ask %s", provider->file->path, pattern,
                    provider->name ? provider->name : "a provider without a name");
    }
    if (other)
        doctor_tell(caller, "provider", PULLKEY_STEP_NOTE, -1, "kubelet-asks-another",
                    "%s: the kubelet asks %s for %s%s", other->file->path,
                    other->name ? other->name : "another", name,
                    ours ? " too, which is not looked at here"
                         : ", and not pullkey: add it to matchImages of " KUBELET_PROGRAM
                           ", and restart the kubelet");
    else if (!ours && check->provider_count > 0)
        doctor_tell(caller, "provider", PULLKEY_STEP_NOTE, -1, "image-not-matched",
                    "%s: no pattern in matchImages is for %s, so the kubelet asks no plugin: add "
                    "\"%s\", and restart the kubelet",
                    check->node.config, name, image->registry.text);
    return ours;
}

/* -- Its environment -------------------------------------------------------------------------- */

struct surroundings {
    struct buffer text; /* of its process; parts end in NULs */
    struct buffer env;  /* of the provider, the same */
    char **own;         /* what we had, in its order */
};

/* "env" of the provider goes over that of the kubelet. */
static void read_variables(const struct kubelet_provider *provider, struct buffer *text)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_member(provider->item, "env")) {
        const char *name = json_text(item, "name"), *value = json_text(item, "value");

        if (name && value)
            buffer_printf(text, "%s=%s%c", name, value, '\0');
    }
}

static bool put(struct buffer *text)
{
    size_t count = 0, length;

    for (size_t at = 0; at < text->length; at += length + 1) {
        length = strlen(text->data + at);
        if (text->data[at] == '=' || !strchr(text->data + at, '=') ||
            process_is_hostile(text->data + at))
            continue;
        if (++count > VARIABLES_MAX || putenv(text->data + at) != 0)
            return false;
    }
    return true;
}

/* Puts it in place of ours. */
static int enter(struct surroundings *around, const struct kubelet_check *check,
                 const struct kubelet_provider *provider, struct doctor_caller *caller,
                 struct pullkey_error *error)
{
    const bool is_read =
        check->node.pid != 0 && kubelet_process_read(check->node.pid, "environ", &around->text);
    int r;

    if (is_read)
        doctor_tell(caller, "environment", PULLKEY_STEP_FINE, -1, "", "that of the kubelet (%d)",
                    (int)check->node.pid);
    else
        doctor_tell(caller, "environment", PULLKEY_STEP_NOTE, -1, "",
                    check->node.pid != 0
                        ? "that of the kubelet is for root to see: this shell's is "
                          "taken"
                        : "no kubelet runs: this shell's is taken");
    read_variables(provider, &around->env);
    r = buffer_check(&around->env, error);
    if (r == 0)
        r = process_copy_environment(&around->own, error);
    if (r < 0)
        return r;
    if ((is_read && (clearenv() != 0 || !put(&around->text))) || !put(&around->env))
        return error_set(error, PULLKEY_INVALID, "the kubelet has more than %d variables",
                         VARIABLES_MAX);
    return 0;
}

static void leave(struct surroundings *around)
{
    (void)clearenv();
    for (char **own = around->own; own && *own; own++)
        (void)putenv(*own);
}

static void surroundings_done(struct surroundings *around)
{
    secret_release(around->own);
    buffer_done(&around->text);
    buffer_done(&around->env);
}

static bool begins_with_one(const char *variable, const char *const *starts)
{
    for (; *starts; starts++)
        if (strncmp(variable, *starts, strlen(*starts)) == 0)
            return true;
    return false;
}

/* Somewhere in the options. */
static bool is_named(const cJSON *options, const char *variable)
{
    const size_t length = strcspn(variable, "=");
    const cJSON *item;

    if (cJSON_IsString(options))
        return strncmp(options->valuestring, variable, length) == 0 &&
               options->valuestring[length] == '\0';
    cJSON_ArrayForEach(item, options) {
        if (is_named(item, variable))
            return true;
    }
    return false;
}

/* What may be missing, for this failure. */
static bool is_of_use(const struct resolve_chain *chain, const char *variable, const char *failure)
{
    static const char *const proxies[] = { "HTTPS_PROXY=", "https_proxy=", "HTTP_PROXY=",
                                           "http_proxy=", NULL };
    static const char *const identities[] = { "AWS_", "AZURE_",    "GOOGLE_",    "GCE_METADATA_",
                                              "MSI_", "IDENTITY_", "KUBECONFIG", NULL };

    if (strcmp(failure, "backend-unreachable") == 0 && begins_with_one(variable, proxies))
        return true;
    if (strcmp(failure, "no-identity") == 0 && begins_with_one(variable, identities))
        return true;
    for (size_t i = 0; i < chain->count; i++)
        if (is_named(chain->items[i]->options, variable) ||
            (strcmp(chain->items[i]->type, "env") == 0 &&
             strncmp(variable, "DOCKER_AUTH_CONFIG=", 19) == 0))
            return true;
    return false;
}

/* In either spelling: libraries read both. */
static bool is_set_there(const char *variable)
{
    char name[NAME_SIZE];
    const size_t length = strcspn(variable, "=");

    (void)snprintf(name, sizeof(name), "%.*s", (int)length, variable);
    if (secure_getenv(name))
        return true;
    for (char *c = name; *c != '\0'; c++)
        *c = text_lower(*c);
    return length > 6 && strcmp(name + length - 6, "_proxy") == 0 && secure_getenv(name);
}

/* Without a credential: what a shell has, and the kubelet has not. */
static void compare(struct doctor_caller *caller, const struct surroundings *around,
                    const struct resolve_chain *chain)
{
    const char *failure = "no-credential";

    for (size_t i = caller->count; i-- > 0;)
        if (caller->steps[i].state == PULLKEY_STEP_FAILED)
            failure = caller->steps[i].cause;
    for (char **own = around->own; *own; own++)
        if (is_of_use(chain, *own, failure) && !is_set_there(*own))
            doctor_tell(caller, "environment", PULLKEY_STEP_NOTE, -1, "not-in-kubelet",
                        "%.*s is set in this shell, and not for the kubelet: " UNIT,
                        (int)strcspn(*own, "="), *own);
}

/* -- The plugin ------------------------------------------------------------------------------- */

static int ask_plugin(const struct kubelet_provider *provider, const struct surroundings *around,
                      const struct doctor_image *image, struct doctor_caller *caller,
                      struct pullkey_credential *ret)
{
    struct registry_reference asked = image->registry;
    cleanup_config struct config config = { 0 };
    struct config_source source;
    struct resolve_chain chain;
    struct pullkey_error why;
    struct resolve resolve;
    int r = config_source_default(true, &source, &why);

    if (r == 0)
        r = config_load(&source, &config, &why);
    if (r < 0) {
        doctor_tell(caller, "rule", PULLKEY_STEP_FAILED, -1, "configuration", "%s", why.message);
        return r;
    }
    caller->is_system = true;
    if (provider->tokens)
        doctor_tell(caller, "provider", PULLKEY_STEP_NOTE, -1, "",
                    "what follows is for a pod without a token of its service account");
    resolve = admin_resolve(&config);
    resolve.asker.caller = CONFIG_KUBELET;
    memcpy(asked.path, image->image.repository, sizeof(image->image.repository));
    resolve_chain_find(&resolve, &asked, &chain);
    if (!chain.rule)
        doctor_tell(caller, "rule", PULLKEY_STEP_NOTE, -1, "no-kubelet-rule",
                    "no rule of the system's configuration that names the kubelet is for %s: add "
                    "one with \"when\": {\"caller\": [\"kubelet\"]}",
                    image->registry.text);
    doctor_find_credential(caller, &config, CONFIG_KUBELET, image, ret);
    if (!caller->has_credential)
        compare(caller, around, &chain);
    return 0;
}

int doctor_kubelet(const struct admin_call *call, const struct doctor_image *image,
                   struct doctor_caller *caller, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_config struct config config = { 0 };
    cleanup_kubelet_check struct kubelet_check check = { 0 };
    struct surroundings around = { .text = BUFFER_INIT(ENVIRONMENT_MAX),
                                   .env = BUFFER_INIT(2 * ENVIRONMENT_MAX) };
    const struct kubelet_provider *provider;
    int r;

    caller->name = "kubelet";
    caller->is_containerd = true; /* which pulls with what the kubelet has */
    r = kubelet_check_run(call, &check, &config, error);
    if (r < 0)
        return r;
    doctor_tell(caller, "name", PULLKEY_STEP_FINE, -1, "",
                image->image.repository[0] != '\0' ? "image %s" : "registry %s", image->name);
    tell_findings(caller, &check);
    provider = find_provider(caller, &check, image);
    if (provider) {
        r = enter(&around, &check, provider, caller, error);
        if (r == 0)
            (void)ask_plugin(provider, &around, image, caller, &credential);
        if (around.own)
            leave(&around);
    }
    surroundings_done(&around);
    return r < 0 ? r : doctor_walk(call, caller, image, &credential, error);
}
