// The flow key of the Open vSwitch kernel datapath (struct sw_flow_key): one flat record, so that a mask is a record of the same form and
// a look-up an AND over words.
//
// Fields are read and written through accessors on one buffer; addresses are views into it. IPv4, ARP, IPv6, MPLS have places of
// their own here where the kernel overlays them: the Ethernet type, which is always matched exactly where they matter, tells them
// apart. So the key is 528 bytes, of which the tunnel part (the first 312) is only looked at by masks that name it.

/** ip_frag values (OVS_FRAG_TYPE_*). */
export const FRAG_NONE = 0;
export const FRAG_FIRST = 1;
export const FRAG_LATER = 2;

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_RARP = 0x8035;
export const ETH_P_8021Q = 0x8100;
export const ETH_P_8021AD = 0x88a8;
export const ETH_P_IPV6 = 0x86dd;
export const ETH_P_MPLS_UC = 0x8847;
export const ETH_P_MPLS_MC = 0x8848;
/** What a frame with a length instead of a type gets. */
export const ETH_P_802_2 = 0x0004;
/** Smallest value of the type field that is a type. */
export const ETH_P_802_3_MIN = 0x0600;

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;

/** Set in a stored TCI when there is a tag: the place of the CFI bit. */
export const VLAN_TAG_PRESENT = 0x1000;
/** MPLS labels that a key holds. */
export const MPLS_LABEL_DEPTH = 3;
/** Bytes of tunnel options that a key holds. */
export const TUN_OPTS_BYTES = 255;

/** mac_proto values. */
export const MAC_PROTO_NONE = 0;
export const MAC_PROTO_ETHERNET = 1;

// Offsets. Numbers are stored in the host's order, addresses in network order.
const AT_TUN_OPTS = 0;
const AT_TUN_OPTS_LEN = 255;
const AT_TUN_ID = 256;
const AT_TUN_SRC = 264;
const AT_TUN_DST = 280;
const AT_TUN_LABEL = 296;
const AT_TUN_FLAGS = 300;
const AT_TUN_TOS = 302;
const AT_TUN_TTL = 303;
const AT_TUN_TP_SRC = 304;
const AT_TUN_TP_DST = 306;
/** Where the part begins that every packet has ("phy"). */
export const AT_PHY = 312;
const AT_PRIORITY = 312;
const AT_SKB_MARK = 316;
const AT_IN_PORT = 320;
const AT_MAC_PROTO = 322;
const AT_TUN_PROTO = 323;
const AT_DP_HASH = 324;
const AT_RECIRC_ID = 328;
const AT_ETH_SRC = 332;
const AT_ETH_DST = 338;
const AT_VLAN_TPID = 344;
const AT_VLAN_TCI = 346;
const AT_CVLAN_TPID = 348;
const AT_CVLAN_TCI = 350;
const AT_ETH_TYPE = 352;
const AT_CT_STATE = 354;
const AT_CT_ORIG_PROTO = 355;
const AT_IP_PROTO = 356;
const AT_IP_TOS = 357;
const AT_IP_TTL = 358;
const AT_IP_FRAG = 359;
const AT_CT_ZONE = 360;
const AT_TP_SRC = 362;
const AT_TP_DST = 364;
const AT_TCP_FLAGS = 366;
const AT_IPV4_SRC = 368;
const AT_IPV4_DST = 372;
const AT_ARP_SHA = 376;
const AT_ARP_THA = 382;
const AT_IPV6_SRC = 388;
const AT_IPV6_DST = 404;
const AT_IPV6_LABEL = 420;
const AT_ND_TARGET = 424;
const AT_ND_SLL = 440;
const AT_ND_TLL = 446;
const AT_MPLS_LSE = 452;
const AT_MPLS_COUNT = 464;
const AT_IPV6_EXTHDRS = 468;
const AT_CT_SRC = 472;
const AT_CT_DST = 488;
const AT_CT_TP_SRC = 504;
const AT_CT_TP_DST = 506;
const AT_CT_MARK = 508;
const AT_CT_LABELS = 512;
/** Size of a key, bytes. */
export const KEY_BYTES = 528;

