/*
 * sim_takeover — one client id on several shards at random times, while others publish to it
 *
 * Why it is so:   a device that lost its network connects again before its old connection is known
 *                 to be dead, perhaps twice, perhaps to three shards. It must be one session all
 *                 the same: one at a time, with session-present true exactly if something was kept,
 *                 and without the loss of a QoS 1 message or a change of order
 * Words:          life: one connection of the device; kept: its session outlives its connections
 */
#include "tests/sim/gateway_story.h"

#include <stdio.h>

#define SHARDS          3u
#define LIVES_MAX       400u
#define PUBLISHERS      2u
#define MESSAGES        150u
#define STEPS_MAX       20000u
#define TURNS_MAX       40000u
#define UNACKED_MAX     256u
#define PUBLISHER_AHEAD 20u
#define SETTLE_STEPS    400u /* after its connection ended, by then a claim is settled */

struct life {
    struct fmx_story_client client;
    uint16_t unacked[UNACKED_MAX]; /* identifiers, oldest first */
    unsigned unacked_count;
    int64_t last[PUBLISHERS]; /* number seen last in this life; −1: none */
    bool clean;
    bool is_kept;
    bool has_opened;
    unsigned over_at; /* step at which its peer was seen to be over; 0: not yet */
};

static struct fmx_gateway_story story;
static struct life lives[LIVES_MAX];
static unsigned lives_count;
static struct fmx_story_client publishers[PUBLISHERS];
static unsigned said[PUBLISHERS];
static unsigned acked[PUBLISHERS];
static bool has_come[PUBLISHERS][MESSAGES];

/* What the service heard. */
static struct fmx_session_id open_ids[LIVES_MAX];
static unsigned open_count;
static unsigned opens;
static bool something_is_kept; /* by the life that opened last */
static unsigned opened_at;
static unsigned step;

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

/* ── the service ── */

/*
 * A life may have owned the id and ended before it was told so: then the service has not heard of
 * it, and it has kept or dropped something all the same. Is there one since the last open?
 */
static bool has_unheard(bool (*is_of_interest)(const struct life *life))
{
    for (unsigned i = 0; i < lives_count; i++) {
        const struct life *life = &lives[i];
        bool was_settled = life->over_at > 0 && life->over_at + SETTLE_STEPS < opened_at;
        if (!life->has_opened && !was_settled && is_of_interest(life)) {
            return true;
        }
    }
    return false;
}

static bool would_keep(const struct life *life)
{
    return life->is_kept;
}

static bool would_drop(const struct life *life)
{
    return life->clean || !life->is_kept;
}

/* The user name is the number of the life. */
static struct life *life_of(fmx_slice username)
{
    unsigned number = 0;

    for (size_t i = 0; i < username.bytes; i++) {
        number = number * 10 + (unsigned)(username.data[i] - '0');
    }
    STORY_ASSERT(number < lives_count && !lives[number].has_opened);
    return &lives[number];
}

static void on_open(void *user, const struct fmx_gateway_session *session)
{
    (void)user;
    if (!fmx_slice_equal(session->client_id, fmx_slice_of("device"))) {
        return;
    }
    struct life *life = life_of(session->username);
    life->has_opened = true;
    STORY_ASSERT(!session->session_present || !life->clean);
    STORY_ASSERT(!session->session_present || something_is_kept || has_unheard(would_keep));
    STORY_ASSERT(session->session_present || life->clean || !something_is_kept ||
                 has_unheard(would_drop));
    something_is_kept = life->is_kept;
    opened_at = step;
    open_ids[open_count++] = session->id;
    opens++;
}

static void on_close(void *user, const struct fmx_gateway_end *end)
{
    (void)user;
    STORY_ASSERT(end->cause < 0);
    for (unsigned i = 0; i < open_count; i++) {
        if (fmx_session_id_equal(open_ids[i], end->id)) {
            open_ids[i] = open_ids[--open_count];
            return;
        }
    }
}

static void turn(void)
{
    step++;
    fmx_story_turn(&story.story);
    STORY_ASSERT(open_count <= 1);
}

/* ── the device ── */

static void connect_device(bool clean, bool is_kept)
{
    struct life *life = &lives[lives_count++];
    struct fmx_packet packet = {.kind = FMX_CONNECT};
    char number[16];

    STORY_ASSERT(lives_count < LIVES_MAX);
    snprintf(number, sizeof(number), "%u", lives_count - 1);
    *life = (struct life){.clean = clean, .is_kept = is_kept, .last = {-1, -1}};
    /* before 5.0 to be clean is not to be kept */
    bool can_be_311 = clean == !is_kept;
    life->client = fmx_story_client((uint32_t)below(SHARDS),
                                    can_be_311 && below(2) == 0 ? FMX_MQTT_311 : FMX_MQTT_50);
    packet.connect.version = life->client.version;
    packet.connect.clean = clean;
    packet.connect.client_id = fmx_slice_of("device");
    packet.connect.has_username = true;
    packet.connect.username = fmx_slice_of(number);
    if (life->client.version == FMX_MQTT_50 && is_kept) {
        packet.connect.props.present |= FMX_PROP_BIT(FMX_PROP_SESSION_EXPIRY);
        packet.connect.props.session_expiry_s = 100000;
    }
    fmx_story_say(&life->client, &packet);
}

