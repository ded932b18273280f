// Any capture fits: deciding on which port of the two-port router each frame of a capture taken in the middle arrives.
//
// The unit is the address, not the packet: each address is put on one side when it is first seen (see address-book.ts), a
// frame arrives on its source's side. What decides for a pair of unknown addresses is the policy:
//   client-server  the side that opens a connection is the client, on port 0 (SYN, SYN+ACK, else the lower port is
//                  the server's, else the first sender is the client)
//   mac            the first station seen is on port 0, a station that it talks to on port 1, by MAC address
//   cidr=NET       addresses inside NET are on port 0, all others on port 1
//   none           every frame arrives on port 0; destinations are on port 1 unless seen as a source before
// Non-IP frames go by their source MAC, as a bridge would have learned it; unknown ones to port 0.

import { AddressBook, UNKNOWN_SIDE } from './address-book.ts';

/** How to split a capture; `prefixBytes` and `prefixLen` only for 'cidr'. */
export type SplitPolicy =
  | { kind: 'client-server' | 'mac' | 'none' }
  | { kind: 'cidr'; text: string; prefixBytes: Uint8Array; prefixLen: number };

/** Told of each address when it gets its side: where routes and neighbours come from. */
export interface AddressListener {
  /** `mac` is where its MAC address stands in `bytes`, −1 when the capture has none. */
  onAddress(family: 4 | 6, bytes: Uint8Array, at: number, side: number, macAt: number): void;
}

/** The headers of one frame as the split needs them; one object is reused. */
export interface FrameShape {
  /** 4, 6, or 0 for anything else. */
  family: 0 | 4 | 6;
  srcAt: number;
  dstAt: number;
  addressBytes: number;
  l4proto: number;
  /** Transport header, 0 when absent (fragment, truncated). */
  l4At: number;
  /** Destination is not one station (MAC or IP multicast, broadcast). */
  multicast: boolean;
}

const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMP6 = 58;
const SYN = 0x02;
const ACK = 0x10;

export class Splitter {
  readonly book = new AddressBook();
  private readonly macSides = new Map<number, number>();
  private readonly policy: SplitPolicy;
  private readonly listener: AddressListener;

  constructor(policy: SplitPolicy, listener: AddressListener) {
    this.policy = policy;
    this.listener = listener;
  }

  /**
   * The port (0 or 1) on which this frame arrives; enters addresses not seen before. `forced` ≥ 0 is the port that the
   * capture itself names: it then decides instead of the policy.
   */
  side(
    bytes: Uint8Array,
    frameAt: number,
    shape: FrameShape,
    macKnown: boolean,
    forced = -1,
  ): number {
    if (shape.family === 0 || shape.multicast)
      return forced >= 0 ? forced : this.sideOfStation(bytes, frameAt, shape);
    const family = shape.family;
    let src = this.book.sideOf(bytes, shape.srcAt, family);
    let dst = this.book.sideOf(bytes, shape.dstAt, family);
    if (src === UNKNOWN_SIDE || dst === UNKNOWN_SIDE) {
      const guess = forced >= 0 ? forced : this.guess(bytes, frameAt, shape, src, dst);
      if (src === UNKNOWN_SIDE) {
        src = guess;
        this.enter(bytes, shape.srcAt, family, src, macKnown ? frameAt + 6 : -1);
      }
      if (dst === UNKNOWN_SIDE) {
        // The address may equal the source's (a packet to itself): then it is known by now.
        dst = this.book.sideOf(bytes, shape.dstAt, family);
        if (dst === UNKNOWN_SIDE)
          this.enter(
            bytes,
            shape.dstAt,
            family,
            this.otherSide(bytes, shape, src),
            macKnown ? frameAt : -1,
          );
      }
      if (macKnown) this.macSides.set(mac48(bytes, frameAt + 6), src);
    }
    if (forced >= 0) return forced;
    return this.policy.kind === 'none' ? 0 : src;
  }

  private enter(bytes: Uint8Array, at: number, family: 4 | 6, side: number, macAt: number): void {
    this.book.add(bytes, at, family, side);
    this.listener.onAddress(family, bytes, at, side, macAt);
  }

  /** Side of the source, when source or destination is unknown. */
  private guess(
    bytes: Uint8Array,
    frameAt: number,
    shape: FrameShape,
    src: number,
    dst: number,
  ): number {
    if (src !== UNKNOWN_SIDE) return src;
    const policy = this.policy;
    if (policy.kind === 'cidr')
      return inside(bytes, shape.srcAt, shape.addressBytes, policy) ? 0 : 1;
    if (policy.kind === 'none') return 0;
    if (policy.kind === 'mac') return this.stationSide(bytes, frameAt);
    if (dst !== UNKNOWN_SIDE) return 1 - dst;
    return sourceIsClient(bytes, shape) ? 0 : 1;
  }

  private otherSide(bytes: Uint8Array, shape: FrameShape, src: number): number {
    if (this.policy.kind === 'cidr')
      return inside(bytes, shape.dstAt, shape.addressBytes, this.policy) ? 0 : 1;
    return 1 - src;
  }

  private stationSide(bytes: Uint8Array, frameAt: number): number {
    const src = mac48(bytes, frameAt + 6);
    const known = this.macSides.get(src);
    if (known !== undefined) return known;
    const peer = this.macSides.get(mac48(bytes, frameAt));
    const side = peer === undefined ? (this.macSides.size === 0 ? 0 : 1) : 1 - peer;
    this.macSides.set(src, side);
    return side;
  }

  /** Frames that no route decides: by the station that sent them, or by the sender's address. */
  private sideOfStation(bytes: Uint8Array, frameAt: number, shape: FrameShape): number {
    if (this.policy.kind === 'none') return 0;
    if (shape.family !== 0) {
      const side = this.book.sideOf(bytes, shape.srcAt, shape.family);
      if (side !== UNKNOWN_SIDE) return side;
    }
    return this.macSides.get(mac48(bytes, frameAt + 6)) ?? 0;
  }
}

/** Whether the source of a first packet looks like the side that opened the connection. */
export function sourceIsClient(bytes: Uint8Array, shape: FrameShape): boolean {
  const { l4proto, l4At } = shape;
  if (l4At === 0) return true;
  if (l4proto === ICMP) return bytes[l4At] !== 0;
  if (l4proto === ICMP6) return bytes[l4At] !== 129;
  if (l4proto !== TCP && l4proto !== UDP) return true;
  if (l4proto === TCP) {
    const flags = bytes[l4At + 13];
    if ((flags & SYN) !== 0) return (flags & ACK) === 0;
  }
  const sport = (bytes[l4At] << 8) | bytes[l4At + 1];
  const dport = (bytes[l4At + 2] << 8) | bytes[l4At + 3];
  return sport >= dport;
}

function inside(
  bytes: Uint8Array,
  at: number,
  addressBytes: number,
  net: { prefixBytes: Uint8Array; prefixLen: number },
): boolean {
  if (net.prefixBytes.length !== addressBytes) return false;
  const whole = net.prefixLen >> 3;
  for (let i = 0; i < whole; i++) if (bytes[at + i] !== net.prefixBytes[i]) return false;
  const rest = net.prefixLen & 7;
  return (
    rest === 0 || ((bytes[at + whole] ^ net.prefixBytes[whole]) & (0xff00 >> rest) & 0xff) === 0
  );
}

function mac48(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] << 8) | bytes[at + 1];
  const low =
    ((bytes[at + 2] << 24) | (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5]) >>> 0;
  return high * 4294967296 + low;
}
