/*
 * ring — one io_uring per shard: set up with reasons, entered from one place
 *
 * Why it is so:   TCP costs the most and the choice of system call little; what the ring buys is
 *                 one entry into the kernel for everything a turn has to say. So entries are only
 *                 filled in here, and the kernel is entered by submit and enter alone
 * Words:          file: an index into the ring's table of direct descriptors. Such sockets are not
 *                 in the process's table and cost no reference count per call
 * Invariants:     (1) one thread: SINGLE_ISSUER  (2) a prep never fails: a full queue is submitted
 *                 (3) the message headers of a sendmsg live until the entry has been submitted
 * Memory:         owns the ring, its buffer ring, the bell (an eventfd) and a pool of headers
 * Threads:        owning shard only; fmx_ring_wake writes the eventfd and may be called by any
 * Limits:         RLIMIT_NOFILE bounds the file table of each ring, not of the process; the
 *                 completion queue has 16 times the submission queue and overflows into kernel
 *                 memory, not away
 * Not here:       what a completion means: conn.c, listen.c, shard.c
 */
#include "engine/ring.h"

#include "engine/bufring.h"
#include "engine/clock.h"
#include "engine/op.h"

#include <errno.h>
#include <fleetmux/private/assert.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SUBMISSIONS 4096u
#define COMPLETIONS 65536u
#define SLICE       16u /* the kernel runs about twenty at a time */
#define HEADERS     256u

#define CMD_GETSOCKOPT 2u /* SOCKET_URING_OP_GETSOCKOPT of the kernel's header */

struct header {
    struct msghdr message;
    struct iovec parts[FMX_RING_PARTS_MAX];
};

struct fmx_ring {
    struct io_uring uring;
    struct fmx_bufring bufring;
    int bell_fd;
    uint64_t bell_value; /* where the kernel puts what it read from the bell */
    uint64_t enters;
    unsigned headers_used;         /* since the last submission */
    struct __kernel_timespec tick; /* is read at submission */
    bool has_more;                 /* deferred work was kept back */
    bool needs_get_events;         /* DEFER_TASKRUN: completions appear only when we enter */
    struct header headers[HEADERS];
};

/*
 * The flags, each with what it gives; on EINVAL the next set is tried.
 *   SINGLE_ISSUER   one thread submits: the kernel drops a lock
 *   DEFER_TASKRUN   completions are made when we enter, not when an interrupt likes: buffers do not
 *                   run out while we work (6.1)
 *   TASKRUN_FLAG    tells whether deferred work was kept back
 *   COOP_TASKRUN    the older, weaker form of the same (5.19)
 *   CQSIZE          room for a burst of completions from every session of a shard
 *   SUBMIT_ALL      one bad entry does not keep the rest of a batch behind
 */
static const unsigned flag_sets[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE |
        IORING_SETUP_SUBMIT_ALL,
};

static int set_up(struct fmx_ring *ring)
{
    int result = -EINVAL;

    for (size_t i = 0; i < sizeof(flag_sets) / sizeof(flag_sets[0]); i++) {
        struct io_uring_params params = {.flags = flag_sets[i], .cq_entries = COMPLETIONS};
        result = io_uring_queue_init_params(SUBMISSIONS, &ring->uring, &params);
        if (result == 0) {
            ring->needs_get_events = (flag_sets[i] & IORING_SETUP_DEFER_TASKRUN) != 0;
            return 0;
        }
        if (result != -EINVAL) {
            return result;
        }
    }
    return result;
}

static enum fmx_status explain_set_up(int result, char *error, size_t error_bytes)
{
    if (result == -EPERM) {
        snprintf(
            error, error_bytes,
            "io_uring is not permitted here: check sysctl kernel.io_uring_disabled (must be 0) "
            "and, in a container, its seccomp profile");
    } else if (result == -ENOMEM) {
        snprintf(error, error_bytes, "no memory for an io_uring: raise RLIMIT_MEMLOCK (ulimit -l)");
    } else if (result == -ENOSYS || result == -EINVAL) {
        snprintf(error, error_bytes,
                 "this kernel's io_uring is too old: Linux 6.1 or newer is needed");
    } else {
        snprintf(error, error_bytes, "io_uring could not be set up: %s", strerror(-result));
    }
    return FMX_SYS_RING;
}

