/*
 * gateway_messages — what other shards, callers and the gateway's own threads say to a shard
 *
 * Why it is so:   everything that crosses between threads is one of a closed list (engine/msg.h),
 *                 so one switch shows where each of them goes, and another who releases what it
 *                 owns if nobody is left to take it
 * Memory:         what a message owns, until its handler has taken it over
 * Threads:        the shard that gets them; fmx_gateway_discard also when no shard runs any more
 * Not here:       the handlers: see the map in engine/roles/gateway.h
 */
#include "engine/roles/gateway.h"

#include <stdlib.h>

static void kick(struct fmx_shard *shard, const struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(shard, message->about.session);

    if (conn != NULL) {
        fmx_conn_close(conn, message->about.cause);
    }
}

static void end_sessions_of(struct fmx_gateway_shard *gateway, fmx_slice product_key)
{
    uint32_t cursor = 0;
    struct fmx_conn *conn;

    while ((conn = fmx_slab_next(&gateway->shard->conns, &cursor)) != NULL) {
        if (fmx_slice_equal(fmx_gateway_product_key(fmx_gateway_part(conn)), product_key)) {
            fmx_conn_close(conn, FMX_PEER_NOT_AUTHORIZED);
        }
    }
}

/* A product that was deleted: nothing of its devices is kept. */
static void forget_if_deleted(struct fmx_gateway_shard *gateway, fmx_slice product_key)
{
    struct fmx_device_info info;
    struct fmx_identity *identity;
    fmx_slice key, name;
    uint32_t cursor = 0;

    (void)!fmx_devices_find(gateway->gateway->devices, gateway->shard->index, product_key,
                            (fmx_slice){0}, &info);
    if (info.product_version != 0) {
        return;
    }
    while ((identity = fmx_directory_next(&gateway->directory, &cursor)) != NULL) {
        if (fmx_gateway_split_key(fmx_blob_slice(identity->client_id), &key, &name) &&
            fmx_slice_equal(key, product_key)) {
            fmx_directory_forget(&gateway->directory, identity);
        }
    }
}

static void on_product(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    fmx_slice key = fmx_blob_slice(message->product.key);

    if (!fmx_products_reload(&gateway->products, key) || message->product.is_gone) {
        end_sessions_of(gateway, key);
    }
    forget_if_deleted(gateway, key);
    free(message->product.key);
}

static void on_limits(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_limits_change *change = message->limits.change;
    fmx_slice key = {.data = change->key, .bytes = change->key_bytes};

    if (fmx_products_override(&gateway->products, key, &change->override) != FMX_OK) {
        fmx_log_line(&gateway->shard->options->log, FMX_LOG_ERROR,
                     "limits: no memory for what is announced to new sessions");
    }
    free(change);
}

static void on_call_answer(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_publish publish;

    fmx_payload_view(message->call.payload, gateway->shard->now_ns, &publish);
    fmx_calls_answer(&gateway->calls, message->call.message_id, message->call.hash,
                     publish.payload);
    fmx_payload_give(message->call.payload);
}

static void on_settled(struct fmx_gateway_shard *gateway, const struct fmx_msg *message)
{
    (void)fmx_store_drop_message(gateway->gateway->store, gateway->shard->index,
                                 message->settled.store_id);
}

static void remember(struct fmx_gateway_shard *gateway, uint64_t hash,
                     const struct fmx_rate_memory *rates)
{
    fmx_connect_rate_remember(&gateway->connect_rate, hash, rates, gateway->shard->now_ns);
}

