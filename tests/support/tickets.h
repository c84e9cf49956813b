/*
 * tickets.h — files of ticket keys in a folder of their own, and tickets as BoringSSL makes them
 */
#ifndef FMX_TESTS_SUPPORT_TICKETS_H
#define FMX_TESTS_SUPPORT_TICKETS_H

#include "tests/support/run.h"
#include "tests/support/temporary.h"
#include "tls/internal.h"

#include <openssl/cipher.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define PERIOD_S   100u
#define TEXT_BYTES 1024u

static char folder[FMX_TEMPORARY_BYTES];
static char path[FMX_TEMPORARY_FILE_BYTES];
static char beside[sizeof(path) + 8]; /* where the file is written before it has its name */
static char error[512];

/* ── files ── */

static inline void new_path(void)
{
    static unsigned count;

    snprintf(path, sizeof(path), "%s/%u.keys", folder, ++count);
    snprintf(beside, sizeof(beside), "%s-new", path);
    error[0] = '\0';
}

static inline void write_text(const char *text)
{
    FILE *file = fopen(path, "w");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
}

static inline void read_text(char text[TEXT_BYTES])
{
    FILE *file = fopen(path, "r");
    size_t bytes = file != NULL ? fread(text, 1, TEXT_BYTES - 1, file) : 0;

    text[bytes] = '\0';
    if (file != NULL) {
        fclose(file);
    }
}

/* What the file holds, in words of its own, so that the test does not believe the code. */
struct file {
    unsigned long long since_s[3];
    char names[3][33];
};

static inline struct file parsed(void)
{
    char text[TEXT_BYTES];
    struct file file = {0};
    int used = 0;

    read_text(text);
    int count = sscanf(text,
                       "# fleetmux TLS ticket keys, format 1; who has them can read resumed "
                       "sessions previous %llu %32[0-9a-f] %*64[0-9a-f] %*64[0-9a-f] current %llu "
                       "%32[0-9a-f] %*64[0-9a-f] %*64[0-9a-f] next %llu %32[0-9a-f] "
                       "%*64[0-9a-f] %*64[0-9a-f] %n",
                       &file.since_s[0], file.names[0], &file.since_s[1], file.names[1],
                       &file.since_s[2], file.names[2], &used);
    CU_ASSERT_EQUAL(count, 6);
    CU_ASSERT_EQUAL((size_t)used, strlen(text));
    CU_ASSERT_EQUAL(strlen(file.names[0]) + strlen(file.names[1]) + strlen(file.names[2]), 96);
    return file;
}

static inline bool is_one_on(const struct file *before, const struct file *after)
{
    return strcmp(after->names[0], before->names[1]) == 0 &&
           strcmp(after->names[1], before->names[2]) == 0 &&
           strcmp(after->names[2], before->names[0]) != 0;
}

static inline uint64_t now_s(void)
{
    return (uint64_t)time(NULL);
}

/* ── tickets ── */

struct ticket {
    uint8_t name[16];
    uint8_t iv[16];
    uint8_t content[32];
    uint8_t mac[32];
};

static const uint8_t session_secret[16] = "a session's key";

/* What BoringSSL does with what the callback has filled in. Returns what that has returned. */
static inline int seal_or_open(struct fmx_tls_tickets *tickets, struct ticket *ticket, bool is_new,
                               bool *out_is_ours)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    HMAC_CTX *hmac = HMAC_CTX_new();
    uint8_t out[64], mac[32];
    int count = 0, rest = 0;
    unsigned mac_bytes = 0;
    bool is_ours = false;

    int result = fmx_tls_tickets_apply(tickets, ticket->name, ticket->iv, cipher, hmac, is_new);
    if (result > 0) {
        if (is_new) {
            is_ours =
                EVP_EncryptUpdate(cipher, out, &count, session_secret, sizeof(session_secret)) &&
                EVP_EncryptFinal_ex(cipher, out + count, &rest) &&
                count + rest == (int)sizeof(ticket->content);
            memcpy(ticket->content, out, sizeof(ticket->content));
        }
        is_ours = (is_ours || !is_new) &&
                  HMAC_Update(hmac, ticket->content, sizeof(ticket->content)) &&
                  HMAC_Final(hmac, mac, &mac_bytes) && mac_bytes == sizeof(mac);
        if (is_new) {
            memcpy(ticket->mac, mac, sizeof(mac));
        } else {
            is_ours =
                is_ours && memcmp(ticket->mac, mac, sizeof(mac)) == 0 &&
                EVP_DecryptUpdate(cipher, out, &count, ticket->content, sizeof(ticket->content)) &&
                EVP_DecryptFinal_ex(cipher, out + count, &rest) &&
                count + rest == (int)sizeof(session_secret) &&
                memcmp(out, session_secret, sizeof(session_secret)) == 0;
        }
    }
    EVP_CIPHER_CTX_free(cipher);
    HMAC_CTX_free(hmac);
    *out_is_ours = is_ours;
    return result;
}

static inline struct ticket made(struct fmx_tls_tickets *tickets)
{
    struct ticket ticket = {0};
    bool is_ours = false;

    CU_ASSERT_EQUAL(seal_or_open(tickets, &ticket, true, &is_ours), 1);
    CU_ASSERT_TRUE(is_ours);
    return ticket;
}

/* 1, 2 or 0 as the callback says; -1 if a ticket that is taken does not open. */
static inline int taken(struct fmx_tls_tickets *tickets, const struct ticket *ticket)
{
    struct ticket copy = *ticket;
    bool is_ours = false;
    int result = seal_or_open(tickets, &copy, false, &is_ours);

    return result > 0 && !is_ours ? -1 : result;
}

static inline struct fmx_tls_tickets *opened(const char *file)
{
    struct fmx_tls_tickets *tickets = NULL;
    enum fmx_status status = fmx_tls_tickets_open(file, PERIOD_S, &tickets, error, sizeof(error));

    if (status != FMX_OK) {
        fprintf(stderr, "%s\n", error);
    }
    CU_ASSERT_EQUAL_FATAL(status, FMX_OK);
    return tickets;
}

static inline enum fmx_status look(struct fmx_tls_tickets *tickets, uint64_t unix_s)
{
    error[0] = '\0';
    return fmx_tls_tickets_look(tickets, unix_s, error, sizeof(error));
}

/* ── the frame ── */

static inline int run_in_folder(const char *suite, const struct fmx_test_case *cases, size_t count,
                                int argc, char **argv)
{
    char command[FMX_TEMPORARY_BYTES + 16];

    fmx_temporary_path(folder, sizeof(folder), "fmx_tickets_XXXXXX");
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    int result = fmx_test_main(suite, cases, count, argc, argv);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command) == 0 ? result : 1;
}

#endif