/** Words that hold the network addresses, IPv4's, ARP's and IPv6's. */
export const ADDRESS_WORDS = { start: AT_IPV4_SRC / 4, end: AT_IPV6_LABEL / 4 } as const;

/** One key, or one mask. Reused: extraction overwrites every field. */
export class FlowKey {
  /** The record itself. */
  readonly bytes = new Uint8Array(KEY_BYTES);
  /** The same by words, for comparing. */
  readonly words = new Int32Array(this.bytes.buffer);
  /** Tunnel options, right-aligned: n bytes of options stand in the last n. */
  readonly tunOpts = this.part(AT_TUN_OPTS, TUN_OPTS_BYTES);
  readonly tunId = this.part(AT_TUN_ID, 8);
  /** Tunnel addresses; of IPv4's the first four bytes. */
  readonly tunSrc = this.part(AT_TUN_SRC, 16);
  readonly tunDst = this.part(AT_TUN_DST, 16);
  readonly ethSrc = this.part(AT_ETH_SRC, 6);
  readonly ethDst = this.part(AT_ETH_DST, 6);
  /** IPv4 addresses; ARP's protocol addresses. */
  readonly ipv4Src = this.part(AT_IPV4_SRC, 4);
  readonly ipv4Dst = this.part(AT_IPV4_DST, 4);
  readonly arpSha = this.part(AT_ARP_SHA, 6);
  readonly arpTha = this.part(AT_ARP_THA, 6);
  readonly ipv6Src = this.part(AT_IPV6_SRC, 16);
  readonly ipv6Dst = this.part(AT_IPV6_DST, 16);
  readonly ndTarget = this.part(AT_ND_TARGET, 16);
  readonly ndSll = this.part(AT_ND_SLL, 6);
  readonly ndTll = this.part(AT_ND_TLL, 6);
  /** Label stack entries kept, outermost first. */
  readonly mplsLse = new Int32Array(this.bytes.buffer, AT_MPLS_LSE, MPLS_LABEL_DEPTH);
  /** Addresses of the connection's original direction; of IPv4's the first four bytes. */
  readonly ctSrc = this.part(AT_CT_SRC, 16);
  readonly ctDst = this.part(AT_CT_DST, 16);
  readonly ctLabels = this.part(AT_CT_LABELS, 16);
  private readonly half = new Uint16Array(this.bytes.buffer);

