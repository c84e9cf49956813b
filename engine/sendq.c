/*
 * sendq — bytes on their way out of one connection, in pieces that do not move
 *
 * Why it is so:   everything a session has to say in one turn leaves in one send, and while that
 *                 send is in flight more may be appended. A contiguous buffer would have to move to
 *                 grow
 * Words:          piece: a run of bytes, either in its own block or inside a shared payload
 * Invariants:     (1) bytes = sum over the pieces of end − begin  (2) only the last piece grows
 *                 (3) an empty queue owns no piece
 * Memory:         blocks of the shard's pool; references on payloads
 * Threads:        owning shard only
 * Limits:         none here; conn_send.c asks before it appends
 * Not here:       when to send: conn_send.c
 */
#include "engine/sendq.h"

#include <fleetmux/private/assert.h>

#define ROOM_GROWN_MAX (65536 - sizeof(struct fmx_piece))

struct fmx_piece {
    struct fmx_piece *next;
    const uint8_t *data;         /* bytes[] of this block, or inside `payload` */
    struct fmx_payload *payload; /* NULL: own bytes */
    size_t begin;
    size_t end;
    size_t capacity;    /* of bytes[]; 0 when referring */
    size_t block_bytes; /* true size of the block, for the pool */
    uint8_t bytes[];
};

static struct fmx_piece *append_piece(struct fmx_sendq *queue, struct fmx_pool *pool, size_t room)
{
    size_t block_bytes;
    struct fmx_piece *piece = fmx_pool_take(pool, sizeof(struct fmx_piece) + room, &block_bytes);

    if (piece == NULL) {
        return NULL;
    }
    *piece = (struct fmx_piece){.data = piece->bytes,
                                .capacity = block_bytes - sizeof(struct fmx_piece),
                                .block_bytes = block_bytes};
    if (queue->tail == NULL) {
        queue->head = piece;
    } else {
        queue->tail->next = piece;
    }
    queue->tail = piece;
    return piece;
}

/*
 * Each block of a queue is larger than the one before, up to a bound: there is more to come, and
 * the kernel gathers few long parts faster than many short ones. Heads of references stay small.
 */
static size_t room_wanted(const struct fmx_sendq *queue, size_t bytes)
{
    const struct fmx_piece *tail = queue->tail;
    size_t grown = tail != NULL && tail->payload == NULL
                       ? 2 * tail->block_bytes - sizeof(struct fmx_piece)
                       : 0;

    grown = grown < ROOM_GROWN_MAX ? grown : ROOM_GROWN_MAX;
    return bytes > grown ? bytes : grown;
}

/* Whoever appends looks at the bounds before, and they are far below: conn_send.c. */
static void count_in(struct fmx_sendq *queue, size_t bytes)
{
    FMX_ASSERT(bytes <= UINT32_MAX - queue->bytes);
    queue->bytes += (uint32_t)bytes;
}

uint8_t *fmx_sendq_reserve(struct fmx_sendq *queue, struct fmx_pool *pool, size_t bytes)
{
    struct fmx_piece *tail = queue->tail;

    if (tail == NULL || tail->capacity - tail->end < bytes || tail->payload != NULL) {
        tail = append_piece(queue, pool, room_wanted(queue, bytes));
    }
    return tail == NULL ? NULL : tail->bytes + tail->end;
}

void fmx_sendq_commit(struct fmx_sendq *queue, size_t bytes)
{
    FMX_ASSERT(queue->tail != NULL && queue->tail->payload == NULL);
    FMX_ASSERT(queue->tail->capacity - queue->tail->end >= bytes);
    queue->tail->end += bytes;
    count_in(queue, bytes);
}

bool fmx_sendq_refer(struct fmx_sendq *queue, struct fmx_pool *pool, struct fmx_payload *payload,
                     fmx_slice bytes)
{
    struct fmx_piece *piece = append_piece(queue, pool, 0);

    if (piece == NULL) {
        return false;
    }
    piece->payload = fmx_payload_take(payload);
    piece->data = bytes.data;
    piece->capacity = 0;
    piece->end = bytes.bytes;
    count_in(queue, bytes.bytes);
    return true;
}

unsigned fmx_sendq_parts(const struct fmx_sendq *queue, struct iovec *parts, unsigned parts_max,
                         size_t *out_bytes)
{
    unsigned count = 0;
    size_t bytes = 0;

    for (const struct fmx_piece *piece = queue->head; piece != NULL && count < parts_max;
         piece = piece->next) {
        if (piece->end > piece->begin) {
            parts[count++] = (struct iovec){.iov_base = (void *)(piece->data + piece->begin),
                                            .iov_len = piece->end - piece->begin};
            bytes += piece->end - piece->begin;
        }
    }
    *out_bytes = bytes;
    return count;
}

unsigned fmx_sendq_cut(struct iovec *parts, unsigned count, size_t bytes_max, size_t *bytes)
{
    while (*bytes > bytes_max) {
        struct iovec *last = &parts[count - 1];
        size_t over = *bytes - bytes_max;
        size_t cut = over < last->iov_len ? over : last->iov_len;
        last->iov_len -= cut;
        *bytes -= cut;
        count -= last->iov_len == 0;
    }
    return count;
}

static void drop_head(struct fmx_sendq *queue, struct fmx_pool *pool)
{
    struct fmx_piece *piece = queue->head;

    queue->head = piece->next;
    if (queue->head == NULL) {
        queue->tail = NULL;
    }
    if (piece->payload != NULL) {
        fmx_payload_give(piece->payload);
    }
    fmx_pool_give(pool, piece, piece->block_bytes);
}

void fmx_sendq_consume(struct fmx_sendq *queue, struct fmx_pool *pool, size_t bytes)
{
    FMX_ASSERT(bytes <= queue->bytes);
    queue->bytes -= (uint32_t)bytes;
    while (queue->head != NULL) {
        struct fmx_piece *piece = queue->head;
        size_t held = piece->end - piece->begin;
        if (held > bytes) {
            piece->begin += bytes;
            return;
        }
        bytes -= held;
        drop_head(queue, pool);
    }
    FMX_ASSERT(bytes == 0);
}

void fmx_sendq_wipe(struct fmx_sendq *queue, struct fmx_pool *pool)
{
    while (queue->head != NULL) {
        drop_head(queue, pool);
    }
    queue->bytes = 0;
}
