/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <string.h>

#include "base/error.h"
#include "profile.h"

/* What is left of the element that is being read, and what was wrong with it first. */
struct cursor {
    const unsigned char *at;
    size_t left;
    const char *fault;
};

#define FIXED(cursor, constant, fault) take_fixed(cursor, constant, sizeof(constant) - 1, fault)

static void take_fixed(struct cursor *cursor, const char *constant, size_t length,
                       const char *fault)
{
    if (cursor->fault)
        return;
    if (cursor->left < length || memcmp(cursor->at, constant, length) != 0) {
        cursor->fault = fault;
        return;
    }
    cursor->at += length;
    cursor->left -= length;
}

static const unsigned char *take_bytes(struct cursor *cursor, size_t length)
{
    const unsigned char *bytes = cursor->at;

    if (cursor->fault)
        return NULL;
    if (cursor->left < length) {
        cursor->fault = "it is cut short";
        return NULL;
    }
    cursor->at += length;
    cursor->left -= length;
    return bytes;
}

/* A definite length in its shortest form (X.690 section 10.1); SIZE_MAX with a fault otherwise. */
static size_t take_length(struct cursor *cursor)
{
    const unsigned char *first = take_bytes(cursor, 1);
    const unsigned char *digits;
    size_t count, length = 0;

    if (!first)
        return SIZE_MAX;
    if (*first < 0x80)
        return *first;
    count = *first & 0x7fU;
    if (count == 0) {
        cursor->fault = "it has an indefinite length";
        return SIZE_MAX;
    }
    /* PROFILE_SIZE_MAX needs three. */
    digits = count <= 3 ? take_bytes(cursor, count) : NULL;
    if (digits)
        for (size_t i = 0; i < count; i++)
            length = length << 8 | digits[i];
    if (!digits || digits[0] == 0 || length < 0x80) {
        cursor->fault = "a length is malformed";
        return SIZE_MAX;
    }
    return length;
}

/* The head of an element; what follows is `length` bytes, which are there. */
static size_t take_head(struct cursor *cursor, unsigned char tag, const char *fault)
{
    const unsigned char *found = take_bytes(cursor, 1);
    size_t length;

    if (found && *found != tag)
        cursor->fault = fault;
    length = take_length(cursor);
    if (!cursor->fault && length > cursor->left)
        cursor->fault = "it is cut short";
    return length;
}

/* An element that must reach to the end of the one around it, which must therefore end with it. */
static void enter_last(struct cursor *cursor, unsigned char tag, const char *fault)
{
    size_t length = take_head(cursor, tag, fault);

    if (!cursor->fault && length != cursor->left)
        cursor->fault = "there is something after its end";
}

static void read_recipient(struct cursor *cursor, struct gate_parts *parts)
{
    FIXED(cursor, PROFILE_RECIPIENT, "its recipient is not one symmetric key");
    FIXED(cursor, PROFILE_KEY_ID, "it is for a key of another name");
    FIXED(cursor, PROFILE_WRAP, "its key is not wrapped with AES-256");
    FIXED(cursor, PROFILE_WRAPPED, "its wrapped key is not of 40 bytes");
    parts->wrapped_key = take_bytes(cursor, PROFILE_WRAPPED_SIZE);
}

static void read_content(struct cursor *cursor, struct gate_parts *parts)
{
    size_t length;

    FIXED(cursor, PROFILE_DATA, "its content is not plain data");
    FIXED(cursor, PROFILE_CIPHER, "its cipher is not AES-256-GCM");
    FIXED(cursor, PROFILE_NONCE, "its nonce is not of 12 bytes");
    parts->nonce = take_bytes(cursor, PROFILE_NONCE_SIZE);
    FIXED(cursor, PROFILE_TAG_SIZE, "its tag is not of 16 bytes");
    length = take_head(cursor, PROFILE_CONTENT, "its content is not one piece");
    parts->content = take_bytes(cursor, length);
    parts->content_length = length;
}

int gate_open(const char *bytes, size_t length, struct gate_parts *ret, struct pullkey_error *error)
{
    struct cursor cursor = { .at = (const unsigned char *)bytes, .left = length };
    struct cursor content;
    struct gate_parts parts;
    size_t content_length;

    if (length > PROFILE_SIZE_MAX)
        return error_set(error, PULLKEY_INVALID, "it is larger than %d bytes", PROFILE_SIZE_MAX);
    enter_last(&cursor, PROFILE_SEQUENCE, "it is not CMS");
    FIXED(&cursor, PROFILE_TYPE, "it is not authenticated");
    enter_last(&cursor, PROFILE_CONTENT_INFO, "it is not CMS");
    enter_last(&cursor, PROFILE_SEQUENCE, "it is not CMS");
    FIXED(&cursor, PROFILE_VERSION, "its version is not 0");
    read_recipient(&cursor, &parts);
    content_length = take_head(&cursor, PROFILE_SEQUENCE, "its content is missing");
    content = (struct cursor){ .at = cursor.at, .left = content_length, .fault = cursor.fault };
    read_content(&content, &parts);
    if (!content.fault && content.left != 0)
        content.fault = "there is something after its content";
    cursor.fault = content.fault;
    (void)take_bytes(&cursor, content_length);
    FIXED(&cursor, PROFILE_MAC, "there are attributes in it, or its tag is not of 16 bytes");
    parts.mac = take_bytes(&cursor, PROFILE_MAC_SIZE);
    if (!cursor.fault && cursor.left != 0)
        cursor.fault = "there is something after its tag";
    if (cursor.fault)
        return error_set(error, PULLKEY_INVALID, "%s", cursor.fault);
    *ret = parts;
    return 0;
}
