/*
 * gateway_tls — what listeners offer: files to contexts, at the start and at each reload
 *
 * Why it is so:   contexts are made, never changed: a reload makes all of them anew and hands them
 *                 to the shards, and the old ones live as long as their last connection does. Keys
 *                 of tickets are the exception: they turn while a context lives, so they outlive
 *                 all contexts, and one thread that may wait for a disk looks after them
 * Words:          offer: one of options.tls with what was made of it; ring: the keys of tickets of
 *                 one file, or of one offer without a file
 * Invariants:     (1) settings are copied whole at open, so that a reload reads the same paths
 *                 (2) a reload that fails has changed no context  (3) a ring is looked at by one
 *                 thread at a time, under `lock`
 * Memory:         settings, rings; a context from open to the next reload
 * Threads:        open, start, stop, close: one; fmx_gateway_reload: any, one at a time; "fmx-tls":
 *                 only if there are rings, from start to stop
 * Limits:         FMX_TLS_SETTINGS_MAX offers; a reload waits at most FULL_TRIES pauses for shards
 *                 that take no messages
 * Not here:       what is in a context: tls/context.c; the keys themselves: tls/tickets.c
 */
#include "engine/roles/channel.h"
#include "engine/roles/gateway.h"

#include "engine/clock.h"
#include "tls/hmac.h"
#include "tls/tickets.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_S        30 /* other processes' turns of the keys are seen within that time */
#define FULL_TRIES    1000u
#define FULL_PAUSE_NS 1000000
#define WORDS_BYTES   512u
#define SCOPE_BYTES   32u

struct ring {
    const char *file; /* of the first offer that names it; NULL: none */
    struct fmx_tls_tickets *tickets;
    char words[WORDS_BYTES]; /* what is wrong with it; empty: nothing */
};

struct offer {
    struct fmx_tls_server settings;
    struct fmx_tls_server_name *names;
    char *text;                      /* what all strings of the settings lie in */
    struct fmx_tls_tickets *tickets; /* of a ring; NULL: sessions are not resumed */
    struct fmx_tls_context *context;
};

struct fmx_gateway_tls {
    struct fmx_gateway *gateway;
    struct offer offers[FMX_TLS_SETTINGS_MAX];
    uint32_t offers_count;
    struct ring rings[FMX_TLS_SETTINGS_MAX];
    uint32_t rings_count;
    uint32_t settings_of[FMX_LISTENERS_MAX]; /* by listener; from start on */
    size_t listeners_count;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* is_running, rings, and contexts while the gateway runs */
    pthread_cond_t changed;
    bool is_running;
    _Atomic uint64_t reloads; /* written under the lock, read by anyone */
};

static const struct fmx_log *log_of(const struct fmx_gateway_tls *tls)
{
    return fmx_mux_log(tls->gateway->mux);
}

static enum fmx_status no_memory(char *error, size_t error_bytes)
{
    snprintf(error, error_bytes, "no memory");
    return FMX_LIMIT_MEMORY;
}

/* ── copies ── */

/* Counts texts, and once there is room, moves them there. */
struct mover {
    char *room; /* NULL: only count */
    size_t bytes;
};

static void move(struct mover *mover, const char **text)
{
    if (*text == NULL) {
        return;
    }
    size_t bytes = strlen(*text) + 1;
    if (mover->room != NULL) {
        memcpy(mover->room + mover->bytes, *text, bytes);
        *text = mover->room + mover->bytes;
    }
    mover->bytes += bytes;
}

static void move_all(struct mover *mover, struct offer *offer)
{
    struct fmx_tls_server *settings = &offer->settings;
    const char **const texts[] = {
        &settings->name,     &settings->cert,        &settings->key,     &settings->cert_rsa,
        &settings->key_rsa,  &settings->suites,      &settings->key_log, &settings->client_ca,
        &settings->psk_file, &settings->ticket_keys,
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        move(mover, texts[i]);
    }
    for (size_t i = 0; i < settings->server_names_count; i++) {
        struct fmx_tls_server_name *name = &offer->names[i];
        const char **const more[] = {&name->name, &name->cert, &name->key, &name->cert_rsa,
                                     &name->key_rsa};
        for (size_t j = 0; j < sizeof(more) / sizeof(more[0]); j++) {
            move(mover, more[j]);
        }
    }
}

