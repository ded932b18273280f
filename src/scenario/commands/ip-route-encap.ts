// `encap ip` and `encap ip6` of `ip route` (iproute2 6.1, ip/iproute_lwtunnel.c; spec D.3, D.5): what a route tells the flow-based tunnel
// device that it leads to.
//
// Left out: erspan_opts; ids above 2^53 are printed rounded. In JSON the outer destination, which the tool prints as a second `dst`, stands in the place of the first, as
// readers of JSON understand it.

import { EINVAL } from '../../../driver/errno.ts';
import { refuse } from '../../stack/answer.ts';
import {
  AF_INET,
  AF_INET6,
  formatAddress,
  loadInt32,
  storeInt32,
  storeUint16,
} from '../../stack/ip/address.ts';
import type { TunnelInfo } from '../../stack/lwtunnel/tunnel-info.ts';
import {
  TUNNEL_CSUM,
  TUNNEL_GENEVE_OPT,
  TUNNEL_KEY,
  TUNNEL_SEQ,
  TUNNEL_VXLAN_OPT,
} from '../../stack/lwtunnel/tunnel-info.ts';
import { IpError, addressOf, garbage, refusal, wrongArgument } from './ip-common.ts';
import type { Words } from './ip-common.ts';

/** In the order in which they are printed. */
const FLAGS = [
  { name: 'key', bit: TUNNEL_KEY },
  { name: 'csum', bit: TUNNEL_CSUM },
  { name: 'seq', bit: TUNNEL_SEQ },
] as const;
/** VXLAN_GBP_MASK. */
const GBP_BITS = 0x0048ffff;
const MOST_OPTION_BYTES = 255;
const WORD = 0x1_0000_0000;

/** Reads what follows `encap ip|ip6`, up to the first word that is none of it. */
export function parseEncap(words: Words, isSix: boolean): TunnelInfo {
  const family = isSix ? AF_INET6 : AF_INET;
  const addressBytes = isSix ? 16 : 4;
  const said = new Map<string, string>();
  const valued = ['id', 'dst', 'src', 'geneve_opts', 'vxlan_opts'].concat(
    isSix ? ['hoplimit', 'tc'] : ['ttl', 'tos', 'dsfield'],
  );
  for (;;) {
    const word = words.peek;
    const isFlag = FLAGS.some(({ name }) => name === word);
    if (words.isEmpty || (!isFlag && !valued.includes(word))) break;
    words.next();
    const value = isFlag ? '' : words.next();
    if (said.has(word)) throw garbage(word, isFlag ? word : value);
    said.set(word, value);
  }
  const byte = (...names: string[]): number => {
    const name = names.find((one) => said.has(one));
    return name === undefined ? 0 : numberIn(said.get(name) as string, name, 255);
  };
  const address = (name: string): Uint8Array => {
    const text = said.get(name);
    return text === undefined ? new Uint8Array(addressBytes) : addressOf(text, family);
  };
  let flags = 0;
  for (const { name, bit } of FLAGS) if (said.has(name)) flags |= bit;
  const geneve = said.get('geneve_opts');
  const vxlan = said.get('vxlan_opts');
  if (geneve !== undefined && vxlan !== undefined) throw kernelRefuses();
  if (geneve !== undefined) flags |= TUNNEL_GENEVE_OPT;
  if (vxlan !== undefined) flags |= TUNNEL_VXLAN_OPT;
  return {
    isTx: true,
    id: idOf(said.get('id') ?? '0'),
    src: address('src'),
    dst: address('dst'),
    flags,
    tos: isSix ? byte('tc') : byte('tos', 'dsfield'),
    ttl: isSix ? byte('hoplimit') : byte('ttl'),
    label: 0,
    tpSrc: 0,
    tpDst: 0,
    options: geneve !== undefined ? geneveOptions(geneve) : vxlanOptions(vxlan),
  };
}

/** 64 bits, decimal or hexadecimal. */
function idOf(text: string): Uint8Array {
  const isHex = /^0x[0-9a-f]+$/i.test(text);
  let [high, low] = [0, isHex || /^\d+$/.test(text) ? 0 : NaN];
  const base = isHex ? 16 : 10;
  for (const digit of isHex ? text.slice(2) : text) {
    const next = low * base + parseInt(digit, base);
    low = next % WORD;
    high = high * base + Math.floor(next / WORD);
    if (high >= WORD) break;
  }
  if (!(low >= 0) || high >= WORD) throw wrongArgument(text, '"id" value is invalid\n');
  const bytes = new Uint8Array(8);
  storeInt32(bytes, 0, high);
  storeInt32(bytes, 4, low);
  return bytes;
}

