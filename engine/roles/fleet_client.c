/*
 * fleet_client — a client from its planned connect to its end
 *
 * Why it is so:   connects are planned by the clock like messages are, and their latency is
 *                 measured from the planned time; when too many wait for an answer the ramp waits
 *                 too, and shows it
 * Words:          ramp: the order in which clients connect for the first time; settled: subscribed
 *                 once, or failed once, or gone for good
 * States:         WAITING ── begin ──► CONNECTING ── CONNACK 0 ──► OPEN ── loss ──► WAITING or DONE
 *                 CONNECTING ── failure ──► WAITING (reconnect on) or DONE
 *                 CONNECTING ── registered ──► WAITING, for the next turn
 *                 any ── a stage says so ──► WAITING, DONE
 * Memory:         clients are arrays of the shard's crews, made at its start
 * Threads:        owning shard
 * Limits:         connects_inflight_max over all shards; connect_timeout_ms
 * Not here:       messages: fleet_flow.c; who leaves when: fleet_leave.c
 */
#include "engine/roles/fleet_refuse.h"
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_keep.h"
#include "engine/roles/fleet_request.h"
#include "engine/roles/fleet_tls.h"

#include "engine/conn_tls.h"
#include "proto/encode.h"
#include "proto/limits.h"
#include "proto/topic.h"

#include <errno.h>

#define BEGINS_PER_TURN 1024u

/* ── counting ── */

static _Atomic uint64_t *gauge_of(const struct fmx_fleet_client *client)
{
    struct fmx_crew_counters *counters = &client->crew->counters;

    switch (client->state) {
    case FMX_CLIENT_WAITING:
        return &counters->clients_waiting;
    case FMX_CLIENT_CONNECTING:
        return &counters->clients_connecting;
    case FMX_CLIENT_OPEN:
        return &counters->clients_open;
    case FMX_CLIENT_DONE:
        break;
    }
    return client->is_stopped ? &counters->clients_stopped
           : client->was_open ? &counters->clients_lost
                              : &counters->clients_failed;
}

/* A ramp waits for it no more. */
static void settle(struct fmx_fleet_client *client)
{
    struct fmx_fleet_crew *crew = client->crew;

    if (!client->was_settled) {
        client->was_settled = true;
        atomic_store_explicit(&crew->settled_shared, ++crew->settled, memory_order_relaxed);
    }
}

static void enter_state(struct fmx_fleet_client *client, enum fmx_fleet_client_state state)
{
    fmx_count_down(gauge_of(client), 1);
    client->state = state;
    fmx_count(gauge_of(client), 1);
    if (state == FMX_CLIENT_DONE) {
        settle(client);
        fmx_fleet_flows_forget(client);
    }
}

