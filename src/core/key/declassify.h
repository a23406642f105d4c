/** Where a value stops being secret.
 *
 * The memcheck tests mark secrets as undefined memory, so that valgrind reports every branch and
 * address that depends on one (the method of libsecp256k1's ctime_tests). What may be public by
 * design, such as a finished signature or "this key is valid", is named here. Without
 * MOOSH_MEMCHECK this is nothing. */
#pragma once

#ifdef MOOSH_MEMCHECK
#include <valgrind/memcheck.h>
#define moosh_declassify(ptr, len) ((void)VALGRIND_MAKE_MEM_DEFINED (ptr, len))
#define moosh_classify(ptr, len)   ((void)VALGRIND_MAKE_MEM_UNDEFINED (ptr, len))
#else
#define moosh_declassify(ptr, len) ((void)0)
#define moosh_classify(ptr, len)   ((void)0)
#endif
