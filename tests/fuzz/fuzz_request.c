/* Provision requests: what decodes encodes again, to the same bytes unless it had fields of a later
 * version. */
#include "machine/request.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (MooshRequest) request = moosh_request_decode (data, size, TRUE, NULL);
  g_autoptr (MooshRequest) again = NULL;
  g_autoptr (GBytes) bytes = NULL, twice = NULL;

  if (request == NULL)
    return 0;
  bytes = moosh_request_encode (request, NULL);
  if (bytes == NULL || g_bytes_get_size (bytes) > size
      || (g_bytes_get_size (bytes) == size
          && memcmp (g_bytes_get_data (bytes, NULL), data, size) != 0))
    abort ();
  again
      = moosh_request_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), TRUE, NULL);
  if (again == NULL)
    abort ();
  twice = moosh_request_encode (again, NULL);
  if (!g_bytes_equal (bytes, twice))
    abort ();
  return 0;
}
