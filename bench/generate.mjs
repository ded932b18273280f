// Generates the benchmark's capture: many flows, mostly TCP with handshake, data and close, some UDP, interleaved.
//
//   node bench/generate.mjs FILE [--packets 2000000] [--flows 50000] [--seed 1]
//
// Same arguments, same bytes. Frame sizes follow the simple IMIX (64, 594, 1518 at 7:4:1); packets come at a constant
// 500,000 a second (1.4 Gbit/s), two to four to an interrupt.

import { openSync, writeSync, closeSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    packets: { type: 'string', default: '2000000' },
    flows: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
  },
});
const packetCount = Number(values.packets);
const flowCount = Number(values.flows);
const file = positionals[0];
if (file === undefined) {
  console.error('usage: node bench/generate.mjs FILE [--packets N] [--flows N] [--seed N]');
  process.exit(2);
}

let state = Number(values.seed) | 0 || 1;
/** xorshift32: an integer in [0, bound). */
function random(bound) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % bound;
}

const TCP = 6;
const UDP = 17;
const MICROSECONDS_APART = 2;
const SIZES = [64, 64, 64, 64, 64, 64, 64, 594, 594, 594, 594, 1518].map((bytes) => bytes - 4);

const out = openSync(file, 'w');
const chunk = Buffer.alloc(1 << 20);
let used = 0;
function flush() {
  writeSync(out, chunk, 0, used);
  used = 0;
}

const header = Buffer.alloc(24);
header.writeUInt32LE(0xa1b2c3d4, 0);
header.writeUInt16LE(2, 4);
header.writeUInt16LE(4, 6);
header.writeUInt32LE(65535, 16);
header.writeUInt32LE(1, 20);
header.copy(chunk, 0);
used = 24;

// Columns per flow: how many packets it has sent, its sequence numbers, its protocol.
const sent = new Uint32Array(flowCount);
const clientSeq = new Uint32Array(flowCount).fill(1000);
const serverSeq = new Uint32Array(flowCount).fill(5000);
const packetsPerFlow = Math.max(8, Math.floor(packetCount / flowCount));
const frame = Buffer.alloc(1518);
let written = 0;

function checksum(from, to, start) {
  let sum = start;
  for (let i = from; i < to; i += 2) sum += (frame[i] << 8) | (i + 1 < to ? frame[i + 1] : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function emit(flow, fromClient, flags, wishedBytes) {
  const proto = flow % 10 === 0 ? UDP : TCP;
  const l4Bytes = proto === TCP ? 20 : 8;
  const lenBytes = Math.max(60, flags & 7 ? 60 : wishedBytes);
  const ipBytes = lenBytes === 60 ? 20 + l4Bytes : lenBytes - 14;
  const payloadBytes = ipBytes - 20 - l4Bytes;
  frame.fill(0x61, 14 + 20 + l4Bytes, lenBytes);
  if (lenBytes === 60) frame.fill(0, 34, 60);
  frame.set([2, 0, 0, 0, fromClient ? 2 : 1, 0xfe, 2, 0, 0, 0, fromClient ? 1 : 2, 0xfe], 0);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame[15] = 0;
  frame.writeUInt16BE(ipBytes, 16);
  frame.writeUInt16BE(written & 0xffff, 18);
  frame.writeUInt16BE(0x4000, 20);
  frame[22] = 64;
  frame[23] = proto;
  frame.writeUInt16BE(0, 24);
  // 10.0.0.0/20 clients (4,096), 192.168.0.0/22 servers (1,024): addresses recur as in real traffic.
  frame.writeUInt32BE(0x0a000000 + (flow & 4095), fromClient ? 26 : 30);
  frame.writeUInt32BE(0xc0a80000 + (flow & 1023), fromClient ? 30 : 26);
  frame.writeUInt16BE(checksum(14, 34, 0), 24);
  const clientPort = 1024 + (((flow >>> 12) * 64 + ((flow >>> 2) & 63)) % 60000);
  const serverPort = proto === TCP ? 443 : 53;
  frame.writeUInt16BE(fromClient ? clientPort : serverPort, 34);
  frame.writeUInt16BE(fromClient ? serverPort : clientPort, 36);
  const own = fromClient ? clientSeq : serverSeq;
  const peer = fromClient ? serverSeq : clientSeq;
  let checksumAt = 40;
  if (proto === TCP) {
    frame.writeUInt32BE(own[flow], 38);
    frame.writeUInt32BE(flags & 16 ? peer[flow] : 0, 42);
    frame[46] = 0x50;
    frame[47] = flags;
    frame.writeUInt16BE(0xfaf0, 48);
    frame.writeUInt32BE(0, 50);
    checksumAt = 50;
    own[flow] += payloadBytes + (flags & 2 ? 1 : 0) + (flags & 1 ? 1 : 0);
  } else {
    frame.writeUInt16BE(ipBytes - 20, 38);
    frame.writeUInt16BE(0, 40);
  }
  let pseudo = proto + ipBytes - 20;
  for (let i = 26; i < 34; i += 2) pseudo += (frame[i] << 8) | frame[i + 1];
  frame.writeUInt16BE(checksum(34, 14 + ipBytes, pseudo) || 0xffff, checksumAt);

  if (used + 16 + lenBytes > chunk.length) flush();
  const microseconds = written * MICROSECONDS_APART;
  chunk.writeUInt32LE(1_700_000_000 + Math.floor(microseconds / 1e6), used);
  chunk.writeUInt32LE(microseconds % 1e6, used + 4);
  chunk.writeUInt32LE(lenBytes, used + 8);
  chunk.writeUInt32LE(lenBytes, used + 12);
  frame.copy(chunk, used + 16, 0, lenBytes);
  used += 16 + lenBytes;
  written++;
}

/** The next packet of a flow: handshake, data either way, close with its last three packets. */
function step(flow) {
  const n = sent[flow]++;
  if (flow % 10 === 0) return emit(flow, n % 2 === 0, 0, SIZES[random(SIZES.length)]);
  if (n === 0) return emit(flow, true, 0x02, 60);
  if (n === 1) return emit(flow, false, 0x12, 60);
  if (n === 2) return emit(flow, true, 0x10, 60);
  const left = packetsPerFlow - n;
  if (left === 3) return emit(flow, true, 0x11, 60);
  if (left === 2) return emit(flow, false, 0x11, 60);
  if (left === 1) return emit(flow, true, 0x10, 60);
  return emit(flow, n % 3 !== 0, 0x10, SIZES[random(SIZES.length)]);
}

// A window of flows is active at a time: each step takes a random one; a finished flow makes room for the next.
const WINDOW = Math.min(flowCount, 20_000);
const active = Int32Array.from({ length: WINDOW }, (_, i) => i);
let activeCount = WINDOW;
let next = WINDOW;
while (written < packetCount && activeCount > 0) {
  const place = random(activeCount);
  const flow = active[place];
  step(flow);
  if (sent[flow] >= packetsPerFlow)
    active[place] = next < flowCount ? next++ : active[--activeCount];
}
flush();
closeSync(out);
console.log(`${file}: ${written} packets, ${flowCount} flows`);
