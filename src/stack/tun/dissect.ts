// The flow dissector with the keys that tun's symmetric hash asks for (net/core/flow_dissector.c,
// flow_keys_dissector_symmetric): ethertype, IP protocol, addresses, ports.
//
// It descends into VLAN tags, PPPoE, GRE version 0, IPIP and 6in4: what is hashed is the innermost packet. Fragments give no ports, nor
// does anything behind ESP or an unknown protocol that is too short; a header that is cut off ends the dissection with the keys
// found until then. ARP and the rest give only their ethertype. Left out: MPLS entropy labels, batman, CAN and TIPC keys (as in
// Linux without those options: they end the dissection), GRE version 1.

const ETH_P_IP = 0x0800;
const ETH_P_8021Q = 0x8100;
const ETH_P_8021AD = 0x88a8;
const ETH_P_PPP_SES = 0x8864;
const ETH_P_IPV6 = 0x86dd;
const ETH_P_TEB = 0x6558;

const PROTO_HOPOPTS = 0;
const PROTO_IPIP = 4;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const PROTO_DCCP = 33;
const PROTO_IPV6 = 41;
const PROTO_ROUTING = 43;
const PROTO_FRAGMENT = 44;
const PROTO_GRE = 47;
const PROTO_ESP = 50;
const PROTO_AH = 51;
const PROTO_DSTOPTS = 60;
const PROTO_SCTP = 132;
const PROTO_UDPLITE = 136;

/** Encapsulations that are followed (MAX_FLOW_DISSECT_HDRS). */
const HEADERS_MAX = 15;

const GRE_CSUM = 0x8000;
const GRE_ROUTING = 0x4000;
const GRE_KEY = 0x2000;
const GRE_SEQ = 0x1000;
const GRE_VERSION = 0x0007;

/** What a packet's flow is. Addresses are words in network order; IPv4 uses the first. */
export class FlowKeys {
  /** Innermost ethertype. */
  protocol = 0;
  ipProtocol = 0;
  /** 0, 4 or 6. */
  family = 0;
  readonly src = new Uint32Array(4);
  readonly dst = new Uint32Array(4);
  /** 0 when there are none. */
  srcPort = 0;
  dstPort = 0;
  /** The innermost IP packet is a fragment. */
  isFragment = false;

  private bytes: Uint8Array = new Uint8Array(0);
  private end = 0;

  /** Fills the keys from a packet whose network header is at `at` and whose ethertype is `protocol`. */
  dissect(bytes: Uint8Array, at: number, end: number, protocol: number): void {
    this.protocol = protocol;
    this.ipProtocol = this.family = this.srcPort = this.dstPort = 0;
    this.src.fill(0);
    this.dst.fill(0);
    this.isFragment = false;
    this.bytes = bytes;
    this.end = end;
    let next = at;
    // The position that each header leaves is the next header's; −1 ends it.
    for (let headers = 0; next >= 0 && headers < HEADERS_MAX; headers++)
      next = this.networkHeader(next);
  }

  private networkHeader(at: number): number {
    const { bytes, end } = this;
    switch (this.protocol) {
      case ETH_P_IP:
        return this.ipv4(at);
      case ETH_P_IPV6:
        return this.ipv6(at);
      case ETH_P_8021Q:
      case ETH_P_8021AD:
        if (at + 4 > end) return -1;
        this.protocol = (bytes[at + 2] << 8) | bytes[at + 3];
        return at + 4;
      case ETH_P_PPP_SES: {
        if (at + 8 > end) return -1;
        const ppp = (bytes[at + 6] << 8) | bytes[at + 7];
        if (ppp !== 0x0021 && ppp !== 0x0057) return -1;
        this.protocol = ppp === 0x0021 ? ETH_P_IP : ETH_P_IPV6;
        return at + 8;
      }
      default:
        return -1;
    }
  }

  private ipv4(at: number): number {
    const { bytes, end } = this;
    const headerBytes = at < end ? (bytes[at] & 0xf) * 4 : 0;
    if (at + 20 > end || headerBytes < 20) return -1;
    this.ipProtocol = bytes[at + 9];
    this.family = 4;
    this.src[0] = word(bytes, at + 12);
    this.dst[0] = word(bytes, at + 16);
    // More fragments, or an offset: no ports.
    this.isFragment = (((bytes[at + 6] << 8) | bytes[at + 7]) & 0x3fff) !== 0;
    if (this.isFragment) return -1;
    return this.transport(at + headerBytes);
  }

  private ipv6(at: number): number {
    const { bytes, end } = this;
    if (at + 40 > end) return -1;
    this.ipProtocol = bytes[at + 6];
    this.family = 6;
    for (let i = 0; i < 4; i++) {
      this.src[i] = word(bytes, at + 8 + 4 * i);
      this.dst[i] = word(bytes, at + 24 + 4 * i);
    }
    return this.transport(at + 40);
  }

  /** From the first header behind IP: extension headers, tunnels, ports. */
  private transport(from: number): number {
    const { bytes, end } = this;
    let at = from;
    for (let headers = 0; headers < HEADERS_MAX; headers++) {
      const proto = this.ipProtocol;
      if (proto === PROTO_GRE) return this.gre(at);
      if (proto === PROTO_IPIP || proto === PROTO_IPV6) {
        this.protocol = proto === PROTO_IPIP ? ETH_P_IP : ETH_P_IPV6;
        return at;
      }
      const isOption =
        proto === PROTO_HOPOPTS || proto === PROTO_ROUTING || proto === PROTO_DSTOPTS;
      if (isOption && this.protocol === ETH_P_IPV6) {
        if (at + 2 > end) return -1;
        this.ipProtocol = bytes[at];
        at += (bytes[at + 1] + 1) * 8;
      } else if (proto === PROTO_FRAGMENT && this.protocol === ETH_P_IPV6) {
        this.isFragment = true;
        if (at + 8 <= end) this.ipProtocol = bytes[at];
        return -1;
      } else {
        this.ports(at);
        return -1;
      }
    }
    return -1;
  }

  private ports(from: number): void {
    const proto = this.ipProtocol;
    const at = proto === PROTO_AH ? from + 4 : from;
    const hasPorts =
      proto === PROTO_TCP ||
      proto === PROTO_UDP ||
      proto === PROTO_DCCP ||
      proto === PROTO_ESP ||
      proto === PROTO_AH ||
      proto === PROTO_SCTP ||
      proto === PROTO_UDPLITE;
    if (!hasPorts || at + 4 > this.end) return;
    const { bytes } = this;
    this.srcPort = (bytes[at] << 8) | bytes[at + 1];
    this.dstPort = (bytes[at + 2] << 8) | bytes[at + 3];
  }

  private gre(at: number): number {
    const { bytes, end } = this;
    if (at + 4 > end) return -1;
    const flags = (bytes[at] << 8) | bytes[at + 1];
    if ((flags & (GRE_ROUTING | GRE_VERSION)) !== 0) return -1;
    let next = at + 4;
    if ((flags & GRE_CSUM) !== 0) next += 4;
    if ((flags & GRE_KEY) !== 0) next += 4;
    if ((flags & GRE_SEQ) !== 0) next += 4;
    this.protocol = (bytes[at + 2] << 8) | bytes[at + 3];
    if (this.protocol !== ETH_P_TEB) return next;
    if (next + 14 > end) return -1;
    this.protocol = (bytes[next + 12] << 8) | bytes[next + 13];
    return next + 14;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
