/*
 * fleet_payload_fill — texts with variables: what is written into a message
 *
 * Why it is so:   a walk over pieces that copies and draws, without a format or a floating point
 *                 number on the way. Decimals are whole numbers of their last digit, so every
 *                 machine writes the same ones. Each draw is made of the message's key and the
 *                 piece's place, so a message is the same whoever makes it, and nothing has to be
 *                 remembered of the one before.
 *                     A walk must move by at most STEP from message to message and yet be known for
 *                 any number at once. So it is noise between drawn turning points, `period`
 *                 messages apart: near enough that the straight line from one to the next, be they
 *                 as far apart as they can, climbs by no more than a part of STEP; the rest of STEP
 *                 is a draw of its own for each message, so that the line is not straight
 * Words:          drift: how far apart turning points can be; jitter: the part drawn each time
 * Invariants:     (1) what is filled in is at most bytes_max long  (2) the hash is of every byte
 *                 but those of times and marks  (3) neighbours in a walk differ by at most STEP:
 *                 drift ÷ period + jitter ≤ STEP, all whole numbers, and rounding down two points
 *                 of a line adds less than one to their distance
 * Threads:        pure
 * Limits:         `seq` goes round in 64 bits
 * Not here:       whose values they are: fleet_message.c
 */
#include "engine/roles/fleet_payload.h"

#include "proto/topic.h"

__extension__ typedef unsigned __int128 wide;

/* ── numbers as text ── */

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

static const char hex_digits[] = "0123456789abcdef";

/* The digits of a number, at least so many, at the end of `digits`; returns where they begin. */
static size_t write_digits(uint64_t number, uint32_t least,
                           uint8_t digits[FMX_PAYLOAD_NUMBER_BYTES])
{
    size_t at = FMX_PAYLOAD_NUMBER_BYTES;

    for (; number >= 100; number /= 100) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * (number % 100), 2);
    }
    if (number >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * number, 2);
    } else {
        digits[--at] = (uint8_t)('0' + number);
    }
    while (FMX_PAYLOAD_NUMBER_BYTES - at < least) {
        digits[--at] = '0';
    }
    return at;
}

static uint8_t *put_unsigned(uint8_t *out, uint64_t number)
{
    uint8_t digits[FMX_PAYLOAD_NUMBER_BYTES];
    size_t at = write_digits(number, 1, digits);

    memcpy(out, digits + at, FMX_PAYLOAD_NUMBER_BYTES - at);
    return out + (FMX_PAYLOAD_NUMBER_BYTES - at);
}

static uint8_t *put_scaled(uint8_t *out, int64_t scaled, uint32_t behind)
{
    uint8_t digits[FMX_PAYLOAD_NUMBER_BYTES];
    uint64_t magnitude = scaled < 0 ? -(uint64_t)scaled : (uint64_t)scaled;
    size_t at = write_digits(magnitude, behind + 1, digits);
    size_t before = FMX_PAYLOAD_NUMBER_BYTES - at - behind;

    if (scaled < 0) {
        *out++ = '-';
    }
    memcpy(out, digits + at, before);
    out += before;
    if (behind > 0) {
        *out++ = '.';
        memcpy(out, digits + at + before, behind);
        out += behind;
    }
    return out;
}

static uint8_t *put_hex(uint8_t *out, uint64_t bits, size_t digits)
{
    for (size_t i = 0; i < digits; i++) {
        *out++ = (uint8_t)hex_digits[bits >> 60];
        bits <<= 4;
    }
    return out;
}

static uint8_t *put_pair(uint8_t *out, uint64_t number, char behind)
{
    memcpy(out, pairs + 2 * number, 2);
    out[2] = (uint8_t)behind;
    return out + 3;
}

