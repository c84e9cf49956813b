/*
 * session — the rules of MQTT for one connection, seen from either end
 *
 * Why it is so:   the rules that need memory of what came before (may this packet come now, was it
 *                 that identifier, is the window full, is the peer alive) are few, and they are the
 *                 same for plain TCP, TLS, a simulation and a fuzzer. So they stand here alone: a
 *                 decoded packet or a time goes in, at most three actions come out, and whoever
 *                 calls carries them out. A server and a client share more than they differ in
 *                 (windows, aliases, acknowledgements, limits); they are two columns of one table
 *                 and not two modules
 * Words:          peer: the other end, whatever it is; window: how many QoS 1 messages may await
 *                 their PUBACK, one for each direction; verdict: the role's yes or no to a CONNECT;
 *                 lowered: the server grants less than the client asked for, and says so
 * Invariants:     (1) the state changes in `enter` only, along the arrows below
 *                 (2) nothing is delivered before OPEN but the CONNECT or CONNACK itself
 *                 (3) every identifier in `out` was taken on this connection and is given back once
 *                 (4) we never publish above the peer's Receive Maximum, Maximum Packet Size,
 *                 Maximum QoS, or with RETAIN where it has none
 *                 (5) unacked_in ≤ what the version lets us hold the peer to: receive_max in 5.0,
 *                 65,535 before, where no limit could be announced
 *                 (6) what we hold the peer to has been announced to it: the same options fill our
 *                 CONNECT or CONNACK and judge the packets that come
 *                 (7) ping_is_due only in OPEN, only on the client's side
 *                 (8) a server sends nothing before a CONNECT has come; after `end` nothing is sent
 *                 or taken
 * States:
 *         server                                              client
 *
 *         init                                                init
 *          │                                                   │
 *          ▼                                                   ▼
 *     EXPECT_CONNECT                                      EXPECT_START
 *          │ on_packet(CONNECT) that passes                    │ connect
 *          ▼                                                   ▼
 *     EXPECT_VERDICT                                      EXPECT_CONNACK
 *          │ admit                                             │ on_packet(CONNACK) with reason 0
 *          └──────────────────►  OPEN  ◄───────────────────────┘
 *                                 │ end
 *     any state ── end ──►      ENDED
 *
 *                 on_packet and on_time never enter ENDED: they ask for FMX_DO_CLOSE, and the
 *                 engine answers with `end`, which still has to know how far the session had come
 *                 in order to find the right last word (CONNACK, DISCONNECT or none).
 *
 *                 What comes in OPEN, and what is done with it (close: with the status named):
 *                 packet       server                          client
 *                 CONNECT      close ORDER                     close ORDER
 *                 CONNACK      close ORDER                     close ORDER
 *                 PUBLISH      limits, alias, window; deliver  the same, RETAIN is let through
 *                 PUBACK       identifier given back; deliver  the same, with 0 if not in use
 *                 PUBREC/REL/COMP  close QOS2                  close QOS2
 *                 SUBSCRIBE    limits; deliver                 close ORDER
 *                 UNSUBSCRIBE  limits; deliver                 close ORDER
 *                 SUBACK, UNSUBACK  close ORDER                as PUBACK
 *                 PINGREQ      reply PINGRESP                  close ORDER
 *                 PINGRESP     close ORDER                     noted; deliver if unasked
 *                 DISCONNECT   deliver, close DISCONNECT       the same in 5.0, else close ORDER
 *                 AUTH         close ORDER                     close ORDER
 * Memory:         one plain struct inside a connection's slot. Storage of the identifier window and
 *                 of the aliases is lent by the engine when first needed. A delivered PUBLISH with
 *                 an alias borrows its topic from that storage; a filled CONNACK borrows the
 *                 assigned identifier; reason strings are static
 * Threads:        pure; the caller brings the time
 * Limits:         those of the options; at each the session ends with the status that says which.
 *                 Too many user properties are a property out of range (0x82): a milder answer to
 *                 fewer of them is the role's, which then sets this bound above its own. A will is
 *                 accepted, checked for form and never published
 * Decisions:      an acknowledgement that names no identifier in use changes nothing and closes
 *                 nothing: after a resume the peer may still answer what the old connection sent.
 *                 A client's role hears of it, and of a PINGRESP that nobody waits for. Which kind
 *                 of packet an identifier was taken for is the tag's to say: a peer that answers a
 *                 SUBSCRIBE with PUBACK is delivered as such, and the role compares. Topics are
 *                 measured without the tracing suffix that some SDKs append
 * Not here:       bytes: frame.c, decode.c, encode.c; size of an incoming packet: frame.c; codes
 *                 for the peer: reason.c; how fast: rate.c; what a topic means, who may connect,
 *                 what is delivered, what outlives a connection: engine/roles
 */
#include "proto/session.h"

