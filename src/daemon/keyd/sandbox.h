/** What keyd gives up for good before it touches a key. */
#pragma once
#include "base/error.h"

/** No core dumps, no debugger, no new privileges; a seccomp filter that refuses every socket but
 * unix ones, starting programs, looking into other processes, and the system calls that would get
 * around it. Holds for all threads, and cannot be undone. */
gboolean sandbox_enter (GError **error);
