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
import {Agreement, Balances, BUY, CloseReason, Offer, Permit, SELL, State} from "./Types.sol";

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

    IOfferBook public immutable offerBook;
    IStakeVault public immutable stakeVault;
    IEscrowVault public immutable escrowVault;
    IProviderRegistry public immutable registry;
    /// @notice Smallest bond of an agreement, in token-wei.
    uint128 public immutable bondFloor;

    /// @inheritdoc IAgreements
    uint64 public nextId = 1;
    mapping(uint64 id => Agreement) private _agreements;
    mapping(uint64 id => address) private _sponsors; // payers that are not the client

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
        Agreement storage a = _agreements[id];
        a.termsHash = b.termsHash;
        a.client = b.client;
        a.state = State.Taken;
        a.startedAt = uint40(block.timestamp);
        a.tS = uint40(block.timestamp);
        a.provider = b.provider;
        a.balX = uint160(received) << 32;
        a.units = b.units;
        if (b.payer != b.client) {
            a.sponsored = true;
            _sponsors[id] = b.payer;
        }
        emit Taken(id, b.client, b.provider, b.payer, b.termsHash, b.requestHash, b.units, received, bond, offer);
    }

    // ---- the provider's edges

    /// @inheritdoc IAgreements
    function accept(uint64 id, Offer calldata offer) external nonReentrant {
        Agreement storage a = _known(id, offer);
        _onlyProvider(a);
        if (a.state != State.Taken) revert WrongState(id, _stateNow(a, offer));
        _before(a.startedAt + uint256(offer.acceptWithin));
        a.state = State.Accepted;
        emit Accepted(id);
    }

    /// @inheritdoc IAgreements
    function provisioned(uint64 id, Offer calldata offer, bytes32 commitment) external nonReentrant {
        Agreement storage a = _known(id, offer);
        _onlyProvider(a);
        if (a.state != State.Taken && a.state != State.Accepted) revert WrongState(id, _stateNow(a, offer));
        _before(a.startedAt + uint256(offer.provisionWithin));
        a.state = State.Provisioned;
        a.startedAt = uint40(block.timestamp);
        a.tS = uint40(block.timestamp);
        a.rateX = _rate(offer.rateX, a.units);
        emit Provisioned(id, commitment);
    }

    /// @inheritdoc IAgreements
    function reclaim(uint64 id, Offer calldata offer) external nonReentrant {
        Agreement storage a = _known(id, offer);
        _onlyProvider(a);
        (Settlement.Account memory m, State s) = _touched(a, offer);
        if (s != State.Active && s != State.Paused && s != State.Grace) revert WrongState(id, s);
        _store(a, m);
        a.state = State.Reclaiming;
        a.rateX = _rate(offer.rateX, a.units);
        uint256 deadline = block.timestamp + offer.notice;
        a.deadline = uint40(deadline);
        emit Reclaiming(id, uint64(deadline));
    }

    // ---- the client's edges

    /// @inheritdoc IAgreements
    function acknowledge(uint64 id, Offer calldata offer) external nonReentrant {
        Agreement storage a = _known(id, offer);
        _onlyClient(a);
        if (a.state != State.Provisioned) revert WrongState(id, _stateNow(a, offer));
        _before(a.startedAt + uint256(offer.probeWindow));
        a.state = State.Active;
        emit Acknowledged(id);
    }

    /// @inheritdoc IAgreements
    function reject(uint64 id, Offer calldata offer, bytes32 evidenceHash) external nonReentrant {
        Agreement storage a = _known(id, offer);
        _onlyClient(a);
        (Settlement.Account memory m, State s) = _touched(a, offer);
        if (s != State.Provisioned) revert WrongState(id, s);
        _end(id, a, offer, m, s, CloseReason.Rejected, evidenceHash);
    }

    /// @inheritdoc IAgreements
    function pause(uint64 id, Offer calldata offer) external nonReentrant {
        if (offer.pausedRateX == 0) revert NotPausable();
        _change(id, offer, State.Active, State.Paused, offer.pausedRateX);
        emit Paused(id);
    }

    /// @inheritdoc IAgreements
    function resume(uint64 id, Offer calldata offer) external nonReentrant {
        _change(id, offer, State.Paused, State.Active, offer.rateX);
        emit Resumed(id);
    }

    function _change(uint64 id, Offer calldata offer, State from, State to, uint96 unitRateX) private {
        Agreement storage a = _known(id, offer);
        _onlyClient(a);
        (Settlement.Account memory m, State s) = _touched(a, offer);
        if (s != from) revert WrongState(id, s);
        _store(a, m);
        a.state = to;
        a.rateX = _rate(unitRateX, a.units);
    }

    // ---- money while it runs

    /// @inheritdoc IAgreements
    function topUp(uint64 id, Offer calldata offer, uint128 amount, Permit calldata permit) external nonReentrant {
        Agreement storage a = _known(id, offer);
        if (a.state == State.Closed) revert WrongState(id, State.Closed);
        uint128 received = escrowVault.deposit(offer.token, msg.sender, amount, permit);
        if (received == 0) revert ZeroAmount();
        (Settlement.Account memory m,) = _touched(a, offer);
        m.tS = block.timestamp; // seconds without money are never billed
        m.balX += uint256(received) << 32;
        if (m.balX + m.earnedX > type(uint160).max) revert BalanceTooLarge();
        _store(a, m);
        emit ToppedUp(id, msg.sender, received);
    }

    /// @inheritdoc IAgreements
    function withdrawFree(uint64 id, Offer calldata offer, uint128 amount) external nonReentrant {
        Agreement storage a = _known(id, offer);
        address payer = _payer(id, a);
        if (msg.sender != payer) revert NotPayer(msg.sender);
        if (amount == 0) revert ZeroAmount();
        (Settlement.Account memory m, State s) = _touched(a, offer);
        if (!_isRunning(s)) revert WrongState(id, s);
        uint256 free = m.freeX(offer.lockPeriod) >> 32;
        if (amount > free) revert NotEnoughFree(uint128(free), amount);
        m.balX -= uint256(amount) << 32;
        _store(a, m);
        emit FreeWithdrawn(id, payer, amount);
        escrowVault.credit(offer.token, payer, amount);
    }

    /// @inheritdoc IAgreements
    function collect(uint64 id, Offer calldata offer) external nonReentrant returns (uint128 amount) {
        Agreement storage a = _known(id, offer);
        amount = _collect(id, a, offer);
        escrowVault.credit(offer.token, a.provider, amount);
    }

    /// @inheritdoc IAgreements
    function collectTo(uint64 id, Offer calldata offer, address to) external nonReentrant returns (uint128 amount) {
        Agreement storage a = _known(id, offer);
        if (msg.sender != a.provider) revert NotProvider(msg.sender); // not a hot key: this one moves money out
        amount = _collect(id, a, offer);
        escrowVault.pay(offer.token, msg.sender, to, amount);
    }

    function _collect(uint64 id, Agreement storage a, Offer calldata offer) private returns (uint128 amount) {
        (Settlement.Account memory m, State s) = _touched(a, offer);
        amount = _withdrawable(m, _holdX(a, offer), s);
        if (amount == 0) revert NothingToCollect();
        m.earnedX -= uint256(amount) << 32;
        if (s == State.Closed) a.earnedX = uint160(m.earnedX);
        else _store(a, m);
        emit Collected(id, a.provider, amount);
    }

    // ---- the end

    /// @inheritdoc IAgreements
    function close(uint64 id, Offer calldata offer, CloseReason expected, bytes32 evidence) external nonReentrant {
        Agreement storage a = _known(id, offer);
        (Settlement.Account memory m, State s) = _touched(a, offer);
        if (s == State.Closed) revert WrongState(id, s);
        CloseReason reason;
        if (msg.sender == a.client) {
            reason = s == State.Taken ? CloseReason.BuyerCancel : CloseReason.Buyer;
        } else if (_isProvider(a)) {
            reason = s == State.Reclaiming && block.timestamp >= a.deadline
                ? CloseReason.Reclaim
                : CloseReason.EarlyExit;
        } else {
            revert NotParty(msg.sender);
        }
        if (expected != CloseReason.None && expected != reason) revert WouldCloseAs(reason);
        _end(id, a, offer, m, s, reason, evidence);
    }

    /// @inheritdoc IAgreements
    function expire(uint64 id, Offer calldata offer) external nonReentrant {
        Agreement storage a = _known(id, offer);
        (Settlement.Account memory m, State s) = _touched(a, offer);
        if (s == State.Closed) revert WrongState(id, s);
        (CloseReason reason, uint256 at) = _nextEnd(a, offer, m, s);
        if (block.timestamp < at) revert TooEarly(uint64(at));
        _end(id, a, offer, m, s, reason, 0);
    }

    /// @dev Which end anyone may bring about, and from when on.
    function _nextEnd(Agreement storage a, Offer calldata offer, Settlement.Account memory m, State s)
        private
        view
        returns (CloseReason reason, uint256 at)
    {
        uint256 startedAt = a.startedAt;
        if (s == State.Taken) return (CloseReason.ProviderTimeout, startedAt + offer.acceptWithin);
        if (s == State.Accepted) return (CloseReason.ProviderTimeout, startedAt + offer.provisionWithin);
        uint256 grace = m.graceUntil();
        uint256 drained = grace == Settlement.NEVER ? grace : grace + offer.retention;
        if (drained > Settlement.NEVER) drained = Settlement.NEVER;
        if (offer.maxTerm == 0) return (CloseReason.Funds, drained);
        uint256 termEnd = startedAt + offer.maxTerm;
        if (block.timestamp >= termEnd || termEnd <= drained) return (CloseReason.Expired, termEnd);
        return (CloseReason.Funds, drained);
    }

    /// @dev `m` is touched. Order: what the reason moves, record, then pool, bond and credit. None of these three can
    ///      be made to fail by a party: no token moves here and no stranger's code runs.
    function _end(
        uint64 id,
        Agreement storage a,
        Offer calldata offer,
        Settlement.Account memory m,
        State s,
        CloseReason reason,
        bytes32 evidence
    ) private {
        uint32 units = a.units;
        uint256 penaltyX = _settle(a, offer, m, s, reason);

        uint256 refund = m.balX >> 32;
        m.earnedX += m.balX & FRACTION; // with it earnedX is a whole number of wei again
        if (m.earnedX != a.earnedX) a.earnedX = uint160(m.earnedX);
        a.balX = 0;
        a.state = State.Closed;
        a.reason = reason;
        a.tS = uint40(block.timestamp);

        uint128 bond = bondOf(offer, units);
        uint128 penalty = uint128(penaltyX >> 32);
        if (penalty > bond) penalty = bond;
        emit Closed(id, reason, uint128(m.earnedX >> 32), uint128(refund), penalty, evidence);

        if (offer.pool != 0) offerBook.restore(a.provider, offer.pool, offer.units, units);
        stakeVault.release(a.provider, offer.token, bond, penalty, a.client);
        if (refund != 0) escrowVault.credit(offer.token, _payer(id, a), uint128(refund));
    }

    /// @dev Divide balX and earnedX by the reason; returns the penalty (before the bond's bound), in X.
    function _settle(
        Agreement storage a,
        Offer calldata offer,
        Settlement.Account memory m,
        State s,
        CloseReason reason
    ) private view returns (uint256 penaltyX) {
        uint256 rateX = _times(offer.rateX, a.units);
        if (s == State.Provisioned && reason != CloseReason.Buyer) {
            // Nothing is payable yet: a provider cannot pretend to provision and leave with the pay.
            m.balX += m.earnedX;
            m.earnedX = 0;
        } else {
            uint256 graceUntil = m.graceUntil();
            if (block.timestamp > graceUntil) {
                uint256 kept = block.timestamp - graceUntil;
                if (kept > offer.retention) kept = offer.retention;
                m.payX(_times(offer.retentionRateX, a.units) * kept);
            }
        }
        if (reason == CloseReason.BuyerCancel || reason == CloseReason.Rejected) {
            m.payX(_times(offer.rejectFee, a.units) << 32);
        } else if (reason == CloseReason.Buyer && s != State.Reclaiming) {
            uint256 termStart = s == State.Accepted ? block.timestamp : a.startedAt;
            uint256 termEnd = termStart + offer.minTerm;
            if (block.timestamp < termEnd) m.payX(rateX * (termEnd - block.timestamp));
        } else if (reason == CloseReason.ProviderTimeout) {
            penaltyX = rateX * offer.notice;
        } else if (reason == CloseReason.EarlyExit) {
            penaltyX = rateX * (s == State.Reclaiming ? a.deadline - block.timestamp : offer.notice);
        }
    }

    // ---- views

    /// @inheritdoc IAgreements
    function agreement(uint64 id) external view returns (Agreement memory) {
        if (_agreements[id].state == State.None) revert UnknownAgreement(id);
        return _agreements[id];
    }

    /// @inheritdoc IAgreements
    function payerOf(uint64 id) external view returns (address) {
        if (_agreements[id].state == State.None) revert UnknownAgreement(id);
        return _payer(id, _agreements[id]);
    }

    /// @inheritdoc IAgreements
    function stateAt(uint64 id, Offer calldata offer, uint64 time) external view returns (State) {
        Agreement storage a = _known(id, offer);
        uint256 t = time < a.tS ? a.tS : time;
        return Settlement.stateAt(_load(a, offer), a.state, a.startedAt, offer, t);
    }

    /// @inheritdoc IAgreements
    function balances(uint64 id, Offer calldata offer, uint64 time) external view returns (Balances memory b) {
        Agreement storage a = _known(id, offer);
        Settlement.Account memory m = _load(a, offer);
        uint256 t = time < m.tS ? m.tS : time;
        State s = Settlement.stateAt(m, a.state, a.startedAt, offer, t);
        m.touch(t);
        b.balX = m.balX;
        b.earnedX = m.earnedX;
        b.lockFixedX = m.lockFixedX;
        b.freeX = _isRunning(s) ? m.freeX(offer.lockPeriod) : 0;
        b.holdX = _holdX(a, offer, t);
        b.withdrawable = _withdrawable(m, b.holdX, s);
        b.fundedUntil = uint64(m.fundedUntil(offer.lockPeriod));
        b.graceUntil = uint64(m.graceUntil());
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

    // ---- helpers

    /// @dev A rate or a fee of all units together.
    function _times(uint256 perUnit, uint32 units) private pure returns (uint256) {
        return perUnit * units;
    }

    function _rate(uint96 unitRateX, uint32 units) private pure returns (uint96) {
        uint256 rateX = _times(unitRateX, units);
        if (rateX > type(uint96).max) revert RateTooLarge();
        return uint96(rateX);
    }

    function _depositFor(Offer calldata offer, uint32 units, uint256 period) private pure returns (uint128) {
        uint256 x = _times(offer.retentionRateX, units) * offer.retention + _rate(offer.rateX, units) * period;
        uint256 fee = _times(offer.rejectFee, units);
        uint256 amount = (x + FRACTION) >> 32;
        if (amount < fee) amount = fee;
        if (amount > type(uint128).max) revert BalanceTooLarge();
        return uint128(amount);
    }

    function _known(uint64 id, Offer calldata offer) private view returns (Agreement storage a) {
        a = _agreements[id];
        bytes32 agreed = a.termsHash;
        if (agreed == 0) revert UnknownAgreement(id);
        bytes32 given = OfferHash.hash(offer);
        if (given != agreed) revert WrongTerms(agreed, given);
    }

    function _onlyClient(Agreement storage a) private view {
        if (msg.sender != a.client) revert NotClient(msg.sender);
    }

    function _onlyProvider(Agreement storage a) private view {
        if (!_isProvider(a)) revert NotProvider(msg.sender);
    }

    function _isProvider(Agreement storage a) private view returns (bool) {
        return msg.sender == a.provider || registry.identityOf(msg.sender) == a.provider;
    }

    function _payer(uint64 id, Agreement storage a) private view returns (address) {
        return a.sponsored ? _sponsors[id] : a.client;
    }

    function _before(uint256 deadline) private view {
        if (block.timestamp >= deadline) revert TooLate(uint64(deadline));
    }

    /// @dev ACTIVE, PAUSED, RECLAIMING: the payer may take back what is free.
    function _isRunning(State s) private pure returns (bool) {
        return s == State.Active || s == State.Paused || s == State.Reclaiming;
    }

    function _load(Agreement storage a, Offer calldata offer) private view returns (Settlement.Account memory m) {
        m.earnedX = a.earnedX;
        m.tS = a.tS;
        if (a.state == State.Closed) return m; // nothing runs, nothing is locked
        m.balX = a.balX;
        m.rateX = a.rateX;
        m.lockFixedX = _times(offer.retentionRateX, a.units) * offer.retention;
    }

    /// @dev The account billed up to now, and the state now.
    function _touched(Agreement storage a, Offer calldata offer)
        private
        view
        returns (Settlement.Account memory m, State s)
    {
        m = _load(a, offer);
        s = Settlement.stateAt(m, a.state, a.startedAt, offer, block.timestamp);
        m.touch(block.timestamp);
    }

    function _stateNow(Agreement storage a, Offer calldata offer) private view returns (State s) {
        (, s) = _touched(a, offer);
    }

    function _store(Agreement storage a, Settlement.Account memory m) private {
        a.balX = uint160(m.balX);
        a.earnedX = uint160(m.earnedX);
        a.tS = uint40(m.tS);
    }

    function _holdX(Agreement storage a, Offer calldata offer) private view returns (uint256) {
        return _holdX(a, offer, block.timestamp);
    }

    /// @dev While open the newest D seconds; after the end what was held then stays frozen until closedAt + D. rateX
    ///      survives the close for this.
    function _holdX(Agreement storage a, Offer calldata offer, uint256 time) private view returns (uint256) {
        if (a.state == State.Closed && time >= a.tS + uint256(offer.holdback)) return 0;
        return uint256(a.rateX) * offer.holdback;
    }

    function _withdrawable(Settlement.Account memory m, uint256 holdX, State s) private pure returns (uint128) {
        if (s == State.Provisioned || m.earnedX <= holdX) return 0;
        return uint128((m.earnedX - holdX) >> 32);
    }
}
