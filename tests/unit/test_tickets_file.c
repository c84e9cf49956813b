/*
 * test_tickets_file — a bad file is refused with words, and the keys in use outlive it
 */
#include "tests/support/prng.h"
#include "tests/support/seed.h"
#include "tests/support/tickets.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CRASH_ROUNDS 20u

/* ── bad files ── */

#define NAME_1 "00112233445566778899aabbccddeeff"
#define NAME_2 "10112233445566778899aabbccddeeff"
#define NAME_3 "20112233445566778899AABBCCDDEEFF"
#define KEY    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEAD   "# fleetmux TLS ticket keys, format 1; made by hand\n"

/* All keys are the same: a file is judged by its form. */
#define ROW(place, since, name, aes, hmac) place " " since " " name " " aes " " hmac "\n"
#define ROW_1                              ROW("previous", "0", NAME_1, KEY, KEY)
#define ROW_2                              ROW("current", "5", NAME_2, KEY, KEY)
#define ROW_3                              ROW("next", "0", NAME_3, KEY, KEY)

static const struct {
    const char *text;
    const char *words;
} bad_files[] = {
    {"x", "is not a file of ticket keys; name another file"},
    {"# fleetmux TLS ticket keys, format", "is not a file of ticket keys"},
    {"-----BEGIN PRIVATE KEY-----\n", "is not a file of ticket keys"},
    {"# fleetmux TLS ticket keys, format 2; x\n" ROW_1 ROW_2 ROW_3, "newer than this program"},
    {"# fleetmux TLS ticket keys, format 10; x\n" ROW_1 ROW_2 ROW_3, "newer than this program"},
    {"# fleetmux TLS ticket keys, format \n", "newer than this program"},
    {HEAD, "line 2: it does not begin with 'previous '"},
    {HEAD ROW_1, "line 3: it does not begin with 'current '"},
    {HEAD ROW_1 ROW_2, "line 4: it does not begin with 'next '"},
    {HEAD ROW_2 ROW_1 ROW_3, "line 2: it does not begin with 'previous '"},
    {HEAD "\n" ROW_1 ROW_2 ROW_3, "line 2: it does not begin"},
    {HEAD "previous\n" ROW_2 ROW_3, "line 2: it does not begin"},
    {HEAD "previous 0\n" ROW_2 ROW_3, "line 2: the second field is not a UNIX time"},
    {HEAD ROW_1 ROW("current", "-5", NAME_2, KEY, KEY) ROW_3, "line 3: the second field"},
    {HEAD ROW_1 ROW("current", "", NAME_2, KEY, KEY) ROW_3, "line 3: the second field"},
    {HEAD ROW_1 ROW("current", "253402300800", NAME_2, KEY, KEY) ROW_3, "line 3: the second field"},
    {HEAD ROW_1 ROW("current", "99999999999999999999999", NAME_2, KEY, KEY) ROW_3,
     "line 3: the second field"},
    {HEAD ROW("previous", "0", "00", KEY, KEY) ROW_2 ROW_3, "line 2: the name is not 32"},
    {HEAD ROW("previous", "0", NAME_1 "00", KEY, KEY) ROW_2 ROW_3, "line 2: the name is not 32"},
    {HEAD ROW_1 ROW_2 ROW("next", "0", "g0112233445566778899aabbccddeeff", KEY, KEY),
     "line 4: the name is not 32"},
    {HEAD ROW_1 ROW_2 ROW("next", "0", NAME_2, KEY, KEY), "line 4: the name is that of another"},
    {HEAD ROW("previous", "0", NAME_1, NAME_1, KEY) ROW_2 ROW_3, "line 2: the AES key is not 64"},
    {HEAD ROW("previous", "0", NAME_1, KEY, NAME_1) ROW_2 ROW_3, "line 2: the HMAC key is not 64"},
    {HEAD ROW("previous", "0", NAME_1, KEY, KEY " ") ROW_2 ROW_3, "line 2: the HMAC key is not 64"},
    {HEAD ROW_1 ROW_2 "next 0 " NAME_3 " " KEY " " KEY, "line 4: the HMAC key is not 64"},
    {HEAD ROW_1 ROW_2 ROW_3 "\n", "line 5: nothing may follow"},
    {HEAD ROW_1 ROW_2 ROW_3 ROW_3, "line 5: nothing may follow"},
};

#define GOOD_FILE HEAD ROW_1 ROW_2 ROW_3