/* `words` are static storage, so the same ones have the same address. */
void fmx_fleet_count_cause(struct fmx_fleet_shard *fleet, enum fmx_status status, int sys_errno,
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

/* ── faults of the server ── */

static const char *kind_name(unsigned kind)
{
    static const char *const names[16] = {"type 0",    "CONNECT",  "CONNACK",     "PUBLISH",
                                          "PUBACK",    "PUBREC",   "PUBREL",      "PUBCOMP",
                                          "SUBSCRIBE", "SUBACK",   "UNSUBSCRIBE", "UNSUBACK",
                                          "PINGREQ",   "PINGRESP", "DISCONNECT",  "AUTH"};

    return names[kind & 0x0f];
}

/* Did the connection end because the server sent what it must not? */
static bool is_fault(enum fmx_status cause)
{
    return (cause <= FMX_PEER_NOT_MQTT && cause >= FMX_PEER_ACK) ||
           cause == FMX_PEER_SUBACK_CODES || cause == FMX_LIMIT_PACKET;
}

static void end_for(struct fmx_conn *conn, enum fmx_packet_kind kind, enum fmx_status status)
{
    fmx_conn_note_kind(conn, kind);
    fmx_conn_close(conn, status);
}

/* ── connect ── */

static void plan_connect(struct fmx_fleet_client *client, uint64_t planned_ns)
{
    enter_state(client, FMX_CLIENT_WAITING);
    if (client->crew->fleet->is_ending) {
        fmx_fleet_flows_give_up(client); /* nobody comes any more */
    }
    client->connect_planned_ns = planned_ns;
    fmx_wheel_arm(&client->crew->fleet->shard->wheel, &client->timer, planned_ns);
}

/* Between two connects, by the group's policy. */
static uint64_t wait_of(const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(client);
    uint64_t most_ms = group->reconnect_min_ms;

    if (group->reconnect == FMX_FLEET_RECONNECT_FIXED) {
        return most_ms * FMX_NS_PER_MS;
    }
    for (uint32_t i = 0; i < client->attempts && most_ms < group->reconnect_max_ms; i++) {
        most_ms *= 2;
    }
    most_ms = most_ms > group->reconnect_max_ms ? group->reconnect_max_ms : most_ms;
    return fmx_fleet_draw(client->crew->team->fleet, fmx_fleet_index_of(client), FMX_DRAW_RECONNECT,
                          client->connects) %
           (most_ms * FMX_NS_PER_MS + 1);
}

/* It has no connection any more: it comes back, or it does not. */
static void come_back(struct fmx_fleet_client *client, bool has_failed)
{
    const struct fmx_fleet_shard *fleet = client->crew->fleet;
    bool has_policy = fmx_fleet_group_of(client)->reconnect != FMX_FLEET_RECONNECT_NONE;

    if (client->is_stopped || fleet->is_ending || (!client->comes_back && !has_policy)) {
        client->is_stopped = client->is_stopped || !has_failed;
        enter_state(client, FMX_CLIENT_DONE);
        return;
    }
    plan_connect(client, fleet->shard->now_ns + (client->comes_back ? 0 : wait_of(client)));
    client->comes_back = false;
    if (has_failed && client->attempts < FMX_FLEET_ATTEMPTS_MAX) {
        client->attempts++;
    }
}

static enum fmx_status dial(struct fmx_fleet_client *client, struct fmx_conn **out_conn,
                            int *out_errno)
{
    const struct fmx_fleet_team *team = client->crew->team;
    struct fmx_shard *shard = client->crew->fleet->shard;
    const struct fmx_address *target = &team->targets[client->number % team->plan.targets_count];
    const struct fmx_address *source =
        team->sources_count == 0 ? NULL : &team->sources[client->number % team->sources_count];
    uint64_t deadline_ns = shard->now_ns + team->plan.connect_timeout_ms * FMX_NS_PER_MS;
    enum fmx_status status =
        fmx_conn_dial(shard, (const struct sockaddr *)&target->storage, target->bytes,
                      source == NULL ? NULL : (const struct sockaddr *)&source->storage,
                      source == NULL ? 0 : source->bytes, true, deadline_ns, out_conn, out_errno);

    if (status == FMX_OK) { /* the socket can reset; whether each end does is said at its end */
        (*out_conn)->linger_zero = team->plan.linger_zero;
    }
    return status;
}

bool fmx_fleet_client_is_held(struct fmx_fleet_client *client)
{
    const struct fmx_fleet *fleet = client->crew->team->fleet;

    if (!atomic_load_explicit(&fleet->is_paused, memory_order_acquire) ||
        client->connect_planned_ns <
            atomic_load_explicit(&fleet->paused_at_ns, memory_order_relaxed)) {
        return false;
    }
    client->connect_planned_ns = FMX_CLOCK_NEVER;
    client->crew->has_held = true;
    return true;
}

void fmx_fleet_client_let_go_on(struct fmx_fleet_client *client)
{
    struct fmx_shard *shard = client->crew->fleet->shard;

    if (client->state == FMX_CLIENT_WAITING && client->connect_planned_ns == FMX_CLOCK_NEVER) {
        client->connect_planned_ns = shard->now_ns;
        fmx_wheel_arm(&shard->wheel, &client->timer, shard->now_ns);
    }
}

/*
 * Connections that still close, and ghosts, hold all slots. It waits for one, and has failed when
 * nobody has got any for as long as a connect may take.
 */
static uint64_t slot_deadline_ns(const struct fmx_fleet_client *client)
{
    uint64_t dialled_ns = client->crew->fleet->dialled_ns;
    uint64_t since_ns =
        client->connect_planned_ns > dialled_ns ? client->connect_planned_ns : dialled_ns;

    return since_ns + fmx_fleet_group_of(client)->connect_timeout_ms * FMX_NS_PER_MS;
}

bool fmx_fleet_client_begin(struct fmx_fleet_client *client)
{
    struct fmx_fleet_crew *crew = client->crew;
    struct fmx_fleet_shard *fleet = crew->fleet;
    uint64_t now_ns = fleet->shard->now_ns;
    struct fmx_conn *conn;
    int sys_errno;

    FMX_ASSERT(client->state == FMX_CLIENT_WAITING);
    if (!client->is_anchored) {
        fmx_fleet_flows_anchor(client, client->connect_planned_ns);
    }
    enum fmx_status status = dial(client, &conn, &sys_errno);
    if (status == FMX_LIMIT_SESSIONS && now_ns < slot_deadline_ns(client)) {
        return false;
    }
    crew->connects_waited -= client->is_late;
    client->is_late = false;
    client->connects++;
    fmx_count(&crew->counters.connects_begun, 1);
    if (status != FMX_OK) {
        fmx_count(&crew->counters.connects_failed, 1);
        fmx_fleet_count_cause(fleet, status, sys_errno, 0, NULL);
        settle(client);
        come_back(client, true);
        return true;
    }
    *fmx_fleet_part_of(conn) = (struct fmx_fleet_part){
        .client = client, .connect_planned_ns = client->connect_planned_ns, .since_ns = now_ns};
    enter_state(client, FMX_CLIENT_CONNECTING);
    client->conn = conn;
    fleet->connecting++;
    fleet->dialled_ns = now_ns;
    if (crew->team->tls != NULL) {
        fmx_fleet_tls_begin(conn);
    }
    fmx_fleet_link_begin(conn);
    return true;
}

/* ── ramp ── */

/* When the ramp has planned a client, if its number is one of the ramp's. */
static uint64_t ramp_planned_ns(const struct fmx_fleet_crew *crew, uint32_t number)
{
    const struct fmx_fleet_team *team = crew->team;
    uint32_t first = atomic_load_explicit(&team->ramp_first, memory_order_relaxed);
    uint64_t units = atomic_load_explicit(&team->ramp_units, memory_order_relaxed);

    uint64_t began_ns = atomic_load_explicit(&team->ramp_began_ns, memory_order_relaxed);
    uint64_t planned_ns =
        fmx_clock_real_ns(&team->connecting, units + (uint64_t)(number - first) * FMX_CLOCK_CLIENT);

    /* the clock may have stood still before: then it has been at the first one's for long */
    return planned_ns > began_ns ? planned_ns : began_ns;
}

static bool is_of_ramp(const struct fmx_fleet_crew *crew, uint32_t place)
{
    return place < crew->clients_count &&
           crew->clients[place].number <
               atomic_load_explicit(&crew->team->ramp_target, memory_order_acquire);
}

/* When the ramp wants a client, as things stand. */
static uint64_t ramp_wanted_ns(const struct fmx_fleet_crew *crew, uint32_t number)
{
    const struct fmx_fleet_team *team = crew->team;
    uint64_t began_ns = atomic_load_explicit(&team->ramp_began_ns, memory_order_relaxed);
    uint64_t now_ns = crew->fleet->shard->now_ns;

    if (!atomic_load_explicit(&team->ramp_is_unpaced, memory_order_relaxed)) {
        return ramp_planned_ns(crew, number);
    }
    if (atomic_load_explicit(&team->fleet->is_paused, memory_order_relaxed)) {
        return FMX_CLOCK_NEVER;
    }
    return now_ns > began_ns ? now_ns : began_ns;
}

/* Starts the clients whose planned time has come, as far as unanswered connects allow. */
void fmx_fleet_ramp(struct fmx_fleet_crew *crew)
{
    struct fmx_fleet_shard *fleet = crew->fleet;
    uint64_t now_ns = fleet->shard->now_ns;
    unsigned left = BEGINS_PER_TURN; /* connects that fail at once wait for no answer */

    while (is_of_ramp(crew, crew->next_client) && !fleet->is_ending) {
        struct fmx_fleet_client *client = &crew->clients[crew->next_client];
        uint64_t planned_ns = ramp_wanted_ns(crew, client->number);
        if (planned_ns > now_ns || left-- == 0) { /* look in time: the clock may change */
            uint64_t look_ns = now_ns + FMX_FLEET_WATCH_NS;
            fmx_wheel_arm(&fleet->shard->wheel, &crew->ramp,
                          planned_ns > look_ns ? look_ns : planned_ns);
            return;
        }
        if (fleet->connecting >= fleet->connecting_max) {
            return; /* the next answer comes back here */
        }
        crew->next_client++;
        if (client->state == FMX_CLIENT_WAITING) { /* no stage has sent it away before it came */
            client->connect_planned_ns = planned_ns;
            if (!fmx_fleet_client_begin(client)) {
                fmx_fleet_line_join(client);
            }
        }
    }
}

void fmx_fleet_go_on(struct fmx_fleet_shard *fleet)
{
    for (uint32_t i = 0; i < fleet->fleet->teams_count; i++) {
        struct fmx_fleet_crew *crew = fleet->crews[i];
        if (crew->has_ramped) {
            fmx_fleet_ramp(crew);
        }
    }
    fmx_fleet_line_go_on(fleet);
}

uint64_t fmx_fleet_ramp_backlog(const struct fmx_fleet_crew *crew)
{
    uint64_t now_ns = crew->fleet->shard->now_ns;
    uint32_t low = crew->next_client;
    uint32_t high = crew->clients_count;

    if (!crew->has_ramped ||
        atomic_load_explicit(&crew->team->ramp_is_unpaced, memory_order_relaxed)) {
        return 0;
    }
    while (low < high) { /* planned times grow with the place */
        uint32_t middle = low + (high - low) / 2;
        if (is_of_ramp(crew, middle) &&
            ramp_planned_ns(crew, crew->clients[middle].number) <= now_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - crew->next_client;
}

/* ── opened ── */

/* TCP is up, TLS too if there is any: measures both. */
static void measure_opened(struct fmx_conn *conn)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_crew *crew = part->client->crew;
    bool has_tls = crew->team->tls != NULL;

    if (has_tls) {
        fmx_fleet_tls_opened(conn);
    }
    fmx_fleet_measure(crew, FMX_FLEET_TCP, part->since_ns,
                      has_tls ? fmx_conn_tls_begun_ns(conn) : conn->shard->now_ns);
    part->since_ns = conn->shard->now_ns;
}

void fmx_fleet_client_opened(struct fmx_conn *conn)
{
    struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    const struct fmx_fleet_group *group = fmx_fleet_group_of(client);
    struct fmx_fleet_login login;
    struct fmx_packet packet = {.kind = FMX_CONNECT};
    struct fmx_connect *connect = &packet.connect;

    measure_opened(conn);
    fmx_session_set_options(&conn->session, &client->crew->team->session);
    if (!fmx_fleet_login(client, &login)) {
        fmx_conn_close(conn, FMX_E_ARGUMENT); /* no such device */
        return;
    }
    connect->version = group->version;
    connect->clean = group->clean;
    connect->keepalive_s = group->keepalive_s;
    connect->client_id = login.client_id;
    connect->has_username = login.has_username;
    connect->username = login.username;
    connect->has_password = login.has_password;
    connect->password = login.password;
    if (group->session_expiry_s > 0) {
        connect->props.present |= FMX_PROP_BIT(FMX_PROP_SESSION_EXPIRY);
        connect->props.session_expiry_s = group->session_expiry_s;
    }
    if (group->manner != FMX_FLEET_HONEST) {
        fmx_fleet_misbehave(conn, &packet);
        settle(client); /* no answer will come that a ramp could wait for */
        fmx_fleet_go_on(client->crew->fleet);
        return;
    }
    fmx_session_connect(&conn->session, connect);
    fmx_conn_send(conn, &packet);
}

/* ── subscribe ── */

static void subscribed(struct fmx_conn *conn)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_client *client = part->client;
    const struct fmx_fleet *fleet = client->crew->team->fleet;
    bool is_first = atomic_load_explicit(&fleet->first_sent_ns, memory_order_relaxed) == 0;

    part->is_subscribed = true;
    fmx_count(&client->crew->counters.clients_subscribed, !part->is_deaf);
    client->is_from_start =
        !part->lacks_filters && (is_first || (client->is_from_start && part->is_kept));
    settle(client);
    fmx_fleet_flows_begin(client);
}

void fmx_fleet_client_subscribe(struct fmx_conn *conn, fmx_slice filter,
                                const struct fmx_fleet_subscribe *how)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(fmx_fleet_client_of(conn));
    bool is_5 = conn->session.version == FMX_MQTT_50;
    bool answers = group->calls.answer != FMX_FLEET_ANSWER_OFF;
    uint8_t list[FMX_TEMPLATE_BYTES_MAX + 3];
    struct fmx_filter entry = {.filter = filter,
                               .qos = how->qos,
                               .no_local = is_5 && (how->no_local || answers) &&
                                           !fmx_topic_is_shared(filter), /* 3.8.3.1 */
                               .retain_as_published = is_5 && how->as_published,
                               .retain_handling = is_5 ? how->retain_handling : 0};
    struct fmx_writer writer = fmx_writer_of(list, sizeof(list));
    struct fmx_packet packet = {.kind = FMX_SUBSCRIBE, .subscribe = {.filters_count = 1}};
    uint64_t tag = fmx_flow_tag(true, conn->shard->now_ns, conn->shard->now_ns);

    fmx_filter_write(&writer, true, &entry);
    packet.subscribe.filters = (fmx_slice){.data = list, .bytes = (size_t)(writer.at - list)};
    struct fmx_inflight *out = &conn->session.out; /* Receive Maximum bounds PUBLISH only */
    if ((!fmx_inflight_has_room(out) && !fmx_window_grow(out)) ||
        fmx_inflight_take(out, tag, &packet.subscribe.packet_id) != FMX_OK) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return;
    }
    fmx_conn_send(conn, &packet);
}