static void arm_bell(struct fmx_ring *ring);

static enum fmx_status register_parts(struct fmx_ring *ring, const struct fmx_ring_options *options,
                                      char *error, size_t error_bytes)
{
    int result = io_uring_register_files_sparse(&ring->uring, options->files_count);
    if (result < 0) {
        snprintf(error, error_bytes,
                 "a table of %u descriptors was refused (%s): raise RLIMIT_NOFILE (ulimit -n) or "
                 "use more shards",
                 options->files_count, strerror(-result));
        return FMX_SYS_RING;
    }
    (void)io_uring_register_ring_fd(&ring->uring); /* saves a look-up per entry; optional */

    enum fmx_status status = fmx_bufring_open(&ring->bufring, &ring->uring, options->buffers_count,
                                              options->buffer_bytes);
    if (status == FMX_SYS_RING) {
        snprintf(error, error_bytes,
                 "a ring of %u receive buffers was refused (%s): Linux 6.1 or newer is needed",
                 options->buffers_count, strerror(errno));
    } else if (status != FMX_OK) {
        snprintf(error, error_bytes, "no memory for %u receive buffers of %u bytes",
                 options->buffers_count, options->buffer_bytes);
    }
    return status;
}

enum fmx_status fmx_ring_open(const struct fmx_ring_options *options, struct fmx_ring **out_ring,
                              char *error, size_t error_bytes)
{
    struct fmx_ring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL) {
        snprintf(error, error_bytes, "no memory for a ring");
        return FMX_LIMIT_MEMORY;
    }
    int result = set_up(ring);
    if (result < 0) {
        free(ring);
        return explain_set_up(result, error, error_bytes);
    }
    ring->bell_fd = eventfd(0, EFD_CLOEXEC);
    enum fmx_status status = ring->bell_fd < 0 ? explain_set_up(-errno, error, error_bytes)
                                               : register_parts(ring, options, error, error_bytes);
    if (status != FMX_OK) {
        fmx_ring_close(ring);
        return status;
    }
    arm_bell(ring);
    *out_ring = ring;
    return FMX_OK;
}

void fmx_ring_close(struct fmx_ring *ring)
{
    fmx_bufring_close(&ring->bufring, &ring->uring);
    io_uring_queue_exit(&ring->uring);
    if (ring->bell_fd >= 0) {
        close(ring->bell_fd);
    }
    free(ring);
}

uint64_t fmx_ring_now(struct fmx_ring *ring)
{
    (void)ring;
    return fmx_clock_ns();
}

static struct io_uring_sqe *next_entry(struct fmx_ring *ring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);

    if (entry == NULL) {
        fmx_ring_submit(ring);
        entry = io_uring_get_sqe(&ring->uring);
        FMX_ASSERT(entry != NULL);
    }
    return entry;
}

static void set_tag(struct io_uring_sqe *entry, uint64_t tag)
{
    io_uring_sqe_set_data64(entry, tag);
}

static void arm_bell(struct fmx_ring *ring)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_read(entry, ring->bell_fd, &ring->bell_value, sizeof(ring->bell_value), 0);
    set_tag(entry, fmx_op_pack(FMX_OP_WAKE, 0, 0));
}

void fmx_ring_prep_accept(struct fmx_ring *ring, int listen_fd, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_multishot_accept_direct(entry, listen_fd, NULL, NULL, 0);
    set_tag(entry, tag);
}

void fmx_ring_prep_recv(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_recv_multishot(entry, (int)file, NULL, 0, 0);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    entry->buf_group = FMX_BUFRING_GROUP;
    set_tag(entry, tag);
}

void fmx_ring_prep_recv_once(struct fmx_ring *ring, uint32_t file, uint32_t bytes_max, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_recv(entry, (int)file, NULL, bytes_max, 0);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    entry->buf_group = FMX_BUFRING_GROUP;
    set_tag(entry, tag);
}

void fmx_ring_prep_connect(struct fmx_ring *ring, uint32_t file, const struct sockaddr *address,
                           socklen_t address_bytes, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_connect(entry, (int)file, address, address_bytes);
    entry->flags |= IOSQE_FIXED_FILE;
    set_tag(entry, tag);
}

