/*
 * address.h — "HOST:PORT" as text and as a socket address
 */
#ifndef ENGINE_ROLES_ADDRESS_H
#define ENGINE_ROLES_ADDRESS_H

#include "engine/mux.h"

/*
 * "127.0.0.1:1883", "[::1]:1883", ":1883" (every IPv4 address), "[::]:1883". Numeric addresses
 * only, unless `resolve`. FMX_OK, or FMX_E_OPTION with words that name `field` and say what to
 * write.
 */
enum fmx_status fmx_address_parse(const char *field, const char *text, bool resolve,
                                  struct fmx_address *out_address, char *error,
                                  size_t error_bytes) FMX_MUST_USE;

/* Is it of the form HOST:PORT? Nothing is looked up. FMX_OK, or FMX_E_OPTION with words. */
enum fmx_status fmx_address_check(const char *field, const char *text, char *error,
                                  size_t error_bytes) FMX_MUST_USE;

/* An address without a port: a source to bind to. */
enum fmx_status fmx_address_parse_host(const char *field, const char *text,
                                       struct fmx_address *out_address, char *error,
                                       size_t error_bytes) FMX_MUST_USE;

bool fmx_address_is_loopback4(const struct fmx_address *address);

/* The IPv4 address 127.0.0.1 + n, without a port. */
struct fmx_address fmx_address_loopback(uint32_t n);

#endif
