/*
 * ring_sim — a world in memory behind engine/ring.h: sockets, peers and a clock from one seed
 *
 * Why it is so:   what breaks an engine on completions is their order: a cancel that comes late, a
 *                 send that ends in part, buffers that run out, a close that meets data. A real
 *                 kernel shows each of these once in a million; here the seed decides, so a failure
 *                 can be had again
 * Words:          step: one look at every operation in the kernel, in random order; temper: the
 *                 chances; peer: the other end of a connection, moved by the story; circulating:
 *                 buffers that have been lent, few at first and more as in engine/bufring.c
 * Invariants:     the world ends the process, and says the seed, if
 *                 (1) bytes of a send change between its submission and its completion
 *                 (2) a receive buffer is given that was not lent, or twice
 *                 (3) an operation names a file that is closed, or was never opened
 *                 (4) a file is closed while a receive, send, connect or shutdown of it is in the
 *                 kernel
 *                 (5) two receives or two sends of one file are in the kernel at once
 *                 (6) a send follows a shutdown
 *                 and keeps to this itself:
 *                 (7) every operation completes exactly once; a multishot one any number of times
 *                 with `more`, and once without
 *                 (8) completions of one operation keep their order; those of different files do
 *                 not
 * Memory:         a ring's tables and buffers; operations until they have completed
 * Threads:        one
 * Limits:         ENTERS_MAX of one ring: a story that runs that long never ends
 * Not here:       peers and sockets: world.c; MQTT: story.c
 */
#include "tests/sim/world.h"

#include "engine/op.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTERS_MAX   5000000u
#define STEP_NS_MAX  20000u
#define READ_AT_ONCE 65536u
#define LENT_FIRST   64u
#define POISON       0xdd

enum kind { ACCEPT, RECV, CONNECT, SHUTDOWN, CLOSE, CANCEL, SEND, PEER_NAME, KINDS };

static_assert(KINDS <= FMX_WORLD_KINDS_MAX, "a socket counts each kind");

struct op {
    struct op *next;
    enum kind kind;
    uint64_t tag;
    uint64_t target_tag;
    uint32_t file;
    int listen_fd;
    struct fmx_world_socket *socket;
    struct sockaddr_in6 *name;
    struct iovec parts[FMX_RING_PARTS_MAX];
    unsigned parts_count;
    size_t bytes; /* of a send; of a receive: of one that ends with its first bytes, the most */
    size_t done;
    uint64_t checksum;
    unsigned steps_left;  /* until it may go on; UINT_MAX: never */
    unsigned cancel_left; /* 0: not cancelled; else steps until the cancel takes effect, plus 1 */
    int32_t answer;
};

enum hand { NOT_LENT_YET, WITH_KERNEL, WITH_ENGINE, ON_ITS_WAY };

struct fmx_ring {
    struct fmx_ring_options options;
    struct fmx_world_socket **files;
    uint8_t *buffer_bytes;
    enum hand *hands;
    uint32_t *lent; /* a ring of buffers in the kernel's hands, first given first used */
    uint32_t lent_first;
    uint32_t lent_count;
    uint32_t circulating; /* all but those not lent yet */
    bool is_short;        /* more are to be lent at the next flush */
    struct op *filled;    /* prepared, not submitted */
    struct op **filled_tail;
    struct op **ops; /* in the kernel */
    size_t ops_count;
    size_t ops_capacity;
    struct fmx_completion *completions;
    size_t completions_first;
    size_t completions_end;
    size_t completions_capacity;
    bool bell;
    uint64_t enters;
    struct fmx_sim_look ever;
};

static struct fmx_world_socket *socket_of(const struct fmx_ring *ring, const struct op *op)
{
    fmx_world_demand(op->file < ring->options.files_count, "a file beyond the table", op->tag);
    fmx_world_demand(ring->files[op->file] != NULL, "an operation on a closed file", op->tag);
    return ring->files[op->file];
}

/* ── completions ── */

