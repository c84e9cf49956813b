/*
 * heap — how many bytes of the heap this program holds, and a heap that fails when told
 *
 * Threads:        counting: any; failing: one
 */
#include "tests/support/heap.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);

static atomic_size_t live;
static atomic_size_t peak;
static size_t fail_in;
static bool has_failed;

size_t fmx_heap_live(void)
{
    return atomic_load(&live);
}

size_t fmx_heap_peak(void)
{
    return atomic_load(&peak);
}

void fmx_heap_forget_peak(void)
{
    atomic_store(&peak, atomic_load(&live));
}

void fmx_heap_fail_at(size_t n)
{
    fail_in = n;
    has_failed = false;
}

int fmx_heap_has_failed(void)
{
    return has_failed;
}

static bool is_to_fail(void)
{
    if (fail_in == 0 || --fail_in > 0) {
        return false;
    }
    has_failed = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *block)
{
    if (block != NULL) {
        size_t now = atomic_fetch_add(&live, malloc_usable_size(block)) + malloc_usable_size(block);
        if (now > atomic_load(&peak)) {
            atomic_store(&peak, now);
        }
    }
    return block;
}

void *__wrap_malloc(size_t bytes)
{
    return is_to_fail() ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return is_to_fail() ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *block, size_t bytes)
{
    if (is_to_fail()) {
        return NULL;
    }
    size_t before = block == NULL ? 0 : malloc_usable_size(block);
    void *moved = __real_realloc(block, bytes);
    if (moved != NULL) {
        atomic_fetch_sub(&live, before);
    }
    return counted(moved);
}

void __wrap_free(void *block)
{
    if (block != NULL) {
        atomic_fetch_sub(&live, malloc_usable_size(block));
    }
    __real_free(block);
}

/* libc's own would ask behind our back. */
char *__wrap_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = __wrap_malloc(bytes);

    return copy == NULL ? NULL : memcpy(copy, text, bytes);
}
