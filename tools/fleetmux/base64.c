/*
 * base64 — reads and writes RFC 4648 base64, strictly
 *
 * Why it is so:   json-c has none, and the events' path wants one that does not allocate. Reading
 *                 is strict: what two readers could take differently (missing padding, line ends,
 *                 bits behind the end) is refused, so that each payload has exactly one spelling.
 * Threads:        pure
 */
#include "tools/fleetmux/base64.h"

#define NO_LETTER 0xff

static const char alphabet[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M',
                                  'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
                                  'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
                                  'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
                                  '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'};

size_t base64_write(const uint8_t *data, size_t bytes, char *out_letters)
{
    char *at = out_letters;
    size_t index = 0;

    for (; index + 3 <= bytes; index += 3) {
        uint32_t bits =
            (uint32_t)data[index] << 16 | (uint32_t)data[index + 1] << 8 | data[index + 2];
        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        *at++ = alphabet[bits >> 6 & 63];
        *at++ = alphabet[bits & 63];
    }
    if (index < bytes) {
        bool is_pair = index + 2 == bytes;
        uint32_t bits =
            (uint32_t)data[index] << 16 | (is_pair ? (uint32_t)data[index + 1] << 8 : 0);
        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        *at++ = is_pair ? alphabet[bits >> 6 & 63] : '=';
        *at++ = '=';
    }
    return (size_t)(at - out_letters);
}

static uint8_t value_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z') {
        return (uint8_t)(letter - 'A');
    }
    if (letter >= 'a' && letter <= 'z') {
        return (uint8_t)(letter - 'a' + 26);
    }
    if (letter >= '0' && letter <= '9') {
        return (uint8_t)(letter - '0' + 52);
    }
    return letter == '+' ? 62 : letter == '/' ? 63 : NO_LETTER;
}

/* Four letters, of which the last `padding` were '='. False: a foreign letter. */
static bool read_group(const char *letters, size_t padding, uint32_t *out_bits)
{
    *out_bits = 0;
    for (size_t index = 0; index < 4 - padding; index++) {
        uint8_t value = value_of(letters[index]);
        if (value == NO_LETTER) {
            return false;
        }
        *out_bits |= (uint32_t)value << (18 - 6 * index);
    }
    return true;
}

bool base64_read(const char *letters, size_t count, uint8_t *out_data, size_t *out_bytes)
{
    uint8_t *at = out_data;

    *out_bytes = 0;
    if (count % 4 != 0) {
        return false;
    }
    for (size_t index = 0; index < count; index += 4) {
        const char *group = letters + index;
        bool is_last = index + 4 == count;
        size_t padding = !is_last || group[3] != '=' ? 0 : group[2] != '=' ? 1 : 2;
        uint32_t bits = 0;
        if (!read_group(group, padding, &bits) || (bits & ((1U << (8 * padding)) - 1)) != 0) {
            return false;
        }
        for (size_t byte = 0; byte < 3 - padding; byte++) {
            *at++ = (uint8_t)(bits >> (16 - 8 * byte));
        }
    }
    *out_bytes = (size_t)(at - out_data);
    return true;
}
