// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Offer} from "../Types.sol";

/// @title hashStruct(Offer) of EIP-712.
library OfferHash {
    bytes32 internal constant UNITS_TYPEHASH =
        keccak256("Units(uint32 vcpuMilli,uint32 ramMib,uint32 diskGib,uint32 gpu,uint32 ipv4)");
    bytes32 internal constant OFFER_TYPEHASH = keccak256(
        "Offer(address maker,uint8 side,uint8 kind,bytes32 pool,Units units,uint8 class,uint16 overcommitPct,address token,uint96 rateX,uint96 pausedRateX,uint96 retentionRateX,uint32 minTerm,uint32 maxTerm,uint32 notice,uint32 retention,uint32 holdback,uint32 acceptWithin,uint32 provisionWithin,uint32 probeWindow,uint128 rejectFee,uint32 lockPeriod,address arbiter,bytes32 policyHash,bytes32 faultDomain,address allowedTaker,uint32 volume,bytes32 reach,uint64 nonce,uint64 salt,uint64 expiry)Units(uint32 vcpuMilli,uint32 ramMib,uint32 diskGib,uint32 gpu,uint32 ipv4)"
    );

    /// @dev Every member is static, so the ABI words in calldata are already EIP-712's encodeData: they are copied, not
    ///      decoded (a third of the price). Words with dirty high bits hash to something nobody signed or agreed on,
    ///      and reading such a member reverts.
    function hash(Offer calldata offer) internal pure returns (bytes32 ret) {
        bytes32 unitsType = UNITS_TYPEHASH;
        bytes32 offerType = OFFER_TYPEHASH;
        assembly ("memory-safe") {
            let p := mload(0x40)
            mstore(p, unitsType)
            calldatacopy(add(p, 32), add(offer, 128), 160) // units: words 4 to 8
            let unitsHash := keccak256(p, 192)
            mstore(p, offerType)
            calldatacopy(add(p, 32), offer, 128) // words 0 to 3
            mstore(add(p, 160), unitsHash)
            calldatacopy(add(p, 192), add(offer, 288), 800) // words 9 to 33
            ret := keccak256(p, 992)
        }
    }
}
