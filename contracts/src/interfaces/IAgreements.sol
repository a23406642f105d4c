// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Agreement, Balances, CloseReason, Offer, Permit, State} from "../Types.sol";

/// @title The life of an agreement: the only state machine of the market.
/// @notice A call that needs a term passes the offer again; it is checked against the stored hash.
///         Reverts of OfferBook, StakeVault and EscrowVault pass through unchanged.
interface IAgreements {
    /// @notice An agreement began. Its terms are emitted here, once.
    /// @param termsHash hashStruct(terms), also the key of OfferBook.filled
    /// @param provider the identity, also when `terms.maker` is its hot key or (a bid) the client
    /// @param payer gets refunds and what withdrawFree releases
    /// @param requestHash hash of the signed provision request
    /// @param deposit token-wei that arrived in the vault (measured)
    /// @param bond token-wei reserved from the provider's stake
    event Taken(
        uint64 indexed id,
        address indexed client,
        address indexed provider,
        address payer,
        bytes32 termsHash,
        bytes32 requestHash,
        uint32 units,
        uint128 deposit,
        uint128 bond,
        Offer terms
    );
    /// @notice The provider will serve it.
    event Accepted(uint64 indexed id);
    /// @notice The machine runs, says the provider; billing starts.
    /// @param commitment hash of SSH host key and endpoint, sent to the client over the authenticated channel
    event Provisioned(uint64 indexed id, bytes32 commitment);
    /// @notice The client's probe succeeded.
    event Acknowledged(uint64 indexed id);
    /// @notice The paused rate runs.
    event Paused(uint64 indexed id);
    /// @notice The full rate runs again.
    event Resumed(uint64 indexed id);
    /// @notice `amount` arrived from `from`.
    event ToppedUp(uint64 indexed id, address indexed from, uint128 amount);
    /// @notice The payer took back what was free (credited in the EscrowVault).
    event FreeWithdrawn(uint64 indexed id, address indexed payer, uint128 amount);
    /// @notice The provider wants the machine back, without penalty from `deadline` on.
    event Reclaiming(uint64 indexed id, uint64 deadline);
    /// @notice The provider got what it earned beyond the hold-back.
    /// @param to where the tokens went; 0 = credited in the EscrowVault
    event Collected(uint64 indexed id, address indexed provider, address to, uint128 amount);
    /// @notice An agreement ended.
    /// @param toProvider token-wei now waiting for the provider in collect() (earlier collects not included)
    /// @param toPayer token-wei credited to the payer in the EscrowVault
    /// @param penalty token-wei of the provider's bond given to the client (claimable in the StakeVault)
    /// @param evidence hash of the probe's report or of the log, as given by the caller; 0 = none
    event Closed(
        uint64 indexed id,
        CloseReason indexed reason,
        uint128 toProvider,
        uint128 toPayer,
        uint128 penalty,
        bytes32 evidence
    );

    /// @notice There is no agreement with this number.
    error UnknownAgreement(uint64 id);
    /// @notice The offer passed is not the one agreed on.
    error WrongTerms(bytes32 agreed, bytes32 given);
    /// @notice The agreement's state at this second does not allow the call.
    error WrongState(uint64 id, State state);
    /// @notice Only the client may.
    error NotClient(address caller);
    /// @notice Only the provider or a hot key of it may (collectTo: only its identity).
    error NotProvider(address caller);
    /// @notice Only who paid the deposit may.
    error NotPayer(address caller);
    /// @notice Neither client nor provider of the agreement.
    error NotParty(address caller);
    /// @notice take() needs a SELL offer, fill() a BUY offer.
    error WrongSide(uint8 side);
    /// @notice Client address is zero.
    error NoClient();
    /// @notice rate * units does not fit 96 bits.
    error RateTooLarge();
    /// @notice Less arrived than minDeposit().
    error DepositTooSmall(uint128 needed, uint128 given);
    /// @notice An agreement holds less than 2^128 token-wei.
    error BalanceTooLarge();
    /// @notice The deadline has passed at `deadline`.
    error TooLate(uint64 deadline);
    /// @notice Not possible before `notBefore` (type(uint64).max = never).
    error TooEarly(uint64 notBefore);
    /// @notice The close would have had another reason (and price) than the caller expected.
    error WouldCloseAs(CloseReason reason);
    /// @notice The offer has no pausedRateX.
    error NotPausable();
    /// @notice More was asked for than is free.
    error NotEnoughFree(uint128 free, uint128 asked);
    /// @notice All that was earned is held back, or nothing is earned or payable yet.
    error NothingToCollect();
    /// @notice The bid names the request it wants, and this is another.
    error WrongRequest(bytes32 wanted, bytes32 given);
    /// @notice Nothing to move.
    error ZeroAmount();

