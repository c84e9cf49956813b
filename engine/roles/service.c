/*
 * service — orders of a service to a device: where it is, whether it may get them, what became of
 * them
 *
 * Why it is so:   an order names a device and not a session. The device's home knows whether there
 *                 is one and where; what it has subscribed to stands where its subscriptions do: at
 *                 home if the session is kept, else with the connection. So the one or the other
 *                 decides, and never both
 * Words:          to reach: a message on this topic is delivered to the device, by a subscription
 *                 or because the topic needs none
 * Invariants:     (1) every order ends once: here, with its payload, or in rrpc.c
 * Memory:         orders, payloads, broadcasts under way
 * Threads:        the home of the device, then the shard of its session
 * Limits:         a broadcast goes to at most SESSIONS_PER_TURN sessions a turn, so that it holds
 *                 up nobody; BROADCASTS_MAX wait, the next one is dropped and counted
 * Not here:       how orders come here: gateway_calls.c
 */
#include "engine/roles/gateway.h"

#include "engine/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define SESSIONS_PER_TURN 512u
#define BROADCASTS_MAX    64u

/* ── does it reach? ── */

/* The options under which this receiver has subscribed to the topic. False: it has not. */
static bool find_options(struct fmx_gateway_shard *gateway, fmx_slice topic, uint32_t receiver,
                         uint8_t *out_options)
{
    const struct fmx_match *matches;
    size_t count = fmx_router_match(gateway->router, topic, &matches);

    for (size_t i = 0; i < count; i++) {
        if (matches[i].receiver == receiver) {
            *out_options = matches[i].options;
            return true;
        }
    }
    return false;
}

static bool is_denied(uint8_t options)
{
    return (options & FMX_SUB_QOS_MASK) == FMX_SUB_DENIED;
}

/* `key` is the device's; `flags` are FMX_KEPT_…. */
static bool reaches(struct fmx_gateway_shard *gateway, uint32_t receiver, fmx_slice key,
                    unsigned flags, unsigned ext, fmx_slice topic)
{
    fmx_slice product_key, device_name;
    uint8_t options = 0;

    if (find_options(gateway, topic, receiver, &options)) {
        return !is_denied(options);
    }
    return fmx_gateway_split_key(key, &product_key, &device_name) &&
           fmx_dialect_is_auto(topic, product_key, device_name, (flags & FMX_KEPT_AUTO) != 0, ext);
}

static bool reaches_conn(struct fmx_conn *conn, fmx_slice topic)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    return reaches(fmx_gateway_of(conn->shard), fmx_receiver(FMX_RECEIVER_CONN, conn->slot.index),
                   fmx_gateway_key(part), part->device->auto_subscribe ? FMX_KEPT_AUTO : 0,
                   part->device->ext, topic);
}

static bool reaches_identity(struct fmx_gateway_shard *gateway, const struct fmx_identity *identity,
                             fmx_slice topic)
{
    unsigned flags = identity->kept->flags;
    unsigned ext = ((flags & FMX_KEPT_NOTIFY) != 0 ? FMX_EXT_NOTIFY : 0u) |
                   ((flags & FMX_KEPT_RRPC) != 0 ? FMX_EXT_RRPC : 0u);

    return reaches(gateway, fmx_receiver(FMX_RECEIVER_IDENTITY, identity->slot.index),
                   fmx_blob_slice(identity->client_id), flags, ext, topic);
}

bool fmx_service_reaches(struct fmx_conn *conn, fmx_slice topic)
{
    /* a kept session's subscriptions are at home: what the gateway answers by itself is not held
       up for that */
    return fmx_gateway_part(conn)->is_kept || reaches_conn(conn, topic);
}

static fmx_slice topic_of(const struct fmx_payload *payload)
{
    return (fmx_slice){.data = payload->bytes, .bytes = payload->topic_bytes};
}

/* A call on a custom topic also reaches who has subscribed to that topic itself. */
static fmx_slice called_topic(const struct fmx_order *order)
{
    fmx_slice topic = topic_of(order->payload);
    size_t head = (size_t)order->id_at + FMX_RRPC_ID_BYTES;

    return (fmx_slice){.data = topic.data + head, .bytes = topic.bytes - head};
}

