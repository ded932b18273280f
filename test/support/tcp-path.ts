// Segments of one TCP connection by short words (`cSA`: client, SYN+ACK), with sequence numbers kept as two hosts would.

import { hex } from './nf-stack.ts';

const FLAGS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 };
const FIRST_CLIENT = 1000;
const FIRST_SERVER = 5000;

function put32(bytes: Uint8Array, at: number, value: number): void {
  new DataView(bytes.buffer).setUint32(at, value);
}

/** Fills in the TCP checksum of a 14 + 20 + n frame. */
function checksum(frame: Uint8Array): void {
  const view = new DataView(frame.buffer);
  const lenBytes = frame.length - 34;
  view.setUint16(50, 0);
  let sum = 6 + lenBytes;
  for (let i = 26; i < frame.length; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(50, ~sum & 0xffff);
}

/** A segment of a path ("cSA": client, SYN+ACK) with sequence numbers kept as two hosts would. */
export class TcpPath {
  private readonly next = { c: FIRST_CLIENT, s: FIRST_SERVER };
  private readonly seen = { c: 0, s: 0 };

  /** `isRepeated`: a SYN comes with the first sequence number again, as a retransmission does. */
  segment(
    word: string,
    clientPort: number,
    isRepeated = false,
  ): { frame: Uint8Array; from: number } {
    const side = word.charAt(0) as 'c' | 's';
    const peer = side === 'c' ? 's' : 'c';
    const flags = [...word.slice(1)].reduce((bits, letter) => bits | FLAGS[letter], 0);
    const frame = hex(
      '020000000101020000000102080045000028000100004006af23c0a801020a0000024e2100500000000000000000500000000000' +
        '0000',
    );
    frame[47] = flags;
    frame[48] = 0xfa;
    frame[49] = 0xf0;
    const view = new DataView(frame.buffer);
    if (side === 's') {
      view.setUint32(26, 0x0a000002);
      view.setUint32(30, 0xc0a80102);
    }
    view.setUint16(34, side === 'c' ? clientPort : 80);
    view.setUint16(36, side === 'c' ? 80 : clientPort);
    const isSyn = (flags & 2) !== 0 && isRepeated;
    put32(frame, 38, isSyn ? (side === 'c' ? FIRST_CLIENT : FIRST_SERVER) : this.next[side]);
    put32(
      frame,
      42,
      (flags & 16) !== 0 ? (this.seen[side] === 0 ? this.next[peer] : this.seen[side]) : 0,
    );
    this.next[side] += (flags & 3) !== 0 ? 1 : 0;
    this.seen[peer] = this.next[side];
    checksum(frame);
    return { frame, from: side === 'c' ? 0 : 1 };
  }
}
