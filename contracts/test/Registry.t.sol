// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOfferBook} from "../src/interfaces/IOfferBook.sol";
import {IProviderRegistry} from "../src/interfaces/IProviderRegistry.sol";
import {Offer, Units} from "../src/Types.sol";
import {Market} from "./util/Market.sol";

/// @dev Identities and their keys; and what the book does besides selling.
contract RegistryTest is Market {
    address private constant KEY = address(0xE1);

    function refused(bytes4 selector, address who) private {
        vm.expectRevert(abi.encodeWithSelector(selector, who));
    }

    function test_register_once_and_again_after_exit() public {
        vm.assertEq(registry.identityOf(provider), provider);
        vm.assertEq(registry.sellerOf(hot), provider);
        vm.assertEq(registry.endpointOf(provider), "02ab@192.0.2.1:9735");
        vm.startPrank(provider);
        refused(IProviderRegistry.AlreadyRegistered.selector, provider);
        registry.register("");
        vm.expectEmit(address(registry));
        emit IProviderRegistry.Exited(provider);
        registry.exit();
        refused(IProviderRegistry.ProviderExited.selector, provider);
        registry.exit();
        refused(IProviderRegistry.ProviderExited.selector, provider);
        registry.sellerOf(hot);
        vm.assertEq(registry.identityOf(hot), provider); // still serves what runs
        vm.expectEmit(address(registry));
        emit IProviderRegistry.Registered(provider, "new");
        registry.register("new");
        vm.assertEq(registry.sellerOf(hot), provider);
        vm.stopPrank();
    }

    function test_strangers_are_nobody() public {
        vm.assertEq(registry.identityOf(stranger), address(0));
        vm.startPrank(stranger);
        refused(IProviderRegistry.NotRegistered.selector, stranger);
        registry.sellerOf(stranger);
        refused(IProviderRegistry.NotRegistered.selector, stranger);
        registry.exit();
        refused(IProviderRegistry.NotRegistered.selector, stranger);
        registry.setEndpoint("x");
        refused(IProviderRegistry.NotRegistered.selector, stranger);
        registry.proposeHotKey(KEY);
        refused(IProviderRegistry.NotRegistered.selector, stranger);
        book.setPool(POOL, Units(1, 1, 1, 1, 1));
        vm.stopPrank();
    }

    function test_hot_keys_must_agree() public {
        vm.prank(KEY);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotProposed.selector, provider, KEY));
        registry.acceptHotKey(provider);
        vm.prank(provider);
        registry.proposeHotKey(KEY);
        vm.assertEq(registry.identityOf(KEY), address(0)); // proposing claims nothing
        vm.prank(KEY);
        registry.register("mine"); // it has other plans
        vm.prank(KEY);
        refused(IProviderRegistry.KeyInUse.selector, KEY);
        registry.acceptHotKey(provider);
        vm.prank(provider);
        refused(IProviderRegistry.KeyInUse.selector, KEY);
        registry.proposeHotKey(KEY);
    }

    function test_a_hot_key_is_no_identity() public {
        vm.startPrank(hot);
        refused(IProviderRegistry.KeyInUse.selector, hot);
        registry.register("");
        refused(IProviderRegistry.NotRegistered.selector, hot);
        registry.proposeHotKey(KEY);
        refused(IProviderRegistry.NotRegistered.selector, hot);
        registry.exit();
        vm.expectEmit(address(registry));
        emit IProviderRegistry.EndpointSet(provider, "moved");
        registry.setEndpoint("moved"); // this it may
        vm.stopPrank();
    }

    function test_remove_hot_keys() public {
        vm.prank(stranger);
        refused(IProviderRegistry.NotYourKey.selector, hot);
        registry.removeHotKey(hot);
        vm.prank(provider);
        refused(IProviderRegistry.NotYourKey.selector, provider);
        registry.removeHotKey(provider); // an identity is not one of its keys
        vm.prank(provider);
        refused(IProviderRegistry.NotYourKey.selector, KEY);
        registry.removeHotKey(KEY);

        vm.startPrank(provider);
        registry.proposeHotKey(KEY);
        registry.removeHotKey(KEY); // takes the proposal back
        vm.stopPrank();
        vm.prank(KEY);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotProposed.selector, provider, KEY));
        registry.acceptHotKey(provider);

        vm.expectEmit(address(registry));
        emit IProviderRegistry.HotKeyRemoved(provider, hot);
        vm.prank(hot); // the key itself may go
        registry.removeHotKey(hot);
        vm.assertEq(registry.identityOf(hot), address(0));
    }

    function test_endpoint_has_a_limit() public {
        bytes memory endpoint = new bytes(256);
        vm.startPrank(provider);
        registry.setEndpoint(string(endpoint));
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.EndpointTooLong.selector, 257));
        registry.setEndpoint(string(new bytes(257)));
        vm.stopPrank();
    }

    function test_announce_emits_what_can_be_taken() public {
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        vm.expectEmit(address(book));
        emit IOfferBook.Announced(book.hashOffer(o), provider, o, signature);
        vm.prank(stranger);
        book.announce(o, signature);
        o.salt++;
        refused(IOfferBook.BadSignature.selector, provider);
        book.announce(o, signature);
        o.side = 2;
        bytes memory odd = signedBy(PROVIDER_KEY, o);
        vm.expectRevert(abi.encodeWithSelector(IOfferBook.BadOffer.selector, "side"));
        book.announce(o, odd);
    }

    function test_cancel_and_pool_events() public {
        vm.expectEmit(address(book));
        emit IOfferBook.Cancelled(stranger, POOL);
        vm.prank(stranger);
        book.cancel(POOL);
        Units memory left = Units(1, 2, 3, 4, 5);
        vm.expectEmit(address(book));
        emit IOfferBook.PoolSet(provider, POOL, left);
        vm.prank(hot);
        book.setPool(POOL, left);
        Units memory read = book.remaining(provider, POOL);
        vm.assertEq(keccak256(abi.encode(read)), keccak256(abi.encode(left)));
    }
}
