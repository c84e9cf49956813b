/*
 * props — the MQTT 5.0 properties, as one table that reader and writer both walk
 *
 * Why it is so:   27 properties in 15 places with seven wire types are a table in the standard
 *                 (2.2.2.2) and a table here; a switch over identifiers would say the same thing
 *                 four times (read, size, write, skip) and drift apart
 * Words:          place: a packet type, or the will inside CONNECT
 *                 block: what follows the property length
 * Invariants:     (1) bit n of `present` is set exactly if the field of identifier n was read
 *                 (2) fmx_props_write writes exactly fmx_props_bytes bytes
 *                 (3) user properties keep their order, and both may repeat
 * Memory:         slices borrow from the reader's span; nothing is copied
 * Threads:        pure
 * Limits:         a block is bounded by its packet; how many user properties are welcome is the
 *                 session's business
 * Not here:       rules that need more than the place: decode.c (who sent it), session.c (aliases)
 */
#include "proto/props.h"

#include <fleetmux/private/assert.h>
#include "proto/limits.h"
#include "proto/packet.h"
#include "proto/utf8.h"

enum wire {
    WIRE_NONE, /* no such identifier */
    WIRE_U8,
    WIRE_U16,
    WIRE_U32,
    WIRE_VARINT,
    WIRE_TEXT,
    WIRE_BINARY,
    WIRE_PAIR,
};

struct rule {
    uint8_t wire;     /* enum wire */
    uint16_t places;  /* bit n: allowed in packet type n; bit 0: in the will */
    uint16_t repeats; /* bit n: there it may stand more than once */
    uint16_t offset;  /* of the field in struct fmx_props */
    uint32_t min;
    uint32_t max;
};

#define IN(kind) (1u << (kind))
#define WILL     IN(FMX_PROPS_OF_WILL)
#define MESSAGE  (WILL | IN(FMX_PUBLISH))
#define HELLO    (IN(FMX_CONNECT) | IN(FMX_CONNACK))
#define ANSWERS                                                                                    \
    (IN(FMX_CONNACK) | IN(FMX_PUBACK) | IN(FMX_PUBREC) | IN(FMX_PUBREL) | IN(FMX_PUBCOMP) |        \
     IN(FMX_SUBACK) | IN(FMX_UNSUBACK) | IN(FMX_DISCONNECT) | IN(FMX_AUTH))
#define EVERYWHERE (ANSWERS | MESSAGE | IN(FMX_CONNECT) | IN(FMX_SUBSCRIBE) | IN(FMX_UNSUBSCRIBE))

#define FIELD(name) offsetof(struct fmx_props, name)
#define FLAG(places, name)                                                                         \
    {                                                                                              \
        WIRE_U8, places, 0, FIELD(name), 0, 1                                                      \
    }
#define U16(places, name, min)                                                                     \
    {                                                                                              \
        WIRE_U16, places, 0, FIELD(name), min, UINT16_MAX                                          \
    }
#define U32(places, name, min)                                                                     \
    {                                                                                              \
        WIRE_U32, places, 0, FIELD(name), min, UINT32_MAX                                          \
    }
#define TEXT(places, name)                                                                         \
    {                                                                                              \
        WIRE_TEXT, places, 0, FIELD(name), 0, 0                                                    \
    }
#define BINARY(places, name)                                                                       \
    {                                                                                              \
        WIRE_BINARY, places, 0, FIELD(name), 0, 0                                                  \
    }

