/*
 * gateway — the server role: open, start, stop, close, and where the engine enters it
 *
 * Why it is so:   the engine knows one struct of callbacks; everything a session is for hangs on
 *                 the table at the end of this file
 * Memory:         fmx_gateway from open to close; a shard's part from its first turn to the close
 * Threads:        as include/fleetmux/gateway.h says
 * Not here:       what a service calls: gateway_calls.c; what shards say to one another:
 *                 gateway_messages.c; the rest: see the map in engine/roles/gateway.h
 */
#include "engine/roles/gateway.h"

#include "engine/clock.h"
#include "engine/options.h"
#include "proto/limits.h"
#include "proto/topic.h"

#include <stdlib.h>

#define FILTER_BYTES 65536u

/* A connection that has not said CONNECT yet: nobody knows its product's terms. */
static struct fmx_session_options options_before_connect(const struct fmx_gateway_options *options)
{
    struct fmx_session_options session;

    fmx_product_session_options(&options->limits, options, &session);
    session.keepalive_min_s = 0;
    session.keepalive_max_s = 0;
    return session;
}

/* ── the role ── */

static void forget(struct fmx_shard *shard, struct fmx_kept *kept)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);

    fmx_journal_forget(gateway, kept);
    fmx_count_down(&shard->counters.subscriptions_now, kept->subscriptions_count);
    kept->subscriptions_count = 0;
    fmx_gateway_unsubscribe_all(gateway, &kept->subscriptions);
}

static void changed(struct fmx_shard *shard, struct fmx_identity *identity)
{
    fmx_journal_session(fmx_gateway_of(shard), identity);
}

static void stored(struct fmx_shard *shard, struct fmx_kept *kept, struct fmx_payload *payload)
{
    fmx_journal_message(fmx_gateway_of(shard), kept, payload);
}

static bool may_connect(struct fmx_shard *shard, const struct fmx_msg *claim)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);
    fmx_slice key = fmx_blob_slice(claim->claim.client_id);
    uint32_t per_minute = fmx_gateway_limits_of(gateway, key)->connects_per_minute;

    if (per_minute == FMX_UNLIMITED ||
        fmx_connect_rate_allows(&gateway->connect_rate, claim->claim.hash, per_minute,
                                shard->now_ns)) {
        return true;
    }
    fmx_count(&shard->counters.refused_connect_rate, 1);
    return false;
}

static struct fmx_rate_memory recall(struct fmx_shard *shard, uint64_t hash)
{
    return fmx_connect_rate_recall(&fmx_gateway_of(shard)->connect_rate, hash);
}

static void forget_at_close(struct fmx_shard *shard, struct fmx_kept *kept)
{
    (void)shard; /* what is on disk stays, and nobody is left to be told */
    (void)kept;
}

static const struct fmx_directory_events directory_events = {.forget = forget,
                                                             .changed = changed,
                                                             .stored = stored,
                                                             .recall = recall,
                                                             .may_connect = may_connect};

static const struct fmx_directory_events closing_events = {.forget = forget_at_close,
                                                           .changed = changed,
                                                           .stored = stored,
                                                           .recall = recall,
                                                           .may_connect = may_connect};

