/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubelet/claims: the input is a token, or, if it begins with '{', the payload of one. The names of
 * what is taken are in the payload, and agree with its subject; a refusal is one of three
 * sentences, so it holds nothing of the token.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "kubelet/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_names(const uint8_t *data, size_t size, const struct pullkey_workload *workload)
{
    const char *const names[] = { workload->namespace_name,
                                  workload->service_account,
                                  workload->service_account_uid,
                                  workload->pod,
                                  workload->pod_uid,
                                  workload->node,
                                  workload->node_uid };
    cleanup_buffer struct buffer subject = BUFFER_INIT(JSON_SIZE_MAX);

    buffer_printf(&subject, "system:serviceaccount:%s:%s", names[0], names[1]);
    require(names[0][0] != '\0' && names[1][0] != '\0');
    if (memchr(data, '\\', size))
        return;
    require(memmem(data, size, subject.data, subject.length));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        require(memmem(data, size, names[i], strlen(names[i])));
}

static void check_error(const struct claims *claims, const struct pullkey_error *error)
{
    static const char *const sentences[] = {
        "what the kubelet sent as serviceAccountToken is no service account token",
        "the service account token that the kubelet sent has expired: is this machine's clock "
        "right?",
        "the service account token that the kubelet sent is not valid yet: is this machine's clock "
        "right?",
    };
    bool known = false;

    require(!claims->json.root && !claims->annotations.data && !claims->audiences.data);
    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
        known = known || (strcmp(error->message, sentences[i]) == 0 &&
                          error->code == (i == 0 ? PULLKEY_INVALID : PULLKEY_DENIED));
    require(known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer token = BUFFER_INIT(JSON_SIZE_MAX);
    const bool is_payload = size > 0 && data[0] == '{';
    cleanup_claims struct claims claims;
    struct pullkey_error error = { 0 };

    json_start();
    if (is_payload) {
        buffer_append_text(&token, "e30.");
        text_base64url_encode(&token, (const char *)data, size);
        buffer_append_text(&token, ".e30");
    } else {
        buffer_append(&token, (const char *)data, size);
    }
    if (buffer_check(&token, &error) < 0)
        size = 0;
    if (claims_read(token.data ? token.data : (char[]){ "" }, NULL, NULL, &claims, &error) < 0) {
        check_error(&claims, &error);
        return 0;
    }
    require(claims.workload.token.bytes == token.data && claims.workload.token_expiry > 0);
    require(strcmp(claims.workload.annotations, "{}") == 0);
    require(claims.workload.audiences[0] == '[' && strlen(claims.workload.audiences) > 2);
    if (is_payload)
        check_names(data, size, &claims.workload);
    return 0;
}
