/*
 * loop_fleet_tls — a fleet with TLS against our own gateway: versions, certificates, PSKs,
 * resumption, and what is counted when it does not work
 *
 * Words:          folder: where the certificates of this run lie, made once
 */
#include "tests/loop/support.h"
#include "tests/support/temporary.h"

#include <fleetmux/cert.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS     LOOP_SIZE(200u, 40u)
#define FEW         6u
#define KICKS_MAX   4096u
#define ERROR_BYTES 512

/* For 127.0.0.1, signed by itself, good until 2001. */
static const char expired_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBYTCCAQegAwIBAgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdleHBpcmVk\n"
    "MB4XDTAwMDEwMTAwMDAwMFoXDTAxMDEwMTAwMDAwMFowEjEQMA4GA1UEAwwHZXhw\n"
    "aXJlZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIDXEeJMCzSZjqpmsI53ftqV\n"
    "9ePBXaYXdKf8Bn1iDPTwOVKvwHcFnc8Mzn2qfTuTjhn7H95wqG04feQJfzX2qqWj\n"
    "TjBMMBoGA1UdEQQTMBGHBH8AAAGCCWxvY2FsaG9zdDAPBgNVHRMBAf8EBTADAQH/\n"
    "MB0GA1UdDgQWBBQQiAqhFk/OYn3ai2lm4BNDywu7ajAKBggqhkjOPQQDAgNIADBF\n"
    "AiA+mjGziGfkKJe68MTb935VuE04QlLUSwuFspi3/6mfzwIhAJhGY69SsR+oZdQu\n"
    "+tJMmj88AL9wcNxUcRb9BznGXWht\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggaSXKpAiL8G1mXHV\n"
    "pWNbCh83bfWI5UqdIUGe2m84h0yhRANCAASA1xHiTAs0mY6qZrCOd37alfXjwV2m\n"
    "F3Sn/AZ9Ygz08DlSr8B3BZ3PDM59qn07k44Z+x/ecKhtOH3kCX819qql\n"
    "-----END PRIVATE KEY-----\n";

static char folder[FMX_TEMPORARY_BYTES];

/* ── files ── */

static const char *path_of(const char *name)
{
    static char paths[8][FMX_TEMPORARY_FILE_BYTES];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        fprintf(stderr, "%s cannot be written\n", path_of(name));
        exit(1);
    }
}

struct making {
    const char *name;   /* NAME.crt and NAME.key */
    const char *issuer; /* NULL: it signs itself, and is an authority */
    bool is_client;
    enum fmx_cert_key key;
};

static void make_cert(const struct making *making)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    char files[4][FMX_TEMPORARY_FILE_BYTES];
    char error[ERROR_BYTES] = "";
    struct fmx_cert_options options;

    fmx_cert_options_init(&options);
    snprintf(files[0], sizeof files[0], "%s/%s.crt", folder, making->name);
    snprintf(files[1], sizeof files[1], "%s/%s.key", folder, making->name);
    options.common_name = making->name;
    options.key = making->key;
    options.is_client = making->is_client;
    options.is_authority = making->issuer == NULL;
    options.out_cert = files[0];
    options.out_key = files[1];
    if (making->issuer != NULL) {
        snprintf(files[2], sizeof files[2], "%s/%s.crt", folder, making->issuer);
        snprintf(files[3], sizeof files[3], "%s/%s.key", folder, making->issuer);
        options.issuer_cert = files[2];
        options.issuer_key = files[3];
    }
    if (making->issuer != NULL && !making->is_client) {
        options.names = names;
        options.names_count = sizeof names / sizeof names[0];
    }
    if (fmx_cert_make(&options, error, sizeof error) != FMX_OK) {
        fprintf(stderr, "%s: %s\n", making->name, error);
        exit(1);
    }
}

