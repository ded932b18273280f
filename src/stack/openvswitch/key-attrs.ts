// A key, or a mask, as the attributes that the kernel answers with (__ovs_nla_put_key): in flow dumps and in upcalls.
//
// Which attributes there are depends on the key, also for its mask. An attribute of metadata that is zero is left out of masks only by
// the text (odp-format.ts).

import { AF_INET, AF_INET6 } from '../ip/address.ts';
import {
  ETH_P_802_2,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  ETH_P_RARP,
  FRAG_LATER,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
  isVlanType,
  MAC_PROTO_NONE,
} from './flow-key.ts';
import type { FlowKey } from './flow-key.ts';
import { be16Attr, nested, u16Attr, u32Attr } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { tunnelAttr } from './tunnel-key.ts';
import { DP_MAX_PORTS, KEY } from './uapi.ts';

/** The attributes of `out`, which is `key` or, with `isMask`, its mask. */
export function keyAttrs(key: FlowKey, out: FlowKey, isMask: boolean): NlAttr[] {
  const list: NlAttr[] = [
    u32Attr(KEY.RECIRC_ID, out.recircId),
    u32Attr(KEY.DP_HASH, out.dpHash),
    u32Attr(KEY.PRIORITY, out.priority),
  ];
  if (key.tunProto !== 0 || (isMask && out.tunProto !== 0))
    list.push(tunnelAttr(KEY.TUNNEL, out, key));
  if (key.inPort !== DP_MAX_PORTS)
    list.push(u32Attr(KEY.IN_PORT, isMask ? out.inPort | (0xffff << 16) : out.inPort));
  else if (isMask && out.inPort === 0xffff) list.push(u32Attr(KEY.IN_PORT, 0xffffffff));
  list.push(u32Attr(KEY.SKB_MARK, out.skbMark));
  list.push(u32Attr(KEY.CT_STATE, out.ctState), u16Attr(KEY.CT_ZONE, out.ctZone));
  list.push(u32Attr(KEY.CT_MARK, out.ctMark), {
    type: KEY.CT_LABELS,
    value: out.ctLabels.slice(),
  });
  if (key.ctOrigProto !== 0) list.push(originalTuple(key, out));
  if (key.macProto === MAC_PROTO_NONE) {
    list.push(be16Attr(KEY.ETHERTYPE, out.ethType));
    putNetwork(list, key, out);
    return list;
  }
  list.push({ type: KEY.ETHERNET, value: Uint8Array.of(...out.ethSrc, ...out.ethDst) });
  putTagged(list, key, out, isMask);
  return list;
}

function originalTuple(key: FlowKey, out: FlowKey): NlAttr {
  const six = key.ethType === ETH_P_IPV6;
  const size = six ? 16 : 4;
  const ports = [out.ctTpSrc >> 8, out.ctTpSrc & 255, out.ctTpDst >> 8, out.ctTpDst & 255];
  const addresses = [...out.ctSrc.subarray(0, size), ...out.ctDst.subarray(0, size)];
  return {
    type: six ? KEY.CT_ORIG_TUPLE_IPV6 : KEY.CT_ORIG_TUPLE_IPV4,
    value: Uint8Array.of(...addresses, ...ports, out.ctOrigProto),
  };
}

/** Tags with their encapsulated rest, or the rest at once. */
function putTagged(list: NlAttr[], key: FlowKey, out: FlowKey, isMask: boolean): void {
  const outer = key.vlanTci !== 0 || isVlanType(key.ethType);
  if (!outer) {
    putTyped(list, key, out, isMask);
    return;
  }
  const encap: NlAttr[] = [];
  list.push(be16Attr(KEY.ETHERTYPE, out.vlanTpid), be16Attr(KEY.VLAN, out.vlanTci));
  if (key.vlanTci !== 0) {
    if (key.cvlanTci !== 0 || isVlanType(key.ethType)) {
      const inside: NlAttr[] = [];
      encap.push(be16Attr(KEY.ETHERTYPE, out.cvlanTpid), be16Attr(KEY.VLAN, out.cvlanTci));
      if (key.cvlanTci !== 0) putTyped(inside, key, out, isMask);
      encap.push(nested(KEY.ENCAP, inside));
    } else putTyped(encap, key, out, isMask);
  }
  list.push(nested(KEY.ENCAP, encap));
}

