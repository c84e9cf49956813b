/*
 * fleet_client — a client from its planned connect to its end
 *
 * Why it is so:   connects are planned by the clock like messages are, and their latency is
 *                 measured from the planned time; when too many wait for an answer the ramp waits
 *                 too, and shows it
 * Words:          ramp: the order in which clients connect for the first time
 * States:         WAITING ── begin ──► CONNECTING ── CONNACK 0 ──► OPEN ── loss ──► WAITING or DONE
 *                 CONNECTING ── failure ──► WAITING (reconnect on) or DONE
 *                 CONNECTING ── registered ──► WAITING, for the next turn
 * Memory:         clients are an array of the shard, made at its start
 * Threads:        owning shard
 * Limits:         connects_inflight_max over all shards; connect_timeout_ms
 * Not here:       messages: fleet_publish.c
 */
#include "engine/roles/fleet.h"

#include "proto/encode.h"
#include "proto/limits.h"

#include <errno.h>

/* ── counting ── */

static _Atomic uint64_t *gauge_of(struct fmx_fleet_shard *fleet,
                                  const struct fmx_fleet_client *client)
{
    switch (client->state) {
    case FMX_CLIENT_WAITING:
        return &fleet->counters.waiting;
    case FMX_CLIENT_CONNECTING:
        return &fleet->counters.connecting;
    case FMX_CLIENT_OPEN:
        return &fleet->counters.open;
    case FMX_CLIENT_DONE:
        break;
    }
    return client->was_open ? &fleet->counters.lost : &fleet->counters.failed;
}

static void enter_state(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client,
                        enum fmx_fleet_client_state state)
{
    fmx_count_down(gauge_of(fleet, client), 1);
    client->state = state;
    fmx_count(gauge_of(fleet, client), 1);
}

/* `words` are static storage, so the same ones have the same address. */
static void count_cause(struct fmx_fleet_shard *fleet, enum fmx_status status, int sys_errno,
                        uint8_t reason, const char *words)
{
    uint64_t key = (uint64_t)(uint32_t)-status << 32 | (uint64_t)reason << 16 | (uint16_t)sys_errno;
    size_t last = FMX_FLEET_CAUSES_MAX - 1;

    for (size_t i = 0; i <= last; i++) {
        struct fmx_fleet_cause_slot *slot = &fleet->causes[i];
        uint64_t held = atomic_load_explicit(&slot->key, memory_order_relaxed);
        const char *held_words = atomic_load_explicit(&slot->words, memory_order_relaxed);
        bool is_same = held == key && held_words == words;
        if (held == 0) {
            atomic_store_explicit(&slot->words, words, memory_order_relaxed);
            atomic_store_explicit(&slot->key, key, memory_order_release); /* with its words */
        }
        if (held == 0 || is_same || i == last) { /* beyond the table all share the last row */
            fmx_count(&slot->count, 1);
            return;
        }
    }
}

/* ── connect ── */

static void plan_connect(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client,
                         uint64_t planned_ns)
{
    enter_state(fleet, client, FMX_CLIENT_WAITING);
    client->connect_planned_ns = planned_ns;
    fmx_wheel_arm(&fleet->shard->wheel, &client->timer, planned_ns);
}

static void reconnect_later(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;

    if (plan->reconnect_min_ms == 0 || fleet->is_ending) {
        fleet->overdue -= client->overdue;
        client->overdue = 0;
        enter_state(fleet, client, FMX_CLIENT_DONE);
        return;
    }
    uint64_t cap_ms = plan->reconnect_min_ms;
    for (uint32_t i = 0; i < client->attempts && cap_ms < plan->reconnect_max_ms; i++) {
        cap_ms *= 2;
    }
    cap_ms = cap_ms > plan->reconnect_max_ms ? plan->reconnect_max_ms : cap_ms;
    uint64_t wait_ns = fmx_fleet_random(fleet) % (cap_ms * FMX_NS_PER_MS + 1);
    if (client->attempts < FMX_FLEET_ATTEMPTS_MAX) {
        client->attempts++;
    }
    plan_connect(fleet, client, fleet->shard->now_ns + wait_ns);
}

