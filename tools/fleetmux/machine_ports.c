/*
 * machine_ports — which ports the kernel may choose from, and which are in use
 *
 * Why it is so:   a connecting socket gets a port that no listener has, and that is not yet used
 *                 between the same two addresses; so what is left has to be asked for each pair
 * Threads:        one
 * Not here:       how many ports a plan needs: fleet_ports.c
 */
#include "tools/fleetmux/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES      512
#define STATE_TIME_WAIT 6u /* as /proc has them */
#define STATE_LISTEN    10u

/* "32768,40000-40100" */
static void take_reserved(struct machine_ports *ports)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
    unsigned first, last;
    int mark = ',';

    while (file != NULL && mark == ',' && fscanf(file, "%u", &first) == 1) {
        last = first;
        mark = fgetc(file);
        if (mark == '-' && fscanf(file, "%u", &last) == 1) {
            mark = fgetc(file);
        }
        for (unsigned port = first; port <= last && port < MACHINE_PORTS; port++) {
            ports->is_taken[port] = true;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* ── sockets ── */

/* A socket of /proc/net/tcp or tcp6. */
struct line {
    struct machine_socket socket;
    unsigned state;
};

/* Words of 32 bits, each as this machine's memory has it. False: it is no address. */
static bool read_address(const char *text, size_t digits, struct in6_addr *out_address)
{
    uint32_t words[4] = {0, 0, htonl(0xffff), 0};
    size_t first = digits == 8 ? 3 : 0;

    if (digits != 8 && digits != 32) {
        return false;
    }
    for (size_t word = first; word < 4; word++) {
        char part[9];
        memcpy(part, text + (word - first) * 8, 8);
        part[8] = '\0';
        words[word] = (uint32_t)strtoul(part, NULL, 16);
    }
    memcpy(out_address, words, sizeof(words));
    return true;
}

static bool read_line(const char *text, struct line *out_line)
{
    char local[40], remote[40];
    unsigned local_port, remote_port;

    if (sscanf(text, " %*u: %39[0-9A-F]:%x %39[0-9A-F]:%x %x", local, &local_port, remote,
               &remote_port, &out_line->state) != 5 ||
        local_port >= MACHINE_PORTS || remote_port >= MACHINE_PORTS) {
        return false;
    }
    out_line->socket = (struct machine_socket){.local_port = (uint16_t)local_port,
                                               .remote_port = (uint16_t)remote_port,
                                               .is_time_wait = out_line->state == STATE_TIME_WAIT};
    return read_address(local, strlen(local), &out_line->socket.local) &&
           read_address(remote, strlen(remote), &out_line->socket.remote);
}

/* `each` returns false: enough. */
static bool each_line(const char *path, bool (*each)(void *user, const struct line *line),
                      void *user)
{
    FILE *file = fopen(path, "re");
    char text[LINE_BYTES];
    struct line line;

    if (file == NULL) {
        return false;
    }
    while (fgets(text, sizeof(text), file) != NULL) {
        if (read_line(text, &line) && !each(user, &line)) {
            break;
        }
    }
    fclose(file);
    return true;
}

static bool each_of_both(bool (*each)(void *user, const struct line *line), void *user)
{
    bool is_read = each_line("/proc/net/tcp", each, user);

    (void)each_line("/proc/net/tcp6", each, user); /* there may be no IPv6 */
    return is_read;
}

struct walk {
    void (*each)(void *user, const struct machine_socket *socket);
    void *user;
};

static bool pass_on(void *user, const struct line *line)
{
    const struct walk *walk = user;

    if (line->state != STATE_LISTEN) {
        walk->each(walk->user, &line->socket);
    }
    return true;
}

bool machine_each_socket(void (*each)(void *user, const struct machine_socket *socket), void *user)
{
    struct walk walk = {each, user};

    return each_of_both(pass_on, &walk);
}

uint64_t machine_sockets_count(void)
{
    FILE *file = fopen("/proc/net/sockstat", "re");
    char line[LINE_BYTES];
    uint64_t in_use = 0, waiting = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "TCP: inuse %" SCNu64 " orphan %*u tw %" SCNu64, &in_use, &waiting) == 2) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return in_use + waiting;
}

/* Listeners stand before all others, which may be very many. */
static bool take_listener(void *user, const struct line *line)
{
    struct machine_ports *ports = user;

    if (line->state == STATE_LISTEN) {
        ports->is_taken[line->socket.local_port] = true;
    }
    return line->state == STATE_LISTEN;
}

void machine_look_at_ports(struct machine_ports *out_ports)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    unsigned reuse = 0;

    memset(out_ports, 0, sizeof(*out_ports));
    if (file == NULL || fscanf(file, "%u %u", &out_ports->low, &out_ports->high) != 2 ||
        out_ports->high >= MACHINE_PORTS || out_ports->low > out_ports->high) {
        out_ports->low = 32768;
        out_ports->high = 60999;
    }
    if (file != NULL) {
        fclose(file);
    }
    file = fopen("/proc/sys/net/ipv4/tcp_tw_reuse", "re");
    out_ports->reuses_time_wait = file != NULL && fscanf(file, "%u", &reuse) == 1 && reuse != 0;
    if (file != NULL) {
        fclose(file);
    }
    take_reserved(out_ports);
    (void)each_of_both(take_listener, out_ports);
}
