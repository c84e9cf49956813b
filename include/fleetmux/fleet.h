/*
 * fleet.h — the client role: many honest MQTT clients in one process
 *
 * A plan has groups of clients, what each client of a group says and hears, and stages: when
 * clients come and go, and how fast they publish. The shards carry it out: every connect and every
 * message is planned by the clock, and every latency is measured from the planned time, so that a
 * late server (or a late fleet) cannot hide.
 *
 *     plan ─┬─ groups ─┬─ who: client ids, devices, TLS, targets
 *           │          ├─ publishes: topics, each with a schedule and payloads of its own
 *           │          ├─ subscribes: filters, and what is checked of what comes
 *           │          └─ manners: reconnecting, slow reading, a poor link, silence
 *           └─ stages ── ramp, hold, churn, storm, stop; rates over time
 *
 * The same plan and seed make the same stream of messages for each client, however many shards or
 * processes share the clients: nothing random depends on when something happened.
 *
 * Threads: open, start, stop and close belong to one thread of the caller's, as do the calls that
 * steer; snapshots and distributions may be taken by any.
 */
#ifndef FLEETMUX_FLEET_H
#define FLEETMUX_FLEET_H

#include <fleetmux/distribution.h>
#include <fleetmux/options.h>
#include <fleetmux/stats.h>
#include <fleetmux/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fmx_fleet;

/*
 * Text with variables: %i the client's number in its group, %c its client id, %u its user name, %n
 * its number counted from 0 within its group, %% a percent sign; of a device of the platform also
 * %p its product key, %d its device name. At most 1,024 bytes when filled in.
 */
typedef const char *fmx_template;

/* ── devices of the platform ── */

/* A device as the platform knows it: 1 … 32, 1 … 64 and 1 … 64 bytes, terminated. */
struct fmx_fleet_device {
    char product_key[33];
    char device_name[65];
    char secret[65]; /* ignored if devices register */
};

enum fmx_fleet_sign {
    FMX_FLEET_SIGN_MD5 = 0, /* hmacmd5 */
    FMX_FLEET_SIGN_SHA1,    /* hmacsha1 */
    FMX_FLEET_SIGN_SHA256,  /* hmacsha256 */
};

/*
 * Dynamic registration: a client first connects as one that asks, waits for the answer (as long as
 * connect_timeout_ms), and then connects with what it has learnt, now and ever after.
 */
enum fmx_fleet_register {
    FMX_FLEET_REGISTER_NONE = 0,
    FMX_FLEET_REGISTER_KNOWN, /* register: the device's secret is answered on /ext/register */
    FMX_FLEET_REGISTER_NEW,   /* regnwl: a client id and a token are, on /ext/regnwl */
};

/*
 * Clients that are devices: on if `product_key` or `device` is set. What the plan says of client
 * id, user name and password then has no meaning: the user name is "%d&%p", the password a
 * signature; %c stands for the signed part of the client id.
 */
struct fmx_fleet_platform {
    fmx_template product_key; /* %i and %n only; NULL: `device` says, or no platform at all */
    fmx_template device_name; /* %i and %n only ("device_%i") */

    /*
     * Each device's secret: `secret` for all of them, or, made from `secret_key`, the first 32 hex
     * digits in lower case of HMAC-SHA256(key: secret_key, content: the device name).
     */
    const char *secret;
    const char *secret_key;

    /*
     * Instead of all four: fills in the device with this number (%i). False: there is none, and the
     * client fails. Called on the shards, for each CONNECT, each PSK and each topic with %p or %d
     * in it, and by fmx_fleet_open on threads of its own for each certificate: thread-safe, and
     * quick.
     */
    bool (*device)(void *user, uint32_t number, struct fmx_fleet_device *out_device);
    void *device_user;

