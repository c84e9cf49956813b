/*
 * bufring.h — receive buffers lent to the kernel: one ring of equal buffers per shard
 */
#ifndef ENGINE_BUFRING_H
#define ENGINE_BUFRING_H

#include <fleetmux/error.h>

struct io_uring;
struct io_uring_buf_ring;

struct fmx_bufring {
    struct io_uring_buf_ring *entries;
    uint8_t *bytes;
    uint32_t count; /* power of two */
    uint32_t buffer_bytes;
    uint32_t circulating; /* lent, ours or given; those behind have never been touched */
    uint32_t given;       /* since the last flush */
    bool is_short;        /* the kernel has run out of them since the last flush */
};

#define FMX_BUFRING_GROUP 0

enum fmx_status fmx_bufring_open(struct fmx_bufring *bufring, struct io_uring *ring, uint32_t count,
                                 uint32_t buffer_bytes) FMX_MUST_USE;
void fmx_bufring_close(struct fmx_bufring *bufring, struct io_uring *ring);
void fmx_bufring_give(struct fmx_bufring *bufring, uint32_t buffer);
void fmx_bufring_flush(struct fmx_bufring *bufring);

#endif
