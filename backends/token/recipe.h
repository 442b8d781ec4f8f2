/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanges that a file describes. pullkey-recipe(5) is the manual of the format:
 *
 *   {
 *     "version": 1,
 *     "description": "...",
 *     "registries": [ "HOST", "*.DOMAIN" ],
 *     "variables": { "NAME": { "description": "...", "default": "..." } },
 *     "identity": { "github": "AUDIENCE" },
 *     "servers": [ "https://HOST[:PORT]", "https://${host}", "${NAME}" ],
 *     "steps": [ {
 *       "method": "POST", "url": "SERVER/path/${NAME}",
 *       "query" | "form" | "json": { "KEY": "TEXT" }, "headers": { "NAME": "TEXT" },
 *       "basic": { "username": "TEXT", "password": "TEXT" } | "bearer": "TEXT",
 *       "expect": [ 200, 201 ], "take": { "NAME": "/json/pointer" }
 *     } ],
 *     "answer": { "username": "TEXT", "secret": "TEXT", "expires_in": "TEXT", "lifetime": SECONDS }
 *   }
 *
 * In TEXT, ${NAME} is a variable of the configuration, what a step has taken, ${identity} (the
 * identity token), ${host} (host[:port] of the registry), ${path} (of the image), or
 * ${identity.CLAIM} (a claim of the identity token). A member whose text turns out empty is left
 * out.
 *
 * A recipe asks its servers and nobody else. Each address begins with one of them, letter by
 * letter; what a variable puts behind it is encoded and cannot leave the server; what an answer or
 * the identity token holds is in no address at all.
 */
#ifndef PULLKEY_TOKEN_RECIPE_H
#define PULLKEY_TOKEN_RECIPE_H

#include "base/json.h"

#define RECIPE_STEPS_MAX 4
#define RECIPE_SERVERS_MAX 3
#define RECIPE_HEADERS_MAX 8
#define RECIPE_VALUES_MAX 32
#define RECIPE_NAME_MAX 31
#define RECIPE_FILE_MAX 65536

struct recipe {
    struct json json;
    const char *name;
    const cJSON *registries, *variables, *identity, *servers, *steps, *answer; /* checked */
    bool asks_identity; /* some text has ${identity} or a claim */
    bool uses_path;     /* some text has ${path} */
};

/* Checks everything that can be checked without a request. `name` must outlive it. Release with
 * recipe_done. */
int recipe_parse(const char *name, const char *text, size_t length, struct recipe *ret,
                 struct pullkey_error *error);
void recipe_done(struct recipe *recipe);

/* Whether the recipe is for this registry; without "registries" it is for any. */
bool recipe_serves(const struct recipe *recipe, const char *host, uint16_t port);

/* The server that an address of a step begins with, as the recipe writes it; NULL: none. */
const cJSON *recipe_server_of(const struct recipe *recipe, const char *url);

/* Where a value is from, and so where it may stand. */
enum recipe_origin {
    RECIPE_VARIABLE, /* the configuration, or a default */
    RECIPE_REQUEST,  /* ${host} and ${path}: the client chooses */
    RECIPE_SECRET,   /* the identity token, and what servers answered */
};

/* What ${...} stands for. */
struct recipe_values {
    struct {
        char name[RECIPE_NAME_MAX + 1];
        enum recipe_origin origin;
        struct pullkey_secret value;
    } items[RECIPE_VALUES_MAX];
    size_t count;
    const cJSON *claims; /* of the identity token; NULL: none are known */
};

int recipe_set(struct recipe_values *values, const char *name, enum recipe_origin origin,
               const char *bytes, size_t length, struct pullkey_error *error);
void recipe_values_done(struct recipe_values *values);

enum recipe_place {
    RECIPE_TEXT,    /* as it is */
    RECIPE_PATH,    /* percent-encoded; in a variable of the configuration '/' stays */
    RECIPE_POINTER, /* as one part of a JSON pointer */
};

/* Puts the values into a text. A name without a value stands for nothing. */
int recipe_expand(const struct recipe_values *values, const char *text, enum recipe_place place,
                  struct buffer *ret, struct pullkey_error *error);

/* Whether some value in a text is a secret as far as anybody knows. */
bool recipe_is_secret(const struct recipe_values *values, const char *text);

/*
 * The next ${NAME} of a text, as what is between the brackets; NULL: there is none. *at walks
 * through the text and is past the bracket then.
 */
const char *recipe_next_name(const char **at, size_t *ret_length);

/* Whether a path has "." or ".." as a part, also encoded: a server would take it for another. */
bool recipe_path_climbs(const char *path);

/* The value at a JSON pointer (RFC 6901) that is text, a number or true or false, as text. False if
 * there is none. */
bool recipe_point(const cJSON *root, const char *pointer, struct buffer *ret);

/*
 * What a server says of a refusal, as text that is fit for a message, with nothing of the values
 * that are secrets; "" for nothing. *ret_again: it says that it may work later.
 */
#define RECIPE_REASON_SIZE 200
void recipe_reason(const struct buffer *body, const struct recipe_values *values,
                   char ret[RECIPE_REASON_SIZE], bool *ret_again);

/* For recipes that are files. */
struct provider;
extern const struct provider recipe_provider;

#endif
