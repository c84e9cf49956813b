/*
 * test_listen_options — listeners get the settings that were meant for them, and one that is wrong
 * is answered with its name, its key and the fix
 */
#include "tests/support/run.h"
#include "tools/fleetmux/gateway_listen.h"

#include <stdio.h>
#include <string.h>

static struct gateway_tls tls;
static struct flag_list listen_list;
static struct gateway_listeners listeners;
static char error[FLAG_ERROR_BYTES];

static void begin(void)
{
    gateway_tls_init(&tls);
    error[0] = '\0';
}

static void begin_with_cert(void)
{
    begin();
    tls.server.cert = "default.crt";
    tls.server.key = "default.key";
}

/* Makes listeners of texts, the last one NULL. */
static bool makes_all(const char *const *texts)
{
    gateway_listen_wipe(&listeners);
    listen_list.count = 0;
    while (texts[listen_list.count] != NULL) {
        listen_list.items[listen_list.count] = texts[listen_list.count];
        listen_list.count++;
    }
    return gateway_listen_make(&listen_list, &tls, &listeners, error);
}

#define MAKES(...) makes_all((const char *const[]){__VA_ARGS__, NULL})

static bool refuses(const char *text, const char *words)
{
    bool is_refused = !MAKES(text) && strstr(error, words) != NULL;

    if (!is_refused) {
        fprintf(stderr, "%s\n  said   %s\n  wanted %s\n", text, error, words);
    }
    return is_refused;
}

static bool is_address(size_t index, const char *address)
{
    return index < listeners.count && strcmp(listeners.addresses[index], address) == 0;
}

/* The settings with this name; NULL: there are none. */
static const struct fmx_tls_server *find(const char *name)
{
    for (size_t index = 0; index < listeners.servers_count; index++) {
        const struct fmx_tls_server *server = &listeners.servers[index];
        if ((name == NULL && server->name == NULL) ||
            (name != NULL && server->name != NULL && strcmp(server->name, name) == 0)) {
            return server;
        }
    }
    return NULL;
}

static void without_tls_listeners_are_what_was_written(void)
{
    begin();
    CU_ASSERT(MAKES("127.0.0.1:1883", "[::1]:1884", ":0", "mqtt://:1885"));
    CU_ASSERT(is_address(0, "127.0.0.1:1883") && is_address(1, "[::1]:1884"));
    CU_ASSERT(is_address(2, ":0") && is_address(3, "mqtt://:1885"));
    CU_ASSERT_EQUAL(listeners.servers_count, 0);
}

static void a_certificate_alone_makes_listeners_take_both(void)
{
    begin_with_cert();
    CU_ASSERT(MAKES(":1883", "mqtt://:1884", "mqtts://:8883"));
    CU_ASSERT(is_address(0, ":1883") && is_address(1, "mqtt://:1884"));
    CU_ASSERT(is_address(2, "mqtts://:8883"));
    CU_ASSERT_EQUAL_FATAL(listeners.servers_count, 1);
    CU_ASSERT(find(NULL) != NULL && strcmp(find(NULL)->cert, "default.crt") == 0);
    CU_ASSERT(MAKES("mqtt://:1883"));
    CU_ASSERT_EQUAL(listeners.servers_count, 0); /* nobody needs it */
    begin();
    tls.server.psk = true;
    CU_ASSERT(MAKES("mqtts://:8883") && find(NULL)->psk);
}

