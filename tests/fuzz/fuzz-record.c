/* SPDX-License-Identifier: Apache-2.0 */
/* hosts/record and hosts/lifetime: what is read as a record is one that can be written and read
 * again, with a header that HTTP can carry; a secret yields no time that is none. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "hosts/lifetime.h"
#include "hosts/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_again(const struct record *record)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RECORD_SIZE_MAX);
    cleanup_record struct record again = { 0 };
    struct pullkey_error error;

    record_write(record, &text);
    require(buffer_check(&text, &error) == 0);
    require(record_read(text.data, text.length, &again, &error) == 0);
    require(again.error.code == record->error.code && again.expiry == record->expiry);
    require(secret_equal(&again.header, &record->header));
    require(strcmp(again.error.message, record->error.message) == 0);
}

static void check_header(const struct pullkey_secret *header)
{
    require(record_is_header(header->bytes, header->length));
    for (size_t i = 0; i < header->length; i++)
        require(header->bytes[i] >= ' ' && header->bytes[i] <= '~' && header->bytes[i] != '"' &&
                header->bytes[i] != '\\');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pullkey_secret secret = { 0 };
    cleanup_record struct record record = { 0 };
    struct pullkey_error error;
    int64_t expiry;

    json_start();
    if (secret_set(&secret, (const char *)data, size, &error) < 0)
        return 0;
    expiry = lifetime_read(&secret);
    require(expiry >= 0 && expiry <= 253402300799);
    if (record_read(secret.bytes, secret.length, &record, &error) == 0) {
        require((record.header.length > 0) == (record.error.code == PULLKEY_OK));
        if (record.header.length > 0)
            check_header(&record.header);
        check_again(&record);
    }
    secret_done(&secret);
    return 0;
}
