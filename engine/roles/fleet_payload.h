/*
 * fleet_payload.h — a text with variables, taken apart: between fleet_payload.c and its filling
 */
#ifndef ENGINE_ROLES_FLEET_PAYLOAD_H
#define ENGINE_ROLES_FLEET_PAYLOAD_H

#include "engine/roles/fleet.h"

#define FMX_PAYLOAD_NUMBER_BYTES 24u /* sign, 20 digits, a zero, a point; or a time */
#define FMX_PAYLOAD_UUID_BYTES   36u

enum fmx_piece_kind {
    FMX_PIECE_LITERAL,
    FMX_PIECE_NUMBER,
    FMX_PIECE_RUN_NUMBER,
    FMX_PIECE_CLIENT_ID,
    FMX_PIECE_USERNAME,
    FMX_PIECE_PRODUCT_KEY,
    FMX_PIECE_DEVICE_NAME,
    FMX_PIECE_TIME,
    FMX_PIECE_TIME_ISO,
    FMX_PIECE_MARK,
    FMX_PIECE_SEQUENCE,
    FMX_PIECE_DRAWN, /* int and real */
    FMX_PIECE_WALK,
    FMX_PIECE_ONE,
    FMX_PIECE_HEX,
    FMX_PIECE_TEXT,
    FMX_PIECE_UUID,
    FMX_PIECE_KINDS,
};

struct fmx_payload_piece {
    enum fmx_piece_kind kind;
    uint32_t digits; /* behind the point; ONE: how many there are */
    fmx_slice bytes; /* LITERAL; HEX and TEXT: how many */
    union {
        struct {
            int64_t least; /* scaled; SEQUENCE: the first */
            uint64_t span; /* SEQUENCE: the step */
            uint64_t drift;
            uint64_t jitter;
            uint64_t period;
            bool is_wide; /* drift × period does not fit into 64 bits */
        };
        uint64_t unit_ns;         /* TIME */
        const fmx_slice *options; /* ONE */
    };
};

struct fmx_payload_text {
    uint64_t hash; /* of the text as it was written */
    size_t fixed_bytes;
    uint32_t variable_bytes; /* most, of what has no fixed length and is not the client's */
    uint32_t pieces_count;
    uint32_t counts[FMX_PIECE_KINDS]; /* pieces of each kind */
    fmx_slice *options;
    uint8_t *bytes;
    struct fmx_payload_piece pieces[];
};

#endif
