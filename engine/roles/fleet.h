/*
 * fleet.h — the client role inside: what a shard and a client of it hold; who calls whom
 *
 *     fleet.c            the public calls, the role's table of callbacks
 *     fleet_plan.c       the plan: defaults, checks; names, messages and stages in files of their
 *                        own, fleet_plan_…
 *     fleet_team.c       our copy of it
 *     fleet_device.c     who a client is, and what it signs
 *     fleet_register.c   how a device learns its secret
 *     fleet_tls_plan.c   TLS in the plan: checks, our copy
 *     fleet_tls.c        TLS of a connection: certificate, PSK, session of before
 *     fleet_certs.c      certificates of all clients, read before anything runs
 *
 *     fleet_clock.c      when what is planned is due: rates over time
 *     fleet_schedule.c   when each message of a topic is planned, on that clock
 *     fleet_stage.c      which stage it is: the director, on shard 0
 *     fleet_leave.c      churn, storm, stop: who leaves, when
 *     fleet_client.c     a client from its planned connect to its end
 *     fleet_line.c       connects that are due and find no room
 *     fleet_manner.c     poor links, clients that say nothing or half of it, ghosts
 *     fleet_flow.c       messages: what is due, what has room, what comes back
 *     fleet_keep.c       messages of QoS 1 that go out again on the next connection
 *     fleet_message.c    what stands in a message, and what is read from one
 *     fleet_payload.c    texts with variables, taken apart    fleet_payload_fill.c   and filled in
 *     fleet_request.c    requests and their answers
 *     fleet_rrpc.c       answers to the calls and requests of others
 *     fleet_track.c      who sent what: duplicates, gaps, order     fleet_gaps.c   what is missing
 *     fleet_refuse.c     messages that the server has refused: nobody had to get them
 *     fleet_settle.c     what never came, when all is over: the ledger is closed
 *     fleet_snapshot.c   counters and histograms of all shards, added up
 *
 * Calls:   fleet_device.h (device, register), fleet_tls.h (tls_plan, tls, certs), fleet_message.h,
 *          fleet_payload.h, fleet_request.h (request, rrpc), fleet_stage.h (stage, leave),
 *          fleet_clock.h, fleet_schedule.h, fleet_refuse.h, fleet_track.h (what it tells settle),
 *          fleet_gaps.h, fleet_keep.h, fleet_plan.h (among its own files); those of all others
 *          stand below.
 * Words:   team: a group of the plan and all that open has made of it, read-only after; crew: a
 *          team's clients on one shard; flow: one topic of one client.
 * Clients: the plan numbers them through, group by group: that is a client's index. Its number
 *          counts from 0 within its group. Processes take every parts_count-th number, and shards
 *          every shards_count-th of those, so that rates are shared out evenly.
 */
#ifndef ENGINE_ROLES_FLEET_H
#define ENGINE_ROLES_FLEET_H

#include "engine/histogram.h"
#include "engine/index.h"
#include "engine/mux.h"
#include "engine/roles/fleet_clock.h"
#include "engine/roles/fleet_schedule.h"
#include "engine/roles/template.h"

#include <fleetmux/fleet.h>

#define FMX_FLEET_CLIENTS_MAX      16000000u
#define FMX_FLEET_PACKET_BYTES_MAX (16u << 20)

struct fmx_fleet;
struct fmx_fleet_shard;
struct fmx_fleet_mark;       /* fleet_message.h: who sent a message, and when */
struct fmx_payload_text;     /* fleet_payload.h: a text with variables, taken apart */
struct fmx_fleet_tls;        /* fleet_tls.h: what the clients of a team share */
struct fmx_fleet_learnt;     /* fleet_device.h: what a client was told when it registered */
struct fmx_fleet_answers;    /* fleet_rrpc.c: those of a team that wait */
struct fmx_fleet_keep;       /* fleet_keep.c: what a client has sent and may have to send again */
struct fmx_fleet_making;     /* fleet_message.c: what messages are made in */
struct fmx_fleet_ledger;     /* fleet_track.c: what a shard's receivers have seen */
struct fmx_fleet_names_sent; /* fleet_refuse.c: which messages a connection has in flight */
struct fmx_fleet_requests;   /* fleet_request.c: those of a shard that wait */

/* What open has made of a publish of the plan, beside its copy. */
struct fmx_fleet_topic {
    struct fmx_payload_text *text; /* NULL: no text */
    uint8_t *user;                 /* user properties as they stand in a packet */
    size_t user_bytes;
    uint64_t hash; /* of its place in the plan: every draw of it begins here */
};

