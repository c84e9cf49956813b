/*
 * story — shards without threads in a simulated world, and clients that speak MQTT to them
 *
 * Why it is so:   what the threads of a process would do at once, a story does one after the other
 *                 in an order of the seed's choice: a turn is atomic to the others anyway, since
 *                 all that crosses is messages
 * Memory:         a client's bytes belong to its peer, and that to the world
 * Threads:        one
 * Limits:         DRAIN_TURNS_MAX turns to drain; more is a failure
 * Not here:       sockets and time: ring_sim.c
 */
#include "tests/sim/story.h"

#include "proto/decode.h"
#include "proto/encode.h"
#include "proto/limits.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_LISTENER    1000000 /* no descriptor of this process */
#define DRAIN_TURNS_MAX   400000u
#define CLIENT_PACKET_MAX FMX_PACKET_BYTES_MAX

/* ── seeds ── */

/* The engine's assertions know nothing of seeds. */
static void say_seed(int signal_number)
{
    char line[64];
    int bytes = snprintf(line, sizeof(line), "story: seed %llu: signal %d\n",
                         (unsigned long long)fmx_sim_seed(), signal_number);

    if (bytes > 0) {
        ssize_t written = write(STDERR_FILENO, line, (size_t)bytes);
        (void)written;
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void fmx_story_play(void (*play)(void), uint64_t count)
{
    const char *only = getenv("FMX_SEED");
    uint64_t first = only != NULL ? strtoull(only, NULL, 0) : 1;
    uint64_t last = only != NULL ? first : count;

    signal(SIGABRT, say_seed);
    for (uint64_t seed = first; seed <= last; seed++) {
        fmx_sim_begin(seed);
        play();
        fmx_sim_end();
    }
}

/* ── shards ── */

static void no_log(void *user, enum fmx_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
}

void fmx_story_init(struct fmx_story *story)
{
    *story = (struct fmx_story){
        .session = {.packet_bytes_max = 1u << 20,
                    .inflight_max = 64,
                    .session_expiry_max_s = UINT32_MAX,
                    .topic_bytes_max = 1024,
                    .topic_levels_max = 32,
                    .user_properties_max = 64,
                    .receive_max = 65535,
                    .topic_alias_max = 16},
    };
    fmx_mux_options_init(&story->options);
    story->options.shards_count = 1;
    story->options.cpus = "0";
    story->options.pin = false;
    story->options.sessions_max = 64;
    story->options.recv_buffers_count = 64;
    story->options.recv_buffer_bytes = 1024;
    story->options.log = no_log;
}

int fmx_story_listener(uint32_t shard_index)
{
    return FIRST_LISTENER + (int)shard_index;
}

void fmx_story_adopt(struct fmx_story *story, struct fmx_mux *mux)
{
    char error[256] = "";

    story->mux = mux;
    STORY_ASSERT(fmx_mux_caller_open(mux, &story->caller) == FMX_OK);
    for (uint32_t i = 0; i < fmx_mux_shards_count(mux); i++) {
        struct fmx_shard *shard = fmx_mux_shard(mux, i);
        STORY_ASSERT(fmx_shard_open(shard, error, sizeof(error)) == FMX_OK);
        shard->listeners[0] = (struct fmx_listener){.fd = fmx_story_listener(i)};
        shard->listeners_count = 1;
    }
}

void fmx_story_open(struct fmx_story *story, const struct fmx_role *role, void *role_user)
{
    struct fmx_mux *mux;
    char error[256] = "";
    struct fmx_mux_plan plan = {
        .options = &story->options,
        .role = role,
        .role_user = role_user,
        .session = &story->session,
        .connect_timeout_ns = 10 * FMX_NS_PER_S,
    };

    STORY_ASSERT(fmx_mux_check_options(&story->options, error, sizeof(error)) == FMX_OK);
    STORY_ASSERT(fmx_mux_open(&plan, &mux, error, sizeof(error)) == FMX_OK);
    fmx_story_adopt(story, mux);
}

struct fmx_shard *fmx_story_shard(struct fmx_story *story, uint32_t shard_index)
{
    return fmx_mux_shard(story->mux, shard_index);
}

void fmx_story_turn(struct fmx_story *story)
{
    uint32_t count = fmx_mux_shards_count(story->mux);
    uint32_t index = (uint32_t)fmx_prng_below(fmx_sim_prng(), count);

    fmx_shard_turn(fmx_mux_shard(story->mux, index));
}

void fmx_story_turns(struct fmx_story *story, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fmx_story_turn(story);
    }
}

bool fmx_story_until(struct fmx_story *story, bool (*is_done)(void *user), void *user,
                     unsigned turns_max)
{
    for (unsigned i = 0; i < turns_max; i++) {
        if (is_done(user)) {
            return true;
        }
        fmx_story_turn(story);
    }
    return is_done(user);
}

void fmx_story_stop(struct fmx_story *story, uint32_t drain_ms)
{
    story->is_stopping = true;
    for (uint32_t i = 0; i < fmx_mux_shards_count(story->mux); i++) {
        struct fmx_msg stop = {.kind = FMX_MSG_STOP, .stop = {.drain_ms = drain_ms}};
        STORY_ASSERT(fmx_mux_caller_post(story->caller, i, &stop));
    }
}

static bool are_empty(void *user)
{
    struct fmx_story *story = user;

    for (uint32_t i = 0; i < fmx_mux_shards_count(story->mux); i++) {
        struct fmx_shard *shard = fmx_mux_shard(story->mux, i);
        bool is_late = shard->stopping && fmx_sim_now() >= shard->drain_deadline_ns;
        if (!shard->stopping || (shard->conns.used > 0 && !is_late)) {
            return false;
        }
    }
    return true;
}

/* First all together, since they may have to tell one another something; then each to its end. */
void fmx_story_drain(struct fmx_story *story)
{
    STORY_ASSERT(story->is_stopping);
    STORY_ASSERT(fmx_story_until(story, are_empty, story, DRAIN_TURNS_MAX));
    for (uint32_t i = 0; i < fmx_mux_shards_count(story->mux); i++) {
        fmx_shard_run(fmx_mux_shard(story->mux, i));
    }
}

void fmx_story_leave(struct fmx_story *story)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(story->mux); i++) {
        fmx_mux_shard(story->mux, i)->listeners_count = 0; /* no descriptors of this process */
    }
    story->mux = NULL;
}

