/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of encrypted stores: CMS in one fixed form (profile.h), which `openssl cms -decrypt`
 * reads. A fresh key encrypts the content with AES-256-GCM and is itself wrapped with the store's
 * key (RFC 3394), so that a nonce never meets the same key twice.
 */
#include <pullkey/backend.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret.h"
#include "gate.h"
#include "profile.h"

#define KEY_SIZE PULLKEY_CODEC_KEY_SIZE
/* Room for what AES key wrap writes, with one block to spare. */
#define WRAP_ROOM (PROFILE_WRAPPED_SIZE + 16)

static void context_free(EVP_CIPHER_CTX **context)
{
    EVP_CIPHER_CTX_free(*context); /* wipes the key schedule */
}

#define cleanup_context __attribute__((cleanup(context_free)))

/*
 * A library context of our own, made once: where memory runs out while libcrypto sets up its
 * default one, later calls crash (3.0). No configuration file is read for it: that could load code,
 * and costs as much as the decryption.
 */
static OSSL_LIB_CTX *library(void)
{
    static OSSL_LIB_CTX *made;

    if (!made && OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
                                         OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
                                     NULL))
        made = OSSL_LIB_CTX_new();
    return made;
}

static void cipher_free(EVP_CIPHER **cipher)
{
    EVP_CIPHER_free(*cipher);
}

#define cleanup_cipher __attribute__((cleanup(cipher_free)))

static EVP_CIPHER *fetch(const char *name)
{
    OSSL_LIB_CTX *context = library();

    return context ? EVP_CIPHER_fetch(context, name, NULL) : NULL;
}

static int crypto_failed(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INTERNAL, "libcrypto failed to set up AES-256");
}

static int check_key(const struct pullkey_secret *key, struct pullkey_error *error)
{
    if (key->length != KEY_SIZE)
        return error_set(error, PULLKEY_INVALID, "the key must have %d bytes", KEY_SIZE);
    return 0;
}

/* What one seal makes besides the plain text; all of it is wiped. */
struct material {
    unsigned char key[KEY_SIZE];
    unsigned char wrapped[WRAP_ROOM];
    unsigned char nonce[PROFILE_NONCE_SIZE];
    unsigned char mac[PROFILE_MAC_SIZE];
};

static void material_done(struct material *material)
{
    OPENSSL_cleanse(material, sizeof(*material));
}

#define cleanup_material __attribute__((cleanup(material_done)))

static int wrap_key(const struct pullkey_secret *key, struct material *material,
                    struct pullkey_error *error)
{
    cleanup_cipher EVP_CIPHER *cipher = fetch("AES-256-WRAP");
    cleanup_context EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length;

    if (!cipher || !context)
        return crypto_failed(error);
    EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_EncryptInit_ex(context, cipher, NULL, (const unsigned char *)key->bytes, NULL) != 1 ||
        EVP_EncryptUpdate(context, material->wrapped, &length, material->key, KEY_SIZE) != 1 ||
        length != PROFILE_WRAPPED_SIZE)
        return crypto_failed(error);
    return 0;
}

static int unwrap_key(const struct pullkey_secret *key, const struct gate_parts *parts,
                      struct material *material, struct pullkey_error *error)
{
    cleanup_cipher EVP_CIPHER *cipher = fetch("AES-256-WRAP");
    cleanup_context EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length;

    if (!cipher || !context)
        return crypto_failed(error);
    EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_DecryptInit_ex(context, cipher, NULL, (const unsigned char *)key->bytes, NULL) != 1)
        return crypto_failed(error);
    if (EVP_DecryptUpdate(context, material->wrapped, &length, parts->wrapped_key,
                          PROFILE_WRAPPED_SIZE) != 1 ||
        length != KEY_SIZE)
        return error_set(error, PULLKEY_INVALID,
                         "the key is not the one it was made with, or the file was changed");
    memcpy(material->key, material->wrapped, KEY_SIZE);
    return 0;
}

/* `out` takes as many bytes as there are in `plain`. */
static int encrypt(struct material *material, const struct pullkey_secret *plain,
                   unsigned char *out, struct pullkey_error *error)
{
    cleanup_cipher EVP_CIPHER *cipher = fetch("AES-256-GCM");
    cleanup_context EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length;

    if (!cipher || !context ||
        EVP_EncryptInit_ex(context, cipher, NULL, material->key, material->nonce) != 1 ||
        EVP_EncryptUpdate(context, out, &length, (const unsigned char *)plain->bytes,
                          (int)plain->length) != 1 ||
        EVP_EncryptFinal_ex(context, material->mac, &length) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, PROFILE_MAC_SIZE, material->mac) != 1)
        return crypto_failed(error);
    return 0;
}

static int decrypt(struct material *material, const struct gate_parts *parts, unsigned char *out,
                   struct pullkey_error *error)
{
    cleanup_cipher EVP_CIPHER *cipher = fetch("AES-256-GCM");
    cleanup_context EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length;

    memcpy(material->mac, parts->mac, PROFILE_MAC_SIZE);
    if (!cipher || !context ||
        EVP_DecryptInit_ex(context, cipher, NULL, material->key, parts->nonce) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, PROFILE_MAC_SIZE, material->mac) != 1 ||
        EVP_DecryptUpdate(context, out, &length, parts->content, (int)parts->content_length) != 1)
        return crypto_failed(error);
    if (EVP_DecryptFinal_ex(context, material->mac, &length) != 1)
        return error_set(error, PULLKEY_INVALID, "the file was changed after it was written");
    return 0;
}

static size_t head_size(size_t length)
{
    size_t size = 2;

    if (length >= 0x80)
        for (; length > 0; length >>= 8)
            size++;
    return size;
}