static void a_file_written_by_hand_is_taken(void)
{
    new_path();
    write_text(GOOD_FILE);
    struct fmx_tls_tickets *tickets = NULL;
    CU_ASSERT_EQUAL(fmx_tls_tickets_open(path, UINT32_MAX, &tickets, error, sizeof(error)), FMX_OK);
    struct ticket ticket = made(tickets);
    CU_ASSERT_EQUAL(ticket.name[0], 0x10);
    CU_ASSERT_EQUAL(ticket.name[15], 0xff);
    fmx_tls_tickets_close(tickets);
}

static void a_bad_file_is_refused_with_its_line_and_left_alone(void)
{
    char text[TEXT_BYTES];

    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
        struct fmx_tls_tickets *tickets = NULL;
        new_path();
        write_text(bad_files[i].text);
        CU_ASSERT_EQUAL(fmx_tls_tickets_open(path, PERIOD_S, &tickets, error, sizeof(error)),
                        FMX_E_OPTION);
        CU_ASSERT_PTR_NULL(tickets);
        if (strstr(error, bad_files[i].words) == NULL || strstr(error, path) == NULL) {
            fprintf(stderr, "file %zu: %s\n", i, error);
            CU_FAIL("the words are others");
        }
        CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)), FMX_E_OPTION);
        read_text(text);
        CU_ASSERT_EQUAL(strcmp(text, bad_files[i].text), 0);
    }
}

static void a_file_cut_anywhere_is_refused(void)
{
    char text[TEXT_BYTES];

    for (size_t bytes = 1; bytes < sizeof(GOOD_FILE) - 1; bytes++) {
        struct fmx_tls_tickets *tickets = NULL;
        if (bytes % 64 == 1) {
            new_path();
        }
        snprintf(text, sizeof(text), "%.*s", (int)bytes, GOOD_FILE);
        write_text(text);
        CU_ASSERT_EQUAL(fmx_tls_tickets_open(path, PERIOD_S, &tickets, error, sizeof(error)),
                        FMX_E_OPTION);
    }
}

static void what_is_no_file_is_refused(void)
{
    struct fmx_tls_tickets *tickets = NULL;
    char long_text[TEXT_BYTES];

    CU_ASSERT_EQUAL(fmx_tls_tickets_open(folder, PERIOD_S, &tickets, error, sizeof(error)),
                    FMX_E_OPTION);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "are not a file"));
    new_path();
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    CU_ASSERT_EQUAL(fmx_tls_tickets_open(path, PERIOD_S, &tickets, error, sizeof(error)),
                    FMX_E_OPTION);
    CU_ASSERT_EQUAL(
        fmx_tls_tickets_open("/nowhere/at/all", PERIOD_S, &tickets, error, sizeof(error)),
        FMX_SYS_FILE);
    CU_ASSERT_EQUAL(errno, ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "/nowhere/at/all"));
    new_path();
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    write_text(long_text);
    FILE *file = fopen(path, "a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (unsigned i = 0; i < 100; i++) {
        fputs(long_text, file);
    }
    fclose(file);
    CU_ASSERT_EQUAL(fmx_tls_tickets_open(path, PERIOD_S, &tickets, error, sizeof(error)),
                    FMX_E_OPTION);
}

static void a_file_that_others_can_read_is_refused_with_the_fix(void)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0620, 0602, 0601, 0777};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct fmx_tls_tickets *tickets = NULL;
        new_path();
        write_text(GOOD_FILE);
        CU_ASSERT_EQUAL(chmod(path, modes[i]), 0);
        CU_ASSERT_EQUAL(fmx_tls_tickets_open(path, PERIOD_S, &tickets, error, sizeof(error)),
                        FMX_E_OPTION);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "write: chmod 600 '"));
        CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)), FMX_E_OPTION);
        CU_ASSERT_EQUAL(chmod(path, 0400), 0);
        CU_ASSERT_EQUAL(fmx_tls_tickets_open(path, UINT32_MAX, &tickets, error, sizeof(error)),
                        FMX_OK);
        fmx_tls_tickets_close(tickets);
    }
}

