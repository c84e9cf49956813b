/*
 * sim_slow_consumer — a subscriber that stops reading, among others that read
 *
 * Why it is so:   what it does not read must lie somewhere, and that place is bounded. QoS 0 is
 *                 dropped and counted. QoS 1 waits; over its bound a session that ends with its
 *                 connection is ended, and a kept one loses its oldest. Nobody else notices
 */
#include "tests/sim/gateway_story.h"

#include <stdio.h>

#define READERS       3u
#define MESSAGES      300u
#define PAYLOAD_BYTES 700u
#define QUEUE_BYTES   8192u
#define WAITING_MAX   50u
#define TURNS_MAX     60000u
#define LONG_EXPIRY_S 100000u

struct reader {
    struct fmx_story_client client;
    int64_t last;
    unsigned count;
    bool is_subscribed;
    bool was_dismissed;
    uint8_t dismissal;
};

static struct fmx_gateway_story story;
static struct reader slow;
static struct reader readers[READERS];
static struct fmx_story_client publisher;
static unsigned said;
static unsigned acked;
static unsigned ended_at_queue;

static uint64_t below(uint64_t n)
{
    return fmx_prng_below(fmx_sim_prng(), n);
}

static void on_close(void *user, const struct fmx_gateway_end *end)
{
    (void)user;
    ended_at_queue += end->cause == FMX_LIMIT_QUEUE;
}

static void hear(struct reader *reader, bool is_gapless)
{
    struct fmx_packet packet;

    while (fmx_story_next(&reader->client, &packet)) {
        unsigned number;
        if (packet.kind == FMX_SUBACK) {
            reader->is_subscribed = true;
        } else if (packet.kind == FMX_DISCONNECT) {
            reader->was_dismissed = true;
            reader->dismissal = packet.disconnect.reason;
        }
        if (packet.kind != FMX_PUBLISH) {
            continue;
        }
        memcpy(&number, packet.publish.payload.data, sizeof(number));
        STORY_ASSERT(is_gapless ? number == reader->last + 1 : number > reader->last);
        reader->last = number;
        reader->count++;
        if (packet.publish.qos == 1) {
            fmx_story_say_puback(&reader->client, packet.publish.packet_id);
        }
    }
}

static void hear_readers(void)
{
    struct fmx_packet packet;

    for (unsigned i = 0; i < READERS; i++) {
        hear(&readers[i], true);
    }
    while (fmx_story_next(&publisher, &packet)) {
        acked += packet.kind == FMX_PUBACK;
    }
}

static bool are_subscribed(void *user)
{
    bool all = true;

    (void)user;
    hear(&slow, true);
    hear_readers();
    for (unsigned i = 0; i < READERS; i++) {
        all = all && readers[i].is_subscribed;
    }
    return all && slow.is_subscribed && publisher.is_admitted;
}

static void connect_reader(struct reader *reader, const char *id, bool is_kept, uint8_t qos)
{
    uint32_t shard = (uint32_t)below(fmx_gateway_shards_count(story.gateway));

    *reader = (struct reader){.client = fmx_story_client(shard, FMX_MQTT_50), .last = -1};
    fmx_story_say_connect(&reader->client, id, !is_kept, is_kept ? LONG_EXPIRY_S : 0);
    fmx_story_say_subscribe(&reader->client, "news", qos);
}

static void begin(bool is_kept, uint8_t qos)
{
    fmx_gateway_story_init(&story, 1 + (uint32_t)below(3));
    story.options.mux.send_queue_bytes_max = QUEUE_BYTES;
    story.options.limits.inflight_max = 8;
    story.options.limits.queue_messages_max = WAITING_MAX;
    story.options.callbacks.on_close = on_close;
    said = acked = ended_at_queue = 0;
    fmx_gateway_story_open(&story);
    connect_reader(&slow, "slow", is_kept, qos);
    for (unsigned i = 0; i < READERS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "reader-%u", i);
        connect_reader(&readers[i], id, below(2) == 0, qos);
    }
    publisher = fmx_story_client(0, FMX_MQTT_311);
    fmx_story_say_connect(&publisher, "publisher", true, 0);
    STORY_ASSERT(fmx_story_until(&story.story, are_subscribed, NULL, TURNS_MAX));
    fmx_story_turns(&story.story, 50); /* what each shard wants is known to the others */
    fmx_sim_peer_read(slow.client.peer, false);
}

/* As fast as those who read can follow. */
static unsigned slowest_reader(void)
{
    unsigned least = said;

    for (unsigned i = 0; i < READERS; i++) {
        least = readers[i].count < least ? readers[i].count : least;
    }
    return least;
}

static void publish_all(uint8_t qos)
{
    uint8_t payload[PAYLOAD_BYTES] = {0};

    for (unsigned turns = 0; slowest_reader() < MESSAGES; turns++) {
        STORY_ASSERT(turns < TURNS_MAX);
        if (said < MESSAGES && said - slowest_reader() < 4) {
            memcpy(payload, &said, sizeof(said));
            fmx_story_say_publish(&publisher, "news", (fmx_slice){payload, sizeof(payload)}, qos);
            said++;
        }
        fmx_story_turn(&story.story);
        hear_readers();
    }
}

static bool publisher_is_answered(void *user)
{
    (void)user;
    hear_readers();
    return acked == MESSAGES;
}

static bool slow_has_last(void *user)
{
    (void)user;
    hear(&slow, false);
    return slow.last == MESSAGES - 1;
}

