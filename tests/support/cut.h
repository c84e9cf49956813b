/*
 * cut.h — a parser must not care how its bytes arrive, nor look past them
 */
#ifndef FMX_TESTS_SUPPORT_CUT_H
#define FMX_TESTS_SUPPORT_CUT_H

#include <fleetmux/error.h>

/* A parser of a stream, as the tests see it. */
struct fmx_cut_parser {
    void *context;
    void (*begin)(void *context);
    /* Looks at the unread bytes. FMX_OK: `out_used` were taken. FMX_MORE: none. Else: the end. */
    enum fmx_status (*feed)(void *context, fmx_slice unread, size_t *out_used);
    uint64_t (*digest)(const void *context); /* of all that was understood so far */
};

/*
 * Feeds `input` whole, byte by byte, and cut in two at every position, and asserts that status,
 * bytes used and digest are the same each time. Every span lies in memory of exactly its size.
 * Returns the status of the whole: FMX_MORE if it ended well.
 */
enum fmx_status fmx_cut_every_way(fmx_slice input, const struct fmx_cut_parser *parser);

/* Shows `check` the empty and every longer prefix up to the whole, in memory of exactly its size.
 */
void fmx_cut_every_prefix(fmx_slice input, void (*check)(void *context, fmx_slice prefix),
                          void *context);

#endif
