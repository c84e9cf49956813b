/*
 * world.h — what ring_sim.c and world.c share: the world, its peers, and the sockets between
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "tests/sim/ring_sim.h"

#define FMX_WORLD_KINDS_MAX 8

struct fmx_world_bytes {
    uint8_t *data;
    size_t begin;
    size_t end;
    size_t capacity;
};

struct fmx_sim_peer {
    struct fmx_sim_peer *next;         /* all of the world */
    struct fmx_sim_peer *next_waiting; /* to be accepted, or dialled and not taken */
    int listen_fd;
    struct fmx_world_bytes to_engine;
    struct fmx_world_bytes from_engine; /* begin … read: got; read … end: taken, not read */
    size_t read;
    bool is_accepted;
    bool is_reading;
    bool has_ended;
    bool has_closed;
    bool has_reset;
    bool engine_ended; /* its end lies behind what it sent */
    bool engine_reset;
};

/* The engine's end of a connection. */
struct fmx_world_socket {
    struct fmx_sim_peer *peer; /* NULL: not connected yet */
    unsigned refs;
    unsigned running[FMX_WORLD_KINDS_MAX]; /* operations in the kernel */
    bool is_shut;
    bool linger_zero;
    bool error_told; /* ECONNRESET is said once */
};

struct fmx_world {
    uint64_t seed;
    uint64_t now_ns;
    struct fmx_prng prng;
    struct fmx_sim_temper temper;
    struct fmx_sim_peer *peers;
    struct fmx_sim_peer *waiting; /* first come, first accepted */
    struct fmx_sim_peer *dialled;
    unsigned rings_count; /* open */
    struct fmx_sim_answer (*answer)(void *user);
    void *answer_user;
    bool (*meanwhile)(void *user);
    void *meanwhile_user;
};

extern struct fmx_world fmx_world;

/* Ends the process, with the seed and what the tag says. */
void fmx_world_fail(const char *what, uint64_t tag) __attribute__((noreturn));
void fmx_world_demand(bool promise, const char *what, uint64_t tag);
void *fmx_world_must(void *memory);

uint64_t fmx_world_below(uint64_t n);

void fmx_world_put(struct fmx_world_bytes *bytes, const uint8_t *data, size_t count);
size_t fmx_world_held(const struct fmx_world_bytes *bytes);

struct fmx_sim_peer *fmx_world_make_peer(void);
void fmx_world_append_waiting(struct fmx_sim_peer **list, struct fmx_sim_peer *peer);

/* Who waits longest for this listener, or NULL. */
struct fmx_sim_peer *fmx_world_next_waiting(int listen_fd);

/* A peer that reads has read all that its socket took. */
void fmx_world_read_all(struct fmx_sim_peer *peer);

struct fmx_world_socket *fmx_world_open_socket(struct fmx_sim_peer *peer);
void fmx_world_give_socket(struct fmx_world_socket *socket);
bool fmx_world_is_broken(const struct fmx_world_socket *socket);

/* The file is closed: what the engine did not read resets the connection. */
void fmx_world_close_socket(struct fmx_world_socket *socket);

#endif
