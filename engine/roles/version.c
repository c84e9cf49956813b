/*
 * version — what the library says it is
 */
#include <fleetmux/fleetmux.h>

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

const char *fmx_version_string(void)
{
    return TEXT(FMX_VERSION_MAJOR) "." TEXT(FMX_VERSION_MINOR) "." TEXT(FMX_VERSION_PATCH);
}