static enum fmx_status copy_settings(struct offer *offer, const struct fmx_tls_server *settings)
{
    struct mover mover = {0};
    size_t names_bytes = settings->server_names_count * sizeof(offer->names[0]);

    offer->settings = *settings;
    offer->settings.server_names = NULL;
    if (names_bytes > 0) {
        offer->names = malloc(names_bytes);
        if (offer->names == NULL) {
            return FMX_LIMIT_MEMORY;
        }
        memcpy(offer->names, settings->server_names, names_bytes);
        offer->settings.server_names = offer->names;
    }
    move_all(&mover, offer);
    offer->text = malloc(mover.bytes + 1);
    if (offer->text == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    mover = (struct mover){.room = offer->text};
    move_all(&mover, offer);
    return FMX_OK;
}

/* ── rings ── */

static bool wants_tickets(const struct fmx_tls_server *settings)
{
    return settings->tickets && settings->client_auth == FMX_TLS_CLIENT_AUTH_NONE;
}

/* Certificates are looked at anew each time: their term may have ended meanwhile. */
static enum fmx_status open_ring(struct fmx_gateway_tls *tls, struct offer *offer, char *error,
                                 size_t error_bytes)
{
    const char *file = offer->settings.ticket_keys;

    if (!wants_tickets(&offer->settings)) {
        return FMX_OK;
    }
    for (uint32_t i = 0; file != NULL && i < tls->rings_count; i++) {
        if (tls->rings[i].file != NULL && strcmp(tls->rings[i].file, file) == 0) {
            offer->tickets = tls->rings[i].tickets;
            return FMX_OK;
        }
    }
    struct ring *ring = &tls->rings[tls->rings_count];
    enum fmx_status status = fmx_tls_tickets_open(file, offer->settings.ticket_rotate_s,
                                                  &ring->tickets, error, error_bytes);
    if (status == FMX_OK) {
        ring->file = file;
        offer->tickets = ring->tickets;
        tls->rings_count++;
    }
    return status;
}

/* Says what is wrong once, and once that it is over. Under the lock. */
static void look_at(struct fmx_gateway_tls *tls, struct ring *ring)
{
    char words[WORDS_BYTES] = "";
    enum fmx_status status =
        fmx_tls_tickets_look(ring->tickets, fmx_clock_unix_ms() / 1000u, words, sizeof(words));

    if (status == FMX_OK && ring->words[0] != '\0') {
        fmx_log_line(log_of(tls), FMX_LOG_INFO, "tls: ticket keys %s are read again",
                     ring->file == NULL ? "in memory" : ring->file);
        ring->words[0] = '\0';
    } else if (status != FMX_OK && strcmp(words, ring->words) != 0) {
        fmx_log_line(log_of(tls), FMX_LOG_WARN, "tls: %s; the keys in use stay", words);
        memcpy(ring->words, words, sizeof(words));
    }
}

static void *look_after_rings(void *argument)
{
    struct fmx_gateway_tls *tls = argument;
    struct timespec until;

    (void)pthread_setname_np(pthread_self(), "fmx-tls");
    pthread_mutex_lock(&tls->lock);
    while (tls->is_running) {
        for (uint32_t i = 0; i < tls->rings_count; i++) {
            look_at(tls, &tls->rings[i]);
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_S;
        while (tls->is_running && pthread_cond_timedwait(&tls->changed, &tls->lock, &until) == 0) {
        }
    }
    pthread_mutex_unlock(&tls->lock);
    return NULL;
}

/* ── contexts ── */

/* The same in every process and after every start, so that tickets are good there too. */
static enum fmx_status make_scope(const struct fmx_tls_server *settings, uint8_t out[SCOPE_BYTES])
{
    const char *name = settings->name == NULL ? "" : settings->name;
    uint8_t content[FMX_TLS_NAME_MAX + 2];
    size_t bytes = strlen(name);

    FMX_ASSERT(bytes <= FMX_TLS_NAME_MAX);
    memcpy(content, name, bytes);
    content[bytes] = (uint8_t)settings->client_auth;
    content[bytes + 1] = (uint8_t)settings->psk;
    return fmx_hmac(FMX_HMAC_SHA256, fmx_slice_of("fleetmux tls settings"),
                    (fmx_slice){.data = content, .bytes = bytes + 2}, out, &bytes);
}

static enum fmx_status open_context(const struct fmx_gateway_tls *tls, const struct offer *offer,
                                    struct fmx_tls_context **out_context, char *error,
                                    size_t error_bytes)
{
    uint8_t scope[SCOPE_BYTES];
    char label[FMX_TLS_LABEL_BYTES];
    char words[WORDS_BYTES] = "";
    const struct fmx_tls_psk_source psk = {
        .key = offer->settings.psk ? fmx_channel_psk_key : NULL,
        .user = tls->gateway,
    };

    if (make_scope(&offer->settings, scope) != FMX_OK) {
        return no_memory(error, error_bytes);
    }
    enum fmx_status status = fmx_tls_server_open(&offer->settings, offer->tickets,
                                                 (fmx_slice){.data = scope, .bytes = sizeof(scope)},
                                                 &psk, out_context, words, sizeof(words));
    if (status != FMX_OK) {
        snprintf(error, error_bytes, "%s: %s", fmx_gateway_tls_label(&offer->settings, label),
                 words);
    }
    return status;
}

struct fmx_tls_context *fmx_gateway_tls_context(const struct fmx_gateway_tls *tls,
                                                uint32_t settings)
{
    return settings == FMX_TLS_NO_SETTINGS ? NULL : tls->offers[settings].context;
}

/* ── open and close ── */

static enum fmx_status open_offer(struct fmx_gateway_tls *tls,
                                  const struct fmx_tls_server *settings, char *error,
                                  size_t error_bytes)
{
    struct offer *offer = &tls->offers[tls->offers_count++];
    char label[FMX_TLS_LABEL_BYTES];
    char words[WORDS_BYTES] = "";

    if (copy_settings(offer, settings) != FMX_OK) {
        return no_memory(error, error_bytes);
    }
    enum fmx_status status = open_ring(tls, offer, words, sizeof(words));
    if (status != FMX_OK) {
        snprintf(error, error_bytes, "%s: %s", fmx_gateway_tls_label(settings, label), words);
        return status;
    }
    return open_context(tls, offer, &offer->context, error, error_bytes);
}

static void init_lock(struct fmx_gateway_tls *tls)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&tls->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&tls->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum fmx_status fmx_gateway_tls_open(struct fmx_gateway *gateway,
                                     const struct fmx_gateway_options *options,
                                     struct fmx_gateway_tls **out_tls, char *error,
                                     size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    *out_tls = NULL;
    if (options->tls_count == 0) {
        return FMX_OK;
    }
    struct fmx_gateway_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return no_memory(error, error_bytes);
    }
    tls->gateway = gateway;
    init_lock(tls);
    for (size_t i = 0; status == FMX_OK && i < options->tls_count; i++) {
        status = open_offer(tls, &options->tls[i], error, error_bytes);
    }
    if (status != FMX_OK) {
        fmx_gateway_tls_close(tls);
        return status;
    }
    *out_tls = tls;
    return FMX_OK;
}

void fmx_gateway_tls_close(struct fmx_gateway_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    fmx_gateway_tls_stop(tls);
    for (uint32_t i = 0; i < tls->offers_count; i++) {
        fmx_tls_context_drop(tls->offers[i].context);
        free(tls->offers[i].names);
        free(tls->offers[i].text);
    }
    for (uint32_t i = 0; i < tls->rings_count; i++) {
        fmx_tls_tickets_close(tls->rings[i].tickets);
    }
    pthread_cond_destroy(&tls->changed);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

/* ── start and stop ── */

static void say_unusual(const struct fmx_gateway_tls *tls, const struct offer *offer)
{
    const struct fmx_tls_server *settings = &offer->settings;
    const struct fmx_log *log = log_of(tls);
    char label[FMX_TLS_LABEL_BYTES];

    (void)fmx_gateway_tls_label(settings, label);
    if (settings->key_log != NULL) {
        fmx_log_line(log, FMX_LOG_WARN,
                     "%s: key_log: the secrets of every connection are written to %s; whoever "
                     "reads it reads all that is said",
                     label, settings->key_log);
    }
    if (settings->old_suites) {
        fmx_log_line(log, FMX_LOG_INFO,
                     "%s: old_suites: static RSA and CBC are taken; what is recorded today can be "
                     "read by whoever gets the server's key",
                     label);
    }
    if (settings->psk) {
        fmx_log_line(log, FMX_LOG_INFO, "%s: psk: devices may show their secrets as PSKs", label);
    }
    if (settings->psk_file != NULL) {
        fmx_log_line(log, FMX_LOG_INFO, "%s: psk_file: PSKs of %s are taken", label,
                     settings->psk_file);
    }
}

/* A listener for versions that nobody should speak any more. */
static void say_old_versions(const struct fmx_gateway_tls *tls, size_t listener)
{
    const struct offer *offer = &tls->offers[tls->settings_of[listener]];
    char label[FMX_TLS_LABEL_BYTES];

    if (offer->settings.min < FMX_TLS_12) {
        fmx_log_line(log_of(tls), FMX_LOG_WARN,
                     "listener %zu: %s takes %s, which is broken; for devices that cannot do "
                     "better only",
                     listener + 1, fmx_gateway_tls_label(&offer->settings, label),
                     fmx_tls_version_name(offer->settings.min));
    }
}

/* Signals are for other threads. */
static bool start_thread(struct fmx_gateway_tls *tls)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    tls->has_thread = pthread_create(&tls->thread, NULL, look_after_rings, tls) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return tls->has_thread;
}

enum fmx_status fmx_gateway_tls_start(struct fmx_gateway_tls *tls,
                                      const struct fmx_gateway_listener *listeners,
                                      size_t listeners_count, char *error, size_t error_bytes)
{
    if (tls == NULL) {
        return FMX_OK;
    }
    for (uint32_t i = 0; i < tls->offers_count; i++) {
        say_unusual(tls, &tls->offers[i]);
    }
    tls->listeners_count = listeners_count;
    for (size_t i = 0; i < listeners_count; i++) {
        tls->settings_of[i] = listeners[i].settings;
        if (listeners[i].settings != FMX_TLS_NO_SETTINGS) {
            say_old_versions(tls, i);
        }
    }
    tls->is_running = true;
    if (tls->rings_count > 0 && !start_thread(tls)) {
        tls->is_running = false;
        snprintf(error, error_bytes, "the thread for ticket keys cannot be started");
        return FMX_SYS_THREAD;
    }
    return FMX_OK;
}

void fmx_gateway_tls_stop(struct fmx_gateway_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    pthread_mutex_lock(&tls->lock);
    tls->is_running = false;
    pthread_cond_broadcast(&tls->changed);
    pthread_mutex_unlock(&tls->lock);
    if (tls->has_thread) {
        pthread_join(tls->thread, NULL);
        tls->has_thread = false;
    }
}

uint64_t fmx_gateway_tls_reloads(const struct fmx_gateway_tls *tls)
{
    /* relaxed: a number, nothing hangs on it */
    return tls == NULL ? 0 : atomic_load_explicit(&tls->reloads, memory_order_relaxed);
}

/* ── reload ── */

static void drop_all(struct fmx_tls_context *contexts[FMX_TLS_SETTINGS_MAX])
{
    for (uint32_t i = 0; i < FMX_TLS_SETTINGS_MAX; i++) {
        fmx_tls_context_drop(contexts[i]);
        contexts[i] = NULL;
    }
}

/* All contexts anew, and rings that are up to date. */
static enum fmx_status read_again(struct fmx_gateway_tls *tls,
                                  struct fmx_tls_context *contexts[FMX_TLS_SETTINGS_MAX],
                                  char *error, size_t error_bytes)
{
    enum fmx_status status = FMX_OK;

    for (uint32_t i = 0; status == FMX_OK && i < tls->offers_count; i++) {
        status = open_context(tls, &tls->offers[i], &contexts[i], error, error_bytes);
    }
    for (uint32_t i = 0; status == FMX_OK && i < tls->rings_count; i++) {
        status = fmx_tls_tickets_look(tls->rings[i].tickets, fmx_clock_unix_ms() / 1000u, error,
                                      error_bytes);
    }
    return status;
}

static enum fmx_status hand_out_one(struct fmx_mux_caller *caller, size_t listener,
                                    struct fmx_tls_context *context, uint32_t *tries)
{
    const struct timespec pause = {.tv_nsec = FULL_PAUSE_NS};
    enum fmx_status status = fmx_mux_renew_tls(caller, listener, context);

