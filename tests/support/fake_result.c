/*
 * fake_result — makes results of runs that never were
 *
 * Why it is so:   screens, summaries, files and verdicts are tested without a network and without
 *                 waiting. A story says who there is and what goes wrong; each second of it is
 *                 played into rows, counters and distributions as a recorder would do it
 * Memory:         the result is the caller's
 * Threads:        one at a time
 * Limits:         200 samples for each latency and second, whatever the rates are: distributions
 *                 have the shape of a run, not its counts
 */
#include "tests/support/fake_result.h"
#include "tests/support/prng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS   90u
#define SAMPLES   200u
#define RECENT    5u
#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)
#define NEVER     UINT32_MAX

const char *const fake_result_names[FAKE_RESULTS] = {
#define FAKE_RESULT_NAME(name, words) #name,
    FAKE_RESULT_LIST(FAKE_RESULT_NAME)
#undef FAKE_RESULT_NAME
};

struct story {
    const char *verb, *scenario;
    uint32_t clients;
    uint32_t connect_rate;
    uint32_t publish_rate; /* of all clients together */
    uint32_t received;     /* messages that come for each that is sent */
    uint32_t groups;
    uint32_t failing; /* clients that never get in */
    uint32_t losing;  /* clients that are lost at half time */
    uint32_t trouble; /* the second from which the story's limit is felt */
    bool is_qos1, has_subscribes, has_tls, has_requests;
    enum result_limit limit;
};

#define STORY(name) [FAKE_RESULT_##name]

static const struct story stories[FAKE_RESULTS] = {
    STORY(start) = {"pub", "", 10000, 1000, 10000, 0, 1, 0, 0, NEVER, .is_qos1 = true},
    STORY(conn) = {"conn", "", 10000, 1000, 0, 0, 1, 0, 0, NEVER, .is_qos1 = false},
    STORY(pub) = {"pub", "", 10000, 1000, 10000, 0, 1, 0, 0, NEVER, .is_qos1 = true},
    STORY(sub) = {"sub", "", 2000, 500, 0, 1, 1, 0, 0, NEVER, .has_subscribes = true},
    STORY(full) = {"run", "connected cars", 50000, 2500, 40000, 1, 4, 37, 12, NEVER,
                   .is_qos1 = true, .has_subscribes = true, .has_tls = true, .has_requests = true},
    STORY(invalid) = {"pub", "", 100000, 10000, 150000, 0, 1, 0, 0, 20, .is_qos1 = true,
                      .limit = RESULT_GENERATOR_LIMITED},
    STORY(server) = {"pub", "", 10000, 1000, 20000, 0, 1, 0, 150, 40, .is_qos1 = true,
                     .limit = RESULT_SERVER_LIMITED},
    STORY(network) = {"pub", "", 5000, 1000, 5000, 0, 1, 0, 0, 30, .is_qos1 = true,
                      .limit = RESULT_NETWORK},
    STORY(failed) = {"pub", "", 9600, 2000, 9600, 0, 1, 9600, 0, NEVER, .is_qos1 = true},
    STORY(find) = {"pub", "", 10000, 5000, 40000, 0, 1, 0, 0, NEVER, .is_qos1 = true},
    STORY(paused) = {"run", "smart meters", 20000, 2000, 4000, 0, 2, 0, 0, NEVER, .is_qos1 = true},
    STORY(draining) = {"run", "smart meters", 20000, 2000, 4000, 1, 2, 0, 0, NEVER, .is_qos1 = true,
                       .has_subscribes = true},
    STORY(million) = {"run", "a fleet of the largest kind that there is, with a name to match",
                      16000000, 400000, 12000000, 2, 64, 123456, 234567, NEVER, .is_qos1 = true,
                      .has_subscribes = true, .has_tls = true, .has_requests = true},
    STORY(cut) = {"pub", "", 10000, 1000, 10000, 0, 1, 0, 0, NEVER, .is_qos1 = true},
    STORY(unbalanced) = {"pub", "", 10000, 1000, 10000, 1, 1, 0, 0, NEVER, .is_qos1 = true,
                         .has_subscribes = true},
};

/* ── one second ── */

struct player {
    enum fake_result_name name;
    const struct story *story;
    struct result *result;
    struct fmx_prng prng;
    struct fmx_distribution *second;
    struct fmx_distribution *recent[FMX_FLEET_LATENCIES];
    unsigned seconds;
};

