// Writes of the staged pipeline to a frame: bits of PHV words, TTL, tags. Frame and words stay in step, checksums too.
//
// What the fixed flow stage can rewrite is done by its executor (action/execute.ts); TOS and a TTL of any value are done here.
// A write to a header that the frame does not have does nothing, as in hardware whose headers have a valid bit; nor do
// writes behind a header that is malformed. Tags pushed and popped shift everything: then the frame is parsed again. A slot of
// packet memory has room for PUSHES_MAX further tags; more are not pushed.

import { ActionFlag } from '../admin/format.ts';
import * as A from '../action/action-ram.ts';
import type { ActionExecutor } from '../action/execute.ts';
import * as K from '../parse/key-layout.ts';
import { parseFrame } from '../parse/parser.ts';
import { delta16, updateChecksum } from '../wire/checksum.ts';
import * as H from '../wire/headers.ts';
import * as P from './phv.ts';

const PUSHES_MAX = 8;

export class FrameEdit {
  /** Tags pushed to this frame; the pipeline clears it. */
  pushes = 0;
  private readonly executor: ActionExecutor;
  private readonly view: DataView;
  private readonly key: Uint32Array;
  private readonly phv: Uint32Array;
  private readonly words = new Uint32Array(A.ACTION_WORDS);

  constructor(executor: ActionExecutor, view: DataView, key: Uint32Array, phv: Uint32Array) {
    this.executor = executor;
    this.view = view;
    this.key = key;
    this.phv = phv;
  }

  /** Parses the frame again: after tags, or before somebody else reads the key. */
  parseAgain(): void {
    const { key, executor } = this;
    parseFrame(this.view, executor.at, executor.lenBytes, key[K.K_IN_PORT], key);
    P.fillPhv(key, this.phv);
  }

  /** Writes the bits of `mask` to a word. Whether the word may be written was checked when the entry was added. */
  set(word: number, value: number, mask: number): void {
    const { phv } = this;
    if (!this.hasWord(word)) return;
    const old = phv[word];
    phv[word] = (old & ~mask) | (value & mask);
    if (phv[word] === old) return;
    if (word === P.P_VLAN) this.view.setUint16(this.executor.at + 14, phv[word] >>> 16);
    else if (word >= P.P_ETH_HI && word <= P.P_ETH_SRC) this.setAddresses();
    else if (word === P.P_L3) this.setL3(old);
    else if (word >= P.P_SRC && word < P.P_DST) this.setIp(ActionFlag.SET_SRC, A.A_SRC, P.P_SRC);
    else if (word >= P.P_DST && word < P.P_PORTS) this.setIp(ActionFlag.SET_DST, A.A_DST, P.P_DST);
    else if (word === P.P_PORTS) this.setPorts();
  }

  /** False when the TTL would reach 0 (nothing is written then). */
  decTtl(): boolean {
    const { phv } = this;
    if (!this.hasWord(P.P_L3)) return true;
    const ttl = (phv[P.P_L3] >>> 8) & 0xff;
    if (ttl <= 1) return false;
    phv[P.P_L3] = phv[P.P_L3] - 0x100;
    this.run(ActionFlag.DEC_TTL);
    return true;
  }

  pushVlan(tci: number, tpid: number): void {
    if (this.pushes === PUSHES_MAX) return;
    this.pushes++;
    this.words[A.A_PUSH_TCI] = tci;
    this.run(ActionFlag.PUSH_VLAN);
    this.view.setUint16(this.executor.at + H.ETH_TYPE_AT, tpid);
    this.parseAgain();
  }

  popVlan(): void {
    if (this.key[K.K_VLAN_COUNT] === 0) return;
    this.run(ActionFlag.POP_VLAN);
    this.parseAgain();
  }

  /** Whether the frame has what a word stands for; metadata always. */
  private hasWord(word: number): boolean {
    if (word >= P.P_META) return true;
    const { key } = this;
    if (word === P.P_VLAN) return key[K.K_VLAN_COUNT] > 0;
    if (word <= P.P_ETH_SRC) return true;
    if (key[K.K_FAMILY] === 0 || (key[K.K_FLAGS] & K.PARSE_MALFORMED) !== 0) return false;
    if (word === P.P_PORTS) return (key[K.K_FLAGS] & K.PARSE_PORTS) !== 0;
    if (word === P.P_L3) return true;
    return key[K.K_FAMILY] === 6 || word === P.P_SRC || word === P.P_DST;
  }

  private run(flags: number): void {
    this.words[A.A_FLAGS] = flags;
    this.executor.run(this.words, 0, this.key);
  }

  private setAddresses(): void {
    const { phv, words } = this;
    const high = phv[P.P_ETH_HI];
    words[A.A_ETH] = (high & 0xffff0000) | (phv[P.P_ETH_DST] >>> 16);
    words[A.A_ETH + 1] = (phv[P.P_ETH_DST] << 16) | (high & 0xffff);
    words[A.A_ETH + 2] = phv[P.P_ETH_SRC];
    this.run(ActionFlag.SET_ETH);
  }

  private setIp(flag: number, actionWord: number, phvWord: number): void {
    for (let i = 0; i < 4; i++) this.words[actionWord + i] = this.phv[phvWord + i];
    this.run(flag);
  }

  private setPorts(): void {
    this.words[A.A_PORTS] = this.phv[P.P_PORTS];
    this.run(ActionFlag.SET_SPORT | ActionFlag.SET_DPORT);
  }

  /** TOS and TTL. */
  private setL3(old: number): void {
    const word = this.phv[P.P_L3];
    const tos = (word >>> 16) & 0xff;
    const ttl = (word >>> 8) & 0xff;
    const at = this.executor.at + this.key[K.K_L3_AT];
    const { view } = this;
    if (this.key[K.K_FAMILY] === 6) {
      view.setUint16(at, (view.getUint16(at) & 0xf00f) | (tos << 4));
      view.setUint8(at + H.IPV6_HOP_AT, ttl);
      return;
    }
    const oldTos = (old >>> 16) & 0xff;
    const oldTtl = (old >>> 8) & 0xff;
    // TOS is the low half of its 16-bit word, TTL the high half of its; what shares the word drops out of the sum.
    const delta = delta16(oldTos, tos) + delta16(oldTtl << 8, ttl << 8);
    view.setUint8(at + H.IPV4_TOS_AT, tos);
    view.setUint8(at + H.IPV4_TTL_AT, ttl);
    const sumAt = at + H.IPV4_CHECKSUM_AT;
    view.setUint16(sumAt, updateChecksum(view.getUint16(sumAt), delta));
  }
}