#include "proto/reason.h"
#include "proto/topic.h"
#include <fleetmux/private/assert.h>

/* The longest CONNACK or DISCONNECT with which a session ends, save its reason string. */
#define LAST_WORD_BYTES 16u

#define CHECK_IN_DEBUG(session) FMX_DEBUG_ASSERT((fmx_session_check(session), true))

/* ---- states ---------------------------------------------------------------------------------- */

#define FROM(state) (1u << (state))

/* For each state, those from which it may be entered. */
static const unsigned may_enter_from[] = {
    [FMX_SESSION_EXPECT_CONNECT] = 0,
    [FMX_SESSION_EXPECT_START] = 0,
    [FMX_SESSION_EXPECT_VERDICT] = FROM(FMX_SESSION_EXPECT_CONNECT),
    [FMX_SESSION_EXPECT_CONNACK] = FROM(FMX_SESSION_EXPECT_START),
    [FMX_SESSION_OPEN] = FROM(FMX_SESSION_EXPECT_VERDICT) | FROM(FMX_SESSION_EXPECT_CONNACK),
    [FMX_SESSION_ENDED] = FROM(FMX_SESSION_EXPECT_CONNECT) | FROM(FMX_SESSION_EXPECT_START) |
                          FROM(FMX_SESSION_EXPECT_VERDICT) | FROM(FMX_SESSION_EXPECT_CONNACK) |
                          FROM(FMX_SESSION_OPEN),
};

static void enter(struct fmx_session *session, enum fmx_session_state state)
{
    FMX_ASSERT((may_enter_from[state] & FROM(session->state)) != 0);
    session->state = (uint8_t)state;
}

static bool is_server(const struct fmx_session *session)
{
    return session->side == FMX_SIDE_SERVER;
}

static bool is_v5(const struct fmx_session *session)
{
    return session->version == FMX_MQTT_50;
}

/* How many QoS 1 messages the peer may have in flight towards us; before 5.0 nobody told it. */
static uint32_t receive_max(const struct fmx_session *session)
{
    return is_v5(session) ? session->options->receive_max : FMX_RECEIVE_MAX_DEFAULT;
}

static void check_options(const struct fmx_session_options *options)
{
    FMX_ASSERT(options->packet_bytes_max >= LAST_WORD_BYTES);
    FMX_ASSERT(options->packet_bytes_max <= FMX_PACKET_BYTES_MAX);
    FMX_ASSERT(options->inflight_max - 1 < FMX_INFLIGHT_MAX);
    FMX_ASSERT(options->topic_bytes_max - 1 < FMX_STRING_BYTES_MAX);
    FMX_ASSERT(options->topic_levels_max - 1 < FMX_TOPIC_LEVELS_MAX);
    FMX_ASSERT(options->receive_max > 0);
    FMX_ASSERT(options->keepalive_max_s == 0 ||
               options->keepalive_min_s <= options->keepalive_max_s);
}

void fmx_session_init(struct fmx_session *session, enum fmx_side side,
                      const struct fmx_session_options *options)
{
    check_options(options);
    *session = (struct fmx_session){
        .options = options,
        .peer_packet_bytes_max = FMX_PACKET_BYTES_MAX,
        .peer_receive_max = FMX_RECEIVE_MAX_DEFAULT,
        .peer_qos_max = 1,
        .peer_has_retain = true,
        .problem_info = true,
        .version = FMX_MQTT_311,
        .side = (uint8_t)side,
        .state = side == FMX_SIDE_SERVER ? FMX_SESSION_EXPECT_CONNECT : FMX_SESSION_EXPECT_START,
    };
    fmx_inflight_init(&session->out, NULL, 0);
}

void fmx_session_check(const struct fmx_session *session)
{
    bool is_open = session->state == FMX_SESSION_OPEN;

    FMX_ASSERT(session->state <= FMX_SESSION_ENDED);
    FMX_ASSERT(session->version >= FMX_MQTT_31 && session->version <= FMX_MQTT_50);
    FMX_ASSERT(session->unacked_in <= receive_max(session));
    FMX_ASSERT(session->peer_receive_max > 0);
    FMX_ASSERT(session->aliases == NULL ||
               session->aliases->capacity <= session->options->topic_alias_max);
    FMX_ASSERT(!session->ping_is_due || (!is_server(session) && is_open));
    FMX_ASSERT(!session->connect_came || is_server(session));
    FMX_ASSERT(!is_server(session) || session->state == FMX_SESSION_EXPECT_CONNECT ||
               session->state == FMX_SESSION_ENDED || session->connect_came);
    fmx_inflight_check(&session->out);
}

/* ---- limits: ours, told to the peer; the peer's, remembered ---------------------------------- */

static void set_present(struct fmx_props *props, enum fmx_prop prop, bool is_present)
{
    uint64_t bit = FMX_PROP_BIT(prop);

    props->present = is_present ? props->present | bit : props->present & ~bit;
}

