/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts directories: which of them containerd looks at, and which files it takes. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "render-text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* -- Releases --------------------------------------------------------------------------------- */

/* A directory that no config_path names may be anybody's. */
static const struct node_config *reader_of(const struct check *check, const struct check_root *root)
{
    return root->config ? root->config : &check->node.configs[0];
}

bool check_may_be_before(const struct check *check, const struct check_root *root, int major,
                         int minor, int patch)
{
    return node_may_be_before(reader_of(check, root), major, minor, patch);
}

bool check_may_be_from(const struct check *check, const struct check_root *root, int major,
                       int minor, int patch)
{
    return node_may_be_from(reader_of(check, root), major, minor, patch);
}

bool check_release_is_known(const struct check *check, const struct check_root *root)
{
    return reader_of(check, root)->version.is_known;
}

enum output_level check_level(const struct check *check, const struct check_root *root,
                              enum output_level level)
{
    return check_release_is_known(check, root) ? level : OUTPUT_NOTE;
}

bool check_is_rendered(const struct check *check, const struct check_root *root,
                       const struct hosts_file *file)
{
    bool is_managed = false;

    for (size_t i = 0; i < file->host_count; i++)
        is_managed = is_managed || hosts_host_is_managed(&file->hosts[i]);
    return is_managed && check->reads_target && !root->config &&
           strcmp(root->hosts.inner, check_source(check)) == 0;
}

/* -- Keys ------------------------------------------------------------------------------------- */

static bool is_one_of(const char *key, const char *const *names)
{
    for (; *names; names++)
        if (text_equal_any_case(key, *names))
            return true;
    return false;
}

/* Keys of containerd in any case, ours as they are; others do nothing. */
static void check_keys(struct check *check, const char *path, const struct toml_item *table,
                       bool is_root, const char *host)
{
    static const char *const known[] = { "capabilities", "ca",     "client",
                                         "skip_verify",  "header", "override_path",
                                         "dial_timeout", NULL };
    static const char *const secrets[] = { "password",       "token",  "identitytoken",
                                           "identity_token", "secret", NULL };

    for (const struct toml_item *item = table->first; item; item = item->next) {
        bool ours = strcmp(item->key, "auth") == 0 && item->kind == TOML_TABLE;

        if (is_one_of(item->key, known) || ours || is_one_of(item->key, secrets) ||
            (is_root && is_one_of(item->key, (const char *const[]){ "server", "host", NULL })) ||
            (!is_root && strcmp(item->key, "credHelper") == 0) ||
            (strcmp(item->key, "auth") == 0 && item->kind == TOML_STRING))
            continue;
        if (text_equal_any_case(item->key, "auth") && item->kind == TOML_TABLE)
            check_at(check, OUTPUT_ERROR, "helper-misplaced", path, item,
                     "write auth, as in [host.\"URL\".auth]", "a table %s does nothing", item->key);
        else if (text_equal_any_case(item->key, "credHelper"))
            check_at(check, OUTPUT_ERROR, "helper-misplaced", path, item,
                     "write it as credHelper in [host.\"URL\".auth], or in [auth] for server",
                     "%s does nothing here", item->key);
        else
            check_at(check, OUTPUT_WARNING, "unknown-key", path, item,
                     "correct or remove it: it does nothing",
                     "%s of %s is no key that containerd has", item->key, host);
    }
}

static void check_auth_keys(struct check *check, const char *path, const struct toml_item *table)
{
    static const char *const known[] = { "credHelper", "assumeLifetime", "allowInsecure" };
    const struct toml_item *auth = toml_member(table, "auth");

    for (const struct toml_item *item = auth && auth->kind == TOML_TABLE ? auth->first : NULL; item;
         item = item->next) {
        bool is_known = false, is_like = text_equal_any_case(item->key, "credHelper") ||
                                         text_equal_any_case(item->key, "credsStore") ||
                                         text_equal_any_case(item->key, "cred_helper") ||
                                         text_equal_any_case(item->key, "credential_helper");

        for (size_t i = 0; i < COUNT(known); i++)
            is_known = is_known || strcmp(item->key, known[i]) == 0;
        if (!is_known)
            check_at(check, is_like ? OUTPUT_ERROR : OUTPUT_WARNING,
                     is_like ? "helper-misplaced" : "unknown-key", path, item,
                     is_like ? "write it as credHelper" : "correct or remove it: it does nothing",
                     "%s in [auth] does nothing", item->key);
    }
}

