/*
 * platform_calls — a service that calls devices, and keeps the books of every single call
 *
 * Why it is so:   a call that is lost among two million, or ends twice, shows in no rate. So each
 *                 call has a record that is never used again, with a counter of its completions.
 * Words:          over: a list of calls that have ended; shards push, the service takes all of it
 * Invariants:     (1) only the first end of a call pushes its record, so the list has no circles
 *                 (2) what the service reads in a record was written before it was pushed (release
 *                 and acquire of the list's head)
 * Memory:         32 bytes a call, of address space that is not touched before its use
 * Threads:        the service's; on_end runs on the shards
 * Limits:         a service that finds nothing to do sleeps for 20 µs: where few calls are in
 *                 flight that bounds the rate, not the latency
 */
#include "bench/platform.h"

#include "engine/clock.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAUSE_NS      20000
#define LOOK_NS       1000000u /* how often the fleets are asked whether they are done */
#define SETTLE_NS     4000000000u
#define DOUBLES_NS    300000000u /* a second end of a call may still come */
#define PAYLOAD_BYTES 4096u

struct platform_call {
    struct platform_call *next;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint8_t code;
    bool is_wrong;
    _Atomic uint16_t ends;
};

static_assert(sizeof(struct platform_call) == 32, "millions of them");

static struct platform_call *_Atomic over;
static struct platform_call *table_begin; /* a call's payload begins with its index */