/* A group of the plan and what open has made of it: read-only while shards run, but its clocks. */
struct fmx_fleet_team {
    const struct fmx_fleet *fleet;
    struct fmx_fleet_group plan; /* its pointers are copies of ours */
    uint32_t group;              /* its place in the plan */
    uint32_t first_index;        /* of its first client */
    struct fmx_session_options session;
    struct fmx_address *targets;
    struct fmx_address *sources;
    uint32_t sources_count;
    struct fmx_fleet_tls *tls;         /* NULL: plain TCP */
    struct fmx_fleet_topic *topics;    /* one for each of plan.publishes */
    void **copies;                     /* all that was copied, NULL-terminated; freed by wipe */
    bool topics_have_names;            /* %c or %u stands in a topic or filter */
    bool topics_have_devices;          /* %p or %d does */
    bool has_posts;                    /* of the thing model */
    struct fmx_fleet_clock publishing; /* in nanoseconds at a rate of 1 */
    struct fmx_fleet_clock connecting; /* in clients times FMX_CLOCK_CLIENT */

    /* of the latest RAMP; written by shard 0 before the stage's began_ns */
    _Atomic uint64_t ramp_began_ns; /* nobody of it connects before */
    _Atomic uint64_t ramp_units;    /* of `connecting`, when client ramp_first was planned */
    _Atomic uint32_t ramp_first;
    _Atomic bool ramp_is_unpaced;
    _Atomic uint32_t ramp_target; /* clients with a number below it connect; stored last */
};

/* What the director has decided, for all shards to see; written by shard 0. */
struct fmx_fleet_stage_state {
    _Atomic uint64_t began_ns;      /* 0: not yet */
    _Atomic uint64_t ended_ns;      /* 0: not yet; may lie in the future */
    _Atomic uint64_t leaving_units; /* of fleet->leaving, when it began */
};

struct fmx_fleet {
    struct fmx_fleet_plan plan; /* read-only after open; groups are in the teams, stages are ours */
    struct fmx_fleet_team *teams;
    uint32_t teams_count;
    uint32_t clients_count; /* of the whole plan, all parts */
    struct fmx_session_options session;
    struct fmx_mux *mux;
    struct fmx_mux_caller *caller; /* of start and of steering */
    uint32_t origin;               /* of our marks: this machine, this run */
    bool ends_by_count;            /* there are publishes, and all are bounded */
    bool publishes_qos0_only;      /* there are publishes, and all are of QoS 0 */
    bool has_subscribes;
    struct fmx_fleet_clock *leaving; /* of CHURN and STOP, in clients times FMX_CLOCK_CLIENT */
    struct fmx_fleet_stage_state *stages;
    _Atomic uint32_t stage;
    _Atomic bool is_paused;           /* stored after the next two */
    _Atomic uint64_t stage_paused_ns; /* pauses of the present stage that are over */
    _Atomic uint64_t paused_at_ns;
    uint64_t laid_ns; /* shard 0's: from here on clocks go as they were laid last */
    _Atomic double rate;
    _Atomic uint64_t start_ns;       /* of the plan's clock; 0: not begun. Written once by start */
    _Atomic uint64_t publish_end_ns; /* nothing is planned from then on; UINT64_MAX: not known */
    _Atomic bool is_ending;          /* all is planned that will be; written by director or stop */
    _Atomic uint64_t first_sent_ns;  /* 0: no message yet; written by whoever comes first */
    _Atomic uint64_t ready_ns;       /* when every client was subscribed first; 0: not yet */
    _Atomic uint64_t ended_ns;       /* elapsed time is frozen here; written by stop */
    uint32_t storms_asked;           /* the caller's */
    _Atomic bool is_settled;         /* no shard runs any more, and the next two are known */
    uint64_t deliveries_expected;    /* by stop, when no shard runs */
    uint64_t deliveries_lost;
};

/* Counters of one crew: written by its shard alone, read by any (see stats.h). */
struct fmx_crew_counters {
#define FMX_CREW_COUNTER(name, is_gauge, words) _Atomic uint64_t name;
    FMX_FLEET_COUNTER_LIST(FMX_CREW_COUNTER)
#undef FMX_CREW_COUNTER
};

