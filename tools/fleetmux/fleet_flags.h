/*
 * fleet_flags.h — the fleet's options, a table for each subject
 */
#ifndef FMX_TOOLS_FLEET_FLAGS_H
#define FMX_TOOLS_FLEET_FLAGS_H

#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/number.h"

#define AT(member)          FLAG_AT(struct fleet_settings, member)
#define TIME(plain, stored) .kind = FLAG_TIME, .plain_ns = (plain), .stored_ns = (stored)
#define NS_PER_DAY          (UINT64_C(86400) * NUMBER_NS_PER_S)

/* Those that make one group from options. */
#define FLEET_GROUP (FLEET_CONN | FLEET_PUB | FLEET_SUB)

struct fleet_rows {
    const struct flag *rows;
    size_t count;
};

extern const struct fleet_rows fleet_rows_server;  /* fleet_flags.c: server, clients, MQTT */
extern const struct fleet_rows fleet_rows_message; /* fleet_flags_message.c */
extern const struct fleet_rows fleet_rows_tls;     /* fleet_flags_tls.c */
extern const struct fleet_rows fleet_rows_device;  /* fleet_flags_device.c */
extern const struct fleet_rows fleet_rows_run;     /* fleet_flags_run.c */
extern const struct fleet_rows fleet_rows_other;   /* fleet_flags_other.c: of other tools */

#endif
