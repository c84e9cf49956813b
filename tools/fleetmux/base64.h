/*
 * base64.h — bytes as letters and back, by RFC 4648, section 4: standard alphabet, with padding
 */
#ifndef FMX_TOOLS_BASE64_H
#define FMX_TOOLS_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Letters that `bytes` bytes become. */
static inline size_t base64_letters(size_t bytes)
{
    return (bytes + 2) / 3 * 4;
}

/* Writes base64_letters(bytes) letters without a terminator and returns how many. */
size_t base64_write(const uint8_t *data, size_t bytes, char *out_letters);

/*
 * Reads letters into `out_data`, which has room for letters / 4 * 3 bytes. False: they are no
 * base64 (a foreign letter, missing padding, or bits behind the end), and nothing is promised of
 * out_data.
 */
bool base64_read(const char *letters, size_t count, uint8_t *out_data, size_t *out_bytes);

#endif
