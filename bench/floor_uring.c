/*
 * floor_uring — the relay on a bare io_uring
 *
 * Why it is so:   the same set-up a gateway would choose: one ring of one thread with deferred
 *                 completion work, multishot accept into direct descriptors, multishot receive
 *                 into a ring of buffers, and one send per connection in flight. What arrives
 *                 while a send is under way leaves as one send behind it.
 * Limits:         the table of direct descriptors is bounded by RLIMIT_NOFILE
 */
#include "bench/floor.h"

#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SQ_ENTRIES    4096
#define CQ_ENTRIES    32768
#define BUFFERS_COUNT 1024u
#define BUFFER_GROUP  0

enum operation { OP_ACCEPT, OP_RECEIVE, OP_SEND, OP_CLOSE };

struct uring_floor {
    struct floor *floor;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *buffer_memory;
};

static struct io_uring_sqe *take_entry(struct uring_floor *uf)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uf->ring);
    while (!sqe) {
        io_uring_submit(&uf->ring);
        sqe = io_uring_get_sqe(&uf->ring);
    }
    return sqe;
}

static void tag(struct io_uring_sqe *sqe, enum operation op, uint32_t index)
{
    sqe->user_data = (uint64_t)op << 32 | index;
}

static void arm_accept(struct uring_floor *uf)
{
    struct io_uring_sqe *sqe = take_entry(uf);
    io_uring_prep_multishot_accept_direct(sqe, uf->floor->listener, NULL, NULL, 0);
    tag(sqe, OP_ACCEPT, 0);
}

static void arm_receive(struct uring_floor *uf, uint32_t index)
{
    struct io_uring_sqe *sqe = take_entry(uf);
    io_uring_prep_recv_multishot(sqe, (int)index, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    tag(sqe, OP_RECEIVE, index);
}

static void close_conn(struct uring_floor *uf, uint32_t index)
{
    struct io_uring_sqe *sqe = take_entry(uf);
    floor_on_close(uf->floor, index);
    io_uring_prep_close_direct(sqe, index);
    tag(sqe, OP_CLOSE, index);
}

static void send_out(struct uring_floor *uf, uint32_t index)
{
    struct floor_conn *conn = &uf->floor->conns[index];
    if (conn->in_flight || !conn->open) {
        return;
    }
    struct floor_bytes *out = floor_output(uf->floor, conn);
    if (out->size == 0) {
        return;
    }
    struct floor_bytes swap = conn->sending;
    conn->sending = *out;
    *out = swap;
    out->size = 0;
    conn->in_flight = true;
    struct io_uring_sqe *sqe = take_entry(uf);
    io_uring_prep_send(sqe, (int)index, conn->sending.at, conn->sending.size,
                       MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_FIXED_FILE;
    tag(sqe, OP_SEND, index);
}

static void flush(struct uring_floor *uf)
{
    struct floor *floor = uf->floor;
    for (uint32_t i = 0; i < floor->queue_count; i++) {
        floor->conns[floor->queue[i]].queued = false;
        send_out(uf, floor->queue[i]);
    }
    floor->queue_count = 0;
}

static void on_accept(struct uring_floor *uf, const struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0) {
        floor_on_open(uf->floor, (uint32_t)cqe->res);
        arm_receive(uf, (uint32_t)cqe->res);
    } else {
        fprintf(stderr, "bench_floor: accept: %s\n", strerror(-cqe->res));
    }
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        arm_accept(uf);
    }
}

static void give_buffer(struct uring_floor *uf, unsigned id)
{
    uint32_t size = uf->floor->buffer_bytes;
    io_uring_buf_ring_add(uf->buffers, uf->buffer_memory + (size_t)id * size, size,
                          (unsigned short)id, io_uring_buf_ring_mask(BUFFERS_COUNT), 0);
    io_uring_buf_ring_advance(uf->buffers, 1);
}

static void start_close(struct uring_floor *uf, uint32_t index)
{
    struct floor_conn *conn = &uf->floor->conns[index];
    conn->closing = true;
    if (!conn->in_flight) {
        close_conn(uf, index);
    }
}

static void on_receive(struct uring_floor *uf, const struct io_uring_cqe *cqe, uint32_t index)
{
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        if (cqe->res > 0) {
            floor_on_input(uf->floor, index,
                           uf->buffer_memory + (size_t)id * uf->floor->buffer_bytes,
                           (size_t)cqe->res);
        }
        give_buffer(uf, id);
    }
    if (cqe->flags & IORING_CQE_F_MORE) {
        return;
    }
    if (cqe->res > 0 || cqe->res == -ENOBUFS) {
        arm_receive(uf, index);
    } else {
        start_close(uf, index);
    }
}

static void on_send(struct uring_floor *uf, uint32_t index)
{
    struct floor_conn *conn = &uf->floor->conns[index];
    conn->in_flight = false;
    if (conn->closing) {
        close_conn(uf, index);
    } else if (conn->out.size > 0 || conn->wire.size > 0) {
        floor_queue(uf->floor, index);
    }
}

static void on_completion(struct uring_floor *uf, const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    switch ((enum operation)(cqe->user_data >> 32)) {
    case OP_ACCEPT:
        on_accept(uf, cqe);
        break;
    case OP_RECEIVE:
        on_receive(uf, cqe, index);
        break;
    case OP_SEND:
        on_send(uf, index);
        break;
    case OP_CLOSE:
        break;
    }
}

static void *map_memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static bool open_buffers(struct uring_floor *uf)
{
    size_t ring_bytes = BUFFERS_COUNT * sizeof(struct io_uring_buf);
    size_t bytes = (size_t)BUFFERS_COUNT * uf->floor->buffer_bytes;
    uf->buffers = map_memory(ring_bytes);
    uf->buffer_memory = map_memory(bytes);
    if (!uf->buffers || !uf->buffer_memory) {
        return false;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)uf->buffers,
        .ring_entries = BUFFERS_COUNT,
        .bgid = BUFFER_GROUP,
    };
    if (io_uring_register_buf_ring(&uf->ring, &registration, 0) != 0) {
        return false;
    }
    io_uring_buf_ring_init(uf->buffers);
    for (unsigned id = 0; id < BUFFERS_COUNT; id++) {
        give_buffer(uf, id);
    }
    return true;
}

static bool open_ring(struct uring_floor *uf)
{
    struct rlimit limit;
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = CQ_ENTRIES,
    };
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned files = limit.rlim_cur < FLOOR_CONNS_MAX ? (unsigned)limit.rlim_cur : FLOOR_CONNS_MAX;
    return io_uring_queue_init_params(SQ_ENTRIES, &uf->ring, &params) == 0 &&
           io_uring_register_ring_fd(&uf->ring) == 1 &&
           io_uring_register_files_sparse(&uf->ring, files) == 0 && open_buffers(uf);
}

void floor_run_uring(struct floor *floor)
{
    struct uring_floor uf = {.floor = floor};
    if (!open_ring(&uf)) {
        perror("bench_floor: io_uring");
        return;
    }
    arm_accept(&uf);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head;
        unsigned count = 0;
        int result = io_uring_submit_and_wait(&uf.ring, 1);
        if (result < 0 && result != -EINTR) {
            fprintf(stderr, "bench_floor: submit: %s\n", strerror(-result));
            return;
        }
        io_uring_for_each_cqe(&uf.ring, head, cqe)
        {
            on_completion(&uf, cqe);
            count++;
        }
        io_uring_cq_advance(&uf.ring, count);
        flush(&uf);
    }
}
