// Datapath keys as text and back (odp_flow_key_to_string, odp_flow_from_string; spec F.2): attributes of a key with those of its mask.
//
// Reading always gives a mask: exact for a field without one, zero for a field that is not named. Writing leaves out what the mask does
// not look at, unless everything is asked for. Left out: NSH, ERSPAN, packet types.

import { formatAddress, formatMac } from '../ip/address.ts';
import { VLAN_TAG_PRESENT } from './flow-key.ts';
import { attrBytes, be16Attr, readAttrs, readBe16, readBe32, readU16 } from './nlattr.ts';
import { readU32, u16Attr, u32Attr } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { CT_STATE_NAMES, ODP_RECORDS, ODP_SCALARS, TCP_FLAG_NAMES } from './odp-fields.ts';
import type { OdpField, OdpRecord, OdpScalar } from './odp-fields.ts';
import { OdpError, Scan } from './odp-scan.ts';
import { bigHex, formatTunnel, parseTunnel } from './odp-tunnel.ts';
import { KEY } from './uapi.ts';

/** A key and its mask, attribute by attribute. */
export interface OdpAttr {
  readonly type: number;
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

export interface PortNames {
  numberOf(name: string): number | null;
  nameOf(number: number): string | null;
}

export const NO_PORT_NAMES: PortNames = { numberOf: () => null, nameOf: () => null };

// ---- Reading ----

/** Key and mask attributes of a text. Throws OdpError: the attribute that does not fit, and all behind it, as the tool says. */
export function parseOdpKey(text: string, names: PortNames): { key: Uint8Array; mask: Uint8Array } {
  const scan = new Scan(text);
  const attrs: OdpAttr[] = [];
  for (;;) {
    scan.skipDelimiters();
    if (scan.isEnd) break;
    const start = scan.at;
    try {
      attrs.push(parseKeyAttr(scan, names));
    } catch (error) {
      if (error instanceof OdpError) throw new OdpError(`syntax error at ${text.slice(start)}`);
      throw error;
    }
  }
  return { key: bytesOf(attrs, 'value'), mask: bytesOf(attrs, 'mask') };
}

function bytesOf(attrs: readonly OdpAttr[], part: 'value' | 'mask'): Uint8Array {
  return attrBytes(attrs.map((one) => ({ type: one.type, value: one[part] })));
}

/** One attribute, `name(...)`. */
export function parseKeyAttr(scan: Scan, names: PortNames): OdpAttr {
  const name = scan.match(/[a-z_0-9]+(?=\()/);
  const record = ODP_RECORDS.get(name);
  const scalar = ODP_SCALARS.get(name);
  if (name === '') scan.fail('an attribute expected');
  scan.expect('(');
  let attr: OdpAttr;
  if (record !== undefined) attr = parseRecord(scan, record);
  else if (scalar !== undefined) attr = parseScalar(scan, scalar, names);
  else attr = parseSpecial(scan, name, names);
  scan.expect(')');
  return attr;
}

function parseRecord(scan: Scan, { attr, bytes, fields }: OdpRecord): OdpAttr {
  const value = new Uint8Array(bytes);
  const mask = new Uint8Array(bytes);
  for (;;) {
    scan.skipDelimiters();
    const name = scan.match(/[a-z_0-9]+(?==)/);
    if (name === '') break;
    const field = fields.find((one) => one.name === name);
    if (field === undefined) scan.fail(`no field '${name}' here`);
    scan.expect('=');
    const { at, bytes: size } = field;
    value.set(parseField(scan, field), at);
    const ones = new Uint8Array(size).fill(0xff);
    // A flow label has 20 bits.
    if (name === 'label') ones.set([0, 0x0f]);
    mask.set(scan.take('/') ? parseField(scan, { ...field, form: maskForm(field) }) : ones, at);
  }
  return { type: attr, value, mask };
}

function maskForm({ form }: OdpField): OdpField['form'] {
  return form === 'frag' ? 'dec' : form;
}

function parseField(scan: Scan, { bytes, form }: OdpField): Uint8Array {
  switch (form) {
    case 'ipv4':
      return scan.ipv4();
    case 'ipv6':
      return scan.ipv6();
    case 'mac':
      return scan.mac();
    case 'frag': {
      const index = ['no', 'first', 'later'].indexOf(scan.match(/[a-z]+/));
      if (index < 0) scan.fail('no, first or later expected');
      return Uint8Array.of(index);
    }
    default:
      return scan.big(bytes);
  }
}

function parseScalar(scan: Scan, { attr, bytes }: OdpScalar, names: PortNames): OdpAttr {
  const max = bytes === 2 ? 0xffff : 0xffffffff;
  const make = (number: number): Uint8Array =>
    (bytes === 2 ? u16Attr(attr, number) : u32Attr(attr, number)).value;
  if (attr === KEY.IN_PORT) {
    const name = scan.match(/[a-zA-Z][\w.-]*/);
    if (name !== '') {
      const number = names.numberOf(name);
      if (number === null) scan.fail(`no port '${name}'`);
      return { type: attr, value: make(number), mask: make(max) };
    }
  }
  const value = make(scan.number(max));
  return { type: attr, value, mask: make(scan.take('/') ? scan.number(max) : max) };
}

function parseSpecial(scan: Scan, name: string, names: PortNames): OdpAttr {
  switch (name) {
    case 'eth_type': {
      const value = be16Attr(0, scan.number(0xffff)).value;
      const mask = be16Attr(0, scan.take('/') ? scan.number(0xffff) : 0xffff).value;
      return { type: KEY.ETHERTYPE, value, mask };
    }
    case 'ct_state': {
      const { value, mask } = parseFlags(scan, CT_STATE_NAMES, 0xff);
      return { type: KEY.CT_STATE, value: u32Attr(0, value).value, mask: u32Attr(0, mask).value };
    }
    case 'tcp_flags': {
      const { value, mask } = parseFlags(scan, TCP_FLAG_NAMES, 0xfff);
      const type = KEY.TCP_FLAGS;
      return { type, value: be16Attr(0, value).value, mask: be16Attr(0, mask).value };
    }
    case 'ct_label': {
      const value = scan.big(16).reverse();
      const mask = scan.take('/') ? scan.big(16).reverse() : new Uint8Array(16).fill(0xff);
      return { type: KEY.CT_LABELS, value, mask };
    }
    case 'vlan':
      return parseVlan(scan);
    case 'mpls':
      return parseMpls(scan);
    case 'tunnel':
      return parseTunnel(scan);
    case 'encap': {
      const inside: OdpAttr[] = [];
      for (;;) {
        scan.skipDelimiters();
        if (scan.isEnd || scan.text.charAt(scan.at) === ')') break;
        inside.push(parseKeyAttr(scan, names));
      }
      const [value, mask] = [bytesOf(inside, 'value'), bytesOf(inside, 'mask')];
      return { type: KEY.ENCAP, value, mask };
    }
  }
  return scan.fail(`no attribute '${name}'`);
}

/** `+new-est`, `new|trk`, or a number with an optional mask. */
export function parseFlags(
  scan: Scan,
  names: readonly string[],
  all: number,
): { value: number; mask: number } {
  const bitOf = (name: string): number => {
    const bit = names.indexOf(name);
    if (bit < 0) scan.fail(`no flag '${name}'`);
    return 1 << bit;
  };
  if (/[0-9]/.test(scan.text.charAt(scan.at))) {
    const value = scan.number(all);
    return { value, mask: scan.take('/') ? scan.number(0xffff) & all : all };
  }
  let value = 0;
  let mask = 0;
  for (;;) {
    const sign = scan.match(/[+-]/);
    if (sign === '') break;
    const bit = bitOf(scan.match(/[a-z]+|\[[0-9]+\]/));
    mask |= bit;
    if (sign === '+') value |= bit;
  }
  if (mask !== 0) return { value, mask };
  do {
    const name = scan.match(/[a-z]+|\[[0-9]+\]/);
    if (name !== '') value |= bitOf(name);
  } while (scan.take('|'));
  return { value, mask: all };
}

function parseVlan(scan: Scan): OdpAttr {
  let value = VLAN_TAG_PRESENT;
  let mask = VLAN_TAG_PRESENT;
  for (;;) {
    scan.skipDelimiters();
    const name = scan.match(/vid=|pcp=|cfi=/);
    if (name === '') break;
    const [shift, max] = name === 'vid=' ? [0, 0xfff] : name === 'pcp=' ? [13, 7] : [12, 1];
    const number = scan.number(max);
    const bits = scan.take('/') ? scan.number(max) : max;
    value = (value & ~(max << shift)) | (number << shift);
    mask = (mask & ~(max << shift)) | (bits << shift);
  }
  return {
    type: KEY.VLAN,
    value: be16Attr(0, value).value,
    mask: be16Attr(0, mask).value,
  };
}

/** One label after the other: a repeated name begins the next. */
function parseMpls(scan: Scan): OdpAttr {
  const labels: { value: number; mask: number; seen: Set<string> }[] = [];
  for (;;) {
    scan.skipDelimiters();
    const name = scan.match(/[a-z]+(?==)/);
    if (name === '') break;
    const place = LSE_FIELDS.find((one) => one.name === name);
    if (place === undefined) scan.fail(`no field '${name}' here`);
    scan.expect('=');
    let label = labels[labels.length - 1] as (typeof labels)[number] | undefined;
    if (label === undefined || label.seen.has(name)) {
      label = { value: 0, mask: 0, seen: new Set() };
      labels.push(label);
    }
    label.seen.add(name);
    label.value |= scan.number(place.max) << place.shift;
    label.mask |= (scan.take('/') ? scan.number(place.max) : place.max) << place.shift;
  }
  const words = (part: 'value' | 'mask'): Uint8Array =>
    Uint8Array.from(
      labels.flatMap(({ [part]: w }) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]),
    );
  return { type: KEY.MPLS, value: words('value'), mask: words('mask') };
}

/** Places of a label stack entry's parts. */
export const LSE_FIELDS = [
  { name: 'label', shift: 12, max: 0xfffff },
  { name: 'tc', shift: 9, max: 7 },
  { name: 'ttl', shift: 0, max: 0xff },
  { name: 'bos', shift: 8, max: 1 },
] as const;

// ---- Writing ----

/** What is printed of a key. */
export interface OdpStyle {
  /** Everything, also what the mask does not look at (`-m`). */
  readonly verbose: boolean;
  readonly names: PortNames;
}

/** The text of key attributes; `mask` null: all of them, exactly. */
export function formatOdpKey(key: Uint8Array, mask: Uint8Array | null, style: OdpStyle): string {
  const attrs = readAttrs(key) ?? [];
  const masks = mask === null ? null : (readAttrs(mask) ?? []);
  const parts: string[] = [];
  let hasType = false;
  for (const { type, value } of attrs) {
    if (type === KEY.ETHERTYPE) hasType = true;
    const own = masks?.find((one) => one.type === type)?.value ?? null;
    const isNested = type === KEY.ENCAP || type === KEY.TUNNEL;
    const isWild = masks !== null && !isNested && (own === null || own.every((b) => b === 0));
    // ovs-dpctl 3.1 does not know IPV6_EXTHDRS, and prints what it does not know whatever its mask.
    if (!isWild || style.verbose || type === KEY.IPV6_EXTHDRS) {
      const used = masks === null ? null : (own ?? new Uint8Array(value.length));
      parts.push(formatAttr({ type, value }, used, style));
    } else if (type === KEY.ETHERNET) parts.push('eth()');
  }
  const typeMask = masks?.find((one) => one.type === KEY.ETHERTYPE);
  if (!hasType && typeMask !== undefined)
    parts.push(`eth_type(0/0x${readBe16(typeMask.value).toString(16).padStart(4, '0')})`);
  return parts.join(',');
}

/** One attribute; `mask` null: exact. */
export function formatAttr(
  { type, value }: NlAttr,
  mask: Uint8Array | null,
  style: OdpStyle,
): string {
  for (const [name, record] of ODP_RECORDS)
    if (record.attr === type) return `${name}(${formatRecord(record, value, mask, style)})`;
  for (const [name, scalar] of ODP_SCALARS)
    if (scalar.attr === type) return `${name}(${formatScalar(scalar, value, mask, style)})`;
  switch (type) {
    case KEY.ETHERTYPE:
      return `eth_type(${formatEthType(readBe16(value), mask === null ? 0xffff : readBe16(mask))})`;
    case KEY.CT_STATE:
      return `ct_state(${formatFlags(readU32(value), mask === null ? null : readU32(mask), CT_STATE_NAMES, 0xff)})`;
    case KEY.TCP_FLAGS:
      return `tcp_flags(${formatFlags(readBe16(value), mask === null ? null : readBe16(mask), TCP_FLAG_NAMES, 0xfff)})`;
    case KEY.CT_LABELS:
      return `ct_label(${formatLabels(value, mask)})`;
    case KEY.VLAN:
      return `vlan(${formatVlan(readBe16(value), mask === null ? 0xffff : readBe16(mask), style)})`;
    case KEY.MPLS:
      return `mpls(${formatMpls(value, mask)})`;
    case KEY.TUNNEL:
      return `tunnel(${formatTunnel(value, mask, style.verbose)})`;
    case KEY.ENCAP:
      return `encap(${formatOdpKey(value, mask, style)})`;
  }
  const hex = (bytes: Uint8Array): string =>
    [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `key${type}(${hex(value)}${mask === null ? '' : `/${hex(mask)}`})`;
}

function formatRecord(
  { fields }: OdpRecord,
  value: Uint8Array,
  mask: Uint8Array | null,
  style: OdpStyle,
): string {
  return fields
    .flatMap((field) => {
      const { name, at, bytes } = field;
      const part = value.subarray(at, at + bytes);
      const bits = mask?.subarray(at, at + bytes) ?? null;
      const isWild = bits?.every((byte) => byte === 0) === true;
      // The tool leaves the fragment type out even where it shows everything.
      if (isWild && (!style.verbose || field.form === 'frag')) return [];
      const isExact = bits === null || isAllOnes(name, bits);
      return [`${name}=${fieldText(field, part)}${isExact ? '' : `/${maskText(field, bits)}`}`];
    })
    .join(',');
}

function isAllOnes(name: string, bits: Uint8Array): boolean {
  if (name === 'label') return (readBe32(bits) & 0xfffff) === 0xfffff;
  return bits.every((byte) => byte === 0xff);
}

function fieldText({ form }: OdpField, bytes: Uint8Array): string {
  switch (form) {
    case 'ipv4':
    case 'ipv6':
      return formatAddress(bytes);
    case 'mac':
      return formatMac(bytes);
    case 'frag':
      return ['no', 'first', 'later'][bytes[0]] ?? `<error>`;
    case 'hex':
      return hex(number(bytes));
    case 'dec':
      return String(number(bytes));
  }
}

function maskText(field: OdpField, bits: Uint8Array): string {
  return field.form === 'dec' || field.form === 'frag' ? hex(number(bits)) : fieldText(field, bits);
}

function number(bytes: Uint8Array): number {
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

function formatScalar(
  { attr, bytes, form }: OdpScalar,
  value: Uint8Array,
  mask: Uint8Array | null,
  style: OdpStyle,
): string {
  const read = bytes === 2 ? readU16 : readU32;
  const bits = mask === null ? -1 : read(mask);
  const isExact = bits === -1 || bits === (bytes === 2 ? 0xffff : 0xffffffff);
  const name = attr === KEY.IN_PORT && isExact ? style.names.nameOf(read(value)) : null;
  if (name !== null) return name;
  const text = form === 'hex' ? hex(read(value)) : String(read(value));
  return isExact ? text : `${text}/${hex(bits)}`;
}

function formatEthType(value: number, mask: number): string {
  const text = `0x${value.toString(16).padStart(4, '0')}`;
  return mask === 0xffff ? text : `${text}/0x${mask.toString(16).padStart(4, '0')}`;
}

/** `new|trk` for an exact value, `+new-est` under a mask. */
export function formatFlags(
  value: number,
  mask: number | null,
  names: readonly string[],
  all: number,
): string {
  if (mask === null || (mask & all) === all) {
    const set = names.filter((_, bit) => (value & (1 << bit)) !== 0);
    return set.length === 0 ? '0' : set.join('|');
  }
  const shown = names.flatMap((name, bit) =>
    (mask & (1 << bit)) === 0 ? [] : [`${(value & (1 << bit)) !== 0 ? '+' : '-'}${name}`],
  );
  return shown.length === 0 ? '0/0' : shown.join('');
}

/** 128 bits, as they stand in a key, in hexadecimal. */
export function labelHex(bytes: Uint8Array): string {
  return bigHex(bytes.slice().reverse());
}

function formatLabels(value: Uint8Array, mask: Uint8Array | null): string {
  const isExact = mask === null || mask.every((byte) => byte === 0xff);
  return labelHex(value) + (isExact ? '' : `/${labelHex(mask)}`);
}

function formatVlan(tci: number, mask: number, { verbose }: OdpStyle): string {
  const parts: string[] = [];
  const show = (name: string, shift: number, max: number): void => {
    const bits = (mask >> shift) & max;
    const value = (tci >> shift) & max;
    parts.push(`${name}=${value}${bits === max ? '' : `/0x${bits.toString(16)}`}`);
  };
  // The id is always there; the priority only where it is looked at.
  show('vid', 0, 0xfff);
  if (verbose || ((mask >> 13) & 7) !== 0) show('pcp', 13, 7);
  if ((tci & VLAN_TAG_PRESENT) === 0) parts.push('cfi=0');
  return parts.join(',');
}

function formatMpls(value: Uint8Array, mask: Uint8Array | null): string {
  const parts: string[] = [];
  for (let at = 0; at < value.length; at += 4)
    parts.push(formatLse(readBe32(value, at), mask === null ? null : readBe32(mask, at)));
  return parts.join(',');
}

/** A label stack entry; under a mask that is not exact every part shows its own. */
export function formatLse(lse: number, bitsOf: number | null): string {
  const mask = bitsOf === null || bitsOf >>> 0 === 0xffffffff ? null : bitsOf;
  return LSE_FIELDS.map(({ name, shift, max }) => {
    const value = (lse >>> shift) & max;
    if (mask === null) return `${name}=${value}`;
    const bits = (mask >>> shift) & max;
    // tc and bos have one hexadecimal digit without prefix.
    const text = name === 'tc' || name === 'bos' ? bits.toString(16) : `0x${bits.toString(16)}`;
    return `${name}=${value}/${text}`;
  }).join(',');
}

/** C's `%#x`: zero without prefix. */
export function hex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}
