/*
 * echo — the smallest role that still uses all of a connection: it sends back what is published
 *
 * Invariants:     asserted in every callback: (1) opened, closed and released at most once and in
 *                 this order (2) no packet before the open, after the close, or while it waits
 * Memory:         a connection's part is zeroed by the slab and owns nothing
 * Threads:        a story's one; so one struct may serve all shards
 * Not here:       what should come back: the stories
 */
#include "tests/sim/echo.h"

#include "proto/encode.h"
#include "proto/limits.h"
#include "tests/sim/ring_sim.h"

#define MAGIC        0x65636830u
#define SOME_TIME_NS (2 * FMX_NS_PER_MS)

struct part {
    uint32_t magic;
    bool is_open;
    bool is_closed;
    bool is_owed; /* an on_writable */
    struct fmx_timer timer;
};

static struct fmx_echo *echo_of(const struct fmx_shard *shard)
{
    return shard->options->role_user;
}

static struct part *part_of(struct fmx_conn *conn)
{
    return fmx_conn_part(conn);
}

static struct fmx_conn *conn_of(struct fmx_timer *timer)
{
    struct part *part = (struct part *)((char *)timer - offsetof(struct part, timer));

    return (struct fmx_conn *)part - 1;
}

static void after_some_time(struct fmx_conn *conn)
{
    struct part *part = part_of(conn);
    uint64_t wait_ns = fmx_prng_below(fmx_sim_prng(), SOME_TIME_NS);

    part->timer.kind = FMX_TIMER_ROLE;
    fmx_wheel_arm(&conn->shard->wheel, &part->timer, conn->shard->now_ns + wait_ns);
}

static enum fmx_status open_shard(struct fmx_shard *shard)
{
    shard->role_state = echo_of(shard);
    return FMX_OK;
}

static void close_shard(struct fmx_shard *shard)
{
    shard->role_state = NULL;
}

static void on_open(struct fmx_conn *conn)
{
    struct part *part = part_of(conn);

    FMX_ASSERT(part->magic == 0);
    part->magic = MAGIC;
    part->is_open = true;
    echo_of(conn->shard)->opens++;
}

/* ── what comes back ── */

static void set_owed(struct fmx_conn *conn, bool is_owed)
{
    struct part *part = part_of(conn);
    struct fmx_echo *echo = echo_of(conn->shard);

    echo->owed += (uint64_t)is_owed - (uint64_t)part->is_owed;
    part->is_owed = is_owed;
}

static void note_queue(struct fmx_echo *echo, const struct fmx_conn *conn)
{
    if (conn->sendq.bytes > echo->queue_bytes_most) {
        echo->queue_bytes_most = conn->sendq.bytes;
    }
}

static void send_referring(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_payload *payload = fmx_payload_make(publish, fmx_conn_id(conn), 0);
    struct fmx_publish view;

    FMX_ASSERT(payload != NULL);
    fmx_payload_view(payload, conn->shard->now_ns, &view);
    enum fmx_version version = (enum fmx_version)conn->session.version;
    size_t head_bytes = fmx_encode_publish_head_bytes(&view, version);
    uint8_t *room = fmx_conn_reserve(conn, head_bytes);
    FMX_ASSERT(room != NULL);
    fmx_conn_commit(conn, fmx_encode_publish_head(&view, version, room));
    fmx_conn_refer(conn, payload, view.payload);
    fmx_payload_give(payload);
}

static void send_to(struct fmx_echo *echo, struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_packet back = {.kind = FMX_PUBLISH};

    if (conn->state != FMX_CONN_OPEN || conn->session.state != FMX_SESSION_OPEN) {
        return;
    }
    if (fmx_conn_is_full(conn)) {
        set_owed(conn, true);
        if (echo->full == FMX_ECHO_DROP) {
            echo->dropped++;
            return;
        }
        echo->waits++;
        fmx_conn_wait(conn);
    }
    back.publish.topic = publish->topic;
    back.publish.payload = publish->payload;
    if (echo->refer_bytes_min > 0 && publish->payload.bytes >= echo->refer_bytes_min) {
        send_referring(conn, &back.publish);
    } else {
        fmx_conn_send(conn, &back);
    }
    note_queue(echo, conn);
}

static void send_to_watchers(struct fmx_echo *echo, struct fmx_conn *from,
                             const struct fmx_publish *publish)
{
    for (unsigned i = 0; i < echo->watchers_count; i++) {
        struct fmx_conn *watcher = fmx_shard_find(from->shard, echo->watchers[i]);
        if (watcher != NULL && watcher != from) {
            send_to(echo, watcher, publish);
        }
    }
}

