#include "core/cbor/head.h"
#include "core/cbor/utf8.h"

/* One container that is open: how many items it still wants, and for a map what its last key was.
 */
typedef struct {
  uint64_t left;
  bool is_map;
  bool at_value;
  int last_key;
} Frame;

typedef struct {
  const uint8_t *ptr;
  size_t len;
  size_t pos;
  Frame frames[MOOSH_CBOR_DEPTH_MAX];
  unsigned depth;
} Walk;

int
moosh_cbor_head (const uint8_t *ptr, size_t len, Head *ret)
{
  if (len == 0)
    return MOOSH_E_SHORT;
  unsigned minor = ptr[0] & 0x1f;
  Head head = { .major = ptr[0] >> 5, .arg = minor, .size = 1 };
  if (head.major == MAJOR_TAG)
    return MOOSH_E_MALFORMED;
  if (head.major == MAJOR_SIMPLE && (minor < SIMPLE_FALSE || minor > SIMPLE_NULL))
    return MOOSH_E_MALFORMED; /* undefined, floats, other simple values, break */
  if (minor > 27)
    return MOOSH_E_MALFORMED; /* reserved, or an indefinite length */
  if (minor >= 24)
    {
      static const uint64_t least[] = { 24, 0x100, 0x10000, 0x100000000 };
      size_t width = (size_t)1 << (minor - 24);
      if (len - 1 < width)
        return MOOSH_E_SHORT;
      head.arg = 0;
      for (size_t i = 1; i <= width; i++)
        head.arg = head.arg << 8 | ptr[i];
      if (head.arg < least[minor - 24])
        return MOOSH_E_NONCANONICAL;
      head.size += width;
    }
  *ret = head;
  return MOOSH_OK;
}

static int
check_key (Frame *frame, const Head *head)
{
  if (head->major != MAJOR_UINT)
    return MOOSH_E_MALFORMED;
  if (head->arg > MOOSH_CBOR_KEY_MAX)
    return MOOSH_E_RANGE;
  if ((int)head->arg <= frame->last_key)
    return MOOSH_E_NONCANONICAL;
  frame->last_key = (int)head->arg;
  frame->at_value = true;
  return MOOSH_OK;
}

static int
open_container (Walk *walk, const Head *head)
{
  /* Every item takes a byte at least, a pair two: a count the input cannot hold is refused at once.
   */
  uint64_t least = head->major == MAJOR_MAP ? 2 : 1;
  if (head->arg > (walk->len - walk->pos) / least)
    return MOOSH_E_SHORT;
  if (walk->depth == MOOSH_CBOR_DEPTH_MAX)
    return MOOSH_E_LIMIT;
  walk->frames[walk->depth++]
      = (Frame){ .left = head->arg, .is_map = head->major == MAJOR_MAP, .last_key = -1 };
  return MOOSH_OK;
}

static int
check_string (Walk *walk, const Head *head)
{
  if (head->arg > walk->len - walk->pos)
    return MOOSH_E_SHORT;
  if (head->major == MAJOR_TEXT && !moosh_utf8_valid (walk->ptr + walk->pos, (size_t)head->arg))
    return MOOSH_E_MALFORMED;
  walk->pos += (size_t)head->arg;
  return MOOSH_OK;
}

/* The head of the next item was read and walk->pos is behind it: check what belongs to it. */
static int
check_item (Walk *walk, const Head *head)
{
  switch (head->major)
    {
    case MAJOR_NEGATIVE:
      return head->arg > (uint64_t)INT64_MAX ? MOOSH_E_RANGE : MOOSH_OK;
    case MAJOR_BYTES:
    case MAJOR_TEXT:
      return check_string (walk, head);
    case MAJOR_ARRAY:
    case MAJOR_MAP:
      return open_container (walk, head);
    default:
      return MOOSH_OK;
    }
}

/* Count an item against the container it stands in; a map's pair counts once, at its value. */
static int
enter_item (Walk *walk, const Head *head, bool *ret_is_key)
{
  *ret_is_key = false;
  if (walk->depth == 0)
    return MOOSH_OK;
  Frame *frame = &walk->frames[walk->depth - 1];
  if (frame->is_map && !frame->at_value)
    {
      *ret_is_key = true;
      return check_key (frame, head);
    }
  frame->at_value = false;
  frame->left--;
  return MOOSH_OK;
}

int
moosh_cbor_validate (const void *ptr, size_t len)
{
  if (len > MOOSH_CBOR_MAX)
    return MOOSH_E_LIMIT;
  if (len == 0)
    return MOOSH_E_SHORT;
  Walk walk = { .ptr = ptr, .len = len };
  do
    {
      Head head;
      bool is_key = false;
      int r = moosh_cbor_head (walk.ptr + walk.pos, walk.len - walk.pos, &head);
      if (r == MOOSH_OK)
        r = enter_item (&walk, &head, &is_key);
      if (r < 0)
        return r;
      walk.pos += head.size;
      if (!is_key && (r = check_item (&walk, &head)) < 0)
        return r;
      while (walk.depth > 0 && walk.frames[walk.depth - 1].left == 0)
        walk.depth--;
  } while (walk.depth > 0);
#ifdef MOOSH_CANARY
  /* The planted bug of the fuzz targets' canary build: an array of exactly three texts reads past
   * its end. */
  if (len > 4 && walk.ptr[0] == 0x83 && walk.ptr[1] >> 5 == MAJOR_TEXT)
    return ((volatile const uint8_t *)walk.ptr)[len + (walk.ptr[1] & 0x1f)] == 0x55;
#endif
  return walk.pos == len ? MOOSH_OK : MOOSH_E_TRAILING;
}
