/*
 * record.h — where one TLS record ends and the next begins (RFC 8446, 5.1; RFC 5246, 6.2.1)
 */
#ifndef TLS_RECORD_H
#define TLS_RECORD_H

#include <fleetmux/error.h>

#define FMX_TLS_RECORD_HEADER_BYTES 5u
#define FMX_TLS_RECORD_BYTES_MAX    (FMX_TLS_RECORD_HEADER_BYTES + 16384u + 2048u)
#define FMX_TLS_RECORD_HANDSHAKE    22u /* also the first byte of any TLS client */

/*
 * The size of the record at the front of `bytes`, header included. FMX_OK: it is there as a whole;
 * FMX_MORE: `out_bytes` is what it will have, or FMX_TLS_RECORD_HEADER_BYTES if the header is not
 * whole either; FMX_TLS_RECORD: no record begins like this.
 */
enum fmx_status fmx_tls_record_next(fmx_slice bytes, size_t *out_bytes) FMX_MUST_USE;

#endif