static void append_head(struct buffer *buffer, unsigned char tag, size_t length)
{
    char head[2 + sizeof(length)] = { (char)tag, (char)length };
    size_t size = head_size(length);

    if (size > 2) {
        head[1] = (char)(0x80 | (size - 2));
        for (size_t i = size - 1; i > 1; i--, length >>= 8)
            head[i] = (char)(length & 0xff);
    }
    buffer_append(buffer, head, size);
}

#define APPEND(buffer, constant) buffer_append(buffer, constant, sizeof(constant) - 1)
#define SIZE(constant) (sizeof(constant) - 1)

static void append_all(struct buffer *out, const struct material *material,
                       const unsigned char *content, size_t content_length)
{
    size_t info = SIZE(PROFILE_DATA) + SIZE(PROFILE_CIPHER) + SIZE(PROFILE_NONCE) +
                  PROFILE_NONCE_SIZE + SIZE(PROFILE_TAG_SIZE) + head_size(content_length) +
                  content_length;
    size_t enveloped = SIZE(PROFILE_VERSION) + SIZE(PROFILE_RECIPIENT) + SIZE(PROFILE_KEY_ID) +
                       SIZE(PROFILE_WRAP) + SIZE(PROFILE_WRAPPED) + PROFILE_WRAPPED_SIZE +
                       head_size(info) + info + SIZE(PROFILE_MAC) + PROFILE_MAC_SIZE;
    size_t explicit_content = head_size(enveloped) + enveloped;

    append_head(out, PROFILE_SEQUENCE,
                SIZE(PROFILE_TYPE) + head_size(explicit_content) + explicit_content);
    APPEND(out, PROFILE_TYPE);
    append_head(out, PROFILE_CONTENT_INFO, explicit_content);
    append_head(out, PROFILE_SEQUENCE, enveloped);
    APPEND(out, PROFILE_VERSION);
    APPEND(out, PROFILE_RECIPIENT);
    APPEND(out, PROFILE_KEY_ID);
    APPEND(out, PROFILE_WRAP);
    APPEND(out, PROFILE_WRAPPED);
    buffer_append(out, (const char *)material->wrapped, PROFILE_WRAPPED_SIZE);
    append_head(out, PROFILE_SEQUENCE, info);
    APPEND(out, PROFILE_DATA);
    APPEND(out, PROFILE_CIPHER);
    APPEND(out, PROFILE_NONCE);
    buffer_append(out, (const char *)material->nonce, PROFILE_NONCE_SIZE);
    APPEND(out, PROFILE_TAG_SIZE);
    append_head(out, PROFILE_CONTENT, content_length);
    buffer_append(out, (const char *)content, content_length);
    APPEND(out, PROFILE_MAC);
    buffer_append(out, (const char *)material->mac, PROFILE_MAC_SIZE);
}

/* Hands bytes out in memory of the host's. */
static int give(const struct pullkey_host *host, const char *bytes, size_t length,
                struct pullkey_secret *ret, struct pullkey_error *error)
{
    char *copy = host->alloc(length + 1);

    if (!copy)
        return error_memory(error);
    memcpy(copy, bytes, length);
    *ret = (struct pullkey_secret){ .bytes = copy, .length = length };
    return 0;
}

static int cms_seal(const struct pullkey_host *host, const struct pullkey_secret *key,
                    const struct pullkey_secret *plain, struct pullkey_secret *ret,
                    struct pullkey_error *error)
{
    cleanup_material struct material material;
    cleanup_buffer struct buffer out = BUFFER_INIT(PROFILE_SIZE_MAX);
    cleanup_release unsigned char *content = NULL;
    int r = check_key(key, error);

    if (r < 0)
        return r;
    if (plain->length == 0 || plain->length > PROFILE_SIZE_MAX)
        return error_set(error, PULLKEY_INVALID, "a store of %zu bytes cannot be encrypted",
                         plain->length);
    content = secret_alloc(plain->length);
    if (!content)
        return error_memory(error);
    if (random_fill(material.key, sizeof(material.key), error) < 0 ||
        random_fill(material.nonce, sizeof(material.nonce), error) < 0 ||
        wrap_key(key, &material, error) < 0 || encrypt(&material, plain, content, error) < 0)
        return -(int)error->code;
    append_all(&out, &material, content, plain->length);
    r = buffer_check(&out, error);
    return r < 0 ? r : give(host, out.data, out.length, ret, error);
}

static int cms_unseal(const struct pullkey_host *host, const struct pullkey_secret *key,
                      const struct pullkey_secret *sealed, struct pullkey_secret *ret,
                      struct pullkey_error *error)
{
    cleanup_material struct material material;
    struct gate_parts parts;
    unsigned char *plain;
    int r = check_key(key, error);

    if (r < 0)
        return r;
    r = gate_open(sealed->bytes, sealed->length, &parts, error);
    if (r < 0)
        return error_wrap(error, "not an encrypted store as pullkey writes it");
    r = unwrap_key(key, &parts, &material, error);
    if (r < 0)
        return r;
    plain = host->alloc(parts.content_length + 1);
    if (!plain)
        return error_memory(error);
    r = decrypt(&material, &parts, plain, error);
    if (r < 0) {
        host->release(plain); /* nothing of what is not authentic gets out */
        return r;
    }
    *ret = (struct pullkey_secret){ .bytes = (char *)plain, .length = parts.content_length };
    return 0;
}

extern const struct pullkey_codec cms_codec;
const struct pullkey_codec cms_codec = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(cms_codec),
        .kind = PULLKEY_KIND_CODEC,
        .type = "cms",
    },
    .seal = cms_seal,
    .unseal = cms_unseal,
};

PULLKEY_EXPORT_MODULE(cms_codec);