static void make_folder(void)
{
    static const struct making all[] = {
        {.name = "ca"},
        {.name = "other"},
        {.name = "server", .issuer = "ca"},
        {.name = "server_rsa", .issuer = "ca", .key = FMX_CERT_KEY_RSA2048},
    };

    fmx_temporary_path(folder, sizeof folder, "fmx_fleet_tls_XXXXXX");
    if (mkdtemp(folder) == NULL) {
        fprintf(stderr, "no folder for certificates\n");
        exit(1);
    }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        make_cert(&all[i]);
    }
    for (unsigned i = 1; i <= FEW; i++) {
        char name[32];
        snprintf(name, sizeof name, "device_%u", i);
        make_cert(&(struct making){.name = name, .issuer = "ca", .is_client = true});
    }
    write_file("expired.pem", expired_pem);
    write_file("psk", "client-1:00112233445566778899aabbccddeeff\n"
                      "client-2:00112233445566778899aabbccddeeff\n");
}

static void remove_folder(void)
{
    char command[FMX_TEMPORARY_BYTES + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) {
        fprintf(stderr, "%s is left behind\n", folder);
    }
}

/* ── a gateway that remembers who came ── */

struct guests {
    pthread_mutex_t lock;
    struct fmx_session_id ids[KICKS_MAX];
    uint32_t count;      /* of ids, which are open or were */
    uint32_t with_certs; /* whose certificate is named like the client */
    uint32_t with_psks;
    uint32_t in_plain;
};

static void note_guest(void *user, const struct fmx_gateway_session *session)
{
    struct guests *guests = user;

    pthread_mutex_lock(&guests->lock);
    if (guests->count < KICKS_MAX) {
        guests->ids[guests->count++] = session->id;
    }
    if (session->tls == NULL) {
        guests->in_plain++;
    } else {
        guests->with_certs += session->tls->has_client_cert &&
                              fmx_slice_equal(session->tls->cert_name, session->client_id);
        guests->with_psks += session->tls->psk_identity.bytes > 0;
    }
    pthread_mutex_unlock(&guests->lock);
}

static enum fmx_status find_device(void *user, fmx_slice product_key, fmx_slice device_name,
                                   struct fmx_gateway_device *out_device)
{
    (void)user;
    if (!fmx_slice_equal(product_key, fmx_slice_of("pk")) || device_name.bytes == 0) {
        return FMX_E_STALE;
    }
    *out_device = (struct fmx_gateway_device){.secret_bytes = 6};
    memcpy(out_device->secret, "secret", 6);
    return FMX_OK;
}

/* Options that last as long as the case. */
struct world {
    struct fmx_gateway_options options;
    struct fmx_tls_server server;
    struct fmx_gateway *gateway;
    struct guests guests;
    struct fmx_tls_client client;
    struct loop_plan plan;
    char files[2][FMX_TEMPORARY_FILE_BYTES];
    char ca[FMX_TEMPORARY_FILE_BYTES];
};

static struct world world;

/* A gateway with a P-256 certificate, clients that trust its authority. Both can be changed. */
static void begin(uint32_t clients_count)
{
    static const char *const listen[] = {"mqtts://127.0.0.1:0"};

    loop_begin();
    memset(&world, 0, sizeof world);
    pthread_mutex_init(&world.guests.lock, NULL);
    loop_gateway_options(&world.options, 2);
    fmx_tls_server_init(&world.server);
    snprintf(world.files[0], sizeof world.files[0], "%s/server.crt", folder);
    snprintf(world.files[1], sizeof world.files[1], "%s/server.key", folder);
    world.server.cert = world.files[0];
    world.server.key = world.files[1];
    world.options.listen = listen;
    world.options.tls = &world.server;
    world.options.tls_count = 1;
    world.options.callbacks.on_open = note_guest;
    world.options.user = &world.guests;
    loop_plan(&world.plan, clients_count, "device_%i");
    fmx_tls_client_init(&world.client);
    snprintf(world.ca, sizeof world.ca, "%s/ca.crt", folder);
    world.client.ca = world.ca;
    world.plan.group.tls = &world.client;
}

static struct fmx_fleet *start(void)
{
    world.gateway = loop_gateway_start(&world.options);
    return loop_fleet(&world.plan, fmx_gateway_port(world.gateway, 0));
}

static void end(struct fmx_fleet *fleet)
{
    loop_fleet_end(fleet);
    loop_expect_empty(world.gateway);
    LOOP_WAIT(loop_stats(world.gateway).tls_now == 0);
    LOOP_WAIT(loop_stats(world.gateway).tls_unfinished_now == 0);
    loop_gateway_end(world.gateway);
    pthread_mutex_destroy(&world.guests.lock);
}

