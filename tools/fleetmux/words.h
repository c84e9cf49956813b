/*
 * words.h — figures as people read them
 */
#ifndef FMX_TOOLS_WORDS_H
#define FMX_TOOLS_WORDS_H

#include <stdint.h>

/* Returned by value, so that words_count(n).text can stand among printf's arguments. */
struct words {
    char text[32];
};

/* 1234567 → "1,234,567" */
struct words words_count(uint64_t count);

/* A rate or a mean: "12.3", "1,234" */
struct words words_real(double real);

/* 1234567 ns → "1.23 ms" */
struct words words_time(uint64_t time_ns);

/* 1536 → "1.5 KiB" */
struct words words_bytes(uint64_t bytes);

#endif
