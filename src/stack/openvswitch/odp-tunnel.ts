// tunnel(...) in keys and in set() as text (lib/odp-util.c, format_odp_tun_attr; spec F.2): id, addresses, tos, ttl, ports, options, flags.

import { formatAddress } from '../ip/address.ts';
import { attrBytes, be16Attr, flagAttr, nested, readAttrs, readBe16, readU32 } from './nlattr.ts';
import { u32Attr } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import type { OdpAttr } from './odp-key.ts';
import type { Scan } from './odp-scan.ts';
import { KEY, TUN, VXLAN_EXT_GBP } from './uapi.ts';

const ADDRESSES = [
  { name: 'ipv6_src', type: TUN.IPV6_SRC },
  { name: 'ipv6_dst', type: TUN.IPV6_DST },
  { name: 'src', type: TUN.IPV4_SRC },
  { name: 'dst', type: TUN.IPV4_DST },
] as const;
const NUMBERS = [
  { name: 'tos', type: TUN.TOS, bytes: 1 },
  { name: 'ttl', type: TUN.TTL, bytes: 1 },
  { name: 'tp_src', type: TUN.TP_SRC, bytes: 2 },
  { name: 'tp_dst', type: TUN.TP_DST, bytes: 2 },
] as const;
const FLAGS = [
  { name: 'df', type: TUN.DONT_FRAGMENT },
  { name: 'csum', type: TUN.CSUM },
  { name: 'oam', type: TUN.OAM },
] as const;
/** In the order that the tool prints them. */
const FLAG_NAMES = ['oam', 'df', 'csum', 'key'];

/** One attribute; null: not in the key, or not in the mask. */
interface Part {
  type: number;
  value: Uint8Array | null;
  mask: Uint8Array | null;
}

/** The inside of tunnel(...). */
export function parseTunnel(scan: Scan): OdpAttr {
  const parts: Part[] = [];
  for (;;) {
    scan.skipDelimiters();
    if (!parsePart(scan, parts)) break;
  }
  const bytes = (part: 'value' | 'mask'): Uint8Array =>
    attrBytes(
      parts.flatMap(({ type, [part]: own }) => (own === null ? [] : [{ type, value: own }])),
    );
  return { type: KEY.TUNNEL, value: bytes('value'), mask: bytes('mask') };
}

function parsePart(scan: Scan, parts: Part[]): boolean {
  const add = (type: number, read: () => Uint8Array): true => {
    const value = read();
    const mask = scan.take('/') ? read() : new Uint8Array(value.length).fill(0xff);
    parts.push({ type, value, mask });
    return true;
  };
  if (scan.take('tun_id=')) return add(TUN.ID, () => scan.big(8));
  for (const { name, type } of ADDRESSES)
    if (scan.take(`${name}=`))
      return add(type, () => (name.startsWith('ipv6') ? scan.ipv6() : scan.ipv4()));
  for (const { name, type, bytes } of NUMBERS)
    if (scan.take(`${name}=`)) return add(type, () => scan.big(bytes));
  if (scan.take('vxlan(gbp(')) {
    parts.push(parseGbp(scan));
    return true;
  }
  if (scan.take('geneve(')) {
    parts.push(parseGeneve(scan));
    return true;
  }
  if (scan.take('flags(')) {
    parseTunnelFlags(scan, parts);
    return true;
  }
  return false;
}

/**
 * `df|csum|key`: exactly these; `+key-df`: these two looked at. The key flag is the presence of an id; a flag that must not be
 * set is in the mask only.
 */
