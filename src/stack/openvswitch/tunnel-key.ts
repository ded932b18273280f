// The tunnel part of a flow key as attributes (ip_tun_from_nlattr, __ip_tun_to_nlattr): OVS_KEY_ATTR_TUNNEL.
//
// Left out: ERSPAN options.

import { EINVAL } from '../../../driver/errno.ts';
import { AF_INET, AF_INET6 } from '../ip/address.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import {
  TUNNEL_CRIT_OPT,
  TUNNEL_CSUM,
  TUNNEL_DONT_FRAGMENT,
  TUNNEL_GENEVE_OPT,
  TUNNEL_KEY,
  TUNNEL_OAM,
  TUNNEL_VXLAN_OPT,
} from '../lwtunnel/tunnel-info.ts';
import type { FlowKey } from './flow-key.ts';
import { TUN_OPTS_BYTES } from './flow-key.ts';
import { be16Attr, flagAttr, nested, readAttrs, readBe16, readU32, u32Attr } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { TUN, VXLAN_EXT_GBP } from './uapi.ts';

/** Length of each attribute's payload; −1: any. */
const LENGTHS: Readonly<Record<number, number>> = {
  [TUN.ID]: 8,
  [TUN.IPV4_SRC]: 4,
  [TUN.IPV4_DST]: 4,
  [TUN.TOS]: 1,
  [TUN.TTL]: 1,
  [TUN.DONT_FRAGMENT]: 0,
  [TUN.CSUM]: 0,
  [TUN.OAM]: 0,
  [TUN.GENEVE_OPTS]: -1,
  [TUN.TP_SRC]: 2,
  [TUN.TP_DST]: 2,
  [TUN.VXLAN_OPTS]: -1,
  [TUN.IPV6_SRC]: 16,
  [TUN.IPV6_DST]: 16,
};

/** Reads the attributes into `key`; `of` is the key whose mask this is, null for a key itself. 0 or −EINVAL. */
export function readTunnelKey(key: FlowKey, value: Uint8Array, of: FlowKey | null): number {
  const attrs = readAttrs(value);
  if (attrs === null) return -EINVAL;
  const seen = { v4: false, v6: false, ttl: false, options: false };
  for (const attr of attrs) {
    const error = readOne(key, attr, of, seen);
    if (error !== 0) return error;
  }
  if (of !== null) {
    key.tunProto = 0xff;
    return 0;
  }
  if (seen.v4 === seen.v6) return -EINVAL;
  if (key.tunDst.every((byte) => byte === 0) || !seen.ttl) return -EINVAL;
  key.tunProto = seen.v6 ? AF_INET6 : AF_INET;
  return 0;
}

function readOne(
  key: FlowKey,
  { type, value }: NlAttr,
  of: FlowKey | null,
  seen: { v4: boolean; v6: boolean; ttl: boolean; options: boolean },
): number {
  const length = LENGTHS[type];
  if (length === undefined || (length >= 0 && length !== value.length)) return -EINVAL;
  switch (type) {
    case TUN.ID:
      key.tunId.set(value);
      key.tunFlags |= TUNNEL_KEY;
      break;
    case TUN.IPV4_SRC:
    case TUN.IPV6_SRC:
      key.tunSrc.set(value);
      seen[type === TUN.IPV4_SRC ? 'v4' : 'v6'] = true;
      break;
    case TUN.IPV4_DST:
    case TUN.IPV6_DST:
      key.tunDst.set(value);
      seen[type === TUN.IPV4_DST ? 'v4' : 'v6'] = true;
      break;
    case TUN.TOS:
      key.tunTos = value[0];
      break;
    case TUN.TTL:
      key.tunTtl = value[0];
      seen.ttl = true;
      break;
    case TUN.DONT_FRAGMENT:
      key.tunFlags |= TUNNEL_DONT_FRAGMENT;
      break;
    case TUN.CSUM:
      key.tunFlags |= TUNNEL_CSUM;
      break;
    case TUN.OAM:
      key.tunFlags |= TUNNEL_OAM;
      break;
    case TUN.TP_SRC:
      key.tunTpSrc = readBe16(value);
      break;
    case TUN.TP_DST:
      key.tunTpDst = readBe16(value);
      break;
    default: {
      if (seen.options) return -EINVAL;
      seen.options = true;
      return type === TUN.GENEVE_OPTS ? readGeneve(key, value, of) : readVxlan(key, value, of);
    }
  }
  return 0;
}

function readGeneve(key: FlowKey, value: Uint8Array, of: FlowKey | null): number {
  if (value.length > TUN_OPTS_BYTES || value.length % 4 !== 0) return -EINVAL;
  if (of !== null && of.tunOptsLen !== value.length) return -EINVAL;
  setOptions(key, value, of !== null);
  key.tunFlags |= TUNNEL_GENEVE_OPT;
  return 0;
}

