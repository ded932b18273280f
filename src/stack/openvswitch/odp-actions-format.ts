// Datapath actions as text (format_odp_actions; spec F.2), out of their attributes.
//
// Left out: actions of the userspace datapath only, NSH, psample: `actionN(...)` with their bytes, as for any unknown one.

import { formatAddress, formatMac } from '../ip/address.ts';
import { VLAN_TAG_PRESENT } from './flow-key.ts';
import { readAttrs, readBe16, readBe32, readU16, readU32 } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { formatAttr, formatLse, labelHex } from './odp-key.ts';
import type { OdpStyle } from './odp-key.ts';
import { ACT, CHECK_PKT_LEN, CT, KEY, NAT, SAMPLE, USERSPACE } from './uapi.ts';

const MAX_PROBABILITY = 0xffffffff;

/** The text of an action list; an empty one drops. */
export function formatOdpActions(bytes: Uint8Array, style: OdpStyle): string {
  const attrs = readAttrs(bytes) ?? [];
  return attrs.length === 0 ? 'drop' : attrs.map((attr) => formatAction(attr, style)).join(',');
}

function formatAction({ type, value }: NlAttr, style: OdpStyle): string {
  const inside = (attr: Uint8Array | undefined): string =>
    formatOdpActions(attr ?? new Uint8Array(0), style);
  switch (type) {
    case ACT.OUTPUT:
      return style.names.nameOf(readU32(value)) ?? String(readU32(value));
    case ACT.TRUNC:
      return `trunc(${readU32(value)})`;
    case ACT.RECIRC:
      return `recirc(0x${readU32(value).toString(16)})`;
    case ACT.METER:
      return `meter(${readU32(value)})`;
    case ACT.HASH:
      return `hash(${readU32(value) === 0 ? 'l4' : 'sym_l4'}(${readU32(value, 4)}))`;
    case ACT.SET:
    case ACT.SET_MASKED:
      return formatSet(value, type === ACT.SET_MASKED, style);
    case ACT.PUSH_VLAN:
      return formatPushVlan(value);
    case ACT.POP_VLAN:
      return 'pop_vlan';
    case ACT.PUSH_MPLS:
    case ACT.ADD_MPLS: {
      const name = type === ACT.PUSH_MPLS ? 'push_mpls' : 'add_mpls';
      const ethType = readBe16(value, 4).toString(16);
      return `${name}(${formatLse(readBe32(value), null)},eth_type=0x${ethType})`;
    }
    case ACT.POP_MPLS:
      return `pop_mpls(eth_type=0x${readBe16(value).toString(16)})`;
    case ACT.PUSH_ETH:
      return `push_eth(src=${formatMac(value, 0)},dst=${formatMac(value, 6)})`;
    case ACT.POP_ETH:
      return 'pop_eth';
    case ACT.SAMPLE: {
      const found = byType(value);
      const probability = readU32(found.get(SAMPLE.PROBABILITY) ?? new Uint8Array(4));
      const percent = ((100 * probability) / MAX_PROBABILITY).toFixed(1);
      return `sample(sample=${percent}%,actions(${inside(found.get(SAMPLE.ACTIONS))}))`;
    }
    case ACT.CLONE:
      return `clone(${inside(value)})`;
    case ACT.CHECK_PKT_LEN: {
      const found = byType(value);
      const size = readU16(found.get(CHECK_PKT_LEN.PKT_LEN) ?? new Uint8Array(2));
      const greater = inside(found.get(CHECK_PKT_LEN.IF_GREATER));
      const lessEqual = inside(found.get(CHECK_PKT_LEN.IF_LESS_EQUAL));
      return `check_pkt_len(size=${size},gt(${greater}),le(${lessEqual}))`;
    }
    case ACT.DEC_TTL:
      return `dec_ttl(le_1(${inside(byType(value).get(1))}))`;
    case ACT.USERSPACE:
      return formatUserspace(value);
    case ACT.CT:
      return formatCt(value);
    case ACT.CT_CLEAR:
      return 'ct_clear';
  }
  return `action${type}(${hexBytes(value, ' ')})`;
}

function byType(value: Uint8Array): Map<number, Uint8Array> {
  return new Map((readAttrs(value) ?? []).map((attr) => [attr.type, attr.value]));
}

function formatSet(value: Uint8Array, isMasked: boolean, style: OdpStyle): string {
  const [attr] = readAttrs(value) ?? [];
  if (attr === undefined) return 'set()';
  if (!isMasked || attr.type === KEY.TUNNEL) return `set(${formatAttr(attr, null, style)})`;
  const half = attr.value.length / 2;
  const masked = { type: attr.type, value: attr.value.subarray(0, half) };
  return `set(${formatAttr(masked, attr.value.subarray(half), style)})`;
}

