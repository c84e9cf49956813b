/*
 * hostile.h — a server of a few clients that answers by a script: refusals, garbage, what it must
 * not send
 */
#ifndef FMX_TESTS_LOOP_HOSTILE_H
#define FMX_TESTS_LOOP_HOSTILE_H

#include <fleetmux/types.h>

enum hostile_end {
    HOSTILE_STAYS = 0,
    HOSTILE_CLOSES, /* FIN */
    HOSTILE_RESETS, /* RST */
};

/* All that it is not told to say otherwise it answers as it should. */
struct hostile_script {
    enum fmx_version version;
    uint8_t to;       /* the packet type that is answered like this: 1, 3 or 8 */
    const char *says; /* as in bytes.h; eeee is the identifier that came. NULL: the good answer */
    enum hostile_end then;

    /* PUBLISH: instead of all that, every so many-th one is refused; 0: none. Others are passed on
       to all who have subscribed to anything, as are refused ones if `passes_all`. */
    unsigned refuses;
    bool passes_all;
};

struct hostile_done {
    uint64_t refused;
    uint64_t passed; /* messages, each to all who have subscribed */
    int goodbye;     /* the code of the last DISCONNECT that has come; below 0: none */
};

struct hostile;

/* Listens on a port of its own. Ends the test on failure. The script outlives it. */
struct hostile *hostile_open(const struct hostile_script *script);
uint16_t hostile_port(const struct hostile *hostile);
struct hostile_done hostile_done(struct hostile *hostile);

/* All its clients are gone, or will soon be. Returns what it has done and heard in all. */
struct hostile_done hostile_close(struct hostile *hostile);

#endif