static void subscribe_all(struct fmx_conn *conn)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    const struct fmx_fleet_group *group = fmx_fleet_group_of(part->client);
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    part->subacks_due = (uint8_t)(group->subscribes_count + fmx_fleet_requests_subscribe(conn));
    part->is_deaf = part->subacks_due > 0;
    for (size_t i = 0; i < group->subscribes_count && conn->state == FMX_CONN_OPEN; i++) {
        const struct fmx_fleet_subscribe *subscribe = &group->subscribes[i];
        fmx_slice filter = fmx_fleet_fill(part->client, subscribe->filter, filled);
        fmx_fleet_client_subscribe(conn, filter, subscribe);
    }
    if (part->subacks_due == 0) {
        subscribed(conn);
    } else if (conn->state == FMX_CONN_OPEN) {
        fmx_wheel_arm(&conn->shard->wheel, &part->client->timer,
                      conn->shard->now_ns + group->connect_timeout_ms * FMX_NS_PER_MS);
    }
}

bool fmx_fleet_client_is_unheard(const struct fmx_fleet_client *client)
{
    return client->state == FMX_CLIENT_OPEN && client->conn->state == FMX_CONN_OPEN &&
           fmx_fleet_part_of(client->conn)->subacks_due > 0;
}

static void on_suback(struct fmx_conn *conn, const struct fmx_suback *suback, uint64_t tag)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_crew *crew = part->client->crew;
    uint64_t planned_ns;
    uint64_t sent_ns;

    if (suback->codes.bytes != 1) { /* as many as filters in our SUBSCRIBE (3.9.3) */
        end_for(conn, FMX_SUBACK, FMX_PEER_SUBACK_CODES);
        return;
    }
    fmx_flow_tag_read(tag, conn->shard->now_ns, &planned_ns, &sent_ns);
    fmx_fleet_measure(crew, FMX_FLEET_SUBACK, sent_ns, conn->shard->now_ns);
    if (suback->codes.data[0] >= 0x80) {
        fmx_count(&crew->counters.subscribes_refused, 1);
        fmx_fleet_count_cause(crew->fleet, FMX_PEER_FILTER_REFUSED, 0, suback->codes.data[0], NULL);
        part->lacks_filters = true;
    } else {
        part->is_deaf = false;
    }
    if (part->subacks_due > 0 && --part->subacks_due == 0) {
        subscribed(conn);
    }
}

