/* What the policy refuses, which rule it names, and what the ledger remembers. */
#include "base/json.h"
#include "daemon/keyd/ledger.h"
#include "daemon/keyd/policy.h"
#include <glib/gstdio.h>
#include <string.h>

#define SELF   "00000000000000000000000000000000000000aa"
#define OTHER  "00000000000000000000000000000000000000bb"
#define MARKET "0000000000000000000000000000000000001001"
#define VAULT  "0000000000000000000000000000000000001002"
#define SHOP   "0000000000000000000000000000000000001003"
#define TOKEN  "0000000000000000000000000000000000002001"
#define ZEROS  "000000000000000000000000"

static const char policy_text[]
    = "[chains]\nallowed=31337;5\n"
      "[transactions]\nmax_value=10\nmax_fee=1000000\nper_day=1500000\n"
      "[token usd]\naddress=0x" TOKEN "\nper_tx=100\nper_day=150\ntransfer_to=0x" OTHER
      "\nspenders=0x" SHOP "\nmetered=0x" VAULT "\n"
      "[contract market]\naddress=0x" MARKET "\nfunctions=accept(uint64);0x11223344\n"
      "[contract open]\naddress=0x" SHOP "\nfunctions=*\n"
      "[call "
      "take]\ncontract=market\nfunction=0xaabbccdd\nself_word=0\namount_word=2\ntoken_word=1\n"
      "[call top]\ncontract=market\nfunction=0xaabbccde\namount_word=0\ntoken=usd\n"
      "[typed offer]\ndomain=MooshNet\nprimary_type=Offer\ncontract=0x" MARKET
      "\nwhere=side:0\nself_member=maker\n"
      "[typed bid]\ndomain=MooshNet\nprimary_type=Offer\ncontract=0x" MARKET
      "\nwhere=side:1\nspend=bid\n"
      "[typed order]\ndomain=Shop\nprimary_type=Order\ncontract=0x" SHOP
      "\nspend=member:price\ntoken=usd\n"
      "[typed certificate]\ndomain=MooshNet\nprimary_type=NodeCertificate\nchain=none\n";

static guint8 self[20];

static Policy *
policy_new (void)
{
  g_autoptr (GError) error = NULL;
  Policy *policy = policy_parse (policy_text, &error);

  g_assert_no_error (error);
  return policy;
}

/* ---- transactions ---- */

typedef struct {
  const char *what, *to, *data;
  guint64 chain_id, value, gas, max_fee;
  const char *refusal; /* NULL: allowed */
  const char *spent;   /* of the token; NULL: nothing */
} TxCase;

#define TRANSFER     "a9059cbb" ZEROS
#define APPROVE      "095ea7b3" ZEROS
#define AMOUNT(hex2) "00000000000000000000000000000000000000000000000000000000000000" hex2
#define FINE         31337, 0, 1000, 1000

