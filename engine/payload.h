/*
 * payload.h — one published message, kept once for all who will still need it; counted per shard
 *
 * The message is version-neutral: topic, the properties that are passed on, payload. What a
 * receiver gets is encoded from it. The count is not atomic: a payload belongs to one shard. To
 * cross to another it is exported: alone in its memory, ownership goes with the pointer.
 */
#ifndef ENGINE_PAYLOAD_H
#define ENGINE_PAYLOAD_H

#include "proto/packet.h"

/*
 * The properties of a PUBLISH that its receivers get too, beside user properties. Message Expiry is
 * passed on as what is left of it; Topic Alias and Subscription Identifier end with the hop.
 */
#define FMX_PAYLOAD_PROPS                                                                          \
    (FMX_PROP_BIT(FMX_PROP_PAYLOAD_FORMAT) | FMX_PROP_BIT(FMX_PROP_CONTENT_TYPE) |                 \
     FMX_PROP_BIT(FMX_PROP_RESPONSE_TOPIC) | FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA))

/* Who wants to know what becomes of a message; ends once, with the last reference at the latest. */
struct fmx_receipt {
    void (*end)(struct fmx_receipt *receipt); /* releases it too */
    int outcome;                              /* whoever knows better has set it by then */
};

struct fmx_payload {
    uint32_t refs;
    uint32_t topic_bytes;
    uint32_t props_bytes; /* raw 5.0 properties that are passed on, without expiry and alias */
    uint32_t payload_bytes;
    uint64_t expires_ns; /* message expiry; 0: never */
    uint64_t store_id;   /* it is on disk under this number, for one session; 0: it is not */
    struct fmx_receipt *receipt; /* owned; NULL: nobody asks */
    struct fmx_session_id from;  /* who published it, for No Local */
    uint8_t qos;                 /* the publisher's */
    uint8_t bytes[];             /* topic, properties, payload */
};

/*
 * Copies a message. refs = 1. NULL if memory ran out. `expires_ns` is on the shard's clock, which
 * is the same for all shards of a machine.
 */
struct fmx_payload *fmx_payload_make(const struct fmx_publish *publish, struct fmx_session_id from,
                                     uint64_t expires_ns);

static inline struct fmx_payload *fmx_payload_take(struct fmx_payload *payload)
{
    payload->refs++;
    return payload;
}

void fmx_payload_give(struct fmx_payload *payload);

/*
 * For another shard: this very payload if nobody else here needs it, else a copy; the caller's
 * reference is used up either way. NULL if memory ran out.
 */
struct fmx_payload *fmx_payload_export(struct fmx_payload *payload);

/* Ends the receipt, if there is one, with this outcome. */
void fmx_payload_tell(struct fmx_payload *payload, int outcome);

/*
 * The message as a view that borrows from the payload; qos, dup, retain and packet_id are 0:
 * nothing is retained here.
 */
void fmx_payload_view(const struct fmx_payload *payload, uint64_t now_ns,
                      struct fmx_publish *out_publish);

static inline bool fmx_payload_is_expired(const struct fmx_payload *payload, uint64_t now_ns)
{
    return payload->expires_ns != 0 && payload->expires_ns <= now_ns;
}

/* Bytes it holds, for bounds. */
static inline size_t fmx_payload_bytes(const struct fmx_payload *payload)
{
    return sizeof(*payload) + payload->topic_bytes + payload->props_bytes + payload->payload_bytes;
}

#endif
