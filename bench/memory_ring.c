/*
 * memory_ring — engine/ring.h without a kernel: what is submitted completes in the next turn
 *
 * Why it is so:   TCP is most of what a message costs, and hides what our own code costs. Here a
 *                 shard runs its whole path, from completion to send, and the rest is a list that
 *                 is filled and emptied. So the engine's own time and instructions can be had
 *                 exactly, also on a machine that others use
 * Words:          step: sends reach their peers, and what peers say becomes completions; traced:
 *                 run by callgrind, which collects only while the engine runs
 * Invariants:     (1) a send is complete, and its peer has all of it, in the turn after it was
 *                 submitted (2) a shard that finds nothing to do sleeps in the kernel (a futex), so
 *                 that waking it costs what a wake-up costs
 * Memory:         lists that grow to what a turn needs
 * Threads:        a ring is its shard's; wake and the round that is measured are reached from
 *                 others, see below
 * Limits:         no outgoing connections
 * Not here:       who says what: memory_peers.c
 *
 * Memory order: whoever wakes a ring has changed something first (a bell, a queue, `seen`), then
 * adds to `calls`, then reads `is_asleep`; the sleeper sets `is_asleep`, steps once more, and
 * sleeps only if `calls` has not changed since before. All of these are sequentially consistent.
 */
#include "bench/memory.h"

#include "engine/op.h"
#include <errno.h>
#include <fleetmux/private/assert.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT ((void)0)
#define RUNNING_ON_VALGRIND      0
#endif

#define NS_PER_S        1000000000ull
#define ACCEPTS_AT_ONCE 64u
#define LOOK_NS         1000000l
#define LOOKS_MAX       2000u  /* without a message */
#define LOOKS_TRACED    60000u /* callgrind is some fifty times slower */

struct sending {
    uint64_t tag;
    uint32_t file;
    uint32_t parts_count;
};

/* A list that only grows, in one of which the next turn's is filled while this one's is read. */
struct list {
    void *items;
    size_t count;
    size_t room;
};

enum phase { IDLE, ASKED, RUNNING, DONE };

struct fmx_ring {
    struct memory_end *end;
    struct list sends;       /* struct sending */
    struct list parts;       /* struct iovec, of all sends */
    struct list completions; /* struct fmx_completion */
    size_t reaped;
    uint64_t accept_tag;
    bool accept_armed;
    bool is_collecting;
    uint64_t enters;
    uint64_t left_at_ns; /* processor time when the engine was last left to run */
    struct memory_round round;
    uint64_t messages_before;
    _Atomic int phase; /* release, acquire: `round` goes with it */
    _Alignas(64) _Atomic bool bell;
    _Atomic uint32_t calls;
    _Atomic bool is_asleep;
};

static struct fmx_ring *_Atomic rings[MEMORY_RINGS_MAX];
static _Atomic uint32_t rings_count;

static void *append(struct list *list, size_t item_bytes, size_t count)
{
    if (list->count + count > list->room) {
        list->room = (list->count + count) * 2 + 64;
        list->items = realloc(list->items, list->room * item_bytes);
        if (list->items == NULL) {
            memory_fail("memory ran out");
        }
    }
    void *item = (char *)list->items + list->count * item_bytes;
    list->count += count;
    return item;
}

void memory_complete(struct fmx_ring *ring, uint64_t tag, int32_t result, uint32_t buffer,
                     bool more)
{
    struct fmx_completion *completion = append(&ring->completions, sizeof *completion, 1);

    *completion =
        (struct fmx_completion){.tag = tag, .result = result, .buffer = buffer, .more = more};
}

static void complete_plain(struct fmx_ring *ring, uint64_t tag, int32_t result)
{
    memory_complete(ring, tag, result, FMX_RING_NO_BUFFER, false);
}

/* ── open and close ── */

