/*
 * utf8 — strings as MQTT allows them
 *
 * Why it is so:   nearly every string of a device is ASCII, so eight bytes are judged at once and
 *                 only what fails there is looked at by the exact rule. A state machine over all
 *                 bytes would be no shorter and four times slower on topics
 * Words:          sequence: the one to four bytes of one character
 * Invariants:     (1) the fast path accepts only what the exact rule accepts
 *                 (2) the verdict does not depend on where the text begins in memory
 * Threads:        pure
 * Not here:       wildcards and levels: topic.c
 */
#include "proto/utf8.h"

#define EVERY_BYTE(value) (UINT64_MAX / 0xff * (value))

/* The Unicode standard's table of well-formed sequences (3.9), less U+0000. */
static const struct {
    uint8_t lead_min;
    uint8_t lead_max;
    uint8_t bytes;
    uint8_t second_min;
    uint8_t second_max;
} sequences[] = {
    {0x01, 0x7f, 1, 0x00, 0xff}, {0xc2, 0xdf, 2, 0x80, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, /* lower seconds would be overlong */
    {0xed, 0xed, 3, 0x80, 0x9f},                              /* higher ones would be surrogates */
    {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf}, /* overlong */
    {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f}, /* above U+10FFFF */
};

/* All eight between 0x01 and 0x7f? A zero byte borrows and so shows in the top bit. */
static bool is_plain_word(const uint8_t *at)
{
    uint64_t word = 0;

    memcpy(&word, at, sizeof word);
    return (((word - EVERY_BYTE(0x01)) | word) & EVERY_BYTE(0x80)) == 0;
}

static bool is_continued(const uint8_t *at, size_t bytes)
{
    for (size_t i = 2; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return false;
        }
    }
    return true;
}

/* Bytes of the well-formed sequence at `at`, or 0. `left` is at least 1. */
static size_t sequence_bytes(const uint8_t *at, size_t left)
{
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
        if (at[0] < sequences[i].lead_min || at[0] > sequences[i].lead_max) {
            continue;
        }
        size_t bytes = sequences[i].bytes;
        if (bytes == 1) {
            return 1;
        }
        bool fits = bytes <= left && at[1] >= sequences[i].second_min &&
                    at[1] <= sequences[i].second_max && is_continued(at, bytes);
        return fits ? bytes : 0;
    }
    return 0;
}

bool fmx_utf8_is_valid(fmx_slice text)
{
    size_t offset = 0;

    while (offset < text.bytes) {
        size_t left = text.bytes - offset;
        if (left >= sizeof(uint64_t) && is_plain_word(text.data + offset)) {
            offset += sizeof(uint64_t);
            continue;
        }
        if (left < sizeof(uint64_t) && text.bytes >= sizeof(uint64_t) &&
            is_plain_word(text.data + text.bytes - sizeof(uint64_t))) {
            return true; /* the rest is plain, and so is what we look at once more before it */
        }
        size_t bytes = sequence_bytes(text.data + offset, left);
        if (bytes == 0) {
            return false;
        }
        offset += bytes;
    }
    return true;
}
