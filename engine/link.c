/*
 * link — a poor link between a connection and its socket: delay, jitter, loss, a slow reader
 *
 * Why it is so:   what a server makes of a bad network is tested by emulating one. The kernel can,
 *                 but wants rights for it, and knows interfaces and not groups of clients.
 *                 Above TCP one sees of a network only when bytes come and when they leave, so it
 *                 is enough to let them wait. Outwards they wait where they lie, in the
 *                 connection's queue: only how many may leave when is kept here. Inwards they must
 *                 leave the kernel's buffers, so they are copied
 * Words:          way: one direction; stamp: bytes that are due at the same time; wire: the queue
 *                 whose bytes go to the kernel, fmx_conn_wire; end: FIN
 * Invariants:     (1) bytes leave a way in the order in which they were put in
 *                 (2) of the wire, `stamped` bytes have been put in and `held` of these still wait:
 *                 what may be sent is the difference
 *                 (3) an end comes after all bytes before it
 *                 (4) the timer is armed for the first thing that waits, or nothing waits
 * Memory:         a link, its stamps, and the bytes that wait inwards, in blocks of the shard's
 *                 pool; a table of pointers by slot, in shards that have links. A link goes when
 *                 its connection is closed
 * Threads:        owning shard only
 * Limits:         outwards what fmx_conn_is_full says, which counts what waits here; inwards as
 *                 much, or anything while the shard is full: then receiving pauses. STAMPS_MAX:
 *                 the last ones then leave together, later rather than earlier. RETRANSMITS_MAX
 * Not here:       who has which link: roles/
 */
#include "engine/link.h"

#include "engine/conn_tls.h"
#include "engine/shard.h"
#include "proto/limits.h"

#include <errno.h>

#define STAMPS_FIRST 4u
#define STAMPS_KEPT  64u /* by a way that is empty */
#define STAMPS_MAX   16384u

/* Of Linux: the least time after which something is sent again, the most, and how often it is. */
#define RETRANSMIT_NS     (200 * FMX_NS_PER_MS)
#define RETRANSMIT_NS_MAX (120 * FMX_NS_PER_S)
#define RETRANSMITS_MAX   15u

/* A slow reader reads so often in a second; more often where a buffer does not hold its share. */
#define READS_PER_SECOND 20u

/* It may make up for so much time. */
#define READ_LAG_NS (FMX_NS_PER_S / READS_PER_SECOND)

struct fmx_link {
    struct fmx_conn *conn;
    struct fmx_link_options options;
    struct fmx_link_way out;
    struct fmx_link_way in;
    struct fmx_sendq waiting; /* the bytes of `in` */
    uint32_t stamped;         /* of the wire's bytes: see invariant 2 */
    uint64_t end_out_ns;      /* our end may leave; 0: it does not wait */
    uint64_t end_in_ns;       /* the peer's is heard; 0: it does not wait */
    uint64_t read_ns;         /* a slow reader has read what it may up to then */
    bool is_sated;            /* and waits until then */
    struct fmx_timer timer;
};

/* ── draws ── */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t mixed = a + b * 0x9e3779b97f4a7c15ull;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

static uint64_t draw(struct fmx_link_way *way)
{
    return mix(way->key, ++way->draws);
}

/* 0 … n, each as likely as another */
static uint64_t draw_up_to(struct fmx_link_way *way, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;

    return n == 0 ? 0 : (uint64_t)((wide)draw(way) * (n + 1) >> 64);
}

static bool draw_loss(struct fmx_link_way *way, double loss)
{
    return loss > 0 && (double)(draw(way) >> 11) * 0x1p-53 < loss;
}

/* What TCP makes of a loss: it is sent again after a while, and after twice that if lost again. */
static uint64_t draw_retransmits(struct fmx_link_way *way, double loss)
{
    uint64_t wait_ns = RETRANSMIT_NS;
    uint64_t late_ns = 0;

    for (unsigned i = 0; i < RETRANSMITS_MAX && draw_loss(way, loss); i++) {
        late_ns += wait_ns;
        wait_ns = 2 * wait_ns < RETRANSMIT_NS_MAX ? 2 * wait_ns : RETRANSMIT_NS_MAX;
    }
    return late_ns;
}

/* ── one way ── */

uint64_t fmx_link_way_draw_ns(struct fmx_link_way *way, const struct fmx_link_options *options,
                              uint64_t now_ns)
{
    uint64_t due_ns = now_ns + options->delay_ns + draw_up_to(way, options->jitter_ns) +
                      draw_retransmits(way, options->loss);

    way->last_ns = due_ns > way->last_ns ? due_ns : way->last_ns;
    return way->last_ns;
}

