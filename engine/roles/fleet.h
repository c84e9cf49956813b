/*
 * fleet.h — the client role inside: what a shard and a client of it hold; who calls whom
 *
 *     fleet.c            the public calls, the role's table of callbacks
 *     fleet_plan.c       the plan: defaults, checks, our copy
 *     fleet_snapshot.c   counters and histograms of all shards, added up
 *     fleet_client.c     a client from its planned connect to its end
 *     fleet_device.c     who a client is, and what it signs
 *     fleet_register.c   how a device learns its secret
 *     fleet_tls_plan.c   TLS in the plan: checks, our copy
 *     fleet_tls.c        TLS of a connection: certificate, PSK, session of before
 *     fleet_certs.c      certificates of all clients, read before anything runs
 *     fleet_publish.c    the open-loop schedule and what comes back
 *     fleet_message.c    what stands in a message, and what is read from one
 *     fleet_rrpc.c       answers to calls
 *     fleet_track.c      who sent what: duplicates and gaps
 */
#ifndef ENGINE_ROLES_FLEET_H
#define ENGINE_ROLES_FLEET_H

#include "engine/histogram.h"
#include "engine/index.h"
#include "engine/mux.h"
#include "engine/roles/template.h"
#include "proto/dialect.h"
#include "tls/tls.h"

#include <fleetmux/fleet.h>

#define FMX_FLEET_CLIENTS_MAX       16000000u
#define FMX_FLEET_PACKET_BYTES_MAX  (16u << 20)
#define FMX_FLEET_OPTIONS_BYTES_MAX 512u /* plan.platform.more_options */
#define FMX_FLEET_SDK_BYTES_MAX     64u
#define FMX_FLEET_TOKEN_BYTES_MAX   512u            /* of what registering gives us */
#define FMX_FLEET_PSK_TIMESTAMP     "2524608000000" /* of the C SDKs' PSK identities */

/* What the clients of a fleet with TLS share: made by open, read-only after. */
struct fmx_fleet_tls {
    struct fmx_tls_client options; /* texts that only open needed are gone; the others are ours */
    struct fmx_tls_context *context;
    char **hosts;                /* of the targets, as a certificate names them */
    struct fmx_tls_cert **certs; /* NULL: none */
    uint32_t certs_count;        /* 1, or one for each client */
    uint32_t psk_key_bytes;
    uint8_t psk_key[FMX_TLS_PSK_BYTES_MAX]; /* FMX_TLS_PSK_GIVEN */
    bool keeps_sessions;
};

struct fmx_fleet {
    struct fmx_fleet_plan plan; /* read-only after open; its pointers are copies of ours */
    struct fmx_session_options session;
    struct fmx_mux *mux;
    struct fmx_address *targets;
    struct fmx_address *sources;
    uint32_t sources_count;
    struct fmx_fleet_tls *tls; /* NULL: plain TCP */
    char **texts;              /* the copied strings, NULL-terminated list */
    uint8_t *payload_copy;
    uint8_t *call_payload_copy;
    uint8_t *user_copy; /* plan.properties.user as it stands in a packet */
    size_t user_bytes;
    bool topics_have_names;    /* %c or %u stands in a topic or filter */
    bool topics_have_devices;  /* %p or %d does */
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
    _Atomic uint64_t registrations_ok;
    _Atomic uint64_t calls_received;
    _Atomic uint64_t calls_answered;
    _Atomic uint64_t calls_over_bound;
    _Atomic uint64_t thing_replies;
};

struct fmx_fleet_cause_slot {
    _Atomic uint64_t key;      /* status, errno and reason packed; 0: free. Stored after `words` */
    const char *_Atomic words; /* static storage; NULL: none */
    _Atomic uint64_t count;
};

enum fmx_fleet_client_state {
    FMX_CLIENT_WAITING,    /* for its planned connect, the first or a later one */
    FMX_CLIENT_CONNECTING, /* dialled; no CONNACK yet, or registering */
    FMX_CLIENT_OPEN,
    FMX_CLIENT_DONE, /* lost or failed for good */
};

#define FMX_FLEET_INDEX_MASK   0xffffffu
#define FMX_FLEET_ATTEMPTS_MAX 31u