static void complete(struct fmx_ring *ring, uint64_t tag, int32_t result, uint32_t buffer,
                     bool more)
{
    if (ring->completions_end == ring->completions_capacity) {
        ring->completions_capacity = ring->completions_capacity * 2 + 64;
        ring->completions = fmx_world_must(
            realloc(ring->completions, ring->completions_capacity * sizeof(*ring->completions)));
    }
    ring->completions[ring->completions_end++] =
        (struct fmx_completion){.tag = tag, .result = result, .buffer = buffer, .more = more};
}

static uint64_t checksum_of(const struct op *op)
{
    uint64_t sum = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < op->parts_count; i++) {
        const uint8_t *data = op->parts[i].iov_base;
        for (size_t at = 0; at < op->parts[i].iov_len; at++) {
            sum = (sum ^ data[at]) * 0x100000001b3u;
        }
    }
    return sum;
}

static void free_op(struct op *op)
{
    if (op->socket != NULL) {
        op->socket->running[op->kind]--;
        fmx_world_give_socket(op->socket);
    }
    free(op);
}

/* The one door out of the kernel for a finished operation; the caller drops it from its list. */
static void finish(struct fmx_ring *ring, struct op *op, int32_t result)
{
    if (op->kind == SEND) {
        fmx_world_demand(checksum_of(op) == op->checksum,
                         "the bytes of a send changed on their way", op->tag);
        ring->ever.short_sends += result > 0 && (size_t)result < op->bytes;
    }
    complete(ring, op->tag, result, FMX_RING_NO_BUFFER, false);
    free_op(op);
}

/* ── one step of one operation; true: it has ended ── */

static int32_t find_file(const struct fmx_ring *ring)
{
    uint32_t count = ring->options.files_count;
    uint32_t start = (uint32_t)fmx_world_below(count);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t file = (start + i) % count;
        if (ring->files[file] == NULL) {
            return (int32_t)file;
        }
    }
    return -ENFILE;
}

static bool step_accept(struct fmx_ring *ring, struct op *op)
{
    unsigned accepted = 0;
    struct fmx_sim_peer *peer;

    while (accepted < 1 + fmx_world_below(64) &&
           (peer = fmx_world_next_waiting(op->listen_fd)) != NULL) {
        int32_t file = find_file(ring);
        if (file < 0) {
            peer->engine_reset = true;
            finish(ring, op, file);
            return true;
        }
        peer->is_accepted = true;
        ring->files[file] = fmx_world_open_socket(peer);
        accepted++;
        if (fmx_sim_chance(fmx_world.temper.accept_ends)) {
            finish(ring, op, file);
            return true;
        }
        complete(ring, op->tag, file, FMX_RING_NO_BUFFER, true);
    }
    return false;
}

/* A random part, mostly all; never more than a buffer. */
static size_t read_size(size_t held_bytes, uint32_t buffer_bytes)
{
    size_t most = held_bytes < buffer_bytes ? held_bytes : buffer_bytes;

    if (!fmx_sim_chance(fmx_world.temper.short_read)) {
        return most;
    }
    return 1 + fmx_world_below(most < 8 || fmx_sim_chance(500) ? most : 8);
}

static bool deliver(struct fmx_ring *ring, struct op *op)
{
    struct fmx_world_bytes *from = &op->socket->peer->to_engine;

    if (ring->lent_count == 0) {
        ring->ever.enobufs++;
        finish(ring, op, -ENOBUFS);
        return true;
    }
    uint32_t buffer = ring->lent[ring->lent_first];
    ring->lent_first = (ring->lent_first + 1) % ring->options.buffers_count;
    ring->lent_count--;
    ring->hands[buffer] = WITH_ENGINE;
    size_t most = op->bytes > 0 ? op->bytes : ring->options.buffer_bytes;
    size_t bytes = read_size(fmx_world_held(from), (uint32_t)most);
    memcpy(ring->buffer_bytes + (size_t)buffer * ring->options.buffer_bytes,
           from->data + from->begin, bytes);
    from->begin += bytes;
    ring->ever.late_data += op->cancel_left > 0;
    if (from->begin == from->end) {
        from->begin = from->end = 0;
    }
    bool ends = op->bytes > 0 || fmx_sim_chance(fmx_world.temper.recv_ends);
    complete(ring, op->tag, (int32_t)bytes, buffer, !ends);
    if (ends) {
        free_op(op);
    }
    return ends;
}

