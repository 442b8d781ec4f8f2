/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"
#include "doctor.h"

#include <string.h>

#include "base/error.h"
#include "core/credential.h"
#include "core/module.h"
#include "import.h"
#include "instances.h"
#include "run-process.h"
#include "setup.h"

#define HUB_HOST "docker.io"
#define HUB_KEY "https://index.docker.io/v1/"

/* -- Rules ------------------------------------------------------------------------------------ */

static bool is_in_chain(const struct resolve_chain *chain, const struct config_instance *instance)
{
    for (size_t i = 0; i < chain->count; i++)
        if (strcmp(chain->items[i]->name, instance->name) == 0 &&
            chain->items[i]->options == instance->options)
            return true;
    return false;
}

/* By its list, for which nobody is asked for a password. */
static bool has_one(const struct resolve *resolve, const struct config_instance *instance,
                    const struct pullkey_request *request)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    struct pullkey_error ignored;

    if (resolve_open(resolve, instance, &opened, &ignored) < 0 ||
        !(opened.backend->module.capabilities & PULLKEY_CAN_LIST) ||
        opened.backend->list(opened.state, resolve->deadline_ms, &list, &ignored) < 0)
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (registry_match(request, list.entries[i].server, true) > 0)
            return true;
    return false;
}

/* docker sends no path: what a rule has for one is for others. */
static bool has_rule_for_path(const struct resolve *resolve, const struct doctor_image *image,
                              const struct config_rule *rule, const struct config_rule **ret)
{
    struct registry_reference whole = image->registry;

    memcpy(whole.path, image->image.repository, sizeof(image->image.repository));
    *ret = config_find_rule(resolve->config, &whole, &resolve->asker);
    return *ret && *ret != rule;
}

void doctor_look_around(struct doctor_caller *caller, const struct resolve *resolve,
                        const struct doctor_image *image)
{
    cleanup_instances struct instances instances = { 0 };
    char place[CONFIG_RULE_NAME_MAX], other[CONFIG_RULE_NAME_MAX];
    const struct config_rule *narrow;
    struct registry_request request;
    struct pullkey_error ignored;
    struct resolve_chain chain;

    resolve_chain_find(resolve, &image->registry, &chain);
    config_rule_name(chain.rule, place);
    registry_request(&image->registry, resolve->deadline_ms, &request);
    if (has_rule_for_path(resolve, image, chain.rule, &narrow)) {
        config_rule_name(narrow, other);
        doctor_tell(caller, "rules", PULLKEY_STEP_NOTE, -1, "rule-with-path",
                    "docker names the registry alone, so %s, which has a path, is not for it: take "
                    "the path out of its \"match\"",
                    other);
    }
    if (instances_collect(resolve->config, &instances, &ignored) < 0)
        return;
    for (size_t i = 0; i < instances.count; i++) {
        const struct config_instance *instance = &instances.items[i];

        if (is_in_chain(&chain, instance) || !has_one(resolve, instance, &request.request))
            continue;
        doctor_tell(caller, "rules", PULLKEY_STEP_NOTE, -1, "wrong-rule",
                    "%s has a credential for %s, and %s does not ask it: name it there",
                    instance->name, image->registry.text, place);
    }
}

/* -- docker ----------------------------------------------------------------------------------- */

/* As docker login writes it. */
static const char *docker_key(const struct doctor_image *image)
{
    const char *text = image->registry.text;
    const char *host = strstr(text, "://");

    return strcmp(image->registry.host, HUB_HOST) == 0 ? HUB_KEY : host ? host + 3 : text;
}

/* Only where docker is installed can it be what is to pull. */
static void look_without_file(struct doctor_caller *caller, const char *path)
{
    char where[FILE_PATH_MAX];

    if (admin_has_program("docker nerdctl"))
        doctor_tell(caller, "docker", PULLKEY_STEP_NOTE, -1, "docker-asks-nobody",
                    "there is no %s, so docker does not ask pullkey: run \"pullkey setup docker "
                    "--write\"",
                    path);
    else if (admin_podman_asks(where))
        doctor_tell(caller, "podman", PULLKEY_STEP_FINE, -1, "", "%s: podman asks pullkey", where);
    else
        doctor_tell(caller, "docker", PULLKEY_STEP_NOTE, -1, "",
                    "there is no %s, so docker, if it is to pull, does not ask pullkey", path);
}

void doctor_look_at_docker(struct doctor_caller *caller, const struct doctor_image *image)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_json struct json document = { 0 };
    char name[] = "docker-credential-pullkey";
    char *const program[] = { name, NULL };
    const char *key = docker_key(image), *helper;
    struct run_program found;
    char path[FILE_PATH_MAX];
    struct pullkey_error error;
    int r = import_docker_path(path, &error);
    bool is_named;

    if (r == 0)
        r = file_read(path, FILE_INPUT, 0, &text, NULL, &error);
    if (r == 0)
        r = json_parse(&document, path, text.data ? text.data : "", text.length, JSON_ANY_CASE,
                       &error);
    if (r == -PULLKEY_NOT_FOUND) {
        look_without_file(caller, path);
        return;
    }
    if (r < 0) {
        doctor_tell(caller, "docker", PULLKEY_STEP_NOTE, -1, "docker-asks-nobody",
                    "%s; that is docker's own file, which docker cannot read either",
                    error.message);
        return;
    }
    helper = import_helper_of(&document, key);
    is_named = json_member(json_member(document.root, "credHelpers"), key) != NULL;
    if (helper && strcmp(helper, "pullkey") == 0 && run_program_find(program, &found, &error) < 0)
        doctor_tell(caller, "docker", PULLKEY_STEP_NOTE, -1, "docker-finds-no-helper",
                    "%s has docker ask pullkey, and the PATH does not lead to %s: put it there",
                    path, program[0]);
    else if (helper && strcmp(helper, "pullkey") == 0)
        doctor_tell(caller, "docker", PULLKEY_STEP_FINE, -1, "", "%s: docker asks pullkey", path);
    else if (helper)
        doctor_tell(caller, "docker", PULLKEY_STEP_NOTE, -1, "docker-asks-another",
                    "%s has docker ask docker-credential-%s for %s, and not pullkey: run "
                    "\"pullkey setup docker --write%s%s\"",
                    path, helper, key, is_named ? " --for " : "", is_named ? key : "");
    else if (json_member(setup_member(document.root, "auths"), key))
        doctor_tell(caller, "docker", PULLKEY_STEP_NOTE, -1, "docker-plain-entry",
                    "docker takes the entry in \"auths\" of %s for %s, and does not ask pullkey: "
                    "run \"pullkey setup docker --write\"",
                    path, key);
    else
        doctor_tell(caller, "docker", PULLKEY_STEP_NOTE, -1, "docker-asks-nobody",
                    "%s names no helper for %s, so docker does not ask pullkey: run "
                    "\"pullkey setup docker --write\"",
                    path, key);
}
