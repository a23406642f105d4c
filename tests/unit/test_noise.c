/* core/noise: every vector of BOLT#8 appendix A, every byte of the handshake attacked, framing at
 * its limits. */
#include "core/noise/cipher.h"
#include "core/noise/noise.h"
#include <glib.h>
#include <string.h>

typedef struct {
  MooshCurve curve;
  guint8 secrets[4][32]; /* initiator static, ephemeral, responder static, ephemeral */
  guint8 keys[2][33];    /* static public keys */
  char *text;
} World;

enum { I_STATIC, I_EPHEMERAL, R_STATIC, R_EPHEMERAL };

static int
ecdh (const uint8_t public_key[33], uint8_t ret_secret[32], void *secret)
{
  return moosh_ecdh (secret, public_key, ret_secret);
}

static void
world_init (World *world)
{
  static const guint8 fill[4] = { 0x11, 0x12, 0x21, 0x22 };
  g_autoptr (GError) error = NULL;
  moosh_curve_init (&world->curve, NULL);
  for (int i = 0; i < 4; i++)
    memset (world->secrets[i], fill[i], 32);
  g_assert_cmpint (moosh_key_public (&world->curve, world->secrets[I_STATIC], world->keys[0]), ==,
                   0);
  g_assert_cmpint (moosh_key_public (&world->curve, world->secrets[R_STATIC], world->keys[1]), ==,
                   0);
  g_file_get_contents (MOOSH_SOURCE_DIR "/tests/vectors/noise/bolt8.txt", &world->text, NULL,
                       &error);
  g_assert_no_error (error);
}

static void
start_with (World *world, gboolean initiator, const char *prologue, MooshNoise *ret)
{
  MooshNoiseConfig config = {
    .initiator = initiator,
    .prologue = { (const guint8 *)prologue, strlen (prologue) },
    .static_key = world->keys[initiator ? 0 : 1],
    .remote_key = initiator ? world->keys[1] : NULL,
    .ephemeral = world->secrets[initiator ? I_EPHEMERAL : R_EPHEMERAL],
    .ecdh = ecdh,
    .ecdh_data = world->secrets[initiator ? I_STATIC : R_STATIC],
  };
  g_assert_cmpint (moosh_noise_init (ret, &world->curve, &config), ==, 0);
}

static void
start (World *world, gboolean initiator, MooshNoise *ret)
{
  start_with (world, initiator, "lightning", ret);
}

/* Both ends through the whole handshake. */
static void
shake (World *world, MooshNoise ends[2])
{
  guint8 act[MOOSH_NOISE_ACT_MAX];
  start (world, TRUE, &ends[0]);
  start (world, FALSE, &ends[1]);
  for (int writer = 0; ends[0].step != MOOSH_NOISE_DONE; writer = !writer)
    {
      gsize len = moosh_noise_act_len (&ends[writer]);
      g_assert_true (moosh_noise_writes (&ends[writer]));
      g_assert_cmpint (moosh_noise_write_act (&ends[writer], act), ==, 0);
      g_assert_cmpint (moosh_noise_read_act (&ends[!writer], act, len), ==, 0);
    }
  g_assert_cmpint (ends[1].step, ==, MOOSH_NOISE_DONE);
}

static void
pair (World *world, MooshNoiseCipher *ret_send, MooshNoiseCipher *ret_receive)
{
  MooshNoise ends[2];
  MooshNoiseCipher unused[2];
  shake (world, ends);
  g_assert_cmpint (moosh_noise_split (&ends[0], ret_send, &unused[0]), ==, 0);
  g_assert_cmpint (moosh_noise_split (&ends[1], &unused[1], ret_receive), ==, 0);
  moosh_noise_cipher_clear (&unused[0]);
  moosh_noise_cipher_clear (&unused[1]);
}

static gsize
hex (const char *text, guint8 *out)
{
  gsize len = strlen (text) / 2;
  g_assert_cmpint (moosh_hex_decode (text, out, len), ==, 0);
  return len;
}

static void
assert_hex (const guint8 *bytes, gsize len, const char *expected)
{
  g_autofree char *text = g_malloc (2 * len + 1);
  moosh_hex_encode (bytes, len, text);
  g_assert_cmpstr (text, ==, expected);
}

