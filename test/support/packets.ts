// Packets for tests: built from plain words with right checksums (the oracle's RFC 1071), and read back into the same words with
// a verdict about their checksums. Knows IPv4 and IPv6 with TCP, UDP, ICMP echo and ICMP errors; nothing of the code under test.

import { naiveChecksum } from '../reference/naive-ip.ts';

export interface Packet {
  src: string;
  dst: string;
  protocol: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | 'sctp' | 'gre' | 'other';
  sport: number;
  dport: number;
  /** TCP flags as letters (SAFRPU), ICMP type and code as `8/0`. */
  flags: string;
  seq: number;
  ack: number;
  ttl: number;
  payload: Uint8Array;
}

const NUMBERS = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58, sctp: 132, gre: 47, other: 99 } as const;
const LETTERS = 'FSRPAU';

export function addressBytes(text: string): number[] {
  if (!text.includes(':')) return text.split('.').map(Number);
  const [head, tail] = text.split('::');
  const groups = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map((g) => parseInt(g, 16));
  const left = groups(head);
  const right = groups(tail);
  const words = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return words.flatMap((w) => [w >> 8, w & 255]);
}

function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return [...bytes].join('.');
  const words: string[] = [];
  for (let i = 0; i < 16; i += 2) words.push(((bytes[i] << 8) | bytes[i + 1]).toString(16));
  return words.join(':').replace(/(^|:)0(:0)+(:|$)/, '::');
}

const be16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
const be32 = (value: number): number[] => [...be16(value >>> 16), ...be16(value)];

/** Pseudo header and segment summed: 0 when its checksum is right. */
function l4Check(src: number[], dst: number[], protocol: number, segment: Uint8Array): number {
  return naiveChecksum(
    Uint8Array.from([...src, ...dst, 0, protocol, ...be16(segment.length), ...segment]),
  );
}

/** An IP packet; fields left out are ordinary. */
export function ipPacket(given: Partial<Packet>): Uint8Array {
  const p: Packet = {
    src: '192.168.1.2',
    dst: '10.0.0.2',
    protocol: 'tcp',
    sport: 4000,
    dport: 80,
    flags: given.protocol === 'icmp' ? '8/0' : given.protocol === 'icmpv6' ? '128/0' : 'A',
    seq: 1000,
    ack: 0,
    ttl: 64,
    payload: new Uint8Array(0),
    ...given,
  };
  const src = addressBytes(p.src);
  const dst = addressBytes(p.dst);
  const six = src.length === 16;
  const number = NUMBERS[p.protocol];
  const segment = transport(p);
  const checkAt = { tcp: 16, udp: 6, icmp: 2, icmpv6: 2, sctp: -1, gre: -1, other: -1 }[p.protocol];
  if (checkAt >= 0) {
    const sum = p.protocol === 'icmp' ? naiveChecksum(segment) : l4Check(src, dst, number, segment);
    segment.set(be16(p.protocol === 'udp' && sum === 0 ? 0xffff : sum), checkAt);
  }
  if (six)
    return Uint8Array.from([
      ...[0x60, 0, 0, 0, ...be16(segment.length), number, p.ttl, ...src, ...dst],
      ...segment,
    ]);
  const header = Uint8Array.from([
    ...[0x45, 0, ...be16(20 + segment.length), 0x12, 0x34, 0x40, 0, p.ttl, number, 0, 0],
    ...src,
    ...dst,
  ]);
  header.set(be16(naiveChecksum(header)), 10);
  return Uint8Array.from([...header, ...segment]);
}

function transport(p: Packet): Uint8Array {
  const ports = [...be16(p.sport), ...be16(p.dport)];
  switch (p.protocol) {
    case 'tcp': {
      let flags = 0;
      for (const letter of p.flags) flags |= 1 << LETTERS.indexOf(letter);
      const rest = [0x50, flags, 0xfa, 0, 0, 0, 0, 0];
      return Uint8Array.from([...ports, ...be32(p.seq), ...be32(p.ack), ...rest, ...p.payload]);
    }
    case 'udp':
      return Uint8Array.from([...ports, ...be16(8 + p.payload.length), 0, 0, ...p.payload]);
    case 'icmp':
    case 'icmpv6': {
      const [type, code] = p.flags.split('/').map(Number);
      return Uint8Array.from([type, code, 0, 0, ...be16(p.sport), ...be16(p.seq), ...p.payload]);
    }
    case 'sctp':
      return Uint8Array.from([...ports, 0, 0, 0, 0, 0, 0, 0, 0, ...p.payload]);
    default:
      return p.payload;
  }
}

/** An Ethernet frame around an IP packet. */
export function frameOf(packet: Uint8Array, to: string, from: string): string {
  const type = packet[0] >> 4 === 4 ? '0800' : '86dd';
  const text = Array.from(packet, (b) => b.toString(16).padStart(2, '0')).join('');
  return `${to}${from}${type}${text}`;
}

/** What an IP packet says, and which of its checksums are wrong. */
export function readPacket(bytes: Uint8Array): Packet & { faults: string[] } {
  const six = bytes[0] >> 4 === 6;
  const headerBytes = six ? 40 : (bytes[0] & 15) * 4;
  const lenBytes = six ? 40 + ((bytes[4] << 8) | bytes[5]) : (bytes[2] << 8) | bytes[3];
  const number = six ? bytes[6] : bytes[9];
  const protocol = (Object.entries(NUMBERS).find(([, n]) => n === number)?.[0] ??
    'other') as Packet['protocol'];
  const src = six ? bytes.slice(8, 24) : bytes.slice(12, 16);
  const dst = six ? bytes.slice(24, 40) : bytes.slice(16, 20);
  const l4 = bytes.slice(headerBytes, lenBytes);
  const view = new DataView(l4.buffer);
  const faults: string[] = [];
  if (!six && naiveChecksum(bytes.slice(0, headerBytes)) !== 0) faults.push('ip');
  const isIcmp = protocol === 'icmp' || protocol === 'icmpv6';
  const bare = protocol === 'icmp' ? naiveChecksum(l4) : l4Check([...src], [...dst], number, l4);
  const unchecked = protocol === 'udp' && view.getUint16(6) === 0;
  if (['tcp', 'udp', 'icmp', 'icmpv6'].includes(protocol) && !unchecked && bare !== 0)
    faults.push('l4');
  const payloadAt = protocol === 'tcp' ? (l4[12] >> 4) * 4 : protocol === 'sctp' ? 12 : 8;
  return {
    src: addressText(src),
    dst: addressText(dst),
    protocol,
    sport: isIcmp ? view.getUint16(4) : l4.length >= 4 ? view.getUint16(0) : 0,
    dport: isIcmp ? 0 : l4.length >= 4 ? view.getUint16(2) : 0,
    flags: isIcmp ? `${l4[0]}/${l4[1]}` : protocol === 'tcp' ? flagText(l4[13]) : '',
    seq: protocol === 'tcp' ? view.getUint32(4) : isIcmp ? view.getUint16(6) : 0,
    ack: protocol === 'tcp' ? view.getUint32(8) : 0,
    ttl: six ? bytes[7] : bytes[8],
    payload: l4.slice(payloadAt),
    faults,
  };
}

function flagText(flags: number): string {
  return [...LETTERS].filter((_letter, i) => (flags & (1 << i)) !== 0).join('');
}