static enum fmx_status open_parts(struct fmx_gateway_shard *gateway, struct fmx_shard *shard)
{
    gateway->remote_heads = malloc(shard->shards_count * sizeof(*gateway->remote_heads));
    gateway->filter_scratch = malloc(FILTER_BYTES);
    gateway->wants_all = calloc(shard->shards_count, sizeof(*gateway->wants_all));
    if (gateway->wants_all == NULL || gateway->remote_heads == NULL ||
        gateway->filter_scratch == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    for (uint32_t i = 0; i < shard->shards_count; i++) {
        gateway->remote_heads[i] = FMX_SUBSCRIPTION_NONE;
    }
    fmx_products_init(&gateway->products, &gateway->gateway->options, gateway->gateway->devices,
                      shard->index);
    gateway->open_product = fmx_products_get(&gateway->products, (fmx_slice){0});
    if (gateway->open_product == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    enum fmx_status status = fmx_router_open(&gateway->router, fmx_options_seed());
    if (status == FMX_OK) {
        status =
            fmx_directory_open(&gateway->directory, shard, FMX_SLAB_SLOTS_MAX, &directory_events);
    }
    if (status == FMX_OK) {
        status = fmx_calls_open(&gateway->calls, shard);
    }
    return status == FMX_OK ? fmx_journal_read(gateway) : status;
}

static enum fmx_status open_shard(struct fmx_shard *shard)
{
    struct fmx_gateway_shard *gateway = calloc(1, sizeof(*gateway));

    if (gateway == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    gateway->gateway = shard->options->role_user;
    gateway->shard = shard;
    gateway->caller = (struct fmx_gateway_caller){
        .on_shard = shard, .gateway = gateway->gateway, .shard = shard->index};
    gateway->assigned_seed = fmx_options_seed();
    gateway->messages = fmx_options_seed() & UINT32_MAX;
    shard->role_state = gateway;
    return open_parts(gateway, shard);
}

/* Whoever still waits for something hears now that there will be no more. */
static void end_orders(struct fmx_gateway_shard *gateway)
{
    fmx_calls_end_all(&gateway->calls);
    fmx_journal_end_all(gateway);
}

static void close_shard(struct fmx_shard *shard)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);

    if (gateway == NULL) {
        return;
    }
    end_orders(gateway);
    fmx_service_close(gateway);
    fmx_calls_close(&gateway->calls);
    if (gateway->directory.shard != NULL) {
        gateway->directory.events = &closing_events;
        fmx_directory_close(&gateway->directory);
    }
    free(gateway->awaiting);
    if (gateway->router != NULL) {
        fmx_router_close(gateway->router);
    }
    fmx_products_wipe(&gateway->products);
    fmx_connect_rate_wipe(&gateway->connect_rate);
    free(gateway->remote_heads);
    free(gateway->wants_all);
    free(gateway->filter_scratch);
    free(gateway);
    shard->role_state = NULL;
}

static void on_open(struct fmx_conn *conn)
{
    (void)conn; /* CONNECT is the first that counts */
}

/* One that only fetches its credentials has nothing else to do here. */
static bool is_registering(struct fmx_conn *conn)
{
    const struct fmx_device_state *device = fmx_gateway_part(conn)->device;

    return device != NULL && device->is_registering;
}

static void on_subscribe(struct fmx_conn *conn, const struct fmx_packet *packet)
{
    if (is_registering(conn)) {
        fmx_conn_close(conn, FMX_PEER_NOT_AUTHORIZED);
    } else {
        fmx_gateway_on_subscribe(conn, packet);
    }
}

static void on_packet(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag)
{
    const struct fmx_profile_rules *profile = fmx_gateway_of(conn->shard)->gateway->profile;
    struct fmx_counters *counters = &conn->shard->counters;

    switch (packet->kind) {
    case FMX_CONNECT:
        profile->on_connect(conn, &packet->connect);
        break;
    case FMX_PUBLISH:
        fmx_count(packet->publish.qos == 0 ? &counters->publishes_in_qos0
                                           : &counters->publishes_in_qos1,
                  1);
        profile->on_publish(conn, &packet->publish);
        break;
    case FMX_PUBACK:
        fmx_gateway_on_puback(conn, tag);
        break;
    case FMX_SUBSCRIBE:
    case FMX_UNSUBSCRIBE:
        on_subscribe(conn, packet);
        break;
    default:
        break; /* DISCONNECT: the end follows */
    }
}

/* Limits that end a connection are counted where it ends. */
static void count_limit(struct fmx_conn *conn)
{
    struct fmx_counters *counters = &conn->shard->counters;

    switch (conn->cause) {
    case FMX_LIMIT_PACKET:
        fmx_count(&counters->limited_packet, 1);
        break;
    case FMX_LIMIT_TOPIC:
        fmx_count(&counters->limited_topic, 1);
        break;
    case FMX_PEER_RECEIVE_MAX:
        fmx_count(&counters->limited_receive_max, 1);
        break;
    default:
        break;
    }
}

/* The platform's numbers for why a device is offline. */
static uint16_t offline_code(enum fmx_status cause)
{
    switch (cause) {
    case FMX_PEER_DISCONNECT:
    case FMX_PEER_CLOSED:
    case FMX_PEER_RESET:
        return 400;
    case FMX_E_TAKEN_OVER:
        return 427;
    case FMX_LIMIT_RATE:
    case FMX_LIMIT_QUEUE:
        return 429;
    case FMX_PEER_KEEPALIVE:
        return 520;
    case FMX_PEER_NOT_AUTHORIZED:
        return 522;
    case FMX_TLS_TIMEOUT:
        return 520;
    default:
        break;
    }
    switch (fmx_status_class(cause)) {
    case FMX_CLASS_PEER:
    case FMX_CLASS_TLS:
        return 400;
    default:
        return 500;
    }
}

static void report_end(struct fmx_conn *conn)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    const struct fmx_gateway_options *options = &gateway->gateway->options;
    struct fmx_session_room room;

