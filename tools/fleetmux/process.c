/*
 * process — reads /proc/self
 *
 * Threads:        any
 * Not here:       kernel memory: it belongs to the sockets and is not in the process's figures
 */
#include "tools/fleetmux/process.h"

#include <inttypes.h>
#include <stdio.h>

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
