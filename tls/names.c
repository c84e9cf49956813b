/*
 * names — which certificates for which name that a client asks for (SNI)
 *
 * Why it is so:   a sorted array and two binary searches: one for the name as it is, one with a
 *                 star for its first label
 * Invariants:     names are unique, in small letters, sorted
 * Threads:        whoever builds it; then any number of readers
 * Limits:         1,024 names of at most 253 bytes; a star stands for one label in front
 */
#include "tls/internal.h"

#include <openssl/mem.h>

#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES_MAX 253u

static char small(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool is_label_letter(char letter)
{
    letter = small(letter);
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '-' ||
           letter == '_';
}

/* "a.b", "*.a.b"; no empty label. */
static bool is_name(const char *name)
{
    const char *at = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    bool is_in_label = false;

    if (strlen(name) > NAME_BYTES_MAX) {
        return false;
    }
    for (; *at != '\0'; at++) {
        if (is_label_letter(*at)) {
            is_in_label = true;
        } else if (*at == '.' && is_in_label) {
            is_in_label = false;
        } else {
            return false;
        }
    }
    return is_in_label;
}

void fmx_tls_pair_drop(struct fmx_tls_pair *pair)
{
    fmx_tls_cert_drop(pair->cert);
    fmx_tls_cert_drop(pair->cert_rsa);
    *pair = (struct fmx_tls_pair){0};
}

/* Two kinds of keys, or the second is never used. */
static enum fmx_status check_pair(const char *prefix, const struct fmx_tls_pair *pair, char *error,
                                  size_t error_bytes)
{
    if (pair->cert_rsa != NULL && pair->cert_rsa->kind != FMX_TLS_KEY_RSA) {
        return fmx_tls_refuse(error, error_bytes,
                              "%scert_rsa: its key is no RSA key: give it as cert and key", prefix);
    }
    if (pair->cert_rsa != NULL && pair->cert != NULL && pair->cert->kind == FMX_TLS_KEY_RSA) {
        return fmx_tls_refuse(error, error_bytes,
                              "%scert: its key is an RSA key too: beside cert_rsa it must be an "
                              "ECDSA key",
                              prefix);
    }
    return FMX_OK;
}

enum fmx_status fmx_tls_pair_read(const char *prefix, const char *cert, const char *key,
                                  const char *cert_rsa, const char *key_rsa,
                                  struct fmx_tls_pair *out_pair, char *error, size_t error_bytes)
{
    char fields[4][64];
    enum fmx_status status = FMX_OK;

    snprintf(fields[0], sizeof fields[0], "%scert", prefix);
    snprintf(fields[1], sizeof fields[1], "%skey", prefix);
    snprintf(fields[2], sizeof fields[2], "%scert_rsa", prefix);
    snprintf(fields[3], sizeof fields[3], "%skey_rsa", prefix);
    *out_pair = (struct fmx_tls_pair){0};
    if (cert != NULL || key != NULL) {
        status = fmx_tls_cert_read_named(fields[0], cert, fields[1], key, &out_pair->cert, error,
                                         error_bytes);
    }
    if (status == FMX_OK && (cert_rsa != NULL || key_rsa != NULL)) {
        status = fmx_tls_cert_read_named(fields[2], cert_rsa, fields[3], key_rsa,
                                         &out_pair->cert_rsa, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_pair(prefix, out_pair, error, error_bytes);
    }
    if (status != FMX_OK) {
        fmx_tls_pair_drop(out_pair);
    }
    return status;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct fmx_tls_name *)a)->name, ((const struct fmx_tls_name *)b)->name);
}

static enum fmx_status add_name(const struct fmx_tls_server_name *from, size_t index,
                                struct fmx_tls_name *to, char *error, size_t error_bytes)
{
    char prefix[48];

    snprintf(prefix, sizeof prefix, "server_names[%zu].", index);
    if (from->name == NULL || !is_name(from->name)) {
        return fmx_tls_refuse(error, error_bytes,
                              "%sname is '%.100s': write a DNS name, or *. and a DNS name", prefix,
                              from->name == NULL ? "" : from->name);
    }
    if (from->cert == NULL && from->cert_rsa == NULL) {
        return fmx_tls_refuse(error, error_bytes, "%scert is missing: '%.100s' needs a certificate",
                              prefix, from->name);
    }
    to->name = OPENSSL_strdup(from->name);
    if (to->name == NULL) {
        return fmx_tls_no_memory(error, error_bytes);
    }
    for (char *at = to->name; *at != '\0'; at++) {
        *at = small(*at);
    }
    return fmx_tls_pair_read(prefix, from->cert, from->key, from->cert_rsa, from->key_rsa,
                             &to->pair, error, error_bytes);
}

static enum fmx_status add_all(const struct fmx_tls_server_name *names, size_t count,
                               struct fmx_tls_names *out_names, char *error, size_t error_bytes)
{
    for (size_t i = 0; i < count; i++) {
        out_names->count++;
        enum fmx_status status = add_name(&names[i], i, &out_names->all[i], error, error_bytes);
        if (status != FMX_OK) {
            return status;
        }
    }
    qsort(out_names->all, count, sizeof *out_names->all, compare);
    for (size_t i = 1; i < count; i++) {
        if (compare(&out_names->all[i - 1], &out_names->all[i]) == 0) {
            return fmx_tls_refuse(error, error_bytes, "server_names: '%s' stands twice",
                                  out_names->all[i].name);
        }
    }
    return FMX_OK;
}

enum fmx_status fmx_tls_names_open(const struct fmx_tls_server_name *names, size_t count,
                                   struct fmx_tls_names *out_names, char *error, size_t error_bytes)
{
    *out_names = (struct fmx_tls_names){0};
    if (count == 0) {
        return FMX_OK;
    }
    out_names->all = calloc(count, sizeof *out_names->all);
    if (out_names->all == NULL) {
        return fmx_tls_no_memory(error, error_bytes);
    }
    enum fmx_status status = add_all(names, count, out_names, error, error_bytes);
    if (status != FMX_OK) {
        fmx_tls_names_close(out_names);
    }
    return status;
}

void fmx_tls_names_close(struct fmx_tls_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        OPENSSL_free(names->all[i].name);
        fmx_tls_pair_drop(&names->all[i].pair);
    }
    free(names->all);
    *names = (struct fmx_tls_names){0};
}

static const struct fmx_tls_pair *find(const struct fmx_tls_names *names, char *name)
{
    const struct fmx_tls_name key = {.name = name};
    const struct fmx_tls_name *found =
        bsearch(&key, names->all, names->count, sizeof *names->all, compare);

    return found == NULL ? NULL : &found->pair;
}

const struct fmx_tls_pair *fmx_tls_names_find(const struct fmx_tls_names *names, fmx_slice name)
{
    char text[NAME_BYTES_MAX + 2]; /* room for a star before the name */
    char *exact = text + 1;

    if (names->count == 0 || name.bytes == 0 || name.bytes > NAME_BYTES_MAX ||
        memchr(name.data, '\0', name.bytes) != NULL) {
        return NULL;
    }
    for (size_t i = 0; i < name.bytes; i++) {
        exact[i] = small((char)name.data[i]);
    }
    exact[name.bytes] = '\0';
    const struct fmx_tls_pair *pair = find(names, exact);
    char *dot = strchr(exact, '.');
    if (pair != NULL || dot == NULL || dot == exact) {
        return pair;
    }
    dot[-1] = '*';
    return find(names, dot - 1);
}
