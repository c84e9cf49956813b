/*
 * fleet_keep — messages whose PUBACK has not come when their connection ends: they go out again
 *
 * Why it is so:   a client whose session the server keeps owes it what was not acknowledged, under
 *                 the same identifiers, in the same order, with DUP (4.4). One that forgot them
 *                 would have lost messages itself, and blame the server. What went out is kept as
 *                 it went, but for its topic alias, which was the connection's: made anew, a
 *                 message would tell another time and, with drawn fields, be another message
 * Words:          kept: sent at QoS 1, not acknowledged, and a copy of it here; to send again: kept
 *                 from an earlier connection and not sent on this one
 * Invariants:     (1) identifiers of a keep are in use in the window of its client's connection,
 *                 from CONNACK on, while that is open  (2) while anything is to be sent again
 *                 nothing new leaves at QoS 1  (3) a kept message of a flow counts as outstanding
 *                 until it is acknowledged, or dropped: then as unacked  (4) SUBSCRIBE finds an
 *                 identifier on the next connection: SPAN_SPARE of the span is never used
 * Memory:         24 bytes for each client of such a group; 8 for each place of the window; each
 *                 message and 32 bytes, until it is acknowledged. Other groups: nothing
 * Threads:        owning shard
 * Limits:         of messages of flows the group's window, and what the send queue takes in a turn;
 *                 of answers ANSWER_BYTES_MAX in a shard: others ask, and their server may never
 *                 acknowledge; what is beyond is not answered. Dropped is what the server does not
 *                 take any more, for its size without an alias (5.0, 3.1.2.11.4), its QoS or RETAIN
 *                 (3.2.2.3.4, 3.2.2.3.5)
 * Not here:       messages that were planned and not sent: fleet_flow.c
 */
#include "engine/roles/fleet_keep.h"
#include "engine/roles/fleet_message.h"
#include "engine/roles/fleet_refuse.h"
#include "engine/roles/fleet_request.h"

#include "proto/encode.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_RETAIN 0x01u
#define HEAD_DUP    0x08u

#define SPAN_SPARE       256u
#define ANSWER_BYTES_MAX ((size_t)64 << 20)

static_assert(SPAN_SPARE > FMX_FLEET_SUBSCRIBES_MAX + FMX_FLEET_PUBLISHES_MAX + 1,
              "a SUBSCRIBE for each filter and each topic of answers, and position 0");

struct kept {
    uint64_t tag;
    uint64_t number; /* of its mark */
    uint32_t bytes;
    uint16_t topic; /* which of the group's publishes */
    bool is_to_send;
    uint8_t packet[];
};

/* Of one client. */
struct fmx_fleet_keep {
    struct fmx_inflight window; /* identifier → message, as the connection's window */
    uint32_t to_send;
    uint16_t position; /* in the window: nothing before it is to be sent again */
};

static_assert(sizeof(struct fmx_fleet_keep) == 24, "what a client costs that keeps nothing");

/* ── crews ── */

static bool has_qos1(const struct fmx_fleet_group *group)
{
    bool has = group->calls.answer != FMX_FLEET_ANSWER_OFF &&
               group->calls.answer != FMX_FLEET_ANSWER_NEVER;

    for (size_t i = 0; i < group->publishes_count; i++) {
        has = has || group->publishes[i].qos > 0;
    }
    return has;
}

bool fmx_fleet_keep_open(struct fmx_fleet_crew *crew)
{
    const struct fmx_fleet_group *group = &crew->team->plan;
    bool is_kept = !group->clean && (group->version != FMX_MQTT_50 || group->session_expiry_s > 0);

    if (is_kept && has_qos1(group)) {
        crew->keeps = calloc(crew->clients_count + 1u, sizeof(*crew->keeps));
        return crew->keeps != NULL;
    }
    return true;
}

static struct fmx_fleet_keep *keep_of(const struct fmx_fleet_client *client)
{
    struct fmx_fleet_keep *keeps = client->crew->keeps;

    return keeps == NULL ? NULL : &keeps[fmx_fleet_place_of(client)];
}

/* The oldest from `position` on; NULL: none. */
static struct kept *next_of(const struct fmx_inflight *window, uint16_t *position, uint16_t *out_id)
{
    uint64_t tag;

