/*
 * fuzz_dialect — the fields of a CONNECT and the topics that follow, as a device may make them up
 *
 * The input is a client id, a user name, a filter, a name and a topic class with zero bytes
 * between them. Each lies in a block of its own, so that a slice which leaves it is seen.
 */
#include "proto/dialect.h"
#include "proto/topic.h"

#include "tests/support/fuzz.h"

#include <strings.h>

enum { CLIENT_ID, USERNAME, FILTER, NAME, TOPIC_CLASS, FIELDS };

static bool lies_in(fmx_slice slice, fmx_slice whole)
{
    uintptr_t at = (uintptr_t)slice.data;
    uintptr_t from = (uintptr_t)whole.data;

    return slice.bytes == 0 || (at >= from && at + slice.bytes <= from + whole.bytes);
}

static void expect_words(enum fmx_status status, const char *fault)
{
    FMX_ASSERT((status == FMX_OK) == (fault == NULL));
    FMX_ASSERT(fault == NULL || (strlen(fault) > 0 && strlen(fault) <= 120));
}

/* As the gateway does it; the names of a device that was admitted, or else of some device. */
static void try_connect(fmx_slice client_id, fmx_slice username, fmx_slice *out_product_key,
                        fmx_slice *out_device_name)
{
    struct fmx_dialect_client client;
    const char *client_fault;
    const char *name_fault;
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    enum fmx_status of_client = fmx_dialect_client_id(client_id, &client, &client_fault);
    enum fmx_status of_name =
        fmx_dialect_username(username, out_device_name, out_product_key, &name_fault);

    expect_words(of_client, client_fault);
    expect_words(of_name, name_fault);
    FMX_ASSERT(lies_in(client.logical_id, client_id) && lies_in(client.timestamp, client_id));
    FMX_ASSERT(lies_in(client.random, client_id) && lies_in(client.sdk, client_id));
    FMX_ASSERT(lies_in(client.language, client_id) && lies_in(client.instance_id, client_id));
    (void)fmx_dialect_quirks(client.sdk, FMX_MQTT_50);
    if (of_name != FMX_OK) {
        *out_product_key = fmx_slice_of("pk");
        *out_device_name = fmx_slice_of("dn");
    } else {
        FMX_ASSERT(out_device_name->bytes + 1 + out_product_key->bytes == username.bytes);
    }
    if (of_client == FMX_OK) {
        size_t bytes = fmx_dialect_signed(&client, *out_device_name, *out_product_key, content);
        FMX_ASSERT(bytes <= sizeof content);
        FMX_ASSERT((bytes == 0) == (client.auth_type == FMX_AUTH_TOKEN));
    }
}

static bool is_owner(fmx_slice name, fmx_slice product_key, fmx_slice device_name)
{
    fmx_slice key;
    fmx_slice device;

    return fmx_dialect_topic_owner(name, &key, &device) && fmx_slice_equal(key, product_key) &&
           fmx_slice_equal(device, device_name);
}

static bool has_other_owner(fmx_slice name, fmx_slice product_key, fmx_slice device_name)
{
    fmx_slice key;
    fmx_slice device;

    return fmx_dialect_topic_owner(name, &key, &device) &&
           !is_owner(name, product_key, device_name);
}

static void expect_name(fmx_slice name, fmx_slice product_key, fmx_slice device_name)
{
    struct fmx_dialect_topic topic = fmx_dialect_topic_name(name, product_key, device_name);

    FMX_ASSERT(lies_in(topic.rest, name) && lies_in(topic.message_id, name));
    if (topic.use == FMX_USE_FOREIGN) {
        FMX_ASSERT(!topic.may_publish && !topic.may_subscribe);
    }
    if (has_other_owner(name, product_key, device_name)) {
        FMX_ASSERT(topic.use == FMX_USE_FOREIGN);
    }
    if (topic.use != FMX_USE_FOREIGN && topic.use != FMX_USE_BROADCAST &&
        topic.use != FMX_USE_SYSTEM) {
        FMX_ASSERT(is_owner(name, product_key, device_name));
    }
    if (fmx_dialect_is_auto(name, product_key, device_name, true, UINT32_MAX)) {
        FMX_ASSERT(topic.may_subscribe);
    }
}

static void expect_filter(fmx_slice filter, fmx_slice name, fmx_slice product_key,
                          fmx_slice device_name)
{
    struct fmx_dialect_topic topic = fmx_dialect_topic_filter(filter, product_key, device_name);

    FMX_ASSERT(lies_in(topic.rest, filter) && lies_in(topic.message_id, filter));
    FMX_ASSERT(!topic.may_publish);
    if (topic.may_subscribe && fmx_topic_matches(filter, name)) {
        FMX_ASSERT(!has_other_owner(name, product_key, device_name));
    }
}

