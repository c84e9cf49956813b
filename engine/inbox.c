/*
 * inbox — a bounded queue with one writing and one reading thread, and the bell that goes with it
 *
 * Why it is so:   shards share nothing and send each other values. One queue for each ordered pair
 *                 of shards keeps the order of what one says to the other, and needs no lock and no
 *                 compare-and-swap: each end writes only its own counter
 * Words:          head, tail: counters that run freely and are compared only by difference;
 *                 bell: an eventfd write that ends a shard's sleep
 * Invariants:     (1) 0 ≤ head − tail ≤ capacity
 *                 (2) a message pushed before the reader sleeps, or while it does, is seen or rung
 *                 for
 * Memory:         owns its array. Pointers inside messages belong to the messages
 * Threads:        push: the one writer. pop, count, arm, disarm: the one reader
 * Limits:         full is an answer, never a wait
 * Not here:       what to do when it is full: fmx_shard_post in shard.c
 *
 * Memory order, each with its reason:
 *   head  release by the writer, acquire by the reader: the message is whole before it is counted
 *   tail release by the reader, acquire by the writer: the place is read before it is written again
 *   bell the writer stores head, then loads `sleeping`; the reader stores `sleeping`, then loads
 *         head. Each needs its store seen before its load is made, and only a sequentially
 *         consistent fence on both sides gives that, on x86 too: without it both can read the old
 *         value and the wake-up is lost for good
 */
#include "engine/inbox.h"

#include <fleetmux/private/assert.h>

struct fmx_blob *fmx_blob_make(fmx_slice bytes)
{
    struct fmx_blob *blob = malloc(sizeof(*blob) + bytes.bytes);

    if (blob != NULL) {
        blob->bytes = bytes.bytes;
        if (bytes.bytes > 0) {
            memcpy(blob->data, bytes.data, bytes.bytes);
        }
    }
    return blob;
}

enum fmx_status fmx_inbox_open(struct fmx_inbox *inbox, uint32_t capacity)
{
    FMX_ASSERT(capacity > 0 && (capacity & (capacity - 1)) == 0);
    memset(inbox, 0, sizeof(*inbox));
    inbox->capacity = capacity;
    inbox->messages = malloc(capacity * sizeof(struct fmx_msg));
    return inbox->messages == NULL ? FMX_LIMIT_MEMORY : FMX_OK;
}

void fmx_inbox_close(struct fmx_inbox *inbox)
{
    free(inbox->messages);
    inbox->messages = NULL;
}

static bool has_room(struct fmx_inbox *inbox, uint32_t head)
{
    if (head - inbox->tail_seen != inbox->capacity) {
        return true;
    }
    inbox->tail_seen = atomic_load_explicit(&inbox->tail, memory_order_acquire);
    return head - inbox->tail_seen != inbox->capacity;
}

bool fmx_inbox_has_room(struct fmx_inbox *inbox)
{
    return has_room(inbox, atomic_load_explicit(&inbox->head, memory_order_relaxed));
}

bool fmx_inbox_push(struct fmx_inbox *inbox, const struct fmx_msg *message)
{
    uint32_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);

    if (!has_room(inbox, head)) {
        return false;
    }
    inbox->messages[head & (inbox->capacity - 1)] = *message;
    atomic_store_explicit(&inbox->head, head + 1, memory_order_release);
    return true;
}

bool fmx_inbox_pop(struct fmx_inbox *inbox, struct fmx_msg *out_message)
{
    uint32_t tail = atomic_load_explicit(&inbox->tail, memory_order_relaxed);

    if (tail == inbox->head_seen) {
        inbox->head_seen = atomic_load_explicit(&inbox->head, memory_order_acquire);
        if (tail == inbox->head_seen) {
            return false;
        }
    }
    *out_message = inbox->messages[tail & (inbox->capacity - 1)];
    atomic_store_explicit(&inbox->tail, tail + 1, memory_order_release);
    return true;
}

uint32_t fmx_inbox_count(struct fmx_inbox *inbox)
{
    inbox->head_seen = atomic_load_explicit(&inbox->head, memory_order_acquire);
    return inbox->head_seen - atomic_load_explicit(&inbox->tail, memory_order_relaxed);
}

void fmx_bell_arm(struct fmx_bell *bell)
{
    atomic_store_explicit(&bell->sleeping, true, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
}

void fmx_bell_disarm(struct fmx_bell *bell)
{
    atomic_store_explicit(&bell->sleeping, false, memory_order_relaxed);
}

bool fmx_bell_must_ring(struct fmx_bell *bell)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&bell->sleeping, memory_order_relaxed)) {
        return false;
    }
    return atomic_exchange_explicit(&bell->sleeping, false, memory_order_relaxed);
}
