/*
 * test_tickets — keys of tickets: made, shared, moved on by exactly one of many
 */
#include "tests/support/tickets.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 8u

/* ── the lock's patience: while `lock_fd` is held, a pause counts, and may let go of it ── */

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __real_nanosleep(const struct timespec *time, struct timespec *left);

static unsigned pauses;
static unsigned unlock_after; /* pauses; 0: never */
static int lock_fd = -1;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (lock_fd < 0) {
        return __real_nanosleep(time, left);
    }
    if (++pauses == unlock_after) {
        flock(lock_fd, LOCK_UN);
    }
    return 0;
}

static void hold_lock(unsigned for_pauses)
{
    pauses = 0;
    unlock_after = for_pauses;
    lock_fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(flock(lock_fd, LOCK_EX), 0);
}

static void drop_lock(void)
{
    close(lock_fd);
    lock_fd = -1;
}

/* ── keys of our own ── */

static void a_ticket_is_taken_by_who_made_it_and_by_no_other(void)
{
    struct fmx_tls_tickets *ours = opened(NULL), *theirs = opened(NULL);
    struct ticket ticket = made(ours), second = made(ours);

    CU_ASSERT_EQUAL(taken(ours, &ticket), 1);
    CU_ASSERT_EQUAL(taken(theirs, &ticket), 0);
    CU_ASSERT_EQUAL(memcmp(ticket.name, second.name, sizeof(ticket.name)), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(ticket.iv, second.iv, sizeof(ticket.iv)), 0);
    fmx_tls_tickets_close(ours);
    fmx_tls_tickets_close(theirs);
    fmx_tls_tickets_close(NULL);
}

static void an_older_ticket_is_made_anew_and_the_oldest_refused(void)
{
    struct fmx_tls_tickets *tickets = opened(NULL);
    uint64_t begin_s = now_s();
    struct ticket ticket = made(tickets);

    CU_ASSERT_EQUAL(look(tickets, begin_s + PERIOD_S - 2), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 1);
    CU_ASSERT_EQUAL(look(tickets, begin_s + PERIOD_S), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 2);
    struct ticket second = made(tickets);
    CU_ASSERT_EQUAL(taken(tickets, &second), 1);
    CU_ASSERT_EQUAL(look(tickets, begin_s + 2 * PERIOD_S), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 0);
    CU_ASSERT_EQUAL(taken(tickets, &second), 2);
    fmx_tls_tickets_close(tickets);
}

static void periods_that_were_slept_through_count(void)
{
    for (unsigned periods = 1; periods < 6; periods++) {
        struct fmx_tls_tickets *tickets = opened(NULL);
        struct ticket ticket = made(tickets);
        CU_ASSERT_EQUAL(look(tickets, now_s() + periods * PERIOD_S), FMX_OK);
        CU_ASSERT_EQUAL(taken(tickets, &ticket), periods == 1 ? 2 : 0);
        fmx_tls_tickets_close(tickets);
    }
}

static void a_clock_set_back_moves_keys_on_only_if_it_is_far_back(void)
{
    struct fmx_tls_tickets *tickets = opened(NULL);
    uint64_t begin_s = now_s();
    struct ticket ticket = made(tickets);

    CU_ASSERT_EQUAL(look(tickets, begin_s - PERIOD_S + 2), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 1);
    CU_ASSERT_EQUAL(look(tickets, begin_s - 10 * PERIOD_S), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 2);
    CU_ASSERT_EQUAL(look(tickets, begin_s - 10 * PERIOD_S), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 2);
    CU_ASSERT_EQUAL(look(tickets, 0), FMX_OK);
    CU_ASSERT_EQUAL(look(tickets, UINT64_MAX), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 0);
    fmx_tls_tickets_close(tickets);
}

/* ── a file ── */