static bool order_reaches_conn(struct fmx_conn *conn, const struct fmx_order *order)
{
    if (order->is_custom) {
        return (fmx_gateway_part(conn)->device->ext & FMX_EXT_RRPC) != 0 &&
               (reaches_conn(conn, topic_of(order->payload)) ||
                reaches_conn(conn, called_topic(order)));
    }
    return reaches_conn(conn, topic_of(order->payload));
}

static bool order_reaches_identity(struct fmx_gateway_shard *gateway,
                                   const struct fmx_identity *identity,
                                   const struct fmx_order *order)
{
    if (order->is_custom) {
        return (identity->kept->flags & FMX_KEPT_RRPC) != 0 &&
               (reaches_identity(gateway, identity, topic_of(order->payload)) ||
                reaches_identity(gateway, identity, called_topic(order)));
    }
    return reaches_identity(gateway, identity, topic_of(order->payload));
}

/* ── publish ── */

/* The payload goes its way, and with it who wants to hear of it. */
static struct fmx_payload *hang_on(struct fmx_order *order)
{
    struct fmx_payload *payload = order->payload;

    payload->receipt = &order->receipt;
    return payload;
}

static void deliver(struct fmx_conn *conn, struct fmx_order *order)
{
    fmx_gateway_give_to(conn, hang_on(order), false);
}

static void keep(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                 struct fmx_order *order)
{
    if (order->payload->qos == 0) {
        fmx_count(&gateway->shard->counters.dropped_absent, 1);
        fmx_order_delivered(order, FMX_DELIVERY_OFFLINE);
        return;
    }
    fmx_gateway_keep_for(gateway, identity, hang_on(order));
}

static void not_subscribed(struct fmx_gateway_shard *gateway, struct fmx_order *order)
{
    fmx_count(&gateway->shard->counters.not_subscribed, 1);
    if (order->kind == FMX_ORDER_PUBLISH) {
        fmx_order_delivered(order, FMX_DELIVERY_NOT_SUBSCRIBED);
    } else {
        fmx_order_close(order); /* nobody answers: the call ends by itself, as TIMEOUT */
    }
}

/* ── at home ── */

/* That shard cannot keep up, and very much waits for it already. */
static void drop(struct fmx_gateway_shard *gateway, struct fmx_order *order)
{
    struct fmx_counters *counters = &gateway->shard->counters;

    if (order->kind == FMX_ORDER_CALL) {
        fmx_calls_end(&gateway->calls, order->number, FMX_CALL_UNKNOWN);
        fmx_order_close(order);
        return;
    }
    fmx_count(order->payload->qos == 0 ? &counters->dropped_qos0 : &counters->dropped_qos1, 1);
    fmx_order_delivered(order, FMX_DELIVERY_DROPPED);
}

static void send_to_session(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                            struct fmx_order *order)
{
    uint32_t to_shard = fmx_session_id_shard(identity->owner);
    struct fmx_msg message = {.kind = FMX_MSG_ORDER_TO,
                              .order = {.order = order, .session = identity->owner}};

    if (fmx_shard_is_jammed(gateway->shard, to_shard)) {
        drop(gateway, order);
    } else {
        fmx_shard_post(gateway->shard, to_shard, &message);
    }
}

static void publish_to(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                       struct fmx_order *order)
{
    if (identity == NULL || (identity->kept == NULL && identity->releasing)) {
        fmx_order_delivered(order, FMX_DELIVERY_OFFLINE);
        return;
    }
    bool is_away = fmx_session_id_equal(identity->owner, FMX_SESSION_NONE) || identity->releasing;
    if (identity->kept != NULL && !order_reaches_identity(gateway, identity, order)) {
        not_subscribed(gateway, order);
        return;
    }
    order->verdict = identity->kept != NULL ? FMX_VERDICT_YES : FMX_VERDICT_OPEN;
    if (is_away) {
        keep(gateway, identity, order);
    } else {
        send_to_session(gateway, identity, order);
    }
}

static void answer_offline(struct fmx_gateway_shard *gateway, struct fmx_order *order)
{
    fmx_count(&gateway->shard->counters.calls_offline, 1);
    order->done.answered(order->user, &(struct fmx_gateway_answer){.code = FMX_CALL_OFFLINE});
    fmx_order_close(order);
}

static void bound_timeout(struct fmx_gateway_shard *gateway, struct fmx_order *order)
{
    const struct fmx_limits *limits = fmx_gateway_limits_of(gateway, fmx_order_key(order));

    if (order->timeout_ms < limits->call_timeout_min_ms) {
        order->timeout_ms = limits->call_timeout_min_ms;
    } else if (order->timeout_ms > limits->call_timeout_max_ms) {
        order->timeout_ms = limits->call_timeout_max_ms;
    }
}

