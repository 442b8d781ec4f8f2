/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "expiry.h"
#include "http/proxy.h"

enum kind { KIND_TEXT, KIND_TEXTS, KIND_OBJECT, KIND_LIST, KIND_NUMBER, KIND_VERSION };

struct member {
    const char *name;
    enum kind kind;
    bool is_required;
};

static bool has_kind(const cJSON *item, enum kind kind)
{
    const cJSON *each;

    switch (kind) {
    case KIND_TEXT: return cJSON_IsString(item);
    case KIND_OBJECT: return cJSON_IsObject(item);
    case KIND_LIST: return cJSON_IsArray(item);
    case KIND_NUMBER:
        return cJSON_IsNumber(item) && item->valuedouble == item->valueint && item->valueint >= 0 &&
               item->valueint <= EXPIRY_MAX_SECONDS;
    case KIND_VERSION: return cJSON_IsNumber(item) && item->valuedouble == 1;
    case KIND_TEXTS:
        if (!cJSON_IsObject(item))
            return false;
        cJSON_ArrayForEach(each, item) {
            if (!cJSON_IsString(each))
                return false;
        }
        return true;
    default: return false;
    }
}

static const struct member *find_member(const struct member members[], const char *name)
{
    for (; members->name; members++)
        if (strcmp(members->name, name) == 0)
            return members;
    return NULL;
}

static int check_members(const struct json *json, const cJSON *object,
                         const struct member members[], struct pullkey_error *error)
{
    static const char *const wanted[] = {
        [KIND_TEXT] = "text",
        [KIND_TEXTS] = "an object of texts",
        [KIND_OBJECT] = "an object",
        [KIND_LIST] = "a list",
        [KIND_NUMBER] = "a whole number of seconds up to a week",
        [KIND_VERSION] = "1",
    };
    const cJSON *item;

    if (!cJSON_IsObject(object))
        return json_error(json, object, error, "must be an object");
    cJSON_ArrayForEach(item, object) {
        const struct member *member = find_member(members, item->string);

        if (!member)
            return json_error(json, item, error, "no recipe has such a member");
        if (!has_kind(item, member->kind))
            return json_error(json, item, error, "must be %s", wanted[member->kind]);
    }
    for (; members->name; members++)
        if (members->is_required && !json_member(object, members->name))
            return json_error(json, object, error, "has no \"%s\"", members->name);
    return 0;
}

static bool is_reserved(const char *name)
{
    return strcmp(name, "host") == 0 || strcmp(name, "path") == 0 || strcmp(name, "identity") == 0;
}

static int check_variables(const struct recipe *recipe, struct pullkey_error *error)
{
    static const struct member members[] = {
        { "description", KIND_TEXT, true },
        { "default", KIND_TEXT, false },
        { NULL, 0, false },
    };
    const cJSON *item;
    int r = 0;

    cJSON_ArrayForEach(item, recipe->variables) {
        if (!text_is_name(item->string, RECIPE_NAME_MAX) || is_reserved(item->string))
            return json_error(&recipe->json, item, error,
                              "a variable is called a-z, 0-9, - and _, and not host, path or "
                              "identity");
        r = check_members(&recipe->json, item, members, error);
        if (r < 0)
            break;
    }
    return r;
}

/* "HOST", or "*.DOMAIN" for one more label. */
static int check_registries(const struct recipe *recipe, struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, recipe->registries) {
        struct pullkey_error cause;
        const char *name = item->valuestring;
        struct url url;

        if (!cJSON_IsString(item))
            return json_error(&recipe->json, item, error, "must be text");
        if (strncmp(name, "*.", 2) == 0)
            name += 2;
        if (url_parse_authority(name, &url, &cause) < 0 || strcmp(url.host, name) != 0 ||
            !strchr(name, '.'))
            return json_error(&recipe->json, item, error,
                              "must be a registry's host in lower case, or *.DOMAIN");
    }
    return 0;
}

/* The name in "${NAME}", if the text is nothing else. */
static bool is_variable(const struct recipe *recipe, const char *text)
{
    const size_t length = strlen(text);
    char name[RECIPE_NAME_MAX + 1];

    if (length < 4 || length > RECIPE_NAME_MAX + 3 || strncmp(text, "${", 2) != 0 ||
        text[length - 1] != '}')
        return false;
    memcpy(mempcpy(name, text + 2, length - 3), "", 1);
    return json_member(recipe->variables, name) != NULL;
}

