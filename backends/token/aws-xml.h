/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of one element of an XML document: what STS answers needs no more. Refused: document
 * types, CDATA, entities beyond the five of XML and numbers, elements that do not fit together.
 */
#ifndef PULLKEY_TOKEN_AWS_XML_H
#define PULLKEY_TOKEN_AWS_XML_H

#include "base/buffer.h"

#define AWS_XML_DEPTH_MAX 16
#define AWS_XML_PATH_MAX 512

/*
 * `path` is "Root/Child/Name". The whole document is looked at. -PULLKEY_NOT_FOUND where there is
 * no such element; -PULLKEY_INVALID where there are two, where it has elements inside, or where the
 * document is none. No message quotes it.
 */
int aws_xml_find(const struct buffer *xml, const char *path, struct buffer *ret,
                 struct pullkey_error *error);

#endif
