/*
 * fleet_certs — the certificates that clients show, read before anything runs
 *
 * Why it is so:   a shard never waits for a disk, and a missing file is better told before the
 *                 first connect than by one of a million clients. So all of them are read when the
 *                 fleet is opened, and kept parsed: connections of a client share its own. Several
 *                 threads do it, and a line says how far they are if it takes long
 * Words:          block: some clients in a row, taken by a thread at once
 * Invariants:     (1) of several bad files that of the lowest number is told, so that a second run
 *                 tells the same: a thread that has begun a block before a bad one ends it
 * Memory:         one certificate for all, or for each client a pointer and one
 * Threads:        the opener and its helpers; what they share is behind one lock, but for the
 *                 array, of which each client's place is written by one of them
 * Limits:         THREADS_MAX threads
 * Not here:       what a certificate may be: tls/
 */
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_tls.h"

#include "engine/clock.h"
#include "engine/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX   8u
#define BLOCK_CLIENTS 32u
#define TELL_EVERY_NS (2 * FMX_NS_PER_S)
#define ERROR_BYTES   1280u

struct reading {
    const struct fmx_fleet_group *group;
    const struct fmx_mux_options *mux; /* for its log */
    uint32_t part;                     /* clients of other processes need none */
    uint32_t parts_count;
    const char *cert;
    const char *key;
    struct fmx_tls_cert **certs;
    pthread_mutex_t lock; /* of all below */
    uint32_t next;        /* the first client that nobody has taken */
    uint32_t done;
    uint32_t bad_number; /* UINT32_MAX: none */
    enum fmx_status status;
    char error[ERROR_BYTES];
};

/* ── one client ── */

/* A template that was checked: what is filled in has room for its end. */
static bool fill_path(const struct fmx_fleet_group *group, uint32_t number, const char *text,
                      char path[FMX_TEMPLATE_BYTES_MAX + 1])
{
    fmx_slice filled;

    if (!fmx_fleet_fill_any(group, number, text, (uint8_t *)path, &filled)) {
        return false;
    }
    path[filled.bytes] = '\0';
    return true;
}

static enum fmx_status read_one(const struct reading *reading, uint32_t number, char *error,
                                size_t error_bytes)
{
    const struct fmx_fleet_group *group = reading->group;
    char cert[FMX_TEMPLATE_BYTES_MAX + 1];
    char key[FMX_TEMPLATE_BYTES_MAX + 1];

    if (!fill_path(group, number, reading->cert, cert) ||
        !fill_path(group, number, reading->key, key)) {
        snprintf(error, error_bytes, "no device has this number");
        return FMX_E_OPTION;
    }
    char words[ERROR_BYTES] = "";
    enum fmx_status status =
        fmx_tls_cert_read(cert, key, &reading->certs[number], words, sizeof(words));
    if (status != FMX_OK) {
        snprintf(error, error_bytes, "%s%s", status != FMX_LIMIT_MEMORY ? "tls." : "", words);
    }
    return status;
}

/* ── all of them ── */

/* False: nothing is left to do. */
static bool take_block(struct reading *reading, uint32_t *out_first, uint32_t *out_end)
{
    uint32_t count = reading->group->clients_count;

    pthread_mutex_lock(&reading->lock);
    bool has_more = reading->next < count && reading->bad_number == UINT32_MAX;
    *out_first = reading->next;
    *out_end = count - reading->next < BLOCK_CLIENTS ? count : reading->next + BLOCK_CLIENTS;
    if (has_more) {
        reading->next = *out_end;
    }
    pthread_mutex_unlock(&reading->lock);
    return has_more;
}

static void note_bad(struct reading *reading, uint32_t number, enum fmx_status status,
                     const char *error)
{
    pthread_mutex_lock(&reading->lock);
    if (number < reading->bad_number) {
        reading->bad_number = number;
        reading->status = status;
        memcpy(reading->error, error, ERROR_BYTES);
    }
    pthread_mutex_unlock(&reading->lock);
}

