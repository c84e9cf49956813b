/*
 * test_fleet_payload — texts with variables: what they become, and what is said of bad ones
 */
#include "engine/roles/fleet_payload.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint8_t mark[FMX_MARK_BYTES];
static char error[400];

static struct fmx_payload_values values_of(uint64_t flow_key, uint64_t sequence)
{
    return (struct fmx_payload_values){.client = {.number = 42,
                                                  .run_number = 7,
                                                  .client_id = fmx_slice_of("cl-42"),
                                                  .username = fmx_slice_of("user"),
                                                  .product_key = fmx_slice_of("pk"),
                                                  .device_name = fmx_slice_of("dev-7")},
                                       .sequence = sequence,
                                       .key = fmx_fleet_mix(flow_key, ~sequence),
                                       .flow_key = flow_key,
                                       .unix_ns = 1771763643123456789u,
                                       .mark = mark};
}

static struct fmx_payload_text *open_text(const char *text)
{
    struct fmx_payload_text *opened = NULL;

    if (fmx_payload_text_open(text, true, &opened, error, sizeof error) != FMX_OK) {
        fprintf(stderr, "'%s': %s\n", text, error);
        CU_FAIL_FATAL("a good text is refused");
    }
    return opened;
}

/* Fills into memory that is just large enough, so that a byte beyond is seen. Terminated. */
static char *fill(const struct fmx_payload_text *text, const struct fmx_payload_values *values,
                  uint64_t *out_hash)
{
    size_t most = fmx_payload_text_bytes_max(text, &values->client);
    uint8_t *exact = malloc(most > 0 ? most : 1);

    CU_ASSERT_FATAL(exact != NULL);
    size_t bytes = fmx_payload_text_fill(text, values, exact, out_hash);
    CU_ASSERT_FATAL(bytes <= most);
    char *filled = malloc(bytes + 1);
    CU_ASSERT_FATAL(filled != NULL);
    memcpy(filled, exact, bytes);
    filled[bytes] = '\0';
    free(exact);
    return filled;
}

static char *fill_once(const char *text, uint64_t flow_key, uint64_t sequence)
{
    struct fmx_payload_values values = values_of(flow_key, sequence);
    struct fmx_payload_text *opened = open_text(text);
    uint64_t hash;
    char *filled = fill(opened, &values, &hash);

    fmx_payload_text_close(opened);
    return filled;
}

/* ── what is written ── */

