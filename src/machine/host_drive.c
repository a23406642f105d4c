/* One machine's way to where it is wanted.
 *
 *   wanted     state it ends in    by way of
 *   nothing    RESERVED
 *   run        RUNNING             BUILDING → BOOTING →
 *   pause      PAUSED              as run, then the processors stop
 *   stop       STOPPED             the power button, then the plug
 *   gone       RETAINED            the guest is killed; when the retention is over: DESTROYED; a
 * release: RELEASED
 *
 * Invariants: (1) every state is in the journal before its effect: BOOTING with user and ports
 * before a process exists, so that one that does is found again; (2) only this thread writes the
 * state, only requests write what is wanted, with one exception: a guest that powers itself off is
 * then wanted stopped; (3) FAILED is left by a reboot or a destroy only. */
#include "base/json.h"
#include "machine/disk.h"
#include "machine/host_private.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define CRASHES_MAX    3   /* guest processes that die in a row */
#define CRASH_FORGET_S 600 /* a guest that ran so long did not crash in a row */
#define LOG_MAX        (2 * 1024 * 1024)
#define PORT_TRIES     20

typedef struct {
  MooshHost *host;
  MooshMachine *m;
  GCancellable *stop;
} Drive;

static void
set_text (char **text, const char *to)
{
  char *fresh = g_strdup (to);
  g_free (*text);
  *text = fresh;
}

static gboolean
enter (Drive *drive, MooshMachineState state, const char *step, GError **error)
{
  drive->m->state = state;
  set_text (&drive->m->step, step);
  return moosh_host_save (drive->host, drive->m, error);
}

/* The machine is as good as it gets: record why. */
static void
fail (Drive *drive, const char *what, const GError *error)
{
  g_autoptr (GError) local = NULL;

  drive->host->driver->kill (drive->host->driver, drive->m, FALSE, NULL);
  g_free (drive->m->error);
  drive->m->error = g_strdup_printf ("%s: %s", what, error->message);
  moosh_host_say (drive->host, drive->m, "failed: %s", drive->m->error);
  g_message ("agreement %s: failed: %s", drive->m->agreement, drive->m->error);
  if (!enter (drive, MOOSH_MACHINE_FAILED, "", &local))
    g_warning ("agreement %s: %s", drive->m->agreement, local->message);
}

/* ---- build ---- */

static gpointer
create (gpointer pointer)
{
  Drive *drive = pointer;
  g_autoptr (MooshRequest) request = NULL;
  GError *error = NULL;

  request = moosh_request_decode (g_bytes_get_data (drive->m->request, NULL),
                                  g_bytes_get_size (drive->m->request),
                                  drive->host->config.allow_file_urls, &error);
  if (request != NULL)
    drive->host->driver->create (drive->host->driver, drive->m, request, &error);
  return error;
}

static void
on_step (const char *step, gpointer pointer)
{
  Drive *drive = pointer;
  /* the storage is being made on another thread, which writes host_key: only the step is journaled
   * here */
  moosh_store_run (drive->host->store, NULL, "UPDATE machine SET step = ? WHERE id = ?", "si", step,
                   drive->m->id);
}

static MooshSystem *
build_system (Drive *drive, GError **error)
{
  MooshHost *host = drive->host;
  MooshMachine *m = drive->m;
  g_autofree char *log = moosh_host_log_path (host, m);
  g_autoptr (MooshRequest) request = NULL;

  if (host->builder == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "%s", host->builder_error);
      return NULL;
    }
  request
      = moosh_request_decode (g_bytes_get_data (m->request, NULL), g_bytes_get_size (m->request),
                              host->config.allow_file_urls, error);
  if (request == NULL)
    return NULL;
  return moosh_builder_build (host->builder, request, m->policy, log, on_step, drive, drive->stop,
                              error);
}

static void
keep_system (MooshMachine *m, const MooshSystem *system)
{
  set_text (&m->system, system->store_path);
  set_text (&m->kernel, system->kernel);
  set_text (&m->initrd, system->initrd);
  set_text (&m->cmdline, system->cmdline);
  set_text (&m->store_image, system->store_image);
  m->build_ms = MAX ((gint64)(system->seconds * 1000.0), 1);
}

static gboolean
make_dir (Drive *drive, GError **error)
{
  g_autofree char *log = moosh_host_log_path (drive->host, drive->m),
                  *dir = g_path_get_dirname (log);

  if (g_mkdir_with_parents (dir, 0700) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, errno == ENOSPC ? MOOSH_ERROR_LIMIT : MOOSH_ERROR_FAILED,
               "cannot make %s: %s", dir, g_strerror (errno));
  return FALSE;
}