/* The kernel runs it on a worker thread, which looks the file up late: it stays open till then. */
void fmx_ring_prep_shutdown(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_shutdown(entry, (int)file, SHUT_WR);
    entry->flags |= IOSQE_FIXED_FILE;
    set_tag(entry, tag);
}

/* getsockopt(SO_PEERNAME) as a command of the ring; liburing 2.3 has no call for it yet. */
void fmx_ring_prep_peer_name(struct fmx_ring *ring, uint32_t file, struct sockaddr_in6 *out_name,
                             uint32_t bytes, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_rw(IORING_OP_URING_CMD, entry, (int)file, NULL, 0, CMD_GETSOCKOPT);
    entry->addr = (uint64_t)SO_PEERNAME << 32 | SOL_SOCKET;
    entry->splice_fd_in = (int)bytes;
    entry->addr3 = (uint64_t)(uintptr_t)out_name;
    entry->flags |= IOSQE_FIXED_FILE;
    set_tag(entry, tag);
}

void fmx_ring_prep_close(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_close_direct(entry, file);
    set_tag(entry, tag);
}

void fmx_ring_prep_cancel(struct fmx_ring *ring, uint64_t target_tag, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    io_uring_prep_cancel64(entry, target_tag, 0);
    set_tag(entry, tag);
}

/*
 * The header may be reused only after its entry has been submitted (invariant 3): so there is room
 * for that entry before the header is taken.
 */
static struct header *next_header(struct fmx_ring *ring)
{
    if (ring->headers_used == HEADERS || io_uring_sq_space_left(&ring->uring) == 0) {
        fmx_ring_submit(ring);
    }
    return &ring->headers[ring->headers_used++];
}

void fmx_ring_prep_send(struct fmx_ring *ring, uint32_t file, const struct iovec *parts,
                        unsigned parts_count, uint64_t tag)
{
    const int flags = MSG_WAITALL | MSG_NOSIGNAL;

    FMX_ASSERT(parts_count >= 1 && parts_count <= FMX_RING_PARTS_MAX);
    if (parts_count == 1) {
        struct io_uring_sqe *entry = next_entry(ring);
        io_uring_prep_send(entry, (int)file, parts[0].iov_base, parts[0].iov_len, flags);
        entry->flags |= IOSQE_FIXED_FILE;
        set_tag(entry, tag);
        return;
    }
    struct header *header = next_header(ring);
    struct io_uring_sqe *entry = next_entry(ring);
    memcpy(header->parts, parts, parts_count * sizeof(*parts));
    header->message = (struct msghdr){.msg_iov = header->parts, .msg_iovlen = parts_count};
    io_uring_prep_sendmsg(entry, (int)file, &header->message, (unsigned)flags);
    entry->flags |= IOSQE_FIXED_FILE;
    set_tag(entry, tag);
}

void fmx_ring_prep_tick(struct fmx_ring *ring, uint64_t due_ns, uint64_t tag)
{
    struct io_uring_sqe *entry = next_entry(ring);

    ring->tick = (struct __kernel_timespec){
        .tv_sec = (long long)(due_ns / 1000000000ull),
        .tv_nsec = (long long)(due_ns % 1000000000ull),
    };
    io_uring_prep_timeout(entry, &ring->tick, 0, IORING_TIMEOUT_ABS);
    set_tag(entry, tag);
}

static void set_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value)); /* all are improvements only */
}

static void set_socket_options(int fd, bool linger_zero)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (linger_zero) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
}

enum fmx_status fmx_ring_open_socket(struct fmx_ring *ring, uint32_t file, int family,
                                     const struct sockaddr *source, socklen_t source_bytes,
                                     bool linger_zero, int *out_errno)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *out_errno = errno;
        return FMX_SYS_SOCKET;
    }
    set_socket_options(fd, linger_zero);
    if (source != NULL) {
        /* the port is chosen at connect, when the target is known: many times as many fit */
        set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        if (bind(fd, source, source_bytes) < 0) {
            *out_errno = errno;
            close(fd);
            return FMX_SYS_BIND;
        }
    }
    int result = io_uring_register_files_update(&ring->uring, file, &fd, 1);
    close(fd);
    *out_errno = result < 0 ? -result : 0;
    return result < 0 ? FMX_SYS_SOCKET : FMX_OK;
}

