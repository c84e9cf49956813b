/*
 * fleet.h — the client role: many honest MQTT clients in one process
 *
 * A plan says how many clients there are and what each does; the shards carry it out: they connect
 * at the asked rate, publish on an open-loop schedule, and measure every latency from the time at
 * which the thing was planned, so that a late server (or a late fleet) cannot hide.
 *
 * Threads: open, start, stop and close belong to one thread of the caller's; the snapshot may be
 * taken by any.
 */
#ifndef FLEETMUX_FLEET_H
#define FLEETMUX_FLEET_H

#include <fleetmux/options.h>
#include <fleetmux/stats.h>
#include <fleetmux/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fmx_fleet;

/*
 * Text with variables: %i the client's number, %c its client id, %u its user name, %n its number
 * counted from 0 within this run, %% a percent sign; of a device of the platform also %p its
 * product key, %d its device name. At most 1,024 bytes when filled in.
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

    /*
     * Publishes property posts instead of the plan's topic and payload: Alink JSON of payload_bytes
     * (at least some 200) with `id` a number of the client's, and our mark inside. Replies to them
     * are counted.
     */
    bool thing_model;
};

/* ── calls: what a client does with an RRPC request ── */

enum fmx_fleet_answer {
    FMX_FLEET_ANSWER_OFF = 0, /* calls are messages like any other */
    FMX_FLEET_ANSWER_ECHO,    /* the request's payload */
    FMX_FLEET_ANSWER_FIXED,   /* `payload` */
    FMX_FLEET_ANSWER_NEVER,   /* count them only */
};

/*
 * A call is a message on /sys/…/…/rrpc/request/ID, answered on …/rrpc/response/ID, or on
 * /ext/rrpc/ID/…, answered on the same topic; at QoS 0. Clients of 5.0 subscribe with No Local, so
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
    bool use_aliases; /* a topic alias instead of the topic, where the server offers any */
};

struct fmx_fleet_plan {
    struct fmx_mux_options mux;
    const char *const
        *targets;         /* "HOST:PORT", taken in turn by the clients; HOST is resolved once */
    size_t targets_count; /* 1 … 64 */
    const char *const *sources; /* source addresses, taken in turn; none: the system chooses, and
                                      on loopback addresses of 127.0.0.0/8 are spread as needed */
    size_t sources_count;
    uint32_t clients_count;         /* 1 … 16,000,000 */
    uint32_t first_number;          /* the first client's number, %i (1) */
    double connects_per_second;     /* 0: as fast as it goes (100) */
    uint32_t connects_inflight_max; /* begun and not yet answered, all shards together; 0: 1,024,
                                       with TLS 128, since servers bound what one address begins */
    uint32_t connect_timeout_ms;    /* TCP, TLS and CONNACK (10,000) */

    /* NULL: plain TCP. With variables in `cert` each client's files are read by fmx_fleet_open; the
       first bad one, by number, keeps the fleet from opening. */
    const struct fmx_tls_client *tls;
    struct fmx_tls_limits tls_limits; /* of which workers and turn_budget_us are for clients */

    enum fmx_version version;  /* FMX_MQTT_50 */
    fmx_template client_id;    /* "fleetmux_%i" */
    fmx_template username;     /* NULL: none */
    fmx_template password;     /* NULL: none */
    uint16_t keepalive_s;      /* 0: none (300) */
    bool clean;                /* true */
    uint32_t session_expiry_s; /* 5.0 (0) */
    uint16_t receive_max;      /* 5.0: QoS 1 towards us (65,535) */

    const fmx_template *filters; /* each client subscribes to all of them */
    size_t filters_count;        /* 0 … 64 */
    uint8_t subscribe_qos;       /* 0, 1 */

    fmx_template topic;  /* NULL: no publishing */
    uint8_t publish_qos; /* 0, 1 */
    bool retain;
    uint64_t publish_interval_ns; /* per client, between two planned messages; 0: closed loop, the
                                      next as soon as the window has room (1 s) */
    uint32_t publish_window;      /* QoS 1 unacknowledged per client, 1 … 32,768 (32) */
    uint64_t publishes_max;       /* in all, over all clients; 0: no bound */
    fmx_slice payload;            /* the same for every message; empty: made, see next */
    uint32_t payload_bytes; /* of made payloads (256); from 24 on they carry who, which, when */

    struct fmx_fleet_platform platform;
    struct fmx_fleet_calls calls;
    struct fmx_fleet_properties properties;

