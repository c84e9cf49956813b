/*
 * fake_result.h — results of runs that never were, for all that shows or judges one
 *
 * Each looks like a run after some seconds: counters, rows, distributions and causes fit together,
 * and the ledger adds up unless the name says otherwise. The same name and seconds give the same
 * result every time.
 */
#ifndef FMX_TESTS_SUPPORT_FAKE_RESULT_H
#define FMX_TESTS_SUPPORT_FAKE_RESULT_H

#include "tools/fleetmux/result.h"

/*
 * X(name, words). All but `start` are whole at 0 seconds, which stands for 90.
 */
#define FAKE_RESULT_LIST(X)                                                                        \
    X(start, "nothing has happened yet")                                                           \
    X(conn, "10,000 clients connect and stay")                                                     \
    X(pub, "10,000 clients publish at QoS 1, 10,000 a second")                                     \
    X(sub, "2,000 clients subscribe, and check what comes")                                        \
    X(full, "a scenario with everything: groups, stages, TLS, requests, causes, thresholds")       \
    X(invalid, "the generator was the limit")                                                      \
    X(server, "the server was the limit")                                                          \
    X(network, "segments were lost on the way")                                                    \
    X(failed, "nobody gets in, for many reasons")                                                  \
    X(find, "a search for the highest rate")                                                       \
    X(paused, "somebody has pressed pause")                                                        \
    X(draining, "the end has begun")                                                               \
    X(million, "sixteen million clients, and the largest figures")                                 \
    X(cut, "Ctrl-C came before the planned end")                                                   \
    X(unbalanced, "the ledger does not add up")

enum fake_result_name {
#define FAKE_RESULT_ENUM(name, words) FAKE_RESULT_##name,
    FAKE_RESULT_LIST(FAKE_RESULT_ENUM)
#undef FAKE_RESULT_ENUM
        FAKE_RESULTS
};

extern const char *const fake_result_names[FAKE_RESULTS];

/* NULL: there is no such name, or no memory. To be freed with result_close. */
struct result *fake_result(const char *name, unsigned seconds);

#endif
