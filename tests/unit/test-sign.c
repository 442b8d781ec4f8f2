/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes and signatures, by the vectors of the standards. */
#include "unit.h"

#include "base/secret.h"
#include "token/sign.h"

/* The key of RFC 7515 appendix A.2, as PKCS#8 and as PKCS#1. */
static const char rfc_key[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n"
                              "jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n"
                              "aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n"
                              "juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n"
                              "ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n"
                              "toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n"
                              "VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n"
                              "PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n"
                              "O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n"
                              "kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n"
                              "XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n"
                              "4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n"
                              "pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n"
                              "0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n"
                              "lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n"
                              "kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n"
                              "rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n"
                              "kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n"
                              "5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n"
                              "9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n"
                              "evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n"
                              "yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n"
                              "OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n"
                              "tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n"
                              "ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n"
                              "03k2+ZQwVK0JKSHuLFkuQ3U=\n"
                              "-----END PRIVATE KEY-----\n";
static const char rfc_key_pkcs1[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0\n"
    "l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pC\n"
    "gNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSX\n"
    "ndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD\n"
    "Zlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8\n"
    "q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQABAoIBABKucaRpzQorw35S\n"
    "bEUAVx8dYXUdZOlJcHtiWQ+dC6V8ljxAHj/PLyzTveyI5QO/xkObCyjIL303l2cf\n"
    "UhPu2MFaJdjVzqACXuOrLot/eSFvxjvqVidTtAZExqFRJ9mylUVAoLvhowVWmC1O\n"
    "n95fZCXxTUtxNEG1Xcc7m0rtzJKs45J+N/V9DP1edYH6USyPSWGp6wuA+KgHRnKK\n"
    "Vf9GRx80JQY7nVNkL17eHoTWEwga+lwi0FEoW9Y7lDtWXYmKBWhUE+U8PGxlJf8f\n"
    "40493HDw1WRQ/aSLoS4QTp3rn7gYgeHEvfJdkkf0UMhlknlo53M09EFPdadQ4TlU\n"
    "bjqKc50CgYEA4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH/5IB3jw3bcxGn6QLvnE\n"
    "tfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw/Py5PJdTJNPY8cQn7ouZ2KKDcmnPG\n"
    "BY5t7yLc1QlQ5xHdwW1VhvKn+nXqhJTBgIPgtldC+KDV5z+y2XDwGUcCgYEAuQPE\n"
    "fgmVtjL0Uyyx88GZFF1fOunH3+7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYs\n"
    "p1ZSe7zFYHj7C6ul7TjeLQeZD/YwD66t62wDmpe/HlB+TnBA+njbglfIsRLtXlnD\n"
    "zQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdcCgYAHAp9XcCSrn8wVkMVkKdb7\n"
    "DOX4IKjzdahm+ctDAJN4O/y7OW5FKebvUjdAIt2GuoTZ71iTG+7F0F+lP88jtjP4\n"
    "U4qe7VHoewl4MKOfXZKTe+YCS1XbNvfgwJ3Ltyl1OH9hWvu2yza7q+d5PCsDzqtm\n"
    "27kxuvULVeya+TEdAB1ijQKBgQCH/3r6YrVH/uCWGy6bzV1nGNOdjKc9tmkfOJmN\n"
    "54dxdixdpozCQ6U4OxZrsj3FcOhHBsqAHvX2uuYjagqvo3cOj1TRqNocX40omfCC\n"
    "Mx3bD1yPPf/6TI2XECva/ggqEY2mYzmIiA5LVVmc5nrybr+lssFKneeyxN2Wq93S\n"
    "0iJMdQKBgCGHewxzoa1r8ZMD0LETNrToK423K377UCYqXfg5XMclbrjPbEC3YI1Z\n"
    "NqMtuhdBJqUnBi6tjKMF+34Xf0CUN8ncuXGO2CAYvO8PdyCixHX52ybaDjy1FtCE\n"
    "6yUXjoKNXKvUm7MWGsAYH6f4IegOetN5NvmUMFStCSkh7ixZLkN1\n"
    "-----END RSA PRIVATE KEY-----\n";
/* Keys that nobody may sign with: 1024 bits, an elliptic curve. */
static const char short_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBAMAX5B0b3dsjVDtm\n"
                                "BmQoHldmscLVj/bDSoJiCSoJWK/V4ym0GpyapwqIFi4GdjZsqkSUtmB+tuHPB7fH\n"
                                "NF0OpaPoo7cz2lChIp57BVIPcbTEhj0ho+YV3qX4tgU0AxaWuUc6OHwp15HYz8Lc\n"
                                "WwRpd8H7P7NThir3vfMY/LSU4HYFAgMBAAECgYBm/qhVnzJmI9wu+PYmT4htLmfT\n"
                                "YnSNR4q0u+HUAyzlIpZpLuMx4o37zJmv1dEeP0dP/DiJJofiLQIjXJDL8GWIvSea\n"
                                "ARyF/oCG9rtlE2q65ql0ADmmeL9FtJFThoXSP7l7Ih8v8Rt9foXOOa750Ww14OuK\n"
                                "Y/ASSs8lPf2IvRdc5QJBAPH4+IdYGNhiYsSzu5CsALOIr1NjI4DrXeD+qsgTsGig\n"
                                "2lVNeUkveobCSvRFHM8ZuqNcQ9B8EYJrSGbF4VHqQ48CQQDLOq4stIXCVgRGqwY1\n"
                                "zbjkyaI4uUE2gxzvdQbUoWOl564buS+uKny7hxtBVGURhN86rarctiQww7pQoOUI\n"
                                "hJMrAkEA0Oqtae3eRbVsoXitERPw5xG0jsKh/MU6oPBAc87MGQoIeG4TseSUXZWT\n"
                                "MaQaY5VLV5Bp3K/CTmBiepmPGTKycQJBAJOVAXclgR0nKePHvrLDukkqw8s9fMYB\n"
                                "YLnj2hn/OUX5gM5RJPbtk7b63igLCXo3a4RJKZMuEgn3mQ2ESc5tuBECQQCbS1Ev\n"
                                "8HYFn5UEF2ySGrJR2Hb2luG+TNt/ljsJQZHeGunYFp2wBBQPIOMkvbKYjJuv4USu\n"
                                "vigzTJGNnwTARIar\n"
                                "-----END PRIVATE KEY-----\n";
static const char curve_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0gkRNhOzQDDdqkyf\n"
                                "BAj29HtUz5uVJqv1MnF0GakEqpqhRANCAAS6emAJ+rityMnybxBM9CV+4QGZ1ecZ\n"
                                "fgLQCAMHmjZrmxasnMhJpaV2S/3yc53XwLazRNIkMMjBukjGwxferpeU\n"
                                "-----END PRIVATE KEY-----\n";

#define HEADER "{\"alg\":\"RS256\"}"
#define CLAIMS "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"
#define SIGNED                                                                                     \
    "eyJhbGciOiJSUzI1NiJ9."                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"                                                                                           \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp" \
    "5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHl" \
    "b1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9Q" \
    "OYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"

static int sign(const char *text, const char *claims, struct pullkey_secret *ret,
                struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret key = { 0 };
    cleanup_buffer struct buffer header = BUFFER_INIT(256),
                                 body = BUFFER_INIT(4 * PULLKEY_SECRET_MAX);

    buffer_append_text(&header, HEADER);
    buffer_append_text(&body, claims);
    assert_fine(secret_set(&key, text, strlen(text), error), *error);
    return sign_jwt(&key, &header, &body, ret, error);
}

static void rs256(void **state)
{
    const char *const keys[] = { rfc_key, rfc_key_pkcs1 };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        cleanup_secret struct pullkey_secret token = { 0 };
        struct pullkey_error error;

        assert_fine(sign(keys[i], CLAIMS, &token, &error), error);
        assert_string_equal(token.bytes, SIGNED);
        assert_int_equal(token.length, strlen(SIGNED));
    }
}

static void no_keys(void **state)
{
    const char *const keys[] = { "", "no key", short_key, curve_key,
                                 "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        cleanup_secret struct pullkey_secret token = { 0 };
        struct pullkey_error error;

        assert_refused(sign(keys[i], CLAIMS, &token, &error), PULLKEY_INVALID,
                       "RSA key of at least 2048 bits", error);
        assert_null(token.bytes);
        if (strlen(keys[i]) > 60)
            assert_null(strstr(error.message, "AAAA"));
    }
}

static void too_large(void **state)
{
    cleanup_buffer struct buffer claims = BUFFER_INIT(4 * PULLKEY_SECRET_MAX);
    cleanup_secret struct pullkey_secret token = { 0 };
    struct pullkey_error error;

    (void)state;
    buffer_printf(&claims, "%*d", 2 * PULLKEY_SECRET_MAX, 1);
    assert_true(sign(rfc_key, claims.data, &token, &error) < 0);
    assert_null(token.bytes);
}

static void sha256(void **state)
{
    unsigned char hash[SIGN_SHA256_SIZE];
    char text[SIGN_SHA256_TEXT_SIZE];
    struct pullkey_error error;

    (void)state;
    assert_fine(sign_sha256("abc", 3, hash, &error), error); /* FIPS 180-4 */
    sign_hex(hash, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_fine(sign_sha256("", 0, hash, &error), error);
    sign_hex(hash, text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231 section 4. */
static void hmac(void **state)
{
    static const struct {
        unsigned char key_byte;
        size_t key_length;
        const char *key, *data;
        unsigned char data_byte;
        size_t data_length;
        const char *want;
    } samples[] = {
        { 0x0b, 20, NULL, "Hi There", 0x00, 8,
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { 0x00, 4, "Jefe", "what do ya want for nothing?", 0x00, 28,
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { 0xaa, 20, NULL, NULL, 0xdd, 50,
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
        { 0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First", 0x00, 54,
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
        { 0xaa, 131, NULL,
          "This is a test using a larger than block-size key and a larger than block-size data. "
          "The key needs to be hashed before being used by the HMAC algorithm.",
          0x00, 152, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(samples); i++) {
        unsigned char key[131], data[50], hash[SIGN_SHA256_SIZE];
        char text[SIGN_SHA256_TEXT_SIZE];
        struct pullkey_error error;

        memset(key, samples[i].key_byte, sizeof(key));
        memset(data, samples[i].data_byte, sizeof(data));
        assert_fine(sign_hmac(samples[i].key ? (const void *)samples[i].key : key,
                              samples[i].key_length,
                              samples[i].data ? (const void *)samples[i].data : data,
                              samples[i].data_length, hash, &error),
                    error);
        sign_hex(hash, text);
        assert_string_equal(text, samples[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rs256),  cmocka_unit_test(no_keys), cmocka_unit_test(too_large),
        cmocka_unit_test(sha256), cmocka_unit_test(hmac),
    };

    return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