    if (options->callbacks.on_close == NULL) {
        return;
    }
    struct fmx_gateway_session session = fmx_gateway_describe(conn, &room);
    struct fmx_gateway_end end = {
        .id = session.id,
        .caller = session.caller,
        .cause = conn->cause,
        .offline_code = offline_code(conn->cause),
        .last_in_ms = fmx_gateway_unix_ms(conn->last_in_ns, conn->shard->now_ns),
        .client_id = session.client_id,
        .product_key = session.product_key,
        .device_name = session.device_name,
        .address = session.address,
    };
    options->callbacks.on_close(options->user, &end);
}

static void on_close(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    count_limit(conn);
    if (part->is_open) {
        fmx_count_down(&conn->shard->counters.sessions_now, 1);
        report_end(conn);
    } else if (conn->session.connect_came && !is_registering(conn)) {
        fmx_count(&conn->shard->counters.sessions_refused, 1);
    }
    fmx_gateway_session_ended(conn);
}

static void on_timer(struct fmx_shard *shard, struct fmx_timer *timer)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);

    switch ((enum fmx_gateway_timer)timer->sub_kind) {
    case FMX_GATEWAY_TIMER_KEPT:
        fmx_directory_on_expiry(&gateway->directory, timer);
        break;
    case FMX_GATEWAY_TIMER_CALL:
        fmx_service_on_overdue(gateway, timer);
        break;
    case FMX_GATEWAY_TIMER_UP:
    case FMX_GATEWAY_TIMER_DOWN:
        fmx_platform_on_timer(timer);
        break;
    }
}

/* What is kept in memory ends with the process; what goes to disk is handed over first. */
static void on_stop(struct fmx_shard *shard)
{
    uint32_t cursor = 0;
    struct fmx_conn *conn;

    if (fmx_gateway_of(shard)->gateway->store != NULL) {
        return;
    }
    while ((conn = fmx_slab_next(&shard->conns, &cursor)) != NULL) {
        fmx_conn_unhold(conn);
    }
}

/* Has every session that has its home here handed over what goes to disk? */
static bool has_all(const struct fmx_gateway_shard *gateway)
{
    return gateway->gateway->store == NULL || gateway->directory.owned_kept == 0;
}

/*
 * Asked when no connection is left here. A home outlives every session that may still hand over to
 * it, on whatever shard: it ends when all shards have come so far, and one turn later, in which it
 * takes what they had sent by then.
 */
static bool is_drained(struct fmx_shard *shard)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);
    bool is_late = shard->now_ns >= shard->drain_deadline_ns;

    if (!gateway->is_quiet && (is_late || (has_all(gateway) && !fmx_shard_has_spills(shard)))) {
        gateway->is_quiet = true;
        atomic_fetch_add(&gateway->gateway->quiet_shards, 1);
    }
    if (is_late) {
        return true;
    }
    if (atomic_load(&gateway->gateway->quiet_shards) < shard->shards_count) {
        return false;
    }
    return gateway->quiet_turns++ > 0;
}

static void on_turn(struct fmx_shard *shard)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);
    const struct fmx_gateway_options *options = &gateway->gateway->options;

    if (gateway->batch_is_open) {
        gateway->batch_is_open = false;
        if (options->callbacks.on_batch != NULL) {
            options->callbacks.on_batch(options->user, shard->index);
        }
    }
    fmx_gateway_go_on(gateway);
    fmx_service_go_on(gateway);
    fmx_journal_go_on(gateway);
}

static const struct fmx_role gateway_role = {
    .side = FMX_SIDE_SERVER,
    .session_bytes = sizeof(struct fmx_gateway_session_part),
    .open_shard = open_shard,
    .close_shard = close_shard,
    .on_open = on_open,
    .on_packet = on_packet,
    .on_peer_name = fmx_platform_on_peer_name,
    .on_writable = fmx_gateway_pump,
    .on_close = on_close,
    .on_release = fmx_gateway_session_wipe,
    .on_timer = on_timer,
    .on_message = fmx_gateway_on_message,
    .on_turn = on_turn,
    .discard = fmx_gateway_discard,
    .on_stop = on_stop,
    .is_drained = is_drained,
};

