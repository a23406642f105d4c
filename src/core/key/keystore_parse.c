/* The JSON of a keystore, read in one pass without a tree: only what the format names is kept,
 * everything else is checked to be JSON and skipped. */
#include "core/key/keystore.h"
#include <assert.h>
#include <string.h>

#define DEPTH_MAX 8
#define HEX_MAX   128

typedef struct {
  const char *at;
  const char *end;
} Reader;

/* The objects whose members mean something. */
typedef enum { TOP, CRYPTO, CIPHERPARAMS, KDFPARAMS } Room;

/* Numbers and words in the order they may come: the key derivation's name can follow its
 * parameters. */
typedef struct {
  uint64_t version, dklen, n, r, p, rounds;
  uint8_t salt[64], iv[16], ciphertext[32], mac[32], address[20];
  size_t salt_len, iv_len, ciphertext_len, mac_len, address_len;
  MooshKdf kdf;
  uint32_t seen; /* bit i: fields[i] was there */
} Draft;

typedef enum { NUMBER, HEX, WORD, OBJECT } Kind;

typedef struct {
  Room room;
  const char *name;
  Kind kind;
  size_t value;     /* NUMBER, HEX: where in the draft */
  size_t len;       /* HEX: bytes there is room for */
  size_t len_value; /* HEX: where its length goes */
  const char *word; /* WORD: the only one we know, unless it is the kdf */
  Room inner;       /* OBJECT */
} Field;

#define AT(member)    offsetof (Draft, member)
#define HEXES(member) AT (member), sizeof ((Draft *)NULL)->member, AT (member##_len)

enum { F_VERSION, F_CRYPTO, F_CIPHER, F_KDF, F_IV, F_CIPHERTEXT, F_MAC, F_DKLEN, F_SALT };
enum { F_N = F_SALT + 1, F_R, F_P, F_ROUNDS, F_PRF, F_ADDRESS, F_CIPHERPARAMS, F_KDFPARAMS };

static const Field fields[] = {
  [F_VERSION] = { TOP, "version", NUMBER, AT (version), 0, 0, NULL, TOP },
  [F_ADDRESS] = { TOP, "address", HEX, HEXES (address), NULL, TOP },
  [F_CRYPTO] = { TOP, "crypto", OBJECT, 0, 0, 0, NULL, CRYPTO },
  [F_CIPHER] = { CRYPTO, "cipher", WORD, 0, 0, 0, "aes-128-ctr", TOP },
  [F_KDF] = { CRYPTO, "kdf", WORD, 0, 0, 0, NULL, TOP },
  [F_CIPHERTEXT] = { CRYPTO, "ciphertext", HEX, HEXES (ciphertext), NULL, TOP },
  [F_MAC] = { CRYPTO, "mac", HEX, HEXES (mac), NULL, TOP },
  [F_CIPHERPARAMS] = { CRYPTO, "cipherparams", OBJECT, 0, 0, 0, NULL, CIPHERPARAMS },
  [F_KDFPARAMS] = { CRYPTO, "kdfparams", OBJECT, 0, 0, 0, NULL, KDFPARAMS },
  [F_IV] = { CIPHERPARAMS, "iv", HEX, HEXES (iv), NULL, TOP },
  [F_DKLEN] = { KDFPARAMS, "dklen", NUMBER, AT (dklen), 0, 0, NULL, TOP },
  [F_SALT] = { KDFPARAMS, "salt", HEX, HEXES (salt), NULL, TOP },
  [F_N] = { KDFPARAMS, "n", NUMBER, AT (n), 0, 0, NULL, TOP },
  [F_R] = { KDFPARAMS, "r", NUMBER, AT (r), 0, 0, NULL, TOP },
  [F_P] = { KDFPARAMS, "p", NUMBER, AT (p), 0, 0, NULL, TOP },
  [F_ROUNDS] = { KDFPARAMS, "c", NUMBER, AT (rounds), 0, 0, NULL, TOP },
  [F_PRF] = { KDFPARAMS, "prf", WORD, 0, 0, 0, "hmac-sha256", TOP },
};
#define N_FIELDS (sizeof fields / sizeof fields[0])
static_assert (N_FIELDS <= 32, "a bit each in seen");

#define BIT(field) (1u << (field))
#define NEEDED                                                                                     \
  (BIT (F_VERSION) | BIT (F_CRYPTO) | BIT (F_CIPHER) | BIT (F_KDF) | BIT (F_IV)                    \
   | BIT (F_CIPHERTEXT) | BIT (F_MAC) | BIT (F_DKLEN) | BIT (F_SALT))
#define NEEDED_SCRYPT (BIT (F_N) | BIT (F_R) | BIT (F_P))
#define NEEDED_PBKDF2 (BIT (F_ROUNDS) | BIT (F_PRF))

