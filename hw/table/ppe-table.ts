// Flow table of the MediaTek packet processing engine: fixed buckets, no displacement, entries that the hardware makes
// itself and the driver binds (mtk_ppe.c; hw 4.2).
//
// Naive idea: the driver writes an entry for each flow. What this hardware does: the first packet of a flow that hits
// nothing makes an UNBIND entry in a free place of its bucket; each further packet counts; when the flow's rate
// reaches 30 packets in one tick of a second, the packet goes to the CPU with reason 0x0f, and the driver, if it has the
// flow on record, copies its entry there: BIND, forwarded in hardware from then on. No packet is bound before that. A
// bucket has 2 or 4 entries; when they are all in use by other flows, a flow stays in software (`collisions`).
//
// MT7621: entries of 80 bytes that cross a 1024-byte boundary do not work. The driver marks seven of every 128 STATIC, so
// 7744 of 8192 are used. (By arithmetic number 115 crosses too; the driver's list does not have it, and we follow that.)
// Aging in ticks of 1 s by state and protocol: UNBIND 3, UDP 12, TCP 7, FIN 1, others 1.
// Swept lazily: an entry past its age is free when its bucket is next looked at, and `sweep` clears all of them.
// Not here: the 1000-packet floor under UNBIND aging, multicast, tunnels, the CPU reasons of packets that never come this far (the pipeline's gates), 15- and 8-bit
// wrap of the time stamp, the accounting memory of later chips.

import { EXACT_KEY_WORDS } from '../parse/key-layout.ts';
import { PROTO_TCP, PROTO_UDP } from '../wire/headers.ts';
import { PPE_ENTRIES } from './ppe-hash.ts';

/** State of an entry. */
export const PPE_INVALID = 0;
export const PPE_UNBIND = 1;
export const PPE_BIND = 2;
export const PPE_FIN = 3;
/** Reserved: would cross a 1024-byte boundary. */
export const PPE_STATIC = 4;

/** What `packet` says: 0 is forwarded in hardware; the others are the CPU reasons of mtk_ppe.h. */
export const PPE_FORWARD = 0;
export const PPE_UN_HIT = 0x0d;
export const PPE_HIT_UNBIND = 0x0e;
export const PPE_HIT_UNBIND_RATE_REACHED = 0x0f;
export const PPE_HIT_BIND_TCP_FIN = 0x10;

export interface PpeConfig {
  /** 2 (V1: MT7621, MT7622, MT7623) or 4 (V2: MT7981, MT7986). */
  bucketEntries: 2 | 4;
  /** Entries of every 128 that are never used. */
  staticEntries: readonly number[];
  /** Packets in one tick that make a flow worth binding. */
  bindRate: number;
}

export const MT7621_PPE: PpeConfig = {
  bucketEntries: 2,
  staticEntries: [12, 25, 38, 51, 76, 89, 102],
  bindRate: 30,
};

export const MT7986_PPE: PpeConfig = {
  bucketEntries: 4,
  staticEntries: [],
  bindRate: 30,
};

const AGE_UNBIND = 3;
const AGE_UDP = 12;
const AGE_TCP = 7;
const AGE_FIN = 1;
const AGE_OTHER = 1;

export class PpeTable {
  /** Packets of new flows that found their bucket full. */
  collisions = 0;
  /** Entry of the last `packet`, −1 for none. */
  lastEntry = -1;
  readonly state = new Uint8Array(PPE_ENTRIES);

  private readonly config: PpeConfig;
  private readonly keys = new Uint32Array(PPE_ENTRIES * EXACT_KEY_WORDS);
  private readonly proto = new Uint8Array(PPE_ENTRIES);
  /** Tick of the last packet. */
  private readonly tick = new Float64Array(PPE_ENTRIES);
  /** Packets in that tick. */
  private readonly rate = new Int32Array(PPE_ENTRIES);

  constructor(config: PpeConfig) {
    this.config = config;
    for (let block = 0; block < PPE_ENTRIES; block += 128)
      for (const entry of config.staticEntries) this.state[block + entry] = PPE_STATIC;
  }

