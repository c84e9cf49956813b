/*
 * world — peers, sockets and chance of the simulated world
 *
 * Words:          taken: accepted by the peer's socket; read: taken out of it by the peer
 * Memory:         peers until the world ends; a socket until neither a file nor an operation holds
 *                 it
 * Threads:        one
 * Not here:       operations and completions: ring_sim.c
 */
#include "tests/sim/world.h"

#include "engine/op.h"

#include <stdio.h>
#include <stdlib.h>

struct fmx_world fmx_world;

void fmx_world_fail(const char *what, uint64_t tag)
{
    fprintf(stderr, "ring_sim: seed %llu: %s (operation %u, slot %u, generation %u)\n",
            (unsigned long long)fmx_world.seed, what, (unsigned)fmx_op_kind(tag), fmx_op_slot(tag),
            fmx_op_generation(tag));
    abort();
}

void fmx_world_demand(bool promise, const char *what, uint64_t tag)
{
    if (!promise) {
        fmx_world_fail(what, tag);
    }
}

void *fmx_world_must(void *memory)
{
    fmx_world_demand(memory != NULL, "no memory for the world", 0);
    return memory;
}

uint64_t fmx_world_below(uint64_t n)
{
    return fmx_prng_below(&fmx_world.prng, n);
}

bool fmx_sim_chance(unsigned per_mille)
{
    return fmx_world_below(1000) < per_mille;
}

/* ── bytes ── */

void fmx_world_put(struct fmx_world_bytes *bytes, const uint8_t *data, size_t count)
{
    if (count == 0) {
        return;
    }
    if (bytes->end + count > bytes->capacity) {
        bytes->capacity = (bytes->end + count) * 2;
        bytes->data = fmx_world_must(realloc(bytes->data, bytes->capacity));
    }
    memcpy(bytes->data + bytes->end, data, count);
    bytes->end += count;
}

size_t fmx_world_held(const struct fmx_world_bytes *bytes)
{
    return bytes->end - bytes->begin;
}

/* ── the world ── */

static void draw_temper(void)
{
    static const unsigned progress[] = {1000, 700, 300};

    fmx_world.temper = (struct fmx_sim_temper){
        .progress = progress[fmx_world_below(3)],
        .short_read = (unsigned)fmx_world_below(600),
        .recv_ends = (unsigned)fmx_world_below(50),
        .accept_ends = (unsigned)fmx_world_below(200),
        .late_cancel = (unsigned)fmx_world_below(1000),
        .lost_by_reset = (unsigned)fmx_world_below(1001),
        .window_bytes = 1 + fmx_world_below(20000),
        .idle_ns_max = 1000000,
    };
}

void fmx_sim_begin(uint64_t seed)
{
    fmx_world.rings_count = 0; /* those of a story that has failed are left behind */
    fmx_sim_end();
    fmx_world.seed = seed;
    fmx_world.prng.state = seed;
    fmx_world.now_ns = 1000000000 + fmx_world_below(1000000000);
    draw_temper();
}

void fmx_sim_end(void)
{
    fmx_world_demand(fmx_world.rings_count == 0, "the world ends and a ring is open", 0);
    while (fmx_world.peers != NULL) {
        struct fmx_sim_peer *peer = fmx_world.peers;
        fmx_world.peers = peer->next;
        free(peer->to_engine.data);
        free(peer->from_engine.data);
        free(peer);
    }
    memset(&fmx_world, 0, sizeof(fmx_world));
}

struct fmx_sim_temper *fmx_sim_temper(void)
{
    return &fmx_world.temper;
}

struct fmx_prng *fmx_sim_prng(void)
{
    return &fmx_world.prng;
}

uint64_t fmx_sim_seed(void)
{
    return fmx_world.seed;
}

uint64_t fmx_sim_now(void)
{
    return fmx_world.now_ns;
}

void fmx_sim_advance(uint64_t ns)
{
    fmx_world.now_ns += ns;
}

/* ── peers ── */

struct fmx_sim_peer *fmx_world_make_peer(void)
{
    struct fmx_sim_peer *peer = fmx_world_must(calloc(1, sizeof(*peer)));

    peer->next = fmx_world.peers;
    peer->is_reading = true;
    fmx_world.peers = peer;
    return peer;
}

void fmx_world_append_waiting(struct fmx_sim_peer **list, struct fmx_sim_peer *peer)
{
    while (*list != NULL) {
        list = &(*list)->next_waiting;
    }
    *list = peer;
}

struct fmx_sim_peer *fmx_sim_connect(int listen_fd)
{
    struct fmx_sim_peer *peer = fmx_world_make_peer();

    peer->listen_fd = listen_fd;
    fmx_world_append_waiting(&fmx_world.waiting, peer);
    return peer;
}

void fmx_sim_answer_dials(struct fmx_sim_answer (*answer)(void *user), void *user)
{
    fmx_world.answer = answer;
    fmx_world.answer_user = user;
}