static int
peek (Reader *in)
{
  while (in->at < in->end
         && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
    in->at++;
  return in->at < in->end ? (unsigned char)*in->at : -1;
}

static int
expect (Reader *in, char c)
{
  int next = peek (in);

  if (next < 0)
    return MOOSH_E_SHORT;
  if (next != (unsigned char)c)
    return MOOSH_E_MALFORMED;
  in->at++;
  return MOOSH_OK;
}

/* The characters between the quotes; an escape stays as it is written, control characters are
 * refused. */
static int
read_string (Reader *in, MooshSpan *ret)
{
  int r = expect (in, '"');
  const char *start = in->at;

  if (r < 0)
    return r;
  for (; in->at < in->end && *in->at != '"'; in->at++)
    {
      if ((unsigned char)*in->at < 0x20)
        return MOOSH_E_MALFORMED;
#ifdef MOOSH_CANARY
      if (*in->at == '\\' && in->at[1] == 'u') /* planted: one byte too far */
        return MOOSH_E_NONCANONICAL;
#endif
      if (*in->at == '\\' && ++in->at == in->end)
        return MOOSH_E_SHORT;
    }
  if (in->at == in->end)
    return MOOSH_E_SHORT;
  *ret = (MooshSpan){ (const uint8_t *)start, (size_t)(in->at - start) };
  in->at++;
  return MOOSH_OK;
}

static bool
is (MooshSpan text, const char *word)
{
  return text.len == strlen (word) && memcmp (text.ptr, word, text.len) == 0;
}

/* A plain whole number: what the format has. */
static int
read_number (Reader *in, uint64_t *ret)
{
  uint64_t value = 0;
  int c = peek (in);
  const char *start = in->at;

  if (c < '0' || c > '9')
    return c < 0 ? MOOSH_E_SHORT : MOOSH_E_MALFORMED;
  for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++)
    {
      if (value > (UINT64_MAX - 9) / 10)
        return MOOSH_E_RANGE;
      value = value * 10 + (uint64_t)(*in->at - '0');
    }
  if (*start == '0' && in->at > start + 1)
    return MOOSH_E_MALFORMED;
  *ret = value;
  return MOOSH_OK;
}

static int
read_hex (Reader *in, uint8_t *ret, size_t room, size_t *ret_len)
{
  char digits[HEX_MAX + 1];
  MooshSpan text;
  int r = read_string (in, &text);

  if (r < 0)
    return r;
  if (text.len >= 2 && text.ptr[0] == '0' && text.ptr[1] == 'x')
    text = (MooshSpan){ text.ptr + 2, text.len - 2 };
  if (text.len % 2 != 0 || text.len / 2 > room || text.len > HEX_MAX
      || (text.len >= 2 && (text.ptr[1] == 'x' || text.ptr[1] == 'X')))
    return MOOSH_E_MALFORMED;
  memcpy (digits, text.ptr, text.len);
  digits[text.len] = '\0';
  *ret_len = text.len / 2;
  return moosh_hex_decode (digits, ret, *ret_len);
}

static int
skip_word (Reader *in)
{
  static const char *const words[] = { "true", "false", "null" };

  for (size_t i = 0; i < 3; i++)
    {
      size_t len = strlen (words[i]);
      if ((size_t)(in->end - in->at) >= len && memcmp (in->at, words[i], len) == 0)
        {
          in->at += len;
          return MOOSH_OK;
        }
    }
  return MOOSH_E_MALFORMED;
}

static int
skip_number (Reader *in)
{
  const char *start = in->at;

  while (in->at < in->end && *in->at != '\0' && strchr ("+-.0123456789Ee", *in->at) != NULL)
    in->at++;
  return in->at > start ? MOOSH_OK : MOOSH_E_MALFORMED;
}

static int skip_value (Reader *in, unsigned depth);

/* The members of a list or an object that nobody asked for. */
static int
skip_inside (Reader *in, char close, unsigned depth)
{
  MooshSpan name;
  int r = MOOSH_OK;

  in->at++;
  if (peek (in) == (unsigned char)close)
    {
      in->at++;
      return MOOSH_OK;
    }
  for (;;)
    {
      if (close == '}')
        {
          if ((r = read_string (in, &name)) < 0 || (r = expect (in, ':')) < 0)
            return r;
        }
      if ((r = skip_value (in, depth + 1)) < 0)
        return r;
      if (peek (in) != ',')
        return expect (in, close);
      in->at++;
    }
}

static int
skip_value (Reader *in, unsigned depth)
{
  MooshSpan text;

  if (depth > DEPTH_MAX)
    return MOOSH_E_LIMIT;
  switch (peek (in))
    {
    case -1:
      return MOOSH_E_SHORT;
    case '"':
      return read_string (in, &text);
    case '{':
      return skip_inside (in, '}', depth);
    case '[':
      return skip_inside (in, ']', depth);
    case 't':
    case 'f':
    case 'n':
      return skip_word (in);
    default:
      return skip_number (in);
    }
}