  /** Bytes of tunnel options. */
  get tunOptsLen(): number {
    return this.bytes[AT_TUN_OPTS_LEN];
  }
  set tunOptsLen(value: number) {
    this.bytes[AT_TUN_OPTS_LEN] = value;
  }
  get tunLabel(): number {
    return this.words[AT_TUN_LABEL >> 2] >>> 0;
  }
  set tunLabel(value: number) {
    this.words[AT_TUN_LABEL >> 2] = value;
  }
  /** TUNNEL_* bits. */
  get tunFlags(): number {
    return this.half[AT_TUN_FLAGS >> 1];
  }
  set tunFlags(value: number) {
    this.half[AT_TUN_FLAGS >> 1] = value;
  }
  get tunTos(): number {
    return this.bytes[AT_TUN_TOS];
  }
  set tunTos(value: number) {
    this.bytes[AT_TUN_TOS] = value;
  }
  get tunTtl(): number {
    return this.bytes[AT_TUN_TTL];
  }
  set tunTtl(value: number) {
    this.bytes[AT_TUN_TTL] = value;
  }
  get tunTpSrc(): number {
    return this.half[AT_TUN_TP_SRC >> 1];
  }
  set tunTpSrc(value: number) {
    this.half[AT_TUN_TP_SRC >> 1] = value;
  }
  get tunTpDst(): number {
    return this.half[AT_TUN_TP_DST >> 1];
  }
  set tunTpDst(value: number) {
    this.half[AT_TUN_TP_DST >> 1] = value;
  }
  get priority(): number {
    return this.words[AT_PRIORITY >> 2] >>> 0;
  }
  set priority(value: number) {
    this.words[AT_PRIORITY >> 2] = value;
  }
  get skbMark(): number {
    return this.words[AT_SKB_MARK >> 2] >>> 0;
  }
  set skbMark(value: number) {
    this.words[AT_SKB_MARK >> 2] = value;
  }
  /** Datapath port the frame came in by. */
  get inPort(): number {
    return this.half[AT_IN_PORT >> 1];
  }
  set inPort(value: number) {
    this.half[AT_IN_PORT >> 1] = value;
  }
  /** MAC_PROTO_*. */
  get macProto(): number {
    return this.bytes[AT_MAC_PROTO];
  }
  set macProto(value: number) {
    this.bytes[AT_MAC_PROTO] = value;
  }
  /** AF_INET or AF_INET6 of the tunnel, 0 for a packet that came through none. */
  get tunProto(): number {
    return this.bytes[AT_TUN_PROTO];
  }
  set tunProto(value: number) {
    this.bytes[AT_TUN_PROTO] = value;
  }
  /** What the hash action computed. */
  get dpHash(): number {
    return this.words[AT_DP_HASH >> 2] >>> 0;
  }
  set dpHash(value: number) {
    this.words[AT_DP_HASH >> 2] = value;
  }
  get recircId(): number {
    return this.words[AT_RECIRC_ID >> 2] >>> 0;
  }
  set recircId(value: number) {
    this.words[AT_RECIRC_ID >> 2] = value;
  }
  /** Outer tag: TPID, and TCI with VLAN_TAG_PRESENT; both 0 without a tag. */
  get vlanTpid(): number {
    return this.half[AT_VLAN_TPID >> 1];
  }
  set vlanTpid(value: number) {
    this.half[AT_VLAN_TPID >> 1] = value;
  }
  get vlanTci(): number {
    return this.half[AT_VLAN_TCI >> 1];
  }
  set vlanTci(value: number) {
    this.half[AT_VLAN_TCI >> 1] = value;
  }
  /** Inner tag, the same. */
  get cvlanTpid(): number {
    return this.half[AT_CVLAN_TPID >> 1];
  }
  set cvlanTpid(value: number) {
    this.half[AT_CVLAN_TPID >> 1] = value;
  }
  get cvlanTci(): number {
    return this.half[AT_CVLAN_TCI >> 1];
  }
  set cvlanTci(value: number) {
    this.half[AT_CVLAN_TCI >> 1] = value;
  }
  /** Ethernet type behind the tags. */
  get ethType(): number {
    return this.half[AT_ETH_TYPE >> 1];
  }
  set ethType(value: number) {
    this.half[AT_ETH_TYPE >> 1] = value;
  }
  /** CS_* bits. */
  get ctState(): number {
    return this.bytes[AT_CT_STATE];
  }
  set ctState(value: number) {
    this.bytes[AT_CT_STATE] = value;
  }
  get ctOrigProto(): number {
    return this.bytes[AT_CT_ORIG_PROTO];
  }
  set ctOrigProto(value: number) {
    this.bytes[AT_CT_ORIG_PROTO] = value;
  }
  /** IP protocol; ARP operation. */
  get ipProto(): number {
    return this.bytes[AT_IP_PROTO];
  }
  set ipProto(value: number) {
    this.bytes[AT_IP_PROTO] = value;
  }
  /** TOS or traffic class. */
  get ipTos(): number {
    return this.bytes[AT_IP_TOS];
  }
  set ipTos(value: number) {
    this.bytes[AT_IP_TOS] = value;
  }
  /** TTL or hop limit. */
  get ipTtl(): number {
    return this.bytes[AT_IP_TTL];
  }
  set ipTtl(value: number) {
    this.bytes[AT_IP_TTL] = value;
  }
  /** FRAG_*. */
  get ipFrag(): number {
    return this.bytes[AT_IP_FRAG];
  }
  set ipFrag(value: number) {
    this.bytes[AT_IP_FRAG] = value;
  }
  get ctZone(): number {
    return this.half[AT_CT_ZONE >> 1];
  }
  set ctZone(value: number) {
    this.half[AT_CT_ZONE >> 1] = value;
  }
  /** Ports, or ICMP type and code. */
  get tpSrc(): number {
    return this.half[AT_TP_SRC >> 1];
  }
  set tpSrc(value: number) {
    this.half[AT_TP_SRC >> 1] = value;
  }
  get tpDst(): number {
    return this.half[AT_TP_DST >> 1];
  }
  set tpDst(value: number) {
    this.half[AT_TP_DST >> 1] = value;
  }
  /** Low 12 bits of the TCP offset and flags word. */
  get tcpFlags(): number {
    return this.half[AT_TCP_FLAGS >> 1];
  }
  set tcpFlags(value: number) {
    this.half[AT_TCP_FLAGS >> 1] = value;
  }
  /** IPv6 flow label, 20 bits. */
  get ipv6Label(): number {
    return this.words[AT_IPV6_LABEL >> 2] >>> 0;
  }
  set ipv6Label(value: number) {
    this.words[AT_IPV6_LABEL >> 2] = value;
  }
  /** Extension headers that the packet has (OFPIEH12_* bits). */
  get ipv6Exthdrs(): number {
    return this.half[AT_IPV6_EXTHDRS >> 1];
  }
  set ipv6Exthdrs(value: number) {
    this.half[AT_IPV6_EXTHDRS >> 1] = value;
  }
  /** Labels in `mplsLse`. */
  get mplsCount(): number {
    return this.words[AT_MPLS_COUNT >> 2];
  }
  set mplsCount(value: number) {
    this.words[AT_MPLS_COUNT >> 2] = value;
  }
  get ctTpSrc(): number {
    return this.half[AT_CT_TP_SRC >> 1];
  }
  set ctTpSrc(value: number) {
    this.half[AT_CT_TP_SRC >> 1] = value;
  }
  get ctTpDst(): number {
    return this.half[AT_CT_TP_DST >> 1];
  }
  set ctTpDst(value: number) {
    this.half[AT_CT_TP_DST >> 1] = value;
  }
  get ctMark(): number {
    return this.words[AT_CT_MARK >> 2] >>> 0;
  }
  set ctMark(value: number) {
    this.words[AT_CT_MARK >> 2] = value;
  }