    while (status == FMX_FULL && *tries > 0) {
        (*tries)--;
        nanosleep(&pause, NULL);
        status = fmx_mux_renew_tls(caller, listener, context);
    }
    return status;
}

static enum fmx_status hand_out(struct fmx_gateway_tls *tls,
                                struct fmx_tls_context *contexts[FMX_TLS_SETTINGS_MAX], char *error,
                                size_t error_bytes)
{
    struct fmx_mux_caller *caller;
    uint32_t tries = FULL_TRIES;
    enum fmx_status status = fmx_mux_caller_open(tls->gateway->mux, &caller);

    if (status != FMX_OK) {
        return no_memory(error, error_bytes);
    }
    for (size_t i = 0; status == FMX_OK && i < tls->listeners_count; i++) {
        if (tls->settings_of[i] != FMX_TLS_NO_SETTINGS) {
            status = hand_out_one(caller, i, contexts[tls->settings_of[i]], &tries);
        }
    }
    fmx_mux_caller_close(caller);
    if (status != FMX_OK) {
        snprintf(error, error_bytes,
                 "shards take no messages: some listeners may have the new files; try again");
    }
    return status;
}

static enum fmx_status reload(struct fmx_gateway_tls *tls, char *error, size_t error_bytes)
{
    struct fmx_tls_context *contexts[FMX_TLS_SETTINGS_MAX] = {NULL};
    enum fmx_status status = read_again(tls, contexts, error, error_bytes);

