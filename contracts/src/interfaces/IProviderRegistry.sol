// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Who sells: identities, the hot keys that act for them, and where to reach them.
interface IProviderRegistry {
    /// @notice A provider joined, or came back.
    event Registered(address indexed identity, string endpoint);
    /// @notice It is reached elsewhere now.
    event EndpointSet(address indexed identity, string endpoint);
    /// @notice The identity wants `key` to act for it.
    event HotKeyProposed(address indexed identity, address indexed key);
    /// @notice The key agreed and acts from now on.
    event HotKeyAdded(address indexed identity, address indexed key);
    /// @notice The key, or the proposal, is gone.
    event HotKeyRemoved(address indexed identity, address indexed key);
    /// @notice The provider sells no more.
    event Exited(address indexed identity);

    /// @notice The caller is a provider already.
    error AlreadyRegistered(address identity);
    /// @notice Neither an identity nor a hot key of one; or not the identity itself where only it may call.
    error NotRegistered(address account);
    /// @notice The provider has left the market.
    error ProviderExited(address identity);
    /// @notice The address already stands for an identity.
    error KeyInUse(address key);
    /// @notice The identity did not propose this key.
    error NotProposed(address identity, address key);
    /// @notice Only the identity or the key itself may remove it.
    error NotYourKey(address key);
    /// @notice An endpoint has at most 256 bytes.
    error EndpointTooLong(uint256 length);

    /// @notice Become a provider, or come back after exit(). The caller is the identity.
    /// @param endpoint where to reach the node, "KEY@HOST:PORT", at most 256 bytes
    function register(string calldata endpoint) external;
    /// @notice Change the endpoint; by the identity or a hot key.
    function setEndpoint(string calldata endpoint) external;
    /// @notice Propose a key that may sign offers and make the provider's calls; the key itself must accept.
    function proposeHotKey(address key) external;
    /// @notice Accept to act for `identity`; called by the key, so nobody can claim a stranger's address.
    function acceptHotKey(address identity) external;
    /// @notice Stop a key acting for the identity; by the identity or the key itself.
    function removeHotKey(address key) external;
    /// @notice Leave: no new agreements. Running ones go on, and hot keys may still serve them.
    function exit() external;

    /// @notice The identity `account` is or acts for; 0 = none.
    function identityOf(address account) external view returns (address);
    /// @notice As identityOf, but reverts with NotRegistered or ProviderExited when it may not sell.
    function sellerOf(address account) external view returns (address);
    /// @notice Where to reach a provider, as it said last; "" = never.
    function endpointOf(address identity) external view returns (string memory);
}