static void a_query_changes_single_settings_of_one_listener(void)
{
    const struct fmx_tls_server *own = NULL;

    begin_with_cert();
    CU_ASSERT_FATAL(MAKES(":1883", "mqtts://:8884?min=1.0&old_suites=true&cert_rsa=rsa.crt&key_rsa="
                                   "rsa.key&ticket_rotate_s=1h"));
    CU_ASSERT(is_address(0, ":1883") && is_address(1, "mqtts://:8884#listener-2"));
    CU_ASSERT_EQUAL(listeners.servers_count, 2);
    own = find("listener-2");
    CU_ASSERT_FATAL(own != NULL && find(NULL) != NULL);
    CU_ASSERT(own->min == FMX_TLS_10 && own->max == FMX_TLS_13 && own->old_suites);
    CU_ASSERT_STRING_EQUAL(own->cert, "default.crt");
    CU_ASSERT_STRING_EQUAL(own->cert_rsa, "rsa.crt");
    CU_ASSERT_STRING_EQUAL(own->key_rsa, "rsa.key");
    CU_ASSERT_EQUAL(own->ticket_rotate_s, 3600);
    CU_ASSERT(find(NULL)->min == FMX_TLS_12 && !find(NULL)->old_suites);
    CU_ASSERT(find(NULL)->cert_rsa == NULL);
}

static void what_is_empty_is_taken_away(void)
{
    begin_with_cert();
    tls.server_names.items[tls.server_names.count++] = "a.example=a.crt,a.key";
    CU_ASSERT_FATAL(MAKES("mqtts://:8885?cert=&key=&server_name=&psk"));
    CU_ASSERT_EQUAL_FATAL(listeners.servers_count, 1);
    CU_ASSERT(find("listener-1")->cert == NULL && find("listener-1")->key == NULL &&
              find("listener-1")->psk);
    CU_ASSERT_EQUAL(find("listener-1")->server_names_count, 0);
    CU_ASSERT(refuses("mqtts://:8885?cert=&key=&server_name=", "neither a certificate nor a PSK"));
}

static void bytes_that_would_end_a_value_are_written_as_in_urls(void)
{
    begin();
    CU_ASSERT_FATAL(MAKES("mqtts://:1?cert=a%26b%2cc%25.crt&key=%e4&psk=false"));
    CU_ASSERT_STRING_EQUAL(find("listener-1")->cert, "a&b,c%.crt");
    CU_ASSERT_STRING_EQUAL(find("listener-1")->key, "\xe4");
    CU_ASSERT(refuses("mqtts://:1?cert=%", "two hexadecimal digits"));
    CU_ASSERT(refuses("mqtts://:1?cert=%2", "two hexadecimal digits"));
    CU_ASSERT(refuses("mqtts://:1?cert=%g0", "two hexadecimal digits"));
    CU_ASSERT(refuses("mqtts://:1?cert=%\x10\x10", "two hexadecimal digits"));
    CU_ASSERT(refuses("mqtts://:1?cert=a%00b", "two hexadecimal digits"));
}

static void server_names_bring_certificates_of_their_own(void)
{
    static const char *const bad[] = {"a", "a=", "=b,c", "a=b", "a=b,", "a=b,c,d", "a=b,c,d,e,f"};
    const struct fmx_tls_server_name *names = NULL;

    begin_with_cert();
    tls.server_names.items[tls.server_names.count++] = "a.example=a.crt,a.key";
    tls.server_names.items[tls.server_names.count++] =
        "*.b.example=b.crt,b.key,b-rsa.crt,b-rsa.key";
    CU_ASSERT_FATAL(MAKES("mqtts://:1", "mqtts://:2?min=1.3",
                          "mqtts://:3?server_name=c%2Ecrt=x%2Cy&server_name=d=u%2Cv"));
    CU_ASSERT_EQUAL_FATAL(find(NULL)->server_names_count, 2);
    names = find(NULL)->server_names;
    CU_ASSERT_STRING_EQUAL(names[0].name, "a.example");
    CU_ASSERT_STRING_EQUAL(names[0].cert, "a.crt");
    CU_ASSERT_STRING_EQUAL(names[0].key, "a.key");
    CU_ASSERT(names[0].cert_rsa == NULL && names[0].key_rsa == NULL);
    CU_ASSERT_STRING_EQUAL(names[1].name, "*.b.example");
    CU_ASSERT_STRING_EQUAL(names[1].cert_rsa, "b-rsa.crt");
    CU_ASSERT_STRING_EQUAL(names[1].key_rsa, "b-rsa.key");
    CU_ASSERT_EQUAL(find("listener-2")->server_names_count,
                    2); /* what is not changed is the same */
    CU_ASSERT_EQUAL_FATAL(find("listener-3")->server_names_count,
                          2); /* what is changed is replaced */
    CU_ASSERT_STRING_EQUAL(find("listener-3")->server_names[0].name, "c.crt");
    CU_ASSERT_STRING_EQUAL(find("listener-3")->server_names[1].key, "v");
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        tls.server_names.items[1] = bad[index];
        CU_ASSERT(refuses("mqtts://:1", "write NAME=CERT,KEY"));
    }
}

