/*
 * wire — the handful of MQTT 3.1.1 packets the benchmark programs speak
 *
 * The programs measure brokers, so they share no code with any of them, ours included.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wire_kind {
    WIRE_CONNECT = 1,
    WIRE_CONNACK = 2,
    WIRE_PUBLISH = 3,
    WIRE_PUBACK = 4,
    WIRE_SUBSCRIBE = 8,
    WIRE_SUBACK = 9,
    WIRE_PINGREQ = 12,
    WIRE_PINGRESP = 13,
    WIRE_DISCONNECT = 14
};

/* Unless said otherwise topics are "bench/" and six digits: a table index by their tail. */
#define WIRE_TOPIC_SIZE     12
#define WIRE_TOPIC_DIGITS   6
#define WIRE_TOPICS_MAX     1000000u
#define WIRE_TOPIC_SIZE_MAX 64u
#define WIRE_PING_SIZE      2u

/* Room for CONNECT with texts of WIRE_TEXT_SIZE_MAX each, and for SUBSCRIBE. */
#define WIRE_TEXT_SIZE_MAX 300u
#define WIRE_PACKET_ROOM   1024u

/* All topics of a run: one text in which six digits differ, so all have one length. */
struct wire_topics {
    uint8_t text[WIRE_TOPIC_SIZE_MAX];
    size_t size;
    size_t digits_at;
};

/* Who a client says it is; without a user name it is anonymous. */
struct wire_login {
    const char *client_id;
    const char *user;
    const char *password;
};

/* One whole packet; `body` points behind the fixed header, into the caller's bytes. */
struct wire_frame {
    const uint8_t *bytes;
    const uint8_t *body;
    size_t size;
    size_t body_size;
};

static inline uint16_t wire_get16(const uint8_t *at)
{
    return (uint16_t)((at[0] << 8) | at[1]);
}

static inline void wire_put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline unsigned wire_kind(const struct wire_frame *frame)
{
    return frame->bytes[0] >> 4;
}

static inline unsigned wire_qos(const struct wire_frame *frame)
{
    return (frame->bytes[0] >> 1) & 3u;
}

/* Finds the packet at `at`: 1 found, 0 more bytes needed, -1 no MQTT. */
static inline int wire_next(const uint8_t *at, size_t available, struct wire_frame *out_frame)
{
    size_t length = 0;
    for (size_t i = 1; i <= 4; i++) {
        if (i >= available) {
            return 0;
        }
        length |= (size_t)(at[i] & 0x7f) << (7 * (i - 1));
        if (!(at[i] & 0x80)) {
            size_t size = 1 + i + length;
            *out_frame = (struct wire_frame){at, at + 1 + i, size, length};
            return size <= available;
        }
    }
    return -1;
}

void wire_put_digits(uint8_t *out_digits, uint32_t number);
uint32_t wire_get_digits(const uint8_t *digits);

/* Takes a text with "######" in it; false when it has none, or is too long. */
bool wire_topics_parse(struct wire_topics *topics, const char *pattern);

/* Each writes one packet and returns its size. */
size_t wire_connect(uint8_t *out, const char *client_id, uint16_t keepalive_s);
size_t wire_subscribe(uint8_t *out, uint32_t topic_number, unsigned qos);
size_t wire_publish(uint8_t *out, uint32_t topic_number, unsigned qos, size_t payload_size);
size_t wire_ping(uint8_t *out);

/* The same with a user name, with several topics, with other topics. */
size_t wire_connect_as(uint8_t *out, const struct wire_login *login, uint16_t keepalive_s);
size_t wire_subscribe_to(uint8_t *out, const struct wire_topics *topics, uint32_t first,
                         uint32_t count, unsigned qos);
size_t wire_publish_to(uint8_t *out, const struct wire_topics *topics, unsigned qos,
                       size_t payload_size);

/* Size of the fixed header, topic and packet identifier before a payload. */
size_t wire_publish_prefix(unsigned qos, size_t payload_size);
size_t wire_publish_prefix_to(const struct wire_topics *topics, unsigned qos, size_t payload_size);

#endif
