/*
 * micro_packets.h — a buffer of packets of one kind, their frames and views
 */
#ifndef BENCH_MICRO_PACKETS_H
#define BENCH_MICRO_PACKETS_H

#include "bench/micro.h"
#include "proto/decode.h"
#include "proto/encode.h"
#include "proto/limits.h"

#define MICRO_PACKETS       32u
#define MICRO_PAYLOAD_BYTES 256u
#define MICRO_ALIASES       8u

struct micro_packets;

struct micro_kind {
    /* Fills the zeroed packet; what it borrows may lie in the world until the next call. */
    void (*fill)(struct micro_packets *world, uint32_t number, struct fmx_packet *packet);
    enum fmx_version version;
    enum fmx_side from;
};

extern const struct micro_kind micro_qos0_311;
extern const struct micro_kind micro_qos1_311;
extern const struct micro_kind micro_qos0_50;
extern const struct micro_kind micro_qos1_50;
extern const struct micro_kind micro_alias_50;
extern const struct micro_kind micro_users_50;
extern const struct micro_kind micro_puback_311;
extern const struct micro_kind micro_puback_50;
extern const struct micro_kind micro_connect_311;
extern const struct micro_kind micro_connect_50;
extern const struct micro_kind micro_connack_311;
extern const struct micro_kind micro_connack_50;
extern const struct micro_kind micro_subscribe_311;
extern const struct micro_kind micro_subscribe_50;

struct micro_packets {
    const struct micro_kind *kind;
    size_t used;
    struct fmx_frame frames[MICRO_PACKETS];
    struct fmx_packet views[MICRO_PACKETS];
    struct fmx_packet one; /* where a run decodes to */
    struct micro_topic topic;
    uint8_t users[64];
    uint8_t filters[256];
    uint8_t out[1024];
    uint8_t bytes[MICRO_PACKETS * 512];
};

/* Makes the packets, and decodes each into its view. */
void micro_packets_fill(struct micro_packets *world, const struct micro_kind *kind);

#endif
