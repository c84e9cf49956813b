/*
 * machine — what this machine and its limits leave to one process, read from /proc and /sys
 *
 * Why it is so:   each limit has another place and another way to say "none". Here they all become
 *                 what is left; what cannot be read does not limit, since a wrong no is worse than
 *                 none
 * Words:          group: a control group, of version 1 or 2; those above it bound too
 * Threads:        one
 * Limits:         Linux
 * Not here:       ports: machine_ports.c; what it means for a fleet: fleet_capacity.c
 */
#include "tools/fleetmux/machine.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PATH_BYTES 512
#define LINE_BYTES 512

/* ── reading ── */

/* The number on which a file begins; `otherwise` if there is none, or it says "max". */
static uint64_t read_number(const char *path, uint64_t otherwise)
{
    FILE *file = fopen(path, "re");
    uint64_t number = otherwise;

    if (file == NULL) {
        return otherwise;
    }
    if (fscanf(file, "%" SCNu64, &number) != 1) {
        number = otherwise;
    }
    fclose(file);
    return number;
}

/* Number `which`, from 0, of a line of several. */
static uint64_t read_nth(const char *path, unsigned which, uint64_t otherwise)
{
    FILE *file = fopen(path, "re");
    uint64_t number = otherwise;

    if (file == NULL) {
        return otherwise;
    }
    for (unsigned index = 0; index <= which; index++) {
        if (fscanf(file, "%" SCNu64, &number) != 1) {
            number = otherwise;
            break;
        }
    }
    fclose(file);
    return number;
}

/* The number behind a word at the begin of a line: "MemAvailable:", "inactive_file". */
static uint64_t read_named(const char *path, const char *name, uint64_t otherwise)
{
    FILE *file = fopen(path, "re");
    char line[LINE_BYTES];
    uint64_t number = otherwise;
    size_t bytes = strlen(name);

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, bytes) == 0 && (line[bytes] == ' ' || line[bytes] == '\t')) {
            number = strtoull(line + bytes, NULL, 10);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return number;
}

static uint64_t left(uint64_t most, uint64_t used)
{
    return most == MACHINE_NO_LIMIT ? MACHINE_NO_LIMIT : most > used ? most - used : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Are limits on the whole system none for us? */
static bool is_root(void)
{
    return geteuid() == 0;
}

/* ── control groups ── */

/* One kind of limit, in both versions. */
struct group_limit {
    const char *controller; /* of version 1 */
    const char *most_1, *used_1;
    const char *most_2, *used_2;
    const char *stat, *gives_back_1,
        *gives_back_2; /* what of `used` would be given back; or NULL */
};

static const struct group_limit memory_limit = {.controller = "memory",
                                                .most_1 = "memory.limit_in_bytes",
                                                .used_1 = "memory.usage_in_bytes",
                                                .most_2 = "memory.max",
                                                .used_2 = "memory.current",
                                                .stat = "memory.stat",
                                                .gives_back_1 = "total_inactive_file",
                                                .gives_back_2 = "inactive_file"};
static const struct group_limit threads_limit = {.controller = "pids",
                                                 .most_1 = "pids.max",
                                                 .used_1 = "pids.current",
                                                 .most_2 = "pids.max",
                                                 .used_2 = "pids.current"};

static uint64_t read_in(const char *folder, const char *name, uint64_t otherwise)
{
    char path[PATH_BYTES + 64];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return read_number(path, otherwise);
}

/* What one group leaves. */
static uint64_t left_in(const char *folder, const struct group_limit *limit, bool is_version_2)
{
    uint64_t most = read_in(folder, is_version_2 ? limit->most_2 : limit->most_1, MACHINE_NO_LIMIT);
    uint64_t used = read_in(folder, is_version_2 ? limit->used_2 : limit->used_1, 0);
    char path[PATH_BYTES + 64];

    if (most >= MACHINE_NO_LIMIT / 2) { /* version 1 says "none" with a number that is not round */
        return MACHINE_NO_LIMIT;
    }
    if (limit->stat != NULL) {
        snprintf(path, sizeof(path), "%s/%s", folder, limit->stat);
        used = left(used,
                    read_named(path, is_version_2 ? limit->gives_back_2 : limit->gives_back_1, 0));
    }
    return left(most, used);
}

/* What a group and all above it leave; `folder` ends up at `mount`. */
static uint64_t left_above(char *folder, const char *mount, const struct group_limit *limit,
                           bool is_version_2)
{
    uint64_t room = MACHINE_NO_LIMIT;

    while (strlen(folder) >= strlen(mount)) {
        room = least(room, left_in(folder, limit, is_version_2));
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash == folder) {
            break;
        }
        *slash = '\0';
    }
    return room;
}

/* A line of /proc/self/cgroup, "4:memory:/a/b" or "0::/a/b", and what its group leaves. */
static uint64_t left_by_line(char *line, const struct group_limit *limit)
{
    char *controllers = strchr(line, ':');
    char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    char mount[PATH_BYTES], folder[PATH_BYTES];

    if (path == NULL) {
        return MACHINE_NO_LIMIT;
    }
    *controllers++ = '\0';
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    bool is_version_2 = *controllers == '\0';
    if (!is_version_2 && strcmp(controllers, limit->controller) != 0) {
        return MACHINE_NO_LIMIT;
    }
    snprintf(mount, sizeof(mount), "/sys/fs/cgroup%s%s", is_version_2 ? "" : "/",
             is_version_2 ? "" : limit->controller);
    snprintf(folder, sizeof(folder), "%.200s%.300s", mount, strcmp(path, "/") == 0 ? "" : path);
    return left_above(folder, mount, limit, is_version_2);
}

