/*
 * uplink_server — what bench_uplink measures: the gateway with its callback, Mosquitto with its
 * consumer
 *
 * Why it is so:   a gateway that is embedded is broker and consumer in one process. So the other
 *                 side is the broker and the consumer, both on the same core, and both count
 * Threads:        each server in processes of its own
 * Not here:       what the consumer does: uplink_consumer.c, and uplink_hear
 */
#include "bench/uplink.h"
#include "tests/support/temporary.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fleetmux/gateway.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVER_CPU   0u
#define ERROR_BYTES  512
#define STOP_MS      1000u
#define LOOK_MS      5u
#define READY_LOOKS  2000u
#define CONFIG_BYTES 512
#define NUMBER_BYTES 16

/* The same as bench/peers/mosquitto.conf: nothing kept, nothing logged, no limit in the way. */
static const char MOSQUITTO_CONFIG[] = "listener %u 127.0.0.1\n"
                                       "allow_anonymous true\n"
                                       "persistence false\n"
                                       "log_type none\n"
                                       "max_inflight_messages 0\n"
                                       "max_queued_messages 0\n"
                                       "max_queued_bytes 0\n"
                                       "max_connections -1\n"
                                       "set_tcp_nodelay true\n"
                                       "sys_interval 0\n"
                                       "user root\n";

/* ── the gateway ── */

static void on_message(void *user, const struct fmx_gateway_message *message)
{
    uplink_hear(user, message->payload.data, message->payload.bytes);
}

static void look_at(struct fmx_gateway *gateway, struct uplink_shared *shared)
{
    struct fmx_stats stats;

    fmx_gateway_stats(gateway, &stats);
    atomic_store(&shared->enters, stats.enters);
    atomic_store(&shared->torn, stats.packets_torn);
}

__attribute__((noreturn)) static void run_gateway(struct uplink_shared *shared)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    struct fmx_gateway_options options;
    struct fmx_gateway *gateway;
    char error[ERROR_BYTES];

    uplink_pin(SERVER_CPU);
    fmx_gateway_options_init(&options, FMX_PROFILE_OPEN);
    options.mux.shards_count = 1;
    options.mux.cpus = "0";
    options.mux.log_level = FMX_LOG_ERROR;
    options.listen = listen;
    options.listen_count = 1;
    options.callbacks.on_message = on_message;
    options.user = shared;
    if (fmx_gateway_open(&options, &gateway, error, sizeof error) != FMX_OK ||
        fmx_gateway_start(gateway, error, sizeof error) != FMX_OK) {
        uplink_fail("gateway: %s", error);
    }
    atomic_store(&shared->port, fmx_gateway_port(gateway, 0));
    atomic_store(&shared->is_hearing, true);
    while (!atomic_load(&shared->has_ended)) {
        look_at(gateway, shared);
        uplink_pause_ms(LOOK_MS);
    }
    fmx_gateway_stop(gateway, STOP_MS);
    fmx_gateway_close(gateway);
    _exit(0);
}

static void await_hearing(struct uplink_shared *shared, const char *name)
{
    for (uint32_t looks = 0; !atomic_load(&shared->is_hearing); looks++) {
        if (looks == READY_LOOKS) {
            uplink_fail("%s is not ready after ten seconds", name);
        }
        uplink_pause_ms(LOOK_MS);
    }
}

/* A child that does not outlive us. */
static pid_t fork_child(void)
{
    (void)fflush(stdout);
    pid_t pid = fork();

    if (pid < 0) {
        uplink_fail("no process: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

void uplink_start_fleetmux(struct uplink_server *server, struct uplink_shared *shared)
{
    *server = (struct uplink_server){.name = "fleetmux"};
    server->pids[0] = fork_child();
    if (server->pids[0] == 0) {
        run_gateway(shared);
    }
    await_hearing(shared, server->name);
}

/* ── Mosquitto ── */

static uint32_t find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        uplink_fail("no free port: %s", strerror(errno));
    }
    (void)close(fd);
    return ntohs(address.sin_port);
}

static bool answers(uint32_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_up = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

    if (fd >= 0) {
        (void)close(fd);
    }
    return is_up;
}

static pid_t start_broker(uint32_t port)
{
    char path[FMX_TEMPORARY_BYTES];

    fmx_temporary_path(path, sizeof path, "bench_uplink.XXXXXX");
    int config = mkstemp(path);
    if (config < 0 || dprintf(config, MOSQUITTO_CONFIG, port) < 0) {
        uplink_fail("%s: %s", path, strerror(errno));
    }
    (void)close(config);
    pid_t pid = fork_child();
    if (pid == 0) {
        uplink_pin(SERVER_CPU);
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(nowhere, STDERR_FILENO); /* it warns of root at each start */
        (void)execlp("mosquitto", "mosquitto", "-c", path, (char *)NULL);
        _exit(2);
    }
    for (uint32_t looks = 0; !answers(port); looks++) {
        if (looks == READY_LOOKS || waitpid(pid, NULL, WNOHANG) != 0) {
            (void)unlink(path);
            uplink_fail("mosquitto does not run, or not at port %u: install it, or --against none",
                        port);
        }
        uplink_pause_ms(LOOK_MS);
    }
    (void)unlink(path);
    return pid;
}

void uplink_start_mosquitto(struct uplink_server *server, struct uplink_shared *shared, int memory,
                            const char *consumer, uint32_t qos)
{
    char port[NUMBER_BYTES], descriptor[NUMBER_BYTES], level[NUMBER_BYTES];

    *server = (struct uplink_server){.name = "mosquitto"};
    atomic_store(&shared->port, find_port());
    server->pids[0] = start_broker(atomic_load(&shared->port));
    (void)snprintf(port, sizeof port, "%u", atomic_load(&shared->port));
    (void)snprintf(descriptor, sizeof descriptor, "%d", memory);
    (void)snprintf(level, sizeof level, "%u", qos);
    server->pids[1] = fork_child();
    if (server->pids[1] == 0) {
        uplink_pin(SERVER_CPU);
        (void)execl(consumer, consumer, port, descriptor, level, (char *)NULL);
        uplink_fail("%s: %s", consumer, strerror(errno));
    }
    await_hearing(shared, "bench_consumer_mosquitto");
}

/* The gateway and the consumer end by themselves when the load has; the broker is told to. */
void uplink_stop(struct uplink_server *server)
{
    bool has_broker = server->pids[1] > 0;

    if (has_broker) {
        (void)waitpid(server->pids[1], NULL, 0);
        (void)kill(server->pids[0], SIGTERM);
    }
    (void)waitpid(server->pids[0], NULL, 0);
}
