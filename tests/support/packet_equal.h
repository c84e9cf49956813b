/*
 * packet_equal.h — do two views say the same?
 */
#ifndef FMX_TESTS_SUPPORT_PACKET_EQUAL_H
#define FMX_TESTS_SUPPORT_PACKET_EQUAL_H

#include "proto/packet.h"

/* Present properties, their values, and the user properties in their order. */
bool fmx_props_equal(const struct fmx_props *a, const struct fmx_props *b);

/* Fields that the kind does not carry in `version` are not looked at. */
bool fmx_packet_equal(const struct fmx_packet *a, const struct fmx_packet *b,
                      enum fmx_version version);

#endif
