/*
 * choices.h — names of values that several tables of options or keys share
 */
#ifndef FMX_TOOLS_CHOICES_H
#define FMX_TOOLS_CHOICES_H

#include "tools/fleetmux/flags.h"

extern const struct flag_choice choices_log_levels[];
extern const struct flag_choice choices_registrations[];
extern const struct flag_choice choices_sign_methods[];
extern const struct flag_choice choices_tls_versions[];

#endif
