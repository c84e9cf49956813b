/*
 * gateway — the server role: its public calls, its options, and where the engine enters it
 *
 * Why it is so:   the engine knows one struct of callbacks; everything a session is for hangs on
 *                 the table at the end of this file
 * Memory:         fmx_gateway from open to close; a shard's part from its first turn to the close
 * Threads:        as include/fleetmux/gateway.h says
 * Not here:       sessions, subscriptions, delivery: see the map in engine/roles/gateway.h
 */
#include "engine/roles/gateway.h"

#include "engine/options.h"
#include "engine/roles/address.h"
#include "proto/limits.h"
#include "proto/topic.h"

#include <stdlib.h>

#define FILTER_BYTES 65536u

/* ── options ── */

void fmx_gateway_options_init(struct fmx_gateway_options *options)
{
    *options = (struct fmx_gateway_options){
        .profile = FMX_PROFILE_OPEN,
        .backlog = 4096,
        .connect_timeout_ms = 10000,
        .packet_bytes_max = 1048576,
        .inflight_max = 4096,
        .receive_max = 1024,
        .topic_alias_max = 32,
        .topic_bytes_max = 65535,
        .topic_levels_max = 128,
        .user_properties_max = 1024,
        .subscriptions_max = 10000,
        .queue_messages_max = 10000,
        .queue_bytes_max = 16u << 20,
        .session_expiry_max_s = 604800,
        .retain_is_refused = true,
    };
    fmx_mux_options_init(&options->mux);
}

static enum fmx_status check_options(const struct fmx_gateway_options *options, char *error,
                                     size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"listen_count", options->listen_count, 1, FMX_LISTENERS_MAX},
        {"backlog", options->backlog, 1, 1u << 20},
        {"connect_timeout_ms", options->connect_timeout_ms, 100, 600000},
        {"packet_bytes_max", options->packet_bytes_max, 16, FMX_PACKET_BYTES_MAX},
        {"inflight_max", options->inflight_max, 1, FMX_INFLIGHT_MAX},
        {"receive_max", options->receive_max, 1, 65535},
        {"topic_bytes_max", options->topic_bytes_max, 1, 65535},
        {"topic_levels_max", options->topic_levels_max, 1, FMX_TOPIC_LEVELS_MAX},
        {"subscriptions_max", options->subscriptions_max, 0, 1u << 24},
        {"queue_messages_max", options->queue_messages_max, 0, 1u << 24},
    };
    enum fmx_status status = fmx_mux_check_options(&options->mux, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    if (options->profile != FMX_PROFILE_OPEN) {
        snprintf(error, error_bytes, "profile: only 'open' is part of this version");
        return FMX_E_OPTION;
    }
    if (options->listen == NULL) {
        snprintf(error, error_bytes, "listen is missing: give at least one ADDRESS:PORT");
        return FMX_E_OPTION;
    }
    if (options->keepalive_max_s != 0 && options->keepalive_min_s > options->keepalive_max_s) {
        snprintf(error, error_bytes,
                 "keepalive_min_s is %u: it must not be above keepalive_max_s, %u",
                 options->keepalive_min_s, options->keepalive_max_s);
        return FMX_E_OPTION;
    }
    return fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);
}

static struct fmx_session_options session_options(const struct fmx_gateway_options *options)
{
    return (struct fmx_session_options){
        .packet_bytes_max = options->packet_bytes_max,
        .inflight_max = options->inflight_max,
        .session_expiry_max_s = options->session_expiry_max_s,
        .topic_bytes_max = options->topic_bytes_max,
        .topic_levels_max = options->topic_levels_max,
        .user_properties_max = options->user_properties_max,
        .receive_max = options->receive_max,
        .topic_alias_max = options->topic_alias_max,
        .keepalive_min_s = options->keepalive_min_s,
        .keepalive_max_s = options->keepalive_max_s,
        .retain_is_refused = options->retain_is_refused,
    };
}

/* ── the role ── */

static void forget_subscriptions(struct fmx_shard *shard, struct fmx_kept *kept)
{
    fmx_count_down(&shard->counters.subscriptions_now, kept->subscriptions_count);
    kept->subscriptions_count = 0;
    fmx_gateway_unsubscribe_all(fmx_gateway_of(shard), &kept->subscriptions);
}

static void forget_nothing(struct fmx_shard *shard, struct fmx_kept *kept)
{
    (void)shard;
    (void)kept;
}

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
    enum fmx_status status = fmx_router_open(&gateway->router, fmx_options_seed());
    return status != FMX_OK ? status
                            : fmx_directory_open(&gateway->directory, shard, FMX_SLAB_SLOTS_MAX,
                                                 forget_subscriptions);
}