void fmx_fleet_client_begin(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client)
{
    struct fmx_fleet *whole = fleet->fleet;
    const struct fmx_address *target = &whole->targets[client->index % whole->plan.targets_count];
    const struct fmx_address *source =
        whole->sources_count == 0 ? NULL : &whole->sources[client->index % whole->sources_count];
    uint64_t deadline_ns = fleet->shard->now_ns + whole->plan.connect_timeout_ms * FMX_NS_PER_MS;
    struct fmx_conn *conn;
    int sys_errno;

    FMX_ASSERT(client->state == FMX_CLIENT_WAITING);
    enum fmx_status status =
        fmx_conn_dial(fleet->shard, (const struct sockaddr *)&target->storage, target->bytes,
                      source == NULL ? NULL : (const struct sockaddr *)&source->storage,
                      source == NULL ? 0 : source->bytes, whole->plan.linger_zero, deadline_ns,
                      &conn, &sys_errno);
    if (status == FMX_LIMIT_SESSIONS && !fleet->is_ending) {
        /* connections that still close hold all slots: look again, the planned time stands */
        fmx_wheel_arm(&fleet->shard->wheel, &client->timer, fleet->shard->now_ns + FMX_NS_PER_MS);
        return;
    }
    if (status != FMX_OK) {
        count_cause(fleet, status, sys_errno, 0, NULL);
        reconnect_later(fleet, client);
        return;
    }
    *fmx_fleet_part_of(conn) =
        (struct fmx_fleet_part){.client = client, .connect_planned_ns = client->connect_planned_ns};
    enter_state(fleet, client, FMX_CLIENT_CONNECTING);
    client->conn = conn;
    fleet->connecting++;
    if (whole->tls != NULL) {
        fmx_fleet_tls_begin(conn);
    }
}

/* Starts the clients whose planned time has come, as far as unanswered connects allow. */
void fmx_fleet_ramp(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;
    uint64_t start_ns = atomic_load_explicit(&fleet->fleet->start_ns, memory_order_relaxed);

    while (fleet->next_client < fleet->clients_count && !fleet->is_ending) {
        struct fmx_fleet_client *client = &fleet->clients[fleet->next_client];
        double seconds =
            plan->connects_per_second > 0 ? client->index / plan->connects_per_second : 0;
        uint64_t planned_ns = start_ns + (uint64_t)(seconds * 1e9);
        if (planned_ns > fleet->shard->now_ns) {
            fmx_wheel_arm(&fleet->shard->wheel, &fleet->ramp, planned_ns);
            return;
        }
        if (fleet->connecting >= fleet->connecting_max) {
            return; /* the next answer comes back here */
        }
        fleet->next_client++;
        client->connect_planned_ns =
            plan->connects_per_second > 0 ? planned_ns : fleet->shard->now_ns;
        fmx_fleet_client_begin(fleet, client);
    }
}

void fmx_fleet_client_opened(struct fmx_conn *conn)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;
    struct fmx_fleet_login login;
    struct fmx_packet packet = {.kind = FMX_CONNECT};
    struct fmx_connect *connect = &packet.connect;

    if (fleet->fleet->tls != NULL) {
        fmx_fleet_tls_opened(conn);
    }
    if (!fmx_fleet_login(fleet, fmx_fleet_client_of(conn), &login)) {
        fmx_conn_close(conn, FMX_E_ARGUMENT); /* no such device */
        return;
    }
    connect->version = plan->version;
    connect->clean = plan->clean;
    connect->keepalive_s = plan->keepalive_s;
    connect->client_id = login.client_id;
    connect->has_username = login.has_username;
    connect->username = login.username;
    connect->has_password = login.has_password;
    connect->password = login.password;
    if (plan->session_expiry_s > 0) {
        connect->props.present |= FMX_PROP_BIT(FMX_PROP_SESSION_EXPIRY);
        connect->props.session_expiry_s = plan->session_expiry_s;
    }
    fmx_session_connect(&conn->session, connect);
    fmx_conn_send(conn, &packet);
}

/* ── subscribe ── */

static void subscribed(struct fmx_fleet_shard *fleet, struct fmx_fleet_part *part)
{
    part->is_subscribed = true;
    fmx_count(&fleet->counters.subscribed, 1);
    fmx_fleet_publish_begin(fleet, part->client);
}

static void send_subscribe(struct fmx_conn *conn, const char *text)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;
    bool is_5 = conn->session.version == FMX_MQTT_50;
    uint8_t topic[FMX_TEMPLATE_BYTES_MAX];
    uint8_t list[FMX_TEMPLATE_BYTES_MAX + 3];
    struct fmx_filter filter = {.filter =
                                    fmx_fleet_fill(fleet, fmx_fleet_client_of(conn), text, topic),
                                .qos = plan->subscribe_qos,
                                .no_local = is_5 && plan->calls.answer != FMX_FLEET_ANSWER_OFF};
    struct fmx_writer writer = fmx_writer_of(list, sizeof(list));
    struct fmx_packet packet = {.kind = FMX_SUBSCRIBE, .subscribe = {.filters_count = 1}};
    uint64_t tag = conn->shard->now_ns << 1 | 1;

    fmx_filter_write(&writer, true, &filter);
    packet.subscribe.filters = (fmx_slice){.data = list, .bytes = (size_t)(writer.at - list)};
    struct fmx_inflight *out = &conn->session.out; /* Receive Maximum bounds PUBLISH only */
    if ((!fmx_inflight_has_room(out) && !fmx_conn_grow_window(conn)) ||
        fmx_inflight_take(out, tag, &packet.subscribe.packet_id) != FMX_OK) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    fmx_conn_send(conn, &packet);
}