/* -- Hosts ------------------------------------------------------------------------------------ */

static void check_capabilities(struct check *check, const struct check_root *root,
                               const struct node_host_directory *directory,
                               const struct hosts_host *host)
{
    /* Where the daemon finds the release as well. */
    bool is_removed =
        check_release_is_known(check, root) && check_is_rendered(check, root, &directory->file);
    const char *path = directory->path;
    const struct toml_item *list = hosts_member(host->table, "capabilities");

    if (!list)
        return;
    if (hosts_has_capability(host, "referrers") && !is_removed &&
        check_may_be_before(check, root, 2, 2, 0))
        check_at(check, check_level(check, root, OUTPUT_ERROR), "referrers-before-2.2", path, list,
                 "remove \"referrers\"; without capabilities a host has all of them",
                 "containerd before 2.2 ignores the whole file for the capability \"referrers\", "
                 "and pulls from the registry itself");
    if (hosts_has_capability(host, "push") && !hosts_has_capability(host, "pull") &&
        !hosts_has_capability(host, "resolve") && (host->authorization || host->helper))
        check_at(check, OUTPUT_NOTE, "push-only-credential", path, list, "list the host last",
                 "this host is for pushes only, and still sees requests for blobs, with its "
                 "credential");
}

static void check_dial_timeout(struct check *check, const struct check_root *root, const char *path,
                               const struct hosts_host *host)
{
    const struct toml_item *item = hosts_member(host->table, "dial_timeout");

    if (!item)
        return;
    if (host->is_http && check_may_be_from(check, root, 2, 0, 0) &&
        check_may_be_before(check, root, 2, 1, 0))
        check_at(check, check_level(check, root, OUTPUT_WARNING), "dial-timeout-http", path, item,
                 "remove dial_timeout, or upgrade containerd",
                 "with dial_timeout, containerd 2.0 tries this http:// host with https first");
    else if (check_release_is_known(check, root) && check_may_be_before(check, root, 2, 0, 0))
        check_at(check, OUTPUT_NOTE, "dial-timeout-ignored", path, item, "upgrade containerd",
                 "containerd 1 does not know dial_timeout");
}

static void check_insecure(struct check *check, const char *path, const struct hosts_host *host,
                           const char *name)
{
    const char *how = host->is_http ? "http://" : "skip_verify";

    if (host->helper || !host->authorization || (!host->is_http && !host->skip_verify))
        return;
    check_at(check, OUTPUT_ERROR, "insecure-credential", path, host->authorization,
             "use https with a ca", "the credential of %s can be read on the way (%s)", name, how);
}

static void check_file_exists(struct check *check, const struct node_host_directory *directory,
                              const struct toml_item *item)
{
    char inner[FILE_PATH_MAX];
    struct pullkey_error why;
    struct stat status;
    int length;

    if (item->kind != TOML_STRING || item->string[0] == '\0')
        return;
    if (strstr(item->string, "-----BEGIN ")) {
        check_at(check, OUTPUT_ERROR, "certificate-missing", directory->path, item,
                 "write it to a file, and the path of that here",
                 "a certificate or key stands here itself, and containerd takes it for a path: no "
                 "pull from this host can work");
        return;
    }
    if (item->string[0] == '/')
        length = snprintf(inner, sizeof(inner), "%s", item->string);
    else
        length = snprintf(inner, sizeof(inner), "%.*s/%s",
                          (int)(strrchr(directory->inner, '/') - directory->inner),
                          directory->inner, item->string);
    if (length < 0 || length >= (int)sizeof(inner))
        return;
    if (node_stat(&check->node, inner, &status, &why) < 0)
        check_at(check, OUTPUT_ERROR, "certificate-missing", directory->path, item,
                 "put the file there, or correct the path",
                 "%s is not there: no pull from this host can work", inner);
}

