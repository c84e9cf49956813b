/*
 * echo.h — the smallest role that still uses all of a connection: it sends back what is published
 */
#ifndef TESTS_SIM_ECHO_H
#define TESTS_SIM_ECHO_H

#include "engine/shard.h"

/* What to do with a message for a connection that has too much queued. */
enum fmx_echo_full {
    FMX_ECHO_DROP, /* forget it and count */
    FMX_ECHO_WAIT, /* send it, and let the next ones wait until on_writable */
};

/*
 * One for all shards, which take turns. PUBLISH comes back at QoS 0, at QoS 1 behind a PUBACK. The
 * topic "close" closes its session, "abort" aborts it; "watch" puts it among those that each
 * message is also sent to.
 */
struct fmx_echo {
    enum fmx_echo_full full;
    unsigned late_verdict;  /* per mille: CONNECT is answered by a timer */
    unsigned holds;         /* per mille: the slot is held beyond on_close for a while */
    size_t refer_bytes_min; /* payloads from here on are referred to; 0: none */
    void (*on_packet)(void *user, struct fmx_conn *conn, struct fmx_packet *packet);
    void *user;

    uint64_t opens;
    uint64_t closes;
    uint64_t releases;
    uint64_t unopened; /* closes without an open */
    uint64_t packets;
    uint64_t dropped;
    uint64_t waits;
    uint64_t writables;
    uint64_t owed; /* connections that were told they are full, and not yet that they are not */
    size_t queue_bytes_most; /* of one connection, ever */
    struct fmx_session_id watchers[64];
    unsigned watchers_count;
};

extern const struct fmx_role fmx_echo_role;

/* Every connection that was opened is closed and released, each once. */
bool fmx_echo_is_balanced(const struct fmx_echo *echo);

#endif
