/*
 * wire — the handful of MQTT 3.1.1 packets the benchmark programs speak
 *
 * Why it is so:   packets are built once, before the clock runs; on the measured path only their
 *                 numbers are patched. So the encoder is plain, and the frame finder is inline.
 * Limits:         texts up to WIRE_TEXT_SIZE_MAX, payloads up to what four length bytes can say
 */
#include "bench/wire.h"

#define USER_FLAG     0x80u
#define PASSWORD_FLAG 0x40u
#define CLEAN_FLAG    0x02u

static const struct wire_topics USUAL_TOPICS = {
    .text = "bench/000000", .size = WIRE_TOPIC_SIZE, .digits_at = 6};

void wire_put_digits(uint8_t *out_digits, uint32_t number)
{
    for (int i = WIRE_TOPIC_DIGITS - 1; i >= 0; i--) {
        out_digits[i] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

uint32_t wire_get_digits(const uint8_t *digits)
{
    uint32_t number = 0;
    for (int i = 0; i < WIRE_TOPIC_DIGITS; i++) {
        number = number * 10 + (uint32_t)(digits[i] - '0') % 10;
    }
    return number;
}

bool wire_topics_parse(struct wire_topics *topics, const char *pattern)
{
    const char *hashes = strstr(pattern, "######");
    size_t size = strlen(pattern);
    if (!hashes || size > WIRE_TOPIC_SIZE_MAX) {
        return false;
    }
    memcpy(topics->text, pattern, size);
    topics->size = size;
    topics->digits_at = (size_t)(hashes - pattern);
    wire_put_digits(topics->text + topics->digits_at, 0);
    return true;
}

static size_t put_length(uint8_t *out, size_t length)
{
    size_t at = 0;
    do {
        uint8_t low = (uint8_t)(length & 0x7f);
        length >>= 7;
        out[at++] = (uint8_t)(low | (length > 0 ? 0x80 : 0));
    } while (length > 0);
    return at;
}

static size_t put_text(uint8_t *out, const void *text, size_t size)
{
    wire_put16(out, (uint16_t)size);
    memcpy(out + 2, text, size);
    return 2 + size;
}

static size_t put_topic(uint8_t *out, const struct wire_topics *topics, uint32_t number)
{
    size_t size = put_text(out, topics->text, topics->size);
    wire_put_digits(out + 2 + topics->digits_at, number);
    return size;
}

static size_t text_size(const char *text)
{
    return text ? 2 + strlen(text) : 0;
}

size_t wire_connect_as(uint8_t *out, const struct wire_login *login, uint16_t keepalive_s)
{
    static const uint8_t name_and_level[] = {0, 4, 'M', 'Q', 'T', 'T', 4};
    size_t at = 0;
    out[at++] = WIRE_CONNECT << 4;
    at += put_length(out + at, sizeof name_and_level + 3 + text_size(login->client_id) +
                                   text_size(login->user) + text_size(login->password));
    memcpy(out + at, name_and_level, sizeof name_and_level);
    at += sizeof name_and_level;
    out[at++] = (uint8_t)(CLEAN_FLAG | (login->user ? USER_FLAG : 0) |
                          (login->password ? PASSWORD_FLAG : 0));
    wire_put16(out + at, keepalive_s);
    at += 2;
    at += put_text(out + at, login->client_id, strlen(login->client_id));
    if (login->user) {
        at += put_text(out + at, login->user, strlen(login->user));
    }
    if (login->password) {
        at += put_text(out + at, login->password, strlen(login->password));
    }
    return at;
}

size_t wire_connect(uint8_t *out, const char *client_id, uint16_t keepalive_s)
{
    return wire_connect_as(out, &(struct wire_login){.client_id = client_id}, keepalive_s);
}

size_t wire_subscribe_to(uint8_t *out, const struct wire_topics *topics, uint32_t first,
                         uint32_t count, unsigned qos)
{
    size_t at = 0;
    out[at++] = WIRE_SUBSCRIBE << 4 | 2;
    at += put_length(out + at, 2 + count * (2 + topics->size + 1));
    wire_put16(out + at, 1);
    at += 2;
    for (uint32_t i = 0; i < count; i++) {
        at += put_topic(out + at, topics, first + i);
        out[at++] = (uint8_t)qos;
    }
    return at;
}

size_t wire_subscribe(uint8_t *out, uint32_t topic_number, unsigned qos)
{
    return wire_subscribe_to(out, &USUAL_TOPICS, topic_number, 1, qos);
}

static size_t publish_body(const struct wire_topics *topics, unsigned qos, size_t payload_size)
{
    return 2 + topics->size + (qos > 0 ? 2u : 0u) + payload_size;
}

size_t wire_publish_prefix_to(const struct wire_topics *topics, unsigned qos, size_t payload_size)
{
    uint8_t scratch[4];
    size_t body = publish_body(topics, qos, payload_size);
    return 1 + put_length(scratch, body) + body - payload_size;
}

size_t wire_publish_prefix(unsigned qos, size_t payload_size)
{
    return wire_publish_prefix_to(&USUAL_TOPICS, qos, payload_size);
}

size_t wire_publish_to(uint8_t *out, const struct wire_topics *topics, unsigned qos,
                       size_t payload_size)
{
    size_t at = 0;
    out[at++] = (uint8_t)(WIRE_PUBLISH << 4 | qos << 1);
    at += put_length(out + at, publish_body(topics, qos, payload_size));
    at += put_topic(out + at, topics, 0);
    if (qos > 0) {
        wire_put16(out + at, 1);
        at += 2;
    }
    for (size_t i = 0; i < payload_size; i++) {
        out[at + i] = (uint8_t)(i * 7 + 13);
    }
    return at + payload_size;
}

size_t wire_publish(uint8_t *out, uint32_t topic_number, unsigned qos, size_t payload_size)
{
    size_t size = wire_publish_to(out, &USUAL_TOPICS, qos, payload_size);
    size_t topic_at =
        wire_publish_prefix(qos, payload_size) - (qos > 0 ? 2u : 0u) - WIRE_TOPIC_DIGITS;
    wire_put_digits(out + topic_at, topic_number);
    return size;
}

size_t wire_ping(uint8_t *out)
{
    out[0] = WIRE_PINGREQ << 4;
    out[1] = 0;
    return WIRE_PING_SIZE;
}