/* Build the system and make the storage, at once. FALSE: failed (recorded) or interrupted. */
static gboolean
build (Drive *drive, GError **error)
{
  g_autoptr (MooshSystem) system = NULL;
  g_autoptr (GError) build_error = NULL, create_error = NULL;
  GThread *creator;

  if (!enter (drive, MOOSH_MACHINE_BUILDING, "begin", error) || !make_dir (drive, error))
    return FALSE;
  creator = g_thread_new ("storage", create, drive);
  system = build_system (drive, &build_error);
  create_error = g_thread_join (creator);
  if (system == NULL && g_error_matches (build_error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED))
    return FALSE;
  if (system == NULL)
    fail (drive, "build", build_error);
  else if (create_error != NULL)
    fail (drive, "storage", create_error);
  else
    {
      keep_system (drive->m, system);
      moosh_host_say (drive->host, drive->m, "%s %s in %.1f s", system->cached ? "found" : "built",
                      system->store_path, system->seconds);
      return TRUE;
    }
  return FALSE;
}

/* ---- boot ---- */

/* Ports to forward: SSH, and what the request asks for. */
static gboolean
take_ports (Drive *drive, gint64 from, GError **error)
{
  MooshMachine *m = drive->m;
  const MooshHostConfig *config = &drive->host->config;
  guint16 guest[1 + MOOSH_REQUEST_PORTS_MAX] = { 22 };
  g_autoptr (MooshRequest) request
      = moosh_request_decode (g_bytes_get_data (m->request, NULL), g_bytes_get_size (m->request),
                              config->allow_file_urls, error);

  if (request == NULL)
    return FALSE;
  for (guint i = 0; i < request->ports->len; i++)
    guest[1 + i] = g_array_index (request->ports, guint16, i);
  return moosh_journal_take_ports (drive->host->store, m, guest, 1 + request->ports->len,
                                   config->port_first, config->port_count, from, error);
}

static gboolean
take_user (Drive *drive, GError **error)
{
  const MooshHostConfig *config = &drive->host->config;

  if (drive->m->uid != 0)
    return TRUE;
  /* looked for and journaled under one lock: two machines must not find the same */
  g_mutex_lock (&drive->host->inventory);
  drive->m->uid
      = moosh_journal_free_uid (drive->host->store, config->uid_first + 1, config->uid_count - 1);
  if (drive->m->uid != 0 && !moosh_host_save (drive->host, drive->m, error))
    drive->m->uid = 0;
  else if (drive->m->uid == 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                 "all %" G_GINT64_FORMAT " guest users are taken", config->uid_count - 1);
  g_mutex_unlock (&drive->host->inventory);
  return drive->m->uid != 0;
}

/* Can the machine's ports be listened on? Asked before, because QEMU takes a tenth of a second to
 * say no. */
static gboolean
ports_are_free (const MooshMachine *m, const char *listen_host)
{
  gboolean all = TRUE;

  for (guint i = 0; all && i < m->forwards->len; i++)
    {
      g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string (
          listen_host, g_array_index (m->forwards, MooshForward, i).host);
      g_autoptr (GSocket) socket
          = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
      all = socket != NULL && g_socket_bind (socket, address, TRUE, NULL);
    }
  return all;
}

/* Start the guest's process, paused. Ports that somebody else has taken are given up for the next
 * ones. */
static gboolean
deploy (Drive *drive, GError **error)
{
  MooshMachine *m = drive->m;
  gboolean ok = take_user (drive, error) && (m->forwards->len > 0 || take_ports (drive, 0, error));

  while (ok && !ports_are_free (m, drive->host->config.listen_host))
    ok = take_ports (drive, moosh_machine_port (m, 22) + 1, error);
  for (int i = 0; ok && i < PORT_TRIES; i++)
    {
      g_autoptr (GError) local = NULL;

      if (!enter (drive, MOOSH_MACHINE_BOOTING, "start", error))
        return FALSE;
      if (drive->host->driver->deploy (drive->host->driver, m, &local))
        return enter (drive, MOOSH_MACHINE_BOOTING, "boot", error);
      if (!g_error_matches (local, MOOSH_ERROR, MOOSH_ERROR_CONFLICT) || i == PORT_TRIES - 1)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      ok = take_ports (drive, moosh_machine_port (m, 22) + 1, error);
    }
  return ok;
}

/* Wait until SSH answers. A machine that did so once is its tenant's: when it does not come back on
 * SSH it runs all the same. */