void fmx_sim_keep_back(bool (*meanwhile)(void *user), void *user)
{
    fmx_world.meanwhile = meanwhile;
    fmx_world.meanwhile_user = user;
}

struct fmx_sim_peer *fmx_sim_take_dialled(void)
{
    struct fmx_sim_peer *peer = fmx_world.dialled;

    if (peer != NULL) {
        fmx_world.dialled = peer->next_waiting;
        peer->next_waiting = NULL;
    }
    return peer;
}

static bool is_silent(const struct fmx_sim_peer *peer)
{
    return peer->has_ended || peer->has_closed || peer->has_reset || peer->engine_reset;
}

void fmx_sim_peer_send(struct fmx_sim_peer *peer, fmx_slice bytes)
{
    if (!is_silent(peer)) {
        fmx_world_put(&peer->to_engine, bytes.data, bytes.bytes);
    }
}

void fmx_world_read_all(struct fmx_sim_peer *peer)
{
    if (peer->is_reading) {
        peer->read = peer->from_engine.end;
    }
}

fmx_slice fmx_sim_peer_got(struct fmx_sim_peer *peer)
{
    const struct fmx_world_bytes *bytes = &peer->from_engine;

    return (fmx_slice){.data = bytes->data == NULL ? NULL : bytes->data + bytes->begin,
                       .bytes = peer->read - bytes->begin};
}

void fmx_sim_peer_skip(struct fmx_sim_peer *peer, size_t bytes)
{
    struct fmx_world_bytes *from = &peer->from_engine;

    fmx_world_demand(bytes <= peer->read - from->begin, "the story skips what was not read", 0);
    from->begin += bytes;
    if (from->begin == from->end) {
        from->begin = from->end = peer->read = 0;
    }
}

void fmx_sim_peer_read(struct fmx_sim_peer *peer, bool is_reading)
{
    peer->is_reading = is_reading && !peer->has_closed;
    fmx_world_read_all(peer);
}

void fmx_sim_peer_end(struct fmx_sim_peer *peer)
{
    peer->has_ended = true;
}

void fmx_sim_peer_close(struct fmx_sim_peer *peer)
{
    peer->has_ended = true;
    peer->has_closed = true;
    peer->is_reading = false;
}

static void lose_unread(struct fmx_world_bytes *bytes, size_t read)
{
    if (fmx_sim_chance(fmx_world.temper.lost_by_reset)) {
        bytes->end = read;
    }
}

void fmx_sim_peer_reset(struct fmx_sim_peer *peer)
{
    peer->has_reset = true;
    peer->is_reading = false;
    lose_unread(&peer->to_engine, peer->to_engine.begin);
}

bool fmx_sim_peer_is_accepted(const struct fmx_sim_peer *peer)
{
    return peer->is_accepted;
}

bool fmx_sim_peer_saw_end(const struct fmx_sim_peer *peer)
{
    return peer->engine_ended && peer->read == peer->from_engine.end && !peer->engine_reset;
}

bool fmx_sim_peer_saw_reset(const struct fmx_sim_peer *peer)
{
    return peer->engine_reset;
}

bool fmx_sim_peer_is_over(const struct fmx_sim_peer *peer)
{
    return fmx_sim_peer_saw_end(peer) || peer->engine_reset || peer->has_reset || peer->has_closed;
}

size_t fmx_sim_peer_unsent(const struct fmx_sim_peer *peer)
{
    return fmx_world_held(&peer->to_engine);
}

/* ── sockets ── */

struct fmx_world_socket *fmx_world_open_socket(struct fmx_sim_peer *peer)
{
    struct fmx_world_socket *socket = fmx_world_must(calloc(1, sizeof(*socket)));

    socket->peer = peer;
    socket->refs = 1;
    return socket;
}

void fmx_world_give_socket(struct fmx_world_socket *socket)
{
    if (socket != NULL && --socket->refs == 0) {
        free(socket);
    }
}

bool fmx_world_is_broken(const struct fmx_world_socket *socket)
{
    return socket->peer == NULL || socket->peer->has_reset || socket->peer->engine_reset;
}

/* The file is closed: what the engine did not read resets the connection. */
void fmx_world_close_socket(struct fmx_world_socket *socket)
{
    struct fmx_sim_peer *peer = socket->peer;

    if (peer != NULL && !fmx_world_is_broken(socket)) {
        if (socket->linger_zero || fmx_world_held(&peer->to_engine) > 0) {
            peer->engine_reset = true;
            lose_unread(&peer->from_engine, peer->read);
        } else {
            peer->engine_ended = true;
        }
    }
    fmx_world_give_socket(socket);
}

struct fmx_sim_peer *fmx_world_next_waiting(int listen_fd)
{
    for (struct fmx_sim_peer **at = &fmx_world.waiting; *at != NULL; at = &(*at)->next_waiting) {
        struct fmx_sim_peer *peer = *at;
        if (peer->listen_fd == listen_fd) {
            *at = peer->next_waiting;
            peer->next_waiting = NULL;
            return peer;
        }
    }
    return NULL;
}