static bool step_recv(struct fmx_ring *ring, struct op *op)
{
    struct fmx_sim_peer *peer = op->socket->peer;

    for (uint64_t left = 1 + fmx_world_below(4); left > 0 && fmx_world_held(&peer->to_engine) > 0;
         left--) {
        if (deliver(ring, op)) {
            return true;
        }
    }
    if (fmx_world_held(&peer->to_engine) > 0) {
        return false;
    }
    if (fmx_world_is_broken(op->socket)) {
        int32_t result = op->socket->error_told ? 0 : -ECONNRESET;
        op->socket->error_told = true;
        finish(ring, op, result);
        return true;
    }
    if (peer->has_ended) {
        finish(ring, op, 0);
        return true;
    }
    return false;
}

static size_t room_of(const struct fmx_sim_peer *peer)
{
    size_t unread = peer->from_engine.end - peer->read;

    if (peer->is_reading) {
        return 1 + fmx_world_below(READ_AT_ONCE);
    }
    return unread < fmx_world.temper.window_bytes ? fmx_world.temper.window_bytes - unread : 0;
}

/* Moves up to `room` bytes of a send, from where it stands, into the peer's socket. */
static void take_bytes(struct op *op, struct fmx_sim_peer *peer, size_t room)
{
    size_t skip = op->done;

    for (unsigned i = 0; i < op->parts_count && room > 0; i++) {
        size_t length = op->parts[i].iov_len;
        if (skip >= length) {
            skip -= length;
            continue;
        }
        size_t take = length - skip < room ? length - skip : room;
        if (!peer->has_closed) {
            fmx_world_put(&peer->from_engine, (const uint8_t *)op->parts[i].iov_base + skip, take);
        }
        op->done += take;
        room -= take;
        skip = 0;
    }
}

static bool step_send(struct fmx_ring *ring, struct op *op)
{
    struct fmx_sim_peer *peer = op->socket->peer;

    if (fmx_world_is_broken(op->socket)) {
        int32_t error = op->socket->error_told ? -EPIPE : -ECONNRESET;
        op->socket->error_told = true;
        finish(ring, op, op->done > 0 ? (int32_t)op->done : error);
        return true;
    }
    take_bytes(op, peer, room_of(peer));
    fmx_world_read_all(peer);
    if (peer->has_closed && op->done > 0) {
        peer->has_reset = true; /* its answer to bytes it will never read */
    }
    if (op->done == op->bytes) {
        finish(ring, op, (int32_t)op->bytes);
        return true;
    }
    return false;
}

static bool step_connect(struct fmx_ring *ring, struct op *op)
{
    if (op->answer == 0) {
        struct fmx_sim_peer *peer = fmx_world_make_peer();
        peer->is_accepted = true;
        op->socket->peer = peer;
        fmx_world_append_waiting(&fmx_world.dialled, peer);
    }
    finish(ring, op, op->answer);
    return true;
}

/* Runs on a worker thread of the kernel, so it may come late. */
static bool step_shutdown(struct fmx_ring *ring, struct op *op)
{
    bool broken = fmx_world_is_broken(op->socket);

    if (!broken) {
        op->socket->peer->engine_ended = true;
    }
    finish(ring, op, broken ? -ENOTCONN : 0);
    return true;
}

static bool step_op(struct fmx_ring *ring, struct op *op)
{
    switch (op->kind) {
    case ACCEPT:
        return step_accept(ring, op);
    case RECV:
        return step_recv(ring, op);
    case CONNECT:
        return step_connect(ring, op);
    case SHUTDOWN:
        return step_shutdown(ring, op);
    case SEND:
        return step_send(ring, op);
    case CLOSE:
    case CANCEL:
    case PEER_NAME:
    case KINDS:
        break;
    }
    fmx_world_fail("an operation that never waits, waits", op->tag);
}