/* The words of each vector line of a kind. */
static GPtrArray *
lines_of (World *world, const char *kind)
{
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify)g_strfreev);
  g_auto (GStrv) lines = g_strsplit (world->text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) words = g_strsplit (*line, " ", -1);
      if (g_strcmp0 (words[0], kind) == 0)
        g_ptr_array_add (found, g_steal_pointer (&words));
    }
  g_assert_cmpuint (found->len, >, 0);
  return found;
}

static char *
only (World *world, const char *kind)
{
  g_autoptr (GPtrArray) lines = lines_of (world, kind);
  g_assert_cmpuint (lines->len, ==, 1);
  return g_strdup (((char **)lines->pdata[0])[1]);
}

static int
code_of (const char *result)
{
  static const struct {
    const char *name;
    int code;
  } codes[] = {
    { "ok", MOOSH_OK },           { "short", MOOSH_E_SHORT }, { "version", MOOSH_E_RANGE },
    { "key", MOOSH_E_MALFORMED }, { "tag", MOOSH_E_CRYPTO },
  };
  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    if (g_str_equal (codes[i].name, result))
      return codes[i].code;
  g_assert_not_reached ();
}

static void
assert_writes (MooshNoise *noise, const char *expected)
{
  guint8 act[MOOSH_NOISE_ACT_MAX];
  gsize len = moosh_noise_act_len (noise);
  g_assert_cmpint (moosh_noise_write_act (noise, act), ==, 0);
  assert_hex (act, len, expected);
}

static void
assert_keys (World *world, MooshNoise *noise, gboolean initiator)
{
  g_autoptr (GPtrArray) lines = lines_of (world, "keys");
  char **words = lines->pdata[0];
  MooshNoiseCipher send, receive;
  g_assert_cmpint (moosh_noise_split (noise, &send, &receive), ==, 0);
  assert_hex (send.key, 32, words[initiator ? 1 : 2]);
  assert_hex (receive.key, 32, words[initiator ? 2 : 1]);
  moosh_noise_cipher_clear (&send);
  moosh_noise_cipher_clear (&receive);
}

static void
test_vectors_initiator (gconstpointer data)
{
  World *world = (World *)data;
  g_autoptr (GPtrArray) lines = lines_of (world, "initiator");
  g_autofree char *act1 = only (world, "act1");
  g_autofree char *act3 = only (world, "act3");
  g_assert_cmpuint (lines->len, ==, 5);
  for (guint i = 0; i < lines->len; i++)
    {
      char **words = lines->pdata[i];
      guint8 in[MOOSH_NOISE_ACT_MAX];
      MooshNoise noise;
      start (world, TRUE, &noise);
      assert_writes (&noise, act1);
      gsize len = hex (words[2], in);
      g_assert_cmpint (moosh_noise_read_act (&noise, in, len), ==, code_of (words[1]));
      if (code_of (words[1]) == MOOSH_OK)
        {
          assert_writes (&noise, act3);
          assert_keys (world, &noise, TRUE);
        }
      else
        g_assert_cmpint (noise.step, ==, MOOSH_NOISE_FAILED);
    }
}

static void
test_vectors_responder (gconstpointer data)
{
  World *world = (World *)data;
  g_autoptr (GPtrArray) lines = lines_of (world, "responder");
  g_autofree char *act2 = only (world, "act2");
  g_assert_cmpuint (lines->len, ==, 10);
  for (guint i = 0; i < lines->len; i++)
    {
      char **words = lines->pdata[i];
      gboolean has_act3 = !g_str_equal (words[3], "-");
      guint8 in[MOOSH_NOISE_ACT_MAX];
      MooshNoise noise;
      start (world, FALSE, &noise);
      gsize len = hex (words[2], in);
      g_assert_cmpint (moosh_noise_read_act (&noise, in, len), ==,
                       has_act3 ? 0 : code_of (words[1]));
      if (!has_act3)
        continue;
      assert_writes (&noise, act2);
      len = hex (words[3], in);
      g_assert_cmpint (moosh_noise_read_act (&noise, in, len), ==, code_of (words[1]));
      if (code_of (words[1]) != MOOSH_OK)
        continue;
      g_assert_cmpmem (noise.remote_static, 33, world->keys[0], 33);
      assert_keys (world, &noise, FALSE);
    }
}

