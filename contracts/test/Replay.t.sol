// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAgreements} from "../src/interfaces/IAgreements.sol";
import {Balances, CloseReason, Offer, Units} from "../src/Types.sol";
import {Market} from "./util/Market.sol";

/// @dev Replays what the C model of the market (src/market) says about random lives of agreements; the format is
///      tests/vectors/market-sequences.md. The model and the contracts must agree to the last unit after every step.
///      The committed sample always runs; MOOSH_SEQUENCES=DIR replays DIR/0000.bin, 0001.bin, ...
contract ReplayTest is Market {
    string private constant SAMPLE = "../tests/vectors/market-sequences-0.bin";
    uint256 private constant FILE_HEADER = 24;
    uint256 private constant SEQUENCE_HEADER = 192;
    uint256 private constant STEP = 256;
    uint256 private constant TAKE = 1;
    uint256 private constant WITHDRAW = 14;

    /// @dev The sequence being replayed, and where it stands (for messages).
    struct Run {
        uint64 id; // the agreement; 0 = not taken yet
        bool viaBid;
        Offer offer;
        bytes signature;
        uint256 paidOut;
        uint256 file;
        uint256 sequence;
        uint256 step;
        uint256 op;
    }

    function test_replay_sample() public {
        if (!vm.exists(SAMPLE)) vm.skip(true, "no sample committed");
        uint256 sequences = this.replay(vm.readFileBinary(SAMPLE), 0);
        vm.assertGe(sequences, 20, "sequences in the sample");
    }

    function test_replay_directory() public {
        string memory directory = vm.envOr("MOOSH_SEQUENCES", string(""));
        if (bytes(directory).length == 0) vm.skip(true, "MOOSH_SEQUENCES is not set");
        uint256 sequences = 0;
        for (uint256 i = 0; i < 10_000; i++) {
            string memory path = string.concat(directory, "/", _fourDigits(i), ".bin");
            if (!vm.exists(path)) break;
            uint256 before = vm.snapshotState();
            sequences += this.replay(vm.readFileBinary(path), i);
            vm.revertToStateAndDelete(before);
        }
        vm.assertGe(sequences, 1, "sequences replayed");
    }

    /// @dev External, so that a file's memory is released with the call.
    function replay(bytes calldata file, uint256 number) external returns (uint256 sequences) {
        vm.assertTrue(bytes8(file[0:8]) == "MOOSHSQ1", "magic");
        uint256 first = _u(file, 16, 4);
        sequences = _u(file, 20, 4);
        uint256 at = FILE_HEADER;
        for (uint256 i = 0; i < sequences; i++) {
            uint256 free = _freeMemory();
            Run memory run;
            (run.file, run.sequence) = (number, first + i);
            uint256 steps = _u(file, at, 4);
            _begin(run, file[at:at + SEQUENCE_HEADER]);
            at += SEQUENCE_HEADER;
            for (run.step = 0; run.step < steps; run.step++) {
                uint256 inner = _freeMemory();
                _step(run, file[at:at + STEP]);
                _release(inner);
                at += STEP;
            }
            _release(free);
        }
        vm.assertEq(at, file.length, "bytes left over");
    }

    /// @dev Nothing made during a step is needed after it: without this a file's steps pile up megabytes.
    function _freeMemory() private pure returns (uint256 pointer) {
        assembly {
            pointer := mload(0x40)
        }
    }

    function _release(uint256 pointer) private pure {
        assembly {
            mstore(0x40, pointer)
        }
    }

    function _begin(Run memory run, bytes calldata h) private {
        vm.warp(_u(h, 4, 8));
        run.viaBid = _u(h, 176, 1) == 1;
        uint128 stake = uint128(_u(h, 144, 16));
        deployMarket(uint128(_u(h, 160, 16)));
        usd.mint(provider, stake);
        vm.startPrank(provider);
        registry.register("");
        usd.approve(address(stakes), type(uint256).max);
        if (stake != 0) stakes.stake(provider, address(usd), stake, noPermit());
        book.setPool(POOL, _units(h, 124));
        vm.stopPrank();
        address[4] memory accounts = [client, payer, provider, stranger];
        for (uint256 i = 0; i < 4; i++) {
            uint256 have = usd.balanceOf(accounts[i]);
            if (have < 1 << 200) fund(accounts[i], 1 << 201);
            vm.prank(accounts[i]);
            usd.approve(address(escrow), type(uint256).max);
        }
        run.offer = _readOffer(run.viaBid, h);
        run.signature = signedBy(run.viaBid ? CLIENT_KEY : PROVIDER_KEY, run.offer);
    }

    function _readOffer(bool viaBid, bytes calldata h) private view returns (Offer memory o) {
        o = viaBid ? bidOffer() : sellOffer();
        o.rateX = uint96(_u(h, 12, 12));
        o.pausedRateX = uint96(_u(h, 24, 12));
        o.retentionRateX = uint96(_u(h, 36, 12));
        o.minTerm = uint32(_u(h, 48, 4));
        o.maxTerm = uint32(_u(h, 52, 4));
        o.notice = uint32(_u(h, 56, 4));
        o.retention = uint32(_u(h, 60, 4));
        o.holdback = uint32(_u(h, 64, 4));
        o.acceptWithin = uint32(_u(h, 68, 4));
        o.provisionWithin = uint32(_u(h, 72, 4));
        o.probeWindow = uint32(_u(h, 76, 4));
        o.rejectFee = uint128(_u(h, 80, 16));
        o.lockPeriod = uint32(_u(h, 96, 4));
        o.volume = uint32(_u(h, 100, 4));
        o.units = _units(h, 104);
        o.expiry = type(uint64).max;
    }

    function _step(Run memory run, bytes calldata r) private {
        vm.warp(_u(r, 30, 8));
        run.op = _u(r, 4, 1);
        address actor = [client, run.viaBid ? client : payer, provider, stranger][_u(r, 5, 1)];
        bytes memory call = _call(run, uint32(_u(r, 6, 4)), uint128(_u(r, 10, 16)), actor);
        if (call.length != 0) {
            bool ok = _send(run, actor, call);
            if (ok != (_u(r, 26, 1) == 1)) {
                string memory what = ok ? "accepted, but the model refuses with " : "refused, model: ";
                vm.assertTrue(false, string.concat(_where(run), what, vm.toString(_u(r, 27, 1))));
            }
        }
        if (run.id != 0) _compareAgreement(run, r);
        _compareBooks(run, r);
    }

    function _send(Run memory run, address actor, bytes memory call) private returns (bool ok) {
        uint256 held = usd.balanceOf(address(escrow));
        bytes memory ret;
        vm.prank(actor);
        (ok, ret) = (run.op == WITHDRAW ? address(escrow) : address(market)).call(call);
        if (ok && run.op == TAKE) run.id = abi.decode(ret, (uint64));
        if (ok && run.op == WITHDRAW) run.paidOut += held - usd.balanceOf(address(escrow));
    }

    function _call(Run memory run, uint32 count, uint128 amount, address actor) private view returns (bytes memory) {
        Offer memory o = run.offer;
        (uint256 op, uint64 id) = (run.op, run.id);
        if (op == TAKE && run.viaBid) {
            return abi.encodeCall(IAgreements.fill, (o, run.signature, count, REQUEST, noPermit()));
        }
        if (op == TAKE) {
            return abi.encodeCall(IAgreements.take, (o, run.signature, client, count, REQUEST, amount, noPermit()));
        }
        if (op == 2) return abi.encodeCall(IAgreements.accept, (id, o));
        if (op == 3) return abi.encodeCall(IAgreements.provisioned, (id, o, 0));
        if (op == 4) return abi.encodeCall(IAgreements.acknowledge, (id, o));
        if (op == 5) return abi.encodeCall(IAgreements.reject, (id, o, 0));
        if (op == 6) return abi.encodeCall(IAgreements.pause, (id, o));
        if (op == 7) return abi.encodeCall(IAgreements.resume, (id, o));
        if (op == 8) return abi.encodeCall(IAgreements.topUp, (id, o, amount, noPermit()));
        if (op == 9) return abi.encodeCall(IAgreements.withdrawFree, (id, o, amount));
        if (op == 10) return abi.encodeCall(IAgreements.reclaim, (id, o));
        if (op == 11) return abi.encodeCall(IAgreements.close, (id, o, CloseReason.None, 0));
        if (op == 12) return abi.encodeCall(IAgreements.expire, (id, o));
        if (op == 13) return abi.encodeCall(IAgreements.collect, (id, o));
        if (op == WITHDRAW) return abi.encodeCall(escrow.withdraw, (address(usd), actor, 0));
        vm.assertEq(op, 15, "unknown op");
        return "";
    }

    function _compareAgreement(Run memory run, bytes calldata r) private view {
        uint64 time = uint64(_u(r, 30, 8));
        Balances memory b = market.balances(run.id, run.offer, time);
        (, CloseReason reason) = market.agreement(run.id);
        _same(uint8(market.stateAt(run.id, run.offer, time)), _u(r, 28, 1), run, "state");
        _same(uint8(reason), _u(r, 29, 1), run, "reason");
        _same(b.graceUntil, _u(r, 38, 8), run, "graceUntil");
        _same(b.balX, _u(r, 46, 20), run, "balX");
        _same(b.earnedX, _u(r, 66, 20), run, "earnedX");
        _same(b.rateX, _u(r, 86, 12), run, "rateX");
        _same(b.freeX >> 32, _u(r, 98, 16), run, "free");
        _same(b.withdrawable, _u(r, 114, 16), run, "withdrawable");
        // Conservation, fractions included: what the vault holds is what the agreement and the credits say.
        uint256 creditsX =
            (escrow.creditOf(payer, address(usd)) + escrow.creditOf(client, address(usd))
                        + escrow.creditOf(provider, address(usd))) << 32;
        _same(usd.balanceOf(address(escrow)) << 32, b.balX + b.earnedX + creditsX, run, "held");
    }

    function _compareBooks(Run memory run, bytes calldata r) private view {
        _same(run.viaBid ? 0 : escrow.creditOf(payer, address(usd)), _u(r, 130, 16), run, "credit of payer");
        _same(escrow.creditOf(client, address(usd)), _u(r, 146, 16), run, "credit of client");
        _same(escrow.creditOf(provider, address(usd)), _u(r, 162, 16), run, "credit of provider");
        (uint128 free, uint128 reserved) = stakes.stakeOf(provider, address(usd));
        _same(free, _u(r, 178, 16), run, "bond free");
        _same(reserved, _u(r, 194, 16), run, "bond reserved");
        _same(stakes.claimOf(client, address(usd)), _u(r, 210, 16), run, "compensation");
        _same(run.paidOut, _u(r, 226, 16), run, "paid out");
        Units memory left = book.remaining(provider, POOL);
        _same(left.vcpuMilli, _u(r, 242, 4), run, "pool vcpu");
        _same(left.ramMib, _u(r, 246, 4), run, "pool ram");
    }

    function _same(uint256 ours, uint256 model, Run memory run, string memory what) private pure {
        if (ours != model) vm.assertEq(ours, model, string.concat(_where(run), what));
    }

    function _where(Run memory run) private pure returns (string memory) {
        string memory s = string.concat("file ", vm.toString(run.file), " sequence ", vm.toString(run.sequence));
        return string.concat(s, " step ", vm.toString(run.step), " op ", vm.toString(run.op), ": ");
    }

    function _units(bytes calldata h, uint256 at) private pure returns (Units memory) {
        return Units(
            uint32(_u(h, at, 4)),
            uint32(_u(h, at + 4, 4)),
            uint32(_u(h, at + 8, 4)),
            uint32(_u(h, at + 12, 4)),
            uint32(_u(h, at + 16, 4))
        );
    }

    /// @dev `size` bytes at `at`, big-endian; reads past the slice shift out again.
    function _u(bytes calldata b, uint256 at, uint256 size) private pure returns (uint256 ret) {
        assembly {
            ret := shr(sub(256, mul(8, size)), calldataload(add(b.offset, at)))
        }
    }

    function _fourDigits(uint256 n) private pure returns (string memory) {
        bytes memory s = "0000";
        for (uint256 i = 4; i > 0; i--) {
            s[i - 1] = bytes1(uint8(48 + n % 10));
            n /= 10;
        }
        return string(s);
    }
}
