/*
 * cert.h — certificates in a folder of their own: made as a caller would, read back by BoringSSL
 */
#ifndef FMX_TESTS_SUPPORT_CERT_H
#define FMX_TESTS_SUPPORT_CERT_H

#include "tests/support/run.h"
#include "tests/support/temporary.h"

#include <fleetmux/cert.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define CHAIN_MAX 8u
#define DAY_S     86400

static char top[FMX_TEMPORARY_BYTES];
static char folder[FMX_TEMPORARY_BYTES + 16]; /* a case's own */
static char error[FMX_CERT_ERROR_BYTES];

/* ── files ── */

static inline void new_folder(void)
{
    static unsigned count;

    snprintf(folder, sizeof(folder), "%s/%u", top, ++count);
    CU_ASSERT_EQUAL_FATAL(mkdir(folder, 0755), 0);
}

/* A path in the folder; eight are remembered. */
static inline const char *in_folder(const char *name)
{
    static char paths[8][FMX_TEMPORARY_FILE_BYTES];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static inline unsigned files_count(void)
{
    DIR *listing = opendir(folder);
    unsigned count = 0;

    while (listing != NULL && readdir(listing) != NULL) {
        count++;
    }
    closedir(listing);
    return count - 2;
}

static inline bool is_there(const char *name)
{
    return access(in_folder(name), F_OK) == 0;
}

/* ── making ── */

/* Options for NAME.pem and NAME.key, by the issuer ISSUER.pem and ISSUER.key, or none. */
struct order {
    struct fmx_cert_options options;
    char paths[4][FMX_TEMPORARY_FILE_BYTES];
};

static inline void order_init(struct order *order, const char *name, const char *issuer)
{
    static const char *const ends[] = {"pem", "key"};

    fmx_cert_options_init(&order->options);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(order->paths[i], sizeof(order->paths[i]), "%s/%s.%s", folder,
                 i < 2            ? name
                 : issuer != NULL ? issuer
                                  : "",
                 ends[i % 2]);
    }
    order->options.common_name = name;
    order->options.out_cert = order->paths[0];
    order->options.out_key = order->paths[1];
    if (issuer != NULL) {
        order->options.issuer_cert = order->paths[2];
        order->options.issuer_key = order->paths[3];
    }
}

static inline void make_ordered(const struct order *order)
{
    enum fmx_status status = fmx_cert_make(&order->options, error, sizeof(error));

    if (status != FMX_OK) {
        fprintf(stderr, "%s\n", error);
    }
    CU_ASSERT_EQUAL_FATAL(status, FMX_OK);
}

static inline void make_authority(const char *name, const char *issuer)
{
    struct order order;

    order_init(&order, name, issuer);
    order.options.is_authority = true;
    make_ordered(&order);
}

static const char *const server_names[] = {"localhost", "*.example.com", "127.0.0.1",
                                           "2001:db8::1"};

static inline void make_server(const char *name, const char *issuer, enum fmx_cert_key key)
{
    struct order order;

    order_init(&order, name, issuer);
    order.options.key = key;
    order.options.names = server_names;
    order.options.names_count = 4;
    make_ordered(&order);
}

static inline void make_client(const char *name, const char *issuer)
{
    struct order order;

    order_init(&order, name, issuer);
    order.options.is_client = true;
    order.options.organization = "a1Product";
    make_ordered(&order);
}

/* ── reading ── */

struct chain {
    X509 *all[CHAIN_MAX];
    size_t count;
    EVP_PKEY *key;
};

static inline void read_chain(const char *name, struct chain *out_chain)
{
    char file_name[64];

    *out_chain = (struct chain){0};
    snprintf(file_name, sizeof(file_name), "%s.pem", name);
    FILE *file = fopen(in_folder(file_name), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    X509 *x509;
    while (out_chain->count < CHAIN_MAX && (x509 = PEM_read_X509(file, NULL, NULL, NULL)) != NULL) {
        out_chain->all[out_chain->count++] = x509;
    }
    fclose(file);
    snprintf(file_name, sizeof(file_name), "%s.key", name);
    file = fopen(in_folder(file_name), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    out_chain->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    ERR_clear_error();
    CU_ASSERT_FATAL(out_chain->count > 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out_chain->key);
    CU_ASSERT_EQUAL(X509_check_private_key(out_chain->all[0], out_chain->key), 1);
}

static inline void drop_chain(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        X509_free(chain->all[i]);
    }
    EVP_PKEY_free(chain->key);
}

/* BoringSSL's verdict on NAME.pem, as a peer that trusts AUTHORITY.pem alone: X509_V_… */
static inline int verdict(const char *name, const char *authority, int purpose, const char *host,
                          const char *address)
{
    struct chain chain, trusted;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *others = sk_X509_new_null();

    read_chain(name, &chain);
    read_chain(authority, &trusted);
    X509_STORE_add_cert(store, trusted.all[0]);
    for (size_t i = 1; i < chain.count; i++) {
        sk_X509_push(others, chain.all[i]);
    }
    CU_ASSERT_EQUAL(X509_STORE_CTX_init(context, store, chain.all[0], others), 1);
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    if (host != NULL) {
        X509_VERIFY_PARAM_set1_host(param, host, strlen(host));
    }
    if (address != NULL) {
        X509_VERIFY_PARAM_set1_ip_asc(param, address);
    }
    int result = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    sk_X509_free(others);
    drop_chain(&chain);
    drop_chain(&trusted);
    ERR_clear_error();
    return result;
}

static inline bool is_critical(X509 *x509, int nid)
{
    int at = X509_get_ext_by_NID(x509, nid, -1);

    CU_ASSERT(at >= 0);
    CU_ASSERT(X509_get_ext_by_NID(x509, nid, at) < 0);
    return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x509, at));
}

/* Seconds from now to a time, give or take what a slow machine needs. */
static inline bool is_about(const ASN1_TIME *time, int64_t seconds)
{
    int days, rest;

    CU_ASSERT_EQUAL(ASN1_TIME_diff(&days, &rest, NULL, time), 1);
    int64_t difference = (int64_t)days * DAY_S + rest - seconds;
    return difference > -600 && difference < 600;
}

static inline bool subject_is(X509 *x509, const char *text)
{
    char *line = X509_NAME_oneline(X509_get_subject_name(x509), NULL, 0);
    bool is_same = strcmp(line, text) == 0;

    OPENSSL_free(line);
    return is_same;
}

/* ── the frame ── */

static inline int run_in_folder(const char *suite, const struct fmx_test_case *cases, size_t count,
                                int argc, char **argv)
{
    char command[FMX_TEMPORARY_BYTES + 16];

    fmx_temporary_path(top, sizeof(top), "fmx_cert_XXXXXX");
    if (mkdtemp(top) == NULL) {
        perror(top);
        return 1;
    }
    int result = fmx_test_main(suite, cases, count, argc, argv);
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    return system(command) == 0 ? result : 1;
}

#endif
