/*
 * journal — what is kept goes to disk as well
 *
 * Why it is so:   a home works from memory; what must be there again after the process was killed
 *                 is written down beside it. A service that publishes to an absent device hears
 *                 "stored" only when the disk has said so, and a shard never waits for that: who
 *                 has to hear stands in a queue behind the store's sequence numbers
 * Words:          settled: a stored message was acknowledged by its device, or is no more for any
 *                 other reason
 * Invariants:     (1) a payload with a store_id belongs to one session and to nobody else
 *                 (2) awaiting is in the order of sequences, so what is committed is its front
 * Memory:         the ring of awaiting receipts, from the first one on
 * Threads:        home shard; `committed` is written by the store's thread
 * Limits:         as many as orders are under way
 * Not here:       the file: store.c
 */
#include "engine/roles/gateway.h"

#include "proto/topic.h"

#include <stdlib.h>

#define AWAITING_FIRST 64u

static struct fmx_store *store_of(struct fmx_gateway_shard *gateway)
{
    return gateway->gateway->store;
}

static uint32_t shard_of(const struct fmx_gateway_shard *gateway)
{
    return gateway->shard->index;
}

/* ── sessions ── */

void fmx_journal_session(struct fmx_gateway_shard *gateway, struct fmx_identity *identity)
{
    struct fmx_kept *kept = identity->kept;

    if (store_of(gateway) == NULL) {
        return;
    }
    if (kept->store_id == 0) {
        kept->store_id = fmx_store_next_id(store_of(gateway));
    }
    struct fmx_store_session session = {.id = kept->store_id,
                                        .key = fmx_blob_slice(identity->client_id),
                                        .expiry_s = kept->expiry_s,
                                        .flags = kept->flags,
                                        .away_ms = kept->away_ms};
    (void)fmx_store_put_session(store_of(gateway), shard_of(gateway), &session);
}

void fmx_journal_forget(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept)
{
    if (store_of(gateway) != NULL && kept->store_id != 0) {
        (void)fmx_store_drop_session(store_of(gateway), shard_of(gateway), kept->store_id);
    }
}

void fmx_journal_subscribe(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept,
                           fmx_slice filter, uint8_t options)
{
    if (store_of(gateway) != NULL) {
        (void)fmx_store_subscribe(store_of(gateway), shard_of(gateway), kept->store_id, filter,
                                  options);
    }
}

void fmx_journal_unsubscribe(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept,
                             fmx_slice filter)
{
    if (store_of(gateway) != NULL) {
        (void)fmx_store_unsubscribe(store_of(gateway), shard_of(gateway), kept->store_id, filter);
    }
}

/* ── messages ── */

static bool make_room(struct fmx_gateway_shard *gateway)
{
    uint32_t capacity = gateway->awaiting_capacity;

    if (gateway->awaiting_count < capacity) {
        return true;
    }
    uint32_t larger = capacity == 0 ? AWAITING_FIRST : capacity * 2;
    struct fmx_awaiting *ring = malloc(larger * sizeof(*ring));
    if (ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < gateway->awaiting_count; i++) {
        ring[i] = gateway->awaiting[(gateway->awaiting_first + i) & (capacity - 1)];
    }
    free(gateway->awaiting);
    gateway->awaiting = ring;
    gateway->awaiting_first = 0;
    gateway->awaiting_capacity = larger;
    return true;
}

static void await(struct fmx_gateway_shard *gateway, struct fmx_payload *payload, uint64_t sequence)
{
    if (payload->receipt == NULL) {
        return;
    }
    if (sequence == 0 || !make_room(gateway)) {
        fmx_payload_tell(payload, FMX_DELIVERY_DROPPED);
        return;
    }
    uint32_t last = gateway->awaiting_first + gateway->awaiting_count++;
    gateway->awaiting[last & (gateway->awaiting_capacity - 1)] =
        (struct fmx_awaiting){.sequence = sequence, .receipt = payload->receipt};
    payload->receipt = NULL;
}

void fmx_journal_message(struct fmx_gateway_shard *gateway, const struct fmx_kept *kept,
                         struct fmx_payload *payload)
{
    uint64_t sequence = 0;

    if (store_of(gateway) == NULL) {
        fmx_payload_tell(payload, FMX_DELIVERY_STORED);
        return;
    }
    if (payload->store_id != 0) {
        return; /* it is there since before it was sent */
    }
    if (!fmx_store_is_full(store_of(gateway))) {
        payload->store_id = fmx_store_next_id(store_of(gateway));
        sequence = fmx_store_put_message(store_of(gateway), shard_of(gateway), kept->store_id,
                                         payload, gateway->shard->now_ns);
    }
    if (sequence == 0) {
        payload->store_id = 0;
        fmx_count(&gateway->shard->counters.store_lost, 1);
    }
    await(gateway, payload, sequence);
}

void fmx_journal_settle(struct fmx_gateway_shard *gateway, struct fmx_payload *payload)
{
    if (payload->store_id != 0 && store_of(gateway) != NULL) {
        (void)fmx_store_drop_message(store_of(gateway), shard_of(gateway), payload->store_id);
        payload->store_id = 0;
    }
}

void fmx_journal_settle_from(struct fmx_conn *conn, const struct fmx_payload *payload)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    struct fmx_msg message = {.kind = FMX_MSG_SETTLED, .settled = {.store_id = payload->store_id}};

    if (payload->store_id != 0) {
        fmx_shard_post(conn->shard, fmx_gateway_home(gateway, fmx_gateway_hash(conn)), &message);
    }
}

/* ── start and end ── */

