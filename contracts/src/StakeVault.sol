// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";
import {Tokens} from "./lib/Tokens.sol";
import {Permit} from "./Types.sol";

/// @title StakeVault
/// @dev Invariant, per token: held = sum(free + reserved + unbonding) + sum(claims). Bonds are totals: how much of
///      `reserved` belongs to one agreement follows from its terms, so no record of it is kept here. Nobody owns the
///      vault; only Agreements reserves and releases.
contract StakeVault is IStakeVault, ReentrancyGuardTransient {
    struct Stake {
        uint128 free;
        uint128 reserved;
    }

    struct Unbond {
        uint128 amount;
        uint64 readyAt;
    }

    /// @notice The only caller that moves these books.
    address public immutable agreements;
    /// @inheritdoc IStakeVault
    uint32 public immutable unbondingSeconds;

    mapping(address provider => mapping(address token => Stake)) private _stakes;
    mapping(address provider => mapping(address token => Unbond)) private _unbonds;
    mapping(address account => mapping(address token => uint256)) private _claims;

    modifier onlyAgreements() {
        if (msg.sender != agreements) revert NotAgreements(msg.sender);
        _;
    }

    constructor(address agreements_, uint32 unbondingSeconds_) {
        agreements = agreements_;
        unbondingSeconds = unbondingSeconds_;
    }

    /// @inheritdoc IStakeVault
    function stake(address provider, address token, uint128 amount, Permit calldata permit) external nonReentrant {
        uint128 received = Tokens.pull(token, msg.sender, amount, permit);
        if (received == 0) revert ZeroAmount();
        Stake storage s = _stakes[provider][token];
        // All of it may end up in `free`: bounded here, so that no release can overflow later.
        uint256 total = uint256(s.free) + s.reserved + _unbonds[provider][token].amount + received;
        if (total > type(uint128).max) revert StakeTooLarge();
        s.free += received;
        emit Staked(provider, token, msg.sender, received);
    }

    /// @inheritdoc IStakeVault
    function unbond(address token, uint128 amount) external {
        if (amount == 0) revert ZeroAmount();
        Stake storage s = _stakes[msg.sender][token];
        if (amount > s.free) revert NotEnoughStake(s.free, amount);
        s.free -= amount;
        Unbond storage u = _unbonds[msg.sender][token];
        u.amount += amount;
        u.readyAt = uint64(block.timestamp) + unbondingSeconds;
        emit Unbonding(msg.sender, token, amount, u.readyAt);
    }

    /// @inheritdoc IStakeVault
    function withdraw(address token, address to) external nonReentrant returns (uint128 amount) {
        Unbond memory u = _unbonds[msg.sender][token];
        if (u.amount == 0) revert NothingToWithdraw();
        if (block.timestamp < u.readyAt) revert StillBonded(u.readyAt);
        delete _unbonds[msg.sender][token];
        amount = u.amount;
        emit Withdrawn(msg.sender, token, to, amount);
        Tokens.push(token, to, amount);
    }

    /// @inheritdoc IStakeVault
    function claim(address token, address to) external nonReentrant returns (uint256 amount) {
        amount = _claims[msg.sender][token];
        if (amount == 0) revert NothingToWithdraw();
        delete _claims[msg.sender][token];
        emit Claimed(msg.sender, token, to, amount);
        Tokens.push(token, to, amount);
    }

    /// @inheritdoc IStakeVault
    function reserve(address provider, address token, uint128 amount) external onlyAgreements {
        Stake storage s = _stakes[provider][token];
        uint128 free = s.free;
        if (amount > free) revert BondTooSmall(free, amount);
        unchecked {
            s.free = free - amount;
        }
        s.reserved += amount;
    }

    /// @inheritdoc IStakeVault
    function release(address provider, address token, uint128 amount, uint128 penalty, address to)
        external
        onlyAgreements
    {
        Stake storage s = _stakes[provider][token];
        s.reserved -= amount;
        s.free += amount - penalty;
        if (penalty != 0) {
            _claims[to][token] += penalty;
            emit Slashed(provider, token, to, penalty);
        }
    }

    /// @inheritdoc IStakeVault
    function stakeOf(address provider, address token) external view returns (uint128 free, uint128 reserved) {
        Stake memory s = _stakes[provider][token];
        return (s.free, s.reserved);
    }

    /// @inheritdoc IStakeVault
    function unbondingOf(address provider, address token) external view returns (uint128 amount, uint64 readyAt) {
        Unbond memory u = _unbonds[provider][token];
        return (u.amount, u.readyAt);
    }

    /// @inheritdoc IStakeVault
    function claimOf(address account, address token) external view returns (uint256) {
        return _claims[account][token];
    }
}