enum fmx_fleet_client_state {
    FMX_CLIENT_WAITING,    /* for its planned connect, the first or a later one */
    FMX_CLIENT_CONNECTING, /* dialled; no CONNACK yet, or registering */
    FMX_CLIENT_OPEN,
    FMX_CLIENT_DONE, /* stopped, lost or failed for good */
};

#define FMX_FLEET_NUMBER_MASK  0xffffffu
#define FMX_FLEET_ATTEMPTS_MAX 15u

/* What of a client outlives its connections; what does not is in the connection's slot. */
struct fmx_fleet_client {
    struct fmx_timer timer; /* next connect, or next look at its flows */
    union {
        uint64_t connect_planned_ns; /* WAITING; FMX_CLOCK_NEVER: held by a pause */
        struct fmx_conn *conn;       /* CONNECTING, OPEN */
        uint64_t gone_ns;            /* DONE: since then */
    };
    struct fmx_fleet_crew *crew;
    uint64_t hash;     /* sum over its messages */
    uint32_t connects; /* begun so far: what is drawn for one depends on it */
    uint32_t returns;  /* fleet_track.c's: times it came back to a session that was not kept */
    uint32_t number : 24;
    uint32_t attempts : 4; /* failures since the last good one, to FMX_FLEET_ATTEMPTS_MAX */
    enum fmx_fleet_client_state state : 2;
    bool was_open : 1;
    bool was_settled : 1;   /* subscribed once, or failed once: a ramp waits for it no more */
    bool is_stopped : 1;    /* a stage has sent it away for good */
    bool is_anchored : 1;   /* its flows have begun */
    bool is_from_start : 1; /* subscribed before anybody sent, and ever since */
    bool comes_back : 1;    /* it left because a stage said so, and returns at once */
    bool is_away : 1;       /* fleet_track.c's: what comes meanwhile is not for it */
    bool is_returning : 1;  /* what fell due until it could publish is not wholly counted yet */
    bool is_late : 1;       /* its connect is due and could not begin yet */
    bool is_given_up : 1;   /* nobody waits for its overdue messages any more */
};

static_assert(sizeof(struct fmx_fleet_client) <= 72, "a client is little more than a cache line");
static_assert(FMX_FLEET_CLIENTS_MAX <= FMX_FLEET_NUMBER_MASK, "every client has a number");

/*
 * One topic of one client. Times are on the team's publishing clock. Messages `sequence` …
 * `sequence + overdue − 1` are due and not sent.
 */
struct fmx_fleet_flow {
    uint64_t send_at; /* of message `sequence`, the oldest not sent */
    uint64_t due_at; /* of message `sequence + overdue`, the first not due; FMX_CLOCK_NEVER: none */
    uint64_t sequence; /* messages sent or skipped so far */
    uint64_t skipped;  /* of them, those that were not sent */
    uint32_t overdue;
    uint32_t blocked; /* of the overdue ones, the oldest: they wait for the server, not for us */
};

static_assert(sizeof(struct fmx_fleet_flow) <= 40, "what a topic of a client costs");

/* A team's clients on one shard. */
struct fmx_fleet_crew {
    const struct fmx_fleet_team *team;
    struct fmx_fleet_shard *fleet;
    struct fmx_fleet_client *clients; /* by number */
    uint32_t clients_count;
    struct fmx_fleet_flow *flows; /* publishes_count for each client */
    uint32_t next_client;         /* of the ramp */
    bool has_ramped;              /* a ramp has begun for it */
    struct fmx_timer ramp;
    uint64_t connects_waited; /* due and not begun: no room yet, or sent away meanwhile */
    uint32_t clock_seen;      /* segments of the publishing clock that timers know of */
    uint32_t rearm_next;      /* the next client whose timer is to know the newer ones */
    struct fmx_timer rearm;
    bool has_held; /* clients whose connects wait for the end of a pause, without a timer */
    struct fmx_timer leaving; /* churn, storm, stop */
    uint32_t leave_next;
    uint64_t leave_event;
    uint64_t leave_paused_ns; /* leave_stage stood still for so long */
    uint64_t storms;          /* of those that were asked for, begun here */
    uint32_t leave_stage;     /* whose clients leave now */
    bool is_leaving;
    uint64_t settled;                  /* clients that were subscribed, or have failed, once */
    _Atomic uint64_t settled_shared;   /* the same, for the director */
    struct fmx_fleet_learnt **learnt;  /* of each client, or NULL; NULL: nobody registers */
    struct fmx_tls_session **sessions; /* of each client, or NULL; NULL: none are kept */
    struct fmx_fleet_keep *keeps;      /* of each client; NULL: none of them keeps anything */
    struct fmx_crew_counters counters;
    struct fmx_histogram histograms[FMX_FLEET_LATENCIES];
};