static void check_certificates(struct check *check, const struct node_host_directory *directory,
                               const struct toml_item *table, const char *key)
{
    const struct toml_item *item = hosts_member(table, key);

    if (!item)
        return;
    check_file_exists(check, directory, item);
    for (const struct toml_item *member = item->kind == TOML_ARRAY ? item->first : NULL; member;
         member = member->next) {
        check_file_exists(check, directory, member);
        for (const struct toml_item *one = member->kind == TOML_ARRAY ? member->first : NULL; one;
             one = one->next)
            check_file_exists(check, directory, one);
    }
}

/* [header] without a host: the last host of this file is whatever a pod names. */
static void check_default_header(struct check *check, const struct node_host_directory *directory,
                                 const struct hosts_host *host)
{
    const struct toml_item *headers = hosts_member(host->table, "header");

    if (strcmp(directory->name, "_default") != 0 || host->name)
        return;
    for (const struct toml_item *item = headers && headers->kind == TOML_TABLE ? headers->first
                                                                               : NULL;
         item; item = item->next)
        if (check_is_secret_name(item->key))
            check_at(check, OUTPUT_ERROR, "default-header", directory->path, item,
                     "put it into the [host.\"URL\"] that it is for, and change the secret",
                     "%s in [header] of _default is sent to whatever registry a pod names",
                     item->key);
}

/* Registries that are known to answer a header with a challenge for Bearer tokens. */
static bool is_known_bearer(const struct registry_reference *reference)
{
    static const char *const names[] = { "docker.io", "ghcr.io", "quay.io", "registry.gitlab.com" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(reference->host, names[i]) == 0 && reference->port == 0)
            return true;
    return false;
}

static void check_bearer(struct check *check, const struct check_root *root, const char *path,
                         const struct hosts_host *host, const char *name)
{
    const struct toml_item *item = host->helper_item ? host->helper_item : host->authorization;
    const struct check_answer *answer = check_find_answer(check, host->reference);
    bool has_answer = answer && answer->is_known;

    if (!(host->helper || host->authorization) || !host->reference ||
        !check_may_be_before(check, root, 2, 1, 0))
        return;
    if (has_answer ? strcmp(answer->result.scheme, "Bearer") == 0
                   : is_known_bearer(host->reference))
        check_at(check, check_level(check, root, OUTPUT_ERROR), "bearer-before-2.1", path,
                 item ? item : host->table,
                 "upgrade containerd to 2.1 or later, or use a kubelet credential provider",
                 "%s asks for Bearer tokens, for which containerd before 2.1 does not send the "
                 "credential",
                 name);
    else if (!has_answer && check_release_is_known(check, root))
        check_at(check, OUTPUT_NOTE, "bearer-unknown", path, item ? item : host->table,
                 "see what \"curl -i https://HOST/v2/\" answers; containerd 2.1 can do both",
                 "if %s asks for Bearer tokens, containerd before 2.1 does not send the credential",
                 name);
}

/* containerd puts https:// in front of what does not begin with "http". */
static void check_scheme(struct check *check, const char *path, const struct hosts_host *host)
{
    const struct toml_item *server = host->is_server ? hosts_member(host->table, "server") : NULL;
    const char *name = host->name;

    if ((host->is_server && !server) || !name || strncmp(name, "http://", 7) == 0 ||
        strncmp(name, "https://", 8) == 0 ||
        (strncmp(name, "http", 4) != 0 && !strstr(name, "://")))
        return;
    check_at(check, OUTPUT_ERROR, "url-scheme", path, server ? server : host->table,
             "begin it with https://",
             "%s does not begin with https:// or http://, and containerd takes something else for "
             "the host",
             check_host_name(name));
}