static void
test_vectors_messages (gconstpointer data)
{
  World *world = (World *)data;
  g_autoptr (GPtrArray) lines = lines_of (world, "message");
  MooshNoiseCipher send, receive;
  guint checked = 0;
  pair (world, &send, &receive);
  for (guint i = 0; i <= 1001; i++)
    {
      guint8 frame[5 + MOOSH_NOISE_OVERHEAD], out[5];
      gsize len = 0;
      g_assert_cmpint (moosh_noise_seal (&send, "hello", 5, frame, sizeof frame), ==, 0);
      for (guint k = 0; k < lines->len; k++)
        {
          char **words = lines->pdata[k];
          if (g_ascii_strtoull (words[1], NULL, 10) != i)
            continue;
          assert_hex (frame, sizeof frame, words[2]);
          checked++;
        }
      g_assert_cmpint (moosh_noise_open_header (&receive, frame, MOOSH_NOISE_HEADER, &len), ==, 0);
      g_assert_cmpuint (len, ==, 5);
      g_assert_cmpint (
          moosh_noise_open_body (&receive, frame + MOOSH_NOISE_HEADER, 5 + MOOSH_NOISE_TAG, out),
          ==, 0);
      g_assert_cmpmem (out, 5, "hello", 5);
    }
  g_assert_cmpuint (checked, ==, 6);
  moosh_noise_cipher_clear (&send);
  moosh_noise_cipher_clear (&receive);
}

/* Bring an end to the point where it reads act `number` (1–3), and give that act as it should be.
 */
static gsize
until_act (World *world, int number, MooshNoise *ret_reader, guint8 act[MOOSH_NOISE_ACT_MAX])
{
  MooshNoise ends[2];
  start (world, TRUE, &ends[0]);
  start (world, FALSE, &ends[1]);
  for (int i = 1;; i++)
    {
      int writer = i % 2 == 1 ? 0 : 1;
      gsize len = moosh_noise_act_len (&ends[writer]);
      g_assert_cmpint (moosh_noise_write_act (&ends[writer], act), ==, 0);
      if (i == number)
        {
          *ret_reader = ends[!writer];
          return len;
        }
      g_assert_cmpint (moosh_noise_read_act (&ends[!writer], act, len), ==, 0);
    }
}

static void
assert_dead (MooshNoise *noise)
{
  guint8 act[MOOSH_NOISE_ACT_MAX];
  MooshNoiseCipher a, b;
  static const guint8 zeros[32];
  g_assert_cmpint (noise->step, ==, MOOSH_NOISE_FAILED);
  g_assert_cmpmem (noise->ephemeral_secret, 32, zeros, 32);
  g_assert_cmpmem (noise->temp_k, 32, zeros, 32);
  g_assert_cmpmem (noise->ck, 32, zeros, 32);
  g_assert_cmpuint (moosh_noise_act_len (noise), ==, 0);
  g_assert_cmpint (moosh_noise_write_act (noise, act), ==, MOOSH_E_STATE);
  g_assert_cmpint (moosh_noise_read_act (noise, act, 50), ==, MOOSH_E_STATE);
  g_assert_cmpint (moosh_noise_split (noise, &a, &b), ==, MOOSH_E_STATE);
}

static void
test_every_byte (gconstpointer data)
{
  World *world = (World *)data;
  static const guint8 flips[] = { 0x01, 0x80, 0xff };
  for (int number = 1; number <= 3; number++)
    {
      MooshNoise reader;
      guint8 act[MOOSH_NOISE_ACT_MAX];
      gsize len = until_act (world, number, &reader, act);
      for (gsize at = 0; at < len; at++)
        for (guint f = 0; f < G_N_ELEMENTS (flips); f++)
          {
            MooshNoise victim = reader;
            act[at] ^= flips[f];
            int r = moosh_noise_read_act (&victim, act, len);
            act[at] ^= flips[f];
            g_assert_cmpint (r, <, 0);
            if (at == 0)
              g_assert_cmpint (r, ==, MOOSH_E_RANGE);
            assert_dead (&victim);
          }
      g_assert_cmpint (moosh_noise_read_act (&reader, act, len), ==, 0); /* untouched, it passes */
    }
}