struct fmx_fleet_cause_slot {
    _Atomic uint64_t key;      /* status, errno and reason packed; 0: free. Stored after `words` */
    const char *_Atomic words; /* static storage; NULL: none */
    _Atomic uint64_t count;
};

/* A text as it was filled in last: the messages of a burst share it. */
struct fmx_fleet_filled {
    const struct fmx_fleet_client *client; /* whose it is; NULL: nobody's */
    const char *template;                  /* and of what */
    uint64_t hash;
    fmx_slice text;
    uint8_t bytes[FMX_TEMPLATE_BYTES_MAX];
};

/* A storm that somebody has asked for. */
struct fmx_fleet_storm {
    double share;
    uint32_t group; /* or FMX_FLEET_ALL */
    enum fmx_fleet_leave leave;
};

/* Clients whose connect is due: the first in a ring of `capacity`, a power of two or 0. */
struct fmx_fleet_line {
    struct fmx_fleet_client **clients;
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
};

#define FMX_FLEET_STORMS_MAX 16u /* asked for and not over */

/* One per shard: shard->role_state. */
struct fmx_fleet_shard {
    struct fmx_fleet *fleet;
    struct fmx_shard *shard;
    struct fmx_fleet_crew **crews; /* one for each team, by group */
    uint32_t connecting;           /* begun and not answered */
    uint32_t connecting_max;
    struct fmx_fleet_line line;
    uint64_t dialled_ns;    /* the last connect that got a slot */
    struct fmx_timer watch; /* looks at clocks, stages and the end, every FMX_FLEET_WATCH_NS */
    uint32_t watches;
    uint64_t tick_ns;    /* when the tick is due that measures FMX_FLEET_DRIFT */
    uint32_t stage_seen; /* stages that this shard has begun, counted */
    uint64_t flows_left; /* flows that will have more messages */
    uint64_t unacked;    /* over all clients */
    uint64_t overdue;    /* over all clients that may still send it */
    uint32_t walks_left; /* of drawn messages, in turn walks_turn */
    uint32_t walks_turn;
    uint32_t going; /* clients that are gone, and whose last messages are not wholly counted yet */
    uint64_t last_received_ns;
    _Atomic uint64_t last_connect_ns;                    /* of the last good CONNACK, since start */
    struct fmx_fleet_storm storms[FMX_FLEET_STORMS_MAX]; /* storm n at n % STORMS_MAX */
    uint32_t storms_begun;                               /* asked of this shard */
    _Atomic uint32_t storms_done;                        /* read by the caller */
    uint32_t storm_group;                                /* of the first that is not done: */
    uint32_t storm_next;                                 /* whom it comes to next */
    struct fmx_timer storm;
    uint64_t ending_ns; /* when planning ended; 0: it has not */
    bool is_ending;
    struct fmx_timer ending; /* goes through all clients: what each of them still had to do */
    uint32_t ending_group;   /* the next one's; behind the last: it has been everywhere */
    uint32_t ending_next;
    _Atomic bool is_finished; /* read by snapshots */
    _Atomic uint64_t cpu_ns;
    _Atomic uint64_t cpu_wait_ns;
    int schedstat_file;         /* of this thread; -1: the system has none */
    struct fmx_publish message; /* the one being made */
    struct fmx_fleet_filled topic;
    struct fmx_fleet_filled response_topic;
    struct fmx_fleet_making *making; /* fleet_message.c's: payloads and properties */
    _Atomic uint32_t tls_version;    /* of the last handshake, as is its suite (static storage) */
    const char *_Atomic tls_suite;
    struct fmx_fleet_answers *answers; /* one for each team */
    struct fmx_fleet_requests *requests;
    struct fmx_fleet_ledger *ledger;
    size_t answer_bytes_kept; /* fleet_keep.c's */
    struct fmx_fleet_cause_slot causes[FMX_FLEET_CAUSES_MAX];
};

