/*
 * types.h — the few types that every layer and every user of fleetmux shares
 *
 * Nothing here includes anything but libc. Structs are passed by pointer; a slice and a session id
 * go by value.
 */
#ifndef FLEETMUX_TYPES_H
#define FLEETMUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FMX_API      __attribute__((visibility("default")))
#define FMX_MUST_USE __attribute__((warn_unused_result))
#else
#define FMX_API
#define FMX_MUST_USE
#endif

/* Bytes that belong to somebody else. `data` may be NULL only if `bytes` is 0. */
typedef struct fmx_slice {
    const uint8_t *data;
    size_t bytes;
} fmx_slice;

/* A slice over a C string, without its terminator. The string outlives the slice. */
static inline fmx_slice fmx_slice_of(const char *text)
{
    return (fmx_slice){.data = (const uint8_t *)text, .bytes = strlen(text)};
}

static inline bool fmx_slice_equal(fmx_slice a, fmx_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Protocol levels as they stand in CONNECT (MQTT 5.0, 3.1.2.2). */
enum fmx_version {
    FMX_MQTT_31 = 3,
    FMX_MQTT_311 = 4,
    FMX_MQTT_50 = 5,
};

/* Which end of the protocol we are. */
enum fmx_side {
    FMX_SIDE_SERVER = 0,
    FMX_SIDE_CLIENT = 1,
};

/*
 * Names one connection for as long as the process lives: shard, slot and generation. An id that
 * has outlived its connection is harmless: what is asked of it is ignored. All bits zero is no
 * session at all.
 */
struct fmx_session_id {
    uint64_t bits;
};

#define FMX_SESSION_NONE ((struct fmx_session_id){0})

static inline bool fmx_session_id_equal(struct fmx_session_id a, struct fmx_session_id b)
{
    return a.bits == b.bits;
}

#ifdef __cplusplus
}
#endif

#endif