/* The keys in use stay, the fault is told at each look, and a file that is mended counts. */
static void look_through_a_fault(const char *words)
{
    struct fmx_tls_tickets *tickets = opened(path);
    struct ticket ticket = made(tickets);
    uint64_t unix_s = now_s();
    char good[TEXT_BYTES];

    read_text(good);
    if (strcmp(words, "gone") == 0) {
        CU_ASSERT_EQUAL(unlink(path), 0);
    } else if (strcmp(words, "chmod") == 0) {
        CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    } else {
        write_text(strcmp(words, "empty") == 0 ? "" : HEAD ROW_1);
    }
    CU_ASSERT(look(tickets, unix_s) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, words));
    for (unsigned i = 1; i <= 20; i++) {
        CU_ASSERT_EQUAL(taken(tickets, &ticket), 1);
        unix_s += PERIOD_S / 10;
        CU_ASSERT(look(tickets, unix_s) < 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, words));
    }
    struct ticket second = made(tickets);
    CU_ASSERT_EQUAL(memcmp(ticket.name, second.name, sizeof(ticket.name)), 0);
    write_text(good);
    CU_ASSERT_EQUAL(look(tickets, unix_s - 2 * PERIOD_S), FMX_OK);
    CU_ASSERT_EQUAL(look(tickets, unix_s - PERIOD_S), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 2);
    fmx_tls_tickets_close(tickets);
}

static void a_file_that_becomes_bad_is_told_and_the_keys_stay(void)
{
    static const char *const faults[] = {"gone", "chmod", "empty", "does not begin"};

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        new_path();
        look_through_a_fault(faults[i]);
    }
}

/* ── crashes ── */

static void what_a_crash_has_left_is_no_hindrance(void)
{
    new_path();
    write_text(""); /* made and not yet written */
    struct fmx_tls_tickets *tickets = opened(path);
    struct file before = parsed();
    char place[sizeof(path)];

    memcpy(place, path, sizeof(place));
    memcpy(path, beside, sizeof(path));
    write_text(HEAD "previous 0 0011"); /* half written beside */
    memcpy(path, place, sizeof(path));
    CU_ASSERT_EQUAL(look(tickets, now_s() + PERIOD_S), FMX_OK);
    struct file after = parsed();
    CU_ASSERT_TRUE(is_one_on(&before, &after));
    CU_ASSERT_NOT_EQUAL(access(beside, F_OK), 0);
    fmx_tls_tickets_close(tickets);
}

static void a_file_is_whole_after_kill_9_at_any_moment(void)
{
    struct fmx_prng prng = {.state = 5};
    int steps[2];

    new_path();
    for (unsigned round = 0; round < CRASH_ROUNDS; round++) {
        uint64_t steps_count = fmx_prng_below(&prng, 40);
        char step;
        CU_ASSERT_EQUAL_FATAL(pipe(steps), 0);
        pid_t child = fork();
        if (child == 0) {
            while (fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)) == FMX_OK &&
                   write(steps[1], "", 1) == 1) {
            }
            _exit(1);
        }
        close(steps[1]);
        for (uint64_t i = 0; i < steps_count; i++) {
            FMX_SEED_ASSERT(round, read(steps[0], &step, 1) == 1);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(steps[0]);
        FMX_SEED_ASSERT(round, fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)) == FMX_OK);
        parsed();
    }
}

/* In a process of its own, as the limit cannot be taken back. */
static int rotate_without_room(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &none) != 0 ||
        fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)) != FMX_SYS_FILE) {
        return 1;
    }
    return errno == EFBIG && strstr(error, "cannot be written") != NULL ? 0 : 2;
}

static void a_full_disk_leaves_the_old_file(void)
{
    char before[TEXT_BYTES], after[TEXT_BYTES];
    int status = -1;

    new_path();
    fmx_tls_tickets_close(opened(path));
    read_text(before);
    pid_t child = fork();
    if (child == 0) {
        _exit(rotate_without_room());
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    read_text(after);
    CU_ASSERT_EQUAL(strcmp(before, after), 0);
    CU_ASSERT_NOT_EQUAL(access(beside, F_OK), 0);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_file_written_by_hand_is_taken),
    FMX_TEST_CASE(a_bad_file_is_refused_with_its_line_and_left_alone),
    FMX_TEST_CASE(a_file_cut_anywhere_is_refused),
    FMX_TEST_CASE(what_is_no_file_is_refused),
    FMX_TEST_CASE(a_file_that_others_can_read_is_refused_with_the_fix),
    FMX_TEST_CASE(a_file_that_becomes_bad_is_told_and_the_keys_stay),
    FMX_TEST_CASE(what_a_crash_has_left_is_no_hindrance),
    FMX_TEST_CASE(a_file_is_whole_after_kill_9_at_any_moment),
    FMX_TEST_CASE(a_full_disk_leaves_the_old_file),
};

int main(int argc, char **argv)
{
    return run_in_folder("tickets_file", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
