/** Tables on stdout: aligned, and on a terminal never wider than it is. */
#pragma once
#include <glib.h>

typedef struct CliTable CliTable;

/** Column titles, NULL-ended. One of them may begin with '*': it gives way when the terminal is
 * narrow. A title that begins with '>' is of numbers, aligned right. */
CliTable *cli_table_new (const char *title, ...) G_GNUC_NULL_TERMINATED;
/** A row; strings are copied, NULL becomes "-". As many as there are columns. */
void cli_table_row (CliTable *table, ...);
/** Print as it would look `width` wide (0: as wide as it needs). New string. */
char *cli_table_text (CliTable *table, guint width);
/** Print on stdout. */
void cli_table_print (CliTable *table);
void cli_table_free (CliTable *table);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CliTable, cli_table_free)
