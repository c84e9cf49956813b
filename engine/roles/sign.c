/*
 * sign — what a device puts into CONNECT to prove who it is
 *
 * Why it is so:   what is signed is made by the same function that the gateway checks with, so that
 *                 the two cannot differ; this file only spells the fields
 * Memory:         nothing
 * Threads:        pure
 * Limits:         the fields of struct fmx_signed_connect
 * Not here:       what is signed: proto/dialect.c; the hash: tls/hmac.c
 */
#include <fleetmux/registry.h>

#include "proto/dialect.h"
#include "tls/hmac.h"

#include <stdarg.h>
#include <stdio.h>

#define METHOD_DEFAULT      "hmacsha256"
#define TIMESTAMP_DEFAULT   "2524608000000"
#define SECURE_MODE_DEFAULT 3

/* Where a failing call says why. */
struct words {
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 2, 3))) static enum fmx_status refuse(const struct words *words,
                                                                    const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (words->error_bytes > 0) {
        vsnprintf(words->error, words->error_bytes, format, arguments);
    }
    va_end(arguments);
    return FMX_E_ARGUMENT;
}

static bool find_method(const char *name, enum fmx_hmac_kind *out_kind)
{
    static const struct {
        const char *name;
        enum fmx_hmac_kind kind;
    } methods[] = {
        {"hmacmd5", FMX_HMAC_MD5}, {"hmacsha1", FMX_HMAC_SHA1}, {"hmacsha256", FMX_HMAC_SHA256}};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(methods[i].name, name) == 0) {
            *out_kind = methods[i].kind;
            return true;
        }
    }
    return false;
}

static bool is_digits(const char *text)
{
    return strspn(text, "0123456789") == strlen(text);
}

/* No option may end the list early or hide in another's value. */
static bool is_plain(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < 0x20 || *at > 0x7e || *at == '|') {
            return false;
        }
    }
    return true;
}

/* The options with their defaults filled in. */
struct filled {
    char client_id[FMX_PRODUCT_KEY_BYTES_MAX + FMX_DEVICE_NAME_BYTES_MAX + 2];
    struct fmx_sign_options options;
    enum fmx_hmac_kind kind;
};

static enum fmx_status fill(const struct words *words, const char *product_key,
                            const char *device_name, const struct fmx_sign_options *options,
                            struct filled *filled)
{
    struct fmx_sign_options *all = &filled->options;

    *all = options != NULL ? *options : (struct fmx_sign_options){0};
    snprintf(filled->client_id, sizeof(filled->client_id), "%s.%s", product_key, device_name);
    all->client_id = all->client_id != NULL ? all->client_id : filled->client_id;
    all->method = all->method != NULL ? all->method : METHOD_DEFAULT;
    all->timestamp = all->timestamp != NULL ? all->timestamp : TIMESTAMP_DEFAULT;
    all->extra = all->extra != NULL ? all->extra : "";
    all->secure_mode = all->secure_mode != 0 ? all->secure_mode : SECURE_MODE_DEFAULT;
    if (strlen(all->client_id) > FMX_LOGICAL_ID_BYTES_MAX || !is_plain(all->client_id)) {
        return refuse(words,
                      "the client id must be at most %u printable ASCII characters without '|'",
                      FMX_LOGICAL_ID_BYTES_MAX);
    }
    if (!find_method(all->method, &filled->kind)) {
        return refuse(words, "the method must be hmacsha256, hmacsha1 or hmacmd5, not '%.40s'",
                      all->method);
    }
    if (strlen(all->timestamp) > FMX_SIGN_PARAM_BYTES_MAX || !is_digits(all->timestamp)) {
        return refuse(words, "the timestamp must be at most %u digits, or empty for none",
                      FMX_SIGN_PARAM_BYTES_MAX);
    }
    if (!is_plain(all->extra)) {
        return refuse(words, "the extra options must be printable ASCII without '|', as in "
                             "_ss=1,ext=3");
    }
    return FMX_OK;
}

static enum fmx_status check_names(const struct words *words, const char *product_key,
                                   const char *device_name, const char *secret)
{
    const char *fault;

    if (product_key == NULL || device_name == NULL || secret == NULL) {
        return refuse(words, "product key, device name and secret are needed");
    }
    fault = fmx_dialect_product_key_fault(fmx_slice_of(product_key));
    if (fault == NULL) {
        fault = fmx_dialect_device_name_fault(fmx_slice_of(device_name));
    }
    if (fault == NULL && (secret[0] == '\0' || strlen(secret) > 64)) {
        fault = "the secret must be 1 to 64 characters";
    }
    return fault == NULL ? FMX_OK : refuse(words, "%s", fault);
}

static bool write_client_id(const struct filled *filled, struct fmx_signed_connect *out_signed)
{
    const struct fmx_sign_options *options = &filled->options;
    int bytes = snprintf(out_signed->client_id, sizeof(out_signed->client_id),
                         "%s|%s%s%ssecuremode=%d,signmethod=%s%s%s|", options->client_id,
                         options->timestamp[0] != '\0' ? "timestamp=" : "", options->timestamp,
                         options->timestamp[0] != '\0' ? "," : "", options->secure_mode,
                         options->method, options->extra[0] != '\0' ? "," : "", options->extra);

    return bytes > 0 && (size_t)bytes < sizeof(out_signed->client_id);
}

enum fmx_status fmx_sign_connect(const char *product_key, const char *device_name,
                                 const char *secret, const struct fmx_sign_options *options,
                                 struct fmx_signed_connect *out_signed, char *error,
                                 size_t error_bytes)
{
    const struct words words = {error, error_bytes};
    struct fmx_dialect_client client;
    struct filled filled;
    uint8_t content[FMX_SIGNED_BYTES_MAX], digest[FMX_HMAC_BYTES_MAX];
    size_t digest_bytes = 0;
    const char *fault = NULL;

    memset(out_signed, 0, sizeof(*out_signed));
    (void)refuse(&words, "%s", "");
    enum fmx_status status = check_names(&words, product_key, device_name, secret);
    if (status == FMX_OK) {
        status = fill(&words, product_key, device_name, options, &filled);
    }
    if (status != FMX_OK) {
        return status;
    }
    if (!write_client_id(&filled, out_signed)) {
        memset(out_signed, 0, sizeof(*out_signed));
        return refuse(&words,
                      "the client id with its options is longer than %zu bytes; shorten "
                      "the client id or the extra options",
                      sizeof(out_signed->client_id) - 1);
    }
    snprintf(out_signed->username, sizeof(out_signed->username), "%s&%s", device_name, product_key);
    /* What is signed is what a gateway will read out of this client id. */
    status = fmx_dialect_client_id(fmx_slice_of(out_signed->client_id), &client, &fault);
    if (status != FMX_OK) {
        memset(out_signed, 0, sizeof(*out_signed));
        return refuse(&words, "%s", fault);
    }
    size_t content_bytes =
        fmx_dialect_signed(&client, fmx_slice_of(device_name), fmx_slice_of(product_key), content);
    status = fmx_hmac(filled.kind, fmx_slice_of(secret), (fmx_slice){content, content_bytes},
                      digest, &digest_bytes);
    if (status != FMX_OK) {
        memset(out_signed, 0, sizeof(*out_signed));
        return status;
    }
    fmx_dialect_hex((fmx_slice){digest, digest_bytes}, true, out_signed->password);
    return FMX_OK;
}
