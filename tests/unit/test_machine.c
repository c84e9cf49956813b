/*
 * test_machine — what is read of the machine on which this runs
 */
#include "tests/support/run.h"
#include "tools/fleetmux/machine.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static uint16_t port;

/* A listener on a port that the system chooses. */
static void listen_somewhere(int family)
{
    struct sockaddr_storage name = {.ss_family = (sa_family_t)family};
    socklen_t bytes = sizeof(name);

    if (family == AF_INET) {
        ((struct sockaddr_in *)&name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bytes = sizeof(struct sockaddr_in);
    }
    listener = socket(family, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(listener >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&name, bytes), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
    bytes = sizeof(name);
    CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&name, &bytes), 0);
    port = ntohs(((struct sockaddr_in *)&name)->sin_port);
}

static void limits_are_those_of_the_process(void)
{
    static struct machine machine;
    struct rlimit limit;
    int file;

    machine_look(&machine);
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CU_ASSERT_EQUAL(machine.files_limit, limit.rlim_max);
    CU_ASSERT(machine.cpus_count >= 1 && machine.files_most >= machine.files_limit);
    CU_ASSERT(machine.memory_bytes > 1 << 20 && machine.memory_bytes < UINT64_C(1) << 50);
    CU_ASSERT(machine.threads > 1 && machine.maps > 100 && machine.backlog_max > 0);
    CU_ASSERT(machine.kernel[0] >= '3' && machine.kernel[0] <= '9');
    uint64_t open_before = machine.files_open;
    file = dup(1);
    machine_look(&machine);
    CU_ASSERT_EQUAL(machine.files_open, open_before + 1);
    close(file);
}

static void a_lower_limit_is_seen(void)
{
    static struct machine machine;
    struct rlimit limit;

    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max = 77;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    machine_look(&machine);
    CU_ASSERT_EQUAL(machine.files_limit, 77);
}

static void ports_of_listeners_are_taken(void)
{
    static struct machine_ports ports;

    listen_somewhere(AF_INET);
    machine_look_at_ports(&ports);
    CU_ASSERT(ports.low > 0 && ports.low <= ports.high);
    CU_ASSERT(ports.is_taken[port]);
    close(listener);
    machine_look_at_ports(&ports);
    CU_ASSERT_FALSE(ports.is_taken[port]);
    listen_somewhere(AF_INET6);
    machine_look_at_ports(&ports);
    CU_ASSERT(ports.is_taken[port]);
    close(listener);
}

static unsigned found;

static void find(void *user, const struct machine_socket *socket)
{
    static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};

    (void)user;
    found += socket->remote_port == port && memcmp(&socket->remote, mapped, 16) == 0 &&
             memcmp(&socket->local, mapped, 16) == 0 && !socket->is_time_wait;
}

static void connections_are_found(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int file = socket(AF_INET, SOCK_STREAM, 0);

    listen_somewhere(AF_INET);
    name.sin_port = htons(port);
    CU_ASSERT_EQUAL(connect(file, (struct sockaddr *)&name, sizeof(name)), 0);
    found = 0;
    CU_ASSERT(machine_each_socket(find, NULL));
    CU_ASSERT_EQUAL(found, 1);
    CU_ASSERT(machine_sockets_count() >= 2);
    close(file);
    close(listener);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(limits_are_those_of_the_process),
    FMX_TEST_CASE(ports_of_listeners_are_taken),
    FMX_TEST_CASE(connections_are_found),
    FMX_TEST_CASE(a_lower_limit_is_seen),
};

int main(int argc, char **argv)
{
    return fmx_test_main("machine", cases, sizeof cases / sizeof cases[0], argc, argv);
}