    fmx_template client_id;          /* the part that is signed ("%p.%d") */
    enum fmx_fleet_sign sign_method; /* FMX_FLEET_SIGN_SHA256 */
    int secure_mode;                 /* −9 … 99; 2 is TLS, 3 plain TCP; 0: as it is (0) */
    const char *timestamp;           /* digits, signed ("2524608000000"); "": none */
    const char *sdk;                 /* _v ("fleetmux"); "": none */
    const char *more_options;        /* further ones of the client id, "lan=C,gw=0"; NULL: none */
    uint32_t ext;                    /* 1: calls on custom topics are wanted, 2: notices (0) */
    bool auto_subscribe;             /* _ss=1: the server subscribes us to all system topics */
    enum fmx_fleet_register registration; /* FMX_FLEET_REGISTER_NONE */
    const char *product_secret;           /* signs registrations */
};

/* ── calls: what a client does with an RRPC request, and with a request of 5.0 ── */

enum fmx_fleet_answer {
    FMX_FLEET_ANSWER_OFF = 0, /* calls and requests are messages like any other */
    FMX_FLEET_ANSWER_ECHO,    /* the request's payload */
    FMX_FLEET_ANSWER_FIXED,   /* `payload` */
    FMX_FLEET_ANSWER_NEVER,   /* count them only */
};

/*
 * A call is a message on /sys/…/…/rrpc/request/ID, answered on …/rrpc/response/ID, or on
 * /ext/rrpc/ID/…, answered on the same topic; at QoS 0. A request is any other message with a
 * Response Topic (5.0, 4.10): it is answered there, at its own QoS, with its Correlation Data and
 * its User Properties. Clients of 5.0 subscribe with No Local, so
 * that a server of the open kind does not take a custom answer for the next call; before 5.0 such a
 * server would.
 */
struct fmx_fleet_calls {
    enum fmx_fleet_answer answer;
    fmx_slice payload;
    uint32_t delay_ms;    /* before each answer, 0 … 60,000 (0) */
    uint32_t pending_max; /* answers that wait, over all shards, 1 … 1,048,576 (65,536); also at
                             most 64 MiB of them in a shard */
};

/* ── properties of messages, 5.0 ── */

struct fmx_fleet_property {
    const char *key;
    const char *value;
};

struct fmx_fleet_properties {
    fmx_template response_topic;           /* NULL: none */
    uint32_t correlation_bytes;            /* of correlation data, 0 … 65,535 (0: none) */
    const struct fmx_fleet_property *user; /* user properties, in this order */
    size_t user_count;                     /* 0 … 1,024 */
    const char *content_type;              /* NULL: none */
    uint32_t message_expiry_s;             /* 0: none */
    bool is_text;                          /* Payload Format Indicator 1 */
    bool use_aliases; /* a topic alias instead of the topic, where the server offers any */
};

/* ── what a client publishes ── */

enum fmx_fleet_schedule {
    FMX_FLEET_CONSTANT = 0, /* every interval, from an instant of the first one that is drawn */
    FMX_FLEET_POISSON,      /* intervals drawn from an exponential distribution of that mean */
    FMX_FLEET_BURSTS,       /* every interval burst_count messages, burst_spacing_ns apart */
    FMX_FLEET_ON_CHANGE,    /* a look every interval, and a message if something has changed */
    FMX_FLEET_CLOSED_LOOP, /* the next as soon as the window has room: measures nothing but speed */
};

/* A topic of each client of the group, with a schedule of its own. */
struct fmx_fleet_publish {
    const char *name; /* in results; NULL: its topic */
    fmx_template topic;
    uint8_t qos; /* 0, 1 */
    bool retain;
    enum fmx_fleet_schedule schedule;
    uint64_t
        interval_ns; /* per client, the mean at a rate of 1.0; not 0 but in a closed loop (1 s) */
    uint32_t burst_count;      /* 1 … 65,536 (1) */
    uint64_t burst_spacing_ns; /* 0: all at once; burst_count of them fit into interval_ns (0) */
    double change;             /* share of looks that find a change, above 0 … 1 (0.1) */
    uint64_t messages_max;     /* of all clients of the group, in equal shares; 0: no bound */
    bool skip_when_away; /* what falls due while a client is away is not sent late, but counted
                                  as skipped */