    uint64_t duration_ns;      /* from start; 0: until stopped */
    uint32_t drain_ms;         /* at the end: wait for acknowledgements (5,000) */
    uint32_t reconnect_min_ms; /* after a loss: exponential with full jitter; 0: no reconnect */
    uint32_t reconnect_max_ms;
    bool linger_zero; /* close with RST: leaves no TIME_WAIT */
    uint64_t seed;    /* of every random choice (1) */
};

/* Why connections failed or were lost; counted per cause. */
struct fmx_fleet_cause {
    enum fmx_status status;
    int sys_errno;     /* with the −4xx statuses, else 0 */
    uint8_t reason;    /* the server's reason or return code, else 0 */
    const char *words; /* of some −5xx statuses: more about it; NULL: nothing. Static storage */
    uint64_t count;
};

#define FMX_FLEET_CAUSES_MAX 16

struct fmx_fleet_snapshot {
    uint64_t elapsed_ns;      /* since start */
    bool finished;            /* every client is done, or the duration is over and drained */
    uint64_t clients_waiting; /* not begun yet */
    uint64_t clients_connecting;
    uint64_t clients_open;
    uint64_t clients_subscribed; /* of the open ones: all filters acknowledged */
    uint64_t clients_lost;       /* were open, are not, will not come back by themselves */
    uint64_t clients_failed;     /* never got a good CONNACK */
    uint64_t connects_ok;
    uint64_t last_connect_ns; /* when the last of them was, since start */
    uint64_t subscribes_refused;
    uint64_t publishes_planned; /* due by now */
    uint64_t publishes_sent;
    uint64_t publishes_acked;
    uint64_t publishes_refused;  /* PUBACK with a code from 0x80 on */
    uint64_t publishes_unacked;  /* sent at QoS 1, connection gone before the PUBACK */
    uint64_t received;           /* calls answered or counted, and thing replies, not among them */
    uint64_t received_duplicate; /* seen before, without DUP's excuse */
    uint64_t received_gap;       /* numbers missing before a later one of the same publisher */
    uint64_t received_foreign;   /* without our mark: not checked */
    uint64_t registrations_ok;   /* clients that have learnt their secret or token */
    uint64_t calls_received;
    uint64_t calls_answered;
    uint64_t calls_over_bound; /* not answered: too many wait, or larger than the server takes */
    uint64_t thing_replies;
    struct fmx_latency connect; /* SYN planned → CONNACK; of a registered client its second one */
    struct fmx_latency tls_full;      /* TCP up → handshake done, of full handshakes */
    struct fmx_latency tls_resumed;   /* and of resumed ones */
    enum fmx_tls_version tls_version; /* of one of them; 0: there was none yet */
    const char *tls_suite;            /* of the same; NULL. Static storage */
    struct fmx_latency subscribe;     /* SUBSCRIBE → SUBACK */
    struct fmx_latency puback;        /* planned send time → PUBACK */
    struct fmx_latency delivery; /* planned send time → received; one clock, so one machine */
    struct fmx_latency lag;      /* planned send time → encoded: the fleet's own lateness */
    struct fmx_fleet_cause causes[FMX_FLEET_CAUSES_MAX];
    size_t causes_count;
    struct fmx_stats stats;
};

/* Fills in every default named above. Any thread. */
FMX_API void fmx_fleet_plan_init(struct fmx_fleet_plan *plan);

/*
 * Who client `index` (from 0) is, by the plan's platform. FMX_OK; FMX_E_OPTION (the plan is not
 * sound: `error` says why, or names no devices); FMX_END (`device` has none with its number). Any
 * thread.
 */
FMX_API enum fmx_status fmx_fleet_device(const struct fmx_fleet_plan *plan, uint32_t index,
                                         struct fmx_fleet_device *out_device, char *error,
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

FMX_API void fmx_fleet_snapshot(const struct fmx_fleet *fleet,
                                struct fmx_fleet_snapshot *out_snapshot);

/*
 * Ends publishing, waits up to plan.drain_ms for acknowledgements, disconnects all, ends the
 * shards.
 */
FMX_API void fmx_fleet_stop(struct fmx_fleet *fleet);

/* Releases everything. The fleet is stopped or was never started. */
FMX_API void fmx_fleet_close(struct fmx_fleet *fleet);

FMX_API uint32_t fmx_fleet_shards_count(const struct fmx_fleet *fleet);

#ifdef __cplusplus
}
#endif

#endif
