/*
 * number.h — numbers as people write them: 10k, 64Ki, 1.5s, 250ms
 */
#ifndef FMX_TOOLS_NUMBER_H
#define FMX_TOOLS_NUMBER_H

#include <stdint.h>

#define NUMBER_NS_PER_US 1000u
#define NUMBER_NS_PER_MS 1000000u
#define NUMBER_NS_PER_S  1000000000u

enum number_status {
    NUMBER_OK = 0,
    NUMBER_NOT,       /* no digits, or something that is neither digit nor suffix */
    NUMBER_FRACTION,  /* not a whole multiple of the unit it is kept in */
    NUMBER_TOO_LARGE, /* more than 64 bits */
};

/* A count: digits, perhaps a fraction, perhaps k, M, G (thousands) or Ki, Mi, Gi (1,024s). */
enum number_status number_read_count(const char *text, uint64_t *out_count);

/*
 * A time: the same with ns, us, ms, s, m or h. Without a suffix the number is in units of
 * `plain_ns`; the result is in units of `stored_ns`.
 */
enum number_status number_read_time(const char *text, uint64_t plain_ns, uint64_t stored_ns,
                                    uint64_t *out_time);

/* A plain decimal number, perhaps with a fraction and k or M; never negative, never infinite. */
enum number_status number_read_real(const char *text, double *out_real);

#endif