void fmx_story_close(struct fmx_story *story)
{
    struct fmx_mux *mux = story->mux;

    fmx_story_leave(story);
    fmx_mux_close(mux);
}

uint64_t fmx_story_count(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct fmx_stats fmx_story_stats(struct fmx_story *story)
{
    struct fmx_stats stats;

    fmx_mux_stats(story->mux, &stats);
    return stats;
}

/* ── clients ── */

struct fmx_story_client fmx_story_client(uint32_t shard_index, enum fmx_version version)
{
    return (struct fmx_story_client){.peer = fmx_sim_connect(fmx_story_listener(shard_index)),
                                     .version = version};
}

void fmx_story_say(struct fmx_story_client *client, const struct fmx_packet *packet)
{
    size_t bytes = fmx_encode_bytes(packet, client->version);
    uint8_t *room = malloc(bytes);

    STORY_ASSERT(bytes > 0 && room != NULL);
    STORY_ASSERT(fmx_encode(packet, client->version, room) == bytes);
    fmx_sim_peer_send(client->peer, (fmx_slice){.data = room, .bytes = bytes});
    free(room);
}

void fmx_story_say_connect(struct fmx_story_client *client, const char *client_id, bool clean,
                           uint32_t expiry_s)
{
    struct fmx_packet packet = {.kind = FMX_CONNECT};

    packet.connect.version = client->version;
    packet.connect.clean = clean;
    packet.connect.client_id = fmx_slice_of(client_id);
    if (client->version == FMX_MQTT_50 && expiry_s > 0) {
        packet.connect.props.present |= FMX_PROP_BIT(FMX_PROP_SESSION_EXPIRY);
        packet.connect.props.session_expiry_s = expiry_s;
    }
    fmx_story_say(client, &packet);
}

static uint16_t next_id(struct fmx_story_client *client)
{
    client->packet_id = client->packet_id == UINT16_MAX ? 1 : (uint16_t)(client->packet_id + 1);
    return client->packet_id;
}

void fmx_story_say_publish(struct fmx_story_client *client, const char *topic, fmx_slice payload,
                           uint8_t qos)
{
    struct fmx_packet packet = {.kind = FMX_PUBLISH};

    packet.publish.topic = fmx_slice_of(topic);
    packet.publish.payload = payload;
    packet.publish.qos = qos;
    packet.publish.packet_id = qos > 0 ? next_id(client) : 0;
    fmx_story_say(client, &packet);
}

void fmx_story_say_subscribe(struct fmx_story_client *client, const char *filter, uint8_t qos)
{
    struct fmx_packet packet = {.kind = FMX_SUBSCRIBE};
    struct fmx_filter entry = {.filter = fmx_slice_of(filter), .qos = qos};
    uint8_t room[512];
    struct fmx_writer writer = fmx_writer_of(room, sizeof(room));

    fmx_filter_write(&writer, true, &entry);
    packet.subscribe.packet_id = next_id(client);
    packet.subscribe.filters_count = 1;
    packet.subscribe.filters = (fmx_slice){room, (size_t)(writer.at - room)};
    fmx_story_say(client, &packet);
}

void fmx_story_say_puback(struct fmx_story_client *client, uint16_t packet_id)
{
    struct fmx_packet packet = {.kind = FMX_PUBACK};

    packet.ack.packet_id = packet_id;
    fmx_story_say(client, &packet);
}

bool fmx_story_next(struct fmx_story_client *client, struct fmx_packet *out_packet)
{
    struct fmx_frame frame;

    fmx_sim_peer_skip(client->peer, client->looked_at);
    client->looked_at = 0;
    fmx_slice got = fmx_sim_peer_got(client->peer);
    if (got.bytes == 0) {
        return false;
    }
    enum fmx_status status = fmx_frame_next(got, CLIENT_PACKET_MAX, &frame);
    if (status == FMX_MORE) {
        return false;
    }
    STORY_ASSERT(status == FMX_OK);
    STORY_ASSERT(fmx_decode(&frame, FMX_SIDE_SERVER, client->version, out_packet) == FMX_OK);
    client->looked_at = frame.bytes;
    if (out_packet->kind == FMX_CONNACK) {
        client->is_admitted = out_packet->connack.reason == 0;
        client->session_present = out_packet->connack.session_present;
    }
    return true;
}
