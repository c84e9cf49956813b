/*
 * test_gateway_tls — listeners as text, and settings of TLS that do not go together
 */
#include "engine/roles/gateway_tls.h"
#include "tests/support/run.h"

#include <netinet/in.h>
#include <stdio.h>

static char said[512];

/* ── listeners ── */

struct listeners {
    struct fmx_gateway_options options;
    struct fmx_tls_server settings[3];
    const char *texts[FMX_LISTENERS_MAX];
    struct fmx_gateway_listener got[FMX_LISTENERS_MAX];
};

/* Settings of these names (NULL: unnamed), and no listener yet. */
static void begin(struct listeners *l, size_t count, const char *const *names)
{
    fmx_gateway_options_init(&l->options, FMX_PROFILE_OPEN);
    for (size_t i = 0; i < count; i++) {
        fmx_tls_server_init(&l->settings[i]);
        l->settings[i].name = names[i];
        l->settings[i].cert = "c";
        l->settings[i].key = "k";
    }
    l->options.tls = l->settings;
    l->options.tls_count = count;
    l->options.listen = l->texts;
    l->options.listen_count = 0;
}

static void listen_to(struct listeners *l, const char *text)
{
    l->texts[l->options.listen_count++] = text;
}

static enum fmx_status parse(struct listeners *l)
{
    said[0] = '\0';
    return fmx_gateway_listen_parse(&l->options, l->got, said, sizeof said);
}

/* Refused, in words that hold all of these. */
static void refuses(struct listeners *l, const char *value, const char *fix)
{
    CU_ASSERT_EQUAL(parse(l), FMX_E_OPTION);
    if (strstr(said, value) == NULL || strstr(said, fix) == NULL) {
        printf("%s\n", said);
        CU_FAIL("the words do not say it");
    }
}

static uint16_t port_of(const struct fmx_gateway_listener *listener)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&listener->address.storage;

    return ntohs(in->sin_port);
}

static void listener_without_tls_settings_is_plain(void)
{
    struct listeners l;

    begin(&l, 0, NULL);
    listen_to(&l, "127.0.0.1:1883");
    listen_to(&l, "mqtt://[::1]:1884");
    CU_ASSERT_EQUAL_FATAL(parse(&l), FMX_OK);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(l.got[i].transport, FMX_TRANSPORT_PLAIN);
        CU_ASSERT_EQUAL(l.got[i].settings, FMX_TLS_NO_SETTINGS);
    }
    CU_ASSERT_EQUAL(port_of(&l.got[0]), 1883);
    CU_ASSERT_EQUAL(l.got[1].address.storage.ss_family, AF_INET6);
    CU_ASSERT_EQUAL(port_of(&l.got[1]), 1884); /* at the same place in both */
}

static void listener_takes_what_its_scheme_says(void)
{
    static const char *const names[] = {"old", NULL};
    struct listeners l;

    begin(&l, 2, names);
    listen_to(&l, ":1883");
    listen_to(&l, "mqtt://:1884");
    listen_to(&l, "mqtts://:8883");
    listen_to(&l, "mqtts://:8884#old");
    listen_to(&l, ":8885#old");
    CU_ASSERT_EQUAL_FATAL(parse(&l), FMX_OK);
    static const struct {
        enum fmx_transport transport;
        uint32_t settings;
    } expected[] = {{FMX_TRANSPORT_ANY, 1},
                    {FMX_TRANSPORT_PLAIN, FMX_TLS_NO_SETTINGS},
                    {FMX_TRANSPORT_TLS, 1},
                    {FMX_TRANSPORT_TLS, 0},
                    {FMX_TRANSPORT_ANY, 0}};
    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(l.got[i].transport, expected[i].transport);
        CU_ASSERT_EQUAL(l.got[i].settings, expected[i].settings);
    }
    CU_ASSERT_EQUAL(port_of(&l.got[3]), 8884);
}

static void listener_is_plain_if_all_settings_have_names(void)
{
    static const char *const names[] = {"old"};
    struct listeners l;

    begin(&l, 1, names);
    listen_to(&l, ":1883");
    listen_to(&l, "mqtts://:8883#old");
    CU_ASSERT_EQUAL_FATAL(parse(&l), FMX_OK);
    CU_ASSERT_EQUAL(l.got[0].transport, FMX_TRANSPORT_PLAIN);
}

