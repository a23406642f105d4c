/* market-sequences: random lives of agreements and what the model says about each step, for the
 * contracts to replay. The format and the readings of the rules are in
 * tests/vectors/market-sequences.md. */
#include "market/sequences.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
die (const char *what)
{
  perror (what);
  exit (1);
}

static void
write_file (const char *dir, uint64_t seed, uint32_t first, uint32_t count, unsigned number)
{
  static uint8_t record[MOOSH_SEQUENCE_MAX];
  uint8_t head[24];
  char path[4096];
  snprintf (path, sizeof path, "%s/%04u.bin", dir, number);
  FILE *file = fopen (path, "wb");
  if (file == NULL)
    die (path);
  memcpy (head, "MOOSHSQ1", 8);
  moosh_put_be64 (head + 8, seed);
  moosh_put_be32 (head + 16, first);
  moosh_put_be32 (head + 20, count);
  if (fwrite (head, sizeof head, 1, file) != 1)
    die (path);
  for (uint32_t i = 0; i < count; i++)
    {
      size_t len = moosh_sequence_make (seed, first + i, record);
      if (fwrite (record, len, 1, file) != 1)
        die (path);
    }
  if (fclose (file) != 0)
    die (path);
}

int
main (int argc, char **argv)
{
  static const struct option options[]
      = { { "seed", required_argument, NULL, 's' },     { "count", required_argument, NULL, 'n' },
          { "per-file", required_argument, NULL, 'f' }, { "out", required_argument, NULL, 'o' },
          { "help", no_argument, NULL, 'h' },           { 0 } };
  uint64_t seed = 1;
  uint32_t count = 10000, per_file = 100;
  const char *dir = NULL;
  int c;
  while ((c = getopt_long (argc, argv, "", options, NULL)) != -1)
    switch (c)
      {
      case 's':
        seed = strtoull (optarg, NULL, 10);
        break;
      case 'n':
        count = (uint32_t)strtoul (optarg, NULL, 10);
        break;
      case 'f':
        per_file = (uint32_t)strtoul (optarg, NULL, 10);
        break;
      case 'o':
        dir = optarg;
        break;
      default:
        fprintf (stderr, "market-sequences [--seed N] [--count N] [--per-file N] --out DIR\n");
        return c == 'h' ? 0 : 2;
      }
  if (dir == NULL || per_file == 0)
    {
      fprintf (stderr, "market-sequences: --out DIR is missing\n");
      return 2;
    }
  for (uint32_t first = 0; first < count; first += per_file)
    write_file (dir, seed, first, count - first < per_file ? count - first : per_file,
                first / per_file);
  return 0;
}
