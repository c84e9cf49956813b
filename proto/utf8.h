/*
 * utf8.h — strings as MQTT allows them (MQTT 5.0, 1.5.4)
 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <fleetmux/types.h>

/* Well-formed UTF-8 (no overlong form, no surrogate, nothing above U+10FFFF) without U+0000. */
bool fmx_utf8_is_valid(fmx_slice text);

#endif