/* ── packets ── */

/* Of QoS 0 a session that is kept need not have what came while its client was away. */
static bool keeps_messages(const struct fmx_fleet_client *client)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(client);

    if (client->crew->team->fleet->publishes_qos0_only) {
        return false;
    }
    for (size_t i = 0; i < group->subscribes_count; i++) {
        if (group->subscribes[i].qos > 0) {
            return true;
        }
    }
    return false;
}

static void on_connack(struct fmx_conn *conn, const struct fmx_connack *connack)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_client *client = part->client;
    struct fmx_fleet_crew *crew = client->crew;
    struct fmx_fleet_shard *fleet = crew->fleet;
    uint64_t now_ns = conn->shard->now_ns;

    part->reason = connack->reason;
    if (connack->reason != 0) {
        return; /* the end follows */
    }
    if (fmx_fleet_must_register(client)) {
        fmx_fleet_register_begin(conn);
        return;
    }
    fleet->connecting--;
    fmx_fleet_measure(crew, FMX_FLEET_CONNECT, part->connect_planned_ns, now_ns);
    fmx_fleet_measure(crew, FMX_FLEET_CONNACK, part->since_ns, now_ns);
    fmx_count(&crew->counters.connects_ok, 1);
    enter_state(client, FMX_CLIENT_OPEN); /* who sees it open finds its connect counted */
    if (client->was_open) {
        part->is_kept = connack->session_present && keeps_messages(client);
        fmx_fleet_track_return(client, part->is_kept);
    }
    fmx_fleet_keep_resume(conn, connack->session_present || conn->session.version == FMX_MQTT_31);
    client->was_open = true;
    client->attempts = 0;
    atomic_store_explicit(&fleet->last_connect_ns,
                          now_ns -
                              atomic_load_explicit(&fleet->fleet->start_ns, memory_order_relaxed),
                          memory_order_relaxed);
    subscribe_all(conn);
    fmx_fleet_go_on(fleet);
}

