/*
 * screen_show — drives the screen of the fleet with a run that never was
 *
 * Why it is so:   what a screen shows must be looked at, by people and by tests, for runs that are
 *                 hard to have: sixteen million clients, a generator that is too slow, a search.
 *
 *     screen_show NAME [OPTION...]       NAME is one of fake_result.h
 *       -s SECOND     of the run in which it begins (60); -S: and stands still
 *       -t SECONDS    then it ends by itself (3,600)
 *       -w FILE       what keys have asked for goes there, a line each
 *       -l            writes a log line from another thread, and one to standard error
 *       -d HOW        at the end: abort, segv, exit, or hang (until a second Ctrl-C)
 *       -p            lines instead of the screen; -z prints the summary alone
 * Threads:        the main one, and one that logs
 */
#include "tests/support/fake_result.h"
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_NS (UINT64_C(50) * 1000000)

static struct {
    const char *name, *death;
    unsigned second, duration_s;
    bool stands_still, logs, is_plain, is_summary;
    FILE *wishes;
} show = {.name = "pub", .death = "", .second = 60, .duration_s = 3600};

static struct fleet_wish asked;
static bool is_paused;
static double rate = 1;

static bool read_options(int argc, char **argv)
{
    int letter;

    while ((letter = getopt(argc, argv, "s:t:w:d:Slpz")) != -1) {
        switch (letter) {
        case 's':
            show.second = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            show.duration_s = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            show.wishes = fopen(optarg, "a");
            break;
        case 'd':
            show.death = optarg;
            break;
        case 'S':
            show.stands_still = true;
            break;
        case 'l':
            show.logs = true;
            break;
        case 'p':
            show.is_plain = true;
            break;
        case 'z':
            show.is_summary = true;
            break;
        default:
            return false;
        }
    }
    show.name = optind < argc ? argv[optind] : show.name;
    return true;
}

static void *log_lines(void *unused)
{
    (void)unused;
    fleet_progress_log(NULL, FMX_LOG_WARN,
                       "the server at 127.0.0.1:1883 takes no more than 1,024 connections \033[31m"
                       "at a time, and this line is longer than any terminal ought to be wide");
    fprintf(stderr, "somebody's complaint\n");
    return NULL;
}

static void obey(struct fleet_wish wish)
{
    static const char *const names[] = {"none", "rate", "pause", "storm", "quit"};

    if (wish.kind == FLEET_WISH_NONE) {
        return;
    }
    if (show.wishes != NULL) {
        fprintf(show.wishes, "%s %.4g\n", names[wish.kind], wish.value);
        fflush(show.wishes);
    }
    rate = wish.kind == FLEET_WISH_RATE ? wish.value : rate;
    is_paused = wish.kind == FLEET_WISH_PAUSE ? wish.value > 0 : is_paused;
    asked = wish;
}

static void die(void)
{
    if (strcmp(show.death, "abort") == 0) {
        fprintf(stderr, "last words\n");
        abort();
    }
    if (strcmp(show.death, "segv") == 0) {
        raise(SIGSEGV);
    }
    if (strcmp(show.death, "exit") == 0) {
        exit(EXIT_NO_START);
    }
    if (strcmp(show.death, "hang") == 0) {
        signals_release(EXIT_ABORTED);
        for (;;) {
            pause();
        }
    }
}

static void watch(bool has_screen)
{
    struct result *result = NULL;
    int signo = 0;

    for (unsigned poll = 0;
         poll < show.duration_s * 20 && asked.kind != FLEET_WISH_QUIT && signo == 0; poll++) {
        if (poll % 20 == 0 && (result == NULL || !show.stands_still)) {
            result_close(result);
            result = fake_result(show.name, show.second + poll / 20);
        }
        if (result == NULL) {
            return;
        }
        result->rate = rate;
        result->is_paused = result->is_paused || is_paused;
        if (has_screen) {
            obey(fleet_screen_show(result));
        } else {
            fleet_progress_show(result);
        }
        signo = signals_wait(POLL_NS);
    }
    result_close(result);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    bool has_thread = false;

    if (!read_options(argc, argv)) {
        return EXIT_USAGE;
    }
    signals_hold();
    struct result *result = fake_result(show.name, 0);
    if (result == NULL) {
        fprintf(stderr, "there is no '%s'\n", show.name);
        return EXIT_USAGE;
    }
    if (!show.is_summary) {
        fleet_progress_begin(false);
        bool has_screen = !show.is_plain && fleet_screen_begin(result);
        if (show.logs) {
            has_thread = pthread_create(&thread, NULL, log_lines, NULL) == 0;
        }
        watch(has_screen);
        die();
        fleet_screen_end();
        fleet_progress_end();
    }
    if (has_thread) {
        pthread_join(thread, NULL);
    }
    fleet_summary_print(result, stdout);
    result_close(result);
    if (show.wishes != NULL) {
        fclose(show.wishes);
    }
    return EXIT_PASS;
}
