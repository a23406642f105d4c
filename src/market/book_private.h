/** What the two halves of the book share. */
#pragma once
#include "market/book.h"

/** A rate as the index keeps it: big-endian, so that bytes compare as numbers do. */
#define MOOSH_BOOK_RATE_LEN 12
GBytes *moosh_book_rate (const MooshU256 *rate_x);

/** The number an address has in the index; 0 for the zero address; -1 when it has none (and `make`
 * is FALSE) or on error. */
gint64 moosh_book_party (MooshStore *store, const uint8_t address[20], gboolean make,
                         GError **error);