/* What of a client lives as long as its connection: the role's part of a slot. */
struct fmx_fleet_part {
    struct fmx_fleet_client *client; /* NULL: a ghost; its crew is the next field's */
    union {
        uint64_t connect_planned_ns;
        struct fmx_fleet_crew *ghost_of;
    };
    uint64_t since_ns;       /* dialled, TCP up, CONNECT sent, may publish, one after another */
    uint32_t unacked;        /* QoS 1 sent and not acknowledged, now or on a connection before */
    uint8_t subacks_due;     /* until it counts as subscribed */
    uint8_t reason;          /* the server's last word */
    bool is_subscribed : 1;  /* all filters are answered: it may publish */
    bool has_registered : 1; /* the next connection follows at once */
    bool is_leaving : 1;     /* we end it: no loss */
    bool is_kept : 1;        /* the server had kept its session, and messages with it */
    bool lacks_filters : 1;  /* one was refused */
    bool has_manners : 1;   /* not honest ones: no answer is waited for, and no connect counts it */
    bool is_deaf : 1;       /* it has asked for filters, and none is granted */
    uint64_t aliases_known; /* alias p + 1 stands for the topic of publish p */
    struct fmx_fleet_names_sent *sent; /* fleet_refuse.c's; NULL: nobody asks for them */
};

static_assert(sizeof(struct fmx_conn) + sizeof(struct fmx_fleet_part) <= 256,
              "a quiet connection is four cache lines");

enum {
    FMX_FLEET_TIMER_CLIENT,
    FMX_FLEET_TIMER_RAMP,
    FMX_FLEET_TIMER_WATCH,
    FMX_FLEET_TIMER_ANSWERS,
    FMX_FLEET_TIMER_REARM,
    FMX_FLEET_TIMER_LEAVING,
    FMX_FLEET_TIMER_REQUESTS,
    FMX_FLEET_TIMER_ENDING,
    FMX_FLEET_TIMER_STORM,
};

#define FMX_FLEET_WATCH_NS (20 * FMX_NS_PER_MS)

static inline struct fmx_fleet_shard *fmx_fleet_of(struct fmx_shard *shard)
{
    return shard->role_state;
}

static inline struct fmx_fleet_part *fmx_fleet_part_of(struct fmx_conn *conn)
{
    return fmx_conn_part(conn);
}

/* NULL: nobody is behind it any more. */
static inline struct fmx_fleet_client *fmx_fleet_client_of(struct fmx_conn *conn)
{
    return fmx_fleet_part_of(conn)->client;
}

/* Its client's, or that of the client that has vanished from it. */
static inline struct fmx_fleet_crew *fmx_fleet_crew_of(struct fmx_conn *conn)
{
    const struct fmx_fleet_part *part = fmx_fleet_part_of(conn);

    return part->client != NULL ? part->client->crew : part->ghost_of;
}

static inline const struct fmx_fleet_group *fmx_fleet_group_of(
    const struct fmx_fleet_client *client)
{
    return &client->crew->team->plan;
}

static inline uint32_t fmx_fleet_index_of(const struct fmx_fleet_client *client)
{
    return client->crew->team->first_index + client->number;
}

static inline uint32_t fmx_fleet_place_of(const struct fmx_fleet_client *client)
{
    return (uint32_t)(client - client->crew->clients);
}

static inline void fmx_fleet_measure(struct fmx_fleet_crew *crew, enum fmx_fleet_latency latency,
                                     uint64_t from_ns, uint64_t to_ns)
{
    fmx_histogram_record(&crew->histograms[latency], to_ns > from_ns ? to_ns - from_ns : 0);
}

/* ── draws: the same arguments give the same bits, whenever and wherever ── */

enum fmx_fleet_draw {
    FMX_DRAW_PHASE,
    FMX_DRAW_INTERVAL,
    FMX_DRAW_PAYLOAD,
    FMX_DRAW_RECONNECT,
    FMX_DRAW_RESUME,
    FMX_DRAW_LEAVE,
    FMX_DRAW_LINK,
    FMX_DRAW_REGISTER,
};