/* About `base`, with the long tail that such things have. */
static uint64_t draw(struct fmx_prng *prng, uint64_t base_ns)
{
    uint64_t value = base_ns / 2 + fmx_prng_below(prng, base_ns);
    uint64_t luck = fmx_prng_below(prng, 1000);

    if (luck < 30) {
        value += base_ns * (1 + fmx_prng_below(prng, 6));
    }
    return luck == 0 ? value * 5 : value;
}

static void keep(struct player *player, struct result_row *row, unsigned second,
                 enum fmx_fleet_latency latency)
{
    fmx_distribution_summary(player->second, &row->latency[latency]);
    fmx_distribution_add(player->result->distributions[latency], player->second);
    if (second + RECENT >= player->seconds) {
        fmx_distribution_add(player->recent[latency], player->second);
    }
}

static void measure(struct player *player, struct result_row *row, unsigned second,
                    enum fmx_fleet_latency latency, uint64_t base_ns)
{
    fmx_distribution_init(player->second);
    for (unsigned sample = 0; sample < SAMPLES; sample++) {
        fmx_distribution_record(player->second, draw(&player->prng, base_ns), 1);
    }
    keep(player, row, second, latency);
}

/* A raw latency, and the one from the planned time, which is never less. */
static void measure_both(struct player *player, struct result_row *row, unsigned second,
                         const enum fmx_fleet_latency pair[2], uint64_t raw_ns, uint64_t late_ns)
{
    struct fmx_prng before = player->prng;

    measure(player, row, second, pair[1], raw_ns);
    player->prng = before;
    fmx_distribution_init(player->second);
    for (unsigned sample = 0; sample < SAMPLES; sample++) {
        fmx_distribution_record(player->second, draw(&player->prng, raw_ns) + late_ns, 1);
    }
    keep(player, row, second, pair[0]);
}

static void measure_connects(struct player *player, struct result_row *row, unsigned second)
{
    const struct story *story = player->story;

    if ((uint64_t)second * story->connect_rate >= story->clients) {
        return;
    }
    measure(player, row, second, FMX_FLEET_TCP, 180 * NS_PER_US);
    if (story->has_tls) {
        measure(player, row, second, FMX_FLEET_TLS_FULL, 2400 * NS_PER_US);
        measure(player, row, second, FMX_FLEET_TLS_RESUMED, 900 * NS_PER_US);
    }
    if (story->failing == story->clients) {
        return;
    }
    measure(player, row, second, FMX_FLEET_CONNECT, 1200 * NS_PER_US);
    measure(player, row, second, FMX_FLEET_CONNACK, 240 * NS_PER_US);
    if (story->has_subscribes) {
        measure(player, row, second, FMX_FLEET_SUBACK, 310 * NS_PER_US);
    }
}

