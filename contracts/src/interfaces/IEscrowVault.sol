// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Permit} from "../Types.sol";

/// @title Clients' money. It leaves only to whom Agreements credited it, when they pull it.
interface IEscrowVault {
    /// @notice Credit was taken out.
    event Withdrawn(address indexed account, address indexed token, address to, uint256 amount);

    /// @notice Only Agreements may call this.
    error NotAgreements(address caller);
    /// @notice The caller has no credit in this token.
    error NothingToWithdraw();
    /// @notice More was asked for than the credit.
    error NotEnoughCredit(uint256 credit, uint256 asked);
    /// @notice A batch has at most 16 tokens.
    error TooManyTokens(uint256 given);

    /// @notice Agreements only: pull `amount` from `from`. Returns what arrived (measured).
    function deposit(address token, address from, uint128 amount, Permit calldata permit)
        external
        returns (uint128 received);
    /// @notice Agreements only: credit an account.
    function credit(address token, address account, uint128 amount) external;
    /// @notice Agreements only: pay out at once what would be credited (Agreements emits Collected for it).
    function pay(address token, address to, uint128 amount) external;

    /// @notice Take out credit of the caller, from all its agreements at once.
    /// @param amount token-wei; 0 = all
    function withdraw(address token, address to, uint256 amount) external returns (uint256);
    /// @notice Take out all credit of the caller in up to 16 tokens; tokens without credit are skipped.
    function withdrawMany(address[] calldata tokens, address to) external;

    /// @notice What an account may take out.
    function creditOf(address account, address token) external view returns (uint256);
}