static void listener_that_cannot_be_is_refused_in_words(void)
{
    static const char *const names[] = {"old"};
    static const struct {
        size_t settings;
        const char *text;
        const char *fix;
    } rows[] = {
        {0, "127.0.0.1", "ADDRESS:PORT"},
        {0, "127.0.0.1:70000", "a port up to 65535"},
        {0, "example.com:1883", "numeric"},
        {0, "ws://127.0.0.1:80", "mqtts:// for TLS"},
        {0, "MQTTS://127.0.0.1:80", "mqtts:// for TLS"},
        {0, "mqtts://127.0.0.1:8883", "add TLS settings"},
        {0, "127.0.0.1:8883#new", "no TLS settings have that name"},
        {1, "mqtts://127.0.0.1:8883", "write #NAME"},
        {1, "mqtts://127.0.0.1:8883#ol", "no TLS settings have that name"},
        {1, "mqtts://127.0.0.1:8883#old2", "no TLS settings have that name"},
        {1, "mqtt://127.0.0.1:8883#old", "takes no TLS"},
        {1, "mqtts://127.0.0.1:8883#", "behind #"},
        {1, "", "ADDRESS:PORT"},
        {1, "mqtts://", "ADDRESS:PORT"},
    };
    struct listeners l;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&l, rows[i].settings, names);
        listen_to(&l, rows[i].text);
        const char *sharp = strchr(rows[i].text, '#');
        refuses(&l, sharp == NULL ? "listen is '" : rows[i].text, rows[i].fix);
    }
}

static void listener_of_any_length_is_refused(void)
{
    char text[2 * FMX_LISTEN_TEXT_BYTES];
    struct listeners l;

    for (size_t bytes = FMX_LISTEN_TEXT_BYTES - 3; bytes < FMX_LISTEN_TEXT_BYTES + 3; bytes++) {
        memset(text, '1', bytes);
        text[bytes] = '\0';
        memcpy(text + bytes - 5, ":1883", 5);
        begin(&l, 0, NULL);
        listen_to(&l, text);
        refuses(&l, "listen is", "ADDRESS:PORT");
    }
    begin(&l, 0, NULL);
    listen_to(&l, NULL);
    refuses(&l, "listen is", "ADDRESS:PORT");
}

static void settings_without_a_listener_are_refused(void)
{
    static const char *const names[] = {NULL, "old"};
    struct listeners l;

    begin(&l, 2, names);
    listen_to(&l, ":1883");
    refuses(&l, "tls 'old' is used by no listener", "#old");
    begin(&l, 2, names);
    listen_to(&l, "mqtt://:1883");
    listen_to(&l, ":8883#old");
    refuses(&l, "tls without a name", "used by no listener");
}

/* ── settings ── */

/* One that is good alone, to be spoilt by a case. */
static void begin_settings(struct fmx_gateway_options *options, struct fmx_tls_server *settings)
{
    fmx_gateway_options_init(options, FMX_PROFILE_PLATFORM);
    fmx_tls_server_init(settings);
    settings->name = "old";
    settings->cert = "c";
    settings->key = "k";
    options->tls = settings;
    options->tls_count = 1;
}

static bool is_refused(const struct fmx_gateway_options *options, const char *a, const char *b)
{
    said[0] = '\0';
    enum fmx_status status = fmx_gateway_tls_check(options, said, sizeof said);
    bool is = status == FMX_E_OPTION && strstr(said, a) != NULL && strstr(said, b) != NULL;

    if (!is) {
        printf("%s: %s\n", fmx_status_name(status), said);
    }
    return is;
}

static void settings_that_are_good_pass(void)
{
    struct fmx_gateway_options options;
    struct fmx_tls_server settings;
    static const struct fmx_tls_server_name names[] = {
        {.name = "a.example", .cert = "c", .key = "k"},
        {.name = "*.a.example", .cert_rsa = "c", .key_rsa = "k"},
    };

    begin_settings(&options, &settings);
    settings.server_names = names;
    settings.server_names_count = 2;
    settings.psk = true;
    settings.ticket_keys = "t";
    CU_ASSERT_EQUAL(fmx_gateway_tls_check(&options, said, sizeof said), FMX_OK);
    options.tls_count = 0;
    options.tls = NULL;
    CU_ASSERT_EQUAL(fmx_gateway_tls_check(&options, said, sizeof said), FMX_OK);
}

static void settings_with_half_a_pair_are_refused(void)
{
    struct fmx_gateway_options options;
    struct fmx_tls_server settings;

    begin_settings(&options, &settings);
    settings.key = NULL;
    CU_ASSERT(is_refused(&options, "tls 'old'", "key is missing"));
    begin_settings(&options, &settings);
    settings.cert = NULL;
    CU_ASSERT(is_refused(&options, "tls 'old'", "cert is missing"));
    begin_settings(&options, &settings);
    settings.cert_rsa = "c";
    CU_ASSERT(is_refused(&options, "tls 'old'", "key_rsa is missing"));
    begin_settings(&options, &settings);
    settings.key_rsa = "k";
    CU_ASSERT(is_refused(&options, "tls 'old'", "cert_rsa is missing"));
}

