/*
 * fleet_ports — how many connections the ports of this machine allow a plan
 *
 * Why it is so:   a port can be used once between the same two addresses, towards the same port. So
 *                 clients are counted by pair of source and target exactly as the fleet will deal
 *                 them out; when one pair is full, the others do not help it
 * Words:          pair: a source address and a target with its port; demand: clients on it
 * Invariants:     (1) equal pairs are one, whichever groups they came from
 * Threads:        one
 * Limits:         a port that somebody has bound and neither listens on nor is connected from is
 *                 not seen
 * Not here:       which limit binds in the end: fleet_capacity.c
 */
#include "tools/fleetmux/fleet_ports.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_PER_SOURCE 7000u /* as fleet_team.c of the library spreads them on loopback */
#define HOST_BYTES         256u

struct pair {
    struct in6_addr source, target;
    uint16_t port;
    uint32_t demand;
    uint32_t used;
};

struct pairs {
    struct pair *items;
    size_t count, room;
    bool is_loopback_reused; /* its sockets in TIME_WAIT do not count */
};

/* A target as the fleet will dial it. */
struct target {
    struct sockaddr_storage name;
    socklen_t bytes;
    struct in6_addr address;
    struct in6_addr source; /* the system's choice */
    uint16_t port;
};

/* ── addresses ── */

static bool is_v4(const struct in6_addr *address)
{
    return IN6_IS_ADDR_V4MAPPED(address);
}

static bool is_loopback4(const struct in6_addr *address)
{
    return is_v4(address) && address->s6_addr[12] == 127;
}

static bool is_loopback(const struct in6_addr *address)
{
    return is_loopback4(address) || IN6_IS_ADDR_LOOPBACK(address);
}

static struct in6_addr map_v4(uint32_t host_order)
{
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    uint32_t bytes = htonl(host_order);

    memcpy(&mapped.s6_addr[12], &bytes, sizeof(bytes));
    return mapped;
}

static struct in6_addr address_of(const struct sockaddr_storage *name, uint16_t *out_port)
{
    if (name->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)name;
        *out_port = ntohs(v6->sin6_port);
        return v6->sin6_addr;
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)name;
    *out_port = ntohs(v4->sin_port);
    return map_v4(ntohl(v4->sin_addr.s_addr));
}

static bool look_up(const char *host, const char *port, struct target *out_target)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;

    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return false;
    }
    memcpy(&out_target->name, found->ai_addr, found->ai_addrlen);
    out_target->bytes = found->ai_addrlen;
    freeaddrinfo(found);
    out_target->address = address_of(&out_target->name, &out_target->port);
    return true;
}

/* "HOST:PORT", "[::1]:PORT", or without a port. */
static bool resolve(const char *text, bool has_port, struct target *out_target)
{
    char host[HOST_BYTES];
    const char *colon = has_port ? strrchr(text, ':') : text + strlen(text);
    size_t bytes = colon == NULL ? sizeof(host) : (size_t)(colon - text);

    if (bytes >= sizeof(host)) {
        return false;
    }
    memcpy(host, text, bytes);
    host[bytes] = '\0';
    if (host[0] == '[' && bytes > 2 && host[bytes - 1] == ']') {
        memmove(host, host + 1, bytes - 2);
        host[bytes - 2] = '\0';
    }
    return look_up(host, has_port ? colon + 1 : "0", out_target);
}

/* From which address the system would go there: a datagram socket knows without a packet. */
static void find_source(struct target *target)
{
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    socklen_t bytes = sizeof(name);
    uint16_t port;
    int file = socket(target->name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    target->source = (struct in6_addr){0};
    if (file >= 0 && connect(file, (const struct sockaddr *)&target->name, target->bytes) == 0 &&
        getsockname(file, (struct sockaddr *)&name, &bytes) == 0) {
        target->source = address_of(&name, &port);
    }
    if (file >= 0) {
        close(file);
    }
}

/* Is the address one of this machine's? */
static bool is_here(const struct target *target)
{
    struct sockaddr_storage name = target->name;
    int file = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (name.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&name)->sin6_port = 0;
    } else {
        ((struct sockaddr_in *)&name)->sin_port = 0;
    }
    bool is_bound = file >= 0 && bind(file, (const struct sockaddr *)&name, target->bytes) == 0;
    if (file >= 0) {
        close(file);
    }
    return is_bound;
}

/* ── the pairs of a group ── */

/* What a group dials, and from where. */
struct ends {
    struct target targets[FMX_FLEET_TARGETS_MAX];
    size_t targets_count;
    struct in6_addr *sources; /* NULL: the system's choice for each target */
    size_t sources_count;     /* at least 1 */
};