static void devices_of_the_platform(uint32_t clients_count)
{
    begin(clients_count);
    world.options.profile = FMX_PROFILE_PLATFORM;
    world.options.callbacks.on_device = find_device;
    world.options.checks_secure_mode = true;
    world.plan.group.platform.product_key = "pk";
    world.plan.group.platform.secret = "secret";
}

static uint32_t guests_are(const uint32_t *counter)
{
    pthread_mutex_lock(&world.guests.lock);
    uint32_t count = *counter;
    pthread_mutex_unlock(&world.guests.lock);
    return count;
}

static uint64_t failed_by(const struct fmx_fleet *fleet, enum fmx_status status, const char *words)
{
    struct fmx_fleet_snapshot now = loop_look(fleet);
    uint64_t count = 0;

    for (size_t i = 0; i < now.causes_count; i++) {
        const struct fmx_fleet_cause *cause = &now.causes[i];
        bool is_it = cause->status == status &&
                     (words == NULL || (cause->words != NULL && strstr(cause->words, words)));
        count += is_it ? cause->count : 0;
        if (!is_it) {
            fprintf(stderr, "  %llu x %s (%s)\n", (unsigned long long)cause->count,
                    fmx_status_name(cause->status), cause->words != NULL ? cause->words : "");
        }
    }
    return count;
}

/* All clients fail, for this reason. */
static void expect_failures(enum fmx_status status, const char *words)
{
    struct fmx_fleet *fleet = start();

    LOOP_WAIT(loop_look(fleet).counters.clients_failed == world.plan.group.clients_count);
    LOOP_EQUAL(failed_by(fleet, status, words), world.plan.group.clients_count);
    LOOP_EQUAL(loop_look(fleet).counters.connects_ok, 0);
    end(fleet);
}

/* ── handshakes ── */

static void exchange(void)
{
    static const char *const filters[] = {"tls/%i"};

    world.plan.filters = filters;
    world.plan.filters_count = 1;
    world.plan.subscribe_qos = 1;
    world.plan.publish.topic = "tls/%i";
    world.plan.publish.qos = 1;
    world.plan.publish.interval_ns = 10 * LOOP_MS_NS;
    world.plan.publish.messages_max = 10 * world.plan.group.clients_count;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.publishes_acked == 10 * world.plan.group.clients_count);
    LOOP_WAIT(loop_look(fleet).counters.received == 10 * world.plan.group.clients_count);
    struct fmx_fleet_snapshot now = loop_look(fleet);
    LOOP_EQUAL(now.causes_count, 0);
    LOOP_EQUAL(now.counters.received_gap + now.counters.received_duplicate, 0);
    LOOP_EQUAL(now.counters.connects_ok, world.plan.group.clients_count);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_CONNECT).count, world.plan.group.clients_count);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_TLS_FULL).count, world.plan.group.clients_count);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_TLS_RESUMED).count, 0);
    LOOP_EQUAL(now.stats.tls_full, world.plan.group.clients_count);
    LOOP_EQUAL(now.tls_version, world.client.max);
    CU_ASSERT_PTR_NOT_NULL(now.tls_suite);
    LOOP_EQUAL(loop_stats(world.gateway).tls_now, world.plan.group.clients_count);
    LOOP_EQUAL(guests_are(&world.guests.in_plain), 0);
    end(fleet);
}

static void clients_exchange_messages_in_every_version(void)
{
    for (enum fmx_tls_version version = FMX_TLS_10; version <= FMX_TLS_13; version++) {
        begin(LOOP_SIZE(50u, 10u));
        world.server.min = FMX_TLS_10;
        world.client.min = world.client.max = version;
        exchange();
    }
}

static void many_clients_exchange_messages(void)
{
    begin(CLIENTS);
    exchange();
}

static void workers_do_handshakes(void)
{
    begin(CLIENTS);
    world.plan.whole.tls_limits.workers = 2;
    world.options.tls_limits.workers = 2;
    exchange();
}

