/*
 * machine.h — what this machine and its limits leave to one process
 */
#ifndef FMX_TOOLS_MACHINE_H
#define FMX_TOOLS_MACHINE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_NO_LIMIT UINT64_MAX

/* What is left, where nothing else is said; MACHINE_NO_LIMIT: as much as one likes. */
struct machine {
    char kernel[64];
    uint32_t cpus_count; /* that this process may use */

    uint64_t files_limit; /* RLIMIT_NOFILE, hard: we may raise the soft one */
    uint64_t files_open;  /* of this process */
    uint64_t files_most;  /* fs.nr_open: what the hard limit may become */
    uint64_t system_files;
    uint64_t system_files_max; /* fs.file-max */

    uint64_t memory_bytes;
    bool memory_is_of_group; /* a control group bounds it, not the machine */

    uint64_t threads;
    uint64_t maps; /* vm.max_map_count */

    uint64_t conntrack;
    uint64_t conntrack_max; /* 0: connections are not tracked here */

    uint32_t backlog_max;  /* net.core.somaxconn */
    uint64_t tcp_pages;    /* net.ipv4.tcp_mem: from there on TCP takes no more */
    uint64_t tcp_pages_in; /* that it has */

    int ring_errno; /* why there can be no ring; 0: there can */
};

void machine_look(struct machine *out_machine);

/* ── ports ── */

#define MACHINE_PORTS 65536u

struct machine_ports {
    uint32_t low, high;           /* net.ipv4.ip_local_port_range */
    bool is_taken[MACHINE_PORTS]; /* reserved, or somebody listens there */
    bool reuses_time_wait;        /* net.ipv4.tcp_tw_reuse, on loopback */
};

void machine_look_at_ports(struct machine_ports *out_ports);

/* Each TCP socket that is connected or in TIME_WAIT; IPv4 also where it came as IPv6. */
struct machine_socket {
    struct in6_addr local, remote; /* IPv4 mapped */
    uint16_t local_port, remote_port;
    bool is_time_wait;
};

/* False: they cannot be read. */
bool machine_each_socket(void (*each)(void *user, const struct machine_socket *socket), void *user);

/* How many TCP sockets there are, TIME_WAIT among them. */
uint64_t machine_sockets_count(void);

#endif
