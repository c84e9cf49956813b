/*
 * loop_orders — what a service asks for ends exactly once, whatever happens to devices and gateway
 *
 * Words:          order: a publish, call, query or kick that the API has taken
 */
#include "tests/loop/platform.h"
#include "tests/support/prng.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEVICES    40u
#define CLERKS     3u
#define STORM_MS   800u
#define ORDERS_MAX 400000u
#define INFLIGHT   2000u

/* One thread of the service, and a mark for each order of its. */
struct clerk {
    struct world *world;
    pthread_t thread;
    uint64_t seed;
    uint32_t accepted;
    atomic_uint completed;
    atomic_uint twice;
    atomic_uint by_kind[4];
    _Atomic uint8_t marks[ORDERS_MAX];
};

struct order {
    struct clerk *clerk;
    uint32_t number;
};

static struct clerk clerks[CLERKS];
static atomic_bool is_over;

static void complete(struct order *order, unsigned kind)
{
    struct clerk *clerk = order->clerk;

    if (atomic_fetch_add(&clerk->marks[order->number], 1) > 0) {
        atomic_fetch_add(&clerk->twice, 1);
    }
    atomic_fetch_add(&clerk->by_kind[kind], 1);
    atomic_fetch_add(&clerk->completed, 1);
    free(order);
}

static void on_delivered(void *user, enum fmx_delivery delivery)
{
    (void)delivery;
    complete(user, 0);
}

static void on_answered(void *user, const struct fmx_gateway_answer *answer)
{
    (void)answer;
    complete(user, 1);
}

static void on_queried(void *user, const struct fmx_gateway_state *state)
{
    (void)state;
    complete(user, 2);
}

static void on_kicked(void *user, bool was_there)
{
    (void)was_there;
    complete(user, 3);
}

static enum fmx_status give_order(struct clerk *clerk, struct fmx_gateway_caller *caller,
                                  struct fmx_prng *prng, struct order *order)
{
    char name[16], topic[64];
    fmx_slice pk = fmx_slice_of(PK);

    snprintf(name, sizeof name, "x%u", (unsigned)(1 + fmx_prng_below(prng, DEVICES)));
    snprintf(topic, sizeof topic, "/" PK "/%s/user/get", name);
    fmx_slice dn = fmx_slice_of(name);
    unsigned choice = (unsigned)fmx_prng_below(prng, 100);
    order->number = clerk->accepted;
    if (choice < 60) {
        struct fmx_gateway_publication publication = {
            .topic = fmx_slice_of(topic), .payload = fmx_slice_of("payload"), .qos = choice < 45};
        return fmx_gateway_publish_to(caller, pk, dn, &publication, on_delivered, order);
    }
    if (choice < 90) {
        struct fmx_gateway_request request = {.product_key = pk,
                                              .device_name = dn,
                                              .topic = fmx_slice_of(choice < 75 ? topic : ""),
                                              .payload = fmx_slice_of("ping"),
                                              .timeout_ms = 1000};
        return fmx_gateway_call(caller, &request, on_answered, order);
    }
    return choice < 99 ? fmx_gateway_query(caller, pk, dn, on_queried, order)
                       : fmx_gateway_kick_device(caller, pk, dn, on_kicked, order);
}

static void *work(void *user)
{
    struct clerk *clerk = user;
    struct fmx_prng prng = {.state = clerk->seed};
    struct fmx_gateway_caller *caller;

    if (fmx_gateway_caller_open(clerk->world->gateway, &caller) != FMX_OK) {
        return NULL;
    }
    while (!atomic_load(&is_over) && clerk->accepted < ORDERS_MAX) {
        if (clerk->accepted - atomic_load(&clerk->completed) >= INFLIGHT) {
            loop_pause_ms(1);
            continue;
        }
        struct order *order = malloc(sizeof *order);
        *order = (struct order){.clerk = clerk};
        enum fmx_status status = give_order(clerk, caller, &prng, order);
        if (status == FMX_OK) {
            clerk->accepted++;
        } else {
            free(order);
            loop_pause_ms(1);
        }
    }
    fmx_gateway_caller_close(caller);
    return NULL;
}