static void
test_every_length (gconstpointer data)
{
  World *world = (World *)data;
  for (int number = 1; number <= 3; number++)
    {
      MooshNoise reader;
      guint8 act[2 * MOOSH_NOISE_ACT_MAX] = { 0 };
      gsize len = until_act (world, number, &reader, act);
      for (gsize n = 0; n < sizeof act; n++)
        {
          if (n == len)
            continue;
          MooshNoise victim = reader;
          g_autofree guint8 *exact
              = g_memdup2 (act, n > 0 ? n : 1); /* so that ASan sees a read too far */
          int r = moosh_noise_read_act (&victim, exact, n);
          g_assert_cmpint (r, ==, n < len ? MOOSH_E_SHORT : MOOSH_E_TRAILING);
          assert_dead (&victim);
        }
    }
}

static int
refuse (const uint8_t public_key[33] G_GNUC_UNUSED, uint8_t ret_secret[32] G_GNUC_UNUSED,
        void *data G_GNUC_UNUSED)
{
  return MOOSH_E_LIMIT;
}

static void
test_refusals (gconstpointer data)
{
  World *world = (World *)data;
  MooshNoise noise;
  guint8 act[MOOSH_NOISE_ACT_MAX], bad_key[33] = { 4 }, zeros[32] = { 0 };
  char prologue[MOOSH_NOISE_PROLOGUE_MAX + 2];
  memset (prologue, 'p', sizeof prologue);
  prologue[MOOSH_NOISE_PROLOGUE_MAX + 1] = '\0';

  MooshNoiseConfig config = { .initiator = true,
                              .static_key = world->keys[0],
                              .remote_key = bad_key,
                              .ephemeral = world->secrets[I_EPHEMERAL],
                              .ecdh = ecdh };
  g_assert_cmpint (moosh_noise_init (&noise, &world->curve, &config), ==, MOOSH_E_CRYPTO);
  config.remote_key = world->keys[1];
  config.ephemeral = zeros;
  g_assert_cmpint (moosh_noise_init (&noise, &world->curve, &config), ==, MOOSH_E_CRYPTO);
  config.ephemeral = world->secrets[I_EPHEMERAL];
  config.prologue = (MooshSpan){ (guint8 *)prologue, MOOSH_NOISE_PROLOGUE_MAX + 1 };
  g_assert_cmpint (moosh_noise_init (&noise, &world->curve, &config), ==, MOOSH_E_LIMIT);
  config.prologue.len = MOOSH_NOISE_PROLOGUE_MAX;
  g_assert_cmpint (moosh_noise_init (&noise, &world->curve, &config), ==, 0);

  /* Out of turn. */
  start (world, FALSE, &noise);
  g_assert_cmpint (moosh_noise_write_act (&noise, act), ==, MOOSH_E_STATE);
  start (world, TRUE, &noise);
  g_assert_cmpint (moosh_noise_read_act (&noise, act, 50), ==, MOOSH_E_STATE);
  assert_dead (&noise);

  /* The key's keeper says no: its code is handed on. */
  MooshNoise reader;
  gsize len = until_act (world, 1, &reader, act);
  reader.ecdh = refuse;
  g_assert_cmpint (moosh_noise_read_act (&reader, act, len), ==, MOOSH_E_LIMIT);
  assert_dead (&reader);

  /* Another prologue, another protocol. */
  MooshNoise initiator;
  start_with (world, TRUE, "mooshnet/1", &initiator);
  start_with (world, FALSE, "mooshnet/2", &noise);
  g_assert_cmpint (moosh_noise_write_act (&initiator, act), ==, 0);
  g_assert_cmpint (moosh_noise_read_act (&noise, act, 50), ==, MOOSH_E_CRYPTO);
}

