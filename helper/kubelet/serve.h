/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the kubelet, from its text to the text of the answer. */
#ifndef PULLKEY_KUBELET_SERVE_H
#define PULLKEY_KUBELET_SERVE_H

#include "base/buffer.h"

#define SERVE_NAME "pullkey-kubelet"
#define SERVE_DEADLINE_MS 25000 /* the kubelet kills at 60 s */
#define SERVE_MARGIN_SECONDS 60 /* before its expiry the kubelet is to ask for another one */

/*
 * No credential is an answer: an empty one, which the kubelet keeps for a while, so that it does
 * not start the plugin at each attempt to pull. Anything that went wrong is an error, and the
 * plugin's failure. The kubelet is served by rules that name it and by the system's configuration
 * only.
 */
int serve(const struct buffer *input, int64_t deadline_ms, struct buffer *ret,
          struct pullkey_error *error);

#endif
