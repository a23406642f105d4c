// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEscrowVault} from "./interfaces/IEscrowVault.sol";
import {Tokens} from "./lib/Tokens.sol";
import {Permit} from "./Types.sol";

/// @title EscrowVault
/// @dev Invariant, per token: held = sum over agreements of (balX + earnedX) / 2^32 + sum of credits. What belongs to
///      an agreement is recorded there, not here. Nobody owns the vault and nothing in it can be changed.
contract EscrowVault is IEscrowVault, ReentrancyGuardTransient {
    uint256 private constant BATCH_MAX = 16;

    /// @notice The only caller that moves these books.
    address public immutable agreements;

    mapping(address account => mapping(address token => uint256)) private _credits;

    modifier onlyAgreements() {
        if (msg.sender != agreements) revert NotAgreements(msg.sender);
        _;
    }

    constructor(address agreements_) {
        agreements = agreements_;
    }

    /// @inheritdoc IEscrowVault
    function deposit(address token, address from, uint128 amount, Permit calldata permit)
        external
        onlyAgreements
        nonReentrant
        returns (uint128 received)
    {
        return Tokens.pull(token, from, amount, permit);
    }

    /// @inheritdoc IEscrowVault
    function credit(address token, address account, uint128 amount) external onlyAgreements {
        _credits[account][token] += amount;
    }

    /// @inheritdoc IEscrowVault
    function pay(address token, address to, uint128 amount) external onlyAgreements nonReentrant {
        Tokens.push(token, to, amount);
    }

    /// @inheritdoc IEscrowVault
    function withdraw(address token, address to, uint256 amount) external nonReentrant returns (uint256) {
        uint256 credit_ = _credits[msg.sender][token];
        if (credit_ == 0) revert NothingToWithdraw();
        if (amount == 0) amount = credit_;
        if (amount > credit_) revert NotEnoughCredit(credit_, amount);
        unchecked {
            _credits[msg.sender][token] = credit_ - amount;
        }
        _push(msg.sender, token, to, amount);
        return amount;
    }

    /// @inheritdoc IEscrowVault
    function withdrawMany(address[] calldata tokens, address to) external nonReentrant {
        if (tokens.length > BATCH_MAX) revert TooManyTokens(tokens.length);
        for (uint256 i = 0; i < tokens.length; i++) {
            uint256 amount = _credits[msg.sender][tokens[i]];
            if (amount == 0) continue;
            delete _credits[msg.sender][tokens[i]];
            _push(msg.sender, tokens[i], to, amount);
        }
    }

    /// @inheritdoc IEscrowVault
    function creditOf(address account, address token) external view returns (uint256) {
        return _credits[account][token];
    }

    function _push(address account, address token, address to, uint256 amount) private {
        emit Withdrawn(account, token, to, amount);
        Tokens.push(token, to, amount);
    }
}
