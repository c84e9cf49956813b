/*
 * test_result_file — a file is there when it is whole, and what was there before until then
 */
#include "tests/support/run.h"
#include "tests/support/temporary.h"
#include "tools/fleetmux/result_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_BYTES 512

static char error[768];
static char folder[FMX_TEMPORARY_BYTES];

/* ── files ── */

struct path {
    char text[FMX_TEMPORARY_FILE_BYTES];
};

static struct path path_of(const char *name)
{
    struct path path;

    snprintf(path.text, sizeof(path.text), "%s/%s", folder, name);
    return path;
}

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "wb");

    CU_ASSERT_FATAL(file != NULL && fputs(text, file) >= 0);
    CU_ASSERT_FATAL(fclose(file) == 0 && chmod(path, mode) == 0);
}

static void check_text(const char *path, const char *expected)
{
    char text[TEXT_BYTES] = "";
    FILE *file = fopen(path, "rb");

    CU_ASSERT_FATAL(file != NULL);
    CU_ASSERT(fread(text, 1, sizeof(text) - 1, file) == strlen(expected));
    fclose(file);
    CU_ASSERT_STRING_EQUAL(text, expected);
}

static unsigned mode_of(const char *path)
{
    struct stat facts;

    return stat(path, &facts) == 0 ? facts.st_mode & 07777 : 0;
}

static FILE *must_open(const char *path)
{
    FILE *file = result_file_open(path, error, sizeof(error));

    CU_ASSERT_FATAL(file != NULL);
    return file;
}

static void must_close(FILE *file, const char *path)
{
    CU_ASSERT(result_file_close(file, path, error, sizeof(error)));
}

/* ── cases ── */

static void a_file_is_there_when_it_is_whole(void)
{
    struct path path = path_of("whole.txt");

    FILE *file = must_open(path.text);
    fputs("new", file);
    fflush(file);
    CU_ASSERT(access(path.text, F_OK) != 0);
    must_close(file, path.text);
    CU_ASSERT(chmod(path.text, 0640) == 0);
    file = must_open(path.text);
    fputs("half", file);
    fflush(file);
    result_file_abandon(file, path.text);
    check_text(path.text, "new");
    file = must_open(path.text);
    fputs("newer", file);
    must_close(file, path.text);
    check_text(path.text, "newer");
    CU_ASSERT_EQUAL(mode_of(path.text), 0640);
}

static void what_is_no_plain_file_stays_what_it_is(void)
{
    struct path path = path_of("plain.txt"), link = path_of("link.txt");
    struct stat facts;

    put(path.text, "old", 0644);
    CU_ASSERT(symlink(path.text, link.text) == 0);
    FILE *file = must_open(link.text);
    fputs("by the link", file);
    must_close(file, link.text);
    check_text(path.text, "by the link");
    CU_ASSERT(lstat(link.text, &facts) == 0 && S_ISLNK(facts.st_mode));
}

/* Only where a folder takes no part is the file itself written. */
static void what_is_there_stays_when_no_part_can_be_made(void)
{
    struct path path = path_of("kept.txt");
    char part[sizeof(path.text) + 32];

    put(path.text, "old", 0644);
    snprintf(part, sizeof(part), "%s.%ld.part", path.text, (long)getpid());
    CU_ASSERT_FATAL(mkdir(part, 0700) == 0); /* in the way */
    CU_ASSERT_PTR_NULL(result_file_open(path.text, error, sizeof(error)));
    CU_ASSERT(strstr(error, "kept.txt' cannot be written: File exists") != NULL);
    check_text(path.text, "old");
    rmdir(part);
}

static void a_name_with_no_room_for_that_of_a_part_is_written_at_once(void)
{
    char name[256] = "";
    memset(name, 'n', 250);
    struct path path = path_of(name);

    FILE *file = must_open(path.text);
    fputs("long", file);
    must_close(file, path.text);
    check_text(path.text, "long");
    unlink(path.text);
}