/* "https://HOST", "https://${host}", or a variable of the configuration and nothing else. */
static int check_servers(const struct recipe *recipe, struct pullkey_error *error)
{
    const cJSON *item;

    if (cJSON_GetArraySize(recipe->servers) > RECIPE_SERVERS_MAX)
        return json_error(&recipe->json, recipe->servers, error, "has more than %d servers",
                          RECIPE_SERVERS_MAX);
    cJSON_ArrayForEach(item, recipe->servers) {
        struct pullkey_error cause;
        struct url url;

        if (!cJSON_IsString(item))
            return json_error(&recipe->json, item, error, "must be text");
        if (strcmp(item->valuestring, "https://${host}") == 0 ||
            is_variable(recipe, item->valuestring))
            continue;
        if (url_parse(item->valuestring, &url, &cause) < 0 || !url.https ||
            strcmp(url.target, "/") != 0 || proxy_is_forbidden(&url) ||
            strspn(item->valuestring + 8, "abcdefghijklmnopqrstuvwxyz0123456789.:-[]") !=
                strlen(item->valuestring + 8))
            return json_error(&recipe->json, item, error,
                              "must be https://HOST in lower case and without a path, "
                              "https://${host} or a variable");
    }
    return 0;
}

const cJSON *recipe_server_of(const struct recipe *recipe, const char *url)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, recipe->servers) {
        const size_t length = strlen(item->valuestring);

        if (strncmp(url, item->valuestring, length) == 0 && url[length] == '/')
            return item;
    }
    return NULL;
}

/* What a text may use. */
struct names {
    const struct recipe *recipe;
    const cJSON *before; /* what stands in steps before this one has been taken; NULL: in all */
    bool in_address;     /* no secret, and nothing of an answer */
    bool in_pointer;     /* variables alone */
};

static bool is_taken(const struct names *names, const char *name)
{
    const cJSON *step;

    cJSON_ArrayForEach(step, names->recipe->steps) {
        if (step == names->before)
            break;
        if (json_member(json_member(step, "take"), name))
            return true;
    }
    return false;
}

static bool is_known(const struct names *names, const char *name)
{
    if (json_member(names->recipe->variables, name))
        return !names->in_address || !is_taken(&(struct names){ .recipe = names->recipe }, name);
    if (names->in_pointer)
        return false;
    if (strcmp(name, "host") == 0 || strcmp(name, "path") == 0)
        return true;
    return !names->in_address &&
           (strcmp(name, "identity") == 0 ||
            (strncmp(name, "identity.", 9) == 0 && name[9] != '\0') || is_taken(names, name));
}

static int check_text(const struct names *names, const cJSON *item, struct pullkey_error *error)
{
    const char *at = item->valuestring, *found;
    size_t length;

    while ((found = recipe_next_name(&at, &length)) != NULL) {
        char name[64];

        if (length >= sizeof(name))
            return json_error(&names->recipe->json, item, error, "has a name that is too long");
        memcpy(mempcpy(name, found, length), "", 1);
        if (!is_known(names, name))
            return json_error(&names->recipe->json, item, error,
                              names->in_address || names->in_pointer
                                  ? "may hold variables%s, and nothing else in ${}"
                                  : "has in ${} what is no variable and was not taken before%s",
                              names->in_address ? ", host and path" : "");
    }
    return strstr(at, "${")
               ? json_error(&names->recipe->json, item, error, "has a \"${\" without its \"}\"")
               : 0;
}

static int check_texts(const struct names *names, const cJSON *members, struct pullkey_error *error)
{
    const cJSON *item;
    int r = 0;

    cJSON_ArrayForEach(item, members) {
        const cJSON *number = json_member(item, "number");

        if (r == 0 && cJSON_IsObject(item) && (!cJSON_IsString(number) || item->child->next))
            r = json_error(&names->recipe->json, item, error,
                           "must be text, or an object with \"number\" alone");
        if (r == 0)
            r = check_text(names, cJSON_IsObject(item) ? number : item, error);
    }
    return r;
}

