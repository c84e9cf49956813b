/*
 * hmac.h — keyed hashes of the dialect's passwords, and a comparison that tells no time
 */
#ifndef FMX_TLS_HMAC_H
#define FMX_TLS_HMAC_H

#include <fleetmux/error.h>
#include <fleetmux/types.h>

/* Bytes of the largest digest below. */
#define FMX_HMAC_BYTES_MAX 32

enum fmx_hmac_kind {
    FMX_HMAC_MD5,
    FMX_HMAC_SHA1,
    FMX_HMAC_SHA256,
};

/*
 * Writes the digest of `content` under `key` to `out` and its size (16, 20 or 32) to `out_bytes`.
 * FMX_OK; FMX_E_ARGUMENT for an unknown kind; FMX_LIMIT_MEMORY, and then `out_bytes` is 0.
 */
FMX_MUST_USE enum fmx_status fmx_hmac(enum fmx_hmac_kind kind, fmx_slice key, fmx_slice content,
                                      uint8_t out[FMX_HMAC_BYTES_MAX], size_t *out_bytes);

/* True if both hold the same bytes. The time depends on the lengths alone. */
bool fmx_hmac_equal(fmx_slice a, fmx_slice b);

#endif
