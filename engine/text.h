/*
 * text.h — a short text inside its owner, a longer one in memory of its own
 *
 * Most levels and filters are short: inside their owner they cost no allocation and no cache miss.
 * The owner has `room` bytes for it, at least a pointer's, and remembers its length.
 */
#ifndef ENGINE_TEXT_H
#define ENGINE_TEXT_H

#include <fleetmux/types.h>
#include <stdlib.h>

/* Copies the text. False if memory ran out. */
static inline bool fmx_text_keep(uint8_t *here, size_t room, fmx_slice text)
{
    uint8_t *copy = here;

    if (text.bytes > room) {
        copy = (uint8_t *)malloc(text.bytes);
        if (copy == NULL) {
            return false;
        }
        memcpy(here, &copy, sizeof copy);
    }
    memcpy(copy, text.data, text.bytes);
    return true;
}

/* The text that is kept; valid until it is dropped or its owner moves. */
static inline fmx_slice fmx_text_of(const uint8_t *here, size_t room, size_t bytes)
{
    const uint8_t *data = here;

    if (bytes > room) {
        memcpy(&data, here, sizeof data);
    }
    return (fmx_slice){.data = data, .bytes = bytes};
}

static inline void fmx_text_drop(uint8_t *here, size_t room, size_t bytes)
{
    uint8_t *copy;

    if (bytes > room) {
        memcpy(&copy, here, sizeof copy);
        free(copy);
    }
}

#endif
