// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IOfferBook} from "./interfaces/IOfferBook.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {OfferHash} from "./lib/OfferHash.sol";
import {BUY, CLASS_DEDICATED, CLASS_SHARED, LAST_KIND, Offer, Units} from "./Types.sol";

/// @title OfferBook
/// @dev Invariants: (1) filled <= volume of every offer; (2) a pool's remaining vector plus the units of the open
///      agreements that came from it is what its provider set: no capacity is sold twice.
contract OfferBook is IOfferBook, EIP712 {
    uint256 private constant CANCELLED = 1 << 32; // above the 32 bits of units filled
    uint256 private constant LANES_END = 5 * 32; // a pool is one word: the members of Units, 32 bits each

    /// @notice The only caller that moves these books.
    address public immutable agreements;
    /// @notice Says who sells.
    IProviderRegistry public immutable registry;

    mapping(address maker => mapping(bytes32 offerHash => uint256)) private _fills;
    mapping(address maker => uint64) private _nonces;
    mapping(address provider => mapping(bytes32 pool => uint256)) private _pools;

    modifier onlyAgreements() {
        if (msg.sender != agreements) revert NotAgreements(msg.sender);
        _;
    }

    constructor(IProviderRegistry registry_, address agreements_) EIP712("MooshNet", "1") {
        registry = registry_;
        agreements = agreements_;
    }

    /// @inheritdoc IOfferBook
    function announce(Offer calldata offer, bytes calldata signature) external {
        bytes32 offerHash = _check(offer, signature);
        emit Announced(offerHash, offer.maker, offer, signature);
    }

    /// @inheritdoc IOfferBook
    function cancel(bytes32 offerHash) external {
        _fills[msg.sender][offerHash] |= CANCELLED;
        emit Cancelled(msg.sender, offerHash);
    }

    /// @inheritdoc IOfferBook
    function bumpNonce() external returns (uint64 nonce) {
        nonce = ++_nonces[msg.sender];
        emit NonceBumped(msg.sender, nonce);
    }

    /// @inheritdoc IOfferBook
    function setPool(bytes32 pool, Units calldata remaining_) external {
        address provider = registry.sellerOf(msg.sender);
        _pools[provider][pool] = _pack(remaining_);
        emit PoolSet(provider, pool, remaining_);
    }

    /// @inheritdoc IOfferBook
    function consume(Offer calldata offer, bytes calldata signature, address taker, uint32 units)
        external
        onlyAgreements
        returns (bytes32 offerHash, address provider)
    {
        if (units == 0) revert ZeroUnits();
        offerHash = _check(offer, signature);

        bool isBid = offer.side == BUY;
        provider = registry.sellerOf(isBid ? taker : offer.maker);
        address allowed = offer.allowedTaker;
        if (allowed != address(0) && allowed != (isBid ? provider : taker)) revert PrivateOffer(allowed);

        uint256 fill = _fills[offer.maker][offerHash];
        if (fill >= CANCELLED) revert OfferCancelled();
        uint256 left = fill < offer.volume ? offer.volume - fill : 0;
        if (units > left) revert SoldOut(uint32(left), units);
        _fills[offer.maker][offerHash] = fill + units;

        if (offer.pool != 0) _debit(provider, offer.pool, offer.units, units);
    }

    /// @inheritdoc IOfferBook
    function restore(address provider, bytes32 pool, Units calldata unit, uint32 units) external onlyAgreements {
        uint256 have = _pools[provider][pool];
        uint256 give = _pack(unit);
        uint256 sum = 0;
        unchecked {
            for (uint256 at = 0; at < LANES_END; at += 32) {
                // The provider may have set the pool anew meanwhile: a full lane stays full, a close never fails.
                uint256 v = uint32(have >> at) + uint256(uint32(give >> at)) * units;
                if (v > type(uint32).max) v = type(uint32).max;
                sum |= v << at;
            }
        }
        _pools[provider][pool] = sum;
    }

    /// @inheritdoc IOfferBook
    function hashOffer(Offer calldata offer) external pure returns (bytes32) {
        return OfferHash.hash(offer);
    }

    /// @inheritdoc IOfferBook
    function digest(Offer calldata offer) external view returns (bytes32) {
        return _hashTypedDataV4(OfferHash.hash(offer));
    }

    /// @inheritdoc IOfferBook
    function filled(address maker, bytes32 offerHash) external view returns (uint32 units, bool cancelled) {
        uint256 fill = _fills[maker][offerHash];
        return (uint32(fill), fill >= CANCELLED);
    }

    /// @inheritdoc IOfferBook
    function nonceOf(address maker) external view returns (uint64) {
        return _nonces[maker];
    }

    /// @inheritdoc IOfferBook
    function remaining(address provider, bytes32 pool) external view returns (Units memory) {
        uint256 p = _pools[provider][pool];
        return Units(uint32(p), uint32(p >> 32), uint32(p >> 64), uint32(p >> 96), uint32(p >> 128));
    }

    /// @inheritdoc IOfferBook
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @dev Signed by its maker, in force, and free of contradictions.
    function _check(Offer calldata offer, bytes calldata signature) private view returns (bytes32 offerHash) {
        if (offer.side > BUY) revert BadOffer("side");
        if (offer.kind > LAST_KIND) revert BadOffer("kind");
        if (offer.class > CLASS_SHARED) revert BadOffer("class");
        if (offer.class == CLASS_DEDICATED ? offer.overcommitPct != 100 : offer.overcommitPct < 100) {
            revert BadOffer("overcommitPct");
        }
        if (offer.pausedRateX > offer.rateX) revert BadOffer("pausedRateX");
        if (offer.maxTerm != 0 && offer.maxTerm < offer.minTerm) revert BadOffer("maxTerm");
        if (uint256(offer.rejectFee) << 32 > uint256(offer.rateX) * offer.probeWindow) revert BadOffer("rejectFee");
        if (block.timestamp >= offer.expiry) revert OfferExpired(offer.expiry);
        uint64 nonce = _nonces[offer.maker];
        if (offer.nonce != nonce) revert OfferNonceStale(nonce, offer.nonce);
        offerHash = OfferHash.hash(offer);
        if (!SignatureChecker.isValidSignatureNow(offer.maker, _hashTypedDataV4(offerHash), signature)) {
            revert BadSignature(offer.maker);
        }
    }

    function _debit(address provider, bytes32 pool, Units calldata unit, uint32 units) private {
        uint256 have = _pools[provider][pool];
        uint256 take = _pack(unit);
        uint256 rest = 0;
        unchecked {
            for (uint256 at = 0; at < LANES_END; at += 32) {
                uint256 v = uint32(have >> at);
                uint256 need = uint256(uint32(take >> at)) * units;
                if (need > v) revert PoolExhausted(provider, pool);
                rest |= (v - need) << at;
            }
        }
        _pools[provider][pool] = rest;
    }

    function _pack(Units calldata u) private pure returns (uint256) {
        return uint256(u.vcpuMilli) | uint256(u.ramMib) << 32 | uint256(u.diskGib) << 64 | uint256(u.gpu) << 96
            | uint256(u.ipv4) << 128;
    }
}
