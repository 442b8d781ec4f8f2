/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with one provider of a CredentialProviderConfig. */
#include "kubelet.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/go-duration.h"

#define NO_START "the kubelet does not start"

static const char *name_of(const struct kubelet_provider *provider)
{
    return provider->name ? provider->name : "the provider";
}

/* The member, or the provider where it is not there. */
static const cJSON *place_of(const struct kubelet_provider *provider, const char *key)
{
    const cJSON *item = json_member(provider->item, key);

    return item ? item : provider->item;
}

/* True: the member has a value of another type, which was said already. */
static bool is_odd(const struct kubelet_provider *provider, const cJSON *object, const char *key,
                   enum kubelet_type type)
{
    enum kubelet_type found = kubelet_type(provider->file, json_member(object, key));

    return found != KUBELET_TYPE_NULL && found != type;
}

/* -- Names ------------------------------------------------------------------------------------ */

static bool is_first_of_name(const struct kubelet_check *check,
                             const struct kubelet_provider *provider)
{
    for (const struct kubelet_provider *other = check->providers; other < provider; other++)
        if (other->name && strcmp(other->name, provider->name) == 0)
            return false;
    return true;
}

static bool is_name(const char *name)
{
    return !strpbrk(name, "/ ") && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void check_name(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const struct kubelet_file *file = provider->file;
    const cJSON *item = place_of(provider, "name");
    const char *name = provider->name;

    if (!name && !is_odd(provider, provider->item, "name", KUBELET_TYPE_STRING))
        kubelet_find(check, file, item, OUTPUT_ERROR, "name-missing",
                     "give it the name of its program", "a provider has no name: " NO_START);
    if (!name)
        return;
    if (!is_name(name))
        kubelet_find(check, file, item, OUTPUT_ERROR, "name-invalid",
                     "give the name of a program in the kubelet's directory, without a path",
                     "\"%s\" is no name, which has no slash and no blank: " NO_START, name);
    if (!is_first_of_name(check, provider))
        kubelet_find(check, file, item, OUTPUT_ERROR, "name-duplicate",
                     "make one of them, or give the program a second name with a link",
                     "there is another provider %s: " NO_START, name);
    if (strncmp(name, "docker-credential-", 18) == 0)
        kubelet_find(check, file, item, OUTPUT_WARNING, "wrong-protocol",
                     "name " KUBELET_PROGRAM ", and the helper in pullkey's configuration",
                     "%s is a helper of docker, and does not speak the kubelet's protocol", name);
}

/* -- What every provider has ------------------------------------------------------------------ */

static bool is_plugin_version(const char *version)
{
    static const char *const versions[] = { "v1", "v1beta1", "v1alpha1" };

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        if (strncmp(version, KUBELET_PLUGIN_GROUP, strlen(KUBELET_PLUGIN_GROUP)) == 0 &&
            strcmp(version + strlen(KUBELET_PLUGIN_GROUP), versions[i]) == 0)
            return true;
    return false;
}

static void check_version(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const char *version = kubelet_string(provider->file, provider->item, "apiVersion");

    if ((version && is_plugin_version(version)) ||
        is_odd(provider, provider->item, "apiVersion", KUBELET_TYPE_STRING))
        return;
    kubelet_find(
        check, provider->file, place_of(provider, "apiVersion"), OUTPUT_ERROR, "plugin-version",
        "write apiVersion: " KUBELET_PLUGIN_GROUP "v1", "%s: %s: " NO_START, name_of(provider),
        version ? "this is no version of the protocol of providers" : "it has no apiVersion");
}

static void check_duration(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const cJSON *item =
        kubelet_member(provider->file, provider->item, "defaultCacheDuration", KUBELET_TYPE_STRING);
    bool is_negative;

    if (is_odd(provider, provider->item, "defaultCacheDuration", KUBELET_TYPE_STRING))
        return;
    if (!item)
        kubelet_find(check, provider->file, place_of(provider, "defaultCacheDuration"),
                     OUTPUT_ERROR, "duration-missing", "write defaultCacheDuration: \"0s\"",
                     "%s has no defaultCacheDuration: " NO_START, name_of(provider));
    else if (!go_duration(item->valuestring, &is_negative))
        kubelet_find(check, provider->file, item, OUTPUT_ERROR, "duration-invalid",
                     "write a number with its unit, as \"5m\" or \"1h30m\"",
                     "%s: its defaultCacheDuration is no duration: " NO_START, name_of(provider));
    else if (is_negative)
        kubelet_find(check, provider->file, item, OUTPUT_ERROR, "duration-invalid",
                     "write \"0s\" to keep nothing",
                     "%s: its defaultCacheDuration is negative: " NO_START, name_of(provider));
}

static void check_match(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    if (is_odd(provider, provider->item, "matchImages", KUBELET_TYPE_LIST))
        return;
    if (!provider->match || !provider->match->child)
        kubelet_find(check, provider->file, place_of(provider, "matchImages"), OUTPUT_ERROR,
                     "match-missing", "name the registries that it serves",
                     "%s has no matchImages: " NO_START, name_of(provider));
    else
        kubelet_check_patterns(check, provider);
}

/* -- Environment ------------------------------------------------------------------------------ */

static bool sounds_secret(const char *name)
{
    static const char *const words[] = { "PASSWORD",   "PASSWD",      "TOKEN",
                                         "SECRET",     "APIKEY",      "API_KEY",
                                         "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIAL" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

/* A path, a URL, a duration or a choice is none. */
static bool may_be_secret(const char *value)
{
    bool is_negative;

    return strlen(value) >= 6 && value[0] != '/' && !strstr(value, "://") &&
           !go_duration(value, &is_negative) && kubelet_scalar(value) == KUBELET_STRING;
}

static void check_env(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const struct kubelet_file *file = provider->file;
    const cJSON *list = kubelet_member(file, provider->item, "env", KUBELET_TYPE_LIST);

    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        const char *name = cJSON_IsObject(item) ? kubelet_string(file, item, "name") : NULL;
        const char *value = cJSON_IsObject(item) ? kubelet_string(file, item, "value") : NULL;

        if (name && value && sounds_secret(name) && may_be_secret(value))
            kubelet_find(check, file, json_member(item, "value"), OUTPUT_WARNING, "env-secret",
                         "let the program read it from a file or a store",
                         "%s: %s seems to be a secret, in plain text", name_of(provider), name);
    }
}

void kubelet_check_provider(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    check_name(check, provider);
    check_version(check, provider);
    check_duration(check, provider);
    check_match(check, provider);
    check_env(check, provider);
    if (provider->tokens)
        kubelet_check_tokens(check, provider);
}

/* -- Programs --------------------------------------------------------------------------------- */

static void check_program(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    static const char fix[] =
        "install it there, or give the kubelet the directory that has it with "
        "--image-credential-provider-bin-dir";
    const cJSON *item = place_of(provider, "name");
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];
    struct stat status;

    if (file_join(path, check->node.bin_dir, provider->name, &ignored) < 0)
        return;
    if (stat(path, &status) < 0)
        kubelet_find(check, provider->file, item, OUTPUT_ERROR, "binary-missing", fix,
                     "%s: %s: " NO_START, path, strerror(errno));
    else if (S_ISDIR(status.st_mode))
        kubelet_find(check, provider->file, item, OUTPUT_ERROR, "binary-missing", fix,
                     "%s is a directory: " NO_START, path);
    else if (!(status.st_mode & 0111))
        kubelet_find(check, provider->file, item, OUTPUT_ERROR, "binary-not-executable",
                     "make it executable", "%s is not executable: " NO_START, path);
    else if (!S_ISREG(status.st_mode))
        kubelet_find(check, provider->file, item, OUTPUT_WARNING, "binary-missing", fix,
                     "%s is no file", path);
    else if ((status.st_mode & 022) || !file_is_trusted_owner(status.st_uid))
        kubelet_find(check, provider->file, item, OUTPUT_WARNING, "binary-writable",
                     "let it belong to root, and nobody else write to it",
                     "%s is run by root, and others can change it", path);
}

void kubelet_check_programs(struct kubelet_check *check)
{
    const char *directory = check->node.bin_dir;
    struct stat status;

    if (directory[0] == '\0') {
        findings_add(&check->findings, OUTPUT_NOTE, "bin-dir-unknown", NULL, 0,
                     "name it with --bin-dir",
                     "the kubelet's directory of programs is not known, so they are not looked at");
        return;
    }
    if (stat(directory, &status) < 0 || !S_ISDIR(status.st_mode)) {
        findings_add(&check->findings, OUTPUT_ERROR, "bin-dir-missing", directory, 0,
                     "make it, with a link to " KUBELET_PROGRAM " in it",
                     "this directory is not there: " NO_START);
        return;
    }
    for (size_t i = 0; i < check->provider_count; i++)
        if (check->providers[i].name && is_name(check->providers[i].name))
            check_program(check, &check->providers[i]);
}