static void settings_with_a_server_name_that_is_none_are_refused(void)
{
    static const char *const bad[] = {"",   ".",  "a..b", "*",   "*.",        "a.*.b",
                                      ".a", "a.", "a b",  "a:1", "*a.example"};
    struct fmx_gateway_options options;
    struct fmx_tls_server settings;
    struct fmx_tls_server_name names[2] = {{.cert = "c", .key = "k"}, {.cert = "c", .key = "k"}};
    char longest[255];

    begin_settings(&options, &settings);
    settings.server_names = names;
    settings.server_names_count = 1;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        names[0].name = bad[i];
        CU_ASSERT(is_refused(&options, "tls 'old': server name '", "mqtt.example.com"));
    }
    names[0].name = NULL;
    CU_ASSERT(is_refused(&options, "tls 'old': server name '", "mqtt.example.com"));
    memset(longest, 'a', sizeof longest - 1);
    longest[254] = '\0';
    names[0].name = longest;
    CU_ASSERT(is_refused(&options, "tls 'old': server name '", "mqtt.example.com"));
    longest[253] = '\0';
    CU_ASSERT_EQUAL(fmx_gateway_tls_check(&options, said, sizeof said), FMX_OK);
    names[0].name = "a.example";
    names[1].name = "A.Example";
    settings.server_names_count = 2;
    CU_ASSERT(is_refused(&options, "'A.Example'", "twice"));
    names[1] = (struct fmx_tls_server_name){.name = "b.example"};
    CU_ASSERT(is_refused(&options, "'b.example'", "cert is missing"));
    names[1].cert_rsa = "c";
    CU_ASSERT(is_refused(&options, "'b.example'", "key_rsa is missing"));
    settings.server_names = NULL;
    CU_ASSERT(is_refused(&options, "tls 'old'", "server_names"));
}

static void settings_whose_fields_exclude_one_another_are_refused(void)
{
    struct fmx_gateway_options options;
    struct fmx_tls_server settings;

    begin_settings(&options, &settings);
    options.profile = FMX_PROFILE_OPEN;
    settings.psk = true;
    CU_ASSERT(is_refused(&options, "tls 'old': psk", "psk_file"));
    begin_settings(&options, &settings);
    settings.psk_file = "p";
    settings.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    settings.client_ca = "ca";
    CU_ASSERT(is_refused(&options, "tls 'old': client_auth is require", "request"));
    begin_settings(&options, &settings);
    settings.tickets = false;
    settings.ticket_keys = "t";
    CU_ASSERT(is_refused(&options, "tls 'old': ticket_keys", "tickets"));
    begin_settings(&options, &settings);
    settings.client_auth = FMX_TLS_CLIENT_AUTH_REQUEST;
    settings.client_ca = "ca";
    settings.client_cert_is_login = true;
    settings.ticket_keys = "t";
    CU_ASSERT(is_refused(&options, "tls 'old': ticket_keys", "client_cert_is_login"));
}

