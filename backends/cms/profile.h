/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one form of CMS that a store has: what the writer puts between the parts that vary, and what
 * the gate wants to find there, byte for byte.
 *
 *   ContentInfo (RFC 5652 section 3)            SEQUENCE, id-ct-authEnvelopedData, [0]
 *     AuthEnvelopedData (RFC 5083 section 2.1)  SEQUENCE, version 0
 *       one KEKRecipientInfo (RFC 5652 6.2.3)   version 4, key identifier "pullkey",
 *                                               id-aes256-wrap (RFC 3565 2.3.2), 40 bytes
 *       EncryptedContentInfo                    SEQUENCE, id-data,
 *                                               aes256-GCM (RFC 5084 3.2): nonce 12, tag 16 bytes
 *         encryptedContent                      [0], primitive
 *       mac                                     OCTET STRING, 16 bytes
 *
 * DER only: definite lengths of minimal form. No attributes, no originator, nothing after the end.
 */
#ifndef PULLKEY_CMS_PROFILE_H
#define PULLKEY_CMS_PROFILE_H

/* Sealed, the size of the largest store. */
#define PROFILE_SIZE_MAX (1024 * 1024)

#define PROFILE_WRAPPED_SIZE 40
#define PROFILE_NONCE_SIZE 12
#define PROFILE_MAC_SIZE 16

#define PROFILE_SEQUENCE 0x30
#define PROFILE_CONTENT_INFO 0xa0 /* [0], constructed */
#define PROFILE_CONTENT 0x80      /* [0], primitive */

/* Text of bytes, so that sizeof minus one is the length. */
#define PROFILE_TYPE "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"
#define PROFILE_VERSION "\x02\x01\x00"
#define PROFILE_RECIPIENT "\x31\x47\xa2\x45\x02\x01\x04"
#define PROFILE_KEY_ID "\x30\x09\x04\x07pullkey"
#define PROFILE_WRAP "\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2d"
#define PROFILE_WRAPPED "\x04\x28"
#define PROFILE_DATA "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
#define PROFILE_CIPHER "\x30\x1e\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e"
#define PROFILE_NONCE "\x30\x11\x04\x0c"
#define PROFILE_TAG_SIZE "\x02\x01\x10"
#define PROFILE_MAC "\x04\x10"

#endif
