/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a CredentialProviderConfig, and what the kubelet could not decode. */
#include "kubelet.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/secret.h"

#define FILES_MAX 64

void kubelet_find(struct kubelet_check *check, const struct kubelet_file *file, const cJSON *item,
                  enum output_level level, const char *id, const char *fix, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    findings_add_list(&check->findings, level, id, file ? file->path : NULL,
                      item ? json_line(&file->json, item) : 0, fix, format, arguments);
    va_end(arguments);
}

/* -- Fields ----------------------------------------------------------------------------------- */

struct field {
    const char *name;
    enum kubelet_type type;
    enum kubelet_type elements;  /* of a list */
    const struct field *members; /* of an object, or of each element */
};

static const struct field env_fields[] = {
    { "name", KUBELET_TYPE_STRING },
    { "value", KUBELET_TYPE_STRING },
    { NULL },
};

static const struct field token_fields[] = {
    { "serviceAccountTokenAudience", KUBELET_TYPE_STRING },
    { "cacheType", KUBELET_TYPE_STRING },
    { "requireServiceAccount", KUBELET_TYPE_BOOL },
    { "requiredServiceAccountAnnotationKeys", KUBELET_TYPE_LIST, KUBELET_TYPE_STRING },
    { "optionalServiceAccountAnnotationKeys", KUBELET_TYPE_LIST, KUBELET_TYPE_STRING },
    { NULL },
};

static const struct field provider_fields[] = {
    { "name", KUBELET_TYPE_STRING },
    { "matchImages", KUBELET_TYPE_LIST, KUBELET_TYPE_STRING },
    { "defaultCacheDuration", KUBELET_TYPE_STRING },
    { "apiVersion", KUBELET_TYPE_STRING },
    { "args", KUBELET_TYPE_LIST, KUBELET_TYPE_STRING },
    { "env", KUBELET_TYPE_LIST, KUBELET_TYPE_OBJECT, env_fields },
    { "tokenAttributes", KUBELET_TYPE_OBJECT, KUBELET_TYPE_NULL, token_fields },
    { NULL },
};

static const struct field document_fields[] = {
    { "apiVersion", KUBELET_TYPE_STRING },
    { "kind", KUBELET_TYPE_STRING },
    { "providers", KUBELET_TYPE_LIST, KUBELET_TYPE_OBJECT, provider_fields },
    { NULL },
};

static const char *const type_names[] = {
    [KUBELET_TYPE_NULL] = "nothing",  [KUBELET_TYPE_BOOL] = "true or false",
    [KUBELET_TYPE_NUMBER] = "number", [KUBELET_TYPE_STRING] = "string",
    [KUBELET_TYPE_LIST] = "list",     [KUBELET_TYPE_OBJECT] = "object",
};

static void check_object(struct kubelet_check *check, const struct kubelet_file *file,
                         const cJSON *object, const struct field *fields);

/* Null is as if it were not there. */
static void check_type(struct kubelet_check *check, const struct kubelet_file *file,
                       const cJSON *item, const char *name, enum kubelet_type type,
                       const struct field *members)
{
    enum kubelet_type found = kubelet_type(file, item);

    if (found == KUBELET_TYPE_NULL)
        return;
    if (found != type)
        kubelet_find(check, file, item, OUTPUT_ERROR, "field-type",
                     file->is_yaml && type == KUBELET_TYPE_STRING
                         ? "put it into quotes"
                         : "write it as the kubelet has it",
                     "%s is a %s and must be a %s: the kubelet does not start", name,
                     type_names[found], type_names[type]);
    else if (members && type == KUBELET_TYPE_OBJECT)
        check_object(check, file, item, members);
}

static void check_field(struct kubelet_check *check, const struct kubelet_file *file,
                        const cJSON *item, const struct field *field)
{
    if (field->type != KUBELET_TYPE_LIST || !cJSON_IsArray(item)) {
        check_type(check, file, item, field->name, field->type, field->members);
        return;
    }
    for (const cJSON *element = item->child; element; element = element->next)
        check_type(check, file, element, field->name, field->elements, field->members);
}

static void check_object(struct kubelet_check *check, const struct kubelet_file *file,
                         const cJSON *object, const struct field *fields)
{
    bool is_ignored = kubelet_is_before(&check->node.version, KUBELET_STRICT);

    for (const cJSON *item = object->child; item; item = item->next) {
        const struct field *field = fields;

        while (field->name && strcmp(field->name, item->string) != 0)
            field++;
        if (field->name)
            check_field(check, file, item, field);
        else
            kubelet_find(check, file, item, is_ignored ? OUTPUT_WARNING : OUTPUT_ERROR,
                         "field-unknown", "remove it, or look at its spelling and its case",
                         is_ignored ? "there is no field \"%s\" here: the kubelet ignores it"
                                    : "there is no field \"%s\" here: the kubelet does not start",
                         item->string);
    }
}

/* -- The document ----------------------------------------------------------------------------- */

static void check_head(struct kubelet_check *check, const struct kubelet_file *file)
{
    static const char *const versions[] = { "v1", "v1beta1", "v1alpha1" };
    const cJSON *root = file->json.root;
    const char *version = kubelet_string(file, root, "apiVersion");
    const char *kind = kubelet_string(file, root, "kind");
    bool is_known = false;

    for (size_t i = 0; version && i < sizeof(versions) / sizeof(versions[0]); i++)
        is_known = is_known || (strncmp(version, KUBELET_GROUP, strlen(KUBELET_GROUP)) == 0 &&
                                strcmp(version + strlen(KUBELET_GROUP), versions[i]) == 0);
    if (!is_known)
        kubelet_find(check, file, json_member(root, "apiVersion"), OUTPUT_ERROR, "api-version",
                     "write apiVersion: kubelet.config.k8s.io/v1", "%s: the kubelet does not start",
                     version ? "this is no apiVersion of a CredentialProviderConfig"
                             : "there is no apiVersion");
    if (!kind || strcmp(kind, "CredentialProviderConfig") != 0)
        kubelet_find(check, file, json_member(root, "kind"), OUTPUT_ERROR, "kind",
                     "write kind: CredentialProviderConfig", "%s: the kubelet does not start",
                     kind ? "this is another kind" : "there is no kind");
}

