/*
 * test_store — what was posted is there again; other files, damage and full disks are told apart
 */
#include "tests/support/store.h"

#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ── files ── */

static void write_file(const char *bytes, size_t count)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CU_ASSERT_FATAL(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
    close(fd);
}

/* What another program does to the file. */
static void meddle(const char *text)
{
    sqlite3 *db = NULL;

    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t ask(const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

/* ── plain cases ── */

static void what_was_posted_is_there_after_reopening(void)
{
    struct fmx_store_session never = {
        .id = 9, .key = {0}, .expiry_s = UINT32_MAX, .flags = UINT32_MAX, .away_ms = 1700000000000};
    struct text wanted = {0};

    new_path();
    struct fmx_store *store = open_store();
    expect(store, &wanted);
    CU_ASSERT_EQUAL(put_session(store, 0, 4, "pump"), 1);
    CU_ASSERT_EQUAL(fmx_store_put_session(store, 1, &never), 1);
    CU_ASSERT_EQUAL(fmx_store_subscribe(store, 0, 4, fmx_slice_of("b/#"), 255), 2);
    CU_ASSERT_EQUAL(fmx_store_subscribe(store, 0, 4, fmx_slice_of("a/+"), 0), 3);
    say_plain_session(&wanted, 4, "pump");
    say_subscription(&wanted, 4, fmx_slice_of("a/+"), 0);
    say_subscription(&wanted, 4, fmx_slice_of("b/#"), 255);
    for (uint64_t number = 0; number < 100; number++) {
        CU_ASSERT_EQUAL(put_message(store, 0, 4, number, 10 + number), 4 + number);
        say_numbered(&wanted, 4, number, 10 + number);
    }
    say_session(&wanted, 9, never.key, never.expiry_s, never.flags, never.away_ms);
    close_store(store); /* commits what was not even handed over */
    CU_ASSERT_EQUAL(committed[0], 103);
    CU_ASSERT_EQUAL(committed[1], 1);
    CU_ASSERT_EQUAL(committed[2], 0);
    CU_ASSERT_EQUAL(reports, 2);
    store = open_store();
    expect(store, &wanted);
    close_store(store);
    CU_ASSERT_EQUAL(reports, 0);
}

static void changes_and_drops_reach_the_file_in_their_order(void)
{
    struct text wanted = {0};

    new_path();
    struct fmx_store *store = open_store();
    for (uint64_t round = 0; round < 2; round++) {
        put_session(store, 0, 1, "first name");
        put_session(store, 0, 2, "goes");
        fmx_store_subscribe(store, 0, 1, fmx_slice_of("a"), 1);
        fmx_store_subscribe(store, 0, 1, fmx_slice_of("b"), 1);
        fmx_store_subscribe(store, 0, 2, fmx_slice_of("a"), 1);
        put_message(store, 0, 1, 1, 11 + 10 * round);
        put_message(store, 0, 1, 2, 12 + 10 * round);
        put_message(store, 0, 2, 3, 13 + 10 * round);
        if (round == 0) { /* once in transactions of their own, once in one */
            await(store, 0, 8);
        }
        put_session(store, 0, 1, "second name");
        fmx_store_subscribe(store, 0, 1, fmx_slice_of("a"), 2);
        fmx_store_unsubscribe(store, 0, 1, fmx_slice_of("b"));
        fmx_store_unsubscribe(store, 0, 1, fmx_slice_of("never was"));
        fmx_store_drop_message(store, 0, 11 + 10 * round);
        fmx_store_drop_message(store, 0, 999);
        fmx_store_drop_session(store, 0, 2);
        await(store, 0, fmx_store_drop_session(store, 0, 777));
        say_plain_session(&wanted, 1, "second name");
        say_subscription(&wanted, 1, fmx_slice_of("a"), 2);
        say_numbered(&wanted, 1, 2, 12);
        if (round == 1) {
            say_numbered(&wanted, 1, 2, 22);
        }
        expect(store, &wanted);
    }
    close_store(store);
}

static void a_key_that_comes_back_under_another_number_replaces_all(void)
{
    struct text wanted = {0};

    new_path();
    struct fmx_store *store = open_store();
    put_session(store, 0, 1, "key");
    put_session(store, 0, 3, "other");
    fmx_store_subscribe(store, 0, 1, fmx_slice_of("old"), 1);
    put_message(store, 0, 1, 1, 10);
    put_message(store, 0, 3, 1, 11);
    await(store, 0, put_session(store, 0, 2, "key"));
    say_plain_session(&wanted, 2, "key");
    say_plain_session(&wanted, 3, "other");
    say_numbered(&wanted, 3, 1, 11);
    expect(store, &wanted);
    await(store, 0, put_session(store, 0, 3, "key")); /* one that is there takes the name over */
    say_plain_session(&wanted, 3, "key");
    say_numbered(&wanted, 3, 1, 11);
    expect(store, &wanted);
    close_store(store);
}

static void numbers_go_on_above_all_that_are_in_the_file(void)
{
    new_path();
    struct fmx_store *store = open_store();
    CU_ASSERT_EQUAL(fmx_store_next_id(store), 1);
    CU_ASSERT_EQUAL(fmx_store_next_id(store), 2);
    put_session(store, 0, 2, "key");
    put_message(store, 0, 2, 1, 70);
    close_store(store);
    store = open_store();
    CU_ASSERT_EQUAL(fmx_store_next_id(store), 71);
    fmx_store_drop_message(store, 0, 70);
    put_session(store, 0, 1000, "later");
    close_store(store);
    store = open_store();
    CU_ASSERT_EQUAL(fmx_store_next_id(store), 1001);
    close_store(store);
}

static void keep_expiry(void *user, uint64_t session, struct fmx_payload *payload)
{
    (void)session;
    *(uint64_t *)user = payload->expires_ns;
    fmx_payload_give(payload);
}

static bool want_session(void *user, const struct fmx_store_session *session)
{
    (void)user;
    (void)session;
    return true;
}

static void expiry_passes_from_one_clock_to_another(void)
{
    uint64_t expires_ns = 0;
    struct fmx_store_load load = {
        .user = &expires_ns, .on_session = want_session, .on_message = keep_expiry};

    new_path();
    struct fmx_store *store = open_store();
    put_session(store, 0, 1, "key");
    struct fmx_payload *lasting = message(1, 10);
    struct fmx_payload *over = message(2, 11);
    lasting->expires_ns = now_ns + 100000 * FMX_NS_PER_S;
    over->expires_ns = now_ns;
    fmx_store_put_message(store, 0, 1, lasting, now_ns);
    await(store, 0, fmx_store_put_message(store, 0, 1, over, now_ns));
    CU_ASSERT_EQUAL(fmx_store_read(store, &load, 77, error, sizeof(error)), FMX_OK);
    CU_ASSERT(expires_ns > 50000 * FMX_NS_PER_S); /* the other is left out */
    CU_ASSERT(expires_ns <= 100000 * FMX_NS_PER_S + FMX_NS_PER_MS + 77);
    CU_ASSERT_EQUAL(ask("SELECT count(*) FROM message"), 2);
    close_store(store);
    store = open_store();
    CU_ASSERT_EQUAL(ask("SELECT count(*) FROM message"), 1);
    close_store(store);
    fmx_payload_give(lasting);
    fmx_payload_give(over);
}

static void a_session_that_is_not_wanted_is_not_told_about(void)
{
    struct text wanted = {0};
    struct text found = {.only = 'b'};

    new_path();
    struct fmx_store *store = open_store();
    put_session(store, 0, 1, "a");
    put_session(store, 0, 2, "b");
    fmx_store_subscribe(store, 0, 1, fmx_slice_of("x"), 1);
    put_message(store, 0, 1, 1, 10);
    await(store, 0, put_message(store, 0, 2, 2, 11));
    say_plain_session(&wanted, 2, "b");
    say_numbered(&wanted, 2, 2, 11);
    CU_ASSERT_EQUAL(read_text(store, &found), FMX_OK);
    CU_ASSERT(is_same(&found, &wanted));
    free(found.data);
    free(wanted.data);
    close_store(store);
}

static void what_belongs_to_no_session_is_swept_out(void)
{
    new_path();
    struct fmx_store *store = open_store();
    put_message(store, 0, 5, 1, 10);
    fmx_store_subscribe(store, 0, 5, fmx_slice_of("x"), 1);
    close_store(store);
    CU_ASSERT_EQUAL(ask("SELECT count(*) FROM message"), 1);
    store = open_store();
    CU_ASSERT_EQUAL(ask("SELECT count(*) FROM message"), 0);
    CU_ASSERT_EQUAL(ask("SELECT count(*) FROM subscription"), 0);
    close_store(store);
}

static void a_message_that_is_put_and_dropped_at_once_is_not_written(void)
{
    struct text wanted = {0};
    struct fmx_store_stats stats;

    new_path();
    struct fmx_store *store = open_store();
    await(store, 0, put_session(store, 0, 1, "key"));
    /* From here on a row that is added stays visible in what was ever added. */
    meddle("CREATE TABLE added (id); CREATE TRIGGER seen AFTER INSERT ON message BEGIN"
           " INSERT INTO added VALUES (new.id); END");
    for (uint64_t id = 10; id < 200; id++) {
        put_message(store, 0, 1, id, id);
    }
    for (uint64_t id = 10; id < 199; id++) {
        fmx_store_drop_message(store, 0, id);
    }
    fmx_store_drop_message(store, 0, 5); /* is not there at all */
    await(store, 0, put_message(store, 0, 1, 300, 300));
    say_plain_session(&wanted, 1, "key");
    say_numbered(&wanted, 1, 199, 199);
    say_numbered(&wanted, 1, 300, 300);
    expect(store, &wanted);
    CU_ASSERT_EQUAL(ask("SELECT count(*) FROM added"), 2);
    fmx_store_stats(store, &stats);
    CU_ASSERT_EQUAL(stats.operations, 1 + 190 + 189 + 1 + 1);
    CU_ASSERT_EQUAL(stats.commits, 2);
    CU_ASSERT_EQUAL(stats.failures, 0);
    CU_ASSERT_EQUAL(stats.waiting_bytes_now, 0);
    CU_ASSERT(stats.commit_ns_longest > 0);
    close_store(store);
}

static struct fmx_payload *large_message(size_t bytes, uint64_t id)
{
    uint8_t *data = malloc(bytes);
    struct fmx_publish publish = {.topic = fmx_slice_of("large"), .payload = {data, bytes}};

    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    memset(data, 'x', bytes);
    struct fmx_payload *payload = fmx_payload_make(&publish, FMX_SESSION_NONE, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    payload->store_id = id;
    free(data);
    return payload;
}

static void it_says_when_too_much_waits_for_the_disk(void)
{
    struct fmx_payload *large = large_message(1 << 20, 10);
    struct text wanted = {0};
    struct fmx_store_stats stats;
    uint64_t last = 0;

    new_path();
    struct fmx_store *store = open_store();
    set_hold_back(true);
    put_session(store, 0, 1, "key");
    fmx_store_flush(store, 0);
    await_held_back();
    say_plain_session(&wanted, 1, "key");
    for (unsigned i = 0; i < 65; i++) {
        CU_ASSERT_EQUAL(fmx_store_is_full(store), i == 64);
        last = fmx_store_put_message(store, 0, 1, large, now_ns);
        say_message(&wanted, 1, large->store_id++, large);
    }
    CU_ASSERT_TRUE(fmx_store_is_full(store)); /* also of what was not handed over yet */
    fmx_store_stats(store, &stats);
    CU_ASSERT(stats.waiting_bytes_now > 65u << 20);
    set_hold_back(false);
    await(store, 0, last);
    CU_ASSERT_FALSE(fmx_store_is_full(store));
    CU_ASSERT_PTR_NULL(fmx_store_failure(store));
    expect(store, &wanted);
    close_store(store);
    fmx_payload_give(large);
}

/* ── files that are none of ours ── */

static void expect_refusal(enum fmx_status wanted, const char *words)
{
    struct fmx_store *store = NULL;
    enum fmx_status status = try_open(&store, 500);
    bool right = status == wanted && strstr(error, words) != NULL && store == NULL;

    if (!right) {
        fprintf(stderr, "status %d, '%s' where '%s' is wanted\n", (int)status, error, words);
    }
    CU_ASSERT(right);
    if (store != NULL) {
        fmx_store_close(store);
    }
}

static void what_cannot_be_a_store_is_refused_with_words(void)
{
    char junk[9000];
    struct fmx_store *store = NULL;

    new_path();
    write_file("dear diary", 10);
    expect_refusal(FMX_SYS_FILE, "is not a store: it is some other kind of file");
    memset(junk, 'j', sizeof(junk));
    write_file(junk, sizeof(junk));
    expect_refusal(FMX_SYS_FILE, "is not a store: it is some other kind of file");
    snprintf(path, sizeof(path), "%s", folder);
    expect_refusal(FMX_SYS_FILE, "is not a file");
    snprintf(path, sizeof(path), "%s/missing/x.store", folder);
    expect_refusal(FMX_SYS_FILE, "No such file or directory");
    path[0] = '\0';
    expect_refusal(FMX_SYS_FILE, "No such file or directory");
    new_path();
    CU_ASSERT_EQUAL(try_open(&store, 100001), FMX_E_OPTION);
    CU_ASSERT_STRING_EQUAL(error, "commit_wait_us is 100001: write 0 to 100000");
}

static void a_file_of_another_application_is_left_alone(void)
{
    new_path();
    meddle("CREATE TABLE treasure (gold); INSERT INTO treasure VALUES (1000)");
    expect_refusal(FMX_SYS_FILE, "SQLite file of another application");
    CU_ASSERT_EQUAL(ask("SELECT gold FROM treasure"), 1000);
    CU_ASSERT_EQUAL(ask("SELECT count(*) FROM sqlite_schema"), 1);
    int fd = open(path, O_RDONLY);
    uint8_t format = 0;
    CU_ASSERT_EQUAL(pread(fd, &format, 1, 18), 1);
    CU_ASSERT_EQUAL(format, 1); /* not changed to a write-ahead log */
    close(fd);
}

static void a_newer_format_and_damage_are_told_apart(void)
{
    new_path();
    struct fmx_store *store = open_store();
    put_session(store, 0, 1, "key");
    for (uint64_t id = 10; id < 500; id++) {
        put_message(store, 0, 1, 3, id);
    }
    close_store(store);
    meddle("PRAGMA user_version = 2");
    expect_refusal(FMX_E_OPTION, "newer version of fleetmux: its format is 2");
    meddle("PRAGMA user_version = 1; DROP TABLE subscription");
    expect_refusal(FMX_SYS_FILE, "cannot be used: no such table");
    int fd = open(path, O_RDWR);
    char junk[4096];
    memset(junk, 0xA5, sizeof(junk));
    for (off_t page = 2; page < 12; page++) {
        CU_ASSERT_EQUAL(pwrite(fd, junk, sizeof(junk), page * 4096), 4096);
    }
    close(fd);
    expect_refusal(FMX_SYS_FILE, "is damaged");
}

static void damage_that_only_we_can_see_is_found_when_reading(void)
{
    static const char *const damages[] = {
        "UPDATE message SET props = x'0226'",
        "UPDATE message SET props = x'0000'",
        "UPDATE message SET topic = x''",
        "UPDATE message SET qos = 3",
        "UPDATE session SET expiry_s = 4294967296",
        "INSERT INTO subscription VALUES (1, x'', 0)",
        "INSERT INTO subscription VALUES (1, x'61', 256)",
    };

    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        struct text text = {0};
        new_path();
        struct fmx_store *store = open_store();
        put_session(store, 0, 1, "key");
        await(store, 0, put_message(store, 0, 1, 3, 10));
        meddle(damages[i]);
        CU_ASSERT_EQUAL(read_text(store, &text), FMX_SYS_FILE);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "is damaged"));
        free(text.data);
        close_store(store);
    }
}

