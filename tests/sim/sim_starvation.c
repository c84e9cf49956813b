/*
 * sim_starvation — few receive buffers for hundreds of connections that all send at once
 *
 * Why it is so:   when buffers run out the kernel ends a receive with an error, and whoever forgets
 *                 to arm it again has lost a session that still looks alive. So: nobody is lost,
 *                 nothing is out of order, and in the end every connection's receive is in the
 *                 kernel, and every buffer that was ever lent
 */
#include "tests/sim/echo.h"
#include "tests/sim/story.h"

#define CLIENTS_MAX   256u
#define MESSAGES_MAX  40u
#define TURNS_MAX     40000u
#define PAYLOAD_BYTES 120u
#define BUFFERS_FIRST 64u /* lent from the start, and the least that may be asked for */

static struct fmx_story story;
static struct fmx_echo echo;
static struct fmx_story_client clients[CLIENTS_MAX];
static unsigned sent[CLIENTS_MAX];
static unsigned back[CLIENTS_MAX];
static unsigned acked[CLIENTS_MAX];
static unsigned clients_count;

static void say_numbered(unsigned i)
{
    uint8_t payload[PAYLOAD_BYTES] = {0};

    memcpy(payload, &i, sizeof(i));
    memcpy(payload + sizeof(i), &sent[i], sizeof(sent[i]));
    sent[i]++;
    fmx_story_say_publish(&clients[i], "number", (fmx_slice){payload, sizeof(payload)}, 1);
}

static void take_back(unsigned i)
{
    struct fmx_packet packet;

    while (fmx_story_next(&clients[i], &packet)) {
        unsigned numbers[2];
        if (packet.kind == FMX_PUBACK) {
            acked[i]++;
            STORY_ASSERT(packet.ack.packet_id == acked[i]);
        } else if (packet.kind == FMX_PUBLISH) {
            STORY_ASSERT(packet.publish.payload.bytes == PAYLOAD_BYTES);
            memcpy(numbers, packet.publish.payload.data, sizeof(numbers));
            STORY_ASSERT(numbers[0] == i && numbers[1] == back[i]);
            back[i]++;
        }
    }
}

static struct fmx_sim_look look_at(uint32_t shard_index)
{
    return fmx_sim_look(fmx_story_shard(&story, shard_index)->ring);
}

static void check_lent(void)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(story.mux); i++) {
        struct fmx_sim_look look = look_at(i);
        STORY_ASSERT(look.buffers_lent <= look.buffers_circulating);
        STORY_ASSERT(look.buffers_circulating >= BUFFERS_FIRST);
        STORY_ASSERT(look.buffers_circulating <= story.options.recv_buffers_count);
    }
}

static bool all_is_back(void *user)
{
    bool all = true;

    (void)user;
    check_lent();
    for (unsigned i = 0; i < clients_count; i++) {
        take_back(i);
        all = all && back[i] == sent[i] && acked[i] == sent[i];
    }
    return all;
}

static void begin(uint32_t shards_count, uint32_t buffers_count)
{
    fmx_story_init(&story);
    story.options.shards_count = shards_count;
    story.options.recv_buffers_count = buffers_count;
    story.options.sessions_max = CLIENTS_MAX;
    story.options.recv_buffer_bytes = 512;
    echo = (struct fmx_echo){.late_verdict = 200};
    fmx_story_open(&story, &fmx_echo_role, &echo);
    memset(sent, 0, sizeof(sent));
    memset(back, 0, sizeof(back));
    memset(acked, 0, sizeof(acked));
}

static void check_all_armed(void)
{
    for (uint32_t i = 0; i < fmx_mux_shards_count(story.mux); i++) {
        struct fmx_shard *shard = fmx_story_shard(&story, i);
        struct fmx_sim_look look = look_at(i);
        STORY_ASSERT(shard->lists[FMX_LIST_STARVED].first == 0 &&
                     shard->lists[FMX_LIST_READY].first == 0);
        STORY_ASSERT(look.recvs == shard->conns.used && look.accepts == 1);
        STORY_ASSERT(look.buffers_lent == look.buffers_circulating);
    }
}