    return fmx_inflight_next(window, position, out_id, &tag) == FMX_OK
               ? (struct kept *)(uintptr_t)tag
               : NULL;
}

void fmx_fleet_keep_close(struct fmx_fleet_crew *crew)
{
    for (uint32_t i = 0; crew->keeps != NULL && i < crew->clients_count; i++) {
        struct fmx_inflight *window = &crew->keeps[i].window;
        uint16_t position = window->first;
        struct kept *kept;
        uint16_t id;
        while ((kept = next_of(window, &position, &id)) != NULL) {
            free(kept);
        }
        free(window->tags);
    }
    free(crew->keeps);
    crew->keeps = NULL;
}

bool fmx_fleet_keeps(const struct fmx_fleet_client *client)
{
    return client->crew->keeps != NULL;
}

/* ── one message ── */

static bool is_answer(const struct kept *kept)
{
    return kept->tag == FMX_FLEET_TAG_ANSWER;
}

bool fmx_fleet_keep_has_room(const struct fmx_fleet_client *client)
{
    return !fmx_fleet_keeps(client) ||
           (keep_of(client)->to_send == 0 &&
            fmx_inflight_span(&client->conn->session.out) + SPAN_SPARE <= FMX_INFLIGHT_MAX);
}

bool fmx_fleet_keep_takes_answer(const struct fmx_fleet_client *client, size_t bytes)
{
    return !fmx_fleet_keeps(client) ||
           client->crew->fleet->answer_bytes_kept + sizeof(struct kept) + bytes <= ANSWER_BYTES_MAX;
}

/* In what answers take, if it is one. */
static void count_bytes(struct fmx_fleet_shard *fleet, const struct kept *kept, bool is_freed)
{
    size_t bytes = sizeof(*kept) + kept->bytes;

    if (is_answer(kept)) {
        fleet->answer_bytes_kept += is_freed ? -bytes : bytes;
    }
}

bool fmx_fleet_keep(struct fmx_conn *conn, const struct fmx_publish *publish, uint64_t tag,
                    uint32_t topic, uint64_t number)
{
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct fmx_fleet_keep *keep = keep_of(client);

    if (keep == NULL || publish->qos == 0) {
        return true;
    }
    struct fmx_publish whole = *publish;
    whole.props.present &= ~FMX_PROP_BIT(FMX_PROP_TOPIC_ALIAS);
    if (whole.topic.bytes == 0) {
        whole.topic = fmx_fleet_message_topic(client->crew->fleet, client, topic);
    }
    size_t bytes = fmx_encode_publish_bytes(&whole, version);
    struct kept *kept = malloc(sizeof(*kept) + bytes);
    if (kept == NULL ||
        !fmx_window_restore(&keep->window, publish->packet_id, (uint64_t)(uintptr_t)kept)) {
        free(kept);
        return false;
    }
    *kept = (struct kept){
        .tag = tag, .number = number, .bytes = (uint32_t)bytes, .topic = (uint16_t)topic};
    (void)fmx_encode_publish(&whole, version, kept->packet);
    count_bytes(client->crew->fleet, kept, false);
    return true;
}

static void drop(struct fmx_fleet_shard *fleet, struct kept *kept)
{
    count_bytes(fleet, kept, true);
    free(kept);
}

/* Nobody will acknowledge it any more. */
static void lose(const struct fmx_fleet_client *client, struct kept *kept)
{
    struct fmx_fleet_crew *crew = client->crew;

    if (!is_answer(kept)) {
        crew->fleet->unacked--;
        fmx_count(&crew->counters.publishes_unacked, 1);
        fmx_count_down(&crew->counters.publishes_outstanding, 1);
    }
    drop(crew->fleet, kept);
}

void fmx_fleet_keep_end(struct fmx_conn *conn, uint16_t packet_id)
{
    struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    struct fmx_fleet_keep *keep = keep_of(client);
    uint64_t tag;

    if (keep != NULL && fmx_inflight_give(&keep->window, packet_id, &tag) == FMX_OK) {
        struct kept *kept = (struct kept *)(uintptr_t)tag;
        keep->to_send -= kept->is_to_send;
        drop(client->crew->fleet, kept);
        fmx_fleet_keep_go_on(client);
    }
}

