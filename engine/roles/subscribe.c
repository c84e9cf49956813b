/*
 * subscribe — SUBSCRIBE and UNSUBSCRIBE, and telling other shards what is wanted here
 *
 * Why it is so:   a message has to find its receivers without asking around. So each shard knows
 *                 its own subscriptions and, for every filter, which other shards have any: a
 *                 message then goes once to each shard that wants it, however many sessions there
 *                 do
 * Words:          interest: a shard has at least one subscription of its own to a filter
 * Invariants:     (1) a session whose state is kept subscribes in its home's router, others in
 *                 their shard's: one place at a time
 *                 (2) every other shard is told when the first subscription to a filter appears
 *                 here and when the last one goes, in this order
 *                 (3) SUBACK follows the interest into the queues (but for a full inbox): who
 *                 publishes because of a SUBACK finds the subscription, since shards look at their
 *                 inboxes before their sockets
 * Threads:        owning shard of the router
 * Limits:         subscriptions_max per session: above it the filter is refused, the connection
 *                 stays
 * Not here:       matching: engine/router.c
 */
#include "engine/roles/gateway.h"

#include "proto/limits.h"
#include "proto/reason.h"
#include "proto/topic.h"

#define CODES_MAX 65536u

/* Whose subscriptions: a connection of this shard, or an identity at home here. */
struct subscriber {
    uint32_t receiver;
    uint32_t *head;
    uint32_t *count;
    fmx_slice key;
    const struct fmx_kept *kept; /* NULL: they end with the connection */
    bool auto_subscribe;
};

static struct subscriber subscriber_of_conn(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    return (struct subscriber){.receiver = fmx_receiver(FMX_RECEIVER_CONN, conn->slot.index),
                               .head = &part->subscriptions,
                               .count = &part->subscriptions_count,
                               .key = fmx_gateway_key(part),
                               .auto_subscribe =
                                   part->device != NULL && part->device->auto_subscribe};
}

static struct subscriber subscriber_of_identity(struct fmx_identity *identity)
{
    return (struct subscriber){.receiver =
                                   fmx_receiver(FMX_RECEIVER_IDENTITY, identity->slot.index),
                               .head = &identity->kept->subscriptions,
                               .count = &identity->kept->subscriptions_count,
                               .key = fmx_blob_slice(identity->client_id),
                               .kept = identity->kept,
                               .auto_subscribe = (identity->kept->flags & FMX_KEPT_AUTO) != 0};
}

/* ── interest ── */

static void tell_others(struct fmx_gateway_shard *gateway, fmx_slice filter, bool is_added)
{
    struct fmx_shard *shard = gateway->shard;

    for (uint32_t to = 0; to < shard->shards_count; to++) {
        if (to == shard->index) {
            continue;
        }
        struct fmx_msg interest = {
            .kind = FMX_MSG_INTEREST,
            .interest = {.filter = fmx_blob_make(filter), .is_added = is_added}};
        FMX_ASSERT(interest.interest.filter != NULL); /* a lost interest would be lost messages */
        fmx_shard_post(shard, to, &interest);
    }
}

void fmx_gateway_on_interest(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_blob *blob = message->interest.filter;
    fmx_slice filter = {.data = blob->data, .bytes = blob->bytes};
    uint32_t receiver = fmx_receiver(FMX_RECEIVER_SHARD, message->from_shard);
    uint32_t *head = &gateway->remote_heads[message->from_shard];
    bool unused;

    if (message->interest.is_added) {
        enum fmx_status status = fmx_router_add(gateway->router, filter, receiver,
                                                1 | FMX_SUB_REMOTE, head, &unused, &unused);
        if (status != FMX_OK && !gateway->wants_all[message->from_shard]) {
            gateway->wants_all[message->from_shard] = true;
            gateway->wants_all_count++;
        }
    } else {
        (void)fmx_router_remove(gateway->router, filter, receiver, head, &unused);
    }
    free(blob);
}

/* ── one filter ── */

const struct fmx_limits *fmx_gateway_limits_of(struct fmx_gateway_shard *gateway, fmx_slice key)
{
    const struct fmx_gateway_product *product = gateway->open_product;
    fmx_slice product_key, device_name;

    if (gateway->gateway->options.profile == FMX_PROFILE_PLATFORM &&
        fmx_gateway_split_key(key, &product_key, &device_name)) {
        product = fmx_products_get(&gateway->products, product_key);
    }
    return product != NULL ? &product->limits : &gateway->products.limits;
}

