// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Offer, Units} from "../Types.sol";

/// @title Signed offers and bids: what is still open of them, and the capacity behind them.
interface IOfferBook {
    /// @notice An offer published on chain (optional: offers normally travel between nodes).
    event Announced(bytes32 indexed offerHash, address indexed maker, Offer offer, bytes signature);
    /// @notice One offer was withdrawn for good.
    event Cancelled(address indexed maker, bytes32 indexed offerHash);
    /// @notice All offers with another nonce are void.
    event NonceBumped(address indexed maker, uint64 nonce);
    /// @notice The provider set what is left to sell in a pool.
    event PoolSet(address indexed provider, bytes32 indexed pool, Units remaining);

    /// @notice Only Agreements may call this.
    error NotAgreements(address caller);
    /// @notice It could be taken until the second before `expiry`.
    error OfferExpired(uint64 expiry);
    /// @notice The maker withdrew it.
    error OfferCancelled();
    /// @notice The maker cancelled all offers before `current`.
    error OfferNonceStale(uint64 current, uint64 given);
    /// @notice Not what `maker` signed: another key, another chain or book, or a changed offer.
    error BadSignature(address maker);
    /// @notice The offer is for `allowed` only.
    error PrivateOffer(address allowed);
    /// @notice Fewer units are left of the offer than asked for.
    error SoldOut(uint32 left, uint32 asked);
    /// @notice The provider's pool has less left than asked for.
    error PoolExhausted(address provider, bytes32 pool);
    /// @notice At least one unit must be taken.
    error ZeroUnits();
    /// @notice The offer contradicts itself; `field` names the culprit.
    error BadOffer(string field);

    /// @notice Publish an offer on chain; by anyone who has the maker's signature.
    function announce(Offer calldata offer, bytes calldata signature) external;
    /// @notice Withdraw one of the caller's offers for good.
    function cancel(bytes32 offerHash) external;
    /// @notice Withdraw all offers the caller signed so far. Returns the nonce for new ones.
    function bumpNonce() external returns (uint64 nonce);
    /// @notice Set what is left to sell in a pool; by a provider's identity or hot key. Closing agreements add to it.
    function setPool(bytes32 pool, Units calldata remaining) external;

    /// @notice Agreements only: book `units` of a valid offer. Returns its hash and the provider's identity.
    /// @param taker the client (SELL) or whoever answers the bid (BUY: identity or hot key)
    function consume(Offer calldata offer, bytes calldata signature, address taker, uint32 units)
        external
        returns (bytes32 offerHash, address provider);
    /// @notice Agreements only: give capacity back to a pool.
    function restore(address provider, bytes32 pool, Units calldata unit, uint32 units) external;

    /// @notice hashStruct(offer): termsHash and the key of filled.
    function hashOffer(Offer calldata offer) external pure returns (bytes32);
    /// @notice What the maker signs: the EIP-712 digest of the offer.
    function digest(Offer calldata offer) external view returns (bytes32);
    /// @notice Units of the offer sold so far; cancelled ones say so separately.
    function filled(address maker, bytes32 offerHash) external view returns (uint32 units, bool cancelled);
    /// @notice The nonce that a maker's offers must carry.
    function nonceOf(address maker) external view returns (uint64);
    /// @notice What is left to sell in a provider's pool.
    function remaining(address provider, bytes32 pool) external view returns (Units memory);
    /// @notice EIP-712: name "MooshNet", version "1", this chain, this contract.
    function domainSeparator() external view returns (bytes32);
}
