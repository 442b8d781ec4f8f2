/* SPDX-License-Identifier: Apache-2.0 */
/* What a token says that it is good for. */
#include "unit.h"

#include "base/json.h"
#include "probe/grant.h"

static int read_text(const char *text)
{
    const struct pullkey_secret token = { (char *)(uintptr_t)text, strlen(text) };

    return grant_read(&token, "team/app");
}

static void tokens(void **state)
{
    static const struct {
        const char *token;
        int grant;
    } vectors[] = {
        /* {"access":[{"type":"repository","name":"team/app","actions":["pull"]}]} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6WyJwdWxsIl19XX0.c2ln",
          GRANT_PULL },
        /* {"access":[{"type":"repository","name":"team/app","actions":["push","pull"]}]} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6WyJwdXNoIiwicHVsbCJdfV19.c2ln",
          GRANT_PULL | GRANT_PUSH },
        /* {"access":[{"type":"repository","name":"team/app","actions":["*"]}]} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6WyIqIl19XX0.c2ln",
          GRANT_PULL | GRANT_PUSH | GRANT_DELETE },
        /* {"access":[{"type":"repository","name":"team/app","actions":["delete","pulls","P ... */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6WyJkZWxldGUiLCJwdWxscyIsIlB1bGwiLDEsbnVsbF19XX0.c2ln",
          GRANT_DELETE },
        /* {"access":[{"type":"repository","name":"team/app","actions":["pull"]},{"type":"r ... */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6WyJwdWxsIl19LHsidHlwZSI6InJlcG9zaXRvcnkiLCJuYW1lIjoidGVhbS9hcHAiLCJh"
          "Y3Rpb25zIjpbInB1c2giXX1dfQ.c2ln",
          GRANT_PULL | GRANT_PUSH },
        /* {"access":[{"type":"repository","name":"team/app","actions":[]}]} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6W119XX0.c2ln",
          0 },
        /* {"access":[{"type":"repository","name":"team/app","actions":null}]} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6bnVsbH1dfQ.c2ln",
          0 },
        /* {"access":[{"type":"repository","name":"team/app","actions":"pull"}]} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "IiwiYWN0aW9ucyI6InB1bGwifV19.c2ln",
          0 },
        /* {"access":[]} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOltdfQ.c2ln",
          0 },
        /* {"access":null} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOm51bGx9.c2ln",
          0 },
        /* {"access":[{"type":"repository","name":"team/apps","actions":["pull"]},{"type":" ... */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0vYXBw"
          "cyIsImFjdGlvbnMiOlsicHVsbCJdfSx7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6InRlYW0iLCJhY3Rp"
          "b25zIjpbInB1bGwiXX0seyJ0eXBlIjoicmVnaXN0cnkiLCJuYW1lIjoidGVhbS9hcHAiLCJhY3Rpb25zIjpb"
          "InB1bGwiXX1dfQ.c2ln",
          0 },
        /* {"access":[{"name":"team/app","actions":["pull"]},{"type":"repository","actions" ... */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOlt7Im5hbWUiOiJ0ZWFtL2FwcCIsImFjdGlvbnMiOlsicHVsbCJd"
          "fSx7InR5cGUiOiJyZXBvc2l0b3J5IiwiYWN0aW9ucyI6WyJwdWxsIl19LDEsbnVsbCwieCIsW11dfQ.c2ln",
          0 },
        /* {"sub":"a"} */
        { "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln",
          GRANT_UNKNOWN },
        /* {"access":"pull"} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOiJwdWxsIn0.c2ln",
          GRANT_UNKNOWN },
        /* {"access":{"type":"repository"}} */
        { "eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOnsidHlwZSI6InJlcG9zaXRvcnkifX0.c2ln",
          GRANT_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(vectors); i++)
        if (read_text(vectors[i].token) != vectors[i].grant)
            fail_msg("%zu: %d", i, read_text(vectors[i].token));
}

static void what_is_no_token(void **state)
{
    static const char *const texts[] = { "", "opaque", "a.b.c", "..", "a.e30.c.d", "a.e30.c" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++)
        assert_int_equal(read_text(texts[i]), GRANT_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),
        cmocka_unit_test(what_is_no_token),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
