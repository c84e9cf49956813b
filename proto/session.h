/*
 * session.h — the protocol state of one connection, either side: a packet or a time in, actions out
 *
 * No I/O, no clock, no allocation. The engine feeds decoded packets and carries out the actions;
 * the role above decides what a session is for and answers through the calls below.
 */
#ifndef PROTO_SESSION_H
#define PROTO_SESSION_H

#include "proto/alias.h"
#include "proto/inflight.h"
#include "proto/packet.h"

/* Limits of ours, shared by all sessions of a listener or a plan. Read-only while in use. */
struct fmx_session_options {
    uint32_t packet_bytes_max; /* largest packet taken from the peer, 16 … FMX_PACKET_BYTES_MAX */
    uint32_t inflight_max;     /* QoS 1 messages towards the peer, 1 … FMX_INFLIGHT_MAX */
    uint32_t session_expiry_max_s; /* server: what a client may ask for; 0xffffffff = anything */
    uint32_t topic_bytes_max;      /* of a name or filter from the peer, 1 … 65,535 */
    uint32_t topic_levels_max;     /* 1 … FMX_TOPIC_LEVELS_MAX */
    uint32_t user_properties_max;  /* in one packet from the peer; more end the session */
    uint16_t receive_max;      /* QoS 1 messages from the peer not yet acknowledged, 1 … 65,535 */
    uint16_t topic_alias_max;  /* from the peer; 0 = none */
    uint16_t keepalive_min_s;  /* server: below it (or 0) CONNECT is refused; 0 = all is allowed */
    uint16_t keepalive_max_s;  /* server: larger ones (and 0) are lowered to it; 0 = no bound */
    bool keepalive_is_refused; /* server: above keepalive_max_s CONNECT is refused, not lowered */
    bool retain_is_refused;    /* server, 5.0: RETAIN 1 ends the session with 0x9A */
};

enum fmx_session_state {
    FMX_SESSION_EXPECT_CONNECT, /* server: nothing but CONNECT may come */
    FMX_SESSION_EXPECT_VERDICT, /* server: the role decides; later packets must wait */
    FMX_SESSION_EXPECT_START,   /* client: fmx_session_connect has not been called */
    FMX_SESSION_EXPECT_CONNACK, /* client: nothing but CONNACK (or AUTH) may come */
    FMX_SESSION_OPEN,           /* both: packets flow */
    FMX_SESSION_ENDED,          /* both: nothing more is taken or sent */
};

/* First what each PUBLISH and PUBACK touches, last what CONNECT and the time do. */
struct fmx_session {
    const struct fmx_session_options *options;
    uint8_t state;                /* enum fmx_session_state */
    uint8_t version;              /* enum fmx_version; before CONNECT: 3.1.1 */
    uint8_t side;                 /* enum fmx_side: ours */
    uint8_t peer_qos_max;         /* client: the server's Maximum QoS, at most 1 */
    uint16_t unacked_in;          /* QoS 1 PUBLISH of the peer that we have not acknowledged */
    uint16_t peer_receive_max;    /* the window towards the peer */
    struct fmx_inflight out;      /* identifiers of our PUBLISH, SUBSCRIBE, UNSUBSCRIBE */
    struct fmx_alias_in *aliases; /* the peer's; NULL until the engine brings the storage */
    uint32_t peer_packet_bytes_max;
    uint16_t peer_alias_max;
    uint16_t keepalive_s;          /* in force; 0 = none */
    uint32_t session_expiry_s;     /* server: granted; client: asked */
    bool clean : 1;                /* Clean Session / Clean Start as asked */
    bool problem_info : 1;         /* 5.0: may reason strings and user properties be sent */
    bool ping_is_due : 1;          /* client: PINGREQ sent, PINGRESP outstanding */
    bool peer_has_retain : 1;      /* client: the server's Retain Available */
    bool connect_came : 1;         /* server: a CONNECT was seen, so a refusal can be spoken */
    bool keepalive_is_lowered : 1; /* server: keepalive_s is not what the client asked for */
    bool expiry_is_lowered : 1;    /* server: session_expiry_s is less than the client asked for */
    bool is_mute : 1;              /* client: says nothing by itself any more */
    uint64_t ping_sent_ns;         /* client: when the PINGREQ of ping_is_due was asked for */
};

static_assert(sizeof(struct fmx_session) == 64, "part of every slot");

/* What the engine does next; several bits may be set, carried out in this order. */
enum {
    FMX_DO_DELIVER = 1 << 0, /* hand the packet to the role */
    FMX_DO_REPLY = 1 << 1,   /* send `reply` (PINGREQ, PINGRESP) */
    FMX_DO_CLOSE = 1 << 2,   /* end the session with `close_status` */
};

struct fmx_actions {
    unsigned todo;
    enum fmx_packet_kind reply;
    enum fmx_status close_status;
    uint64_t tag; /* with a delivered PUBACK, SUBACK or UNSUBACK: what the identifier was taken for;
                     0: it is not in use */
};

/* Begins in EXPECT_CONNECT or EXPECT_START. `options` outlives the session. */
void fmx_session_init(struct fmx_session *session, enum fmx_side side,
                      const struct fmx_session_options *options);

/*
 * Server, in EXPECT_CONNECT: a CONNECT has come that asks for this protocol level. For one that
 * could not be decoded (after FMX_PEER_VERSION, say), so that fmx_session_end refuses it in the
 * nearest version; fmx_session_on_packet does the same for one that could.
 */
void fmx_session_on_version(struct fmx_session *session, unsigned asked);

