/*
 * fleet_device.h — who a client is: its names, what it signs, and how a device learns its secret
 */
#ifndef ENGINE_ROLES_FLEET_DEVICE_H
#define ENGINE_ROLES_FLEET_DEVICE_H

#include "engine/roles/fleet.h"
#include "proto/dialect.h"

#define FMX_FLEET_OPTIONS_BYTES_MAX 512u /* platform.more_options */
#define FMX_FLEET_SDK_BYTES_MAX     64u
#define FMX_FLEET_TOKEN_BYTES_MAX   512u /* of what registering gives us */

/* ── fleet_device.c ── */

/* What variables stand for, of one client, for as long as texts are filled in. */
struct fmx_fleet_names {
    struct fmx_template_values values;
    struct fmx_fleet_device device;
    uint8_t client_id[FMX_TEMPLATE_BYTES_MAX];
    uint8_t username[FMX_TEMPLATE_BYTES_MAX];
};

/* Those that stand in any topic, filter or payload text of its team. */
void fmx_fleet_names_of(const struct fmx_fleet_client *client, struct fmx_fleet_names *out_names);

/* Fills in a topic or filter of a client; `out` has room for FMX_TEMPLATE_BYTES_MAX. */
fmx_slice fmx_fleet_fill(const struct fmx_fleet_client *client, const char *text, uint8_t *out);

/* The client's part of CONNECT. */
struct fmx_fleet_login {
    fmx_slice client_id;
    fmx_slice username;
    fmx_slice password;
    bool has_username;
    bool has_password;
    uint8_t client_id_bytes[2 * FMX_TEMPLATE_BYTES_MAX];
    uint8_t username_bytes[FMX_TEMPLATE_BYTES_MAX];
    uint8_t password_bytes[FMX_TEMPLATE_BYTES_MAX];
};

/* What a client says of itself now. False: no device has its number, or memory ran out. */
bool fmx_fleet_login(const struct fmx_fleet_client *client, struct fmx_fleet_login *out_login);

/* The names of client `number` of a group. False: there is no such device. */
bool fmx_fleet_device_names(const struct fmx_fleet_group *group, uint32_t number,
                            struct fmx_fleet_device *out_device);

/* The device's secret, as the plan has it, into the device. False: memory ran out. */
bool fmx_fleet_device_secret(const struct fmx_fleet_platform *platform,
                             struct fmx_fleet_device *device);

/*
 * Writes client id, user name and password of a device. `client` says all that stands between the
 * pipes but for `more_options` (may be NULL); with a token, `secret` is the password as it is.
 * False: memory ran out.
 */
bool fmx_fleet_sign(const struct fmx_dialect_client *client, const char *more_options,
                    const struct fmx_fleet_device *device, fmx_slice secret,
                    struct fmx_fleet_login *out_login);

/* Fills in any text of client `number` of a group. False: there is no such device. */
bool fmx_fleet_fill_any(const struct fmx_fleet_group *group, uint32_t number, const char *text,
                        uint8_t *out, fmx_slice *out_text);

/* ── fleet_register.c ── */

/* What a client was told when it registered. */
struct fmx_fleet_learnt {
    uint16_t id_bytes; /* of its client id; 0: it has a secret of its own instead of a token */
    uint16_t secret_bytes;
    uint8_t bytes[]; /* client id, then secret or token */
};

/* Must the client ask first who it is? */
bool fmx_fleet_must_register(const struct fmx_fleet_client *client);

/* What the client was told; NULL: nothing. */
const struct fmx_fleet_learnt *fmx_fleet_learnt_of(const struct fmx_fleet_client *client);

/* The server says yes to one that asks: now it has to answer. */
void fmx_fleet_register_begin(struct fmx_conn *conn);
void fmx_fleet_register_is_late(struct fmx_conn *conn);
void fmx_fleet_register_on_publish(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Room for what clients learn. False: no memory. */
bool fmx_fleet_register_open(struct fmx_fleet_crew *crew);
void fmx_fleet_register_close(struct fmx_fleet_crew *crew);

#endif
