/*
 * run — runs the cases of one test program with CUnit
 *
 * Threads:        one
 * Limits:         one suite for each program, so that a crash names its module
 */
#include "tests/support/run.h"

#include <CUnit/Basic.h>

#include <stdio.h>
#include <string.h>

static int add_cases(CU_pSuite suite, const struct fmx_test_case *cases, size_t count,
                     const char *filter)
{
    int added = 0;

    for (size_t index = 0; index < count; index++) {
        if (filter != NULL && strstr(cases[index].name, filter) == NULL) {
            continue;
        }
        if (CU_add_test(suite, cases[index].name, cases[index].run) == NULL) {
            fprintf(stderr, "%s: %s\n", cases[index].name, CU_get_error_msg());
            return -1;
        }
        added++;
    }
    return added;
}

int fmx_test_main(const char *suite, const struct fmx_test_case *cases, size_t count, int argc,
                  char **argv)
{
    const char *filter = argc > 1 ? argv[1] : NULL;
    CU_pSuite cunit_suite = NULL;
    int result = 1;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS) {
        fprintf(stderr, "%s: %s\n", suite, CU_get_error_msg());
        return 1;
    }
    cunit_suite = CU_add_suite(suite, NULL, NULL);
    if (cunit_suite == NULL) {
        fprintf(stderr, "%s: %s\n", suite, CU_get_error_msg());
        goto done;
    }
    int added = add_cases(cunit_suite, cases, count, filter);
    if (added <= 0) {
        if (added == 0) {
            fprintf(stderr, "%s: no case has '%s' in its name\n", suite, filter ? filter : "");
        }
        goto done;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    if (CU_basic_run_tests() == CUE_SUCCESS && CU_get_number_of_failures() == 0) {
        result = 0;
    }
done:
    CU_cleanup_registry();
    return result;
}
