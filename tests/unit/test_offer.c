/* Offers: hashes against an independent implementation, wire and JSON forms both ways, every check.
 */
#include "base/error.h"
#include "core/cbor/cbor.h"
#include "core/key/key.h"
#include "market/offer_json.h"
#include <string.h>

/* Member i is filled with bytes i + 1: every member differs from its neighbours. */
static MooshOffer
pattern (void)
{
  MooshOffer offer = { 0 };
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      const MooshOfferField *f = &moosh_offer_fields[i];
      size_t width = moosh_field_type_bits (f->type) / 8;
      uint8_t word[32] = { 0 };
      memset (word + 32 - width, (int)i + 1, width);
      g_assert_cmpint (moosh_offer_field_set_word (&offer, f, word), ==, 0);
    }
  return offer;
}

static MooshOfferDomain
domain (void)
{
  MooshOfferDomain d = { .chain_id = 31337 };
  memset (d.book, 0xb0, 20);
  return d;
}

/* A plain offer that passes moosh_offer_check. */
static MooshOffer
sound (void)
{
  MooshOffer o = { .overcommit_pct = 100, .volume = 4, .units = { 1000, 1024, 10, 0, 0 } };
  memset (o.maker, 0x11, 20);
  memset (o.pool, 0x22, 32);
  memset (o.token, 0x33, 20);
  o.rate_x = moosh_u256 (1000);
  o.paused_rate_x = moosh_u256 (10);
  o.accept_within_s = 120;
  o.provision_within_s = 1200;
  o.probe_window_s = 600;
  o.expiry = 2000000000;
  return o;
}

/* Anvil's first account. */
static const char *const test_secret
    = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

static MooshSignedOffer
signed_pattern (void)
{
  static MooshCurve curve;
  MooshSignedOffer so = { .offer = pattern (), .domain = domain (), .sig_len = 65 };
  uint8_t secret[32], digest[32];
  MooshSignature sig;
  g_assert_cmpint (moosh_hex_decode (test_secret, secret, 32), ==, 0);
  moosh_curve_init (&curve, NULL);
  g_assert_cmpint (moosh_key_address (&curve, secret, so.offer.maker), ==, 0);
  moosh_offer_digest (&so.offer, &so.domain, digest);
  g_assert_cmpint (moosh_sign (&curve, secret, digest, &sig), ==, 0);
  moosh_signature_to_bytes (&sig, so.sig);
  return so;
}

static void
assert_hex (const uint8_t *bytes, size_t len, const char *hex)
{
  g_autofree char *text = g_malloc (2 * len + 1);
  moosh_hex_encode (bytes, len, text);
  g_assert_cmpstr (text, ==, hex);
}

/* The signature is Foundry's: cast wallet sign --data --from-file <moosh_offer_to_typed_data of
 * pattern ()>
 * --private-key 0x<test_secret>, cast 1.7.1. It covers types, domain and every member. */
static void
test_digest (void)
{
  static MooshCurve curve;
  MooshOffer offer = pattern ();
  MooshOfferDomain d = domain ();
  uint8_t hash[32], digest[32], secret[32], bytes[65];
  MooshSignature sig;
  moosh_offer_hash (&offer, hash);
  assert_hex (hash, 32, "bfbe2408130ef5165eb73bd78e914dc51ca5a4983140a8a8d4e38794bb6b1dfb");
  moosh_offer_digest (&offer, &d, digest);
  assert_hex (digest, 32, "9b94bf806a9ece63344da12f7b70766d46fe40e25693ee5c8eee7741344e67ef");
  moosh_curve_init (&curve, NULL);
  moosh_hex_decode (test_secret, secret, 32);
  g_assert_cmpint (moosh_sign (&curve, secret, digest, &sig), ==, 0);
  moosh_signature_to_bytes (&sig, bytes);
  assert_hex (bytes, 65,
              "4be7c496ffba14dba5392114614062d3b777b38cd29003efc41481f5971e1ad7"
              "33e3a5549ac1850aacc05a3d46094751eccf9359f4eab6fb0e53176d27acce661c");
}

