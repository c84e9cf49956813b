/*
 * order.h — what a service asks of one device, on its way: caller → home of the device → its
 * session
 *
 *     caller                 home of the device              shard of its session
 *       ORDER     ──────────►  away, unknown: ends here
 *                              there:  ORDER_TO  ──────────►  publishes, or says why not
 *                              call: its record waits here    (answer of the device)
 *                              with the deadline    ◄──────────  CALL_ANSWER, CALL_END
 *
 * An order is owned by the message that carries it, and ends exactly once: fmx_order_end, or with
 * the payload it hangs on (payload.h: receipt).
 */
#ifndef ENGINE_ROLES_ORDER_H
#define ENGINE_ROLES_ORDER_H

#include "engine/payload.h"

#include <fleetmux/gateway.h>

enum fmx_order_kind {
    FMX_ORDER_PUBLISH,
    FMX_ORDER_CALL,
    FMX_ORDER_QUERY,
    FMX_ORDER_KICK,
    FMX_ORDER_LIST,
};

/* What home has found out about subscriptions, where they are there. */
enum fmx_order_verdict {
    FMX_VERDICT_OPEN, /* the session's shard decides */
    FMX_VERDICT_YES,
    FMX_VERDICT_NO,
};

struct fmx_order {
    struct fmx_receipt receipt;  /* first; FMX_ORDER_PUBLISH: outcome is an enum fmx_delivery */
    struct fmx_payload *payload; /* PUBLISH, CALL; owned */
    union {
        fmx_gateway_delivered *delivered;
        fmx_gateway_answered *answered;
        void (*queried)(void *user, const struct fmx_gateway_state *state);
        void (*kicked)(void *user, bool was_there);
        void (*listed)(void *user, const struct fmx_gateway_session *sessions, size_t count,
                       uint64_t next_cursor);
    } done; /* may be NULL for PUBLISH and KICK; of a CALL that has begun, rrpc.c has it */
    void *user;
    uint64_t hash;     /* of the key */
    uint64_t number;   /* CALL: its id; LIST: the cursor */
    uint64_t since_ns; /* CALL: when it was asked for */
    uint32_t timeout_ms;
    enum fmx_status cause; /* KICK */
    uint8_t kind;
    uint8_t verdict;
    bool is_custom; /* CALL: on a custom topic */
    uint16_t id_at; /* CALL: where in the topic the message id stands */
    uint16_t key_bytes;
    uint8_t device_name_bytes;
    uint8_t key[]; /* device name, '&', product key */
};

/* NULL: no memory. */
struct fmx_order *fmx_order_make(enum fmx_order_kind kind, fmx_slice product_key,
                                 fmx_slice device_name);

/* Says what became of it, in the one way its kind has for a failure, and releases it. NULL is
   harmless. */
void fmx_order_fail(struct fmx_order *order);

/* A publish that is over: `done` hears, the order goes; its payload is not its any more. */
void fmx_order_delivered(struct fmx_order *order, enum fmx_delivery delivery);

/* Releases it without a word: it has been answered. */
void fmx_order_close(struct fmx_order *order);

static inline fmx_slice fmx_order_key(const struct fmx_order *order)
{
    return (fmx_slice){.data = order->key, .bytes = order->key_bytes};
}

static inline fmx_slice fmx_order_device_name(const struct fmx_order *order)
{
    return (fmx_slice){.data = order->key, .bytes = order->device_name_bytes};
}

static inline fmx_slice fmx_order_product_key(const struct fmx_order *order)
{
    return (fmx_slice){.data = order->key + order->device_name_bytes + 1,
                       .bytes = order->key_bytes - order->device_name_bytes - 1u};
}

#endif
