/** UTF-8 as Unicode 15 table 3-7 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#pragma once
#include "core/bytes/bytes.h"

/** Is ptr[0..len) valid? The empty string is. */
bool moosh_utf8_valid (const uint8_t *ptr, size_t len);