/* A change of any member changes the hash. */
static void
test_hash_covers_all (void)
{
  MooshOffer offer = pattern ();
  uint8_t before[32], after[32], word[32];
  moosh_offer_hash (&offer, before);
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      MooshOffer other = offer;
      moosh_offer_field_word (&offer, &moosh_offer_fields[i], word);
      word[31] ^= 1;
      g_assert_cmpint (moosh_offer_field_set_word (&other, &moosh_offer_fields[i], word), ==, 0);
      moosh_offer_hash (&other, after);
      g_assert_cmpint (memcmp (before, after, 32), !=, 0);
    }
}

static void
test_verify (void)
{
  MooshSignedOffer so = signed_pattern ();
  g_assert_cmpint (moosh_signed_offer_verify (&so), ==, 0);

  MooshSignedOffer bad = so;
  bad.offer.volume ^= 1;
  g_assert_cmpint (moosh_signed_offer_verify (&bad), ==, MOOSH_E_CRYPTO);
  bad = so;
  bad.domain.chain_id++;
  g_assert_cmpint (moosh_signed_offer_verify (&bad), ==, MOOSH_E_CRYPTO);
  bad = so;
  bad.domain.book[0] ^= 1;
  g_assert_cmpint (moosh_signed_offer_verify (&bad), ==, MOOSH_E_CRYPTO);
  bad = so;
  bad.offer.maker[19] ^= 1;
  g_assert_cmpint (moosh_signed_offer_verify (&bad), ==, MOOSH_E_CRYPTO);
  bad = so;
  bad.sig_len = 66;
  g_assert_cmpint (moosh_signed_offer_verify (&bad), ==, MOOSH_E_CRYPTO);
  bad = so;
  bad.sig[64] = (uint8_t)(bad.sig[64] - 27); /* v = 0/1 is not what contracts take */
  g_assert_cmpint (moosh_signed_offer_verify (&bad), ==, MOOSH_E_CRYPTO);
}

static void
test_words (void)
{
  MooshOffer offer = pattern (), back;
  uint8_t words[MOOSH_OFFER_ABI_SIZE];
  moosh_offer_to_words (&offer, words);
  g_assert_cmpint (moosh_offer_from_words (words, &back), ==, 0);
  g_assert_cmpmem (&offer, sizeof offer, &back, sizeof back);
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      unsigned bits = moosh_field_type_bits (moosh_offer_fields[i].type);
      if (bits == 256)
        continue;
      uint8_t dirty[MOOSH_OFFER_ABI_SIZE];
      memcpy (dirty, words, sizeof dirty);
      dirty[32 * i + 31 - bits / 8] = 1; /* the bit just above the type */
      g_assert_cmpint (moosh_offer_from_words (dirty, &back), ==, MOOSH_E_RANGE);
    }
}

static size_t
encode (const MooshSignedOffer *so, uint8_t out[MOOSH_OFFER_WIRE_MAX])
{
  size_t len = 0;
  g_assert_cmpint (moosh_signed_offer_encode (so, out, MOOSH_OFFER_WIRE_MAX, &len), ==, 0);
  return len;
}

static void
test_wire (void)
{
  MooshSignedOffer so = signed_pattern (), back, untouched;
  uint8_t wire[MOOSH_OFFER_WIRE_MAX];
  size_t len = encode (&so, wire), full;
  g_assert_cmpint (moosh_signed_offer_decode (wire, len, &back), ==, 0);
  g_assert_cmpmem (&so, sizeof so, &back, sizeof back);

  memset (&back, 0x5a, sizeof back);
  untouched = back;
  for (size_t cut = 0; cut < len; cut++)
    g_assert_cmpint (moosh_signed_offer_decode (wire, cut, &back), <, 0);
  g_assert_cmpmem (&back, sizeof back, &untouched, sizeof untouched);
  wire[len] = 0;
  g_assert_cmpint (moosh_signed_offer_decode (wire, len + 1, &back), ==, MOOSH_E_TRAILING);

  g_assert_cmpint (moosh_signed_offer_encode (&so, wire, len - 1, &full), ==, MOOSH_E_SPACE);
  g_assert_cmpint (moosh_signed_offer_encode (&so, wire, len, &full), ==, 0);
}