enum fmx_status fmx_ring_open(const struct fmx_ring_options *options, struct fmx_ring **out_ring,
                              char *error, size_t error_bytes)
{
    struct fmx_ring *ring = aligned_alloc(64, (sizeof *ring + 63) / 64 * 64);

    (void)options;
    (void)error;
    (void)error_bytes;
    if (ring == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    memset(ring, 0, sizeof *ring);
    ring->end = memory_end_take();
    atomic_store(&rings[atomic_fetch_add(&rings_count, 1)], ring);
    *out_ring = ring;
    return FMX_OK;
}

/* Called when no shard runs any more. */
void fmx_ring_close(struct fmx_ring *ring)
{
    for (uint32_t i = 0; i < MEMORY_RINGS_MAX; i++) {
        if (atomic_load(&rings[i]) == ring) {
            atomic_store(&rings[i], NULL);
        }
    }
    atomic_store(&rings_count, 0);
    free(ring->sends.items);
    free(ring->parts.items);
    free(ring->completions.items);
    free(ring);
}

/* ── time and rounds ── */

uint64_t fmx_ring_now(struct fmx_ring *ring)
{
    struct timespec now;

    (void)ring;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t processor_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

bool memory_is_traced(void)
{
    return RUNNING_ON_VALGRIND != 0;
}

static void begin_round(struct fmx_ring *ring)
{
    ring->messages_before = memory_end_messages(ring->end);
    ring->round.messages = 0;
    ring->round.engine_ns = 0;
    ring->round.turns = 0;
    atomic_store_explicit(&ring->phase, RUNNING, memory_order_relaxed);
}

/* The engine's turn is over, and its sends have reached their peers. */
static void stop_clock(struct fmx_ring *ring)
{
    struct memory_round *round = &ring->round;

    round->turns++;
    round->messages = memory_end_messages(ring->end) - ring->messages_before;
    if (round->messages >= round->messages_least && round->engine_ns >= round->ns_least) {
        atomic_store_explicit(&ring->phase, DONE, memory_order_release);
    }
}

/* From here to let_go the time is not the engine's. */
static void hold_back(struct fmx_ring *ring)
{
    if (ring->is_collecting) {
        CALLGRIND_TOGGLE_COLLECT;
        ring->is_collecting = false;
    }
    if (atomic_load_explicit(&ring->phase, memory_order_relaxed) == RUNNING) {
        ring->round.engine_ns += processor_ns() - ring->left_at_ns;
    }
}

static void let_go(struct fmx_ring *ring)
{
    if (atomic_load_explicit(&ring->phase, memory_order_relaxed) == RUNNING) {
        ring->left_at_ns = processor_ns();
        ring->is_collecting = ring->round.is_counted;
    }
    if (ring->is_collecting) {
        CALLGRIND_TOGGLE_COLLECT;
    }
}

bool memory_measure(struct memory_round *round)
{
    struct fmx_ring *ring = atomic_load(&rings[0]);
    uint32_t looks_max = memory_is_traced() ? LOOKS_TRACED : LOOKS_MAX;
    uint64_t last = memory_world_messages();

    ring->round = *round;
    atomic_store_explicit(&ring->phase, ASKED, memory_order_release);
    for (uint32_t looks = 0; looks < looks_max; looks++) {
        struct timespec pause = {.tv_nsec = LOOK_NS};
        (void)nanosleep(&pause, NULL);
        if (atomic_load_explicit(&ring->phase, memory_order_acquire) == DONE) {
            *round = ring->round;
            return true;
        }
        uint64_t now = memory_world_messages();
        looks = now != last ? 0 : looks;
        last = now;
    }
    return false;
}

/* ── sleep ── */

static void wake(struct fmx_ring *ring)
{
    atomic_fetch_add(&ring->calls, 1);
    if (atomic_load(&ring->is_asleep)) {
        (void)syscall(SYS_futex, &ring->calls, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static void wake_others(const struct fmx_ring *ring)
{
    for (uint32_t i = 0; i < MEMORY_RINGS_MAX; i++) {
        struct fmx_ring *other = atomic_load(&rings[i]);
        if (other != NULL && other != ring) {
            wake(other);
        }
    }
}

void memory_wake_all(void)
{
    wake_others(NULL);
}

void fmx_ring_wake(struct fmx_ring *ring)
{
    atomic_store(&ring->bell, true);
    wake(ring);
}

/* ── a step ── */

static void accept_some(struct fmx_ring *ring)
{
    uint32_t file;

    for (uint32_t i = 0; i < ACCEPTS_AT_ONCE && memory_end_accept(ring->end, &file); i++) {
        memory_complete(ring, ring->accept_tag, (int32_t)file, FMX_RING_NO_BUFFER, true);
    }
}

static void end_sends(struct fmx_ring *ring)
{
    const struct sending *sends = ring->sends.items;
    const struct iovec *parts = ring->parts.items;

    for (size_t i = 0; i < ring->sends.count; i++) {
        size_t bytes = 0;
        for (uint32_t part = 0; part < sends[i].parts_count; part++) {
            bytes += parts[part].iov_len;
        }
        memory_end_said(ring->end, sends[i].file, parts, sends[i].parts_count);
        complete_plain(ring, sends[i].tag, (int32_t)bytes);
        parts += sends[i].parts_count;
    }
    ring->sends.count = 0;
    ring->parts.count = 0;
}

static bool has_work(const struct fmx_ring *ring)
{
    return ring->reaped < ring->completions.count;
}

static bool step(struct fmx_ring *ring)
{
    if (!has_work(ring)) {
        ring->completions.count = 0;
        ring->reaped = 0;
    }
    end_sends(ring);
    if (atomic_load_explicit(&ring->phase, memory_order_acquire) == RUNNING) {
        stop_clock(ring);
    }
    if (memory_end_step(ring->end, ring)) {
        wake_others(ring);
    }
    if (ring->accept_armed) {
        accept_some(ring);
    }
    if (atomic_load_explicit(&ring->bell, memory_order_relaxed) &&
        atomic_exchange(&ring->bell, false)) {
        complete_plain(ring, fmx_op_pack(FMX_OP_WAKE, 0, 0), sizeof(uint64_t));
    }
    return has_work(ring);
}

static void doze(struct fmx_ring *ring, uint64_t wait_ns)
{
    uint32_t calls = atomic_load(&ring->calls);
    struct timespec limit = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                             .tv_nsec = (long)(wait_ns % NS_PER_S)};

    atomic_store(&ring->is_asleep, true);
    if (!step(ring)) {
        (void)syscall(SYS_futex, &ring->calls, FUTEX_WAIT_PRIVATE, calls,
                      wait_ns == FMX_RING_FOREVER ? NULL : &limit, NULL, 0);
    }
    atomic_store(&ring->is_asleep, false);
    (void)step(ring);
}

void fmx_ring_enter(struct fmx_ring *ring, uint64_t wait_ns)
{
    hold_back(ring);
    ring->enters++;
    if (!step(ring) && wait_ns > 0) {
        doze(ring, wait_ns);
    }
    if (atomic_load_explicit(&ring->phase, memory_order_acquire) == ASKED) {
        begin_round(ring);
    }
    let_go(ring);
}

bool fmx_ring_get_more(struct fmx_ring *ring)
{
    (void)ring; /* nothing is deferred */
    return false;
}

unsigned fmx_ring_reap(struct fmx_ring *ring, struct fmx_completion *out, unsigned max)
{
    size_t left = ring->completions.count - ring->reaped;
    unsigned count = left < max ? (unsigned)left : max;

    if (count > 0) {
        memcpy(out, (const struct fmx_completion *)ring->completions.items + ring->reaped,
               count * sizeof *out);
        ring->reaped += count;
    }
    return count;
}

void fmx_ring_submit(struct fmx_ring *ring)
{
    (void)ring;
}

uint64_t fmx_ring_enters(const struct fmx_ring *ring)
{
    return ring->enters;
}

/* ── operations ── */

void fmx_ring_prep_accept(struct fmx_ring *ring, int listen_fd, uint64_t tag)
{
    (void)listen_fd;
    ring->accept_tag = tag;
    ring->accept_armed = true;
}

void fmx_ring_prep_recv(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    memory_end_arm(ring->end, ring, file, tag);
}

/* Of slow readers alone, which nobody is here. */
void fmx_ring_prep_recv_once(struct fmx_ring *ring, uint32_t file, uint32_t bytes_max, uint64_t tag)
{
    (void)file;
    (void)bytes_max;
    complete_plain(ring, tag, -EOPNOTSUPP);
}

void fmx_ring_prep_send(struct fmx_ring *ring, uint32_t file, const struct iovec *parts,
                        unsigned parts_count, uint64_t tag)
{
    struct sending *sending = append(&ring->sends, sizeof *sending, 1);

    *sending = (struct sending){.tag = tag, .file = file, .parts_count = parts_count};
    memcpy(append(&ring->parts, sizeof *parts, parts_count), parts, parts_count * sizeof *parts);
}

void fmx_ring_prep_shutdown(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    complete_plain(ring, tag, 0);
    memory_end_shut(ring->end, ring, file);
}

void fmx_ring_prep_close(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    (void)file;
    complete_plain(ring, tag, 0);
}

void fmx_ring_prep_cancel(struct fmx_ring *ring, uint64_t target_tag, uint64_t tag)
{
    if (fmx_op_kind(target_tag) == FMX_OP_ACCEPT) {
        ring->accept_armed = false;
        complete_plain(ring, target_tag, -ECANCELED);
    } else if (memory_end_disarm(ring->end, target_tag)) {
        complete_plain(ring, target_tag, -ECANCELED);
    }
    complete_plain(ring, tag, 0);
}

void fmx_ring_prep_tick(struct fmx_ring *ring, uint64_t due_ns, uint64_t tag)
{
    (void)ring; /* ticks measure lateness: none comes */
    (void)due_ns;
    (void)tag;
}

void fmx_ring_prep_peer_name(struct fmx_ring *ring, uint32_t file, struct sockaddr_in6 *out_name,
                             uint32_t bytes, uint64_t tag)
{
    (void)file;
    (void)out_name;
    (void)bytes;
    complete_plain(ring, tag, -EOPNOTSUPP);
}

void fmx_ring_prep_connect(struct fmx_ring *ring, uint32_t file, const struct sockaddr *address,
                           socklen_t address_bytes, uint64_t tag)
{
    (void)file;
    (void)address;
    (void)address_bytes;
    complete_plain(ring, tag, -EOPNOTSUPP);
}

enum fmx_status fmx_ring_open_socket(struct fmx_ring *ring, uint32_t file, int family,
                                     const struct sockaddr *source, socklen_t source_bytes,
                                     bool linger_zero, int *out_errno)
{
    (void)ring;
    (void)file;
    (void)family;
    (void)source;
    (void)source_bytes;
    (void)linger_zero;
    *out_errno = EOPNOTSUPP;
    return FMX_SYS_SOCKET;
}

/* ── receive buffers ── */

const uint8_t *fmx_ring_buffer(const struct fmx_ring *ring, uint32_t buffer)
{
    return memory_end_buffer(ring->end, buffer);
}

void fmx_ring_give(struct fmx_ring *ring, uint32_t buffer)
{
    memory_end_give(ring->end, buffer);
}

void fmx_ring_give_flush(struct fmx_ring *ring)
{
    (void)ring;
}

void fmx_ring_lend_more(struct fmx_ring *ring)
{
    (void)ring;
}
