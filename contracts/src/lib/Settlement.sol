// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Offer, State} from "../Types.sol";

/// @title The arithmetic of an agreement's money. Amounts are token-wei * 2^32 ("X"), rates X per second.
/// @dev Invariants: (1) balX >= lockFixedX; (2) tS never goes back; (3) accrual moves money, it never makes or loses any.
///      An overdraft cannot be represented: accrual stops in the last second that is paid for in full.
///      Bounds that make `unchecked` safe: balX + earnedX < 2^160 (Agreements refuses more), rateX < 2^128 (uint96 *
///      uint32), lockFixedX < 2^160 (times uint32), times and durations < 2^64; so every sum and product is < 2^193.
library Settlement {
    uint64 internal constant NEVER = type(uint64).max;

    struct Account {
        uint256 balX;
        uint256 earnedX;
        uint256 rateX; // in force, all units together
        uint256 lockFixedX;
        uint256 tS;
    }

    /// @notice The second from which nothing more accrues.
    function graceUntil(Account memory a) internal pure returns (uint256) {
        uint256 rateX = a.rateX;
        if (rateX == 0) return NEVER;
        unchecked {
            uint256 t = a.tS + (a.balX - a.lockFixedX) / rateX;
            return t < NEVER ? t : NEVER;
        }
    }

    /// @notice From here on the lock period is being spent.
    function fundedUntil(Account memory a, uint256 lockPeriod) internal pure returns (uint256) {
        uint256 grace = graceUntil(a);
        if (grace == NEVER) return NEVER;
        unchecked {
            return grace > lockPeriod ? grace - lockPeriod : 0;
        }
    }

    /// @notice What the payer may take back, as of tS.
    function freeX(Account memory a, uint256 lockPeriod) internal pure returns (uint256) {
        unchecked {
            uint256 locked = a.lockFixedX + a.rateX * lockPeriod;
            return a.balX > locked ? a.balX - locked : 0;
        }
    }

    /// @notice Bill up to `time`.
    function touch(Account memory a, uint256 time) internal pure {
        if (time <= a.tS) return;
        uint256 grace = graceUntil(a);
        uint256 end = time < grace ? time : grace;
        unchecked {
            uint256 due = a.rateX * (end - a.tS);
            a.balX -= due;
            a.earnedX += due;
        }
        a.tS = end;
    }

    /// @notice Move at most `x` from the payer's side to the provider's. Only for closes: it may eat into lockFixedX.
    function payX(Account memory a, uint256 x) internal pure {
        if (x > a.balX) x = a.balX;
        unchecked {
            a.balX -= x;
            a.earnedX += x;
        }
    }

    /// @notice What the state is at `time`, given what is stored.
    /// @dev `a` may be touched or not: touching does not move graceUntil.
    function stateAt(Account memory a, State stored, uint256 startedAt, Offer calldata offer, uint256 time)
        internal
        pure
        returns (State)
    {
        if (stored == State.Provisioned) {
            if (time < startedAt + offer.probeWindow) return State.Provisioned;
            stored = State.Active;
        }
        if (stored != State.Active && stored != State.Paused) return stored;
        uint256 grace = graceUntil(a);
        if (grace == NEVER) return stored;
        if (time >= grace) return State.Draining;
        return time + offer.lockPeriod >= grace ? State.Grace : stored; // time >= fundedUntil
    }
}