static void check_host(struct check *check, const struct check_root *root,
                       const struct node_host_directory *directory, const struct hosts_host *host)
{
    const char *name = host->name ? check_host_name(host->name) : directory->name;

    check_keys(check, directory->path, host->table, host->is_server, name);
    check_auth_keys(check, directory->path, host->table);
    check_scheme(check, directory->path, host);
    check_capabilities(check, root, directory, host);
    check_dial_timeout(check, root, directory->path, host);
    check_insecure(check, directory->path, host, name);
    check_bearer(check, root, directory->path, host, name);
    check_certificates(check, directory, host->table, "ca");
    check_certificates(check, directory, host->table, "client");
    if (host->is_server)
        check_default_header(check, directory, host);
    if (host->name && check_has_user(host->name))
        check_at(check, OUTPUT_ERROR, "url-credential", directory->path, host->table,
                 "remove it from the URL, and name a credHelper",
                 "the URL of %s has a user name in it, which containerd ignores", name);
    if (host->problem)
        check_at(check, OUTPUT_ERROR, "helper-problem", directory->path,
                 host->helper_item ? host->helper_item : host->table,
                 "correct it: pullkey does not serve this host", "%s: %s", name, host->problem);
    else if (host->helper && (host->is_http || host->skip_verify))
        check_at(check, OUTPUT_NOTE, "insecure-allowed", directory->path,
                 host->helper_item ? host->helper_item : host->table, "use https with a ca",
                 "the credential of %s can be read on the way, as allowInsecure says", name);
    if (host->helper)
        check->has_helpers = true;
}

/* -- Files ------------------------------------------------------------------------------------ */

/* A mirror gets what a pod's pull secret says, if it asks. */
static void check_mirrors(struct check *check, const struct node_host_directory *directory)
{
    char registry[REGISTRY_HOST_MAX + 8];

    hosts_directory_registry(directory->name, registry);
    registry[strcspn(registry, ":")] = '\0';
    for (size_t i = 0; i + 1 < directory->file.host_count; i++) {
        const struct hosts_host *host = &directory->file.hosts[i];

        if (host->helper || host->authorization || !host->reference ||
            strcmp(host->reference->host, registry) == 0)
            continue;
        check_at(check, OUTPUT_NOTE, "mirror-gets-pull-secrets", directory->path, host->table,
                 "use mirrors that you trust with the secrets of pods",
                 "if this mirror asks for credentials, containerd sends it the pull secrets of "
                 "pods");
        return;
    }
}

static void check_unread(struct check *check, const struct node_host_directory *directory)
{
    const char *fix = "make it a file that containerd can read: every pull fails";

    if (directory->text.state == BUFFER_FULL)
        fix = "shorten it: containerd has no such limit, but pullkey does not render the file";
    findings_add_error(&check->findings, OUTPUT_ERROR, "hosts-file-unreadable", directory->path,
                       fix, &directory->problem);
}

void check_host_files(struct check *check, const struct check_root *root,
                      const struct node_host_directory *directory)
{
    const struct hosts_file *file = &directory->file;
    const struct toml_item *hosts = toml_member(file->toml.root, "host");

    check_secrets(check, directory);
    if (directory->problem.code != PULLKEY_OK) {
        if (!directory->toml.root && !directory->text.data)
            check_unread(check, directory);
        else
            findings_add_error(&check->findings, OUTPUT_ERROR, "hosts-file-refused",
                               directory->path,
                               "correct it: containerd ignores the file, and pulls from the "
                               "registry itself",
                               &directory->problem);
        check_no_table(check, root, directory);
        return;
    }
    if (!directory->has_file)
        return;
    for (size_t i = 0; i < file->host_count; i++)
        check_host(check, root, directory, &file->hosts[i]);
    check_host_tables(check, root, directory);
    if (file->toml.root->first && file->host_count <= 1 && !(hosts && hosts->first) &&
        check_may_be_before(check, root, 1, 7, 32) &&
        !(check_is_rendered(check, root, file) && render_adds_host(file)))
        findings_add(&check->findings, check_level(check, root, OUTPUT_ERROR), "server-only",
                     directory->path, 0, "add a table [host.\"URL\"] for the server",
                     "containerd up to 1.7.31 ignores a file without a [host.\"URL\"]");
    check_mirrors(check, directory);
}