/** As strtoul reads it: octal behind a 0, hexadecimal behind 0x. */
function numberIn(text: string, name: string, most: number): number {
  const isOctal = /^0[0-7]+$/.test(text);
  const value = isOctal ? parseInt(text, 8) : Number(text);
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || !(value <= most))
    throw wrongArgument(text, `"${name}" value is invalid\n`);
  return value;
}

function vxlanOptions(text: string | undefined): Uint8Array {
  if (text === undefined) return new Uint8Array(0);
  const options = new Uint8Array(4);
  const policy = numberIn(text, 'vxlan_opts', 0xffffffff);
  new DataView(options.buffer).setUint32(0, policy & GBP_BITS, true);
  return options;
}

/** CLASS:TYPE:DATA[,...]. */
function geneveOptions(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const one of text.split(',')) {
    const [classText, typeText, data = ''] = one.split(':');
    const isHex = /^([0-9a-f]{2})+$/i.test(data);
    if (typeText === undefined || !isHex)
      throw wrongArgument(text, '"geneve_opts" value is invalid\n');
    const head = new Uint8Array(4);
    storeUint16(head, 0, numberIn(classText, 'geneve_opts', 0xffff));
    head[2] = numberIn(typeText, 'geneve_opts', 0xff);
    head[3] = data.length / 8;
    if (data.length % 8 !== 0 || data.length > 256) throw kernelRefuses();
    bytes.push(...head, ...(data.match(/../g) ?? []).map((pair) => parseInt(pair, 16)));
  }
  if (bytes.length > MOST_OPTION_BYTES) throw kernelRefuses();
  return Uint8Array.from(bytes);
}

function kernelRefuses(): IpError {
  return new IpError(2, refusal(refuse(EINVAL, '', 'encap')).trimEnd());
}

/** ` encap ip id ...` as it stands behind the prefix. */
export function encapText(info: TunnelInfo): string {
  const isSix = info.dst.length === 16;
  const limits = isSix ? `hoplimit ${info.ttl} tc ${info.tos}` : `ttl ${info.ttl} tos ${info.tos}`;
  let text =
    ` encap ${isSix ? 'ip6' : 'ip'} id ${idNumber(info)} src ${formatAddress(info.src)} ` +
    `dst ${formatAddress(info.dst)} ${limits} `;
  for (const { name, bit } of FLAGS) if ((info.flags & bit) !== 0) text += `${name} `;
  const options = geneveList(info).map(({ class: c, type, data }) => `${c}:${type}:${data}`);
  if (options.length > 0) text += `\n\tgeneve_opts ${options.join(',')} `;
  if ((info.flags & TUNNEL_VXLAN_OPT) !== 0) text += `\n\tvxlan_opts ${policyOf(info)} `;
  return text;
}

export function encapJson(info: TunnelInfo): Record<string, unknown> {
  const isSix = info.dst.length === 16;
  const geneve = geneveList(info);
  return {
    encap: isSix ? 'ip6' : 'ip',
    id: idNumber(info),
    src: formatAddress(info.src),
    dst: formatAddress(info.dst),
    ...(isSix ? { hoplimit: info.ttl, tc: info.tos } : { ttl: info.ttl, tos: info.tos }),
    ...Object.fromEntries(
      FLAGS.flatMap(({ name, bit }) => ((info.flags & bit) === 0 ? [] : [[name, true]])),
    ),
    ...(geneve.length === 0 ? {} : { geneve_opts: geneve }),
    ...((info.flags & TUNNEL_VXLAN_OPT) === 0 ? {} : { vxlan_opts: [{ gbp: policyOf(info) }] }),
  };
}

/** Exact up to 2^53. */
function idNumber({ id }: TunnelInfo): number {
  return (loadInt32(id, 0) >>> 0) * WORD + (loadInt32(id, 4) >>> 0);
}

function policyOf({ options }: TunnelInfo): number {
  return new DataView(options.buffer, options.byteOffset).getUint32(0, true);
}

function geneveList({
  flags,
  options,
}: TunnelInfo): { class: number; type: number; data: string }[] {
  const list: { class: number; type: number; data: string }[] = [];
  if ((flags & TUNNEL_GENEVE_OPT) === 0) return list;
  for (let at = 0; at < options.length; at += 4 + (options[at + 3] & 0x1f) * 4) {
    const data = options.subarray(at + 4, at + 4 + (options[at + 3] & 0x1f) * 4);
    list.push({
      class: (options[at] << 8) | options[at + 1],
      type: options[at + 2],
      data: [...data].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    });
  }
  return list;
}