static const TxCase tx_cases[] = {
  { "a listed function", MARKET, "11223344", FINE, NULL, NULL },
  { "a function by its types", MARKET, "938daf46", FINE, NULL, NULL },
  { "another function", MARKET, "11223345", FINE,
    "policy: [contract market] functions: 0x11223345 is not on the list", NULL },
  { "all functions", SHOP, "deadbeef", FINE, NULL, NULL },
  { "another contract", OTHER, "11223344", FINE,
    "policy: [contract *] address: 0x00000000000000000000000000000000000000bb is not on the list",
    NULL },
  { "no function", MARKET, "", FINE, "policy: [contract *] functions: the transaction calls none",
    NULL },
  { "half a selector", MARKET, "112233", FINE,
    "policy: [contract *] functions: the transaction calls none", NULL },
  { "another chain", MARKET, "11223344", 1, 0, 1000, 1000,
    "policy: [chains] allowed: chain 1 is not on the list", NULL },
  { "the second chain", MARKET, "11223344", 5, 0, 1000, 1000, NULL, NULL },
  { "value at its limit", MARKET, "11223344", 31337, 10, 1000, 1000, NULL, NULL },
  { "value above it", MARKET, "11223344", 31337, 11, 1000, 1000,
    "policy: [transactions] max_value: 11 would exceed 10", NULL },
  { "fee above its limit", MARKET, "11223344", 31337, 0, 1001, 1000,
    "policy: [transactions] max_fee: 1001000 would exceed 1000000", NULL },
  { "transfer", TOKEN, TRANSFER OTHER AMOUNT ("64"), FINE, NULL, "100" },
  { "transfer above per_tx", TOKEN, TRANSFER OTHER AMOUNT ("65"), FINE,
    "policy: [token usd] per_tx: 101 would exceed 100", NULL },
  { "transfer to a stranger", TOKEN, TRANSFER MARKET AMOUNT ("01"), FINE,
    "policy: [token usd] transfer_to: 0x0000000000000000000000000000000000001001 is not on the "
    "list",
    NULL },
  { "transfer with a dirty address", TOKEN,
    "a9059cbb"
    "000000000000000000000001" OTHER AMOUNT ("01"),
    FINE, "policy: [token usd] address: the call's arguments are not (address,uint256)", NULL },
  { "transfer with more behind", TOKEN, TRANSFER OTHER AMOUNT ("01") "00", FINE,
    "policy: [token usd] address: the call's arguments are not (address,uint256)", NULL },
  { "transferFrom", TOKEN, "23b872dd" ZEROS OTHER ZEROS OTHER AMOUNT ("01"), FINE,
    "policy: [token usd] address: only transfer and approve, not 0x23b872dd", NULL },
  { "approve a metered spender", TOKEN, APPROVE VAULT AMOUNT ("64"), FINE, NULL, NULL },
  { "approve a metered spender too much", TOKEN, APPROVE VAULT AMOUNT ("65"), FINE,
    "policy: [token usd] per_tx: 101 would exceed 100", NULL },
  { "approve a counted spender", TOKEN, APPROVE SHOP AMOUNT ("05"), FINE, NULL, "5" },
  { "approve a stranger", TOKEN, APPROVE OTHER AMOUNT ("01"), FINE,
    "policy: [token usd] spenders: 0x00000000000000000000000000000000000000bb is not on the list",
    NULL },
  { "take", MARKET, "aabbccdd" ZEROS SELF ZEROS TOKEN AMOUNT ("63"), FINE, NULL, "99" },
  { "take nothing of nothing", MARKET, "aabbccdd" ZEROS SELF ZEROS TOKEN AMOUNT ("00"), FINE, NULL,
    NULL },
  { "take for another", MARKET, "aabbccdd" ZEROS OTHER ZEROS TOKEN AMOUNT ("63"), FINE,
    "policy: [call take] self_word: argument word 0 is not this wallet's address", NULL },
  { "take too much", MARKET, "aabbccdd" ZEROS SELF ZEROS TOKEN AMOUNT ("65"), FINE,
    "policy: [token usd] per_tx: 101 would exceed 100", NULL },
  { "take an unknown token", MARKET, "aabbccdd" ZEROS SELF ZEROS OTHER AMOUNT ("01"), FINE,
    "policy: [call take] token_word: there is no [token] with the address "
    "0x00000000000000000000000000000000000000bb",
    NULL },
  { "take cut short", MARKET, "aabbccdd" ZEROS SELF ZEROS TOKEN, FINE,
    "policy: [call take] amount_word: the call has no such argument", NULL },
  { "top up", MARKET, "aabbccde" AMOUNT ("07"), FINE, NULL, "7" },
};

static void
check_spent (GPtrArray *spends, const char *expected)
{
  const Spend *found = NULL;
  char text[79];

  for (guint i = 0; i < spends->len; i++)
    if (((const Spend *)spends->pdata[i])->token[18] == 0x20) /* not the coin */
      found = spends->pdata[i];
  if (expected == NULL)
    {
      g_assert_null (found);
      return;
    }
  g_assert_nonnull (found);
  moosh_u256_to_decimal (&found->amount, text);
  g_assert_cmpstr (text, ==, expected);
}