static void call(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                 struct fmx_order *order)
{
    if (identity == NULL || identity->releasing ||
        fmx_session_id_equal(identity->owner, FMX_SESSION_NONE)) {
        answer_offline(gateway, order);
        return;
    }
    bound_timeout(gateway, order);
    if (!fmx_calls_begin(&gateway->calls, order, identity->slot.index)) {
        fmx_count(&gateway->shard->counters.calls_unknown, 1);
        fmx_order_fail(order);
        return;
    }
    fmx_dialect_rrpc_id_write(order->number, order->payload->bytes + order->id_at);
    order->verdict = FMX_VERDICT_OPEN;
    if (identity->kept != NULL) {
        order->verdict =
            order_reaches_identity(gateway, identity, order) ? FMX_VERDICT_YES : FMX_VERDICT_NO;
    }
    send_to_session(gateway, identity, order);
}

/* What the registry says of a device that has no session. */
static enum fmx_device_presence absent_presence(struct fmx_gateway_shard *gateway,
                                                const struct fmx_order *order)
{
    struct fmx_device_info info;

    if (gateway->gateway->devices == NULL) {
        return FMX_DEVICE_OFFLINE;
    }
    if (fmx_devices_find(gateway->gateway->devices, gateway->shard->index,
                         fmx_order_product_key(order), fmx_order_device_name(order),
                         &info) != FMX_OK) {
        return FMX_DEVICE_UNKNOWN;
    }
    if (info.status == FMX_REGISTRY_DISABLED || info.product_status == FMX_REGISTRY_DISABLED) {
        return FMX_DEVICE_DISABLED;
    }
    return info.is_activated ? FMX_DEVICE_OFFLINE : FMX_DEVICE_UNACTIVE;
}

static void query(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                  struct fmx_order *order)
{
    struct fmx_gateway_state state = {.has_session = identity != NULL};

    if (identity != NULL && identity->kept != NULL) {
        state.subscriptions_count = identity->kept->subscriptions_count;
        state.stored_count = fmx_backlog_count(&identity->kept->backlog);
        state.since_ms = identity->kept->away_ms;
    }
    if (identity != NULL && !fmx_session_id_equal(identity->owner, FMX_SESSION_NONE)) {
        state.presence = FMX_DEVICE_ONLINE;
        state.session = identity->owner;
        state.since_ms = fmx_gateway_unix_ms(identity->since_ns, gateway->shard->now_ns);
    } else {
        state.presence = absent_presence(gateway, order);
    }
    order->done.queried(order->user, &state);
    fmx_order_close(order);
}

/* A device that was deleted leaves nothing to whoever gets its name next. */
static void forget_if_deleted(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                              const struct fmx_order *order)
{
    struct fmx_device_info info;

    if (identity != NULL && order->cause == FMX_PEER_NOT_AUTHORIZED &&
        fmx_devices_find(gateway->gateway->devices, gateway->shard->index,
                         fmx_order_product_key(order), fmx_order_device_name(order),
                         &info) == FMX_E_STALE) {
        fmx_directory_forget(&gateway->directory, identity);
    }
}

static void kick(struct fmx_gateway_shard *gateway, struct fmx_identity *identity,
                 struct fmx_order *order)
{
    bool is_there = identity != NULL && !fmx_session_id_equal(identity->owner, FMX_SESSION_NONE);

    if (is_there) {
        struct fmx_msg message = {.kind = FMX_MSG_KICK,
                                  .about = {.session = identity->owner, .cause = order->cause}};
        fmx_shard_post(gateway->shard, fmx_session_id_shard(identity->owner), &message);
    }
    forget_if_deleted(gateway, identity, order);
    if (order->done.kicked != NULL) {
        order->done.kicked(order->user, is_there);
    }
    fmx_order_close(order);
}

/* ── lists ── */

