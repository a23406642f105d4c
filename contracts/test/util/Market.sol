// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAgreements} from "../../src/interfaces/IAgreements.sol";
import {IEscrowVault} from "../../src/interfaces/IEscrowVault.sol";
import {IOfferBook} from "../../src/interfaces/IOfferBook.sol";
import {IProviderRegistry} from "../../src/interfaces/IProviderRegistry.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {BUY, Offer, Permit, SELL, State, Units} from "../../src/Types.sol";
import {Vm} from "./Vm.sol";

interface ITestUSD is IERC20, IERC20Permit {
    function mint(address to, uint256 amount) external;
}

/// @dev A deployed market with one of each party, and the few moves that every test starts from.
abstract contract Market {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant PROVIDER_KEY = 0xA11CE;
    uint256 internal constant CLIENT_KEY = 0xB0B;
    uint256 internal constant PAYER_KEY = 0xCAFE;
    uint256 internal constant HOT_KEY = 0x407;
    bytes32 internal constant POOL = keccak256("host 1");
    bytes32 internal constant REQUEST = keccak256("request");
    uint128 internal constant BOND_FLOOR = 1000;
    uint32 internal constant UNBONDING = 7 days;
    uint256 internal constant START = 1_750_000_000;

    ITestUSD internal usd;
    IProviderRegistry internal registry;
    IStakeVault internal stakes;
    IOfferBook internal book;
    IEscrowVault internal escrow;
    IAgreements internal market;

    address internal provider = vm.addr(PROVIDER_KEY);
    address internal client = vm.addr(CLIENT_KEY);
    address internal payer = vm.addr(PAYER_KEY);
    address internal hot = vm.addr(HOT_KEY);
    address internal stranger = address(0x57A);

    function setUp() public virtual {
        vm.warp(START);
        usd = ITestUSD(deploy("TestUSD", ""));
        deployMarket(BOND_FLOOR);
        enlist();
        fund(client, 1e15);
        fund(payer, 1e15);
    }

    function deployMarket(uint128 bondFloor) internal {
        address at = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 4);
        registry = IProviderRegistry(deploy("ProviderRegistry", ""));
        stakes = IStakeVault(deploy("StakeVault", abi.encode(at, UNBONDING)));
        book = IOfferBook(deploy("OfferBook", abi.encode(registry, at)));
        escrow = IEscrowVault(deploy("EscrowVault", abi.encode(at)));
        market = IAgreements(deploy("Agreements", abi.encode(book, stakes, escrow, registry, bondFloor)));
        vm.assertEq(address(market), at);
    }

    /// @dev Not `new`: a test contract that contained the market's code would have it optimized once more. The creation
    ///      code is read from the artifact once and kept as the code of an address (parsing it again costs far more).
    function deploy(string memory name, bytes memory args) private returns (address at) {
        address keeper = address(bytes20(keccak256(bytes(name))));
        if (keeper.code.length == 0) vm.etch(keeper, vm.getCode(string.concat(name, ".sol:", name)));
        bytes memory code = bytes.concat(keeper.code, args);
        assembly {
            at := create(0, add(code, 32), mload(code))
        }
        vm.assertTrue(at != address(0), name);
    }

    /// @dev The provider registers, adds a hot key, stakes 1,000 tUSD and opens a pool.
    function enlist() internal {
        fund(provider, 1e12);
        vm.startPrank(provider);
        registry.register("02ab@192.0.2.1:9735");
        registry.proposeHotKey(hot);
        usd.approve(address(stakes), type(uint256).max);
        stakes.stake(provider, address(usd), 1e9, noPermit());
        book.setPool(POOL, Units(64_000, 262_144, 4096, 4, 8));
        vm.stopPrank();
        vm.prank(hot);
        registry.acceptHotKey(provider);
    }

    function fund(address account, uint256 amount) internal {
        usd.mint(account, amount);
        vm.prank(account);
        usd.approve(address(escrow), type(uint256).max);
    }

    /// @dev docs/market.md's defaults; 2 cents an hour (all amounts are per unit).
    function sellOffer() internal view returns (Offer memory o) {
        o.maker = provider;
        o.side = SELL;
        o.pool = POOL;
        o.units = Units(2000, 2048, 20, 0, 0);
        o.overcommitPct = 100;
        o.token = address(usd);
        o.rateX = uint96((uint256(20_000) << 32) / 3600);
        o.pausedRateX = o.rateX / 4;
        o.retentionRateX = o.rateX / 10;
        o.maxTerm = 365 days;
        o.notice = 24 hours;
        o.retention = 72 hours;
        o.holdback = 24 hours;
        o.acceptWithin = 120;
        o.provisionWithin = 20 minutes;
        o.probeWindow = 10 minutes;
        o.lockPeriod = 24 hours;
        o.policyHash = keccak256("policy");
        o.faultDomain = keccak256("site");
        o.volume = 8;
        o.reach = keccak256("reach");
        o.salt = 0x123456789abcdef0;
        o.expiry = uint64(START + 30 days);
    }

    function bidOffer() internal view returns (Offer memory o) {
        o = sellOffer();
        o.maker = client;
        o.side = BUY;
        o.policyHash = 0;
    }

    function signedBy(uint256 key, Offer memory o) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, book.digest(o));
        return abi.encodePacked(r, s, v);
    }

    function noPermit() internal pure returns (Permit memory p) {}

    function permitFor(uint256 key, address spender, uint256 value) internal view returns (Permit memory p) {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                vm.addr(key),
                spender,
                value,
                usd.nonces(vm.addr(key)),
                START + 365 days
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", usd.DOMAIN_SEPARATOR(), structHash));
        p.value = value;
        p.deadline = START + 365 days;
        (p.v, p.r, p.s) = vm.sign(key, digest);
    }

    // ---- moves, by the party they belong to

    function take(Offer memory o, uint32 units, uint128 deposit) internal returns (uint64) {
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        vm.prank(client);
        return market.take(o, signature, client, units, REQUEST, deposit, noPermit());
    }

    function takenBy(address payer_, Offer memory o, uint32 units, uint128 deposit) internal returns (uint64) {
        bytes memory signature = signedBy(PROVIDER_KEY, o);
        vm.prank(payer_);
        return market.take(o, signature, client, units, REQUEST, deposit, noPermit());
    }

    function accept(uint64 id, Offer memory o) internal {
        vm.prank(provider);
        market.accept(id, o);
    }

    function provision(uint64 id, Offer memory o) internal {
        vm.prank(provider);
        market.provisioned(id, o, keccak256("host key"));
    }

    function acknowledge(uint64 id, Offer memory o) internal {
        vm.prank(client);
        market.acknowledge(id, o);
    }

    /// @dev Take one unit and bring it to ACTIVE, all in one second.
    function running(Offer memory o, uint128 deposit) internal returns (uint64 id) {
        id = take(o, 1, deposit);
        provision(id, o);
        acknowledge(id, o);
    }

    function stateOf(uint64 id, Offer memory o) internal view returns (State) {
        return market.stateAt(id, o, uint64(block.timestamp));
    }

    /// @dev Some number from `least` to `most`, made from `x`.
    function within(uint256 x, uint256 least, uint256 most) internal pure returns (uint256) {
        return least + x % (most - least + 1);
    }

    function pass(uint256 seconds_) internal {
        vm.warp(vm.getBlockTimestamp() + seconds_);
    }
}
