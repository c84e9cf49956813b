/*
 * fleet.h — the client role inside: what a shard and a client of it hold; who calls whom
 *
 *     fleet.c           the public calls, the plan, snapshots, the role's table of callbacks
 *     fleet_client.c    a client from its planned connect to its end
 *     fleet_publish.c   the open-loop schedule and what comes back
 *     fleet_track.c     who sent what: duplicates and gaps
 */
#ifndef ENGINE_ROLES_FLEET_H
#define ENGINE_ROLES_FLEET_H

#include "engine/histogram.h"
#include "engine/index.h"
#include "engine/mux.h"
#include "engine/roles/template.h"

#include <fleetmux/fleet.h>

struct fmx_fleet {
    struct fmx_fleet_plan plan; /* read-only after open; its pointers are copies of ours */
    struct fmx_session_options session;
    struct fmx_mux *mux;
    struct fmx_address *targets;
    struct fmx_address *sources;
    uint32_t sources_count;
    char **texts; /* the copied strings, NULL-terminated list */
    uint8_t *payload_copy;
    bool topics_have_names;    /* %c or %u stands in a topic or filter */
    _Atomic uint64_t start_ns; /* of the plan's clock; 0: not begun. Written once by start */
    _Atomic bool is_ending;    /* publish no more; written by stop */
    _Atomic uint64_t ended_ns; /* elapsed time is frozen here; written by stop */
};

/* Counters of one shard: written by it alone, read by any (see stats.h). */
struct fmx_fleet_counters {
    _Atomic uint64_t waiting;
    _Atomic uint64_t connecting;
    _Atomic uint64_t open;
    _Atomic uint64_t subscribed;
    _Atomic uint64_t lost;
    _Atomic uint64_t failed;
    _Atomic uint64_t connects_ok;
    _Atomic uint64_t last_connect_ns;
    _Atomic uint64_t subscribes_refused;
    _Atomic uint64_t planned;
    _Atomic uint64_t sent;
    _Atomic uint64_t acked;
    _Atomic uint64_t refused;
    _Atomic uint64_t unacked_lost;
    _Atomic uint64_t received;
    _Atomic uint64_t received_duplicate;
    _Atomic uint64_t received_gap;
    _Atomic uint64_t received_foreign;
};

struct fmx_fleet_cause_slot {
    _Atomic uint64_t key; /* status, errno and reason packed; 0: free */
    _Atomic uint64_t count;
};

enum fmx_fleet_client_state {
    FMX_CLIENT_WAITING,    /* for its planned connect, the first or a later one */
    FMX_CLIENT_CONNECTING, /* dialled; no CONNACK yet */
    FMX_CLIENT_OPEN,
    FMX_CLIENT_DONE, /* lost or failed for good */
};

struct fmx_fleet_client {
    struct fmx_timer timer; /* next connect, or next planned message */
    struct fmx_conn *conn;  /* NULL unless connecting or open */
    uint64_t connect_planned_ns;
    uint64_t next_planned_ns; /* of the first message that is not due yet */
    uint64_t sequence;        /* of the next message */
    uint32_t index;           /* in the whole run, from 0 */
    uint32_t overdue;         /* messages due and not sent */
    uint32_t unacked;         /* QoS 1 sent and not acknowledged */
    uint16_t attempts;        /* connects since the last good one */
    uint8_t state;            /* enum fmx_fleet_client_state */
    uint8_t subacks_due;
    bool was_open;
    bool is_subscribed;
    uint8_t reason; /* the server's last word */
};

/* What one receiver has seen of one publisher. */
struct fmx_fleet_track {
    uint32_t receiver;
    uint32_t publisher;
    uint64_t next_sequence;
};

/* One per shard: shard->role_state. */
struct fmx_fleet_shard {
    struct fmx_fleet *fleet;
    struct fmx_shard *shard;
    struct fmx_fleet_client *clients;
    uint32_t clients_count;
    uint32_t next_client; /* of the ramp */
    uint32_t connecting;  /* begun and not answered */
    uint32_t connecting_max;
    struct fmx_timer ramp;
    struct fmx_timer watch;  /* looks at duration and end, every WATCH_NS */
    uint64_t publishes_left; /* this shard's share of publishes_max; UINT64_MAX: no bound */
    uint64_t unacked;        /* over all clients */
    uint64_t overdue;        /* over all clients */
    uint64_t ending_ns;      /* when publishing ended; 0: it has not */
    bool is_ending;
    _Atomic bool is_finished; /* read by snapshots */
    uint64_t random;          /* state of the generator */
    uint8_t *payload;         /* made payload; the first bytes are written anew for each message */
    struct fmx_index tracks_index;
    struct fmx_fleet_track *tracks;
    uint32_t tracks_count;
    uint32_t tracks_capacity;
    struct fmx_fleet_counters counters;
    struct fmx_fleet_cause_slot causes[FMX_FLEET_CAUSES_MAX];
    struct fmx_histogram connect;
    struct fmx_histogram subscribe;
    struct fmx_histogram puback;
    struct fmx_histogram delivery;
    struct fmx_histogram lag;
};

struct fmx_fleet_part {
    struct fmx_fleet_client *client;
};

enum { FMX_FLEET_TIMER_CLIENT, FMX_FLEET_TIMER_RAMP, FMX_FLEET_TIMER_WATCH };

static inline struct fmx_fleet_shard *fmx_fleet_of(struct fmx_shard *shard)
{
    return shard->role_state;
}

static inline struct fmx_fleet_client *fmx_fleet_client_of(struct fmx_conn *conn)
{
    return ((struct fmx_fleet_part *)fmx_conn_part(conn))->client;
}

/* splitmix64: the same seed gives the same choices. */
uint64_t fmx_fleet_random(struct fmx_fleet_shard *fleet);

/* Fills in a topic or filter of a client; `out` has room for FMX_TEMPLATE_BYTES_MAX. */
fmx_slice fmx_fleet_fill(const struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                         const char *text, uint8_t *out);

/* What a client says of itself in CONNECT, and what %c and %u stand for. */
struct fmx_fleet_names {
    fmx_slice client_id;
    fmx_slice username;
    uint8_t client_id_bytes[FMX_TEMPLATE_BYTES_MAX];
    uint8_t username_bytes[FMX_TEMPLATE_BYTES_MAX];
};

void fmx_fleet_names(const struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                     struct fmx_fleet_names *out_names);

/* ── fleet_client.c ── */

void fmx_fleet_ramp(struct fmx_fleet_shard *fleet);
void fmx_fleet_client_begin(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client);
void fmx_fleet_client_opened(struct fmx_conn *conn);
void fmx_fleet_client_on_packet(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag);
void fmx_fleet_client_closed(struct fmx_conn *conn);

/* ── fleet_publish.c ── */

/* The client may publish from now on. */
void fmx_fleet_publish_begin(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client);

/* Sends what is due and has room; plans the next look. */
void fmx_fleet_publish_due(struct fmx_fleet_shard *fleet, struct fmx_fleet_client *client);

void fmx_fleet_on_puback(struct fmx_conn *conn, const struct fmx_ack *ack, uint64_t tag);
void fmx_fleet_on_publish(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Makes the shard's payload. False: no memory. */
bool fmx_fleet_payload_open(struct fmx_fleet_shard *fleet);

/* ── fleet_track.c ── */

/* One message received: counts it, and what it tells about those before. */
void fmx_fleet_track(struct fmx_fleet_shard *fleet, uint32_t receiver, uint32_t publisher,
                     uint64_t sequence, bool dup);
void fmx_fleet_track_close(struct fmx_fleet_shard *fleet);

#endif