/* Nothing depends on it, and clients in the field bear it: the connection goes on. */
static void count_unasked(struct fmx_conn *conn, enum fmx_packet_kind kind)
{
    struct fmx_fleet_crew *crew = fmx_fleet_client_of(conn)->crew;

    fmx_count(&crew->counters.server_faults, 1);
    fmx_fleet_count_cause(crew->fleet, FMX_PEER_UNASKED, 0, 0, kind_name(kind));
}

static void on_answer_acked(const struct fmx_conn *conn, const struct fmx_ack *ack)
{
    if (ack->reason >= 0x80) {
        fmx_fleet_count_cause(fmx_fleet_of(conn->shard), FMX_PEER_MESSAGE_REFUSED, 0, ack->reason,
                              "an answer of ours");
    }
}

/*
 * An acknowledgement of the wrong kind for its identifier is the server's mistake, as is a SUBACK
 * that names none in use, and any UNSUBACK: what is subscribed could not be told any more.
 */
static void on_ack(struct fmx_conn *conn, const struct fmx_packet *packet, uint64_t tag)
{
    bool is_answer = tag == FMX_FLEET_TAG_ANSWER;
    bool is_subscribe = tag != 0 && !is_answer && fmx_flow_tag_is_subscribe(tag);

    if (packet->kind == FMX_PUBACK && tag == 0) {
        count_unasked(conn, packet->kind);
    } else if (packet->kind == FMX_PUBACK && !is_subscribe) {
        fmx_fleet_keep_end(conn, packet->ack.packet_id);
        if (is_answer) {
            on_answer_acked(conn, &packet->ack);
            fmx_fleet_flows_go_on(fmx_fleet_client_of(conn));
        } else {
            fmx_fleet_on_puback(conn, &packet->ack, tag);
        }
    } else if (packet->kind == FMX_SUBACK && is_subscribe) {
        on_suback(conn, &packet->suback, tag);
    } else {
        end_for(conn, packet->kind, FMX_PEER_ACK);
    }
}

