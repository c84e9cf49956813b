/*
 * ring.h — the kernel's ring as the engine sees it: fill entries, enter once, reap many
 *
 * No type of liburing shows here: tests link a simulated kernel in place of ring.c and bufring.c,
 * and time comes from the ring too, so that a simulated world has a simulated clock. Files are
 * direct descriptors: indices into the ring's own table, not into the process's.
 *
 * Threads: all calls belong to the thread that opened the ring, but fmx_ring_wake.
 */
#ifndef ENGINE_RING_H
#define ENGINE_RING_H

#include <fleetmux/error.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct fmx_ring;

struct fmx_ring_options {
    uint32_t files_count;   /* size of the table of direct descriptors */
    uint32_t buffers_count; /* receive buffers, a power of two */
    uint32_t buffer_bytes;
};

#define FMX_RING_NO_BUFFER UINT32_MAX
#define FMX_RING_PARTS_MAX 16u /* most parts of one send */
#define FMX_RING_FOREVER   UINT64_MAX

struct fmx_completion {
    uint64_t tag;
    int32_t result;  /* what the call would return, or -errno */
    uint32_t buffer; /* receive buffer that holds `result` bytes, or FMX_RING_NO_BUFFER */
    bool more;       /* a multishot operation goes on */
};

/*
 * FMX_OK; FMX_SYS_RING with words that name the limit or the kernel needed; FMX_LIMIT_MEMORY.
 */
enum fmx_status fmx_ring_open(const struct fmx_ring_options *options, struct fmx_ring **out_ring,
                              char *error, size_t error_bytes) FMX_MUST_USE;
void fmx_ring_close(struct fmx_ring *ring);

/* Monotonic nanoseconds. */
uint64_t fmx_ring_now(struct fmx_ring *ring);

/* Fill one entry each; a full submission queue is submitted first. Results come as completions. */
void fmx_ring_prep_accept(struct fmx_ring *ring, int listen_fd, uint64_t tag); /* multishot */
void fmx_ring_prep_recv(struct fmx_ring *ring, uint32_t file, uint64_t tag);   /* multishot */
void fmx_ring_prep_recv_once(struct fmx_ring *ring, uint32_t file, uint32_t bytes_max,
                             uint64_t tag);
void fmx_ring_prep_connect(struct fmx_ring *ring, uint32_t file, const struct sockaddr *address,
                           socklen_t address_bytes, uint64_t tag);
void fmx_ring_prep_shutdown(struct fmx_ring *ring, uint32_t file, uint64_t tag);
/*
 * The first `bytes` of the peer's name, at most as many as it has: the kernel refuses more.
 * The result is `bytes`, or below 0 (also where a kernel before 6.7 cannot tell).
 */
void fmx_ring_prep_peer_name(struct fmx_ring *ring, uint32_t file, struct sockaddr_in6 *out_name,
                             uint32_t bytes, uint64_t tag);
void fmx_ring_prep_close(struct fmx_ring *ring, uint32_t file, uint64_t tag);
void fmx_ring_prep_cancel(struct fmx_ring *ring, uint64_t target_tag, uint64_t tag);

/*
 * Sends all parts as one stream of bytes. The parts are copied, the bytes are not: they stay in
 * place until the completion. 1 … FMX_RING_PARTS_MAX parts.
 */
void fmx_ring_prep_send(struct fmx_ring *ring, uint32_t file, const struct iovec *parts,
                        unsigned parts_count, uint64_t tag);

/*
 * Makes an outgoing TCP socket at `file`, bound to `source` if that is not NULL. FMX_OK,
 * FMX_SYS_SOCKET or FMX_SYS_BIND, with errno in `out_errno`.
 */
enum fmx_status fmx_ring_open_socket(struct fmx_ring *ring, uint32_t file, int family,
                                     const struct sockaddr *source, socklen_t source_bytes,
                                     bool linger_zero, int *out_errno) FMX_MUST_USE;

/*
 * Completes at `due_ns` of fmx_ring_now's clock, like a peer's bytes that arrive then: behind all
 * that was ready before. So it is taken as late as they are. Once between two submissions.
 */
void fmx_ring_prep_tick(struct fmx_ring *ring, uint64_t due_ns, uint64_t tag);

/* Submits what has been filled in, without waiting. */
void fmx_ring_submit(struct fmx_ring *ring);

/* Submits, runs what the kernel deferred, waits up to `wait_ns` for one completion. 0: no wait. */
void fmx_ring_enter(struct fmx_ring *ring, uint64_t wait_ns);

/* Takes up to `max` completions out of the ring. */
unsigned fmx_ring_reap(struct fmx_ring *ring, struct fmx_completion *out, unsigned max);

/*
 * Has the kernel kept deferred work back? Then runs the next slice of it: there is more to take.
 * Submits nothing.
 */
bool fmx_ring_get_more(struct fmx_ring *ring);

/* Makes a waiting fmx_ring_enter return, with a completion tagged FMX_OP_WAKE. Any thread. */
void fmx_ring_wake(struct fmx_ring *ring);

/* System calls made so far. */
uint64_t fmx_ring_enters(const struct fmx_ring *ring);

/* The bytes of a lent receive buffer; valid until it is given back. */
const uint8_t *fmx_ring_buffer(const struct fmx_ring *ring, uint32_t buffer);

/* Gives a buffer back; the kernel sees it after fmx_ring_give_flush, one advance for all. */
void fmx_ring_give(struct fmx_ring *ring, uint32_t buffer);
void fmx_ring_give_flush(struct fmx_ring *ring);

/*
 * A receive has found no buffer: twice as many are lent from the next flush on, up to
 * buffers_count. A ring begins with few, so that those in use stay in the cache.
 */
void fmx_ring_lend_more(struct fmx_ring *ring);

#endif
