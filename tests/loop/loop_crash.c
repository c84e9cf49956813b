/*
 * loop_crash — a gateway that is killed in the middle of its work, again and again on one store:
 * what a service was told is stored comes to its device, in order, until the device acknowledges it
 *
 * A child runs the gateway and publishes to devices through the C API; this process is the devices
 * and the killer. What became of each message the child writes into memory that both share, so that
 * what was reported before the kill is known after it. This process has no other thread.
 *
 * Words:          round: one life of the child
 *                 rank: the place of a message among all of its device, over all rounds
 */
#include "tests/loop/support.h"
#include "tests/support/prng.h"
#include "tests/support/temporary.h"

#include <errno.h>
#include <fleetmux/registry.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PK             "a1pk"
#define DEVICES        20u
#define ROUNDS         LOOP_SIZE(60u, 16u) /* that end with a kill */
#define ROUND_MESSAGES 1024u               /* to one device in one round, at most */
#define RANKS          (ROUNDS * ROUND_MESSAGES)
#define BEHIND_MAX     500u /* messages of which the child has heard nothing yet */
#define KILL_MS_LEAST  20u
#define KILL_MS_MOST   150u
#define IDLE_MS        LOOP_SIZE(500, 1500) /* nothing comes for so long: perhaps that was all */
#define VISITS         4u                   /* in a round */

/* What is known of a message. */
#define POSTED       1u
#define STORED       2u  /* the service was told so */
#define ACKNOWLEDGED 4u  /* the service was told so */
#define RECEIVED     8u  /* by its device */
#define PUBACKED     16u /* by its device */
#define HERE         32u /* received, in this round */

enum order { PUBLISH, SERVE, STOP };

/* Written by the child while it lives, but for `order` and the bits of the devices. */
struct shared {
    atomic_int order;
    atomic_uint port; /* 0: not yet */
    atomic_uint_fast64_t posted;
    atomic_uint_fast64_t completed;
    atomic_uint_fast64_t odd[FMX_DELIVERY_SHUTDOWN + 1]; /* completions that nobody wants */
    atomic_uint_fast64_t parked_now;
    atomic_uint_fast64_t stored_now;
    atomic_uchar messages[DEVICES][RANKS];
};

struct world {
    char folder[FMX_TEMPORARY_BYTES];
    char registry_path[FMX_TEMPORARY_FILE_BYTES];
    char store_path[FMX_TEMPORARY_FILE_BYTES];
    struct shared *shared;
    struct fmx_prng prng;
    pid_t child;
    unsigned connects;
    unsigned long again;        /* received once more */
    unsigned long again_as_new; /* of these, in a later life and without DUP */
    unsigned long twice;        /* of these, in the same life and without DUP */
    unsigned killed_while_starting;
};

static struct shared *shared; /* the child's callbacks have no other way to it */

/* ── the child ── */

static void device_name(unsigned device, char out_name[16])
{
    snprintf(out_name, 16, "d%u", device);
}

static void on_delivered(void *user, enum fmx_delivery delivery)
{
    atomic_uchar *message = user;

    if (delivery == FMX_DELIVERY_STORED) {
        atomic_fetch_or(message, STORED);
    } else if (delivery == FMX_DELIVERY_ACKNOWLEDGED) {
        atomic_fetch_or(message, ACKNOWLEDGED);
    } else {
        atomic_fetch_add(&shared->odd[delivery], 1);
    }
    atomic_fetch_add(&shared->completed, 1);
}

static void write_line(void *user, enum fmx_log_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "  log: %s\n", line);
}

static struct fmx_gateway *child_start(const struct world *world)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct fmx_gateway_options options;
    struct fmx_gateway *gateway = NULL;
    char error[512] = "";

    fmx_gateway_options_init(&options, FMX_PROFILE_PLATFORM);
    options.mux.shards_count = 3;
    options.mux.log = write_line;
    options.mux.log_level = FMX_LOG_WARN;
    options.listen = listen;
    options.listen_count = 1;
    options.registry = world->registry_path;
    options.store = world->store_path;
    options.limits.connects_per_minute = FMX_UNLIMITED;
    options.limits.downstream_per_second = FMX_UNLIMITED;
    options.limits.queue_messages_max = RANKS;
    options.limits.queue_bytes_max = 1u << 30;
    if (fmx_gateway_open(&options, &gateway, error, sizeof error) != FMX_OK ||
        fmx_gateway_start(gateway, error, sizeof error) != FMX_OK) {
        fprintf(stderr, "the gateway does not start: %s\n", error);
        _exit(3);
    }
    return gateway;
}