void fmx_fleet_client_on_packet(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);

    if (part->client == NULL) {
        return; /* nobody is there to hear it */
    }
    switch (packet->kind) {
    case FMX_CONNACK:
        on_connack(conn, &packet->connack);
        break;
    case FMX_PUBLISH:
        if (part->client->state == FMX_CLIENT_CONNECTING) {
            fmx_fleet_register_on_publish(conn, &packet->publish);
        } else {
            fmx_fleet_on_publish(conn, &packet->publish);
        }
        break;
    case FMX_SUBACK:
    case FMX_PUBACK:
    case FMX_UNSUBACK:
        on_ack(conn, packet, tag);
        break;
    case FMX_PINGRESP:
        count_unasked(conn, packet->kind);
        break;
    case FMX_DISCONNECT:
        part->reason = packet->disconnect.reason;
        break;
    default:
        break;
    }
}

/* ── the end ── */

/* The client has no connection any more; the connection may still be there without it. */
static void let_go(struct fmx_conn *conn)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_client *client = part->client;
    struct fmx_fleet_crew *crew = client->crew;

    if (client->state == FMX_CLIENT_CONNECTING && !part->has_manners) {
        crew->fleet->connecting--;
    }
    client->conn = NULL;
    if (!fmx_fleet_keeps(client)) {
        crew->fleet->unacked -= part->unacked;
        fmx_count(&crew->counters.publishes_unacked, part->unacked);
        fmx_count_down(&crew->counters.publishes_outstanding, part->unacked);
    } else if (crew->fleet->shard->stopping) {
        fmx_fleet_keep_drop(client);
    }
    part->unacked = 0;
    fmx_fleet_names_drop(conn);
    if (part->is_subscribed) {
        fmx_count_down(&crew->counters.clients_subscribed, !part->is_deaf);
        part->is_subscribed = false;
    }
    if (client->was_open && !crew->fleet->shard->stopping) {
        fmx_fleet_track_leave(client);
    }
    fmx_wheel_disarm(&crew->fleet->shard->wheel, &client->timer);
}

