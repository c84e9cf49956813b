/*
 * bytes — packets written down as a person reads them
 *
 * Threads:        pure
 */
#include "tests/support/bytes.h"

#include <ctype.h>
#include <fleetmux/private/assert.h>
#include "proto/cursor.h"

static unsigned hex_digit(char c)
{
    FMX_ASSERT(isxdigit((unsigned char)c));
    return (unsigned)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
}

size_t fmx_bytes_of(const char *notation, uint8_t *out, size_t room)
{
    size_t bytes = 0;
    bool is_text = false;

    for (const char *c = notation; *c != '\0'; c++) {
        if (*c == '\'') {
            is_text = !is_text;
        } else if (is_text || *c != ' ') {
            FMX_ASSERT(bytes < room);
            out[bytes++] = is_text ? (uint8_t)*c : (uint8_t)(hex_digit(*c) << 4 | hex_digit(c[1]));
            c += is_text ? 0 : 1;
        }
    }
    FMX_ASSERT(!is_text);
    return bytes;
}

size_t fmx_bytes_of_packet(uint8_t head, const char *body, uint8_t *out, size_t room)
{
    uint8_t inner[2048];
    size_t inner_bytes = fmx_bytes_of(body, inner, sizeof inner);
    struct fmx_writer writer = fmx_writer_of(out, room);

    fmx_write_u8(&writer, head);
    fmx_write_varint(&writer, (uint32_t)inner_bytes);
    fmx_write_bytes(&writer, (fmx_slice){inner, inner_bytes});
    FMX_ASSERT(!writer.failed);
    return (size_t)(writer.at - out);
}
