// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev The few of forge's cheat codes that the script needs.
interface ScriptVm {
    function startBroadcast() external;
    function stopBroadcast() external;
    function envOr(string calldata name, uint256 fallback_) external view returns (uint256);
    function envOr(string calldata name, string calldata fallback_) external view returns (string memory);
    function getCode(string calldata artifact) external view returns (bytes memory);
    function getNonce(address account) external view returns (uint64);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function serializeAddress(string calldata key, string calldata name, address value) external returns (string memory);
    function serializeUint(string calldata key, string calldata name, uint256 value) external returns (string memory);
    function writeJson(string calldata json, string calldata path) external;
}

/// @title Deploys the market.
/// @notice The vaults and the book know Agreements for good (no owner, nothing to set later), and it knows them: so its
///         address is computed from the deployer's nonce before it exists. Order: TestUSD, ProviderRegistry,
///         StakeVault, OfferBook, EscrowVault, Agreements, from one account with no transaction in between.
///         Environment: MOOSH_BOND_FLOOR token-wei (default 1 tUSD), MOOSH_UNBONDING seconds (default 7 days),
///         MOOSH_DEPLOYMENT file to write (default out/deployment.json).
contract Deploy {
    ScriptVm private constant vm = ScriptVm(address(uint160(uint256(keccak256("hevm cheat code")))));
    string private constant JSON = "deployment";

    function run() external {
        uint128 bondFloor = uint128(vm.envOr("MOOSH_BOND_FLOOR", uint256(1e6)));
        uint32 unbonding = uint32(vm.envOr("MOOSH_UNBONDING", uint256(7 days)));
        uint64 nonce = vm.getNonce(msg.sender);
        address agreements = vm.computeCreateAddress(msg.sender, nonce + 5);

        vm.startBroadcast();
        address usd = create("TestUSD", "");
        address registry = create("ProviderRegistry", "");
        address stake = create("StakeVault", abi.encode(agreements, unbonding));
        address book = create("OfferBook", abi.encode(registry, agreements));
        address escrow = create("EscrowVault", abi.encode(agreements));
        address made = create("Agreements", abi.encode(book, stake, escrow, registry, bondFloor));
        vm.stopBroadcast();
        require(made == agreements, "the deployer sent something in between");

        vm.serializeUint(JSON, "chainId", block.chainid);
        vm.serializeAddress(JSON, "agreements", agreements);
        vm.serializeAddress(JSON, "escrowVault", escrow);
        vm.serializeAddress(JSON, "stakeVault", stake);
        vm.serializeAddress(JSON, "offerBook", book);
        vm.serializeAddress(JSON, "registry", registry);
        vm.serializeAddress(JSON, "testUsd", usd);
        vm.writeJson(
            vm.serializeUint(JSON, "block", block.number), vm.envOr("MOOSH_DEPLOYMENT", string("out/deployment.json"))
        );
    }

    /// @dev From the built artifact, not with `new`: a script that contained the contracts would be compiled like them.
    function create(string memory name, bytes memory args) private returns (address at) {
        bytes memory code = bytes.concat(vm.getCode(string.concat(name, ".sol:", name)), args);
        assembly {
            at := create(0, add(code, 32), mload(code))
        }
        require(at != address(0), name);
    }
}