function formatPushVlan(value: Uint8Array): string {
  const [tpid, tci] = [readBe16(value), readBe16(value, 2)];
  const parts = tpid === 0x8100 ? [] : [`tpid=0x${tpid.toString(16).padStart(4, '0')}`];
  parts.push(`vid=${tci & 0xfff}`, `pcp=${tci >> 13}`);
  if ((tci & VLAN_TAG_PRESENT) === 0) parts.push('cfi=0');
  return `push_vlan(${parts.join(',')})`;
}

function formatUserspace(value: Uint8Array): string {
  const found = byType(value);
  const parts = [`pid=${readU32(found.get(USERSPACE.PID) ?? new Uint8Array(4))}`];
  const userdata = found.get(USERSPACE.USERDATA);
  if (userdata !== undefined) parts.push(`userdata(${hexBytes(userdata, '')})`);
  if (found.has(USERSPACE.ACTIONS)) parts.push('actions');
  const port = found.get(USERSPACE.EGRESS_TUN_PORT);
  if (port !== undefined) parts.push(`tunnel_out_port=${readU32(port)}`);
  return `userspace(${parts.join(',')})`;
}

function formatCt(value: Uint8Array): string {
  const found = byType(value);
  const parts: string[] = [];
  if (found.has(CT.COMMIT)) parts.push('commit');
  if (found.has(CT.FORCE_COMMIT)) parts.push('force_commit');
  const zone = readU16(found.get(CT.ZONE) ?? new Uint8Array(2));
  if (zone !== 0) parts.push(`zone=${zone}`);
  const mark = found.get(CT.MARK);
  if (mark !== undefined) {
    const hex = (number: number): string => `0x${number.toString(16)}`;
    parts.push(`mark=${hex(readU32(mark))}/${hex(readU32(mark, 4))}`);
  }
  const labels = found.get(CT.LABELS);
  if (labels !== undefined) {
    const isExact = labels.subarray(16).every((byte) => byte === 0xff);
    const mask = isExact ? '' : `/${labelHex(labels.slice(16))}`;
    parts.push(`label=${labelHex(labels.slice(0, 16))}${mask}`);
  }
  for (const [type, name] of [
    [CT.HELPER, 'helper'],
    [CT.TIMEOUT, 'timeout'],
  ] as const) {
    const text = found.get(type);
    if (text !== undefined) parts.push(`${name}=${String.fromCharCode(...text.slice(0, -1))}`);
  }
  const nat = found.get(CT.NAT);
  if (nat !== undefined) parts.push(formatNat(nat));
  return parts.length === 0 ? 'ct' : `ct(${parts.join(',')})`;
}

function formatNat(value: Uint8Array): string {
  const found = byType(value);
  if (found.size === 0) return 'nat';
  const parts: string[] = [];
  if (found.has(NAT.SRC) || found.has(NAT.DST)) {
    const side = found.has(NAT.SRC) ? 'src' : 'dst';
    const range = formatRange(found);
    parts.push(range === '' ? side : `${side}=${range}`);
  }
  if (found.has(NAT.PERSISTENT)) parts.push('persistent');
  if (found.has(NAT.PROTO_HASH)) parts.push('hash');
  if (found.has(NAT.PROTO_RANDOM)) parts.push('random');
  return `nat(${parts.join(',')})`;
}

/** Addresses, IPv6 in brackets when ports follow; an upper end only where it differs. */
function formatRange(found: ReadonlyMap<number, Uint8Array>): string {
  const min = found.get(NAT.IP_MIN);
  const portMin = found.get(NAT.PROTO_MIN);
  const isBracketed = min?.length === 16 && portMin !== undefined;
  const show = (address: Uint8Array): string =>
    isBracketed ? `[${formatAddress(address)}]` : formatAddress(address);
  let text = min === undefined ? '' : show(min);
  const max = found.get(NAT.IP_MAX);
  if (max !== undefined && min?.some((byte, i) => byte !== max[i]) === true)
    text += `-${show(max)}`;
  if (portMin === undefined) return text;
  text += `:${readU16(portMin)}`;
  const portMax = found.get(NAT.PROTO_MAX);
  if (portMax !== undefined && readU16(portMax) !== readU16(portMin))
    text += `-${readU16(portMax)}`;
  return text;
}

function hexBytes(bytes: Uint8Array, separator: string): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(separator);
}
