/*
 * fuzz_frame — a stream falls into the same packets whole and byte by byte
 */
#include "proto/frame.h"

#include "tests/support/fuzz.h"

#define LIMIT 4096u

/* The answer to the first `arrived` bytes, which lie in a block of their own. */
static enum fmx_status next_of(fmx_slice unread, size_t arrived, struct fmx_frame *out_frame)
{
    uint8_t *copy = fmx_fuzz_copy(unread.data, arrived);
    enum fmx_status status = fmx_frame_next((fmx_slice){copy, arrived}, LIMIT, out_frame);

    free(copy);
    return status;
}

/* Bytes that must have arrived until the answer is no longer MORE; it may not change after that. */
static void expect_one_answer(fmx_slice unread, enum fmx_status status, size_t bytes)
{
    struct fmx_frame frame;
    size_t known = 0;

    for (size_t arrived = 0; arrived < unread.bytes && arrived <= bytes; arrived++) {
        enum fmx_status early = next_of(unread, arrived, &frame);
        if (early != FMX_MORE) {
            FMX_ASSERT(early == status);
            return;
        }
        FMX_ASSERT(known == 0 || frame.bytes == known);
        FMX_ASSERT(frame.bytes == 0 || frame.bytes > arrived);
        known = frame.bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fmx_frame frame;
    size_t used = 0;

    for (enum fmx_status status = FMX_OK; status == FMX_OK;) {
        fmx_slice unread = {data + used, bytes - used};
        status = next_of(unread, unread.bytes, &frame);
        expect_one_answer(unread, status, status == FMX_OK ? frame.bytes : unread.bytes);
        if (status == FMX_OK) {
            FMX_ASSERT(frame.bytes >= 2 && frame.bytes <= unread.bytes && frame.bytes <= LIMIT);
            FMX_ASSERT(frame.body.bytes + 2 <= frame.bytes);
            FMX_ASSERT(frame.body.bytes + 5 >= frame.bytes);
            used += frame.bytes;
        }
        FMX_ASSERT(status != FMX_LIMIT_PACKET || frame.bytes > LIMIT);
    }
    return 0;
}