/* Text with a tail, so that records differ in length. */
static size_t write_payload(char out[512], unsigned rank)
{
    int bytes = snprintf(out, 512, "%u:", rank);
    size_t tail = rank % 3 == 0 ? rank % 400 : 0;

    memset(out + bytes, 'x', tail);
    return (size_t)bytes + tail;
}

/* False: there is no room for it now. */
static bool child_publish(struct fmx_gateway_caller *caller, unsigned device, unsigned rank)
{
    atomic_uchar *message = &shared->messages[device][rank];
    char name[16];
    char topic[64];
    char text[512];
    size_t bytes = write_payload(text, rank);

    device_name(device, name);
    snprintf(topic, sizeof topic, "/" PK "/%s/user/get", name);
    struct fmx_gateway_publication publication = {
        .topic = fmx_slice_of(topic), .payload = {(const uint8_t *)text, bytes}, .qos = 1};
    atomic_fetch_or(message, POSTED);
    enum fmx_status status = fmx_gateway_publish_to(caller, fmx_slice_of(PK), fmx_slice_of(name),
                                                    &publication, on_delivered, message);
    if (status == FMX_FULL) {
        atomic_fetch_and(message, (unsigned char)~POSTED);
        return false;
    }
    if (status != FMX_OK) {
        fprintf(stderr, "publish_to: %s\n", fmx_status_name(status));
        _exit(4);
    }
    atomic_fetch_add(&shared->posted, 1);
    return true;
}

static void child_look(const struct fmx_gateway *gateway)
{
    struct fmx_stats stats = loop_stats(gateway);

    atomic_store(&shared->parked_now, stats.parked_now);
    atomic_store(&shared->stored_now, stats.stored_now);
}

static _Noreturn void child_run(const struct world *world, unsigned round)
{
    struct fmx_gateway *gateway = child_start(world);
    struct fmx_gateway_caller *caller = NULL;
    unsigned count = 0;
    int order;

    if (fmx_gateway_caller_open(gateway, &caller) != FMX_OK) {
        _exit(5);
    }
    child_look(gateway);
    atomic_store(&shared->port, fmx_gateway_port(gateway, 0));
    while ((order = atomic_load(&shared->order)) != STOP) {
        bool may = order == PUBLISH && count < DEVICES * ROUND_MESSAGES &&
                   atomic_load(&shared->posted) - atomic_load(&shared->completed) < BEHIND_MAX;
        if (may &&
            child_publish(caller, count % DEVICES, round * ROUND_MESSAGES + count / DEVICES)) {
            count++;
        } else {
            child_look(gateway);
            loop_pause_ms(1);
        }
    }
    fmx_gateway_caller_close(caller);
    fmx_gateway_stop(gateway, 1000);
    fmx_gateway_close(gateway);
    _exit(0);
}

/* ── its lives ── */

static void begin_life(struct world *world, enum order order, unsigned round)
{
    atomic_store(&shared->order, (int)order);
    atomic_store(&shared->port, 0);
    atomic_store(&shared->posted, 0);
    atomic_store(&shared->completed, 0);
    for (unsigned device = 0; device < DEVICES; device++) {
        for (unsigned rank = 0; rank < RANKS; rank++) {
            atomic_fetch_and(&shared->messages[device][rank], (unsigned char)~HERE);
        }
    }
    fflush(NULL);
    world->child = fork();
    CU_ASSERT_FATAL(world->child >= 0);
    if (world->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a case that fails leaves nobody behind */
        child_run(world, round);
    }
}

static bool is_up(void)
{
    return atomic_load(&shared->port) != 0;
}

static void await_up(void)
{
    LOOP_WAIT(is_up());
    CU_ASSERT_FATAL(is_up());
}

/* Its status; the child's and not anybody else's. */
static int end_life(struct world *world, bool kills)
{
    int status = 0;

    if (kills) {
        kill(world->child, SIGKILL);
    } else {
        atomic_store(&shared->order, STOP);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(world->child, &status, 0), world->child);
    world->child = 0;
    return status;
}