    /*
     * What is sent: `payload` as it is, or a `text` with variables, or payload_bytes made up (256).
     * Made ones carry our mark from 32 bytes on: who, which, when. A text carries it where %m
     * stands, as 64 hex digits. Beside those of fmx_template a text has
     *     %t  milliseconds since 1970        %{time:s|ms|us|ns|iso}  the same, otherwise
     *     %s  the message's number, from 0   %{seq:FIRST:STEP}       a number that grows
     *     %{int:LEAST:MOST}                  a whole number drawn for each message
     *     %{real:LEAST:MOST:DIGITS}          one with so many digits behind the point
     *     %{walk:LEAST:MOST:STEP:DIGITS}     one that moves by at most STEP a message
     *     %{one:A|B|C}                       one of these texts
     *     %{hex:BYTES}  %{text:BYTES}  %{uuid}
     * All that is drawn depends on seed, client, topic and number alone. At most 268,000,000 bytes.
     */
    fmx_slice payload;
    const char *text;
    uint32_t payload_bytes;

    /*
     * Property posts of the platform's thing model instead of topic and payload: Alink JSON of
     * payload_bytes (at least some 220) with `id` the message's number, and our mark inside.
     * Replies to them are counted.
     */
    bool thing_model;

    /*
     * Requests (5.0): each carries properties.response_topic, to which the client subscribes by
     * itself, and Correlation Data of at least 8 bytes, ours in front. The answer is measured from
     * the planned time; one that has not come after this long counts as a time-out. 0: no requests.
     */
    uint32_t response_timeout_ms;

    struct fmx_fleet_properties properties;
};

/* ── what it subscribes to ── */

struct fmx_fleet_subscribe {
    fmx_template filter;
    uint8_t qos;             /* 0, 1 */
    bool no_local;           /* 5.0, as are the next two */
    bool as_published;       /* Retain As Published */
    uint8_t retain_handling; /* 0 … 2 */
    uint64_t late_ns;        /* a message that takes longer is counted as late; 0: none is */
};

/* ── how clients are, beside what they say ── */

enum fmx_fleet_reconnect {
    FMX_FLEET_RECONNECT_NONE = 0,
    FMX_FLEET_RECONNECT_FIXED,       /* after reconnect_min_ms */
    FMX_FLEET_RECONNECT_EXPONENTIAL, /* after a time drawn from 0 … min × 2^failures, at most max */
};

enum fmx_fleet_manner {
    FMX_FLEET_HONEST = 0,
    FMX_FLEET_SILENT,       /* TCP, and TLS if there is any, but never a byte of MQTT */
    FMX_FLEET_HALF_CONNECT, /* half a CONNECT, and never the rest */
};

/* How a client leaves when a stage tells it to. */
enum fmx_fleet_leave {
    FMX_FLEET_LEAVE_DISCONNECT = 0, /* DISCONNECT, then the end of TCP */
    FMX_FLEET_LEAVE_CLOSE,          /* the end of TCP alone */
    FMX_FLEET_LEAVE_RESET,          /* RST */
    FMX_FLEET_LEAVE_VANISH,         /* nothing: the connection stays, and nobody is behind it */
};

/*
 * A poor link, emulated between the client and its socket, both ways; the TCP handshake is not
 * delayed. Bytes wait delay_ms and up to jitter_ms more, in order. `loss` is the share of sends
 * whose first transmission is lost: what TCP makes of that is 200 ms more, for it and all behind
 * it, doubled when it is lost again.
 */
struct fmx_fleet_link {
    uint32_t delay_ms;  /* each way, 0 … 60,000 (0) */
    uint32_t jitter_ms; /* 0 … 60,000 (0) */
    double loss;        /* 0 … 0.5 (0) */
    uint64_t
        read_bytes_per_second; /* a slow reader: TCP's window closes; 0: reads what comes (0) */
};