static void on_publish(struct fmx_echo *echo, struct fmx_conn *conn,
                       const struct fmx_publish *publish)
{
    if (publish->qos > 0) {
        fmx_conn_puback(conn, publish->packet_id, 0);
    }
    if (fmx_slice_equal(publish->topic, fmx_slice_of("close"))) {
        fmx_conn_close(conn, FMX_E_SHUTDOWN);
    } else if (fmx_slice_equal(publish->topic, fmx_slice_of("abort"))) {
        fmx_conn_abort(conn, FMX_E_SHUTDOWN, 0);
    } else if (fmx_slice_equal(publish->topic, fmx_slice_of("watch"))) {
        FMX_ASSERT(echo->watchers_count < sizeof(echo->watchers) / sizeof(echo->watchers[0]));
        echo->watchers[echo->watchers_count++] = fmx_conn_id(conn);
    } else {
        send_to(echo, conn, publish);
        send_to_watchers(echo, conn, publish);
    }
}

static void on_packet(struct fmx_conn *conn, struct fmx_packet *packet, uint64_t tag)
{
    struct fmx_echo *echo = echo_of(conn->shard);
    struct part *part = part_of(conn);

    (void)tag;
    FMX_ASSERT(part->magic == MAGIC && part->is_open && !part->is_closed);
    FMX_ASSERT(conn->state == FMX_CONN_OPEN && !conn->role_waits);
    echo->packets++;
    if (echo->on_packet != NULL) {
        echo->on_packet(echo->user, conn, packet);
    }
    if (packet->kind == FMX_CONNECT && fmx_sim_chance(echo->late_verdict)) {
        after_some_time(conn);
    } else if (packet->kind == FMX_CONNECT) {
        fmx_conn_admit(conn, false, (fmx_slice){0});
    } else if (packet->kind == FMX_PUBLISH) {
        on_publish(echo, conn, &packet->publish);
    }
}

static void on_writable(struct fmx_conn *conn)
{
    struct fmx_echo *echo = echo_of(conn->shard);

    FMX_ASSERT(conn->state == FMX_CONN_OPEN && part_of(conn)->is_owed);
    set_owed(conn, false);
    echo->writables++;
    if (conn->role_waits) {
        fmx_conn_go_on(conn);
    }
}

/* ── the end ── */

static void on_close(struct fmx_conn *conn)
{
    struct fmx_echo *echo = echo_of(conn->shard);
    struct part *part = part_of(conn);

    FMX_ASSERT(!part->is_closed && conn->cause < 0);
    part->is_closed = true;
    set_owed(conn, false);
    echo->closes++;
    echo->unopened += !part->is_open;
    fmx_wheel_disarm(&conn->shard->wheel, &part->timer);
    if (fmx_sim_chance(echo->holds) && !conn->shard->stopping) {
        fmx_conn_hold(conn);
        after_some_time(conn);
    }
}

static void on_release(struct fmx_conn *conn)
{
    struct part *part = part_of(conn);

    FMX_ASSERT(part->is_closed && part->magic != ~MAGIC);
    part->magic = ~MAGIC;
    echo_of(conn->shard)->releases++;
    fmx_wheel_disarm(&conn->shard->wheel, &part->timer);
}

static void on_timer(struct fmx_shard *shard, struct fmx_timer *timer)
{
    struct fmx_conn *conn = conn_of(timer);

    FMX_ASSERT(conn->shard == shard && part_of(conn)->is_open);
    if (part_of(conn)->is_closed) {
        fmx_conn_unhold(conn);
    } else if (conn->session.state == FMX_SESSION_EXPECT_VERDICT) {
        fmx_conn_admit(conn, false, (fmx_slice){0});
    }
}

static void on_message(struct fmx_shard *shard, struct fmx_msg *message)
{
    (void)shard;
    (void)message;
}

static void on_turn(struct fmx_shard *shard)
{
    FMX_ASSERT(shard->role_state == echo_of(shard));
}

static void on_stop(struct fmx_shard *shard)
{
    FMX_ASSERT(shard->stopping);
}

static bool is_drained(struct fmx_shard *shard)
{
    (void)shard;
    return true;
}

const struct fmx_role fmx_echo_role = {
    .side = FMX_SIDE_SERVER,
    .session_bytes = sizeof(struct part),
    .open_shard = open_shard,
    .close_shard = close_shard,
    .on_open = on_open,
    .on_packet = on_packet,
    .on_writable = on_writable,
    .on_close = on_close,
    .on_release = on_release,
    .on_timer = on_timer,
    .on_message = on_message,
    .on_turn = on_turn,
    .discard = on_message,
    .on_stop = on_stop,
    .is_drained = is_drained,
};

bool fmx_echo_is_balanced(const struct fmx_echo *echo)
{
    return echo->opens + echo->unopened == echo->closes && echo->closes == echo->releases;
}