/* Years are counted from March, so that the odd day comes last; 400 of them have 146,097 days. */
static uint8_t *put_iso(uint8_t *out, uint64_t unix_ns)
{
    uint64_t ms = unix_ns / 1000000;
    uint64_t second = ms / 1000 % 86400;
    uint64_t days = ms / 86400000 + 719468; /* since 1 March of year 0 */
    uint64_t day = days % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;

    day -= 365 * year + year / 4 - year / 100;
    uint64_t month = (5 * day + 2) / 153; /* from March */
    day -= (153 * month + 2) / 5;
    year += days / 146097 * 400 + (month >= 10);
    out = put_pair(out, year / 100 % 100, '\0') - 1;
    out = put_pair(out, year % 100, '-');
    out = put_pair(out, month < 10 ? month + 3 : month - 9, '-');
    out = put_pair(out, day + 1, 'T');
    out = put_pair(out, second / 3600, ':');
    out = put_pair(out, second / 60 % 60, ':');
    out = put_pair(out, second % 60, '.');
    *out++ = (uint8_t)('0' + ms % 1000 / 100);
    return put_pair(out, ms % 100, 'Z');
}

/* ── draws ── */

/* 0 … span, all alike. */
static uint64_t below_or_at(uint64_t drawn, uint64_t span)
{
    return span == UINT64_MAX ? drawn : (uint64_t)((wide)drawn * (span + 1) >> 64);
}

/* Where between two turning points. */
static uint64_t part_of(const struct fmx_payload_piece *piece, uint64_t apart, uint64_t gone)
{
    return piece->is_wide ? (uint64_t)((wide)apart * gone / piece->period)
                          : apart * gone / piece->period;
}

static int64_t walk(const struct fmx_payload_piece *piece, uint64_t place,
                    const struct fmx_payload_values *of)
{
    uint64_t key = fmx_fleet_mix(of->flow_key, place);
    uint64_t turns = fmx_fleet_mix(key, 1);
    uint64_t at = of->sequence + fmx_fleet_mix(key, 2) % piece->period;
    uint64_t turn = at / piece->period;
    uint64_t gone = at % piece->period;
    uint64_t from = below_or_at(fmx_fleet_mix(turns, turn), piece->drift);
    uint64_t to = below_or_at(fmx_fleet_mix(turns, turn + 1), piece->drift);
    uint64_t value = to >= from ? from + part_of(piece, to - from, gone)
                                : from - part_of(piece, from - to, gone);

    value += below_or_at(fmx_fleet_mix(fmx_fleet_mix(key, 3), of->sequence), piece->jitter);
    return (int64_t)((uint64_t)piece->least + value);
}

static uint8_t *put_drawn_hex(uint8_t *out, uint64_t key, size_t bytes)
{
    for (uint64_t i = 0; bytes > 0; i++) {
        size_t now = bytes < sizeof(uint64_t) ? bytes : sizeof(uint64_t);
        out = put_hex(out, fmx_fleet_mix(key, i), 2 * now);
        bytes -= now;
    }
    return out;
}

static uint8_t *put_drawn_text(uint8_t *out, uint64_t key, size_t bytes)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < bytes; i++) {
        bits = i % sizeof(bits) == 0 ? fmx_fleet_mix(key, i) : bits >> 8;
        *out++ = (uint8_t)('a' + (bits & 0xff) * 26 / 256);
    }
    return out;
}

/* Version 4: drawn. */
static uint8_t *put_uuid(uint8_t *out, uint64_t key)
{
    uint64_t high = (fmx_fleet_mix(key, 0) & ~0xf000ull) | 0x4000;
    uint64_t low = fmx_fleet_mix(key, 1) >> 2 | 1ull << 63;

    out = put_hex(out, high, 8);
    *out++ = '-';
    out = put_hex(out, high << 32, 4);
    *out++ = '-';
    out = put_hex(out, high << 48, 4);
    *out++ = '-';
    out = put_hex(out, low, 4);
    *out++ = '-';
    return put_hex(out, low << 16, 12);
}

/* ── filling in ── */