#define FMX_FLEET_GROUPS_MAX     64
#define FMX_FLEET_PUBLISHES_MAX  64
#define FMX_FLEET_SUBSCRIBES_MAX 64
#define FMX_FLEET_TARGETS_MAX    64
#define FMX_FLEET_ALL            UINT32_MAX /* every group */

struct fmx_fleet_group {
    const char *name;       /* in results; NULL: "group N", from 1 */
    uint32_t clients_count; /* 1 … 16,000,000 over all groups */
    uint32_t first_number;  /* the first client's number, %i (1) */

    const char *const
        *targets;         /* "HOST:PORT", taken in turn by the clients; HOST is resolved once */
    size_t targets_count; /* 1 … 64 */
    const char *const *sources; /* source addresses, taken in turn; none: the system chooses, and
                                      on loopback addresses of 127.0.0.0/8 are spread as needed */
    size_t sources_count;
    uint32_t connect_timeout_ms; /* TCP, TLS and CONNACK (10,000); again, from there to the last
                                    SUBACK; and for so long a connect waits for a session, if
                                    connections that nobody ends hold all */
    bool linger_zero;            /* close with RST: leaves no TIME_WAIT */

    /* NULL: plain TCP. With variables in `cert` each client's files are read by fmx_fleet_open; the
       first bad one, by number, keeps the fleet from opening. */
    const struct fmx_tls_client *tls;

    enum fmx_version version;  /* FMX_MQTT_50 */
    fmx_template client_id;    /* "fleetmux_%i" */
    fmx_template username;     /* NULL: none */
    fmx_template password;     /* NULL: none */
    uint16_t keepalive_s;      /* 0: none (300) */
    bool clean;                /* true. Else what is unacknowledged goes out again on the next
                                  connection, if the server has kept the session */
    uint32_t session_expiry_s; /* 5.0 (0: the session ends with its connection) */
    uint16_t receive_max;      /* 5.0: QoS 1 towards us (65,535) */

    struct fmx_fleet_platform platform;
    struct fmx_fleet_calls calls;

    const struct fmx_fleet_subscribe *subscribes; /* each client subscribes to all of them */
    size_t subscribes_count;                      /* 0 … 64 */
    const struct fmx_fleet_publish *publishes;    /* and publishes all of these */
    size_t publishes_count;                       /* 0 … 64 */

    uint32_t window;                    /* QoS 1 unacknowledged per client, 1 … 32,768 (32) */
    enum fmx_fleet_reconnect reconnect; /* after a loss */
    uint32_t reconnect_min_ms;          /* 1 … 86,400,000 (1,000) */
    uint32_t reconnect_max_ms;          /* (60,000) */
    enum fmx_fleet_manner manner;
    struct fmx_fleet_link link;
};

/* ── when what happens ── */

enum fmx_fleet_stage_kind {
    FMX_FLEET_RAMP = 0, /* clients connect until `share` of each group has begun; ends when each of
                           them has been answered, at the earliest after duration_ns */
    FMX_FLEET_HOLD,     /* nothing but time */
    FMX_FLEET_CHURN,    /* open clients leave at the rate, and come back */
    FMX_FLEET_STORM,    /* `share` of the clients leaves within `within_ns`, and comes back */
    FMX_FLEET_STOP,     /* clients leave at the rate until all have, and do not come back */
};

/*
 * Stages follow one another. Rates run straight from begin to end over duration_ns; a stage
 * without a duration has rate_end from its begin on.
 */
struct fmx_fleet_stage {
    enum fmx_fleet_stage_kind kind;
    const char *name; /* in results; NULL: what it is */
    uint64_t groups;  /* a bit each; 0: all */
    uint64_t
        duration_ns; /* HOLD, CHURN, STORM: how long; 0: to the end of the run, in the last stage */
    double share;    /* RAMP, STORM: 0 … 1 (1) */
    double rate_begin; /* RAMP: connects, CHURN, STOP: clients a second, all groups together; */
    double rate_end;   /* 0: as fast as it goes, but with CHURN */
    double
        publish_begin; /* all publishes run at so many times their rate (1); 0: none is planned */
    double publish_end;
    uint64_t within_ns;         /* STORM */
    enum fmx_fleet_leave leave; /* CHURN, STORM, STOP */
    bool is_by_policy; /* CHURN, STORM: who left comes back as after a loss; else at once */
};

