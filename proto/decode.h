/*
 * decode.h — a whole frame becomes a view; nothing is copied, nothing allocated
 */
#ifndef PROTO_DECODE_H
#define PROTO_DECODE_H

#include "proto/frame.h"
#include "proto/packet.h"

/*
 * Decodes one frame, as fmx_frame_next gave it, that `from` has sent (so a server passes
 * FMX_SIDE_CLIENT). CONNECT brings its own version; for all else `version` is the connection's.
 * FMX_OK, or one of the FMX_PEER_ statuses naming what was wrong: FLAGS, KIND, LENGTH (5.0: not the
 * shortest form), SHORT, TRAILING, UTF8, TOPIC_NAME, TOPIC_FILTER, PACKET_ID, PROPERTY…,
 * PROTOCOL_NAME, VERSION, CONNECT_FLAGS, CLIENT_ID (3.1: empty), REASON_CODE, EMPTY, QOS,
 * SUBSCRIBE_OPTIONS. After a failure out_packet->kind tells the kind, and of a CONNECT also
 * connect.version holds what was asked (3.1.1 if it was not readable), so that the refusal can be
 * spoken in the nearest version; nothing else of the view is valid then. QoS 2 is decoded, not
 * refused: see session.c. An empty topic is accepted in 5.0 only together with a topic alias.
 * An empty client identifier of 3.1.1 and 5.0 is accepted here, whatever `clean` says.
 *
 * Pure. The view borrows from the frame.
 */
enum fmx_status fmx_decode(const struct fmx_frame *frame, enum fmx_side from,
                           enum fmx_version version, struct fmx_packet *out_packet) FMX_MUST_USE;

/*
 * What fmx_decode would say because of the fixed header alone, of a frame that need not be whole
 * (FMX_MORE with a size): FMX_OK, KIND, FLAGS, QOS, LENGTH, TRAILING (more bytes than such a packet
 * can have). Nobody has to wait for the rest of what is refused here. Pure.
 */
enum fmx_status fmx_decode_head(const struct fmx_frame *frame, enum fmx_side from,
                                enum fmx_version version) FMX_MUST_USE;

#endif