/* Mixes well: every bit of the result depends on every bit of both. */
static inline uint64_t fmx_fleet_mix(uint64_t a, uint64_t b)
{
    uint64_t mixed = a * 0x9e3779b97f4a7c15ull + b;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

/* Of a client (or of its topic, with topic->hash as `what` and its index mixed in). */
static inline uint64_t fmx_fleet_draw(const struct fmx_fleet *fleet, uint32_t index,
                                      enum fmx_fleet_draw what, uint64_t number)
{
    uint64_t who = fmx_fleet_mix(fleet->plan.seed, (uint64_t)what << 32 | index);

    return fmx_fleet_mix(who, number);
}

/* 0 … below 1 */
static inline double fmx_fleet_fraction(uint64_t drawn)
{
    return (double)(drawn >> 11) * 0x1p-53;
}

/* ── fleet_plan.c ── */

static inline bool fmx_fleet_has_devices(const struct fmx_fleet_group *group)
{
    return group->platform.product_key != NULL || group->platform.device != NULL;
}

/* FMX_OK or FMX_E_OPTION with words; of a group, whose fields are named without their group. */
enum fmx_status fmx_fleet_platform_check(const struct fmx_fleet_group *group, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

/* Puts the group's place in front of words about one of its fields: "groups[1].…". */
void fmx_fleet_place_words(const struct fmx_fleet_group *group, size_t place, char *error,
                           size_t error_bytes);

/* ── fleet_team.c ── */

/*
 * Makes teams, plan and session options of a checked plan: copies, addresses, payload texts, TLS.
 * FMX_OK, FMX_E_OPTION, FMX_SYS_SOCKET, FMX_LIMIT_MEMORY, or as fmx_tls_client_open, with words;
 * closing is allowed either way.
 */
enum fmx_status fmx_fleet_teams_open(struct fmx_fleet *fleet, const struct fmx_fleet_plan *plan,
                                     char *error, size_t error_bytes) FMX_MUST_USE;
void fmx_fleet_teams_close(struct fmx_fleet *fleet);

/* ── fleet_client.c ── */

void fmx_fleet_ramp(struct fmx_fleet_crew *crew);

/* There may be room for connects: for those of ramps, who come once, then for those in line. */
void fmx_fleet_go_on(struct fmx_fleet_shard *fleet);

/* Own clients of the ramp whose time has come and who have not begun. */
uint64_t fmx_fleet_ramp_backlog(const struct fmx_fleet_crew *crew);

/* Its connect begins, or fails at once. False: no slot is free yet, and it still waits. */
bool fmx_fleet_client_begin(struct fmx_fleet_client *client) FMX_MUST_USE;

/* Its connect was planned within a pause: it waits until the crew's clients are let go on. */
bool fmx_fleet_client_is_held(struct fmx_fleet_client *client);

/* The pause is over: if it was held, its connect is planned for now. */
void fmx_fleet_client_let_go_on(struct fmx_fleet_client *client);

/* It is let in, and waits for a SUBACK. Its timer then says that none came in time. */
bool fmx_fleet_client_is_unheard(const struct fmx_fleet_client *client);
void fmx_fleet_client_opened(struct fmx_conn *conn);
void fmx_fleet_client_on_packet(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag);
void fmx_fleet_client_closed(struct fmx_conn *conn);

/* It goes, as told; `is_for_good`: and does not come back. */
void fmx_fleet_client_leave(struct fmx_fleet_client *client, enum fmx_fleet_leave leave,
                            bool is_by_policy, bool is_for_good);

/* Sends SUBSCRIBE for one filter. */
void fmx_fleet_client_subscribe(struct fmx_conn *conn, fmx_slice filter,
                                const struct fmx_fleet_subscribe *how);

/* Counts a reason for a failure or loss. */
void fmx_fleet_count_cause(struct fmx_fleet_shard *fleet, enum fmx_status status, int sys_errno,
                           uint8_t reason, const char *words);

/* ── fleet_line.c ── */

/* Its connect is due, and there is no room: it has its turn behind all who came before. */
void fmx_fleet_line_join(struct fmx_fleet_client *client);

/* As many begin as there is room for. Asked whenever there may be some, and with each watch. */
void fmx_fleet_line_go_on(struct fmx_fleet_shard *fleet);
void fmx_fleet_line_close(struct fmx_fleet_shard *fleet);

/* ── fleet_manner.c ── */

/* Right after the dial: the connection has its group's poor link, if there is one. */
void fmx_fleet_link_begin(struct fmx_conn *conn);

/*
 * Instead of sending `connect`, where the group's manner is another one: half of it leaves, or
 * nothing. No deadline is in force any more, and it is not among fleet->connecting.
 */
void fmx_fleet_misbehave(struct fmx_conn *conn, const struct fmx_packet *connect);

/*
 * Nobody is behind the connection any more, and its client has forgotten it: it stays, says nothing
 * and drops what comes until the server ends it, or the run. One that is not up yet is given up.
 */
void fmx_fleet_make_ghost(struct fmx_conn *conn);
void fmx_fleet_ghost_closed(struct fmx_conn *conn);

/* ── fleet_flow.c ── */

/*
 * The tag of an identifier in flight: what it was for, when it was planned, how late it was sent.
 * Times are modulo 2^43 ns (2.4 h); lateness has 14 bits of mantissa.
 */
uint64_t fmx_flow_tag(bool is_subscribe, uint64_t planned_ns, uint64_t sent_ns);
bool fmx_flow_tag_is_subscribe(uint64_t tag);
void fmx_flow_tag_read(uint64_t tag, uint64_t now_ns, uint64_t *out_planned_ns,
                       uint64_t *out_sent_ns);

/* The client may publish from now on. */
void fmx_fleet_flows_begin(struct fmx_fleet_client *client);

/* Sends what is due and has room; plans the next look. */
void fmx_fleet_flows_due(struct fmx_fleet_client *client);

/* Its flows begin on the clock where its first connect was planned; nothing is sent yet. */
void fmx_fleet_flows_anchor(struct fmx_fleet_client *client, uint64_t planned_ns);

/* When it is to look again, after a change of the clock. */
void fmx_fleet_flows_rearm(struct fmx_fleet_client *client);

/*
 * Nothing is planned any more: counts what fell due, and sends what may still leave; who waits for
 * a connection is given up. False: there is so much that it has to be asked again, next turn.
 */
bool fmx_fleet_flows_end(struct fmx_fleet_client *client);

/* What is overdue stays so, and nobody waits for it. */
void fmx_fleet_flows_give_up(struct fmx_fleet_client *client);

/* The client is gone for good: it is given up, and plans nothing more. */
void fmx_fleet_flows_forget(struct fmx_fleet_client *client);

/* It still is, and that took more than a turn. */
void fmx_fleet_flows_forget_more(struct fmx_fleet_client *client);

/* The shard stops: what fell due and is not counted is counted now, as far as that is bounded. */
void fmx_fleet_flows_stop(struct fmx_fleet_shard *fleet);

/* Something was acknowledged: what is overdue may have room now. */
void fmx_fleet_flows_go_on(struct fmx_fleet_client *client);

void fmx_fleet_on_puback(struct fmx_conn *conn, const struct fmx_ack *ack, uint64_t tag);
void fmx_fleet_on_publish(struct fmx_conn *conn, const struct fmx_publish *publish);

/* ── fleet_track.c ── */

bool fmx_fleet_ledger_open(struct fmx_fleet_shard *fleet);
void fmx_fleet_ledger_close(struct fmx_fleet_shard *fleet);

/*
 * One message received, on this topic: counts it, and what it tells about those before. Not for
 * retained messages that a subscription brings: they may be of any age.
 */
void fmx_fleet_track(struct fmx_fleet_client *receiver, fmx_slice topic,
                     const struct fmx_fleet_mark *mark, bool dup);

/* A client with subscriptions is gone, and not because the run has ended. */
void fmx_fleet_track_leave(struct fmx_fleet_client *receiver);

/*
 * It has its CONNACK again; `is_kept`: the server has kept its session meanwhile. If not, whatever
 * it did not get while it was away is not lost.
 */
void fmx_fleet_track_return(struct fmx_fleet_client *receiver, bool is_kept);

/*
 * When no shard runs any more: what had to come and what never came, into the crews' counters and
 * fleet->deliveries_… False: no memory; pairs that have never heard of each other are not in it.
 */
bool fmx_fleet_ledger_settle(struct fmx_fleet *fleet);

/* ── fleet_snapshot.c ── */

/* Has every shard done what the plan wants? */
bool fmx_fleet_all_finished(const struct fmx_fleet *fleet);

/* NULL: another process's, or none. When no shard runs, or for what never changes. */
const struct fmx_fleet_client *fmx_fleet_find_client(const struct fmx_fleet *fleet, uint32_t group,
                                                     uint32_t number);

/*
 * For the director, of a group over all shards: clients that have settled; that have their
 * subscriptions now; that have not ended.
 */
uint64_t fmx_fleet_settled(const struct fmx_fleet *fleet, uint32_t group);
uint64_t fmx_fleet_subscribed(const struct fmx_fleet *fleet, uint32_t group);
uint64_t fmx_fleet_present(const struct fmx_fleet *fleet, uint32_t group);

#endif
