/*
 * frame — where one control packet ends and the next begins
 *
 * Why it is so:   the frame is found without looking at the kind, so that a packet torn between two
 *                 buffers needs no half-decoded state: the caller keeps bytes and asks again
 * Invariants:     (1) the same bytes give the same answer, however they arrived
 *                 (2) no byte of the span's outside is read
 *                 (3) a length above the limit is answered before its first body byte is there
 * Memory:         borrows the span
 * Threads:        pure
 * Limits:         four length bytes; the caller's packet_bytes_max
 * Not here:       whether type and flags are sensible: decode.c, which can say so of a packet that
 *                 is not whole yet. A length in more bytes than needed passes here, for 3.1.1 does
 *                 not forbid it; decode.c refuses it in 5.0
 */
#include "proto/frame.h"

#define LENGTH_BYTES_MAX 4u

/* Two bytes of length are by far the most common; the loop is as short as its bound. */
static enum fmx_status read_length(fmx_slice span, size_t *out_head_bytes, size_t *out_body_bytes)
{
    size_t body_bytes = 0;

    for (size_t i = 0; i < LENGTH_BYTES_MAX; i++) {
        if (span.bytes <= 1 + i) {
            return FMX_MORE;
        }
        uint8_t byte = span.data[1 + i];
        body_bytes |= (size_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *out_head_bytes = 2 + i;
            *out_body_bytes = body_bytes;
            return FMX_OK;
        }
    }
    return FMX_PEER_LENGTH;
}

enum fmx_status fmx_frame_next(fmx_slice span, size_t packet_bytes_max, struct fmx_frame *out_frame)
{
    size_t head_bytes = 0;
    size_t body_bytes = 0;
    enum fmx_status status = read_length(span, &head_bytes, &body_bytes);

    out_frame->bytes = head_bytes + body_bytes;
    if (status != FMX_OK) {
        return status;
    }
    if (out_frame->bytes > packet_bytes_max) {
        return FMX_LIMIT_PACKET;
    }
    out_frame->head = span.data[0];
    if (out_frame->bytes > span.bytes) {
        out_frame->body = (fmx_slice){.data = NULL, .bytes = body_bytes};
        return FMX_MORE;
    }
    out_frame->body = (fmx_slice){.data = span.data + head_bytes, .bytes = body_bytes};
    return FMX_OK;
}