static gboolean
wait_ready (Drive *drive, GError **error)
{
  MooshHost *host = drive->host;
  gint64 deadline_us = g_get_monotonic_time () + host->config.boot_s * G_USEC_PER_SEC;
  g_autoptr (GError) local = NULL;

  if (host->driver->wait_ready (host->driver, drive->m, deadline_us, drive->stop, &local))
    return TRUE;
  if (drive->m->boot_ms > 0 && g_error_matches (local, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT))
    {
      moosh_host_say (host, drive->m, "%s", local->message);
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
boot (Drive *drive, gint64 started_us, GError **error)
{
  MooshHost *host = drive->host;
  MooshMachine *m = drive->m;

  if (!host->driver->resume (host->driver, m, error) || !wait_ready (drive, error))
    return FALSE;
  m->boot_ms = MAX ((g_get_monotonic_time () - started_us) / 1000, 1);
  m->running_since_s = g_get_real_time () / G_USEC_PER_SEC;
  set_text (&m->error, "");
  if (!enter (drive, MOOSH_MACHINE_RUNNING, "", error))
    return FALSE;
  moosh_host_say (host, m, "running: SSH on port %u after %.1f s (%s)", moosh_machine_port (m, 22),
                  (double)m->boot_ms / 1000.0, m->accel);
  g_message ("agreement %s: running, port %u", m->agreement, moosh_machine_port (m, 22));
  return TRUE;
}

/* The guest's process died by itself. FALSE: once too often in a row, and that is recorded. */
static gboolean
count_crash (Drive *drive)
{
  MooshMachine *m = drive->m;
  gint64 now_s = g_get_real_time () / G_USEC_PER_SEC;
  g_autoptr (GError) error = NULL;

  if (m->running_since_s > 0 && now_s - m->running_since_s >= CRASH_FORGET_S)
    m->crashes = 0;
  moosh_host_say (drive->host, m, "the guest's process is gone");
  if (++m->crashes <= CRASHES_MAX)
    return TRUE;
  g_set_error (&error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "its process died %d times in a row",
               CRASHES_MAX + 1);
  fail (drive, "guest", error);
  return FALSE;
}

/* Starting did not work out: give up, or try once more. */
static void
start_failed (Drive *drive, const GError *error)
{
  MooshMachine *m = drive->m;

  if (g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED))
    return;
  if (g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND))
    {
      /* somebody collected the built system: build it again */
      moosh_host_say (drive->host, m, "%s: building again", error->message);
      g_clear_pointer (&m->system, g_free);
      g_clear_pointer (&m->kernel, g_free);
    }
  else if (m->boot_ms == 0 || !g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_FAILED))
    {
      fail (drive, "boot", error);
      return;
    }
  else if (!count_crash (drive))
    return;
  if (moosh_host_save (drive->host, m, NULL))
    moosh_host_kick (drive->host, m->id, FALSE);
}

static void
start (Drive *drive)
{
  MooshMachine *m = drive->m;
  gint64 started_us = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;

  if ((m->state == MOOSH_MACHINE_RUNNING || m->state == MOOSH_MACHINE_PAUSED)
      && !count_crash (drive))
    return;
  if (m->boot_ms > 0)
    {
      m->restarts++;
      m->running_since_s = 0;
      moosh_host_say (drive->host, m, "starting again");
    }
  if (m->state != MOOSH_MACHINE_BOOTING)
    if (!enter (drive, MOOSH_MACHINE_BOOTING, "start", &error))
      {
        fail (drive, "boot", error);
        return;
      }
  if (deploy (drive, &error) && boot (drive, started_us, &error))
    {
      if (m->want == MOOSH_WANT_PAUSE)
        moosh_host_kick (drive->host, m->id, FALSE);
      return;
    }
  start_failed (drive, error);
}

/* ---- a guest that is there ---- */

static gboolean
stop_wanted (Drive *drive)
{
  g_autoptr (MooshMachine) now
      = moosh_journal_machine_by_id (drive->host->store, drive->m->id, NULL);
  return now == NULL || now->want == MOOSH_WANT_GONE || drive->host->stopping;
}

