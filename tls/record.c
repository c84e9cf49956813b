/*
 * record — where one TLS record ends and the next begins
 *
 * Why it is so:   a stream of BoringSSL that is given a header alone sets memory aside for the
 *                 whole record that the header claims; so records are cut here, and handed over
 *                 whole
 * Invariants:     nothing beyond the header is looked at
 * Threads:        pure
 * Limits:         what RFC 5246 allows of a record, 2^14 + 2,048 bytes; old hellos of SSL 2.0 are
 *                 no records
 */
#include "tls/record.h"

#define TYPE_FIRST         20u /* change_cipher_spec */
#define TYPE_LAST          23u /* application_data; 22 is handshake, 21 alert */
#define MAJOR              3u
#define FRAGMENT_BYTES_MAX (FMX_TLS_RECORD_BYTES_MAX - FMX_TLS_RECORD_HEADER_BYTES)

enum fmx_status fmx_tls_record_next(fmx_slice bytes, size_t *out_bytes)
{
    const uint8_t *at = bytes.data;

    *out_bytes = FMX_TLS_RECORD_HEADER_BYTES;
    if ((bytes.bytes > 0 && (at[0] < TYPE_FIRST || at[0] > TYPE_LAST)) ||
        (bytes.bytes > 1 && at[1] != MAJOR)) {
        return FMX_TLS_RECORD;
    }
    if (bytes.bytes > 3 && at[3] > FRAGMENT_BYTES_MAX >> 8) {
        return FMX_TLS_RECORD;
    }
    if (bytes.bytes < FMX_TLS_RECORD_HEADER_BYTES) {
        return FMX_MORE;
    }
    size_t fragment_bytes = (size_t)at[3] << 8 | at[4];
    if (fragment_bytes > FRAGMENT_BYTES_MAX) {
        return FMX_TLS_RECORD;
    }
    *out_bytes = FMX_TLS_RECORD_HEADER_BYTES + fragment_bytes;
    return bytes.bytes < *out_bytes ? FMX_MORE : FMX_OK;
}
