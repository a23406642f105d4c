/* Messages inside a session: frames put together, heads, hellos. The input is frames, each behind
 * its length (2 bytes). */
#include "peer/wire.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check (gboolean ok)
{
  if (!ok)
    abort ();
}

/* What was read is written and read again the same. */
static void
again (const MooshPeerHead *head)
{
  guint8 frame[2 + MOOSH_PEER_HEAD_MAX];
  MooshPeerInbox inbox = { .open = FALSE };
  MooshSpan part;
  gsize len = moosh_peer_head_encode (head, frame);
  int r = moosh_peer_inbox_push (&inbox, frame, len, &part);
  check (r == (head->body_len == 0) && part.len == 0);
  check (inbox.head.kind == head->kind && inbox.head.id == head->id
         && inbox.head.body_len == head->body_len);
  check (strcmp (inbox.head.method, head->method) == 0);
  check (strcmp (inbox.head.error_name, head->error_name) == 0);
  check (strcmp (inbox.head.error_text, head->error_text) == 0);
}

/* Any text becomes one that may travel. */
static void
error_text (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  GError error = { size % 2 ? MOOSH_ERROR : 1, MOOSH_ERROR_LIMIT, text };
  MooshPeerHead head = { .kind = MOOSH_PEER_BYE };
  moosh_peer_head_set_error (&head, &error);
  again (&head);
}

static void
hello (const guint8 *data, gsize size)
{
  MooshPeerHello got, twice;
  if (moosh_peer_hello_decode (data, size, &got) < 0)
    return;
  g_autoptr (GBytes) certificate = g_bytes_new (got.certificate.ptr, got.certificate.len);
  g_autoptr (GBytes) bytes = moosh_peer_hello_encode (got.version, certificate, got.software);
  check (moosh_peer_hello_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &twice)
         == MOOSH_OK);
  check (twice.version == got.version && twice.certificate.len == got.certificate.len);
  check (strcmp (twice.software, got.software) == 0);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  MooshPeerInbox inbox = { .open = FALSE };
  hello (data, size);
  error_text (data, size);
  while (size >= 2)
    {
      gsize len = MIN ((gsize)moosh_get_be16 (data), size - 2);
      g_autofree guint8 *frame = g_malloc (len > 0 ? len : 1);
      memcpy (frame, data + 2, len);
      gboolean first = !inbox.open;
      MooshSpan part = { NULL, 0 };
      int r = moosh_peer_inbox_push (&inbox, frame, len, &part);
      if (r < 0)
        break;
      check (part.ptr >= frame && part.ptr + part.len == frame + len);
      check (inbox.got <= inbox.head.body_len && inbox.open == (r == 0));
      if (first)
        again (&inbox.head);
      if (first && inbox.head.kind == MOOSH_PEER_HELLO)
        hello (part.ptr, part.len);
      data += 2 + len;
      size -= 2 + len;
    }
  return 0;
}