static void read_block(struct reading *reading, uint32_t first, uint32_t end)
{
    char error[ERROR_BYTES] = "";

    for (uint32_t number = first; number < end; number++) {
        bool is_ours = number % reading->parts_count == reading->part;
        enum fmx_status status = is_ours ? read_one(reading, number, error, sizeof(error)) : FMX_OK;
        if (status != FMX_OK) {
            note_bad(reading, number, status, error);
            return;
        }
    }
    pthread_mutex_lock(&reading->lock);
    reading->done += end - first;
    pthread_mutex_unlock(&reading->lock);
}

static void *help(void *user)
{
    struct reading *reading = user;
    uint32_t first;
    uint32_t end;

    while (take_block(reading, &first, &end)) {
        read_block(reading, first, end);
    }
    return NULL;
}

/* What helpers do, and a line now and then. */
static void read_and_tell(struct reading *reading)
{
    uint64_t tell_ns = fmx_clock_ns() + TELL_EVERY_NS;
    struct fmx_log log;
    uint32_t first;
    uint32_t end;

    fmx_log_init(&log, reading->mux);
    while (take_block(reading, &first, &end)) {
        read_block(reading, first, end);
        if (fmx_clock_ns() >= tell_ns) {
            pthread_mutex_lock(&reading->lock);
            uint32_t done = reading->done;
            pthread_mutex_unlock(&reading->lock);
            fmx_log_line(&log, FMX_LOG_WARN,
                         "reading certificates takes its time: those of %u of %u clients so far",
                         done, reading->group->clients_count);
            tell_ns = fmx_clock_ns() + TELL_EVERY_NS;
        }
    }
}

static void read_all(struct reading *reading)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t blocks = reading->group->clients_count / BLOCK_CLIENTS;
    pthread_t helpers[THREADS_MAX];
    uint32_t count = 0;

    while (count + 1 < THREADS_MAX && count + 1 < (uint32_t)processors && count < blocks &&
           pthread_create(&helpers[count], NULL, help, reading) == 0) {
        count++; /* without helpers it takes longer, that is all */
    }
    read_and_tell(reading);
    while (count > 0) {
        pthread_join(helpers[--count], NULL);
    }
}

static enum fmx_status read_for_each(struct fmx_fleet_team *team, const char *cert, const char *key,
                                     char *error, size_t error_bytes)
{
    struct reading reading = {.group = &team->plan,
                              .mux = &team->fleet->plan.mux,
                              .part = team->fleet->plan.part,
                              .parts_count = team->fleet->plan.parts_count,
                              .cert = cert,
                              .key = key,
                              .certs = team->tls->certs,
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .bad_number = UINT32_MAX};

    read_all(&reading);
    pthread_mutex_destroy(&reading.lock);
    if (reading.bad_number != UINT32_MAX) {
        snprintf(error, error_bytes, "client %llu: %s",
                 (unsigned long long)team->plan.first_number + reading.bad_number, reading.error);
        return reading.status;
    }
    return FMX_OK;
}

/* "%%" is a percent sign in this text too. */
static enum fmx_status read_for_all(struct fmx_fleet_team *team, const char *cert, const char *key,
                                    char *error, size_t error_bytes)
{
    const struct reading reading = {
        .group = &team->plan, .cert = cert, .key = key, .certs = team->tls->certs};

    return read_one(&reading, 0, error, error_bytes);
}

enum fmx_status fmx_fleet_certs_open(struct fmx_fleet_team *team, const char *cert, const char *key,
                                     char *error, size_t error_bytes)
{
    struct fmx_fleet_tls *tls = team->tls;
    bool is_each = fmx_template_has_variables(cert);

    tls->certs_count = is_each ? team->plan.clients_count : 1;
    tls->certs = calloc(tls->certs_count, sizeof(struct fmx_tls_cert *));
    if (tls->certs == NULL) {
        snprintf(error, error_bytes, "no memory for the certificates of %u clients",
                 tls->certs_count);
        return FMX_LIMIT_MEMORY;
    }
    return is_each ? read_for_each(team, cert, key, error, error_bytes)
                   : read_for_all(team, cert, key, error, error_bytes);
}

void fmx_fleet_certs_close(struct fmx_fleet_tls *tls)
{
    for (uint32_t i = 0; tls->certs != NULL && i < tls->certs_count; i++) {
        fmx_tls_cert_drop(tls->certs[i]);
    }
    free((void *)tls->certs);
}