static bool find_targets(const struct fmx_fleet_group *group, struct ends *ends, char *error,
                         size_t error_bytes)
{
    for (size_t index = 0; index < group->targets_count; index++) {
        struct target *target = &ends->targets[index];
        if (!resolve(group->targets[index], true, target)) {
            snprintf(error, error_bytes,
                     "target '%.200s' cannot be resolved; write an address, or a name that "
                     "'getent hosts' finds",
                     group->targets[index]);
            return false;
        }
        find_source(target);
    }
    ends->targets_count = group->targets_count;
    return true;
}

static bool all_are_loopback4(const struct ends *ends)
{
    for (size_t index = 0; index < ends->targets_count; index++) {
        if (!is_loopback4(&ends->targets[index].address)) {
            return false;
        }
    }
    return true;
}

/* As fleet_team.c of the library chooses them. */
static bool find_sources(const struct fmx_fleet_group *group, uint64_t clients_of_plan,
                         struct ends *ends, char *error, size_t error_bytes)
{
    uint64_t spread = clients_of_plan / (CLIENTS_PER_SOURCE * ends->targets_count) + 1;
    bool is_spread = group->sources_count == 0 && spread > 1 && all_are_loopback4(ends);

    ends->sources_count = is_spread ? (size_t)spread : group->sources_count;
    if (ends->sources_count == 0) {
        ends->sources_count = 1;
        return true;
    }
    ends->sources = calloc(ends->sources_count, sizeof(*ends->sources));
    if (ends->sources == NULL) {
        snprintf(error, error_bytes, "no memory");
        return false;
    }
    for (size_t index = 0; index < ends->sources_count; index++) {
        struct target source;
        if (is_spread) {
            ends->sources[index] = map_v4((uint32_t)(INADDR_LOOPBACK + 1 + index));
        } else if (resolve(group->sources[index], false, &source)) {
            ends->sources[index] = source.address;
        } else {
            snprintf(error, error_bytes, "source '%.200s' is no address", group->sources[index]);
            return false;
        }
    }
    return true;
}

/* What the first connect would find out, too late. */
static bool check_sources(const struct fmx_fleet_group *group, const struct ends *ends, char *error,
                          size_t error_bytes)
{
    for (size_t index = 0; index < group->sources_count; index++) {
        struct target source;
        const char *text = group->sources[index];
        if (!resolve(text, false, &source) || !is_here(&source)) {
            snprintf(error, error_bytes,
                     "source '%.200s' is no address of this machine; 'ip address' lists those that "
                     "are",
                     text);
            return false;
        }
        for (size_t target = 0; target < ends->targets_count; target++) {
            bool is_target4 = is_v4(&ends->targets[target].address);
            if (is_target4 != is_v4(&source.address)) {
                snprintf(error, error_bytes, "source '%.200s' is IPv%d, but '%.200s' is IPv%d",
                         text, is_target4 ? 6 : 4, group->targets[target], is_target4 ? 4 : 6);
                return false;
            }
        }
    }
    return true;
}

