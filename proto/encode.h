/*
 * encode.h — a view becomes bytes: first the exact size, then the bytes
 */
#ifndef PROTO_ENCODE_H
#define PROTO_ENCODE_H

#include "proto/packet.h"

/*
 * The packet's size on the wire in `version`, or 0 if it cannot be said there: a string above
 * 65,535 bytes, more than 268,435,455 bytes in all, AUTH or a password without user name before
 * 5.0. Properties are ignored before 5.0. CONNECT goes by its own connect.version.
 * 5.0 short forms: PUBACK … PUBCOMP with reason 0 and no properties take 4 bytes, such an AUTH 2.
 * DISCONNECT, CONNACK, SUBACK always carry their property length (some clients insist on it).
 */
size_t fmx_encode_bytes(const struct fmx_packet *packet, enum fmx_version version);

/*
 * Writes exactly fmx_encode_bytes() bytes to `out`, which has room for them, and returns that
 * number.
 */
size_t fmx_encode(const struct fmx_packet *packet, enum fmx_version version, uint8_t *out);

/* The same for a PUBLISH. */
size_t fmx_encode_publish_bytes(const struct fmx_publish *publish, enum fmx_version version);
size_t fmx_encode_publish(const struct fmx_publish *publish, enum fmx_version version,
                          uint8_t *out);

/*
 * The same for a PUBLISH without its payload, which follows from elsewhere: the remaining length
 * counts it, the bytes written do not.
 */
size_t fmx_encode_publish_head_bytes(const struct fmx_publish *publish, enum fmx_version version);
size_t fmx_encode_publish_head(const struct fmx_publish *publish, enum fmx_version version,
                               uint8_t *out);

#endif
