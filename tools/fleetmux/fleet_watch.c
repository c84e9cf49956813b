/*
 * fleet_watch — one run of the fleet, from its opening to its files
 *
 * Why it is so:   the main thread only watches: it has the recorder look, shows what there is,
 *                 takes wishes from keys, sockets and the search, and ends the run when the plan
 *                 is through, a limit is reached or a signal comes. It wakes at every whole second
 *                 of the run, so that rows are seconds
 * Words:          wish: what somebody has asked for; ready: all clients are there
 * States:         opened → started → watched → draining → told; the first SIGINT or SIGTERM drains,
 *                 a second one ends at once, with the terminal as it was
 * Memory:         recorder, search and servers of the run; the result is the caller's
 * Threads:        the main thread watches; the library's shards do the work
 * Limits:         a look every 50 ms; one wish of each kind waits at a time
 * Not here:       what it means: verdict.c; the verb's options: fleet.c
 */
#include "tools/fleetmux/fleet_watch.h"
#include "tools/fleetmux/fleet_find.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/process.h"
#include "tools/fleetmux/recorder.h"
#include "tools/fleetmux/signals.h"

#include <inttypes.h>
#include <signal.h>
#include <time.h>

#define LOOK_NS  (UINT64_C(50) * NUMBER_NS_PER_MS)
#define AFTER_NS (UINT64_C(20) * NUMBER_NS_PER_US) /* behind a whole second */

struct watch {
    const struct fleet_settings *settings;
    const struct threshold *thresholds;
    size_t thresholds_count;
    struct result *result;
    struct fmx_fleet *fleet;
    struct recorder *recorder;
    struct fleet_find *find;       /* NULL: no search */
    struct fleet_serving *serving; /* NULL: nothing is served */
    struct fleet_wishes wishes;    /* that the fleet had no room for */
    uint64_t zero_ns;              /* of the run, on the system's clock */
    uint64_t received;             /* at the last look at which there were more, */
    uint64_t received_ns;          /* and when that was, since start */
    size_t rows_judged;
    bool has_screen, has_announced, is_done;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NUMBER_NS_PER_S + (uint64_t)now.tv_nsec;
}

static int could_not(const char *what, enum fmx_status status, const char *error)
{
    fprintf(stderr, "fleetmux fleet: cannot %s: %s\n", what,
            error[0] != '\0' ? error : fmx_status_text(status));
    return status == FMX_E_OPTION ? EXIT_USAGE : EXIT_NO_START;
}

/* ── wishes ── */

static enum fmx_status grant(struct watch *watch, const struct fleet_wish *wish)
{
    switch (wish->kind) {
    case FLEET_WISH_RATE:
        return fmx_fleet_set_rate(watch->fleet, wish->value);
    case FLEET_WISH_PAUSE:
        return fmx_fleet_pause(watch->fleet, wish->value != 0);
    case FLEET_WISH_STORM:
        return fmx_fleet_storm(watch->fleet, FMX_FLEET_ALL, wish->value, FMX_FLEET_LEAVE_CLOSE);
    default:
        return FMX_OK;
    }
}

/* What there is no room for waits for the next look. */
static void take_wish(struct watch *watch, struct fleet_wish wish)
{
    if (wish.kind == FLEET_WISH_QUIT) {
        watch->is_done = true;
        watch->result->signo = SIGINT; /* as if somebody had pressed Ctrl-C */
    }
    fleet_wishes_add(&watch->wishes, wish);
    while (watch->wishes.count > 0 && grant(watch, &watch->wishes.waiting[0]) != FMX_FULL) {
        fleet_wishes_drop_first(&watch->wishes);
    }
}

/* While a search runs, the rate is its own. */
static void take_wish_of_people(struct watch *watch, struct fleet_wish wish)
{
    if (watch->find == NULL || wish.kind != FLEET_WISH_RATE) {
        take_wish(watch, wish);
    }
}

static void poll_find(struct watch *watch)
{
    struct fleet_wish wish = fleet_find_poll(watch->find, watch->result);

    if (wish.kind == FLEET_WISH_QUIT) {
        watch->is_done = true;
    } else {
        take_wish(watch, wish);
    }
}

static void since(void *user, enum fmx_fleet_latency latency, struct fmx_distribution *out_since)
{
    recorder_since(((struct watch *)user)->recorder, latency, out_since);
}

/* ── watching ── */

/* Once: every client is connected and has its subscriptions. */
static void announce_ready(struct watch *watch)
{
    const struct result *result = watch->result;

    if (watch->has_announced || result->ready_ns == 0) {
        return;
    }
    watch->has_announced = true;
    if (!watch->settings->is_quiet && !watch->has_screen) {
        FILE *out = fleet_files_use_stdout(watch->settings) ? stderr : stdout;
        fleet_progress_end();
        fprintf(out, "ready clients %" PRIu32 " seconds %.3f\n", result->clients_count,
                (double)result->ready_ns / 1e9);
        fflush(out);
    }
}

/* A message that is lost never comes: who has heard some and hears no more gives up. */
static bool gives_up(struct watch *watch)
{
    const struct result *result = watch->result;
    uint64_t give_up_ns = watch->settings->give_up_ns;

    if (result->counters.received != watch->received) {
        watch->received = result->counters.received;
        watch->received_ns = result->elapsed_ns;
    }
    return give_up_ns > 0 && watch->received > 0 &&
           result->elapsed_ns - watch->received_ns >= give_up_ns;
}

static bool is_over(struct watch *watch)
{
    uint64_t limit = watch->settings->limit;

    if (watch->settings->kind != FLEET_SUB || limit == 0) {
        return watch->result->is_finished;
    }
    return watch->result->is_finished || watch->result->counters.received >= limit ||
           gives_up(watch);
}