  /** Everything zero. */
  clear(): void {
    this.bytes.fill(0);
  }

  /** What `from` is. */
  copy(from: FlowKey): void {
    this.bytes.set(from.bytes);
  }

  /** All that is read out of the frame zero; metadata and conntrack fields stay. */
  clearPacket(): void {
    const { ctState, ctOrigProto, ctZone } = this;
    this.bytes.fill(0, AT_ETH_SRC, AT_CT_SRC);
    this.ctState = ctState;
    this.ctOrigProto = ctOrigProto;
    this.ctZone = ctZone;
  }

  /** Zone, state, mark, labels and original tuple zero. */
  clearConntrack(): void {
    this.ctState = 0;
    this.ctOrigProto = 0;
    this.ctZone = 0;
    this.bytes.fill(0, AT_CT_SRC, KEY_BYTES);
  }

  /** The IP group and the addresses zero: what a malformed network header leaves. */
  clearNetwork(): void {
    this.bytes.fill(0, AT_IP_PROTO, AT_IP_FRAG + 1);
    this.bytes.fill(0, AT_IPV4_SRC, AT_ARP_SHA);
    this.bytes.fill(0, AT_IPV6_SRC, AT_ND_TARGET);
    this.ipv6Exthdrs = 0;
  }

  private part(at: number, lenBytes: number): Uint8Array {
    return this.bytes.subarray(at, at + lenBytes);
  }
}

/** Whether an Ethernet type is that of a VLAN tag. */
export function isVlanType(etherType: number): boolean {
  return etherType === ETH_P_8021Q || etherType === ETH_P_8021AD;
}

/** Whether an Ethernet type is one of MPLS's two. */
export function isMplsType(etherType: number): boolean {
  return etherType === ETH_P_MPLS_UC || etherType === ETH_P_MPLS_MC;
}