static struct fmx_link_stamp *stamp_at(const struct fmx_link_way *way, uint32_t place)
{
    return &way->stamps[(way->first + place) & (way->capacity - 1)];
}

static bool grow(struct fmx_link_way *way)
{
    uint32_t capacity = way->capacity == 0 ? STAMPS_FIRST : way->capacity * 2;
    struct fmx_link_stamp *stamps = malloc(capacity * sizeof(*stamps));

    if (stamps == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < way->count; i++) {
        stamps[i] = *stamp_at(way, i);
    }
    free(way->stamps);
    way->stamps = stamps;
    way->first = 0;
    way->capacity = capacity;
    return true;
}

bool fmx_link_way_put(struct fmx_link_way *way, uint64_t due_ns, uint32_t bytes)
{
    struct fmx_link_stamp *last = way->count == 0 ? NULL : stamp_at(way, way->count - 1);

    FMX_ASSERT(last == NULL || last->due_ns <= due_ns);
    if (last != NULL && (last->due_ns == due_ns || way->count == STAMPS_MAX)) {
        last->due_ns = due_ns;
        last->bytes += bytes;
    } else if (way->count < way->capacity || grow(way)) {
        *stamp_at(way, way->count++) = (struct fmx_link_stamp){due_ns, bytes};
    } else {
        return false;
    }
    way->held += bytes;
    return true;
}

/* What a burst took is given back. */
static void shrink(struct fmx_link_way *way)
{
    if (way->count == 0 && way->capacity > STAMPS_KEPT) {
        free(way->stamps);
        way->stamps = NULL;
        way->capacity = 0;
    }
}

uint32_t fmx_link_way_release(struct fmx_link_way *way, uint64_t now_ns)
{
    uint32_t bytes = 0;

    while (way->count > 0 && stamp_at(way, 0)->due_ns <= now_ns) {
        bytes += stamp_at(way, 0)->bytes;
        way->first = (way->first + 1) & (way->capacity - 1);
        way->count--;
    }
    FMX_ASSERT(bytes <= way->held);
    way->held -= bytes;
    shrink(way);
    return bytes;
}

uint64_t fmx_link_way_next_ns(const struct fmx_link_way *way)
{
    return way->count == 0 ? UINT64_MAX : stamp_at(way, 0)->due_ns;
}

void fmx_link_way_wipe(struct fmx_link_way *way)
{
    free(way->stamps);
    way->stamps = NULL;
    way->first = way->count = way->capacity = way->held = 0;
}

/* ── links of a shard ── */

static struct fmx_link *link_of(const struct fmx_conn *conn)
{
    return conn->shard->links[conn->slot.index];
}

static uint64_t now_of(const struct fmx_link *link)
{
    return link->conn->shard->now_ns;
}

/* Room in the table for this slot. */
static bool make_place(struct fmx_shard *shard, uint32_t slot)
{
    uint32_t count = shard->links_count == 0 ? 64 : shard->links_count;

    if (slot < shard->links_count) {
        return true;
    }
    while (count <= slot) {
        count *= 2;
    }
    struct fmx_link **links = realloc(shard->links, count * sizeof(struct fmx_link *));
    if (links == NULL) {
        return false;
    }
    memset(links + shard->links_count, 0, (count - shard->links_count) * sizeof(*links));
    shard->links = links;
    shard->links_count = count;
    return true;
}

void fmx_conn_use_link(struct fmx_conn *conn, const struct fmx_link_options *options)
{
    struct fmx_link *link = NULL;

    FMX_ASSERT(!conn->has_link);
    if (conn->state >= FMX_CONN_ENDING) {
        return;
    }
    if (make_place(conn->shard, conn->slot.index)) {
        link = calloc(1, sizeof(*link));
    }
    if (link == NULL) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, ENOMEM);
        return;
    }
    link->conn = conn;
    link->options = *options;
    link->out.key = mix(options->key, 1);
    link->in.key = mix(options->key, 2);
    link->timer.kind = FMX_TIMER_LINK;
    link->stamped = fmx_conn_wire(conn)->sending; /* it has left */
    conn->shard->links[conn->slot.index] = link;
    conn->has_link = true;
}