struct reading {
    struct fmx_gateway_shard *gateway;
    struct fmx_identity *identity; /* of the session being read */
    enum fmx_status status;
};

static void settle_last(struct reading *reading)
{
    if (reading->identity != NULL) {
        fmx_directory_settle_in(&reading->gateway->directory, reading->identity);
        reading->identity = NULL;
    }
}

/* A device that was deleted while the gateway was down left nothing. */
static bool is_known(struct fmx_gateway_shard *gateway, fmx_slice key)
{
    struct fmx_devices *devices = gateway->gateway->devices;
    struct fmx_device_info info;
    fmx_slice product_key, device_name;

    return devices == NULL || (fmx_gateway_split_key(key, &product_key, &device_name) &&
                               fmx_devices_find(devices, shard_of(gateway), product_key,
                                                device_name, &info) == FMX_OK);
}

static bool on_session(void *user, const struct fmx_store_session *session)
{
    struct reading *reading = user;
    struct fmx_gateway_shard *gateway = reading->gateway;
    uint64_t hash = fmx_topic_hash(session->key, gateway->gateway->hash_seed);

    settle_last(reading);
    if (fmx_gateway_home(gateway, hash) != shard_of(gateway) || reading->status != FMX_OK) {
        return false;
    }
    if (!is_known(gateway, session->key)) {
        (void)fmx_store_drop_session(store_of(gateway), shard_of(gateway), session->id);
        return false;
    }
    struct fmx_blob *key = fmx_blob_make(session->key);
    reading->identity = key == NULL ? NULL
                                    : fmx_directory_restore(&gateway->directory, key, hash,
                                                            session->expiry_s, session->away_ms);
    if (reading->identity == NULL) {
        reading->status = FMX_LIMIT_MEMORY;
        return false;
    }
    reading->identity->kept->store_id = session->id;
    reading->identity->kept->flags = (uint8_t)session->flags;
    return true;
}

static void on_subscription(void *user, uint64_t session, fmx_slice filter, uint8_t options)
{
    struct reading *reading = user;

    (void)session;
    if (fmx_gateway_restore_subscription(reading->gateway, reading->identity, filter, options) !=
        FMX_OK) {
        reading->status = FMX_LIMIT_MEMORY;
    }
}

static void on_message(void *user, uint64_t session, struct fmx_payload *payload)
{
    struct reading *reading = user;
    struct fmx_backlog_entry entry = {.payload = payload};

    (void)session;
    if (!fmx_backlog_push(&reading->identity->kept->backlog, &entry)) {
        fmx_payload_give(payload);
        reading->status = FMX_LIMIT_MEMORY;
        return;
    }
    fmx_count(&reading->gateway->shard->counters.stored_now, 1);
}

enum fmx_status fmx_journal_read(struct fmx_gateway_shard *gateway)
{
    struct reading reading = {.gateway = gateway};
    struct fmx_store_load load = {.user = &reading,
                                  .on_session = on_session,
                                  .on_subscription = on_subscription,
                                  .on_message = on_message};
    char error[256];

    if (store_of(gateway) == NULL) {
        return FMX_OK;
    }
    enum fmx_status status =
        fmx_store_read(store_of(gateway), &load, gateway->shard->now_ns, error, sizeof(error));
    settle_last(&reading);
    if (status != FMX_OK) {
        fmx_log_line(&gateway->shard->options->log, FMX_LOG_ERROR, "store: %s", error);
    }
    return status != FMX_OK ? status : reading.status;
}

static void end_first(struct fmx_gateway_shard *gateway, enum fmx_delivery delivery)
{
    uint32_t first = gateway->awaiting_first++ & (gateway->awaiting_capacity - 1);
    struct fmx_receipt *receipt = gateway->awaiting[first].receipt;

    gateway->awaiting_count--;
    receipt->outcome = (int)delivery;
    receipt->end(receipt);
}

static void end_committed(struct fmx_gateway_shard *gateway)
{
    /* acquire: pairs with the store's release, though nothing but the number is read */
    uint64_t committed = atomic_load_explicit(&gateway->committed, memory_order_acquire);

    while (gateway->awaiting_count > 0) {
        const struct fmx_awaiting *first =
            &gateway->awaiting[gateway->awaiting_first & (gateway->awaiting_capacity - 1)];
        if (first->sequence > committed) {
            return;
        }
        end_first(gateway, FMX_DELIVERY_STORED);
    }
}

/* The disk has refused for good: nobody waits for it any more. */
static void give_up(struct fmx_gateway_shard *gateway)
{
    const char *failure = fmx_store_failure(store_of(gateway));

    if (failure == NULL) {
        return;
    }
    fmx_log_line(&gateway->shard->options->log, FMX_LOG_ERROR,
                 "store: %s; nothing more is stored until a restart", failure);
    fmx_count(&gateway->shard->counters.store_lost, gateway->awaiting_count);
    while (gateway->awaiting_count > 0) {
        end_first(gateway, FMX_DELIVERY_DROPPED);
    }
}

void fmx_journal_go_on(struct fmx_gateway_shard *gateway)
{
    if (store_of(gateway) == NULL) {
        return;
    }
    fmx_store_flush(store_of(gateway), shard_of(gateway));
    end_committed(gateway);
    if (gateway->awaiting_count > 0) {
        give_up(gateway);
    }
}

void fmx_journal_end_all(struct fmx_gateway_shard *gateway)
{
    end_committed(gateway);
    while (gateway->awaiting_count > 0) {
        end_first(gateway, FMX_DELIVERY_SHUTDOWN);
    }
}