/* A server in trouble answers late, and ever later by the planned time. */
static void measure_messages(struct player *player, struct result_row *row, unsigned second)
{
    static const enum fmx_fleet_latency puback[] = {FMX_FLEET_PUBACK, FMX_FLEET_PUBACK_RAW};
    static const enum fmx_fleet_latency delivery[] = {FMX_FLEET_DELIVERY, FMX_FLEET_DELIVERY_RAW};
    static const enum fmx_fleet_latency request[] = {FMX_FLEET_REQUEST, FMX_FLEET_REQUEST_RAW};
    const struct story *story = player->story;
    bool is_troubled = second >= story->trouble;
    uint64_t raw = is_troubled ? 60 * NS_PER_MS : 420 * NS_PER_US;
    uint64_t late = is_troubled ? (second - story->trouble + 1) * 55 * NS_PER_MS : 45 * NS_PER_US;

    if (story->publish_rate > 0 && story->failing < story->clients) {
        measure_both(player, row, second, puback, raw, late);
        measure(player, row, second, FMX_FLEET_BLOCKED, late);
    }
    if (story->received > 0) {
        measure_both(player, row, second, delivery, raw + 200 * NS_PER_US, late);
    }
    if (story->has_requests) {
        measure_both(player, row, second, request, 4 * raw, late);
    }
    bool is_late = is_troubled && story->limit == RESULT_GENERATOR_LIMITED;
    measure(player, row, second, FMX_FLEET_LAG, is_late ? 38 * NS_PER_MS : 14 * NS_PER_US);
    measure(player, row, second, FMX_FLEET_DRIFT, is_late ? 21 * NS_PER_MS : 62 * NS_PER_US);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void count_clients(const struct player *player, struct fmx_fleet_counters *now,
                          uint64_t seconds)
{
    const struct story *story = player->story;
    uint64_t due = least(story->clients, seconds * story->connect_rate);
    uint64_t failing = least(story->failing, due);
    uint64_t losing = seconds > player->seconds / 2 ? story->losing : 0;
    uint64_t connecting = due < story->clients ? least(32, due - failing) : 0;

    now->connects_planned = due;
    now->connects_begun = due;
    now->connects_ok = due - failing - connecting;
    now->connects_failed = failing;
    now->connections_lost = losing;
    now->clients_waiting = story->clients - due;
    now->clients_connecting = connecting;
    now->clients_open = now->connects_ok - losing;
    now->clients_subscribed = story->has_subscribes ? now->clients_open : 0;
    now->clients_lost = losing;
    now->clients_failed = failing;
}

/* What one second adds, `open` clients being there to say it. */
static void count_messages(const struct player *player, struct fmx_fleet_counters *now,
                           struct result_row *row, unsigned second)
{
    const struct story *story = player->story;
    bool is_troubled = second >= story->trouble;
    uint64_t planned = (uint64_t)story->publish_rate * now->clients_open / story->clients;
    uint64_t sent = is_troubled && story->limit != RESULT_NETWORK ? planned * 6 / 10 : planned;

    row->publishes_wanted = (double)planned;
    now->publishes_planned += planned;
    now->publishes_sent += sent;
    now->publishes_overdue = now->publishes_planned - now->publishes_sent;
    now->publishes_sent_qos1 = story->is_qos1 ? now->publishes_sent : 0;
    now->publishes_outstanding = story->is_qos1 ? least(sent, is_troubled ? 32000 : 12) : 0;
    now->publishes_unacked = story->losing > 0 && second > player->seconds / 2 ? 7 : 0;
    now->publishes_acked = story->is_qos1 ? now->publishes_sent - now->publishes_outstanding -
                                                least(now->publishes_unacked, now->publishes_sent)
                                          : 0;
    if (story->received > 0) {
        now->received += story->publish_rate > 0 ? sent * story->received : 9000;
        now->received_once = now->received;
    }
    if (story->has_requests) {
        now->requests_answered += 400;
        now->requests_timeout += second % 10 == 0;
        now->calls_received += 40;
        now->calls_answered += 40;
    }
}

static bool play_second(struct player *player, struct fmx_fleet_counters *now, unsigned second)
{
    const struct story *story = player->story;
    struct result_row *row = result_add_row(player->result);

    if (row == NULL) {
        return false;
    }
    row->begin_ns = second * NS_PER_S;
    row->end_ns = row->begin_ns + NS_PER_S;
    row->stage = player->result->stage;
    row->is_paused = player->result->is_paused && second + 4 >= player->seconds;
    uint64_t before = now->connects_planned;
    count_clients(player, now, second + 1);
    row->connects_wanted = (double)(now->connects_planned - before);
    if (!row->is_paused) {
        count_messages(player, now, row, second);
    }
    bool is_busy = story->limit == RESULT_GENERATOR_LIMITED && second >= story->trouble;
    row->cpu_ns = is_busy ? 1990 * NS_PER_MS : 430 * NS_PER_MS;
    row->cpu_wait_ns = is_busy ? 240 * NS_PER_MS : 2 * NS_PER_MS;
    row->segments_out = 20000;
    row->segments_again = story->limit == RESULT_NETWORK && second >= story->trouble ? 700 : 1;
    row->limit = second >= story->trouble ? story->limit : RESULT_OK;
    row->counters = *now;
    measure_connects(player, row, second);
    measure_messages(player, row, second);
    return true;
}

/* ── what is not by the second ── */

struct fake_cause {
    struct fmx_fleet_cause cause;
    const char *more;
};

static const struct fake_cause failures[] = {
    {{FMX_SYS_CONNECT, ECONNREFUSED, 0, NULL, 4210}, ""},
    {{FMX_SYS_CONNECT, EADDRNOTAVAIL, 0, NULL, 2700}, ""},
    {{FMX_PEER_REFUSED, 0, 0x86, NULL, 1204}, ""},
    {{FMX_PEER_SILENT, 0, 0, NULL, 803}, ""},
    {{FMX_TLS_ALERT, 0, 0, NULL, 300}, "the peer sent the TLS alert unknown_ca"},
    {{FMX_TLS_CERT, 0, 0, NULL, 150}, "the certificate has expired"},
    {{FMX_PEER_CLOSED, 0, 0, NULL, 120}, ""},
    {{FMX_PEER_REFUSED, 0, 0x9F, NULL, 60}, ""},
    {{FMX_PEER_LENGTH, 0, 0, NULL, 31}, ""},
    {{FMX_PEER_RESET, 0, 0, NULL, 12}, ""},
    {{FMX_PEER_DISCONNECT, 0, 0x8E, NULL, 8}, ""},
    {{FMX_LIMIT_SESSIONS, 0, 0, NULL, 2}, ""},
};

static const struct fake_cause losses[] = {
    {{FMX_SYS_RECV, ECONNRESET, 0, NULL, 31}, ""},
    {{FMX_PEER_MESSAGE_REFUSED, 0, 0x97, NULL, 16}, ""},
    {{FMX_PEER_DISCONNECT, 0, 0x8D, NULL, 12}, ""},
    {{FMX_PEER_SILENT, 0, 0, NULL, 6}, ""},
};

static void add_causes(struct result *result, const struct fake_cause *causes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct result_cause *cause = &result->causes[result->causes_count++];
        cause->cause = causes[i].cause;
        snprintf(cause->more, sizeof(cause->more), "%s", causes[i].more);
    }
}

