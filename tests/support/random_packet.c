/*
 * random_packet — sensible packets of every kind, at random and by seed
 *
 * Why it is so:   lengths are mostly small, now and then around 127 and 128, where a length takes a
 *                 second byte, and rarely the greatest that a string can have
 * Memory:         strings live in the caller's store
 * Threads:        pure
 */
#include "tests/support/random_packet.h"

#include <fleetmux/private/assert.h>
#include "proto/reason.h"
#include "tests/support/props_table.h"

static uint32_t below(struct fmx_prng *prng, uint32_t n)
{
    return (uint32_t)fmx_prng_below(prng, n);
}

/* True once in `n` calls. */
static bool once_in(struct fmx_prng *prng, uint32_t n)
{
    return below(prng, n) == 0;
}

/* --- strings ---------------------------------------------------------------------------------- */

static const char *const characters[] = {"a",
                                         "b",
                                         "k",
                                         "z",
                                         "0",
                                         "9",
                                         "-",
                                         "_",
                                         "/",
                                         ".",
                                         "\x7f",
                                         "\xc2\x80",
                                         "\xc3\xa9",
                                         "\xe4\xb8\xad",
                                         "\xef\xbf\xbd",
                                         "\xf0\x9f\x98\x80",
                                         "\xf4\x8f\xbf\xbf"};

#define CHARACTERS_COUNT (sizeof characters / sizeof characters[0])
#define PLAIN_COUNT      11u
#define STRING_ROOM      65535u

static size_t random_bytes_count(struct fmx_prng *prng)
{
    if (once_in(prng, 400)) {
        return 65535;
    }
    if (once_in(prng, 20)) {
        return 120 + below(prng, 16);
    }
    return below(prng, 14);
}

/* Room for at most `bytes`, less if the store is nearly full. */
static struct fmx_writer room_in(struct fmx_random_store *store, size_t bytes)
{
    size_t left = sizeof store->bytes - store->used;

    if (bytes > 1024 && left < (size_t)3 * STRING_ROOM) {
        bytes = 16;
    }
    FMX_ASSERT(bytes <= left);
    return fmx_writer_of(store->bytes + store->used, bytes);
}

static fmx_slice keep(struct fmx_random_store *store, const struct fmx_writer *writer)
{
    uint8_t *start = store->bytes + store->used;
    fmx_slice span = {start, (size_t)(writer->at - start)};

    store->used += span.bytes;
    return span;
}

static fmx_slice random_text(struct fmx_prng *prng, struct fmx_random_store *store,
                             size_t bytes_min)
{
    size_t bytes = random_bytes_count(prng);
    struct fmx_writer writer = room_in(store, bytes < bytes_min ? bytes_min : bytes);
    size_t count = once_in(prng, 2) ? PLAIN_COUNT : CHARACTERS_COUNT;

    while (writer.at < writer.end) {
        const char *text = characters[below(prng, (uint32_t)count)];
        bool fits = strlen(text) <= (size_t)(writer.end - writer.at);
        fmx_write_bytes(&writer, fmx_slice_of(fits ? text : "x"));
    }
    return keep(store, &writer);
}

static fmx_slice random_binary(struct fmx_prng *prng, struct fmx_random_store *store)
{
    struct fmx_writer writer = room_in(store, random_bytes_count(prng));

    while (writer.at < writer.end) {
        fmx_write_u8(&writer, (uint8_t)fmx_prng_next(prng));
    }
    return keep(store, &writer);
}

static uint16_t random_packet_id(struct fmx_prng *prng)
{
    return (uint16_t)(1 + below(prng, 65535));
}

/* --- properties ------------------------------------------------------------------------------- */

static uint32_t random_number(struct fmx_prng *prng, const struct fmx_prop_row *row)
{
    uint32_t value = (uint32_t)fmx_prng_next(prng) >> below(prng, 32);

    return value == 0 && !row->has_zero ? 1 : value;
}