static void subscribe_all(struct fmx_conn *conn)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    const struct fmx_fleet_plan *plan = &fleet->fleet->plan;

    part->subacks_due = (uint8_t)plan->filters_count;
    if (plan->filters_count == 0) {
        subscribed(fleet, part);
        return;
    }
    for (size_t i = 0; i < plan->filters_count; i++) {
        send_subscribe(conn, plan->filters[i]);
    }
}

static void on_suback(struct fmx_conn *conn, const struct fmx_suback *suback, uint64_t tag)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);

    fmx_histogram_record(&fleet->subscribe, conn->shard->now_ns - (tag >> 1));
    for (size_t i = 0; i < suback->codes.bytes; i++) {
        fmx_count(&fleet->counters.subscribes_refused, suback->codes.data[i] >= 0x80);
    }
    if (part->subacks_due > 0 && --part->subacks_due == 0) {
        subscribed(fleet, part);
    }
}

/* ── packets ── */

static void on_connack(struct fmx_conn *conn, const struct fmx_connack *connack)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_client *client = part->client;
    uint64_t now_ns = conn->shard->now_ns;

    part->reason = connack->reason;
    if (connack->reason != 0) {
        return; /* the end follows */
    }
    if (fmx_fleet_must_register(fleet, client)) {
        fmx_fleet_register_begin(conn);
        return;
    }
    fleet->connecting--;
    enter_state(fleet, client, FMX_CLIENT_OPEN);
    client->was_open = true;
    client->attempts = 0;
    fmx_count(&fleet->counters.connects_ok, 1);
    fmx_count_set(&fleet->counters.last_connect_ns,
                  now_ns - atomic_load_explicit(&fleet->fleet->start_ns, memory_order_relaxed));
    fmx_histogram_record(&fleet->connect, now_ns - part->connect_planned_ns);
    subscribe_all(conn);
    fmx_fleet_ramp(fleet);
}

/* An acknowledgement of the wrong kind for its identifier is the server's mistake. */
static bool is_kind_of_tag(const struct fmx_packet *packet, uint64_t tag)
{
    return (packet->kind == FMX_SUBACK) == ((tag & 1) != 0);
}

void fmx_fleet_client_on_packet(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag)
{
    switch (packet->kind) {
    case FMX_CONNACK:
        on_connack(conn, &packet->connack);
        break;
    case FMX_PUBLISH:
        if (fmx_fleet_client_of(conn)->state == FMX_CLIENT_CONNECTING) {
            fmx_fleet_register_on_publish(conn, &packet->publish);
        } else {
            fmx_fleet_on_publish(conn, &packet->publish);
        }
        break;
    case FMX_SUBACK:
    case FMX_PUBACK:
        if (!is_kind_of_tag(packet, tag)) {
            fmx_conn_close(conn, FMX_PEER_ACK);
        } else if (packet->kind == FMX_SUBACK) {
            on_suback(conn, &packet->suback, tag);
        } else {
            fmx_fleet_on_puback(conn, &packet->ack, tag);
        }
        break;
    case FMX_DISCONNECT:
        fmx_fleet_part_of(conn)->reason = packet->disconnect.reason;
        break;
    default:
        break;
    }
}

/* ── the end ── */

static void forget_connection(struct fmx_fleet_shard *fleet, const struct fmx_fleet_part *part)
{
    struct fmx_fleet_client *client = part->client;

    client->conn = NULL;
    fleet->unacked -= part->unacked;
    fmx_count(&fleet->counters.unacked_lost, part->unacked);
    if (part->is_subscribed) {
        fmx_count_down(&fleet->counters.subscribed, 1);
    }
    fmx_wheel_disarm(&fleet->shard->wheel, &client->timer);
}

void fmx_fleet_client_closed(struct fmx_conn *conn)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_client *client = part->client;
    const char *words = fleet->fleet->tls != NULL ? fmx_fleet_tls_closed(conn) : NULL;

    if (client->state == FMX_CLIENT_CONNECTING) {
        fleet->connecting--;
    }
    forget_connection(fleet, part);
    if (fleet->shard->stopping) {
        return; /* as planned: the client stays counted as it was */
    }
    if (part->has_registered) { /* with what it has learnt, which is a connect of its own */
        plan_connect(fleet, client, fleet->shard->now_ns);
        return;
    }
    bool has_reason = conn->cause == FMX_PEER_REFUSED || conn->cause == FMX_PEER_DISCONNECT;
    count_cause(fleet, conn->cause, conn->sys_errno, has_reason ? part->reason : 0, words);
    reconnect_later(fleet, client);
    fmx_fleet_ramp(fleet);
}