/* What either side announces; the specification's default goes unsaid. */
static void announce_limits(const struct fmx_session_options *options, struct fmx_props *props)
{
    props->receive_max = options->receive_max;
    props->packet_bytes_max = options->packet_bytes_max;
    props->topic_alias_max = options->topic_alias_max;
    set_present(props, FMX_PROP_RECEIVE_MAX, options->receive_max < FMX_RECEIVE_MAX_DEFAULT);
    set_present(props, FMX_PROP_PACKET_BYTES_MAX, options->packet_bytes_max < FMX_PACKET_BYTES_MAX);
    set_present(props, FMX_PROP_TOPIC_ALIAS_MAX, options->topic_alias_max > 0);
}

/* What the peer announces in CONNECT or CONNACK. */
static void keep_peer_limits(struct fmx_session *session, const struct fmx_props *props)
{
    if (fmx_props_has(props, FMX_PROP_RECEIVE_MAX) && props->receive_max > 0) {
        session->peer_receive_max = props->receive_max;
    }
    if (fmx_props_has(props, FMX_PROP_PACKET_BYTES_MAX) &&
        props->packet_bytes_max < FMX_PACKET_BYTES_MAX) {
        session->peer_packet_bytes_max = props->packet_bytes_max;
    }
    if (fmx_props_has(props, FMX_PROP_TOPIC_ALIAS_MAX)) {
        session->peer_alias_max = props->topic_alias_max;
    }
}

static enum fmx_status check_users(const struct fmx_session *session, const struct fmx_props *props)
{
    return fmx_props_has(props, FMX_PROP_USER_PROPERTY) &&
                   props->user_count > session->options->user_properties_max
               ? FMX_PEER_PROPERTY_VALUE
               : FMX_OK;
}

/* A Response Topic is a topic name (5.0, 3.3.2.3.5). */
static enum fmx_status check_response_topic(const struct fmx_props *props)
{
    return fmx_props_has(props, FMX_PROP_RESPONSE_TOPIC)
               ? fmx_topic_check_name(props->response_topic)
               : FMX_OK;
}

static enum fmx_status check_topic(const struct fmx_session *session, fmx_slice topic)
{
    const struct fmx_session_options *options = session->options;

    /* A topic of n bytes has at most n + 1 levels: the short ones need no counting. */
    if (topic.bytes <= options->topic_bytes_max && topic.bytes < options->topic_levels_max) {
        return FMX_OK;
    }
    topic = fmx_topic_strip_rid(topic);
    if (topic.bytes > options->topic_bytes_max ||
        fmx_topic_levels(topic) > options->topic_levels_max) {
        return FMX_LIMIT_TOPIC;
    }
    return FMX_OK;
}

/* ---- CONNECT, as the server hears it --------------------------------------------------------- */

void fmx_session_on_version(struct fmx_session *session, unsigned asked)
{
    FMX_ASSERT(session->state == FMX_SESSION_EXPECT_CONNECT);
    session->connect_came = true;
    session->version = asked <= FMX_MQTT_31    ? FMX_MQTT_31
                       : asked == FMX_MQTT_311 ? FMX_MQTT_311
                                               : FMX_MQTT_50;
}

/* May the identifier be empty? 5.0: one is assigned. 3.1.1: for a clean session. 3.1: never. */
static bool can_lack_client_id(const struct fmx_connect *connect)
{
    return connect->version == FMX_MQTT_50 || (connect->version == FMX_MQTT_311 && connect->clean);
}

static enum fmx_status check_connect(const struct fmx_session *session,
                                     const struct fmx_connect *connect)
{
    enum fmx_status status = check_users(session, &connect->props);

    if (fmx_props_has(&connect->props, FMX_PROP_AUTH_METHOD)) {
        return FMX_PEER_AUTH_METHOD;
    }
    if (fmx_props_has(&connect->props, FMX_PROP_AUTH_DATA)) {
        return FMX_PEER_PROPERTY_VALUE;
    }
    if (connect->client_id.bytes == 0 && !can_lack_client_id(connect)) {
        return FMX_PEER_CLIENT_ID;
    }
    if (status == FMX_OK && connect->has_will) {
        status = check_users(session, &connect->will_props);
        status = status == FMX_OK ? check_response_topic(&connect->will_props) : status;
    }
    return status;
}

static enum fmx_status grant_keepalive(struct fmx_session *session, uint16_t asked_s)
{
    const struct fmx_session_options *options = session->options;

    bool is_longer =
        options->keepalive_max_s > 0 && (asked_s == 0 || asked_s > options->keepalive_max_s);

    if (asked_s < options->keepalive_min_s || (is_longer && options->keepalive_is_refused)) {
        return FMX_PEER_KEEPALIVE_RANGE;
    }
    session->keepalive_is_lowered = is_longer;
    session->keepalive_s = session->keepalive_is_lowered ? options->keepalive_max_s : asked_s;
    return FMX_OK;
}