static void a_file_that_is_missing_is_made_for_its_owner_alone(void)
{
    struct stat about;
    char text[TEXT_BYTES];

    new_path();
    mode_t mask = umask(0);
    struct fmx_tls_tickets *tickets = opened(path);
    umask(mask);
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 07777, 0600);
    read_text(text);
    CU_ASSERT_EQUAL(strncmp(text, "# fleetmux TLS ticket keys, ", 28), 0);
    struct file file = parsed();
    CU_ASSERT(file.since_s[1] <= now_s() && file.since_s[1] + 100 > now_s());
    CU_ASSERT_EQUAL(file.since_s[0], 0);
    CU_ASSERT_EQUAL(file.since_s[2], 0);
    CU_ASSERT_NOT_EQUAL(access(beside, F_OK), 0);
    fmx_tls_tickets_close(tickets);
}

static void two_openers_of_a_file_take_each_others_tickets(void)
{
    new_path();
    struct fmx_tls_tickets *first = opened(path), *second = opened(path);
    struct ticket ticket = made(first);

    CU_ASSERT_EQUAL(taken(second, &ticket), 1);
    fmx_tls_tickets_close(first);
    fmx_tls_tickets_close(second);
    second = opened(path); /* a restart */
    CU_ASSERT_EQUAL(taken(second, &ticket), 1);
    fmx_tls_tickets_close(second);
}

static void who_looks_first_moves_on_and_the_other_takes_its_tickets_already(void)
{
    new_path();
    struct fmx_tls_tickets *first = opened(path), *second = opened(path);
    struct ticket old = made(first);
    struct file before = parsed();
    uint64_t then_s = now_s() + PERIOD_S;

    CU_ASSERT_EQUAL(look(first, then_s), FMX_OK);
    struct file after = parsed();
    CU_ASSERT_TRUE(is_one_on(&before, &after));
    CU_ASSERT_EQUAL(after.since_s[1], then_s);
    struct ticket young = made(first);
    CU_ASSERT_EQUAL(taken(second, &young), 1); /* its next */
    CU_ASSERT_EQUAL(taken(second, &old), 1);
    CU_ASSERT_EQUAL(look(second, then_s), FMX_OK);
    after = parsed();
    CU_ASSERT_TRUE(is_one_on(&before, &after));
    CU_ASSERT_EQUAL(taken(second, &young), 1);
    CU_ASSERT_EQUAL(taken(second, &old), 2);
    struct ticket theirs = made(second);
    CU_ASSERT_EQUAL(memcmp(theirs.name, young.name, sizeof(young.name)), 0);
    fmx_tls_tickets_close(first);
    fmx_tls_tickets_close(second);
}

static void a_file_that_is_old_is_moved_on_as_it_is_opened(void)
{
    new_path();
    fmx_tls_tickets_close(opened(path));
    struct file before = parsed();
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, now_s() - PERIOD_S, error, sizeof(error)), FMX_OK);
    struct fmx_tls_tickets *tickets = opened(path);
    struct file after = parsed();
    CU_ASSERT_EQUAL(strcmp(after.names[0], before.names[2]), 0);
    CU_ASSERT(after.since_s[1] + 50 > now_s());
    fmx_tls_tickets_close(tickets);
}

static void a_file_from_the_future_is_moved_on_and_dated_anew(void)
{
    new_path();
    fmx_tls_tickets_close(opened(path));
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 99999999999, error, sizeof(error)), FMX_OK);
    struct file before = parsed();
    CU_ASSERT_EQUAL(before.since_s[1], 99999999999);
    struct fmx_tls_tickets *tickets = opened(path);
    struct file after = parsed();
    CU_ASSERT_TRUE(is_one_on(&before, &after));
    CU_ASSERT(after.since_s[1] <= now_s());
    fmx_tls_tickets_close(tickets);
}

static void rotate_makes_the_file_and_then_moves_the_keys_one_on(void)
{
    new_path();
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)), FMX_OK);
    struct file before = parsed();
    CU_ASSERT_EQUAL(before.since_s[1], 1000);
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 1001, error, sizeof(error)), FMX_OK);
    struct file after = parsed();
    CU_ASSERT_TRUE(is_one_on(&before, &after));
    CU_ASSERT_EQUAL(after.since_s[0], 1000);
    CU_ASSERT_EQUAL(after.since_s[1], 1001);
}

