/*
 * fleet_payload.h — texts with variables, see fmx_fleet_publish
 */
#ifndef ENGINE_ROLES_FLEET_PAYLOAD_H
#define ENGINE_ROLES_FLEET_PAYLOAD_H

#include "engine/roles/fleet_message.h"

/*
 * Takes a text apart. FMX_OK, FMX_LIMIT_MEMORY, or FMX_E_OPTION: `error` says at which character
 * and what to write ("character 7: …"). out_text NULL: the text is only checked.
 */
enum fmx_status fmx_payload_text_open(const char *text, bool has_devices,
                                      struct fmx_payload_text **out_text, char *error,
                                      size_t error_bytes) FMX_MUST_USE;
void fmx_payload_text_close(struct fmx_payload_text *text);

/* No text of any client is longer than this. `longest` has the longest texts; numbers are known. */
size_t fmx_payload_text_bytes_max(const struct fmx_payload_text *text,
                                  const struct fmx_template_values *longest);

/* Is %m in it? */
bool fmx_payload_text_has_mark(const struct fmx_payload_text *text);

/* Is any time in it? If not, unix_ns has no meaning. */
bool fmx_payload_text_has_time(const struct fmx_payload_text *text);

/* Is %c, %u, %p or %d in it? If not, what the client's values say of it has no meaning. */
bool fmx_payload_text_has(const struct fmx_payload_text *text, char variable);

struct fmx_payload_values {
    struct fmx_template_values client;
    uint64_t sequence;
    uint64_t key;        /* draws of this message begin here */
    uint64_t flow_key;   /* and those of its flow: where walks begin */
    uint64_t unix_ns;    /* now */
    const uint8_t *mark; /* FMX_MARK_BYTES */
};

/* Writes it; returns its bytes. `out` has room for fmx_payload_text_bytes_max. */
size_t fmx_payload_text_fill(const struct fmx_payload_text *text,
                             const struct fmx_payload_values *values, uint8_t *out,
                             uint64_t *out_hash);

/* ── a text, taken apart: between fleet_payload.c and its filling ── */

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
