#include "cli/table.h"
#include "cli/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GAP = 2, FLEXIBLE_MIN = 8 };

typedef struct {
  char *title;
  gboolean right;
  gboolean flexible;
} Column;

struct CliTable {
  GArray *columns; /* of Column */
  GPtrArray *cells;
};

CliTable *
cli_table_new (const char *title, ...)
{
  CliTable *table = g_new0 (CliTable, 1);
  va_list list;

  table->columns = g_array_new (FALSE, FALSE, sizeof (Column));
  table->cells = g_ptr_array_new_with_free_func (g_free);
  va_start (list, title);
  for (; title != NULL; title = va_arg (list, const char *))
    {
      Column column = { NULL, *title == '>', *title == '*' };

      column.title = g_strdup (title + (column.right || column.flexible));
      g_array_append_val (table->columns, column);
    }
  va_end (list);
  return table;
}

void
cli_table_row (CliTable *table, ...)
{
  va_list list;

  va_start (list, table);
  for (guint i = 0; i < table->columns->len; i++)
    {
      const char *cell = va_arg (list, const char *);

      g_ptr_array_add (table->cells, cli_printable (cell && *cell ? cell : "-", FALSE));
    }
  va_end (list);
}

static void
append_cell (GString *out, const char *text, guint width, gboolean right, gboolean last)
{
  guint len = (guint)g_utf8_strlen (text, -1);
  g_autofree char *cut = NULL;

  if (len > width)
    {
      g_autofree char *head = g_utf8_substring (text, 0, (glong)width - 1);

      cut = g_strconcat (head, "…", NULL);
      text = cut;
      len = width;
    }
  if (right)
    g_string_append_printf (out, "%*s", (int)(width - len), "");
  g_string_append (out, text);
  if (!last)
    g_string_append_printf (out, "%*s", (int)((right ? 0 : width - len) + GAP), "");
}

/* Widths that fit `width`, the flexible column giving way as far as FLEXIBLE_MIN. */
static void
measure (CliTable *table, guint width, guint *widths)
{
  guint total = 0, n = table->columns->len;

  for (guint i = 0; i < n; i++)
    {
      widths[i] = (guint)g_utf8_strlen (g_array_index (table->columns, Column, i).title, -1);
      for (guint k = i; k < table->cells->len; k += n)
        widths[i] = MAX (widths[i], (guint)g_utf8_strlen (table->cells->pdata[k], -1));
      total += widths[i] + (i + 1 < n ? GAP : 0);
    }
  for (guint i = 0; i < n && width > 0 && total > width; i++)
    if (g_array_index (table->columns, Column, i).flexible)
      {
        guint give = MIN (total - width, widths[i] > FLEXIBLE_MIN ? widths[i] - FLEXIBLE_MIN : 0);

        widths[i] -= give;
        total -= give;
      }
}

char *
cli_table_text (CliTable *table, guint width)
{
  guint n = table->columns->len;
  g_autofree guint *widths = g_new0 (guint, n);
  GString *out = g_string_new (NULL);

  measure (table, width, widths);
  for (guint i = 0; i < n; i++)
    {
      const Column *column = &g_array_index (table->columns, Column, i);
      append_cell (out, column->title, widths[i], column->right, i + 1 == n);
    }
  g_string_append_c (out, '\n');
  for (guint k = 0; k < table->cells->len; k++)
    {
      append_cell (out, table->cells->pdata[k], widths[k % n],
                   g_array_index (table->columns, Column, k % n).right, (k + 1) % n == 0);
      if ((k + 1) % n == 0)
        g_string_append_c (out, '\n');
    }
  return g_string_free (out, FALSE);
}

void
cli_table_print (CliTable *table)
{
  struct winsize size = { 0 };
  guint width = 0;
  g_autofree char *text = NULL;

  if (isatty (STDOUT_FILENO) && ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
    width = size.ws_col;
  text = cli_table_text (table, width);
  fputs (text, stdout);
}

void
cli_table_free (CliTable *table)
{
  for (guint i = 0; i < table->columns->len; i++)
    g_free (g_array_index (table->columns, Column, i).title);
  g_array_unref (table->columns);
  g_ptr_array_unref (table->cells);
  g_free (table);
}
