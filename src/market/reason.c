#include "market/reason.h"
#include <string.h>

static const struct {
  const char *name, *text, *client, *provider;
} reasons[MOOSH_N_REASONS] = {
  [MOOSH_REASON_NONE] = { "None", "It has not ended.", "Nothing to do.", "Nothing to do." },
  [MOOSH_REASON_PROVIDER_TIMEOUT]
  = { "ProviderTimeout",
      "The provider did not accept or deliver in time; the deposit went back in full and the "
      "client got the penalty "
      "from the provider's bond.",
      "Withdraw the refund (moosh wallet withdraw) and take another offer.",
      "Find out why the machine was not delivered (moosh-vmm status), and withdraw offers the host "
      "cannot serve." },
  [MOOSH_REASON_BUYER_CANCEL] = { "BuyerCancel",
                                  "The client cancelled before the provider accepted; the deposit "
                                  "went back less the reject fee.",
                                  "Withdraw the refund (moosh wallet withdraw).",
                                  "Nothing to do; the capacity is on offer again." },
  [MOOSH_REASON_REJECTED]
  = { "Rejected",
      "The client's probe did not pass and the client rejected the machine; nothing was paid but "
      "the reject fee.",
      "Withdraw the refund (moosh wallet withdraw) and take another offer; rate the provider "
      "(moosh rate).",
      "Compare the boot log with the evidence the client gave (moosh-vmm logs)." },
  [MOOSH_REASON_RECLAIM]
  = { "Reclaim",
      "The provider took the machine back after the full notice; time was paid up to the end.",
      "Withdraw what is left (moosh wallet withdraw) and move to another provider if that has not "
      "happened yet.",
      "Collect the earnings (moosh-vmm collect)." },
  [MOOSH_REASON_EARLY_EXIT]
  = { "EarlyExit",
      "The provider left before the notice was over; the client got the rest of the notice from "
      "the bond.",
      "Withdraw the refund and the compensation (moosh wallet withdraw), take another offer, rate "
      "the provider (moosh rate).",
      "The bond is smaller by the slice paid: top up the stake before new offers are taken." },
  [MOOSH_REASON_BUYER]
  = { "Buyer",
      "The client closed it; time was paid up to the close, and the early fee if the minimum term "
      "was not over.",
      "Withdraw what is left (moosh wallet withdraw) and rate the provider (moosh rate).",
      "Collect the earnings (moosh-vmm collect)." },
  [MOOSH_REASON_EXPIRED]
  = { "Expired", "The maximum term is over; time was paid up to the close.",
      "Withdraw what is left (moosh wallet withdraw); take the offer again to go on.",
      "Collect the earnings (moosh-vmm collect)." },
  [MOOSH_REASON_FUNDS]
  = { "Funds",
      "The money ran out and the disks were kept for the agreed time; their key is destroyed now.",
      "Take the offer again with a larger deposit; restore from a backup.",
      "Collect the earnings (moosh-vmm collect)." },
};

static MooshReason
known (MooshReason reason)
{
  return (unsigned)reason < MOOSH_N_REASONS ? reason : MOOSH_REASON_NONE;
}

const char *
moosh_reason_name (MooshReason reason)
{
  return reasons[known (reason)].name;
}

MooshReason
moosh_reason_from_name (const char *name)
{
  for (unsigned i = 0; i < MOOSH_N_REASONS; i++)
    if (strcmp (reasons[i].name, name) == 0)
      return (MooshReason)i;
  return MOOSH_REASON_NONE;
}

const char *
moosh_reason_text (MooshReason reason)
{
  return reasons[known (reason)].text;
}

const char *
moosh_reason_next_client (MooshReason reason)
{
  return reasons[known (reason)].client;
}

const char *
moosh_reason_next_provider (MooshReason reason)
{
  return reasons[known (reason)].provider;
}
