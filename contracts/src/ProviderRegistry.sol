// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";

/// @title ProviderRegistry
/// @dev A key stands for at most one identity, and only after it agreed: otherwise a stranger could claim somebody's
///      address and keep it from registering.
contract ProviderRegistry is IProviderRegistry {
    uint256 private constant ENDPOINT_MAX = 256;

    struct Account {
        address identity; // itself, or whom it acts for; 0 = nobody
        bool exited; // of identities only
    }

    mapping(address account => Account) private _accounts;
    mapping(address identity => mapping(address key => bool)) private _proposed;
    mapping(address identity => string) private _endpoints;

    /// @inheritdoc IProviderRegistry
    function register(string calldata endpoint) external {
        Account storage self = _accounts[msg.sender];
        if (self.identity == msg.sender && !self.exited) revert AlreadyRegistered(msg.sender);
        if (self.identity != address(0) && self.identity != msg.sender) revert KeyInUse(msg.sender);
        self.identity = msg.sender;
        self.exited = false;
        _storeEndpoint(msg.sender, endpoint);
        emit Registered(msg.sender, endpoint);
    }

    /// @inheritdoc IProviderRegistry
    function setEndpoint(string calldata endpoint) external {
        address identity = _requireIdentity(msg.sender);
        _storeEndpoint(identity, endpoint);
        emit EndpointSet(identity, endpoint);
    }

    /// @inheritdoc IProviderRegistry
    function proposeHotKey(address key) external {
        _requireSelf();
        if (_accounts[key].identity != address(0)) revert KeyInUse(key);
        _proposed[msg.sender][key] = true;
        emit HotKeyProposed(msg.sender, key);
    }

    /// @inheritdoc IProviderRegistry
    function acceptHotKey(address identity) external {
        if (!_proposed[identity][msg.sender]) revert NotProposed(identity, msg.sender);
        if (_accounts[msg.sender].identity != address(0)) revert KeyInUse(msg.sender);
        delete _proposed[identity][msg.sender];
        _accounts[msg.sender].identity = identity;
        emit HotKeyAdded(identity, msg.sender);
    }

    /// @inheritdoc IProviderRegistry
    function removeHotKey(address key) external {
        if (_proposed[msg.sender][key]) {
            delete _proposed[msg.sender][key]; // not accepted yet: just take it back
            emit HotKeyRemoved(msg.sender, key);
            return;
        }
        address identity = _accounts[key].identity;
        if (identity == key || identity == address(0)) revert NotYourKey(key);
        if (msg.sender != identity && msg.sender != key) revert NotYourKey(key);
        delete _accounts[key];
        emit HotKeyRemoved(identity, key);
    }

    /// @inheritdoc IProviderRegistry
    function exit() external {
        _requireSelf();
        if (_accounts[msg.sender].exited) revert ProviderExited(msg.sender);
        _accounts[msg.sender].exited = true;
        emit Exited(msg.sender);
    }

    /// @inheritdoc IProviderRegistry
    function identityOf(address account) external view returns (address) {
        return _accounts[account].identity;
    }

    /// @inheritdoc IProviderRegistry
    function sellerOf(address account) external view returns (address) {
        address identity = _requireIdentity(account);
        if (_accounts[identity].exited) revert ProviderExited(identity);
        return identity;
    }

    /// @inheritdoc IProviderRegistry
    function endpointOf(address identity) external view returns (string memory) {
        return _endpoints[identity];
    }

    function _requireIdentity(address account) private view returns (address identity) {
        identity = _accounts[account].identity;
        if (identity == address(0)) revert NotRegistered(account);
    }

    function _requireSelf() private view {
        if (_accounts[msg.sender].identity != msg.sender) revert NotRegistered(msg.sender);
    }

    function _storeEndpoint(address identity, string calldata endpoint) private {
        if (bytes(endpoint).length > ENDPOINT_MAX) revert EndpointTooLong(bytes(endpoint).length);
        _endpoints[identity] = endpoint;
    }
}
