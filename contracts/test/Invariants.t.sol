// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAgreements} from "../src/interfaces/IAgreements.sol";
import {IEscrowVault} from "../src/interfaces/IEscrowVault.sol";
import {IOfferBook} from "../src/interfaces/IOfferBook.sol";
import {IStakeVault} from "../src/interfaces/IStakeVault.sol";
import {Agreement, Balances, CloseReason, Offer, State, Units} from "../src/Types.sol";
import {Actors, IToken} from "./util/Actors.sol";
import {Vm} from "./util/Vm.sol";

/// @dev The books of docs/market.md, checked after every call of a random crowd; and at the end of every run, that everybody
///      can still close and take out the last unit.
contract InvariantsTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Actors private actors;
    IAgreements private market;
    IEscrowVault private escrow;
    IStakeVault private stakes;
    IOfferBook private book;
    bytes32 private pool;

    function setUp() public {
        actors = new Actors();
        (address m, address e, address s, address b, bytes32 p) = actors.parts();
        (market, escrow, stakes, book, pool) = (IAgreements(m), IEscrowVault(e), IStakeVault(s), IOfferBook(b), p);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    /// @dev Some more often: an agreement should get somewhere before it ends.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[13] memory calls = [
            Actors.takeNew.selector,
            Actors.takeAgain.selector,
            Actors.fillNew.selector,
            Actors.advance.selector,
            Actors.act.selector,
            Actors.topUp.selector,
            Actors.withdrawFree.selector,
            Actors.withdraw.selector,
            Actors.stakeOrUnbond.selector,
            Actors.refuse.selector,
            Actors.jump.selector,
            Actors.jumpToBorder.selector,
            Actors.advance.selector
        ];
        uint8[13] memory times = [2, 1, 1, 4, 3, 1, 1, 2, 1, 1, 1, 2, 4];
        targets = new FuzzSelector[](1);
        targets[0].addr = address(actors);
        targets[0].selectors = new bytes4[](24);
        uint256 n = 0;
        for (uint256 i = 0; i < 13; i++) {
            for (uint256 k = 0; k < times[i]; k++) {
                targets[0].selectors[n++] = calls[i];
            }
        }
    }

    function invariant_books() public view {
        uint256[3] memory insideX; // of agreements, by token
        uint256[2][3] memory bonds; // by token and provider
        Units[2] memory used; // by provider
        uint256 n = actors.count();
        for (uint256 i = 0; i < n; i++) {
            (Actors.Memo memory m, Offer memory o) = actors.get(i);
            vm.assertEq(m.id, i + 1, "ids are sequential");
            insideX[m.token] += _agreement(m, o);
            if (m.closed) continue;
            uint256 p = m.provider - 3;
            bonds[m.token][p] += m.bond;
            used[p].vcpuMilli += o.units.vcpuMilli * m.units;
            used[p].ramMib += o.units.ramMib * m.units;
            used[p].diskGib += o.units.diskGib * m.units;
            used[p].ipv4 += o.units.ipv4 * m.units;
        }
        _vaults(insideX, bonds);
        _pools(used);
    }

    function _agreement(Actors.Memo memory m, Offer memory o) private view returns (uint256 moneyX) {
        (Agreement memory a, CloseReason reason) = market.agreement(m.id);
        Balances memory b = market.balances(m.id, o, uint64(block.timestamp));
        bool open = a.state != State.Closed;
        vm.assertTrue(open == !m.closed, "CLOSED is final, and only a call closes");
        vm.assertTrue(open == (reason == CloseReason.None), "closed for a reason");
        vm.assertLe(a.tS, block.timestamp, "tS <= now");
        if (open) {
            vm.assertGe(b.balX, b.lockFixedX, "balX >= lockFixedX");
            vm.assertLe(b.freeX, b.balX, "free is part of it");
            vm.assertLe(b.fundedUntil, b.graceUntil, "funded before grace");
        } else {
            vm.assertEq(b.balX, 0, "a closed agreement holds the provider's money only");
            vm.assertEq(b.earnedX % (1 << 32), 0, "in whole wei");
        }
        return b.balX + b.earnedX;
    }

    function _vaults(uint256[3] memory insideX, uint256[2][3] memory bonds) private view {
        for (uint256 t = 0; t < 3; t++) {
            IToken token = actors.tokens(t);
            uint256 credits = 0;
            uint256 staked = 0;
            for (uint256 a = 0; a < actors.ACCOUNTS(); a++) {
                address account = actors.accounts(a);
                credits += escrow.creditOf(account, address(token));
                (uint128 free, uint128 reserved) = stakes.stakeOf(account, address(token));
                (uint128 unbonding,) = stakes.unbondingOf(account, address(token));
                staked += uint256(free) + reserved + unbonding + stakes.claimOf(account, address(token));
                vm.assertEq(reserved, a == 3 || a == 4 ? bonds[t][a - 3] : 0, "each open bond is reserved once");
            }
            vm.assertEq(token.balanceOf(address(escrow)) << 32, insideX[t] + (credits << 32), "escrow is conserved");
            vm.assertEq(token.balanceOf(address(stakes)), staked, "stakes are conserved");
        }
    }

    function _pools(Units[2] memory used) private view {
        Units memory whole = actors.capacity();
        for (uint256 p = 0; p < 2; p++) {
            Units memory left = book.remaining(actors.accounts(3 + p), pool);
            vm.assertEq(left.vcpuMilli + used[p].vcpuMilli, whole.vcpuMilli, "pool vcpu");
            vm.assertEq(left.ramMib + used[p].ramMib, whole.ramMib, "pool ram");
            vm.assertEq(left.diskGib + used[p].diskGib, whole.diskGib, "pool disk");
            vm.assertEq(left.gpu + used[p].gpu, whole.gpu, "pool gpu");
            vm.assertEq(left.ipv4 + used[p].ipv4, whole.ipv4, "pool ipv4");
        }
    }

    /// @dev No stuck funds: one party of each open agreement leaves (nobody's consent needed), then everybody takes out
    ///      what is theirs, and the vaults are empty to the last wei, whatever receivers refused on the way.
    function afterInvariant() external {
        uint256 n = actors.count();
        for (uint256 i = 0; i < n; i++) {
            (Actors.Memo memory m, Offer memory o) = actors.get(i);
            if (market.stateAt(m.id, o, 0) == State.Closed) continue;
            (address client, address provider,) = market.partiesOf(m.id, o);
            vm.prank(i % 2 == 0 ? client : provider);
            market.close(m.id, o, CloseReason.None, 0);
        }
        vm.warp(vm.getBlockTimestamp() + 1 days); // longer than any hold-back
        for (uint256 i = 0; i < n; i++) {
            (Actors.Memo memory m, Offer memory o) = actors.get(i);
            uint256 owed = market.balances(m.id, o, uint64(vm.getBlockTimestamp())).earnedX;
            if (owed != 0) market.collect(m.id, o);
        }
        for (uint256 t = 0; t < 3; t++) {
            for (uint256 a = 0; a < actors.ACCOUNTS(); a++) {
                _takeOut(actors.accounts(a), address(actors.tokens(t)));
            }
        }
        vm.warp(vm.getBlockTimestamp() + 30 days);
        for (uint256 t = 0; t < 3; t++) {
            address token = address(actors.tokens(t));
            for (uint256 a = 3; a <= 4; a++) {
                (uint128 unbonding,) = stakes.unbondingOf(actors.accounts(a), token);
                if (unbonding == 0) continue;
                vm.prank(actors.accounts(a));
                stakes.withdraw(token, address(0x5141));
            }
            vm.assertEq(actors.tokens(t).balanceOf(address(escrow)), 0, "escrow is empty");
            vm.assertEq(actors.tokens(t).balanceOf(address(stakes)), 0, "stakes are empty");
        }
    }

    function _takeOut(address account, address token) private {
        vm.startPrank(account);
        if (escrow.creditOf(account, token) != 0) escrow.withdraw(token, address(0x5141), 0);
        if (stakes.claimOf(account, token) != 0) stakes.claim(token, address(0x5141));
        (uint128 free,) = stakes.stakeOf(account, token);
        if (free != 0) stakes.unbond(token, free);
        vm.stopPrank();
    }
}
