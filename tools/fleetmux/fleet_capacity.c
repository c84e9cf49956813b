/*
 * fleet_capacity — how many clients of a plan fit on this machine, and which limit binds
 *
 * Why it is so:   a fleet that is too large for its machine fails in the middle of a test, with
 *                 words about a socket. All that bounds it can be read beforehand: what is here,
 *                 what a client takes, how many that makes; the least of them is the answer, and
 *                 with it goes the command that lifts it
 * Words:          row: a limit; a row that only advises slows a fleet down, and never binds
 * Invariants:     (1) a limit that cannot be read does not bind
 *                 (2) what is computed here of the library's layout follows engine/mux.c (rings)
 *                 and engine/roles/fleet.c (sessions), and a test compares both
 * Threads:        one
 * Limits:         the server's own memory is not known, and not counted
 * Not here:       what is read: machine.c; ports: fleet_ports.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/fleet_ports.h"
#include "tools/fleetmux/machine.h"
#include "tools/fleetmux/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* As engine/mux.c lays rings out. */
#define RING_FILES_MAX  1048576u
#define SPREAD_PER_CENT 12u
#define SPREAD_MORE     16u

/* Descriptors of the process itself: ring, bell and schedstat of each shard. */
#define FILES_OF_SHARD 3u

/*
 * Bytes at their peak, measured on Linux 6.18 (x86-64) with 2,000 to 100,000 idle clients on 2 to 7
 * shards, as what a control group of the fleet alone was charged with: 11.2 MB and 4,980 for each
 * client. Of these 350 are ours, the rest the kernel's for one end of a connection, and it counts
 * some 2 % more or less from one start of the machine to the next. tests/interop/fleet_capacity.sh
 * compares.
 */
#define BYTES_OF_PROCESS   UINT64_C(11200000)
#define BYTES_OF_CLIENT    350u     /* connection, session, role, client; tables of them */
#define BYTES_OF_SOCKET    4630u    /* the kernel's */
#define BYTES_OF_PUBLISH   45u      /* each topic */
#define BYTES_OF_SUBSCRIBE 60u      /* if there are any */
#define BYTES_OF_TLS       2790u    /* an idle stream, and a session to resume */
#define BYTES_OF_TLS_SHARD 2200000u /* handshakes */
#define BYTES_OF_CERT      1126u    /* a certificate of its own */

/* Stretches of memory, as /proc/self/maps has them: of a shard its stack, rings, buffers, heap. */
#define MAPS_OF_PROCESS 128u
#define MAPS_OF_SHARD   16u

#define PROCESS_THREADS 4u
#define CLIENTS_MAX     16000000u

enum row_kind {
    ROW_RING,
    ROW_DESCRIPTORS,
    ROW_PORTS,
    ROW_MEMORY,
    ROW_SYSTEM_FILES,
    ROW_THREADS,
    ROW_CONNTRACK,
    ROW_MAPS,
    ROW_BACKLOG,
    ROW_TCP_MEMORY,
    ROWS_COUNT,
};

struct row {
    const char *name;
    char here[64];
    char takes[64];
    uint64_t fit; /* MACHINE_NO_LIMIT: it does not bind */
    char remedy[256];
};

struct capacity {
    const struct fmx_fleet_plan *plan;
    struct machine machine;
    struct machine_ports ports;
    struct fleet_ports count;
    struct row rows[ROWS_COUNT];
};

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t bytes, const char *format,
                                                      ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, bytes, format, arguments);
    va_end(arguments);
}

#define SAY(text, ...) say((text), sizeof(text), __VA_ARGS__)

static bool has_tls(const struct fmx_fleet_plan *plan)
{
    for (size_t index = 0; index < plan->groups_count; index++) {
        if (plan->groups[index].tls != NULL) {
            return true;
        }
    }
    return false;
}

/* ── rings, as the library lays them out ── */

