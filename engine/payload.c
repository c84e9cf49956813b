/*
 * payload — one published message, kept once for all who will still need it; counted per shard
 *
 * Why it is so:   a message to a thousand sessions is stored once and gathered by the kernel from
 *                 there; and a message for an absent session must outlive the buffer it came in
 * Invariants:     (1) refs ≥ 1 while anyone on the shard holds a pointer
 *                 (2) refs == 1 while it crosses between shards
 *                 (3) the properties kept are those of FMX_PAYLOAD_PROPS, in the publisher's order
 *                     for user properties (MQTT 5.0, 3.3.2.3)
 * Memory:         one allocation each
 * Threads:        the shard that owns it; exported ones: whoever holds the message they travel in
 * Not here:       the head each receiver gets: delivery in roles/
 */
#include "engine/payload.h"

#include "proto/limits.h"
#include <fleetmux/private/assert.h>

static struct fmx_payload *allocate(size_t topic, size_t props, size_t payload)
{
    struct fmx_payload *made = malloc(sizeof(*made) + topic + props + payload);

    if (made != NULL) {
        *made = (struct fmx_payload){.refs = 1,
                                     .topic_bytes = (uint32_t)topic,
                                     .props_bytes = (uint32_t)props,
                                     .payload_bytes = (uint32_t)payload};
    }
    return made;
}

struct fmx_payload *fmx_payload_make(const struct fmx_publish *publish, struct fmx_session_id from,
                                     uint64_t expires_ns)
{
    struct fmx_props props = publish->props;
    props.present &= FMX_PAYLOAD_PROPS;
    bool has_props = props.present != 0 || props.user_count > 0;
    size_t props_bytes = has_props ? fmx_props_bytes(&props) : 0;

    struct fmx_payload *made = allocate(publish->topic.bytes, props_bytes, publish->payload.bytes);
    if (made == NULL) {
        return NULL;
    }
    struct fmx_writer writer =
        fmx_writer_of(made->bytes, publish->topic.bytes + props_bytes + publish->payload.bytes);
    fmx_write_bytes(&writer, publish->topic);
    if (has_props) {
        fmx_props_write(&writer, &props);
    }
    fmx_write_bytes(&writer, publish->payload);
    FMX_ASSERT(!writer.failed && writer.at == writer.end);
    made->from = from;
    made->expires_ns = expires_ns;
    made->qos = publish->qos;
    return made;
}

void fmx_payload_give(struct fmx_payload *payload)
{
    FMX_ASSERT(payload->refs > 0);
    if (--payload->refs == 0) {
        if (payload->receipt != NULL) {
            payload->receipt->end(payload->receipt);
        }
        free(payload);
    }
}

void fmx_payload_tell(struct fmx_payload *payload, int outcome)
{
    struct fmx_receipt *receipt = payload->receipt;

    if (receipt != NULL) {
        payload->receipt = NULL;
        receipt->outcome = outcome;
        receipt->end(receipt);
    }
}

struct fmx_payload *fmx_payload_export(struct fmx_payload *payload)
{
    if (payload->refs == 1) {
        return payload;
    }
    size_t bytes = fmx_payload_bytes(payload);
    struct fmx_payload *copy = malloc(bytes);
    if (copy != NULL) {
        memcpy(copy, payload, bytes);
        copy->refs = 1;
        payload->receipt = NULL;
    }
    fmx_payload_give(payload);
    return copy;
}

static void set_expiry(const struct fmx_payload *payload, uint64_t now_ns, struct fmx_props *props)
{
    if (payload->expires_ns == 0) {
        return;
    }
    uint64_t left_ns = payload->expires_ns > now_ns ? payload->expires_ns - now_ns : 0;
    props->present |= FMX_PROP_BIT(FMX_PROP_MESSAGE_EXPIRY);
    props->message_expiry_s = (uint32_t)((left_ns + FMX_NS_PER_S - 1) / FMX_NS_PER_S);
}

void fmx_payload_view(const struct fmx_payload *payload, uint64_t now_ns,
                      struct fmx_publish *out_publish)
{
    const uint8_t *props = payload->bytes + payload->topic_bytes;

    *out_publish = (struct fmx_publish){
        .topic = {.data = payload->bytes, .bytes = payload->topic_bytes},
        .payload = {.data = props + payload->props_bytes, .bytes = payload->payload_bytes},
    };
    if (payload->props_bytes > 0) {
        struct fmx_reader reader =
            fmx_reader_of((fmx_slice){.data = props, .bytes = payload->props_bytes});
        enum fmx_status status = fmx_props_read(&reader, FMX_PUBLISH, &out_publish->props);
        FMX_ASSERT(status == FMX_OK); /* we wrote it */
    }
    set_expiry(payload, now_ns, &out_publish->props);
}