static void what_another_process_rotates_is_taken_over_at_the_next_look(void)
{
    new_path();
    struct fmx_tls_tickets *tickets = opened(path);
    struct ticket ticket = made(tickets);

    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, now_s(), error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 1);
    CU_ASSERT_EQUAL(look(tickets, now_s()), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 2);
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, now_s(), error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(look(tickets, now_s()), FMX_OK);
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 0);
    fmx_tls_tickets_close(tickets);
}

static void a_link_to_the_file_stays_one(void)
{
    struct stat about;
    char name[sizeof(path) + 8];

    new_path();
    snprintf(name, sizeof(name), "%s-link", path);
    CU_ASSERT_EQUAL(symlink(path, name), 0);
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(name, 1000, error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(name, 1001, error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(lstat(name, &about), 0);
    CU_ASSERT_TRUE(S_ISLNK(about.st_mode));
    CU_ASSERT_EQUAL(parsed().since_s[1], 1001);
}

static void root_leaves_the_file_to_its_owner(void)
{
    struct stat about;

    if (geteuid() != 0) {
        return;
    }
    new_path();
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(chown(path, 4711, 4712), 0);
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 1001, error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    CU_ASSERT_EQUAL(about.st_uid, 4711);
    CU_ASSERT_EQUAL(about.st_gid, 4712);
    CU_ASSERT_EQUAL(about.st_mode & 07777, 0600);
}

/* ── several at once ── */

/* A process that waits for the word, and then looks. */
static void look_as_a_process(int word_fd, uint64_t unix_s)
{
    struct fmx_tls_tickets *tickets = NULL;
    char word;
    bool is_good = fmx_tls_tickets_open(path, PERIOD_S, &tickets, error, sizeof(error)) == FMX_OK &&
                   read(word_fd, &word, 1) == 0 && look(tickets, unix_s) == FMX_OK;

    fmx_tls_tickets_close(tickets);
    _exit(is_good ? 0 : 1);
}

static void of_several_processes_exactly_one_moves_the_keys_on(void)
{
    int word[2];

    for (unsigned round = 0; round < 10; round++) {
        pid_t children[PROCESSES];
        uint64_t unix_s = now_s() + PERIOD_S;
        new_path();
        fmx_tls_tickets_close(opened(path));
        struct file before = parsed();
        CU_ASSERT_EQUAL_FATAL(pipe(word), 0);
        for (unsigned i = 0; i < PROCESSES; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                close(word[1]);
                look_as_a_process(word[0], unix_s);
            }
        }
        close(word[0]);
        close(word[1]); /* the word */
        for (unsigned i = 0; i < PROCESSES; i++) {
            int status = -1;
            CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
            CU_ASSERT_EQUAL(status, 0);
        }
        struct file after = parsed();
        CU_ASSERT_TRUE(is_one_on(&before, &after));
    }
}

static void of_several_processes_one_makes_the_file(void)
{
    pid_t children[PROCESSES];
    struct ticket ticket;
    int tickets_pipe[2];

    new_path();
    CU_ASSERT_EQUAL_FATAL(pipe(tickets_pipe), 0);
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct fmx_tls_tickets *tickets = opened(path);
            ticket = made(tickets);
            _exit(write(tickets_pipe[1], &ticket, sizeof(ticket)) == sizeof(ticket) ? 0 : 1);
        }
    }
    close(tickets_pipe[1]);
    struct fmx_tls_tickets *tickets = opened(path);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = -1;
        CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
        CU_ASSERT_EQUAL(status, 0);
        CU_ASSERT_EQUAL(read(tickets_pipe[0], &ticket, sizeof(ticket)), sizeof(ticket));
        CU_ASSERT_EQUAL(taken(tickets, &ticket), 1);
    }
    close(tickets_pipe[0]);
    fmx_tls_tickets_close(tickets);
}

static atomic_bool is_over;