static bool has_ghosts(const struct fmx_fleet_plan *plan)
{
    for (size_t index = 0; index < plan->stages_count; index++) {
        if (plan->stages[index].leave == FMX_FLEET_LEAVE_VANISH) {
            return true;
        }
    }
    return false;
}

/* Slots for so many clients: some still close. */
static uint64_t sessions_of(const struct capacity *capacity, uint64_t clients)
{
    return clients + (has_ghosts(capacity->plan) ? clients : clients / 8) + 16;
}

static uint64_t with_spread(uint64_t sessions, uint64_t shards)
{
    uint64_t each = (sessions + shards - 1) / shards;

    return shards == 1 ? each : each + each * SPREAD_PER_CENT / 100 + SPREAD_MORE;
}

static uint64_t ring_files(const struct capacity *capacity)
{
    uint64_t limit = capacity->machine.files_limit;

    return limit > RING_FILES_MAX ? RING_FILES_MAX : limit;
}

static uint64_t shards_least(const struct capacity *capacity)
{
    const struct fmx_mux_options *mux = &capacity->plan->mux;

    return mux->shards_count > 0 ? mux->shards_count : capacity->machine.cpus_count;
}

/* Taken before there is any shard: what is open, and sockets on their way into a ring. */
static uint64_t files_of_process(const struct machine *machine)
{
    return machine->files_open + machine->cpus_count + 1;
}

/* How many shards there will be; above FMX_SHARDS_MAX: so many clients do not fit. */
static uint64_t shards_for(const struct capacity *capacity, uint64_t clients)
{
    uint64_t sessions = sessions_of(capacity, clients), shards = shards_least(capacity);

    while (shards <= FMX_SHARDS_MAX && with_spread(sessions, shards) > ring_files(capacity)) {
        shards++;
    }
    return shards;
}

/* The most clients whose shards are no more than that. */
static uint64_t clients_of(const struct capacity *capacity, uint64_t shards_max)
{
    uint64_t fit = 0, above = CLIENTS_MAX + 1;

    while (above - fit > 1) {
        uint64_t middle = fit + (above - fit) / 2;
        if (shards_for(capacity, middle) <= shards_max) {
            fit = middle;
        } else {
            above = middle;
        }
    }
    return fit;
}

/* ── rows ── */

static void look_at_ring(struct capacity *capacity)
{
    struct row *row = &capacity->rows[ROW_RING];
    int error = capacity->machine.ring_errno;

    row->name = "io_uring";
    SAY(row->here, "Linux %.24s%s%s", capacity->machine.kernel, error != 0 ? ": " : "",
        error != 0 ? strerror(error) : "");
    SAY(row->takes, "6.1 or newer");
    row->fit = error == 0 ? MACHINE_NO_LIMIT : 0;
    SAY(row->remedy, "%s",
        error == EPERM ? "sysctl -w kernel.io_uring_disabled=0; in a container, a seccomp profile "
                         "that allows io_uring"
        : error == ENOMEM ? "ulimit -l unlimited"
                          : "run Linux 6.1 or newer, with io_uring");
}

/* What the limit of descriptors has to be. */
static uint64_t files_wanted(const struct capacity *capacity)
{
    uint64_t shards = shards_least(capacity);
    uint64_t files = with_spread(sessions_of(capacity, capacity->count.wanted), shards);
    uint64_t own = files_of_process(&capacity->machine) + shards * FILES_OF_SHARD;

    files = files < own ? own : files;
    return files > RING_FILES_MAX ? RING_FILES_MAX : files;
}