static void what_takes_no_tls_says_so_where_others_do(void)
{
    begin();
    CU_ASSERT_FATAL(MAKES(":1883", "mqtts://:8883?cert=a&key=b"));
    CU_ASSERT(is_address(0, "mqtt://:1883") && is_address(1, "mqtts://:8883#listener-2"));
    CU_ASSERT(find(NULL) == NULL && listeners.servers_count == 1);
    CU_ASSERT_FATAL(MAKES(":1883?cert=a&key=b"));
    CU_ASSERT(is_address(0, ":1883#listener-1")); /* both, with these */
}

static void a_listener_that_cannot_prove_itself_is_refused(void)
{
    begin();
    CU_ASSERT(refuses("mqtts://:8883", "neither a certificate nor a PSK"));
    CU_ASSERT(refuses(":8883?min=1.0", "neither a certificate nor a PSK"));
    tls.server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    CU_ASSERT(refuses(":1883", "--tls-client-auth is set, but there is no TLS"));
    begin();
    tls.server.key = "a.key";
    CU_ASSERT(refuses(":1883", "--tls-key is set, but there is no TLS"));
    begin();
    tls.server.min = FMX_TLS_13;
    CU_ASSERT(MAKES(":1883?cert=a&key=b") && find("listener-1")->min == FMX_TLS_13);
}

static void what_is_wrong_is_named(void)
{
    static const struct {
        const char *text, *words;
    } samples[] = {
        {"tls://:8883", "'tls://' is unknown; write mqtt://"},
        {"://:8883", "'://' is unknown"},
        {"mqttss://:8883", "'mqttss://' is unknown"},
        {"mqtts://:8883#1", "'#' has no meaning here"},
        {":8883#1", "'#' has no meaning here"},
        {"mqtt://:1883?min=1.0", "plain MQTT has no settings"},
        {"mqtts://:8883?", "unknown key ''"},
        {"mqtts://:8883?min=1.0&", "unknown key ''"},
        {"mqtts://:8883?mim=1.0", "unknown key 'mim'; did you mean 'min'? Or write"},
        {"mqtts://:8883?tls_min=1.0", "did you mean 'min'?"},
        {"mqtts://:8883?old-suites=true", "did you mean 'old_suites'?"},
        {"mqtts://:8883?zzzz=1", "unknown key 'zzzz'; write one of cert, key, cert_rsa"},
        {"mqtts://:8883?min=1.4", "key 'min': '1.4' is not good here; write one of 1.0, 1.1"},
        {"mqtts://:8883?min", "key 'min' needs a value; write min=VALUE"},
        {"mqtts://:8883?min=", "key 'min': '' is not good here"},
        {"mqtts://:8883?min=1.2&min=1.3", "key 'min' stands twice"},
        {"mqtts://:8883?old_suites=yes", "key 'old_suites': 'yes' is not good here; write true or"},
        {"mqtts://:8883?client_chain_max=17", "key 'client_chain_max': '17' is out of range"},
        {"mqtts://:8883?workers=1", "unknown key 'workers'"},
    };

    begin_with_cert();
    for (size_t index = 0; index < sizeof(samples) / sizeof(samples[0]); index++) {
        CU_ASSERT(refuses(samples[index].text, samples[index].words));
        CU_ASSERT(strncmp(error, "listener '", 10) == 0);
        CU_ASSERT(strncmp(error + 10, samples[index].text, strlen(samples[index].text)) == 0);
    }
}

