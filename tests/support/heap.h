/*
 * heap.h — how many bytes of the heap this program holds
 *
 * Counts what its own objects and static libraries ask for. A program that uses it names
 * support/heap.c among its sources, and links with heap_wraps of tests/CMakeLists.txt.
 */
#ifndef TESTS_SUPPORT_HEAP_H
#define TESTS_SUPPORT_HEAP_H

#include <stddef.h>

/* As the allocator has cut them: usable sizes. */
size_t fmx_heap_live(void);

/* The most since the last call of this. */
size_t fmx_heap_peak(void);
void fmx_heap_forget_peak(void);

/* From now on the n-th allocation fails, counted from 1; 0: none does. */
void fmx_heap_fail_at(size_t n);

/* Has one failed since? */
int fmx_heap_has_failed(void);

#endif