static void end_by_cancel(struct fmx_ring *ring, struct op *op)
{
    finish(ring, op, op->kind == SEND && op->done > 0 ? (int32_t)op->done : -ECANCELED);
}

/* Data first, then the cancel, if its time has come. */
static bool step_once(struct fmx_ring *ring, struct op *op, unsigned progress)
{
    if (op->steps_left > 0) {
        op->steps_left -= op->steps_left < UINT_MAX;
    } else if (fmx_sim_chance(progress) && step_op(ring, op)) {
        return true;
    }
    if (op->cancel_left > 0 && --op->cancel_left == 0) {
        end_by_cancel(ring, op);
        return true;
    }
    return false;
}

static void shuffle(struct op **ops, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = fmx_world_below(i);
        struct op *op = ops[i - 1];
        ops[i - 1] = ops[other];
        ops[other] = op;
    }
}

static void step(struct fmx_ring *ring, unsigned progress)
{
    size_t kept = 0;

    shuffle(ring->ops, ring->ops_count);
    for (size_t i = 0; i < ring->ops_count; i++) {
        if (!step_once(ring, ring->ops[i], progress)) {
            ring->ops[kept++] = ring->ops[i];
        }
    }
    ring->ops_count = kept;
    if (ring->bell) {
        ring->bell = false;
        complete(ring, fmx_op_pack(FMX_OP_WAKE, 0, 0), 8, FMX_RING_NO_BUFFER, false);
    }
}

/* ── submission ── */

static void hold(struct fmx_ring *ring, struct op *op)
{
    if (ring->ops_count == ring->ops_capacity) {
        ring->ops_capacity = ring->ops_capacity * 2 + 64;
        ring->ops = fmx_world_must(realloc(ring->ops, ring->ops_capacity * sizeof(struct op *)));
    }
    ring->ops[ring->ops_count++] = op;
}

static void start_on_socket(struct fmx_ring *ring, struct op *op)
{
    op->socket = socket_of(ring, op);
    op->socket->refs++;
    op->socket->running[op->kind]++;
    fmx_world_demand(op->socket->running[op->kind] == 1, "the same twice at once", op->tag);
    fmx_world_demand(op->kind == CONNECT || op->socket->peer != NULL, "not connected", op->tag);
    if (op->kind == SEND) {
        fmx_world_demand(!op->socket->is_shut, "a send after the shutdown", op->tag);
    }
    if (op->kind == SHUTDOWN) {
        op->socket->is_shut = true;
        op->steps_left = (unsigned)fmx_world_below(4);
    }
    if (op->kind == CONNECT) {
        struct fmx_sim_answer answer = {0};
        fmx_world_demand(op->socket->peer == NULL, "connects twice", op->tag);
        if (fmx_world.answer != NULL) {
            answer = fmx_world.answer(fmx_world.answer_user);
        }
        op->answer = answer.result;
        op->steps_left = answer.steps_count;
    }
    hold(ring, op);
}

static void start_close(struct fmx_ring *ring, struct op *op)
{
    struct fmx_world_socket *socket = socket_of(ring, op);

    fmx_world_demand(socket->running[RECV] + socket->running[SEND] + socket->running[CONNECT] +
                             socket->running[SHUTDOWN] ==
                         0,
                     "a file is closed while the kernel holds an operation of it", op->tag);
    ring->files[op->file] = NULL;
    fmx_world_close_socket(socket);
    finish(ring, op, 0);
}

/* Kernels before 6.7 cannot tell. */
static void start_peer_name(struct fmx_ring *ring, struct op *op)
{
    struct sockaddr_in *name = (struct sockaddr_in *)(void *)op->name;

    if (fmx_sim_chance(100)) {
        finish(ring, op, -EOPNOTSUPP);
        return;
    }
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    finish(ring, op, sizeof(*name));
}

