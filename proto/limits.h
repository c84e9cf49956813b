/*
 * limits.h — what the specification bounds, and how those bounds relate
 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#include <assert.h>

#define FMX_REMAINING_BYTES_MAX 268435455u /* MQTT 5.0, 2.1.4: four bytes of seven bits */
#define FMX_PACKET_BYTES_MAX    (FMX_REMAINING_BYTES_MAX + 5u)
#define FMX_STRING_BYTES_MAX    65535u   /* 1.5.4: two length bytes */
#define FMX_PACKET_ID_MAX       65535u   /* 2.2.1 */
#define FMX_TOPIC_LEVELS_MAX    128u     /* ours: deeper topics are refused */
#define FMX_RECEIVE_MAX_DEFAULT 65535u   /* 3.1.2.11.3 */
#define FMX_INFLIGHT_MAX        32768u   /* ours: half of the identifiers, a power of two */
#define FMX_RATE_PER_SECOND_MAX 1000000u /* ours: keeps products of rate and time in 64 bits */
#define FMX_NS_PER_S            1000000000ull
#define FMX_NS_PER_MS           1000000ull

static_assert((FMX_INFLIGHT_MAX & (FMX_INFLIGHT_MAX - 1)) == 0, "positions are masked");
static_assert(FMX_INFLIGHT_MAX < FMX_PACKET_ID_MAX, "an identifier names one position");

#endif
