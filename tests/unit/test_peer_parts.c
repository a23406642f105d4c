/* src/peer's parts without a network: addresses, messages, limits. */
#include "core/cbor/cbor.h"
#include "peer/quota.h"
#include "peer/wire.h"
#include "peer_fixture.h"
#include <arpa/inet.h>

/* ---- addresses ---- */

#define KEY "032e5fdd11aac4372915c9960466b8b7b5ac74f3a91180d605f6e51a8798370773"

static void
test_address_good (void)
{
  static const struct {
    const char *text, *host;
    guint16 port;
  } cases[] = {
    { KEY "@example.org:7700", "example.org", 7700 }, { KEY "@Example.ORG:1", "example.org", 1 },
    { KEY "@127.0.0.1:65535", "127.0.0.1", 65535 },   { KEY "@[::1]:7700", "::1", 7700 },
    { KEY "@[2001:DB8::5]:80", "2001:db8::5", 80 },   { KEY "@a-b.x1:9", "a-b.x1", 9 },
    { KEY "@localhost:9", "localhost", 9 },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MooshPeerAddress address, again;
      g_autoptr (GError) error = NULL;
      g_assert_true (moosh_peer_address_parse (cases[i].text, &address, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (address.host, ==, cases[i].host);
      g_assert_cmpuint (address.port, ==, cases[i].port);
      g_assert_cmpuint (address.node_key[0], ==, 3);
      g_autofree char *text = moosh_peer_address_format (&address);
      g_assert_true (moosh_peer_address_parse (text, &again, NULL));
      g_assert_cmpmem (again.node_key, 33, address.node_key, 33);
      g_assert_cmpstr (again.host, ==, address.host);
    }
}

static void
test_address_bad (void)
{
  static const char *const cases[] = {
    "",
    "@",
    KEY,
    KEY "@",
    KEY "@host",
    KEY "@host:",
    KEY "@:80",
    KEY "@host:0",
    KEY "@host:65536",
    KEY "@host:99999999999999999999",
    KEY "@host:080",
    KEY "@host:+80",
    KEY "@host: 80",
    KEY "@host:80 ",
    KEY "@host:80x",
    KEY "@ho st:80",
    KEY "@host_x:80",
    KEY "@-host:80",
    KEY "@host-:80",
    KEY "@host-.x:80",
    KEY "@a..b:80",
    KEY "@.a:80",
    KEY "@a.:80",
    KEY "@999.0.0.1:80",
    KEY "@1.2.3:80",
    KEY "@::1:80",
    KEY "@[::1:80",
    KEY "@[::1]80",
    KEY "@[::1]",
    KEY "@[]:80",
    KEY "@[127.0.0.1]:80",
    KEY "@[fe80::1%eth0]:80",
    KEY "@x@y:80",
    "0x" KEY "@host:80",
    "02" KEY "@host:80",
    "032e5fdd11aac4372915c9960466b8b7b5ac74f3a91180d605f6e51a87983707@host:80",
    "0xxe5fdd11aac4372915c9960466b8b7b5ac74f3a91180d605f6e51a8798370773@host:80",
    "05ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff@host:80",
    "02ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff@host:80",
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MooshPeerAddress address;
      g_autoptr (GError) error = NULL;
      if (moosh_peer_address_parse (cases[i], &address, &error))
        g_error ("accepted: %s", cases[i]);
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
    }
}

static void
test_address_limits (void)
{
  g_autofree char *label63 = g_strnfill (63, 'a');
  g_autofree char *host253 = g_strdup_printf ("%s.%s.%s.%.61s", label63, label63, label63, label63);
  g_autofree char *fits = g_strdup_printf ("%s@%s:65535", KEY, host253);
  g_autofree char *over = g_strdup_printf ("%s@%sa:65535", KEY, host253);
  g_autofree char *label64 = g_strdup_printf ("%s@%sa:80", KEY, label63);
  MooshPeerAddress address;
  guint16 port = 7;
  char host[MOOSH_PEER_HOST_MAX + 1];
  g_assert_cmpuint (strlen (host253), ==, MOOSH_PEER_HOST_MAX);
  g_assert_true (moosh_peer_address_parse (fits, &address, NULL));
  g_autofree char *text = moosh_peer_address_format (&address);
  g_assert_cmpuint (strlen (text), <, MOOSH_PEER_ADDRESS_TEXT);
  g_assert_false (moosh_peer_address_parse (over, &address, NULL));
  g_assert_false (moosh_peer_address_parse (label64, &address, NULL));
  g_assert_true (moosh_peer_endpoint_parse ("0.0.0.0:0", TRUE, host, &port, NULL));
  g_assert_cmpuint (port, ==, 0);
  g_assert_false (moosh_peer_endpoint_parse ("0.0.0.0:0", FALSE, host, &port, NULL));
}

/* ---- messages ---- */

static gsize
frame_of (MooshPeerHead *head, gsize body_len, const void *part, gsize part_len, guint8 *out)
{
  head->body_len = body_len;
  gsize len = moosh_peer_head_encode (head, out);
  if (part_len > 0)
    memcpy (out + len, part, part_len);
  return len + part_len;
}

static void
test_wire_kinds (void)
{
  g_autoptr (GError) cause = g_error_new (MOOSH_ERROR, MOOSH_ERROR_FUNDS, "too little");
  for (int kind = MOOSH_PEER_HELLO; kind <= MOOSH_PEER_BYE; kind++)
    {
      guint8 frame[2048];
      MooshPeerInbox inbox = { .open = FALSE };
      MooshPeerHead head = { .kind = (MooshPeerKind)kind, .id = 77, .method = "offers.list" };
      MooshSpan part;
      gboolean error = kind == MOOSH_PEER_ERROR || kind == MOOSH_PEER_BYE;
      moosh_peer_head_set_error (&head, cause);
      gsize len = frame_of (&head, error ? 0 : 3, "abc", error ? 0 : 3, frame);
      g_assert_cmpint (moosh_peer_inbox_push (&inbox, frame, len, &part), ==, 1);
      g_assert_cmpint (inbox.head.kind, ==, kind);
      if (kind == MOOSH_PEER_REQUEST || kind == MOOSH_PEER_ANSWER || kind == MOOSH_PEER_ERROR)
        g_assert_cmpuint (inbox.head.id, ==, 77);
      if (kind == MOOSH_PEER_REQUEST)
        g_assert_cmpstr (inbox.head.method, ==, "offers.list");
      if (error)
        {
          g_assert_cmpstr (inbox.head.error_name, ==, "funds");
          g_assert_cmpstr (inbox.head.error_text, ==, "too little");
        }
      else
        g_assert_cmpmem (part.ptr, part.len, "abc", 3);
      for (gsize cut = 0; cut < len - (error ? 0 : 3); cut++) /* no prefix of a head is a head */
        {
          g_autofree guint8 *exact = g_memdup2 (frame, cut > 0 ? cut : 1);
          inbox.open = FALSE;
          g_assert_cmpint (moosh_peer_inbox_push (&inbox, exact, cut, &part), <, 0);
        }
    }
}

static void
test_wire_chunks (void)
{
  guint8 frame[2048];
  MooshPeerInbox inbox = { .open = FALSE };
  MooshPeerHead head = { .kind = MOOSH_PEER_ANSWER, .id = 1 };
  MooshSpan part;
  gsize len = frame_of (&head, 10, "0123", 4, frame);
  g_assert_cmpint (moosh_peer_inbox_push (&inbox, frame, len, &part), ==, 0);
  g_assert_cmpint (moosh_peer_inbox_push (&inbox, (const guint8 *)"4", 1, &part), ==, 0);
  MooshPeerInbox fork = inbox;
  g_assert_cmpint (moosh_peer_inbox_push (&fork, frame, 0, &part), ==,
                   MOOSH_E_SHORT); /* an empty frame */
  fork = inbox;
  g_assert_cmpint (moosh_peer_inbox_push (&fork, (const guint8 *)"567890", 6, &part), ==,
                   MOOSH_E_TRAILING);
  g_assert_cmpint (moosh_peer_inbox_push (&inbox, (const guint8 *)"56789", 5, &part), ==, 1);
  g_assert_cmpmem (part.ptr, part.len, "56789", 5);
  len = frame_of (&head, 2, "abc", 3, frame); /* and a first frame with too much */
  g_assert_cmpint (moosh_peer_inbox_push (&inbox, frame, len, &part), ==, MOOSH_E_TRAILING);
}

static void
test_wire_limits (void)
{
  static const struct {
    MooshPeerKind kind;
    gsize max;
  } cases[] = { { MOOSH_PEER_HELLO, MOOSH_PEER_HELLO_MAX },
                { MOOSH_PEER_REQUEST, MOOSH_PEER_REQUEST_MAX },
                { MOOSH_PEER_ANSWER, MOOSH_PEER_ANSWER_MAX } };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guint8 frame[2048];
      MooshPeerHead head = { .kind = cases[i].kind, .id = 1, .method = "m" };
      MooshPeerInbox inbox = { .open = FALSE };
      MooshSpan part;
      gsize len = frame_of (&head, cases[i].max, NULL, 0, frame);
      g_assert_cmpint (moosh_peer_inbox_push (&inbox, frame, len, &part), ==, 0);
      inbox.open = FALSE;
      len = frame_of (&head, cases[i].max + 1, NULL, 0, frame);
      g_assert_cmpint (moosh_peer_inbox_push (&inbox, frame, len, &part), ==, MOOSH_E_LIMIT);
    }
  guint8 long_head[2 + MOOSH_PEER_HEAD_MAX + 1]
      = { (MOOSH_PEER_HEAD_MAX + 1) >> 8, (MOOSH_PEER_HEAD_MAX + 1) & 0xff };
  MooshPeerInbox inbox = { .open = FALSE };
  MooshSpan part;
  g_assert_cmpint (moosh_peer_inbox_push (&inbox, long_head, sizeof long_head, &part), ==,
                   MOOSH_E_LIMIT);
}

/* One head as CBOR, straight from a hostile writer. */
static int
push_head (const char *bytes, gsize len)
{
  guint8 frame[128] = { 0, (guint8)len };
  MooshPeerInbox inbox = { .open = FALSE };
  MooshSpan part;
  memcpy (frame + 2, bytes, len);
  g_autofree guint8 *exact = g_memdup2 (frame, 2 + len);
  return moosh_peer_inbox_push (&inbox, exact, 2 + len, &part);
}

static void
test_wire_hostile_heads (void)
{
#define PUSH(literal) push_head (literal, sizeof literal - 1)
  g_assert_cmpint (PUSH ("\xa3\x00\x02\x02\x05\x06\x00"), ==, 1);         /* an answer */
  g_assert_cmpint (PUSH ("\xa4\x00\x02\x02\x05\x06\x00\x07\x80"), ==, 1); /* with something odd */
  g_assert_cmpint (PUSH ("\xa4\x00\x02\x02\x05\x06\x00\x0c\x80"), <, 0);  /* with something even */
  g_assert_cmpint (PUSH ("\xa4\x00\x02\x02\x05\x04\x61m\x06\x00"), <,
                   0);                                           /* a method in an answer */
  g_assert_cmpint (PUSH ("\xa2\x00\x02\x06\x00"), <, 0);         /* no id */
  g_assert_cmpint (PUSH ("\xa2\x02\x05\x06\x00"), <, 0);         /* no kind */
  g_assert_cmpint (PUSH ("\xa3\x00\x05\x02\x05\x06\x00"), <, 0); /* a kind there is not */
  g_assert_cmpint (PUSH ("\xa3\x02\x05\x00\x02\x06\x00"), <, 0); /* out of order */
  g_assert_cmpint (PUSH ("\xa3\x00\x02\x02\x05\x06\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), <, 0);
  g_assert_cmpint (PUSH ("\x83\x00\x02\x05"), <, 0); /* no map */
  g_assert_cmpint (PUSH (""), <, 0);
  g_assert_cmpint (PUSH ("\xa4\x00\x01\x02\x05\x04\x61m\x06\x00"), ==, 1);     /* a request */
  g_assert_cmpint (PUSH ("\xa4\x00\x01\x02\x05\x04\x60\x06\x00"), <, 0);       /* for nothing */
  g_assert_cmpint (PUSH ("\xa4\x00\x01\x02\x05\x04\x61M\x06\x00"), <, 0);      /* for a bad name */
  g_assert_cmpint (PUSH ("\xa4\x00\x01\x02\x05\x04\x63m\x00n\x06\x00"), <, 0); /* with NUL in it */
  g_assert_cmpint (PUSH ("\xa3\x00\x04\x08\x61x\x0a\x61y"), ==, 1);            /* good-bye */
  g_assert_cmpint (PUSH ("\xa3\x00\x04\x08\x61x\x0a\x61\x1b"), <, 0);          /* with an escape */
  g_assert_cmpint (PUSH ("\xa3\x00\x04\x08\x61 \x0a\x61y"), <, 0); /* of a bad kind of error */
#undef PUSH
}

static void
test_wire_error_text (void)
{
  MooshPeerHead head = { .kind = MOOSH_PEER_ERROR, .id = 1 };
  g_autofree char *text = g_strnfill (MOOSH_PEER_ERROR_TEXT_MAX - 1, 'x');
  g_autofree char *long_text
      = g_strconcat (text, "€ and more", NULL); /* the cut falls into a character */
  g_autoptr (GError) error = g_error_new_literal (MOOSH_ERROR, MOOSH_ERROR_LIMIT, long_text);
  moosh_peer_head_set_error (&head, error);
  g_assert_cmpstr (head.error_text, ==, text);
  g_assert_cmpstr (head.error_name, ==, "limit");
  g_autoptr (GError) foreign
      = g_error_new_literal (G_FILE_ERROR, G_FILE_ERROR_NOENT, "bro\xffken \x1b[0m\nline\xc2\x85");
  moosh_peer_head_set_error (&head, foreign);
  g_assert_cmpstr (head.error_name, ==, "failed");
  g_assert_cmpstr (head.error_text, ==, "bro�ken  [0m line ");
  guint8 frame[2 + MOOSH_PEER_HEAD_MAX];
  MooshPeerInbox inbox = { .open = FALSE };
  MooshSpan part;
  gsize len = moosh_peer_head_encode (&head, frame);
  g_assert_cmpint (moosh_peer_inbox_push (&inbox, frame, len, &part), ==, 1);
}

static void
test_wire_methods (void)
{
  static const char *const bad[]
      = { "", "A", "a b", "a-b", "é", "012345678901234567890123456789012" };
  g_assert_true (moosh_peer_method_valid ("offers.list_2"));
  g_assert_true (moosh_peer_method_valid ("01234567890123456789012345678901"));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (moosh_peer_method_valid (bad[i]));
}

static void
test_wire_hello (void)
{
  Party party;
  MooshPeerHello hello;
  g_autofree char *software = g_strnfill (64, 's');
  party_init (&party, 5);
  g_autoptr (GBytes) certificate = party_certificate_bytes (&party);
  g_autoptr (GBytes) bytes = moosh_peer_hello_encode (9, certificate, software);
  gsize len;
  const guint8 *ptr = g_bytes_get_data (bytes, &len);
  g_assert_cmpint (moosh_peer_hello_decode (ptr, len, &hello), ==, 0);
  g_assert_cmpuint (hello.version, ==, 9);
  g_assert_cmpstr (hello.software, ==, software);
  g_assert_cmpmem (hello.certificate.ptr, hello.certificate.len,
                   g_bytes_get_data (certificate, NULL), g_bytes_get_size (certificate));
  for (gsize cut = 0; cut < len; cut++)
    {
      g_autofree guint8 *part = g_memdup2 (ptr, cut > 0 ? cut : 1);
      g_assert_cmpint (moosh_peer_hello_decode (part, cut, &hello), <, 0);
    }
  g_autofree char *longer = g_strnfill (65, 's');
  const char *const bad[] = { longer, "\x1b[2J", "é" };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GBytes) other = moosh_peer_hello_encode (9, certificate, bad[i]);
      g_assert_cmpint (moosh_peer_hello_decode (g_bytes_get_data (other, NULL),
                                                g_bytes_get_size (other), &hello),
                       <, 0);
    }
}

/* ---- limits ---- */

static MooshSource
source (const char *text)
{
  MooshSource ret;
  struct sockaddr_in v4 = { .sin_family = AF_INET };
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
  if (inet_pton (AF_INET, text, &v4.sin_addr) == 1)
    moosh_source_of ((struct sockaddr *)&v4, &ret);
  else
    {
      g_assert_cmpint (inet_pton (AF_INET6, text, &v6.sin6_addr), ==, 1);
      moosh_source_of ((struct sockaddr *)&v6, &ret);
    }
  return ret;
}

static gboolean
same (const char *a, const char *b)
{
  MooshSource x = source (a), y = source (b);
  return memcmp (&x, &y, sizeof x) == 0;
}

static void
test_source (void)
{
  g_assert_true (same ("10.0.0.1", "::ffff:10.0.0.1"));
  g_assert_false (same ("10.0.0.1", "10.0.0.2"));
  g_assert_true (same ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9")); /* one /64 is one household */
  g_assert_false (same ("2001:db8:0:1::1", "2001:db8:0:2::1"));
  g_assert_false (same ("::1", "0.0.0.1"));
}

static void
test_tally (void)
{
  MooshTally tally;
  MooshSource a = source ("10.0.0.1"), b = source ("10.0.0.2"), c = source ("10.0.0.3");
  moosh_tally_init (&tally);
  g_assert_true (moosh_tally_take (&tally, &a, 3, 2));
  g_assert_true (moosh_tally_take (&tally, &a, 3, 2));
  g_assert_false (moosh_tally_take (&tally, &a, 3, 2)); /* per source */
  g_assert_true (moosh_tally_take (&tally, &b, 3, 2));
  g_assert_false (moosh_tally_take (&tally, &c, 3, 2)); /* in all */
  moosh_tally_give (&tally, &a);
  g_assert_true (moosh_tally_take (&tally, &c, 3, 2));
  moosh_tally_give (&tally, &a);
  moosh_tally_give (&tally, &b);
  moosh_tally_give (&tally, &c);
  g_assert_cmpuint (tally.total, ==, 0);
  g_assert_cmpuint (g_hash_table_size (tally.by_source), ==, 0); /* nothing stays behind */
  moosh_tally_clear (&tally);
}

static void
test_bucket (void)
{
  MooshBucket bucket = { 0 };
  const gint64 second = G_USEC_PER_SEC;
  gint64 now = 5 * second;
  for (int i = 0; i < 3; i++)
    g_assert_cmpint (moosh_bucket_take (&bucket, now, 3, 60), ==, MOOSH_BUCKET_OK);
  for (int i = 0; i < 3; i++)
    g_assert_cmpint (moosh_bucket_take (&bucket, now, 3, 60), ==, MOOSH_BUCKET_OVER);
  g_assert_cmpint (moosh_bucket_take (&bucket, now, 3, 60), ==, MOOSH_BUCKET_FLOOD);
  now += 5 * second; /* one comes back each second: four pay off the debt, the fifth is free */
  g_assert_cmpint (moosh_bucket_take (&bucket, now, 3, 60), ==, MOOSH_BUCKET_OK);
  g_assert_cmpint (moosh_bucket_take (&bucket, now, 3, 60), ==, MOOSH_BUCKET_OVER);
  now += 3600 * second; /* never more than the burst */
  for (int i = 0; i < 3; i++)
    g_assert_cmpint (moosh_bucket_take (&bucket, now, 3, 60), ==, MOOSH_BUCKET_OK);
  g_assert_cmpint (moosh_bucket_take (&bucket, now, 3, 60), ==, MOOSH_BUCKET_OVER);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer/address/good", test_address_good);
  g_test_add_func ("/peer/address/bad", test_address_bad);
  g_test_add_func ("/peer/address/limits", test_address_limits);
  g_test_add_func ("/peer/wire/kinds", test_wire_kinds);
  g_test_add_func ("/peer/wire/chunks", test_wire_chunks);
  g_test_add_func ("/peer/wire/limits", test_wire_limits);
  g_test_add_func ("/peer/wire/hostile-heads", test_wire_hostile_heads);
  g_test_add_func ("/peer/wire/error-text", test_wire_error_text);
  g_test_add_func ("/peer/wire/methods", test_wire_methods);
  g_test_add_func ("/peer/wire/hello", test_wire_hello);
  g_test_add_func ("/peer/quota/source", test_source);
  g_test_add_func ("/peer/quota/tally", test_tally);
  g_test_add_func ("/peer/quota/bucket", test_bucket);
  return g_test_run ();
}