static void start_cancel(struct fmx_ring *ring, struct op *op)
{
    int32_t result = -ENOENT;
    bool comes_first = fmx_sim_chance(500);

    for (size_t i = 0; i < ring->ops_count && result == -ENOENT; i++) {
        struct op *target = ring->ops[i];
        if (target->tag != op->target_tag) {
            continue;
        }
        if (target->cancel_left > 0) {
            result = -EALREADY;
        } else if (fmx_sim_chance(fmx_world.temper.late_cancel)) {
            target->cancel_left = 1 + (unsigned)fmx_world_below(4);
            result = -EALREADY;
        } else {
            result = 0;
            if (comes_first) {
                finish(ring, op, result);
            }
            ring->ops[i] = ring->ops[--ring->ops_count];
            end_by_cancel(ring, target);
            if (comes_first) {
                return;
            }
        }
    }
    finish(ring, op, result);
}

static void start(struct fmx_ring *ring, struct op *op)
{
    switch (op->kind) {
    case ACCEPT:
        hold(ring, op);
        break;
    case CLOSE:
        start_close(ring, op);
        break;
    case CANCEL:
        start_cancel(ring, op);
        break;
    case PEER_NAME:
        start_peer_name(ring, op);
        break;
    case RECV:
    case CONNECT:
    case SHUTDOWN:
    case SEND:
        start_on_socket(ring, op);
        break;
    case KINDS:
        fmx_world_fail("an operation of no kind", op->tag);
    }
}

static struct op *fill(struct fmx_ring *ring, enum kind kind, uint64_t tag)
{
    struct op *op = fmx_world_must(calloc(1, sizeof(*op)));

    op->kind = kind;
    op->tag = tag;
    *ring->filled_tail = op;
    ring->filled_tail = &op->next;
    return op;
}

void fmx_ring_prep_accept(struct fmx_ring *ring, int listen_fd, uint64_t tag)
{
    fill(ring, ACCEPT, tag)->listen_fd = listen_fd;
}

void fmx_ring_prep_recv(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    fill(ring, RECV, tag)->file = file;
}

void fmx_ring_prep_recv_once(struct fmx_ring *ring, uint32_t file, uint32_t bytes_max, uint64_t tag)
{
    struct op *op = fill(ring, RECV, tag);

    fmx_world_demand(bytes_max > 0 && bytes_max <= ring->options.buffer_bytes,
                     "a receive of more than a buffer", tag);
    op->file = file;
    op->bytes = bytes_max;
}

void fmx_ring_prep_connect(struct fmx_ring *ring, uint32_t file, const struct sockaddr *address,
                           socklen_t address_bytes, uint64_t tag)
{
    fmx_world_demand(address != NULL && address_bytes > 0, "a connect to nowhere", tag);
    fill(ring, CONNECT, tag)->file = file;
}

void fmx_ring_prep_shutdown(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    fill(ring, SHUTDOWN, tag)->file = file;
}

void fmx_ring_prep_peer_name(struct fmx_ring *ring, uint32_t file, struct sockaddr_in6 *out_name,
                             uint32_t bytes, uint64_t tag)
{
    struct op *op = fill(ring, PEER_NAME, tag);

    fmx_world_demand(bytes <= sizeof(struct sockaddr_in), "more than an IPv4 name has", tag);
    op->file = file;
    op->name = out_name;
}

void fmx_ring_prep_close(struct fmx_ring *ring, uint32_t file, uint64_t tag)
{
    fill(ring, CLOSE, tag)->file = file;
}

void fmx_ring_prep_cancel(struct fmx_ring *ring, uint64_t target_tag, uint64_t tag)
{
    fill(ring, CANCEL, tag)->target_tag = target_tag;
}

void fmx_ring_prep_send(struct fmx_ring *ring, uint32_t file, const struct iovec *parts,
                        unsigned parts_count, uint64_t tag)
{
    struct op *op = fill(ring, SEND, tag);

    fmx_world_demand(parts_count >= 1 && parts_count <= FMX_RING_PARTS_MAX, "so many parts", tag);
    op->file = file;
    op->parts_count = parts_count;
    memcpy(op->parts, parts, parts_count * sizeof(*parts));
    for (unsigned i = 0; i < parts_count; i++) {
        fmx_world_demand(parts[i].iov_len > 0, "an empty part", tag);
        op->bytes += parts[i].iov_len;
    }
    op->checksum = checksum_of(op);
}

