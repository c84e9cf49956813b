/*
 * order — what a service asks of one device, on its way: how it is made and how it ends
 *
 * Why it is so:   an order may end on any shard and at any step, also because the gateway stops;
 *                 who waits for it must hear exactly once. So whoever holds it last ends it, and
 *                 what it says then depends on nothing but its kind
 * Invariants:     (1) an order is released in this file only
 * Memory:         one block, with the names behind; the payload is its own until it is sent
 * Threads:        whoever owns it
 * Not here:       what each order does: service.c, rrpc.c
 */
#include "engine/roles/order.h"

#include <stdlib.h>

static void end_receipt(struct fmx_receipt *receipt)
{
    struct fmx_order *order = (struct fmx_order *)receipt;

    order->payload = NULL; /* it is what ends us */
    fmx_order_delivered(order, (enum fmx_delivery)receipt->outcome);
}

struct fmx_order *fmx_order_make(enum fmx_order_kind kind, fmx_slice product_key,
                                 fmx_slice device_name)
{
    size_t key_bytes = device_name.bytes + 1 + product_key.bytes;
    struct fmx_order *order = calloc(1, sizeof(*order) + key_bytes);

    if (order == NULL) {
        return NULL;
    }
    order->receipt = (struct fmx_receipt){.end = end_receipt, .outcome = FMX_DELIVERY_DROPPED};
    order->kind = (uint8_t)kind;
    order->key_bytes = (uint16_t)key_bytes;
    order->device_name_bytes = (uint8_t)device_name.bytes;
    if (device_name.bytes > 0) {
        memcpy(order->key, device_name.data, device_name.bytes);
    }
    order->key[device_name.bytes] = '&';
    if (product_key.bytes > 0) {
        memcpy(order->key + device_name.bytes + 1, product_key.data, product_key.bytes);
    }
    return order;
}

void fmx_order_close(struct fmx_order *order)
{
    if (order->payload != NULL) {
        fmx_payload_give(order->payload);
    }
    free(order);
}

void fmx_order_delivered(struct fmx_order *order, enum fmx_delivery delivery)
{
    if (order->done.delivered != NULL) {
        order->done.delivered(order->user, delivery);
    }
    fmx_order_close(order);
}

void fmx_order_fail(struct fmx_order *order)
{
    static const struct fmx_gateway_answer unknown = {.code = FMX_CALL_UNKNOWN};
    static const struct fmx_gateway_state nothing = {.presence = FMX_DEVICE_UNKNOWN};

    if (order == NULL) {
        return;
    }
    switch ((enum fmx_order_kind)order->kind) {
    case FMX_ORDER_PUBLISH:
        fmx_order_delivered(order, FMX_DELIVERY_SHUTDOWN);
        return;
    case FMX_ORDER_CALL:
        if (order->done.answered != NULL) {
            order->done.answered(order->user, &unknown);
        }
        break;
    case FMX_ORDER_QUERY:
        order->done.queried(order->user, &nothing);
        break;
    case FMX_ORDER_KICK:
        if (order->done.kicked != NULL) {
            order->done.kicked(order->user, false);
        }
        break;
    case FMX_ORDER_LIST:
        order->done.listed(order->user, NULL, 0, 0);
        break;
    }
    fmx_order_close(order);
}

const char *fmx_delivery_name(enum fmx_delivery delivery)
{
    static const char *const names[] = {"sent",           "acknowledged", "stored",  "offline",
                                        "not subscribed", "dropped",      "shutdown"};

    return (size_t)delivery < sizeof(names) / sizeof(names[0]) ? names[delivery] : "?";
}

const char *fmx_call_code_name(enum fmx_call_code code)
{
    static const char *const names[] = {"SUCCESS", "TIMEOUT", "OFFLINE", "HALFCONN", "UNKNOWN"};

    return (size_t)code < sizeof(names) / sizeof(names[0]) ? names[code] : "?";
}

const char *fmx_device_presence_name(enum fmx_device_presence presence)
{
    static const char *const names[] = {"UNKNOWN", "UNACTIVE", "OFFLINE", "ONLINE", "DISABLE"};

    return (size_t)presence < sizeof(names) / sizeof(names[0]) ? names[presence] : "?";
}
