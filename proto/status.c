/*
 * status — a name and words for every status
 *
 * Why it is so:   the list in error.h is the only place where a status is written down; the two
 *                 functions here unfold it, so a new status cannot lack its words
 * Memory:         strings in static storage
 * Threads:        pure
 * Not here:       what the peer is told: see proto/reason.c
 */
#include <fleetmux/error.h>

const char *fmx_status_name(enum fmx_status status)
{
    switch (status) {
#define NAME_CASE(name, value, words)                                                              \
    case name:                                                                                     \
        return #name;
        FMX_STATUS_LIST(NAME_CASE)
#undef NAME_CASE
    }
    return "?";
}

const char *fmx_status_text(enum fmx_status status)
{
    switch (status) {
#define TEXT_CASE(name, value, words)                                                              \
    case name:                                                                                     \
        return words;
        FMX_STATUS_LIST(TEXT_CASE)
#undef TEXT_CASE
    }
    return "?";
}
