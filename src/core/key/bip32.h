/** BIP-32: a tree of private keys from one seed; BIP-44's path to Ethereum accounts. */
#pragma once
#include "core/key/key.h"

#define MOOSH_HD_HARDENED 0x80000000u
#define MOOSH_HD_PATH_MAX 10 /* levels below the master that a path may name */

/** An extended private key, without the parent's fingerprint: that is only for the xprv text, which
 * we neither read nor write. Wipe it after use. */
typedef struct {
  uint8_t secret[32];
  uint8_t chain[32];
  uint32_t index; /* child number; zero for the master */
  uint8_t depth;
} MooshHdKey;

/** The master key of a seed of 16 to 64 bytes. MOOSH_E_RANGE: another length; MOOSH_E_CRYPTO: a
 * seed without a key (probability 2^-127). */
int moosh_hd_master (const uint8_t *seed, size_t len, MooshHdKey *ret);

/** CKDpriv: child `index` (add MOOSH_HD_HARDENED for i'). `ret` may be `parent`. MOOSH_E_LIMIT:
 * depth 255 reached; MOOSH_E_CRYPTO: this index has no key (probability 2^-127). */
int moosh_hd_child (const MooshCurve *curve, const MooshHdKey *parent, uint32_t index,
                    MooshHdKey *ret);

/** Walk a path such as "m/44'/60'/0'/0/3" (' or h is hardened). MOOSH_E_MALFORMED, MOOSH_E_RANGE: a
 * number of 2^31 or more; MOOSH_E_LIMIT: more than MOOSH_HD_PATH_MAX levels. */
int moosh_hd_path (const MooshCurve *curve, const MooshHdKey *master, const char *path,
                   MooshHdKey *ret);

/** The secret of account `i`, m/44'/60'/0'/0/i, of a BIP-39 seed: the wallet of every Ethereum
 * program. */
int moosh_wallet_secret (const MooshCurve *curve, const uint8_t seed[64], uint32_t i,
                         uint8_t ret_secret[32]);

/** The node key `i` of a seed, m/28015'/0'/i' (the bytes "mo"): apart from the money, back
 * with the words. */
int moosh_node_secret (const MooshCurve *curve, const uint8_t seed[64], uint32_t i,
                       uint8_t ret_secret[32]);
