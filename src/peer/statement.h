/** Statements: small signed facts that travel between nodes.
 *
 * On the wire: CBOR map {0 author node key, 1 certificate seq, 2 kind, 3 d-key, 4 seq, 5 created, 6
 * expires, 7 body}; every key is there, no other may be. The id is SHA-256 of these bytes, the
 * signature BIP-340 by the node key over the hash tagged MOOSH_STATEMENT_TAG. The received bytes
 * are what is stored and forwarded. For one (author, kind, d-key) the statement with the higher seq
 * replaces the lower. */
#pragma once
#include "base/error.h"

#define MOOSH_STATEMENT_DKEY_MAX 64
#define MOOSH_STATEMENT_BODY_MAX 16000
#define MOOSH_STATEMENT_MAX      16384

typedef enum {
  MOOSH_STATEMENT_CERTIFICATE = 0,
  MOOSH_STATEMENT_PROFILE = 1,
  MOOSH_STATEMENT_ENDPOINT = 2,
  MOOSH_STATEMENT_TRUST = 3,
  MOOSH_STATEMENT_RATING = 4,
  MOOSH_STATEMENT_DISPUTE = 5,
  MOOSH_STATEMENT_WORK = 6,
  MOOSH_STATEMENT_REVOCATION = 7,
} MooshStatementKind;

#define MOOSH_STATEMENT_KIND_MAX 65535 /* kinds not listed above are kept and forwarded */

typedef struct {
  guint8 author[33]; /* node key */
  guint64 certificate_seq;
  guint kind;
  guint8
      dkey[MOOSH_STATEMENT_DKEY_MAX]; /* what the statement is about, within its kind; 0–64 bytes */
  gsize dkey_len;
  guint64 seq;
  guint64 created_s;
  guint64 expires_s;  /* after created_s */
  const guint8 *body; /* 0–16000 bytes of strict CBOR, by kind; not owned */
  gsize body_len;
} MooshStatement;

/** The bytes to sign; new GBytes. MOOSH_ERROR_USAGE: expires before it was created, d-key or body
 * too long, author no point. */
GBytes *moosh_statement_encode (const MooshStatement *statement, GError **error);

/** Read the form, not the signature. `ret->body` points into ptr. MOOSH_ERROR_PROTOCOL; `ret` is
 * then untouched. */
gboolean moosh_statement_decode (const void *ptr, gsize len, MooshStatement *ret, GError **error);

/** The statement's name: SHA-256 of its bytes. */
void moosh_statement_id (const void *ptr, gsize len, guint8 ret_id[32]);

/** moosh_statement_decode, and `signature` must be the author's. MOOSH_ERROR_PROTOCOL. */
gboolean moosh_statement_check (const void *ptr, gsize len, const guint8 signature[64],
                                MooshStatement *ret, GError **error);

#define MOOSH_RATING_COMMENT_MAX 1024

/** Body of MOOSH_STATEMENT_RATING: CBOR {0 subject, 2 chain id, 4 Agreements contract, 6 agreement
 * id, 8 stars, 9 comment}. Its d-key is moosh_rating_dkey. */
typedef struct {
  guint8 subject[20]; /* identity that is rated */
  guint64 chain_id;
  guint8 contract[20]; /* Agreements */
  guint64 agreement;
  guint stars; /* 1–5 */
  char comment[MOOSH_RATING_COMMENT_MAX
               + 1]; /* UTF-8, no control characters but newline; may be "" */
} MooshRating;

/** New GBytes, or NULL with MOOSH_ERROR_USAGE. */
GBytes *moosh_rating_encode (const MooshRating *rating, GError **error);
gboolean moosh_rating_decode (const void *ptr, gsize len, MooshRating *ret, GError **error);

/** One rating per agreement: the d-key is chain id (8 bytes, big-endian), contract, agreement id (8
 * bytes). */
#define MOOSH_RATING_DKEY_LEN 36
void moosh_rating_dkey (const MooshRating *rating, guint8 ret_dkey[MOOSH_RATING_DKEY_LEN]);
