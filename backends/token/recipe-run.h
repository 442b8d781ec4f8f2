/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a recipe: what its parts share. */
#ifndef PULLKEY_TOKEN_RECIPE_RUN_H
#define PULLKEY_TOKEN_RECIPE_RUN_H

#include "exchange.h"
#include "identity.h"
#include "recipe.h"

#define RECIPE_TEXT_MAX (4 * PULLKEY_SECRET_MAX)

struct recipe_run {
    struct exchange *exchange;
    const struct recipe *recipe;
    struct identity_token identity;
    struct recipe_values values;
    /* The addresses of its servers, from before anybody has answered. */
    struct recipe_server {
        const cJSON *item;
        struct url url;
        char text[URL_TARGET_MAX]; /* without a '/' at its end */
    } servers[RECIPE_SERVERS_MAX];
    size_t server_count;
    /* "HOST answers without /token", of the last step that missed something. */
    char missing[200];
    const cJSON *missing_step;
};

int recipe_run_servers(struct recipe_run *run, struct pullkey_error *error);

/* What one request is made of, until it is sent. */
struct recipe_request {
    struct http_request request;
    struct url url;
    struct buffer query, body, username, secret;
    struct buffer lines[RECIPE_HEADERS_MAX];
    const char *headers[RECIPE_HEADERS_MAX + 1];
    struct pullkey_secret secret_view, body_view;
};

/* `ret` must stay where it is. Release with recipe_request_done, after an error too. */
int recipe_request_make(const struct recipe_run *run, const cJSON *step, struct recipe_request *ret,
                        struct pullkey_error *error);
void recipe_request_done(struct recipe_request *request);

#define cleanup_recipe_request __attribute__((cleanup(recipe_request_done)))

#endif
