// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev Takes 1 % of every transfer for itself; has no permit.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);
        uint256 fee = (value + 99) / 100;
        super._update(from, address(this), fee);
        super._update(from, to, value - fee);
    }
}

/// @dev Debits the sender 1 % more than it was told to send.
contract GreedyToken is ERC20("Greedy", "GRD") {
    bool public greedy;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setGreedy(bool greedy_) external {
        greedy = greedy_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (greedy && from != address(0)) super._update(from, address(this), (value + 99) / 100);
    }
}

interface IReceiver {
    function tokensReceived() external;
}

/// @dev Tells receivers that are contracts, as ERC-777 does; and calls out while it moves, if told to.
contract HookToken is ERC20("Hook", "HOOK") {
    address private _target;
    bytes private _call;
    bool public attacked;
    bytes4 public refusal; // what the attack got; 0 = it worked

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @dev Make `call` on `target` once, in the middle of the next transfer.
    function arm(address target, bytes calldata call) external {
        _target = target;
        _call = call;
        attacked = false;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target != address(0)) {
            address target = _target;
            _target = address(0);
            attacked = true;
            (bool ok, bytes memory reason) = target.call(_call);
            refusal = ok ? bytes4(0) : bytes4(reason);
        }
        if (from == address(0) || to.code.length == 0) return;
        try IReceiver(to).tokensReceived() {}
        catch (bytes memory reason) {
            // Contracts without the function are left alone; those that refuse are not paid.
            require(reason.length == 0, "refused");
        }
    }
}

/// @dev A contract account that signs by EIP-1271 and refuses to receive HookTokens while `refuses`.
contract Wallet is IERC1271, IReceiver {
    address private immutable _owner;
    bool public refuses;

    constructor(address owner) {
        _owner = owner;
    }

    function setRefuses(bool refuses_) external {
        refuses = refuses_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer,,) = ECDSA.tryRecover(hash, signature);
        return signer == _owner ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    function tokensReceived() external view {
        if (refuses) revert("no");
    }
}
