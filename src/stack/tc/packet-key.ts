// What a packet shows to tc filters in software: the fields of flower's keys, read once per packet (flow dissector), and whether a
// filter's match holds for them.
//
// Not here: keys of tunnels (metadata of a packet that a tunnel device unpacked), conntrack (packets at ingress are untracked: `-trk`
// holds, `+trk` does not), further MPLS labels, a second VLAN tag.

import type { SkBuff } from '../../../driver/skb.ts';
import { FLOW_DIS_FIRST_FRAG, FLOW_DIS_IS_FRAGMENT } from '../../../driver/flow-rule.ts';
import type { FlowMatch } from '../../../driver/flow-rule.ts';
import { walkHeaders } from '../ip/ipv6-headers.ts';
import { ETH_P_8021Q, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6 } from '../packet-types.ts';

const ETH_P_MPLS_UC = 0x8847;

/** One packet's fields; reused for every packet. Numbers are −1 where the packet has no such field. */
export class PacketKey {
  skb: SkBuff | null = null;
  /** 0 none, 4 or 6. */
  family = 0;
  fragFlags = 0;
  ipProto = -1;
  tos = -1;
  ttl = -1;
  /** Offset of the transport header, 0 when it is not there. */
  transportAt = 0;
  sport = -1;
  dport = -1;
  tcpFlags = -1;
  icmpType = -1;
  icmpCode = -1;

  /** Reads a packet at ingress: skb.at at its network header. */
  read(skb: SkBuff): void {
    const { bytes } = skb;
    this.skb = skb;
    this.family = this.fragFlags = this.transportAt = 0;
    this.ipProto = this.tos = this.ttl = this.sport = this.dport = -1;
    this.tcpFlags = this.icmpType = this.icmpCode = -1;
    const at = skb.networkAt;
    const end = skb.at + skb.lenBytes;
    if (skb.protocol === ETH_P_IP && at + 20 <= end) {
      this.family = 4;
      this.tos = bytes[at + 1];
      this.ttl = bytes[at + 8];
      this.ipProto = bytes[at + 9];
      const frag = (bytes[at + 6] << 8) | bytes[at + 7];
      if ((frag & 0x3fff) !== 0) this.fragFlags = FLOW_DIS_IS_FRAGMENT;
      if (this.fragFlags !== 0 && (frag & 0x1fff) === 0) this.fragFlags |= FLOW_DIS_FIRST_FRAG;
      if ((frag & 0x1fff) === 0) this.readTransport(bytes, at + (bytes[at] & 15) * 4, end);
    } else if (skb.protocol === ETH_P_IPV6 && at + 40 <= end) {
      this.family = 6;
      this.tos = ((bytes[at] & 15) << 4) | (bytes[at + 1] >> 4);
      this.ttl = bytes[at + 7];
      const walk = walkHeaders(bytes, at, end - at);
      this.ipProto = walk.protocol;
      if (walk.fragmentAt >= 0) {
        this.fragFlags = FLOW_DIS_IS_FRAGMENT;
        if (walk.fragmentOffset === 0) this.fragFlags |= FLOW_DIS_FIRST_FRAG;
      }
      if (!walk.truncated && walk.fragmentOffset === 0)
        this.readTransport(bytes, walk.transportAt, end);
    }
  }

  /** Whether a match holds. */
  matches(match: FlowMatch): boolean {
    const skb = this.skb as SkBuff;
    const { basic, control } = match;
    const { protocol } = skb;
    if (((protocol ^ basic.key.nProto) & basic.mask.nProto) !== 0) return false;
    if (!same(this.ipProto, basic.key.ipProto, basic.mask.ipProto)) return false;
    if (((this.fragFlags ^ control.key.flags) & control.mask.flags) !== 0) return false;
    return this.matchesLink(match) && this.matchesNetwork(match) && this.matchesTransport(match);
  }

  private readTransport(bytes: Uint8Array, at: number, end: number): void {
    const { ipProto } = this;
    this.transportAt = at;
    if ((ipProto === 1 || ipProto === 58) && at + 2 <= end) {
      this.icmpType = bytes[at];
      this.icmpCode = bytes[at + 1];
    } else if ((ipProto === 6 || ipProto === 17 || ipProto === 132) && at + 4 <= end) {
      this.sport = (bytes[at] << 8) | bytes[at + 1];
      this.dport = (bytes[at + 2] << 8) | bytes[at + 3];
      if (ipProto === 6 && at + 14 <= end)
        this.tcpFlags = ((bytes[at + 12] & 15) << 8) | bytes[at + 13];
    }
  }

