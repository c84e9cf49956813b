/*
 * test_capacity — how many clients fit on machines that are made up here
 *
 * The machine stands in for tools/fleetmux/machine.c: the linker takes this one.
 */
#include "tests/support/run.h"
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/machine.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* ── a machine ── */

static struct machine machine;
static struct machine_ports ports;
static struct machine_socket sockets[64];
static size_t sockets_count;

void machine_look(struct machine *out_machine)
{
    *out_machine = machine;
}

void machine_look_at_ports(struct machine_ports *out_ports)
{
    *out_ports = ports;
}

bool machine_each_socket(void (*each)(void *user, const struct machine_socket *socket), void *user)
{
    for (size_t index = 0; index < sockets_count; index++) {
        each(user, &sockets[index]);
    }
    return true;
}

uint64_t machine_sockets_count(void)
{
    return sockets_count;
}

static struct in6_addr v4(const char *text)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    CU_ASSERT_FATAL(inet_pton(AF_INET, text, &address.s6_addr[12]) == 1);
    return address;
}

static void add_socket(const char *local, const char *remote, uint16_t port, bool is_time_wait)
{
    sockets[sockets_count++] = (struct machine_socket){.local = v4(local),
                                                       .remote = v4(remote),
                                                       .local_port = 40000,
                                                       .remote_port = port,
                                                       .is_time_wait = is_time_wait};
}

/* ── a plan ── */

static const char *const loopback[] = {"127.0.0.1:1883"};
static struct fmx_fleet_group groups[2];
static struct fmx_fleet_plan plan;
static struct fleet_capacity result;
static char error[256];

static void begin(uint32_t clients)
{
    machine = (struct machine){.kernel = "6.18",
                               .cpus_count = 2,
                               .files_limit = 1048576,
                               .files_open = 4,
                               .files_most = 1048576,
                               .system_files = MACHINE_NO_LIMIT,
                               .system_files_max = MACHINE_NO_LIMIT,
                               .memory_bytes = UINT64_C(1) << 40,
                               .threads = MACHINE_NO_LIMIT,
                               .maps = 65530,
                               .conntrack = MACHINE_NO_LIMIT,
                               .backlog_max = 4096,
                               .tcp_pages = 1000};
    memset(&ports, 0, sizeof(ports));
    ports.low = 32768;
    ports.high = 60999;
    sockets_count = 0;
    memset(groups, 0, sizeof(groups));
    for (size_t index = 0; index < 2; index++) {
        groups[index].clients_count = clients;
        groups[index].targets = loopback;
        groups[index].targets_count = 1;
    }
    plan = (struct fmx_fleet_plan){.groups = groups, .groups_count = 1, .parts_count = 1};
    result = (struct fleet_capacity){0};
}

static bool look(void)
{
    bool is_good = fleet_capacity_check(&plan, NULL, &result, error, sizeof(error));

    if (!is_good) {
        fprintf(stderr, "%s\n", error);
    }
    return is_good;
}

static bool binds(const char *name, uint64_t fit, const char *remedy)
{
    bool is_right = look() && strcmp(result.binding, name) == 0 && result.clients_fit == fit &&
                    strstr(result.remedy, remedy) != NULL;

    if (!is_right) {
        fprintf(stderr, "'%s' binds at %llu: %s\n", result.binding,
                (unsigned long long)result.clients_fit, result.remedy);
    }
    return is_right;
}

static void set_range(uint32_t low, uint32_t high)
{
    ports.low = low;
    ports.high = high;
}

/* ── cases ── */

static void a_large_machine_has_room(void)
{
    begin(6000);
    CU_ASSERT(look());
    CU_ASSERT(result.clients_wanted == 6000 && result.clients_fit >= 6000);
    CU_ASSERT_STRING_EQUAL(result.binding, "");
}

static void a_pair_of_addresses_has_so_many_ports(void)
{
    begin(6000);
    set_range(40000, 40999);
    CU_ASSERT(binds("ports", 1000, "ip_local_port_range"));
    set_range(40000, 40998); /* the kernel leaves the last of an odd number out */
    CU_ASSERT(binds("ports", 998, "--ifaddr"));
    ports.is_taken[40500] = ports.is_taken[39999] = ports.is_taken[40998] = true;
    CU_ASSERT(binds("ports", 997, ""));
    groups[0].clients_count = 997;
    CU_ASSERT(look() && result.binding[0] == '\0');
}

