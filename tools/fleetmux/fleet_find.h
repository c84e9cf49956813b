/*
 * fleet_find.h — the search for the highest rate that holds a condition
 */
#ifndef FMX_TOOLS_FLEET_FIND_H
#define FMX_TOOLS_FLEET_FIND_H

#include "tools/fleetmux/fleet.h"

struct fleet_find;

/* What was measured since this or the last call. */
typedef void (*fleet_find_since)(void *user, enum fmx_fleet_latency latency,
                                 struct fmx_distribution *out_since);

/*
 * `condition`: "p99<20ms" of the answers, or of one latency: "delivery.p99.9<=50ms". NULL: error
 * says what is wrong, and what to write. `since` may be NULL: then it is only checked, and polling
 * is not allowed.
 */
struct fleet_find *fleet_find_open(const char *condition, fleet_find_since since, void *user,
                                   char *error, size_t error_bytes);
void fleet_find_close(struct fleet_find *find);

/*
 * To be called some times a second, after the result has been looked at. A wish for another rate,
 * or FLEET_WISH_QUIT when it is over; steps, words and status go into the result.
 */
struct fleet_wish fleet_find_poll(struct fleet_find *find, struct result *result);

/* The run ends before the search has: says so in the result. */
void fleet_find_end(struct fleet_find *find, struct result *result);

#endif