static void on_end(void *user, const struct fmx_gateway_answer *answer)
{
    struct platform_call *call = user;
    uint64_t index = 0;

    if (atomic_fetch_add_explicit(&call->ends, 1, memory_order_relaxed) > 0) {
        return;
    }
    call->end_ns = fmx_clock_ns();
    call->code = (uint8_t)answer->code;
    if (answer->code == FMX_CALL_SUCCESS) {
        if (answer->payload.bytes >= sizeof index) {
            memcpy(&index, answer->payload.data, sizeof index);
        }
        call->is_wrong = index != (uint64_t)(call - table_begin) + 1;
    }
    call->next = atomic_load_explicit(&over, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&over, &call->next, call, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

/* ── the books ── */

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

static void name_devices(struct platform_calls *calls, uint32_t first, uint32_t count)
{
    calls->names_count = count;
    calls->names = calloc(count, sizeof *calls->names);
    if (calls->names == NULL) {
        platform_fail("memory ran out");
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(calls->names[i], sizeof calls->names[i], PLATFORM_DEVICE_NAME, first + i);
    }
    uint32_t seed = calls->world->options->seed;
    calls->at = (uint32_t)((seed * 0x9e3779b97f4a7c15u) >> 32) % count;
    calls->step = (uint32_t)((seed * 0xd1342543de82ef95u) >> 32) % count;
    while (common_divisor(calls->step, count) != 1) {
        calls->step++;
    }
}

struct platform_calls *platform_calls_open(const struct platform_world *world, uint32_t first,
                                           uint32_t count, uint32_t timeout_ms, uint64_t capacity,
                                           bool touch)
{
    struct platform_calls *calls = calloc(1, sizeof *calls);
    int touching = touch ? MAP_POPULATE : 0;

    if (calls == NULL) {
        platform_fail("memory ran out");
    }
    calls->world = world;
    calls->capacity = capacity;
    calls->in_a_row = 1;
    calls->timeout_ms = timeout_ms;
    calls->earliest_ns = UINT64_MAX;
    calls->table = mmap(NULL, capacity * sizeof *calls->table, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | touching, -1, 0);
    if (calls->table == MAP_FAILED) {
        platform_fail("no memory for %llu calls", (unsigned long long)capacity);
    }
    table_begin = calls->table;
    name_devices(calls, first, count);
    fmx_distribution_init(&calls->latency);
    fmx_distribution_init(&calls->off_timeout);
    return calls;
}

void platform_calls_close(struct platform_calls *calls)
{
    (void)munmap(calls->table, calls->capacity * sizeof *calls->table);
    free(calls->names);
    free(calls);
}

/* ── calling ── */

static bool begin_one(struct platform_calls *calls)
{
    struct platform_call *call = &calls->table[calls->begun];
    uint8_t payload[PAYLOAD_BYTES] = {0};
    uint64_t mark = calls->begun + 1;
    struct fmx_gateway_request request = {
        .product_key = fmx_slice_of(PLATFORM_PRODUCT_KEY),
        .device_name = fmx_slice_of(calls->names[calls->at]),
        .payload = {.data = payload, .bytes = calls->world->options->payload_bytes},
        .timeout_ms = calls->timeout_ms,
    };

    memcpy(payload, &mark, sizeof mark);
    call->begin_ns = fmx_clock_ns();
    enum fmx_status status = fmx_gateway_call(calls->world->caller, &request, on_end, call);
    if (status == FMX_FULL) {
        return false;
    }
    if (status != FMX_OK) {
        platform_fail("fmx_gateway_call: %s", fmx_status_text(status));
    }
    calls->begun++;
    if (calls->begun % calls->in_a_row == 0) {
        calls->at = (uint32_t)(((uint64_t)calls->at + calls->step) % calls->names_count);
    }
    return true;
}

static void enter(struct platform_calls *calls, const struct platform_call *call)
{
    uint64_t took_ns = call->end_ns - call->begin_ns;
    uint64_t timeout_ns = calls->timeout_ms * 1000000ull;

    calls->ended++;
    calls->codes[call->code]++;
    calls->answers_wrong += call->is_wrong;
    calls->earliest_ns = took_ns < calls->earliest_ns ? took_ns : calls->earliest_ns;
    fmx_distribution_record(&calls->latency, took_ns, 1);
    fmx_distribution_record(&calls->off_timeout,
                            took_ns > timeout_ns ? took_ns - timeout_ns : timeout_ns - took_ns, 1);
}

/* Enters what has ended into the books. False: nothing had. */
static bool reap(struct platform_calls *calls)
{
    struct platform_call *call = atomic_exchange_explicit(&over, NULL, memory_order_acquire);
    bool any = call != NULL;

    for (; call != NULL; call = call->next) {
        enter(calls, call);
    }
    return any;
}

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static bool is_over(const struct platform_calls *calls, uint64_t until_ns, uint64_t *look_ns)
{
    uint64_t now_ns = fmx_clock_ns();

    if (until_ns > 0) {
        return now_ns >= until_ns;
    }
    if (now_ns < *look_ns) {
        return false;
    }
    *look_ns = now_ns + LOOK_NS;
    struct platform_fleets fleets = calls->world->fleets;
    return platform_fleets_are_done(&fleets);
}

void platform_calls_run(struct platform_calls *calls, uint64_t window, uint64_t until_ns,
                        uint64_t begun_max)
{
    uint64_t most = begun_max < calls->capacity ? begun_max : calls->capacity;
    uint64_t look_ns = 0;

    while (calls->begun < most && !is_over(calls, until_ns, &look_ns)) {
        bool any = reap(calls);
        while (calls->begun - calls->ended < window && calls->begun < most && begin_one(calls)) {
            any = true;
        }
        if (!any) {
            pause_shortly();
        }
    }
}

void platform_calls_settle(struct platform_calls *calls)
{
    uint64_t until_ns = fmx_clock_ns() + calls->timeout_ms * 1000000ull + SETTLE_NS;

    while (calls->ended < calls->begun && fmx_clock_ns() < until_ns) {
        if (!reap(calls)) {
            pause_shortly();
        }
    }
    until_ns = fmx_clock_ns() + DOUBLES_NS;
    while (fmx_clock_ns() < until_ns) {
        pause_shortly();
    }
}

/* ── the balance ── */

void platform_calls_check(const struct platform_calls *calls, struct platform_round *round,
                          const char *prefix)
{
    uint64_t lost = 0;
    uint64_t twice = 0;

    for (uint64_t i = 0; i < calls->begun; i++) {
        uint16_t ends = atomic_load_explicit(&calls->table[i].ends, memory_order_relaxed);
        lost += ends == 0;
        twice += ends > 1;
    }
    platform_note(round, prefix, "begun", "calls", (double)calls->begun);
    for (int code = 0; code <= FMX_CALL_UNKNOWN; code++) {
        platform_note(round, prefix, fmx_call_code_name((enum fmx_call_code)code), "calls",
                      (double)calls->codes[code]);
    }
    platform_note(round, prefix, "lost", "calls", (double)lost);
    platform_note(round, prefix, "ended_twice", "calls", (double)twice);
    platform_note(round, prefix, "answered_wrongly", "calls", (double)calls->answers_wrong);
    platform_broken(round, "calls lost", (double)lost);
    platform_broken(round, "calls ended twice", (double)twice);
    platform_broken(round, "calls answered with another's payload", (double)calls->answers_wrong);
}
