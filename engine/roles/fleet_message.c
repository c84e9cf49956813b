/*
 * fleet_message — what stands in a message, and what is read from one
 *
 * Why it is so:   a message says who sent it, which one of his it is, and when it was to leave, so
 *                 that whoever receives it can tell loss and delay. What differs between two
 *                 messages is written over the front of one buffer and into few fields of one
 *                 message; the rest of it is made once. A topic stays until another client's is
 *                 needed: a burst fills it in once
 * Words:          mark: these three, 24 bytes in front of a payload, or as hex digits in a property
 *                 post; post: Alink JSON that a device reports its properties with
 * Memory:         one message, payload, correlation and topic for each shard; user properties,
 *                 encoded once, are the fleet's
 * Threads:        owning shard
 * Limits:         a post has at least POST_BYTES_MIN bytes
 * Not here:       when a message leaves: fleet_publish.c
 */
#include "engine/roles/fleet.h"

#include <stdlib.h>

#define MARK_BYTES  24u
#define MARK_DIGITS (2 * MARK_BYTES)
#define MARK_MAGIC  0x666d7831u /* "fmx1" */

#define POST_BEGIN       "{\"id\":\""
#define POST_BEFORE      "\",\"version\":\"1.0\",\"params\":{\"mark\":\""
#define POST_BEHIND      "\",\"pad\":\""
#define POST_END         "\"},\"method\":\"thing.event.property.post\"}"
#define POST_REPLY       "/thing/event/property/post_reply"
#define DIGITS_MAX       20u /* of a number of 64 bits */
#define TEXT_BYTES(text) (sizeof(text) - 1)
#define POST_HEAD_BYTES_MAX                                                                        \
    (TEXT_BYTES(POST_BEGIN) + DIGITS_MAX + TEXT_BYTES(POST_BEFORE) + MARK_DIGITS +                 \
     TEXT_BYTES(POST_BEHIND))
#define POST_BYTES_MIN (POST_HEAD_BYTES_MAX + TEXT_BYTES(POST_END))

/* ── buffers ── */

/* What all messages have in common. */
static void begin_message(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet *whole = fleet->fleet;
    const struct fmx_fleet_properties *wanted = &whole->plan.properties;
    struct fmx_props *props = &fleet->message.props;

    fleet->message.qos = whole->plan.publish_qos;
    fleet->message.retain = whole->plan.retain;
    if (wanted->response_topic != NULL) {
        props->present |= FMX_PROP_BIT(FMX_PROP_RESPONSE_TOPIC);
    }
    if (wanted->correlation_bytes > 0) {
        props->present |= FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA);
        props->correlation_data =
            (fmx_slice){.data = fleet->correlation, .bytes = wanted->correlation_bytes};
    }
    if (wanted->user_count > 0) {
        props->user_count = (uint32_t)wanted->user_count;
        props->raw = (fmx_slice){.data = whole->user_copy, .bytes = whole->user_bytes};
    }
}

static uint8_t *make_buffer(size_t bytes)
{
    uint8_t *buffer = malloc(bytes + 1);

    for (size_t i = 0; buffer != NULL && i < bytes; i++) {
        buffer[i] = (uint8_t)('a' + i % 26);
    }
    return buffer;
}

bool fmx_fleet_message_open(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;

    fleet->payload_bytes = plan->payload_bytes;
    if (plan->platform.thing_model && fleet->payload_bytes < POST_BYTES_MIN) {
        fleet->payload_bytes = POST_BYTES_MIN;
    }
    fleet->payload = make_buffer(fleet->payload_bytes);
    fleet->correlation = make_buffer(plan->properties.correlation_bytes);
    if (fleet->payload != NULL && plan->platform.thing_model) {
        memcpy(fleet->payload + fleet->payload_bytes - TEXT_BYTES(POST_END), POST_END,
               TEXT_BYTES(POST_END));
    }
    begin_message(fleet);
    return fleet->payload != NULL && fleet->correlation != NULL;
}

void fmx_fleet_message_close(struct fmx_fleet_shard *fleet)
{
    free(fleet->payload);
    free(fleet->correlation);
}

/* ── making ── */

static void write_u64(struct fmx_writer *writer, uint64_t value)
{
    fmx_write_u32(writer, (uint32_t)(value >> 32));
    fmx_write_u32(writer, (uint32_t)value);
}

static void write_mark(const struct fmx_fleet_mark *mark, uint8_t out[MARK_BYTES])
{
    struct fmx_writer writer = fmx_writer_of(out, MARK_BYTES);

    fmx_write_u32(&writer, MARK_MAGIC);
    fmx_write_u32(&writer, mark->publisher);
    write_u64(&writer, mark->sequence);
    write_u64(&writer, mark->planned_ns);
}

static void write_number(struct fmx_writer *writer, uint64_t number)
{
    uint8_t digits[DIGITS_MAX];
    size_t at = DIGITS_MAX;

    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    fmx_write_bytes(writer, (fmx_slice){.data = digits + at, .bytes = DIGITS_MAX - at});
}

static void write_text(struct fmx_writer *writer, const char *text)
{
    fmx_write_bytes(writer, fmx_slice_of(text));
}