static void only_its_owner_reads_a_file_with_secrets(void)
{
    struct path path = path_of("secret.txt"), link = path_of("secret_link.txt");
    const char *const names[] = {path.text, link.text};
    struct stat facts;

    put(path.text, "old", 0644);
    CU_ASSERT(symlink(path.text, link.text) == 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        FILE *file = result_file_open_secret(names[i], error, sizeof(error));
        CU_ASSERT_FATAL(file != NULL && fstat(fileno(file), &facts) == 0);
        CU_ASSERT_EQUAL(facts.st_mode & 07777, 0600); /* before anything is in it */
        fputs(names[i], file);
        must_close(file, names[i]);
        check_text(path.text, names[i]);
        CU_ASSERT_EQUAL(mode_of(path.text), 0600);
        CU_ASSERT(chmod(path.text, 0644) == 0);
    }
    unlink(path.text);
    FILE *file = result_file_open_secret(path.text, error, sizeof(error));
    CU_ASSERT_FATAL(file != NULL);
    must_close(file, path.text);
    CU_ASSERT_EQUAL(mode_of(path.text), 0600);
}

/* Who reads from a pipe is told of no writer before there is one. */
static void a_look_ahead_changes_nothing(void)
{
    struct path fifo = path_of("fifo"), path = path_of("plain.txt"), none = path_of("none.txt"),
                link = path_of("dangling.txt");
    struct stat facts;

    CU_ASSERT_FATAL(mkfifo(fifo.text, 0600) == 0 && symlink(none.text, link.text) == 0);
    int reader = open(fifo.text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CU_ASSERT_FATAL(reader >= 0);
    CU_ASSERT(result_file_may_open(fifo.text));
    struct pollfd events = {.fd = reader, .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&events, 1, 0), 0); /* POLLHUP: somebody has come and gone */
    close(reader);

    put(path.text, "old", 0644);
    CU_ASSERT(result_file_may_open(path.text));
    check_text(path.text, "old");
    CU_ASSERT(result_file_may_open(none.text));
    CU_ASSERT(access(none.text, F_OK) != 0);
    CU_ASSERT(result_file_may_open(link.text));
    CU_ASSERT(access(none.text, F_OK) != 0);
    CU_ASSERT(lstat(link.text, &facts) == 0 && S_ISLNK(facts.st_mode));
    CU_ASSERT(result_file_may_open("-") && access("-", F_OK) != 0);

    CU_ASSERT(!result_file_may_open(folder) && errno == EISDIR);
    CU_ASSERT(!result_file_may_open("/nowhere/file") && errno == ENOENT);
}

static void one_file_is_known_by_any_of_its_names(void)
{
    struct path path = path_of("plain.txt"), dotted = path_of("./plain.txt"),
                link = path_of("link.txt"), none = path_of("none.txt"),
                none_dotted = path_of("./none.txt");

    put(path.text, "old", 0644);
    unlink(link.text);
    CU_ASSERT(symlink(path.text, link.text) == 0);
    CU_ASSERT(result_file_is_same(path.text, path.text));
    CU_ASSERT(result_file_is_same(path.text, dotted.text));
    CU_ASSERT(result_file_is_same(path.text, link.text));
    CU_ASSERT(result_file_is_same(none.text, none_dotted.text));
    CU_ASSERT(result_file_is_same("-", "-"));
    CU_ASSERT_FALSE(result_file_is_same(path.text, none.text));
    CU_ASSERT_FALSE(result_file_is_same("-", path.text));
    CU_ASSERT_FALSE(result_file_is_same("/nowhere/none.txt", none.text));
    CU_ASSERT_FALSE(result_file_is_same("/dev/null", "/dev/null")); /* which takes all */
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(a_file_is_there_when_it_is_whole),
    FMX_TEST_CASE(what_is_no_plain_file_stays_what_it_is),
    FMX_TEST_CASE(what_is_there_stays_when_no_part_can_be_made),
    FMX_TEST_CASE(a_name_with_no_room_for_that_of_a_part_is_written_at_once),
    FMX_TEST_CASE(only_its_owner_reads_a_file_with_secrets),
    FMX_TEST_CASE(a_look_ahead_changes_nothing),
    FMX_TEST_CASE(one_file_is_known_by_any_of_its_names),
};

static void remove_files(void)
{
    static const char *const names[] = {"whole.txt", "plain.txt",   "link.txt",
                                        "kept.txt",  "secret.txt",  "secret_link.txt",
                                        "fifo",      "dangling.txt"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(path_of(names[i]).text);
    }
    rmdir(folder);
}

int main(int argc, char **argv)
{
    fmx_temporary_path(folder, sizeof(folder), "test_result_file_XXXXXX");
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    int result = fmx_test_main("result_file", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
    remove_files();
    return result;
}
