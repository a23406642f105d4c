// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAgreements} from "../src/interfaces/IAgreements.sol";
import {IOfferBook} from "../src/interfaces/IOfferBook.sol";
import {IProviderRegistry} from "../src/interfaces/IProviderRegistry.sol";
import {IStakeVault} from "../src/interfaces/IStakeVault.sol";
import {OfferHash} from "../src/lib/OfferHash.sol";
import {Agreement, BUY, CloseReason, Offer, Permit, SELL, SPONSORED, State, Units} from "../src/Types.sol";
import {Market} from "./util/Market.sol";
import {FeeToken, Wallet} from "./util/Mocks.sol";

/// @dev How an agreement begins: take and fill, and everything that refuses them.
contract TakeTest is Market {
    uint128 private constant DEPOSIT = 2e6;

    /// @dev take() must be refused with exactly `error`.
    function refuse(Offer memory o, bytes memory signature, uint32 units, uint128 deposit, bytes memory error) private {
        vm.prank(client);
        vm.expectRevert(error);
        market.take(o, signature, client, units, REQUEST, deposit, noPermit());
    }

    function refuseSigned(Offer memory o, bytes memory error) private {
        refuse(o, signedBy(PROVIDER_KEY, o), 1, DEPOSIT, error);
    }

    // ---- what a take does

    function test_take_books_everything_once() public {
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        bytes32 termsHash = book.hashOffer(o);
        uint128 bond = market.bondOf(o, 2);
        vm.assertEq(bond, uint256(o.rateX) * 2 * 172_800 >> 32, "bond is rate * (notice + D)");
        vm.expectEmit(address(market));
        emit IAgreements.Taken(1, client, provider, payer, termsHash, REQUEST, 2, DEPOSIT, bond, o);
        vm.prank(payer);
        uint64 id = market.take(o, signature, client, 2, REQUEST, DEPOSIT, noPermit());

        vm.assertEq(id, 1, "ids count from 1");
        vm.assertEq(market.nextId(), 2, "next id");
        (Agreement memory a, CloseReason reason) = market.agreement(id);
        vm.assertEq(a.termsHash, termsHash);
        vm.assertEq(a.taker, client);
        vm.assertTrue(a.state == State.Taken && reason == CloseReason.None, "state");
        vm.assertEq(a.flags, SPONSORED, "flags");
        vm.assertEq(a.startedAt, START, "startedAt");
        vm.assertEq(a.tS, START, "tS");
        vm.assertEq(a.mainX, uint256(DEPOSIT) << 32, "balX");
        vm.assertEq(a.units, 2, "units");
        (address client_, address provider_, address payer_) = market.partiesOf(id, o);
        vm.assertEq(client_, client);
        vm.assertEq(provider_, provider);
        vm.assertEq(payer_, payer);
        vm.assertEq(usd.balanceOf(address(escrow)), DEPOSIT, "held");
        (uint128 free, uint128 reserved) = stakes.stakeOf(provider, address(usd));
        vm.assertEq(reserved, bond, "reserved");
        vm.assertEq(free, 1e9 - bond, "free");
        (uint32 filled,) = book.filled(provider, termsHash);
        vm.assertEq(filled, 2, "filled");
        vm.assertEq(book.remaining(provider, POOL).vcpuMilli, 60_000, "pool vcpu");
        vm.assertEq(book.remaining(provider, POOL).diskGib, 4056, "pool disk");
    }

    function test_take_with_permit() public {
        vm.prank(client);
        usd.approve(address(escrow), 0);
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        Permit memory permit = permitFor(CLIENT_KEY, address(escrow), DEPOSIT);
        vm.prank(client);
        market.take(o, signature, client, 1, REQUEST, DEPOSIT, permit);
        vm.assertEq(usd.balanceOf(address(escrow)), DEPOSIT, "held");
    }

    function test_take_survives_a_front_run_permit() public {
        vm.prank(client);
        usd.approve(address(escrow), 0);
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        Permit memory permit = permitFor(CLIENT_KEY, address(escrow), DEPOSIT);
        vm.prank(stranger);
        usd.permit(client, address(escrow), permit.value, permit.deadline, permit.v, permit.r, permit.s);
        vm.prank(client);
        market.take(o, signature, client, 1, REQUEST, DEPOSIT, permit);
        vm.assertEq(usd.balanceOf(address(escrow)), DEPOSIT, "held");
    }

    function test_take_with_a_bad_permit_and_no_allowance_is_refused() public {
        vm.prank(client);
        usd.approve(address(escrow), 0);
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        Permit memory permit = permitFor(PAYER_KEY, address(escrow), DEPOSIT); // somebody else's
        vm.prank(client);
        vm.expectRevert();
        market.take(o, signature, client, 1, REQUEST, DEPOSIT, permit);
    }

    function test_fee_on_transfer_is_measured() public {
        FeeToken fee = new FeeToken();
        fee.mint(provider, 1e9);
        fee.mint(client, 1e9);
        vm.startPrank(provider);
        fee.approve(address(stakes), type(uint256).max);
        stakes.stake(provider, address(fee), 1e8, noPermit());
        vm.stopPrank();
        (uint128 free,) = stakes.stakeOf(provider, address(fee));
        vm.assertEq(free, 99e6, "what arrived is the stake");
        vm.prank(client);
        fee.approve(address(escrow), type(uint256).max);

        Offer memory o = sellOffer();
        o.token = address(fee);
        uint128 least = market.minDeposit(o, 1);
        refuse(
            o,
            signedBy(PROVIDER_KEY, o),
            1,
            least,
            abi.encodeWithSelector(IAgreements.DepositTooSmall.selector, least, least - (least + 99) / 100)
        );
        uint64 id = take(o, 1, DEPOSIT);
        vm.assertEq(market.balances(id, o, 0).balX, uint256(1_980_000) << 32, "what arrived is the deposit");
    }

    function test_least_deposit() public {
        Offer memory o = sellOffer();
        // 72 h of a tenth of the rate, and 24 h of the rate; rounded up
        uint256 x = uint256(o.retentionRateX) * 72 hours + uint256(o.rateX) * 24 hours;
        uint128 least = market.minDeposit(o, 1);
        vm.assertEq(least, (x + (1 << 32) - 1) >> 32, "lock period and retention");
        refuse(
            o,
            signedBy(PROVIDER_KEY, o),
            1,
            least - 1,
            abi.encodeWithSelector(IAgreements.DepositTooSmall.selector, least, least - 1)
        );
        take(o, 1, least);
        o.lockPeriod = 0;
        o.retention = 0;
        o.rejectFee = 50;
        vm.assertEq(market.minDeposit(o, 3), 150, "at least the reject fee");
    }

    function test_free_machine_without_deposit() public {
        Offer memory o = sellOffer();
        (o.rateX, o.pausedRateX, o.retentionRateX) = (0, 0, 0);
        uint64 id = running(o, 0);
        pass(3650 days);
        vm.assertTrue(stateOf(id, o) == State.Active, "runs for ever");
        vm.assertEq(market.balances(id, o, 0).graceUntil, type(uint64).max, "never");
        vm.prank(client);
        market.close(id, o, CloseReason.Buyer, 0);
        (uint128 free, uint128 reserved) = stakes.stakeOf(provider, address(usd));
        vm.assertEq(free + reserved, 1e9, "stake");
        vm.assertEq(reserved, 0, "bond is free");
    }

    // ---- the offer's own refusals

    function test_signature_of_somebody_else() public {
        Offer memory o = sellOffer();
        refuse(
            o, signedBy(CLIENT_KEY, o), 1, DEPOSIT, abi.encodeWithSelector(IOfferBook.BadSignature.selector, provider)
        );
    }

    function test_signature_malleated() public {
        Offer memory o = sellOffer();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PROVIDER_KEY, book.digest(o));
        uint256 n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes memory high = abi.encodePacked(r, bytes32(n - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        refuse(o, high, 1, DEPOSIT, abi.encodeWithSelector(IOfferBook.BadSignature.selector, provider));
        refuse(o, "", 1, DEPOSIT, abi.encodeWithSelector(IOfferBook.BadSignature.selector, provider));
    }

    function test_price_changed_after_signing() public {
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        o.rateX -= 1;
        refuse(o, signature, 1, DEPOSIT, abi.encodeWithSelector(IOfferBook.BadSignature.selector, provider));
    }

    function test_signature_for_another_book() public {
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        deployMarket(BOND_FLOOR); // the same code elsewhere
        vm.prank(provider);
        registry.register("");
        refuse(o, signature, 1, DEPOSIT, abi.encodeWithSelector(IOfferBook.BadSignature.selector, provider));
    }

    function test_expiry_is_the_first_second_too_late() public {
        Offer memory o = sellOffer();
        vm.warp(o.expiry);
        refuseSigned(o, abi.encodeWithSelector(IOfferBook.OfferExpired.selector, o.expiry));
        vm.warp(o.expiry - 1);
        take(o, 1, DEPOSIT);
    }

    function test_cancelled() public {
        Offer memory o = sellOffer();
        bytes32 hash = book.hashOffer(o);
        vm.prank(stranger);
        book.cancel(hash); // a stranger cancels nothing but its own
        take(o, 1, DEPOSIT);
        vm.prank(provider);
        book.cancel(hash);
        refuseSigned(o, abi.encodeWithSelector(IOfferBook.OfferCancelled.selector));
        (uint32 filled, bool cancelled) = book.filled(provider, hash);
        vm.assertTrue(filled == 1 && cancelled, "what was sold stays on record");
    }

    function test_bump_nonce_cancels_all() public {
        Offer memory o = sellOffer();
        vm.prank(provider);
        vm.assertEq(book.bumpNonce(), 1, "nonce");
        refuseSigned(o, abi.encodeWithSelector(IOfferBook.OfferNonceStale.selector, uint64(1), uint64(0)));
        o.nonce = 2;
        refuseSigned(o, abi.encodeWithSelector(IOfferBook.OfferNonceStale.selector, uint64(1), uint64(2)));
        o.nonce = 1;
        take(o, 1, DEPOSIT);
        vm.assertEq(book.nonceOf(provider), 1, "nonceOf");
    }

    function test_private_offer() public {
        Offer memory o = sellOffer();
        o.allowedTaker = stranger;
        refuseSigned(o, abi.encodeWithSelector(IOfferBook.PrivateOffer.selector, stranger));
        o.allowedTaker = client;
        takenBy(payer, o, 1, DEPOSIT); // the client counts, not who pays
    }

    function test_sold_out() public {
        Offer memory o = sellOffer();
        o.volume = 3;
        refuse(
            o,
            signedBy(PROVIDER_KEY, o),
            4,
            2 * DEPOSIT,
            abi.encodeWithSelector(IOfferBook.SoldOut.selector, uint32(3), uint32(4))
        );
        uint64 id = take(o, 2, 2 * DEPOSIT);
        refuse(
            o,
            signedBy(PROVIDER_KEY, o),
            2,
            2 * DEPOSIT,
            abi.encodeWithSelector(IOfferBook.SoldOut.selector, uint32(1), uint32(2))
        );
        take(o, 1, DEPOSIT);
        vm.prank(client);
        market.close(id, o, CloseReason.BuyerCancel, 0);
        // A closed agreement gives capacity back to the pool, not volume to the offer.
        refuseSigned(o, abi.encodeWithSelector(IOfferBook.SoldOut.selector, uint32(0), uint32(1)));
    }

    function test_zero_units() public {
        Offer memory o = sellOffer();
        refuse(o, signedBy(PROVIDER_KEY, o), 0, DEPOSIT, abi.encodeWithSelector(IOfferBook.ZeroUnits.selector));
    }

    function test_each_member_of_the_pool_counts() public {
        Units[5] memory lacking = [
            Units(1999, 2048, 20, 1, 1),
            Units(2000, 2047, 20, 1, 1),
            Units(2000, 2048, 19, 1, 1),
            Units(2000, 2048, 20, 0, 1),
            Units(2000, 2048, 20, 1, 0)
        ];
        Offer memory o = sellOffer();
        o.units = Units(2000, 2048, 20, 1, 1);
        for (uint256 i = 0; i < 5; i++) {
            vm.prank(provider);
            book.setPool(POOL, lacking[i]);
            refuseSigned(o, abi.encodeWithSelector(IOfferBook.PoolExhausted.selector, provider, POOL));
        }
        vm.prank(hot); // a hot key may, too
        book.setPool(POOL, o.units);
        take(o, 1, DEPOSIT);
        Units memory left = book.remaining(provider, POOL);
        vm.assertEq(uint256(left.vcpuMilli) + left.ramMib + left.diskGib + left.gpu + left.ipv4, 0, "all of it sold");
    }

    function test_offers_without_pool_are_bounded_by_volume_alone() public {
        Offer memory o = sellOffer();
        o.pool = 0;
        o.units = Units(type(uint32).max, 0, 0, 0, 0);
        uint64 id = take(o, 2, 2 * DEPOSIT);
        vm.prank(client);
        market.close(id, o, CloseReason.None, 0);
        vm.assertEq(book.remaining(provider, 0).vcpuMilli, 0, "no pool, nothing given back");
    }

    function test_two_takers_cannot_buy_the_same_core() public {
        vm.prank(provider);
        book.setPool(POOL, Units(2000, 2048, 20, 0, 0));
        Offer memory small = sellOffer();
        Offer memory other = sellOffer();
        other.units = Units(1000, 512, 10, 0, 0);
        other.salt = 1;
        uint64 id = take(small, 1, DEPOSIT);
        refuseSigned(other, abi.encodeWithSelector(IOfferBook.PoolExhausted.selector, provider, POOL));
        vm.prank(client);
        market.close(id, small, CloseReason.None, 0);
        take(other, 2, 2 * DEPOSIT);
    }

    function test_contradictions() public {
        Offer memory o = sellOffer();
        o.kind = 9;
        refuseSigned(o, bad("kind"));
        o = sellOffer();
        o.class = 2;
        refuseSigned(o, bad("class"));
        o.class = 0;
        o.overcommitPct = 150;
        refuseSigned(o, bad("overcommitPct"));
        o.class = 1;
        o.overcommitPct = 99;
        refuseSigned(o, bad("overcommitPct"));
        o = sellOffer();
        o.pausedRateX = o.rateX + 1;
        refuseSigned(o, bad("pausedRateX"));
        o = sellOffer();
        o.minTerm = 10;
        o.maxTerm = 9;
        refuseSigned(o, bad("maxTerm"));
        o = sellOffer();
        o.rejectFee = uint128(uint256(o.rateX) * o.probeWindow >> 32) + 1;
        refuseSigned(o, bad("rejectFee"));
        o.rejectFee -= 1;
        take(o, 1, DEPOSIT);
        o = sellOffer();
        o.class = 1;
        o.overcommitPct = 400;
        take(o, 1, DEPOSIT);
    }

    function bad(string memory field) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IOfferBook.BadOffer.selector, field);
    }

    // ---- who may sell, and with what bond

    function test_unregistered_provider() public {
        Offer memory o = sellOffer();
        o.maker = stranger = vm.addr(0x5);
        refuse(
            o, signedBy(0x5, o), 1, DEPOSIT, abi.encodeWithSelector(IProviderRegistry.NotRegistered.selector, stranger)
        );
    }

    function test_exited_provider_sells_nothing_but_serves() public {
        Offer memory o = sellOffer();
        uint64 id = take(o, 1, DEPOSIT);
        vm.prank(provider);
        registry.exit();
        refuseSigned(o, abi.encodeWithSelector(IProviderRegistry.ProviderExited.selector, provider));
        vm.prank(hot);
        market.accept(id, o);
        provision(id, o);
        vm.prank(provider);
        registry.register("back");
        take(o, 1, DEPOSIT);
    }

    function test_bond_must_be_free() public {
        Offer memory o = sellOffer();
        vm.prank(provider);
        stakes.unbond(address(usd), 1e9 - 1_500_000);
        uint128 bond = market.bondOf(o, 1);
        take(o, 1, DEPOSIT);
        refuseSigned(o, abi.encodeWithSelector(IStakeVault.BondTooSmall.selector, 1_500_000 - bond, bond));
    }

    function test_bond_floor() public view {
        Offer memory o = sellOffer();
        (o.notice, o.holdback) = (0, 0);
        vm.assertEq(market.bondOf(o, 1), BOND_FLOOR, "floor");
    }

    function test_rate_of_all_units_fits_96_bits() public {
        Offer memory o = sellOffer();
        o.rateX = type(uint96).max / 4 + 1;
        (o.lockPeriod, o.holdback, o.notice) = (0, 0, 0);
        refuse(o, signedBy(PROVIDER_KEY, o), 4, DEPOSIT, abi.encodeWithSelector(IAgreements.RateTooLarge.selector));
        take(o, 3, DEPOSIT);
    }

    function test_sides_do_not_mix() public {
        Offer memory o = bidOffer();
        refuse(o, signedBy(CLIENT_KEY, o), 1, DEPOSIT, abi.encodeWithSelector(IAgreements.WrongSide.selector, BUY));
        o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.WrongSide.selector, SELL));
        market.fill(o, signature, 1, REQUEST, noPermit());
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.NoClient.selector));
        market.take(o, signature, address(0), 1, REQUEST, DEPOSIT, noPermit());
    }

    // ---- hot keys and contracts as makers

    function test_hot_key_makes_and_serves() public {
        Offer memory o = sellOffer();
        o.maker = hot;
        bytes memory signature = signedBy(HOT_KEY, o);
        vm.prank(client);
        uint64 id = market.take(o, signature, client, 1, REQUEST, DEPOSIT, noPermit());
        (, address provider_,) = market.partiesOf(id, o);
        vm.assertEq(provider_, provider);
        vm.assertEq(book.remaining(provider, POOL).vcpuMilli, 62_000, "the identity's pool");

        // Once agreed, losing the key changes nothing but who may act.
        vm.prank(provider);
        registry.removeHotKey(hot);
        vm.prank(hot);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.NotProvider.selector, hot));
        market.accept(id, o);
        accept(id, o);
        provision(id, o);
        acknowledge(id, o);
        pass(48 hours);
        vm.prank(provider);
        market.collectTo(id, o, provider);
        vm.prank(client);
        market.close(id, o, CloseReason.Buyer, 0);
        refuse(o, signature, 1, DEPOSIT, abi.encodeWithSelector(IProviderRegistry.NotRegistered.selector, hot));
    }

    function test_contract_as_maker() public {
        Wallet wallet = new Wallet(vm.addr(0x77));
        usd.mint(address(wallet), 1e9);
        vm.startPrank(address(wallet));
        registry.register("");
        usd.approve(address(stakes), 1e9);
        stakes.stake(address(wallet), address(usd), 1e9, noPermit());
        book.setPool(POOL, Units(64_000, 64_000, 64_000, 0, 0));
        vm.stopPrank();
        Offer memory o = sellOffer();
        o.maker = address(wallet);
        bytes memory wrong = signedBy(0x78, o);
        refuse(o, wrong, 1, DEPOSIT, abi.encodeWithSelector(IOfferBook.BadSignature.selector, address(wallet)));
        bytes memory signature = signedBy(0x77, o);
        vm.prank(client);
        uint64 id = market.take(o, signature, client, 1, REQUEST, DEPOSIT, noPermit());
        vm.prank(address(wallet));
        market.provisioned(id, o, 0);
        vm.assertTrue(stateOf(id, o) == State.Provisioned, "served");
    }

    // ---- bids

    function test_fill_mirrors_take() public {
        Offer memory bid = bidOffer();
        bid.minTerm = 48 hours;
        bytes memory signature = signedBy(CLIENT_KEY, bid);
        uint128 deposit = market.fillDeposit(bid, 2);
        vm.assertEq(
            deposit,
            (2 * (uint256(bid.retentionRateX) * 72 hours + uint256(bid.rateX) * 48 hours) + (1 << 32) - 1) >> 32,
            "retention and the longer of minTerm and lock period"
        );
        vm.expectEmit(address(market));
        emit IAgreements.Taken(
            1, client, provider, client, book.hashOffer(bid), REQUEST, 2, deposit, market.bondOf(bid, 2), bid
        );
        vm.prank(hot); // the provider's hot key may answer
        uint64 id = market.fill(bid, signature, 2, REQUEST, noPermit());
        (address client_, address provider_, address payer_) = market.partiesOf(id, bid);
        vm.assertEq(client_, client);
        vm.assertEq(provider_, provider);
        vm.assertEq(payer_, client);
        vm.assertEq(usd.balanceOf(address(escrow)), deposit, "held");
        provision(id, bid);
        acknowledge(id, bid);
        vm.prank(client);
        market.close(id, bid, CloseReason.Buyer, 0);
        vm.assertEq(book.remaining(provider, POOL).vcpuMilli, 64_000, "given back to the provider's pool");
    }

    function test_fill_with_the_clients_permit() public {
        vm.prank(client);
        usd.approve(address(escrow), 0);
        Offer memory bid = bidOffer();
        bytes memory signature = signedBy(CLIENT_KEY, bid);
        Permit memory permit = permitFor(CLIENT_KEY, address(escrow), market.fillDeposit(bid, 1));
        vm.prank(provider);
        market.fill(bid, signature, 1, REQUEST, permit);
    }

    function test_fill_refusals() public {
        Offer memory bid = bidOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, bid);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IOfferBook.BadSignature.selector, client));
        market.fill(bid, signature, 1, REQUEST, noPermit());

        signature = signedBy(CLIENT_KEY, bid);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotRegistered.selector, stranger));
        market.fill(bid, signature, 1, REQUEST, noPermit());

        bid.allowedTaker = stranger;
        signature = signedBy(CLIENT_KEY, bid);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IOfferBook.PrivateOffer.selector, stranger));
        market.fill(bid, signature, 1, REQUEST, noPermit());

        bid.allowedTaker = provider; // the identity, also for its hot key
        bid.policyHash = keccak256("wanted");
        signature = signedBy(CLIENT_KEY, bid);
        vm.prank(hot);
        vm.expectRevert(abi.encodeWithSelector(IAgreements.WrongRequest.selector, bid.policyHash, REQUEST));
        market.fill(bid, signature, 1, REQUEST, noPermit());
        vm.prank(hot);
        market.fill(bid, signature, 1, bid.policyHash, noPermit());
    }

    // ---- hashes

    function test_types_are_the_agreed_strings() public pure {
        vm.assertEq(
            OfferHash.UNITS_TYPEHASH,
            keccak256("Units(uint32 vcpuMilli,uint32 ramMib,uint32 diskGib,uint32 gpu,uint32 ipv4)")
        );
    }

    function testFuzz_hash_is_hash_struct(Offer calldata o) public view {
        bytes memory first = abi.encode(OfferHash.OFFER_TYPEHASH, o.maker, o.side, o.kind, o.pool);
        bytes32 units = keccak256(abi.encode(OfferHash.UNITS_TYPEHASH, o.units));
        bytes memory second = abi.encode(units, o.class, o.overcommitPct, o.token, o.rateX, o.pausedRateX);
        bytes memory third = abi.encode(o.retentionRateX, o.minTerm, o.maxTerm, o.notice, o.retention, o.holdback);
        bytes memory fourth = abi.encode(o.acceptWithin, o.provisionWithin, o.probeWindow, o.rejectFee, o.lockPeriod);
        bytes memory fifth = abi.encode(o.arbiter, o.policyHash, o.faultDomain, o.allowedTaker, o.volume, o.reach);
        bytes memory sixth = abi.encode(o.nonce, o.salt, o.expiry);
        bytes32 expected = keccak256(bytes.concat(first, second, third, fourth, fifth, sixth));
        vm.assertEq(book.hashOffer(o), expected);
        vm.assertEq(book.digest(o), keccak256(abi.encodePacked(hex"1901", book.domainSeparator(), expected)));
    }

    function test_dirty_words_do_not_pass() public {
        Offer memory o = sellOffer();
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        bytes memory call = abi.encodeCall(market.take, (o, signature, client, 1, REQUEST, DEPOSIT, noPermit()));
        call[4 + 32] = 0x01; // a high byte of `side`
        vm.prank(client);
        (bool ok,) = address(market).call(call);
        vm.assertFalse(ok);
    }

    function test_domain_is_mooshnet_1() public view {
        bytes32 expected = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("MooshNet"),
                keccak256("1"),
                block.chainid,
                address(book)
            )
        );
        vm.assertEq(book.domainSeparator(), expected);
    }
}
