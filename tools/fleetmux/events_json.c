/*
 * events_json — writes events as JSON, by hand
 *
 * Why it is so:   a line is written for each message that comes in, on the shard that took it, so
 *                 it costs what memcpy costs and little more: no tree is built, nothing is
 *                 allocated, and what needs no escape is found and copied eight bytes at a time.
 * Words:          plain: a byte that stands in a JSON text as it is
 * Invariants:     (1) a line is one JSON object and holds no line end but its last byte
 *                 (2) a line is UTF-8: payloads that are not become base64, in names U+FFFD stands
 *                 for each byte that is not
 *                 (3) nothing is written behind `end`; once something did not fit, is_full stays
 * Threads:        pure
 * Not here:       who collects the lines: events.c
 */
#include "tools/fleetmux/events_json.h"

#include "tools/fleetmux/base64.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EVERY_BYTE(value) (UINT64_C(0x0101010101010101) * (value))
#define CHINA_MS          (UINT64_C(8) * 3600 * 1000) /* no summer time since 1991 */
#define DAY_MS            (UINT64_C(24) * 3600 * 1000)

struct out {
    char *at;
    char *end;
    bool is_full;
};

/* Bytes, numbers, base64 ---------------------------------------------------------------------- */

static bool has_room(struct out *out, size_t bytes)
{
    if ((size_t)(out->end - out->at) < bytes) {
        out->is_full = true;
    }
    return !out->is_full;
}

static void put_bytes(struct out *out, const char *bytes, size_t count)
{
    if (has_room(out, count)) {
        memcpy(out->at, bytes, count);
        out->at += count;
    }
}

#define PUT(out, literal) put_bytes(out, literal, sizeof(literal) - 1)

static void put_number(struct out *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_bytes(out, digits + at, sizeof(digits) - at);
}

static void put_base64(struct out *out, fmx_slice bytes)
{
    PUT(out, "\"");
    if (has_room(out, base64_letters(bytes.bytes))) {
        out->at += base64_write(bytes.data, bytes.bytes, out->at);
    }
    PUT(out, "\"");
}

/* Texts --------------------------------------------------------------------------------------- */

/* The eight bytes' high bits: set, from the lowest one up to the first true one, where a byte is
   not plain. What is set above the first may be wrong. */
static uint64_t marks_of(uint64_t word)
{
    uint64_t quote = word ^ EVERY_BYTE('"'), backslash = word ^ EVERY_BYTE('\\');
    uint64_t marks = ((word - EVERY_BYTE(0x20)) & ~word) | word;

    marks |= (quote - EVERY_BYTE(1)) & ~quote;
    marks |= (backslash - EVERY_BYTE(1)) & ~backslash;
    return marks & EVERY_BYTE(0x80);
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the character that begins here, 0 if it is not well-formed (Unicode, table 3-7). */
static size_t character_bytes(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];

    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4 || left < 2 || !is_tail(at[1])) {
        return 0;
    }
    if (first < 0xe0) {
        return 2;
    }
    if (left < 3 || !is_tail(at[2])) {
        return 0;
    }
    if (first < 0xf0) {
        bool is_good = (first != 0xe0 || at[1] >= 0xa0) && (first != 0xed || at[1] < 0xa0);
        return is_good ? 3 : 0;
    }
    bool is_good = left >= 4 && is_tail(at[3]) && (first != 0xf0 || at[1] >= 0x90) &&
                   (first != 0xf4 || at[1] < 0x90);
    return is_good ? 4 : 0;
}

/* Copies the plain bytes at the beginning and returns how many there were. */
static size_t put_plain(struct out *out, const uint8_t *at, size_t left)
{
    size_t done = 0;

    while (left - done >= 8 && out->end - out->at >= 8) {
        uint64_t word = 0;
        memcpy(&word, at + done, 8);
        memcpy(out->at, &word, 8);
        uint64_t marks = marks_of(le64toh(word));
        size_t plain = marks == 0 ? 8 : (size_t)__builtin_ctzll(marks) / 8;
        out->at += plain;
        done += plain;
        if (marks != 0) {
            return done;
        }
    }
    while (done < left && is_plain(at[done]) && has_room(out, 1)) {
        *out->at++ = (char)at[done++];
    }
    return done;
}