static void as_many_listeners_as_there_may_be_have_their_own(void)
{
    static char long_query[4096];
    char texts[GATEWAY_LISTEN_MAX][64], own_name[16];
    const char *all[GATEWAY_LISTEN_MAX + 1] = {NULL};
    size_t used = (size_t)snprintf(long_query, sizeof(long_query), "mqtts://:1?psk");

    begin_with_cert();
    for (size_t index = 0; index < FLAG_ITEMS_MAX; index++) {
        tls.server_names.items[tls.server_names.count++] = "a=b,c,d,e";
        used += (size_t)snprintf(long_query + used, sizeof(long_query) - used,
                                 "&server_name=a=b%%2cc%%2cd%%2ce");
    }
    for (size_t index = 0; index < GATEWAY_LISTEN_MAX; index++) {
        snprintf(texts[index], sizeof(texts[index]), "mqtts://:%zu?psk", index);
        all[index] = index % 2 == 0 ? texts[index] : long_query;
    }
    CU_ASSERT_FATAL(makes_all(all));
    CU_ASSERT_EQUAL(listeners.servers_count, GATEWAY_LISTEN_MAX);
    for (size_t index = 0; index < GATEWAY_LISTEN_MAX; index++) {
        snprintf(own_name, sizeof(own_name), "listener-%zu", index + 1);
        CU_ASSERT_FATAL(find(own_name) != NULL);
        CU_ASSERT_EQUAL(find(own_name)->server_names_count, FLAG_ITEMS_MAX);
        CU_ASSERT_STRING_EQUAL(find(own_name)->server_names[FLAG_ITEMS_MAX - 1].key_rsa, "e");
    }
    CU_ASSERT(listeners.texts_used <= listeners.texts_room);
    CU_ASSERT(listeners.names_count <= listeners.names_room);
}

/* Every beginning of a good one, and every byte of it replaced: taken or refused, no more. */
static void nothing_that_is_cut_or_torn_does_harm(void)
{
    static const char good[] = "mqtts://[::1]:8884?min=1.0&old_suites&server_name=a=b%2Cc&cert=%41";
    static const char letters[] = "?&=%#:/,a0";
    char text[sizeof(good)];

    begin_with_cert();
    for (size_t place = 0; place < sizeof(good) - 1; place++) {
        memcpy(text, good, sizeof(good));
        text[place] = '\0';
        (void)MAKES(text);
        for (size_t letter = 0; letter < sizeof(letters) - 1; letter++) {
            memcpy(text, good, sizeof(good));
            text[place] = letters[letter];
            (void)MAKES(text, text);
            CU_ASSERT(listeners.texts_used <= listeners.texts_room);
        }
    }
    gateway_listen_wipe(&listeners);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(without_tls_listeners_are_what_was_written),
    FMX_TEST_CASE(a_certificate_alone_makes_listeners_take_both),
    FMX_TEST_CASE(a_query_changes_single_settings_of_one_listener),
    FMX_TEST_CASE(what_is_empty_is_taken_away),
    FMX_TEST_CASE(bytes_that_would_end_a_value_are_written_as_in_urls),
    FMX_TEST_CASE(server_names_bring_certificates_of_their_own),
    FMX_TEST_CASE(what_takes_no_tls_says_so_where_others_do),
    FMX_TEST_CASE(a_listener_that_cannot_prove_itself_is_refused),
    FMX_TEST_CASE(what_is_wrong_is_named),
    FMX_TEST_CASE(as_many_listeners_as_there_may_be_have_their_own),
    FMX_TEST_CASE(nothing_that_is_cut_or_torn_does_harm),
};

int main(int argc, char **argv)
{
    return fmx_test_main("listen_options", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
