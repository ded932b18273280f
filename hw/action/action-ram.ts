// Action memory: one encoded action list per table entry, 18 words in a row of 32 (what an IPv4 entry
// needs is in the first 16: one cache line), decoded once when the entry is added.
// The order of execution is fixed (see execute.ts); flags say which steps an entry has.

export const ACTION_WORDS = 32;
/** ActionFlag bits (admin/format.ts). */
export const A_FLAGS = 0;
/** Verdict in bits 7:0, egress port 15:8, queue 23:16. */
export const A_VERDICT = 1;
export const A_MARK = 2;
/** Destination and source MAC as three big-endian words. */
export const A_ETH = 3;
/** New source port << 16 | new destination port. */
export const A_PORTS = 6;
/** TCI to push. */
export const A_PUSH_TCI = 7;
/** Longest L3 packet that may be forwarded, 0 for no limit. */
export const A_MTU = 8;
/** New addresses, four words each (IPv4: the first). */
export const A_SRC = 9;
export const A_DST = 13;
/** 4 or 6: which addresses and TTL field to rewrite. */
export const A_FAMILY = 17;

export class ActionRam {
  readonly words: Uint32Array;

  constructor(entries: number) {
    this.words = new Uint32Array(entries * ACTION_WORDS);
  }

  /** Copies an action into the slot of `handle`. */
  write(handle: number, action: Uint32Array): void {
    const at = handle * ACTION_WORDS;
    for (let i = 0; i < ACTION_WORDS; i++) this.words[at + i] = action[i];
  }

  /** Word `index` of an entry's action. */
  word(handle: number, index: number): number {
    return this.words[handle * ACTION_WORDS + index];
  }
}