static void grant_expiry(struct fmx_session *session, uint32_t asked_s)
{
    uint32_t max_s = session->options->session_expiry_max_s;

    session->expiry_is_lowered = asked_s > max_s;
    session->session_expiry_s = session->expiry_is_lowered ? max_s : asked_s;
}

/* How long the client wants its session to outlive the connection; before 5.0: for good or not. */
static uint32_t expiry_asked(const struct fmx_connect *connect)
{
    if (connect->version != FMX_MQTT_50) {
        return connect->clean ? 0 : UINT32_MAX;
    }
    return fmx_props_has(&connect->props, FMX_PROP_SESSION_EXPIRY) ? connect->props.session_expiry_s
                                                                   : 0;
}

static enum fmx_status grant(struct fmx_session *session, const struct fmx_connect *connect)
{
    grant_expiry(session, expiry_asked(connect));
    return grant_keepalive(session, connect->keepalive_s);
}

enum fmx_status fmx_session_use(struct fmx_session *session,
                                const struct fmx_session_options *options,
                                const struct fmx_connect *connect)
{
    FMX_ASSERT(session->state == FMX_SESSION_EXPECT_VERDICT);
    check_options(options);
    session->options = options;
    return grant(session, connect);
}

static bool wants_problem_info(const struct fmx_props *props)
{
    return !fmx_props_has(props, FMX_PROP_REQUEST_PROBLEM) || props->request_problem != 0;
}

static enum fmx_status on_connect(struct fmx_session *session, struct fmx_packet *packet,
                                  struct fmx_actions *actions)
{
    const struct fmx_connect *connect = &packet->connect;

    fmx_session_on_version(session, (unsigned)connect->version);
    session->clean = connect->clean;
    session->problem_info = wants_problem_info(&connect->props);
    keep_peer_limits(session, &connect->props);
    enum fmx_status status = check_connect(session, connect);
    if (status == FMX_OK) {
        status = grant(session, connect);
    }
    if (status == FMX_OK) {
        enter(session, FMX_SESSION_EXPECT_VERDICT);
        actions->todo = FMX_DO_DELIVER;
    }
    return status;
}

/* 5.0 only: all that a client has to know beyond the specification's defaults. */
static void fill_connack_props(const struct fmx_session *session, fmx_slice assigned,
                               struct fmx_props *props)
{
    announce_limits(session->options, props);
    props->maximum_qos = 1;
    props->retain_available = 0;
    props->subscription_id_available = 0;
    props->shared_available = 0;
    props->server_keepalive_s = session->keepalive_s;
    props->session_expiry_s = session->session_expiry_s;
    props->assigned_client_id = assigned;
    set_present(props, FMX_PROP_MAXIMUM_QOS, true);
    set_present(props, FMX_PROP_RETAIN_AVAILABLE, session->options->retain_is_refused);
    set_present(props, FMX_PROP_SUBSCRIPTION_ID_AVAILABLE, true);
    set_present(props, FMX_PROP_SHARED_AVAILABLE, true);
    set_present(props, FMX_PROP_SERVER_KEEP_ALIVE, session->keepalive_is_lowered);
    set_present(props, FMX_PROP_SESSION_EXPIRY, session->expiry_is_lowered);
    set_present(props, FMX_PROP_ASSIGNED_CLIENT_ID, assigned.bytes > 0);
}

void fmx_session_admit(struct fmx_session *session, bool session_present, fmx_slice assigned,
                       struct fmx_packet *out_connack)
{
    FMX_ASSERT(!(session_present && session->clean));
    enter(session, FMX_SESSION_OPEN);
    *out_connack = (struct fmx_packet){.kind = FMX_CONNACK};
    /* In 3.1 the bit does not exist yet. */
    out_connack->connack.session_present = session_present && session->version != FMX_MQTT_31;
    if (is_v5(session)) {
        fill_connack_props(session, assigned, &out_connack->connack.props);
    }
    CHECK_IN_DEBUG(session);
}

/* ---- CONNACK, as the client hears it --------------------------------------------------------- */

void fmx_session_set_options(struct fmx_session *session, const struct fmx_session_options *options)
{
    FMX_ASSERT(session->state == FMX_SESSION_EXPECT_START);
    check_options(options);
    session->options = options;
}

void fmx_session_connect(struct fmx_session *session, struct fmx_connect *connect)
{
    enter(session, FMX_SESSION_EXPECT_CONNACK);
    session->version = (uint8_t)connect->version;
    session->clean = connect->clean;
    session->keepalive_s = connect->keepalive_s;
    session->session_expiry_s = expiry_asked(connect);
    session->problem_info = wants_problem_info(&connect->props);
    if (is_v5(session)) {
        announce_limits(session->options, &connect->props);
    }
    CHECK_IN_DEBUG(session);
}

