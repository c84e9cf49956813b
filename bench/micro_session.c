/*
 * micro_session — a session's rules, its window, a bucket
 *
 * Why it is so:   a session is brought to OPEN by a CONNECT as a client sends it, so that what is
 *                 measured is what a gateway's session does; one session in the nearest cache, for
 *                 its own cost is asked for and not that of fetching it
 * Words:          window: identifiers in use; held: those in use, the oldest goes as one comes
 * Memory:         one world a row; the largest, 100,000 buckets, has 2 MB
 * Limits:         time is made up: 1 µs a message, so that a bucket of 10⁶ messages/s never runs
 *                 dry, and one of 1 message/s always
 * Not here:       packets: micro_proto.c
 */
#include "bench/micro_packets.h"
#include "proto/rate.h"
#include "proto/session.h"

#include <stdlib.h>

/* ---- session --------------------------------------------------------------------------------- */

#define HELD 32u

struct session_world {
    struct fmx_session session;
    struct micro_packets packets;
    uint64_t tags[2 * HELD];
    uint16_t held[HELD];
    struct fmx_packet connack;
};

static const struct fmx_session_options session_options = {
    .packet_bytes_max = 262144,
    .inflight_max = 2 * HELD,
    .topic_bytes_max = 1024,
    .topic_levels_max = 16,
    .user_properties_max = 16,
    .receive_max = 100,
    .topic_alias_max = MICRO_ALIASES,
    .keepalive_max_s = 1200,
};

static void name_aliases(struct session_world *world)
{
    struct fmx_alias_in *aliases = micro_allocate(1, fmx_alias_in_bytes(MICRO_ALIASES));
    fmx_slice topic = fmx_slice_of("/a1Q5XoY7PkQ/device-0000042/user/update");
    fmx_slice old;

    fmx_alias_in_init(aliases, MICRO_ALIASES);
    for (uint16_t alias = 1; alias <= MICRO_ALIASES; alias++) {
        micro_expect(fmx_alias_in_put(aliases, alias, topic, &old) == FMX_OK, "an alias");
    }
    world->session.aliases = aliases;
}

static void *open_session(const struct micro *self, uint64_t operations)
{
    struct session_world *world = micro_allocate(1, sizeof *world);
    const struct micro_kind *kind = self->argument;
    bool is_v5 = kind->version == FMX_MQTT_50;
    struct fmx_actions actions;

    (void)operations;
    micro_packets_fill(&world->packets, is_v5 ? &micro_connect_50 : &micro_connect_311);
    fmx_session_init(&world->session, FMX_SIDE_SERVER, &session_options);
    fmx_session_on_packet(&world->session, &world->packets.views[0], &actions);
    micro_expect(actions.todo == FMX_DO_DELIVER, "a CONNECT that passes");
    fmx_session_admit(&world->session, false, (fmx_slice){0}, &world->connack);
    fmx_inflight_init(&world->session.out, world->tags, 2 * HELD);
    if (is_v5) {
        name_aliases(world);
    }
    micro_packets_fill(&world->packets, kind);
    return world;
}

static void close_session(void *opened)
{
    struct session_world *world = opened;

    free(world->session.aliases);
    free(world);
}

static uint64_t run_publish_in(void *opened, uint64_t operations)
{
    struct session_world *world = opened;
    MICRO_CALLEE(on_packet, fmx_session_on_packet);
    struct fmx_actions actions;
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            on_packet(&world->session, &world->packets.views[i], &actions);
            sum += actions.todo;
        }
    }
    micro_expect(sum == operations * FMX_DO_DELIVER, "a message that is delivered");
    return sum;
}

static uint64_t run_publish_in_acknowledged(void *opened, uint64_t operations)
{
    struct session_world *world = opened;
    MICRO_CALLEE(on_packet, fmx_session_on_packet);
    MICRO_CALLEE(acknowledged, fmx_session_acknowledged);
    struct fmx_actions actions;
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            on_packet(&world->session, &world->packets.views[i], &actions);
            acknowledged(&world->session);
            sum += actions.todo;
        }
    }
    micro_expect(sum == operations * FMX_DO_DELIVER, "a message that is delivered");
    return sum;
}

/* The session fills the topic in: it has to be taken out again. */
static uint64_t run_publish_in_alias(void *opened, uint64_t operations)
{
    struct session_world *world = opened;
    MICRO_CALLEE(on_packet, fmx_session_on_packet);
    MICRO_CALLEE(acknowledged, fmx_session_acknowledged);
    struct fmx_actions actions;
    uint64_t sum = 0;

    for (uint64_t done = 0; done < operations; done += MICRO_PACKETS) {
        for (unsigned i = 0; i < MICRO_PACKETS; i++) {
            struct fmx_packet *packet = &world->packets.views[i];
            packet->publish.topic.bytes = 0;
            on_packet(&world->session, packet, &actions);
            acknowledged(&world->session);
            sum += actions.todo;
        }
    }
    micro_expect(sum == operations * FMX_DO_DELIVER, "a message that is delivered");
    return sum;
}