static void begin_work(struct world *world)
{
    atomic_store(&is_over, false);
    for (unsigned i = 0; i < CLERKS; i++) {
        struct clerk *clerk = &clerks[i];
        clerk->world = world;
        clerk->seed = 77 + i;
        clerk->accepted = 0;
        atomic_store(&clerk->completed, 0);
        atomic_store(&clerk->twice, 0);
        for (unsigned kind = 0; kind < 4; kind++) {
            atomic_store(&clerk->by_kind[kind], 0);
        }
        memset((void *)clerk->marks, 0, sizeof clerk->marks);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&clerk->thread, NULL, work, clerk), 0);
    }
}

static void end_work(void)
{
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < CLERKS; i++) {
        pthread_join(clerks[i].thread, NULL);
    }
}

static bool all_completed(void)
{
    for (unsigned i = 0; i < CLERKS; i++) {
        if (atomic_load(&clerks[i].completed) != clerks[i].accepted) {
            return false;
        }
    }
    return true;
}

static void check_work(void)
{
    CU_ASSERT(all_completed());
    for (unsigned i = 0; i < CLERKS; i++) {
        LOOP_EQUAL(atomic_load(&clerks[i].completed), clerks[i].accepted);
        LOOP_EQUAL(atomic_load(&clerks[i].twice), 0);
        for (unsigned kind = 0; kind < 4; kind++) {
            CU_ASSERT(atomic_load(&clerks[i].by_kind[kind]) > 0);
        }
    }
}

/* Devices that come, go, and throw one another out. */
static struct fmx_fleet *devices(struct world *world, bool is_kept, uint64_t seed)
{
    static const char *const filters[] = {"/%p/%d/user/get"};
    struct loop_plan plan;

    loop_plan(&plan, DEVICES, NULL);
    plan.group.platform.product_key = PK;
    plan.group.platform.device_name = "x%i";
    plan.group.platform.secret = "secret";
    plan.group.platform.auto_subscribe = true;
    plan.group.platform.ext = 1;
    plan.group.calls.answer = FMX_FLEET_ANSWER_ECHO;
    plan.group.version = seed % 2 == 0 ? FMX_MQTT_50 : FMX_MQTT_311;
    plan.group.clean = !is_kept;
    plan.group.session_expiry_s = is_kept ? 600 : 0;
    plan.filters = filters;
    plan.filters_count = 1;
    plan.subscribe_qos = 1;
    plan.group.reconnect_min_ms = 1;
    plan.group.reconnect_max_ms = 100;
    plan.whole.drain_ms = 100;
    plan.whole.seed = seed;
    return loop_fleet(&plan, world->port);
}

static void open_world(struct world *world, bool has_store)
{
    char error[FMX_REGISTRY_ERROR_BYTES];
    char name[16];

    loop_begin();
    *world = (struct world){.has_store = has_store};
    world_make_registry(world);
    for (unsigned i = 1; i <= DEVICES; i++) {
        snprintf(name, sizeof name, "x%u", i);
        CU_ASSERT_EQUAL_FATAL(
            fmx_registry_device_add(
                world->registry,
                &(struct fmx_device){.product_key = PK, .device_name = name, .secret = "secret"},
                error, sizeof error),
            FMX_OK);
    }
    world_start(world, NULL, NULL);
}

static void let_them_work(bool is_kept, bool has_store, bool has_rivals, bool stops_first)
{
    struct world world;

    open_world(&world, has_store);
    struct fmx_fleet *one = devices(&world, is_kept, 1);
    struct fmx_fleet *other = has_rivals ? devices(&world, is_kept, 2) : NULL;
    begin_work(&world);
    loop_pause_ms(STORM_MS);
    end_work();
    if (!stops_first) {
        LOOP_WAIT(all_completed());
        LOOP_EQUAL(loop_stats(world.gateway).calls_now, 0);
    }
    world_stop(&world);
    check_work();
    loop_fleet_end(one);
    if (other != NULL) {
        loop_fleet_end(other);
    }
    world_end_registry(&world);
}

static void orders_end_once_while_devices_come_and_go(void)
{
    let_them_work(false, false, true, false);
    let_them_work(true, false, true, false);
}

static void orders_end_once_with_a_store(void)
{
    let_them_work(true, true, true, false);
}

static void orders_end_once_when_the_gateway_stops(void)
{
    let_them_work(false, false, false, true);
    let_them_work(true, true, true, true);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(orders_end_once_while_devices_come_and_go),
    FMX_TEST_CASE(orders_end_once_with_a_store),
    FMX_TEST_CASE(orders_end_once_when_the_gateway_stops),
};

int main(int argc, char **argv)
{
    return fmx_test_main("orders", cases, sizeof cases / sizeof cases[0], argc, argv);
}