static int
open_frame (MooshNoiseCipher *cipher, const guint8 *frame, gsize frame_len, guint8 *out,
            gsize *ret_len)
{
  int r = moosh_noise_open_header (cipher, frame, MOOSH_NOISE_HEADER, ret_len);
  if (r < 0)
    return r;
  return moosh_noise_open_body (cipher, frame + MOOSH_NOISE_HEADER, frame_len - MOOSH_NOISE_HEADER,
                                out);
}

static void
test_frame_sizes (gconstpointer data)
{
  World *world = (World *)data;
  static const gsize sizes[] = { 0, 1, 15, 16, 17, 1024, 65534, 65535 };
  MooshNoiseCipher send, receive;
  gsize room = MOOSH_NOISE_MESSAGE_MAX + 1 + MOOSH_NOISE_OVERHEAD;
  g_autofree guint8 *message = g_malloc (room), *frame = g_malloc (room), *out = g_malloc (room);
  for (gsize i = 0; i < room; i++)
    message[i] = (guint8)(i * 7 + 1);
  pair (world, &send, &receive);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (int in_place = 0; in_place < 2; in_place++)
      {
        gsize len = 0, size = sizes[i] + MOOSH_NOISE_OVERHEAD;
        g_assert_cmpint (moosh_noise_seal (&send, message, sizes[i], frame, size - 1), ==,
                         MOOSH_E_SPACE);
        if (in_place)
          memcpy (frame + MOOSH_NOISE_HEADER, message, sizes[i]);
        const guint8 *from = in_place ? frame + MOOSH_NOISE_HEADER : message;
        g_assert_cmpint (moosh_noise_seal (&send, from, sizes[i], frame, size), ==, 0);
        guint8 *to = in_place ? frame + MOOSH_NOISE_HEADER : out;
        g_assert_cmpint (open_frame (&receive, frame, size, to, &len), ==, 0);
        g_assert_cmpmem (to, len, message, sizes[i]);
      }
  g_assert_cmpint (moosh_noise_seal (&send, message, MOOSH_NOISE_MESSAGE_MAX + 1, frame, room), ==,
                   MOOSH_E_LIMIT);
  moosh_noise_cipher_clear (&send);
  moosh_noise_cipher_clear (&receive);
  g_assert_cmpint (moosh_noise_seal (&send, message, 1, frame, room), ==, MOOSH_E_STATE);
}

/* A flipped bit, a frame left out, repeated or from the other direction: refused, and then for
 * good. */
static void
test_frame_attacks (gconstpointer data)
{
  World *world = (World *)data;
  guint8 frames[3][4 + MOOSH_NOISE_OVERHEAD], out[4];
  gsize len = 0;
  for (gsize at = 0; at < sizeof frames[0]; at++)
    {
      MooshNoiseCipher send, receive;
      pair (world, &send, &receive);
      g_assert_cmpint (moosh_noise_seal (&send, "ping", 4, frames[0], sizeof frames[0]), ==, 0);
      g_assert_cmpint (moosh_noise_seal (&send, "pong", 4, frames[1], sizeof frames[1]), ==, 0);
      frames[0][at] ^= 0x10;
      g_assert_cmpint (open_frame (&receive, frames[0], sizeof frames[0], out, &len), ==,
                       MOOSH_E_CRYPTO);
      frames[0][at] ^= 0x10;
      g_assert_cmpint (open_frame (&receive, frames[0], sizeof frames[0], out, &len), ==,
                       MOOSH_E_STATE);
      moosh_noise_cipher_clear (&send);
      moosh_noise_cipher_clear (&receive);
    }
  for (int attack = 0; attack < 3; attack++)
    {
      MooshNoiseCipher send, receive;
      pair (world, &send, &receive);
      for (int i = 0; i < 3; i++)
        g_assert_cmpint (moosh_noise_seal (&send, "ping", 4, frames[i], sizeof frames[i]), ==, 0);
      if (attack == 0) /* replay */
        {
          g_assert_cmpint (open_frame (&receive, frames[0], sizeof frames[0], out, &len), ==, 0);
          g_assert_cmpint (open_frame (&receive, frames[0], sizeof frames[0], out, &len), ==,
                           MOOSH_E_CRYPTO);
        }
      else if (attack == 1) /* left out */
        g_assert_cmpint (open_frame (&receive, frames[1], sizeof frames[1], out, &len), ==,
                         MOOSH_E_CRYPTO);
      else /* reflected: the sender's other direction has another key */
        {
          MooshNoise ends[2];
          MooshNoiseCipher a, b;
          shake (world, ends);
          g_assert_cmpint (moosh_noise_split (&ends[0], &a, &b), ==, 0);
          g_assert_cmpint (open_frame (&b, frames[0], sizeof frames[0], out, &len), ==,
                           MOOSH_E_CRYPTO);
          moosh_noise_cipher_clear (&a);
          moosh_noise_cipher_clear (&b);
        }
      moosh_noise_cipher_clear (&send);
      moosh_noise_cipher_clear (&receive);
    }
}

