/*
 * process — reads /proc
 *
 * Threads:        any
 * Limits:         lines of 8 KiB: the longest of /proc/net/netstat has 3
 * Not here:       kernel memory: it belongs to the sockets and is not in the process's figures
 */
#include "tools/fleetmux/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 8192

uint64_t process_rss_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t kib = 0;

    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmRSS: %" SCNu64 " kB", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib * 1024;
}

/* ── /proc/net: a line of names, then one of figures, both with the same first word ── */

static bool read_pair(const char *path, const char *first, char *names, char *figures)
{
    FILE *file = fopen(path, "re");
    size_t bytes = strlen(first);
    bool has_names = false, has_both = false;

    if (file == NULL) {
        return false;
    }
    while (!has_both && fgets(has_names ? figures : names, LINE_BYTES, file) != NULL) {
        bool is_it = strncmp(has_names ? figures : names, first, bytes) == 0;
        has_both = has_names && is_it;
        has_names = has_names || is_it;
    }
    fclose(file);
    return has_both;
}

/* The next word of a line; NULL: there is none. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \n");

    if (*word == '\0') {
        return NULL;
    }
    *at = word + strcspn(word, " \n");
    if (**at != '\0') {
        *(*at)++ = '\0';
    }
    return word;
}

static bool read_figure(const char *path, const char *first, const char *const *wanted,
                        uint64_t *out_figures, size_t count)
{
    char names[LINE_BYTES], figures[LINE_BYTES];
    char *name_at = names, *figure_at = figures;
    size_t found = 0;

    if (!read_pair(path, first, names, figures)) {
        return false;
    }
    for (;;) {
        const char *name = next_word(&name_at), *figure = next_word(&figure_at);
        if (name == NULL || figure == NULL) {
            return found == count;
        }
        for (size_t i = 0; i < count; i++) {
            if (strcmp(name, wanted[i]) == 0 && sscanf(figure, "%" SCNu64, &out_figures[i]) == 1) {
                found++;
            }
        }
    }
}

bool process_tcp_segments(struct process_segments *out_segments)
{
    static const char *const segments[] = {"OutSegs", "RetransSegs"};
    static const char *const in_vain[] = {"TCPSynRetrans", "TCPDSACKRecv"};
    uint64_t figures[2] = {0, 0}, others[2] = {0, 0};

    *out_segments = (struct process_segments){0};
    if (!read_figure("/proc/net/snmp", "Tcp:", segments, figures, 2)) {
        return false;
    }
    if (!read_figure("/proc/net/netstat", "TcpExt:", in_vain, others, 2)) {
        others[0] = others[1] = 0;
    }
    out_segments->out = figures[0];
    out_segments->again =
        figures[1] > others[0] + others[1] ? figures[1] - others[0] - others[1] : 0;
    return true;
}

void process_cpu_name(char *out_name, size_t name_bytes)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];

    out_name[0] = '\0';
    while (file != NULL && out_name[0] == '\0' && fgets(line, sizeof(line), file) != NULL) {
        const char *name = strchr(line, ':');
        if (name != NULL && strncmp(line, "model name", 10) == 0) {
            snprintf(out_name, name_bytes, "%.*s", (int)strcspn(name + 2, "\n"), name + 2);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}