static void only_one_gateway_has_the_file(void)
{
    char words[64];
    char straight[sizeof(path)];

    new_path();
    struct fmx_store *store = open_store();
    snprintf(words, sizeof(words), "in use by another gateway (process %ld)", (long)getpid());
    expect_refusal(FMX_SYS_FILE, words);
    memcpy(straight, path, sizeof(path));
    new_path();
    CU_ASSERT_EQUAL(symlink(straight, path), 0);
    expect_refusal(FMX_SYS_FILE, words);
    close_store(store);
    store = open_store();
    close_store(store);
}

/* As somebody whose permissions count. */
static int try_as_nobody(void)
{
    struct fmx_store *store = NULL;

    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) {
        return 2;
    }
    if (try_open(&store, 500) != FMX_SYS_FILE || strstr(error, "Permission denied") == NULL) {
        fprintf(stderr, "'%s'\n", error);
        return 1;
    }
    return 0;
}

static void a_folder_that_cannot_be_written_is_refused(void)
{
    char locked[FMX_TEMPORARY_BYTES + 16];
    int result = 0;

    snprintf(locked, sizeof(locked), "%s/locked", folder);
    CU_ASSERT_EQUAL(chmod(folder, 0755), 0);
    CU_ASSERT_EQUAL(mkdir(locked, 0755), 0);
    CU_ASSERT_EQUAL(chmod(locked, 0555), 0);
    snprintf(path, sizeof(path), "%s/x.store", locked);
    pid_t child = fork();
    if (child == 0) {
        _exit(try_as_nobody());
    }
    CU_ASSERT_EQUAL(waitpid(child, &result, 0), child);
    CU_ASSERT(WIFEXITED(result) && WEXITSTATUS(result) == 0);
}