static void *make_and_take(void *user)
{
    struct fmx_tls_tickets *tickets = user;
    bool is_good = true;

    while (!atomic_load(&is_over)) {
        struct ticket ticket = {0};
        bool is_ours = false;
        is_good = is_good && seal_or_open(tickets, &ticket, true, &is_ours) == 1 && is_ours;
        is_good = is_good && taken(tickets, &ticket) >= 0;
    }
    return is_good ? tickets : NULL;
}

static void handshakes_go_on_while_the_keys_move(void)
{
    enum { THREADS = 4, LOOKS = 300 };
    pthread_t threads[THREADS];
    uint64_t unix_s = now_s();
    void *result;

    new_path();
    struct fmx_tls_tickets *tickets = opened(path), *other = opened(path);
    atomic_store(&is_over, false);
    for (unsigned i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, make_and_take, tickets), 0);
    }
    for (unsigned i = 0; i < LOOKS; i++) {
        unix_s += PERIOD_S;
        CU_ASSERT_EQUAL(look(i % 2 == 0 ? tickets : other, unix_s), FMX_OK);
        CU_ASSERT_EQUAL(look(tickets, unix_s), FMX_OK);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        CU_ASSERT_PTR_NOT_NULL(result);
    }
    fmx_tls_tickets_close(tickets);
    fmx_tls_tickets_close(other);
}

static void a_lock_that_comes_free_is_waited_for(void)
{
    new_path();
    fmx_tls_tickets_close(opened(path));
    struct file before = parsed();
    hold_lock(3);
    CU_ASSERT_EQUAL(fmx_tls_tickets_rotate(path, 1000, error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(pauses, 3);
    struct file after = parsed();
    CU_ASSERT_TRUE(is_one_on(&before, &after));
    drop_lock();
}

static void a_lock_that_is_never_given_back_ends_the_wait(void)
{
    new_path();
    struct fmx_tls_tickets *tickets = opened(path);
    struct ticket ticket = made(tickets);
    struct file before = parsed();

    hold_lock(0);
    CU_ASSERT_EQUAL(look(tickets, now_s() + PERIOD_S), FMX_SYS_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "another process has them"));
    CU_ASSERT_EQUAL(taken(tickets, &ticket), 1);
    drop_lock();
    CU_ASSERT_EQUAL(look(tickets, now_s() + PERIOD_S), FMX_OK);
    struct file after = parsed();
    CU_ASSERT_TRUE(is_one_on(&before, &after));
    fmx_tls_tickets_close(tickets);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_ticket_is_taken_by_who_made_it_and_by_no_other),
    FMX_TEST_CASE(an_older_ticket_is_made_anew_and_the_oldest_refused),
    FMX_TEST_CASE(periods_that_were_slept_through_count),
    FMX_TEST_CASE(a_clock_set_back_moves_keys_on_only_if_it_is_far_back),
    FMX_TEST_CASE(a_file_that_is_missing_is_made_for_its_owner_alone),
    FMX_TEST_CASE(two_openers_of_a_file_take_each_others_tickets),
    FMX_TEST_CASE(who_looks_first_moves_on_and_the_other_takes_its_tickets_already),
    FMX_TEST_CASE(a_file_that_is_old_is_moved_on_as_it_is_opened),
    FMX_TEST_CASE(a_file_from_the_future_is_moved_on_and_dated_anew),
    FMX_TEST_CASE(rotate_makes_the_file_and_then_moves_the_keys_one_on),
    FMX_TEST_CASE(what_another_process_rotates_is_taken_over_at_the_next_look),
    FMX_TEST_CASE(a_link_to_the_file_stays_one),
    FMX_TEST_CASE(root_leaves_the_file_to_its_owner),
    FMX_TEST_CASE(of_several_processes_exactly_one_moves_the_keys_on),
    FMX_TEST_CASE(of_several_processes_one_makes_the_file),
    FMX_TEST_CASE(handshakes_go_on_while_the_keys_move),
    FMX_TEST_CASE(a_lock_that_comes_free_is_waited_for),
    FMX_TEST_CASE(a_lock_that_is_never_given_back_ends_the_wait),
};

int main(int argc, char **argv)
{
    return run_in_folder("tickets", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
