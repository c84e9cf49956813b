/*
 * tls_forge — records that no honest stream would send, encrypted as if it had
 *
 * Threads:        one
 */
#include "tests/support/tls_forge.h"

#include <fleetmux/private/assert.h>

#include <openssl/aead.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/ssl.h>

#define TAG_BYTES        16u
#define HEADER_BYTES     5u
#define APPLICATION_DATA 23u

static void expand(const uint8_t secret[32], const char *label, uint8_t *out, size_t out_bytes)
{
    uint8_t info[64];
    int bytes = snprintf((char *)info + 2, sizeof info - 2, "%ctls13 %s%c",
                         (char)(strlen(label) + 6), label, 0);

    info[0] = 0;
    info[1] = (uint8_t)out_bytes;
    FMX_ASSERT(HKDF_expand(out, out_bytes, EVP_sha256(), secret, 32, info, (size_t)bytes + 2) == 1);
}

static void derive(struct tls_forge *forge)
{
    expand(forge->secret, "key", forge->key, sizeof forge->key);
    expand(forge->secret, "iv", forge->iv, sizeof forge->iv);
}

void tls_forge_update(struct tls_forge *forge)
{
    uint8_t next[32];

    expand(forge->secret, "traffic upd", next, sizeof next);
    memcpy(forge->secret, next, sizeof next);
    forge->sequence = 0;
    derive(forge);
}

/* The third word of the last line that begins with the label. */
static void read_secret(const char *key_log, const char *label, uint8_t out_secret[32])
{
    FILE *file = fopen(key_log, "r");
    char line[512];
    bool is_found = false;

    FMX_ASSERT(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, label, strlen(label)) != 0) {
            continue;
        }
        const char *at = strrchr(line, ' ');
        for (size_t i = 0; i < 32; i++) {
            unsigned byte = 0;
            FMX_ASSERT(sscanf(at + 1 + 2 * i, "%2x", &byte) == 1);
            out_secret[i] = (uint8_t)byte;
        }
        is_found = true;
    }
    fclose(file);
    FMX_ASSERT(is_found);
}

void tls_forge_begin(struct tls_forge *forge, const SSL *ssl, const char *key_log)
{
    uint8_t block[40]; /* key of the client, of the server, IV of the client, of the server */
    const bool is_server = SSL_is_server(ssl) == 1;

    *forge = (struct tls_forge){.is_13 = SSL_version(ssl) == TLS1_3_VERSION,
                                .sequence = SSL_get_write_sequence(ssl)};
    if (forge->is_13) {
        read_secret(key_log, is_server ? "SERVER_TRAFFIC_SECRET_0" : "CLIENT_TRAFFIC_SECRET_0",
                    forge->secret);
        derive(forge);
        return;
    }
    FMX_ASSERT(SSL_get_key_block_len(ssl) == sizeof block);
    FMX_ASSERT(SSL_generate_key_block(ssl, block, sizeof block) == 1);
    memcpy(forge->key, block + (is_server ? 16 : 0), sizeof forge->key);
    memcpy(forge->iv, block + (is_server ? 36 : 32), 4);
}

static void store_u64(uint8_t *out, uint64_t value)
{
    for (int i = 7; i >= 0; i--) {
        out[i] = (uint8_t)value;
        value >>= 8;
    }
}

static size_t seal(const struct tls_forge *forge, const uint8_t nonce[12], fmx_slice content,
                   fmx_slice extra, uint8_t *out)
{
    EVP_AEAD_CTX context;
    size_t bytes = 0;

    FMX_ASSERT(EVP_AEAD_CTX_init(&context, EVP_aead_aes_128_gcm(), forge->key, sizeof forge->key,
                                 TAG_BYTES, NULL) == 1);
    FMX_ASSERT(EVP_AEAD_CTX_seal(&context, out, &bytes, content.bytes + TAG_BYTES, nonce, 12,
                                 content.data, content.bytes, extra.data, extra.bytes) == 1);
    EVP_AEAD_CTX_cleanup(&context);
    return bytes;
}

static size_t forge_12(const struct tls_forge *forge, uint8_t type, fmx_slice content, uint8_t *out)
{
    uint8_t nonce[12];
    uint8_t extra[13];
    const size_t fragment = 8 + content.bytes + TAG_BYTES;
    const uint8_t header[] = {type, 3, 3, (uint8_t)(fragment >> 8), (uint8_t)fragment};

    memcpy(nonce, forge->iv, 4);
    store_u64(nonce + 4, forge->sequence);
    store_u64(extra, forge->sequence);
    extra[8] = type;
    extra[9] = extra[10] = 3;
    extra[11] = (uint8_t)(content.bytes >> 8);
    extra[12] = (uint8_t)content.bytes;
    memcpy(out, header, sizeof header);
    memcpy(out + HEADER_BYTES, nonce + 4, 8);
    return HEADER_BYTES + 8 +
           seal(forge, nonce, content, (fmx_slice){extra, sizeof extra}, out + HEADER_BYTES + 8);
}

static size_t forge_13(const struct tls_forge *forge, uint8_t type, fmx_slice content, uint8_t *out)
{
    uint8_t nonce[12] = {0};
    const size_t fragment = content.bytes + 1 + TAG_BYTES;
    const uint8_t header[] = {APPLICATION_DATA, 3, 3, (uint8_t)(fragment >> 8), (uint8_t)fragment};

    store_u64(nonce + 4, forge->sequence);
    for (size_t i = 0; i < sizeof nonce; i++) {
        nonce[i] ^= forge->iv[i];
    }
    memcpy(out, header, sizeof header);
    if (content.bytes > 0) {
        memmove(out + HEADER_BYTES, content.data, content.bytes);
    }
    out[HEADER_BYTES + content.bytes] = type;
    return HEADER_BYTES + seal(forge, nonce, (fmx_slice){out + HEADER_BYTES, content.bytes + 1},
                               (fmx_slice){header, sizeof header}, out + HEADER_BYTES);
}

size_t tls_forge_record(struct tls_forge *forge, uint8_t type, fmx_slice content, uint8_t *out)
{
    size_t bytes =
        forge->is_13 ? forge_13(forge, type, content, out) : forge_12(forge, type, content, out);

    forge->sequence++;
    return bytes;
}