static void clients_choose_the_suite(void)
{
    begin(FEW);
    world.server.old_suites = true;
    snprintf(world.files[0], sizeof world.files[0], "%s/server_rsa.crt", folder);
    snprintf(world.files[1], sizeof world.files[1], "%s/server_rsa.key", folder);
    world.client.max = FMX_TLS_12;
    world.client.suites = "AES128-SHA";
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == FEW);
    CU_ASSERT_STRING_EQUAL(loop_look(fleet).tls_suite, "TLS_RSA_WITH_AES_128_CBC_SHA");
    end(fleet);
}

/* ── resumption ── */

static void kick_all(void)
{
    struct fmx_gateway_caller *caller;

    CU_ASSERT_EQUAL_FATAL(fmx_gateway_caller_open(world.gateway, &caller), FMX_OK);
    pthread_mutex_lock(&world.guests.lock);
    for (uint32_t i = 0; i < world.guests.count; i++) {
        while (fmx_gateway_kick(caller, world.guests.ids[i]) == FMX_FULL) {
            loop_pause_ms(1);
        }
    }
    world.guests.count = 0;
    pthread_mutex_unlock(&world.guests.lock);
    fmx_gateway_caller_close(caller);
}

/* Everybody comes, is thrown out, and comes back. How many resumed. */
static uint64_t come_back(enum fmx_tls_version version, double share)
{
    begin(CLIENTS);
    world.client.max = version;
    world.client.resume = share;
    world.plan.group.reconnect_min_ms = 1;
    world.plan.group.reconnect_max_ms = 20;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == CLIENTS);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_TLS_FULL).count, CLIENTS);
    kick_all();
    LOOP_WAIT(loop_look(fleet).counters.connects_ok == 2 * CLIENTS);
    uint64_t resumed = loop_latency(fleet, FMX_FLEET_TLS_RESUMED).count;
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_TLS_FULL).count + resumed, 2 * CLIENTS);
    LOOP_EQUAL(loop_stats(world.gateway).tls_resumed, resumed);
    end(fleet);
    return resumed;
}

static void reconnects_resume(void)
{
    LOOP_EQUAL(come_back(FMX_TLS_12, 1), CLIENTS);
    LOOP_EQUAL(come_back(FMX_TLS_13, 1), CLIENTS);
}

static void as_many_reconnects_resume_as_the_plan_says(void)
{
    LOOP_EQUAL(come_back(FMX_TLS_13, 0), 0);
    uint64_t some = come_back(FMX_TLS_12, 0.5);
    CU_ASSERT(some > CLIENTS / 5 && some < CLIENTS - CLIENTS / 5);
}

static void sessions_outlive_refused_connects(void)
{
    uint16_t port = loop_fixed_port();
    char listen[64];
    const char *const listens[] = {listen};

    begin(FEW);
    snprintf(listen, sizeof listen, "mqtts://127.0.0.1:%u", port);
    world.options.mux.shards_count = 1; /* two do not end at one instant: the other lets one in */
    world.options.listen = listens;
    world.server.ticket_keys = path_of("tickets");
    world.plan.group.reconnect_min_ms = 1;
    world.plan.group.reconnect_max_ms = 50;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == FEW);
    loop_gateway_end(world.gateway);
    LOOP_WAIT(loop_look(fleet).stats.dials_failed > 3 * FEW);
    world.gateway = loop_gateway_start(&world.options); /* another one, with the same keys */
    LOOP_WAIT(loop_look(fleet).counters.connects_ok == 2 * FEW);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_TLS_RESUMED).count, FEW);
    end(fleet);
}