static void known_values_stand_where_their_variables_are(void)
{
    static const struct {
        const char *text;
        const char *filled;
    } rows[] = {
        {"", ""},
        {"plain {\"a\":1}", "plain {\"a\":1}"},
        {"%i %n %c %u %p %d %s %%", "42 7 cl-42 user pk dev-7 1000 %"},
        {"%%i%%%i", "%i%42"},
        {"%t", "1771763643123"},
        {"%{time:s} %{time:ms} %{time:us} %{time:ns}",
         "1771763643 1771763643123 1771763643123456 1771763643123456789"},
        {"{\"t\":\"%{time:iso}\"}", "{\"t\":\"2026-02-22T12:34:03.123Z\"}"},
        {"%{seq:1:1} %{seq:-5:-2} %{seq:9223372036854775807:0}", "1001 -2005 9223372036854775807"},
        {"%{int:7:7} %{real:-0.5:-0.5:1} %{real:2:2:0} %{real:-0.005:-0.005:3}", "7 -0.5 2 -0.005"},
        {"%{real:1.5:1.5:4} %{walk:3:3:1:2} %{one:only}", "1.5000 3.00 only"},
        {"%{one:gr\xc3\xbc\xc3\x9f dich}", "gr\xc3\xbc\xc3\x9f dich"},
        {"%m", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *filled = fill_once(rows[i].text, 99, 1000);
        if (strcmp(filled, rows[i].filled) != 0) {
            fprintf(stderr, "'%s' became '%s'\n", rows[i].text, filled);
            CU_FAIL("another text");
        }
        free(filled);
    }
}

static void times_are_those_of_the_calendar(void)
{
    struct fmx_prng prng = {.state = 5};
    struct fmx_payload_text *text = open_text("%{time:iso}");

    for (unsigned i = 0; i < 20000; i++) {
        struct fmx_payload_values values = values_of(1, 0);
        char wanted[64];
        struct tm tm;
        uint64_t hash;
        values.unix_ns = i == 0 ? 0 : fmx_prng_next(&prng);
        time_t seconds = (time_t)(values.unix_ns / 1000000000u);
        CU_ASSERT_FATAL(gmtime_r(&seconds, &tm) != NULL);
        size_t used = strftime(wanted, sizeof wanted, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(wanted + used, sizeof wanted - used, ".%03uZ",
                 (unsigned)(values.unix_ns / 1000000u % 1000u));
        char *filled = fill(text, &values, &hash);
        CU_ASSERT_STRING_EQUAL(filled, wanted);
        free(filled);
    }
    fmx_payload_text_close(text);
}

static void drawn_values_stay_within_their_bounds_and_reach_them(void)
{
    struct fmx_payload_text *text = open_text("%{int:-3:3} %{real:-0.2:0.1:1} %{one:a||ccc}");
    unsigned ints[7] = {0};
    unsigned reals[4] = {0};
    unsigned ones[4] = {0};

    for (uint64_t i = 0; i < 7000; i++) {
        struct fmx_payload_values values = values_of(3, i);
        uint64_t hash;
        char *filled = fill(text, &values, &hash);
        char *end;
        long whole = strtol(filled, &end, 10);
        double real = strtod(end, &end);
        CU_ASSERT_FATAL(whole >= -3 && whole <= 3 && real > -0.25 && real < 0.15 && *end == ' ');
        CU_ASSERT_FATAL(strlen(end + 1) <= 3);
        ints[whole + 3]++;
        reals[(int)(real * 10 + 2.5)]++;
        ones[strlen(end + 1)]++;
        free(filled);
    }
    for (unsigned i = 0; i < 7; i++) {
        CU_ASSERT(ints[i] > 850 && ints[i] < 1150);
    }
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT(reals[i] > 1550 && reals[i] < 1950);
    }
    CU_ASSERT(ones[0] > 2100 && ones[1] > 2100 && ones[2] == 0 && ones[3] > 2100);
    fmx_payload_text_close(text);
}

static void wide_ranges_do_not_overflow(void)
{
    struct fmx_payload_text *text = open_text(
        "%{int:-9223372036854775807:9223372036854775807} %{real:-9:9:18} "
        "%{walk:-9223372036854775807:9223372036854775807:1:0} %{walk:0:9:0.000000000000000001:18} "
        "%{walk:-9223372036854775807:9223372036854775807:9223372036854775807:0}");

    for (uint64_t i = 0; i < 2000; i++) {
        struct fmx_payload_values values = values_of(i, i << 36);
        uint64_t hash;
        free(fill(text, &values, &hash));
    }
    fmx_payload_text_close(text);
}

static void drawn_bytes_have_the_length_and_letters_that_were_asked_for(void)
{
    for (unsigned bytes = 1; bytes < 40; bytes++) {
        char text[64];
        snprintf(text, sizeof text, "%%{hex:%u}|%%{text:%u}|%%{uuid}", bytes, bytes);
        char *filled = fill_once(text, bytes, 5);
        CU_ASSERT_EQUAL(strspn(filled, "0123456789abcdef"), 2 * bytes);
        CU_ASSERT_EQUAL(strspn(filled + 2 * bytes + 1, "abcdefghijklmnopqrstuvwxyz"), bytes);
        const char *uuid = filled + 3 * bytes + 2;
        CU_ASSERT_EQUAL(strlen(uuid), 36);
        for (unsigned i = 0; i < 36; i++) {
            bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
            CU_ASSERT(is_dash ? uuid[i] == '-' : isxdigit((unsigned char)uuid[i]) != 0);
        }
        CU_ASSERT_EQUAL(uuid[14], '4');
        CU_ASSERT(strchr("89ab", uuid[19]) != NULL);
        free(filled);
    }
}

/* ── walks ── */

static void check_walk(uint64_t seed, struct fmx_prng *prng)
{
    uint32_t digits = (uint32_t)fmx_prng_below(prng, 4);
    int64_t scale = digits == 0 ? 1 : digits == 1 ? 10 : digits == 2 ? 100 : 1000;
    int64_t least = (int64_t)fmx_prng_below(prng, 2000) - 1000;
    int64_t most = least + (int64_t)fmx_prng_below(prng, 500);
    int64_t step = 1 + (int64_t)fmx_prng_below(prng, 1 + (uint64_t)((most - least) * scale) * 2);
    uint64_t first = fmx_prng_below(prng, 1ull << 47);
    int64_t before = 0;
    char source[200];

    snprintf(source, sizeof source, "%%{walk:%lld:%lld:%lld.%0*lld:%u}", (long long)least,
             (long long)most, (long long)(step / scale), digits > 0 ? (int)digits : 1,
             (long long)(digits > 0 ? step % scale : 0), digits);
    if (digits == 0) { /* no point then */
        snprintf(source, sizeof source, "%%{walk:%lld:%lld:%lld:0}", (long long)least,
                 (long long)most, (long long)step);
    }
    struct fmx_payload_text *text = open_text(source);
    for (uint64_t i = 0; i < 300; i++) {
        struct fmx_payload_values values = values_of(seed, first + i);
        uint64_t hash;
        char *filled = fill(text, &values, &hash);
        char *point = strchr(filled, '.');
        FMX_SEED_ASSERT(seed,
                        digits == 0 ? point == NULL : point != NULL && strlen(point + 1) == digits);
        bool is_negative = filled[0] == '-';
        int64_t now = strtoll(filled, NULL, 10) * scale;
        int64_t behind = point != NULL ? strtoll(point + 1, NULL, 10) : 0;
        now += is_negative ? -behind : behind;
        FMX_SEED_ASSERT(seed, now >= least * scale && now <= most * scale);
        FMX_SEED_ASSERT(seed, i == 0 || (now - before <= step && before - now <= step));
        before = now;
        free(filled);
    }
    fmx_payload_text_close(text);
}

static void walks_move_by_at_most_a_step(void)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct fmx_prng prng = {.state = seed};
        check_walk(seed, &prng);
    }
}

