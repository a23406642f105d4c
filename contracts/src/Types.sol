// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice A capacity vector; also what one unit of an offer consists of.
struct Units {
    uint32 vcpuMilli; // thousandths of a virtual CPU
    uint32 ramMib;
    uint32 diskGib;
    uint32 gpu;
    uint32 ipv4;
}

/// @notice A signed price (side SELL, signed by a provider) or a signed wish (side BUY, a bid, signed by a client).
/// @dev All rates, the reject fee and `units` are per one unit; an agreement over n units multiplies them by n.
///      "X" amounts are token-wei * 2^32, per second. Durations are seconds. EIP-712 hashes this struct as it stands.
struct Offer {
    address maker; // identity, its registered hot key, or an EIP-1271 contract
    uint8 side; // SELL, BUY
    uint8 kind; // 0 vm, 1 container, 2 volume, 3 gpu, 4 proof, 5 relay, 6 ingress, 7 function, 8 dataset
    bytes32 pool; // the provider's capacity pool that is debited; 0 = only `volume` limits
    Units units; // what one unit is
    uint8 class; // CLASS_DEDICATED, CLASS_SHARED
    uint16 overcommitPct; // 100 = none
    address token; // price, deposit and bond are all in this ERC-20
    uint96 rateX; // while it runs
    uint96 pausedRateX; // while paused; 0 = cannot be paused
    uint96 retentionRateX; // for kept disks after the money ran out
    uint32 minTerm; // from PROVISIONED on; a client who leaves earlier pays the rest
    uint32 maxTerm; // from PROVISIONED on; 0 = no limit
    uint32 notice; // a provider's warning before it takes the machine back
    uint32 retention; // how long disks are kept after the money ran out
    uint32 holdback; // D: the newest D seconds of pay are not collectable while open
    uint32 acceptWithin; // from TAKEN on
    uint32 provisionWithin; // from TAKEN on
    uint32 probeWindow; // from PROVISIONED on
    uint128 rejectFee; // token-wei per unit, at most rateX * probeWindow
    uint32 lockPeriod; // seconds of rent the payer cannot take back while it runs
    address arbiter; // dispute method
    bytes32 policyHash; // SELL: software allowed; BUY: 0 or the only request hash the client wants
    bytes32 faultDomain;
    address allowedTaker; // 0 = anyone; SELL: the client, BUY: the provider's identity
    uint32 volume; // units on sale
    bytes32 reach; // hash of host:port and relays for the first contact
    uint64 nonce; // must equal the maker's nonce in the OfferBook: bumpNonce() cancels all
    uint64 salt;
    uint64 expiry; // the first second in which it can no longer be taken
}

/// @notice An EIP-2612 permit for the vault that receives the money; `deadline` 0 = none, use the allowance.
struct Permit {
    uint256 value;
    uint256 deadline;
    uint8 v;
    bytes32 r;
    bytes32 s;
}

uint8 constant SELL = 0;
uint8 constant BUY = 1;
uint8 constant CLASS_DEDICATED = 0;
uint8 constant CLASS_SHARED = 1;
uint8 constant LAST_KIND = 8;

/// @notice States of an agreement. Grace and Draining are never stored: time alone reaches them.
enum State {
    None, // no such agreement
    Taken,
    Accepted,
    Provisioned,
    Active,
    Paused,
    Grace,
    Draining,
    Reclaiming,
    Closed
}

/// @notice Why an agreement ended.
enum CloseReason {
    None,
    ProviderTimeout, // not accepted or not provisioned in time
    BuyerCancel, // the client left before the provider accepted
    Rejected, // the client's probe failed inside the probe window
    Buyer, // the client left
    Expired, // maxTerm is over
    Funds, // the money and then the retention time ran out
    EarlyExit, // the provider left without (full) notice
    Reclaim // the provider left after its notice
}

/// @notice What the chain keeps of an agreement. Everything else follows from the offer behind `termsHash`: the terms
///         name the maker, the record names the taker (see partiesOf), the state decides which rate runs.
struct Agreement {
    bytes32 termsHash; // hashStruct(offer)
    // slot 1: all that accept, provisioned and acknowledge need
    address taker; // SELL: the client, BUY: the provider's identity
    State state; // as stored; see stateAt for what it is at a given time
    uint8 flags; // BY_HOT_KEY, SPONSORED, SETTLED; upper half: CLOSED: the CloseReason
    uint40 startedAt; // TAKEN, ACCEPTED: when taken; later: when provisioned
    uint40 tS; // settled up to; CLOSED: when closed
    // slot 2: cleared when a closed agreement has paid out all
    uint160 mainX; // open: balX, the payer's; CLOSED: what the provider has not collected yet
    uint32 units;
    uint40 deadline; // RECLAIMING: end of the notice
    State closedFrom; // CLOSED: the stored state before
}

uint8 constant REASON_SHIFT = 4; // reason = CloseReason(flags >> REASON_SHIFT)
uint8 constant BY_HOT_KEY = 1; // the maker of the SELL offer signed as a hot key of the provider
uint8 constant SPONSORED = 2; // the payer is not the client
uint8 constant SETTLED = 4; // open: earnedX as of tS is stored beside the record

/// @notice An agreement's money at one moment, as the transaction of that second would find it.
struct Balances {
    uint256 balX; // left for the payer
    uint256 earnedX; // owed to the provider
    uint256 lockFixedX; // part of balX that pays for kept disks
    uint256 rateX; // in force, all units together
    uint256 freeX; // part of balX that withdrawFree gives back
    uint256 holdX; // part of earnedX that collect leaves
    uint128 withdrawable; // token-wei that collect would credit
    uint64 fundedUntil; // ACTIVE/PAUSED becomes GRACE; type(uint64).max = never
    uint64 graceUntil; // becomes DRAINING; type(uint64).max = never
}
