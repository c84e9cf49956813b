/*
 * wire — the handful of MQTT 3.1.1 packets the benchmark programs speak
 *
 * Why it is so:   packets are built once, before the clock runs; on the measured path only their
 *                 numbers are patched. So the encoder is plain, and the frame finder is inline.
 * Limits:         client ids up to 64 bytes, payloads up to what four length bytes can say
 */
#include "bench/wire.h"

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

static size_t put_topic(uint8_t *out, uint32_t topic_number)
{
    uint8_t topic[WIRE_TOPIC_SIZE] = "bench/";
    wire_put_digits(topic + WIRE_TOPIC_SIZE - WIRE_TOPIC_DIGITS, topic_number);
    return put_text(out, topic, sizeof topic);
}

size_t wire_connect(uint8_t *out, const char *client_id, uint16_t keepalive_s)
{
    static const uint8_t level_and_flags[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0x02};
    size_t id_size = strlen(client_id);
    size_t at = 0;
    out[at++] = WIRE_CONNECT << 4;
    at += put_length(out + at, sizeof level_and_flags + 2 + 2 + id_size);
    memcpy(out + at, level_and_flags, sizeof level_and_flags);
    at += sizeof level_and_flags;
    wire_put16(out + at, keepalive_s);
    at += 2;
    return at + put_text(out + at, client_id, id_size);
}

size_t wire_subscribe(uint8_t *out, uint32_t topic_number, unsigned qos)
{
    size_t at = 0;
    out[at++] = WIRE_SUBSCRIBE << 4 | 2;
    at += put_length(out + at, 2 + 2 + WIRE_TOPIC_SIZE + 1);
    wire_put16(out + at, 1);
    at += 2;
    at += put_topic(out + at, topic_number);
    out[at++] = (uint8_t)qos;
    return at;
}

static size_t publish_body(unsigned qos, size_t payload_size)
{
    return 2 + WIRE_TOPIC_SIZE + (qos > 0 ? 2u : 0u) + payload_size;
}

size_t wire_publish_prefix(unsigned qos, size_t payload_size)
{
    uint8_t scratch[4];
    size_t body = publish_body(qos, payload_size);
    return 1 + put_length(scratch, body) + body - payload_size;
}

size_t wire_publish(uint8_t *out, uint32_t topic_number, unsigned qos, size_t payload_size)
{
    size_t at = 0;
    out[at++] = (uint8_t)(WIRE_PUBLISH << 4 | qos << 1);
    at += put_length(out + at, publish_body(qos, payload_size));
    at += put_topic(out + at, topic_number);
    if (qos > 0) {
        wire_put16(out + at, 1);
        at += 2;
    }
    for (size_t i = 0; i < payload_size; i++) {
        out[at + i] = (uint8_t)(i * 7 + 13);
    }
    return at + payload_size;
}