static void walks_come_near_both_ends(void)
{
    struct fmx_payload_text *text = open_text("%{walk:0:100:1:0}");
    long lowest = 100;
    long highest = 0;

    for (uint64_t i = 0; i < 100000; i++) {
        struct fmx_payload_values values = values_of(17, i);
        uint64_t hash;
        char *filled = fill(text, &values, &hash);
        long now = strtol(filled, NULL, 10);
        lowest = now < lowest ? now : lowest;
        highest = now > highest ? now : highest;
        free(filled);
    }
    CU_ASSERT(lowest <= 2 && highest >= 98);
    fmx_payload_text_close(text);
}

/* ── hashes, determinism ── */

static const char everything[] =
    "%i%n%c%u%p%d%s%t%{time:iso}%m%{seq:0:1}%{int:0:9}%{real:0:9:2}%{walk:0:9:1:1}%{one:a|b|c}"
    "%{hex:9}%{text:9}%{uuid}";

static void only_times_and_marks_are_left_out_of_the_hash(void)
{
    struct fmx_payload_text *text = open_text(everything);
    struct fmx_payload_values values = values_of(8, 8);
    struct fmx_payload_values other = values;
    uint8_t other_mark[FMX_MARK_BYTES] = {9};
    uint64_t hash;
    uint64_t other_hash;

    other.unix_ns = 5;
    other.mark = other_mark;
    char *filled = fill(text, &values, &hash);
    char *other_filled = fill(text, &other, &other_hash);
    CU_ASSERT_EQUAL(hash, other_hash);
    CU_ASSERT(strcmp(filled, other_filled) != 0);
    free(filled);
    free(other_filled);
    for (unsigned i = 0; i < 8; i++) {
        other = values;
        other.client.number += i == 0;
        other.client.run_number += i == 1;
        other.sequence += i == 2;
        other.key += i == 3;
        other.flow_key += i == 4 ? 99 : 0;
        other.client.client_id.bytes -= i == 5;
        other.client.username.bytes -= i == 6;
        other.client.device_name.bytes -= i == 7;
        free(fill(text, &other, &other_hash));
        CU_ASSERT_NOT_EQUAL(hash, other_hash);
    }
    fmx_payload_text_close(text);
}

static void the_same_key_makes_the_same_text(void)
{
    struct fmx_payload_text *text = open_text(everything);
    struct fmx_payload_text *again = open_text(everything);

    for (uint64_t i = 0; i < 200; i++) {
        struct fmx_payload_values values = values_of(i, i * i);
        uint64_t hash;
        uint64_t other_hash;
        char *filled = fill(text, &values, &hash);
        char *other = fill(again, &values, &other_hash);
        CU_ASSERT_STRING_EQUAL(filled, other);
        CU_ASSERT_EQUAL(hash, other_hash);
        free(filled);
        free(other);
    }
    fmx_payload_text_close(text);
    fmx_payload_text_close(again);
}

/* What one seed has made stays what it makes, in later versions and on other machines. */
static void a_stream_does_not_change(void)
{
    char *filled = fill_once("%{int:0:999999}|%{real:-50:50:3}|%{walk:0:1000:5:0}|%{one:a|b|c|d}|"
                             "%{hex:4}|%{text:8}|%{uuid}",
                             2026, 11);
    CU_ASSERT_STRING_EQUAL(
        filled, "181386|-5.960|935|a|4174b6b3|axkxribk|afc6cadf-56a3-4e7a-aa85-92c0e95e654f");
    free(filled);
}