static void put_escape(struct out *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_escapes[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = byte >= 0x20 ? (char)byte : short_escapes[byte];
    char escape[6] = {'\\', letter, '0', '0', hex[byte >> 4], hex[byte & 15]};

    if (letter == 0) {
        escape[1] = 'u';
    }
    put_bytes(out, escape, letter != 0 ? 2 : 6);
}

/* A text in quotes. `is_strict`: false for one that is not UTF-8; else U+FFFD for what is not. */
static bool put_text(struct out *out, fmx_slice text, bool is_strict)
{
    size_t index = 0;

    PUT(out, "\"");
    while (index < text.bytes && !out->is_full) {
        const uint8_t *at = text.data + index;
        size_t left = text.bytes - index;
        size_t bytes = put_plain(out, at, left);
        if (bytes == 0 && *at < 0x80) {
            put_escape(out, *at);
            bytes = 1;
        } else if (bytes == 0) {
            bytes = character_bytes(at, left);
            if (bytes == 0 && is_strict) {
                return false;
            }
            put_bytes(out, bytes > 0 ? (const char *)at : "\xef\xbf\xbd", bytes > 0 ? bytes : 3);
            bytes += bytes == 0;
        }
        index += bytes;
    }
    PUT(out, "\"");
    return true;
}

bool events_json_is_text(fmx_slice bytes)
{
    size_t index = 0, step = 1;

    while (index < bytes.bytes && step > 0) {
        step = character_bytes(bytes.data + index, bytes.bytes - index);
        index += step;
    }
    return step > 0;
}

/* Times --------------------------------------------------------------------------------------- */

static void put_padded(struct out *out, uint64_t number, unsigned digits)
{
    char text[8];

    for (unsigned index = digits; index > 0; index--) {
        text[index - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    put_bytes(out, text, digits);
}

/* Year, month and day of a day since 1970-01-01, counted in eras of 400 years from a first of
   March, so that the leap day is a year's last. */
static void put_date(struct out *out, uint64_t day)
{
    uint64_t days = day + 719468, era = days / 146097, day_of_era = days % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t march_month = (5 * day_of_year + 2) / 153;
    uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    uint64_t year = era * 400 + year_of_era + (month <= 2);

    put_padded(out, year, 4);
    PUT(out, "-");
    put_padded(out, month, 2);
    PUT(out, "-");
    put_padded(out, day_of_year - (153 * march_month + 2) / 5 + 1, 2);
}

/* "2018-08-31 15:32:28.205", or with T for the space. */
static void put_date_time(struct out *out, uint64_t time_ms, char between)
{
    uint64_t of_day = time_ms % DAY_MS;

    put_date(out, time_ms / DAY_MS);
    put_bytes(out, &between, 1);
    put_padded(out, of_day / 3600000, 2);
    PUT(out, ":");
    put_padded(out, of_day / 60000 % 60, 2);
    PUT(out, ":");
    put_padded(out, of_day / 1000 % 60, 2);
    PUT(out, ".");
    put_padded(out, of_day % 1000, 3);
}

/* Lines --------------------------------------------------------------------------------------- */

static size_t bytes_of(const struct out *out, const char *line)
{
    return out->is_full ? 0 : (size_t)(out->at - line);
}

/* Whose event it is. A session's number stands for its client where there is no device. */
static void put_device(struct out *out, fmx_slice product_key, fmx_slice device_name)
{
    PUT(out, ",\"productKey\":");
    put_text(out, product_key, false);
    PUT(out, ",\"deviceName\":");
    put_text(out, device_name, false);
}

static void put_session(struct out *out, struct fmx_session_id id)
{
    char text[32];
    int bytes = snprintf(text, sizeof(text), ",\"session\":\"%016" PRIx64 "\"", id.bits);

    put_bytes(out, text, (size_t)bytes);
}

/* Of a client that has come or gone. */
struct status {
    const char *name;
    struct fmx_session_id id;
    fmx_slice client_id, product_key, device_name, address;
    uint64_t now_ms, last_ms;
};

/* All of a status line but its end. */
static void put_status(struct out *out, const struct status *status)
{
    PUT(out, "{\"type\":\"status\",\"status\":");
    put_text(out, fmx_slice_of(status->name), false);
    if (status->product_key.bytes > 0) {
        put_device(out, status->product_key, status->device_name);
    } else {
        PUT(out, ",\"clientId\":");
        put_text(out, status->client_id, false);
        put_session(out, status->id);
    }
    PUT(out, ",\"time\":\"");
    put_date_time(out, status->now_ms + CHINA_MS, ' ');
    PUT(out, "\",\"utcTime\":\"");
    put_date_time(out, status->now_ms, 'T');
    PUT(out, "Z\",\"lastTime\":\"");
    put_date_time(out, status->last_ms + CHINA_MS, ' ');
    PUT(out, "\",\"utcLastTime\":\"");
    put_date_time(out, status->last_ms, 'T');
    PUT(out, "Z\",\"clientIp\":");
    put_text(out, status->address, false);
}

/* TLS ----------------------------------------------------------------------------------------- */

static void put_digest(struct out *out, const uint8_t digest[32])
{
    static const char hex[] = "0123456789abcdef";
    char digits[64];

    for (size_t index = 0; index < sizeof(digits); index++) {
        digits[index] = hex[digest[index / 2] >> (index % 2 == 0 ? 4 : 0) & 15];
    }
    PUT(out, ",\"certSha256\":\"");
    put_bytes(out, digits, sizeof(digits));
    PUT(out, "\"");
}

/* `,"NAME":"TEXT"`; nothing if there is no text. */
static void put_member(struct out *out, const char *name, fmx_slice text)
{
    if (text.bytes > 0) {
        PUT(out, ",\"");
        put_bytes(out, name, strlen(name));
        PUT(out, "\":");
        put_text(out, text, false);
    }
}

static void put_tls(struct out *out, const struct fmx_tls_facts *facts)
{
    PUT(out, "{\"version\":");
    put_text(out, fmx_slice_of(fmx_tls_version_name(facts->version)), false);
    PUT(out, ",\"suite\":");
    put_text(out, fmx_slice_of(facts->suite), false);
    if (facts->resumed) {
        PUT(out, ",\"resumed\":true");
    } else {
        PUT(out, ",\"resumed\":false");
    }
    put_member(out, "serverName", facts->server_name);
    put_member(out, "alpn", facts->alpn);
    put_member(out, "pskIdentity", facts->psk_identity);
    if (facts->has_client_cert) {
        put_digest(out, facts->client_cert_sha256);
        put_member(out, "certName", facts->cert_name);
        put_member(out, "certOrganization", facts->cert_organization);
    }
    PUT(out, "}");
}

size_t events_json_tls(const struct fmx_tls_facts *facts, char *out_text, size_t room)
{
    struct out out = {.at = out_text, .end = out_text + room};

    put_tls(&out, facts);
    return bytes_of(&out, out_text);
}

size_t events_json_tls_room(const struct fmx_tls_facts *facts)
{
    size_t letters = facts->server_name.bytes + facts->alpn.bytes + facts->psk_identity.bytes +
                     facts->cert_name.bytes + facts->cert_organization.bytes;

    return 512 + strlen(facts->suite) + 6 * letters; /* six for one: an escape */
}

/* Who comes and goes -------------------------------------------------------------------------- */

size_t events_json_online(const struct fmx_gateway_session *session, uint64_t now_ms,
                          char *out_line, size_t room)
{
    struct out out = {.at = out_line, .end = out_line + room};
    struct status status = {
        .name = "online",
        .id = session->id,
        .client_id = session->client_id,
        .product_key = session->product_key,
        .device_name = session->device_name,
        .address = session->address,
        .now_ms = now_ms,
        .last_ms = now_ms,
    };

    put_status(&out, &status);
    if (session->tls != NULL) {
        PUT(&out, ",\"tls\":");
        put_tls(&out, session->tls);
    }
    PUT(&out, "}\n");
    return bytes_of(&out, out_line);
}

size_t events_json_offline(const struct fmx_gateway_end *end, uint64_t now_ms, char *out_line,
                           size_t room)
{
    struct out out = {.at = out_line, .end = out_line + room};
    struct status status = {
        .name = "offline",
        .id = end->id,
        .client_id = end->client_id,
        .product_key = end->product_key,
        .device_name = end->device_name,
        .address = end->address,
        .now_ms = now_ms,
        .last_ms = end->last_in_ms,
    };

    put_status(&out, &status);
    PUT(&out, ",\"offlineReasonCode\":");
    put_number(&out, end->offline_code);
    PUT(&out, "}\n");
    return bytes_of(&out, out_line);
}

/* Text if it is UTF-8, else base64 under a name of its own. */
static void put_payload(struct out *out, fmx_slice payload)
{
    char *before = out->at;

    PUT(out, ",\"payload\":");
    if (!put_text(out, payload, true)) {
        out->at = before;
        PUT(out, ",\"payload64\":");
        put_base64(out, payload);
    }
}

static void put_user_properties(struct out *out, fmx_slice properties)
{
    fmx_slice key, value;
    size_t offset = 0;

    PUT(out, "\"userProperty\":[");
    while (fmx_user_property_next(properties, &offset, &key, &value) == FMX_OK) {
        PUT(out, "{\"key\":");
        put_text(out, key, false);
        PUT(out, ",\"value\":");
        put_text(out, value, false);
        PUT(out, "},");
    }
    if (!out->is_full && out->at[-1] == ',') {
        out->at--;
    }
    PUT(out, "],");
}

/* Those that the message has; nothing if it has none. */
static void put_properties(struct out *out, const struct fmx_gateway_message *message)
{
    char *first = NULL;

    PUT(out, ",\"properties\":{");
    first = out->at;
    if (message->response_topic.bytes > 0) {
        PUT(out, "\"responseTopic\":");
        put_text(out, message->response_topic, false);
        PUT(out, ",");
    }
    if (message->has_correlation_data) {
        PUT(out, "\"correlationData\":");
        put_base64(out, message->correlation_data);
        PUT(out, ",");
    }
    if (message->user_properties.bytes > 0) {
        put_user_properties(out, message->user_properties);
    }
    if (message->content_type.bytes > 0) {
        PUT(out, "\"contentType\":");
        put_text(out, message->content_type, false);
        PUT(out, ",");
    }
    if (message->payload_is_text) {
        PUT(out, "\"payloadFormatIndicator\":1,");
    }
    if (message->has_expiry) {
        PUT(out, "\"messageExpiryInterval\":");
        put_number(out, message->expiry_s);
        PUT(out, ",");
    }
    if (out->is_full) {
        return;
    }
    if (out->at == first) {
        out->at -= sizeof(",\"properties\":{") - 1;
    } else {
        out->at[-1] = '}'; /* the last comma */
    }
}

size_t events_json_message(const struct fmx_gateway_message *message, uint64_t now_ms,
                           char *out_line, size_t room)
{
    struct out out = {.at = out_line, .end = out_line + room};

    PUT(&out, "{\"type\":\"message\",\"topic\":");
    put_text(&out, message->topic, false);
    PUT(&out, ",\"messageId\":\"");
    put_number(&out, message->message_id);
    PUT(&out, "\",\"generateTime\":");
    put_number(&out, now_ms);
    if (message->product_key.bytes > 0) {
        put_device(&out, message->product_key, message->device_name);
    } else {
        put_session(&out, message->from);
    }
    PUT(&out, ",\"qos\":");
    put_number(&out, message->qos);
    put_payload(&out, message->payload);
    put_properties(&out, message);
    PUT(&out, "}\n");
    return bytes_of(&out, out_line);
}

size_t events_json_dropped(uint64_t count, char *out_line, size_t room)
{
    struct out out = {.at = out_line, .end = out_line + room};

    PUT(&out, "{\"type\":\"dropped\",\"count\":");
    put_number(&out, count);
    PUT(&out, "}\n");
    return bytes_of(&out, out_line);
}
