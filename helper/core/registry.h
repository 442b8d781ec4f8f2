/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registry references: what clients send as "server", parsed, normalised and compared. Nothing here
 * touches the network.
 *
 * Two references name the same registry if scheme class (http or not), host and port are equal;
 * they are aliases if their paths are equal too. For https (or no scheme) a port of 443, slashes at
 * the end and one leading v1 or v2 path segment make no difference. Docker Hub is one registry
 * under all its names. Keys of the form nerdctl-experimental://... and Docker Hub's
 * .../access-token and .../refresh-token are opaque: they match their exact text only.
 */
#ifndef PULLKEY_CORE_REGISTRY_H
#define PULLKEY_CORE_REGISTRY_H

#include <pullkey/backend.h>

#define REGISTRY_HOST_MAX 255 /* RFC 1035 allows 253; brackets of IPv6 included */
#define REGISTRY_NAMES_MAX 64
#define REGISTRY_NAMES_SIZE 32768 /* of all names together */

struct registry_reference {
    char text[PULLKEY_KEY_MAX + 1];   /* trimmed, otherwise as given */
    char host[REGISTRY_HOST_MAX + 1]; /* canonical; "" for nerdctl-experimental:// */
    char
        path[PULLKEY_KEY_MAX + 1]; /* canonical: without v1 or v2 in front, without outer slashes */
    uint16_t port;                 /* 0: the default of the scheme */
    bool http;
    bool opaque;
};

/*
 * Parses `length` bytes. Outer blanks (space, tab, CR, LF) are trimmed. -PULLKEY_INVALID with a
 * message for everything that two parsers may read in two ways: control characters, blanks inside,
 * bytes outside ASCII, '%', '\', user info, an empty host, a trailing dot, a bad port, a host that
 * some parsers read as a number, another scheme, more than PULLKEY_KEY_MAX bytes. Empty input is
 * the caller's to check.
 */
int registry_parse(const char *bytes, size_t length, struct registry_reference *ret,
                   struct pullkey_error *error);

/*
 * "host[:port][/path]", in front of it "http://" where that is part of the key; the text itself if
 * opaque. A path that begins with v1 or v2 is written below "/v2", so that it is read back as it
 * is.
 */
#define REGISTRY_CANONICAL_MAX (PULLKEY_KEY_MAX + 64)
void registry_canonical(const struct registry_reference *reference,
                        char ret[REGISTRY_CANONICAL_MAX]);

/* As pullkey_host.match describes it. */
int registry_match(const struct pullkey_request *request, const char *stored_key, bool shorten);

/* True if erase and store of the request mean this key too: exact text or an alias of the same
 * path. */
bool registry_is_alias(const struct pullkey_request *request, const char *stored_key);

/*
 * A request and the names in it, which point into each other: fill with registry_request, do not
 * copy. A path has room for all its shorter forms if it has at most 28 segments and 255 bytes (the
 * limit of a repository's name in the OCI distribution specification); of a longer one the shortest
 * forms but the registry itself are left out.
 */
struct registry_request {
    struct pullkey_request request;
    const char *names[REGISTRY_NAMES_MAX];
    char storage[REGISTRY_NAMES_SIZE];
    size_t used; /* of storage */
};

void registry_request(const struct registry_reference *reference, int64_t deadline_ms,
                      struct registry_request *ret);

/*
 * Patterns of rules: "host[:port][/path]" in which '*' stands for any part of one label. A pattern
 * without a port matches no reference with one; a path matches itself and what is below it, by
 * whole segments; "**" alone matches everything. registry_pattern_check says -PULLKEY_INVALID what
 * is wrong with one.
 */
int registry_pattern_check(const char *pattern, struct pullkey_error *error);
bool registry_pattern_matches(const char *pattern, const struct registry_reference *reference);

/* The first thing in which a pattern and a reference differ. A later one is nearer to a match. */
enum registry_fit {
    REGISTRY_OTHER_HOST,
    REGISTRY_OTHER_SCHEME,
    REGISTRY_OTHER_PORT,
    REGISTRY_OTHER_PATH,
    REGISTRY_FITS,
};
enum registry_fit registry_pattern_fit(const char *pattern,
                                       const struct registry_reference *reference);

/* True if it matches some paths of the reference's registry and not all. */
bool registry_pattern_divides(const char *pattern, const struct registry_reference *reference);

#endif