static enum fmx_status open_shard(struct fmx_shard *shard)
{
    struct fmx_gateway_shard *gateway = calloc(1, sizeof(*gateway));

    if (gateway == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    gateway->gateway = shard->options->role_user;
    gateway->shard = shard;
    gateway->assigned_seed = fmx_options_seed();
    shard->role_state = gateway;
    return open_parts(gateway, shard);
}

static void close_shard(struct fmx_shard *shard)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(shard);

    if (gateway == NULL) {
        return;
    }
    if (gateway->directory.shard != NULL) {
        gateway->directory.forget_subscriptions = forget_nothing; /* nobody is left to be told */
        fmx_directory_close(&gateway->directory);
    }
    if (gateway->router != NULL) {
        fmx_router_close(gateway->router);
    }
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

static void on_packet(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag)
{
    switch (packet->kind) {
    case FMX_CONNECT:
        fmx_gateway_on_connect(conn, &packet->connect);
        break;
    case FMX_PUBLISH:
        fmx_gateway_publish_from(conn, &packet->publish);
        break;
    case FMX_PUBACK:
        fmx_gateway_on_puback(conn, tag);
        break;
    case FMX_SUBSCRIBE:
    case FMX_UNSUBSCRIBE:
        fmx_gateway_on_subscribe(conn, packet);
        break;
    default:
        break; /* DISCONNECT: the end follows */
    }
}

static void on_close(struct fmx_conn *conn)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;

    if (part->is_open) {
        fmx_count_down(&conn->shard->counters.sessions_now, 1);
        if (options->callbacks.on_close != NULL) {
            options->callbacks.on_close(options->user, fmx_conn_id(conn), conn->cause);
        }
    } else if (part->names != NULL) {
        fmx_count(&conn->shard->counters.sessions_refused, 1);
    }
    fmx_gateway_session_ended(conn);
}

static void on_timer(struct fmx_shard *shard, struct fmx_timer *timer)
{
    fmx_directory_on_expiry(&fmx_gateway_of(shard)->directory, timer);
}

static void kick(struct fmx_shard *shard, const struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(shard, message->about.session);

    if (conn != NULL) {
        fmx_conn_close(conn, FMX_E_KICKED);
    }
}

static void on_message(struct fmx_shard *shard, struct fmx_msg *message)
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
        fmx_directory_on_released(&gateway->directory, message);
        break;
    case FMX_MSG_GONE:
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
        fmx_gateway_publish_msg(gateway, message->publish.payload,
                                message->from_shard == FMX_SHARD_NONE);
        break;
    case FMX_MSG_DELIVER:
        fmx_gateway_on_deliver(gateway, message);
        break;
    case FMX_MSG_KICK:
        kick(shard, message);
        break;
    case FMX_MSG_NONE:
    case FMX_MSG_STOP:
    case FMX_MSG_BEGIN:
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
    default:
        break;
    }
}

/* What is kept in memory ends with the process: nobody has to wait for a home any more. */
static void on_stop(struct fmx_shard *shard)
{
    uint32_t cursor = 0;
    struct fmx_conn *conn;

    while ((conn = fmx_slab_next(&shard->conns, &cursor)) != NULL) {
        fmx_conn_unhold(conn);
    }
}

static bool is_drained(struct fmx_shard *shard)
{
    (void)shard;
    return true;
}

static void on_turn(struct fmx_shard *shard)
{
    fmx_gateway_go_on(fmx_gateway_of(shard));
}

static const struct fmx_role gateway_role = {
    .side = FMX_SIDE_SERVER,
    .session_bytes = sizeof(struct fmx_gateway_session_part),
    .open_shard = open_shard,
    .close_shard = close_shard,
    .on_open = on_open,
    .on_packet = on_packet,
    .on_writable = fmx_gateway_pump,
    .on_close = on_close,
    .on_release = fmx_gateway_session_wipe,
    .on_timer = on_timer,
    .on_message = on_message,
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
    struct fmx_address listen[FMX_LISTENERS_MAX];
    struct fmx_mux_plan plan = {
        .options = &options->mux,
        .role = &gateway_role,
        .role_user = gateway,
        .session = &gateway->session,
        .connect_timeout_ns = options->connect_timeout_ms * FMX_NS_PER_MS,
        .listen = listen,
        .listen_count = options->listen_count,
        .backlog = options->backlog,
    };

    for (size_t i = 0; i < options->listen_count; i++) {
        enum fmx_status status =
            fmx_address_parse("listen", options->listen[i], false, &listen[i], error, error_bytes);
        if (status != FMX_OK) {
            return status;
        }
    }
    return fmx_mux_open(&plan, &gateway->mux, error, error_bytes);
}

