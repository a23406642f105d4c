// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title TestUSD: a stablecoin for development chains. ANYBODY MAY MINT IT: it is worth nothing by construction.
contract TestUSD is ERC20, ERC20Permit {
    constructor() ERC20("Test USD", "tUSD") ERC20Permit("Test USD") {}

    /// @notice Make test money, by anyone, for anyone.
    /// @param to who gets it
    /// @param amount millionths of a test dollar
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Millionths, as real dollar stablecoins have them.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
