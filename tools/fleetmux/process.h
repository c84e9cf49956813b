/*
 * process.h — what the kernel says of this process, and of the machine
 */
#ifndef FMX_TOOLS_PROCESS_H
#define FMX_TOOLS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory of this process that is in RAM now; 0 if it cannot be read. */
uint64_t process_rss_bytes(void);

/*
 * TCP segments of the whole system since it was started. `again` are those that were lost: without
 * those that open a connection, which a full backlog loses too, and those that the receiver says it
 * had already, which were late and not lost. False: it cannot be told.
 */
struct process_segments {
    uint64_t out;
    uint64_t again;
};
bool process_tcp_segments(struct process_segments *out_segments);

/* The processor's name; "" if nobody knows. */
void process_cpu_name(char *out_name, size_t name_bytes);

#endif