  /** Entries that can ever hold a flow. */
  get usable(): number {
    return this.countOf(PPE_STATIC, false);
  }

  /** Entries bound. */
  get bound(): number {
    return this.countOf(PPE_BIND, true);
  }

  /**
   * One packet of a flow at tick `nowTick` (whole seconds): `hash` is the first entry of its bucket, `key` its 11 words,
   * `isEnd` a TCP FIN or RST. Returns PPE_FORWARD or the reason for the CPU; `lastEntry` is the entry.
   */
  packet(hash: number, key: Uint32Array, proto: number, isEnd: boolean, nowTick: number): number {
    this.lastEntry = -1;
    let free = -1;
    for (let i = hash; i < hash + this.config.bucketEntries; i++) {
      this.expire(i, nowTick);
      const state = this.state[i];
      if (state === PPE_INVALID) {
        if (free < 0) free = i;
      } else if (state !== PPE_STATIC && this.keyEquals(i, key)) return this.hit(i, isEnd, nowTick);
    }
    if (free < 0) {
      this.collisions++;
      return PPE_UN_HIT;
    }
    this.state[free] = PPE_UNBIND;
    for (let w = 0; w < EXACT_KEY_WORDS; w++) this.keys[free * EXACT_KEY_WORDS + w] = key[w];
    this.proto[free] = proto;
    this.tick[free] = nowTick;
    this.rate[free] = 1;
    this.lastEntry = free;
    return PPE_UN_HIT;
  }

  /** The driver writes the entry of a flow that reached the rate; false unless it is in state UNBIND. */
  bind(entry: number): boolean {
    if (this.state[entry] !== PPE_UNBIND) return false;
    this.state[entry] = PPE_BIND;
    return true;
  }

  /** The driver clears an entry; false for a free or static one. */
  clear(entry: number): boolean {
    const state = this.state[entry];
    if (state === undefined || state === PPE_INVALID || state === PPE_STATIC) return false;
    this.state[entry] = PPE_INVALID;
    return true;
  }

  /** Frees every entry past its age; returns how many. */
  sweep(nowTick: number): number {
    let freed = 0;
    for (let i = 0; i < PPE_ENTRIES; i++) if (this.expire(i, nowTick)) freed++;
    return freed;
  }

  private hit(entry: number, isEnd: boolean, nowTick: number): number {
    this.lastEntry = entry;
    const isSameTick = this.tick[entry] === nowTick;
    this.rate[entry] = isSameTick ? this.rate[entry] + 1 : 1;
    this.tick[entry] = nowTick;
    const state = this.state[entry];
    if (state === PPE_BIND && isEnd) {
      this.state[entry] = PPE_FIN;
      return PPE_HIT_BIND_TCP_FIN;
    }
    if (state === PPE_BIND) return PPE_FORWARD;
    if (state === PPE_FIN) return PPE_HIT_BIND_TCP_FIN;
    return this.rate[entry] >= this.config.bindRate ? PPE_HIT_UNBIND_RATE_REACHED : PPE_HIT_UNBIND;
  }

  private expire(entry: number, nowTick: number): boolean {
    const state = this.state[entry];
    if (state === PPE_INVALID || state === PPE_STATIC) return false;
    const proto = this.proto[entry];
    const bound = proto === PROTO_UDP ? AGE_UDP : proto === PROTO_TCP ? AGE_TCP : AGE_OTHER;
    const age = state === PPE_UNBIND ? AGE_UNBIND : state === PPE_FIN ? AGE_FIN : bound;
    if (nowTick - this.tick[entry] <= age) return false;
    this.state[entry] = PPE_INVALID;
    return true;
  }

  private keyEquals(entry: number, key: Uint32Array): boolean {
    const at = entry * EXACT_KEY_WORDS;
    for (let w = 0; w < EXACT_KEY_WORDS; w++) if (this.keys[at + w] !== key[w]) return false;
    return true;
  }

  private countOf(state: number, isEqual: boolean): number {
    let count = 0;
    for (let i = 0; i < PPE_ENTRIES; i++) if ((this.state[i] === state) === isEqual) count++;
    return count;
  }
}