  private matchesLink(match: FlowMatch): boolean {
    const { bytes, macAt, vlanTci } = this.skb as SkBuff;
    const { ethAddrs, vlan, cvlan } = match;
    if (ethAddrs !== null) {
      if (!sameBytes(bytes, macAt, ethAddrs.key.dst, ethAddrs.mask.dst)) return false;
      if (!sameBytes(bytes, macAt + 6, ethAddrs.key.src, ethAddrs.mask.src)) return false;
    }
    if (cvlan !== null) return false;
    if (vlan === null) return true;
    if (vlanTci < 0) return false;
    return (
      same(vlanTci & 0xfff, vlan.key.id, vlan.mask.id) &&
      same(vlanTci >> 13, vlan.key.priority, vlan.mask.priority) &&
      same(ETH_P_8021Q, vlan.key.tpid, vlan.mask.tpid)
    );
  }

  private matchesNetwork(match: FlowMatch): boolean {
    const { bytes, networkAt } = this.skb as SkBuff;
    const { addrType } = match.control.key;
    const addresses = addrType === 2 ? match.ipv4 : addrType === 3 ? match.ipv6 : null;
    if (addresses !== null) {
      if (this.family !== (addrType === 2 ? 4 : 6)) return false;
      const at = networkAt + (addrType === 2 ? 12 : 8);
      const length = addresses.key.src.length;
      if (!sameBytes(bytes, at, addresses.key.src, addresses.mask.src)) return false;
      if (!sameBytes(bytes, at + length, addresses.key.dst, addresses.mask.dst)) return false;
    }
    const { ip, arp, mpls } = match;
    if (
      ip !== null &&
      !(same(this.tos, ip.key.tos, ip.mask.tos) && same(this.ttl, ip.key.ttl, ip.mask.ttl))
    )
      return false;
    if (arp !== null && !this.matchesArp(arp)) return false;
    if (mpls !== null && !this.matchesMpls(mpls)) return false;
    return (
      match.encKeyid === null &&
      match.encControl === null &&
      match.encPorts === null &&
      match.encIp === null
    );
  }

  private matchesArp(arp: NonNullable<FlowMatch['arp']>): boolean {
    const { bytes, networkAt, protocol } = this.skb as SkBuff;
    if (protocol !== ETH_P_ARP) return false;
    const op = (bytes[networkAt + 6] << 8) | bytes[networkAt + 7];
    return (
      same(op, arp.key.op, arp.mask.op) &&
      sameBytes(bytes, networkAt + 8, arp.key.sha, arp.mask.sha) &&
      sameBytes(bytes, networkAt + 14, arp.key.sip, arp.mask.sip) &&
      sameBytes(bytes, networkAt + 18, arp.key.tha, arp.mask.tha) &&
      sameBytes(bytes, networkAt + 24, arp.key.tip, arp.mask.tip)
    );
  }

  private matchesMpls(mpls: NonNullable<FlowMatch['mpls']>): boolean {
    const { bytes, networkAt, protocol } = this.skb as SkBuff;
    if (protocol !== ETH_P_MPLS_UC) return false;
    const { key, mask } = mpls;
    const high = (bytes[networkAt] << 8) | bytes[networkAt + 1];
    const third = bytes[networkAt + 2];
    return (
      same((high << 4) | (third >> 4), key.label, mask.label) &&
      same((third >> 1) & 7, key.tc, mask.tc) &&
      same(third & 1, key.bos, mask.bos) &&
      same(bytes[networkAt + 3], key.ttl, mask.ttl)
    );
  }

  private matchesTransport(match: FlowMatch): boolean {
    const { ports, portsRange, tcp, icmp, ct } = match;
    if (ports !== null) {
      if (!same(this.sport, ports.key.src, ports.mask.src)) return false;
      if (!same(this.dport, ports.key.dst, ports.mask.dst)) return false;
    }
    if (portsRange !== null) {
      const { key, mask } = portsRange;
      if (mask.srcMin !== 0 && !within(this.sport, key.srcMin, key.srcMax)) return false;
      if (mask.dstMin !== 0 && !within(this.dport, key.dstMin, key.dstMax)) return false;
    }
    if (tcp !== null && !same(this.tcpFlags, tcp.key.flags, tcp.mask.flags)) return false;
    if (icmp !== null) {
      if (!same(this.icmpType, icmp.key.type, icmp.mask.type)) return false;
      if (!same(this.icmpCode, icmp.key.code, icmp.mask.code)) return false;
    }
    // Untracked: every bit of the state is 0, and so are zone, mark and label.
    if (ct === null) return true;
    return ct.key.state === 0 && ct.key.zone === 0 && ct.key.mark === 0;
  }
}

function within(value: number, low: number, high: number): boolean {
  return value >= low && value <= high;
}

/** A field that the packet has not (−1) agrees only with an empty mask. */
function same(value: number, key: number, mask: number): boolean {
  return mask === 0 || (value >= 0 && ((value ^ key) & mask) === 0);
}

function sameBytes(bytes: Uint8Array, at: number, key: Uint8Array, mask: Uint8Array): boolean {
  for (let i = 0; i < key.length; i++) if (((bytes[at + i] ^ key[i]) & mask[i]) !== 0) return false;
  return true;
}