static void expect_class(fmx_slice topic_class, fmx_slice filter, fmx_slice name)
{
    bool covers = fmx_dialect_topic_class_covers(topic_class, filter, true);

    if (fmx_dialect_topic_class_fault(topic_class, FMX_TOPIC_SUBSCRIBE) != NULL) {
        return;
    }
    FMX_ASSERT(fmx_dialect_topic_class_covers(topic_class, topic_class, true));
    if (covers && fmx_topic_matches(filter, name)) {
        FMX_ASSERT(fmx_dialect_topic_class_covers(topic_class, name, false));
    }
}

static void expect_text(fmx_slice text)
{
    uint8_t bytes[64];
    uint8_t digits[FMX_RRPC_ID_BYTES];
    char hex[128];
    size_t count;
    uint64_t id;

    if (fmx_dialect_unhex(text, bytes, sizeof bytes, &count)) {
        fmx_dialect_hex((fmx_slice){bytes, count}, true, hex);
        FMX_ASSERT(2 * count == text.bytes &&
                   strncasecmp(hex, (const char *)text.data, 2 * count) == 0);
    }
    if (fmx_dialect_rrpc_id_read(text, &id)) {
        fmx_dialect_rrpc_id_write(id, digits);
        FMX_ASSERT(fmx_slice_equal((fmx_slice){digits, sizeof digits}, text));
    }
}

/* Any field may be a PSK identity: what is taken is written again as it was. */
static void expect_psk(fmx_slice identity)
{
    uint8_t again[FMX_PSK_IDENTITY_BYTES_MAX];
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    struct fmx_dialect_psk psk;

    if (fmx_dialect_psk_read(identity, &psk) != FMX_OK) {
        return;
    }
    FMX_ASSERT(lies_in(psk.product_key, identity) && lies_in(psk.device_name, identity));
    FMX_ASSERT(lies_in(psk.timestamp, identity));
    FMX_ASSERT(fmx_dialect_product_key_fault(psk.product_key) == NULL);
    FMX_ASSERT(fmx_dialect_device_name_fault(psk.device_name) == NULL);
    size_t bytes = fmx_dialect_psk_identity(&psk, again);
    FMX_ASSERT(fmx_slice_equal((fmx_slice){again, bytes}, identity));
    FMX_ASSERT((fmx_dialect_psk_signed(&psk, content) == 0) == (psk.timestamp.bytes == 0));
}

static void try_all(const fmx_slice fields[FIELDS])
{
    fmx_slice product_key;
    fmx_slice device_name;

    try_connect(fields[CLIENT_ID], fields[USERNAME], &product_key, &device_name);
    expect_text(fields[CLIENT_ID]);
    expect_psk(fields[CLIENT_ID]);
    expect_psk(fields[NAME]);
    /* of topics that are not valid: any answer, but no read outside */
    (void)fmx_dialect_topic_name(fields[NAME], product_key, device_name);
    (void)fmx_dialect_topic_filter(fields[FILTER], product_key, device_name);
    (void)fmx_dialect_topic_class_fault(fields[TOPIC_CLASS], FMX_TOPIC_PUBLISH);
    (void)fmx_dialect_topic_class_covers(fields[TOPIC_CLASS], fields[FILTER], true);
    if (fmx_topic_check_name(fields[NAME]) != FMX_OK ||
        fmx_topic_check_filter(fields[FILTER]) != FMX_OK) {
        return;
    }
    expect_name(fields[NAME], product_key, device_name);
    expect_filter(fields[FILTER], fields[NAME], product_key, device_name);
    expect_class(fields[TOPIC_CLASS], fields[FILTER], fields[NAME]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    uint8_t *copies[FIELDS];
    fmx_slice fields[FIELDS];

    for (unsigned i = 0; i < FIELDS; i++) {
        const uint8_t *zero = bytes > 0 && i + 1 < FIELDS ? memchr(data, 0, bytes) : NULL;
        size_t field_bytes = zero != NULL ? (size_t)(zero - data) : bytes;
        copies[i] = fmx_fuzz_copy(data, field_bytes);
        fields[i] = (fmx_slice){copies[i], field_bytes};
        bytes -= field_bytes + (zero != NULL);
        data += field_bytes + (zero != NULL);
    }
    try_all(fields);
    for (unsigned i = 0; i < FIELDS; i++) {
        free(copies[i]);
    }
    return 0;
}