/* In one life a publisher's numbers follow one another, and begin not later than they may. */
static void hear_number(struct life *life, const struct fmx_publish *publish)
{
    unsigned numbers[2];

    STORY_ASSERT(publish->qos == 1 && publish->payload.bytes == sizeof(numbers));
    memcpy(numbers, publish->payload.data, sizeof(numbers));
    unsigned from = numbers[0];
    unsigned number = numbers[1];
    STORY_ASSERT(from < PUBLISHERS && number < said[from]);
    STORY_ASSERT(life->last[from] < 0 || number == life->last[from] + 1);
    STORY_ASSERT(life->last[from] >= 0 || number == 0 || has_come[from][number - 1]);
    life->last[from] = number;
    has_come[from][number] = true;
    STORY_ASSERT(life->unacked_count < UNACKED_MAX);
    life->unacked[life->unacked_count++] = publish->packet_id;
}

static void hear(struct life *life)
{
    struct fmx_packet packet;

    if (life->over_at == 0 && fmx_sim_peer_is_over(life->client.peer)) {
        life->over_at = step;
    }
    while (fmx_story_next(&life->client, &packet)) {
        if (packet.kind == FMX_CONNACK && packet.connack.reason == 0) {
            STORY_ASSERT(!life->clean || !packet.connack.session_present);
        } else if (packet.kind == FMX_PUBLISH) {
            hear_number(life, &packet.publish);
        }
    }
}

/* Acknowledges the oldest, in order. */
static void acknowledge(struct life *life, unsigned count)
{
    while (count > 0 && life->unacked_count > 0) {
        fmx_story_say_puback(&life->client, life->unacked[0]);
        life->unacked_count--;
        memmove(life->unacked, life->unacked + 1, life->unacked_count * sizeof(life->unacked[0]));
        count--;
    }
}

static bool device_is_in(void *user)
{
    struct life *life = user;

    hear(life);
    return life->client.is_admitted;
}

static bool is_subscribed(void *user)
{
    struct fmx_packet packet;
    struct life *life = user;

    while (fmx_story_next(&life->client, &packet)) {
        if (packet.kind == FMX_SUBACK) {
            STORY_ASSERT(packet.suback.codes.bytes == 1 && packet.suback.codes.data[0] == 1);
            return true;
        }
    }
    return false;
}

static void first_life(void)
{
    connect_device(true, true);
    STORY_ASSERT(fmx_story_until(&story.story, device_is_in, &lives[0], TURNS_MAX));
    fmx_story_say_subscribe(&lives[0].client, "to/device", 1);
    STORY_ASSERT(fmx_story_until(&story.story, is_subscribed, &lives[0], TURNS_MAX));
}

/* ── the publishers ── */

static void hear_acks(unsigned i)
{
    struct fmx_packet packet;

    while (fmx_story_next(&publishers[i], &packet)) {
        if (packet.kind == FMX_PUBACK) {
            acked[i]++;
            STORY_ASSERT(packet.ack.packet_id == acked[i] && packet.ack.reason == 0);
        }
    }
}

static void publish_next(unsigned i)
{
    unsigned numbers[2] = {i, said[i]};

    if (said[i] < MESSAGES && said[i] - acked[i] < PUBLISHER_AHEAD) {
        said[i]++;
        fmx_story_say_publish(&publishers[i], "to/device",
                              (fmx_slice){(const uint8_t *)numbers, sizeof(numbers)}, 1);
    }
}

static void connect_publishers(void)
{
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        char id[32];
        snprintf(id, sizeof(id), "publisher-%u", i);
        publishers[i] = fmx_story_client((uint32_t)below(SHARDS), FMX_MQTT_50);
        fmx_story_say_connect(&publishers[i], id, true, 0);
    }
}

static bool all_is_said(void *user)
{
    (void)user;
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        hear_acks(i);
        if (acked[i] < MESSAGES) {
            return false;
        }
    }
    return true;
}

/* ── stories ── */

