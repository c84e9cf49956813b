/*
 * test_fleet_hints — what is said to do about failed connections names options that there are
 */
#include "tests/support/run.h"
#include "tools/fleetmux/fleet.h"

#include <stdio.h>
#include <string.h>

#define ERRNOS  160
#define REASONS 256

static const enum fmx_status statuses[] = {
#define STATUS(name, value, words) name,
    FMX_STATUS_LIST(STATUS)
#undef STATUS
};

#define STATUSES_COUNT (sizeof(statuses) / sizeof(statuses[0]))

static struct fleet_settings settings;

static bool is_option(const char *name)
{
    static const enum fleet_kind kinds[] = {FLEET_CONN, FLEET_PUB, FLEET_SUB};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct flag_set set;
        fleet_flags_init(&settings, kinds[i], &set);
        if (flags_find(&set, name) != NULL) {
            return true;
        }
    }
    return false;
}

/* Each "--name" in it. */
static void look_at_options(const char *hint)
{
    const char *at = hint;

    while (at != NULL && (at = strstr(at, "--")) != NULL) {
        char name[64];
        size_t bytes = strspn(at + 2, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        snprintf(name, sizeof(name), "%.*s", (int)bytes, at + 2);
        if (!is_option(name)) {
            fprintf(stderr, "'%s': there is no --%s\n", hint, name);
            CU_FAIL("no such option");
        }
        at += 2 + bytes;
    }
}

static void look_at(struct fmx_fleet_cause cause)
{
    look_at_options(fleet_hint(&cause, false));
    look_at_options(fleet_hint(&cause, true));
}

static void every_option_in_a_hint_exists(void)
{
    static const char *const alerts[] = {
        "protocol_version",  "insufficient_security",  "handshake_failure", "unknown_ca",
        "bad_certificate",   "unknown_psk_identity",   "decrypt_error",     "bad_record_mac",
        "unrecognized_name", "no_application_protocol"};

    for (size_t i = 0; i < STATUSES_COUNT; i++) {
        look_at((struct fmx_fleet_cause){.status = statuses[i]});
    }
    for (int code = 1; code < ERRNOS; code++) {
        look_at((struct fmx_fleet_cause){.status = FMX_SYS_CONNECT, .sys_errno = code});
    }
    for (int code = 1; code < REASONS; code++) {
        look_at((struct fmx_fleet_cause){.status = FMX_PEER_REFUSED, .reason = (uint8_t)code});
    }
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        struct fmx_fleet_cause alert = {.status = FMX_TLS_ALERT, .words = alerts[i]};
        CU_ASSERT_PTR_NOT_NULL(fleet_hint(&alert, true));
        look_at(alert);
    }
}

/* What a server or this machine can do to a fleet; what only a server sees is not among it. */
static bool is_fleets(enum fmx_status status)
{
    static const enum fmx_status others[] = {
        FMX_E_STATE,
        FMX_E_STALE,
        FMX_E_OPTION,
        FMX_E_SHUTDOWN,
        FMX_E_KICKED,
        FMX_E_DONE,
        FMX_PEER_PROTOCOL_NAME,
        FMX_PEER_TOPIC_FILTER,
        FMX_PEER_EMPTY,
        FMX_PEER_SUBSCRIBE_OPTIONS,
        FMX_PEER_RETAIN,
        FMX_PEER_AUTH_METHOD,
        FMX_PEER_SHARED,
        FMX_PEER_SUBSCRIPTION_ID,
        FMX_PEER_CONNECT_TIMEOUT,
        FMX_PEER_KEEPALIVE_RANGE,
        FMX_LIMIT_SUBSCRIPTIONS,
        FMX_LIMIT_TOPIC,
        FMX_SYS_LISTEN,
        FMX_SYS_RECV,
        FMX_SYS_SEND,
        FMX_SYS_RING,
        FMX_SYS_THREAD,
        FMX_SYS_FILE,
        FMX_TLS_WANTED,
        FMX_TLS_UNWANTED,
        FMX_TLS_IDENTITY,
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i] == status) {
            return false;
        }
    }
    return status < 0;
}

static void every_failure_of_a_fleet_has_a_hint(void)
{
    for (size_t i = 0; i < STATUSES_COUNT; i++) {
        struct fmx_fleet_cause cause = {.status = statuses[i]};
        if (is_fleets(statuses[i]) && fleet_hint(&cause, true) == NULL) {
            fprintf(stderr, "%s has no hint\n", fmx_status_name(statuses[i]));
            CU_FAIL("no hint");
        }
    }
}

static void a_port_for_tls_is_asked_about_only_before_anybody_was_open(void)
{
    static const enum fmx_status ends[] = {FMX_PEER_CLOSED, FMX_PEER_RESET};

    for (size_t i = 0; i < 2; i++) {
        struct fmx_fleet_cause closed = {.status = ends[i]};
        CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&closed, false), "--tls"));
        CU_ASSERT_PTR_NULL(strstr(fleet_hint(&closed, true), "--tls"));
    }
}

static void clients_that_misbehave_by_plan_are_no_failure(void)
{
    static const char *const words[] = {FMX_FLEET_WORDS_SILENT, FMX_FLEET_WORDS_HALF_CONNECT};

    for (size_t i = 0; i < 2; i++) {
        struct fmx_fleet_cause cause = {.status = FMX_PEER_CLOSED, .words = words[i]};
        CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, true), "no failure"));
        CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, false), "no failure"));
        CU_ASSERT_PTR_NULL(strstr(fleet_hint(&cause, true), "log"));
    }
}

static void refusals_have_hints_of_their_code(void)
{
    struct fmx_fleet_cause cause = {.status = FMX_PEER_MESSAGE_REFUSED, .reason = 0x97};

    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, true), "quota"));
    cause = (struct fmx_fleet_cause){.status = FMX_PEER_FILTER_REFUSED, .reason = 0xA2};
    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, true), "wildcard"));
    cause.reason = 0x80; /* the only one before 5.0 */
    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, true), "--topic"));
}

static void the_code_of_the_server_says_most(void)
{
    struct fmx_fleet_cause cause = {.status = FMX_PEER_DISCONNECT, .reason = 0x8E};

    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, true), "--prefix"));
    cause = (struct fmx_fleet_cause){.status = FMX_TLS_CERT};
    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, true), "--cafile"));
    cause = (struct fmx_fleet_cause){.status = FMX_TLS_ALERT, .words = "alert protocol_version"};
    CU_ASSERT_PTR_NOT_NULL(strstr(fleet_hint(&cause, true), "--tls-min"));
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(every_option_in_a_hint_exists),
    FMX_TEST_CASE(every_failure_of_a_fleet_has_a_hint),
    FMX_TEST_CASE(a_port_for_tls_is_asked_about_only_before_anybody_was_open),
    FMX_TEST_CASE(clients_that_misbehave_by_plan_are_no_failure),
    FMX_TEST_CASE(refusals_have_hints_of_their_code),
    FMX_TEST_CASE(the_code_of_the_server_says_most),
};

int main(int argc, char **argv)
{
    return fmx_test_main("fleet_hints", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