/* A message to the peer takes an identifier, and its PUBACK gives it back; HELD are in use. */
static uint64_t run_publish_out(void *opened, uint64_t operations)
{
    struct session_world *world = opened;
    MICRO_CALLEE(publish_out, fmx_session_publish);
    MICRO_CALLEE(on_packet, fmx_session_on_packet);
    struct fmx_packet *puback = &world->packets.views[0];
    struct fmx_publish publish = {.qos = 1};
    struct fmx_actions actions;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        uint16_t *held = &world->held[i % HELD];
        puback->ack.packet_id = *held;
        on_packet(&world->session, puback, &actions);
        sum += actions.tag;
        sum += (uint64_t)publish_out(&world->session, &publish, 300, i + 1);
        *held = publish.packet_id;
    }
    return sum;
}

/* ---- the window by itself -------------------------------------------------------------------- */

struct window_world {
    struct fmx_inflight window;
    uint64_t tags[2 * HELD];
    uint16_t held[HELD];
};

static void *open_window(const struct micro *self, uint64_t operations)
{
    struct window_world *world = micro_allocate(1, sizeof *world);

    (void)self;
    (void)operations;
    fmx_inflight_init(&world->window, world->tags, 2 * HELD);
    return world;
}

static uint64_t run_window(void *opened, uint64_t operations)
{
    struct window_world *world = opened;
    MICRO_CALLEE(take, fmx_inflight_take);
    MICRO_CALLEE(give, fmx_inflight_give);
    uint64_t sum = 0;
    uint64_t tag = 0;

    for (uint64_t i = 0; i < operations; i++) {
        uint16_t *held = &world->held[i % HELD];
        sum += (uint64_t)give(&world->window, *held, &tag);
        sum += (uint64_t)take(&world->window, i + 1, held);
    }
    return sum + tag;
}

/* ---- bucket ---------------------------------------------------------------------------------- */

struct bucket_world {
    struct fmx_bucket *buckets;
    uint32_t *order;
    uint32_t count;
    uint64_t now_ns;
    struct fmx_rate_limit limit;
};

static const struct fmx_rate_limit limit_wide = {.per_second = 1000000, .burst = 30};
static const struct fmx_rate_limit limit_narrow = {.per_second = 1, .burst = 1};

static void *open_buckets(const struct micro *self, uint64_t operations)
{
    struct bucket_world *world = micro_allocate(1, sizeof *world);

    (void)operations;
    world->count = self->size;
    world->buckets = micro_allocate(world->count, sizeof *world->buckets);
    world->order = micro_shuffled(world->count);
    world->limit = *(const struct fmx_rate_limit *)self->argument;
    world->now_ns = FMX_NS_PER_S;
    for (uint32_t i = 0; i < world->count; i++) {
        fmx_bucket_init(&world->buckets[i], &world->limit, world->now_ns);
    }
    return world;
}

static void close_buckets(void *opened)
{
    struct bucket_world *world = opened;

    free(world->buckets);
    free(world->order);
    free(world);
}

static uint64_t run_buckets(void *opened, uint64_t operations)
{
    struct bucket_world *world = opened;
    MICRO_CALLEE(take, fmx_bucket_take);
    uint32_t at = 0;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < operations; i++) {
        world->now_ns += 1000;
        sum += (uint64_t)take(&world->buckets[world->order[at]], &world->limit, world->now_ns);
        at = at + 1 < world->count ? at + 1 : 0;
    }
    return sum;
}

#define SESSION(name_, run_, kind_)                                                                \
    {                                                                                              \
        .name = (name_), .open = open_session, .run = (run_), .close = close_session,              \
        .operations = 1000000, .counted = 9600, .argument = &micro_##kind_                         \
    }
#define BUCKETS(name_, size_, limit_)                                                              \
    {                                                                                              \
        .name = (name_), .open = open_buckets, .run = run_buckets, .close = close_buckets,         \
        .operations = 2000000, .counted = 10000, .size = (size_), .argument = &(limit_)            \
    }

static const struct micro rows[] = {
    SESSION("session_publish_in_311_qos0", run_publish_in, qos0_311),
    SESSION("session_publish_in_311_qos1", run_publish_in_acknowledged, qos1_311),
    SESSION("session_publish_in_50_qos1", run_publish_in_acknowledged, qos1_50),
    SESSION("session_publish_in_50_alias", run_publish_in_alias, alias_50),
    SESSION("session_publish_in_50_users", run_publish_in_acknowledged, users_50),
    SESSION("session_publish_out_and_puback", run_publish_out, puback_311),
    {.name = "window_take_and_give",
     .open = open_window,
     .run = run_window,
     .close = free,
     .operations = 2000000,
     .counted = 9600},
    BUCKETS("bucket_grants_hot", 1, limit_wide),
    BUCKETS("bucket_refuses_hot", 1, limit_narrow),
    BUCKETS("bucket_grants_of_100000", 100000, limit_wide),
};

const struct micro_list micro_session = MICRO_LIST(rows);
