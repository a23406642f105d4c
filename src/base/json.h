/** Reading JSON objects with errors that name the member. Thin helpers over json-glib.
 *
 * Every getter leaves its result untouched and sets MOOSH_ERROR_USAGE when the member is missing or
 * of another type. The `_or` variants take a missing member (or null) as the fallback; a wrong type
 * is still an error only where they have an `error` parameter. Strings returned are owned by the
 * object. */
#pragma once
#include <json-glib/json-glib.h>

const char *moosh_json_string (JsonObject *object, const char *member, GError **error);
gboolean moosh_json_int (JsonObject *object, const char *member, gint64 *ret, GError **error);
gboolean moosh_json_bool (JsonObject *object, const char *member, gboolean *ret, GError **error);
JsonObject *moosh_json_object (JsonObject *object, const char *member, GError **error);
JsonArray *moosh_json_array (JsonObject *object, const char *member, GError **error);

const char *moosh_json_string_or (JsonObject *object, const char *member, const char *fallback);
gint64 moosh_json_int_or (JsonObject *object, const char *member, gint64 fallback);
gboolean moosh_json_bool_or (JsonObject *object, const char *member, gboolean fallback);

/** Hex (with or without 0x) member as bytes; `len` exact, or 0 for any length. New GBytes or NULL.
 */
GBytes *moosh_json_hex (JsonObject *object, const char *member, gsize len, GError **error);

/** Parse text that must be one JSON object, nested at most 32 deep. New reference or NULL
 * (MOOSH_ERROR_USAGE). `len` may be -1 for a NUL-terminated text. */
JsonObject *moosh_json_parse (const char *text, gssize len, GError **error);

/** Write an object as one line of JSON (no newline); `pretty` for people. New string. */
char *moosh_json_print (JsonObject *object, gboolean pretty);

/** A new object from (name, type letter, value) triples ended by NULL:
 *    moosh_json_build ("id", 'i', (gint64) 7, "name", 's', "x", "ok", 'b', TRUE, "sub", 'o', obj,
 * "list", 'a', arr, NULL) 's' const char* (NULL gives null), 'i' gint64, 'b' gboolean, 'd' double,
 * 'x' GBytes* as 0x-hex (NULL gives null), 'o' JsonObject* taken, 'a' JsonArray* taken (both may be
 * NULL: null). */
JsonObject *moosh_json_build (const char *name, ...) G_GNUC_NULL_TERMINATED;

/** Bytes as lower-case hex with 0x; new string. And back: NULL with MOOSH_ERROR_USAGE if it is not
 * hex. */
char *moosh_hex (const void *bytes, gsize len);
GBytes *moosh_unhex (const char *hex, GError **error);