static void
test_transactions (void)
{
  g_autoptr (Policy) policy = policy_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (tx_cases); i++)
    {
      const TxCase *c = &tx_cases[i];
      guint8 data[512];
      gsize len = strlen (c->data) / 2;
      MooshTx tx = { .chain_id = c->chain_id, .gas = c->gas, .data = { data, len } };
      g_autoptr (GError) error = NULL;

      tx.value = moosh_u256 (c->value);
      tx.max_fee = moosh_u256 (c->max_fee);
      g_assert_cmpint (moosh_hex_decode (c->to, tx.to, 20), ==, MOOSH_OK);
      g_assert_cmpint (moosh_hex_decode (c->data, data, len), ==, MOOSH_OK);
      g_test_message ("%s", c->what);
      g_autoptr (GPtrArray) spends = policy_check_tx (policy, &tx, self, &error);
      if (c->refusal == NULL)
        {
          g_assert_no_error (error);
          check_spent (spends, c->spent);
          continue;
        }
      g_assert_null (spends);
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
      g_assert_cmpstr (error->message, ==, c->refusal);
    }
}

/* gas times fee must not wrap around a cap */
static void
test_fee_overflow (void)
{
  g_autoptr (Policy) policy = policy_new ();
  g_autoptr (GError) error = NULL;
  guint8 data[4] = { 0x11, 0x22, 0x33, 0x44 };
  MooshTx tx = { .chain_id = 31337, .gas = 2, .data = { data, 4 } };

  memset (&tx.max_fee, 0xff, sizeof tx.max_fee);
  moosh_hex_decode (MARKET, tx.to, 20);
  g_assert_null (policy_check_tx (policy, &tx, self, &error));
  g_assert_cmpstr (error->message, ==, "policy: [transactions] max_fee: more than 2^256 wei");
}

/* ---- typed data ---- */

typedef struct {
  const char *what, *primary, *domain, *contract, *message;
  gint64 chain_id; /* 0: none */
  const char *refusal, *spent;
} TypedCase;

#define BID(rate, lock, term, krate, kept, fee, volume)                                            \
  "{\"side\":1,\"maker\":\"0x" SELF "\",\"token\":\"0x" TOKEN "\",\"rateX\":\"" rate               \
  "\",\"lockPeriod\":" lock ",\"minTerm\":" term ",\"retentionRateX\":\"" krate                    \
  "\",\"retention\":" kept ",\"rejectFee\":\"" fee "\",\"volume\":" volume "}"
#define PERMIT(owner, spender, value)                                                              \
  "{\"owner\":\"0x" owner "\",\"spender\":\"0x" spender "\",\"value\":\"" value                    \
  "\",\"nonce\":\"0\",\"deadline\":\"9\"}"