/* The extremes: all zero, all ones with the longest signature, and one byte beyond each limit. */
static void
test_wire_limits (void)
{
  MooshSignedOffer so = { .sig_len = 65 }, back;
  uint8_t wire[MOOSH_OFFER_WIRE_MAX], ones[MOOSH_OFFER_ABI_SIZE] = { 0 };
  size_t len = encode (&so, wire);
  g_assert_cmpint (moosh_signed_offer_decode (wire, len, &back), ==, 0);
  g_assert_cmpmem (&so, sizeof so, &back, sizeof back);

  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      size_t width = moosh_field_type_bits (moosh_offer_fields[i].type) / 8;
      memset (ones + 32 * i + 32 - width, 0xff, width);
    }
  g_assert_cmpint (moosh_offer_from_words (ones, &so.offer), ==, 0);
  so.domain.chain_id = UINT64_MAX;
  so.sig_len = MOOSH_OFFER_SIG_MAX;
  memset (so.sig, 0xff, sizeof so.sig);
  len = encode (&so, wire);
  g_assert_cmpint (moosh_signed_offer_decode (wire, len, &back), ==, 0);
  g_assert_cmpmem (&so, sizeof so, &back, sizeof back);

  so.sig_len = 64;
  g_assert_cmpint (moosh_signed_offer_encode (&so, wire, sizeof wire, &len), ==, MOOSH_E_RANGE);
  so.sig_len = 65;
  so.offer.rate_x = moosh_u256_shl (&(MooshU256){ { 1, 0, 0, 0 } }, 96);
  g_assert_cmpint (moosh_signed_offer_encode (&so, wire, sizeof wire, &len), ==, MOOSH_E_RANGE);
}

/* Rebuild the map with a further key, or with the offer's array replaced. */
static size_t
rebuild (const uint8_t *wire, size_t len, int extra_key, uint8_t *out)
{
  MooshCborReader reader;
  MooshCborMap map;
  MooshCborWriter writer;
  MooshSpan item;
  unsigned key;
  size_t out_len = 0;
  g_assert_cmpint (moosh_cbor_read_init (&reader, wire, len), ==, 0);
  g_assert_cmpint (moosh_cbor_read_map (&reader, &map), ==, 0);
  moosh_cbor_write_init (&writer, out, MOOSH_OFFER_WIRE_MAX);
  moosh_cbor_put_map (&writer, extra_key >= 0 ? 5 : 3);
  while (moosh_cbor_next (&reader, &map, &key) > 0)
    {
      moosh_cbor_skip (&reader, &item);
      if (extra_key < 0 && (int)key == -extra_key - 1)
        continue; /* drop this one */
      moosh_cbor_put_key (&writer, key);
      moosh_cbor_put_item (&writer, item.ptr, item.len);
    }
  if (extra_key >= 0)
    {
      moosh_cbor_put_key (&writer, (unsigned)extra_key);
      moosh_cbor_put_uint (&writer, 7);
    }
  g_assert_cmpint (moosh_cbor_finish (&writer, &out_len), ==, 0);
  return out_len;
}

static void
test_wire_evolution (void)
{
  MooshSignedOffer so = signed_pattern (), back;
  uint8_t wire[MOOSH_OFFER_WIRE_MAX], other[MOOSH_OFFER_WIRE_MAX];
  size_t len = encode (&so, wire), other_len = rebuild (wire, len, 7, other);
  g_assert_cmpint (moosh_signed_offer_decode (other, other_len, &back), ==, 0);
  g_assert_cmpmem (&so, sizeof so, &back, sizeof back);
  other_len = rebuild (wire, len, 8, other);
  g_assert_cmpint (moosh_signed_offer_decode (other, other_len, &back), ==, MOOSH_E_MALFORMED);
  for (int key = 0; key <= 6; key += 2)
    {
      other_len = rebuild (wire, len, -key - 1, other);
      g_assert_cmpint (moosh_signed_offer_decode (other, other_len, &back), ==, MOOSH_E_SHORT);
    }
}

