/*
 * cert_flags — the options of `fleetmux cert`
 *
 * Not here:       what they do: cert.c, cert_dev.c, cert_devices.c
 */
#include "tools/fleetmux/cert.h"

#include <string.h>

#define AT(member) FLAG_AT(struct cert_settings, member)

static const struct flag rows[] = {
    {.name = "ca",
     .kind = FLAG_TEXT,
     .verbs = CERT_CA | CERT_SERVER | CERT_DEVICE | CERT_DEVICES,
     AT(ca),
     .argument = "FILE",
     .group = "General",
     .help = "the authority that signs, instead of DIR/ca.crt; of ca: instead of itself"},
    {.name = "ca-key",
     .kind = FLAG_TEXT,
     .verbs = CERT_CA | CERT_SERVER | CERT_DEVICE | CERT_DEVICES,
     AT(ca_key),
     .argument = "FILE",
     .group = "General",
     .help = "its key"},
    {.name = "days",
     .kind = FLAG_UINT,
     .verbs = CERT_CA | CERT_SERVER | CERT_DEVICE | CERT_DEVICES,
     AT(days),
     .max = 36500,
     .argument = "COUNT",
     .group = "General",
     .help = "how long it is valid; 0: an authority 3,650, any other 825, or as long as who signs"},
    {.name = "rsa",
     .kind = FLAG_SWITCH,
     .verbs = CERT_CA | CERT_SERVER,
     AT(wants_rsa),
     .group = "General",
     .help = "an RSA key of 2,048 bits instead of ECDSA P-256, for clients that know no other"},
    {.name = "help",
     .kind = FLAG_SWITCH,
     AT(wants_help),
     .group = "General",
     .help = "print this text"},

    {.name = "name",
     .kind = FLAG_LIST,
     .has_commas = true,
     .verbs = CERT_DEV,
     AT(names),
     .max = CERT_NAMES_MAX - 3,
     .argument = "HOST,...",
     .group = "dev",
     .help = "DNS names and IP addresses of the server beside localhost, 127.0.0.1 and ::1"},
    {.name = "device",
     .kind = FLAG_LIST,
     .has_commas = true,
     .verbs = CERT_DEV,
     AT(devices),
     .max = FLAG_ITEMS_MAX,
     .argument = "PK/DN,...",
     .group = "dev",
     .help = "devices; without it demo/device_1"},

    {.name = "common-name",
     .kind = FLAG_TEXT,
     .verbs = CERT_CA,
     AT(common_name),
     .argument = "TEXT",
     .group = "ca",
     .help = "what it is called; without it after this machine"},

    {.name = "as",
     .kind = FLAG_TEXT,
     .verbs = CERT_SERVER,
     AT(as),
     .argument = "NAME",
     .group = "server",
     .help = "DIR/NAME.crt and DIR/NAME.key instead of server, or with --rsa server-rsa"},

    {.name = "registry",
     .kind = FLAG_TEXT,
     .verbs = CERT_DEVICES,
     AT(registry),
     .argument = "FILE",
     .group = "devices",
     .help = "all devices of a registry, or with --product those of one product"},
    {.name = "product",
     .kind = FLAG_TEXT,
     .verbs = CERT_DEVICES,
     AT(product),
     .argument = "PK",
     .group = "devices",
     .help = "their product"},
    {.name = "count",
     .letter = 'c',
     .kind = FLAG_UINT,
     .verbs = CERT_DEVICES,
     AT(count),
     .max = 16000000,
     .argument = "COUNT",
     .group = "devices",
     .help = "so many devices, named as those of fleetmux fleet; without --product its client ids"},
    {.name = "startnumber",
     .letter = 'n',
     .kind = FLAG_UINT,
     .verbs = CERT_DEVICES,
     AT(start_number),
     .max = 4000000000,
     .argument = "NUMBER",
     .group = "devices",
     .help = "the first one's number is one more"},
    {.name = "device-prefix",
     .kind = FLAG_TEXT,
     .verbs = CERT_DEVICES,
     AT(device_prefix),
     .argument = "TEXT",
     .group = "devices",
     .help = "names are TEXT_%i; with %i or %n in TEXT it is the whole name; without it device, or "
             "without --product fleetmux"},
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS_COUNT <= FLAG_ROWS_MAX, "the set of flags holds no more rows");

void cert_flags_init(struct cert_settings *settings, enum cert_deed deed, struct flag_set *set)
{
    memset(settings, 0, sizeof(*settings));
    flags_init(set, rows, ROWS_COUNT, (uint32_t)deed, settings);
}