/* What is left of a longer head of another client is padded over. */
static void write_post(const struct fmx_fleet_mark *mark, uint8_t *payload)
{
    struct fmx_writer writer = fmx_writer_of(payload, POST_HEAD_BYTES_MAX);
    uint8_t bytes[MARK_BYTES];
    char digits[MARK_DIGITS];

    write_mark(mark, bytes);
    fmx_dialect_hex((fmx_slice){.data = bytes, .bytes = MARK_BYTES}, false, digits);
    write_text(&writer, POST_BEGIN);
    write_number(&writer, mark->sequence);
    write_text(&writer, POST_BEFORE);
    fmx_write_bytes(&writer, (fmx_slice){.data = (uint8_t *)digits, .bytes = MARK_DIGITS});
    write_text(&writer, POST_BEHIND);
    memset(writer.at, 'a', (size_t)(writer.end - writer.at));
}

static fmx_slice make_payload(struct fmx_fleet_shard *fleet, const struct fmx_fleet_mark *mark)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;

    if (plan->payload.bytes > 0) {
        return plan->payload;
    }
    if (plan->platform.thing_model) {
        write_post(mark, fleet->payload);
    } else if (fleet->payload_bytes >= MARK_BYTES) {
        write_mark(mark, fleet->payload);
    }
    return (fmx_slice){.data = fleet->payload, .bytes = fleet->payload_bytes};
}

static fmx_slice fill_once(const struct fmx_fleet_shard *fleet,
                           const struct fmx_fleet_client *client, const char *text,
                           struct fmx_fleet_filled *filled)
{
    if (filled->number != client->index + 1u) {
        filled->number = client->index + 1u;
        filled->text = fmx_fleet_fill(fleet, client, text, filled->bytes);
    }
    return filled->text;
}

fmx_slice fmx_fleet_message_topic(struct fmx_fleet_shard *fleet,
                                  const struct fmx_fleet_client *client)
{
    return fill_once(fleet, client, fleet->fleet->plan.topic, &fleet->topic);
}

static void set_properties(struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_properties *wanted = &fleet->fleet->plan.properties;

    if (wanted->response_topic != NULL) {
        fleet->message.props.response_topic =
            fill_once(fleet, client, wanted->response_topic, &fleet->response_topic);
    }
    if (wanted->correlation_bytes >= sizeof(uint64_t)) {
        struct fmx_writer writer = fmx_writer_of(fleet->correlation, sizeof(uint64_t));
        write_u64(&writer, client->sequence);
    }
}

struct fmx_publish *fmx_fleet_message_make(struct fmx_fleet_shard *fleet,
                                           const struct fmx_fleet_client *client,
                                           uint64_t planned_ns)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;
    const struct fmx_fleet_mark mark = {.publisher = plan->first_number + client->index,
                                        .sequence = client->sequence,
                                        .planned_ns = planned_ns};

    fleet->message.payload = make_payload(fleet, &mark);
    set_properties(fleet, client);
    return &fleet->message;
}

/* ── reading ── */

static uint64_t read_u64(struct fmx_reader *reader)
{
    uint64_t value = (uint64_t)fmx_read_u32(reader) << 32;

    return value | fmx_read_u32(reader);
}

static bool read_mark(fmx_slice bytes, struct fmx_fleet_mark *out_mark)
{
    struct fmx_reader reader = fmx_reader_of(bytes);

    if (bytes.bytes < MARK_BYTES || fmx_read_u32(&reader) != MARK_MAGIC) {
        return false;
    }
    out_mark->publisher = fmx_read_u32(&reader);
    out_mark->sequence = read_u64(&reader);
    out_mark->planned_ns = read_u64(&reader);
    return true;
}

static bool read_post(fmx_slice payload, struct fmx_fleet_mark *out_mark)
{
    size_t looked = payload.bytes < POST_HEAD_BYTES_MAX ? payload.bytes : POST_HEAD_BYTES_MAX;
    uint8_t bytes[MARK_BYTES];
    size_t bytes_count;

    if (looked == 0 || payload.data[0] != '{') {
        return false;
    }
    const uint8_t *before = memmem(payload.data, looked, POST_BEFORE, TEXT_BYTES(POST_BEFORE));
    if (before == NULL) {
        return false;
    }
    fmx_slice digits = {.data = before + TEXT_BYTES(POST_BEFORE), .bytes = MARK_DIGITS};
    return digits.data + MARK_DIGITS <= payload.data + looked &&
           fmx_dialect_unhex(digits, bytes, sizeof(bytes), &bytes_count) &&
           read_mark((fmx_slice){.data = bytes, .bytes = bytes_count}, out_mark);
}

bool fmx_fleet_mark_read(fmx_slice payload, struct fmx_fleet_mark *out_mark)
{
    return read_mark(payload, out_mark) || read_post(payload, out_mark);
}

bool fmx_fleet_is_thing_reply(fmx_slice topic)
{
    size_t bytes = TEXT_BYTES(POST_REPLY);

    return topic.bytes > bytes && memcmp(topic.data, "/sys/", 5) == 0 &&
           memcmp(topic.data + topic.bytes - bytes, POST_REPLY, bytes) == 0;
}