static void
test_frame_order (gconstpointer data)
{
  World *world = (World *)data;
  guint8 frame[4 + MOOSH_NOISE_OVERHEAD], out[8];
  gsize len = 0;
  static const struct {
    gsize body_len;
    int code;
  } cases[] = { { 4 + MOOSH_NOISE_TAG - 1, MOOSH_E_SHORT },
                { 4 + MOOSH_NOISE_TAG + 1, MOOSH_E_TRAILING },
                { 0, MOOSH_E_SHORT } };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MooshNoiseCipher send, receive;
      pair (world, &send, &receive);
      g_assert_cmpint (moosh_noise_seal (&send, "ping", 4, frame, sizeof frame), ==, 0);
      g_assert_cmpint (moosh_noise_open_header (&receive, frame, MOOSH_NOISE_HEADER, &len), ==, 0);
      g_assert_cmpint (moosh_noise_open_body (&receive, frame + 18, cases[i].body_len, out), ==,
                       cases[i].code);
      g_assert_cmpint (moosh_noise_open_body (&receive, frame + 18, 4 + MOOSH_NOISE_TAG, out), ==,
                       MOOSH_E_STATE);
      moosh_noise_cipher_clear (&send);
      moosh_noise_cipher_clear (&receive);
    }
  MooshNoiseCipher send, receive;
  pair (world, &send, &receive);
  g_assert_cmpint (moosh_noise_open_body (&receive, frame, 16, out), ==, MOOSH_E_STATE);
  moosh_noise_cipher_clear (&receive);
  moosh_noise_cipher_clear (&send);
  for (gsize n = 0; n <= MOOSH_NOISE_HEADER + 1; n++)
    {
      if (n == MOOSH_NOISE_HEADER)
        continue;
      guint8 header[MOOSH_NOISE_HEADER + 1] = { 0 };
      pair (world, &send, &receive);
      g_assert_cmpint (moosh_noise_open_header (&receive, header, n, &len), ==,
                       n < MOOSH_NOISE_HEADER ? MOOSH_E_SHORT : MOOSH_E_TRAILING);
      moosh_noise_cipher_clear (&receive);
      moosh_noise_cipher_clear (&send);
    }
}

int
main (int argc, char **argv)
{
  static World world;
  g_test_init (&argc, &argv, NULL);
  world_init (&world);
  g_test_add_data_func ("/noise/vectors/initiator", &world, test_vectors_initiator);
  g_test_add_data_func ("/noise/vectors/responder", &world, test_vectors_responder);
  g_test_add_data_func ("/noise/vectors/messages", &world, test_vectors_messages);
  g_test_add_data_func ("/noise/handshake/every-byte", &world, test_every_byte);
  g_test_add_data_func ("/noise/handshake/every-length", &world, test_every_length);
  g_test_add_data_func ("/noise/handshake/refusals", &world, test_refusals);
  g_test_add_data_func ("/noise/frame/sizes", &world, test_frame_sizes);
  g_test_add_data_func ("/noise/frame/attacks", &world, test_frame_attacks);
  g_test_add_data_func ("/noise/frame/order", &world, test_frame_order);
  int r = g_test_run ();
  g_free (world.text);
  return r;
}