/* ── public calls ── */

static enum fmx_status open_mux(struct fmx_gateway *gateway,
                                const struct fmx_gateway_options *options, char *error,
                                size_t error_bytes)
{
    struct fmx_mux_listen listen[FMX_LISTENERS_MAX];
    struct fmx_mux_plan plan = {
        .options = &options->mux,
        .role = &gateway_role,
        .role_user = gateway,
        .session = &gateway->session,
        .connect_timeout_ns = options->connect_timeout_ms * FMX_NS_PER_MS,
        .tls = &options->tls_limits,
        .listen = listen,
        .listen_count = options->listen_count,
        .backlog = options->backlog,
    };

    for (size_t i = 0; i < options->listen_count; i++) {
        const struct fmx_gateway_listener *listener = &gateway->listeners[i];
        listen[i] = (struct fmx_mux_listen){
            .address = listener->address,
            .transport = listener->transport,
            .tls = fmx_gateway_tls_context(gateway->tls, listener->settings),
        };
    }
    return fmx_mux_open(&plan, &gateway->mux, error, error_bytes);
}

static enum fmx_status open_registry(struct fmx_gateway *gateway, char *error, size_t error_bytes)
{
    const struct fmx_devices_events events = {
        .user = gateway,
        .on_product = fmx_gateway_on_product_changed,
        .on_gone = fmx_gateway_on_device_gone,
        .on_registered = fmx_gateway_on_registered,
        .on_trouble = fmx_gateway_on_registry_trouble,
    };

    if (gateway->options.registry == NULL) {
        return FMX_OK;
    }
    return fmx_devices_open(gateway->options.registry, fmx_mux_threads_count(gateway->mux), &events,
                            &gateway->devices, error, error_bytes);
}

/* On the store's thread. If the shard's queue is full it is awake, and sees the number anyway. */
static void on_committed(void *user, uint32_t shard, uint64_t sequence)
{
    struct fmx_gateway *gateway = user;
    struct fmx_gateway_shard *on = fmx_gateway_of(fmx_mux_shard(gateway->mux, shard));
    struct fmx_mux_caller *caller = atomic_load(&gateway->store_caller);
    struct fmx_msg message = {.kind = FMX_MSG_COMMITTED};

    if (on != NULL) {
        /* release: pairs with end_committed */
        atomic_store_explicit(&on->committed, sequence, memory_order_release);
    }
    if (caller != NULL) {
        (void)fmx_mux_caller_post(caller, shard, &message);
    }
}

/* On the store's thread: whoever waits for the disk has to look, and hears that it is in vain. */
static void on_store_failed(void *user)
{
    struct fmx_gateway *gateway = user;
    struct fmx_mux_caller *caller = atomic_load(&gateway->store_caller);
    struct fmx_msg message = {.kind = FMX_MSG_COMMITTED};

    for (uint32_t to = 0; caller != NULL && to < fmx_mux_shards_count(gateway->mux); to++) {
        (void)fmx_mux_caller_post(caller, to, &message);
    }
}

static enum fmx_status open_store(struct fmx_gateway *gateway, char *error, size_t error_bytes)
{
    const struct fmx_store_options options = {
        .path = gateway->options.store,
        .shards_count = fmx_mux_shards_count(gateway->mux),
        .commit_wait_us = 500,
        .on_committed = on_committed,
        .on_failed = on_store_failed,
        .user = gateway,
    };

    if (gateway->options.store == NULL) {
        return FMX_OK;
    }
    return fmx_store_open(&options, &gateway->store, error, error_bytes);
}

