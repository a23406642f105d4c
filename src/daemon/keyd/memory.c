#include "daemon/keyd/memory.h"
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that cannot be written hold exactly what the file holds: dropping their pages loses
 * nothing. What the dynamic linker has relocated lies in writable segments and stays. */
static int
drop_object (struct dl_phdr_info *object, size_t size, void *unused)
{
  const uintptr_t page = (uintptr_t)sysconf (_SC_PAGESIZE) - 1;

  (void)size;
  (void)unused;
  for (int i = 0; i < object->dlpi_phnum; i++)
    {
      const ElfW (Phdr) *segment = &object->dlpi_phdr[i];
      uintptr_t start = object->dlpi_addr + segment->p_vaddr;
      uintptr_t end = (start + segment->p_filesz + page) & ~page;

      start &= ~page;
      if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0)
        madvise ((void *)start, end - start,
                 MADV_DONTNEED); /* fails for the vdso, which is no file */
    }
  return 0;
}

void
memory_settle (void)
{
  malloc_trim (0);
  dl_iterate_phdr (drop_object, NULL);
}
