/*
 * fuzz_props — a block that is accepted can be written again, and then says the same
 *
 * The first byte of the input chooses the place (low four bits); the length and the block follow.
 */
#include "proto/limits.h"
#include "proto/props.h"
#include "tests/support/fuzz.h"
#include "tests/support/packet_equal.h"

static void expect_same_again(const struct fmx_props *props, unsigned place)
{
    size_t bytes = fmx_props_bytes(props);
    uint8_t *wire = malloc(bytes);
    struct fmx_writer writer = fmx_writer_of(wire, bytes);
    struct fmx_props again;

    FMX_ASSERT(wire != NULL);
    fmx_props_write(&writer, props);
    FMX_ASSERT(!writer.failed && writer.at == writer.end);
    struct fmx_reader reader = fmx_reader_of((fmx_slice){wire, bytes});
    FMX_ASSERT(fmx_props_read(&reader, place, &again) == FMX_OK);
    FMX_ASSERT(fmx_reader_left(&reader) == 0 && fmx_props_equal(props, &again));
    free(wire);
}

/* The walk is safe on any bytes, and finds what was counted in accepted ones. */
static uint32_t count_users(fmx_slice raw)
{
    uint32_t count = 0;
    size_t offset = 0;
    fmx_slice key;
    fmx_slice value;

    for (size_t before = 0; fmx_props_next_user(raw, &offset, &key, &value) == FMX_OK; count++) {
        FMX_ASSERT(offset > before && offset <= raw.bytes);
        before = offset;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fmx_props props;

    if (bytes == 0) {
        return 0;
    }
    unsigned place = data[0] & 15;
    uint8_t *copy = fmx_fuzz_copy(data + 1, bytes - 1);
    struct fmx_reader reader = fmx_reader_of((fmx_slice){copy, bytes - 1});
    (void)count_users((fmx_slice){copy, bytes - 1});
    if (fmx_props_read(&reader, place, &props) == FMX_OK) {
        FMX_ASSERT(count_users(props.raw) == props.user_count);
        expect_same_again(&props, place);
    }
    free(copy);
    return 0;
}