static const TypedCase typed_cases[] = {
  { "our offer", "Offer", "MooshNet", MARKET, "{\"side\":0,\"maker\":\"0x" SELF "\"}", 31337, NULL,
    NULL },
  { "our offer, side as text", "Offer", "MooshNet", MARKET,
    "{\"side\":\"0x0\",\"maker\":\"0x" SELF "\"}", 31337, NULL, NULL },
  { "another's offer", "Offer", "MooshNet", MARKET, "{\"side\":0,\"maker\":\"0x" OTHER "\"}", 31337,
    "policy: [typed offer] self_member: \"maker\" is not this wallet's address", NULL },
  { "neither side", "Offer", "MooshNet", MARKET, "{\"side\":2,\"maker\":\"0x" SELF "\"}", 31337,
    "policy: [typed *] primary_type: nothing allows Offer of the domain \"MooshNet\"", NULL },
  { "another book", "Offer", "MooshNet", OTHER, "{\"side\":0,\"maker\":\"0x" SELF "\"}", 31337,
    "policy: [typed *] primary_type: nothing allows Offer of the domain \"MooshNet\"", NULL },
  { "no book", "Offer", "MooshNet", NULL, "{\"side\":0,\"maker\":\"0x" SELF "\"}", 31337,
    "policy: [typed *] primary_type: nothing allows Offer of the domain \"MooshNet\"", NULL },
  { "another domain", "Offer", "Mooshnet", MARKET, "{\"side\":0,\"maker\":\"0x" SELF "\"}", 31337,
    "policy: [typed *] primary_type: nothing allows Offer of the domain \"Mooshnet\"", NULL },
  { "another chain", "Offer", "MooshNet", MARKET, "{\"side\":0,\"maker\":\"0x" SELF "\"}", 1,
    "policy: [chains] allowed: chain 1 is not on the list", NULL },
  { "no chain", "Offer", "MooshNet", MARKET, "{\"side\":0,\"maker\":\"0x" SELF "\"}", 0,
    "policy: [typed *] primary_type: nothing allows Offer of the domain \"MooshNet\"", NULL },
  { "a certificate", "NodeCertificate", "MooshNet", NULL, "{}", 0, NULL, NULL },
  { "a certificate for a chain", "NodeCertificate", "MooshNet", NULL, "{}", 31337,
    "policy: [typed *] primary_type: nothing allows NodeCertificate of the domain \"MooshNet\"",
    NULL },
  /* 2^32 X per second is one wei: 10 s lock, 20 s minTerm, and 5 wei/s for 2 s of kept disks */
  { "a bid", "Offer", "MooshNet", MARKET,
    BID ("4294967296", "10", "20", "21474836480", "2", "0", "3"), 31337, NULL, "90" },
  { "a bid's fraction is rounded up", "Offer", "MooshNet", MARKET,
    BID ("1", "1", "0", "0", "0", "0", "2"), 31337, NULL, "2" },
  { "a bid's reject fee is its least", "Offer", "MooshNet", MARKET,
    BID ("1", "1", "0", "0", "0", "7", "2"), 31337, NULL, "14" },
  { "a bid that costs too much", "Offer", "MooshNet", MARKET,
    BID ("4294967296", "101", "0", "0", "0", "0", "1"), 31337,
    "policy: [token usd] per_tx: 101 would exceed 100", NULL },
  { "a bid whose cost overflows", "Offer", "MooshNet", MARKET,
    BID ("115792089237316195423570985008687907853269984665640564039457584007913129639935", "2", "0",
         "0", "0", "0", "1"),
    31337, "policy: [typed bid] spend: the message has no such amount", NULL },
  { "an amount", "Order", "Shop", SHOP, "{\"price\":5}", 31337, NULL, "5" },
  { "an amount that is none", "Order", "Shop", SHOP, "{\"price\":-5}", 31337,
    "policy: [typed order] spend: the message has no such amount", NULL },
  { "an amount that is missing", "Order", "Shop", SHOP, "{}", 31337,
    "policy: [typed order] spend: the message has no such amount", NULL },
  { "a permit to a metered spender", "Permit", "Test USD", TOKEN, PERMIT (SELF, VAULT, "100"),
    31337, NULL, NULL },
  { "... of too much", "Permit", "Test USD", TOKEN, PERMIT (SELF, VAULT, "101"), 31337,
    "policy: [token usd] per_tx: 101 would exceed 100", NULL },
  { "a permit to a counted spender", "Permit", "Test USD", TOKEN, PERMIT (SELF, SHOP, "9"), 31337,
    NULL, "9" },
  { "a permit to a stranger", "Permit", "Test USD", TOKEN, PERMIT (SELF, OTHER, "9"), 31337,
    "policy: [token usd] spenders: 0x00000000000000000000000000000000000000bb is not on the list",
    NULL },
  { "another's permit", "Permit", "Test USD", TOKEN, PERMIT (OTHER, VAULT, "9"), 31337,
    "policy: [token usd] permit: its owner is not this wallet", NULL },
  { "half a permit", "Permit", "Test USD", TOKEN, "{\"owner\":\"0x" SELF "\"}", 31337,
    "policy: [token usd] permit: not a Permit of EIP-2612", NULL },
  { "a permit of an unknown token", "Permit", "Other", OTHER, PERMIT (SELF, VAULT, "1"), 31337,
    "policy: [typed *] primary_type: nothing allows Permit of the domain \"Other\"", NULL },
};

