/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image references in the arguments of a command: what names its registry and cannot be much else.
 *
 *   registry.example.com/team/app:1.0     also with a port, a digest, or "docker://" or "oci://"
 *   localhost/app  10.0.0.1:5000/app      in front
 *   docker://team/app                     of Docker Hub: the transport says that it is an image
 *   --image=HOST/NAME  name=HOST/NAME,push=true
 *                                         whatever stands between '=' and ','
 *
 * A short name without "docker://" (nginx, team/app) is no reference here: any word could be one.
 * Nor is a URL, or a registry alone. Sources: the grammar of github.com/distribution/reference,
 * and its rule for what is a host: it has a dot or a port, or is "localhost".
 */
#ifndef PULLKEY_ADMIN_RUN_IMAGE_H
#define PULLKEY_ADMIN_RUN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#define RUN_AUTHORITY_MAX 261 /* a host of 255 bytes and a port */
#define RUN_REPOSITORY_MAX 255
#define RUN_TAG_MAX 255

struct run_image {
    char authority[RUN_AUTHORITY_MAX + 1]; /* "host" or "host:port", as it stands there */
    char repository[RUN_REPOSITORY_MAX + 1];
    char tag[RUN_TAG_MAX + 1]; /* or the digest, where there is one; "" without either */
};

/* One reference and nothing else. */
bool run_image_read(const char *text, struct run_image *ret);

/* The arguments end in NULL. Begin with `rest` NULL. */
struct run_images {
    char *const *arguments; /* what is not looked at yet */
    const char *rest;       /* of the argument before that */
};

/*
 * The next reference. The values of options that sound like a secret are passed over: what they
 * hold could come to stand in a message.
 */
bool run_images_next(struct run_images *images, struct run_image *ret);

#endif