static void a_source_is_an_address_of_this_machine(void)
{
    static const char *const foreign[] = {"127.0.0.2", "192.0.2.77"}; /* of no machine: RFC 5737 */
    static const char *const other_family[] = {"::1"};
    static const char *const names[] = {"no-address"};
    const struct {
        const char *const *sources;
        size_t count;
        const char *words;
    } bad[] = {
        {foreign, 2, "source '192.0.2.77' is no address of this machine; 'ip address' lists"},
        {other_family, 1, "source '::1' is "},
        {names, 1, "source 'no-address' is no address"},
    };

    begin(10);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        groups[0].sources = bad[i].sources;
        groups[0].sources_count = bad[i].count;
        CU_ASSERT_FALSE(look());
        CU_ASSERT_PTR_NOT_NULL(strstr(error, bad[i].words));
    }
    groups[0].sources = foreign;
    groups[0].sources_count = 1;
    CU_ASSERT(look());
}

static void targets_and_sources_multiply_where_clients_meet_all_pairs(void)
{
    static const char *const targets[] = {"127.0.0.1:1883", "127.0.0.1:1884", "127.0.0.9:1883"};
    static const char *const sources[] = {"127.0.0.2", "127.0.0.3"};

    begin(6000);
    set_range(40000, 40099);
    groups[0].targets = targets;
    groups[0].targets_count = 3;
    CU_ASSERT(binds("ports", 300, ""));
    groups[0].sources = sources;
    groups[0].sources_count = 2;
    CU_ASSERT(binds("ports", 600, ""));
    groups[0].targets_count = 2; /* 1 with 1, 2 with 2, and never crosswise */
    CU_ASSERT(binds("ports", 200, ""));
}

static void loopback_is_spread_as_the_library_does(void)
{
    begin(20000); /* three sources */
    set_range(40000, 40999);
    CU_ASSERT(binds("ports", 3000, ""));
    plan.parts_count = 2; /* also of a part: the plan is spread */
    CU_ASSERT(binds("ports", 3000, ""));
    CU_ASSERT_EQUAL(result.clients_wanted, 10000);
}

static void groups_share_pairs(void)
{
    begin(600);
    set_range(40000, 40999);
    plan.groups_count = 2;
    CU_ASSERT(binds("ports", 1000, ""));
    CU_ASSERT_EQUAL(result.clients_wanted, 1200);
}

static void a_part_wants_its_part(void)
{
    begin(1001);
    plan.parts_count = 4;
    plan.part = 0;
    CU_ASSERT(look() && result.clients_wanted == 251);
    plan.part = 1;
    CU_ASSERT(look() && result.clients_wanted == 250);
    plan.part = 3;
    CU_ASSERT(look() && result.clients_wanted == 250);
}

static void ports_of_others_are_missing(void)
{
    begin(2000);
    set_range(40000, 40999);
    add_socket("127.0.0.1", "127.0.0.1", 1883, false);
    add_socket("127.0.0.1", "127.0.0.1", 1883, true);
    add_socket("127.0.0.2", "127.0.0.1", 1883, false); /* another pair */
    add_socket("127.0.0.1", "127.0.0.1", 1884, false);
    CU_ASSERT(binds("ports", 998, ""));
    ports.reuses_time_wait = true;
    CU_ASSERT(binds("ports", 999, ""));
}

static void a_host_that_is_none_is_an_error(void)
{
    static const char *const nowhere[] = {"host.invalid:1883"};
    static const char *const sources[] = {"host.invalid"};

    begin(1);
    groups[0].targets = nowhere;
    CU_ASSERT_FALSE(look());
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "host.invalid"));
    begin(1);
    groups[0].sources = sources;
    groups[0].sources_count = 1;
    CU_ASSERT_FALSE(look());
}

/* The least limit with which the library lays out rings for so many, by its own rules. */
static bool lays_out(uint64_t clients, uint64_t shards, uint64_t limit)
{
    uint64_t sessions = clients + clients / 8 + 16;
    uint64_t each = (sessions + shards - 1) / shards;

    return (shards == 1 ? each : each + each * 12 / 100 + 16) <= limit;
}

static void descriptors_bound_rings_and_rings_the_fleet(void)
{
    begin(6000);
    machine.files_limit = 80;
    CU_ASSERT(look());
    CU_ASSERT_STRING_EQUAL(result.binding, "descriptors");
    uint64_t shards = (80 - 4 - 3) / 3; /* each has descriptors of its own */
    CU_ASSERT(lays_out(result.clients_fit, shards, 80));
    CU_ASSERT_FALSE(lays_out(result.clients_fit + 1, shards, 80));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.remedy, "ulimit -n 3"));
    machine.files_limit = strtoull(strstr(result.remedy, "-n ") + 3, NULL, 10);
    CU_ASSERT(look() && result.binding[0] == '\0');
    machine.files_limit = 9;
    CU_ASSERT(binds("descriptors", 0, "ulimit -n"));
    machine.files_most = 1000;
    CU_ASSERT(binds("descriptors", 0, "fs.nr_open"));
}