/* Empties the keep; the caller has what was in it. */
static struct fmx_inflight take_all(struct fmx_fleet_keep *keep)
{
    struct fmx_inflight all = keep->window;

    *keep = (struct fmx_fleet_keep){0};
    return all;
}

void fmx_fleet_keep_drop(const struct fmx_fleet_client *client)
{
    struct fmx_fleet_keep *keep = keep_of(client);
    struct kept *kept;
    uint16_t id;

    if (keep == NULL) {
        return;
    }
    struct fmx_inflight all = take_all(keep);
    uint16_t position = all.first;
    while ((kept = next_of(&all, &position, &id)) != NULL) {
        lose(client, kept);
    }
    free(all.tags);
}

/* ── sending again ── */

static bool is_taken(const struct fmx_session *session, const struct kept *kept)
{
    return session->peer_qos_max > 0 && kept->bytes <= session->peer_packet_bytes_max &&
           (session->peer_has_retain || (kept->packet[0] & HEAD_RETAIN) == 0);
}

/* The message has its identifier and its name on this connection, too. False: no memory. */
static bool restore(struct fmx_conn *conn, struct kept *kept, uint16_t packet_id)
{
    struct fmx_fleet_keep *keep = keep_of(fmx_fleet_client_of(conn));

    if (!fmx_window_restore(&conn->session.out, packet_id, kept->tag) ||
        (!is_answer(kept) && !fmx_fleet_names_make(conn, kept->topic)) ||
        !fmx_window_restore(&keep->window, packet_id, (uint64_t)(uintptr_t)kept)) {
        return false;
    }
    if (!is_answer(kept)) {
        fmx_fleet_names_put(conn, packet_id, kept->topic, kept->number);
        fmx_fleet_part_of(conn)->unacked++;
    }
    kept->is_to_send = true;
    keep->to_send++;
    return true;
}

void fmx_fleet_keep_resume(struct fmx_conn *conn, bool is_there)
{
    struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    struct fmx_fleet_keep *keep = keep_of(client);
    struct kept *kept;
    uint16_t id;

    if (keep == NULL || !is_there) {
        fmx_fleet_keep_drop(client);
        return;
    }
    struct fmx_inflight before = take_all(keep); /* fresh identifiers begin behind these */
    uint16_t position = before.first;
    while ((kept = next_of(&before, &position, &id)) != NULL) {
        bool is_ours = is_taken(&conn->session, kept);
        if (is_ours && restore(conn, kept, id)) {
            continue;
        }
        lose(client, kept);
        if (is_ours) {
            fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        }
    }
    free(before.tags);
    keep->position = keep->window.first;
    fmx_fleet_keep_go_on(client);
}

/* True: it is on its way. */
static bool send_again(struct fmx_conn *conn, struct fmx_fleet_keep *keep, struct kept *kept)
{
    FMX_ASSERT(kept != NULL && kept->is_to_send);
    uint8_t *room = fmx_conn_reserve(conn, kept->bytes);
    if (room == NULL) {
        return false;
    }
    memcpy(room, kept->packet, kept->bytes);
    room[0] |= HEAD_DUP;
    fmx_conn_commit(conn, kept->bytes);
    kept->is_to_send = false;
    keep->to_send--;
    fmx_count(&fmx_fleet_crew_of(conn)->counters.publishes_sent_again, !is_answer(kept));
    return true;
}

static bool has_room_for_more(struct fmx_conn *conn, const struct fmx_fleet_keep *keep)
{
    uint32_t in_flight = keep->window.used - keep->to_send;

    return conn->state == FMX_CONN_OPEN && in_flight < conn->session.peer_receive_max &&
           !fmx_conn_is_full(conn);
}

void fmx_fleet_keep_go_on(struct fmx_fleet_client *client)
{
    struct fmx_fleet_keep *keep = keep_of(client);
    uint16_t id;

    if (keep == NULL || client->state != FMX_CLIENT_OPEN) {
        return;
    }
    while (keep->to_send > 0 && has_room_for_more(client->conn, keep) &&
           send_again(client->conn, keep, next_of(&keep->window, &keep->position, &id))) {
    }
}