/* What of a client outlives its connections; what does not is in the connection's slot. */
struct fmx_fleet_client {
    struct fmx_timer timer; /* next connect, or next planned message */
    union {
        uint64_t connect_planned_ns; /* WAITING */
        struct fmx_conn *conn;       /* CONNECTING, OPEN */
    };
    uint64_t next_planned_ns; /* of the first message that is not due yet */
    uint64_t sequence;        /* of the next message */
    uint32_t overdue;         /* messages due and not sent */
    uint32_t index : 24;      /* in the whole run, from 0 */
    uint32_t attempts : 5;    /* connects since the last good one, to FMX_FLEET_ATTEMPTS_MAX */
    enum fmx_fleet_client_state state : 2;
    bool was_open : 1;
};

static_assert(sizeof(struct fmx_fleet_client) == 64, "a client is one cache line");
static_assert(FMX_FLEET_CLIENTS_MAX <= FMX_FLEET_INDEX_MASK, "every client has an index");

/* What a client was told when it registered. */
struct fmx_fleet_learnt {
    uint16_t id_bytes; /* of its client id; 0: it has a secret of its own instead of a token */
    uint16_t secret_bytes;
    uint8_t bytes[]; /* client id, then secret or token */
};

struct fmx_fleet_chunk;

/* Answers that wait for their time: first in, first out, since all wait equally long. */
struct fmx_fleet_answers {
    struct fmx_fleet_chunk *first;
    struct fmx_fleet_chunk *last;
    uint32_t count;
    uint32_t count_max;
    size_t bytes;
    struct fmx_timer timer; /* armed for the first of them */
};

/* A text as it was filled in last: the messages of a burst share it. */
struct fmx_fleet_filled {
    uint32_t number; /* of whose it is: his index + 1; 0: nobody's */
    fmx_slice text;
    uint8_t bytes[FMX_TEMPLATE_BYTES_MAX];
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
    size_t payload_bytes;
    uint8_t *correlation;       /* the same of correlation data */
    struct fmx_publish message; /* the last one made: most of it is in all of them */
    struct fmx_fleet_filled topic;
    struct fmx_fleet_filled response_topic;
    struct fmx_fleet_learnt **learnt;  /* of each client, or NULL; NULL: nobody registers */
    struct fmx_tls_session **sessions; /* of each client, or NULL; NULL: none are kept */
    _Atomic uint32_t tls_version;      /* of the last handshake, as is its suite (static storage) */
    const char *_Atomic tls_suite;
    struct fmx_fleet_answers answers;
    struct fmx_index tracks_index;
    struct fmx_fleet_track *tracks;
    uint32_t tracks_count;
    uint32_t tracks_capacity;
    struct fmx_fleet_counters counters;
    struct fmx_fleet_cause_slot causes[FMX_FLEET_CAUSES_MAX];
    struct fmx_histogram connect;
    struct fmx_histogram tls_full;
    struct fmx_histogram tls_resumed;
    struct fmx_histogram subscribe;
    struct fmx_histogram puback;
    struct fmx_histogram delivery;
    struct fmx_histogram lag;
};

/* What of a client lives as long as its connection: the role's part of a slot. */
struct fmx_fleet_part {
    struct fmx_fleet_client *client;
    uint64_t connect_planned_ns;
    uint32_t unacked;    /* QoS 1 sent and not acknowledged */
    uint8_t subacks_due; /* until it counts as subscribed */
    uint8_t reason;      /* the server's last word */
    bool is_subscribed : 1;
    bool alias_is_known : 1; /* alias 1 stands for the topic */
    bool has_registered : 1; /* the next connection follows at once */
};

static_assert(sizeof(struct fmx_conn) + sizeof(struct fmx_fleet_part) <= 256,
              "a quiet connection is four cache lines");

enum {
    FMX_FLEET_TIMER_CLIENT,
    FMX_FLEET_TIMER_RAMP,
    FMX_FLEET_TIMER_WATCH,
    FMX_FLEET_TIMER_ANSWERS,
};

static inline struct fmx_fleet_shard *fmx_fleet_of(struct fmx_shard *shard)
{
    return shard->role_state;
}

static inline struct fmx_fleet_part *fmx_fleet_part_of(struct fmx_conn *conn)
{
    return fmx_conn_part(conn);
}

static inline struct fmx_fleet_client *fmx_fleet_client_of(struct fmx_conn *conn)
{
    return fmx_fleet_part_of(conn)->client;
}