static void look_at_descriptors(struct capacity *capacity)
{
    const struct machine *machine = &capacity->machine;
    struct row *row = &capacity->rows[ROW_DESCRIPTORS];
    uint64_t shards = shards_for(capacity, capacity->count.wanted);
    uint64_t taken = files_of_process(machine);
    uint64_t most =
        machine->files_limit > taken ? (machine->files_limit - taken) / FILES_OF_SHARD : 0;
    uint64_t files = files_wanted(capacity);

    row->name = "descriptors";
    SAY(row->here, "%s a ring", words_count(ring_files(capacity)).text);
    SAY(row->takes, "%s on %" PRIu64 " rings",
        words_count(sessions_of(capacity, capacity->count.wanted)).text, shards);
    row->fit = clients_of(capacity, most < FMX_SHARDS_MAX ? most : FMX_SHARDS_MAX);
    if (files > machine->files_most) {
        SAY(row->remedy, "sysctl -w fs.nr_open=%" PRIu64 " && ulimit -n %" PRIu64, files, files);
    } else {
        SAY(row->remedy, "ulimit -n %" PRIu64, files);
    }
}

static void look_at_ports(struct capacity *capacity)
{
    const struct fleet_ports *count = &capacity->count;
    struct row *row = &capacity->rows[ROW_PORTS];
    bool is_narrow = capacity->ports.high - capacity->ports.low < 60000;

    row->name = "ports";
    SAY(row->here, "%s x %" PRIu32 " address pairs", words_count(count->ports_count).text,
        count->pairs_count);
    SAY(row->takes, "%s%s%s", words_count(count->wanted).text, count->used > 0 ? ", others " : "",
        count->used > 0 ? words_count(count->used).text : "");
    row->fit = count->fit;
    SAY(row->remedy, "%s%s",
        is_narrow ? "sysctl -w net.ipv4.ip_local_port_range='1024 65535'; or " : "",
        "more source addresses: --ifaddr ADDR,ADDR,...");
}

/* Of a client of a group, ours and the kernel's. */
static uint64_t bytes_of(const struct capacity *capacity, const struct fmx_fleet_group *group)
{
    bool has_both_ends = capacity->count.target_is_here && !capacity->machine.memory_is_of_group;
    uint64_t bytes = BYTES_OF_CLIENT + (has_both_ends ? 2 : 1) * (uint64_t)BYTES_OF_SOCKET;

    bytes += group->publishes_count * BYTES_OF_PUBLISH;
    bytes += group->subscribes_count > 0 ? BYTES_OF_SUBSCRIBE : 0;
    if (group->tls != NULL) {
        bytes += BYTES_OF_TLS;
        bytes +=
            group->tls->cert != NULL && strchr(group->tls->cert, '%') != NULL ? BYTES_OF_CERT : 0;
    }
    return bytes;
}

static void look_at_memory(struct capacity *capacity)
{
    struct row *row = &capacity->rows[ROW_MEMORY];
    uint64_t shards = shards_for(capacity, capacity->count.wanted);
    uint64_t fixed = BYTES_OF_PROCESS + (has_tls(capacity->plan) ? shards * BYTES_OF_TLS_SHARD : 0);
    uint64_t clients = 0;
    double each = 0;

    for (size_t index = 0; index < capacity->plan->groups_count; index++) {
        const struct fmx_fleet_group *group = &capacity->plan->groups[index];
        each += (double)bytes_of(capacity, group) * group->clients_count;
        clients += group->clients_count;
    }
    each /= clients > 0 ? (double)clients : 1;
    uint64_t room = capacity->machine.memory_bytes;
    row->name = "memory";
    SAY(row->here, "%s%s", words_bytes(room).text,
        capacity->machine.memory_is_of_group ? " of this group" : "");
    SAY(row->takes, "%s",
        words_bytes(fixed + (uint64_t)(each * (double)capacity->count.wanted)).text);
    row->fit = room > fixed ? (uint64_t)((double)(room - fixed) / each) : 0;
    SAY(row->remedy, "%s",
        capacity->machine.memory_is_of_group
            ? "raise the memory limit of this container or control group; or --shard on several"
            : "fewer clients, more memory, or --shard on several machines");
}