static void keep_server_terms(struct fmx_session *session, const struct fmx_props *props)
{
    keep_peer_limits(session, props);
    if (fmx_props_has(props, FMX_PROP_SERVER_KEEP_ALIVE)) {
        session->keepalive_s = props->server_keepalive_s;
    }
    if (fmx_props_has(props, FMX_PROP_SESSION_EXPIRY)) {
        session->session_expiry_s = props->session_expiry_s;
    }
    if (fmx_props_has(props, FMX_PROP_MAXIMUM_QOS) && props->maximum_qos == 0) {
        session->peer_qos_max = 0;
    }
    if (fmx_props_has(props, FMX_PROP_RETAIN_AVAILABLE)) {
        session->peer_has_retain = props->retain_available != 0;
    }
}

static enum fmx_status on_connack(struct fmx_session *session, struct fmx_packet *packet,
                                  struct fmx_actions *actions)
{
    const struct fmx_connack *connack = &packet->connack;

    if (connack->reason != FMX_REASON_SUCCESS) {
        actions->todo = FMX_DO_DELIVER;
        return FMX_PEER_REFUSED;
    }
    /* A session that was to begin afresh cannot be there already (3.2.2.1.1). */
    if (connack->session_present && session->clean && session->version != FMX_MQTT_31) {
        return FMX_PEER_ORDER;
    }
    keep_server_terms(session, &connack->props);
    enter(session, FMX_SESSION_OPEN);
    actions->todo = FMX_DO_DELIVER;
    return FMX_OK;
}

/* ---- packets of an open session -------------------------------------------------------------- */

/* Topic or alias, or both; afterwards the topic is there. */
static enum fmx_status resolve_topic(const struct fmx_session *session, struct fmx_publish *publish)
{
    uint16_t alias = publish->props.topic_alias;

    if (!fmx_props_has(&publish->props, FMX_PROP_TOPIC_ALIAS)) {
        return publish->topic.bytes > 0 ? check_topic(session, publish->topic)
                                        : FMX_PEER_TOPIC_NAME;
    }
    if (alias == 0 || alias > session->options->topic_alias_max) {
        return FMX_PEER_ALIAS;
    }
    if (publish->topic.bytes > 0) {
        return check_topic(session, publish->topic);
    }
    return fmx_alias_in_get(session->aliases, alias, &publish->topic);
}

/* What only a server has to ask of a PUBLISH. */
static enum fmx_status check_client_publish(const struct fmx_session *session,
                                            struct fmx_publish *publish)
{
    if (fmx_props_has(&publish->props, FMX_PROP_SUBSCRIPTION_ID)) {
        return FMX_PEER_PROPERTY;
    }
    if (publish->retain && session->options->retain_is_refused) {
        if (is_v5(session)) {
            return FMX_PEER_RETAIN;
        }
        /* Nobody could be told in advance: an ordinary message. */
        publish->retain = false;
    }
    return FMX_OK;
}

static enum fmx_status check_publish(const struct fmx_session *session, struct fmx_publish *publish)
{
    enum fmx_status status = FMX_OK;

    if (publish->qos > 1) {
        return FMX_PEER_QOS2;
    }
    if (is_server(session)) {
        status = check_client_publish(session, publish);
    }
    if (status == FMX_OK && publish->props.present != 0) {
        status = check_users(session, &publish->props);
        status = status == FMX_OK ? check_response_topic(&publish->props) : status;
    }
    return status == FMX_OK ? resolve_topic(session, publish) : status;
}

static enum fmx_status on_publish(struct fmx_session *session, struct fmx_packet *packet,
                                  struct fmx_actions *actions)
{
    enum fmx_status status = check_publish(session, &packet->publish);

    if (status != FMX_OK) {
        return status;
    }
    if (packet->publish.qos == 1) {
        if (session->unacked_in >= receive_max(session)) {
            return FMX_PEER_RECEIVE_MAX;
        }
        session->unacked_in++;
    }
    actions->todo = FMX_DO_DELIVER;
    return FMX_OK;
}

static enum fmx_status give_back(struct fmx_session *session, uint16_t packet_id,
                                 struct fmx_actions *actions)
{
    if (fmx_inflight_give(&session->out, packet_id, &actions->tag) == FMX_OK ||
        !is_server(session)) {
        actions->todo = FMX_DO_DELIVER;
    }
    return FMX_OK;
}

static enum fmx_status on_puback(struct fmx_session *session, struct fmx_packet *packet,
                                 struct fmx_actions *actions)
{
    return give_back(session, packet->ack.packet_id, actions);
}

/* SUBACK, UNSUBACK */
static enum fmx_status on_suback(struct fmx_session *session, struct fmx_packet *packet,
                                 struct fmx_actions *actions)
{
    return give_back(session, packet->suback.packet_id, actions);
}

