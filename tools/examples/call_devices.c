/*
 * call_devices — a service that calls devices: each one that is named, once a second, and prints
 * what became of it and how long it took
 *
 *     call_devices 127.0.0.1:1883 registry.db a1B2c3D4/pump-1 a1B2c3D4/pump-2
 *
 * Why it is so:   fmx_gateway_call returns at once, so one thread has calls with all devices under
 *                 way at a time. An answer comes on a shard, which may not wait, and printing may:
 *                 so the completion only writes down the result and posts a semaphore, and the
 *                 thread that called prints.
 * Invariants:     a device has at most one call under way; its fields are the shard's from the call
 *                 until is_done is set, and the main thread's otherwise
 * Threads:        main calls and prints, with a caller handle of its own; shards complete
 * Limits:         DEVICES_MAX devices
 */
#include <fleetmux/fleetmux.h>

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define DEVICES_MAX 1000
#define TIMEOUT_MS  1000

struct device {
    const char *name; /* as on the command line */
    fmx_slice product_key, device_name;
    bool is_called;
    atomic_bool is_done;
    uint64_t began_ns, ended_ns;
    enum fmx_call_code code;
    size_t answer_bytes;
};

static struct device devices[DEVICES_MAX];
static sem_t answers;
static volatile sig_atomic_t is_ending;

static void on_signal(int signo)
{
    (void)signo;
    is_ending = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* On a shard. The payload lives until this returns: a service of yours copies it. */
static void on_answered(void *user, const struct fmx_gateway_answer *answer)
{
    struct device *device = user;

    device->ended_ns = now_ns();
    device->code = answer->code;
    device->answer_bytes = answer->payload.bytes;
    atomic_store_explicit(&device->is_done, true, memory_order_release);
    sem_post(&answers);
}

static void call(struct fmx_gateway_caller *caller, struct device *device)
{
    struct fmx_gateway_request request = {
        .product_key = device->product_key,
        .device_name = device->device_name,
        .payload = fmx_slice_of("are you there?"),
        .timeout_ms = TIMEOUT_MS,
    };

    device->began_ns = now_ns();
    enum fmx_status status = fmx_gateway_call(caller, &request, on_answered, device);
    device->is_called = status == FMX_OK;
    if (status != FMX_OK) {
        printf("%-40s %s\n", device->name, fmx_status_text(status));
    }
}

static void print_answer(struct device *device)
{
    if (atomic_load_explicit(&device->is_done, memory_order_acquire)) {
        printf("%-40s %-8s %8" PRIu64 " us %6zu bytes\n", device->name,
               fmx_call_code_name(device->code), (device->ended_ns - device->began_ns) / 1000,
               device->answer_bytes);
        device->is_called = false;
        atomic_store_explicit(&device->is_done, false, memory_order_relaxed);
    }
}

/* Once a second calls whoever has no call under way, and prints answers until then. */
static void serve(struct fmx_gateway_caller *caller, size_t count)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    while (!is_ending) {
        for (size_t index = 0; index < count; index++) {
            if (!devices[index].is_called) {
                call(caller, &devices[index]);
            }
        }
        until.tv_sec++;
        while (!is_ending && (sem_timedwait(&answers, &until) == 0 || errno == EINTR)) {
            for (size_t index = 0; index < count; index++) {
                print_answer(&devices[index]);
            }
        }
    }
}

static int run(const struct fmx_gateway_options *options, size_t count)
{
    struct fmx_gateway *gateway = NULL;
    struct fmx_gateway_caller *caller = NULL;
    char error[512] = "";

    if (fmx_gateway_open(options, &gateway, error, sizeof(error)) != FMX_OK ||
        fmx_gateway_start(gateway, error, sizeof(error)) != FMX_OK ||
        fmx_gateway_caller_open(gateway, &caller) != FMX_OK) {
        fprintf(stderr, "call_devices: %s\n", error);
        return 1; /* the process ends here, and the gateway with it */
    }
    serve(caller, count);
    fmx_gateway_caller_close(caller);
    fmx_gateway_stop(gateway, 5000); /* completes the calls that are under way */
    fmx_gateway_close(gateway);
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct fmx_gateway_options options;
    size_t count = 0;

    for (; count < DEVICES_MAX && (int)count + 3 < argc; count++) {
        const char *name = argv[count + 3], *slash = strchr(name, '/');
        if (slash == NULL) {
            break;
        }
        devices[count].name = name;
        devices[count].product_key = (fmx_slice){(const uint8_t *)name, (size_t)(slash - name)};
        devices[count].device_name = fmx_slice_of(slash + 1);
    }
    if (count == 0 || (int)count + 3 != argc) {
        fprintf(stderr, "usage: call_devices ADDRESS:PORT REGISTRY PRODUCT-KEY/DEVICE-NAME...\n");
        return 1;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sem_init(&answers, 0, 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    fmx_gateway_options_init(&options, FMX_PROFILE_PLATFORM);
    options.listen = (const char *const[]){argv[1]};
    options.listen_count = 1;
    options.registry = argv[2];
    return run(&options, count);
}
