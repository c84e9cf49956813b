/*
 * fleet_manner — clients as they should not be: poor links, silence, half a CONNECT, ghosts
 *
 * Why it is so:   what a server does with clients that do not do their part is its patience, so
 *                 nothing here has a deadline of ours: the server ends such a connection, or the
 *                 run does
 * Words:          ghost: a connection from which its client has vanished
 * Invariants:     (1) a client with manners is counted among the connecting ones of its crew until
 *                 its connection ends, but not among fleet->connecting: others need not wait for it
 *                 (2) a ghost has a crew and no client: whoever takes the client of a connection
 *                 asks first whether there is one
 * Threads:        owning shard
 * Not here:       what a link does: engine/link.c; what comes after the end: fleet_client.c
 */
#include "engine/roles/fleet.h"

#include "engine/conn_tls.h"
#include "engine/link.h"
#include "proto/encode.h"
#include "proto/limits.h"

void fmx_fleet_link_begin(struct fmx_conn *conn)
{
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    const struct fmx_fleet_link *link = &fmx_fleet_group_of(client)->link;
    struct fmx_link_options options = {
        .delay_ns = link->delay_ms * FMX_NS_PER_MS,
        .jitter_ns = link->jitter_ms * FMX_NS_PER_MS,
        .loss = link->loss,
        .read_bytes_per_second = link->read_bytes_per_second,
        .key = fmx_fleet_draw(client->crew->team->fleet, fmx_fleet_index_of(client), FMX_DRAW_LINK,
                              client->connects),
    };

    if (link->delay_ms > 0 || link->jitter_ms > 0 || link->loss > 0 ||
        link->read_bytes_per_second > 0) {
        fmx_conn_use_link(conn, &options);
    }
}

/* ── manners ── */

/* The rest of it may be a password. */
static void send_half(struct fmx_conn *conn, const struct fmx_packet *packet)
{
    enum fmx_version version = (enum fmx_version)packet->connect.version;
    size_t bytes = fmx_encode_bytes(packet, version);
    uint8_t *room = fmx_conn_reserve(conn, bytes);

    if (room != NULL) {
        (void)fmx_encode(packet, version, room);
        memset(room + bytes / 2, 0, bytes - bytes / 2);
        fmx_conn_commit(conn, bytes / 2);
    }
}

void fmx_fleet_misbehave(struct fmx_conn *conn, const struct fmx_packet *connect)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_crew *crew = part->client->crew;

    FMX_ASSERT(!part->has_manners && crew->fleet->connecting > 0);
    part->has_manners = true;
    crew->fleet->connecting--;
    fmx_wheel_disarm(&conn->shard->wheel, &conn->timer);
    if (crew->team->plan.manner == FMX_FLEET_HALF_CONNECT) {
        send_half(conn, connect);
    }
}

/* ── ghosts ── */

void fmx_fleet_make_ghost(struct fmx_conn *conn)
{
    struct fmx_fleet_part *part = fmx_fleet_part_of(conn);
    struct fmx_fleet_crew *crew = part->client->crew;
    bool is_up = conn->state == FMX_CONN_OPEN && !fmx_conn_tls_is_shaking(conn);

    part->client = NULL;
    part->ghost_of = crew;
    fmx_count(&crew->counters.ghosts, 1);
    if (is_up) {
        fmx_session_mute(&conn->session);
        fmx_wheel_disarm(&conn->shard->wheel, &conn->timer);
    } else {
        fmx_conn_abort(conn, FMX_E_DONE, 0);
    }
}

void fmx_fleet_ghost_closed(struct fmx_conn *conn)
{
    fmx_count_down(&fmx_fleet_part_of(conn)->ghost_of->counters.ghosts, 1);
}
