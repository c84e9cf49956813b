/*
 * mitm.h — a man in the middle: passes MQTT on, and loses, repeats and swaps messages to a client
 */
#ifndef FMX_TESTS_LOOP_MITM_H
#define FMX_TESTS_LOOP_MITM_H

#include <stdbool.h>
#include <stdint.h>

/* Of a thousand PUBLISH packets towards the clients, so many. QoS 0 only: nobody acknowledges. */
struct mitm_plan {
    uint64_t seed;
    unsigned lost;
    unsigned repeated;
    unsigned swapped; /* comes behind the next message of its connection */
};

struct mitm_done {
    uint64_t passed; /* PUBLISH packets that came from the server */
    uint64_t lost;
    uint64_t repeated;
    uint64_t swapped;
};

struct mitm;

/* Listens on a port of its own and passes on to 127.0.0.1:server_port. Ends the test on failure. */
struct mitm *mitm_open(uint16_t server_port, const struct mitm_plan *plan);
uint16_t mitm_port(const struct mitm *mitm);

/* What it has done so far; exact when nothing is on its way. */
struct mitm_done mitm_done(struct mitm *mitm);

void mitm_close(struct mitm *mitm);

#endif
