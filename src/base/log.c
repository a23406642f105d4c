#include "base/daemon.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *log_name;
static GLogLevelFlags log_mask
    = G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE;
static gboolean log_times;

static const char *
level_name (GLogLevelFlags level)
{
  return level & G_LOG_LEVEL_ERROR      ? "fatal"
         : level & G_LOG_LEVEL_CRITICAL ? "bug"
         : level & G_LOG_LEVEL_WARNING  ? "warning"
         : level & G_LOG_LEVEL_MESSAGE  ? "notice"
         : level & G_LOG_LEVEL_INFO     ? "info"
                                        : "debug";
}

static GLogWriterOutput
write_log (GLogLevelFlags level, const GLogField *fields, gsize n, gpointer unused)
{
  g_autofree char *stamp = NULL;

  (void)unused;
  if (!(level & log_mask))
    return G_LOG_WRITER_HANDLED;
  if (log_times)
    {
      g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
      stamp = g_date_time_format (now, "%Y-%m-%dT%H:%M:%S.%fZ ");
    }
  for (gsize i = 0; i < n; i++)
    if (strcmp (fields[i].key, "MESSAGE") == 0)
      fprintf (stderr, "%s%s %s: %.*s\n", stamp ? stamp : "", level_name (level), log_name,
               fields[i].length < 0 ? 65536 : (int)MIN (fields[i].length, 65536),
               (const char *)fields[i].value);
  return G_LOG_WRITER_HANDLED;
}

void
moosh_log_init (const char *name, const char *level)
{
  g_free (log_name);
  log_name = g_strdup (name);
  log_times = g_getenv ("JOURNAL_STREAM") == NULL;
  if (g_strcmp0 (level, "debug") == 0)
    log_mask = (GLogLevelFlags)(log_mask | G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO);
  else if (g_strcmp0 (level, "info") == 0)
    log_mask = (GLogLevelFlags)(log_mask | G_LOG_LEVEL_INFO);
  else if (g_strcmp0 (level, "warning") == 0)
    log_mask = (GLogLevelFlags)((guint)log_mask & ~(guint)G_LOG_LEVEL_MESSAGE);
  g_log_set_writer_func (write_log, NULL, NULL);
}
