// The run digest: 64 bits that any difference in what a run did should change. Same seed and inputs, same digest, on
// every machine and in every worker thread.
//
// Fed with every egress frame (port, start time, length, the first 64 bytes) and with the final counters. The payload
// beyond 64 bytes is left out: nothing in the model changes it, and hashing it would cost more than forwarding it.
// Two 32-bit multiply-rotate lanes (as murmur3 mixes), not a cryptographic hash.

const HEAD_BYTES = 64;

export class Digest {
  private a = 0x243f6a88 | 0;
  private b = 0x85a308d3 | 0;

  /** Mixes one 32-bit word in. */
  word(value: number): void {
    let k = Math.imul(value, 0xcc9e2d51 | 0);
    k = (k << 15) | (k >>> 17);
    this.a ^= Math.imul(k, 0x1b873593);
    this.a = (Math.imul((this.a << 13) | (this.a >>> 19), 5) + (0xe6546b64 | 0)) | 0;
    this.b = (Math.imul(this.b ^ value, 0x9e3779b1 | 0) + ((this.a << 7) | (this.a >>> 25))) | 0;
  }

  /** Mixes a non-negative number of up to 2^53. */
  number(value: number): void {
    this.word(value | 0);
    this.word(Math.floor(value / 4294967296) | 0);
  }

  /** Mixes text, one UTF-16 unit a word. */
  text(value: string): void {
    for (let i = 0; i < value.length; i++) this.word(value.charCodeAt(i));
  }

  /** Mixes the head of a frame. `word` by hand, with both lanes in locals: 16 calls are 16 loads and stores of each. */
  frame(bytes: Uint8Array, at: number, lenBytes: number): void {
    this.word(lenBytes);
    const end = at + (lenBytes < HEAD_BYTES ? lenBytes : HEAD_BYTES);
    let a = this.a;
    let b = this.b;
    let i = at;
    for (; i + 4 <= end; i += 4) {
      const value = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
      let k = Math.imul(value, 0xcc9e2d51 | 0);
      k = (k << 15) | (k >>> 17);
      a ^= Math.imul(k, 0x1b873593);
      a = (Math.imul((a << 13) | (a >>> 19), 5) + (0xe6546b64 | 0)) | 0;
      b = (Math.imul(b ^ value, 0x9e3779b1 | 0) + ((a << 7) | (a >>> 25))) | 0;
    }
    this.a = a;
    this.b = b;
    for (; i < end; i++) this.word(bytes[i]);
  }

  /** 16 hex digits. */
  hex(): string {
    return hex32(finish(this.a)) + hex32(finish(this.b ^ this.a));
  }
}

function finish(value: number): number {
  let h = value;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b | 0);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35 | 0);
  return h ^ (h >>> 16);
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