/* One value, one encoding: a padded number and an all-zero address at full length are refused. */
static void
test_wire_canonical (void)
{
  MooshSignedOffer so = signed_pattern (), back;
  uint8_t wire[MOOSH_OFFER_WIRE_MAX];
  size_t len;
  so.offer.rate_x = moosh_u256 (0x0dadadad);
  len = encode (&so, wire);
  uint8_t *at = memmem (wire, len, "\x44\x0d\xad\xad\xad", 5);
  g_assert_nonnull (at);
  at[1] = 0;
  g_assert_cmpint (moosh_signed_offer_decode (wire, len, &back), ==, MOOSH_E_NONCANONICAL);

  memset (so.offer.arbiter, 0xc7, 20);
  len = encode (&so, wire);
  at = memmem (wire, len, so.offer.arbiter, 20);
  g_assert_nonnull (at);
  memset (at, 0, 20);
  g_assert_cmpint (moosh_signed_offer_decode (wire, len, &back), ==, MOOSH_E_NONCANONICAL);
}

static void
test_json (void)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = signed_pattern (), back;
  so.offer.side = MOOSH_SIDE_BUY;
  so.offer.kind = MOOSH_KIND_GPU;
  so.offer.class = MOOSH_CLASS_SHARED;
  g_autoptr (JsonObject) object = moosh_signed_offer_to_json (&so);
  g_assert_cmpstr (json_object_get_string_member (object, "kind"), ==, "gpu");
  g_assert_cmpstr (json_object_get_string_member (object, "side"), ==, "buy");
  g_autofree char *text = moosh_json_print (object, FALSE);
  g_autoptr (JsonObject) parsed = moosh_json_parse (text, -1, &error);
  g_assert_no_error (error);
  g_assert_true (moosh_signed_offer_from_json (parsed, &back, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (&so, sizeof so, &back, sizeof back);
}

static void
test_json_refused (void)
{
  static const struct {
    const char *member, *value; /* NULL: remove */
  } cases[] = {
    { "maker", NULL },  { "maker", "0x12" },         { "rateX", "79228162514264337593543950336" },
    { "rateX", "-1" },  { "rateX", "1.5" },          { "kind", "teapot" },
    { "pool", "0xzz" }, { "units", NULL },           { "signature", "0x00" },
    { "book", "0x00" }, { "minTerm", "4294967296" }, { "expiry", "" },
  };
  MooshSignedOffer so = signed_pattern (), back;
  so.offer.side = so.offer.kind = so.offer.class = 0;
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonObject) object = moosh_signed_offer_to_json (&so);
      if (cases[i].value == NULL)
        json_object_remove_member (object, cases[i].member);
      else
        json_object_set_string_member (object, cases[i].member, cases[i].value);
      g_assert_false (moosh_signed_offer_from_json (object, &back, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_assert_nonnull (strstr (error->message, cases[i].member));
    }
}

static void
test_check (void)
{
  const MooshU256 two96 = moosh_u256_shl (&(MooshU256){ { 1, 0, 0, 0 } }, 96);
  MooshOffer o = sound ();
  g_assert_cmpint (moosh_offer_check (&o, 1), ==, MOOSH_OFFER_OK);
#define REFUSED(change, fault)                                                                     \
  o = sound ();                                                                                    \
  change;                                                                                          \
  g_assert_cmpint (moosh_offer_check (&o, 1), ==, MOOSH_OFFER_##fault);                            \
  g_assert_cmpstr (moosh_offer_fault_text (MOOSH_OFFER_##fault), !=, "unknown fault")
#define ALLOWED(change)                                                                            \
  o = sound ();                                                                                    \
  change;                                                                                          \
  g_assert_cmpint (moosh_offer_check (&o, 1), ==, MOOSH_OFFER_OK)
  REFUSED (memset (o.maker, 0, 20), BAD_MAKER);
  REFUSED (o.side = 2, BAD_SIDE);
  REFUSED (o.kind = MOOSH_N_KINDS, BAD_KIND);
  REFUSED (o.class = 2, BAD_CLASS);
  REFUSED (o.overcommit_pct = 101, BAD_OVERCOMMIT);
  REFUSED (o.class = 1; o.overcommit_pct = 99, BAD_OVERCOMMIT);
  ALLOWED (o.class = 1; o.overcommit_pct = 400);
  REFUSED (memset (o.token, 0, 20), BAD_TOKEN);
  REFUSED (o.rate_x = two96, BAD_RATE);
  REFUSED (o.paused_rate_x = moosh_u256 (1001), BAD_PAUSED_RATE);
  ALLOWED (o.paused_rate_x = moosh_u256 (1000));
  REFUSED (o.retention_rate_x = two96, BAD_RETENTION_RATE);
  REFUSED (o.min_term_s = 11; o.max_term_s = 10, BAD_TERM);
  ALLOWED (o.min_term_s = 11; o.max_term_s = 0);
  REFUSED (o.notice_s = MOOSH_OFFER_DURATION_MAX_S + 1, BAD_TIMES);
  ALLOWED (o.notice_s = MOOSH_OFFER_DURATION_MAX_S);
  REFUSED (o.accept_within_s = 0, BAD_WINDOWS);
  REFUSED (o.provision_within_s = 119, BAD_WINDOWS);
  REFUSED (o.volume = 0, BAD_VOLUME);
  REFUSED (o.units = (MooshUnits){ 0 }, BAD_UNITS);
  ALLOWED (o.units = (MooshUnits){ 0 }; memset (o.pool, 0, 32));
  REFUSED (o.expiry = 0, BAD_EXPIRY);
  REFUSED (o.expiry = 1, EXPIRED);
  ALLOWED (o.expiry = 2);
  /* rejectFee = rate·probeWindow exactly is the most: 2^32·5 X/s × 600 s = 3000 wei */
  ALLOWED (o.rate_x = moosh_u256 (5ull << 32); o.reject_fee = moosh_u256 (3000));
  REFUSED (o.rate_x = moosh_u256 (5ull << 32); o.reject_fee = moosh_u256 (3001), BAD_REJECT_FEE);
#undef REFUSED
#undef ALLOWED
}

static void
test_names (void)
{
  MooshKind kind;
  for (unsigned i = 0; i < MOOSH_N_KINDS; i++)
    {
      g_assert_cmpint (moosh_kind_from_name (moosh_kind_name (i), &kind), ==, 0);
      g_assert_cmpint (kind, ==, i);
    }
  g_assert_null (moosh_kind_name (MOOSH_N_KINDS));
  g_assert_cmpint (moosh_kind_from_name ("", &kind), ==, MOOSH_E_MALFORMED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/offer/digest", test_digest);
  g_test_add_func ("/offer/hash-covers-all", test_hash_covers_all);
  g_test_add_func ("/offer/verify", test_verify);
  g_test_add_func ("/offer/words", test_words);
  g_test_add_func ("/offer/wire", test_wire);
  g_test_add_func ("/offer/wire-limits", test_wire_limits);
  g_test_add_func ("/offer/wire-evolution", test_wire_evolution);
  g_test_add_func ("/offer/wire-canonical", test_wire_canonical);
  g_test_add_func ("/offer/json", test_json);
  g_test_add_func ("/offer/json-refused", test_json_refused);
  g_test_add_func ("/offer/check", test_check);
  g_test_add_func ("/offer/names", test_names);
  return g_test_run ();
}