function readVxlan(key: FlowKey, value: Uint8Array, of: FlowKey | null): number {
  const attrs = readAttrs(value);
  if (attrs?.length !== 1 || attrs[0].type !== VXLAN_EXT_GBP || attrs[0].value.length !== 4)
    return -EINVAL;
  if (of !== null && of.tunOptsLen !== 4) return -EINVAL;
  setOptions(key, attrs[0].value, of !== null);
  key.tunFlags |= TUNNEL_VXLAN_OPT;
  return 0;
}

/** The length of options is matched exactly. */
function setOptions(key: FlowKey, options: Uint8Array, isMask: boolean): void {
  key.tunOptsLen = isMask ? 0xff : options.length;
  key.tunOpts.set(options, TUN_OPTS_BYTES - options.length);
}

/** The options of `of` as `key` (that key, or its mask) has them. */
export function tunnelOptions(key: FlowKey, of: FlowKey): Uint8Array {
  return key.tunOpts.subarray(TUN_OPTS_BYTES - of.tunOptsLen);
}

/** `key`'s tunnel part as an attribute of `type`; `of` is the key that it belongs to (itself, or the key of a mask). */
export function tunnelAttr(type: number, key: FlowKey, of: FlowKey): NlAttr {
  const list: NlAttr[] = [];
  const flags = key.tunFlags;
  if ((flags & TUNNEL_KEY) !== 0) list.push({ type: TUN.ID, value: key.tunId.slice() });
  const six = of.tunProto === AF_INET6;
  const addresses = [
    [six ? TUN.IPV6_SRC : TUN.IPV4_SRC, key.tunSrc],
    [six ? TUN.IPV6_DST : TUN.IPV4_DST, key.tunDst],
  ] as const;
  for (const [attr, address] of addresses)
    if (address.some((byte) => byte !== 0))
      list.push({ type: attr, value: address.slice(0, six ? 16 : 4) });
  if (key.tunTos !== 0) list.push({ type: TUN.TOS, value: Uint8Array.of(key.tunTos) });
  list.push({ type: TUN.TTL, value: Uint8Array.of(key.tunTtl) });
  if ((flags & TUNNEL_DONT_FRAGMENT) !== 0) list.push(flagAttr(TUN.DONT_FRAGMENT));
  if ((flags & TUNNEL_CSUM) !== 0) list.push(flagAttr(TUN.CSUM));
  if (key.tunTpSrc !== 0) list.push(be16Attr(TUN.TP_SRC, key.tunTpSrc));
  if (key.tunTpDst !== 0) list.push(be16Attr(TUN.TP_DST, key.tunTpDst));
  if ((flags & TUNNEL_OAM) !== 0) list.push(flagAttr(TUN.OAM));
  if (of.tunOptsLen > 0) {
    const options = tunnelOptions(key, of);
    if ((of.tunFlags & TUNNEL_GENEVE_OPT) !== 0)
      list.push({ type: TUN.GENEVE_OPTS, value: options.slice() });
    else if ((of.tunFlags & TUNNEL_VXLAN_OPT) !== 0)
      list.push(nested(TUN.VXLAN_OPTS, [u32Attr(VXLAN_EXT_GBP, readU32(options))]));
  }
  return nested(type, list);
}

/** The metadata that `set(tunnel())` with this key gives a packet. */
export function infoOfKey(key: FlowKey): TunnelInfo {
  const addressBytes = key.tunProto === AF_INET6 ? 16 : 4;
  return {
    isTx: true,
    id: key.tunId.slice(),
    src: key.tunSrc.slice(0, addressBytes),
    dst: key.tunDst.slice(0, addressBytes),
    flags: key.tunFlags,
    tos: key.tunTos,
    ttl: key.tunTtl,
    label: key.tunLabel,
    tpSrc: key.tunTpSrc,
    tpDst: key.tunTpDst,
    options: tunnelOptions(key, key).slice(),
  };
}

/** The tunnel part of a key from a packet's metadata; the key's is empty before. */
export function fillTunnelKey(key: FlowKey, info: TunnelInfo): void {
  key.tunProto = info.dst.length === 16 ? AF_INET6 : AF_INET;
  key.tunId.set(info.id);
  key.tunSrc.set(info.src);
  key.tunDst.set(info.dst);
  key.tunFlags = info.flags;
  key.tunTos = info.tos;
  key.tunTtl = info.ttl;
  key.tunLabel = info.label;
  key.tunTpSrc = info.tpSrc;
  key.tunTpDst = info.tpDst;
  setOptions(key, info.options, false);
}

/** Geneve options of `set(tunnel())`: 0, or −EINVAL when they run over the end; marks critical ones in the flags. */
export function validateGeneveOptions(key: FlowKey): number {
  const options = tunnelOptions(key, key);
  let at = 0;
  while (at < options.length) {
    if (options.length - at < 4) return -EINVAL;
    const lenBytes = 4 + (options[at + 3] & 0x1f) * 4;
    if (at + lenBytes > options.length) return -EINVAL;
    if ((options[at + 2] & 0x80) !== 0) key.tunFlags |= TUNNEL_CRIT_OPT;
    at += lenBytes;
  }
  return 0;
}