static bool add_stages(struct player *player)
{
    static const char *const names[] = {"ramp", "steady", "storm", "quiet hours", "stop"};
    struct result *result = player->result;
    unsigned ramp = player->story->clients / player->story->connect_rate;
    unsigned begins[] = {0, ramp, ramp + 20, ramp + 40, SECONDS + 60};
    size_t count = strcmp(player->story->verb, "run") == 0 ? 5 : 2;

    result->stages = calloc(count, sizeof(*result->stages));
    if (result->stages == NULL) {
        return false;
    }
    result->stages_count = count;
    for (size_t i = 0; i < count && begins[i] <= player->seconds; i++) {
        snprintf(result->stages[i].name, sizeof(result->stages[i].name), "%s",
                 count == 2 && i == 1 ? "hold" : names[i]);
        result->stages[i].began_ns = begins[i] * NS_PER_S;
        result->stage = (uint32_t)i;
        if (i > 0) {
            result->stages[i - 1].ended_ns = begins[i] * NS_PER_S;
        }
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(result->stages[i].name, sizeof(result->stages[i].name), "%s",
                 count == 2 && i == 1 ? "hold" : names[i]);
    }
    unsigned began = begins[result->stage];
    unsigned ends = result->stage + 1 < count ? begins[result->stage + 1] : SECONDS + 90;
    result->stage_progress = count == 2 && result->stage == 1
                                 ? -1
                                 : (double)(player->seconds - began) / (double)(ends - began);
    return true;
}

static bool add_groups(struct player *player)
{
    static const char *const names[] = {"cars", "trucks", "Fahrräder", "control centre"};
    struct result *result = player->result;
    size_t count = player->story->groups;

    result->groups = calloc(count, sizeof(*result->groups));
    if (result->groups == NULL) {
        return false;
    }
    result->groups_count = count;
    for (size_t i = 0; i < count; i++) {
        struct result_group *group = &result->groups[i];
        if (i < sizeof(names) / sizeof(names[0]) && count > 1) {
            snprintf(group->name, sizeof(group->name), "%s", names[i]);
        } else {
            snprintf(group->name, sizeof(group->name), "group %zu", i + 1);
        }
        group->clients_count = result->clients_count / (uint32_t)count;
        group->counters = result->counters;
#define SHARE_OF_GROUP(name, is_gauge, words) group->counters.name /= count;
        FMX_FLEET_COUNTER_LIST(SHARE_OF_GROUP)
#undef SHARE_OF_GROUP
        memcpy(group->latency, result->latency, sizeof(group->latency));
    }
    return true;
}

static bool add_thresholds(struct result *result)
{
    static const struct result_threshold thresholds[] = {
        {"puback.p99<50ms", "1.91 ms", 1.91e6, true},
        {"puback.p99.9<5ms", "9.80 ms", 9.8e6, false},
        {"lost==0", "0", 0, true},
        {"rate>=39900", "39,204", 39204, false},
        {"connect.max<1s", "43.1 ms", 43.1e6, true},
    };

    result->thresholds = malloc(sizeof(thresholds));
    if (result->thresholds == NULL) {
        return false;
    }
    memcpy(result->thresholds, thresholds, sizeof(thresholds));
    result->thresholds_count = sizeof(thresholds) / sizeof(thresholds[0]);
    return true;
}

