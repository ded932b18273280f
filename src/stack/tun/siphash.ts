// SipHash-2-4 (Aumasson and Bernstein, 2012) with 128-bit key and 64-bit result, in halves of 32 bits: BigInt costs 9 to 25 ns
// an operation here, and one hash takes some 300. Input is a whole number of 32-bit words, as flow keys are.
//
// The state v0..v3 lives in fields (two each): a function returns one number only. Checked against the published vectors and a
// BigInt oracle in the tests.

export class SipHash {
  /** Out-parameters of `hash`: the 64-bit result, unsigned halves. */
  low = 0;
  high = 0;

  private readonly key: Uint32Array;
  private v0l = 0;
  private v0h = 0;
  private v1l = 0;
  private v1h = 0;
  private v2l = 0;
  private v2h = 0;
  private v3l = 0;
  private v3h = 0;

  /** `key` is 16 bytes as four little-endian words. */
  constructor(key: ArrayLike<number>) {
    this.key = Uint32Array.from(Array.from(key).slice(0, 4));
  }

  /** Hashes the first `count` words (little-endian) of `words` and the `tailBytes` (0 to 3) low bytes of the word after them. */
  hash(words: Uint32Array, count: number, tailBytes = 0): void {
    const [k0l, k0h, k1l, k1h] = this.key;
    this.v0l = k0l ^ 0x70736575;
    this.v0h = k0h ^ 0x736f6d65;
    this.v1l = k1l ^ 0x6e646f6d;
    this.v1h = k1h ^ 0x646f7261;
    this.v2l = k0l ^ 0x6e657261;
    this.v2h = k0h ^ 0x6c796765;
    this.v3l = k1l ^ 0x79746573;
    this.v3h = k1h ^ 0x74656462;
    let i = 0;
    for (; i + 1 < count; i += 2) this.absorb(words[i], words[i + 1]);
    // The last block: what is left of the words, the tail, and the length in its top byte.
    const tail = tailBytes === 0 ? 0 : words[count] & ((1 << (8 * tailBytes)) - 1);
    const top = ((count * 4 + tailBytes) & 0xff) << 24;
    if (i < count) this.absorb(words[i], tail | top);
    else this.absorb(tail, top);
    this.v2l ^= 0xff;
    for (let round = 0; round < 4; round++) this.round();
    this.low = (this.v0l ^ this.v1l ^ this.v2l ^ this.v3l) >>> 0;
    this.high = (this.v0h ^ this.v1h ^ this.v2h ^ this.v3h) >>> 0;
  }

  private absorb(low: number, high: number): void {
    this.v3l ^= low;
    this.v3h ^= high;
    this.round();
    this.round();
    this.v0l ^= low;
    this.v0h ^= high;
  }

  private round(): void {
    let { v0l, v0h, v1l, v1h, v2l, v2h, v3l, v3h } = this;
    let low = (v0l >>> 0) + (v1l >>> 0);
    v0h = (v0h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
    v0l = low | 0;
    let l = (v1l << 13) | (v1h >>> 19);
    v1h = ((v1h << 13) | (v1l >>> 19)) ^ v0h;
    v1l = l ^ v0l;
    l = v0h; // rotate by 32
    v0h = v0l;
    v0l = l;
    low = (v2l >>> 0) + (v3l >>> 0);
    v2h = (v2h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
    v2l = low | 0;
    l = (v3l << 16) | (v3h >>> 16);
    v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h;
    v3l = l ^ v2l;
    low = (v0l >>> 0) + (v3l >>> 0);
    v0h = (v0h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
    v0l = low | 0;
    l = (v3l << 21) | (v3h >>> 11);
    v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h;
    v3l = l ^ v0l;
    low = (v2l >>> 0) + (v1l >>> 0);
    v2h = (v2h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
    v2l = low | 0;
    l = (v1l << 17) | (v1h >>> 15);
    v1h = ((v1h << 17) | (v1l >>> 15)) ^ v2h;
    v1l = l ^ v2l;
    l = v2h;
    v2h = v2l;
    v2l = l;
    this.v0l = v0l;
    this.v0h = v0h;
    this.v1l = v1l;
    this.v1h = v1h;
    this.v2l = v2l;
    this.v2h = v2h;
    this.v3l = v3l;
    this.v3h = v3h;
  }
}