/* A server that answers and then refuses has heard of it: what TLS 1.3 gave is not said again. */
static void a_session_that_a_server_has_answered_is_not_offered_again(void)
{
    uint16_t port = loop_fixed_port();
    char listen[64];
    const char *const listens[] = {listen};

    begin(1);
    snprintf(listen, sizeof listen, "mqtts://127.0.0.1:%u", port);
    world.options.mux.shards_count = 1; /* as above */
    world.options.listen = listens;
    world.server.ticket_keys = path_of("tickets");
    world.plan.group.reconnect_min_ms = 1;
    world.plan.group.reconnect_max_ms = 50;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_subscribed == 1);
    loop_gateway_end(world.gateway);
    world.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    world.server.client_ca = world.ca;
    world.gateway = loop_gateway_start(&world.options);
    LOOP_WAIT(loop_stats(world.gateway).tls_failed > 0);
    loop_gateway_end(world.gateway);
    world.server.client_auth = FMX_TLS_CLIENT_AUTH_NONE;
    world.server.client_ca = NULL;
    world.gateway = loop_gateway_start(&world.options);
    LOOP_WAIT(loop_look(fleet).counters.connects_ok == 2);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_TLS_RESUMED).count, 0);
    end(fleet);
}

/* ── who a client is ── */

static void each_client_shows_its_own_certificate(void)
{
    char cert[FMX_TEMPORARY_FILE_BYTES];
    char key[FMX_TEMPORARY_FILE_BYTES];

    begin(FEW);
    snprintf(cert, sizeof cert, "%s/%%c.crt", folder);
    snprintf(key, sizeof key, "%s/%%c.key", folder);
    world.client.cert = cert;
    world.client.key = key;
    world.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    world.server.client_ca = world.ca;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == FEW);
    LOOP_EQUAL(loop_stats(world.gateway).tls_client_certs, FEW);
    LOOP_EQUAL(guests_are(&world.guests.with_certs), FEW);
    end(fleet);
}

static void all_clients_show_one_certificate(void)
{
    begin(CLIENTS);
    world.client.cert = path_of("device_1.crt");
    world.client.key = path_of("device_1.key");
    world.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    world.server.client_ca = world.ca;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == CLIENTS);
    LOOP_EQUAL(loop_stats(world.gateway).tls_client_certs, CLIENTS);
    LOOP_EQUAL(guests_are(&world.guests.with_certs), 1);
    end(fleet);
}

static void open_badly(const char *cert, const char *key, enum fmx_status status,
                       const char *const *words)
{
    static const char *const targets[] = {"127.0.0.1:1"};
    struct fmx_fleet *fleet = NULL;
    char error[ERROR_BYTES] = "";

    world.plan.group.targets = targets;
    world.plan.group.targets_count = 1;
    world.client.cert = cert;
    world.client.key = key;
    LOOP_EQUAL(fmx_fleet_open(loop_plan_join(&world.plan), &fleet, error, sizeof error), status);
    for (; *words != NULL; words++) {
        if (strstr(error, *words) == NULL) {
            fprintf(stderr, "'%s' does not say '%s'\n", error, *words);
            CU_FAIL("the words name client, field and file");
        }
    }
}

static void a_bad_certificate_keeps_the_fleet_from_opening(void)
{
    char cert[FMX_TEMPORARY_FILE_BYTES];
    char key[FMX_TEMPORARY_FILE_BYTES];

    begin(200); /* more than there are */
    snprintf(cert, sizeof cert, "%s/device_%%i.crt", folder);
    snprintf(key, sizeof key, "%s/device_%%i.key", folder);
    open_badly(cert, key, FMX_SYS_FILE,
               (const char *const[]){"client 7: tls.cert", "device_7.crt", NULL});
    world.plan.group.first_number = 3;
    world.plan.group.clients_count = 2;
    write_file("3.key", "nonsense");
    snprintf(key, sizeof key, "%s/%%i.key", folder);
    open_badly(cert, key, FMX_E_OPTION, (const char *const[]){"client 3: tls.key", "3.key", NULL});
    snprintf(key, sizeof key, "%s/device_4.key", folder); /* is client 4's */
    open_badly(cert, key, FMX_E_OPTION, (const char *const[]){"client 3: tls.", NULL});
    open_badly(path_of("none.crt"), path_of("none.key"), FMX_SYS_FILE,
               (const char *const[]){"tls.cert", "none.crt", NULL});
    world.client.ca = path_of("3.key");
    open_badly(NULL, NULL, FMX_E_OPTION, (const char *const[]){"tls.ca", "3.key", NULL});
    world.client.ca = NULL;
    world.client.insecure = true;
    world.client.suites = "NO-SUCH-SUITE";
    open_badly(NULL, NULL, FMX_E_OPTION, (const char *const[]){"tls.suites", NULL});
}