static enum fmx_status put(struct fmx_gateway_shard *gateway, struct subscriber *subscriber,
                           fmx_slice filter, uint8_t options)
{
    uint8_t before = 0;
    bool existed = fmx_router_has(gateway->router, filter, subscriber->receiver, &before);
    bool is_first;

    if (existed && before == options) {
        return FMX_OK;
    }
    if (*subscriber->count >= fmx_gateway_limits_of(gateway, subscriber->key)->subscriptions_max &&
        !existed) {
        return FMX_LIMIT_SUBSCRIPTIONS;
    }
    enum fmx_status status = fmx_router_add(gateway->router, filter, subscriber->receiver, options,
                                            subscriber->head, &existed, &is_first);
    if (status != FMX_OK) {
        return status;
    }
    if (!existed) {
        ++*subscriber->count;
        fmx_count(&gateway->shard->counters.subscriptions_now, 1);
    }
    if (is_first && gateway->gateway->profile->is_shared(filter)) {
        tell_others(gateway, filter, true);
    }
    if (subscriber->kept != NULL) {
        fmx_journal_subscribe(gateway, subscriber->kept, filter, options);
    }
    return FMX_OK;
}

static enum fmx_status add_one(struct fmx_gateway_shard *gateway, struct subscriber *subscriber,
                               const struct fmx_filter *filter)
{
    uint8_t options = filter->qos > 1 ? 1 : filter->qos;

    if (fmx_topic_is_shared(filter->filter)) {
        return FMX_PEER_SHARED;
    }
    enum fmx_status status =
        gateway->gateway->profile->may_subscribe(gateway, subscriber->key, filter->filter);
    if (status != FMX_OK) {
        fmx_count(&gateway->shard->counters.subscribes_unauthorized,
                  status == FMX_PEER_NOT_AUTHORIZED);
        return status;
    }
    options |= filter->no_local ? FMX_SUB_NO_LOCAL : 0;
    status = put(gateway, subscriber, filter->filter, options);
    if (status == FMX_LIMIT_SUBSCRIPTIONS) {
        fmx_count(&gateway->shard->counters.limited_subscriptions, 1);
    }
    return status;
}

static bool remove_one(struct fmx_gateway_shard *gateway, struct subscriber *subscriber,
                       fmx_slice filter)
{
    bool is_last;

    if (!fmx_router_remove(gateway->router, filter, subscriber->receiver, subscriber->head,
                           &is_last)) {
        return false;
    }
    --*subscriber->count;
    fmx_count_down(&gateway->shard->counters.subscriptions_now, 1);
    if (is_last && gateway->gateway->profile->is_shared(filter)) {
        tell_others(gateway, filter, false);
    }
    if (subscriber->kept != NULL) {
        fmx_journal_unsubscribe(gateway, subscriber->kept, filter);
    }
    return true;
}

/* What a device is subscribed to without a word ends when it says so: that is remembered. */
static bool unsubscribe_one(struct fmx_gateway_shard *gateway, struct subscriber *subscriber,
                            fmx_slice filter)
{
    bool existed = remove_one(gateway, subscriber, filter);

    if (subscriber->auto_subscribe &&
        gateway->gateway->profile->is_automatic(subscriber->key, filter)) {
        existed = put(gateway, subscriber, filter, FMX_SUB_DENIED) == FMX_OK;
    }
    return existed;
}

void fmx_gateway_unsubscribe_all(struct fmx_gateway_shard *gateway, uint32_t *head)
{
    size_t bytes;
    bool is_last;

    while (
        fmx_router_remove_head(gateway->router, head, gateway->filter_scratch, &bytes, &is_last)) {
        fmx_slice filter = {.data = gateway->filter_scratch, .bytes = bytes};
        if (is_last && gateway->gateway->profile->is_shared(filter)) {
            tell_others(gateway, filter, false);
        }
    }
}

enum fmx_status fmx_gateway_restore_subscription(struct fmx_gateway_shard *gateway,
                                                 struct fmx_identity *identity, fmx_slice filter,
                                                 uint8_t options)
{
    struct subscriber subscriber = subscriber_of_identity(identity);
    bool existed;
    bool is_first;

    enum fmx_status status = fmx_router_add(gateway->router, filter, subscriber.receiver, options,
                                            subscriber.head, &existed, &is_first);
    if (status == FMX_OK) {
        ++*subscriber.count;
        fmx_count(&gateway->shard->counters.subscriptions_now, 1);
        if (is_first && gateway->gateway->profile->is_shared(filter)) {
            tell_others(gateway, filter, true);
        }
    }
    return status;
}

/* ── a whole packet ── */

static uint8_t subscribe_code(struct fmx_gateway_shard *gateway, struct subscriber *subscriber,
                              const struct fmx_filter *filter, enum fmx_version version)
{
    enum fmx_status status = add_one(gateway, subscriber, filter);

    if (status != FMX_OK) {
        return fmx_reason_for_suback(status, version);
    }
    return filter->qos > 1 ? FMX_REASON_GRANTED_QOS_1 : filter->qos;
}

