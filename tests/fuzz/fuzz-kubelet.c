/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin/kubelet-text, kubelet-pattern and base/go-duration: two lines. Nothing is read outside of a
 * text, the parts of a pattern come from it, a label meets itself, and meeting does not depend on
 * the order where both sides have '*' alone.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/kubelet-text.h"
#include "base/go-duration.h"
#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_line(const char *text)
{
    struct kubelet_pattern pattern;
    bool is_negative;

    (void)kubelet_scalar(text);
    (void)kubelet_is_annotation(text);
    if (go_duration(text, &is_negative) && is_negative)
        require(text[0] == '-');
    if (kubelet_pattern_read(text, &pattern) == KUBELET_REFUSED)
        return;
    require(strstr(text, pattern.host) && strstr(text, pattern.port) && strstr(text, pattern.path));
    require(strlen(pattern.host) + strlen(pattern.port) + strlen(pattern.path) <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *text = secret_copy((const char *)data, size);
    size_t one, other;
    char *second;

    require(text != NULL);
    one = strcspn(text, "\n");
    second = text[one] == '\n' ? text + one + 1 : text + one;
    text[one] = '\0';
    other = strlen(second);
    check_line(text);
    check_line(second);
    if (one > KUBELET_PATTERN_SIZE || other > KUBELET_PATTERN_SIZE)
        return 0;
    require(kubelet_globs_meet(text, one, text, one));
    require(kubelet_globs_meet(text, one, second, other) ==
            kubelet_globs_meet(second, other, text, one));
    return 0;
}
