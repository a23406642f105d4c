// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Permit} from "../Types.sol";

/// @title How both vaults move tokens: what arrives is measured, what leaves is bounded.
/// @dev Callers hold a reentrancy guard, so nothing else of the vault moves between the two balances.
library Tokens {
    /// @notice The token moved more than it was told to.
    error TokenTookMore();

    /// @notice Pull `amount` from `from`, after its permit if there is one. Returns what arrived.
    function pull(address token, address from, uint128 amount, Permit calldata permit)
        internal
        returns (uint128 received)
    {
        if (permit.deadline != 0) {
            // A permit that somebody else already submitted fails here and has done its work: the transfer decides.
            try IERC20Permit(token)
                .permit(from, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s) {}
                catch {}
        }
        uint256 before = IERC20(token).balanceOf(address(this));
        SafeERC20.safeTransferFrom(IERC20(token), from, address(this), amount);
        received = SafeCast.toUint128(IERC20(token).balanceOf(address(this)) - before);
    }

    /// @notice Send `amount` to `to`; reverts when the vault would lose more than that.
    function push(address token, address to, uint256 amount) internal {
        uint256 before = IERC20(token).balanceOf(address(this));
        SafeERC20.safeTransfer(IERC20(token), to, amount);
        if (IERC20(token).balanceOf(address(this)) + amount < before) revert TokenTookMore();
    }
}
