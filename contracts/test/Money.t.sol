// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAgreements} from "../src/interfaces/IAgreements.sol";
import {Agreement, Balances, CloseReason, Offer, Permit, SETTLED, State} from "../src/Types.sol";
import {Market} from "./util/Market.sol";

/// @dev What every edge does with the money, in numbers small enough to check by hand: 1 wei per second and unit.
contract MoneyTest is Market {
    uint256 private constant X = 1 << 32;

    Offer private _o;

    function setUp() public override {
        super.setUp();
        _o = sellOffer();
        _o.rateX = uint96(X);
        _o.pausedRateX = uint96(X / 2);
        _o.retentionRateX = uint96(X / 4);
        _o.minTerm = 0;
        _o.maxTerm = 0;
        _o.notice = 1000;
        _o.retention = 4000; // costs 1000
        _o.holdback = 100;
        _o.acceptWithin = 100;
        _o.provisionWithin = 1000;
        _o.probeWindow = 200;
        _o.rejectFee = 30;
        _o.lockPeriod = 2000;
    }

    function active() private returns (uint64 id) {
        id = takenBy(payer, _o, 1, 10_000); // 9000 s of rent, 2000 of them locked; 1000 wei for the disks
        provision(id, _o);
        acknowledge(id, _o);
    }

    function close(address by, uint64 id, CloseReason reason) private {
        vm.prank(by);
        market.close(id, _o, reason, 0);
    }

    function expire(uint64 id) private {
        vm.prank(stranger);
        market.expire(id, _o);
    }

    /// @dev The end of a sponsored agreement of 1 unit: who has what when all holds are over.
    function ended(uint64 id, CloseReason reason, uint256 toProvider, uint256 toPayer, uint256 penalty) private {
        (Agreement memory a, CloseReason why) = market.agreement(id);
        vm.assertTrue(a.state == State.Closed && why == reason, "reason");
        vm.assertEq(a.tS, block.timestamp, "closedAt");
        vm.assertEq(market.balances(id, _o, 0).earnedX, toProvider * X, "waits for the provider");
        vm.assertEq(escrow.creditOf(payer, address(usd)), toPayer, "payer's credit");
        vm.assertEq(escrow.creditOf(client, address(usd)), 0, "a sponsored client gets no refund");
        vm.assertEq(stakes.claimOf(client, address(usd)), penalty, "penalty");
        (uint128 free, uint128 reserved) = stakes.stakeOf(provider, address(usd));
        vm.assertEq(reserved, 0, "bond released");
        vm.assertEq(free, 1e9 - penalty, "rest of the bond");
        vm.assertEq(book.remaining(provider, POOL).vcpuMilli, 64_000, "pool credited");
        if (toProvider == 0) return;
        pass(_o.holdback);
        market.collect(id, _o);
        vm.assertEq(escrow.creditOf(provider, address(usd)), toProvider, "provider's credit");
        vm.assertEq(usd.balanceOf(address(escrow)), toProvider + toPayer, "nothing is stuck");
    }

    // ---- before the machine runs

    function test_buyer_cancel() public {
        uint64 id = takenBy(payer, _o, 1, 10_000);
        pass(50);
        close(client, id, CloseReason.BuyerCancel);
        ended(id, CloseReason.BuyerCancel, 30, 9970, 0);
    }

    function test_buyer_leaves_after_accept_and_owes_the_minimum_term() public {
        _o.minTerm = 500;
        uint64 id = takenBy(payer, _o, 1, 10_000);
        accept(id, _o);
        pass(50);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 500, 9500, 0);
    }

    function test_provider_never_accepts() public {
        uint64 id = takenBy(payer, _o, 1, 10_000);
        pass(99);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.TooEarly.selector, uint64(block.timestamp + 1)));
        market.expire(id, _o);
        pass(1);
        expire(id);
        ended(id, CloseReason.ProviderTimeout, 0, 10_000, 1000);
    }

    function test_provider_accepts_and_never_provisions() public {
        uint64 id = takenBy(payer, _o, 1, 10_000);
        accept(id, _o);
        pass(999);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.TooEarly.selector, uint64(block.timestamp + 1)));
        market.expire(id, _o);
        pass(1);
        expire(id);
        ended(id, CloseReason.ProviderTimeout, 0, 10_000, 1000);
    }

    function test_early_exit_before_provisioning() public {
        uint64 id = takenBy(payer, _o, 1, 10_000);
        close(provider, id, CloseReason.EarlyExit);
        ended(id, CloseReason.EarlyExit, 0, 10_000, 1000);
    }

    function test_penalty_is_at_most_the_bond() public {
        (_o.notice, _o.holdback) = (1000, 0);
        uint64 id = takenBy(payer, _o, 1, 10_000);
        vm.assertEq(market.bondOf(_o, 1), 1000, "bond");
        pass(100);
        expire(id);
        ended(id, CloseReason.ProviderTimeout, 0, 10_000, 1000);
    }

    // ---- the probe

    function test_reject_gives_all_back_but_the_fee() public {
        uint64 id = takenBy(payer, _o, 1, 10_000);
        provision(id, _o);
        pass(199);
        vm.assertEq(market.balances(id, _o, uint64(block.timestamp)).earnedX, 199 * X, "accrues");
        vm.assertEq(market.balances(id, _o, uint64(block.timestamp)).withdrawable, 0, "but is not payable");
        vm.expectEmit(address(market));
        emit IAgreements.Closed(id, CloseReason.Rejected, 30, 9970, 0, REQUEST);
        vm.prank(client);
        market.reject(id, _o, REQUEST);
        ended(id, CloseReason.Rejected, 30, 9970, 0);
    }

    function test_provider_cannot_pretend_and_leave_with_the_pay() public {
        (_o.notice, _o.holdback) = (0, 0);
        uint64 id = takenBy(payer, _o, 1, 10_000);
        provision(id, _o);
        pass(199);
        close(provider, id, CloseReason.EarlyExit);
        ended(id, CloseReason.EarlyExit, 0, 10_000, 0);
    }

    function test_pay_counts_from_provisioned_when_nobody_objects() public {
        uint64 id = takenBy(payer, _o, 1, 10_000);
        provision(id, _o);
        pass(200);
        vm.assertTrue(stateOf(id, _o) == State.Active, "active by time");
        vm.assertEq(market.balances(id, _o, uint64(block.timestamp)).withdrawable, 100, "200 s less the hold-back");
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 200, 9800, 0);
    }

    // ---- running

    function test_buyer_leaves() public {
        uint64 id = active();
        pass(1234);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 1234, 8766, 0);
    }

    function test_early_fee_counts_from_provisioned_and_ends() public {
        _o.minTerm = 2000;
        uint64 id = active();
        pass(1234);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 2000, 8000, 0);
    }

    function test_no_early_fee_from_the_last_second_on() public {
        _o.minTerm = 2000;
        uint64 id = active();
        pass(2000);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 2000, 8000, 0);
    }

    function test_early_fee_is_at_most_what_is_left() public {
        _o.minTerm = 1_000_000;
        uint64 id = active();
        pass(10);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 10_000, 0, 0);
    }

    function test_pause_bills_the_paused_rate() public {
        uint64 id = active();
        pass(100);
        vm.prank(client);
        market.pause(id, _o);
        pass(101); // 50 and a half
        vm.prank(client);
        market.resume(id, _o);
        pass(100);
        (Agreement memory a,) = market.agreement(id);
        vm.assertEq(a.flags & SETTLED, SETTLED, "settled on the way");
        close(client, id, CloseReason.Buyer);
        // 250.5 earned; the payer's half wei of 9749.5 goes to the provider, too: nothing is lost
        ended(id, CloseReason.Buyer, 251, 9749, 0);
    }

    function test_offers_without_paused_rate_cannot_be_paused() public {
        _o.pausedRateX = 0;
        uint64 id = active();
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.NotPausable.selector));
        market.pause(id, _o);
    }

    function test_collect_leaves_the_newest_seconds() public {
        uint64 id = active();
        pass(100);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.NothingToCollect.selector));
        market.collect(id, _o);
        pass(50);
        vm.expectEmit(address(market));
        emit IAgreements.Collected(id, provider, address(0), 50);
        vm.prank(stranger);
        market.collect(id, _o);
        vm.assertEq(escrow.creditOf(provider, address(usd)), 50, "150 s less 100");
        pass(10);
        vm.prank(provider);
        vm.expectEmit(address(market));
        emit IAgreements.Collected(id, provider, stranger, 10);
        market.collectTo(id, _o, stranger);
        vm.assertEq(usd.balanceOf(stranger), 10, "paid at once");
    }

    function test_hold_outlives_the_close() public {
        uint64 id = active();
        pass(150);
        close(client, id, CloseReason.Buyer);
        vm.assertEq(market.balances(id, _o, uint64(block.timestamp)).withdrawable, 50, "what was free stays free");
        market.collect(id, _o);
        pass(99);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.NothingToCollect.selector));
        market.collect(id, _o);
        pass(1);
        market.collect(id, _o);
        vm.assertEq(escrow.creditOf(provider, address(usd)), 150, "all of it");
        (Agreement memory a,) = market.agreement(id);
        vm.assertEq(uint256(a.mainX) + a.units + a.deadline + uint8(a.closedFrom), 0, "the record shrinks");
        vm.assertTrue(stateOf(id, _o) == State.Closed, "and stays closed");
    }

    function test_payer_takes_back_what_is_free() public {
        uint64 id = active();
        pass(500);
        Balances memory b = market.balances(id, _o, uint64(block.timestamp));
        vm.assertEq(b.freeX, (9500 - 1000 - 2000) * X, "free");
        vm.startPrank(payer);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.NotEnoughFree.selector, uint128(6500), uint128(6501)));
        market.withdrawFree(id, _o, 6501);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.ZeroAmount.selector));
        market.withdrawFree(id, _o, 0);
        market.withdrawFree(id, _o, 6500);
        vm.stopPrank();
        vm.assertEq(escrow.creditOf(payer, address(usd)), 6500, "credited");
        vm.assertTrue(stateOf(id, _o) == State.Grace, "the lock period is all that is left");
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 500, 9500, 0);
    }

    function test_anybody_tops_up() public {
        uint64 id = active();
        pass(8000);
        vm.assertTrue(stateOf(id, _o) == State.Grace, "grace");
        fund(stranger, 5000);
        vm.expectEmit(address(market));
        emit IAgreements.ToppedUp(id, stranger, 5000);
        vm.prank(stranger);
        market.topUp(id, _o, 5000, noPermit());
        vm.assertTrue(stateOf(id, _o) == State.Active, "back");
        Balances memory b = market.balances(id, _o, uint64(block.timestamp));
        vm.assertEq(b.balX, 7000 * X, "2000 + 5000");
        vm.assertEq(b.graceUntil, block.timestamp + 6000, "graceUntil");
        vm.assertEq(b.fundedUntil, block.timestamp + 4000, "fundedUntil");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.ZeroAmount.selector));
        market.topUp(id, _o, 0, noPermit());
    }

    function test_top_up_with_permit() public {
        uint64 id = active();
        vm.prank(client);
        usd.approve(address(escrow), 0);
        Permit memory permit = permitFor(CLIENT_KEY, address(escrow), 7);
        vm.prank(client);
        market.topUp(id, _o, 7, permit);
        vm.assertEq(market.balances(id, _o, 0).balX, 10_007 * X, "added");
    }

    function test_seconds_without_money_are_not_billed() public {
        uint64 id = active();
        pass(9000 + 1500); // 1500 s into DRAINING
        vm.assertTrue(stateOf(id, _o) == State.Draining, "draining");
        vm.prank(client);
        market.topUp(id, _o, 3000, noPermit());
        Balances memory b = market.balances(id, _o, uint64(block.timestamp));
        vm.assertEq(b.earnedX, 9000 * X, "the gap is free");
        vm.assertEq(b.balX, 4000 * X, "the disks' money is still there");
        vm.assertEq(b.graceUntil, block.timestamp + 3000, "all of it buys time");
        pass(1);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 9001, 3999, 0);
    }

    // ---- when the money ends

    function test_disks_are_paid_while_draining() public {
        uint64 id = active();
        pass(9000 + 1000);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 9250, 750, 0);
    }

    function test_funds_expire_after_retention() public {
        uint64 id = active();
        pass(9000 + 3999);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.TooEarly.selector, uint64(block.timestamp + 1)));
        market.expire(id, _o);
        pass(100_000);
        expire(id);
        ended(id, CloseReason.Funds, 10_000, 0, 0);
    }

    function test_max_term() public {
        _o.maxTerm = 5000;
        uint64 id = active();
        pass(4999);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.TooEarly.selector, uint64(block.timestamp + 1)));
        market.expire(id, _o);
        pass(1);
        expire(id);
        ended(id, CloseReason.Expired, 5000, 5000, 0);
    }

    function test_expiring_inside_the_probe_window_pays_nothing() public {
        _o.maxTerm = 150;
        uint64 id = takenBy(payer, _o, 1, 10_000);
        provision(id, _o);
        pass(150);
        expire(id);
        ended(id, CloseReason.Expired, 0, 10_000, 0);
    }

    // ---- the provider leaves

    function test_reclaim_after_notice() public {
        uint64 id = active();
        vm.prank(client);
        market.pause(id, _o);
        pass(100);
        vm.expectEmit(address(market));
        emit IAgreements.Reclaiming(id, uint64(block.timestamp + 1000));
        vm.prank(hot);
        market.reclaim(id, _o);
        pass(1000); // full rate, although it was paused
        close(provider, id, CloseReason.Reclaim);
        ended(id, CloseReason.Reclaim, 1050, 8950, 0);
    }

    function test_early_exit_pays_the_missing_notice() public {
        uint64 id = active();
        pass(100);
        vm.prank(provider);
        market.reclaim(id, _o);
        pass(400);
        close(hot, id, CloseReason.EarlyExit);
        ended(id, CloseReason.EarlyExit, 500, 9500, 600);
    }

    function test_early_exit_without_notice_pays_all_of_it() public {
        uint64 id = active();
        pass(100);
        close(provider, id, CloseReason.EarlyExit);
        ended(id, CloseReason.EarlyExit, 100, 9900, 1000);
    }

    function test_client_leaves_a_reclaimed_machine_free() public {
        _o.minTerm = 5000;
        uint64 id = active();
        pass(100);
        vm.prank(provider);
        market.reclaim(id, _o);
        pass(1);
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 101, 9899, 0);
    }

    // ---- races and wrong papers

    function test_close_names_the_reason_it_counts_on() public {
        uint64 id = takenBy(payer, _o, 1, 10_000);
        accept(id, _o); // overtakes the client's cancellation
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.WouldCloseAs.selector, CloseReason.Buyer));
        market.close(id, _o, CloseReason.BuyerCancel, 0);
    }

    function test_wrong_terms() public {
        uint64 id = active();
        bytes32 agreed = book.hashOffer(_o);
        Offer memory other = _o;
        other.notice = 0;
        bytes32 given = book.hashOffer(other);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.WrongTerms.selector, agreed, given));
        market.close(id, other, CloseReason.None, 0);
    }

    function test_unknown_agreement() public {
        bytes memory error = abi.encodeWithSelector(IAgreements.UnknownAgreement.selector, uint64(7));
        vm.expectRevert(error);
        market.agreement(7);
        vm.expectRevert(error);
        market.stateAt(7, _o, 0);
        vm.expectRevert(error);
        market.balances(7, _o, 0);
        vm.expectRevert(error);
        market.partiesOf(7, _o);
        vm.expectRevert(error);
        market.expire(7, _o);
    }

    function test_balance_stays_below_its_bound() public {
        fund(stranger, type(uint136).max);
        uint64 id = active();
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.BalanceTooLarge.selector));
        market.topUp(id, _o, type(uint128).max - 9999, noPermit());
        market.topUp(id, _o, type(uint128).max - 10_000, noPermit());
        pass(5000); // what was earned counts, too
        vm.expectRevert(abi.encodeWithSelector(IAgreements.BalanceTooLarge.selector));
        market.topUp(id, _o, 1, noPermit());
        vm.stopPrank();
        vm.assertTrue(stateOf(id, _o) == State.Active, "and it still works");
        close(client, id, CloseReason.Buyer);
        ended(id, CloseReason.Buyer, 5000, type(uint128).max - 5000, 0);
    }

    // ---- any numbers

    /// @dev Whatever the rates and times: every X is with somebody, and the view says what the close does.
    function testFuzz_split_is_exact(uint96 rateX, uint96 retentionRateX, uint64 deposit, uint32 after_) public {
        rateX = uint96(within(rateX, 0, 1000 * X));
        retentionRateX = uint96(within(retentionRateX, 0, 1000 * X));
        uint32 seconds_ = uint32(within(after_, 0, 365 days));
        (_o.rateX, _o.retentionRateX, _o.pausedRateX, _o.rejectFee) = (rateX, retentionRateX, 0, 0);
        uint128 least = market.minDeposit(_o, 1);
        uint128 paid = uint128(within(deposit, least, uint256(least) + 1e12));
        uint64 id = takenBy(payer, _o, 1, paid);
        provision(id, _o);
        acknowledge(id, _o);
        pass(seconds_);
        Balances memory b = market.balances(id, _o, uint64(block.timestamp));
        vm.assertEq(b.balX + b.earnedX, uint256(paid) * X, "conserved");
        vm.assertGe(b.balX, b.lockFixedX, "retention stays covered");
        close(client, id, CloseReason.Buyer);
        uint256 owed = market.balances(id, _o, 0).earnedX;
        vm.assertEq(owed % X, 0, "whole wei at the end");
        vm.assertEq(owed / X + escrow.creditOf(payer, address(usd)), paid, "all of it with somebody");
    }

    /// @dev Settling on the way, however often, changes nothing.
    function testFuzz_touching_is_invisible(uint96 rateX, uint32[8] calldata at) public {
        _o.rateX = uint96(within(rateX, 1, 3 * X));
        (_o.pausedRateX, _o.rejectFee) = (_o.rateX, 0);
        uint64 touched = active();
        uint64 untouched = active();
        for (uint256 i = 0; i < 8; i++) {
            pass(within(at[i], 1, 2000));
            if (stateOf(touched, _o) != State.Active) break;
            vm.startPrank(client);
            market.pause(touched, _o);
            market.resume(touched, _o);
            vm.stopPrank();
            Balances memory a = market.balances(touched, _o, uint64(block.timestamp));
            Balances memory b = market.balances(untouched, _o, uint64(block.timestamp));
            vm.assertEq(a.balX, b.balX, "balX");
            vm.assertEq(a.earnedX, b.earnedX, "earnedX");
            vm.assertEq(a.graceUntil, b.graceUntil, "graceUntil");
        }
    }
}
