/* SPDX-License-Identifier: Apache-2.0 */
#include "sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define KEY_BITS_MIN 2048
#define SIGNATURE_MAX 2048 /* bytes: a key of 16384 bits */
#define JWT_MAX (2 * PULLKEY_SECRET_MAX)

int sign_sha256(const void *bytes, size_t length, unsigned char ret[SIGN_SHA256_SIZE],
                struct pullkey_error *error)
{
    return EVP_Digest(bytes, length, ret, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : error_set(error, PULLKEY_INTERNAL, "libcrypto cannot compute SHA-256");
}

int sign_hmac(const void *key, size_t key_length, const void *bytes, size_t length,
              unsigned char ret[SIGN_SHA256_SIZE], struct pullkey_error *error)
{
    unsigned int size = SIGN_SHA256_SIZE;

    if (key_length > INT32_MAX ||
        !HMAC(EVP_sha256(), key, (int)key_length, bytes, length, ret, &size))
        return error_set(error, PULLKEY_INTERNAL, "libcrypto cannot compute HMAC-SHA-256");
    return 0;
}

void sign_hex(const unsigned char hash[SIGN_SHA256_SIZE], char ret[SIGN_SHA256_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SIGN_SHA256_SIZE; i++) {
        ret[2 * i] = digits[hash[i] >> 4];
        ret[2 * i + 1] = digits[hash[i] & 15];
    }
    ret[SIGN_SHA256_TEXT_SIZE - 1] = '\0';
}

/* A key with a passphrase is none: nobody is there to be asked. */
static int no_passphrase(char *buffer, int size, int writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)data;
    return -1;
}

static EVP_PKEY *read_key(const struct pullkey_secret *key)
{
    BIO *bio = BIO_new_mem_buf(key->bytes, (int)key->length);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    return pkey;
}

static int sign(EVP_PKEY *key, const struct buffer *text, unsigned char *ret, size_t *length,
                struct pullkey_error *error)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_fine =
        context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(context, ret, length, (const unsigned char *)text->data, text->length) == 1;

    EVP_MD_CTX_free(context);
    return is_fine ? 0
                   : error_set(error, PULLKEY_INTERNAL, "libcrypto cannot sign with the RSA key");
}

int sign_jwt(const struct pullkey_secret *key, const struct buffer *header,
             const struct buffer *claims, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer jwt = BUFFER_INIT(JWT_MAX);
    unsigned char signature[SIGNATURE_MAX];
    size_t length = sizeof(signature);
    EVP_PKEY *pkey;
    int r = buffer_check(header, error);

    if (r == 0)
        r = buffer_check(claims, error);
    if (r < 0)
        return r;
    text_base64url_encode(&jwt, header->data, header->length);
    buffer_append(&jwt, ".", 1);
    text_base64url_encode(&jwt, claims->data, claims->length);
    r = buffer_check(&jwt, error);
    if (r < 0)
        return r;
    pkey = read_key(key);
    if (!pkey || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA ||
        EVP_PKEY_get_bits(pkey) < KEY_BITS_MIN || EVP_PKEY_get_bits(pkey) > 8 * SIGNATURE_MAX)
        r = error_set(error, PULLKEY_INVALID,
                      "the private key must be an RSA key of at least %d bits, as PEM without a "
                      "passphrase",
                      KEY_BITS_MIN);
    else
        r = sign(pkey, &jwt, signature, &length, error);
    EVP_PKEY_free(pkey);
    if (r < 0)
        return r;
    buffer_append(&jwt, ".", 1);
    text_base64url_encode(&jwt, (const char *)signature, length);
    r = buffer_check(&jwt, error);
    return r < 0 ? r : secret_set(ret, jwt.data, jwt.length, error);
}
