// Runs an entry's action list on a frame in device memory. Order: pop tag, MAC addresses, IP addresses, ports, TTL,
// push tag. Checksums are updated incrementally and exactly (RFC 1624), so a wrong one stays wrong by the same amount.
//
// A UDP checksum of 0 ("none", IPv4) stays 0; one that becomes 0 is written as 0xffff. The flow stage lets through only
// whole packets with a transport header, which is what the port and checksum offsets rely on. `at` moves when a tag is
// pushed (into the slot's headroom) or popped.

import { ActionFlag } from '../admin/format.ts';
import * as A from './action-ram.ts';
import { K_FAMILY, K_L3_AT, K_L4_AT, K_PROTO, K_VLAN_COUNT } from '../parse/key-layout.ts';
import * as H from '../wire/headers.ts';
import { delta32, updateChecksum } from '../wire/checksum.ts';

const REWRITES =
  ActionFlag.SET_SRC |
  ActionFlag.SET_DST |
  ActionFlag.SET_SPORT |
  ActionFlag.SET_DPORT |
  ActionFlag.DEC_TTL;

export class ActionExecutor {
  /** The frame: offset and length, in and out. */
  at = 0;
  lenBytes = 0;
  private readonly view: DataView;
  private l4Delta = 0;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Applies the action list at `words[actionAt]` to the frame that `key` describes. */
  run(words: Uint32Array, actionAt: number, key: Uint32Array): void {
    const flags = words[actionAt + A.A_FLAGS];
    const l3At = this.at + key[K_L3_AT];
    const l4At = this.at + key[K_L4_AT];
    if ((flags & ActionFlag.POP_VLAN) !== 0 && key[K_VLAN_COUNT] > 0) this.pop();
    if ((flags & ActionFlag.SET_ETH) !== 0) {
      this.view.setUint32(this.at, words[actionAt + A.A_ETH]);
      this.view.setUint32(this.at + 4, words[actionAt + A.A_ETH + 1]);
      this.view.setUint32(this.at + 8, words[actionAt + A.A_ETH + 2]);
    }
    if ((flags & REWRITES) !== 0) {
      this.l4Delta = 0;
      if (key[K_FAMILY] === 4) this.rewriteIpv4(words, actionAt, flags, l3At);
      else this.rewriteIpv6(words, actionAt, flags, l3At);
      if (key[K_L4_AT] !== 0) {
        this.rewritePorts(words, actionAt, flags, l4At);
        this.fixTransport(key[K_PROTO], l4At);
      }
    }
    if ((flags & ActionFlag.PUSH_VLAN) !== 0) this.push(words[actionAt + A.A_PUSH_TCI]);
  }

  private pop(): void {
    const v = this.view;
    const at = this.at;
    const w0 = v.getUint32(at);
    const w1 = v.getUint32(at + 4);
    const w2 = v.getUint32(at + 8);
    this.at = at + H.VLAN_TAG_BYTES;
    this.lenBytes -= H.VLAN_TAG_BYTES;
    v.setUint32(at + 4, w0);
    v.setUint32(at + 8, w1);
    v.setUint32(at + 12, w2);
  }

  private push(tci: number): void {
    const v = this.view;
    const at = this.at - H.VLAN_TAG_BYTES;
    v.setUint32(at, v.getUint32(at + 4));
    v.setUint32(at + 4, v.getUint32(at + 8));
    v.setUint32(at + 8, v.getUint32(at + 12));
    v.setUint32(at + 12, H.ETHERTYPE_VLAN * 0x10000 + tci);
    this.at = at;
    this.lenBytes += H.VLAN_TAG_BYTES;
  }

  /** Writes a word and returns the change of a one's-complement sum over it. */
  private swap(at: number, word: number): number {
    const old = this.view.getInt32(at);
    this.view.setInt32(at, word);
    return delta32(old, word);
  }

  private rewriteIpv4(words: Uint32Array, a: number, flags: number, l3At: number): void {
    let delta = 0;
    if ((flags & ActionFlag.SET_SRC) !== 0)
      delta += this.swap(l3At + H.IPV4_SRC_AT, words[a + A.A_SRC]);
    if ((flags & ActionFlag.SET_DST) !== 0)
      delta += this.swap(l3At + H.IPV4_DST_AT, words[a + A.A_DST]);
    this.l4Delta += delta;
    if ((flags & ActionFlag.DEC_TTL) !== 0) {
      const ttlWord = this.view.getInt32(l3At + H.IPV4_TTL_AT) & 0xffff0000;
      this.view.setUint8(l3At + H.IPV4_TTL_AT, (ttlWord >>> 24) - 1);
      delta += delta32(ttlWord, (ttlWord - 0x01000000) | 0) - 0xffff; // low halves are 0: ~0 + 0
    }
    if (delta === 0) return;
    const checksumAt = l3At + H.IPV4_CHECKSUM_AT;
    this.view.setUint16(checksumAt, updateChecksum(this.view.getUint16(checksumAt), delta));
  }

  private rewriteIpv6(words: Uint32Array, a: number, flags: number, l3At: number): void {
    for (let i = 0; i < 4; i++) {
      if ((flags & ActionFlag.SET_SRC) !== 0)
        this.l4Delta += this.swap(l3At + H.IPV6_SRC_AT + 4 * i, words[a + A.A_SRC + i]);
      if ((flags & ActionFlag.SET_DST) !== 0)
        this.l4Delta += this.swap(l3At + H.IPV6_DST_AT + 4 * i, words[a + A.A_DST + i]);
    }
    if ((flags & ActionFlag.DEC_TTL) !== 0) {
      const hopAt = l3At + H.IPV6_HOP_AT;
      this.view.setUint8(hopAt, this.view.getUint8(hopAt) - 1);
    }
  }

  private rewritePorts(words: Uint32Array, a: number, flags: number, l4At: number): void {
    if ((flags & (ActionFlag.SET_SPORT | ActionFlag.SET_DPORT)) === 0) return;
    const ports = words[a + A.A_PORTS];
    const old = this.view.getInt32(l4At);
    const high = (flags & ActionFlag.SET_SPORT) !== 0 ? ports & 0xffff0000 : old & 0xffff0000;
    const low = (flags & ActionFlag.SET_DPORT) !== 0 ? ports & 0xffff : old & 0xffff;
    this.l4Delta += this.swap(l4At, high | low);
  }

  private fixTransport(proto: number, l4At: number): void {
    if (this.l4Delta === 0) return;
    const isUdp = proto === H.PROTO_UDP;
    if (!isUdp && proto !== H.PROTO_TCP) return;
    const checksumAt = l4At + (isUdp ? H.UDP_CHECKSUM_AT : H.TCP_CHECKSUM_AT);
    const old = this.view.getUint16(checksumAt);
    if (isUdp && old === 0) return;
    const sum = updateChecksum(old, this.l4Delta);
    this.view.setUint16(checksumAt, isUdp && sum === 0 ? 0xffff : sum);
  }
}
