/*
 * cert.h — the verb that makes certificates: its settings, and what its files share
 */
#ifndef FMX_TOOLS_CERT_H
#define FMX_TOOLS_CERT_H

#include "tools/fleetmux/flags.h"

#include <fleetmux/cert.h>

#define CERT_NAMES_MAX    64
#define CERT_OPERANDS_MAX (CERT_NAMES_MAX + 1) /* a folder, and a server's names */
#define CERT_PATH_BYTES   4096

/* What is done; bits, so that a row of flags names those that have it. */
enum cert_deed {
    CERT_DEV = 1 << 0,
    CERT_CA = 1 << 1,
    CERT_SERVER = 1 << 2,
    CERT_DEVICE = 1 << 3,
    CERT_DEVICES = 1 << 4,
    CERT_TICKETS = 1 << 5,
};

struct cert_settings {
    const char *ca;
    const char *ca_key;
    uint32_t days; /* 0: the library's */
    bool wants_rsa;
    const char *as;
    const char *common_name;
    struct flag_list names;
    struct flag_list devices;
    const char *registry;
    const char *product;
    uint32_t count;
    uint32_t start_number;
    const char *device_prefix;
    bool wants_help;
};

/* One call of the verb. */
struct cert_run {
    struct cert_settings *settings;
    struct flag_set *set;
    const char *operands[CERT_OPERANDS_MAX];
    size_t operands_count;
    char error[FMX_CERT_ERROR_BYTES]; /* of the library */
};

/* A certificate and its key. */
struct cert_pair {
    char cert[CERT_PATH_BYTES];
    char key[CERT_PATH_BYTES];
};

enum cert_state {
    CERT_MISSING,
    CERT_THERE,
    CERT_HALF, /* one without the other, or empty */
};

void cert_flags_init(struct cert_settings *settings, enum cert_deed deed, struct flag_set *set);

/* ── telling ── */

/* Prints "fleetmux cert: words"; returns EXIT_USAGE. */
int cert_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* EXIT_PASS, or prints what the library has said and returns how to end. */
int cert_tell(const struct cert_run *run, enum fmx_status status);

/* Prints a word of a command line, quoted for a shell if it needs that. */
void cert_print_quoted(const char *word);

/* ── files and names ── */

/* "FOLDER/NAME.crt" and "….key". False: too long, and that is told. */
bool cert_pair_of(const char *folder, const char *name, struct cert_pair *out_pair);
enum cert_state cert_pair_state(const struct cert_pair *pair);
int cert_refuse_half(const struct cert_pair *pair);

/* Makes a folder and those above it. EXIT_PASS, or tells why not. */
int cert_make_folder(const char *path);

/*
 * Takes "PK/DN" or "DN" apart: who a device is, and where in `folder` its files are, which is made:
 * PK/DN.crt, or devices/DN.crt. EXIT_PASS, or tells why it is none.
 */
struct cert_device {
    char product_key[33]; /* "": none */
    char device_name[65];
    struct cert_pair pair;
};
int cert_device_of(const char *folder, const char *text, struct cert_device *out_device);

/* ── the deeds ── */

/* The authority of --ca and --ca-key, or that in `folder`. */
int cert_set_issuer(const struct cert_run *run, const char *folder, struct cert_pair *room,
                    struct fmx_cert_options *options);

/* Makes one and says so: "made FILE: WHAT". */
int cert_make_pair(struct cert_run *run, struct fmx_cert_options *options,
                   const struct cert_pair *pair, const char *what);
int cert_make_authority(struct cert_run *run, const char *folder, const struct cert_pair *pair);
int cert_make_server(struct cert_run *run, const char *folder, const struct cert_pair *pair,
                     enum fmx_cert_key key, const char *const *names, size_t names_count);
int cert_make_device(struct cert_run *run, const char *folder, const struct cert_device *device);

int cert_dev(struct cert_run *run);
int cert_devices(struct cert_run *run);

#endif
