// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Permit} from "../Types.sol";

/// @title Providers' stakes. Books per token: held = free + reserved + unbonding + claims.
interface IStakeVault {
    event Staked(address indexed provider, address indexed token, address from, uint128 amount);
    event Unbonding(address indexed provider, address indexed token, uint128 amount, uint64 readyAt);
    event Withdrawn(address indexed provider, address indexed token, address to, uint256 amount);
    event Slashed(address indexed provider, address indexed token, address indexed to, uint128 amount);
    event Claimed(address indexed account, address indexed token, address to, uint256 amount);

    error NotAgreements(address caller);
    /// @notice The provider's free stake does not cover the bond.
    error BondTooSmall(uint128 free, uint128 needed);
    error NotEnoughStake(uint128 free, uint128 asked);
    error StillBonded(uint64 readyAt);
    error NothingToWithdraw();
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

    function stakeOf(address provider, address token) external view returns (uint128 free, uint128 reserved);
    function unbondingOf(address provider, address token) external view returns (uint128 amount, uint64 readyAt);
    function claimOf(address account, address token) external view returns (uint256);
    function unbondingSeconds() external view returns (uint32);
}