enum fmx_status fmx_gateway_open(const struct fmx_gateway_options *options,
                                 struct fmx_gateway **out_gateway, char *error, size_t error_bytes)
{
    enum fmx_status status = check_options(options, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    struct fmx_gateway *gateway = calloc(1, sizeof(*gateway));
    if (gateway == NULL) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    gateway->options = *options;
    gateway->session = session_options(options);
    gateway->hash_seed = fmx_options_seed();
    gateway->listen_count = options->listen_count;
    status = open_mux(gateway, options, error, error_bytes);
    if (status != FMX_OK) {
        free(gateway);
        return status;
    }
    *out_gateway = gateway;
    return FMX_OK;
}

enum fmx_status fmx_gateway_start(struct fmx_gateway *gateway, char *error, size_t error_bytes)
{
    return fmx_mux_start(gateway->mux, error, error_bytes);
}

uint32_t fmx_gateway_shards_count(const struct fmx_gateway *gateway)
{
    return fmx_mux_shards_count(gateway->mux);
}

uint16_t fmx_gateway_port(const struct fmx_gateway *gateway, size_t index)
{
    return index < gateway->listen_count ? fmx_mux_port(gateway->mux, index) : 0;
}

void fmx_gateway_stop(struct fmx_gateway *gateway, uint32_t drain_ms)
{
    fmx_mux_stop(gateway->mux, drain_ms);
}

void fmx_gateway_close(struct fmx_gateway *gateway)
{
    fmx_mux_close(gateway->mux);
    free(gateway);
}

void fmx_gateway_stats(const struct fmx_gateway *gateway, struct fmx_stats *out_stats)
{
    fmx_mux_stats(gateway->mux, out_stats);
}

enum fmx_status fmx_gateway_caller_open(struct fmx_gateway *gateway,
                                        struct fmx_gateway_caller **out_caller)
{
    struct fmx_gateway_caller *caller = calloc(1, sizeof(*caller));

    if (caller == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    caller->gateway = gateway;
    caller->shard = (uint32_t)(fmx_options_seed() % fmx_mux_shards_count(gateway->mux));
    enum fmx_status status = fmx_mux_caller_open(gateway->mux, &caller->mux_caller);
    if (status != FMX_OK) {
        free(caller);
        return status;
    }
    *out_caller = caller;
    return FMX_OK;
}

void fmx_gateway_caller_close(struct fmx_gateway_caller *caller)
{
    fmx_mux_caller_close(caller->mux_caller);
    free(caller);
}

enum fmx_status fmx_gateway_publish(struct fmx_gateway_caller *caller, fmx_slice topic,
                                    fmx_slice payload, uint8_t qos)
{
    struct fmx_publish publish = {.topic = topic, .payload = payload, .qos = qos};

    if (qos > 1) {
        return FMX_E_ARGUMENT;
    }
    if (fmx_topic_check_name(topic) != FMX_OK) {
        return FMX_E_TOPIC;
    }
    if (payload.bytes > FMX_REMAINING_BYTES_MAX - FMX_STRING_BYTES_MAX - 8) {
        return FMX_E_TOO_LARGE;
    }
    struct fmx_msg message = {
        .kind = FMX_MSG_PUBLISH,
        .publish = {.payload = fmx_payload_make(&publish, FMX_SESSION_NONE, 0)}};
    if (message.publish.payload == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    if (!fmx_mux_caller_post(caller->mux_caller, caller->shard, &message)) {
        fmx_payload_give(message.publish.payload);
        return FMX_FULL;
    }
    return FMX_OK;
}

enum fmx_status fmx_gateway_kick(struct fmx_gateway_caller *caller, struct fmx_session_id id)
{
    uint32_t shard = fmx_session_id_shard(id);
    struct fmx_msg message = {.kind = FMX_MSG_KICK, .about = {.session = id}};

    if (fmx_session_id_equal(id, FMX_SESSION_NONE) ||
        shard >= fmx_mux_shards_count(caller->gateway->mux)) {
        return FMX_E_ARGUMENT;
    }
    return fmx_mux_caller_post(caller->mux_caller, shard, &message) ? FMX_OK : FMX_FULL;
}

enum fmx_status fmx_user_property_next(fmx_slice user_properties, size_t *offset,
                                       fmx_slice *out_key, fmx_slice *out_value)
{
    return fmx_props_next_user(user_properties, offset, out_key, out_value);
}
