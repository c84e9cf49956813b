/*
 * registry_flags — the options of `fleetmux registry`
 *
 * Not here:       what they do: registry_edit.c, registry_show.c, registry_import.c
 */
#include "tools/fleetmux/registry.h"

#include <string.h>

#define AT(member) FLAG_AT(struct registry_settings, member)

static const struct flag rows[] = {
    {.name = "registry",
     .kind = FLAG_TEXT,
     AT(registry),
     .argument = "FILE",
     .group = "General",
     .help = "the registry; also in the environment, as FLEETMUX_REGISTRY"},
    {.name = "json",
     .kind = FLAG_SWITCH,
     .verbs = REGISTRY_PRODUCT_LIST | REGISTRY_TOPIC_LIST | REGISTRY_DEVICE_LIST | REGISTRY_SIGN,
     AT(wants_json),
     .group = "General",
     .help = "print JSON, one object a line"},
    {.name = "help",
     .kind = FLAG_SWITCH,
     AT(wants_help),
     .group = "General",
     .help = "print this text"},

    {.name = "secret",
     .kind = FLAG_TEXT,
     .verbs = REGISTRY_PRODUCT_ADD | REGISTRY_DEVICE_ADD,
     AT(secret),
     .argument = "TEXT",
     .group = "product add, device add",
     .help = "1 to 64 printable characters; without it 32 random hex digits are made"},
    {.name = "name",
     .kind = FLAG_TEXT,
     .verbs = REGISTRY_PRODUCT_ADD,
     AT(name),
     .argument = "TEXT",
     .group = "product add",
     .help = "a name for people"},
    {.name = "register",
     .kind = FLAG_LIST,
     .has_commas = true,
     .verbs = REGISTRY_PRODUCT_ADD,
     AT(registration),
     .max = 2,
     .argument = "known,new",
     .group = "product add",
     .help = "devices may get their secrets over MQTT: known ones, new ones, or both"},
    {.name = "limit",
     .kind = FLAG_LIST,
     .verbs = REGISTRY_PRODUCT_ADD,
     AT(limits),
     .max = FLAG_ITEMS_MAX,
     .argument = "NAME=VALUE",
     .group = "product add",
     .help = "a limit of its own instead of the gateway's; repeat it for more"},

    {.name = "dry-run",
     .kind = FLAG_SWITCH,
     .verbs = REGISTRY_IMPORT,
     AT(is_dry),
     .group = "import",
     .help = "check everything and change nothing"},

    {.name = "client-id",
     .kind = FLAG_TEXT,
     .verbs = REGISTRY_SIGN,
     AT(sign.client_id),
     .argument = "TEXT",
     .group = "sign",
     .help = "the client id before the options; default: product key, a dot, device name"},
    {.name = "method",
     .kind = FLAG_TEXT,
     .verbs = REGISTRY_SIGN,
     AT(sign.method),
     .argument = "NAME",
     .group = "sign",
     .help = "hmacsha256, hmacsha1 or hmacmd5"},
    {.name = "timestamp",
     .kind = FLAG_TEXT,
     .verbs = REGISTRY_SIGN,
     AT(sign.timestamp),
     .argument = "DIGITS",
     .group = "sign",
     .help = "what is signed as the timestamp; none: no timestamp"},
    {.name = "secure-mode",
     .kind = FLAG_UINT,
     .verbs = REGISTRY_SIGN,
     AT(secure_mode),
     .min = 1,
     .max = 99,
     .argument = "NUMBER",
     .group = "sign",
     .help = "2: TLS, 3: plain TCP"},
    {.name = "extra",
     .kind = FLAG_TEXT,
     .verbs = REGISTRY_SIGN,
     AT(sign.extra),
     .argument = "K=V,...",
     .group = "sign",
     .help = "further options of the client id, as in _ss=1,ext=3"},
    {.name = "shell",
     .kind = FLAG_SWITCH,
     .verbs = REGISTRY_SIGN,
     AT(wants_shell),
     .group = "sign",
     .help = "print assignments for eval: client_id, username, password"},
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS_COUNT <= FLAG_ROWS_MAX, "the set of flags holds no more rows");

void registry_flags_init(struct registry_settings *settings, enum registry_deed deed,
                         struct flag_set *set)
{
    memset(settings, 0, sizeof(*settings));
    settings->secure_mode = 3;
    settings->sign.method = "hmacsha256";
    settings->sign.timestamp = "2524608000000";
    flags_init(set, rows, ROWS_COUNT, (uint32_t)deed, settings);
}
