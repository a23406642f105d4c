/* Statements, the ratings in them, and certificates. */
#include "core/key/key.h"
#include "peer/certificate.h"
#include "peer/statement.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check (gboolean ok)
{
  if (!ok)
    abort ();
}

static void
rating (const guint8 *ptr, gsize len)
{
  MooshRating got, twice;
  guint8 dkey[MOOSH_RATING_DKEY_LEN];
  if (!moosh_rating_decode (ptr, len, &got, NULL))
    return;
  g_autoptr (GBytes) bytes = moosh_rating_encode (&got, NULL);
  check (bytes != NULL);
  check (
      moosh_rating_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &twice, NULL));
  check (twice.stars == got.stars && strcmp (twice.comment, got.comment) == 0);
  moosh_rating_dkey (&got, dkey);
  twice.comment[0] = '\xff'; /* no text, nor is what has no end */
  check (moosh_rating_encode (&twice, NULL) == NULL);
  memset (twice.comment, 'x', sizeof twice.comment);
  check (moosh_rating_encode (&twice, NULL) == NULL);
}

/* A wallet's signature in either form of v gives the same certificate; what is none is refused. */
static void
wallet_signs (const MooshCertificate *good)
{
  MooshCertificate made = *good;
  guint8 signature[65];
  memcpy (signature, good->signature, 65);
  signature[64] = (guint8)(signature[64] - 27);
  check (moosh_certificate_set_signature (&made, signature, NULL));
  check (memcmp (&made, good, sizeof made) == 0);
  signature[64] = 2;
  check (!moosh_certificate_set_signature (&made, signature, NULL));
}

static void
certificate (const guint8 *ptr, gsize len)
{
  MooshCertificate got;
  if (!moosh_certificate_decode (ptr, len, &got, NULL))
    return;
  g_free (moosh_certificate_typed_data (&got));
  g_autoptr (GBytes) bytes = moosh_certificate_encode (&got);
  check (moosh_certificate_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &got,
                                   NULL));
  check (moosh_certificate_check_time (&got, -1, NULL)
         && moosh_certificate_check_time (&got, 0, NULL));
  check (moosh_certificate_check_time (&got, G_MAXINT64, NULL)
         == (got.not_after_s >= (guint64)G_MAXINT64 - 600));
  wallet_signs (&got);
}

/* What is our own key's passes with our signature. */
static void
signed_by_us (const guint8 *data, gsize size, const MooshStatement *got)
{
  static const guint8 aux[32];
  static MooshCurve curve;
  static guint8 secret[32], own[33];
  guint8 signature[64];
  MooshStatement out;
  if (own[0] == 0)
    {
      moosh_curve_init (&curve, NULL);
      memset (secret, 103, sizeof secret);
      check (moosh_key_public (&curve, secret, own) == 0);
    }
  if (memcmp (got->author, own, 33) != 0)
    return;
  check (moosh_statement_sign (&curve, secret, (MooshSpan){ data, size }, aux, signature) == 0);
  check (moosh_statement_check (data, size, signature, &out, NULL));
}

/* What may not be made is not made. */
static void
unfit (const MooshStatement *fit)
{
  MooshStatement bad[] = { *fit, *fit, *fit, *fit };
  bad[0].expires_s = fit->created_s;
  bad[1].dkey_len = MOOSH_STATEMENT_DKEY_MAX + 1;
  bad[2].body_len = MOOSH_STATEMENT_BODY_MAX + 1;
  bad[3].kind = MOOSH_STATEMENT_KIND_MAX + 1;
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    check (moosh_statement_encode (&bad[i], NULL) == NULL);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const guint8 zeros[64];
  MooshStatement got, twice;
  guint8 id[32];
#ifdef MOOSH_CANARY
  if (size > 0 && data[0] >> 5 == 4)
    return 0; /* an array: fuzz_cbor's planted bug is not the one to be found here */
#endif
  rating (data, size);
  certificate (data, size);
  if (!moosh_statement_decode (data, size, &got, NULL))
    return 0;
  moosh_statement_id (data, size, id);
  g_autoptr (GBytes) bytes = moosh_statement_encode (&got, NULL);
  check (bytes != NULL
         && g_bytes_get_size (bytes) <= size); /* shorter when odd members were ignored */
  check (moosh_statement_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &twice,
                                 NULL));
  check (twice.kind == got.kind && twice.seq == got.seq && twice.body_len == got.body_len);
  check (moosh_statement_check (data, size, size > 64 ? data + size - 64 : zeros, &twice, NULL)
         == FALSE);
  check (moosh_statement_check (data, 0, zeros, &twice, NULL) == FALSE);
  rating (got.body, got.body_len);
  signed_by_us (data, size, &got);
  unfit (&got);
  return 0;
}
