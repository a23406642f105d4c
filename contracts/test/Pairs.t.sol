// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAgreements} from "../src/interfaces/IAgreements.sol";
import {CloseReason, Offer, State} from "../src/Types.sol";
import {Market} from "./util/Market.sol";

/// @dev Every situation × every caller × every call: what happens, or which error refuses it.
contract PairsTest is Market {
    // Situations: the states, and those in which time has moved a border.
    uint256 private constant TAKEN = 0;
    uint256 private constant TAKEN_LATE = 1; // acceptWithin has passed
    uint256 private constant TAKEN_DEAD = 2; // provisionWithin, too
    uint256 private constant ACCEPTED = 3;
    uint256 private constant ACCEPTED_DEAD = 4; // provisionWithin has passed
    uint256 private constant PROVISIONED = 5;
    uint256 private constant PROBED = 6; // probe window has passed, nobody acknowledged
    uint256 private constant ACTIVE = 7;
    uint256 private constant PAUSED = 8;
    uint256 private constant GRACE = 9;
    uint256 private constant DRAINING = 10;
    uint256 private constant DRAINED = 11; // retention is over
    uint256 private constant RECLAIMING = 12;
    uint256 private constant RECLAIM_DUE = 13;
    uint256 private constant CLOSED = 14;
    uint256 private constant SITUATIONS = 15;

    uint256 private constant CLIENT = 0;
    uint256 private constant PAYER = 1;
    uint256 private constant PROVIDER = 2;
    uint256 private constant HOT = 3;
    uint256 private constant STRANGER = 4;
    uint256 private constant CALLERS = 5;

    struct Row {
        string name;
        bytes4 refusal; // of callers not in `who`
        string who; // callers in the order above: + may, - may not
        // Outcome by situation for those who may. A letter for the state afterwards:
        //   t aken, a ccepted, p rovisioned, A ctive, P aused, G race, D raining, R eclaiming, C losed
        // or for the error: S WrongState, L TooLate, E TooEarly, N NothingToCollect
        string outcome;
    }

    Offer private _o;
    uint64 private _id;

    function setUp() public override {
        super.setUp();
        _o = sellOffer();
        _o.rateX = 1 << 32; // 1 token-wei per second
        _o.pausedRateX = 1 << 31;
        _o.retentionRateX = 1 << 30;
        _o.notice = 1000;
        _o.retention = 5000; // costs 1250
        _o.holdback = 50;
        _o.acceptWithin = 100;
        _o.provisionWithin = 1000;
        _o.probeWindow = 200;
        _o.rejectFee = 10;
        _o.lockPeriod = 2000;
    }

    function row(uint256 call) private pure returns (Row memory) {
        //                                                               TTTAAPPAPGDDRRC
        //                                                               aLDcDrrcaRDRRDl
        if (call == 0) return Row("accept", IAgreements.NotProvider.selector, "--++-", "aLLSSSSSSSSSSSS");
        if (call == 1) return Row("provisioned", IAgreements.NotProvider.selector, "--++-", "ppLpLSSSSSSSSSS");
        if (call == 2) return Row("acknowledge", IAgreements.NotClient.selector, "+----", "SSSSSALSSSSSSSS");
        if (call == 3) return Row("reject", IAgreements.NotClient.selector, "+----", "SSSSSCSSSSSSSSS");
        if (call == 4) return Row("pause", IAgreements.NotClient.selector, "+----", "SSSSSSPPSSSSSSS");
        if (call == 5) return Row("resume", IAgreements.NotClient.selector, "+----", "SSSSSSSSASSSSSS");
        if (call == 6) return Row("topUp", 0, "+++++", "tttaapAAPGGGRRS");
        if (call == 7) return Row("withdrawFree", IAgreements.NotPayer.selector, "-+---", "SSSSSSAAPSSSRRS");
        if (call == 8) return Row("reclaim", IAgreements.NotProvider.selector, "--++-", "SSSSSSRRRRSSSSS");
        if (call == 9) return Row("close", IAgreements.NotParty.selector, "+-++-", "CCCCCCCCCCCCCCS");
        if (call == 10) return Row("expire", 0, "+++++", "ECCECEEEEEECEES");
        if (call == 11) return Row("collect", 0, "+++++", "NNNNNNAAPGDDRRC");
        return Row("collectTo", IAgreements.NotProvider.selector, "--+--", "NNNNNNAAPGDDRRC");
    }

    function test_every_pair() public {
        uint256 cases = 0;
        for (uint256 situation = 0; situation < SITUATIONS; situation++) {
            uint256 clean = vm.snapshotState();
            _reach(situation);
            for (uint256 call = 0; call < 13; call++) {
                Row memory r = row(call);
                vm.assertEq(bytes(r.outcome).length, SITUATIONS, r.name);
                for (uint256 caller = 0; caller < CALLERS; caller++) {
                    uint256 reached = vm.snapshotState();
                    _try(situation, call, caller, r);
                    vm.revertToStateAndDelete(reached);
                    cases++;
                }
            }
            vm.revertToStateAndDelete(clean);
        }
        vm.assertEq(cases, SITUATIONS * 13 * CALLERS, "cases");
    }

    function _try(uint256 situation, uint256 call, uint256 caller, Row memory r) private {
        string memory where =
            string.concat(r.name, " in situation ", vm.toString(situation), " by caller ", vm.toString(caller));
        bytes1 expected = bytes(r.outcome)[situation];
        bool may = bytes(r.who)[caller] == "+";
        bytes memory data = _call(call);
        State before = stateOf(_id, _o);
        address sender = [client, payer, provider, hot, stranger][caller];
        fund(sender, 1000);
        vm.prank(sender);
        (bool ok, bytes memory ret) = address(market).call(data);

        bytes4 error = _error(expected);
        // Calls that settle first refuse a closed agreement before they look at the caller.
        if (!may && !(situation == CLOSED && call >= 3 && call <= 9)) error = r.refusal;
        if (error != 0) {
            vm.assertFalse(ok);
            vm.assertTrue(bytes4(ret) == error, where);
            vm.assertTrue(stateOf(_id, _o) == before, where);
        } else {
            vm.assertTrue(ok, where);
            vm.assertEq(uint8(stateOf(_id, _o)), uint8(_state(expected)), where);
        }
    }

    function _call(uint256 call) private view returns (bytes memory) {
        if (call == 0) return abi.encodeCall(market.accept, (_id, _o));
        if (call == 1) return abi.encodeCall(market.provisioned, (_id, _o, REQUEST));
        if (call == 2) return abi.encodeCall(market.acknowledge, (_id, _o));
        if (call == 3) return abi.encodeCall(market.reject, (_id, _o, REQUEST));
        if (call == 4) return abi.encodeCall(market.pause, (_id, _o));
        if (call == 5) return abi.encodeCall(market.resume, (_id, _o));
        if (call == 6) return abi.encodeCall(market.topUp, (_id, _o, 100, noPermit()));
        if (call == 7) return abi.encodeCall(market.withdrawFree, (_id, _o, 1));
        if (call == 8) return abi.encodeCall(market.reclaim, (_id, _o));
        if (call == 9) return abi.encodeCall(market.close, (_id, _o, CloseReason.None, 0));
        if (call == 10) return abi.encodeCall(market.expire, (_id, _o));
        if (call == 11) return abi.encodeCall(market.collect, (_id, _o));
        return abi.encodeCall(market.collectTo, (_id, _o, provider));
    }

    function _error(bytes1 outcome) private pure returns (bytes4) {
        if (outcome == "S") return IAgreements.WrongState.selector;
        if (outcome == "L") return IAgreements.TooLate.selector;
        if (outcome == "E") return IAgreements.TooEarly.selector;
        if (outcome == "N") return IAgreements.NothingToCollect.selector;
        return 0;
    }

    function _state(bytes1 outcome) private pure returns (State) {
        if (outcome == "t") return State.Taken;
        if (outcome == "a") return State.Accepted;
        if (outcome == "p") return State.Provisioned;
        if (outcome == "A") return State.Active;
        if (outcome == "P") return State.Paused;
        if (outcome == "G") return State.Grace;
        if (outcome == "D") return State.Draining;
        if (outcome == "R") return State.Reclaiming;
        if (outcome == "C") return State.Closed;
        revert("unknown outcome");
    }

    /// @dev Deposit 10000, of which 1250 keeps disks: 8750 s of rent, the last 2000 of them GRACE.
    function _reach(uint256 situation) private {
        _id = takenBy(payer, _o, 1, 10_000);
        if (situation == TAKEN) return;
        if (situation == TAKEN_LATE) return pass(100);
        if (situation == TAKEN_DEAD) return pass(1000);
        if (situation == ACCEPTED || situation == ACCEPTED_DEAD) {
            pass(99);
            accept(_id, _o);
            if (situation == ACCEPTED_DEAD) pass(901);
            return;
        }
        provision(_id, _o);
        pass(199);
        if (situation == PROVISIONED) return;
        if (situation == PROBED) return pass(1);
        acknowledge(_id, _o);
        if (situation == ACTIVE) return;
        if (situation == PAUSED) {
            vm.prank(client);
            market.pause(_id, _o);
        } else if (situation == GRACE) {
            pass(7000 - 199); // 250 s of the lock period are spent
        } else if (situation == DRAINING) {
            pass(8750 - 199);
        } else if (situation == DRAINED) {
            pass(8750 + 5000 - 199);
        } else if (situation == CLOSED) {
            vm.prank(client);
            market.close(_id, _o, CloseReason.Buyer, 0);
            pass(50); // the hold-back is over
        } else {
            vm.prank(provider);
            market.reclaim(_id, _o);
            pass(situation == RECLAIM_DUE ? 1000 : 999);
        }
    }
}