static void psks_are_made_of_secrets(void)
{
    for (enum fmx_tls_psk psk = FMX_TLS_PSK_SDK; psk <= FMX_TLS_PSK_SECRET; psk++) {
        devices_of_the_platform(CLIENTS);
        world.server.psk = true;
        world.client.psk = psk;
        world.client.ca = NULL;
        struct fmx_fleet *fleet = start();
        LOOP_WAIT(loop_look(fleet).counters.clients_open == CLIENTS);
        LOOP_EQUAL(guests_are(&world.guests.with_psks), CLIENTS);
        LOOP_EQUAL(loop_stats(world.gateway).tls_psk, CLIENTS);
        LOOP_EQUAL(loop_stats(world.gateway).secure_mode_mismatches, 0);
        LOOP_EQUAL(loop_look(fleet).tls_version, FMX_TLS_12);
        end(fleet);
    }
}

static void the_sdks_suite_is_spoken(void)
{
    devices_of_the_platform(FEW);
    world.server.psk = true;
    world.server.cert = world.server.key = NULL;
    world.server.old_suites = false;
    world.client.psk = FMX_TLS_PSK_SDK;
    world.client.suites = "PSK-AES128-CBC-SHA";
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == FEW);
    CU_ASSERT_STRING_EQUAL(loop_look(fleet).tls_suite, "TLS_PSK_WITH_AES_128_CBC_SHA");
    end(fleet);
}

static void a_given_psk_is_used(void)
{
    begin(2);
    world.server.psk_file = path_of("psk");
    world.client.psk = FMX_TLS_PSK_GIVEN;
    world.client.psk_identity = "client-%i";
    world.client.psk_key = "00112233445566778899AABBCCDDEEFF";
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == 2);
    LOOP_EQUAL(guests_are(&world.guests.with_psks), 2);
    end(fleet);
}

static void a_wrong_psk_is_refused(void)
{
    devices_of_the_platform(FEW);
    world.server.psk = true;
    world.client.psk = FMX_TLS_PSK_SECRET;
    world.plan.group.platform.secret = "wrong";
    expect_failures(FMX_TLS_ALERT, NULL);
    devices_of_the_platform(FEW);
    world.server.psk = true;
    world.client.psk = FMX_TLS_PSK_SECRET;
    world.plan.group.platform.product_key = "unknown";
    expect_failures(FMX_TLS_ALERT, NULL);
}

static void devices_say_that_they_come_by_tls(void)
{
    devices_of_the_platform(FEW);
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == FEW);
    LOOP_EQUAL(loop_stats(world.gateway).secure_mode_mismatches, 0);
    end(fleet);
}

/* ── what does not work ── */

static void a_server_that_is_not_trusted_is_refused(void)
{
    begin(FEW);
    world.client.ca = path_of("other.crt");
    expect_failures(FMX_TLS_CERT, NULL);
    begin(FEW);
    world.client.server_name = "another.example";
    expect_failures(FMX_TLS_CERT, "ostname");
    begin(FEW);
    world.server.cert = world.server.key = path_of("expired.pem");
    world.client.ca = path_of("expired.pem");
    expect_failures(FMX_TLS_CERT, "expired");
}

static void a_server_is_trusted_by_name_or_in_general(void)
{
    struct fmx_fleet *fleet;

    begin(FEW);
    world.client.server_name = "localhost";
    fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == FEW);
    end(fleet);
    begin(FEW);
    world.client.ca = NULL;
    world.client.insecure = true;
    fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_open == FEW);
    end(fleet);
}

static void versions_that_do_not_meet_are_told(void)
{
    begin(FEW);
    world.server.min = FMX_TLS_13;
    world.client.max = FMX_TLS_12;
    expect_failures(FMX_TLS_ALERT, "protocol_version");
}

static void suites_that_do_not_meet_are_told(void)
{
    begin(FEW);
    world.client.max = FMX_TLS_12;
    world.client.suites = "ECDHE-RSA-AES128-GCM-SHA256"; /* the server's key is ECDSA */
    expect_failures(FMX_TLS_ALERT, "handshake_failure");
}