static const struct rule rules[] = {
    [FMX_PROP_PAYLOAD_FORMAT] = FLAG(MESSAGE, payload_format),
    [FMX_PROP_MESSAGE_EXPIRY] = U32(MESSAGE, message_expiry_s, 0),
    [FMX_PROP_CONTENT_TYPE] = TEXT(MESSAGE, content_type),
    [FMX_PROP_RESPONSE_TOPIC] = TEXT(MESSAGE, response_topic),
    [FMX_PROP_CORRELATION_DATA] = BINARY(MESSAGE, correlation_data),
    [FMX_PROP_SUBSCRIPTION_ID] = {WIRE_VARINT, IN(FMX_PUBLISH) | IN(FMX_SUBSCRIBE), IN(FMX_PUBLISH),
                                  FIELD(subscription_id), 1, FMX_REMAINING_BYTES_MAX},
    [FMX_PROP_SESSION_EXPIRY] = U32(HELLO | IN(FMX_DISCONNECT), session_expiry_s, 0),
    [FMX_PROP_ASSIGNED_CLIENT_ID] = TEXT(IN(FMX_CONNACK), assigned_client_id),
    [FMX_PROP_SERVER_KEEP_ALIVE] = U16(IN(FMX_CONNACK), server_keepalive_s, 0),
    [FMX_PROP_AUTH_METHOD] = TEXT(HELLO | IN(FMX_AUTH), auth_method),
    [FMX_PROP_AUTH_DATA] = BINARY(HELLO | IN(FMX_AUTH), auth_data),
    [FMX_PROP_REQUEST_PROBLEM] = FLAG(IN(FMX_CONNECT), request_problem),
    [FMX_PROP_WILL_DELAY] = U32(WILL, will_delay_s, 0),
    [FMX_PROP_REQUEST_RESPONSE] = FLAG(IN(FMX_CONNECT), request_response),
    [FMX_PROP_RESPONSE_INFO] = TEXT(IN(FMX_CONNACK), response_info),
    [FMX_PROP_SERVER_REFERENCE] = TEXT(IN(FMX_CONNACK) | IN(FMX_DISCONNECT), server_reference),
    [FMX_PROP_REASON_STRING] = TEXT(ANSWERS, reason_string),
    [FMX_PROP_RECEIVE_MAX] = U16(HELLO, receive_max, 1),
    [FMX_PROP_TOPIC_ALIAS_MAX] = U16(HELLO, topic_alias_max, 0),
    [FMX_PROP_TOPIC_ALIAS] = U16(IN(FMX_PUBLISH), topic_alias, 0),
    [FMX_PROP_MAXIMUM_QOS] = FLAG(IN(FMX_CONNACK), maximum_qos),
    [FMX_PROP_RETAIN_AVAILABLE] = FLAG(IN(FMX_CONNACK), retain_available),
    [FMX_PROP_USER_PROPERTY] = {WIRE_PAIR, EVERYWHERE, EVERYWHERE, FIELD(user_count), 0, 0},
    [FMX_PROP_PACKET_BYTES_MAX] = U32(HELLO, packet_bytes_max, 1),
    [FMX_PROP_WILDCARD_AVAILABLE] = FLAG(IN(FMX_CONNACK), wildcard_available),
    [FMX_PROP_SUBSCRIPTION_ID_AVAILABLE] = FLAG(IN(FMX_CONNACK), subscription_id_available),
    [FMX_PROP_SHARED_AVAILABLE] = FLAG(IN(FMX_CONNACK), shared_available),
};

#define RULES_COUNT (sizeof rules / sizeof rules[0])

static_assert(RULES_COUNT <= 64, "every identifier has a bit in `present`");
static_assert(sizeof(struct fmx_props) <= UINT16_MAX, "offsets fit");

static const struct rule *rule_of(unsigned prop)
{
    return prop < RULES_COUNT && rules[prop].wire != WIRE_NONE ? &rules[prop] : NULL;
}

static enum fmx_status read_slice(struct fmx_reader *block, bool is_text, fmx_slice *out_span)
{
    *out_span = fmx_read_string(block);
    if (block->failed) {
        return FMX_PEER_SHORT;
    }
    return is_text && !fmx_utf8_is_valid(*out_span) ? FMX_PEER_UTF8 : FMX_OK;
}

static enum fmx_status read_user(struct fmx_reader *block, uint32_t *count)
{
    fmx_slice key = fmx_read_string(block);
    fmx_slice value = fmx_read_string(block);

    if (block->failed) {
        return FMX_PEER_SHORT;
    }
    *count += 1;
    return fmx_utf8_is_valid(key) && fmx_utf8_is_valid(value) ? FMX_OK : FMX_PEER_UTF8;
}