function parseTunnelFlags(scan: Scan, parts: Part[]): void {
  const isMasked = /[+-]/.test(scan.text.charAt(scan.at));
  const set = new Set<string>();
  const looked = new Set<string>(isMasked ? [] : FLAG_NAMES);
  for (;;) {
    const sign = scan.match(/[+|-]/);
    const name = scan.match(/[a-z]+/);
    if (name === '') break;
    if (!FLAG_NAMES.includes(name)) scan.fail(`no flag '${name}'`);
    looked.add(name);
    if (sign !== '-') set.add(name);
  }
  scan.expect(')');
  const present = (is: boolean): Uint8Array | null => (is ? new Uint8Array(0) : null);
  for (const { name, type } of FLAGS)
    if (looked.has(name)) parts.push({ type, value: present(set.has(name)), mask: present(true) });
  if (!looked.has('key') || parts.some((one) => one.type === TUN.ID)) return;
  const id = new Uint8Array(8);
  parts.push({ type: TUN.ID, value: set.has('key') ? id : null, mask: id });
}

function parseGbp(scan: Scan): Part {
  let [value, mask] = [0, 0];
  for (;;) {
    scan.skipDelimiters();
    const name = scan.match(/id=|flags=/);
    if (name === '') break;
    const [shift, max] = name === 'id=' ? [0, 0xffff] : [16, 0xff];
    value |= scan.number(max) << shift;
    mask |= (scan.take('/') ? scan.number(max) : max) << shift;
  }
  scan.expect('))');
  const gbp = (word: number): Uint8Array => attrBytes([u32Attr(VXLAN_EXT_GBP, word)]);
  return { type: TUN.VXLAN_OPTS, value: gbp(value), mask: gbp(mask) };
}

/** `{class=..,type=..,len=..,0x..}` one after the other. */
function parseGeneve(scan: Scan): Part {
  const value: number[] = [];
  const mask: number[] = [];
  while (scan.take('{')) {
    const head = { class: 0, type: 0, len: 0 };
    const bits = { class: 0xffff, type: 0xff, len: 0xff };
    for (const name of ['class', 'type', 'len'] as const) {
      scan.expect(`${name}=`);
      head[name] = scan.number(name === 'class' ? 0xffff : 0xff);
      if (scan.take('/')) bits[name] = scan.number(0xffff);
      scan.take(',');
    }
    value.push(head.class >> 8, head.class & 255, head.type, head.len >> 2);
    mask.push(bits.class >> 8, bits.class & 255, bits.type, 0x1f);
    if (head.len > 0) {
      const data = scan.big(head.len);
      value.push(...data);
      mask.push(...(scan.take('/') ? scan.big(head.len) : new Uint8Array(head.len).fill(0xff)));
    }
    scan.expect('}');
  }
  scan.expect(')');
  return { type: TUN.GENEVE_OPTS, value: Uint8Array.from(value), mask: Uint8Array.from(mask) };
}

/** The inside of tunnel(...); `mask` null: exact. */
export function formatTunnel(value: Uint8Array, mask: Uint8Array | null, verbose: boolean): string {
  const attrs = readAttrs(value) ?? [];
  const masks = mask === null ? null : (readAttrs(mask) ?? []);
  const parts: string[] = [];
  for (const { type, value: own } of attrs) {
    const bits = masks === null ? null : (masks.find((one) => one.type === type)?.value ?? null);
    const isWild = masks !== null && (bits === null || bits.every((byte) => byte === 0));
    if (isWild && !verbose) continue;
    const text = formatPart(type, own, bits);
    if (text !== '') parts.push(text);
  }
  const flags = formatTunnelFlags(attrs, masks);
  if (flags !== '') parts.push(`flags(${flags})`);
  return parts.join(',');
}