/* What listens, and with which certificates; nothing is opened towards the network yet. */
static enum fmx_status open_listeners(struct fmx_gateway *gateway,
                                      const struct fmx_gateway_options *options, char *error,
                                      size_t error_bytes)
{
    enum fmx_status status =
        fmx_gateway_listen_parse(options, gateway->listeners, error, error_bytes);

    if (status == FMX_OK) {
        status = fmx_gateway_tls_open(gateway, options, &gateway->tls, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = open_mux(gateway, options, error, error_bytes);
    }
    if (status != FMX_OK) {
        fmx_gateway_tls_close(gateway->tls);
    }
    return status;
}

enum fmx_status fmx_gateway_open(const struct fmx_gateway_options *options,
                                 struct fmx_gateway **out_gateway, char *error, size_t error_bytes)
{
    enum fmx_status status = fmx_gateway_options_check(options, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    struct fmx_gateway *gateway = calloc(1, sizeof(*gateway));
    if (gateway == NULL) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    gateway->options = *options;
    gateway->session = options_before_connect(options);
    gateway->profile =
        options->profile == FMX_PROFILE_OPEN ? &fmx_profile_open : &fmx_profile_platform;
    gateway->hash_seed = fmx_options_seed();
    gateway->listen_count = options->listen_count;
    status = open_listeners(gateway, options, error, error_bytes);
    if (status != FMX_OK) {
        free(gateway);
        return status;
    }
    status = open_registry(gateway, error, error_bytes);
    if (status == FMX_OK) {
        status = open_store(gateway, error, error_bytes);
    }
    if (status != FMX_OK) {
        fmx_gateway_close(gateway);
        return status;
    }
    gateway->options.registry = NULL; /* pointers in options are not kept */
    gateway->options.store = NULL;
    gateway->options.tls = NULL;
    *out_gateway = gateway;
    return FMX_OK;
}

/* What the registry's and the store's thread say to shards goes by callers of their own. */
static enum fmx_status open_callers(struct fmx_gateway *gateway)
{
    struct fmx_mux_caller *keeper = NULL;
    struct fmx_mux_caller *store = NULL;
    enum fmx_status status = FMX_OK;

    if (gateway->devices != NULL) {
        status = fmx_mux_caller_open(gateway->mux, &keeper);
        atomic_store(&gateway->keeper_caller, keeper);
    }
    if (status == FMX_OK && gateway->store != NULL) {
        status = fmx_mux_caller_open(gateway->mux, &store);
        atomic_store(&gateway->store_caller, store);
    }
    return status;
}

enum fmx_status fmx_gateway_start(struct fmx_gateway *gateway, char *error, size_t error_bytes)
{
    enum fmx_status status = open_callers(gateway); /* first: a shard that runs may need them */

    if (status != FMX_OK) {
        snprintf(error, error_bytes, "no memory");
        return status;
    }
    status = fmx_gateway_tls_start(gateway->tls, gateway->listeners, gateway->listen_count, error,
                                   error_bytes);
    return status == FMX_OK ? fmx_mux_start(gateway->mux, error, error_bytes) : status;
}

uint32_t fmx_gateway_shards_count(const struct fmx_gateway *gateway)
{
    return fmx_mux_shards_count(gateway->mux);
}

uint16_t fmx_gateway_port(const struct fmx_gateway *gateway, size_t index)
{
    return index < gateway->listen_count ? fmx_mux_port(gateway->mux, index) : 0;
}

uint64_t fmx_gateway_unix_ms(uint64_t at_ns, uint64_t now_ns)
{
    uint64_t ago_ms = now_ns > at_ns ? (now_ns - at_ns) / FMX_NS_PER_MS : 0;

    return fmx_clock_unix_ms() - ago_ms;
}

static void close_store(struct fmx_gateway *gateway)
{
    if (gateway->store != NULL) {
        fmx_store_close(gateway->store); /* commits what it has, and says so */
        gateway->store = NULL;
    }
}

void fmx_gateway_stop(struct fmx_gateway *gateway, uint32_t drain_ms)
{
    atomic_store(&gateway->is_stopping, true);
    fmx_gateway_tls_stop(gateway->tls);
    fmx_mux_stop(gateway->mux, drain_ms);
    close_store(gateway);
    for (uint32_t i = 0; i < fmx_mux_shards_count(gateway->mux); i++) {
        struct fmx_gateway_shard *shard = fmx_gateway_of(fmx_mux_shard(gateway->mux, i));
        if (shard != NULL) {
            end_orders(shard);
        }
    }
}

/* The threads first: they post to shards, or log. What shards release says nothing to the store. */
void fmx_gateway_close(struct fmx_gateway *gateway)
{
    atomic_store(&gateway->is_stopping, true);
    fmx_gateway_tls_stop(gateway->tls);
    if (gateway->devices != NULL) {
        fmx_devices_close(gateway->devices);
    }
    close_store(gateway);
    fmx_mux_close(gateway->mux);
    fmx_gateway_tls_close(gateway->tls);
    free(gateway);
}

void fmx_gateway_stats(const struct fmx_gateway *gateway, struct fmx_stats *out_stats)
{
    fmx_mux_stats(gateway->mux, out_stats);
    out_stats->tls_reloads += fmx_gateway_tls_reloads(gateway->tls); /* no shard counts them */
}