static void look_at_system_files(struct capacity *capacity)
{
    const struct machine *machine = &capacity->machine;
    struct row *row = &capacity->rows[ROW_SYSTEM_FILES];
    uint64_t each = capacity->count.target_is_here ? 2 : 1;

    row->name = "open files";
    SAY(row->here, "%s",
        machine->system_files == MACHINE_NO_LIMIT ? "no limit for root"
                                                  : words_count(machine->system_files).text);
    SAY(row->takes, "%s", words_count(capacity->count.wanted * each).text);
    row->fit =
        machine->system_files == MACHINE_NO_LIMIT ? MACHINE_NO_LIMIT : machine->system_files / each;
    SAY(row->remedy, "sysctl -w fs.file-max=%" PRIu64,
        machine->system_files_max + capacity->count.wanted * each);
}

static void look_at_threads(struct capacity *capacity)
{
    const struct machine *machine = &capacity->machine;
    struct row *row = &capacity->rows[ROW_THREADS];
    uint64_t others = PROCESS_THREADS + capacity->plan->tls_limits.workers;
    uint64_t wanted = shards_for(capacity, capacity->count.wanted) + others;

    row->name = "threads";
    SAY(row->here, "%s",
        machine->threads == MACHINE_NO_LIMIT ? "no limit" : words_count(machine->threads).text);
    SAY(row->takes, "%s", words_count(wanted).text);
    row->fit = machine->threads >= FMX_SHARDS_MAX + others ? MACHINE_NO_LIMIT
               : machine->threads <= others                ? 0
                                            : clients_of(capacity, machine->threads - others);
    SAY(row->remedy, "ulimit -u %" PRIu64 "; in a container, more of pids.max", wanted * 2);
}

static void look_at_conntrack(struct capacity *capacity)
{
    const struct machine *machine = &capacity->machine;
    struct row *row = &capacity->rows[ROW_CONNTRACK];

    row->name = "conntrack";
    SAY(row->here, "%s",
        machine->conntrack_max == 0 ? "not tracked" : words_count(machine->conntrack).text);
    SAY(row->takes, "%s",
        machine->conntrack_max == 0 ? "0" : words_count(capacity->count.wanted).text);
    row->fit = machine->conntrack;
    SAY(row->remedy, "sysctl -w net.netfilter.nf_conntrack_max=%" PRIu64,
        machine->conntrack_max + capacity->count.wanted);
}

static void look_at_maps(struct capacity *capacity)
{
    const struct machine *machine = &capacity->machine;
    struct row *row = &capacity->rows[ROW_MAPS];
    uint64_t wanted =
        MAPS_OF_PROCESS + shards_for(capacity, capacity->count.wanted) * MAPS_OF_SHARD;
    uint64_t most =
        machine->maps > MAPS_OF_PROCESS ? (machine->maps - MAPS_OF_PROCESS) / MAPS_OF_SHARD : 0;

    row->name = "memory maps";
    SAY(row->here, "%s",
        machine->maps == MACHINE_NO_LIMIT ? "no limit" : words_count(machine->maps).text);
    SAY(row->takes, "%s", words_count(wanted).text);
    row->fit = most >= FMX_SHARDS_MAX ? MACHINE_NO_LIMIT : clients_of(capacity, most);
    SAY(row->remedy, "sysctl -w vm.max_map_count=%" PRIu64, wanted * 2);
}

/* A full backlog makes connects slow, not impossible. */
static void look_at_backlog(struct capacity *capacity)
{
    struct row *row = &capacity->rows[ROW_BACKLOG];
    uint32_t most = capacity->plan->connects_inflight_max;
    uint32_t at_once = most > 0 ? most : has_tls(capacity->plan) ? 128 : 1024;

    row->name = "backlog";
    row->fit = MACHINE_NO_LIMIT;
    if (!capacity->count.target_is_here) {
        SAY(row->here, "the server's");
        SAY(row->takes, "%s at once", words_count(at_once).text);
        return;
    }
    SAY(row->here, "%s", words_count(capacity->machine.backlog_max).text);
    SAY(row->takes, "%s at once%s", words_count(at_once).text,
        at_once > capacity->machine.backlog_max ? ": slow" : "");
}