/* -- Directories ------------------------------------------------------------------------------ */

const struct node_host_directory *check_find_directory(const struct check_root *root,
                                                       const char *name)
{
    const struct node_hosts *hosts = &root->hosts;
    size_t from = 0, to = hosts->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(name, hosts->directories[middle].name);

        if (order == 0)
            return &hosts->directories[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

static char *directory_path(const struct check_root *root, const char *name, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s/%s", root->hosts.path, name);
    return ret;
}

void check_shadows(struct check *check, const struct check_root *root,
                   const struct node_host_directory *directory)
{
    static const char *const hub[] = { "registry-1.docker.io", "index.docker.io",
                                       "registry.hub.docker.com", "hub.docker.com", NULL };
    bool is_empty =
        !directory->has_file || (directory->file.toml.root && !directory->file.toml.root->first);
    bool is_refused = directory->problem.code != PULLKEY_OK;
    char path[2 * FILE_PATH_MAX], registry[REGISTRY_HOST_MAX + 8];

    directory_path(root, directory->name, path, sizeof(path));
    hosts_directory_registry(directory->name, registry);
    if (is_one_of(directory->name, hub))
        findings_add(&check->findings, OUTPUT_WARNING, "hub-directory", path, 0,
                     "call it docker.io",
                     "containerd looks for Docker Hub in docker.io, and never here");
    if (strcmp(registry, directory->name) != 0 && check_find_directory(root, registry))
        findings_add(&check->findings, OUTPUT_WARNING, "directory-shadowed", path, 0,
                     "keep one of the two", "this directory is read instead of %s", registry);
    if (is_empty && !is_refused && strcmp(directory->name, "_default") != 0 &&
        check_find_directory(root, "_default"))
        findings_add(&check->findings, OUTPUT_WARNING, "default-shadowed", path, 0,
                     directory->has_certificates ? "write a hosts.toml that names the hosts"
                                                 : "remove the directory, or write a hosts.toml",
                     "there is no hosts.toml with a host in it, and _default is not looked at for "
                     "this registry");
    else if (is_empty && !is_refused && !directory->has_certificates)
        findings_add(&check->findings, OUTPUT_NOTE, "directory-empty", path, 0,
                     "remove the directory, or write a hosts.toml", "nothing in it says anything");
}

/* A _default in a directory that is looked at first. */
static void check_earlier_default(struct check *check, const struct check_root *root)
{
    for (const struct check_root *earlier = check->roots; earlier < root; earlier++) {
        if (!root->config || earlier->config != root->config ||
            !check_find_directory(earlier, "_default"))
            continue;
        for (size_t i = 0; i < root->hosts.count; i++) {
            const struct node_host_directory *directory = &root->hosts.directories[i];
            char path[2 * FILE_PATH_MAX];

            if (check_find_directory(earlier, directory->name))
                continue;
            findings_add(&check->findings, OUTPUT_ERROR, "default-hides-directory",
                         directory_path(root, directory->name, path, sizeof(path)), 0,
                         "have everything in one directory",
                         "it is never looked at: %s/_default comes first", earlier->hosts.path);
        }
    }
}

void check_hosts(struct check *check, const struct check_root *root)
{
    if (root->is_target)
        return;
    for (size_t i = 0; i < root->hosts.count; i++) {
        if (strcmp(root->hosts.directories[i].name, "_backup") == 0) {
            findings_add(&check->findings, OUTPUT_NOTE, "managed-spegel", root->hosts.path, 0,
                         "name helpers in \"containerd\": {\"hosts\": ...} of pullkey's "
                         "configuration",
                         "_backup is what Spegel keeps: it writes this directory itself");
            continue;
        }
        check_shadows(check, root, &root->hosts.directories[i]);
        check_host_files(check, root, &root->hosts.directories[i]);
    }
    check_entries(check, root);
    check_trust(check, root);
    check_earlier_default(check, root);
}
