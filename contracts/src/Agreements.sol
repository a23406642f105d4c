// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IAgreements} from "./interfaces/IAgreements.sol";
import {IEscrowVault} from "./interfaces/IEscrowVault.sol";
import {IOfferBook} from "./interfaces/IOfferBook.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";
import {OfferHash} from "./lib/OfferHash.sol";
import {Settlement} from "./lib/Settlement.sol";
import {
    Agreement,
    Balances,
    BUY,
    BY_HOT_KEY,
    CloseReason,
    Offer,
    Permit,
    REASON_SHIFT,
    SELL,
    SETTLED,
    SPONSORED,
    State
} from "./Types.sol";

/// @title Agreements
/// @dev Invariants: (1) money moves only on an edge; (2) CLOSED is final, only what was earned is still collected from
///      it; (3) every open state has an edge that needs nobody's consent; (4) the bond of an agreement is reserved once,
///      when it begins, and released once, when it ends.
///
///      from                        by         to                       function
///      -                           payer      TAKEN                    take (fill: provider)
///      TAKEN                       provider   ACCEPTED                 accept
///      TAKEN, ACCEPTED             provider   PROVISIONED              provisioned
///      PROVISIONED                 client     ACTIVE                   acknowledge (or the probe window passes)
///      PROVISIONED                 client     CLOSED(Rejected)         reject
///      ACTIVE                      client     PAUSED                   pause
///      PAUSED                      client     ACTIVE                   resume
///      ACTIVE, PAUSED              time       GRACE, then DRAINING     (top-up returns)
///      ACTIVE, PAUSED, GRACE       provider   RECLAIMING               reclaim
///      TAKEN                       client     CLOSED(BuyerCancel)      close
///      any open but TAKEN          client     CLOSED(Buyer)            close
///      any open                    provider   CLOSED(EarlyExit)        close
///      RECLAIMING, notice over     provider   CLOSED(Reclaim)          close
///      TAKEN, ACCEPTED, too late   anyone     CLOSED(ProviderTimeout)  expire
///      PROVISIONED and later       anyone     CLOSED(Expired, Funds)   expire
///
///      Every interval is half open: "before T" is time < T, "T has passed" is time >= T.
contract Agreements is IAgreements, ReentrancyGuardTransient {
    using Settlement for Settlement.Account;

    uint256 private constant FRACTION = type(uint32).max; // of an X amount

    /// @notice The contracts around this one, for good.
    IOfferBook public immutable offerBook;
    IStakeVault public immutable stakeVault;
    IEscrowVault public immutable escrowVault;
    IProviderRegistry public immutable registry;
    /// @notice Smallest bond of an agreement, in token-wei.
    uint128 public immutable bondFloor;

    /// @inheritdoc IAgreements
    uint64 public nextId = 1;
    mapping(uint64 id => Agreement) private _agreements;
    // Rare, so not part of the record; its flags say when to look here:
    mapping(uint64 id => address) private _sponsors; // SPONSORED: the payer
    mapping(uint64 id => address) private _identities; // BY_HOT_KEY: the provider
    mapping(uint64 id => uint256) private _earnedX; // SETTLED: the provider's, not yet collected

    /// @dev What a call works on: the record and, from _open on, its money billed up to now.
    struct Call {
        uint64 id;
        Agreement r;
        State now; // the state at this second
        Settlement.Account m;
    }

    constructor(
        IOfferBook offerBook_,
        IStakeVault stakeVault_,
        IEscrowVault escrowVault_,
        IProviderRegistry registry_,
        uint128 bondFloor_
    ) {
        offerBook = offerBook_;
        stakeVault = stakeVault_;
        escrowVault = escrowVault_;
        registry = registry_;
        bondFloor = bondFloor_;
    }

    // ---- beginning

    /// @inheritdoc IAgreements
    function take(
        Offer calldata offer,
        bytes calldata signature,
        address client,
        uint32 units,
        bytes32 requestHash,
        uint128 deposit,
        Permit calldata permit
    ) external nonReentrant returns (uint64 id) {
        if (offer.side != SELL) revert WrongSide(offer.side);
        if (client == address(0)) revert NoClient();
        (bytes32 termsHash, address provider) = offerBook.consume(offer, signature, client, units);
        Begin memory b = Begin(client, msg.sender, provider, termsHash, requestHash, units, deposit);
        return _begin(offer, b, minDeposit(offer, units), permit);
    }

    /// @inheritdoc IAgreements
    function fill(
        Offer calldata bid,
        bytes calldata signature,
        uint32 units,
        bytes32 requestHash,
        Permit calldata permit
    ) external nonReentrant returns (uint64 id) {
        if (bid.side != BUY) revert WrongSide(bid.side);
        if (bid.policyHash != 0 && bid.policyHash != requestHash) revert WrongRequest(bid.policyHash, requestHash);
        (bytes32 termsHash, address provider) = offerBook.consume(bid, signature, msg.sender, units);
        uint128 deposit = fillDeposit(bid, units);
        Begin memory b = Begin(bid.maker, bid.maker, provider, termsHash, requestHash, units, deposit);
        return _begin(bid, b, minDeposit(bid, units), permit);
    }

    struct Begin {
        address client;
        address payer;
        address provider;
        bytes32 termsHash;
        bytes32 requestHash;
        uint32 units;
        uint128 deposit;
    }

    function _begin(Offer calldata offer, Begin memory b, uint128 needed, Permit calldata permit)
        private
        returns (uint64 id)
    {
        uint128 bond = bondOf(offer, b.units);
        stakeVault.reserve(b.provider, offer.token, bond);
        uint128 received = escrowVault.deposit(offer.token, b.payer, b.deposit, permit);
        if (received < needed) revert DepositTooSmall(needed, received);

        id = nextId++;
        uint8 flags = 0;
        if (b.payer != b.client) {
            flags |= SPONSORED;
            _sponsors[id] = b.payer;
        }
        if (offer.side == SELL && b.provider != offer.maker) {
            flags |= BY_HOT_KEY;
            _identities[id] = b.provider;
        }
        Agreement storage a = _agreements[id];
        a.termsHash = b.termsHash;
        a.taker = offer.side == SELL ? b.client : b.provider;
        a.state = State.Taken;
        a.flags = flags;
        a.startedAt = uint40(block.timestamp);
        a.tS = uint40(block.timestamp);
        a.mainX = uint160(received) << 32;
        a.units = b.units;
        emit Taken(id, b.client, b.provider, b.payer, b.termsHash, b.requestHash, b.units, received, bond, offer);
    }

    // ---- edges that move no money

    /// @inheritdoc IAgreements
    function accept(uint64 id, Offer calldata offer) external {
        Call memory c = _head(id, offer);
        _onlyProvider(c, offer);
        if (c.r.state != State.Taken) _wrongState(c, offer);
        _before(uint256(c.r.startedAt) + offer.acceptWithin);
        _agreements[id].state = State.Accepted;
        emit Accepted(id);
    }

    /// @inheritdoc IAgreements
    function provisioned(uint64 id, Offer calldata offer, bytes32 commitment) external {
        Call memory c = _head(id, offer);
        _onlyProvider(c, offer);
        if (c.r.state != State.Taken && c.r.state != State.Accepted) _wrongState(c, offer);
        _before(uint256(c.r.startedAt) + offer.provisionWithin);
        Agreement storage a = _agreements[id];
        a.state = State.Provisioned;
        a.startedAt = uint40(block.timestamp);
        a.tS = uint40(block.timestamp);
        emit Provisioned(id, commitment);
    }

    /// @inheritdoc IAgreements
    function acknowledge(uint64 id, Offer calldata offer) external {
        Call memory c = _head(id, offer);
        _onlyClient(c, offer);
        if (c.r.state != State.Provisioned) _wrongState(c, offer);
        _before(uint256(c.r.startedAt) + offer.probeWindow);
        _agreements[id].state = State.Active;
        emit Acknowledged(id);
    }

    // ---- edges that change the rate

    /// @inheritdoc IAgreements
    function pause(uint64 id, Offer calldata offer) external {
        Call memory c = _open(id, offer);
        _onlyClient(c, offer);
        if (c.now != State.Active) revert WrongState(id, c.now);
        if (offer.pausedRateX == 0) revert NotPausable();
        _store(c, State.Paused);
        emit Paused(id);
    }

    /// @inheritdoc IAgreements
    function resume(uint64 id, Offer calldata offer) external {
        Call memory c = _open(id, offer);
        _onlyClient(c, offer);
        if (c.now != State.Paused) revert WrongState(id, c.now);
        _store(c, State.Active);
        emit Resumed(id);
    }

    /// @inheritdoc IAgreements
    function reclaim(uint64 id, Offer calldata offer) external {
        Call memory c = _open(id, offer);
        _onlyProvider(c, offer);
        if (c.now != State.Active && c.now != State.Paused && c.now != State.Grace) revert WrongState(id, c.now);
        uint256 deadline = block.timestamp + offer.notice;
        c.r.deadline = uint40(deadline);
        _store(c, State.Reclaiming);
        emit Reclaiming(id, uint64(deadline));
    }

    // ---- money while it runs

    /// @inheritdoc IAgreements
    function topUp(uint64 id, Offer calldata offer, uint128 amount, Permit calldata permit) external nonReentrant {
        _open(id, offer); // refuses before any money moves
        uint128 received = escrowVault.deposit(offer.token, msg.sender, amount, permit);
        if (received == 0) revert ZeroAmount();
        Call memory c = _open(id, offer);
        c.m.tS = block.timestamp; // seconds without money are never billed
        c.m.balX += uint256(received) << 32;
        if (c.m.balX + c.m.earnedX > type(uint160).max) revert BalanceTooLarge();
        _store(c, c.r.state);
        emit ToppedUp(id, msg.sender, received);
    }

    /// @inheritdoc IAgreements
    function withdrawFree(uint64 id, Offer calldata offer, uint128 amount) external nonReentrant {
        Call memory c = _open(id, offer);
        address payer = _payer(c, offer);
        if (msg.sender != payer) revert NotPayer(msg.sender);
        if (amount == 0) revert ZeroAmount();
        if (!_isRunning(c.now)) revert WrongState(id, c.now);
        uint256 free = c.m.freeX(offer.lockPeriod) >> 32;
        if (amount > free) revert NotEnoughFree(uint128(free), amount);
        c.m.balX -= uint256(amount) << 32;
        _store(c, c.r.state);
        emit FreeWithdrawn(id, payer, amount);
        escrowVault.credit(offer.token, payer, amount);
    }

    /// @inheritdoc IAgreements
    function collect(uint64 id, Offer calldata offer) external nonReentrant returns (uint128 amount) {
        Call memory c = _billed(id, offer);
        address provider = _provider(c, offer);
        amount = _collect(c, offer, provider, address(0));
        escrowVault.credit(offer.token, provider, amount);
    }

    /// @inheritdoc IAgreements
    function collectTo(uint64 id, Offer calldata offer, address to) external nonReentrant returns (uint128 amount) {
        Call memory c = _billed(id, offer);
        // Not a hot key: this one moves money out.
        if (msg.sender != _provider(c, offer)) revert NotProvider(msg.sender);
        amount = _collect(c, offer, msg.sender, to);
        escrowVault.pay(offer.token, to, amount);
    }

    function _collect(Call memory c, Offer calldata offer, address provider, address to)
        private
        returns (uint128 amount)
    {
        amount = _withdrawable(c, offer, block.timestamp);
        if (amount == 0) revert NothingToCollect();
        c.m.earnedX -= uint256(amount) << 32;
        if (c.r.state == State.Closed) _storeRest(c);
        else _store(c, c.r.state);
        emit Collected(c.id, provider, to, amount);
    }

    // ---- the end

    /// @inheritdoc IAgreements
    function reject(uint64 id, Offer calldata offer, bytes32 evidenceHash) external nonReentrant {
        Call memory c = _open(id, offer);
        _onlyClient(c, offer);
        if (c.now != State.Provisioned) revert WrongState(id, c.now);
        _end(c, offer, CloseReason.Rejected, evidenceHash);
    }

    /// @inheritdoc IAgreements
    function close(uint64 id, Offer calldata offer, CloseReason expected, bytes32 evidence) external nonReentrant {
        Call memory c = _open(id, offer);
        CloseReason reason;
        if (msg.sender == _client(c, offer)) {
            reason = c.now == State.Taken ? CloseReason.BuyerCancel : CloseReason.Buyer;
        } else if (_isProvider(c, offer)) {
            reason = c.now == State.Reclaiming && block.timestamp >= c.r.deadline
                ? CloseReason.Reclaim
                : CloseReason.EarlyExit;
        } else {
            revert NotParty(msg.sender);
        }
        if (expected != CloseReason.None && expected != reason) revert WouldCloseAs(reason);
        _end(c, offer, reason, evidence);
    }

    /// @inheritdoc IAgreements
    function expire(uint64 id, Offer calldata offer) external nonReentrant {
        Call memory c = _open(id, offer);
        (CloseReason reason, uint256 at) = _nextEnd(c, offer);
        if (block.timestamp < at) revert TooEarly(uint64(at));
        _end(c, offer, reason, 0);
    }

    /// @dev Which end anyone may bring about, and from when on.
    function _nextEnd(Call memory c, Offer calldata offer) private view returns (CloseReason reason, uint256 at) {
        uint256 startedAt = c.r.startedAt;
        if (c.now == State.Taken) return (CloseReason.ProviderTimeout, startedAt + offer.acceptWithin);
        if (c.now == State.Accepted) return (CloseReason.ProviderTimeout, startedAt + offer.provisionWithin);
        uint256 drained = c.m.graceUntil();
        if (drained != Settlement.NEVER) drained += offer.retention;
        if (drained > Settlement.NEVER) drained = Settlement.NEVER;
        if (offer.maxTerm == 0) return (CloseReason.Funds, drained);
        uint256 termEnd = startedAt + offer.maxTerm;
        if (block.timestamp >= termEnd || termEnd <= drained) return (CloseReason.Expired, termEnd);
        return (CloseReason.Funds, drained);
    }

    /// @dev Order: what the reason moves, the record, then pool, bond and credit. None of these three can be made to
    ///      fail by a party: no token moves here and no stranger's code runs.
    function _end(Call memory c, Offer calldata offer, CloseReason reason, bytes32 evidence) private {
        uint256 penaltyX = _settle(c, offer, reason);
        uint256 refund = c.m.balX >> 32;
        c.m.earnedX += c.m.balX & FRACTION; // with it earnedX is a whole number of wei again

        if (c.r.flags & SETTLED != 0) delete _earnedX[c.id];
        Agreement storage a = _agreements[c.id];
        a.state = State.Closed;
        a.flags = c.r.flags | uint8(reason) << REASON_SHIFT;
        a.tS = uint40(block.timestamp);
        c.r.closedFrom = c.r.state;
        _storeRest(c);

        uint128 bond = bondOf(offer, c.r.units);
        uint128 penalty = uint128(penaltyX >> 32);
        if (penalty > bond) penalty = bond;
        emit Closed(c.id, reason, uint128(c.m.earnedX >> 32), uint128(refund), penalty, evidence);

        address provider = _provider(c, offer);
        if (offer.pool != 0) offerBook.restore(provider, offer.pool, offer.units, c.r.units);
        stakeVault.release(provider, offer.token, bond, penalty, _client(c, offer));
        if (refund != 0) escrowVault.credit(offer.token, _payer(c, offer), uint128(refund));
    }

    /// @dev Divide balX and earnedX by the reason; returns the penalty (before the bond's bound), in X.
    function _settle(Call memory c, Offer calldata offer, CloseReason reason) private view returns (uint256 penaltyX) {
        if (c.now == State.Provisioned && reason != CloseReason.Buyer) {
            // Nothing is payable yet: a provider cannot pretend to provision and leave with the pay.
            c.m.balX += c.m.earnedX;
            c.m.earnedX = 0;
        } else {
            uint256 graceUntil = c.m.graceUntil();
            if (block.timestamp > graceUntil) {
                uint256 kept = block.timestamp - graceUntil;
                if (kept > offer.retention) kept = offer.retention;
                c.m.payX(_times(offer.retentionRateX, c.r.units) * kept);
            }
        }
        uint256 rateX = _times(offer.rateX, c.r.units);
        if (reason == CloseReason.BuyerCancel || reason == CloseReason.Rejected) {
            c.m.payX(_times(offer.rejectFee, c.r.units) << 32);
        } else if (reason == CloseReason.Buyer && c.now != State.Reclaiming) {
            uint256 termStart = c.now == State.Accepted ? block.timestamp : c.r.startedAt;
            uint256 termEnd = termStart + offer.minTerm;
            if (block.timestamp < termEnd) c.m.payX(rateX * (termEnd - block.timestamp));
        } else if (reason == CloseReason.ProviderTimeout) {
            penaltyX = rateX * offer.notice;
        } else if (reason == CloseReason.EarlyExit) {
            penaltyX = rateX * (c.now == State.Reclaiming ? c.r.deadline - block.timestamp : offer.notice);
        }
    }

    // ---- views

    /// @inheritdoc IAgreements
    function agreement(uint64 id) external view returns (Agreement memory record, CloseReason reason) {
        record = _agreements[id];
        if (record.state == State.None) revert UnknownAgreement(id);
        reason = CloseReason(record.flags >> REASON_SHIFT);
    }

    /// @inheritdoc IAgreements
    function partiesOf(uint64 id, Offer calldata offer)
        external
        view
        returns (address client, address provider, address payer)
    {
        Call memory c = _head(id, offer);
        return (_client(c, offer), _provider(c, offer), _payer(c, offer));
    }

    /// @inheritdoc IAgreements
    function stateAt(uint64 id, Offer calldata offer, uint64 time) external view returns (State) {
        Call memory c = _head(id, offer);
        _bill(c, offer, time);
        return c.now;
    }

    /// @inheritdoc IAgreements
    function balances(uint64 id, Offer calldata offer, uint64 time) external view returns (Balances memory b) {
        Call memory c = _head(id, offer);
        uint256 t = time < c.r.tS ? c.r.tS : time;
        _bill(c, offer, t);
        b.balX = c.m.balX;
        b.earnedX = c.m.earnedX;
        b.lockFixedX = c.m.lockFixedX;
        b.freeX = _isRunning(c.now) ? c.m.freeX(offer.lockPeriod) : 0;
        b.rateX = c.m.rateX;
        b.holdX = _holdX(c, offer, t);
        b.withdrawable = _withdrawable(c, offer, t);
        b.fundedUntil = uint64(c.m.fundedUntil(offer.lockPeriod));
        b.graceUntil = uint64(c.m.graceUntil());
    }

    /// @inheritdoc IAgreements
    function minDeposit(Offer calldata offer, uint32 units) public pure returns (uint128) {
        return _depositFor(offer, units, offer.lockPeriod);
    }

    /// @inheritdoc IAgreements
    function fillDeposit(Offer calldata bid, uint32 units) public pure returns (uint128) {
        return _depositFor(bid, units, bid.minTerm > bid.lockPeriod ? bid.minTerm : bid.lockPeriod);
    }

    /// @inheritdoc IAgreements
    function bondOf(Offer calldata offer, uint32 units) public view returns (uint128) {
        uint256 bond = _rate(offer.rateX, units) * (uint256(offer.notice) + offer.holdback) >> 32;
        return bond > bondFloor ? uint128(bond) : bondFloor;
    }

    // ---- amounts

    /// @dev A rate or a fee of all units together, below 2^160.
    function _times(uint128 perUnit, uint32 units) private pure returns (uint256) {
        unchecked {
            return uint256(perUnit) * units;
        }
    }

    function _rate(uint96 unitRateX, uint32 units) private pure returns (uint256 rateX) {
        rateX = _times(unitRateX, units);
        if (rateX > type(uint96).max) revert RateTooLarge();
    }

    function _depositFor(Offer calldata offer, uint32 units, uint256 period) private pure returns (uint128) {
        uint256 x = _times(offer.retentionRateX, units) * offer.retention + _rate(offer.rateX, units) * period;
        uint256 fee = _times(offer.rejectFee, units);
        uint256 amount = (x + FRACTION) >> 32;
        if (amount < fee) amount = fee;
        if (amount > type(uint128).max) revert BalanceTooLarge();
        return uint128(amount);
    }

    /// @dev The rate that the stored state runs at, all units together.
    function _rateIn(State stored, Offer calldata offer, uint32 units) private pure returns (uint256) {
        if (stored == State.Paused) return _times(offer.pausedRateX, units);
        if (stored == State.Taken || stored == State.Accepted) return 0;
        return _times(offer.rateX, units);
    }

    /// @dev While open the newest D seconds; after the end what was held then stays frozen until closedAt + D.
    function _holdX(Call memory c, Offer calldata offer, uint256 time) private pure returns (uint256) {
        State running = c.r.state;
        if (running == State.Closed) {
            if (time >= uint256(c.r.tS) + offer.holdback) return 0;
            running = c.r.closedFrom;
        }
        return _rateIn(running, offer, c.r.units) * offer.holdback;
    }

    function _withdrawable(Call memory c, Offer calldata offer, uint256 time) private pure returns (uint128) {
        uint256 holdX = _holdX(c, offer, time);
        if (c.now == State.Provisioned || c.m.earnedX <= holdX) return 0;
        return uint128((c.m.earnedX - holdX) >> 32);
    }

    // ---- the record

    /// @dev The first half of the record, if `offer` is what was agreed on.
    function _head(uint64 id, Offer calldata offer) private view returns (Call memory c) {
        Agreement storage a = _agreements[id];
        bytes32 agreed = a.termsHash;
        if (agreed == 0) revert UnknownAgreement(id);
        bytes32 given = OfferHash.hash(offer);
        if (given != agreed) revert WrongTerms(agreed, given);
        c.id = id;
        c.r.taker = a.taker;
        c.r.state = a.state;
        c.r.flags = a.flags;
        c.r.startedAt = a.startedAt;
        c.r.tS = a.tS;
    }

    /// @dev The rest of it, and the account billed up to `time`.
    function _bill(Call memory c, Offer calldata offer, uint256 time) private view {
        Agreement storage a = _agreements[c.id];
        uint256 mainX = a.mainX;
        c.r.units = a.units;
        c.r.deadline = a.deadline;
        c.r.closedFrom = a.closedFrom;
        c.m.tS = c.r.tS;
        if (c.r.state == State.Closed) {
            c.now = State.Closed;
            c.m.earnedX = mainX; // nothing runs, nothing is locked
            return;
        }
        c.m.balX = mainX;
        if (c.r.flags & SETTLED != 0) c.m.earnedX = _earnedX[c.id];
        c.m.rateX = _rateIn(c.r.state, offer, c.r.units);
        c.m.lockFixedX = _times(offer.retentionRateX, c.r.units) * offer.retention;
        if (time < c.r.tS) time = c.r.tS;
        c.now = Settlement.stateAt(c.m, c.r.state, c.r.startedAt, offer, time);
        c.m.touch(time);
    }

    function _billed(uint64 id, Offer calldata offer) private view returns (Call memory c) {
        c = _head(id, offer);
        _bill(c, offer, block.timestamp);
    }

    /// @dev As _billed, but not CLOSED.
    function _open(uint64 id, Offer calldata offer) private view returns (Call memory c) {
        c = _billed(id, offer);
        if (c.now == State.Closed) revert WrongState(id, State.Closed);
    }

    /// @dev Write back an open agreement: the money as settled, and the state.
    function _store(Call memory c, State state) private {
        Agreement storage a = _agreements[c.id];
        uint8 flags = c.r.flags;
        if (c.m.earnedX != 0 || flags & SETTLED != 0) {
            flags |= SETTLED;
            _earnedX[c.id] = c.m.earnedX;
        }
        a.state = state;
        a.flags = flags;
        a.tS = uint40(c.m.tS);
        a.mainX = uint160(c.m.balX);
        a.deadline = c.r.deadline;
    }

    /// @dev Write back what a closed agreement still owes the provider.
    function _storeRest(Call memory c) private {
        Agreement storage a = _agreements[c.id];
        bool owes = c.m.earnedX != 0;
        a.mainX = uint160(c.m.earnedX);
        a.units = owes ? c.r.units : 0;
        a.deadline = 0;
        a.closedFrom = owes ? c.r.closedFrom : State.None;
    }

    function _wrongState(Call memory c, Offer calldata offer) private view {
        _bill(c, offer, block.timestamp);
        revert WrongState(c.id, c.now);
    }

    // ---- who

    function _client(Call memory c, Offer calldata offer) private pure returns (address) {
        return offer.side == SELL ? c.r.taker : offer.maker;
    }

    function _provider(Call memory c, Offer calldata offer) private view returns (address) {
        if (offer.side == BUY) return c.r.taker;
        return c.r.flags & BY_HOT_KEY == 0 ? offer.maker : _identities[c.id];
    }

    function _payer(Call memory c, Offer calldata offer) private view returns (address) {
        return c.r.flags & SPONSORED == 0 ? _client(c, offer) : _sponsors[c.id];
    }

    function _isProvider(Call memory c, Offer calldata offer) private view returns (bool) {
        address provider = _provider(c, offer);
        return msg.sender == provider || registry.identityOf(msg.sender) == provider;
    }

    function _onlyClient(Call memory c, Offer calldata offer) private view {
        if (msg.sender != _client(c, offer)) revert NotClient(msg.sender);
    }

    function _onlyProvider(Call memory c, Offer calldata offer) private view {
        if (!_isProvider(c, offer)) revert NotProvider(msg.sender);
    }

    function _before(uint256 deadline) private view {
        if (block.timestamp >= deadline) revert TooLate(uint64(deadline));
    }

    /// @dev ACTIVE, PAUSED, RECLAIMING: the payer may take back what is free.
    function _isRunning(State s) private pure returns (bool) {
        return s == State.Active || s == State.Paused || s == State.Reclaiming;
    }
}