static uint64_t left_by_groups(const struct group_limit *limit)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[LINE_BYTES];
    uint64_t room = MACHINE_NO_LIMIT;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        room = least(room, left_by_line(line, limit));
    }
    if (file != NULL) {
        fclose(file);
    }
    return room;
}

/* ── each limit ── */

static uint64_t count_open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself */
}

static void look_at_files(struct machine *machine)
{
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    machine->files_limit = limit.rlim_max;
    machine->files_open = count_open_files();
    machine->files_most = read_number("/proc/sys/fs/nr_open", 1048576);
    machine->system_files_max = read_number("/proc/sys/fs/file-max", MACHINE_NO_LIMIT);
    machine->system_files =
        is_root() ? MACHINE_NO_LIMIT
                  : left(machine->system_files_max, read_number("/proc/sys/fs/file-nr", 0));
}

static void look_at_memory(struct machine *machine)
{
    uint64_t whole = read_named("/proc/meminfo", "MemAvailable:", MACHINE_NO_LIMIT / 1024) * 1024;
    uint64_t group = left_by_groups(&memory_limit);

    machine->memory_bytes = least(whole, group);
    machine->memory_is_of_group = group < whole;
}

/* Threads of this user: what RLIMIT_NPROC counts. */
static uint64_t count_own_threads(void)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    uint64_t count = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char path[PATH_BYTES];
        struct stat about;
        snprintf(path, sizeof(path), "/proc/%.200s/status", entry->d_name);
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && stat(path, &about) == 0 &&
            about.st_uid == getuid()) {
            count += read_named(path, "Threads:", 1);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

/* "0.00 0.00 0.00 1/234 5678": there are 234. */
static uint64_t count_threads(void)
{
    FILE *file = fopen("/proc/loadavg", "re");
    uint64_t count = 0;

    if (file != NULL) {
        if (fscanf(file, "%*s %*s %*s %*u/%" SCNu64, &count) != 1) {
            count = 0;
        }
        fclose(file);
    }
    return count;
}

static void look_at_threads(struct machine *machine)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    cpu_set_t set;

    CPU_ZERO(&set);
    machine->cpus_count =
        sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
    machine->threads =
        left(read_number("/proc/sys/kernel/threads-max", MACHINE_NO_LIMIT), count_threads());
    machine->threads = least(machine->threads, left_by_groups(&threads_limit));
    (void)getrlimit(RLIMIT_NPROC, &limit);
    if (!is_root() && limit.rlim_cur != RLIM_INFINITY) {
        machine->threads = least(machine->threads, left(limit.rlim_cur, count_own_threads()));
    }
    machine->maps = read_number("/proc/sys/vm/max_map_count", MACHINE_NO_LIMIT);
}

/* Sends a datagram to ourselves. */
static void send_to_self(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(name);
    int to = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (to >= 0 && from >= 0 && bind(to, (const struct sockaddr *)&name, sizeof(name)) == 0 &&
        getsockname(to, (struct sockaddr *)&name, &bytes) == 0) {
        (void)sendto(from, "", 1, MSG_DONTWAIT, (const struct sockaddr *)&name, sizeof(name));
    }
    if (to >= 0) {
        close(to);
    }
    if (from >= 0) {
        close(from);
    }
}

/*
 * The figures are there wherever the kernel could track; that it does, only a packet of ours tells.
 */
static void look_at_conntrack(struct machine *machine)
{
    static const char count_path[] = "/proc/sys/net/netfilter/nf_conntrack_count";
    uint64_t most = read_number("/proc/sys/net/netfilter/nf_conntrack_max", 0);
    uint64_t before = read_number(count_path, 0);

    send_to_self();
    uint64_t count = read_number(count_path, 0);
    machine->conntrack_max = count > before ? most : 0;
    machine->conntrack = machine->conntrack_max == 0 ? MACHINE_NO_LIMIT : left(most, count);
}

static uint64_t read_tcp_pages(void)
{
    FILE *file = fopen("/proc/net/sockstat", "re");
    char line[LINE_BYTES];
    uint64_t pages = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *found = strncmp(line, "TCP:", 4) == 0 ? strstr(line, " mem ") : NULL;
        if (found != NULL) {
            pages = strtoull(found + 5, NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return pages;
}

/* Why no ring of ours could be made; 0: one was. */
static int try_ring(void)
{
    static const unsigned flag_sets[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL};

    errno = EINVAL;
    for (size_t index = 0; index < sizeof(flag_sets) / sizeof(flag_sets[0]) && errno == EINVAL;
         index++) {
        struct io_uring_params params = {.flags = flag_sets[index]};
        long file = syscall(__NR_io_uring_setup, 4, &params);
        if (file >= 0) {
            close((int)file);
            return 0;
        }
    }
    return errno;
}

void machine_look(struct machine *out_machine)
{
    struct utsname name = {.release = "?"};

    *out_machine = (struct machine){.ring_errno = try_ring()};
    (void)uname(&name);
    snprintf(out_machine->kernel, sizeof(out_machine->kernel), "%.60s", name.release);
    look_at_files(out_machine);
    look_at_memory(out_machine);
    look_at_threads(out_machine);
    look_at_conntrack(out_machine);
    out_machine->backlog_max = (uint32_t)read_number("/proc/sys/net/core/somaxconn", 4096);
    out_machine->tcp_pages = read_nth("/proc/sys/net/ipv4/tcp_mem", 2, MACHINE_NO_LIMIT);
    out_machine->tcp_pages_in = read_tcp_pages();
}
