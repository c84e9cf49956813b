/*
 * dialect.h — what the platform's devices say in CONNECT, what they sign, and whose a topic is
 *
 * Pure: no allocation, no hash, no clock. Slices in results borrow from the input. What is refused
 * comes with `fault`: static words that name the field and what would be right, fit for a Reason
 * String (printable ASCII, at most 120 bytes).
 */
#ifndef PROTO_DIALECT_H
#define PROTO_DIALECT_H

#include <fleetmux/error.h>
#include "proto/cursor.h"

#define FMX_PRODUCT_KEY_BYTES_MAX 32u
#define FMX_DEVICE_NAME_BYTES_MAX 64u
#define FMX_LOGICAL_ID_BYTES_MAX  256u /* of the part of the client id that is signed */
#define FMX_SIGN_PARAM_BYTES_MAX  128u /* timestamp, random */
#define FMX_SIGNED_BYTES_MAX      768u /* any signed content fits, static_assert in dialect.c */
#define FMX_TOPIC_CLASS_BYTES_MAX 128u
#define FMX_RRPC_ID_BYTES         19u /* decimal digits of a message id of ours, always */

/* ── CONNECT ── */

enum fmx_sign_method {
    FMX_SIGN_HMAC_MD5 = 0, /* also when none is named */
    FMX_SIGN_HMAC_SHA1,
    FMX_SIGN_HMAC_SHA256,
};

enum fmx_auth_type {
    FMX_AUTH_SECRET = 0,   /* no authType: signed with the device's secret */
    FMX_AUTH_REGISTER,     /* register: signed with the product's; asks for the device's secret */
    FMX_AUTH_REGISTER_NEW, /* regnwl: the same without the device being known before */
    FMX_AUTH_TOKEN,        /* connwl: the password is the token that regnwl was answered with */
};

enum {
    FMX_EXT_RRPC = 1 << 0,   /* calls on custom topics are wanted */
    FMX_EXT_NOTIFY = 1 << 1, /* error notices are wanted */
};

/* The client id field, taken apart. Unknown keys are ignored; absent options are 0 or empty. */
struct fmx_dialect_client {
    fmx_slice logical_id; /* before the first '|'; may be empty; what is signed */
    fmx_slice timestamp;
    fmx_slice random;
    fmx_slice sdk; /* _v */
    fmx_slice language;
    fmx_slice instance_id;
    uint32_t ext; /* FMX_EXT_… */
    int32_t secure_mode;
    enum fmx_sign_method sign_method;
    enum fmx_auth_type auth_type;
    bool has_options; /* there was a '|' */
    bool has_timestamp;
    bool has_secure_mode;
    bool auto_subscribe; /* _ss=1 */
    bool is_gateway;
};

/*
 * Takes the client id field of CONNECT apart: `<id>|k=v,k=v,…|`, with the dialect's liberties (the
 * comma after the closing pipe, pipes inside values, empty list elements, no options at all; of a
 * key that stands twice the last counts). FMX_OK, or FMX_PEER_CLIENT_ID with `out_fault`; else that
 * is NULL. A registration without `random` is refused.
 */
enum fmx_status fmx_dialect_client_id(fmx_slice field, struct fmx_dialect_client *out_client,
                                      const char **out_fault) FMX_MUST_USE;

/*
 * Takes `<device name>&<product key>` apart. FMX_OK or FMX_PEER_CREDENTIALS with `out_fault`. Both
 * names are then in bounds, UTF-8, and free of '/', '+', '#', '&', '|', ',' and control characters;
 * the product key is none of sys, ext, ota, shadow, broadcast, as, whose topics are others'.
 */
enum fmx_status fmx_dialect_username(fmx_slice field, fmx_slice *out_device_name,
                                     fmx_slice *out_product_key,
                                     const char **out_fault) FMX_MUST_USE;

/*
 * Does securemode fit the channel? 3 is plain TCP; 2 is TLS, as are −1 (after an HTTPS look-up) and
 * 14 of old SDKs.
 */
bool fmx_dialect_secure_mode_fits(int32_t secure_mode, bool is_tls);

/* Are these names that a registry may hold? NULL, or words. The same rules as above. */
const char *fmx_dialect_product_key_fault(fmx_slice product_key);
const char *fmx_dialect_device_name_fault(fmx_slice device_name);

/*
 * Writes what is signed (for FMX_AUTH_SECRET: clientId, deviceName, productKey and timestamp if it
 * is there; for the registrations: deviceName, productKey, random), names sorted, no separator.
 * Returns its bytes, at most FMX_SIGNED_BYTES_MAX; 0 for FMX_AUTH_TOKEN, where nothing is signed.
 * All three must have been found good by the functions above.
 */
size_t fmx_dialect_signed(const struct fmx_dialect_client *client, fmx_slice device_name,
                          fmx_slice product_key, uint8_t out[FMX_SIGNED_BYTES_MAX]);

/*
 * Decodes a password of hex digits in either case into at most `room` bytes. False: an odd number,
 * another character, or no room.
 */
bool fmx_dialect_unhex(fmx_slice text, uint8_t *out, size_t room, size_t *out_bytes);

/* Writes hex digits, two a byte, no terminator; upper or lower case. */
void fmx_dialect_hex(fmx_slice bytes, bool upper, char *out);

/* ── TLS-PSK ── */

#define FMX_PSK_IDENTITY_BYTES_MAX 128u /* TLS libraries take no more */

/* Whom a PSK identity names, and how its key is made of the device's secret. */
struct fmx_dialect_psk {
    fmx_slice product_key;
    fmx_slice device_name;
    fmx_slice timestamp;              /* of the C SDKs' form; empty: the key is the secret itself */
    enum fmx_sign_method sign_method; /* with a timestamp */
};