static int check_url(const struct names *names, const cJSON *item, struct pullkey_error *error)
{
    const cJSON *server = recipe_server_of(names->recipe, item->valuestring);
    const char *path;

    if (!server)
        return json_error(&names->recipe->json, item, error,
                          "must begin with one of \"servers\" as it stands there, and a '/'");
    path = item->valuestring + strlen(server->valuestring);
    for (const char *c = path; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f || strchr("?#\\\"<>^`|", *c))
            return json_error(&names->recipe->json, item, error,
                              "holds a character that no path may have; parameters go to "
                              "\"query\"");
    if (recipe_path_climbs(path))
        return json_error(&names->recipe->json, item, error, "has \".\" or \"..\" as a part");
    return check_text(names, item, error);
}

/* Those that say where a request goes or ends are not a recipe's to set. */
static int check_headers(const struct names *names, const cJSON *members,
                         struct pullkey_error *error)
{
    static const char *const forbidden[] = {
        "host",   "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade",
        "expect", "cookie",         "authorization"
    };
    const cJSON *item;

    if (cJSON_GetArraySize(members) > RECIPE_HEADERS_MAX)
        return json_error(&names->recipe->json, members, error, "has more than %d headers",
                          RECIPE_HEADERS_MAX);
    cJSON_ArrayForEach(item, members) {
        const char *name = item->string;

        if (name[0] == '\0' || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789-_") != strlen(name))
            return json_error(&names->recipe->json, item, error, "is no name of a header");
        for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
            if (strcasecmp(name, forbidden[i]) == 0 || strncasecmp(name, "proxy-", 6) == 0)
                return json_error(&names->recipe->json, item, error,
                                  "is no header that a recipe may set; \"basic\" and \"bearer\" "
                                  "make Authorization");
    }
    return check_texts(names, members, error);
}

static int check_take(const struct names *names, const cJSON *members, struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, members) {
        if (item->valuestring[0] != '/' || !text_is_name(item->string, RECIPE_NAME_MAX) ||
            is_reserved(item->string))
            return json_error(&names->recipe->json, item, error,
                              "must be a JSON pointer, as /token, under a name of a-z, 0-9, - "
                              "and _ that is not host, path or identity");
    }
    return check_texts(&(struct names){ .recipe = names->recipe, .in_pointer = true }, members,
                       error);
}

static int check_parts(const struct names *names, const cJSON *step, struct pullkey_error *error)
{
    static const struct member basic[] = {
        { "username", KIND_TEXT, true },
        { "password", KIND_TEXT, true },
        { NULL, 0, false },
    };
    static const char *const texts[] = { "query", "form", "json", "basic" };
    const struct names address = { .recipe = names->recipe, .in_address = true };
    const cJSON *item = json_member(step, "basic");
    int r = 0;

    if (item && json_member(step, "bearer"))
        return json_error(&names->recipe->json, item, error, "excludes \"bearer\"");
    if (item)
        r = check_members(&names->recipe->json, item, basic, error);
    if (r == 0)
        r = check_url(&address, json_member(step, "url"), error);
    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
        r = check_texts(names, json_member(step, texts[i]), error);
    if (r == 0)
        r = check_headers(names, json_member(step, "headers"), error);
    item = json_member(step, "bearer");
    if (r == 0 && item)
        r = check_text(names, item, error);
    return r == 0 ? check_take(names, json_member(step, "take"), error) : r;
}

static int check_step(const struct recipe *recipe, const cJSON *step, struct pullkey_error *error)
{
    static const struct member members[] = {
        { "method", KIND_TEXT, true },
        { "url", KIND_TEXT, true },
        { "query", KIND_TEXTS, false },
        { "form", KIND_TEXTS, false },
        { "json", KIND_OBJECT, false },
        { "headers", KIND_TEXTS, false },
        { "basic", KIND_TEXTS, false },
        { "bearer", KIND_TEXT, false },
        { "expect", KIND_LIST, false },
        { "take", KIND_TEXTS, true },
        { NULL, 0, false },
    };
    const struct json *json = &recipe->json;
    const cJSON *method, *item;
    int r = check_members(json, step, members, error);

    if (r < 0)
        return r;
    method = json_member(step, "method");
    if (strcmp(method->valuestring, "GET") != 0 && strcmp(method->valuestring, "POST") != 0)
        return json_error(json, method, error, "must be GET or POST");
    if (!!json_member(step, "form") + !!json_member(step, "json") !=
        (method->valuestring[0] == 'P'))
        return json_error(json, step, error, "a POST has a \"form\" or \"json\", a GET neither");
    cJSON_ArrayForEach(item, json_member(step, "json")) {
        if (!cJSON_IsString(item) && !cJSON_IsObject(item))
            return json_error(json, item, error,
                              "must be text, or an object with \"number\" alone");
    }
    cJSON_ArrayForEach(item, json_member(step, "expect")) {
        if (!cJSON_IsNumber(item) || item->valuedouble != item->valueint || item->valueint < 200 ||
            item->valueint > 299)
            return json_error(json, item, error, "must be a status from 200 to 299");
    }
    return check_parts(&(struct names){ .recipe = recipe, .before = step }, step, error);
}