static void a_text_says_what_it_needs(void)
{
    struct fmx_payload_text *text = open_text("%c %m");

    CU_ASSERT(fmx_payload_text_has_mark(text));
    CU_ASSERT_FALSE(fmx_payload_text_has_time(text));
    CU_ASSERT(fmx_payload_text_has(text, 'c'));
    CU_ASSERT_FALSE(fmx_payload_text_has(text, 'u'));
    fmx_payload_text_close(text);
    text = open_text("%{time:iso}%d");
    CU_ASSERT_FALSE(fmx_payload_text_has_mark(text));
    CU_ASSERT(fmx_payload_text_has_time(text));
    CU_ASSERT(fmx_payload_text_has(text, 'd'));
    fmx_payload_text_close(text);
}

/* ── bad texts ── */

static void a_bad_text_is_refused_with_its_place_and_what_to_write(void)
{
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        {"50%", "character 3: a single '%' at the end; write %%"},
        {"50% off", "character 3: a single '%'; write %%"},
        {"a %x", "character 3: '%x' is no variable; write %%x for the two characters, or one of %c "
                 "%i %u %n %t %s %m %{…}"},
        {"\xc3\xbc\xc3\xbc%x",
         "character 3: '%x' is no variable; write %%x for the two characters, "
         "or one of %c %i %u %n %t %s %m %{…}"},
        {"%p",
         "character 1: %p is a variable of the platform's devices only; write %%p for the two "
         "characters"},
        {"%{int:1:2", "character 1: '%{' without a '}'; write %%{ for the two characters"},
        {"ab%{itn:1:2}", "character 3: no variable is called 'itn'; perhaps %{int:LEAST:MOST}, "
                         "whole numbers, as in %{int:1:6}"},
        {"%{rael:1:2:1}", "character 1: no variable is called 'rael'; perhaps "
                          "%{real:LEAST:MOST:DIGITS}, as in %{real:-5:40:2}"},
        {"%{temperature}", "character 1: no variable is called 'temperature'; there are time, seq, "
                           "int, real, walk, one, hex, text and uuid"},
        {"%{}", "character 1: no variable is called ''; there are time, seq, int, real, walk, one, "
                "hex, text and uuid"},
        {"%{int:1}", "character 1: '%{int:1}': it has two parameters; write %{int:LEAST:MOST}, "
                     "whole numbers, as in %{int:1:6}"},
        {"%{int:5:1}", "character 1: '%{int:5:1}': LEAST is above MOST; write %{int:LEAST:MOST}, "
                       "whole numbers, as in %{int:1:6}"},
        {"%{int:1.5:2}", "character 1: '%{int:1.5:2}': one of them is no whole number; write "
                         "%{int:LEAST:MOST}, whole numbers, as in %{int:1:6}"},
        {"%{int:1:99999999999999999999}",
         "character 1: '%{int:1:99999999999999999999}': a number is too large; write "
         "%{int:LEAST:MOST}, whole numbers, as in %{int:1:6}"},
        {"%{int::2}", "character 1: '%{int::2}': a number is missing; write %{int:LEAST:MOST}, "
                      "whole numbers, as in %{int:1:6}"},
        {"%{real:1.25:2:1}", "character 1: '%{real:1.25:2:1}': a number has more digits than "
                             "DIGITS; write %{real:LEAST:MOST:DIGITS}, as in %{real:-5:40:2}"},
        {"%{real:1:2:19}", "character 1: '%{real:1:2:19}': DIGITS are 0 to 18; write "
                           "%{real:LEAST:MOST:DIGITS}, as in %{real:-5:40:2}"},
        {"%{walk:1:2:0:1}", "character 1: '%{walk:1:2:0:1}': STEP is to be above 0; write "
                            "%{walk:LEAST:MOST:STEP:DIGITS}, as in %{walk:18:24:0.2:1}"},
        {"%{time:min}", "character 1: '%{time:min}': there is no such unit; write %{time:ms}, or "
                        "s, us, ns, iso instead of ms"},
        {"%{time}", "character 1: '%{time}': it has one parameter; write %{time:ms}, or s, us, ns, "
                    "iso instead of ms"},
        {"%{one}", "character 1: '%{one}': it has nothing to choose from; write %{one:A|B|C}, as "
                   "in %{one:on|off}"},
        {"%{one:a|%i}", "character 1: '%{one:a|%i}': no '%' stands inside; write %{one:A|B|C}, as "
                        "in %{one:on|off}"},
        {"%{hex:0}", "character 1: '%{hex:0}': BYTES are 1 to 268000000; write %{hex:BYTES}, as in "
                     "%{hex:8}"},
        {"%{uuid:4}", "character 1: '%{uuid:4}': it has no parameter; write %{uuid}"},
        {"%{text:268000000}a", "character 18: the text grows longer than 268000000 bytes here; "
                               "shorten it"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmx_payload_text *text = NULL;
        enum fmx_status status =
            fmx_payload_text_open(rows[i].text, false, &text, error, sizeof error);
        CU_ASSERT_EQUAL(status, FMX_E_OPTION);
        CU_ASSERT_PTR_NULL(text);
        if (status != FMX_E_OPTION || strcmp(error, rows[i].error) != 0) {
            fprintf(stderr, "'%s': %s\n", rows[i].text, error);
            CU_FAIL("another error");
        }
    }
}