static void clients_that_vanish_need_a_second_slot(void)
{
    static const struct fmx_fleet_stage stages[] = {
        {.kind = FMX_FLEET_STORM, .leave = FMX_FLEET_LEAVE_VANISH}};
    uint64_t before;

    begin(60000);
    machine.files_limit = 200;
    CU_ASSERT(look());
    before = result.clients_fit;
    plan.stages = stages;
    plan.stages_count = 1;
    CU_ASSERT(look());
    CU_ASSERT(result.clients_fit < before * 6 / 10 && result.clients_fit > before / 2);
}

static void memory_is_for_clients_and_shards(void)
{
    struct fmx_tls_client tls = {.cert = NULL};
    uint64_t plain, with_tls;

    begin(100000);
    machine.memory_bytes = UINT64_C(400) << 20;
    CU_ASSERT(look());
    CU_ASSERT_STRING_EQUAL(result.binding, "memory");
    plain = result.clients_fit;
    machine.memory_is_of_group = true; /* the server's end is somewhere else */
    CU_ASSERT(look());
    CU_ASSERT(result.clients_fit > plain * 18 / 10);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.remedy, "container"));
    plain = result.clients_fit;
    groups[0].tls = &tls;
    CU_ASSERT(look());
    with_tls = result.clients_fit;
    CU_ASSERT(with_tls < plain * 3 / 4 && with_tls > plain / 2);
    machine.memory_bytes = 1 << 20;
    CU_ASSERT(binds("memory", 0, ""));
}

static void limits_of_the_system_bind_too(void)
{
    begin(5000);
    machine.system_files = 3000;
    machine.system_files_max = 4000;
    CU_ASSERT(binds("open files", 1500, "fs.file-max=14000"));
    begin(5000);
    machine.conntrack_max = 1000;
    machine.conntrack = 900;
    CU_ASSERT(binds("conntrack", 900, "nf_conntrack_max=6000"));
    begin(5000);
    machine.threads = 3;
    CU_ASSERT(binds("threads", 0, "ulimit -u"));
    begin(5000);
    machine.maps = 130;
    CU_ASSERT(binds("memory maps", 0, "vm.max_map_count"));
    begin(5000);
    machine.ring_errno = 1;
    CU_ASSERT(binds("io_uring", 0, "io_uring_disabled"));
}

static void check_last_line(uint32_t clients, const char *expected)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    begin(clients);
    CU_ASSERT_FATAL(out != NULL);
    CU_ASSERT(fleet_capacity_check(&plan, out, &result, error, sizeof(error)));
    fclose(out);
    const char *last = strstr(text, "\n\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(last);
    CU_ASSERT_STRING_EQUAL(last + 2, expected);
    free(text);
}

static void one_client_is_told_of_as_one(void)
{
    check_last_line(1, "the client fits\n");
    check_last_line(2, "all 2 clients fit\n");
}

static void the_least_of_all_is_the_answer_and_the_table_has_them_all(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    begin(5000);
    set_range(40000, 40999);
    machine.conntrack_max = 1000;
    machine.conntrack = 900;
    CU_ASSERT_FATAL(out != NULL);
    CU_ASSERT(fleet_capacity_check(&plan, out, &result, error, sizeof(error)));
    fclose(out);
    CU_ASSERT_STRING_EQUAL(result.binding, "conntrack");
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "ports         1,000 x 1 address pairs"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "900 of 5,000 clients fit: conntrack\n  sysctl -w"));
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        CU_ASSERT(length <= 80);
        line += length + (line[length] == '\n');
    }
    free(text);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_large_machine_has_room),
    FMX_TEST_CASE(one_client_is_told_of_as_one),
    FMX_TEST_CASE(a_pair_of_addresses_has_so_many_ports),
    FMX_TEST_CASE(a_source_is_an_address_of_this_machine),
    FMX_TEST_CASE(targets_and_sources_multiply_where_clients_meet_all_pairs),
    FMX_TEST_CASE(loopback_is_spread_as_the_library_does),
    FMX_TEST_CASE(groups_share_pairs),
    FMX_TEST_CASE(a_part_wants_its_part),
    FMX_TEST_CASE(ports_of_others_are_missing),
    FMX_TEST_CASE(a_host_that_is_none_is_an_error),
    FMX_TEST_CASE(descriptors_bound_rings_and_rings_the_fleet),
    FMX_TEST_CASE(clients_that_vanish_need_a_second_slot),
    FMX_TEST_CASE(memory_is_for_clients_and_shards),
    FMX_TEST_CASE(limits_of_the_system_bind_too),
    FMX_TEST_CASE(the_least_of_all_is_the_answer_and_the_table_has_them_all),
};

int main(int argc, char **argv)
{
    return fmx_test_main("capacity", cases, sizeof cases / sizeof cases[0], argc, argv);
}