static bool add_steps(struct result *result)
{
    static const struct result_step steps[] = {
        {10000, 10000, 1.2e6, "1.20 ms", true},  {20000, 20000, 2.4e6, "2.40 ms", true},
        {40000, 39998, 9.1e6, "9.10 ms", true},  {80000, 61200, 812e6, "812 ms", false},
        {56569, 55100, 96e6, "96.0 ms", false},  {47568, 47570, 17.8e6, "17.8 ms", true},
        {51874, 51850, 24.1e6, "24.1 ms", false}};

    result->steps = malloc(sizeof(steps));
    if (result->steps == NULL) {
        return false;
    }
    memcpy(result->steps, steps, sizeof(steps));
    result->steps_count = sizeof(steps) / sizeof(steps[0]);
    snprintf(result->find_words, sizeof(result->find_words),
             "p99<20ms holds up to 47,568 messages a second");
    return true;
}

static void identify(struct player *player)
{
    const struct story *story = player->story;
    struct result *result = player->result;

    snprintf(result->version, sizeof(result->version), "%s", fmx_version_string());
    snprintf(result->verb, sizeof(result->verb), "%s", story->verb);
    snprintf(result->name, sizeof(result->name), "%s", story->scenario);
    snprintf(result->host, sizeof(result->host), "testbed");
    snprintf(result->kernel, sizeof(result->kernel), "Linux 6.1.0");
    snprintf(result->cpu, sizeof(result->cpu), "a processor");
    result->command = strdup("fleetmux fleet");
    result->cpus_count = 2;
    result->shards_count = 2;
    result->began_unix_ns = UINT64_C(1795000000) * NS_PER_S;
    result->seed = 1;
    result->parts_count = 1;
    result->parts_merged = 1;
    result->clients_count = story->clients;
    result->base_rate = story->publish_rate;
    result->rate = 1;
    result->has_tls = story->has_tls;
    if (story->has_tls) {
        snprintf(result->tls_version, sizeof(result->tls_version), "TLS 1.3");
        snprintf(result->tls_suite, sizeof(result->tls_suite), "TLS_AES_128_GCM_SHA256");
    }
    result->rss_before_bytes = UINT64_C(12) << 20;
    result->rss_bytes = result->rss_before_bytes + (uint64_t)story->clients * 740;
    result->is_valid = true;
    result->adds_up = true;
}

/* The end: hash, ledger, verdict. */
static void conclude(struct player *player)
{
    const struct story *story = player->story;
    struct result *result = player->result;
    struct fmx_fleet_counters *now = &result->counters;

    result->before_drain = *now;
    result->is_finished = true;
    result->hash = UINT64_C(0x9f86d081884c7d65);
    if (story->is_qos1) {
        now->publishes_unacked += now->publishes_outstanding;
        now->publishes_outstanding = 0;
        if (story->limit == RESULT_OK) {
            now->publishes_acked = now->publishes_sent;
            now->publishes_unacked = 0;
        }
    }
    if (story->received > 0 && story->publish_rate > 0) {
        now->deliveries_expected = now->publishes_sent * story->received;
        now->received = now->received_once = now->deliveries_expected;
    }
    result->status = EXIT_PASS;
    snprintf(result->words, sizeof(result->words), "what was planned was done, nothing was lost");
}