/* The power button, some time, the plug. */
static void
stop_guest (Drive *drive, gboolean pressed_already, GError **error)
{
  MooshHost *host = drive->host;
  MooshMachine *m = drive->m;
  gint64 deadline_us = g_get_monotonic_time () + host->config.poweroff_s * G_USEC_PER_SEC;
  MooshGuestState guest = MOOSH_GUEST_RUNNING;

  if (!pressed_already)
    {
      enter (drive, m->state, "power off", NULL);
      host->driver->power_button (host->driver, m, NULL);
      while (g_get_monotonic_time () < deadline_us && !stop_wanted (drive)
             && host->driver->status (host->driver, m, &guest, NULL)
             && (guest == MOOSH_GUEST_RUNNING || guest == MOOSH_GUEST_LOADED))
        {
          /* woken by the shutdown event, which kicks this worker; at the latest after a fifth of a
           * second */
          g_mutex_lock (&host->lock);
          g_cond_wait_until (&host->changed, &host->lock,
                             g_get_monotonic_time () + G_USEC_PER_SEC / 5);
          g_mutex_unlock (&host->lock);
        }
    }
  if (host->stopping)
    return;
  if (!host->driver->kill (host->driver, m, FALSE, error))
    return;
  moosh_host_say (host, m,
                  guest == MOOSH_GUEST_OFF || pressed_already ? "powered off" : "switched off");
  m->running_since_s = 0;
  enter (drive, MOOSH_MACHINE_STOPPED, "", error);
}

/* The guest turned itself off: unless something else is wanted by now, that is what is wanted. */
static void
accept_power_off (Drive *drive, GError **error)
{
  if (moosh_store_run (drive->host->store, error,
                       "UPDATE machine SET want = ? WHERE id = ? AND want IN (?, ?)", "iiii",
                       (gint64)MOOSH_WANT_STOP, drive->m->id, (gint64)MOOSH_WANT_RUN,
                       (gint64)MOOSH_WANT_PAUSE))
    stop_guest (drive, TRUE, error);
}

static void
reboot (Drive *drive, MooshGuestState guest, GError **error)
{
  MooshHost *host = drive->host;
  MooshMachine *m = drive->m;

  m->reboots = m->reboots_wanted;
  m->crashes = 0;
  if (!moosh_host_save (host, m, error))
    return;
  moosh_host_say (host, m, "reset");
  if (guest != MOOSH_GUEST_ABSENT && host->driver->reboot (host->driver, m, error)
      && enter (drive, MOOSH_MACHINE_BOOTING, "boot", error))
    {
      m->restarts++;
      boot (drive, g_get_monotonic_time (), error);
    }
}

/* A guest's process is there, and wanted: running, or paused. */
static void
steer (Drive *drive, MooshGuestState guest, GError **error)
{
  MooshHost *host = drive->host;
  MooshMachine *m = drive->m;
  gboolean paused = m->want == MOOSH_WANT_PAUSE;

  if (guest == MOOSH_GUEST_OFF)
    accept_power_off (drive, error);
  else if (m->reboots_wanted > m->reboots)
    reboot (drive, guest, error);
  else if (guest == MOOSH_GUEST_STUCK)
    {
      /* its processors stand still because the host could not write; going on tries the write again
       */
      enter (drive, m->state, "waiting: this host's disk is full or failing", NULL);
      host->driver->resume (host->driver, m, NULL);
      moosh_host_look_at (host, g_get_real_time () / G_USEC_PER_SEC + MOOSH_RETRY_S);
    }
  else if (m->state != MOOSH_MACHINE_RUNNING && m->state != MOOSH_MACHINE_PAUSED)
    boot (drive, g_get_monotonic_time (), error);
  else if (paused && (guest == MOOSH_GUEST_RUNNING || m->state == MOOSH_MACHINE_RUNNING))
    {
      if (enter (drive, MOOSH_MACHINE_PAUSED, "", error))
        host->driver->pause (host->driver, m, error);
    }
  else if (!paused
           && (guest == MOOSH_GUEST_PAUSED || guest == MOOSH_GUEST_LOADED
               || m->state == MOOSH_MACHINE_PAUSED))
    {
      if (host->driver->resume (host->driver, m, error))
        enter (drive, MOOSH_MACHINE_RUNNING, "", error);
    }
  else if ((m->step != NULL && m->step[0] != '\0') || moosh_host_unsaved (host, m))
    enter (drive, m->state, "", NULL); /* what cannot be written yet is tried again */
}

/* ---- the whole ---- */