static bool slow_is_over(void *user)
{
    (void)user;
    hear(&slow, false);
    return fmx_sim_peer_is_over(slow.client.peer);
}

static void check_bounds(void)
{
    for (uint32_t i = 0; i < fmx_gateway_shards_count(story.gateway); i++) {
        uint32_t cursor = 0;
        struct fmx_conn *conn;
        while ((conn = fmx_slab_next(&fmx_story_shard(&story.story, i)->conns, &cursor)) != NULL) {
            STORY_ASSERT(conn->sendq.bytes <= QUEUE_BYTES + 2 * PAYLOAD_BYTES);
            STORY_ASSERT(fmx_backlog_count(&fmx_gateway_part(conn)->backlog) <=
                         WAITING_MAX + (conn->state > FMX_CONN_OPEN)); /* the one too many */
        }
    }
}

static void play_qos0(void)
{
    begin(below(2) == 0, 0);
    publish_all(0);
    check_bounds();
    struct fmx_stats stats = fmx_gateway_story_stats(&story);
    STORY_ASSERT(stats.dropped_qos0 > 0 && stats.dropped_qos1 == 0 && ended_at_queue == 0);
    fmx_sim_peer_read(slow.client.peer, true);
    for (unsigned i = 0; i < 1000; i++) {
        fmx_story_turn(&story.story);
        hear(&slow, false);
    }
    stats = fmx_gateway_story_stats(&story);
    STORY_ASSERT(slow.count + stats.dropped_qos0 == MESSAGES);
    fmx_gateway_story_end(&story);
}

static void play_ended(void)
{
    begin(false, 1);
    publish_all(1);
    STORY_ASSERT(fmx_story_until(&story.story, publisher_is_answered, NULL, TURNS_MAX));
    check_bounds();
    STORY_ASSERT(ended_at_queue == 1);
    fmx_sim_temper()->idle_ns_max = 20000000;
    fmx_sim_peer_read(slow.client.peer, true);
    STORY_ASSERT(fmx_story_until(&story.story, slow_is_over, NULL, TURNS_MAX));
    STORY_ASSERT(!slow.was_dismissed || slow.dismissal == 0x97);
    STORY_ASSERT(fmx_gateway_story_stats(&story).dropped_qos1 == 0);
    fmx_gateway_story_end(&story);
}

static void play_oldest_dropped(void)
{
    begin(true, 1);
    publish_all(1);
    STORY_ASSERT(fmx_story_until(&story.story, publisher_is_answered, NULL, TURNS_MAX));
    check_bounds();
    fmx_sim_peer_read(slow.client.peer, true);
    STORY_ASSERT(fmx_story_until(&story.story, slow_has_last, NULL, TURNS_MAX));
    struct fmx_stats stats = fmx_gateway_story_stats(&story);
    STORY_ASSERT(stats.dropped_qos1 > 0 && ended_at_queue == 0);
    STORY_ASSERT(slow.count + stats.dropped_qos1 == MESSAGES);
    fmx_gateway_story_end(&story);
}

/* It goes away: what comes is kept up to the bound, the oldest dropped, and given at return. */
static void play_absent(void)
{
    begin(true, 1);
    fmx_sim_peer_reset(slow.client.peer);
    fmx_story_turns(&story.story, 300);
    publish_all(1);
    STORY_ASSERT(fmx_story_until(&story.story, publisher_is_answered, NULL, TURNS_MAX));
    fmx_story_turns(&story.story, 100); /* what crosses between shards arrives */
    struct fmx_stats stats = fmx_gateway_story_stats(&story);
    STORY_ASSERT(stats.parked_now == 1 && stats.stored_now == WAITING_MAX);
    STORY_ASSERT(stats.dropped_qos1 == MESSAGES - WAITING_MAX);
    slow = (struct reader){.client = fmx_story_client(0, FMX_MQTT_50), .last = -1};
    fmx_story_say_connect(&slow.client, "slow", false, LONG_EXPIRY_S);
    STORY_ASSERT(fmx_story_until(&story.story, slow_has_last, NULL, TURNS_MAX));
    STORY_ASSERT(slow.client.session_present && slow.count == WAITING_MAX);
    stats = fmx_gateway_story_stats(&story);
    STORY_ASSERT(stats.parked_now == 0 && stats.stored_now == 0);
    fmx_gateway_story_end(&story);
}

static void messages_at_qos_0_for_a_slow_subscriber_are_dropped_and_counted(void)
{
    fmx_story_play(play_qos0, STORY_SEEDS);
}

static void a_slow_subscriber_is_ended_when_too_much_waits_at_qos_1(void)
{
    fmx_story_play(play_ended, STORY_SEEDS);
}

static void a_kept_slow_subscriber_loses_its_oldest_messages_and_stays(void)
{
    fmx_story_play(play_oldest_dropped, STORY_SEEDS);
}

static void an_absent_subscriber_finds_the_newest_messages_at_its_return(void)
{
    fmx_story_play(play_absent, STORY_SEEDS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(messages_at_qos_0_for_a_slow_subscriber_are_dropped_and_counted),
    FMX_TEST_CASE(a_slow_subscriber_is_ended_when_too_much_waits_at_qos_1),
    FMX_TEST_CASE(a_kept_slow_subscriber_loses_its_oldest_messages_and_stays),
    FMX_TEST_CASE(an_absent_subscriber_finds_the_newest_messages_at_its_return),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_slow_consumer", cases, sizeof cases / sizeof cases[0], argc, argv);
}
