/*
 * fake_load.h — a fleet, a network and a server that are made of arithmetic: runs with known limits
 *
 * Messages flow in parcels through queues of known speed, in steps of five milliseconds. What a
 * recorder would have seen of it goes into a result, second by second. The same plan gives the same
 * result.
 */
#ifndef FMX_TESTS_SUPPORT_FAKE_LOAD_H
#define FMX_TESTS_SUPPORT_FAKE_LOAD_H

#include "tools/fleetmux/result.h"

struct fake_load_plan {
    uint64_t seed;
    uint32_t clients, shards;
    double rate;                /* messages a second that are planned */
    double server_rate;         /* that the server can take */
    double generator_rate;      /* that the generator can send */
    double connect_rate;        /* connects a second that are planned */
    double server_connects;     /* that the server can take; 0: any */
    double base_s;              /* what an answer takes when nothing is in its way */
    double noise_s;             /* by which we are late on the mean */
    double wait_share;          /* of our threads' time: ready, but the server has the processor */
    double loss_share;          /* of segments */
    double window;              /* messages without their acknowledgement, of all clients */
    bool acks_wait;             /* a generator out of time leaves acknowledgements unread first */
    double stall_at_s, stall_s; /* of the server */
    double own_stall_at_s, own_stall_s;
    double refused_share; /* of connects */
};

struct fake_load;

struct fake_load *fake_load_open(const struct fake_load_plan *plan);
void fake_load_close(struct fake_load *load);

/* Its result, which goes with it. */
struct result *fake_load_result(struct fake_load *load);

/* One step; true: a second is over, and its row was added and judged. */
bool fake_load_step(struct fake_load *load);
void fake_load_run(struct fake_load *load, double seconds);

/* From now on so many times the rate. */
void fake_load_set_rate(struct fake_load *load, double factor);

/* What was measured since this or the last call; `user` is a load. */
void fake_load_since(void *user, enum fmx_fleet_latency latency,
                     struct fmx_distribution *out_since);

/* The end: nothing more is planned; what is on its way has five seconds to arrive. */
void fake_load_end(struct fake_load *load);

#endif