void fmx_gateway_on_message(struct fmx_shard *shard, struct fmx_msg *message)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);

    switch ((enum fmx_msg_kind)message->kind) {
    case FMX_MSG_CLAIMING:
        fmx_gateway_on_claiming(gateway, message);
        break;
    case FMX_MSG_CLAIM:
        fmx_directory_on_claim(&gateway->directory, message);
        break;
    case FMX_MSG_CLAIMED:
        fmx_gateway_on_claimed(gateway, message);
        break;
    case FMX_MSG_RELEASE:
        fmx_gateway_on_release(gateway, message);
        break;
    case FMX_MSG_RELEASED:
        remember(gateway, message->released.hash, &message->released.rates);
        fmx_directory_on_released(&gateway->directory, message);
        break;
    case FMX_MSG_GONE:
        remember(gateway, message->gone.hash, &message->gone.rates);
        fmx_directory_on_gone(&gateway->directory, message);
        break;
    case FMX_MSG_SUBSCRIBE:
        fmx_gateway_on_subscribe_msg(gateway, message);
        break;
    case FMX_MSG_SUBSCRIBED:
        fmx_gateway_on_subscribed_msg(gateway, message);
        break;
    case FMX_MSG_INTEREST:
        fmx_gateway_on_interest(gateway, message);
        break;
    case FMX_MSG_PUBLISH:
        fmx_gateway_publish_msg(gateway, message->publish.payload, message->publish.is_first);
        break;
    case FMX_MSG_DELIVER:
        fmx_gateway_on_deliver(gateway, message);
        break;
    case FMX_MSG_KICK:
        kick(shard, message);
        break;
    case FMX_MSG_ORDER:
        fmx_service_on_order(gateway, message->order.order);
        break;
    case FMX_MSG_ORDER_TO:
        fmx_service_on_order_to(gateway, message);
        break;
    case FMX_MSG_CALL_ANSWER:
        on_call_answer(gateway, message);
        break;
    case FMX_MSG_CALL_END:
        fmx_calls_end(&gateway->calls, message->call.message_id,
                      (enum fmx_call_code)message->call.code);
        break;
    case FMX_MSG_BROADCAST:
        fmx_service_on_broadcast(gateway, message);
        break;
    case FMX_MSG_PRODUCT:
        on_product(gateway, message);
        break;
    case FMX_MSG_LIMITS:
        on_limits(gateway, message);
        break;
    case FMX_MSG_REGISTERED:
        fmx_platform_on_registered(gateway, message);
        break;
    case FMX_MSG_SETTLED:
        on_settled(gateway, message);
        break;
    case FMX_MSG_COMMITTED:
        break; /* it has woken us: on_turn looks */
    case FMX_MSG_NONE:
    case FMX_MSG_STOP:
    case FMX_MSG_BEGIN:
    case FMX_MSG_STEER:
    case FMX_MSG_RENEW_TLS:
        FMX_UNREACHABLE();
    }
}

static void discard_parcel(struct fmx_parcel *parcel)
{
    struct fmx_backlog backlog = {0};

    (void)fmx_parcel_unpack(parcel, &backlog);
    fmx_backlog_wipe(&backlog);
}

void fmx_gateway_discard(struct fmx_shard *shard, struct fmx_msg *message)
{
    (void)shard;
    switch ((enum fmx_msg_kind)message->kind) {
    case FMX_MSG_CLAIM:
        free(message->claim.client_id);
        break;
    case FMX_MSG_CLAIMED:
        discard_parcel(message->claimed.parcel);
        break;
    case FMX_MSG_RELEASED:
        discard_parcel(message->released.parcel);
        break;
    case FMX_MSG_SUBSCRIBE:
    case FMX_MSG_SUBSCRIBED:
        free(message->subscribe.list);
        break;
    case FMX_MSG_INTEREST:
        free(message->interest.filter);
        break;
    case FMX_MSG_PUBLISH:
        fmx_payload_give(message->publish.payload);
        break;
    case FMX_MSG_DELIVER:
        fmx_payload_give(message->deliver.payload);
        break;
    case FMX_MSG_ORDER:
    case FMX_MSG_ORDER_TO:
        fmx_order_fail(message->order.order);
        break;
    case FMX_MSG_CALL_ANSWER:
        fmx_payload_give(message->call.payload);
        break;
    case FMX_MSG_BROADCAST:
        free(message->broadcast.product_key);
        if (message->broadcast.payload != NULL) {
            fmx_payload_give(message->broadcast.payload);
        }
        break;
    case FMX_MSG_PRODUCT:
        free(message->product.key);
        break;
    case FMX_MSG_LIMITS:
        free(message->limits.change);
        break;
    case FMX_MSG_REGISTERED:
        free(message->registered.secret);
        free(message->registered.client_id);
        break;
    default:
        break;
    }
}
