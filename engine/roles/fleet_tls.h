/*
 * fleet_tls.h — TLS of clients: in the plan, in certificates, on a connection
 */
#ifndef ENGINE_ROLES_FLEET_TLS_H
#define ENGINE_ROLES_FLEET_TLS_H

#include "engine/roles/fleet.h"
#include "proto/dialect.h"
#include "tls/tls.h"

#define FMX_FLEET_PSK_TIMESTAMP "2524608000000" /* of the C SDKs' PSK identities */

/* What the clients of a team with TLS share: made by open, read-only after. */
struct fmx_fleet_tls {
    struct fmx_tls_client options; /* texts that only open needed are gone; the others are ours */
    struct fmx_tls_context *context;
    char **hosts;                /* of the targets, as a certificate names them */
    struct fmx_tls_cert **certs; /* NULL: none */
    uint32_t certs_count;        /* 1, or one for each client of the group, by number */
    uint32_t psk_key_bytes;
    uint8_t psk_key[FMX_TLS_PSK_BYTES_MAX]; /* FMX_TLS_PSK_GIVEN */
    bool keeps_sessions;
};

/* ── fleet_tls_plan.c ── */

/* FMX_OK or FMX_E_OPTION with words; of a group with TLS. */
enum fmx_status fmx_fleet_tls_check(const struct fmx_fleet_group *group, char *error,
                                    size_t error_bytes) FMX_MUST_USE;

/* The same of what holds variables, filled in with the longest values that they can have. */
enum fmx_status fmx_fleet_tls_check_texts(const struct fmx_fleet_group *group,
                                          const struct fmx_template_values *longest, char *error,
                                          size_t error_bytes) FMX_MUST_USE;

/*
 * Makes team->tls of what the given group says, reads all files. FMX_OK, or as fmx_tls_client_open;
 * closing is allowed either way.
 */
enum fmx_status fmx_fleet_tls_open(struct fmx_fleet_team *team, const struct fmx_fleet_group *group,
                                   char *error, size_t error_bytes) FMX_MUST_USE;
void fmx_fleet_tls_close(struct fmx_fleet_team *team);

/* ── fleet_certs.c ── */

/* Reads what the texts name: one certificate, or each client's. As fmx_tls_cert_read. */
enum fmx_status fmx_fleet_certs_open(struct fmx_fleet_team *team, const char *cert, const char *key,
                                     char *error, size_t error_bytes) FMX_MUST_USE;
void fmx_fleet_certs_close(struct fmx_fleet_tls *tls);

/* ── fleet_tls.c ── */

/* Room for sessions. False: no memory. */
bool fmx_fleet_tls_open_crew(struct fmx_fleet_crew *crew);
void fmx_fleet_tls_close_crew(struct fmx_fleet_crew *crew);

/* Right after the dial: the connection speaks TLS, or ends within this turn. */
void fmx_fleet_tls_begin(struct fmx_conn *conn);
void fmx_fleet_tls_opened(struct fmx_conn *conn);

/* Keeps what the connection leaves to resume. Returns words about its end, or NULL. */
const char *fmx_fleet_tls_closed(struct fmx_conn *conn);

/* Who a client is as a PSK says it. */
struct fmx_fleet_psk {
    size_t identity_bytes;
    size_t key_bytes;
    uint8_t identity[FMX_PSK_IDENTITY_BYTES_MAX];
    uint8_t key[FMX_TLS_PSK_BYTES_MAX]; /* the caller wipes it */
};

/* FMX_OK; FMX_E_ARGUMENT (there is no such device), FMX_TLS_PSK (too long), FMX_LIMIT_MEMORY. */
enum fmx_status fmx_fleet_psk_of(const struct fmx_fleet_team *team, uint32_t number,
                                 struct fmx_fleet_psk *out_psk) FMX_MUST_USE;

#endif
