/*
 * template.h — text with variables: %i, %n, %c, %u, of devices %p and %d, and %%
 */
#ifndef ENGINE_ROLES_TEMPLATE_H
#define ENGINE_ROLES_TEMPLATE_H

#include <fleetmux/error.h>

#define FMX_TEMPLATE_BYTES_MAX 1024u

struct fmx_template_values {
    uint64_t number;       /* %i */
    uint64_t run_number;   /* %n */
    fmx_slice client_id;   /* %c */
    fmx_slice username;    /* %u */
    fmx_slice product_key; /* %p; empty: neither %p nor %d is a variable */
    fmx_slice device_name; /* %d */
};

/*
 * FMX_OK, or FMX_E_OPTION with words: an unknown variable, or more than 1,024 bytes when filled in
 * with the longest values.
 */
enum fmx_status fmx_template_check(const char *field, const char *text,
                                   const struct fmx_template_values *longest, char *error,
                                   size_t error_bytes) FMX_MUST_USE;

/* Would it be another text for another client? */
bool fmx_template_has_variables(const char *text);

/* Fills in a checked template. `out` has room for FMX_TEMPLATE_BYTES_MAX; what is beyond is cut. */
fmx_slice fmx_template_fill(const char *text, const struct fmx_template_values *values,
                            uint8_t *out);

#endif
