// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEscrowVault} from "../src/interfaces/IEscrowVault.sol";
import {IStakeVault} from "../src/interfaces/IStakeVault.sol";
import {Tokens} from "../src/lib/Tokens.sol";
import {CloseReason, Offer, Permit, State, Units} from "../src/Types.sol";
import {Market} from "./util/Market.sol";
import {GreedyToken, HookToken, Wallet} from "./util/Mocks.sol";

interface IMintable {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

/// @dev What holds money: who gets it out, who does not, and tokens that misbehave.
contract VaultsTest is Market {
    /// @dev A client's agreement in `token`, cancelled at once: `deposit` is its credit.
    function credited(address token, uint128 deposit) private returns (uint64 id, Offer memory o) {
        o = sellOffer();
        o.token = token;
        if (token != address(usd)) bring(IMintable(token));
        uint256 before = escrow.creditOf(client, token);
        id = take(o, 1, deposit);
        vm.prank(client);
        market.close(id, o, CloseReason.BuyerCancel, 0);
        vm.assertEq(escrow.creditOf(client, token) - before, deposit, "credit");
    }

    /// @dev Provider and client own `token`, the provider has staked some.
    function bring(IMintable token) private {
        token.mint(provider, 1e10);
        token.mint(client, 1e10);
        vm.prank(client);
        token.approve(address(escrow), type(uint256).max);
        vm.startPrank(provider);
        token.approve(address(stakes), type(uint256).max);
        stakes.stake(provider, address(token), 1e9, noPermit());
        vm.stopPrank();
    }

    // ---- EscrowVault

    function test_withdraw_all_or_some() public {
        credited(address(usd), 2e6);
        uint256 before = usd.balanceOf(stranger);
        vm.startPrank(client);
        vm.assertEq(escrow.withdraw(address(usd), stranger, 5), 5, "some");
        vm.expectRevert(abi.encodeWithSelector(IEscrowVault.NotEnoughCredit.selector, 2e6 - 5, 2e6));
        escrow.withdraw(address(usd), stranger, 2e6);
        vm.expectEmit(address(escrow));
        emit IEscrowVault.Withdrawn(client, address(usd), stranger, 2e6 - 5);
        vm.assertEq(escrow.withdraw(address(usd), stranger, 0), 2e6 - 5, "the rest");
        vm.expectRevert(abi.encodeWithSelector(IEscrowVault.NothingToWithdraw.selector));
        escrow.withdraw(address(usd), stranger, 0);
        vm.stopPrank();
        vm.assertEq(usd.balanceOf(stranger) - before, 2e6, "received");
    }

    function test_withdraw_in_a_batch() public {
        HookToken other = new HookToken();
        credited(address(usd), 2e6);
        credited(address(other), 3e6);
        address[] memory tokens = new address[](3);
        (tokens[0], tokens[1], tokens[2]) = (address(usd), address(this), address(other)); // one without credit
        vm.prank(client);
        escrow.withdrawMany(tokens, stranger);
        vm.assertEq(usd.balanceOf(stranger), 2e6, "first");
        vm.assertEq(other.balanceOf(stranger), 3e6, "second");
        vm.assertEq(escrow.creditOf(client, address(usd)) + escrow.creditOf(client, address(other)), 0, "none left");
        escrow.withdrawMany(new address[](16), stranger);
        vm.expectRevert(abi.encodeWithSelector(IEscrowVault.TooManyTokens.selector, 17));
        escrow.withdrawMany(new address[](17), stranger);
    }

    function test_credits_of_agreements_add_up() public {
        credited(address(usd), 2e6);
        credited(address(usd), 3e6);
    }

    function test_only_agreements_moves_the_books() public {
        bytes memory error = abi.encodeWithSelector(IEscrowVault.NotAgreements.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(error);
        escrow.deposit(address(usd), client, 1, noPermit());
        vm.expectRevert(error);
        escrow.credit(address(usd), stranger, 1);
        vm.expectRevert(error);
        escrow.pay(address(usd), stranger, 1);
        error = abi.encodeWithSelector(IStakeVault.NotAgreements.selector, stranger);
        vm.expectRevert(error);
        stakes.reserve(provider, address(usd), 1);
        vm.expectRevert(error);
        stakes.release(provider, address(usd), 1, 1, stranger);
        Offer memory o = sellOffer();
        vm.expectRevert(error);
        book.consume(o, "", client, 1);
        vm.expectRevert(error);
        book.restore(provider, POOL, o.units, 1);
        vm.stopPrank();
    }

    // ---- tokens that misbehave

    function test_a_token_cannot_take_more_than_it_is_told() public {
        GreedyToken greedy = new GreedyToken();
        credited(address(greedy), 2e6);
        greedy.setGreedy(true);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(Tokens.TokenTookMore.selector));
        escrow.withdraw(address(greedy), client, 1000);
        greedy.setGreedy(false);
        vm.prank(client);
        escrow.withdraw(address(greedy), client, 0); // the credit was not lost
    }

    function test_a_token_that_calls_back_finds_the_doors_shut() public {
        HookToken hooked = new HookToken();
        credited(address(hooked), 5e6);
        Offer memory o = sellOffer();
        o.token = address(hooked);
        bytes[5] memory attacks = [
            abi.encodeCall(escrow.withdraw, (address(hooked), stranger, 0)),
            abi.encodeCall(market.topUp, (1, o, 1, noPermit())),
            abi.encodeCall(market.collect, (1, o)),
            abi.encodeCall(market.expire, (1, o)),
            abi.encodeCall(market.take, (o, signedBy(PROVIDER_KEY, o), client, 1, 0, 2e6, noPermit()))
        ];
        for (uint256 i = 0; i < 5; i++) {
            hooked.arm(i == 0 ? address(escrow) : address(market), attacks[i]);
            take(o, 1, 2e6);
            shut(hooked, "during take");
        }
        hooked.arm(address(escrow), attacks[0]);
        vm.prank(client);
        escrow.withdraw(address(hooked), client, 1);
        shut(hooked, "during withdraw");
        hooked.arm(address(stakes), abi.encodeCall(stakes.stake, (provider, address(hooked), 0, noPermit())));
        vm.prank(provider);
        stakes.stake(provider, address(hooked), 1e6, noPermit());
        shut(hooked, "during stake");
    }

    function shut(HookToken hooked, string memory when) private view {
        vm.assertTrue(hooked.attacked(), when);
        vm.assertTrue(hooked.refusal() == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, when);
    }

    function test_a_client_that_cannot_receive_stops_nobody() public {
        HookToken hooked = new HookToken();
        bring(IMintable(address(hooked)));
        Wallet wallet = new Wallet(vm.addr(0x77));
        hooked.mint(address(wallet), 1e9);
        vm.prank(address(wallet));
        hooked.approve(address(escrow), type(uint256).max);
        Offer memory o = sellOffer();
        o.token = address(hooked);
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        vm.prank(address(wallet));
        uint64 id = market.take(o, signature, address(wallet), 1, REQUEST, 2e6, noPermit());
        wallet.setRefuses(true);
        provision(id, o);
        pass(2 days);
        vm.prank(provider);
        market.close(id, o, CloseReason.EarlyExit, 0); // refund and penalty are owed to a wallet that refuses
        pass(2 days);
        vm.startPrank(provider);
        market.collectTo(id, o, provider);
        vm.stopPrank();

        vm.startPrank(address(wallet));
        vm.expectRevert();
        escrow.withdraw(address(hooked), address(wallet), 0);
        escrow.withdraw(address(hooked), client, 0); // anywhere else works
        stakes.claim(address(hooked), client);
        vm.stopPrank();
        vm.assertEq(hooked.balanceOf(address(escrow)), 0, "nothing is stuck");
    }

    // ---- StakeVault

    function test_stake_for_somebody_with_permit() public {
        Permit memory permit = permitFor(CLIENT_KEY, address(stakes), 500);
        vm.expectEmit(address(stakes));
        emit IStakeVault.Staked(provider, address(usd), client, 500);
        vm.prank(client);
        stakes.stake(provider, address(usd), 500, permit);
        (uint128 free,) = stakes.stakeOf(provider, address(usd));
        vm.assertEq(free, 1e9 + 500, "free");
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.ZeroAmount.selector));
        stakes.stake(provider, address(usd), 0, noPermit());
    }

    function test_unbonding() public {
        vm.startPrank(provider);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.NothingToWithdraw.selector));
        stakes.withdraw(address(usd), provider);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.ZeroAmount.selector));
        stakes.unbond(address(usd), 0);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.NotEnoughStake.selector, 1e9, 1e9 + 1));
        stakes.unbond(address(usd), 1e9 + 1);
        stakes.unbond(address(usd), 100);
        pass(UNBONDING - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StillBonded.selector, uint64(START + UNBONDING)));
        stakes.withdraw(address(usd), provider);
        stakes.unbond(address(usd), 11); // restarts the clock for all
        pass(1);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StillBonded.selector, uint64(START + 2 * UNBONDING - 1)));
        stakes.withdraw(address(usd), provider);
        (uint128 amount, uint64 readyAt) = stakes.unbondingOf(provider, address(usd));
        vm.assertTrue(amount == 111 && readyAt == START + 2 * UNBONDING - 1, "unbonding");
        pass(UNBONDING - 1);
        vm.assertEq(stakes.withdraw(address(usd), stranger), 111, "withdrawn");
        vm.stopPrank();
        vm.assertEq(usd.balanceOf(stranger), 111, "received");
        vm.assertEq(usd.balanceOf(address(stakes)), 1e9 - 111, "held");
        vm.assertEq(stakes.unbondingSeconds(), UNBONDING, "unbondingSeconds");
    }

    function test_reserved_stake_does_not_unbond() public {
        Offer memory o = sellOffer();
        take(o, 1, 2e6);
        (uint128 free,) = stakes.stakeOf(provider, address(usd));
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.NotEnoughStake.selector, free, free + 1));
        stakes.unbond(address(usd), free + 1);
    }

    function test_penalties_are_pulled_by_the_client() public {
        Offer memory o = sellOffer();
        uint64 id = takenBy(payer, o, 1, 2e6);
        pass(o.acceptWithin);
        vm.expectEmit(address(stakes));
        emit IStakeVault.Slashed(provider, address(usd), client, 479_999);
        market.expire(id, o);
        vm.assertEq(stakes.claimOf(client, address(usd)), 479_999, "24 h of the rate");
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.NothingToWithdraw.selector));
        stakes.claim(address(usd), payer);
        vm.expectEmit(address(stakes));
        emit IStakeVault.Claimed(client, address(usd), stranger, 479_999);
        vm.prank(client);
        stakes.claim(address(usd), stranger);
        vm.assertEq(usd.balanceOf(stranger), 479_999, "received");
        vm.assertEq(usd.balanceOf(address(stakes)), 1e9 - 479_999, "held");
    }

    function test_stake_is_bounded() public {
        HookToken big = new HookToken();
        big.mint(provider, type(uint256).max);
        vm.startPrank(provider);
        big.approve(address(stakes), type(uint256).max);
        stakes.stake(provider, address(big), type(uint128).max, noPermit());
        stakes.unbond(address(big), 10);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeTooLarge.selector));
        stakes.stake(provider, address(big), 1, noPermit());
        vm.stopPrank();
    }

    // ---- a close never fails

    function test_pool_set_anew_does_not_stop_a_close() public {
        Offer memory o = sellOffer();
        uint64 id = running(o, 2e6);
        o.units = sellOffer().units;
        vm.startPrank(provider);
        book.setPool(POOL, o.units); // less than before
        book.setPool(POOL, Units(~uint32(0), ~uint32(0), ~uint32(0), ~uint32(0), ~uint32(0))); // or all there can be
        vm.stopPrank();
        vm.prank(client);
        market.close(id, o, CloseReason.Buyer, 0);
        vm.assertTrue(stateOf(id, o) == State.Closed, "closed");
        vm.assertEq(book.remaining(provider, POOL).vcpuMilli, type(uint32).max, "full stays full");
    }
}