static void
run (Drive *drive)
{
  MooshMachine *m = drive->m;
  MooshGuestState guest = MOOSH_GUEST_ABSENT;
  g_autoptr (GError) error = NULL;
  gboolean again = m->reboots_wanted > m->reboots;

  if (m->state == MOOSH_MACHINE_FAILED && !again)
    return;
  if (m->kernel == NULL)
    {
      m->reboots = m->reboots_wanted;
      if (build (drive, &error))
        start (drive);
      else if (error != NULL)
        fail (drive, "build", error);
      return;
    }
  if (!drive->host->driver->status (drive->host->driver, m, &guest, &error))
    fail (drive, "guest", error);
  else if (guest == MOOSH_GUEST_ABSENT)
    {
      if (again)
        {
          reboot (drive, guest, &error);
          m->state = MOOSH_MACHINE_BOOTING; /* a reboot is no crash */
        }
      start (drive);
    }
  else
    steer (drive, guest, &error);
  /* a guest is not ended because the journal's disk is full: the clock tries again */
  if (guest != MOOSH_GUEST_ABSENT && g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT))
    g_warning ("agreement %s: %s", m->agreement, error->message);
  else if (error != NULL && !g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED))
    fail (drive, "guest", error);
}

static void
stop (Drive *drive)
{
  MooshGuestState guest = MOOSH_GUEST_ABSENT;
  g_autoptr (GError) error = NULL;
  MooshMachine *m = drive->m;

  if (m->state == MOOSH_MACHINE_STOPPED || m->state == MOOSH_MACHINE_FAILED
      || m->state == MOOSH_MACHINE_RESERVED)
    return;
  if (!drive->host->driver->status (drive->host->driver, m, &guest, &error))
    fail (drive, "guest", error);
  else if (guest == MOOSH_GUEST_ABSENT || guest == MOOSH_GUEST_OFF)
    stop_guest (drive, TRUE, &error);
  else
    stop_guest (drive, FALSE, &error);
  if (error != NULL)
    fail (drive, "power off", error);
}

static void
end (Drive *drive)
{
  MooshHost *host = drive->host;
  MooshMachine *m = drive->m;
  gboolean release = m->retain_until_s < 0;
  g_autoptr (GError) error = NULL;

  if (!host->driver->kill (host->driver, m, TRUE, &error))
    {
      /* units stay held as long as something of it runs */
      g_warning ("agreement %s: %s", m->agreement, error->message);
      moosh_host_look_at (host, g_get_real_time () / G_USEC_PER_SEC + MOOSH_RETRY_S);
      return;
    }
  if (m->state != MOOSH_MACHINE_RETAINED && !release)
    {
      moosh_journal_drop_ports (host->store, m, NULL);
      moosh_journal_forget_request (host->store, m, NULL);
      m->running_since_s = 0;
      moosh_host_say (host, m, "ended");
      enter (drive, MOOSH_MACHINE_RETAINED, "", NULL);
    }
  if (m->retain_until_s > g_get_real_time () / G_USEC_PER_SEC)
    {
      moosh_host_look_at (host, m->retain_until_s);
      return;
    }
  if (!host->driver->destroy (host->driver, m, &error)
      || !moosh_journal_drop_ports (host->store, m, &error)
      || !moosh_journal_forget_request (host->store, m, &error)
      || !enter (drive, release ? MOOSH_MACHINE_RELEASED : MOOSH_MACHINE_DESTROYED, "", &error))
    {
      g_warning ("agreement %s: %s", m->agreement, error->message);
      moosh_host_look_at (host, g_get_real_time () / G_USEC_PER_SEC + MOOSH_RETRY_S);
      return;
    }
  moosh_host_say (host, m, release ? "released" : "the disk's key is destroyed");
}

void
moosh_host_drive (MooshHost *host, gint64 id, GCancellable *cancel)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MooshMachine) m = moosh_journal_machine_by_id (host->store, id, &error);
  Drive drive = { host, m, cancel };

  if (m == NULL)
    {
      g_warning ("machine %" G_GINT64_FORMAT ": %s", id, error->message);
      return;
    }
  if (moosh_machine_state_final (m->state))
    return;
  switch (m->want)
    {
    case MOOSH_WANT_NOTHING:
      return;
    case MOOSH_WANT_RUN:
    case MOOSH_WANT_PAUSE:
      run (&drive);
      return;
    case MOOSH_WANT_STOP:
      stop (&drive);
      return;
    case MOOSH_WANT_GONE:
      end (&drive);
      return;
    }
}

void
moosh_host_say (MooshHost *host, const MooshMachine *m, const char *format, ...)
{
  g_autofree char *path = moosh_host_log_path (host, m), *text = NULL, *line = NULL, *time = NULL;
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  int fd = open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  va_list list;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  time = g_date_time_format (now, "%Y-%m-%dT%H:%M:%SZ");
  line = g_strdup_printf ("%s %s\n", time, text);
  if (fd >= 0 && lseek (fd, 0, SEEK_END) < LOG_MAX && write (fd, line, strlen (line)) < 0)
    g_debug ("%s: %s", path, g_strerror (errno));
  if (fd >= 0)
    close (fd);
}