static bool embellish(struct player *player)
{
    struct result *result = player->result;

    switch (player->name) {
    case FAKE_RESULT_full:
        add_causes(result, losses, sizeof(losses) / sizeof(losses[0]));
        result->counters.received_late = 3;
        result->status = EXIT_THRESHOLD;
        snprintf(result->words, sizeof(result->words), "2 of 5 thresholds were missed");
        return add_thresholds(result);
    case FAKE_RESULT_invalid:
        result->is_valid = false;
        result->status = EXIT_GENERATOR;
        snprintf(result->words, sizeof(result->words),
                 "this machine could not keep up with the plan");
        return true;
    case FAKE_RESULT_server:
        add_causes(result, losses, sizeof(losses) / sizeof(losses[0]));
        result->status = EXIT_ABORTED;
        snprintf(result->words, sizeof(result->words), "150 clients were lost");
        return true;
    case FAKE_RESULT_failed:
        add_causes(result, failures, sizeof(failures) / sizeof(failures[0]));
        result->status = EXIT_ABORTED;
        snprintf(result->words, sizeof(result->words), "9,600 clients failed to connect");
        return true;
    case FAKE_RESULT_million:
        add_causes(result, failures, sizeof(failures) / sizeof(failures[0]));
        return add_thresholds(result) && add_steps(result);
    case FAKE_RESULT_find:
        return add_steps(result);
    case FAKE_RESULT_draining:
        result->is_draining = true;
        result->is_finished = false;
        return true;
    case FAKE_RESULT_cut:
        result->signo = 2;
        result->status = EXIT_ABORTED;
        snprintf(result->words, sizeof(result->words), "cut short");
        return true;
    case FAKE_RESULT_unbalanced:
        result->adds_up = false;
        result->status = EXIT_ABORTED;
        result->counters.deliveries_lost = 3;
        result->counters.received -= 5;
        snprintf(result->ledger_words, sizeof(result->ledger_words),
                 "2 deliveries are neither received nor lost");
        snprintf(result->words, sizeof(result->words), "the ledger does not add up");
        return true;
    default:
        return true;
    }
}

static void judge(struct player *player)
{
    static const char *const words[] = {
        [RESULT_OK] = "the plan was kept",
        [RESULT_SERVER_LIMITED] =
            "3,100 messages waited for the server's PUBACK with their window full",
        [RESULT_GENERATOR_LIMITED] =
            "messages left 38.1 ms late (p99) though nothing but this machine was in their way",
        [RESULT_NETWORK] = "3.5 % of segments had to be sent again",
    };
    const struct story *story = player->story;

    if (player->seconds > story->trouble) {
        player->result->limit = story->limit;
    }
    snprintf(player->result->limit_words, sizeof(player->result->limit_words), "%s",
             words[player->result->limit]);
}

/* ── all of it ── */

static bool play(struct player *player)
{
    struct result *result = player->result;
    struct fmx_fleet_counters now = {0};

    identify(player);
    result->is_paused = player->name == FAKE_RESULT_paused;
    if (!add_stages(player)) {
        return false;
    }
    for (unsigned second = 0; second < player->seconds; second++) {
        if (!play_second(player, &now, second)) {
            return false;
        }
    }
    count_clients(player, &now, player->seconds);
    result->counters = now;
    result->elapsed_ns = player->seconds * NS_PER_S;
    result->running.begin_ns = result->running.end_ns = result->elapsed_ns;
    result->running.counters = now;
    uint64_t up_ns = (uint64_t)player->story->clients * NS_PER_S / player->story->connect_rate;
    result->last_connect_ns = least(up_ns, result->elapsed_ns);
    result->ready_ns = player->story->failing == 0 && up_ns < result->elapsed_ns ? up_ns : 0;
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        fmx_distribution_summary(result->distributions[i], &result->latency[i]);
        fmx_distribution_summary(player->recent[i], &result->recent[i]);
    }
    return true;
}

static bool open_player(struct player *player)
{
    player->result = result_open();
    player->second = malloc(sizeof(*player->second));
    bool is_whole = player->result != NULL && player->second != NULL;
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        player->recent[i] = malloc(sizeof(*player->recent[i]));
        is_whole = is_whole && player->recent[i] != NULL;
        if (player->recent[i] != NULL) {
            fmx_distribution_init(player->recent[i]);
        }
    }
    return is_whole;
}

struct result *fake_result(const char *name, unsigned seconds)
{
    struct player player = {.prng = {.state = 1}, .name = FAKE_RESULTS};

    for (int i = 0; i < FAKE_RESULTS; i++) {
        if (strcmp(name, fake_result_names[i]) == 0) {
            player.name = (enum fake_result_name)i;
        }
    }
    if (player.name == FAKE_RESULTS) {
        return NULL;
    }
    player.story = &stories[player.name];
    player.seconds = player.name == FAKE_RESULT_start ? 0 : seconds != 0 ? seconds : SECONDS;
    bool is_whole = open_player(&player) && play(&player);
    if (is_whole) {
        judge(&player);
        if (seconds == 0 && player.name != FAKE_RESULT_start) {
            conclude(&player);
        }
        is_whole = embellish(&player) && add_groups(&player);
    }
    for (int i = 0; i < FMX_FLEET_LATENCIES; i++) {
        free(player.recent[i]);
    }
    free(player.second);
    if (!is_whole) {
        result_close(player.result);
        return NULL;
    }
    return player.result;
}