static void begin(void)
{
    fmx_gateway_story_init(&story, SHARDS);
    story.options.mux.sessions_max = LIVES_MAX * SHARDS;
    story.options.limits.inflight_max = 1 + (uint32_t)below(40);
    story.options.mux.send_queue_bytes_max = 1024u << below(6);
    story.options.callbacks.on_open = on_open;
    story.options.callbacks.on_close = on_close;
    lives_count = 0;
    memset(said, 0, sizeof(said));
    memset(acked, 0, sizeof(acked));
    memset(has_come, 0, sizeof(has_come));
    open_count = 0;
    opens = 0;
    something_is_kept = false;
    opened_at = step = 1;
    fmx_gateway_story_open(&story);
}

static void trouble_a_life(struct life *life)
{
    struct fmx_packet packet = {.kind = FMX_DISCONNECT};

    switch (below(8)) {
    case 0:
        fmx_sim_peer_reset(life->client.peer);
        break;
    case 1:
        fmx_sim_peer_close(life->client.peer);
        break;
    case 2:
        fmx_sim_peer_read(life->client.peer, false);
        break;
    case 3:
        fmx_story_say(&life->client, &packet);
        break;
    default:
        fmx_sim_peer_read(life->client.peer, true);
        break;
    }
}

static void live(bool (*is_clean)(void), bool (*is_kept)(void))
{
    for (unsigned left = STEPS_MAX; left > 0 && !all_is_said(NULL); left--) {
        struct life *life = &lives[lives_count - 1 - below(lives_count < 4 ? lives_count : 4)];
        publish_next((unsigned)below(PUBLISHERS));
        for (unsigned i = 0; i < lives_count; i++) {
            hear(&lives[i]);
        }
        acknowledge(life, (unsigned)below(6));
        if (below(60) == 0) {
            trouble_a_life(life);
        }
        if (below(40) == 0 && lives_count < LIVES_MAX - 2) {
            connect_device(is_clean(), is_kept());
        }
        turn();
    }
}

static bool yes(void)
{
    return true;
}

static bool no(void)
{
    return false;
}

static bool maybe(void)
{
    return below(2) == 0;
}

static bool last_has_all(void *user)
{
    struct life *life = user;

    hear(life);
    acknowledge(life, 1000);
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        hear_acks(i);
        if (acked[i] < MESSAGES || !has_come[i][MESSAGES - 1]) {
            return false;
        }
    }
    return true;
}

/* Whoever is still on the way arrives, so that who comes next is the last. */
static void settle(void)
{
    for (unsigned left = SETTLE_STEPS; left > 0; left--) {
        turn();
    }
}

static void play_kept(void)
{
    begin();
    first_life();
    connect_publishers();
    live(no, yes);
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        while (said[i] < MESSAGES) {
            hear_acks(i);
            publish_next(i);
            turn();
        }
    }
    settle();
    connect_device(false, true);
    struct life *last = &lives[lives_count - 1];
    STORY_ASSERT(fmx_story_until(&story.story, device_is_in, last, TURNS_MAX));
    STORY_ASSERT(last->client.session_present);
    STORY_ASSERT(fmx_story_until(&story.story, last_has_all, last, TURNS_MAX));
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        for (unsigned number = 0; number < MESSAGES; number++) {
            STORY_ASSERT(has_come[i][number]);
        }
    }
    struct fmx_stats stats = fmx_gateway_story_stats(&story);
    STORY_ASSERT(stats.dropped_qos1 == 0 && stats.sessions_now == 1 + PUBLISHERS);
    fmx_gateway_story_end(&story);
    STORY_ASSERT(open_count == 0);
}

/* Clean or not, kept or not, several at once: nobody publishes, only the claims race. */
static void play_mixed(void)
{
    begin();
    for (unsigned left = 1500; left > 0; left--) {
        if (below(12) == 0) {
            connect_device(maybe(), maybe());
        }
        for (unsigned i = 0; i < lives_count; i++) {
            hear(&lives[i]);
        }
        if (lives_count > 0 && below(20) == 0) {
            trouble_a_life(&lives[below(lives_count)]);
        }
        turn();
    }
    settle();
    connect_device(false, true);
    struct life *last = &lives[lives_count - 1];
    STORY_ASSERT(fmx_story_until(&story.story, device_is_in, last, TURNS_MAX));
    STORY_ASSERT(opens > 5);
    fmx_gateway_story_end(&story);
    STORY_ASSERT(open_count == 0);
}

static void a_kept_session_that_moves_between_shards_loses_no_message_and_no_order(void)
{
    fmx_story_play(play_kept, STORY_SEEDS);
}

static void one_client_id_is_one_session_and_session_present_is_true(void)
{
    fmx_story_play(play_mixed, STORY_SEEDS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_kept_session_that_moves_between_shards_loses_no_message_and_no_order),
    FMX_TEST_CASE(one_client_id_is_one_session_and_session_present_is_true),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_takeover", cases, sizeof cases / sizeof cases[0], argc, argv);
}