#define FMX_FLEET_STAGES_MAX 1024

struct fmx_fleet_plan {
    struct fmx_mux_options mux;
    struct fmx_tls_limits tls_limits; /* of which workers and turn_budget_us are for clients */
    const struct fmx_fleet_group *groups;
    size_t groups_count; /* 1 … FMX_FLEET_GROUPS_MAX */
    const struct fmx_fleet_stage *stages;
    size_t
        stages_count; /* 0: one RAMP of all at 100 a second, then HOLD; to FMX_FLEET_STAGES_MAX */
    uint32_t part;    /* of parts_count processes with the same plan this is number `part`, from */
    uint32_t parts_count;           /* 0; each has every parts_count-th client (0 of 1) */
    uint32_t connects_inflight_max; /* begun and not yet answered, all shards together; 0: 1,024,
                                       with TLS 128, since servers bound what one address begins */
    uint64_t duration_ns; /* publishing ends then, from start, whatever the stage; 0: when the
                                  stages end, or when stopped */
    uint32_t drain_ms;    /* at the end: what is overdue is still sent, and acknowledgements and
                                  messages waited for (5,000) */
    uint64_t seed;        /* of every random choice (1) */
};

/* ── what was seen ── */

/* What is measured; each is a distribution. "Planned" ones count from the planned time. */
#define FMX_FLEET_LATENCY_LIST(X)                                                                  \
    X(CONNECT, connect, "planned connect to CONNACK")                                              \
    X(TCP, tcp, "begun connect to TCP's handshake done")                                           \
    X(TLS_FULL, tls_full, "TCP up to TLS handshake done, full ones")                               \
    X(TLS_RESUMED, tls_resumed, "TCP up to TLS handshake done, resumed ones")                      \
    X(CONNACK, connack, "CONNECT sent to CONNACK")                                                 \
    X(SUBACK, suback, "SUBSCRIBE sent to SUBACK")                                                  \
    X(PUBACK, puback, "planned publish to PUBACK")                                                 \
    X(PUBACK_RAW, puback_raw, "sent publish to PUBACK: what a closed loop would have said")        \
    X(DELIVERY, delivery, "planned publish to its receiver; one clock, so one machine")            \
    X(DELIVERY_RAW, delivery_raw, "sent publish to its receiver")                                  \
    X(REQUEST, request, "planned request to its answer")                                           \
    X(REQUEST_RAW, request_raw, "sent request to its answer")                                      \
    X(LAG, lag, "planned to sent where nothing but this program was in the way")                   \
    X(BLOCKED, blocked, "planned to sent where the server was: window, queue, no connection")      \
    X(DRIFT, drift, "how late a shard takes what has arrived, as its own ticks see it")

enum fmx_fleet_latency {
#define FMX_FLEET_LATENCY_ENUM(NAME, name, words) FMX_FLEET_##NAME,
    FMX_FLEET_LATENCY_LIST(FMX_FLEET_LATENCY_ENUM)
#undef FMX_FLEET_LATENCY_ENUM
        FMX_FLEET_LATENCIES
};

/* "puback"; NULL beyond the list. And its words. */
FMX_API const char *fmx_fleet_latency_name(enum fmx_fleet_latency latency);
FMX_API const char *fmx_fleet_latency_words(enum fmx_fleet_latency latency);

/*
 * Counters of clients and messages. X(name, is_gauge, words): gauges are how many there are now.
 * What follows from another stands before it, and is read before it: while a fleet runs,
 * acknowledged is never more than sent.
 *
 * The ledger adds up if planned = sent + skipped + overdue, sent (QoS 1) = acked + refused +
 * unacked + outstanding, received = once + copies + redelivered + duplicate + foreign + unchecked,
 * and, after the end, deliveries expected = received once + lost.
 */
