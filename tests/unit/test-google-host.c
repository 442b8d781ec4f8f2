/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts are Google's: registries, and those that a file with credentials may name. */
#include "unit.h"

#include "token/google.h"
#include "token/registry-host.h"

static void registries(void **state)
{
    static const struct {
        const char *host;
        bool is_known;
    } rows[] = {
        { "gcr.io", true },
        { "eu.gcr.io", true },
        { "marketplace.gcr.io", true },
        { "us-docker.pkg.dev", true },
        { "europe-west1-docker.pkg.dev", true },
        { "docker.us-east1.rep.pkg.dev", true },
        { "GCR.io", false }, /* whoever asks has lowered it */
        { "gcr.io.evil.test", false },
        { "evilgcr.io", false },
        { "a.b.gcr.io", false },
        { "1.gcr.io", false },
        { "gcrxio", false },
        { "docker.pkg.dev", false },
        { "-docker.pkg.dev", false },
        { "us--docker.pkg.dev", false },
        { "x.us-docker.pkg.dev", false },
        { "us-docker.pkg.dev.evil.test", false },
        { "us-docker.pkgxdev", false },
        { "us-docker.pkg.dev\nevil.test", false },
        { "evil.test\ngcr.io", false },
        { "docker.a.b.rep.pkg.dev", false },
        { "docker.rep.pkg.dev", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        if (registry_host_matches(rows[i].host, GOOGLE_REGISTRIES) != rows[i].is_known)
            fail_msg("%s", rows[i].host);
}

static void labels(void **state)
{
    (void)state;
    assert_true(registry_host_is_below("googleapis.com", "googleapis.com"));
    assert_true(registry_host_is_below("sts.googleapis.com", "googleapis.com"));
    assert_false(registry_host_is_below("evilgoogleapis.com", "googleapis.com"));
    assert_false(registry_host_is_below("googleapis.com.evil.test", "googleapis.com"));
    assert_false(registry_host_is_below("apis.com", "googleapis.com"));
    assert_false(registry_host_is_below("", "googleapis.com"));
}

static void addresses(void **state)
{
    static const struct {
        const char *text;
        bool is_own;
    } rows[] = {
        { "https://sts.googleapis.com/v1/token", true },
        { "https://STS.GoogleAPIs.com/v1/token", true }, /* as it is connected to */
        { "https://sts.us-east1.rep.googleapis.com/v1/token", true },
        { "http://sts.googleapis.com/v1/token", false },
        { "https://evilgoogleapis.com/v1/token", false },
        { "https://sts.googleapis.com.evil.test/v1/token", false },
        { "https://evil.test/sts.googleapis.com", false },
        { "https://evil.test?sts.googleapis.com", false },
        { "https://127.0.0.1/", false },
        { "https://[::1]/", false },
    };
    struct pullkey_error error;
    struct url url;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_fine(url_parse(rows[i].text, &url, &error), error);
        if (google_is_own(&url, GOOGLE_UNIVERSE) != rows[i].is_own)
            fail_msg("%s", rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(registries), cmocka_unit_test(labels),
                                        cmocka_unit_test(addresses) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
