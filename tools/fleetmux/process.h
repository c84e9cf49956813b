/*
 * process.h — what the kernel says of this process
 */
#ifndef FMX_TOOLS_PROCESS_H
#define FMX_TOOLS_PROCESS_H

#include <stdint.h>

/* Memory of this process that is in RAM now; 0 if it cannot be read. */
uint64_t process_rss_bytes(void);

#endif