static uint32_t read_number(struct fmx_reader *block, enum wire wire, void *field)
{
    switch (wire) {
    case WIRE_U8:
        return *(uint8_t *)field = fmx_read_u8(block);
    case WIRE_U16:
        return *(uint16_t *)field = fmx_read_u16(block);
    case WIRE_U32:
        return *(uint32_t *)field = fmx_read_u32(block);
    default:
        return *(uint32_t *)field = fmx_read_varint(block);
    }
}

static enum fmx_status read_value(struct fmx_reader *block, const struct rule *rule,
                                  struct fmx_props *props)
{
    void *field = (uint8_t *)props + rule->offset;

    if (rule->wire == WIRE_PAIR) {
        return read_user(block, field);
    }
    if (rule->wire == WIRE_TEXT || rule->wire == WIRE_BINARY) {
        return read_slice(block, rule->wire == WIRE_TEXT, field);
    }
    uint32_t number = read_number(block, (enum wire)rule->wire, field);
    if (block->failed) {
        return FMX_PEER_SHORT;
    }
    return number < rule->min || number > rule->max ? FMX_PEER_PROPERTY_VALUE : FMX_OK;
}

static enum fmx_status read_one(struct fmx_reader *block, unsigned place, struct fmx_props *props)
{
    unsigned prop = fmx_read_u8(block);
    const struct rule *rule = rule_of(prop);

    if (rule == NULL || (rule->places & IN(place)) == 0) {
        return FMX_PEER_PROPERTY;
    }
    if ((props->present & FMX_PROP_BIT(prop)) != 0 && (rule->repeats & IN(place)) == 0) {
        return FMX_PEER_PROPERTY_TWICE;
    }
    props->present |= FMX_PROP_BIT(prop);
    return read_value(block, rule, props);
}

enum fmx_status fmx_props_read(struct fmx_reader *reader, unsigned place,
                               struct fmx_props *out_props)
{
    size_t bytes = fmx_read_varint(reader);

    out_props->present = 0;
    out_props->user_count = 0;
    out_props->raw = fmx_read_bytes(reader, bytes);
    if (reader->failed) {
        return FMX_PEER_SHORT;
    }
    struct fmx_reader block = fmx_reader_of(out_props->raw);
    while (fmx_reader_left(&block) > 0) {
        enum fmx_status status = read_one(&block, place, out_props);
        if (status != FMX_OK) {
            return status;
        }
    }
    return FMX_OK;
}

static void skip_value(struct fmx_reader *block, enum wire wire)
{
    switch (wire) {
    case WIRE_NONE:
        block->failed = true;
        break;
    case WIRE_U8:
        (void)fmx_read_u8(block);
        break;
    case WIRE_U16:
        (void)fmx_read_u16(block);
        break;
    case WIRE_U32:
        (void)fmx_read_u32(block);
        break;
    case WIRE_VARINT:
        (void)fmx_read_varint(block);
        break;
    case WIRE_TEXT:
    case WIRE_BINARY:
    case WIRE_PAIR:
        (void)fmx_read_string(block);
        break;
    }
}

enum fmx_status fmx_props_next_user(fmx_slice raw, size_t *offset, fmx_slice *out_key,
                                    fmx_slice *out_value)
{
    struct fmx_reader block = fmx_reader_of(raw);

    (void)fmx_read_bytes(&block, *offset);
    while (!block.failed && fmx_reader_left(&block) > 0) {
        unsigned prop = fmx_read_u8(&block);
        if (prop != FMX_PROP_USER_PROPERTY) {
            const struct rule *rule = rule_of(prop);
            skip_value(&block, rule == NULL ? WIRE_NONE : (enum wire)rule->wire);
            continue;
        }
        *out_key = fmx_read_string(&block);
        *out_value = fmx_read_string(&block);
        *offset = raw.bytes - fmx_reader_left(&block);
        return block.failed ? FMX_END : FMX_OK;
    }
    *offset = raw.bytes;
    return FMX_END;
}