static void clients_without_the_certificate_asked_for_are_refused(void)
{
    begin(FEW);
    world.client.max = FMX_TLS_12;
    world.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    world.server.client_ca = world.ca;
    expect_failures(FMX_TLS_ALERT, NULL);
    begin(FEW); /* in 1.3 the client has finished before it is refused */
    world.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    world.server.client_ca = world.ca;
    expect_failures(FMX_TLS_ALERT, NULL);
}

static void tls_and_plain_do_not_meet(void)
{
    static const char *const plain[] = {"127.0.0.1:0"};

    begin(FEW);
    world.options.tls_count = 0;
    world.options.listen = plain;
    struct fmx_fleet *fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == FEW);
    LOOP_EQUAL(loop_latency(fleet, FMX_FLEET_TLS_FULL).count, 0);
    end(fleet);
    begin(FEW);
    world.plan.group.tls = NULL;
    fleet = start();
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == FEW);
    LOOP_EQUAL(loop_stats(world.gateway).tls_wanted, FEW);
    end(fleet);
}

static void a_server_that_says_nothing_is_given_up(void)
{
    uint16_t port;
    int listener = loop_listen_anywhere(&port);

    begin(1);
    world.plan.group.connect_timeout_ms = 300;
    struct fmx_fleet *fleet = loop_fleet(&world.plan, port);
    LOOP_WAIT(loop_look(fleet).counters.clients_failed == 1);
    LOOP_EQUAL(loop_look(fleet).causes_count, 1);
    LOOP_WAIT(loop_look(fleet).stats.tls_unfinished_now == 0);
    loop_fleet_end(fleet);
    close(listener);
}

static void a_fleet_that_ends_in_the_middle_leaves_nothing(void)
{
    unsigned files = loop_files();

    for (unsigned i = 0; i < 10; i++) {
        begin(CLIENTS);
        world.plan.whole.tls_limits.workers = i % 2;
        struct fmx_fleet *fleet = start();
        LOOP_WAIT(loop_stats(world.gateway).accepts > i * CLIENTS / 20);
        end(fleet);
    }
    LOOP_EQUAL(loop_files(), files);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(clients_exchange_messages_in_every_version),
    FMX_TEST_CASE(many_clients_exchange_messages),
    FMX_TEST_CASE(workers_do_handshakes),
    FMX_TEST_CASE(clients_choose_the_suite),
    FMX_TEST_CASE(reconnects_resume),
    FMX_TEST_CASE(as_many_reconnects_resume_as_the_plan_says),
    FMX_TEST_CASE(sessions_outlive_refused_connects),
    FMX_TEST_CASE(a_session_that_a_server_has_answered_is_not_offered_again),
    FMX_TEST_CASE(each_client_shows_its_own_certificate),
    FMX_TEST_CASE(all_clients_show_one_certificate),
    FMX_TEST_CASE(a_bad_certificate_keeps_the_fleet_from_opening),
    FMX_TEST_CASE(psks_are_made_of_secrets),
    FMX_TEST_CASE(the_sdks_suite_is_spoken),
    FMX_TEST_CASE(a_given_psk_is_used),
    FMX_TEST_CASE(a_wrong_psk_is_refused),
    FMX_TEST_CASE(devices_say_that_they_come_by_tls),
    FMX_TEST_CASE(a_server_that_is_not_trusted_is_refused),
    FMX_TEST_CASE(a_server_is_trusted_by_name_or_in_general),
    FMX_TEST_CASE(versions_that_do_not_meet_are_told),
    FMX_TEST_CASE(suites_that_do_not_meet_are_told),
    FMX_TEST_CASE(clients_without_the_certificate_asked_for_are_refused),
    FMX_TEST_CASE(tls_and_plain_do_not_meet),
    FMX_TEST_CASE(a_server_that_says_nothing_is_given_up),
    FMX_TEST_CASE(a_fleet_that_ends_in_the_middle_leaves_nothing),
};

int main(int argc, char **argv)
{
    make_folder();
    int result = fmx_test_main("fleet_tls", cases, sizeof cases / sizeof cases[0], argc, argv);
    remove_folder();
    return result;
}
