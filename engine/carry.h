/*
 * carry.h — bytes that have come and cannot be looked at yet: one block, as large as what it holds
 */
#ifndef ENGINE_CARRY_H
#define ENGINE_CARRY_H

#include <fleetmux/types.h>

/* NULL is an empty one. */
struct fmx_carry {
    uint32_t begin;
    uint32_t end;
    uint32_t capacity;
    uint8_t bytes[];
};

static inline uint32_t fmx_carry_bytes(const struct fmx_carry *carry)
{
    return carry == NULL ? 0 : carry->end - carry->begin;
}

static inline fmx_slice fmx_carry_span(const struct fmx_carry *carry)
{
    return (fmx_slice){.data = carry == NULL ? NULL : carry->bytes + carry->begin,
                       .bytes = fmx_carry_bytes(carry)};
}

/* Appends a copy; the block may move. False: no memory, nothing changed. */
bool fmx_carry_append(struct fmx_carry **carry, fmx_slice bytes);

/* The first bytes are used up; with the last of them the block goes. */
void fmx_carry_consume(struct fmx_carry **carry, size_t bytes);

/* Releases the block and what is in it. */
void fmx_carry_drop(struct fmx_carry **carry);

#endif