static size_t varint_value_bytes(uint32_t value)
{
    return value <= FMX_REMAINING_BYTES_MAX ? fmx_varint_bytes(value)
                                            : (size_t)FMX_REMAINING_BYTES_MAX + 1;
}

static size_t value_bytes(const struct rule *rule, const struct fmx_props *props)
{
    const void *field = (const uint8_t *)props + rule->offset;

    switch ((enum wire)rule->wire) {
    case WIRE_U8:
        return 1;
    case WIRE_U16:
        return 2;
    case WIRE_U32:
        return 4;
    case WIRE_VARINT:
        return varint_value_bytes(*(const uint32_t *)field);
    case WIRE_TEXT:
    case WIRE_BINARY:
        return fmx_string_bytes(*(const fmx_slice *)field);
    default:
        FMX_UNREACHABLE();
    }
}

static void write_value(struct fmx_writer *writer, const struct rule *rule,
                        const struct fmx_props *props)
{
    const void *field = (const uint8_t *)props + rule->offset;

    switch ((enum wire)rule->wire) {
    case WIRE_U8:
        fmx_write_u8(writer, *(const uint8_t *)field);
        break;
    case WIRE_U16:
        fmx_write_u16(writer, *(const uint16_t *)field);
        break;
    case WIRE_U32:
        fmx_write_u32(writer, *(const uint32_t *)field);
        break;
    case WIRE_VARINT:
        fmx_write_varint(writer, *(const uint32_t *)field);
        break;
    case WIRE_TEXT:
    case WIRE_BINARY:
        fmx_write_string(writer, *(const fmx_slice *)field);
        break;
    default:
        FMX_UNREACHABLE();
    }
}

/* Takes the lowest property out of `left`; the user property is not among them. */
static unsigned pop_prop(uint64_t *left)
{
    unsigned prop = (unsigned)__builtin_ctzll(*left);

    *left &= *left - 1;
    FMX_ASSERT(rule_of(prop) != NULL);
    return prop;
}

static uint64_t fields_of(const struct fmx_props *props)
{
    return props->present & ~FMX_PROP_BIT(FMX_PROP_USER_PROPERTY);
}

static size_t user_bytes(const struct fmx_props *props)
{
    size_t bytes = 0;
    size_t offset = 0;
    fmx_slice key;
    fmx_slice value;

    if (props->user_count == 0) {
        return 0;
    }
    while (fmx_props_next_user(props->raw, &offset, &key, &value) == FMX_OK) {
        bytes += 1 + fmx_string_bytes(key) + fmx_string_bytes(value);
    }
    return bytes;
}

static size_t block_bytes(const struct fmx_props *props)
{
    if (props->present == 0 && props->user_count == 0) {
        return 0;
    }
    size_t bytes = user_bytes(props);
    for (uint64_t left = fields_of(props); left != 0;) {
        bytes += 1 + value_bytes(&rules[pop_prop(&left)], props);
    }
    return bytes;
}

size_t fmx_props_bytes(const struct fmx_props *props)
{
    size_t bytes = block_bytes(props);

    return bytes > FMX_REMAINING_BYTES_MAX ? bytes : bytes + fmx_varint_bytes((uint32_t)bytes);
}

void fmx_props_write(struct fmx_writer *writer, const struct fmx_props *props)
{
    size_t offset = 0;
    fmx_slice key;
    fmx_slice value;

    fmx_write_varint(writer, (uint32_t)block_bytes(props));
    for (uint64_t left = fields_of(props); left != 0;) {
        unsigned prop = pop_prop(&left);
        fmx_write_u8(writer, (uint8_t)prop);
        write_value(writer, &rules[prop], props);
    }
    if (props->user_count == 0) {
        return;
    }
    while (fmx_props_next_user(props->raw, &offset, &key, &value) == FMX_OK) {
        fmx_user_write(writer, key, value);
    }
}

void fmx_user_write(struct fmx_writer *writer, fmx_slice key, fmx_slice value)
{
    fmx_write_u8(writer, FMX_PROP_USER_PROPERTY);
    fmx_write_string(writer, key);
    fmx_write_string(writer, value);
}