static void list(struct fmx_gateway_shard *gateway, struct fmx_order *order)
{
    struct fmx_gateway_session *page = malloc(FMX_LIST_PAGE * sizeof(*page));
    struct fmx_session_room *rooms = malloc(FMX_LIST_PAGE * sizeof(*rooms));
    struct fmx_shard *shard = gateway->shard;
    uint32_t cursor = (uint32_t)order->number;
    struct fmx_conn *conn = NULL;
    size_t count = 0;

    while (page != NULL && rooms != NULL && count < FMX_LIST_PAGE &&
           (conn = fmx_slab_next(&shard->conns, &cursor)) != NULL) {
        if (fmx_gateway_part(conn)->is_open && conn->state == FMX_CONN_OPEN) {
            page[count] = fmx_gateway_describe(conn, &rooms[count]);
            count++;
        }
    }
    uint64_t next = conn != NULL                             ? (uint64_t)shard->index << 32 | cursor
                    : shard->index + 1 < shard->shards_count ? (uint64_t)(shard->index + 1) << 32
                                                             : 0;
    order->done.listed(order->user, page, count, next);
    free(page);
    free(rooms);
    fmx_order_close(order);
}

void fmx_service_on_order(struct fmx_gateway_shard *gateway, struct fmx_order *order)
{
    struct fmx_identity *identity =
        order->kind == FMX_ORDER_LIST
            ? NULL
            : fmx_directory_find(&gateway->directory, order->hash, fmx_order_key(order));

    switch ((enum fmx_order_kind)order->kind) {
    case FMX_ORDER_PUBLISH:
        publish_to(gateway, identity, order);
        break;
    case FMX_ORDER_CALL:
        call(gateway, identity, order);
        break;
    case FMX_ORDER_QUERY:
        query(gateway, identity, order);
        break;
    case FMX_ORDER_KICK:
        kick(gateway, identity, order);
        break;
    case FMX_ORDER_LIST:
        list(gateway, order);
        break;
    }
}

/* ── at the session's shard ── */

static void end_call(struct fmx_gateway_shard *gateway, struct fmx_order *order,
                     enum fmx_call_code code)
{
    struct fmx_msg message = {.kind = FMX_MSG_CALL_END,
                              .call = {.message_id = order->number, .code = (uint8_t)code}};

    fmx_shard_post(gateway->shard, fmx_gateway_home(gateway, order->hash), &message);
    fmx_order_close(order);
}

static void call_here(struct fmx_gateway_shard *gateway, struct fmx_conn *conn,
                      struct fmx_order *order)
{
    if (conn == NULL) {
        end_call(gateway, order, FMX_CALL_OFFLINE);
    } else if (conn->session.state != FMX_SESSION_OPEN || conn->is_mute || conn->peer_ended) {
        end_call(gateway, order, FMX_CALL_HALFCONN);
    } else if (order->verdict == FMX_VERDICT_NO ||
               (order->verdict == FMX_VERDICT_OPEN && !order_reaches_conn(conn, order))) {
        not_subscribed(gateway, order);
    } else {
        struct fmx_payload *payload = order->payload;
        order->payload = NULL;
        fmx_gateway_give_to(conn, payload, true);
        fmx_order_close(order);
    }
}

void fmx_service_on_order_to(struct fmx_gateway_shard *gateway, const struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->order.session);
    struct fmx_order *order = message->order.order;

    if (order->kind == FMX_ORDER_CALL) {
        call_here(gateway, conn, order);
    } else if (conn == NULL) {
        fmx_order_delivered(order, FMX_DELIVERY_OFFLINE);
    } else if (order->verdict == FMX_VERDICT_OPEN && !order_reaches_conn(conn, order)) {
        not_subscribed(gateway, order);
    } else {
        deliver(conn, order);
    }
}

/* Its connection broke meanwhile, or it just says nothing. */
void fmx_service_on_overdue(struct fmx_gateway_shard *gateway, struct fmx_timer *timer)
{
    struct fmx_call *call = fmx_calls_of_timer(timer);
    const struct fmx_identity *identity = fmx_directory_peek(&gateway->directory, call->identity);
    bool is_there = identity != NULL && fmx_call_is_for(call, identity->hash) &&
                    !identity->releasing &&
                    !fmx_session_id_equal(identity->owner, FMX_SESSION_NONE);

    fmx_calls_on_timer(&gateway->calls, call, is_there);
}

/* ── broadcasts ── */

struct fmx_broadcast {
    struct fmx_broadcast *next;
    struct fmx_blob *product_key;
    struct fmx_payload *payload; /* its topic is nobody's yet */
    uint64_t message_id;
    uint32_t cursor;
};

static void release(struct fmx_broadcast *broadcast)
{
    free(broadcast->product_key);
    fmx_payload_give(broadcast->payload);
    free(broadcast);
}