/*
 * A decoded packet of the peer. A server's CONNECT is checked and delivered (state EXPECT_VERDICT);
 * a PUBLISH of 5.0 with an alias is delivered with its topic filled in once the alias is known
 * (the engine stores new aliases: see fmx_session_alias_is_new); QoS 1 is counted against
 * receive_max. What breaks the protocol becomes FMX_DO_CLOSE with the FMX_PEER_ or FMX_LIMIT_
 * status; nothing is asserted about the packet's content. An acknowledgement of an identifier that
 * is not in use, or a PINGRESP that nobody waits for, changes nothing: a server's `todo` is 0, a
 * client's role hears of it.
 *
 * In EXPECT_VERDICT no packet may be given: the engine keeps the bytes until the verdict. After
 * FMX_DO_CLOSE the engine calls fmx_session_end; in ENDED `todo` is always 0.
 */
void fmx_session_on_packet(struct fmx_session *session, struct fmx_packet *packet,
                           struct fmx_actions *out_actions);

/*
 * A packet of this kind has begun to come. FMX_OK, or FMX_PEER_ORDER: whatever its rest is, the
 * session will not take it.
 */
enum fmx_status fmx_session_on_head(const struct fmx_session *session,
                                    enum fmx_packet_kind kind) FMX_MUST_USE;

/* Does this PUBLISH name an alias together with a topic, to be kept with fmx_alias_in_put? */
static inline bool fmx_session_alias_is_new(const struct fmx_publish *publish)
{
    return publish->topic.bytes > 0 && fmx_props_has(&publish->props, FMX_PROP_TOPIC_ALIAS);
}

/*
 * Server, in EXPECT_VERDICT: from here on these options are the session's, and what `connect` asks
 * for is granted by them. They outlive the session. FMX_OK or FMX_PEER_KEEPALIVE_RANGE.
 */
enum fmx_status fmx_session_use(struct fmx_session *session,
                                const struct fmx_session_options *options,
                                const struct fmx_connect *connect) FMX_MUST_USE;

/*
 * Server, in EXPECT_VERDICT: the role has said yes. Fills `connack` for the session's version with
 * all that options and CONNECT imply (Maximum QoS, Retain Available, Receive Maximum, Maximum
 * Packet Size, Topic Alias Maximum, Server Keep Alive where lowered, Session Expiry Interval where
 * lowered, Subscription Identifiers and Shared Subscription Available = 0); the state is OPEN
 * afterwards. `assigned` is the identifier the server has made up, or empty; the packet borrows it.
 * Never `session_present` for a client that asked for a clean session.
 */
void fmx_session_admit(struct fmx_session *session, bool session_present, fmx_slice assigned,
                       struct fmx_packet *out_connack);

/*
 * The last packet to a peer whose session ends with `status`: a refusing CONNACK before OPEN, a 5.0
 * DISCONNECT after it, a plain DISCONNECT from a client that ends as planned. False if there is
 * nothing to say (e.g. the peer closed first, or 3.1.1 from a server). `words`: the Reason String,
 * which the packet borrows; empty: the status's own. The state is ENDED afterwards.
 */
bool fmx_session_end(struct fmx_session *session, enum fmx_status status, fmx_slice words,
                     struct fmx_packet *out_packet);

/* Client, in EXPECT_START: from here on these options are the session's. They outlive it. */
void fmx_session_set_options(struct fmx_session *session,
                             const struct fmx_session_options *options);

/*
 * Client, in EXPECT_START: takes over version, keep-alive, expiry of a CONNECT about to be sent,
 * and writes our limits into its 5.0 properties (Receive Maximum, Maximum Packet Size, Topic Alias
 * Maximum), so that what is announced is what will be enforced.
 */
void fmx_session_connect(struct fmx_session *session, struct fmx_connect *connect);

/*
 * Client: nobody is behind it any more. From now on it says nothing by itself, neither PINGREQ nor
 * a last word, and is not ended for want of an answer.
 */
static inline void fmx_session_mute(struct fmx_session *session)
{
    session->is_mute = true;
}

/* Room in the window towards the peer: the smaller of its Receive Maximum and inflight_max. */
uint32_t fmx_session_window_left(const struct fmx_session *session);

/*
 * A message towards the peer, `packet_bytes` long in all. At QoS 1 takes an identifier for `tag`
 * (not 0) into publish->packet_id. FMX_OK; FMX_FULL (the window, or its storage); FMX_E_TOO_LARGE
 * (above the peer's Maximum Packet Size: not sent, 5.0 3.1.2.11.4); FMX_E_ARGUMENT (a QoS or RETAIN
 * that the peer does not take); FMX_E_STATE (not OPEN).
 */
enum fmx_status fmx_session_publish(struct fmx_session *session, struct fmx_publish *publish,
                                    size_t packet_bytes, uint64_t tag) FMX_MUST_USE;

/*
 * One delivered QoS 1 PUBLISH of the peer is settled: its acknowledgement is about to be sent, or
 * (3.x) it was dropped and will never be acknowledged.
 */
void fmx_session_acknowledged(struct fmx_session *session);

/*
 * Time. Server: closes after 1.5 times the keep-alive without a byte in. Client: PINGREQ after a
 * keep-alive without a byte out; closes if its answer has not come within half a keep-alive more.
 * All times from one clock that never runs backwards. Returns when to ask again, or UINT64_MAX for
 * never (also before OPEN: how long CONNECT or CONNACK may take is the engine's to measure).
 */
uint64_t fmx_session_on_time(struct fmx_session *session, uint64_t now_ns, uint64_t last_in_ns,
                             uint64_t last_out_ns, struct fmx_actions *out_actions);

/* Asserts the invariants (debug builds and tests). */
void fmx_session_check(const struct fmx_session *session);

#endif