/* One code for each filter of the list, into `codes`; returns how many. */
static size_t apply_list(struct fmx_gateway_shard *gateway, struct subscriber *subscriber,
                         fmx_slice list, bool is_unsubscribe, enum fmx_version version,
                         uint8_t *codes)
{
    struct fmx_filter filter;
    size_t offset = 0;
    size_t count = 0;

    uint32_t most = fmx_gateway_limits_of(gateway, subscriber->key)->subscriptions_max;

    while (count < CODES_MAX &&
           fmx_filter_next(list, !is_unsubscribe, &offset, &filter) == FMX_OK) {
        if (count >= most && count > 0) { /* more filters in a packet than there may be at all */
            codes[count++] = is_unsubscribe
                                 ? FMX_REASON_NO_SUBSCRIPTION_EXISTED
                                 : fmx_reason_for_suback(FMX_LIMIT_SUBSCRIPTIONS, version);
        } else if (is_unsubscribe) {
            bool existed = unsubscribe_one(gateway, subscriber, filter.filter);
            codes[count++] = existed ? FMX_REASON_SUCCESS : FMX_REASON_NO_SUBSCRIPTION_EXISTED;
        } else {
            codes[count++] = subscribe_code(gateway, subscriber, &filter, version);
        }
    }
    return count;
}

static void send_codes(struct fmx_conn *conn, uint16_t packet_id, bool is_unsubscribe,
                       fmx_slice codes)
{
    struct fmx_packet suback = {.kind = is_unsubscribe ? FMX_UNSUBACK : FMX_SUBACK,
                                .suback = {.packet_id = packet_id, .codes = codes}};

    fmx_conn_send(conn, &suback);
}

/*
 * The session's state is at home: so is its list of subscriptions. Later packets wait for SUBACK.
 */
static void send_home(struct fmx_conn *conn, const struct fmx_packet *packet)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_blob *list = fmx_blob_make(packet->subscribe.filters);

    if (list == NULL) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    struct fmx_msg message = {.kind = FMX_MSG_SUBSCRIBE,
                              .identity = part->identity,
                              .subscribe = {.session = fmx_conn_id(conn),
                                            .list = list,
                                            .packet_id = packet->subscribe.packet_id,
                                            .is_unsubscribe = packet->kind == FMX_UNSUBSCRIBE,
                                            .version = conn->session.version}};
    fmx_conn_wait(conn);
    fmx_shard_post(conn->shard, fmx_gateway_home(gateway, fmx_gateway_hash(conn)), &message);
}

void fmx_gateway_on_subscribe(struct fmx_conn *conn, const struct fmx_packet *packet)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    bool is_unsubscribe = packet->kind == FMX_UNSUBSCRIBE;

    if (packet->subscribe.filters_count > CODES_MAX) {
        fmx_conn_close(conn, FMX_LIMIT_SUBSCRIPTIONS);
        return;
    }
    if (fmx_gateway_part(conn)->is_kept) {
        send_home(conn, packet);
        return;
    }
    struct subscriber subscriber = subscriber_of_conn(conn);
    size_t count = apply_list(gateway, &subscriber, packet->subscribe.filters, is_unsubscribe,
                              (enum fmx_version)conn->session.version, conn->shard->scratch);
    send_codes(conn, packet->subscribe.packet_id, is_unsubscribe,
               (fmx_slice){.data = conn->shard->scratch, .bytes = count});
}

void fmx_gateway_on_subscribe_msg(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_identity *identity = fmx_directory_peek(&gateway->directory, message->identity);
    struct fmx_blob *list = message->subscribe.list;
    size_t count = 0;

    if (identity != NULL && identity->kept != NULL &&
        fmx_session_id_equal(identity->owner, message->subscribe.session)) {
        struct subscriber subscriber = subscriber_of_identity(identity);
        count =
            apply_list(gateway, &subscriber, (fmx_slice){.data = list->data, .bytes = list->bytes},
                       message->subscribe.is_unsubscribe,
                       (enum fmx_version)message->subscribe.version, gateway->shard->scratch);
    }
    free(list);
    struct fmx_msg answer = *message;
    answer.kind = FMX_MSG_SUBSCRIBED;
    answer.subscribe.list =
        fmx_blob_make((fmx_slice){.data = gateway->shard->scratch, .bytes = count});
    fmx_shard_post(gateway->shard, message->from_shard, &answer);
}

/* While the disk cannot keep up, a session gives it no more to write. */
static void go_on(struct fmx_gateway_shard *gateway, struct fmx_conn *conn)
{
    const struct fmx_store *store = gateway->gateway->store;

    fmx_conn_go_on(conn);
    if (store != NULL && fmx_store_is_full(store)) {
        fmx_gateway_make_wait(conn);
    }
}

void fmx_gateway_on_subscribed_msg(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->subscribe.session);
    struct fmx_blob *codes = message->subscribe.list;

    if (conn != NULL && codes == NULL) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
    } else if (conn != NULL) {
        send_codes(conn, message->subscribe.packet_id, message->subscribe.is_unsubscribe,
                   (fmx_slice){.data = codes->data, .bytes = codes->bytes});
        go_on(gateway, conn);
    }
    free(codes);
}
