/*
 * ring_sim.h — a world in memory behind engine/ring.h: sockets, peers and a clock from one seed
 *
 * A program that lists ring_sim.c among its sources has this world in place of a kernel. A story
 * begins the world, opens shards, lets peers connect, send, read, stop reading, end and reset, and
 * steps the shards; the world decides by its seed what the kernel would decide by its mood.
 */
#ifndef TESTS_SIM_RING_SIM_H
#define TESTS_SIM_RING_SIM_H

#include "engine/ring.h"
#include "tests/support/prng.h"

/* How the kernel behaves. Chances are per mille, taken for one operation in one step. */
struct fmx_sim_temper {
    unsigned progress;      /* an operation that could go on does */
    unsigned short_read;    /* a receive brings a random part of what has come */
    unsigned recv_ends;     /* a multishot receive ends though it could go on */
    unsigned accept_ends;   /* the same for accepting */
    unsigned late_cancel;   /* a cancel takes effect some steps later; data may come meanwhile */
    unsigned lost_by_reset; /* a reset takes with it what was not read yet */
    size_t window_bytes;    /* what the socket of a peer that does not read still takes */
    uint64_t idle_ns_max;   /* most that one wait lets pass if nothing happens */
};

/* Begins a world; the temper is drawn from the seed. Ends the world before, if any. */
void fmx_sim_begin(uint64_t seed);

/* Releases all peers. No ring may be open. */
void fmx_sim_end(void);

struct fmx_sim_temper *fmx_sim_temper(void);
struct fmx_prng *fmx_sim_prng(void);
uint64_t fmx_sim_seed(void);
uint64_t fmx_sim_now(void);

/* Lets time pass. */
void fmx_sim_advance(uint64_t ns);

/* True with this chance per mille. */
bool fmx_sim_chance(unsigned per_mille);

/* ── peers: the other ends, live until the world ends ──────────────────────────────────────── */

struct fmx_sim_peer;

/* A client asks to be accepted by the listener with this descriptor, which is any number. */
struct fmx_sim_peer *fmx_sim_connect(int listen_fd);

/* What a dialled connection meets, in the order of the connects. Default: it succeeds at once. */
struct fmx_sim_answer {
    int32_t result;       /* 0, or -errno */
    unsigned steps_count; /* how late; UINT_MAX: never */
};
void fmx_sim_answer_dials(struct fmx_sim_answer (*answer)(void *user), void *user);

/*
 * Called when a shard asks its ring for more of what the kernel kept back: what happens in here
 * happens in the middle of that shard's turn. True: there is more, of all that has come by then.
 * Default: an enter leaves nothing behind.
 */
void fmx_sim_keep_back(bool (*meanwhile)(void *user), void *user);

/* The other end of a dialled connection that has succeeded and was not taken yet, or NULL. */
struct fmx_sim_peer *fmx_sim_take_dialled(void);

/* Bytes for the engine to receive. After end, close and reset nothing is sent any more. */
void fmx_sim_peer_send(struct fmx_sim_peer *peer, fmx_slice bytes);

/* What the peer has read and not skipped yet; valid until the next step. */
fmx_slice fmx_sim_peer_got(struct fmx_sim_peer *peer);
void fmx_sim_peer_skip(struct fmx_sim_peer *peer, size_t bytes);

/* A peer reads as it comes, until it stops. */
void fmx_sim_peer_read(struct fmx_sim_peer *peer, bool is_reading);

void fmx_sim_peer_end(struct fmx_sim_peer *peer);   /* says that it sends no more; still reads */
void fmx_sim_peer_close(struct fmx_sim_peer *peer); /* neither sends nor reads: answers are reset */
void fmx_sim_peer_reset(struct fmx_sim_peer *peer);

bool fmx_sim_peer_is_accepted(const struct fmx_sim_peer *peer);
bool fmx_sim_peer_saw_end(const struct fmx_sim_peer *peer); /* read all, and our end behind it */
bool fmx_sim_peer_saw_reset(const struct fmx_sim_peer *peer);
bool fmx_sim_peer_is_over(const struct fmx_sim_peer *peer); /* one of both, or its own doing */

/* Sent by the peer and not yet received by the engine: TCP's queue. */
size_t fmx_sim_peer_unsent(const struct fmx_sim_peer *peer);

/* ── looking at a ring ─────────────────────────────────────────────────────────────────────── */

struct fmx_sim_look {
    unsigned accepts; /* operations in the kernel or on their way to it */
    unsigned recvs;
    unsigned sends;
    unsigned files_open;
    unsigned buffers_lent;        /* in the kernel's hands */
    unsigned buffers_circulating; /* have been lent at least once */
    unsigned completions;         /* not reaped yet */
    uint64_t enobufs;             /* receives ended for want of buffers, ever */
    uint64_t late_data;           /* deliveries between a cancel and its effect, ever */
    uint64_t short_sends;         /* sends ended with a part of their bytes, ever */
    uint64_t wakes;               /* bells rung, ever */
};

struct fmx_sim_look fmx_sim_look(const struct fmx_ring *ring);

/* True if the byte lies in a receive buffer that the engine holds now: how far into it. */
bool fmx_sim_is_received(const struct fmx_ring *ring, const void *at, size_t *out_offset);

#endif