static void
test_typed (void)
{
  g_autoptr (Policy) policy = policy_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (typed_cases); i++)
    {
      const TypedCase *c = &typed_cases[i];
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonObject) message = moosh_json_parse (c->message, -1, &error);
      Typed typed = { .primary_type = c->primary, .domain_name = c->domain, .message = message };

      g_assert_no_error (error);
      typed.has_chain_id = c->chain_id != 0;
      typed.chain_id = (guint64)c->chain_id;
      typed.has_contract = c->contract != NULL;
      if (c->contract != NULL)
        moosh_hex_decode (c->contract, typed.contract, 20);
      g_test_message ("%s", c->what);
      g_autoptr (GPtrArray) spends = policy_check_typed (policy, &typed, self, &error);
      if (c->refusal == NULL)
        {
          g_assert_no_error (error);
          check_spent (spends, c->spent);
          continue;
        }
      g_assert_null (spends);
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
      g_assert_cmpstr (error->message, ==, c->refusal);
    }
}

/* ---- the file ---- */

static void
test_no_file (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Policy) policy = policy_load ("/nonexistent/keyd-policy.conf", &error);
  guint8 data[4] = { 0 };
  MooshTx tx = { .chain_id = 31337, .data = { data, 4 } };
  Typed typed = { .primary_type = "Offer" };

  g_assert_no_error (error);
  g_assert_null (policy_check_tx (policy, &tx, self, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "there is no /nonexistent/keyd-policy.conf"));
  g_clear_error (&error);
  g_assert_null (policy_check_typed (policy, &typed, self, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
}

static void
test_bad_files (void)
{
  static const char *const files[][2] = {
    { "nonsense", "policy file: " },
    { "[chains]\nallowed=x\n", "policy file: [chains] allowed: is not a chain id: x" },
    { "[chains]\nallowed=0\n", "policy file: [chains] allowed: is not a chain id: 0" },
    { "[chains]\nallow=1\n", "policy file: [chains] allow: there is no such key in this group" },
    { "[chain]\nallowed=1\n", "policy file: there is no kind of group [chain]" },
    { "[token]\naddress=1\n", "policy file: there is no kind of group [token]" },
    { "[transactions]\nper_day=1\n",
      "policy file: [transactions] max_fee: is not a decimal amount" },
    { "[transactions]\nmax_fee=-1\nper_day=1\n",
      "policy file: [transactions] max_fee: is not a decimal amount" },
    { "[contract a]\nfunctions=*\n",
      "policy file: [contract a] address: is not an address: (nothing)" },
    { "[contract a]\naddress=0x00\n",
      "policy file: [contract a] address: is not an address: 0x00" },
    { "[contract a]\naddress=0x" SELF "\nfunctions=accept\n",
      "policy file: [contract a] functions: is neither a selector nor a function with its types: "
      "accept" },
    { "[contract a]\naddress=0x" SELF "\nfunctions=accept(uint64, bool)\n",
      "policy file: [contract a] functions: is neither a selector nor a function with its types: "
      "accept(uint64, bool)" },
    { "[call c]\ncontract=a\nfunction=f()\n",
      "policy file: [call c] contract: there is no group [contract a]" },
    { "[contract a]\naddress=0x" SELF "\n[call c]\ncontract=a\nfunction=f()\namount_word=1\n",
      "policy file: [call c] amount_word: an amount needs its token (token or token_word), and the "
      "other way round" },
    { "[contract a]\naddress=0x" SELF "\n[call c]\ncontract=a\nfunction=f()\ntoken=usd\n",
      "policy file: [call c] token: there is no group [token usd]" },
    { "[contract a]\naddress=0x" SELF "\n[call c]\ncontract=a\nfunction=f()\nself_word=-1\n",
      "policy file: [call c] self_word: is not the number of an argument word: -1" },
    { "[token t]\naddress=0x" SELF "\nper_tx=1\n",
      "policy file: [token t] per_day: is not a decimal amount" },
    { "[typed t]\nprimary_type=A\n", "policy file: [typed t] domain: is missing" },
    { "[typed t]\ndomain=D\nprimary_type=A\nchain=5\n",
      "policy file: [typed t] chain: can only be \"none\"" },
    { "[typed t]\ndomain=D\nprimary_type=A\nwhere=side\n",
      "policy file: [typed t] where: is not MEMBER:VALUE: side" },
    { "[typed t]\ndomain=D\nprimary_type=A\nspend=all\n",
      "policy file: [typed t] spend: is neither \"bid\" nor \"member:NAME\": all" },
    { "[typed t]\ndomain=D\nprimary_type=A\nspend=member:x\n",
      "policy file: [typed t] spend: an amount needs its token (token or token_member)" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Policy) policy = policy_parse (files[i][0], &error);

      g_test_message ("%s", files[i][0]);
      g_assert_null (policy);
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_assert_true (g_str_has_prefix (error->message, files[i][1]));
    }
}

/* ---- the ledger ---- */

static GPtrArray *
spends_of (guint64 amount, guint64 cap)
{
  GPtrArray *spends = g_ptr_array_new_with_free_func ((GDestroyNotify)spend_free);
  Spend *spend = g_new0 (Spend, 1);

  spend->group = g_strdup ("token usd");
  spend->token[0] = 1;
  spend->chain_id = 31337;
  spend->amount = moosh_u256 (amount);
  spend->per_day = moosh_u256 (cap);
  g_ptr_array_add (spends, spend);
  return spends;
}

static gboolean
book (Ledger *ledger, const char *id, guint64 amount, gint64 now_s, GError **error)
{
  g_autoptr (GPtrArray) spends = spends_of (amount, 100);

  return ledger_book (ledger, id, spends, now_s, error);
}

#define DAY 86400

static void
test_ledger (void)
{
  g_autofree char *dir = g_dir_make_tmp ("moosh-ledger-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "ledger.sqlite", NULL);
  g_autoptr (GError) error = NULL;
  Ledger *ledger = ledger_open (path, &error);
  gint64 noon = 20000 * (gint64)DAY + DAY / 2;

  g_assert_no_error (error);
  g_assert_true (book (ledger, "a", 60, noon, &error));
  g_assert_true (book (ledger, "b", 40, noon, &error)); /* exactly the cap */
  g_assert_false (book (ledger, "c", 1, noon, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_cmpstr (error->message, ==, "policy: [token usd] per_day: 101 would exceed 100");
  g_clear_error (&error);

  g_assert_true (book (ledger, "a", 60, noon, &error)); /* the same again costs nothing more */
  g_assert_true (book (ledger, "a", 10, noon, &error)); /* nor does a cheaper replacement ... */
  g_assert_false (book (ledger, "c", 1, noon, &error)); /* ... or give anything back */
  g_clear_error (&error);
  g_assert_false (book (ledger, "a", 61, noon, &error)); /* a dearer one counts in full */
  g_assert_cmpstr (error->message, ==, "policy: [token usd] per_day: 101 would exceed 100");
  g_clear_error (&error);

  ledger_free (ledger); /* survives a restart */
  ledger = ledger_open (path, &error);
  g_assert_no_error (error);
  g_assert_false (book (ledger, "c", 1, noon + DAY / 2 - 1, &error)); /* the day's last second */
  g_clear_error (&error);
  g_assert_false (
      book (ledger, "c", 1, noon - 3 * DAY, &error)); /* a clock set back opens nothing */
  g_clear_error (&error);
  g_assert_true (book (ledger, "c", 100, noon + DAY / 2, &error)); /* the next day's first */
  g_assert_false (
      book (ledger, "a", 60, noon + DAY, &error)); /* signing an old one again moves it to today */
  g_clear_error (&error);
  ledger_free (ledger);

  static const char *const suffixes[] = { "", "-wal", "-shm" };
  for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *file = g_strconcat (path, suffixes[i], NULL);
      g_unlink (file);
    }
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  moosh_hex_decode (SELF, self, 20);
  g_test_add_func ("/policy/transactions", test_transactions);
  g_test_add_func ("/policy/fee-overflow", test_fee_overflow);
  g_test_add_func ("/policy/typed", test_typed);
  g_test_add_func ("/policy/no-file", test_no_file);
  g_test_add_func ("/policy/bad-files", test_bad_files);
  g_test_add_func ("/ledger", test_ledger);
  return g_test_run ();
}