    /// @notice Take a provider's offer. The caller is the payer: `deposit` moves from it to the EscrowVault.
    /// @param offer SELL offer; `signature` the maker's (65 bytes r||s||v with low s, or EIP-1271)
    /// @param client who uses the machine and may close, reject, pause
    /// @param units how many, at most what is left of the offer's volume
    /// @param requestHash hash of the provision request
    /// @param deposit token-wei; at least minDeposit(offer, units) must arrive
    /// @param permit for the EscrowVault; deadline 0 = use the allowance
    /// @return id the agreement's number, counted from 1
    function take(
        Offer calldata offer,
        bytes calldata signature,
        address client,
        uint32 units,
        bytes32 requestHash,
        uint128 deposit,
        Permit calldata permit
    ) external returns (uint64 id);

    /// @notice Serve a client's bid: take() with the sides exchanged. The caller is the provider (or its hot key).
    ///         The bid's maker is client and payer; exactly fillDeposit(bid, units) moves from it.
    function fill(
        Offer calldata bid,
        bytes calldata signature,
        uint32 units,
        bytes32 requestHash,
        Permit calldata permit
    ) external returns (uint64 id);

    /// @notice TAKEN -> ACCEPTED, by the provider before startedAt + acceptWithin.
    function accept(uint64 id, Offer calldata offer) external;

    /// @notice TAKEN, ACCEPTED -> PROVISIONED, by the provider before startedAt + provisionWithin. Billing starts.
    function provisioned(uint64 id, Offer calldata offer, bytes32 commitment) external;

    /// @notice PROVISIONED -> ACTIVE, by the client inside the probe window (after it, time has done the same).
    function acknowledge(uint64 id, Offer calldata offer) external;

    /// @notice PROVISIONED -> CLOSED(Rejected), by the client inside the probe window: refund minus rejectFee.
    function reject(uint64 id, Offer calldata offer, bytes32 evidenceHash) external;

    /// @notice ACTIVE -> PAUSED, by the client.
    function pause(uint64 id, Offer calldata offer) external;

    /// @notice PAUSED -> ACTIVE, by the client.
    function resume(uint64 id, Offer calldata offer) external;

    /// @notice Add money, by anyone, in every open state. Seconds without money are not billed.
    function topUp(uint64 id, Offer calldata offer, uint128 amount, Permit calldata permit) external;

    /// @notice Credit the payer with money not needed for lock period and retention, in ACTIVE, PAUSED, RECLAIMING.
    /// @param amount token-wei, at most balances().freeX / 2^32; credited in the EscrowVault that is free
    function withdrawFree(uint64 id, Offer calldata offer, uint128 amount) external;

    /// @notice ACTIVE, PAUSED, GRACE -> RECLAIMING, by the provider. From here the client leaves free.
    function reclaim(uint64 id, Offer calldata offer) external;

    /// @notice End it, by client or provider. Client: BuyerCancel while TAKEN, else Buyer. Provider: Reclaim after its
    ///         notice, else EarlyExit (costs a slice of the bond).
    /// @param expected the reason the caller counts on, so that no race changes the price; None = whichever
    /// @param evidence digest of the log, or 0
    function close(uint64 id, Offer calldata offer, CloseReason expected, bytes32 evidence) external;

    /// @notice End what time has ended, by anyone: ProviderTimeout, Expired or Funds.
    function expire(uint64 id, Offer calldata offer) external;

    /// @notice Credit the provider with what it earned beyond the hold-back, also after the end; by anyone.
    function collect(uint64 id, Offer calldata offer) external returns (uint128 amount);

    /// @notice collect() and the withdrawal of just that amount in one transaction; by the provider's identity.
    function collectTo(uint64 id, Offer calldata offer, address to) external returns (uint128 amount);

    /// @notice The stored record, and why it is CLOSED (else None); reverts with UnknownAgreement.
    function agreement(uint64 id) external view returns (Agreement memory record, CloseReason reason);

    /// @notice Who is who: `provider` is an identity, `payer` gets refunds.
    function partiesOf(uint64 id, Offer calldata offer)
        external
        view
        returns (address client, address provider, address payer);

    /// @notice The state at `time`, if no transaction happens before. `time` before the last one counts as that.
    function stateAt(uint64 id, Offer calldata offer, uint64 time) external view returns (State);

    /// @notice The money at `time`, if no transaction happens before.
    function balances(uint64 id, Offer calldata offer, uint64 time) external view returns (Balances memory);

    /// @notice Smallest deposit of take(): lock period plus retention, at least the reject fee; token-wei rounded up.
    function minDeposit(Offer calldata offer, uint32 units) external pure returns (uint128);

    /// @notice Deposit of fill(): the longer of lock period and minTerm, plus retention, at least the reject fee; rounded up.
    function fillDeposit(Offer calldata bid, uint32 units) external pure returns (uint128);

    /// @notice The provider's bond for an agreement: rate * (notice + holdback), at least the floor.
    function bondOf(Offer calldata offer, uint32 units) external view returns (uint128);

    /// @notice The number the next agreement gets.
    function nextId() external view returns (uint64);
}