static bool has_text(const cJSON *item, const char *text)
{
    for (; item; item = item->next)
        if ((cJSON_IsString(item) && strstr(item->valuestring, text)) ||
            has_text(item->child, text))
            return true;
    return false;
}

/* In a step or in the answer. */
static bool uses(const struct recipe *recipe, const char *text)
{
    return has_text(recipe->steps ? recipe->steps->child : NULL, text) ||
           has_text(recipe->answer->child, text);
}

static int check_answer(const struct recipe *recipe, struct pullkey_error *error)
{
    static const struct member members[] = {
        { "username", KIND_TEXT, true },
        { "secret", KIND_TEXT, true },
        { "expires_in", KIND_TEXT, false },
        { "lifetime", KIND_NUMBER, false },
        { NULL, 0, false },
    };
    static const char *const texts[] = { "username", "secret", "expires_in" };
    const struct names names = { .recipe = recipe };
    int r = check_members(&recipe->json, recipe->answer, members, error);

    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        const cJSON *item = json_member(recipe->answer, texts[i]);

        if (item)
            r = check_text(&names, item, error);
    }
    return r;
}

static int check_recipe(struct recipe *recipe, struct pullkey_error *error)
{
    static const struct member members[] = {
        { "version", KIND_VERSION, true },  { "description", KIND_TEXT, true },
        { "registries", KIND_LIST, false }, { "variables", KIND_OBJECT, false },
        { "identity", KIND_OBJECT, false }, { "servers", KIND_LIST, false },
        { "steps", KIND_LIST, false },      { "answer", KIND_OBJECT, true },
        { "$schema", KIND_TEXT, false },    { NULL, 0, false },
    };
    const cJSON *root = recipe->json.root, *step;
    int r = check_members(&recipe->json, root, members, error);

    if (r < 0)
        return r;
    recipe->registries = json_member(root, "registries");
    recipe->variables = json_member(root, "variables");
    recipe->identity = json_member(root, "identity");
    recipe->servers = json_member(root, "servers");
    recipe->steps = json_member(root, "steps");
    recipe->answer = json_member(root, "answer");
    recipe->asks_identity = uses(recipe, "${identity");
    recipe->uses_path = uses(recipe, "${path}");
    r = check_variables(recipe, error);
    if (r == 0)
        r = check_registries(recipe, error);
    if (r == 0)
        r = check_servers(recipe, error);
    if (r == 0 && cJSON_GetArraySize(recipe->steps) > RECIPE_STEPS_MAX)
        r = json_error(&recipe->json, recipe->steps, error, "has more than %d steps",
                       RECIPE_STEPS_MAX);
    cJSON_ArrayForEach(step, recipe->steps) {
        if (r == 0)
            r = check_step(recipe, step, error);
    }
    return r == 0 ? check_answer(recipe, error) : r;
}

int recipe_parse(const char *name, const char *text, size_t length, struct recipe *ret,
                 struct pullkey_error *error)
{
    struct recipe recipe = { .name = name };
    int r = json_parse(&recipe.json, name, text, length, JSON_COMMENTS, error);

    if (r == 0)
        r = check_recipe(&recipe, error);
    if (r < 0) {
        recipe_done(&recipe);
        return r;
    }
    *ret = recipe;
    return 0;
}

void recipe_done(struct recipe *recipe)
{
    json_done(&recipe->json);
}

bool recipe_serves(const struct recipe *recipe, const char *host, uint16_t port)
{
    const cJSON *item;

    if (!recipe->registries)
        return true;
    cJSON_ArrayForEach(item, recipe->registries) {
        const char *name = item->valuestring;
        const char *rest = strncmp(name, "*.", 2) == 0 ? strchr(host, '.') : NULL;

        if (port == 0 &&
            (strcmp(host, name) == 0 || (rest && rest > host && strcmp(rest + 1, name + 2) == 0)))
            return true;
    }
    return false;
}
