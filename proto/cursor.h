/*
 * cursor.h — bounded reading and writing, with failure carried by the cursor
 *
 * Reading past the end sets `failed` and yields zeros; a decoder reads all fields in order and asks
 * once. Writing past the end sets `failed` and writes nothing. All integers are big-endian as in
 * MQTT 5.0, 1.5.
 *
 * Threads: pure.
 */
#ifndef PROTO_CURSOR_H
#define PROTO_CURSOR_H

#include <fleetmux/types.h>

struct fmx_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct fmx_writer {
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct fmx_reader fmx_reader_of(fmx_slice span)
{
    return (struct fmx_reader){
        .at = span.data,
        .end = span.bytes > 0 ? span.data + span.bytes : span.data,
    };
}

static inline size_t fmx_reader_left(const struct fmx_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* All that has not been read yet; the reader is then at its end. */
static inline fmx_slice fmx_read_rest(struct fmx_reader *reader)
{
    fmx_slice rest = {.data = reader->at, .bytes = fmx_reader_left(reader)};

    reader->at = reader->end;
    return rest;
}

static inline fmx_slice fmx_read_bytes(struct fmx_reader *reader, size_t bytes)
{
    if (fmx_reader_left(reader) < bytes) {
        reader->failed = true;
        reader->at = reader->end;
        return (fmx_slice){.data = reader->end};
    }
    fmx_slice span = {.data = reader->at, .bytes = bytes};
    reader->at += bytes;
    return span;
}

static inline uint8_t fmx_read_u8(struct fmx_reader *reader)
{
    fmx_slice b = fmx_read_bytes(reader, 1);
    return b.bytes == 1 ? b.data[0] : 0;
}

static inline uint16_t fmx_read_u16(struct fmx_reader *reader)
{
    fmx_slice b = fmx_read_bytes(reader, 2);
    if (b.bytes != 2) {
        return 0;
    }
    return (uint16_t)(b.data[0] << 8 | b.data[1]);
}

static inline uint32_t fmx_read_u32(struct fmx_reader *reader)
{
    fmx_slice b = fmx_read_bytes(reader, 4);
    if (b.bytes != 4) {
        return 0;
    }
    return (uint32_t)b.data[0] << 24 | (uint32_t)b.data[1] << 16 | (uint32_t)b.data[2] << 8 |
           b.data[3];
}

/* Two length bytes and that many bytes: a UTF-8 string or binary data, not yet validated. */
static inline fmx_slice fmx_read_string(struct fmx_reader *reader)
{
    size_t bytes = fmx_read_u16(reader);
    return fmx_read_bytes(reader, bytes);
}

/*
 * A variable byte integer (1.5.5). A fifth byte sets `failed`; so does the end, and so does a form
 * longer than need be.
 */
static inline uint32_t fmx_read_varint(struct fmx_reader *reader)
{
    uint32_t value = 0;

    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = fmx_read_u8(reader);
        value |= (uint32_t)(byte & 0x7f) << shift;
        if (byte == 0 && shift > 0) {
            break;
        }
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    reader->failed = true;
    return 0;
}

static inline struct fmx_writer fmx_writer_of(uint8_t *out, size_t room)
{
    return (struct fmx_writer){.at = out, .end = out + room};
}

static inline uint8_t *fmx_writer_room(struct fmx_writer *writer, size_t bytes)
{
    if ((size_t)(writer->end - writer->at) < bytes) {
        writer->failed = true;
        writer->end = writer->at;
        return NULL;
    }
    uint8_t *room = writer->at;
    writer->at += bytes;
    return room;
}

static inline void fmx_write_u8(struct fmx_writer *writer, uint8_t value)
{
    uint8_t *out = fmx_writer_room(writer, 1);
    if (out != NULL) {
        out[0] = value;
    }
}

static inline void fmx_write_u16(struct fmx_writer *writer, uint16_t value)
{
    uint8_t *out = fmx_writer_room(writer, 2);
    if (out != NULL) {
        out[0] = (uint8_t)(value >> 8);
        out[1] = (uint8_t)value;
    }
}

static inline void fmx_write_u32(struct fmx_writer *writer, uint32_t value)
{
    uint8_t *out = fmx_writer_room(writer, 4);
    if (out != NULL) {
        out[0] = (uint8_t)(value >> 24);
        out[1] = (uint8_t)(value >> 16);
        out[2] = (uint8_t)(value >> 8);
        out[3] = (uint8_t)value;
    }
}

static inline void fmx_write_bytes(struct fmx_writer *writer, fmx_slice span)
{
    uint8_t *out = fmx_writer_room(writer, span.bytes);
    if (out != NULL && span.bytes > 0) {
        memcpy(out, span.data, span.bytes);
    }
}

/* Two length bytes and the span; a span above 65,535 bytes sets `failed`. */
static inline void fmx_write_string(struct fmx_writer *writer, fmx_slice span)
{
    if (span.bytes > 65535) {
        writer->failed = true;
        writer->end = writer->at;
        return;
    }
    fmx_write_u16(writer, (uint16_t)span.bytes);
    fmx_write_bytes(writer, span);
}

/*
 * Bytes of fmx_write_string; for a span above 65,535 bytes, which has no such form, more than any
 * packet holds, so that a sum of sizes shows it.
 */
static inline size_t fmx_string_bytes(fmx_slice span)
{
    return span.bytes <= 65535 ? 2 + span.bytes : (size_t)1 << 28;
}

static inline size_t fmx_varint_bytes(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static inline void fmx_write_varint(struct fmx_writer *writer, uint32_t value)
{
    do {
        uint8_t byte = value & 0x7f;
        value >>= 7;
        fmx_write_u8(writer, (uint8_t)(byte | (value > 0 ? 0x80 : 0)));
    } while (value > 0);
}

#endif
