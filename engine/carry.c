/*
 * carry — bytes that have come and cannot be looked at yet: one block, as large as what it holds
 *
 * Why it is so:   a peer that declares a large packet or record and sends nothing more must not
 *                 cost more than it has sent; so the block grows with what really came
 * Memory:         malloc; an empty carry owns nothing
 * Threads:        whoever owns it
 * Limits:         the caller's
 */
#include "engine/carry.h"

#include <stdlib.h>

#define FIRST_BYTES 512u

/* What is carried begins at the front again. */
static void close_up(struct fmx_carry *carry)
{
    uint32_t held = carry->end - carry->begin;

    memmove(carry->bytes, carry->bytes + carry->begin, held);
    carry->begin = 0;
    carry->end = held;
}

static bool grow(struct fmx_carry **carry, size_t wanted)
{
    struct fmx_carry *old = *carry;
    size_t capacity = old == NULL ? FIRST_BYTES : old->capacity * 2ull;

    capacity = capacity > wanted ? capacity : wanted;
    struct fmx_carry *grown =
        capacity > UINT32_MAX ? NULL : realloc(old, sizeof(*grown) + capacity);
    if (grown == NULL) {
        return false;
    }
    if (old == NULL) {
        grown->begin = grown->end = 0;
    }
    grown->capacity = (uint32_t)capacity;
    *carry = grown;
    return true;
}

static bool make_room(struct fmx_carry **carry, size_t bytes)
{
    size_t wanted = fmx_carry_bytes(*carry) + bytes;

    if (*carry == NULL) {
        return grow(carry, wanted);
    }
    if ((*carry)->capacity - (*carry)->end >= bytes) {
        return true;
    }
    if ((*carry)->begin > 0) {
        close_up(*carry);
    }
    return wanted <= (*carry)->capacity || grow(carry, wanted);
}

bool fmx_carry_append(struct fmx_carry **carry, fmx_slice bytes)
{
    if (bytes.bytes == 0) {
        return true;
    }
    if (!make_room(carry, bytes.bytes)) {
        return false;
    }
    memcpy((*carry)->bytes + (*carry)->end, bytes.data, bytes.bytes);
    (*carry)->end += (uint32_t)bytes.bytes;
    return true;
}

void fmx_carry_consume(struct fmx_carry **carry, size_t bytes)
{
    if (bytes > 0) {
        (*carry)->begin += (uint32_t)bytes;
        if ((*carry)->begin == (*carry)->end) {
            fmx_carry_drop(carry);
        }
    }
}

void fmx_carry_drop(struct fmx_carry **carry)
{
    free(*carry);
    *carry = NULL;
}