static enum fmx_status on_qos2_step(struct fmx_session *session, struct fmx_packet *packet,
                                    struct fmx_actions *actions)
{
    (void)session;
    (void)packet;
    (void)actions;
    return FMX_PEER_QOS2;
}

static enum fmx_status check_filters(const struct fmx_session *session,
                                     const struct fmx_subscribe *subscribe, bool has_options)
{
    struct fmx_filter entry;
    size_t offset = 0;

    while (fmx_filter_next(subscribe->filters, has_options, &offset, &entry) == FMX_OK) {
        enum fmx_status status = check_topic(session, entry.filter);
        if (status != FMX_OK) {
            return status;
        }
    }
    return FMX_OK;
}

/* SUBSCRIBE and UNSUBSCRIBE */
static enum fmx_status on_subscribe(struct fmx_session *session, struct fmx_packet *packet,
                                    struct fmx_actions *actions)
{
    const struct fmx_subscribe *subscribe = &packet->subscribe;
    enum fmx_status status = check_users(session, &subscribe->props);

    if (fmx_props_has(&subscribe->props, FMX_PROP_SUBSCRIPTION_ID)) {
        return FMX_PEER_SUBSCRIPTION_ID;
    }
    if (status == FMX_OK) {
        status = check_filters(session, subscribe, packet->kind == FMX_SUBSCRIBE);
    }
    if (status == FMX_OK) {
        actions->todo = FMX_DO_DELIVER;
    }
    return status;
}

static enum fmx_status on_pingreq(struct fmx_session *session, struct fmx_packet *packet,
                                  struct fmx_actions *actions)
{
    (void)session;
    (void)packet;
    actions->todo = FMX_DO_REPLY;
    actions->reply = FMX_PINGRESP;
    return FMX_OK;
}

static enum fmx_status on_pingresp(struct fmx_session *session, struct fmx_packet *packet,
                                   struct fmx_actions *actions)
{
    (void)packet;
    actions->todo = session->ping_is_due ? 0 : FMX_DO_DELIVER;
    session->ping_is_due = false;
    return FMX_OK;
}

/* A client may change its expiry, but not wake a session that was to end (3.14.2.2.2). */
static enum fmx_status change_expiry(struct fmx_session *session, uint32_t asked_s)
{
    bool asked_none = session->session_expiry_s == 0 && !session->expiry_is_lowered;

    if (asked_none && asked_s > 0) {
        return FMX_PEER_PROPERTY_VALUE;
    }
    grant_expiry(session, asked_s);
    return FMX_OK;
}

static enum fmx_status on_client_disconnect(struct fmx_session *session, struct fmx_packet *packet,
                                            struct fmx_actions *actions)
{
    const struct fmx_props *props = &packet->disconnect.props;
    enum fmx_status status = check_users(session, props);

    if (fmx_props_has(props, FMX_PROP_SERVER_REFERENCE)) {
        return FMX_PEER_PROPERTY;
    }
    if (status == FMX_OK && fmx_props_has(props, FMX_PROP_SESSION_EXPIRY)) {
        status = change_expiry(session, props->session_expiry_s);
    }
    if (status != FMX_OK) {
        return status;
    }
    actions->todo = FMX_DO_DELIVER;
    return FMX_PEER_DISCONNECT;
}

static enum fmx_status on_server_disconnect(struct fmx_session *session, struct fmx_packet *packet,
                                            struct fmx_actions *actions)
{
    if (!is_v5(session)) {
        return FMX_PEER_ORDER;
    }
    if (fmx_props_has(&packet->disconnect.props, FMX_PROP_SESSION_EXPIRY)) {
        return FMX_PEER_PROPERTY;
    }
    actions->todo = FMX_DO_DELIVER;
    return FMX_PEER_DISCONNECT;
}

/* ---- the door for packets -------------------------------------------------------------------- */

/* Sets `todo`; a failure is added to it as FMX_DO_CLOSE. */
typedef enum fmx_status on_kind(struct fmx_session *session, struct fmx_packet *packet,
                                struct fmx_actions *actions);

/* In OPEN, by the packet's kind and the side that hears it; empty: not allowed there. */
static on_kind *const open_rows[FMX_AUTH + 1][2] = {
    [FMX_PUBLISH] = {on_publish, on_publish},
    [FMX_PUBACK] = {on_puback, on_puback},
    [FMX_PUBREC] = {on_qos2_step, on_qos2_step},
    [FMX_PUBREL] = {on_qos2_step, on_qos2_step},
    [FMX_PUBCOMP] = {on_qos2_step, on_qos2_step},
    [FMX_SUBSCRIBE] = {on_subscribe, NULL},
    [FMX_SUBACK] = {NULL, on_suback},
    [FMX_UNSUBSCRIBE] = {on_subscribe, NULL},
    [FMX_UNSUBACK] = {NULL, on_suback},
    [FMX_PINGREQ] = {on_pingreq, NULL},
    [FMX_PINGRESP] = {NULL, on_pingresp},
    [FMX_DISCONNECT] = {on_client_disconnect, on_server_disconnect},
};

