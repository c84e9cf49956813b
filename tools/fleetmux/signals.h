/*
 * signals.h — waiting for signals in one place
 */
#ifndef FMX_TOOLS_SIGNALS_H
#define FMX_TOOLS_SIGNALS_H

#include <stdint.h>

/* Blocks SIGINT and SIGTERM for this thread and those it makes later; ignores SIGPIPE. */
void signals_hold(void);

/* After signals_hold: signals_wait also waits for this one, and it never ends the process. */
void signals_hear(int signo);

/* Waits for one of them. Its number, or 0 after `timeout_ns`; UINT64_MAX waits without end. */
int signals_wait(uint64_t timeout_ns);

/* What is done first when one of them ends the process: async-signal-safe. NULL: nothing. */
void signals_before_end(void (*call)(void));

/* From now on one of them ends the process at once with `exit_status`. */
void signals_release(int exit_status);

#endif
