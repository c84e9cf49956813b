/*
 * fleet_ports.h — how many connections the ports of this machine allow a plan
 */
#ifndef FMX_TOOLS_FLEET_PORTS_H
#define FMX_TOOLS_FLEET_PORTS_H

#include "tools/fleetmux/machine.h"

#include <fleetmux/fleetmux.h>

struct fleet_ports {
    uint64_t wanted;      /* clients of this part */
    uint64_t fit;         /* of them; or how many would, if all do */
    uint32_t pairs_count; /* of a source and a target address */
    uint32_t ports_count; /* that may be chosen from, for each pair */
    uint64_t used;        /* of them by others, over all pairs */
    bool target_is_here;  /* a server is on this machine: its ends count as well */
};

/* Resolves what the plan names. False: error. */
bool fleet_ports_count(const struct fmx_fleet_plan *plan, const struct machine_ports *ports,
                       struct fleet_ports *out_count, char *error, size_t error_bytes);

#endif