static_assert(FMX_SIDE_SERVER == 0 && FMX_SIDE_CLIENT == 1, "the columns of open_rows");

static on_kind *handler_of(const struct fmx_session *session, enum fmx_packet_kind kind)
{
    switch ((enum fmx_session_state)session->state) {
    case FMX_SESSION_EXPECT_CONNECT:
        return kind == FMX_CONNECT ? on_connect : NULL;
    case FMX_SESSION_EXPECT_CONNACK:
        return kind == FMX_CONNACK ? on_connack : NULL;
    case FMX_SESSION_OPEN:
        return kind <= FMX_AUTH ? open_rows[kind][session->side] : NULL;
    case FMX_SESSION_EXPECT_START: /* a server that speaks before it is spoken to */
    case FMX_SESSION_EXPECT_VERDICT:
    case FMX_SESSION_ENDED:
        break;
    }
    return NULL;
}

enum fmx_status fmx_session_on_head(const struct fmx_session *session, enum fmx_packet_kind kind)
{
    bool is_later = session->state == FMX_SESSION_EXPECT_VERDICT || /* it has to wait anyway */
                    session->state == FMX_SESSION_ENDED;

    return is_later || handler_of(session, kind) != NULL ? FMX_OK : FMX_PEER_ORDER;
}

void fmx_session_on_packet(struct fmx_session *session, struct fmx_packet *packet,
                           struct fmx_actions *out_actions)
{
    CHECK_IN_DEBUG(session);
    FMX_ASSERT(session->state != FMX_SESSION_EXPECT_VERDICT);
    *out_actions = (struct fmx_actions){0};
    if (session->state == FMX_SESSION_ENDED) {
        return;
    }
    on_kind *handler = handler_of(session, packet->kind);
    enum fmx_status status =
        handler != NULL ? handler(session, packet, out_actions) : FMX_PEER_ORDER;
    if (status != FMX_OK) {
        out_actions->todo |= FMX_DO_CLOSE;
        out_actions->close_status = status;
    }
}

/* ---- towards the peer ------------------------------------------------------------------------ */

uint32_t fmx_session_window_left(const struct fmx_session *session)
{
    uint32_t ours = session->options->inflight_max;
    uint32_t window = session->peer_receive_max < ours ? session->peer_receive_max : ours;

    return session->out.used < window ? window - session->out.used : 0;
}

enum fmx_status fmx_session_publish(struct fmx_session *session, struct fmx_publish *publish,
                                    size_t packet_bytes, uint64_t tag)
{
    CHECK_IN_DEBUG(session);
    if (session->state != FMX_SESSION_OPEN) {
        return FMX_E_STATE;
    }
    if (publish->qos > session->peer_qos_max || (publish->retain && !session->peer_has_retain)) {
        return FMX_E_ARGUMENT;
    }
    if (packet_bytes > session->peer_packet_bytes_max) {
        return FMX_E_TOO_LARGE;
    }
    if (publish->qos == 0) {
        publish->packet_id = 0;
        return FMX_OK;
    }
    if (fmx_session_window_left(session) == 0) {
        return FMX_FULL;
    }
    return fmx_inflight_take(&session->out, tag, &publish->packet_id);
}

void fmx_session_acknowledged(struct fmx_session *session)
{
    FMX_ASSERT(session->unacked_in > 0);
    session->unacked_in--;
}

/* ---- the last word --------------------------------------------------------------------------- */

/* Is nobody there to hear it, or has the peer had its own last word? */
static bool is_unheard(enum fmx_status status)
{
    enum fmx_status_class status_class = fmx_status_class(status);

    return status == FMX_PEER_CLOSED || status == FMX_PEER_RESET || status == FMX_PEER_DISCONNECT ||
           status == FMX_PEER_REFUSED || status_class == FMX_CLASS_SYSTEM ||
           (status_class == FMX_CLASS_TLS && status != FMX_TLS_IDENTITY);
}

static bool is_planned(enum fmx_status status)
{
    enum fmx_status_class status_class = fmx_status_class(status);

    return status_class == FMX_CLASS_OK || status_class == FMX_CLASS_LOCAL;
}

/* Why, in words, if the peer's Maximum Packet Size leaves room for them. */
static void say_why(const struct fmx_session *session, enum fmx_status status, fmx_slice words,
                    struct fmx_props *props)
{
    fmx_slice text = words.bytes > 0 ? words : fmx_slice_of(fmx_status_text(status));

    if (is_v5(session) && LAST_WORD_BYTES + text.bytes <= session->peer_packet_bytes_max) {
        props->reason_string = text;
        set_present(props, FMX_PROP_REASON_STRING, true);
    }
}

