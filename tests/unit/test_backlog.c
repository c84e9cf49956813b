/*
 * test_backlog — messages that wait against a plain array of their numbers
 */
#include "engine/roles/backlog.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/seed.h"

#include <stdlib.h>

#define SEEDS     60u
#define STEPS     3000u
#define TWIN_ROOM 20000u

struct twin {
    uint64_t numbers[TWIN_ROOM];
    unsigned first;
    unsigned end;
    uint64_t bytes;
};

static struct fmx_backlog backlog;
static struct twin twin;

static struct fmx_payload *make(uint64_t number, size_t extra_bytes)
{
    uint8_t bytes[512] = {0};

    memcpy(bytes, &number, sizeof(number));
    struct fmx_publish publish = {.topic = fmx_slice_of("t"),
                                  .payload = {bytes, sizeof(number) + extra_bytes}};
    struct fmx_payload *payload = fmx_payload_make(&publish, FMX_SESSION_NONE, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    return payload;
}

static uint64_t number_of(const struct fmx_payload *payload)
{
    uint64_t number;

    memcpy(&number, payload->bytes + payload->topic_bytes, sizeof(number));
    return number;
}

static struct fmx_backlog_entry entry_of(uint64_t number, size_t extra_bytes)
{
    return (struct fmx_backlog_entry){.payload = make(number, extra_bytes),
                                      .packet_id = (uint16_t)(number % 7)};
}

static void push(struct fmx_backlog *to, struct twin *twin_of, uint64_t number, size_t extra_bytes)
{
    struct fmx_backlog_entry entry = entry_of(number, extra_bytes);

    CU_ASSERT_FATAL(fmx_backlog_push(to, &entry));
    twin_of->numbers[twin_of->end++] = number;
    twin_of->bytes += fmx_payload_bytes(entry.payload);
}

static void pop(uint64_t seed)
{
    struct fmx_backlog_entry entry;
    bool has_one = twin.end > twin.first;

    FMX_SEED_ASSERT(seed, fmx_backlog_pop(&backlog, &entry) == has_one);
    if (has_one) {
        uint64_t number = twin.numbers[twin.first++];
        FMX_SEED_ASSERT(seed, number_of(entry.payload) == number);
        FMX_SEED_ASSERT(seed, entry.packet_id == number % 7);
        FMX_SEED_ASSERT(seed, entry.payload->refs == 1);
        twin.bytes -= fmx_payload_bytes(entry.payload);
        fmx_payload_give(entry.payload);
    }
}

static void append(struct fmx_prng *prng, uint64_t seed, uint64_t *number)
{
    struct fmx_backlog more = {0};

    for (uint64_t left = fmx_prng_below(prng, 30); left > 0; left--) {
        push(&more, &twin, (*number)++, fmx_prng_below(prng, 100));
    }
    FMX_SEED_ASSERT(seed, fmx_backlog_append(&backlog, &more) == 0);
    FMX_SEED_ASSERT(seed, more.ring == NULL);
}

static void cross(uint64_t seed)
{
    uint32_t dropped = 1;
    uint32_t count = fmx_backlog_count(&backlog);
    struct fmx_parcel *parcel = fmx_parcel_pack(&backlog, &dropped);

    FMX_SEED_ASSERT(seed, dropped == 0 && (parcel != NULL) == (count > 0));
    FMX_SEED_ASSERT(seed, fmx_backlog_count(&backlog) == 0 && fmx_backlog_bytes(&backlog) == 0);
    FMX_SEED_ASSERT(seed, fmx_parcel_unpack(parcel, &backlog) == 0);
}

static void check(uint64_t seed)
{
    FMX_SEED_ASSERT(seed, fmx_backlog_count(&backlog) == twin.end - twin.first);
    FMX_SEED_ASSERT(seed, fmx_backlog_bytes(&backlog) == twin.bytes);
    FMX_SEED_ASSERT(seed, fmx_backlog_count(&backlog) > 0 || backlog.ring == NULL);
}

static void play(uint64_t seed)
{
    struct fmx_prng prng = {.state = seed};
    uint64_t number = 0;

    backlog = (struct fmx_backlog){0};
    twin = (struct twin){0};
    for (unsigned i = 0; i < STEPS && twin.end + 64 < TWIN_ROOM; i++) {
        switch (fmx_prng_below(&prng, 20)) {
        case 0:
            append(&prng, seed, &number);
            break;
        case 1:
            cross(seed);
            break;
        default:
            if (fmx_prng_below(&prng, 100) < (i / 300 % 2 == 0 ? 60u : 20u)) {
                push(&backlog, &twin, number++, fmx_prng_below(&prng, 100));
            } else {
                pop(seed);
            }
            break;
        }
        check(seed);
    }
    fmx_backlog_wipe(&backlog);
    CU_ASSERT(fmx_backlog_count(&backlog) == 0 && fmx_backlog_bytes(&backlog) == 0 &&
              backlog.ring == NULL);
}

static void backlog_keeps_messages_in_the_order_they_came(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        play(seed);
    }
}

