/*
 * bufring — receive buffers lent to the kernel: one ring of equal buffers per shard
 *
 * Why it is so:   an idle session holds no receive buffer at all; the kernel picks one from this
 *                 ring when bytes arrive. They go round, so all that are lent are touched in turn:
 *                 few are lent at first, which stay in the cache, and more only when they have run
 *                 out. Fan-in at QoS 1 was 1.1 times as fast with 64 buffers as with 256
 * Words:          lent: the kernel may write into it; ours: from its completion until it is given
 * Invariants:     (1) every circulating buffer is either lent, ours, or given and waiting for the
 *                 flush  (2) between two flushes at most `count` buffers are given
 * Memory:         owns the ring and the buffers, both mapped at open; a buffer's pages come to be
 *                 when the kernel first writes into them
 * Threads:        owning shard only
 * Limits:         when all are ours a receive ends with ENOBUFS: counted and armed again,
 *                 conn_recv.c
 * Not here:       which buffer a completion names: ring.c
 */
#include "engine/bufring.h"

#include <errno.h>
#include <fleetmux/private/assert.h>
#include <liburing.h>
#include <sys/mman.h>

#define LENT_FIRST 64u

static void *map_bytes(size_t bytes)
{
    void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return area == MAP_FAILED ? NULL : area;
}

static size_t entries_bytes(uint32_t count)
{
    return (size_t)count * sizeof(struct io_uring_buf);
}

/* Lends buffers that have never been lent, until so many circulate. */
static void circulate(struct fmx_bufring *bufring, uint32_t wanted)
{
    while (bufring->circulating < wanted) {
        fmx_bufring_give(bufring, bufring->circulating++);
    }
}

enum fmx_status fmx_bufring_open(struct fmx_bufring *bufring, struct io_uring *ring, uint32_t count,
                                 uint32_t buffer_bytes)
{
    FMX_ASSERT(count > 0 && (count & (count - 1)) == 0 && count <= 32768);
    *bufring = (struct fmx_bufring){.count = count, .buffer_bytes = buffer_bytes};
    bufring->entries = map_bytes(entries_bytes(count));
    bufring->bytes = map_bytes((size_t)count * buffer_bytes);
    if (bufring->entries == NULL || bufring->bytes == NULL) {
        return FMX_LIMIT_MEMORY;
    }

    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)bufring->entries,
        .ring_entries = count,
        .bgid = FMX_BUFRING_GROUP,
    };
    int result = io_uring_register_buf_ring(ring, &reg, 0);
    if (result < 0) {
        errno = -result;
        return FMX_SYS_RING;
    }
    io_uring_buf_ring_init(bufring->entries);
    circulate(bufring, count < LENT_FIRST ? count : LENT_FIRST);
    fmx_bufring_flush(bufring);
    return FMX_OK;
}

void fmx_bufring_close(struct fmx_bufring *bufring, struct io_uring *ring)
{
    if (bufring->entries != NULL) {
        (void)io_uring_unregister_buf_ring(ring, FMX_BUFRING_GROUP);
        munmap(bufring->entries, entries_bytes(bufring->count));
    }
    if (bufring->bytes != NULL) {
        munmap(bufring->bytes, (size_t)bufring->count * bufring->buffer_bytes);
    }
    *bufring = (struct fmx_bufring){0};
}

void fmx_bufring_give(struct fmx_bufring *bufring, uint32_t buffer)
{
    FMX_ASSERT(buffer < bufring->count && bufring->given < bufring->count);
    io_uring_buf_ring_add(bufring->entries, bufring->bytes + (size_t)buffer * bufring->buffer_bytes,
                          bufring->buffer_bytes, (unsigned short)buffer,
                          io_uring_buf_ring_mask(bufring->count), (int)bufring->given);
    bufring->given++;
}

void fmx_bufring_flush(struct fmx_bufring *bufring)
{
    if (bufring->is_short && bufring->circulating < bufring->count) {
        circulate(bufring, 2 * bufring->circulating);
    }
    bufring->is_short = false;
    if (bufring->given > 0) {
        io_uring_buf_ring_advance(bufring->entries, (int)bufring->given);
        bufring->given = 0;
    }
}