/* ── engine/ring.h: the rest ── */

static void lend(struct fmx_ring *ring, uint32_t buffer)
{
    uint32_t at = (ring->lent_first + ring->lent_count) % ring->options.buffers_count;

    ring->hands[buffer] = WITH_KERNEL;
    ring->lent[at] = buffer;
    ring->lent_count++;
}

/* Lends buffers that have never been lent, until so many circulate. */
static void circulate(struct fmx_ring *ring, uint32_t wanted)
{
    uint32_t most = ring->options.buffers_count;

    while (ring->circulating < (wanted < most ? wanted : most)) {
        lend(ring, ring->circulating++);
    }
}

enum fmx_status fmx_ring_open(const struct fmx_ring_options *options, struct fmx_ring **out_ring,
                              char *error, size_t error_bytes)
{
    struct fmx_ring *ring = fmx_world_must(calloc(1, sizeof(*ring)));
    uint32_t count = options->buffers_count;

    (void)error;
    (void)error_bytes;
    ring->options = *options;
    ring->files = fmx_world_must(calloc(options->files_count, sizeof(struct fmx_world_socket *)));
    ring->buffer_bytes = fmx_world_must(malloc((size_t)count * options->buffer_bytes));
    ring->hands = fmx_world_must(calloc(count, sizeof(*ring->hands)));
    ring->lent = fmx_world_must(calloc(count, sizeof(*ring->lent)));
    ring->filled_tail = &ring->filled;
    circulate(ring, LENT_FIRST);
    fmx_world.rings_count++;
    *out_ring = ring;
    return FMX_OK;
}

/* The kernel ends what is left, without a word. */
void fmx_ring_close(struct fmx_ring *ring)
{
    fmx_world_demand(fmx_world.rings_count > 0, "a ring too many is closed", 0);
    fmx_world.rings_count--;
    while (ring->filled != NULL) {
        struct op *op = ring->filled;
        ring->filled = op->next;
        free(op);
    }
    for (size_t i = 0; i < ring->ops_count; i++) {
        free_op(ring->ops[i]);
    }
    for (uint32_t file = 0; file < ring->options.files_count; file++) {
        if (ring->files[file] != NULL) {
            fmx_world_close_socket(ring->files[file]);
        }
    }
    free(ring->files);
    free(ring->buffer_bytes);
    free(ring->hands);
    free(ring->lent);
    free(ring->ops);
    free(ring->completions);
    free(ring);
}

uint64_t fmx_ring_now(struct fmx_ring *ring)
{
    (void)ring;
    return fmx_world.now_ns;
}

enum fmx_status fmx_ring_open_socket(struct fmx_ring *ring, uint32_t file, int family,
                                     const struct sockaddr *source, socklen_t source_bytes,
                                     bool linger_zero, int *out_errno)
{
    (void)family;
    (void)source;
    (void)source_bytes;
    fmx_world_demand(file < ring->options.files_count, "a file beyond the table", 0);
    fmx_world_demand(ring->files[file] == NULL, "a socket where one is open", 0);
    ring->files[file] = fmx_world_open_socket(NULL);
    ring->files[file]->linger_zero = linger_zero;
    *out_errno = 0;
    return FMX_OK;
}

void fmx_ring_submit(struct fmx_ring *ring)
{
    while (ring->filled != NULL) {
        struct op *op = ring->filled;
        ring->filled = op->next;
        op->next = NULL;
        start(ring, op);
    }
    ring->filled_tail = &ring->filled;
}

static bool is_quiet(const struct fmx_ring *ring)
{
    return ring->completions_first == ring->completions_end;
}

void fmx_ring_enter(struct fmx_ring *ring, uint64_t wait_ns)
{
    fmx_world_demand(++ring->enters < ENTERS_MAX, "the story never ends", 0);
    fmx_world.now_ns += fmx_world_below(STEP_NS_MAX);
    fmx_ring_submit(ring);
    step(ring, fmx_world.temper.progress);
    if (is_quiet(ring) && wait_ns > 0) {
        step(ring, 1000);
    }
    if (is_quiet(ring) && wait_ns > 0) {
        uint64_t most = fmx_world.temper.idle_ns_max;
        fmx_world.now_ns += wait_ns < most ? wait_ns : most;
        step(ring, fmx_world.temper.progress);
    }
}