void fmx_fleet_client_leave(struct fmx_fleet_client *client, enum fmx_fleet_leave leave,
                            bool is_by_policy, bool is_for_good)
{
    struct fmx_conn *conn = client->conn;

    if (client->state == FMX_CLIENT_DONE) {
        return;
    }
    client->is_stopped = client->is_stopped || is_for_good; /* whatever is said later */
    client->comes_back = !client->is_stopped && !is_by_policy;
    if (client->state == FMX_CLIENT_WAITING) {
        client->is_late = false; /* was planned, and never begins: it stays among those that wait */
        fmx_wheel_disarm(&client->crew->fleet->shard->wheel, &client->timer);
        come_back(client, false);
        return;
    }
    if (fmx_fleet_part_of(conn)->is_leaving) {
        return; /* told twice in one turn */
    }
    fmx_count(&client->crew->counters.leaves, 1);
    fmx_fleet_part_of(conn)->is_leaving = true;
    switch (leave) {
    case FMX_FLEET_LEAVE_DISCONNECT:
        fmx_conn_close(conn, FMX_E_DONE);
        break;
    case FMX_FLEET_LEAVE_CLOSE:
        fmx_conn_end(conn, FMX_E_DONE);
        break;
    case FMX_FLEET_LEAVE_RESET:
        fmx_conn_abort(conn, FMX_E_DONE, 0);
        break;
    case FMX_FLEET_LEAVE_VANISH:
        let_go(conn);
        fmx_fleet_make_ghost(conn);
        come_back(client, false);
        break;
    }
}

/* What of a connection's end is not in its status. */
static const char *words_of_end(struct fmx_conn *conn)
{
    const struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    const struct fmx_fleet_team *team = part->client->crew->team;
    const char *words = team->tls != NULL ? fmx_fleet_tls_closed(conn) : NULL;

    if (words != NULL) {
        return words;
    }
    if (part->has_manners) {
        return team->plan.manner == FMX_FLEET_SILENT ? FMX_FLEET_WORDS_SILENT
                                                     : FMX_FLEET_WORDS_HALF_CONNECT;
    }
    return is_fault(conn->cause) ? kind_name(conn->ended_by) : NULL;
}

static void count_end(struct fmx_conn *conn, const char *words)
{
    const struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_crew *crew = part->client->crew;
    bool has_reason = conn->cause == FMX_PEER_REFUSED || conn->cause == FMX_PEER_DISCONNECT;

    if (is_fault(conn->cause) && !part->has_manners) {
        fmx_count(&crew->counters.server_faults, 1);
    }
    fmx_count(part->client->state == FMX_CLIENT_OPEN ? &crew->counters.connections_lost
                                                     : &crew->counters.connects_failed,
              1);
    fmx_fleet_count_cause(crew->fleet, conn->cause, conn->sys_errno, has_reason ? part->reason : 0,
                          words);
}

void fmx_fleet_client_closed(struct fmx_conn *conn)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_client *client = part->client;

    if (client == NULL) {
        fmx_fleet_ghost_closed(conn);
        return;
    }
    const char *words = words_of_end(conn);
    if (!fleet->shard->stopping && !part->is_leaving && !part->has_registered) {
        count_end(conn, words);
    }
    let_go(conn);
    if (fleet->shard->stopping) {
        return; /* as planned: the client stays counted as it was */
    }
    if (part->has_registered && !client->is_stopped) {
        plan_connect(client, fleet->shard->now_ns); /* with what it has learnt: one of its own */
    } else {
        settle(client);
        come_back(client, !part->is_leaving);
    }
    fmx_fleet_go_on(fleet);
}
