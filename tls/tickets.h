/*
 * tickets.h — the keys of session tickets: previous, current and next (RFC 5077, 5.5)
 *
 * Tickets are made with the current key and taken with all three, so that processes that share a
 * file need not move on in the same moment. Keys move one on when the current one is `rotate_s`
 * old; whoever looks first does it, under a lock on the file.
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <fleetmux/error.h>

struct fmx_tls_tickets;

/*
 * Keys from `file`, which is made if it is missing or empty; NULL: keys of our own. FMX_OK;
 * FMX_SYS_FILE (errno set), FMX_E_OPTION (the file is no file of ticket keys, or others can read
 * it), FMX_LIMIT_MEMORY, with words. `rotate_s` is above 0.
 */
enum fmx_status fmx_tls_tickets_open(const char *file, uint32_t rotate_s,
                                     struct fmx_tls_tickets **out_tickets, char *error,
                                     size_t error_bytes) FMX_MUST_USE;
void fmx_tls_tickets_close(struct fmx_tls_tickets *tickets); /* NULL is harmless */

/*
 * Reads the file again if it has changed, moves the keys on if it is time. May wait for a disk, and
 * up to 5 s for the lock: not for shards; one thread at a time. FMX_OK, or as open: then the keys
 * in use stay, and a fault that lasts is told at each call.
 */
enum fmx_status fmx_tls_tickets_look(struct fmx_tls_tickets *tickets, uint64_t unix_s, char *error,
                                     size_t error_bytes) FMX_MUST_USE;

/* In `file`, whether or not it is time. Makes the file if needed. */
enum fmx_status fmx_tls_tickets_rotate(const char *file, uint64_t unix_s, char *error,
                                       size_t error_bytes) FMX_MUST_USE;

#endif
