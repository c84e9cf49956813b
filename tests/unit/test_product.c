/*
 * test_product — limits laid over one another, and terms that stay as they were announced
 */
#include "engine/roles/product.h"
#include "tests/support/run.h"

static struct fmx_gateway_options options;

static void begin(struct fmx_products *products, enum fmx_profile profile)
{
    fmx_gateway_options_init(&options, profile);
    fmx_products_init(products, &options, NULL, 0);
}

static struct fmx_limits_override one(enum fmx_limit limit, uint32_t value)
{
    struct fmx_limits_override override = {.which = 1u << limit};

    fmx_limits_set(&override.limits, limit, value);
    return override;
}

static void product_takes_the_nearest_of_its_limits(void)
{
    struct fmx_products products;
    fmx_slice a = fmx_slice_of("a1");

    begin(&products, FMX_PROFILE_PLATFORM);
    struct fmx_gateway_product *product = fmx_products_get(&products, a);
    CU_ASSERT_FATAL(product != NULL && product == fmx_products_get(&products, a));
    CU_ASSERT_EQUAL(product->limits.upstream_per_second, 30);
    CU_ASSERT_EQUAL(product->up.per_second, 30);
    struct fmx_limits_override override = one(FMX_LIM_upstream_per_second, 50);
    CU_ASSERT_EQUAL(fmx_products_override(&products, (fmx_slice){0}, &override), FMX_OK);
    CU_ASSERT_EQUAL(product->up.per_second, 50);
    override = one(FMX_LIM_upstream_per_second, 7);
    CU_ASSERT_EQUAL(fmx_products_override(&products, a, &override), FMX_OK);
    override = one(FMX_LIM_upstream_per_second, 60);
    CU_ASSERT_EQUAL(fmx_products_override(&products, (fmx_slice){0}, &override), FMX_OK);
    CU_ASSERT_EQUAL(product->up.per_second, 7); /* its own still stands */
    CU_ASSERT_EQUAL(fmx_products_get(&products, fmx_slice_of("b2"))->up.per_second, 60);
    override = one(FMX_LIM_upstream_per_second, FMX_UNLIMITED);
    CU_ASSERT_EQUAL(fmx_products_override(&products, a, &override), FMX_OK);
    CU_ASSERT_EQUAL(product->up.per_second, 0); /* no bound */
    CU_ASSERT_EQUAL(product->limits.topic_bytes_max, 128);
    fmx_products_wipe(&products);
}

static void product_follows_announced_terms_with_newer_ones(void)
{
    struct fmx_products products;
    fmx_slice a = fmx_slice_of("a1");

    begin(&products, FMX_PROFILE_PLATFORM);
    struct fmx_gateway_product *product = fmx_products_get(&products, a);
    const struct fmx_terms *before = product->terms;
    CU_ASSERT_EQUAL(before->session.receive_max, 10);
    struct fmx_limits_override override = one(FMX_LIM_downstream_per_second, 1);
    CU_ASSERT_EQUAL(fmx_products_override(&products, a, &override), FMX_OK);
    CU_ASSERT_PTR_EQUAL(product->terms, before); /* nothing of it was announced */
    override = one(FMX_LIM_receive_max, 20);
    CU_ASSERT_EQUAL(fmx_products_override(&products, a, &override), FMX_OK);
    CU_ASSERT(product->terms != before);
    CU_ASSERT_EQUAL(product->terms->session.receive_max, 20);
    CU_ASSERT_EQUAL(before->session.receive_max, 10); /* for sessions that were told so */
    fmx_products_wipe(&products);
}

static void product_is_one_of_many(void)
{
    struct fmx_products products;
    char key[16];

    begin(&products, FMX_PROFILE_PLATFORM);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "pk%u", i);
        struct fmx_gateway_product *product = fmx_products_get(&products, fmx_slice_of(key));
        CU_ASSERT_FATAL(product != NULL);
        struct fmx_limits_override override = one(FMX_LIM_upstream_per_second, 1 + i);
        CU_ASSERT_EQUAL(fmx_products_override(&products, fmx_slice_of(key), &override), FMX_OK);
    }
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "pk%u", i);
        CU_ASSERT_EQUAL(fmx_products_get(&products, fmx_slice_of(key))->up.per_second, 1 + i);
    }
    CU_ASSERT_EQUAL(products.count, 3000);
    fmx_products_wipe(&products);
}

/* Without a registry nothing says which custom topics there are. */
static void product_without_a_registry_allows_every_custom_topic(void)
{
    struct fmx_products products;

    begin(&products, FMX_PROFILE_PLATFORM);
    struct fmx_gateway_product *product = fmx_products_get(&products, fmx_slice_of("a1"));
    CU_ASSERT(fmx_product_allows(product, fmx_slice_of("user/any"), false, FMX_TOPIC_PUBLISH));
    CU_ASSERT(fmx_product_allows(product, fmx_slice_of("user/#"), true, FMX_TOPIC_SUBSCRIBE));
    fmx_products_wipe(&products);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(product_takes_the_nearest_of_its_limits),
    FMX_TEST_CASE(product_follows_announced_terms_with_newer_ones),
    FMX_TEST_CASE(product_is_one_of_many),
    FMX_TEST_CASE(product_without_a_registry_allows_every_custom_topic),
};

int main(int argc, char **argv)
{
    return fmx_test_main("product", cases, sizeof cases / sizeof cases[0], argc, argv);
}
