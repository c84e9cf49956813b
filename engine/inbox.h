/*
 * inbox.h — a bounded queue with one writing and one reading thread
 */
#ifndef ENGINE_INBOX_H
#define ENGINE_INBOX_H

#include "engine/msg.h"
#include <stdatomic.h>

struct fmx_inbox {
    uint32_t capacity; /* power of two; read-only after open */
    struct fmx_msg *messages;
    _Alignas(64) _Atomic uint32_t head; /* written by the writer: messages ever pushed */
    uint32_t tail_seen;                 /* writer only: the reader's tail when last looked at */
    _Alignas(64) _Atomic uint32_t tail; /* written by the reader: messages ever popped */
    uint32_t head_seen;                 /* reader only */
};

/* FMX_OK or FMX_LIMIT_MEMORY. `capacity` is a power of two. */
enum fmx_status fmx_inbox_open(struct fmx_inbox *inbox, uint32_t capacity) FMX_MUST_USE;

/* What is still inside is lost: pop it first. */
void fmx_inbox_close(struct fmx_inbox *inbox);

/* Writer. False if full: nothing is pushed. */
bool fmx_inbox_push(struct fmx_inbox *inbox, const struct fmx_msg *message);

/* Writer. True: the next push is not refused. */
bool fmx_inbox_has_room(struct fmx_inbox *inbox);

/* Reader. False if empty. */
bool fmx_inbox_pop(struct fmx_inbox *inbox, struct fmx_msg *out_message);

/* Reader. How many messages can be popped now. */
uint32_t fmx_inbox_count(struct fmx_inbox *inbox);

/*
 * The bell of a reader that sleeps. The reader: fmx_bell_arm, look into every inbox once more,
 * sleep, fmx_bell_disarm. A writer: push, then ring if fmx_bell_must_ring says so.
 */
struct fmx_bell {
    _Alignas(64) _Atomic bool sleeping;
};

void fmx_bell_arm(struct fmx_bell *bell);
void fmx_bell_disarm(struct fmx_bell *bell);
bool fmx_bell_must_ring(struct fmx_bell *bell);

#endif
