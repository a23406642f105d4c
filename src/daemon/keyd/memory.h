/** Keeping an idle keyd small. */
#pragma once

/** Give back what starting up and opening keystores needed: freed heap, and the pages of programs
 * and libraries that were read for it (the kernel maps those again when they are next used). */
void memory_settle (void);
