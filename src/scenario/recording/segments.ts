// The segments that bring a fresh TCP connection into a state, for recordings with `paths`: 'cSA' is a segment of the
// client with SYN and ACK. Built from the addresses and ports of the step's own frame, with the sequence numbers that
// the recordings use (client from 1000, server from 5000; SYN and FIN take one).

import { fromHex } from './format.ts';

const FLAG_BITS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 };
const SYN = 2;
const ACK = 16;
const MSS_OPTION = Uint8Array.of(2, 4, 0x05, 0xb4);

/** One segment: which side sends it, and the whole Ethernet frame. */
export interface Segment {
  side: 'c' | 's';
  frame: Uint8Array;
}

export interface Station {
  /** MAC of the far end and of the machine's device on its wire. */
  farMac: Uint8Array;
  nearMac: Uint8Array;
}

/** Frames of a path, for the connection of `sample` (a frame of either side; `sampleSide` says which). */
export function pathSegments(
  path: readonly string[],
  sample: string,
  sampleSide: string,
  stations: Record<'c' | 's', Station>,
): Segment[] {
  const bytes = fromHex(sample);
  const ip = 14;
  const tcp = ip + (bytes[ip] & 15) * 4;
  const from = { address: bytes.slice(ip + 12, ip + 16), port: bytes.slice(tcp, tcp + 2) };
  const to = { address: bytes.slice(ip + 16, ip + 20), port: bytes.slice(tcp + 2, tcp + 4) };
  const ends = sampleSide === 'c' ? { c: from, s: to } : { c: to, s: from };
  const seq = { c: 1000, s: 5000 };
  return path.map((step) => {
    const side = step.startsWith('c') ? 'c' : 's';
    const peer = side === 'c' ? 's' : 'c';
    let flags = 0;
    for (const letter of step.slice(1)) flags |= FLAG_BITS[letter] ?? 0;
    const frame = buildSegment({
      station: stations[side],
      src: ends[side],
      dst: ends[peer],
      ipId: side === 'c' ? 1 : 2,
      flags,
      seq: seq[side],
      ack: (flags & ACK) !== 0 ? seq[peer] : 0,
    });
    if ((flags & (SYN | 1)) !== 0) seq[side]++;
    return { side, frame };
  });
}

interface SegmentSpec {
  station: Station;
  src: { address: Uint8Array; port: Uint8Array };
  dst: { address: Uint8Array; port: Uint8Array };
  ipId: number;
  flags: number;
  seq: number;
  ack: number;
}

function buildSegment(spec: SegmentSpec): Uint8Array {
  const options = (spec.flags & SYN) !== 0 ? MSS_OPTION : new Uint8Array(0);
  const tcpBytes = 20 + options.length;
  const frame = new Uint8Array(14 + 20 + tcpBytes);
  const view = new DataView(frame.buffer);
  frame.set(spec.station.nearMac, 0);
  frame.set(spec.station.farMac, 6);
  view.setUint16(12, 0x0800);
  frame[14] = 0x45;
  view.setUint16(16, 20 + tcpBytes);
  view.setUint16(18, spec.ipId);
  view.setUint16(20, 0x4000);
  frame[22] = 64;
  frame[23] = 6;
  frame.set(spec.src.address, 26);
  frame.set(spec.dst.address, 30);
  view.setUint16(24, onesComplement(frame, 14, 34, 0));
  frame.set(spec.src.port, 34);
  frame.set(spec.dst.port, 36);
  view.setUint32(38, spec.seq);
  view.setUint32(42, spec.ack);
  frame[46] = (tcpBytes / 4) << 4;
  frame[47] = spec.flags;
  view.setUint16(48, 0xfaf0);
  frame.set(options, 54);
  let pseudo = 6 + tcpBytes;
  for (let at = 26; at < 34; at += 2) pseudo += view.getUint16(at);
  view.setUint16(50, onesComplement(frame, 34, frame.length, pseudo));
  return frame;
}

function onesComplement(bytes: Uint8Array, from: number, to: number, start: number): number {
  let sum = start;
  for (let i = from; i < to; i += 2) sum += (bytes[i] << 8) | (i + 1 < to ? bytes[i + 1] : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