    if (status == FMX_OK) {
        status = hand_out(tls, contexts, error, error_bytes);
    }
    if (status != FMX_OK) {
        drop_all(contexts);
        return status;
    }
    for (uint32_t i = 0; i < tls->offers_count; i++) {
        fmx_tls_context_drop(tls->offers[i].context);
        tls->offers[i].context = contexts[i];
    }
    atomic_store_explicit(&tls->reloads, fmx_gateway_tls_reloads(tls) + 1, memory_order_relaxed);
    return FMX_OK;
}

enum fmx_status fmx_gateway_reload(struct fmx_gateway *gateway, char *error, size_t error_bytes)
{
    struct fmx_gateway_tls *tls = gateway->tls;

    if (tls == NULL) {
        snprintf(error, error_bytes, "there is no TLS here: nothing to read again");
        return FMX_E_STATE;
    }
    pthread_mutex_lock(&tls->lock);
    enum fmx_status status = FMX_E_STATE;
    if (tls->is_running) {
        status = reload(tls, error, error_bytes);
    } else {
        snprintf(error, error_bytes, "the gateway does not run");
    }
    pthread_mutex_unlock(&tls->lock);
    if (status == FMX_OK) {
        fmx_log_line(log_of(tls), FMX_LOG_INFO,
                     "tls: certificates, keys and PSKs were read again; new connections get them");
    }
    return status;
}