/* splitmix64: the same seed gives the same choices. */
uint64_t fmx_fleet_random(struct fmx_fleet_shard *fleet);

/* ── fleet_plan.c ── */

static inline bool fmx_fleet_has_devices(const struct fmx_fleet_plan *plan)
{
    return plan->platform.product_key != NULL || plan->platform.device != NULL;
}

/* FMX_OK or FMX_E_OPTION with words. */
enum fmx_status fmx_fleet_plan_check(const struct fmx_fleet_plan *plan, char *error,
                                     size_t error_bytes) FMX_MUST_USE;
enum fmx_status fmx_fleet_platform_check(const struct fmx_fleet_plan *plan, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

/* Makes fleet->plan a copy of its own. False: no memory. Wipe is allowed either way. */
bool fmx_fleet_plan_copy(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan);
void fmx_fleet_plan_wipe(struct fmx_fleet *fleet);

/* ── fleet_snapshot.c ── */

/* Has every shard done what the plan wants? */
bool fmx_fleet_all_finished(const struct fmx_fleet *fleet);

/* ── fleet_device.c ── */

/* Fills in a topic or filter of a client; `out` has room for FMX_TEMPLATE_BYTES_MAX. */
fmx_slice fmx_fleet_fill(const struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                         const char *text, uint8_t *out);

/* The client's part of CONNECT. */
struct fmx_fleet_login {
    fmx_slice client_id;
    fmx_slice username;
    fmx_slice password;
    bool has_username;
    bool has_password;
    uint8_t client_id_bytes[2 * FMX_TEMPLATE_BYTES_MAX];
    uint8_t username_bytes[FMX_TEMPLATE_BYTES_MAX];
    uint8_t password_bytes[FMX_TEMPLATE_BYTES_MAX];
};

/* What a client says of itself now. False: no device has its number, or memory ran out. */
bool fmx_fleet_login(struct fmx_fleet_shard *fleet, const struct fmx_fleet_client *client,
                     struct fmx_fleet_login *out_login);

/* The names of client `index`. False: there is no such device. */
bool fmx_fleet_device_names(const struct fmx_fleet_plan *plan, uint32_t index,
                            struct fmx_fleet_device *out_device);

/* The device's secret, as the plan has it, into the device. False: memory ran out. */
bool fmx_fleet_device_secret(const struct fmx_fleet_platform *platform,
                             struct fmx_fleet_device *device);

/*
 * Writes client id, user name and password of a device. `client` says all that stands between the
 * pipes but for `more_options` (may be NULL); with a token, `secret` is the password as it is.
 * False: memory ran out.
 */
bool fmx_fleet_sign(const struct fmx_dialect_client *client, const char *more_options,
                    const struct fmx_fleet_device *device, fmx_slice secret,
                    struct fmx_fleet_login *out_login);

/* Fills in any text of client `index`, as above. False: there is no such device. */
bool fmx_fleet_fill_any(const struct fmx_fleet_plan *plan, uint32_t index, const char *text,
                        uint8_t *out, fmx_slice *out_text);

/* ── fleet_tls_plan.c ── */

/* FMX_OK or FMX_E_OPTION with words; of a plan with TLS. */
enum fmx_status fmx_fleet_tls_check(const struct fmx_fleet_plan *plan, char *error,
                                    size_t error_bytes) FMX_MUST_USE;

/* The same of what holds variables, filled in with the longest values that they can have. */
enum fmx_status fmx_fleet_tls_check_texts(const struct fmx_fleet_plan *plan,
                                          const struct fmx_template_values *longest, char *error,
                                          size_t error_bytes) FMX_MUST_USE;

/*
 * Makes fleet->tls of what the given plan says, reads all files. FMX_OK, or as fmx_tls_client_open;
 * closing is allowed either way.
 */
enum fmx_status fmx_fleet_tls_open(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan,
                                   char *error, size_t error_bytes) FMX_MUST_USE;
void fmx_fleet_tls_close(struct fmx_fleet *fleet);

/* ── fleet_certs.c ── */

/* Reads what the texts name: one certificate, or each client's. As fmx_tls_cert_read. */
enum fmx_status fmx_fleet_certs_open(struct fmx_fleet *fleet, const char *cert, const char *key,
                                     char *error, size_t error_bytes) FMX_MUST_USE;
void fmx_fleet_certs_close(struct fmx_fleet_tls *tls);

/* ── fleet_tls.c ── */

/* Room for sessions. False: no memory. */
bool fmx_fleet_tls_open_shard(struct fmx_fleet_shard *fleet);
void fmx_fleet_tls_close_shard(struct fmx_fleet_shard *fleet);

/* Right after the dial: the connection speaks TLS, or ends within this turn. */
void fmx_fleet_tls_begin(struct fmx_conn *conn);
void fmx_fleet_tls_opened(struct fmx_conn *conn);

/* Keeps what the connection leaves to resume. Returns words about its end, or NULL. */
const char *fmx_fleet_tls_closed(struct fmx_conn *conn);

/* Who a client is as a PSK says it. */
struct fmx_fleet_psk {
    size_t identity_bytes;
    size_t key_bytes;
    uint8_t identity[FMX_PSK_IDENTITY_BYTES_MAX];
    uint8_t key[FMX_TLS_PSK_BYTES_MAX]; /* the caller wipes it */
};

/* FMX_OK; FMX_E_ARGUMENT (there is no such device), FMX_TLS_PSK (too long), FMX_LIMIT_MEMORY. */
enum fmx_status fmx_fleet_psk_of(const struct fmx_fleet *fleet, uint32_t index,
                                 struct fmx_fleet_psk *out_psk) FMX_MUST_USE;

/* ── fleet_register.c ── */

/* Must the client ask first who it is? */
bool fmx_fleet_must_register(const struct fmx_fleet_shard *fleet,
                             const struct fmx_fleet_client *client);

/* What the client was told; NULL: nothing. */
const struct fmx_fleet_learnt *fmx_fleet_learnt_of(const struct fmx_fleet_shard *fleet,
                                                   const struct fmx_fleet_client *client);

/* The server says yes to one that asks: now it has to answer. */
void fmx_fleet_register_begin(struct fmx_conn *conn);
void fmx_fleet_register_is_late(struct fmx_conn *conn);
void fmx_fleet_register_on_publish(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Room for what clients learn. False: no memory. */
bool fmx_fleet_register_open(struct fmx_fleet_shard *fleet);
void fmx_fleet_register_close(struct fmx_fleet_shard *fleet);

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

/* ── fleet_message.c ── */

/* Who sent a message, which one of his, and when it was to leave. */
struct fmx_fleet_mark {
    uint32_t publisher;
    uint64_t sequence;
    uint64_t planned_ns;
};

/*
 * The next message of a client, but for its topic and alias, which stay as they were set last. It
 * is the shard's, until the next one is made.
 */
struct fmx_publish *fmx_fleet_message_make(struct fmx_fleet_shard *fleet,
                                           const struct fmx_fleet_client *client,
                                           uint64_t planned_ns);

/* The topic of a client's messages, until the next client's is asked for. */
fmx_slice fmx_fleet_message_topic(struct fmx_fleet_shard *fleet,
                                  const struct fmx_fleet_client *client);

/* False: the payload has no mark of ours. */
bool fmx_fleet_mark_read(fmx_slice payload, struct fmx_fleet_mark *out_mark);

/* Is it the topic of a reply to a property post? */
bool fmx_fleet_is_thing_reply(fmx_slice topic);

/* Makes the shard's buffers. False: no memory. */
bool fmx_fleet_message_open(struct fmx_fleet_shard *fleet);
void fmx_fleet_message_close(struct fmx_fleet_shard *fleet);

/* ── fleet_rrpc.c ── */

/* True: the message was a call, and is dealt with. */
bool fmx_fleet_on_call(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Sends the answers that are due. */
void fmx_fleet_answers_due(struct fmx_fleet_shard *fleet);

/*
 * The topic on which a call is answered: borrowed from `topic`, or made in `out` (room for
 * FMX_TEMPLATE_BYTES_MAX). Empty: it is no call.
 */
fmx_slice fmx_fleet_answer_topic(fmx_slice topic, uint8_t *out);

void fmx_fleet_answers_close(struct fmx_fleet_shard *fleet);

/* ── fleet_track.c ── */

/* One message received: counts it, and what it tells about those before. */
void fmx_fleet_track(struct fmx_fleet_shard *fleet, uint32_t receiver, uint32_t publisher,
                     uint64_t sequence, bool dup);
void fmx_fleet_track_close(struct fmx_fleet_shard *fleet);

#endif