static void set_random(struct fmx_prng *prng, const struct fmx_prop_row *row,
                       struct fmx_random_store *store, struct fmx_props *props)
{
    void *field = (uint8_t *)props + row->offset;
    uint32_t number = random_number(prng, row);

    switch (row->type) {
    case FMX_TYPE_BYTE:
        *(uint8_t *)field = number & 1;
        break;
    case FMX_TYPE_TWO:
        *(uint16_t *)field = (uint16_t)(number & 0xffff ? number : 1);
        break;
    case FMX_TYPE_FOUR:
        *(uint32_t *)field = number;
        break;
    case FMX_TYPE_VARIABLE:
        *(uint32_t *)field = number > 0x0fffffff ? 0x0fffffff : number;
        break;
    case FMX_TYPE_STRING:
        *(fmx_slice *)field = random_text(prng, store, 1);
        break;
    case FMX_TYPE_BINARY:
        *(fmx_slice *)field = random_binary(prng, store);
        break;
    }
    props->present |= FMX_PROP_BIT(row->prop);
}

static void add_users(struct fmx_prng *prng, struct fmx_random_store *store,
                      struct fmx_props *props)
{
    uint8_t block[2048];
    struct fmx_writer writer = fmx_writer_of(block, sizeof block);

    for (uint32_t left = below(prng, 4); left > 0; left--) {
        fmx_slice key = random_text(prng, store, 0);
        fmx_slice value = random_text(prng, store, 0);
        if (key.bytes + value.bytes <= 300) {
            fmx_user_write(&writer, key, value);
            props->user_count++;
        }
    }
    struct fmx_writer room = room_in(store, (size_t)(writer.at - block));
    fmx_write_bytes(&room, (fmx_slice){block, (size_t)(writer.at - block)});
    FMX_ASSERT(!writer.failed && !room.failed);
    props->raw = keep(store, &room);
}

void fmx_random_props(struct fmx_prng *prng, unsigned place, struct fmx_random_store *store,
                      struct fmx_props *out_props)
{
    memset(out_props, 0, sizeof *out_props);
    if (once_in(prng, 3)) {
        return;
    }
    for (size_t i = 0; i < FMX_PROP_ROWS_COUNT; i++) {
        if (fmx_prop_row_stands_in(&fmx_prop_rows[i], place) && once_in(prng, 2)) {
            set_random(prng, &fmx_prop_rows[i], store, out_props);
        }
    }
    if (!fmx_props_has(out_props, FMX_PROP_AUTH_METHOD)) {
        out_props->present &= ~FMX_PROP_BIT(FMX_PROP_AUTH_DATA);
    }
    if (once_in(prng, 2)) {
        add_users(prng, store, out_props);
    }
}

/* --- the kinds -------------------------------------------------------------------------------- */

struct maker {
    struct fmx_prng *prng;
    struct fmx_random_store *store;
    enum fmx_version version;
    enum fmx_side from;
};

static bool toss(const struct maker *maker)
{
    return once_in(maker->prng, 2);
}

static void make_props(const struct maker *maker, unsigned place, struct fmx_props *props)
{
    memset(props, 0, sizeof *props);
    if (maker->version == FMX_MQTT_50) {
        fmx_random_props(maker->prng, place, maker->store, props);
    }
}

/* 5.0: any code that may stand there; before: one of the few. */
static uint8_t make_reason(const struct maker *maker, enum fmx_packet_kind kind)
{
    static const uint8_t granted[] = {0, 1, 2, 0x80};
    uint8_t reason = 0;

    if (maker->version < FMX_MQTT_50) {
        return kind == FMX_CONNACK ? (uint8_t)below(maker->prng, 6)
                                   : granted[below(maker->prng, 4)];
    }
    do {
        reason = (uint8_t)fmx_prng_next(maker->prng);
    } while (!fmx_reason_is_allowed(reason, kind, maker->from));
    return reason;
}