static void backlog_holds_a_reference_and_gives_it_back(void)
{
    struct fmx_payload *payload = make(1, 0);
    struct fmx_backlog_entry entry = {.payload = fmx_payload_take(payload)};

    backlog = (struct fmx_backlog){0};
    CU_ASSERT_FATAL(fmx_backlog_push(&backlog, &entry));
    CU_ASSERT_EQUAL(payload->refs, 2);
    fmx_backlog_wipe(&backlog);
    CU_ASSERT_EQUAL(payload->refs, 1);
    fmx_payload_give(payload);
}

static void backlog_that_crosses_shares_no_payload_with_this_shard(void)
{
    struct fmx_payload *shared = make(1, 10);
    struct fmx_payload *own = make(2, 10);
    struct fmx_backlog_entry entries[] = {{.payload = fmx_payload_take(shared), .packet_id = 5},
                                          {.payload = own}};
    struct fmx_backlog_entry popped;

    backlog = (struct fmx_backlog){0};
    CU_ASSERT_FATAL(fmx_backlog_push(&backlog, &entries[0]));
    CU_ASSERT_FATAL(fmx_backlog_push(&backlog, &entries[1]));
    CU_ASSERT_EQUAL(fmx_backlog_export(&backlog), 0);
    CU_ASSERT_EQUAL(shared->refs, 1);
    CU_ASSERT_FATAL(fmx_backlog_pop(&backlog, &popped));
    CU_ASSERT(popped.payload != shared && popped.payload->refs == 1 && popped.packet_id == 5);
    CU_ASSERT_EQUAL(number_of(popped.payload), 1);
    fmx_payload_give(popped.payload);
    CU_ASSERT_FATAL(fmx_backlog_pop(&backlog, &popped));
    CU_ASSERT(popped.payload == own && popped.packet_id == 0);
    fmx_payload_give(popped.payload);
    fmx_payload_give(shared);
}

static void an_empty_parcel_is_no_parcel(void)
{
    uint32_t dropped = 1;

    backlog = (struct fmx_backlog){0};
    CU_ASSERT_PTR_NULL(fmx_parcel_pack(&backlog, &dropped));
    CU_ASSERT_EQUAL(dropped, 0);
    CU_ASSERT_EQUAL(fmx_parcel_unpack(NULL, &backlog), 0);
    CU_ASSERT_EQUAL(fmx_backlog_count(&backlog), 0);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(backlog_keeps_messages_in_the_order_they_came),
    FMX_TEST_CASE(backlog_holds_a_reference_and_gives_it_back),
    FMX_TEST_CASE(backlog_that_crosses_shares_no_payload_with_this_shard),
    FMX_TEST_CASE(an_empty_parcel_is_no_parcel),
};

int main(int argc, char **argv)
{
    return fmx_test_main("backlog", cases, sizeof cases / sizeof cases[0], argc, argv);
}