static int
read_kdf (MooshSpan word, Draft *draft)
{
  if (is (word, "scrypt"))
    draft->kdf = MOOSH_KDF_SCRYPT;
  else if (is (word, "pbkdf2"))
    draft->kdf = MOOSH_KDF_PBKDF2;
  else
    return MOOSH_E_RANGE;
  return MOOSH_OK;
}

static int read_room (Reader *in, Room room, Draft *draft);

static int
read_field (Reader *in, const Field *field, Draft *draft)
{
  char *base = (char *)draft;
  MooshSpan word;
  int r;

  switch (field->kind)
    {
    case NUMBER:
      return read_number (in, (uint64_t *)(void *)(base + field->value));
    case HEX:
      return read_hex (in, (uint8_t *)base + field->value, field->len,
                       (size_t *)(void *)(base + field->len_value));
    case WORD:
      if ((r = read_string (in, &word)) < 0)
        return r;
      if (field->word == NULL)
        return read_kdf (word, draft);
      return is (word, field->word) ? MOOSH_OK : MOOSH_E_RANGE;
    case OBJECT:
      return read_room (in, field->inner, draft);
    }
  return MOOSH_E_MALFORMED;
}

static int
read_member (Reader *in, Room room, Draft *draft)
{
  MooshSpan name;
  int r = read_string (in, &name);

  if (r < 0 || (r = expect (in, ':')) < 0)
    return r;
  /* An escaped name could be one of ours in disguise. */
  if (memchr (name.ptr, '\\', name.len) != NULL)
    return MOOSH_E_NONCANONICAL;
  for (size_t i = 0; i < N_FIELDS; i++)
    if (fields[i].room == room && is (name, fields[i].name))
      {
        if (draft->seen & BIT (i))
          return MOOSH_E_MALFORMED;
        draft->seen |= BIT (i);
        return read_field (in, &fields[i], draft);
      }
  return skip_value (in, 0);
}

static int
read_room (Reader *in, Room room, Draft *draft)
{
  int r = expect (in, '{');

  if (r < 0)
    return r;
  if (peek (in) == '}')
    {
      in->at++;
      return MOOSH_OK;
    }
  for (;;)
    {
      if ((r = read_member (in, room, draft)) < 0)
        return r;
      if (peek (in) != ',')
        return expect (in, '}');
      in->at++;
    }
}

/* Everything there, of the right size, and what we know how to do. */
static int
check_draft (const Draft *d)
{
  uint32_t needed = NEEDED | (d->kdf == MOOSH_KDF_SCRYPT ? NEEDED_SCRYPT : NEEDED_PBKDF2);
  bool with_address = (d->seen & BIT (F_ADDRESS)) != 0;

  if ((d->seen & needed) != needed)
    return MOOSH_E_MALFORMED;
  if (d->version != 3 || d->dklen != 32 || d->iv_len != 16 || d->ciphertext_len != 32
      || d->mac_len != 32 || d->salt_len == 0 || (with_address && d->address_len != 20))
    return MOOSH_E_RANGE;
  return MOOSH_OK;
}

int
moosh_keystore_parse (const char *text, size_t len, MooshKeystore *ret)
{
  Reader in = { text, text + len };
  Draft d = { 0 };
  int r;

  if (len > MOOSH_KEYSTORE_INPUT_MAX)
    return MOOSH_E_LIMIT;
  if ((r = read_room (&in, TOP, &d)) < 0)
    return r;
  if (peek (&in) >= 0)
    return MOOSH_E_TRAILING;
  if ((r = check_draft (&d)) < 0)
    return r;
  if (d.r > UINT32_MAX || d.p > UINT32_MAX || d.rounds > UINT32_MAX)
    return MOOSH_E_LIMIT;

  MooshKeystore found = (MooshKeystore){ .kdf = d.kdf,
                                         .n = d.n,
                                         .r = (uint32_t)d.r,
                                         .p = (uint32_t)d.p,
                                         .rounds = (uint32_t)d.rounds,
                                         .salt_len = d.salt_len,
                                         .has_address = (d.seen & BIT (F_ADDRESS)) != 0 };
  memcpy (found.salt, d.salt, sizeof d.salt);
  memcpy (found.iv, d.iv, sizeof d.iv);
  memcpy (found.ciphertext, d.ciphertext, sizeof d.ciphertext);
  memcpy (found.mac, d.mac, sizeof d.mac);
  memcpy (found.address, d.address, sizeof d.address);
  if ((r = moosh_keystore_check (&found)) < 0)
    return r;
  *ret = found;
  return MOOSH_OK;
}