#define FMX_FLEET_COUNTER_LIST(X)                                                                  \
    X(clients_waiting, true, "clients not begun, or waiting to come back")                         \
    X(clients_connecting, true, "clients begun and not answered")                                  \
    X(clients_open, true, "clients with a good CONNACK")                                           \
    X(clients_subscribed, true, "of the open ones: all filters answered, not all of them refused") \
    X(clients_stopped, true, "clients that a stage has sent away for good")                        \
    X(clients_lost, true, "clients that were open and will not come back by themselves")           \
    X(clients_failed, true, "clients that never got a good CONNACK, and gave up")                  \
    X(ghosts, true, "connections that somebody has vanished from")                                 \
    X(connects_ok, false, "good CONNACKs")                                                         \
    X(connects_failed, false, "connects that failed")                                              \
    X(connects_begun, false, "connects begun")                                                     \
    X(connects_planned, false, "connects due by now")                                              \
    X(connections_lost, false, "open connections that ended without our doing")                    \
    X(server_faults, false, "packets of the server that break the protocol")                       \
    X(leaves, false, "times a stage sent a client away")                                           \
    X(registrations_ok, false, "clients that have learnt their secret or token")                   \
    X(subscribes_refused, false, "filters refused")                                                \
    X(publishes_acked, false, "messages acknowledged")                                             \
    X(publishes_refused, false, "messages answered with a code from 0x80 on")                      \
    X(publishes_unacked, false, "QoS 1 messages that nobody will acknowledge: no connection")      \
    X(publishes_outstanding, true, "QoS 1 messages whose PUBACK is not here yet")                  \
    X(publishes_sent_again, false, "QoS 1 messages sent again to a session that was kept")         \
    X(publishes_sent_qos1, false, "messages sent at QoS 1")                                        \
    X(publishes_sent, false, "messages sent")                                                      \
    X(publishes_skipped, false, "messages due while their client was away, and not sent for it")   \
    X(publishes_overdue, true, "messages due and not sent yet")                                    \
    X(publishes_planned, false, "messages due by now")                                             \
    X(requests_answered, false, "requests answered in time")                                       \
    X(requests_timeout, false, "requests without an answer in time")                               \
    X(responses_foreign, false, "answers that fit no request of ours, or came late")               \
    X(received, false, "messages received; answers, calls and thing replies not among them")       \
    X(received_once, false, "of them for the first time, and checked")                             \
    X(received_copies, false, "of them again, because several filters of the receiver match")      \
    X(received_redelivered, false, "of them again, with DUP: at least once is what QoS 1 says")    \
    X(received_duplicate, false, "of them again, without DUP")                                     \
    X(received_reordered, false, "of them behind a later one of the same publisher and topic")     \
    X(received_gap, true, "missing now before a later one of the same publisher and topic")        \
    X(received_late, false, "of them later than their subscription allows")                        \
    X(received_foreign, false, "of them without our mark")                                         \
    X(received_unchecked, false, "of them marked, but not checked: no memory, shared, retained")   \
    X(deliveries_expected, false, "after the end: deliveries that had to come, by what was sent")  \
    X(deliveries_lost, false, "after the end: of them never came")                                 \
    X(calls_received, false, "calls and requests of others")                                       \
    X(calls_answered, false, "of them answered")                                                   \
    X(calls_over_bound, false,                                                                     \
      "of them not answered: too many wait, or larger than the server takes")                      \
    X(thing_replies, false, "replies to property posts")

struct fmx_fleet_counters {
#define FMX_FLEET_COUNTER_FIELD(name, is_gauge, words) uint64_t name;
    FMX_FLEET_COUNTER_LIST(FMX_FLEET_COUNTER_FIELD)
#undef FMX_FLEET_COUNTER_FIELD
};