static void make_connect(const struct maker *maker, struct fmx_connect *connect)
{
    connect->version = maker->version;
    connect->clean = toss(maker);
    connect->keepalive_s = (uint16_t)fmx_prng_next(maker->prng);
    connect->client_id = random_text(maker->prng, maker->store, 1);
    make_props(maker, FMX_CONNECT, &connect->props);
    connect->has_will = toss(maker);
    if (connect->has_will) {
        connect->will_qos = (uint8_t)below(maker->prng, 3);
        connect->will_retain = toss(maker);
        connect->will_topic = random_text(maker->prng, maker->store, 1);
        connect->will_payload = random_binary(maker->prng, maker->store);
        make_props(maker, FMX_PROPS_OF_WILL, &connect->will_props);
    }
    connect->has_username = toss(maker);
    connect->has_password = toss(maker) && (connect->has_username || maker->version == FMX_MQTT_50);
    connect->username = random_text(maker->prng, maker->store, 0);
    connect->password = random_binary(maker->prng, maker->store);
}

static void make_connack(const struct maker *maker, struct fmx_connack *connack)
{
    connack->reason = toss(maker) ? 0 : make_reason(maker, FMX_CONNACK);
    connack->session_present = connack->reason == 0 && maker->version != FMX_MQTT_31 && toss(maker);
    make_props(maker, FMX_CONNACK, &connack->props);
}

static void make_publish(const struct maker *maker, struct fmx_publish *publish)
{
    publish->qos = (uint8_t)below(maker->prng, 3);
    publish->dup = publish->qos > 0 && toss(maker);
    publish->retain = toss(maker);
    publish->packet_id = publish->qos > 0 ? random_packet_id(maker->prng) : 0;
    publish->topic = random_text(maker->prng, maker->store, 1);
    publish->payload = random_binary(maker->prng, maker->store);
    make_props(maker, FMX_PUBLISH, &publish->props);
    if (maker->from == FMX_SIDE_CLIENT) {
        publish->props.present &= ~FMX_PROP_BIT(FMX_PROP_SUBSCRIPTION_ID);
    }
    if (fmx_props_has(&publish->props, FMX_PROP_TOPIC_ALIAS) && toss(maker)) {
        publish->topic.bytes = 0;
    }
}

static void make_ack(const struct maker *maker, enum fmx_packet_kind kind, struct fmx_ack *ack)
{
    ack->packet_id = random_packet_id(maker->prng);
    ack->reason = maker->version < FMX_MQTT_50 || toss(maker) ? 0 : make_reason(maker, kind);
    make_props(maker, kind, &ack->props);
}

static const char *const filters[] = {
    "#", "+", "/", "a/b", "+/b/#", "/+", "a//+", "$SYS/#", "\xe4\xb8\xad/+", "$share/group/a/#"};

static void make_filters(const struct maker *maker, bool has_options,
                         struct fmx_subscribe *subscribe)
{
    struct fmx_writer writer = room_in(maker->store, 1024);

    subscribe->filters_count = 1 + below(maker->prng, 5);
    for (uint32_t i = 0; i < subscribe->filters_count; i++) {
        bool is_5 = maker->version == FMX_MQTT_50;
        fmx_slice text = fmx_slice_of(filters[below(maker->prng, 10)]);
        struct fmx_filter filter = {
            .filter = text,
            .qos = (uint8_t)below(maker->prng, 3),
            .no_local = is_5 && text.data[1] != 's' && toss(maker),
            .retain_as_published = is_5 && toss(maker),
            .retain_handling = is_5 ? (uint8_t)below(maker->prng, 3) : 0,
        };
        fmx_filter_write(&writer, has_options, &filter);
    }
    FMX_ASSERT(!writer.failed);
    subscribe->filters = keep(maker->store, &writer);
}

static void make_subscribe(const struct maker *maker, enum fmx_packet_kind kind,
                           struct fmx_subscribe *subscribe)
{
    subscribe->packet_id = random_packet_id(maker->prng);
    make_props(maker, kind, &subscribe->props);
    make_filters(maker, kind == FMX_SUBSCRIBE, subscribe);
}

