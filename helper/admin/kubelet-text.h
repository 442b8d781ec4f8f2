/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of a CredentialProviderConfig as the kubelet reads them; its durations are in
 * base/go-duration.h. Sources: Go's path/filepath.Match, go.yaml.in/yaml/v2 (resolve.go),
 * k8s.io/kubernetes/pkg/credentialprovider (keyring.go), k8s.io/apimachinery (validation of
 * qualified names).
 */
#ifndef PULLKEY_ADMIN_KUBELET_TEXT_H
#define PULLKEY_ADMIN_KUBELET_TEXT_H

#include <pullkey/backend.h>

enum kubelet_scalar { KUBELET_STRING, KUBELET_NULL, KUBELET_TRUE, KUBELET_FALSE, KUBELET_NUMBER };

/* What a plain scalar of YAML (1.1, as the kubelet has it) is. */
enum kubelet_scalar kubelet_scalar(const char *text);

/* True for a key of an annotation. */
bool kubelet_is_annotation(const char *text);

#define KUBELET_PATTERN_SIZE 512

/* A pattern of images, taken apart. */
struct kubelet_pattern {
    char host[KUBELET_PATTERN_SIZE]; /* with '*'; labels between dots */
    char port[KUBELET_PATTERN_SIZE]; /* "" for none */
    char path[KUBELET_PATTERN_SIZE]; /* from the slash on, "" for none */
};

/* What is wrong with a pattern, worst first. */
enum kubelet_flaw {
    KUBELET_FINE,
    KUBELET_REFUSED,   /* the kubelet does not start */
    KUBELET_LONG,      /* longer than an image's name: matches nothing */
    KUBELET_SCHEME,    /* "https://": matches nothing */
    KUBELET_NO_HOST,   /* matches nothing */
    KUBELET_ADDRESS,   /* IPv6 without a port: matches nothing */
    KUBELET_QUERY,     /* what follows '?' or '#' is not seen */
    KUBELET_USER,      /* what stands before '@' is not seen */
    KUBELET_PATH_GLOB, /* '*' in a path: matches nothing */
    KUBELET_DIGEST,    /* matches nothing */
    KUBELET_TAG,       /* matches nothing */
    KUBELET_CASE,      /* a capital in a path: matches nothing */
    KUBELET_LONE_STAR, /* "*" matches hosts without a dot only */
    KUBELET_HUB_NAME,  /* another name of docker.io: matches nothing */
    KUBELET_HUB_SHORT, /* docker.io/NAME is docker.io/library/NAME */
    KUBELET_HTTPS,     /* ":443" matches images that are written so only */
    KUBELET_PREFIX,    /* a path that does not end with its segment */
};

/* *ret is filled as far as the kubelet sees it, except where it is refused. */
enum kubelet_flaw kubelet_pattern_read(const char *text, struct kubelet_pattern *ret);

/* Is there a text that both match? '*' stands for any text. Go reads no class in the host of a URL.
 */
bool kubelet_globs_meet(const char *a, size_t a_length, const char *b, size_t b_length);

#endif