/* ── a disk that refuses ── */

static _Atomic int refusals_left; /* so many writes to files fail; < 0: all of them */
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

static bool is_refused(void)
{
    int left = atomic_load(&refusals_left);

    if (left > 0) {
        atomic_store(&refusals_left, left - 1);
    }
    errno = ENOSPC;
    return left != 0;
}

static ssize_t disk_write(int fd, const void *bytes, size_t count)
{
    return is_refused() ? -1 : real_write(fd, bytes, count);
}

static ssize_t disk_pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return is_refused() ? -1 : real_pwrite(fd, bytes, count, at);
}

static ssize_t disk_pwrite64(int fd, const void *bytes, size_t count, off_t at)
{
    return is_refused() ? -1 : pwrite(fd, bytes, count, at);
}

/* Stands between SQLite and its system calls, whichever of them it uses. */
static void stand_between(bool stand)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    if (stand) {
        real_write = (ssize_t(*)(int, const void *, size_t))vfs->xGetSystemCall(vfs, "write");
        real_pwrite =
            (ssize_t(*)(int, const void *, size_t, off_t))vfs->xGetSystemCall(vfs, "pwrite");
    }
    vfs->xSetSystemCall(vfs, "write", stand ? (sqlite3_syscall_ptr)disk_write : NULL);
    vfs->xSetSystemCall(vfs, "pwrite", stand ? (sqlite3_syscall_ptr)disk_pwrite : NULL);
    vfs->xSetSystemCall(vfs, "pwrite64", stand ? (sqlite3_syscall_ptr)disk_pwrite64 : NULL);
}