function formatPart(type: number, value: Uint8Array, mask: Uint8Array | null): string {
  const isExact = mask === null || mask.every((byte) => byte === 0xff);
  const bits = mask ?? value;
  const address = ADDRESSES.find((one) => one.type === type);
  if (address !== undefined)
    return `${address.name}=${formatAddress(value)}${isExact ? '' : `/${formatAddress(bits)}`}`;
  switch (type) {
    case TUN.ID:
      return `tun_id=${bigHex(value)}${isExact ? '' : `/${bigHex(bits)}`}`;
    case TUN.TOS:
      return `tos=${bigHex(value)}${isExact ? '' : `/${bigHex(bits)}`}`;
    case TUN.TTL:
      return `ttl=${value[0]}${isExact ? '' : `/${bigHex(bits)}`}`;
    case TUN.TP_SRC:
    case TUN.TP_DST: {
      const name = type === TUN.TP_SRC ? 'tp_src' : 'tp_dst';
      return `${name}=${readBe16(value)}${isExact ? '' : `/${bigHex(bits)}`}`;
    }
    case TUN.VXLAN_OPTS:
      return `vxlan(gbp(${formatGbp(value, isExact ? null : bits)}))`;
    case TUN.GENEVE_OPTS:
      return `geneve(${formatGeneve(value, isExact ? null : bits)})`;
  }
  return '';
}

function formatGbp(value: Uint8Array, mask: Uint8Array | null): string {
  const word = (bytes: Uint8Array): number => readU32((readAttrs(bytes) ?? [])[0].value);
  const gbp = word(value);
  const bits = mask === null ? 0xffffffff : word(mask);
  const part = (name: string, shift: number, max: number, base: 10 | 16): string => {
    const own = (bits >>> shift) & max;
    const text = ((gbp >>> shift) & max).toString(base);
    const shown = base === 16 && text !== '0' ? `0x${text}` : text;
    return `${name}=${shown}${own === max ? '' : `/0x${own.toString(16)}`}`;
  };
  return `${part('id', 0, 0xffff, 10)},${part('flags', 16, 0xff, 16)}`;
}

function formatGeneve(value: Uint8Array, mask: Uint8Array | null): string {
  let text = '';
  for (let at = 0; at + 4 <= value.length;) {
    const lenBytes = (value[at + 3] & 0x1f) * 4;
    const head = [readBe16(value, at), value[at + 2]];
    const names = ['class', 'type'].map((name, i) => {
      const exact = i === 0 ? 0xffff : 0xff;
      const bits = mask === null ? exact : i === 0 ? readBe16(mask, at) : mask[at + 2];
      const shown = head[i] === 0 ? '0' : `0x${head[i].toString(16)}`;
      return `${name}=${shown}${bits === exact ? '' : `/0x${bits.toString(16)}`}`;
    });
    const data = value.subarray(at + 4, at + 4 + lenBytes);
    const dataMask = mask?.subarray(at + 4, at + 4 + lenBytes) ?? null;
    const isExact = dataMask === null || dataMask.every((byte) => byte === 0xff);
    const shown = lenBytes === 0 ? '' : `,${bigHex(data)}${isExact ? '' : `/${bigHex(dataMask)}`}`;
    text += `{${names.join(',')},len=${lenBytes}${shown}}`;
    at += 4 + lenBytes;
  }
  return text;
}

function formatTunnelFlags(attrs: readonly NlAttr[], masks: readonly NlAttr[] | null): string {
  const has = (list: readonly NlAttr[], name: string): boolean => {
    const type = name === 'key' ? TUN.ID : FLAGS.find((one) => one.name === name)?.type;
    return list.some((one) => one.type === type);
  };
  if (masks === null) return FLAG_NAMES.filter((name) => has(attrs, name)).join('|');
  const looked = FLAG_NAMES.filter((name) => has(masks, name));
  if (looked.length === FLAG_NAMES.length)
    return FLAG_NAMES.filter((name) => has(attrs, name)).join('|');
  return looked.map((name) => `${has(attrs, name) ? '+' : '-'}${name}`).join('');
}

/** A number of any size, most significant byte first, in hexadecimal without leading zeros. */
export function bigHex(bytes: Uint8Array): string {
  const digits = [...bytes]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .replace(/^0+/, '');
  return digits === '' ? '0' : `0x${digits}`;
}

/** A set(tunnel()) value with flags as attributes: what parseTunnel gives, without its mask. */
export function tunnelValue(attr: OdpAttr): NlAttr {
  return nested(KEY.TUNNEL, readAttrs(attr.value) ?? [flagAttr(0), be16Attr(0, 0)]);
}