static void end(void)
{
    fmx_story_stop(&story, 1000);
    fmx_story_drain(&story);
    STORY_ASSERT(fmx_echo_is_balanced(&echo) && echo.opens == clients_count);
    fmx_story_close(&story);
}

static void burst(uint32_t buffers_count)
{
    clients_count = 80 + (unsigned)fmx_prng_below(fmx_sim_prng(), CLIENTS_MAX - 80);
    begin(1, buffers_count);
    fmx_sim_temper()->progress = 1000; /* all of it comes in one turn */
    for (unsigned i = 0; i < clients_count; i++) {
        clients[i] = fmx_story_client(0, i % 2 == 0 ? FMX_MQTT_311 : FMX_MQTT_50);
        fmx_story_say_connect(&clients[i], "burst", true, 0);
    }
    STORY_ASSERT(fmx_story_until(&story, all_is_back, NULL, 1)); /* none is sent yet */
    fmx_story_turns(&story, 200);
    for (unsigned i = 0; i < clients_count; i++) {
        unsigned count = 1 + (unsigned)fmx_prng_below(fmx_sim_prng(), MESSAGES_MAX);
        while (sent[i] < count) {
            say_numbered(i);
        }
    }
    STORY_ASSERT(fmx_story_until(&story, all_is_back, NULL, TURNS_MAX));
    fmx_story_turns(&story, 50);
    struct fmx_stats stats = fmx_story_stats(&story);
    struct fmx_sim_look look = look_at(0);
    STORY_ASSERT(stats.buffers_starved > 0 && stats.buffers_starved == look.enobufs);
    STORY_ASSERT(stats.connections_now == clients_count);
    STORY_ASSERT((look.buffers_circulating > BUFFERS_FIRST) == (buffers_count > BUFFERS_FIRST));
    check_all_armed();
    end();
}

static void play_a_burst(void)
{
    burst(BUFFERS_FIRST);
}

static void play_a_burst_with_more(void)
{
    burst(BUFFERS_FIRST << (1 + fmx_prng_below(fmx_sim_prng(), 4)));
}

static void play_a_steady_stream(void)
{
    clients_count = 100;
    begin(3, BUFFERS_FIRST);
    for (unsigned i = 0; i < clients_count; i++) {
        clients[i] = fmx_story_client(i % 3, FMX_MQTT_50);
        fmx_story_say_connect(&clients[i], "stream", true, 0);
    }
    for (unsigned turn = 0; turn < 400; turn++) {
        for (unsigned n = 0; n < 8; n++) {
            say_numbered((unsigned)fmx_prng_below(fmx_sim_prng(), clients_count));
        }
        fmx_story_turn(&story);
    }
    STORY_ASSERT(fmx_story_until(&story, all_is_back, NULL, TURNS_MAX));
    fmx_story_turns(&story, 200);
    check_all_armed();
    end();
}

static void starved_connections_lose_nothing_and_are_all_armed_again(void)
{
    fmx_story_play(play_a_burst, STORY_SEEDS);
}

static void buffers_that_run_out_become_more_up_to_their_count(void)
{
    fmx_story_play(play_a_burst_with_more, STORY_SEEDS / 2);
}

static void a_stream_from_all_sides_comes_back_whole_and_in_order(void)
{
    fmx_story_play(play_a_steady_stream, STORY_SEEDS);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(starved_connections_lose_nothing_and_are_all_armed_again),
    FMX_TEST_CASE(buffers_that_run_out_become_more_up_to_their_count),
    FMX_TEST_CASE(a_stream_from_all_sides_comes_back_whole_and_in_order),
};

int main(int argc, char **argv)
{
    return fmx_test_main("sim_starvation", cases, sizeof cases / sizeof cases[0], argc, argv);
}