void fmx_link_close(struct fmx_conn *conn)
{
    struct fmx_link *link = link_of(conn);

    fmx_wheel_disarm(&conn->shard->wheel, &link->timer);
    fmx_sendq_wipe(&link->waiting, &conn->shard->pool);
    fmx_link_way_wipe(&link->out);
    fmx_link_way_wipe(&link->in);
    conn->shard->links[conn->slot.index] = NULL;
    conn->has_link = false;
    free(link);
}

void fmx_links_close(struct fmx_shard *shard)
{
    for (uint32_t i = 0; i < shard->links_count; i++) {
        if (shard->links[i] != NULL) {
            fmx_link_close(shard->links[i]->conn);
        }
    }
    free(shard->links);
    shard->links = NULL;
    shard->links_count = 0;
}

/* ── time ── */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t if_any(uint64_t at_ns)
{
    return at_ns == 0 ? UINT64_MAX : at_ns;
}

static void arm(struct fmx_link *link)
{
    struct fmx_wheel *wheel = &link->conn->shard->wheel;
    uint64_t first_ns = earlier(fmx_link_way_next_ns(&link->out), fmx_link_way_next_ns(&link->in));

    first_ns = earlier(first_ns, earlier(if_any(link->end_out_ns), if_any(link->end_in_ns)));
    first_ns = earlier(first_ns, link->is_sated ? link->read_ns : UINT64_MAX);
    if (first_ns == UINT64_MAX) {
        fmx_wheel_disarm(wheel, &link->timer);
    } else if (!fmx_timer_is_armed(&link->timer) || link->timer.due_ns != first_ns) {
        fmx_wheel_arm(wheel, &link->timer, first_ns);
    }
}

/* ── out ── */

static bool stamp_out(struct fmx_link *link, uint32_t bytes)
{
    struct fmx_conn *conn = link->conn;
    uint64_t due_ns = fmx_link_way_draw_ns(&link->out, &link->options, now_of(link));

    if (!fmx_link_way_put(&link->out, due_ns, bytes)) {
        fmx_conn_abort(conn, FMX_LIMIT_MEMORY, ENOMEM);
        return false;
    }
    link->stamped += bytes;
    conn->last_out_ns = now_of(link); /* as far as the session can know */
    if (conn->state == FMX_CONN_ENDING) {
        fmx_conn_arm_end(conn, due_ns);
    }
    if (conn->tls != 0 && conn->sendq.bytes > 0) {
        fmx_conn_mark_dirty(conn); /* more than one send is to be sealed: it, too, leaves later */
    }
    return true;
}

unsigned fmx_link_let_out(struct fmx_conn *conn, struct iovec *parts, unsigned count, size_t *bytes)
{
    struct fmx_link *link = link_of(conn);
    uint32_t wire_bytes = fmx_conn_wire(conn)->bytes;

    FMX_ASSERT(link->stamped <= wire_bytes);
    if (link->stamped < wire_bytes && !stamp_out(link, wire_bytes - link->stamped)) {
        return 0;
    }
    (void)fmx_link_way_release(&link->out, now_of(link));
    arm(link);
    return fmx_sendq_cut(parts, count, wire_bytes - link->out.held, bytes);
}

void fmx_link_sent(struct fmx_conn *conn, uint32_t bytes)
{
    FMX_ASSERT(bytes <= link_of(conn)->stamped);
    link_of(conn)->stamped -= bytes;
}

uint32_t fmx_link_held_out(const struct fmx_conn *conn)
{
    return link_of(conn)->out.held;
}

void fmx_link_drop_out(struct fmx_conn *conn)
{
    fmx_link_way_wipe(&link_of(conn)->out);
    link_of(conn)->stamped = 0;
}

void fmx_link_end_out(struct fmx_conn *conn)
{
    struct fmx_link *link = link_of(conn);

    fmx_link_way_wipe(&link->in);
    fmx_sendq_wipe(&link->waiting, &conn->shard->pool);
    link->end_in_ns = 0;
    link->is_sated = false;
    if (!conn->abrupt) {
        link->end_out_ns = fmx_link_way_draw_ns(&link->out, &link->options, now_of(link));
        fmx_conn_arm_end(conn, link->end_out_ns);
    }
    arm(link);
}

bool fmx_link_holds_end(const struct fmx_conn *conn)
{
    return link_of(conn)->end_out_ns != 0;
}

/* ── in ── */