/** Ethernet type and what follows; of 802.2 the key has no type, its mask has. */
function putTyped(list: NlAttr[], key: FlowKey, out: FlowKey, isMask: boolean): void {
  if (key.ethType === ETH_P_802_2) {
    if (isMask) list.push(be16Attr(KEY.ETHERTYPE, out.ethType));
    return;
  }
  list.push(be16Attr(KEY.ETHERTYPE, out.ethType));
  putNetwork(list, key, out);
}

function putNetwork(list: NlAttr[], key: FlowKey, out: FlowKey): void {
  const { ethType } = key;
  const ip = [out.ipProto, out.ipTos, out.ipTtl, out.ipFrag];
  if (ethType === ETH_P_IP)
    list.push({ type: KEY.IPV4, value: Uint8Array.of(...out.ipv4Src, ...out.ipv4Dst, ...ip) });
  else if (ethType === ETH_P_IPV6) {
    const label = [0, out.ipv6Label >>> 16, (out.ipv6Label >>> 8) & 255, out.ipv6Label & 255];
    const value = Uint8Array.of(...out.ipv6Src, ...out.ipv6Dst, ...label, ...ip);
    list.push({ type: KEY.IPV6, value }, u16Attr(KEY.IPV6_EXTHDRS, out.ipv6Exthdrs));
  } else if (ethType === ETH_P_ARP || ethType === ETH_P_RARP) {
    const addresses = [...out.ipv4Src, ...out.ipv4Dst];
    const value = Uint8Array.of(...addresses, 0, out.ipProto, ...out.arpSha, ...out.arpTha, 0, 0);
    list.push({ type: KEY.ARP, value });
  } else if (isMplsType(ethType)) {
    const labels = [...out.mplsLse.subarray(0, key.mplsCount)];
    const value = Uint8Array.from(
      labels.flatMap((lse) => [lse >>> 24, (lse >>> 16) & 255, (lse >>> 8) & 255, lse & 255]),
    );
    list.push({ type: KEY.MPLS, value });
  }
  if ((ethType === ETH_P_IP || ethType === ETH_P_IPV6) && key.ipFrag !== FRAG_LATER)
    putTransport(list, key, out);
}

function putTransport(list: NlAttr[], key: FlowKey, out: FlowKey): void {
  const family = key.ethType === ETH_P_IP ? AF_INET : AF_INET6;
  const ports = Uint8Array.of(out.tpSrc >> 8, out.tpSrc & 255, out.tpDst >> 8, out.tpDst & 255);
  const icmp = Uint8Array.of(out.tpSrc & 255, out.tpDst & 255);
  if (key.ipProto === IPPROTO_TCP)
    list.push({ type: KEY.TCP, value: ports }, be16Attr(KEY.TCP_FLAGS, out.tcpFlags));
  else if (key.ipProto === IPPROTO_UDP) list.push({ type: KEY.UDP, value: ports });
  else if (key.ipProto === IPPROTO_SCTP) list.push({ type: KEY.SCTP, value: ports });
  else if (key.ipProto === IPPROTO_ICMP && family === AF_INET)
    list.push({ type: KEY.ICMP, value: icmp });
  else if (key.ipProto === IPPROTO_ICMPV6 && family === AF_INET6) {
    list.push({ type: KEY.ICMPV6, value: icmp });
    if (key.tpSrc === 135 || key.tpSrc === 136) {
      const value = Uint8Array.of(...out.ndTarget, ...out.ndSll, ...out.ndTll);
      list.push({ type: KEY.ND, value });
    }
  }
}