static bool fill_refusal(const struct fmx_session *session, enum fmx_status status, fmx_slice words,
                         struct fmx_packet *packet)
{
    uint8_t reason = fmx_reason_for_connack(status, (enum fmx_version)session->version);

    *packet = (struct fmx_packet){.kind = FMX_CONNACK};
    packet->connack.reason = reason;
    say_why(session, status, words, &packet->connack.props);
    return reason != FMX_REASON_SUCCESS;
}

/* Some codes are for one side only; then the nearest one that is not. */
static uint8_t disconnect_reason(const struct fmx_session *session, enum fmx_status status)
{
    enum fmx_side side = (enum fmx_side)session->side;
    uint8_t reason = status < 0 ? fmx_reason_for_disconnect(status) : FMX_REASON_SUCCESS;

    if (reason == FMX_REASON_SUCCESS) {
        return side == FMX_SIDE_CLIENT ? FMX_REASON_SUCCESS : FMX_REASON_ADMINISTRATIVE;
    }
    if (fmx_reason_is_allowed(reason, FMX_DISCONNECT, side)) {
        return reason;
    }
    return is_planned(status) ? FMX_REASON_SUCCESS : FMX_REASON_IMPLEMENTATION;
}

static bool fill_disconnect(const struct fmx_session *session, enum fmx_status status,
                            fmx_slice words, struct fmx_packet *packet)
{
    *packet = (struct fmx_packet){.kind = FMX_DISCONNECT};
    if (!is_v5(session)) {
        return !is_server(session) && is_planned(status);
    }
    packet->disconnect.reason = disconnect_reason(session, status);
    if (packet->disconnect.reason != FMX_REASON_SUCCESS) {
        say_why(session, status, words, &packet->disconnect.props);
    }
    return true;
}

bool fmx_session_end(struct fmx_session *session, enum fmx_status status, fmx_slice words,
                     struct fmx_packet *out_packet)
{
    enum fmx_session_state state = (enum fmx_session_state)session->state;
    bool has_word = false;

    if (state == FMX_SESSION_ENDED) {
        return false;
    }
    if (!is_unheard(status) && !session->is_mute &&
        session->peer_packet_bytes_max >= LAST_WORD_BYTES) {
        if (state == FMX_SESSION_OPEN) {
            has_word = fill_disconnect(session, status, words, out_packet);
        } else if (session->connect_came) {
            has_word = fill_refusal(session, status, words, out_packet);
        }
    }
    session->ping_is_due = false;
    enter(session, FMX_SESSION_ENDED);
    CHECK_IN_DEBUG(session);
    return has_word;
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t later(uint64_t time_ns, uint64_t span_ns)
{
    return time_ns < UINT64_MAX - span_ns ? time_ns + span_ns : UINT64_MAX;
}

static void close_at(uint64_t *deadline_ns, uint64_t now_ns, enum fmx_status status,
                     struct fmx_actions *actions)
{
    if (now_ns >= *deadline_ns) {
        actions->todo = FMX_DO_CLOSE;
        actions->close_status = status;
        *deadline_ns = UINT64_MAX;
    }
}

/* The client's half: ask for a sign of life in time, and wait half as long for it. */
static uint64_t on_client_time(struct fmx_session *session, uint64_t now_ns, uint64_t last_out_ns,
                               struct fmx_actions *actions)
{
    uint64_t keepalive_ns = session->keepalive_s * FMX_NS_PER_S;
    uint64_t deadline_ns = later(session->ping_sent_ns, keepalive_ns / 2);

    if (session->ping_is_due) {
        close_at(&deadline_ns, now_ns, FMX_PEER_SILENT, actions);
        return deadline_ns;
    }
    if (now_ns < later(last_out_ns, keepalive_ns)) {
        return later(last_out_ns, keepalive_ns);
    }
    session->ping_is_due = true;
    session->ping_sent_ns = now_ns;
    actions->todo = FMX_DO_REPLY;
    actions->reply = FMX_PINGREQ;
    return later(now_ns, keepalive_ns / 2);
}

uint64_t fmx_session_on_time(struct fmx_session *session, uint64_t now_ns, uint64_t last_in_ns,
                             uint64_t last_out_ns, struct fmx_actions *out_actions)
{
    CHECK_IN_DEBUG(session);
    *out_actions = (struct fmx_actions){0};
    if (session->state != FMX_SESSION_OPEN || session->keepalive_s == 0 || session->is_mute) {
        return UINT64_MAX;
    }
    if (!is_server(session)) {
        return on_client_time(session, now_ns, last_out_ns, out_actions);
    }
    uint64_t deadline_ns = later(last_in_ns, session->keepalive_s * FMX_NS_PER_S * 3 / 2);
    close_at(&deadline_ns, now_ns, FMX_PEER_KEEPALIVE, out_actions);
    return deadline_ns;
}
