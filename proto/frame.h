/*
 * frame.h — where one control packet ends and the next begins (MQTT 5.0, 2.1)
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <fleetmux/error.h>
#include <fleetmux/types.h>

/* One whole packet, borrowed from the span it was found in. */
struct fmx_frame {
    uint8_t head;   /* the first byte: type and flags */
    fmx_slice body; /* all after the remaining length */
    size_t bytes;   /* the whole packet; after FMX_MORE: its size if already known, else 0 */
};

/* After FMX_MORE with a size: head and body.bytes are known too, and body.data is NULL. */

/*
 * Looks at the beginning of `span`. FMX_OK: `out_frame` is the first packet. FMX_MORE: the packet
 * is not whole yet; what is known of it is set. FMX_PEER_LENGTH: a fifth length byte.
 * FMX_LIMIT_PACKET: the declared size is above `packet_bytes_max`, answered as soon as the length
 * is readable and before a body byte arrived. Pure; the frame borrows from `span`.
 */
enum fmx_status fmx_frame_next(fmx_slice span, size_t packet_bytes_max,
                               struct fmx_frame *out_frame) FMX_MUST_USE;

#endif