void fmx_ring_submit(struct fmx_ring *ring)
{
    (void)io_uring_submit(&ring->uring);
    ring->enters++;
    ring->headers_used = 0;
}

/* Was the slice a full one, and is there more? What has come since says nothing: it can wait. */
static void note_slice(struct fmx_ring *ring, unsigned completions_before)
{
    unsigned flags = IO_URING_READ_ONCE(*ring->uring.sq.kflags);
    unsigned ready = io_uring_cq_ready(&ring->uring);

    ring->has_more = (flags & IORING_SQ_TASKRUN) != 0 && ready >= completions_before + SLICE;
}

void fmx_ring_enter(struct fmx_ring *ring, uint64_t wait_ns)
{
    unsigned before = io_uring_cq_ready(&ring->uring) + io_uring_sq_ready(&ring->uring);

    ring->enters++;
    ring->headers_used = 0;
    if (wait_ns == 0 || io_uring_cq_ready(&ring->uring) > 0) {
        if (ring->needs_get_events) {
            (void)io_uring_submit_and_get_events(&ring->uring);
        } else {
            (void)io_uring_submit(&ring->uring);
        }
        note_slice(ring, before);
        return;
    }
    struct io_uring_cqe *first;
    struct __kernel_timespec limit = {
        .tv_sec = (long long)(wait_ns / 1000000000ull),
        .tv_nsec = (long long)(wait_ns % 1000000000ull),
    };
    (void)io_uring_submit_and_wait_timeout(&ring->uring, &first, 1,
                                           wait_ns == FMX_RING_FOREVER ? NULL : &limit, NULL);
    note_slice(ring, before);
}

static struct fmx_completion completion_of(const struct io_uring_cqe *cqe)
{
    return (struct fmx_completion){
        .tag = cqe->user_data,
        .result = cqe->res,
        .buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0 ? cqe->flags >> IORING_CQE_BUFFER_SHIFT
                                                          : FMX_RING_NO_BUFFER,
        .more = (cqe->flags & IORING_CQE_F_MORE) != 0,
    };
}

unsigned fmx_ring_reap(struct fmx_ring *ring, struct fmx_completion *out, unsigned max)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned count = 0;

    io_uring_for_each_cqe(&ring->uring, head, cqe)
    {
        if (count == max) {
            break;
        }
        out[count++] = completion_of(cqe);
        if (fmx_op_kind(cqe->user_data) == FMX_OP_WAKE) {
            arm_bell(ring);
        }
    }
    io_uring_cq_advance(&ring->uring, count);
    return count;
}

bool fmx_ring_get_more(struct fmx_ring *ring)
{
    if (!ring->has_more) {
        return false;
    }
    unsigned before = io_uring_cq_ready(&ring->uring);
    fmx_ring_give_flush(ring);
    ring->enters++;
    (void)io_uring_get_events(&ring->uring);
    note_slice(ring, before);
    return true;
}

void fmx_ring_wake(struct fmx_ring *ring)
{
    uint64_t one = 1;
    ssize_t written = write(ring->bell_fd, &one, sizeof(one));

    FMX_ASSERT(written == (ssize_t)sizeof(one) || errno == EAGAIN || errno == EINTR);
}

uint64_t fmx_ring_enters(const struct fmx_ring *ring)
{
    return ring->enters;
}

const uint8_t *fmx_ring_buffer(const struct fmx_ring *ring, uint32_t buffer)
{
    FMX_ASSERT(buffer < ring->bufring.count);
    return ring->bufring.bytes + (size_t)buffer * ring->bufring.buffer_bytes;
}

void fmx_ring_give(struct fmx_ring *ring, uint32_t buffer)
{
    fmx_bufring_give(&ring->bufring, buffer);
}

void fmx_ring_give_flush(struct fmx_ring *ring)
{
    fmx_bufring_flush(&ring->bufring);
}

void fmx_ring_lend_more(struct fmx_ring *ring)
{
    ring->bufring.is_short = true;
}
