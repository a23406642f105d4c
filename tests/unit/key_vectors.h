/** Reading the vector files of tests/vectors/key. */
#pragma once
#include "core/bytes/bytes.h"
#include <glib.h>

/** The lines of a vector file that are no comment, split at `separator`. Free with
 * g_ptr_array_unref. */
static inline GPtrArray *
vectors_load (const char *name, const char *separator)
{
  g_autofree char *path = g_build_filename (MOOSH_SOURCE_DIR, "tests/vectors/key", name, NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GPtrArray *rows = g_ptr_array_new_with_free_func ((GDestroyNotify)g_strfreev);
  for (char **line = lines; *line != NULL; line++)
    if (**line != '\0' && **line != '#')
      g_ptr_array_add (rows, g_strsplit (*line, separator, -1));
  g_assert_cmpuint (rows->len, >, 0);
  return rows;
}

/** Hex of any length into `out`; the number of bytes. */
static inline size_t
vectors_hex (const char *hex, uint8_t *out, size_t room)
{
  size_t len = strlen (hex) / 2;

  g_assert_cmpuint (len, <=, room);
  g_assert_cmpint (moosh_hex_decode (hex, out, len), ==, MOOSH_OK);
  return len;
}