unsigned fmx_ring_reap(struct fmx_ring *ring, struct fmx_completion *out, unsigned max)
{
    unsigned count = 0;

    while (count < max && !is_quiet(ring)) {
        out[count++] = ring->completions[ring->completions_first++];
    }
    if (is_quiet(ring)) {
        ring->completions_first = ring->completions_end = 0;
    }
    return count;
}

bool fmx_ring_get_more(struct fmx_ring *ring)
{
    if (fmx_world.meanwhile == NULL || !fmx_world.meanwhile(fmx_world.meanwhile_user)) {
        return false;
    }
    step(ring, fmx_world.temper.progress);
    return true;
}

void fmx_ring_wake(struct fmx_ring *ring)
{
    ring->bell = true;
    ring->ever.wakes++;
}

uint64_t fmx_ring_enters(const struct fmx_ring *ring)
{
    return ring->enters;
}

const uint8_t *fmx_ring_buffer(const struct fmx_ring *ring, uint32_t buffer)
{
    fmx_world_demand(buffer < ring->options.buffers_count, "a buffer that is not", 0);
    fmx_world_demand(ring->hands[buffer] == WITH_ENGINE, "a look into a buffer that is not lent",
                     0);
    return ring->buffer_bytes + (size_t)buffer * ring->options.buffer_bytes;
}

void fmx_ring_give(struct fmx_ring *ring, uint32_t buffer)
{
    fmx_world_demand(buffer < ring->options.buffers_count, "a buffer that is not", 0);
    fmx_world_demand(ring->hands[buffer] == WITH_ENGINE, "a buffer is given twice", 0);
    ring->hands[buffer] = ON_ITS_WAY;
    memset(ring->buffer_bytes + (size_t)buffer * ring->options.buffer_bytes, POISON,
           ring->options.buffer_bytes);
}

void fmx_ring_give_flush(struct fmx_ring *ring)
{
    for (uint32_t i = 0; i < ring->circulating; i++) {
        if (ring->hands[i] == ON_ITS_WAY) {
            lend(ring, i);
        }
    }
    if (ring->is_short) {
        circulate(ring, 2 * ring->circulating);
        ring->is_short = false;
    }
}

void fmx_ring_lend_more(struct fmx_ring *ring)
{
    ring->is_short = true;
}

/* ── looking ── */

static void look_at(struct fmx_sim_look *look, const struct op *op)
{
    look->accepts += op->kind == ACCEPT;
    look->recvs += op->kind == RECV;
    look->sends += op->kind == SEND;
}

struct fmx_sim_look fmx_sim_look(const struct fmx_ring *ring)
{
    struct fmx_sim_look look = ring->ever;

    for (size_t i = 0; i < ring->ops_count; i++) {
        look_at(&look, ring->ops[i]);
    }
    for (const struct op *op = ring->filled; op != NULL; op = op->next) {
        look_at(&look, op);
    }
    for (uint32_t file = 0; file < ring->options.files_count; file++) {
        look.files_open += ring->files[file] != NULL;
    }
    look.buffers_lent = ring->lent_count;
    look.buffers_circulating = ring->circulating;
    look.completions = (unsigned)(ring->completions_end - ring->completions_first);
    return look;
}

bool fmx_sim_is_received(const struct fmx_ring *ring, const void *at, size_t *out_offset)
{
    uintptr_t first = (uintptr_t)ring->buffer_bytes;
    uintptr_t offset = (uintptr_t)at - first;
    size_t each = ring->options.buffer_bytes;

    if ((uintptr_t)at < first || offset >= ring->options.buffers_count * each) {
        return false;
    }
    *out_offset = offset % each;
    return ring->hands[offset / each] == WITH_ENGINE;
}
