// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Agreement, BUY, CloseReason, Offer, State, Units} from "../../src/Types.sol";
import {Market} from "./Market.sol";
import {FeeToken, HookToken, Wallet} from "./Mocks.sol";

interface IToken {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

/// @dev A crowd that uses the market at random: two providers (one a contract with an EIP-1271 signature), three
///      clients (one a contract that refuses to be paid now and then), three tokens (plain, fee on transfer, calling
///      back), and time that jumps, often right to a border. What the crowd may do is up to the contracts: refused
///      calls are part of the game, and nothing here reverts.
contract Actors is Market {
    uint256 private constant WALLET_KEY = 0x77;
    uint256 private constant MOST_AGREEMENTS = 8;
    uint256 public constant TOKENS = 3;
    uint256 public constant ACCOUNTS = 6;

    IToken[3] public tokens;
    address[6] public accounts; // client, payer, wallet client, provider, wallet provider, stranger
    Wallet private _walletClient;
    Wallet private _walletProvider;

    /// @dev What the crowd remembers of an agreement, so that the books can be checked against it.
    struct Memo {
        uint64 id;
        uint32 units;
        uint8 token; // index
        uint8 provider; // index in accounts
        bool closed;
        uint128 bond;
    }

    // Every agreement ever made.
    Offer[] private _offers;
    Memo[] private _memos;
    uint256 public takes;
    uint256 public closes;

    constructor() {
        setUp();
        _walletClient = new Wallet(vm.addr(WALLET_KEY));
        _walletProvider = new Wallet(vm.addr(WALLET_KEY));
        tokens = [IToken(address(usd)), IToken(address(new FeeToken())), IToken(address(new HookToken()))];
        accounts = [client, payer, address(_walletClient), provider, address(_walletProvider), stranger];
        vm.startPrank(address(_walletProvider));
        registry.register("");
        book.setPool(POOL, capacity());
        vm.stopPrank();
        vm.prank(provider);
        book.setPool(POOL, capacity());
        for (uint256 t = 0; t < TOKENS; t++) {
            for (uint256 a = 0; a < ACCOUNTS; a++) {
                tokens[t].mint(accounts[a], 1e18);
                vm.startPrank(accounts[a]);
                tokens[t].approve(address(escrow), type(uint256).max);
                tokens[t].approve(address(stakes), type(uint256).max);
                vm.stopPrank();
            }
            for (uint256 p = 3; p <= 4; p++) {
                vm.prank(accounts[p]);
                stakes.stake(accounts[p], address(tokens[t]), 1e8, noPermit());
            }
        }
    }

    function capacity() public pure returns (Units memory) {
        return Units(8000, 8192, 100, 2, 3);
    }

    // ---- what the test may ask

    function count() external view returns (uint256) {
        return _memos.length;
    }

    function get(uint256 index) external view returns (Memo memory memo, Offer memory o) {
        return (_memos[index], _offers[index]);
    }

    function parts()
        external
        view
        returns (address market_, address escrow_, address stakes_, address book_, bytes32 pool_)
    {
        return (address(market), address(escrow), address(stakes), address(book), POOL);
    }

    // ---- beginnings

    /// @dev A client takes a fresh offer of a random shape; sometimes somebody else pays.
    function takeNew(uint256 seed) external {
        if (_memos.length >= MOST_AGREEMENTS) return;
        Offer memory o = _randomOffer(seed);
        o.maker = seed % 3 == 0 ? address(_walletProvider) : seed % 3 == 1 ? provider : hot;
        uint256 key = seed % 3 == 0 ? WALLET_KEY : seed % 3 == 1 ? PROVIDER_KEY : HOT_KEY;
        _take(seed >> 8, o, key);
    }

    /// @dev The same offer again: its volume and its pool bound how often that works.
    function takeAgain(uint256 seed) external {
        if (_memos.length == 0 || _memos.length >= MOST_AGREEMENTS) return;
        Offer memory o = _offers[seed % _memos.length];
        if (o.side == BUY) return;
        uint256 key = o.maker == provider ? PROVIDER_KEY : o.maker == hot ? HOT_KEY : WALLET_KEY;
        _take(seed >> 8, o, key);
    }

    function _take(uint256 seed, Offer memory o, uint256 key) private {
        address who = accounts[seed % 3];
        address pays = seed % 4 == 0 ? accounts[(seed >> 8) % 3] : who;
        uint32 units = uint32(1 + (seed >> 16) % 3);
        uint128 deposit = market.minDeposit(o, units);
        deposit = uint128(deposit + (seed >> 24) % (uint256(deposit) * 2 + 100));
        bytes memory signature = signedBy(key, o);
        bytes memory call = abi.encodeCall(market.take, (o, signature, who, units, bytes32(seed), deposit, noPermit()));
        _begin(pays, call, o, units);
    }

    /// @dev A provider, or its hot key, fills a client's bid.
    function fillNew(uint256 seed) external {
        if (_memos.length >= MOST_AGREEMENTS) return;
        Offer memory o = _randomOffer(seed);
        bool wallet = seed % 2 == 0;
        (o.side, o.maker, o.policyHash) = (BUY, wallet ? address(_walletClient) : client, 0);
        bytes memory signature = signedBy(wallet ? WALLET_KEY : CLIENT_KEY, o);
        uint32 units = uint32(1 + (seed >> 16) % 3);
        address answers = seed % 3 == 0 ? address(_walletProvider) : seed % 3 == 1 ? provider : hot;
        _begin(answers, abi.encodeCall(market.fill, (o, signature, units, bytes32(seed), noPermit())), o, units);
    }

    function _begin(address sender, bytes memory call, Offer memory o, uint32 units) private {
        vm.prank(sender);
        (bool ok, bytes memory ret) = address(market).call(call);
        if (!ok) return;
        Memo memory m;
        m.id = abi.decode(ret, (uint64));
        m.units = units;
        while (address(tokens[m.token]) != o.token) m.token++;
        (, address provider_,) = market.partiesOf(m.id, o);
        m.provider = provider_ == provider ? 3 : 4;
        m.bond = market.bondOf(o, units);
        (uint32 filled,) = book.filled(o.maker, book.hashOffer(o));
        vm.assertLe(filled, o.volume, "volume never oversold");
        _offers.push(o);
        _memos.push(m);
        takes++;
    }

    // ---- lives

    /// @dev The next sensible step of an agreement, by whom it belongs to.
    function advance(uint256 seed) external {
        if (_memos.length == 0) return;
        uint256 i = seed % _memos.length;
        uint256 r = seed >> 8;
        State s = market.stateAt(_memos[i].id, _offers[i], uint64(block.timestamp));
        // Numbers of _call: 0 accept, 1 provisioned, 2 acknowledge, 3 reject, 4 pause, 5 resume, 6 reclaim, 7 close,
        // 8 expire, 9 collect, 10 collectTo.
        uint8[4] memory next = [4, 6, 7, 9];
        if (s == State.Taken) next = [0, 0, 1, 7];
        else if (s == State.Accepted) next = [1, 1, 8, 7];
        else if (s == State.Provisioned) next = [2, 2, 3, 7];
        else if (s == State.Paused) next = [5, 6, 9, 10];
        else if (s == State.Draining) next = [8, 8, 9, 7];
        else if (s == State.Reclaiming) next = [7, 7, 9, 10];
        else if (s == State.Closed) next = [9, 9, 10, 10];
        _act(i, next[r % 4], 0);
    }

    /// @dev Any call, by anybody.
    function act(uint256 seed, uint8 call, uint8 who) external {
        if (_memos.length == 0) return;
        _act(seed % _memos.length, call % 11, 1 + who % ACCOUNTS);
    }

    /// @param who 0: the party it belongs to; else accounts[who - 1]
    function _act(uint256 i, uint256 call, uint256 who) private {
        Offer memory o = _offers[i];
        uint64 id = _memos[i].id;
        (address client_, address provider_,) = market.partiesOf(id, o);
        bool providers = call == 0 || call == 1 || call == 6 || call == 10;
        address sender = who != 0 ? accounts[who - 1] : providers ? provider_ : client_;
        if (who == 0 && call == 7 && block.timestamp % 2 == 0) sender = provider_;
        vm.prank(sender);
        (bool ok,) = address(market).call(_call(id, o, call, sender));
        if (ok && market.stateAt(id, o, 0) == State.Closed && !_memos[i].closed) {
            _memos[i].closed = true;
            closes++;
        }
    }

    function _call(uint64 id, Offer memory o, uint256 call, address sender) private view returns (bytes memory) {
        if (call == 0) return abi.encodeCall(market.accept, (id, o));
        if (call == 1) return abi.encodeCall(market.provisioned, (id, o, 0));
        if (call == 2) return abi.encodeCall(market.acknowledge, (id, o));
        if (call == 3) return abi.encodeCall(market.reject, (id, o, 0));
        if (call == 4) return abi.encodeCall(market.pause, (id, o));
        if (call == 5) return abi.encodeCall(market.resume, (id, o));
        if (call == 6) return abi.encodeCall(market.reclaim, (id, o));
        if (call == 7) return abi.encodeCall(market.close, (id, o, CloseReason.None, 0));
        if (call == 8) return abi.encodeCall(market.expire, (id, o));
        if (call == 9) return abi.encodeCall(market.collect, (id, o));
        return abi.encodeCall(market.collectTo, (id, o, sender));
    }

    function topUp(uint256 seed, uint64 amount) external {
        if (_memos.length == 0) return;
        uint256 i = seed % _memos.length;
        bytes memory call = abi.encodeCall(market.topUp, (_memos[i].id, _offers[i], uint128(amount % 1e10), noPermit()));
        _send(accounts[(seed >> 8) % ACCOUNTS], address(market), call);
    }

    function withdrawFree(uint256 seed, uint64 share) external {
        if (_memos.length == 0) return;
        uint256 i = seed % _memos.length;
        (,, address pays) = market.partiesOf(_memos[i].id, _offers[i]);
        uint256 free = market.balances(_memos[i].id, _offers[i], uint64(block.timestamp)).freeX >> 32;
        bytes memory call = abi.encodeCall(market.withdrawFree, (_memos[i].id, _offers[i], uint128(share % (free + 2))));
        _send(pays, address(market), call);
    }

    // ---- money out, stakes, pools

    function withdraw(uint256 seed) external {
        address who = accounts[seed % ACCOUNTS];
        address token = address(tokens[(seed >> 8) % TOKENS]);
        uint256 what = (seed >> 16) % 5;
        if (what == 0) _send(who, address(stakes), abi.encodeCall(stakes.claim, (token, who)));
        else if (what == 1) _send(who, address(stakes), abi.encodeCall(stakes.withdraw, (token, who)));
        else _send(who, address(escrow), abi.encodeCall(escrow.withdraw, (token, who, 0)));
    }

    function stakeOrUnbond(uint256 seed) external {
        address who = accounts[3 + seed % 2];
        address token = address(tokens[(seed >> 8) % TOKENS]);
        uint128 amount = uint128((seed >> 16) % 5e7);
        bytes memory call = (seed >> 80) % 2 == 0
            ? abi.encodeCall(stakes.unbond, (token, amount))
            : abi.encodeCall(stakes.stake, (who, token, amount, noPermit()));
        _send(who, address(stakes), call);
    }

    function refuse(uint8 which) external {
        _walletClient.setRefuses(which % 2 == 0);
        _walletProvider.setRefuses(which % 3 == 0);
    }

    // ---- time

    function jump(uint256 seed) external {
        uint256 most = seed % 4 == 0 ? 3 days : seed % 4 == 1 ? 1 hours : 5 minutes;
        pass((seed >> 8) % most);
    }

    /// @dev To the second before, at or after a border of some agreement.
    function jumpToBorder(uint256 seed) external {
        if (_memos.length == 0) return;
        uint256 i = seed % _memos.length;
        Offer memory o = _offers[i];
        (Agreement memory a,) = market.agreement(_memos[i].id);
        uint256 grace = market.balances(_memos[i].id, o, uint64(block.timestamp)).graceUntil;
        if (grace > block.timestamp + 3650 days) grace = block.timestamp;
        uint256[9] memory borders = [
            uint256(a.startedAt) + o.acceptWithin,
            uint256(a.startedAt) + o.provisionWithin,
            uint256(a.startedAt) + o.probeWindow,
            uint256(a.startedAt) + o.minTerm,
            uint256(a.startedAt) + o.maxTerm,
            uint256(a.deadline),
            grace,
            grace + o.retention,
            uint256(a.tS) + o.holdback
        ];
        uint256 after_ = borders[(seed >> 8) % 9] + (seed >> 16) % 3;
        if (after_ > block.timestamp + 1 && after_ < block.timestamp + 10 days) vm.warp(after_ - 1);
    }

    // ---- helpers

    function _send(address from, address to, bytes memory call) private {
        vm.prank(from);
        (bool ok,) = to.call(call);
        ok; // refused is fine: the invariants are what counts
    }

    function _randomOffer(uint256 seed) private view returns (Offer memory o) {
        uint256 r = uint256(keccak256(abi.encode(seed)));
        o = sellOffer();
        o.token = address(tokens[r % TOKENS]);
        o.units = Units(uint32(r >> 8) % 3000, uint32(r >> 16) % 3000, uint32(r >> 24) % 50, 0, uint32(r >> 32) % 2);
        o.rateX = uint96((r >> 40) % (50 << 32)); // up to 50 wei per second, with a fraction
        if (r % 16 == 0) o.rateX = 0;
        o.pausedRateX = uint96((r >> 56) % (uint256(o.rateX) + 1));
        o.retentionRateX = uint96((r >> 72) % (5 << 32));
        o.minTerm = uint32(r >> 80) % 3000;
        o.maxTerm = r % 3 == 0 ? 0 : o.minTerm + uint32(r >> 96) % 100_000;
        o.notice = uint32(r >> 104) % 4000;
        o.retention = uint32(r >> 112) % 4000;
        o.holdback = uint32(r >> 120) % 2000;
        o.acceptWithin = uint32(r >> 128) % 600;
        o.provisionWithin = uint32(r >> 136) % 3000;
        o.probeWindow = uint32(r >> 144) % 1200;
        o.rejectFee = uint128((r >> 152) % ((uint256(o.rateX) * o.probeWindow >> 32) + 1));
        o.lockPeriod = uint32(r >> 160) % 5000;
        o.volume = uint32(1 + (r >> 168) % 6);
        o.salt = uint64(r >> 176);
        o.expiry = type(uint64).max;
    }
}
