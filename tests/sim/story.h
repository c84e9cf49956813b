/*
 * story.h — shards without threads in a simulated world, and clients that speak MQTT to them
 *
 * A story is a function that plays one seed. It opens a mux with any role, lets clients connect and
 * talk, and turns the shards, one at a time, in random order.
 */
#ifndef TESTS_SIM_STORY_H
#define TESTS_SIM_STORY_H

#include "engine/mux.h"
#include "proto/packet.h"
#include "tests/sim/ring_sim.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#define STORY_SEEDS 200u

/* Ends the case at failure and says the seed. */
#define STORY_ASSERT(promise) FMX_SEED_ASSERT(fmx_sim_seed(), promise)

/* Plays seeds 1 … count, or the one that FMX_SEED names, each in a world of its own. */
void fmx_story_play(void (*play)(void), uint64_t count);

struct fmx_story {
    struct fmx_mux_options options; /* set before open: 1 shard, 64 sessions, quiet log */
    struct fmx_session_options session;
    struct fmx_mux *mux;
    struct fmx_mux_caller *caller;
    bool is_stopping;
};

/* Generous limits; change what the story is about. */
void fmx_story_init(struct fmx_story *story);

/* Opens every shard; shard i listens at descriptor fmx_story_listener(i). */
void fmx_story_open(struct fmx_story *story, const struct fmx_role *role, void *role_user);

/* The same for a mux that somebody else has opened, with a plan of their own. */
void fmx_story_adopt(struct fmx_story *story, struct fmx_mux *mux);

int fmx_story_listener(uint32_t shard_index);
struct fmx_shard *fmx_story_shard(struct fmx_story *story, uint32_t shard_index);

/* One turn of one shard, or of random ones. */
void fmx_story_turn(struct fmx_story *story);
void fmx_story_turns(struct fmx_story *story, unsigned count);

/* Turns until it is done; false if that took more than `turns_max`. */
bool fmx_story_until(struct fmx_story *story, bool (*is_done)(void *user), void *user,
                     unsigned turns_max);

/* STOP to every shard, as fmx_mux_stop posts it. */
void fmx_story_stop(struct fmx_story *story, uint32_t drain_ms);

/* Turns until every shard has drained. */
void fmx_story_drain(struct fmx_story *story);

/* Lets go of the mux: whoever opened it may close it now. */
void fmx_story_leave(struct fmx_story *story);

/* Closes the mux that fmx_story_open opened. */
void fmx_story_close(struct fmx_story *story);

uint64_t fmx_story_count(const _Atomic uint64_t *counter);
struct fmx_stats fmx_story_stats(struct fmx_story *story);

/* ── clients ───────────────────────────────────────────────────────────────────────────────── */

struct fmx_story_client {
    struct fmx_sim_peer *peer;
    enum fmx_version version;
    uint16_t packet_id; /* of the last QoS 1 message, SUBSCRIBE or UNSUBSCRIBE */
    size_t looked_at;   /* bytes of the packet that fmx_story_next gave last */
    bool is_admitted;   /* a CONNACK with reason 0 has been read */
    bool session_present;
};

/* Connects to a shard; nothing is said yet. */
struct fmx_story_client fmx_story_client(uint32_t shard_index, enum fmx_version version);

/* Encodes a packet and sends it. */
void fmx_story_say(struct fmx_story_client *client, const struct fmx_packet *packet);
void fmx_story_say_connect(struct fmx_story_client *client, const char *client_id, bool clean,
                           uint32_t expiry_s);
void fmx_story_say_publish(struct fmx_story_client *client, const char *topic, fmx_slice payload,
                           uint8_t qos);
void fmx_story_say_subscribe(struct fmx_story_client *client, const char *filter, uint8_t qos);
void fmx_story_say_puback(struct fmx_story_client *client, uint16_t packet_id);

/* The next whole packet that has come, or false. The view lives until the next call. */
bool fmx_story_next(struct fmx_story_client *client, struct fmx_packet *out_packet);

#endif
