/*
 * bytes.h — packets written down as a person reads them
 *
 * "0004 'MQTT' 05 02" is the bytes 00 04 4d 51 54 54 05 02: pairs of hex digits, text in single
 * quotes, blanks as you like.
 */
#ifndef FMX_TESTS_SUPPORT_BYTES_H
#define FMX_TESTS_SUPPORT_BYTES_H

#include <fleetmux/types.h>

/* Bytes written to `out`; ends the process if the notation is wrong or `room` too small. */
size_t fmx_bytes_of(const char *notation, uint8_t *out, size_t room);

/* The same as a body, with the head byte and the remaining length before it. */
size_t fmx_bytes_of_packet(uint8_t head, const char *body, uint8_t *out, size_t room);

#endif