static void show(struct watch *watch)
{
    if (watch->has_screen) {
        take_wish_of_people(watch, fleet_screen_show(watch->result));
    } else {
        fleet_progress_show(watch->result);
    }
    if (watch->serving != NULL) {
        take_wish_of_people(watch, fleet_serving_poll(watch->serving, watch->result));
    }
}

/* Up to the next look, or the end of the second, whichever comes first. */
static uint64_t wait_ns(const struct watch *watch)
{
    uint64_t left_ns = NUMBER_NS_PER_S - (now_ns() - watch->zero_ns) % NUMBER_NS_PER_S + AFTER_NS;

    return left_ns < LOOK_NS ? left_ns : LOOK_NS;
}

static void look(struct watch *watch)
{
    struct result *result = watch->result;

    recorder_poll(watch->recorder);
    watch->zero_ns = now_ns() - result->elapsed_ns;
    if (watch->rows_judged != result->rows_count) {
        watch->rows_judged = result->rows_count;
        (void)thresholds_judge(watch->thresholds, watch->thresholds_count, result);
    }
}

static void watch_fleet(struct watch *watch)
{
    look(watch);
    while (!watch->is_done) {
        int signo = signals_wait(wait_ns(watch));
        look(watch);
        announce_ready(watch);
        if (watch->find != NULL) {
            poll_find(watch);
        }
        show(watch);
        if (signo != 0) {
            watch->result->signo = signo;
        }
        watch->is_done = watch->is_done || signo != 0 || is_over(watch);
    }
}

/* ── the end ── */

static void drain(struct watch *watch)
{
    recorder_drain(watch->recorder);
    if (watch->has_screen) {
        (void)fleet_screen_show(watch->result);
    }
    if (watch->serving != NULL) {
        (void)fleet_serving_poll(watch->serving, watch->result);
    }
    signals_release(EXIT_ABORTED);
    fmx_fleet_stop(watch->fleet);
    recorder_end(watch->recorder);
    if (watch->find != NULL) {
        fleet_find_end(watch->find, watch->result);
    }
}

static int tell(struct watch *watch)
{
    struct result *result = watch->result;
    FILE *out = fleet_files_use_stdout(watch->settings) ? stderr : stdout;

    if (!thresholds_judge(watch->thresholds, watch->thresholds_count, result)) {
        fprintf(stderr, "fleetmux fleet: no memory for thresholds\n");
    }
    verdict_make(result, result->has_planned_end);
    if (watch->serving != NULL) {
        (void)fleet_serving_poll(watch->serving, result);
    }
    if (watch->has_screen) {
        fleet_screen_end();
    } else {
        fleet_progress_end();
    }
    fleet_summary_print(result, out);
    return fleet_files_write(watch->settings, watch->fleet, result) ? (int)result->status
                                                                    : EXIT_ABORTED;
}

/* ── the beginning ── */

static void close_all(struct watch *watch)
{
    fleet_serving_close(watch->serving);
    fleet_find_close(watch->find);
    recorder_close(watch->recorder);
    if (watch->fleet != NULL) {
        fmx_fleet_close(watch->fleet);
    }
}

static bool open_serving(struct watch *watch, char *error, size_t error_bytes)
{
    const struct fleet_settings *settings = watch->settings;

    if (settings->metrics == NULL && settings->control == NULL) {
        return true;
    }
    watch->serving =
        fleet_serving_open(settings->metrics, settings->control, watch->result, error, error_bytes);
    if (watch->serving != NULL && watch->find != NULL) {
        fleet_serving_keep_rate(watch->serving);
    }
    return watch->serving != NULL;
}

static bool open_find(struct watch *watch, char *error, size_t error_bytes)
{
    if (watch->settings->find_rate == NULL) {
        return true;
    }
    watch->find = fleet_find_open(watch->settings->find_rate, since, watch, error, error_bytes);
    return watch->find != NULL;
}

/* Opens everything in turn. EXIT_PASS, or why not, which was said. */
static int begin(struct watch *watch)
{
    char error[FLAG_ERROR_BYTES] = "";
    enum fmx_status status =
        fmx_fleet_open(&watch->settings->plan, &watch->fleet, error, sizeof(error));

    if (status != FMX_OK) {
        return fleet_plan_say_refused(watch->settings, status, error, sizeof(error));
    }
    watch->result->shards_count = fmx_fleet_shards_count(watch->fleet);
    watch->recorder = recorder_open(watch->fleet, &watch->settings->plan, watch->result);
    if (watch->recorder == NULL) {
        return could_not("record", FMX_LIMIT_MEMORY, "");
    }
    if (!open_find(watch, error, sizeof(error))) {
        return could_not("search", FMX_E_OPTION, error);
    }
    if (!open_serving(watch, error, sizeof(error))) {
        return could_not("serve", FMX_LIMIT_MEMORY, error);
    }
    status = fmx_fleet_start(watch->fleet, error, sizeof(error));
    return status == FMX_OK ? EXIT_PASS : could_not("start", status, error);
}

int fleet_watch(const struct fleet_settings *settings, const struct threshold *thresholds,
                size_t thresholds_count, struct result *result)
{
    struct watch watch = {.settings = settings,
                          .thresholds = thresholds,
                          .thresholds_count = thresholds_count,
                          .result = result};

    signals_hold();
    fleet_progress_begin(settings->is_quiet);
    result->rss_before_bytes = process_rss_bytes();
    int status = begin(&watch);
    if (status == EXIT_PASS) {
        watch.has_screen = !settings->is_plain && !settings->is_quiet && fleet_screen_begin(result);
        watch_fleet(&watch);
        drain(&watch);
        status = tell(&watch);
    }
    close_all(&watch);
    return status;
}
