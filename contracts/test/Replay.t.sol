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

    uint64 private _id; // of the sequence's agreement; 0 = not taken yet
    uint256 private _paidOut;
    uint256 private _compensated;
    Offer private _offer;
    bytes private _signature;
    bool private _viaBid;

    function setUp() public override {
        super.setUp();
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
            uint256 steps = _u(file, at, 4);
            _begin(file[at:at + SEQUENCE_HEADER]);
            at += SEQUENCE_HEADER;
            for (uint256 k = 0; k < steps; k++) {
                string memory where = string.concat(
                    "file ",
                    vm.toString(number),
                    " sequence ",
                    vm.toString(first + i),
                    " step ",
                    vm.toString(k),
                    " op ",
                    vm.toString(_u(file, at + 4, 1)),
                    ": "
                );
                _step(file[at:at + STEP], where);
                at += STEP;
            }
        }
        vm.assertEq(at, file.length, "bytes left over");
    }

    function _begin(bytes calldata h) private {
        vm.warp(_u(h, 4, 8));
        _viaBid = _u(h, 176, 1) == 1;
        _id = 0;
        _paidOut = 0;
        _compensated = 0;
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
        _readOffer(h);
    }

    function _readOffer(bytes calldata h) private {
        Offer memory o = _viaBid ? bidOffer() : sellOffer();
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
        _offer = o;
        _signature = signedBy(_viaBid ? CLIENT_KEY : PROVIDER_KEY, o);
    }

    function _step(bytes calldata r, string memory where) private {
        vm.warp(_u(r, 30, 8));
        uint256 op = _u(r, 4, 1);
        address actor = [client, _viaBid ? client : payer, provider, stranger][_u(r, 5, 1)];
        bytes memory call = _call(op, uint32(_u(r, 6, 4)), uint128(_u(r, 10, 16)), actor);
        if (call.length != 0) {
            bool ok = _send(op, actor, call);
            if (ok != (_u(r, 26, 1) == 1)) {
                where = string.concat(where, ok ? "accepted, but the model refuses with " : "refused, model: ");
                vm.assertTrue(false, string.concat(where, vm.toString(_u(r, 27, 1))));
            }
        }
        if (_id != 0) _compareAgreement(r, where);
        _compareBooks(r, where);
    }

    function _send(uint256 op, address actor, bytes memory call) private returns (bool ok) {
        uint256 held = usd.balanceOf(address(escrow));
        bytes memory ret;
        vm.prank(actor);
        (ok, ret) = (op == WITHDRAW ? address(escrow) : address(market)).call(call);
        if (ok && op == TAKE) _id = abi.decode(ret, (uint64));
        if (ok && op == WITHDRAW) _paidOut += held - usd.balanceOf(address(escrow));
    }

    function _call(uint256 op, uint32 count, uint128 amount, address actor) private view returns (bytes memory) {
        Offer memory o = _offer;
        if (op == 1 && _viaBid) {
            return abi.encodeCall(IAgreements.fill, (o, _signature, count, REQUEST, noPermit()));
        }
        if (op == 1) {
            return abi.encodeCall(IAgreements.take, (o, _signature, client, count, REQUEST, amount, noPermit()));
        }
        if (op == 2) return abi.encodeCall(IAgreements.accept, (_id, o));
        if (op == 3) return abi.encodeCall(IAgreements.provisioned, (_id, o, 0));
        if (op == 4) return abi.encodeCall(IAgreements.acknowledge, (_id, o));
        if (op == 5) return abi.encodeCall(IAgreements.reject, (_id, o, 0));
        if (op == 6) return abi.encodeCall(IAgreements.pause, (_id, o));
        if (op == 7) return abi.encodeCall(IAgreements.resume, (_id, o));
        if (op == 8) return abi.encodeCall(IAgreements.topUp, (_id, o, amount, noPermit()));
        if (op == 9) return abi.encodeCall(IAgreements.withdrawFree, (_id, o, amount));
        if (op == 10) return abi.encodeCall(IAgreements.reclaim, (_id, o));
        if (op == 11) return abi.encodeCall(IAgreements.close, (_id, o, CloseReason.None, 0));
        if (op == 12) return abi.encodeCall(IAgreements.expire, (_id, o));
        if (op == 13) return abi.encodeCall(IAgreements.collect, (_id, o));
        if (op == WITHDRAW) return abi.encodeCall(escrow.withdraw, (address(usd), actor, 0));
        vm.assertEq(op, 15, "unknown op");
        return "";
    }

    function _compareAgreement(bytes calldata r, string memory where) private view {
        uint64 time = uint64(_u(r, 30, 8));
        Balances memory b = market.balances(_id, _offer, time);
        (, CloseReason reason) = market.agreement(_id);
        _same(uint8(market.stateAt(_id, _offer, time)), _u(r, 28, 1), where, "state");
        _same(uint8(reason), _u(r, 29, 1), where, "reason");
        _same(b.graceUntil, _u(r, 38, 8), where, "graceUntil");
        _same(b.balX, _u(r, 46, 20), where, "balX");
        _same(b.earnedX, _u(r, 66, 20), where, "earnedX");
        _same(b.rateX, _u(r, 86, 12), where, "rateX");
        _same(b.freeX >> 32, _u(r, 98, 16), where, "free");
        _same(b.withdrawable, _u(r, 114, 16), where, "withdrawable");
        // Conservation, fractions included: what the vault holds is what the agreement and the credits say.
        uint256 creditsX = (
            escrow.creditOf(payer, address(usd)) + escrow.creditOf(client, address(usd))
                + escrow.creditOf(provider, address(usd))
        ) << 32;
        _same(usd.balanceOf(address(escrow)) << 32, b.balX + b.earnedX + creditsX, where, "held");
    }

    function _compareBooks(bytes calldata r, string memory where) private view {
        _same(_viaBid ? 0 : escrow.creditOf(payer, address(usd)), _u(r, 130, 16), where, "credit of payer");
        _same(escrow.creditOf(client, address(usd)), _u(r, 146, 16), where, "credit of client");
        _same(escrow.creditOf(provider, address(usd)), _u(r, 162, 16), where, "credit of provider");
        (uint128 free, uint128 reserved) = stakes.stakeOf(provider, address(usd));
        _same(free, _u(r, 178, 16), where, "bond free");
        _same(reserved, _u(r, 194, 16), where, "bond reserved");
        _same(stakes.claimOf(client, address(usd)), _u(r, 210, 16), where, "compensation");
        _same(_paidOut, _u(r, 226, 16), where, "paid out");
        Units memory left = book.remaining(provider, POOL);
        _same(left.vcpuMilli, _u(r, 242, 4), where, "pool vcpu");
        _same(left.ramMib, _u(r, 246, 4), where, "pool ram");
    }

    function _same(uint256 ours, uint256 model, string memory where, string memory what) private pure {
        if (ours != model) vm.assertEq(ours, model, string.concat(where, what)); // the message costs: build it late
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