static uint8_t *put_slice(uint8_t *out, fmx_slice slice)
{
    if (slice.bytes > 0) {
        memcpy(out, slice.data, slice.bytes);
    }
    return out + slice.bytes;
}

static uint8_t *put_mark(uint8_t *out, const uint8_t *mark)
{
    for (size_t i = 0; i < FMX_MARK_BYTES; i++) {
        *out++ = (uint8_t)hex_digits[mark[i] >> 4];
        *out++ = (uint8_t)hex_digits[mark[i] & 15];
    }
    return out;
}

static uint8_t *put_option(uint8_t *out, const struct fmx_payload_piece *piece, uint64_t drawn)
{
    return put_slice(out, piece->options[below_or_at(drawn, piece->digits - 1)]);
}

static uint8_t *put_piece(uint8_t *out, const struct fmx_payload_piece *piece, uint64_t place,
                          const struct fmx_payload_values *values)
{
    uint64_t key = fmx_fleet_mix(values->key, place);

    switch (piece->kind) {
    case FMX_PIECE_LITERAL:
        return put_slice(out, piece->bytes);
    case FMX_PIECE_NUMBER:
        return put_unsigned(out, values->client.number);
    case FMX_PIECE_RUN_NUMBER:
        return put_unsigned(out, values->client.run_number);
    case FMX_PIECE_CLIENT_ID:
        return put_slice(out, values->client.client_id);
    case FMX_PIECE_USERNAME:
        return put_slice(out, values->client.username);
    case FMX_PIECE_PRODUCT_KEY:
        return put_slice(out, values->client.product_key);
    case FMX_PIECE_DEVICE_NAME:
        return put_slice(out, values->client.device_name);
    case FMX_PIECE_TIME:
        return put_unsigned(out, values->unix_ns / piece->unit_ns);
    case FMX_PIECE_TIME_ISO:
        return put_iso(out, values->unix_ns);
    case FMX_PIECE_MARK:
        return put_mark(out, values->mark);
    case FMX_PIECE_SEQUENCE:
        return put_scaled(out, (int64_t)((uint64_t)piece->least + values->sequence * piece->span),
                          0);
    case FMX_PIECE_DRAWN:
        return put_scaled(out, (int64_t)((uint64_t)piece->least + below_or_at(key, piece->span)),
                          piece->digits);
    case FMX_PIECE_WALK:
        return put_scaled(out, walk(piece, place, values), piece->digits);
    case FMX_PIECE_ONE:
        return put_option(out, piece, key);
    case FMX_PIECE_HEX:
        return put_drawn_hex(out, key, piece->bytes.bytes);
    case FMX_PIECE_TEXT:
        return put_drawn_text(out, key, piece->bytes.bytes);
    case FMX_PIECE_UUID:
        return put_uuid(out, key);
    case FMX_PIECE_KINDS:
        break;
    }
    return out;
}

/* Is it the same in all messages, or says only when one was sent? */
static bool is_hashed(enum fmx_piece_kind kind)
{
    return kind != FMX_PIECE_LITERAL && kind != FMX_PIECE_TIME && kind != FMX_PIECE_TIME_ISO &&
           kind != FMX_PIECE_MARK;
}

size_t fmx_payload_text_fill(const struct fmx_payload_text *text,
                             const struct fmx_payload_values *values, uint8_t *out,
                             uint64_t *out_hash)
{
    uint64_t hash = text->hash;
    uint8_t *at = out;

    for (uint32_t i = 0; i < text->pieces_count; i++) {
        const struct fmx_payload_piece *piece = &text->pieces[i];
        uint8_t *begin = at;
        at = put_piece(at, piece, i, values);
        if (is_hashed(piece->kind)) {
            hash = fmx_fleet_mix(
                hash, fmx_topic_hash((fmx_slice){.data = begin, .bytes = (size_t)(at - begin)}, 0));
        }
    }
    *out_hash = hash;
    return (size_t)(at - out);
}
