/*
 * test_carry — bytes carried: in order, in a block no larger than twice what came, gone when used
 */
#include "engine/carry.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

static void an_empty_one_owns_nothing(void)
{
    struct fmx_carry *carry = NULL;

    CU_ASSERT_EQUAL(fmx_carry_bytes(carry), 0);
    CU_ASSERT_EQUAL(fmx_carry_span(carry).bytes, 0);
    CU_ASSERT(fmx_carry_append(&carry, (fmx_slice){0}));
    CU_ASSERT_PTR_NULL(carry);
    fmx_carry_consume(&carry, 0);
    fmx_carry_drop(&carry);
}

static void the_block_goes_with_its_last_byte(void)
{
    struct fmx_carry *carry = NULL;

    CU_ASSERT_FATAL(fmx_carry_append(&carry, fmx_slice_of("abc")));
    fmx_carry_consume(&carry, 2);
    CU_ASSERT_EQUAL(fmx_carry_bytes(carry), 1);
    CU_ASSERT_EQUAL(fmx_carry_span(carry).data[0], 'c');
    fmx_carry_consume(&carry, 1);
    CU_ASSERT_PTR_NULL(carry);
}

/* Bytes are numbered, so that any loss, doubling or change of order shows. */
static void what_comes_in_goes_out_in_order(void)
{
    struct fmx_prng prng = {.state = 1};
    struct fmx_carry *carry = NULL;
    uint64_t in = 0;
    uint64_t out = 0;

    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[3000];
        size_t count = fmx_prng_below(&prng, sizeof(bytes));
        for (size_t k = 0; k < count; k++) {
            bytes[k] = (uint8_t)((in + k) % 251);
        }
        CU_ASSERT_FATAL(fmx_carry_append(&carry, (fmx_slice){.data = bytes, .bytes = count}));
        in += count;
        size_t used = fmx_prng_below(&prng, fmx_carry_bytes(carry) + 1ull);
        for (size_t k = 0; k < used; k++) {
            CU_ASSERT_EQUAL_FATAL(fmx_carry_span(carry).data[k], (out + k) % 251);
        }
        fmx_carry_consume(&carry, used);
        out += used;
        CU_ASSERT_EQUAL_FATAL(fmx_carry_bytes(carry), in - out);
    }
    fmx_carry_drop(&carry);
}

static void the_block_is_no_larger_than_twice_what_came(void)
{
    struct fmx_carry *carry = NULL;
    size_t came = 0;

    for (int i = 0; i < 5000; i++) {
        CU_ASSERT_FATAL(fmx_carry_append(&carry, fmx_slice_of("x")));
        came++;
        CU_ASSERT_FATAL(carry->capacity <= 512 || carry->capacity < 2 * came);
    }
    fmx_carry_drop(&carry);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(an_empty_one_owns_nothing),
    FMX_TEST_CASE(the_block_goes_with_its_last_byte),
    FMX_TEST_CASE(what_comes_in_goes_out_in_order),
    FMX_TEST_CASE(the_block_is_no_larger_than_twice_what_came),
};

int main(int argc, char **argv)
{
    return fmx_test_main("carry", cases, sizeof cases / sizeof cases[0], argc, argv);
}