static void note_read(struct fmx_link *link, size_t bytes)
{
    uint64_t rate = link->options.read_bytes_per_second;
    uint64_t from_ns = now_of(link) > READ_LAG_NS ? now_of(link) - READ_LAG_NS : 0;

    if (rate > 0) {
        from_ns = link->read_ns > from_ns ? link->read_ns : from_ns;
        link->read_ns = from_ns + bytes * FMX_NS_PER_S / rate;
        link->is_sated = link->read_ns > now_of(link);
    }
}

static bool keep(struct fmx_link *link, uint64_t due_ns, fmx_slice bytes)
{
    struct fmx_pool *pool = &link->conn->shard->pool;
    uint8_t *room = fmx_sendq_reserve(&link->waiting, pool, bytes.bytes);

    if (room == NULL || !fmx_link_way_put(&link->in, due_ns, (uint32_t)bytes.bytes)) {
        fmx_conn_abort(link->conn, FMX_LIMIT_MEMORY, ENOMEM);
        return false;
    }
    memcpy(room, bytes.data, bytes.bytes);
    fmx_sendq_commit(&link->waiting, bytes.bytes);
    return true;
}

bool fmx_link_let_in(struct fmx_conn *conn, fmx_slice bytes)
{
    struct fmx_link *link = link_of(conn);
    uint64_t due_ns = fmx_link_way_draw_ns(&link->in, &link->options, now_of(link));
    bool is_due = due_ns <= now_of(link) && link->in.count == 0;

    note_read(link, bytes.bytes);
    if (is_due || keep(link, due_ns, bytes)) {
        arm(link);
    }
    return is_due;
}

void fmx_link_end_in(struct fmx_conn *conn)
{
    struct fmx_link *link = link_of(conn);

    link->end_in_ns = fmx_link_way_draw_ns(&link->in, &link->options, now_of(link));
    arm(link);
}

bool fmx_link_holds_in(const struct fmx_conn *conn)
{
    const struct fmx_link *link = link_of(conn);

    return link->waiting.bytes > 0 || link->end_in_ns != 0;
}

bool fmx_link_holds_off(const struct fmx_conn *conn)
{
    const struct fmx_link *link = link_of(conn);
    uint32_t waiting = link->waiting.bytes;

    return link->is_sated || waiting >= conn->shard->options->send_queue_bytes_max ||
           (waiting > 0 && fmx_shard_is_full(conn->shard));
}

uint32_t fmx_link_receive_max(const struct fmx_conn *conn)
{
    uint64_t rate = link_of(conn)->options.read_bytes_per_second;
    uint64_t most = (rate + READS_PER_SECOND - 1) / READS_PER_SECOND;
    uint32_t buffer_bytes = conn->shard->options->ring.buffer_bytes;

    if (conn->state != FMX_CONN_OPEN) {
        return 0;
    }
    return most < buffer_bytes ? (uint32_t)most : buffer_bytes;
}

/* Bytes that lie in pieces come in pieces, as they may from TCP. */
static void let_due_in(struct fmx_link *link)
{
    struct fmx_conn *conn = link->conn;
    size_t left = fmx_link_way_release(&link->in, now_of(link));
    struct iovec part;
    size_t bytes;

    while (left > 0 && conn->state == FMX_CONN_OPEN) {
        (void)fmx_sendq_parts(&link->waiting, &part, 1, &bytes);
        (void)fmx_sendq_cut(&part, 1, left, &bytes);
        fmx_conn_arrive(conn, (fmx_slice){.data = part.iov_base, .bytes = bytes});
        fmx_sendq_consume(&link->waiting, &conn->shard->pool, bytes);
        left -= bytes;
    }
}

static void forget_past(struct fmx_link *link)
{
    link->end_out_ns = link->end_out_ns <= now_of(link) ? 0 : link->end_out_ns;
    link->end_in_ns = link->end_in_ns <= now_of(link) ? 0 : link->end_in_ns;
    link->is_sated = link->is_sated && link->read_ns > now_of(link);
}

void fmx_link_on_timer(struct fmx_timer *timer)
{
    struct fmx_link *link = (struct fmx_link *)((char *)timer - offsetof(struct fmx_link, timer));
    struct fmx_conn *conn = link->conn;

    forget_past(link);
    if (fmx_link_way_release(&link->out, now_of(link)) > 0) {
        fmx_conn_mark_dirty(conn);
    }
    let_due_in(link);
    if (conn->state == FMX_CONN_OPEN && (conn->is_paused || conn->peer_ended)) {
        fmx_conn_mark_ready(conn);
    }
    arm(link);
    fmx_conn_join(conn);
}