/*
 * What went wrong, counted per cause: connects that failed, connections that were lost. Without an
 * end of the connection: FMX_PEER_MESSAGE_REFUSED (PUBACK from 0x80 on), FMX_PEER_FILTER_REFUSED
 * (SUBACK from 0x80 on), FMX_PEER_UNASKED (PUBACK with an identifier that is not in use, PINGRESP
 * without PINGREQ: nothing depends on them, so they are borne).
 */
struct fmx_fleet_cause {
    enum fmx_status status;
    int sys_errno;     /* with the −4xx statuses, else 0 */
    uint8_t reason;    /* the server's reason or return code, else 0 */
    const char *words; /* more about it: of TLS; the kind of the packet that broke the protocol or
                          that nobody had asked for; "an answer of ours", which was refused; or one
                          of the next two. NULL: nothing. Static storage */
    uint64_t count;
};

/* `words`, where the client's manner is to blame: the server was right to end it. */
#define FMX_FLEET_WORDS_SILENT       "a silent client, as planned"
#define FMX_FLEET_WORDS_HALF_CONNECT "half a CONNECT, as planned"

/*
 * What the specification calls a cause's reason: "Not authorized"; NULL: it has none, or one that
 * the specification does not know. Static storage. Any thread.
 */
FMX_API const char *fmx_fleet_cause_reason(const struct fmx_fleet_cause *cause);

#define FMX_FLEET_CAUSES_MAX 64 /* what is beyond shares the last row */

struct fmx_fleet_snapshot {
    uint64_t elapsed_ns; /* since start */
    bool finished;       /* every client is done, or the stages are over and drained */
    bool is_draining;
    bool is_paused;
    uint32_t stage;           /* the present one, from 0 */
    uint64_t stage_began_ns;  /* since start */
    double stage_progress;    /* 0 … 1; below 0: it has no planned end */
    uint64_t last_connect_ns; /* when the last good CONNACK was, since start */
    uint64_t ready_ns;        /* since start: first moment at which every client was open and
                                 subscribed; 0: not yet */
    double connects_wanted;   /* a second, by the plan, now */
    double publishes_wanted;  /* the same, of the clients whose planned connect has come; those that
                                 have sent their share of messages_max still count */
    double rate;              /* what fmx_fleet_set_rate has set (1) */
    uint64_t hash;            /* of all clients' streams; see fmx_fleet_hash */
    uint64_t cpu_ns;          /* processor time of all shards */
    uint64_t cpu_wait_ns; /* time they were ready to run and did not; 0: the system cannot tell */
    enum fmx_tls_version tls_version; /* of one handshake; 0: there was none yet */
    const char *tls_suite;            /* of the same; NULL. Static storage */
    struct fmx_fleet_counters counters;
    struct fmx_fleet_cause causes[FMX_FLEET_CAUSES_MAX];
    size_t causes_count;
    struct fmx_stats stats; /* of all groups */
};

/* Fill in every default named above; a plan has no groups yet. Any thread. */
FMX_API void fmx_fleet_plan_init(struct fmx_fleet_plan *plan);
FMX_API void fmx_fleet_group_init(struct fmx_fleet_group *group);
FMX_API void fmx_fleet_publish_init(struct fmx_fleet_publish *publish);
FMX_API void fmx_fleet_subscribe_init(struct fmx_fleet_subscribe *subscribe);
FMX_API void fmx_fleet_stage_init(struct fmx_fleet_stage *stage, enum fmx_fleet_stage_kind kind);

/*
 * Who client `number` of a group (from 0) is, by the group's platform. FMX_OK; FMX_E_OPTION (the
 * group is not sound: `error` says why, or names no devices); FMX_END (`device` has none with its
 * number). Any thread.
 */
