/*
 * hmac — HMAC-MD5, HMAC-SHA-1 and HMAC-SHA-256 of device passwords
 *
 * Why it is so:   the dialect signs with three hashes of different age; BoringSSL has them all, so
 *                 what is ours is only the choice among them
 * Invariants:     (1) never more than FMX_HMAC_BYTES_MAX bytes are written
 *                 (2) a comparison never stops at the first byte that differs
 * Memory:         owns nothing; a call may allocate inside BoringSSL and frees it again
 * Threads:        pure
 * Limits:         keys and contents of any size
 * Not here:       what is signed and how it is spelled: see proto/dialect.c
 */
#include "tls/hmac.h"

#include <fleetmux/private/assert.h>

#include <assert.h>

#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>

static_assert(FMX_HMAC_BYTES_MAX == 32, "the largest digest here is SHA-256");

static const EVP_MD *digest_of(enum fmx_hmac_kind kind)
{
    switch (kind) {
    case FMX_HMAC_MD5:
        return EVP_md5();
    case FMX_HMAC_SHA1:
        return EVP_sha1();
    case FMX_HMAC_SHA256:
        return EVP_sha256();
    }
    return NULL;
}

enum fmx_status fmx_hmac(enum fmx_hmac_kind kind, fmx_slice key, fmx_slice content,
                         uint8_t out[FMX_HMAC_BYTES_MAX], size_t *out_bytes)
{
    static const uint8_t nothing[1] = {0};
    const EVP_MD *digest = digest_of(kind);
    unsigned int digest_bytes = 0;

    *out_bytes = 0;
    if (digest == NULL) {
        return FMX_E_ARGUMENT;
    }
    FMX_ASSERT(EVP_MD_size(digest) <= FMX_HMAC_BYTES_MAX);
    if (HMAC(digest, key.bytes > 0 ? key.data : nothing, key.bytes,
             content.bytes > 0 ? content.data : nothing, content.bytes, out,
             &digest_bytes) == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    FMX_ASSERT(digest_bytes == EVP_MD_size(digest));
    *out_bytes = digest_bytes;
    return FMX_OK;
}

bool fmx_hmac_equal(fmx_slice a, fmx_slice b)
{
    if (a.bytes != b.bytes) {
        return false;
    }
    return a.bytes == 0 || CRYPTO_memcmp(a.data, b.data, a.bytes) == 0;
}