static void add_providers(struct kubelet_check *check, const struct kubelet_file *file)
{
    const cJSON *list = kubelet_member(file, file->json.root, "providers", KUBELET_TYPE_LIST);

    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        struct kubelet_provider *provider = &check->providers[check->provider_count];

        if (check->provider_count == KUBELET_PROVIDERS_MAX) {
            kubelet_find(check, file, item, OUTPUT_WARNING, "providers-many",
                         "check files with fewer of them",
                         "what follows is not checked: there are more than %d providers",
                         KUBELET_PROVIDERS_MAX);
            return;
        }
        if (!cJSON_IsObject(item))
            continue;
        *provider = (struct kubelet_provider){
            .file = file,
            .item = item,
            .name = kubelet_string(file, item, "name"),
            .match = kubelet_member(file, item, "matchImages", KUBELET_TYPE_LIST),
            .tokens = kubelet_member(file, item, "tokenAttributes", KUBELET_TYPE_OBJECT),
        };
        provider->is_ours = provider->name &&
                            strncmp(provider->name, KUBELET_PROGRAM, strlen(KUBELET_PROGRAM)) == 0;
        check->provider_count++;
    }
}

void kubelet_check_document(struct kubelet_check *check, const struct kubelet_file *file)
{
    const cJSON *root = file->json.root;

    if (!root)
        return;
    if (!cJSON_IsObject(root)) {
        kubelet_find(check, file, NULL, OUTPUT_ERROR, "config-refused",
                     "run \"pullkey kubelet config\" for one that it reads",
                     "this is no object: the kubelet does not start");
        return;
    }
    check_head(check, file);
    check_object(check, file, root, document_fields);
    add_providers(check, file);
}

/* -- Files ------------------------------------------------------------------------------------ */

/* What pullkey does not read of YAML, the kubelet may read. */
static void add_problem(struct kubelet_check *check, const char *path,
                        const struct pullkey_error *why)
{
    bool is_refused = why->code != PULLKEY_UNSUPPORTED && !strstr(why->message, "supported") &&
                      !strstr(why->message, "a second document") &&
                      !strstr(why->message, "too many levels");

    findings_add_error(&check->findings, is_refused ? OUTPUT_ERROR : OUTPUT_WARNING,
                       is_refused ? "config-refused" : "config-not-checked", path,
                       why->code == PULLKEY_UNSUPPORTED ? "install the module \"yaml\" of pullkey"
                       : is_refused                     ? "mend it: the kubelet does not start"
                                                        : "write it in plain YAML",
                       why);
}

static int add_file(struct kubelet_check *check, const char *path, struct pullkey_error *error)
{
    struct pullkey_error why;
    int r;

    if (check->file_count == FILES_MAX)
        return error_set(error, PULLKEY_INVALID, "there are more than %d files", FILES_MAX);
    r = kubelet_file_read(path, &check->files[check->file_count++], &why);
    if (r == -PULLKEY_INTERNAL) {
        *error = why;
        return r;
    }
    if (r < 0)
        add_problem(check, path, &why);
    return 0;
}

static int is_config(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot &&
           (strcmp(dot, ".json") == 0 || strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_directory(struct kubelet_check *check, const char *directory,
                         struct pullkey_error *error)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_config, by_name), r = 0;

    if (count < 0)
        return error_errno(error, errno, "cannot read %s", directory);
    for (int i = 0; i < count; i++) {
        char path[FILE_PATH_MAX];
        struct stat status;

        if (r == 0)
            r = file_join(path, directory, entries[i]->d_name, error);
        if (r == 0 && (lstat(path, &status) < 0 || !S_ISDIR(status.st_mode)))
            r = add_file(check, path, error);
        free(entries[i]);
    }
    free(entries);
    if (r == 0 && kubelet_is_before(&check->node.version, KUBELET_TOKENS_BETA))
        findings_add(&check->findings, OUTPUT_ERROR, "directory-version", directory, 0,
                     "name one file",
                     "a kubelet before 1.34 reads no directory, and does not start");
    if (r == 0 && check->file_count == 0)
        findings_add(&check->findings, OUTPUT_ERROR, "directory-empty", directory, 0,
                     "put a file there, for example what \"pullkey kubelet config\" prints",
                     "it has no .json, .yaml or .yml file: the kubelet does not start");
    return r;
}

int kubelet_check_files(struct kubelet_check *check, struct pullkey_error *error)
{
    const char *path = check->node.config;
    struct stat status;
    int r;

    check->files = secret_alloc(FILES_MAX * sizeof(*check->files));
    if (!check->files)
        return error_memory(error);
    if (stat(path, &status) < 0) {
        findings_add(&check->findings, OUTPUT_ERROR, "config-missing", path, 0,
                     "write it, for example with what \"pullkey kubelet config\" prints",
                     "%s: the kubelet does not start", strerror(errno));
        return 0;
    }
    r = S_ISDIR(status.st_mode) ? add_directory(check, path, error) : add_file(check, path, error);
    for (size_t i = 0; r == 0 && i < check->file_count; i++)
        kubelet_check_document(check, &check->files[i]);
    return r;
}
