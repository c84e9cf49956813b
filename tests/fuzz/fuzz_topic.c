/*
 * fuzz_topic — a filter and a name, against a matcher that knows only levels
 *
 * The input is a filter and a name with a zero byte between them.
 */
#include "proto/topic.h"

#include "tests/support/fuzz.h"

#define LEVELS_MAX 64u

struct levels {
    fmx_slice at[LEVELS_MAX];
    size_t count;
};

static bool split(fmx_slice topic, struct levels *out_levels)
{
    struct fmx_topic_walk walk = fmx_topic_walk_of(topic);
    fmx_slice level;
    size_t bytes = 0;

    out_levels->count = 0;
    while (out_levels->count < LEVELS_MAX && fmx_topic_next_level(&walk, &level)) {
        out_levels->at[out_levels->count++] = level;
        bytes += level.bytes;
    }
    if (out_levels->count == LEVELS_MAX) {
        return false;
    }
    FMX_ASSERT(out_levels->count == fmx_topic_levels(topic));
    FMX_ASSERT(bytes + out_levels->count - 1 == topic.bytes);
    return true;
}

static bool is_text(fmx_slice level, const char *text)
{
    return fmx_slice_equal(level, fmx_slice_of(text));
}

static bool matches_slowly(const struct levels *filter, const struct levels *name)
{
    bool is_wild = is_text(filter->at[0], "#") || is_text(filter->at[0], "+");

    if (is_wild && name->at[0].bytes > 0 && name->at[0].data[0] == '$') {
        return false;
    }
    for (size_t i = 0; i < filter->count; i++) {
        if (is_text(filter->at[i], "#")) {
            return name->count >= i;
        }
        if (i >= name->count ||
            (!is_text(filter->at[i], "+") && !fmx_slice_equal(filter->at[i], name->at[i]))) {
            return false;
        }
    }
    return filter->count == name->count;
}

static void expect_stripped(fmx_slice topic)
{
    fmx_slice stripped = fmx_topic_strip_rid(topic);

    FMX_ASSERT(stripped.bytes <= topic.bytes);
    FMX_ASSERT(stripped.bytes == 0 || stripped.data == topic.data);
    FMX_ASSERT(stripped.bytes == topic.bytes || topic.data[stripped.bytes] == '?');
}

static void expect_as_twin(fmx_slice filter, fmx_slice name)
{
    struct levels of_filter;
    struct levels of_name;

    if (fmx_topic_check_filter(filter) != FMX_OK || fmx_topic_check_name(name) != FMX_OK ||
        !split(filter, &of_filter) || !split(name, &of_name)) {
        return;
    }
    FMX_ASSERT(fmx_topic_matches(filter, name) == matches_slowly(&of_filter, &of_name));
    FMX_ASSERT(!fmx_topic_has_wildcard(name));
    FMX_ASSERT(fmx_topic_matches(name, name));
    FMX_ASSERT(fmx_topic_check_filter(name) == FMX_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *zero = bytes > 0 ? memchr(data, 0, bytes) : NULL;
    size_t filter_bytes = zero != NULL ? (size_t)(zero - data) : bytes;
    size_t name_bytes = zero != NULL ? bytes - filter_bytes - 1 : 0;
    uint8_t *filter = fmx_fuzz_copy(data, filter_bytes);
    uint8_t *name = fmx_fuzz_copy(data + bytes - name_bytes, name_bytes);

    expect_as_twin((fmx_slice){filter, filter_bytes}, (fmx_slice){name, name_bytes});
    expect_stripped((fmx_slice){filter, filter_bytes});
    FMX_ASSERT(fmx_topic_hash((fmx_slice){filter, filter_bytes}, 1) ==
               fmx_topic_hash((fmx_slice){data, filter_bytes}, 1));
    free(filter);
    free(name);
    return 0;
}