static void a_disk_that_is_full_for_a_while_costs_nothing(void)
{
    struct text wanted = {0};
    struct fmx_store_stats stats;

    new_path();
    struct fmx_store *store = open_store();
    await(store, 0, put_session(store, 0, 1, "key"));
    stand_between(true);
    atomic_store(&refusals_left, 3);
    put_message(store, 0, 1, 1, 10);
    await(store, 0, put_message(store, 0, 1, 2, 11));
    CU_ASSERT_EQUAL(atomic_load(&refusals_left), 0);
    stand_between(false);
    say_plain_session(&wanted, 1, "key");
    say_numbered(&wanted, 1, 1, 10);
    say_numbered(&wanted, 1, 2, 11);
    expect(store, &wanted);
    fmx_store_stats(store, &stats);
    CU_ASSERT_EQUAL(stats.failures, 0);
    CU_ASSERT_FALSE(fmx_store_is_full(store));
    close_store(store);
}

static void a_disk_that_stays_full_ends_the_store_at_what_it_has_reported(void)
{
    struct text wanted = {0};
    struct fmx_store_stats stats;

    new_path();
    struct fmx_store *store = open_store();
    put_session(store, 0, 1, "key");
    await(store, 0, put_message(store, 0, 1, 1, 10));
    put_session(store, 1, 2, "b");
    await(store, 1, 1);
    stand_between(true);
    atomic_store(&refusals_left, -1);
    put_message(store, 0, 1, 2, 11);
    put_message(store, 0, 1, 3, 12);
    fmx_store_flush(store, 0);
    CU_ASSERT_EQUAL(fmx_store_subscribe(store, 1, 2, fmx_slice_of("x"), 0), 2);
    while (fmx_store_failure(store) == NULL) {
        sched_yield();
    }
    atomic_store(&refusals_left, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(fmx_store_failure(store), "cannot be written"));
    CU_ASSERT_TRUE(fmx_store_is_full(store));
    CU_ASSERT_EQUAL(put_message(store, 0, 1, 4, 13), 0);
    CU_ASSERT_EQUAL(fmx_store_drop_message(store, 0, 10), 0);
    CU_ASSERT_EQUAL(fmx_store_drop_session(store, 1, 2), 0);
    fmx_store_flush(store, 0);
    fmx_store_flush(store, 1);
    do {
        fmx_store_stats(store, &stats);
    } while (stats.waiting_bytes_now > 0);
    fmx_store_stats(store, &stats); /* they are not read at one instant */
    CU_ASSERT_EQUAL(stats.failures, 6);
    CU_ASSERT_EQUAL(stats.operations, 3);
    CU_ASSERT_TRUE(fmx_store_is_full(store));
    close_store(store);
    stand_between(false);
    CU_ASSERT_EQUAL(committed[0], 2);
    CU_ASSERT_EQUAL(committed[1], 1);
    store = open_store();
    say_plain_session(&wanted, 1, "key");
    say_numbered(&wanted, 1, 1, 10);
    say_plain_session(&wanted, 2, "b");
    expect(store, &wanted);
    CU_ASSERT_PTR_NULL(fmx_store_failure(store));
    close_store(store);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(what_was_posted_is_there_after_reopening),
    FMX_TEST_CASE(changes_and_drops_reach_the_file_in_their_order),
    FMX_TEST_CASE(a_key_that_comes_back_under_another_number_replaces_all),
    FMX_TEST_CASE(numbers_go_on_above_all_that_are_in_the_file),
    FMX_TEST_CASE(expiry_passes_from_one_clock_to_another),
    FMX_TEST_CASE(a_session_that_is_not_wanted_is_not_told_about),
    FMX_TEST_CASE(what_belongs_to_no_session_is_swept_out),
    FMX_TEST_CASE(a_message_that_is_put_and_dropped_at_once_is_not_written),
    FMX_TEST_CASE(it_says_when_too_much_waits_for_the_disk),
    FMX_TEST_CASE(what_cannot_be_a_store_is_refused_with_words),
    FMX_TEST_CASE(a_file_of_another_application_is_left_alone),
    FMX_TEST_CASE(a_newer_format_and_damage_are_told_apart),
    FMX_TEST_CASE(damage_that_only_we_can_see_is_found_when_reading),
    FMX_TEST_CASE(only_one_gateway_has_the_file),
    FMX_TEST_CASE(a_folder_that_cannot_be_written_is_refused),
    FMX_TEST_CASE(a_disk_that_is_full_for_a_while_costs_nothing),
    FMX_TEST_CASE(a_disk_that_stays_full_ends_the_store_at_what_it_has_reported),
};

int main(int argc, char **argv)
{
    return run_cases("store", cases, sizeof cases / sizeof cases[0], argc, argv);
}