static void kill_life(struct world *world)
{
    int status = end_life(world, true);

    CU_ASSERT_FATAL(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void stop_life(struct world *world)
{
    LOOP_EQUAL(end_life(world, false), 0);
}

/* ── devices ── */

struct device {
    unsigned number;
    struct loop_peer peer;
    long last; /* rank of the last message on this connection; -1: none */
};

static struct device join(struct world *world, unsigned number)
{
    struct device device = {.number = number, .last = -1};
    struct fmx_sign_options options = {.extra = NULL};
    struct fmx_signed_connect sc;
    char error[FMX_REGISTRY_ERROR_BYTES];
    char name[16];

    device_name(number, name);
    CU_ASSERT_EQUAL_FATAL(fmx_sign_connect(PK, name, "secret", &options, &sc, error, sizeof error),
                          FMX_OK);
    device.peer = loop_connect((uint16_t)atomic_load(&shared->port),
                               &(struct loop_connect){.client_id = sc.client_id,
                                                      .username = sc.username,
                                                      .password = sc.password,
                                                      .version = FMX_MQTT_311,
                                                      .keepalive_s = 300});
    world->connects++;
    return device;
}

static bool is_readable(const struct device *device, int timeout_ms)
{
    struct pollfd entry = {.fd = device->peer.fd, .events = POLLIN};
    int ready;

    do {
        ready = poll(&entry, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

/* One message is noted, and acknowledged or not. */
static void take_message(struct world *world, struct device *device, bool acknowledges)
{
    static struct loop_packet got;
    uint8_t puback[8];
    uint16_t id;
    unsigned rank = RANKS;
    char text[16] = "";

    CU_ASSERT_FATAL(loop_receive(device->peer.fd, &got));
    CU_ASSERT_EQUAL_FATAL(got.head & 0xf7, 0x32);
    fmx_slice payload = loop_payload(device->peer, &got, &id);
    snprintf(text, sizeof text, "%.*s", (int)payload.bytes, (const char *)payload.data);
    CU_ASSERT_FATAL(sscanf(text, "%u:", &rank) == 1 && rank < RANKS);
    char wanted[512];
    CU_ASSERT_EQUAL(payload.bytes, write_payload(wanted, rank));
    if ((long)rank <= device->last) {
        fprintf(stderr, "device %u: %u after %ld\n", device->number, rank, device->last);
        CU_FAIL("order");
    }
    device->last = (long)rank;
    unsigned flags = atomic_fetch_or(&shared->messages[device->number][rank], RECEIVED | HERE);
    CU_ASSERT_FATAL((flags & POSTED) != 0);
    bool is_new = (got.head & 8) == 0;
    world->again += (flags & RECEIVED) != 0;
    world->again_as_new += is_new && (flags & (RECEIVED | HERE)) == RECEIVED;
    world->twice += is_new && (flags & HERE) != 0;
    if (acknowledges) { /* noted before it is sent: the gateway may be quicker */
        atomic_fetch_or(&shared->messages[device->number][rank], PUBACKED);
        CU_ASSERT(loop_send(device->peer.fd, puback, loop_write_puback(puback, id)));
    }
}

/* Some device comes in the middle of a round, acknowledges the first messages that it gets, takes
   some more, and goes or stays until the end. */
static int visit(struct world *world, unsigned number, uint64_t until_ms)
{
    struct device device = join(world, number);
    uint64_t acknowledged = fmx_prng_below(&world->prng, 600);
    uint64_t taken = acknowledged + fmx_prng_below(&world->prng, 100);

    for (uint64_t i = 0; i < taken; i++) {
        uint64_t now_ms = loop_now_ms();
        if (now_ms >= until_ms || !is_readable(&device, (int)(until_ms - now_ms))) {
            break;
        }
        take_message(world, &device, i < acknowledged);
    }
    if (fmx_prng_below(&world->prng, 2) == 0) {
        return device.peer.fd;
    }
    close(device.peer.fd);
    return -1;
}

static bool has_due(unsigned device)
{
    for (unsigned rank = 0; rank < RANKS; rank++) {
        unsigned flags = atomic_load(&shared->messages[device][rank]);
        if ((flags & STORED) != 0 && (flags & PUBACKED) == 0) {
            return true;
        }
    }
    return false;
}

static bool any_has_due(void)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        if (has_due(i)) {
            return true;
        }
    }
    return false;
}

/* The last word: whatever comes before it would be one message too many. */
static void leave(const struct device *device)
{
    static const uint8_t ping[] = {0xc0, 0};
    static struct loop_packet got;

    CU_ASSERT(loop_send(device->peer.fd, ping, sizeof ping));
    CU_ASSERT_FATAL(loop_receive(device->peer.fd, &got));
    CU_ASSERT_EQUAL(got.head, 0xd0);
    close(device->peer.fd);
}

/* All devices come, and take all that there is. */
static void drain_all(struct world *world)
{
    struct device devices[DEVICES];
    struct pollfd entries[DEVICES];
    uint64_t until_ms = loop_now_ms() + loop_patience_ms();

    for (unsigned i = 0; i < DEVICES; i++) {
        devices[i] = join(world, i);
        entries[i] = (struct pollfd){.fd = devices[i].peer.fd, .events = POLLIN};
    }
    while (poll(entries, DEVICES, IDLE_MS) > 0 || (any_has_due() && loop_now_ms() < until_ms)) {
        for (unsigned i = 0; i < DEVICES; i++) {
            if (entries[i].revents != 0) {
                take_message(world, &devices[i], true);
            }
        }
    }
    if (any_has_due()) {
        loop_note_vain(__FILE__, __LINE__, "all that was reported stored");
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        leave(&devices[i]);
    }
    LOOP_WAIT(atomic_load(&shared->parked_now) == DEVICES);
}

/* ── the story ── */

static void remove_folder(const struct world *world)
{
    char command[FMX_TEMPORARY_BYTES + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", world->folder);
    if (system(command) != 0) {
        fprintf(stderr, "%s stays\n", world->folder);
    }
}

static void make_registry(struct world *world)
{
    struct fmx_registry *registry = NULL;
    char error[FMX_REGISTRY_ERROR_BYTES];
    char name[16];
    struct fmx_product product = {.product_key = PK, .secret = "product-secret"};
    struct fmx_device device = {.product_key = PK, .device_name = name, .secret = "secret"};

    CU_ASSERT_EQUAL_FATAL(fmx_registry_create(world->registry_path, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_open(world->registry_path, &registry, error, sizeof error),
                          FMX_OK);
    CU_ASSERT_EQUAL_FATAL(fmx_registry_product_add(registry, &product, error, sizeof error),
                          FMX_OK);
    for (unsigned i = 0; i < DEVICES; i++) {
        device_name(i, name);
        CU_ASSERT_EQUAL_FATAL(fmx_registry_device_add(registry, &device, error, sizeof error),
                              FMX_OK);
    }
    fmx_registry_close(registry); /* before any fork */
}

static void begin(struct world *world)
{
    loop_begin();
    *world = (struct world){.prng = {.state = 1}};
    fmx_temporary_path(world->folder, sizeof world->folder, "loop_crash.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(world->folder));
    snprintf(world->registry_path, sizeof world->registry_path, "%s/registry", world->folder);
    snprintf(world->store_path, sizeof world->store_path, "%s/store", world->folder);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(shared != MAP_FAILED);
    make_registry(world);
}

static void end(struct world *world)
{
    munmap(shared, sizeof *shared);
    remove_folder(world);
}

/* All devices subscribe once, and never again. */
static void subscribe_all(struct world *world)
{
    char filter[64];
    char name[16];

    begin_life(world, SERVE, 0);
    await_up();
    for (unsigned i = 0; i < DEVICES; i++) {
        struct device device = join(world, i);
        device_name(i, name);
        snprintf(filter, sizeof filter, "/" PK "/%s/user/get", name);
        loop_subscribe(device.peer, filter, 1);
        close(device.peer.fd);
    }
    LOOP_WAIT(atomic_load(&shared->parked_now) == DEVICES);
    stop_life(world);
}

/* Messages for the absent; in half of the rounds two devices come, go, and come again meanwhile. */
static void play_round(struct world *world, unsigned round)
{
    int open[VISITS];
    unsigned open_count = 0;
    uint64_t wait_ms =
        KILL_MS_LEAST + fmx_prng_below(&world->prng, KILL_MS_MOST - KILL_MS_LEAST + 1);

    begin_life(world, PUBLISH, round);
    if (round % 7 == 6) { /* perhaps while it starts */
        loop_pause_ms((unsigned)wait_ms / 4);
        world->killed_while_starting += !is_up();
        kill_life(world);
        return;
    }
    await_up();
    uint64_t until_ms = loop_now_ms() + wait_ms;
    if (round % 10 == 0 || round % 2 == 1) {
        uint64_t first = fmx_prng_below(&world->prng, DEVICES);
        for (uint64_t i = 0; i < VISITS && loop_now_ms() < until_ms; i++) {
            int fd = visit(world, (unsigned)((first + i % 2) % DEVICES), until_ms);
            if (fd >= 0) {
                open[open_count++] = fd;
            }
        }
    }
    uint64_t now_ms = loop_now_ms();
    if (now_ms < until_ms) {
        loop_pause_ms((unsigned)(until_ms - now_ms));
    }
    kill_life(world);
    while (open_count > 0) {
        close(open[--open_count]);
    }
}

struct sums {
    unsigned long posted;
    unsigned long stored;
    unsigned long acknowledged;
    unsigned long received;
    unsigned long lost;         /* reported stored, and not acknowledged by the device */
    unsigned long gaps;         /* not received, but a later one of the same round was */
    unsigned long imaginary;    /* reported acknowledged, and not acknowledged by the device */
    unsigned long not_reported; /* received, although nothing was promised */
};

static void add_round(struct sums *sums, const atomic_uchar *messages)
{
    bool later = false;

    for (unsigned i = ROUND_MESSAGES; i-- > 0;) {
        unsigned flags = atomic_load(&messages[i]);
        bool received = (flags & RECEIVED) != 0;
        sums->posted += (flags & POSTED) != 0;
        sums->stored += (flags & STORED) != 0;
        sums->acknowledged += (flags & ACKNOWLEDGED) != 0;
        sums->received += received;
        sums->lost += (flags & STORED) != 0 && (flags & PUBACKED) == 0;
        sums->gaps += later && !received;
        sums->imaginary += (flags & ACKNOWLEDGED) != 0 && (flags & PUBACKED) == 0;
        sums->not_reported += received && (flags & (STORED | ACKNOWLEDGED)) == 0;
        later = later || received;
    }
}

static void check_books(const struct world *world)
{
    struct sums sums = {0};

    for (unsigned device = 0; device < DEVICES; device++) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            add_round(&sums, &shared->messages[device][round * ROUND_MESSAGES]);
        }
    }
    printf(
        "\n  %u rounds (%u killed while starting), %u connects: %lu posted, %lu reported stored, "
        "%lu acknowledged; %lu received, %lu of them without a promise, %lu times again (%lu "
        "as new); %lu lost, %lu gaps\n  ",
        ROUNDS, world->killed_while_starting, world->connects, sums.posted, sums.stored,
        sums.acknowledged, sums.received, sums.not_reported, world->again, world->again_as_new,
        sums.lost, sums.gaps);
    CU_ASSERT(sums.stored > 0);
    LOOP_EQUAL(sums.lost, 0);
    LOOP_EQUAL(sums.gaps, 0);
    LOOP_EQUAL(sums.imaginary, 0);
    LOOP_EQUAL(world->twice, 0);
    for (int i = 0; i <= FMX_DELIVERY_SHUTDOWN; i++) {
        LOOP_EQUAL(atomic_load(&shared->odd[i]), 0);
    }
}

static void crash_loses_nothing_that_was_reported_stored(void)
{
    struct world world;

    begin(&world);
    subscribe_all(&world);
    for (unsigned round = 0; round < ROUNDS; round++) {
        play_round(&world, round);
        if (round % 10 == 9) { /* killed too: what it has taken may come again */
            begin_life(&world, SERVE, round);
            await_up();
            drain_all(&world);
            kill_life(&world);
        }
    }
    begin_life(&world, SERVE, 0);
    await_up();
    drain_all(&world);
    LOOP_WAIT(atomic_load(&shared->stored_now) == 0);
    check_books(&world);
    stop_life(&world);

    unsigned long again = world.again;
    begin_life(&world, SERVE, 0);
    await_up();
    LOOP_EQUAL(atomic_load(&shared->parked_now), DEVICES);
    LOOP_EQUAL(atomic_load(&shared->stored_now), 0);
    drain_all(&world); /* nothing comes any more */
    LOOP_EQUAL(world.again, again);
    stop_life(&world);
    end(&world);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(crash_loses_nothing_that_was_reported_stored),
};

int main(int argc, char **argv)
{
    return fmx_test_main("crash", cases, sizeof cases / sizeof cases[0], argc, argv);
}
