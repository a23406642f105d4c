/** From a host's measures and a person's answers to what is sold: pool, sell orders, stake. No I/O,
 * no daemon. */
#pragma once
#include "base/error.h"
#include <json-glib/json-glib.h>

/** A question of the wizard. Its key is the name in a preseed file. */
typedef enum {
  VMM_CLASS,
  VMM_OVERCOMMIT,
  VMM_CORES,
  VMM_RAM,
  VMM_DISK,
  VMM_SIZES,
  VMM_PRICE_VCPU,
  VMM_PRICE_RAM,
  VMM_PRICE_DISK,
  VMM_PAUSED_PCT,
  VMM_TERMS,
  VMM_MIN_TERM,
  VMM_MAX_TERM,
  VMM_NOTICE,
  VMM_HOLDBACK,
  VMM_RETENTION,
  VMM_LOCK_PERIOD,
  VMM_ACCEPT_WITHIN,
  VMM_PROVISION_WITHIN,
  VMM_PROBE_WINDOW,
  VMM_VALID_FOR,
  VMM_STAKE,
  VMM_ENDPOINT,
  VMM_N_QUESTIONS
} VmmQuestion;

/** One answer per question as text; NULL: not answered yet. */
typedef struct {
  char *text[VMM_N_QUESTIONS];
} VmmAnswers;

void vmm_answers_clear (VmmAnswers *answers);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VmmAnswers, vmm_answers_clear)

const char *vmm_question_key (VmmQuestion question);
/** What a person is asked. Static. */
const char *vmm_question_text (VmmQuestion question);
/** Is it asked at all, given the answers so far? (The ratio only of a shared pool, single terms
 * only when they are one's own.) */
gboolean vmm_question_applies (VmmQuestion question, const VmmAnswers *answers);
/** Check one answer by itself. MOOSH_ERROR_USAGE. */
gboolean vmm_answer_check (VmmQuestion question, const char *text, GError **error);

/** What the host is, as far as the plan needs it. */
typedef struct {
  gint64 cores, ram_mib, disk_free_gib;
  char *endpoint; /* host:port other nodes reach us at; NULL: none */
  guint token_decimals;
  char *bond_floor_wei; /* least bond of an agreement; NULL: none */
} VmmMeasure;

/** The default answer, given the host and the answers before it. New string. */
char *vmm_answer_default (VmmQuestion question, const VmmMeasure *host, const VmmAnswers *answers);

/** Read a preseed file: KEY=VALUE lines, '#' comments. MOOSH_ERROR_USAGE names the line. Answers
 * that are there already stay. */
gboolean vmm_preseed_parse (const char *text, VmmAnswers *answers, GError **error);
/** The answers as a preseed file; new string. */
char *vmm_preseed_print (const VmmAnswers *answers);

/** One size that is sold. */
typedef struct {
  char *name;
  gint64 vcpu_milli, ram_mib, disk_gib;
  gint64 volume;     /* how many of them the pool holds */
  char *price;       /* tokens per hour */
  char *bond_wei;    /* what one of them reserves of the stake */
  JsonObject *terms; /* for offer.publish, without expiry */
} VmmOrder;

typedef struct {
  char pool[67];       /* 0x and 64 digits */
  char other_pool[67]; /* of the other class: what it had moves over */
  gboolean shared;
  gint64 overcommit_pct;
  gint64 cores, ram_mib, disk_gib;
  GPtrArray *orders; /* of VmmOrder */
  char *stake_wei;
  char *endpoint; /* NULL: none */
  gint64 valid_for_s;
} VmmPlan;

/** Make the plan of complete answers. MOOSH_ERROR_USAGE: an answer that is none, or nothing would
 * be for sale. */
VmmPlan *vmm_plan_new (const VmmMeasure *host, const VmmAnswers *answers, GError **error);
void vmm_plan_free (VmmPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmmPlan, vmm_plan_free)

/** Units as the daemons write them, with vCPU as sold (times the ratio) when `sellable`. New
 * object. */
JsonObject *vmm_plan_capacity (const VmmPlan *plan, gboolean sellable);

/** Is a published order the same as `terms`, and good for another half of `valid_for_s` at `now_s`?
 * Members that only the maker's node sets do not count. */
gboolean vmm_order_same (JsonObject *published, JsonObject *terms, gint64 valid_for_s,
                         gint64 now_s);
