/*
 * signals — the first signal asks, the second one ends
 *
 * Why it is so:   a handler may do next to nothing and runs on whatever thread is at hand. So the
 *                 signals stay blocked everywhere and the main thread waits for them. Only while
 *                 it drains, and so cannot wait, a handler stands by that ends the process.
 * Threads:        call signals_hold before any thread is made
 */
#include "tools/fleetmux/signals.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

static volatile sig_atomic_t status_when_killed;
static void (*before_end)(void); /* written before signals_release */
static int heard_signo;          /* beside SIGINT and SIGTERM; 0: none */

static sigset_t held_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (heard_signo != 0) {
        sigaddset(&signals, heard_signo);
    }
    return signals;
}

void signals_hold(void)
{
    sigset_t signals = held_signals();

    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void signals_hear(int signo)
{
    heard_signo = signo;
    sigset_t signals = held_signals();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

int signals_wait(uint64_t timeout_ns)
{
    sigset_t signals = held_signals();
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / NS_PER_S),
        .tv_nsec = (long)(timeout_ns % NS_PER_S),
    };
    int signo = -1;

    do {
        signo = timeout_ns == UINT64_MAX ? sigwaitinfo(&signals, NULL)
                                         : sigtimedwait(&signals, NULL, &timeout);
    } while (signo < 0 && errno == EINTR);
    return signo < 0 ? 0 : signo;
}

static void end_at_once(int signo)
{
    (void)signo;
    if (before_end != NULL) {
        before_end();
    }
    _exit(status_when_killed);
}

void signals_before_end(void (*call)(void))
{
    before_end = call;
}

void signals_release(int exit_status)
{
    sigset_t signals = held_signals();
    struct sigaction action = {.sa_handler = end_at_once};

    status_when_killed = exit_status;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (heard_signo != 0) {
        signal(heard_signo, SIG_IGN);
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}