static void make_suback(const struct maker *maker, enum fmx_packet_kind kind,
                        struct fmx_suback *suback)
{
    struct fmx_writer writer = room_in(maker->store, 1 + below(maker->prng, 8));

    suback->packet_id = random_packet_id(maker->prng);
    while (writer.at < writer.end) {
        fmx_write_u8(&writer, make_reason(maker, kind));
    }
    if (kind == FMX_SUBACK || maker->version == FMX_MQTT_50) {
        suback->codes = keep(maker->store, &writer);
    }
    make_props(maker, kind, &suback->props);
}

static void make_disconnect(const struct maker *maker, enum fmx_packet_kind kind,
                            struct fmx_disconnect *disconnect)
{
    disconnect->reason = maker->version < FMX_MQTT_50 ? 0 : make_reason(maker, kind);
    make_props(maker, kind, &disconnect->props);
    if (maker->from == FMX_SIDE_SERVER) {
        disconnect->props.present &= ~FMX_PROP_BIT(FMX_PROP_SESSION_EXPIRY);
    }
    if (kind == FMX_AUTH) {
        disconnect->props.auth_method = fmx_slice_of("SCRAM");
        disconnect->props.present |= FMX_PROP_BIT(FMX_PROP_AUTH_METHOD);
    }
}

static enum fmx_packet_kind random_kind(const struct maker *maker)
{
    static const uint8_t of_client[] = {FMX_PUBLISH,   FMX_PUBACK,     FMX_PUBREC,  FMX_PUBREL,
                                        FMX_PUBCOMP,   FMX_CONNECT,    FMX_PINGREQ, FMX_UNSUBSCRIBE,
                                        FMX_SUBSCRIBE, FMX_DISCONNECT, FMX_AUTH};
    static const uint8_t of_server[] = {FMX_PUBLISH,  FMX_PUBACK,     FMX_PUBREC, FMX_PUBREL,
                                        FMX_PUBCOMP,  FMX_CONNACK,    FMX_SUBACK, FMX_UNSUBACK,
                                        FMX_PINGRESP, FMX_DISCONNECT, FMX_AUTH};
    bool is_server = maker->from == FMX_SIDE_SERVER;
    uint32_t missing = maker->version == FMX_MQTT_50 ? 0 : is_server ? 2 : 1;
    uint32_t pick = below(maker->prng, (uint32_t)sizeof of_client - missing);

    return (enum fmx_packet_kind)(is_server ? of_server : of_client)[pick];
}

void fmx_random_packet(struct fmx_prng *prng, enum fmx_version version, enum fmx_side from,
                       struct fmx_random_store *store, struct fmx_packet *out_packet)
{
    struct maker maker = {prng, store, version, from};

    memset(out_packet, 0, sizeof *out_packet);
    store->used = 0;
    out_packet->kind = random_kind(&maker);
    switch (out_packet->kind) {
    case FMX_CONNECT:
        make_connect(&maker, &out_packet->connect);
        break;
    case FMX_CONNACK:
        make_connack(&maker, &out_packet->connack);
        break;
    case FMX_PUBLISH:
        make_publish(&maker, &out_packet->publish);
        break;
    case FMX_PUBACK:
    case FMX_PUBREC:
    case FMX_PUBREL:
    case FMX_PUBCOMP:
        make_ack(&maker, out_packet->kind, &out_packet->ack);
        break;
    case FMX_SUBSCRIBE:
    case FMX_UNSUBSCRIBE:
        make_subscribe(&maker, out_packet->kind, &out_packet->subscribe);
        break;
    case FMX_SUBACK:
    case FMX_UNSUBACK:
        make_suback(&maker, out_packet->kind, &out_packet->suback);
        break;
    case FMX_DISCONNECT:
    case FMX_AUTH:
        make_disconnect(&maker, out_packet->kind, &out_packet->disconnect);
        break;
    case FMX_PINGREQ:
    case FMX_PINGRESP:
        break;
    }
}
