/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exec plugins of a kubeconfig (client.authentication.k8s.io/v1 and v1beta1): a program that
 * prints an ExecCredential with a token, or a client certificate and its key.
 *
 * The program is found as kubectl finds it: a name in PATH, else a path, relative ones to the
 * kubeconfig. It has the caller's environment, less what process_is_hostile names, what the
 * kubeconfig adds, and KUBERNETES_EXEC_INFO; nothing on standard input, and nothing that it writes
 * to standard error is shown: a secret may be in it.
 */
#ifndef PULLKEY_KUBERNETES_EXEC_CREDENTIAL_H
#define PULLKEY_KUBERNETES_EXEC_CREDENTIAL_H

#include "kubeconfig.h"

/*
 * What is not in the answer stays empty. `depth` as in struct pullkey_instance.
 * -PULLKEY_UNREACHABLE where the program fails or is too slow, -PULLKEY_INVALID for an answer or a
 * kubeconfig that is wrong, or a program that is not there. Nothing of that is remembered.
 */
int exec_credential_get(const struct pullkey_host *host, const struct kubeconfig *config,
                        uint32_t depth, int64_t deadline_ms, struct pullkey_secret *ret_token,
                        struct pullkey_secret *ret_certificate, struct pullkey_secret *ret_key,
                        struct pullkey_error *error);

#endif