/* An idle connection has none; where it ends, TCP slows down. */
static void look_at_tcp_memory(struct capacity *capacity)
{
    const struct machine *machine = &capacity->machine;
    struct row *row = &capacity->rows[ROW_TCP_MEMORY];
    uint64_t pages =
        machine->tcp_pages > machine->tcp_pages_in ? machine->tcp_pages - machine->tcp_pages_in : 0;

    row->name = "TCP memory";
    row->fit = MACHINE_NO_LIMIT;
    SAY(row->here, "%s",
        machine->tcp_pages == MACHINE_NO_LIMIT ? "no limit" : words_bytes(pages * 4096).text);
    SAY(row->takes, "what waits to be read");
}

/* ── the table ── */

static void print_row(FILE *out, const struct row *row)
{
    fprintf(out, "%-13s %-31s %-22s %11s\n", row->name, row->here, row->takes,
            row->fit == MACHINE_NO_LIMIT ? "-" : words_count(row->fit).text);
}

static void print(const struct capacity *capacity, const struct fleet_capacity *result, FILE *out)
{
    fprintf(out, "%-13s %-31s %-22s %11s\n", "limit", "here", "this takes", "clients fit");
    for (size_t index = 0; index < ROWS_COUNT; index++) {
        print_row(out, &capacity->rows[index]);
    }
    if (result->binding[0] == '\0' && result->clients_wanted == 1) {
        fprintf(out, "\nthe client fits\n");
        return;
    }
    if (result->binding[0] == '\0') {
        fprintf(out, "\nall %s clients fit\n", words_count(result->clients_wanted).text);
        return;
    }
    fprintf(out, "\n%s of %s clients fit: %s\n  %s\n", words_count(result->clients_fit).text,
            words_count(result->clients_wanted).text, result->binding, result->remedy);
}

static void find_binding(const struct capacity *capacity, struct fleet_capacity *out_capacity)
{
    const struct row *least = NULL;

    for (size_t index = 0; index < ROWS_COUNT; index++) {
        const struct row *row = &capacity->rows[index];
        if (least == NULL || row->fit < least->fit) {
            least = row;
        }
    }
    out_capacity->clients_wanted = capacity->count.wanted;
    out_capacity->clients_fit = least->fit;
    if (least->fit < capacity->count.wanted) {
        SAY(out_capacity->binding, "%s", least->name);
        SAY(out_capacity->remedy, "%s", least->remedy);
    }
}

bool fleet_capacity_check(const struct fmx_fleet_plan *plan, FILE *out,
                          struct fleet_capacity *out_capacity, char *error, size_t error_bytes)
{
    struct capacity *capacity = calloc(1, sizeof(*capacity));

    *out_capacity = (struct fleet_capacity){0};
    if (capacity == NULL) {
        snprintf(error, error_bytes, "no memory");
        return false;
    }
    capacity->plan = plan;
    machine_look(&capacity->machine);
    machine_look_at_ports(&capacity->ports);
    bool is_good = fleet_ports_count(plan, &capacity->ports, &capacity->count, error, error_bytes);
    if (is_good) {
        look_at_ring(capacity);
        look_at_descriptors(capacity);
        look_at_ports(capacity);
        look_at_memory(capacity);
        look_at_system_files(capacity);
        look_at_threads(capacity);
        look_at_conntrack(capacity);
        look_at_maps(capacity);
        look_at_backlog(capacity);
        look_at_tcp_memory(capacity);
        find_binding(capacity, out_capacity);
        if (out != NULL) {
            print(capacity, out_capacity, out);
        }
    }
    free(capacity);
    return is_good;
}