static bool add_pair(struct pairs *pairs, const struct pair *pair)
{
    if (pairs->count == pairs->room) {
        size_t room = pairs->room == 0 ? 64 : pairs->room * 2;
        struct pair *grown = realloc(pairs->items, room * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        pairs->items = grown;
        pairs->room = room;
    }
    pairs->items[pairs->count++] = *pair;
    return true;
}

/* Clients take targets and sources in turn, each by its number. */
static bool deal(const struct fmx_fleet_plan *plan, uint32_t clients_count, const struct ends *ends,
                 uint32_t *demands, struct pairs *pairs)
{
    size_t targets = ends->targets_count, sources = ends->sources_count;
    uint32_t parts = plan->parts_count > 0 ? plan->parts_count : 1;

    for (uint64_t number = plan->part; number < clients_count; number += parts) {
        demands[number % targets * sources + number % sources]++;
    }
    for (size_t index = 0; index < targets * sources; index++) {
        const struct target *target = &ends->targets[index / sources];
        struct pair pair = {.source = ends->sources != NULL ? ends->sources[index % sources]
                                                            : target->source,
                            .target = target->address,
                            .port = target->port,
                            .demand = demands[index]};
        if (pair.demand > 0 && !add_pair(pairs, &pair)) {
            return false;
        }
    }
    return true;
}

static bool add_group(const struct fmx_fleet_plan *plan, const struct fmx_fleet_group *group,
                      uint64_t clients_of_plan, struct pairs *pairs, bool *is_target_here,
                      char *error, size_t error_bytes)
{
    struct ends ends = {.targets_count = 0};
    uint32_t *demands = NULL;
    bool is_good = find_targets(group, &ends, error, error_bytes) &&
                   find_sources(group, clients_of_plan, &ends, error, error_bytes) &&
                   check_sources(group, &ends, error, error_bytes);

    if (is_good) {
        demands = calloc(ends.targets_count * ends.sources_count, sizeof(*demands));
        is_good = demands != NULL && deal(plan, group->clients_count, &ends, demands, pairs);
        if (!is_good) {
            snprintf(error, error_bytes, "no memory");
        }
    }
    for (size_t index = 0; index < ends.targets_count; index++) {
        *is_target_here = *is_target_here || is_here(&ends.targets[index]);
    }
    free(demands);
    free(ends.sources);
    return is_good;
}

/* ── all of them ── */

static int compare(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    int source = memcmp(&a->source, &b->source, sizeof(a->source));
    int target = memcmp(&a->target, &b->target, sizeof(a->target));

    return source != 0 ? source : target != 0 ? target : (a->port > b->port) - (a->port < b->port);
}

static void merge(struct pairs *pairs)
{
    size_t kept = 0;

    if (pairs->count == 0) {
        return;
    }
    qsort(pairs->items, pairs->count, sizeof(pairs->items[0]), compare);
    for (size_t index = 1; index < pairs->count; index++) {
        if (compare(&pairs->items[kept], &pairs->items[index]) == 0) {
            pairs->items[kept].demand += pairs->items[index].demand;
        } else {
            pairs->items[++kept] = pairs->items[index];
        }
    }
    pairs->count = kept + 1;
}

static void count_socket(void *user, const struct machine_socket *socket)
{
    struct pairs *pairs = user;
    struct pair key = {
        .source = socket->local, .target = socket->remote, .port = socket->remote_port};

    if (socket->is_time_wait && pairs->is_loopback_reused && is_loopback(&socket->remote)) {
        return;
    }
    struct pair *pair = bsearch(&key, pairs->items, pairs->count, sizeof(pairs->items[0]), compare);
    if (pair != NULL) {
        pair->used++;
    }
}

/* Of the range, the kernel leaves out the last port if there is an odd number of them. */
static uint32_t count_ports(const struct machine_ports *ports)
{
    uint32_t span = ports->high - ports->low + 1, count = 0;

    if (span > 1) {
        span &= ~1u;
    }
    for (uint32_t port = ports->low; port < ports->low + span; port++) {
        count += !ports->is_taken[port];
    }
    return count;
}

static void add_up(const struct pairs *pairs, uint32_t ports_count, struct fleet_ports *out_count)
{
    double factor = 1e18;
    uint64_t fit = 0;

    for (size_t index = 0; index < pairs->count; index++) {
        const struct pair *pair = &pairs->items[index];
        uint32_t room = ports_count > pair->used ? ports_count - pair->used : 0;
        double each = (double)room / pair->demand;
        fit += pair->demand < room ? pair->demand : room;
        factor = each < factor ? each : factor;
        out_count->used += pair->used;
    }
    out_count->fit = factor < 1 ? fit : (uint64_t)(factor * (double)out_count->wanted);
}

bool fleet_ports_count(const struct fmx_fleet_plan *plan, const struct machine_ports *ports,
                       struct fleet_ports *out_count, char *error, size_t error_bytes)
{
    struct pairs pairs = {.is_loopback_reused = ports->reuses_time_wait};
    uint64_t clients_of_plan = 0;
    uint32_t most = 0;
    bool is_good = true;

    *out_count = (struct fleet_ports){.ports_count = count_ports(ports)};
    for (size_t index = 0; index < plan->groups_count; index++) {
        clients_of_plan += plan->groups[index].clients_count;
    }
    for (size_t index = 0; index < plan->groups_count && is_good; index++) {
        is_good = add_group(plan, &plan->groups[index], clients_of_plan, &pairs,
                            &out_count->target_is_here, error, error_bytes);
    }
    merge(&pairs);
    for (size_t index = 0; index < pairs.count; index++) {
        out_count->wanted += pairs.items[index].demand;
        most = pairs.items[index].demand > most ? pairs.items[index].demand : most;
    }
    if (is_good && most + machine_sockets_count() > out_count->ports_count) {
        (void)machine_each_socket(count_socket, &pairs); /* else they cannot matter */
    }
    out_count->pairs_count = (uint32_t)pairs.count;
    add_up(&pairs, out_count->ports_count, out_count);
    free(pairs.items);
    return is_good;
}