static void settings_are_told_apart_by_their_names(void)
{
    struct fmx_gateway_options options;
    struct fmx_tls_server settings[2];
    static const char *const bad[] = {"",
                                      "a#b",
                                      "a b",
                                      "ä",
                                      "'",
                                      "12345678901234567890123456789012345678901234567890123456789"
                                      "012345"};

    begin_settings(&options, &settings[0]);
    settings[1] = settings[0];
    options.tls_count = 2;
    CU_ASSERT(is_refused(&options, "tls 'old'", "twice"));
    settings[0].name = settings[1].name = NULL;
    CU_ASSERT(is_refused(&options, "tls:", "only one"));
    settings[0].name = "old";
    CU_ASSERT_EQUAL(fmx_gateway_tls_check(&options, said, sizeof said), FMX_OK);
    settings[0].ticket_keys = settings[1].ticket_keys = "t";
    CU_ASSERT_EQUAL(fmx_gateway_tls_check(&options, said, sizeof said), FMX_OK);
    settings[1].ticket_rotate_s = 60;
    CU_ASSERT(is_refused(&options, "tls:", "ticket_rotate_s"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        begin_settings(&options, &settings[0]);
        settings[0].name = bad[i];
        CU_ASSERT(is_refused(&options, "tls '", "1 to 64"));
    }
}

static void limits_of_handshakes_are_in_their_ranges(void)
{
    struct fmx_gateway_options options;
    struct fmx_tls_server settings;

    begin_settings(&options, &settings);
#define REFUSES(field, value)                                                                      \
    do {                                                                                           \
        fmx_tls_limits_init(&options.tls_limits);                                                  \
        options.tls_limits.field = (value);                                                        \
        CU_ASSERT(is_refused(&options, "tls_limits." #field, "write a number from"));              \
    } while (0)
    REFUSES(workers, 65);
    REFUSES(turn_budget_us, 49);
    REFUSES(turn_budget_us, 100001);
    REFUSES(handshakes_per_second, 0);
    REFUSES(handshakes_per_second, 1000001);
    REFUSES(unfinished_max, 0);
    REFUSES(unfinished_max, 1000001);
    REFUSES(unfinished_per_address_max, 1000001);
    REFUSES(partial_record_timeout_ms, 99);
    REFUSES(partial_record_timeout_ms, 600001);
#undef REFUSES
    fmx_tls_limits_init(&options.tls_limits);
    options.tls_count = 17;
    CU_ASSERT(is_refused(&options, "tls_count is 17", "from 0 to 16"));
    options.tls_count = 1;
    options.tls = NULL;
    CU_ASSERT(is_refused(&options, "tls is missing", "1"));
}

/* ── as who opens a gateway hears it ── */

static void gateway_with_bad_settings_does_not_open(void)
{
    static const char *const texts[] = {"mqtts://127.0.0.1:0#old"};
    struct fmx_gateway_options options;
    struct fmx_tls_server settings;
    struct fmx_gateway *gateway = NULL;

#define OPENS_NOT(status, field, value, words)                                                     \
    do {                                                                                           \
        begin_settings(&options, &settings);                                                       \
        options.profile = FMX_PROFILE_OPEN;                                                        \
        options.listen = texts;                                                                    \
        options.listen_count = 1;                                                                  \
        field = (value);                                                                           \
        said[0] = '\0';                                                                            \
        CU_ASSERT_EQUAL(fmx_gateway_open(&options, &gateway, said, sizeof said), status);          \
        if (strncmp(said, "tls 'old': ", 11) != 0 || strstr(said, words) == NULL) {                \
            printf("%s\n", said);                                                                  \
            CU_FAIL("the words do not say it");                                                    \
        }                                                                                          \
    } while (0)
    OPENS_NOT(FMX_SYS_FILE, settings.cert, "/nowhere/a.pem", "/nowhere/a.pem");
    OPENS_NOT(FMX_E_OPTION, settings.max, FMX_TLS_11, "min is TLS 1.2");
    OPENS_NOT(FMX_E_OPTION, settings.min, (enum fmx_tls_version)0x0305, "min");
    OPENS_NOT(FMX_E_OPTION, settings.client_auth, FMX_TLS_CLIENT_AUTH_REQUIRE, "client_ca");
    OPENS_NOT(FMX_E_OPTION, settings.client_ca, "/nowhere/ca.pem", "client_ca");
    OPENS_NOT(FMX_E_OPTION, settings.client_cert_is_login, true, "client_cert_is_login");
    OPENS_NOT(FMX_E_OPTION, settings.client_chain_max, 0, "client_chain_max is 0");
    OPENS_NOT(FMX_E_OPTION, settings.client_chain_bytes_max, 1023, "client_chain_bytes_max");
    OPENS_NOT(FMX_E_OPTION, settings.ticket_rotate_s, 59, "ticket_rotate_s");
    OPENS_NOT(FMX_E_OPTION, settings.ticket_lifetime_s, 604801, "ticket_lifetime_s");
    OPENS_NOT(FMX_E_OPTION, settings.record_bytes_max, 511, "record_bytes_max");
    OPENS_NOT(FMX_E_OPTION, settings.handshake_timeout_ms, 99, "handshake_timeout_ms");
    OPENS_NOT(FMX_E_OPTION, settings.handshake_bytes_max, 4095, "handshake_bytes_max");
    OPENS_NOT(FMX_E_OPTION, settings.handshake_records_max, 7, "handshake_records_max");
    OPENS_NOT(FMX_E_OPTION, settings.psk, true, "psk");
    OPENS_NOT(FMX_SYS_FILE, settings.ticket_keys, "/nowhere/keys", "/nowhere/keys");
#undef OPENS_NOT
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(listener_without_tls_settings_is_plain),
    FMX_TEST_CASE(listener_takes_what_its_scheme_says),
    FMX_TEST_CASE(listener_is_plain_if_all_settings_have_names),
    FMX_TEST_CASE(listener_that_cannot_be_is_refused_in_words),
    FMX_TEST_CASE(listener_of_any_length_is_refused),
    FMX_TEST_CASE(settings_without_a_listener_are_refused),
    FMX_TEST_CASE(settings_that_are_good_pass),
    FMX_TEST_CASE(settings_with_half_a_pair_are_refused),
    FMX_TEST_CASE(settings_with_a_server_name_that_is_none_are_refused),
    FMX_TEST_CASE(settings_whose_fields_exclude_one_another_are_refused),
    FMX_TEST_CASE(settings_are_told_apart_by_their_names),
    FMX_TEST_CASE(limits_of_handshakes_are_in_their_ranges),
    FMX_TEST_CASE(gateway_with_bad_settings_does_not_open),
};

int main(int argc, char **argv)
{
    return fmx_test_main("gateway_tls", cases, sizeof cases / sizeof cases[0], argc, argv);
}
