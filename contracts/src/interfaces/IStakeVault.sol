// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Permit} from "../Types.sol";

/// @title Providers' stakes. Books per token: held = free + reserved + unbonding + claims.
interface IStakeVault {
    /// @notice `amount` arrived for the provider.
    event Staked(address indexed provider, address indexed token, address from, uint128 amount);
    /// @notice `amount` left the free stake; all that is unbonding can be taken at `readyAt`.
    event Unbonding(address indexed provider, address indexed token, uint128 amount, uint64 readyAt);
    /// @notice Stake was taken out.
    event Withdrawn(address indexed provider, address indexed token, address to, uint256 amount);
    /// @notice A penalty went from a bond to `to`, who can claim it.
    event Slashed(address indexed provider, address indexed token, address indexed to, uint128 amount);
    /// @notice Penalties were taken out.
    event Claimed(address indexed account, address indexed token, address to, uint256 amount);

    /// @notice Only Agreements may call this.
    error NotAgreements(address caller);
    /// @notice The provider's free stake does not cover the bond.
    error BondTooSmall(uint128 free, uint128 needed);
    /// @notice Only free stake can be unbonded.
    error NotEnoughStake(uint128 free, uint128 asked);
    /// @notice The unbonding time is not over.
    error StillBonded(uint64 readyAt);
    /// @notice Nothing is unbonding, or there is no claim.
    error NothingToWithdraw();
    /// @notice Nothing to move.
    error ZeroAmount();
    /// @notice A provider's stake in one token stays below 2^128.
    error StakeTooLarge();

    /// @notice Add to a provider's stake; the caller pays. What arrives is measured.
    function stake(address provider, address token, uint128 amount, Permit calldata permit) external;
    /// @notice Begin to take free stake of the caller out; a second call adds and restarts the clock.
    function unbond(address token, uint128 amount) external;
    /// @notice Take out what has been unbonding long enough.
    function withdraw(address token, address to) external returns (uint128 amount);
    /// @notice Take out penalties received.
    function claim(address token, address to) external returns (uint256 amount);

    /// @notice Agreements only: set a bond aside.
    function reserve(address provider, address token, uint128 amount) external;
    /// @notice Agreements only: end a bond; `penalty` of it goes to `to`, the rest is free again.
    function release(address provider, address token, uint128 amount, uint128 penalty, address to) external;

    /// @notice A provider's stake in a token: what may become a bond, and what is one.
    function stakeOf(address provider, address token) external view returns (uint128 free, uint128 reserved);
    /// @notice What is on its way out, and from when on it can be taken.
    function unbondingOf(address provider, address token) external view returns (uint128 amount, uint64 readyAt);
    /// @notice Penalties an account may take out.
    function claimOf(address account, address token) external view returns (uint256);
    /// @notice How long unbonding takes; the same for all, for good.
    function unbondingSeconds() external view returns (uint32);
}