/* It came from a caller: every other shard gets its own. */
static void pass_on(struct fmx_gateway_shard *gateway, const struct fmx_msg *message)
{
    struct fmx_shard *shard = gateway->shard;
    struct fmx_publish publish;

    fmx_payload_view(message->broadcast.payload, shard->now_ns, &publish);
    for (uint32_t to = 0; to < shard->shards_count; to++) {
        struct fmx_msg copy = *message;
        if (to == shard->index) {
            continue;
        }
        copy.broadcast.is_passed_on = true;
        copy.broadcast.product_key = fmx_blob_make(fmx_blob_slice(message->broadcast.product_key));
        copy.broadcast.payload = fmx_payload_make(&publish, FMX_SESSION_NONE, 0);
        if (copy.broadcast.product_key != NULL && copy.broadcast.payload != NULL) {
            fmx_shard_post(shard, to, &copy);
        } else {
            fmx_count(&shard->counters.dropped_qos0, 1);
            fmx_gateway_discard(shard, &copy);
        }
    }
}

void fmx_service_on_broadcast(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_broadcast *broadcast = calloc(1, sizeof(*broadcast));
    struct fmx_broadcast **link = &gateway->broadcasts;
    uint32_t waiting = 0;

    if (!message->broadcast.is_passed_on) {
        pass_on(gateway, message);
    }
    while (*link != NULL) {
        link = &(*link)->next;
        waiting++;
    }
    if (broadcast == NULL || waiting >= BROADCASTS_MAX) {
        fmx_count(&gateway->shard->counters.dropped_qos0, 1);
        fmx_gateway_discard(gateway->shard, message);
        free(broadcast);
        return;
    }
    broadcast->product_key = message->broadcast.product_key;
    broadcast->payload = message->broadcast.payload;
    broadcast->message_id = message->broadcast.message_id;
    *link = broadcast;
}

static void say_broadcast(struct fmx_conn *conn, const struct fmx_broadcast *broadcast)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    char topic[FMX_PRODUCT_KEY_BYTES_MAX + FMX_DEVICE_NAME_BYTES_MAX + 64];
    fmx_slice product_key = fmx_gateway_product_key(part);
    fmx_slice device_name = fmx_gateway_device_name(part);
    int bytes =
        snprintf(topic, sizeof(topic), "/sys/%.*s/%.*s/broadcast/request/%llu",
                 (int)product_key.bytes, (const char *)product_key.data, (int)device_name.bytes,
                 (const char *)device_name.data, (unsigned long long)broadcast->message_id);
    struct fmx_publish publish;

    fmx_payload_view(broadcast->payload, conn->shard->now_ns, &publish);
    fmx_system_say(conn, (fmx_slice){.data = (const uint8_t *)topic, .bytes = (size_t)bytes},
                   publish.payload);
}

/* Goes on with one broadcast. True: it is over. */
static bool go_on(struct fmx_gateway_shard *gateway, struct fmx_broadcast *broadcast)
{
    fmx_slice product_key = fmx_blob_slice(broadcast->product_key);
    struct fmx_conn *conn;

    for (uint32_t i = 0; i < SESSIONS_PER_TURN; i++) {
        conn = fmx_slab_next(&gateway->shard->conns, &broadcast->cursor);
        if (conn == NULL) {
            return true;
        }
        const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
        if (part->is_open && conn->session.state == FMX_SESSION_OPEN &&
            fmx_slice_equal(fmx_gateway_product_key(part), product_key)) {
            say_broadcast(conn, broadcast);
        }
    }
    return false;
}

void fmx_service_go_on(struct fmx_gateway_shard *gateway)
{
    struct fmx_broadcast *broadcast = gateway->broadcasts;

    if (broadcast == NULL) {
        return;
    }
    if (go_on(gateway, broadcast)) {
        gateway->broadcasts = broadcast->next;
        release(broadcast);
    }
    if (gateway->broadcasts != NULL) { /* there is a next turn at once */
        struct fmx_msg again = {.kind = FMX_MSG_COMMITTED};
        fmx_shard_post(gateway->shard, gateway->shard->index, &again);
    }
}

void fmx_service_close(struct fmx_gateway_shard *gateway)
{
    while (gateway->broadcasts != NULL) {
        struct fmx_broadcast *broadcast = gateway->broadcasts;
        gateway->broadcasts = broadcast->next;
        release(broadcast);
    }
}
