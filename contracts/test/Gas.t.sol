// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CloseReason, Offer, Permit} from "../src/Types.sol";
import {Market} from "./util/Market.sol";
import {Vm} from "./util/Vm.sol";

/// @dev What whole transactions cost (intrinsic gas and calldata included, net of refunds, cold storage): the limits
///      that docs/gas.md promises. Writes snapshots/market.json.
///      Setting: the market is in use (other agreements exist, the provider has staked and sold before); "first" is a
///      client's first agreement, on an offer nobody took yet; "repeat" is its next one on the same offer.
/// forge-config: default.isolate = true
contract GasTest is Market {
    string private constant GROUP = "market";

    uint256 private _life;

    function setUp() public override {
        super.setUp();
        // Somebody else's agreement: the vault, the provider's pool and stake and the counter are in use.
        Offer memory o = sellOffer();
        o.salt = 1;
        takenBy(payer, o, 1, 2e6);
        usd.mint(provider, 1); // it holds tokens, too
    }

    function test_gas_first_and_repeat() public {
        vm.prank(client);
        usd.approve(address(escrow), 0);
        Offer memory o = sellOffer();
        (uint256 take, uint256 life) = liveOnce(o, "");
        vm.assertLe(take, 230_000, "first take with permit");
        vm.assertLe(life, 560_000, "whole first life");
        (take, life) = liveOnce(o, "_repeat");
        vm.assertLe(take, 200_000, "repeated take with permit");
        vm.assertLe(life, 500_000, "whole repeated life");
    }

    /// @dev take, accept, provisioned, acknowledge, close after an hour, then both withdraw (the provider after the
    ///      hold-back, straight from the agreement).
    function liveOnce(Offer memory o, string memory suffix) private returns (uint256 take, uint256 life) {
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        Permit memory permit = permitFor(CLIENT_KEY, address(escrow), 2e6);
        _life = 0;
        vm.prank(client);
        uint64 id = market.take(o, signature, client, 1, REQUEST, 2e6, permit);
        take = note("take", suffix);
        pass(5);
        vm.prank(provider);
        market.accept(id, o);
        note("accept", suffix);
        pass(5);
        vm.prank(provider);
        market.provisioned(id, o, keccak256("host key"));
        note("provisioned", suffix);
        pass(5);
        vm.prank(client);
        market.acknowledge(id, o);
        note("acknowledge", suffix);
        pass(1 hours);
        vm.prank(client);
        market.close(id, o, CloseReason.Buyer, keccak256("log"));
        note("close", suffix);
        vm.prank(client);
        escrow.withdraw(address(usd), client, 0);
        note("client_withdraw", suffix);
        pass(24 hours);
        vm.prank(provider);
        market.collectTo(id, o, provider);
        note("provider_withdraw", suffix);
        life = _life;
        vm.snapshotValue(GROUP, string.concat("life", suffix), life);
    }

    /// @dev Gas of the last transaction as its receipt would show it: EIP-3529 gives back at most a fifth.
    function note(string memory name, string memory suffix) private returns (uint256 gas) {
        Vm.Gas memory used = vm.lastCallGas();
        vm.assertGe(used.gasTotalUsed, 21_000, "gas is measured with --isolate only");
        uint256 refund = used.gasRefunded > 0 ? uint256(int256(used.gasRefunded)) : 0;
        if (refund > used.gasTotalUsed / 5) refund = used.gasTotalUsed / 5;
        gas = used.gasTotalUsed - refund;
        vm.snapshotValue(GROUP, string.concat(name, suffix), gas);
        _life += gas;
    }
}