FMX_API enum fmx_status fmx_fleet_device(const struct fmx_fleet_group *group, uint32_t number,
                                         struct fmx_fleet_device *out_device, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

/*
 * Checks the plan alone: nothing is resolved, read or opened. FMX_OK, or FMX_E_OPTION; `error` says
 * which field of which group or stage, and what to write instead: "groups[1].publishes[0].qos …",
 * or "groups[NAME].publishes[0].qos …" where the group has a name.
 */
FMX_API enum fmx_status fmx_fleet_plan_check(const struct fmx_fleet_plan *plan, char *error,
                                             size_t error_bytes) FMX_MUST_USE;

/*
 * Checks the plan, resolves targets, makes a fleet that has not begun. FMX_OK, FMX_E_OPTION,
 * FMX_SYS_SOCKET (resolving), FMX_LIMIT_MEMORY; `error` says which field and what to write instead.
 */
FMX_API enum fmx_status fmx_fleet_open(const struct fmx_fleet_plan *plan,
                                       struct fmx_fleet **out_fleet, char *error,
                                       size_t error_bytes) FMX_MUST_USE;

/*
 * Starts the shards and the plan's clock. FMX_OK, FMX_SYS_RING, FMX_SYS_THREAD, FMX_LIMIT_MEMORY.
 */
FMX_API enum fmx_status fmx_fleet_start(struct fmx_fleet *fleet, char *error,
                                        size_t error_bytes) FMX_MUST_USE;

/* Of one group, or FMX_FLEET_ALL. */
FMX_API void fmx_fleet_snapshot(const struct fmx_fleet *fleet, uint32_t group,
                                struct fmx_fleet_snapshot *out_snapshot);

/* Adds what was measured to a distribution of the caller's. Drift is of all groups. */
FMX_API void fmx_fleet_distribution(const struct fmx_fleet *fleet, uint32_t group,
                                    enum fmx_fleet_latency latency, struct fmx_distribution *into);

/*
 * Steering; each takes effect within 100 ms, or with the next stage if that begins just then, on
 * all shards at the same instant. FMX_OK, FMX_FULL (too many calls at once: try again),
 * FMX_E_ARGUMENT (no such group; a rate that is not 0 … 1,000,000; a share that is not above 0, to
 * 1), FMX_E_STATE (not running).
 *
 * Publishes run at `rate` times what the stages say; what has been planned is not planned again.
 */
FMX_API enum fmx_status fmx_fleet_set_rate(struct fmx_fleet *fleet, double rate) FMX_MUST_USE;

/*
 * While paused nothing more is planned, neither connect nor message, and stages stand still. Who
 * would come back meanwhile comes when it goes on; what was planned before still happens.
 */
FMX_API enum fmx_status fmx_fleet_pause(struct fmx_fleet *fleet, bool is_paused) FMX_MUST_USE;

/*
 * A share of a group's open clients, or of all, leaves, as fast as it goes: each shard sends away
 * up to 1,024 in a turn, one storm after another. They come back as after a loss, or at once where
 * a loss is for good. All shards are asked or, with FMX_FULL, none: at most 16 are not over.
 */
FMX_API enum fmx_status fmx_fleet_storm(struct fmx_fleet *fleet, uint32_t group, double share,
                                        enum fmx_fleet_leave leave) FMX_MUST_USE;

/*
 * Ends publishing, waits up to plan.drain_ms for acknowledgements, disconnects all, ends the
 * shards, closes the ledger: from then on deliveries_lost is what it is.
 */
FMX_API void fmx_fleet_stop(struct fmx_fleet *fleet);

/*
 * After fmx_fleet_stop: the messages that client `number` of a group (from 0) has sent, and a hash
 * of them: of topic, number, planned time on the plan's own clock, and all of the payload that does
 * not say when. False: it is another process's client, or there is none.
 */
FMX_API bool fmx_fleet_hash(const struct fmx_fleet *fleet, uint32_t group, uint32_t number,
                            uint64_t *out_messages, uint64_t *out_hash);

/* Releases everything. The fleet is stopped or was never started. */
FMX_API void fmx_fleet_close(struct fmx_fleet *fleet);

FMX_API uint32_t fmx_fleet_shards_count(const struct fmx_fleet *fleet);

#ifdef __cplusplus
}
#endif

#endif
