/*
 * device.h — what a session of the platform profile has beside every other: its product, its
 * buckets, its names
 */
#ifndef ENGINE_ROLES_DEVICE_H
#define ENGINE_ROLES_DEVICE_H

#include "engine/conn.h"
#include "engine/roles/product.h"

/* Which of the role's timers is due: fmx_timer.sub_kind. */
enum fmx_gateway_timer {
    FMX_GATEWAY_TIMER_KEPT = 0, /* an absent session's expiry */
    FMX_GATEWAY_TIMER_CALL,     /* an answer is overdue */
    FMX_GATEWAY_TIMER_UP,       /* a device may speak again */
    FMX_GATEWAY_TIMER_DOWN,     /* a device may be spoken to again */
};

struct fmx_device_state {
    struct fmx_conn *conn;
    struct fmx_gateway_product *product;
    struct fmx_bucket up;
    struct fmx_bucket up_qos1;
    struct fmx_bucket down;
    struct fmx_bucket down_qos1; /* Receive Maximum as messages a second */
    struct fmx_timer up_timer;
    struct fmx_timer down_timer;
    struct fmx_alias_out aliases; /* storage from the heap once a topic is sent */
    uint64_t notice_ns;           /* when the last error notice went out */
    struct sockaddr_in6 address;  /* sin6_family 0: not known */
    uint8_t ext;                  /* FMX_EXT_… */
    uint8_t product_key_bytes;
    uint8_t device_name_bytes;
    bool auto_subscribe;
    bool is_registering; /* this connection fetches credentials, and is nobody's session */
    bool is_named;       /* the whole IPv6 address was asked for */
    bool session_present_is_0;
    bool wants_identity;  /* its certificate has said who it is; it is told after CONNACK */
    bool has_receive_max; /* the client has named one */
};

/* A device's part for this connection; NULL: no memory. */
struct fmx_device_state *fmx_device_open(struct fmx_conn *conn, struct fmx_gateway_product *product,
                                         const struct fmx_dialect_client *client,
                                         fmx_slice product_key, fmx_slice device_name);
void fmx_device_close(struct fmx_device_state *device);

/* The connection has ended: no timer of it runs any more. NULL is harmless. */
void fmx_device_rest(struct fmx_device_state *device);

/* The peer's address as text, or empty. */
#define FMX_ADDRESS_TEXT_BYTES 48u
fmx_slice fmx_device_address(const struct fmx_device_state *device,
                             char text[FMX_ADDRESS_TEXT_BYTES]);

/*
 * May one more message of this QoS come from the device? Takes its tokens; FMX_OK, or FMX_LATER
 * (nothing taken) with the limit that says no.
 */
enum fmx_status fmx_device_take_up(struct fmx_device_state *device, uint8_t qos, uint64_t now_ns,
                                   enum fmx_limit *out_limit) FMX_MUST_USE;

/* How empty its buckets are, for its next connection; and as its last one left them. */
struct fmx_rate_memory fmx_device_rates(const struct fmx_device_state *device, uint64_t now_ns);
void fmx_device_resume(struct fmx_device_state *device, const struct fmx_rate_memory *rates,
                       uint64_t now_ns);

/* How long until one more of this QoS may come; 0: now. */
uint64_t fmx_device_up_wait_ns(const struct fmx_device_state *device, uint8_t qos, uint64_t now_ns);

/* The same towards the device. FMX_OK or FMX_LATER. */
enum fmx_status fmx_device_take_down(struct fmx_device_state *device, uint8_t qos,
                                     uint64_t now_ns) FMX_MUST_USE;
uint64_t fmx_device_down_wait_ns(const struct fmx_device_state *device, uint8_t qos,
                                 uint64_t now_ns);

/*
 * The alias under which a topic goes to the device: 0, none. `out_is_new`: the topic goes with it
 * this once.
 */
uint16_t fmx_device_alias(struct fmx_device_state *device, fmx_slice topic, bool *out_is_new);

#endif