static void a_text_can_be_checked_alone(void)
{
    CU_ASSERT_EQUAL(fmx_payload_text_open("%i", false, NULL, error, sizeof error), FMX_OK);
    CU_ASSERT_EQUAL(fmx_payload_text_open("%q", false, NULL, error, sizeof error), FMX_E_OPTION);
}

/* Bits of good texts and bytes of chance, one behind the other. */
static void write_garbage(struct fmx_prng *prng, char *out, size_t room)
{
    static const char *const bits[] = {
        "%",   "%{",    "}",     ":",    "|",    "%{int:", "1:2}", "%{one:a|b", "%{walk:0:9:",
        "0.5", ":1}",   "-",     ".",    "9999", "%m",     "%t",   "%%",        "%{real:-1:1:3}",
        "%i",  "%{hex", "uuid}", "text", "seq:", "\xc3",   "%c",   "time:iso}", "%{hex:12}"};
    size_t used = 0;

    while (fmx_prng_below(prng, 12) > 0) {
        const char *bit = bits[fmx_prng_below(prng, sizeof bits / sizeof bits[0])];
        char byte[2] = {(char)(1 + fmx_prng_below(prng, 255)), '\0'};
        bit = fmx_prng_below(prng, 5) == 0 ? byte : bit;
        if (used + strlen(bit) + 1 > room) {
            break;
        }
        memcpy(out + used, bit, strlen(bit));
        used += strlen(bit);
    }
    out[used] = '\0';
}

static void any_text_is_refused_or_filled_within_its_bounds(void)
{
    unsigned good = 0;

    for (uint64_t seed = 1; seed <= 200000; seed++) {
        struct fmx_prng prng = {.state = seed};
        struct fmx_payload_text *text = NULL;
        struct fmx_payload_values values = values_of(seed, fmx_prng_next(&prng) >> 16);
        char source[300];
        uint64_t hash;
        write_garbage(&prng, source, sizeof source);
        char *exact = strdup(source);
        CU_ASSERT_FATAL(exact != NULL);
        size_t room = fmx_prng_below(&prng, 2) == 0 ? sizeof error : fmx_prng_below(&prng, 40);
        enum fmx_status status = fmx_payload_text_open(exact, true, &text, error, room);
        free(exact);
        FMX_SEED_ASSERT(seed, (status == FMX_OK) == (text != NULL));
        if (text != NULL && fmx_payload_text_bytes_max(text, &values.client) < 1u << 20) {
            free(fill(text, &values, &hash));
            good++;
        }
        fmx_payload_text_close(text);
    }
    CU_ASSERT(good > 20000);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(known_values_stand_where_their_variables_are),
    FMX_TEST_CASE(times_are_those_of_the_calendar),
    FMX_TEST_CASE(drawn_values_stay_within_their_bounds_and_reach_them),
    FMX_TEST_CASE(wide_ranges_do_not_overflow),
    FMX_TEST_CASE(drawn_bytes_have_the_length_and_letters_that_were_asked_for),
    FMX_TEST_CASE(walks_move_by_at_most_a_step),
    FMX_TEST_CASE(walks_come_near_both_ends),
    FMX_TEST_CASE(only_times_and_marks_are_left_out_of_the_hash),
    FMX_TEST_CASE(the_same_key_makes_the_same_text),
    FMX_TEST_CASE(a_stream_does_not_change),
    FMX_TEST_CASE(a_text_says_what_it_needs),
    FMX_TEST_CASE(a_bad_text_is_refused_with_its_place_and_what_to_write),
    FMX_TEST_CASE(a_text_can_be_checked_alone),
    FMX_TEST_CASE(any_text_is_refused_or_filled_within_its_bounds),
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < sizeof mark; i++) {
        mark[i] = (uint8_t)i;
    }
    return fmx_test_main("fleet_payload", cases, sizeof cases / sizeof cases[0], argc, argv);
}