/*
 * Writes the identity of names that were found good: `devicename|<method>|<pk>&<dn>|<timestamp>`,
 * or, without a timestamp, `<pk>/<dn>`. Returns its bytes; 0: it would have more.
 */
size_t fmx_dialect_psk_identity(const struct fmx_dialect_psk *psk,
                                uint8_t out[FMX_PSK_IDENTITY_BYTES_MAX]);

/*
 * Takes an identity apart, of either form. FMX_OK: the names are such as a user name may hold, the
 * method is hmacsha256, the timestamp is digits. FMX_TLS_PSK: it is anything else.
 */
enum fmx_status fmx_dialect_psk_read(fmx_slice identity,
                                     struct fmx_dialect_psk *out_psk) FMX_MUST_USE;

/*
 * Writes what is signed with the secret, `id<pk>&<dn>timestamp<timestamp>`; the key is the
 * signature in upper-case hex digits. Returns its bytes; 0: nothing is signed.
 */
size_t fmx_dialect_psk_signed(const struct fmx_dialect_psk *psk, uint8_t out[FMX_SIGNED_BYTES_MAX]);

/* What some SDK versions need beside the rules (one table in dialect.c). */
struct fmx_quirks {
    bool session_present_is_0; /* fails on a CONNACK that says Session Present */
};

struct fmx_quirks fmx_dialect_quirks(fmx_slice sdk, enum fmx_version version);

/* ── topics ── */

/* What the gateway does with a device's topic. */
enum fmx_topic_use {
    FMX_USE_FOREIGN = 0, /* not this device's: refused */
    FMX_USE_SYSTEM,      /* the platform's, fixed permissions; handed to the service */
    FMX_USE_CUSTOM, /* /pk/dn/user/…: the product's topic classes decide; `rest` is "user/…" */
    FMX_USE_BROADCAST,   /* /broadcast/pk/…: subscribe only */
    FMX_USE_NTP,         /* /ext/ntp/pk/dn/request (publish), …/response (subscribe) */
    FMX_USE_RRPC,        /* /sys/pk/dn/rrpc/response/ID (publish), …/request/… (subscribe) */
    FMX_USE_RRPC_CUSTOM, /* /ext/rrpc/ID/TOPIC; `rest` is TOPIC with its leading slash */
    FMX_USE_THING,       /* /sys/pk/dn/thing/…: as SYSTEM, and Alink JSON; `rest` after dn/ */
};

struct fmx_dialect_topic {
    enum fmx_topic_use use;
    bool may_publish;
    bool may_subscribe;
    fmx_slice rest;
    fmx_slice message_id; /* RRPC: the digits (or, of a filter, the level) */
};

/*
 * Whose and what a valid topic name is, for the device of these names. `name` has no tracing suffix
 * (fmx_topic_strip_rid). For FMX_USE_CUSTOM the two permissions are left true: the product's
 * classes decide. For FMX_USE_RRPC_CUSTOM both are TOPIC's may_subscribe, since the answer travels
 * on the request's own name; if TOPIC is custom, the product's classes for subscribing decide both.
 */
struct fmx_dialect_topic fmx_dialect_topic_name(fmx_slice name, fmx_slice product_key,
                                                fmx_slice device_name);

/*
 * The same for a valid filter of a SUBSCRIBE or UNSUBSCRIBE: only filters that can match nothing
 * but this device's topics (and its product's broadcasts) are its own. may_publish is false.
 */
struct fmx_dialect_topic fmx_dialect_topic_filter(fmx_slice filter, fmx_slice product_key,
                                                  fmx_slice device_name);

/*
 * Must a message on this name be delivered without a subscription? With `auto_subscribe` every
 * system topic of the device; without, those that everybody gets (the answers of dynamic
 * registration, X.509's, and, with FMX_EXT_NOTIFY, error notices). Calls on system topics
 * (/ext/rrpc/ID/sys/…) need FMX_EXT_RRPC too; those on custom topics need a subscription.
 */
bool fmx_dialect_is_auto(fmx_slice name, fmx_slice product_key, fmx_slice device_name,
                         bool auto_subscribe, uint32_t ext);

/* A product's topic class: which custom topics there are, as in "user/update" or "user/+/get". */
enum fmx_topic_permission {
    FMX_TOPIC_PUBLISH = 1,
    FMX_TOPIC_SUBSCRIBE = 2,
};

/*
 * Is this a class a product may define (begins with "user/", a valid filter, no empty level,
 * bounds; with a wildcard for subscribing only)? NULL, or words.
 */
const char *fmx_dialect_topic_class_fault(fmx_slice topic_class, unsigned permission);

/*
 * May a device publish to / subscribe to `rest` ("user/…", a name or a filter) under this class? A
 * filter is allowed if every name it matches is of the class.
 */
bool fmx_dialect_topic_class_covers(fmx_slice topic_class, fmx_slice rest, bool is_filter);

/* The product key and device name that a server's topic is for. False: none (a broadcast, or no
   topic of the platform's). */
bool fmx_dialect_topic_owner(fmx_slice name, fmx_slice *out_product_key,
                             fmx_slice *out_device_name);

/* ── calls ── */

/* A message id of ours, 10^18 … 2^63 − 1, as digits: always FMX_RRPC_ID_BYTES of them. */
void fmx_dialect_rrpc_id_write(uint64_t id, uint8_t out[FMX_RRPC_ID_BYTES]);

/* Digits into an id; false: not one of ours. */
bool fmx_dialect_rrpc_id_read(fmx_slice digits, uint64_t *out_id);

#endif
