// Which side of the router each address of a capture is on, and which station answers for it.
//
// An address gets its side once, when it is first seen, and keeps it: routes must not flap with every packet. The book is
// an open-addressing table over the four words of an address (IPv4 as ::ffff:a.b.c.d), 16 bytes and a side an entry, so
// that a capture with a million addresses costs 40 MB and a look-up about 20 ns.

/** Side of an address that the book does not hold. */
export const UNKNOWN_SIDE = -1;

export class AddressBook {
  /** Addresses held. */
  count = 0;
  private slots = 1024;
  private words = new Int32Array(this.slots * 4);
  private sides = new Int8Array(this.slots).fill(UNKNOWN_SIDE);

  /** Side of the address at `at` (4 or 16 bytes), or UNKNOWN_SIDE. */
  sideOf(bytes: Uint8Array, at: number, family: number): number {
    return this.sides[this.find(bytes, at, family)];
  }

  /** Enters an address; the caller has seen that it is unknown. */
  add(bytes: Uint8Array, at: number, family: number, side: number): void {
    if (this.count * 2 >= this.slots) this.grow();
    const slot = this.find(bytes, at, family);
    this.words[slot * 4] = word(bytes, at, family, 0);
    this.words[slot * 4 + 1] = word(bytes, at, family, 1);
    this.words[slot * 4 + 2] = word(bytes, at, family, 2);
    this.words[slot * 4 + 3] = word(bytes, at, family, 3);
    this.sides[slot] = side;
    this.count++;
  }

  /** The slot that holds the address, or the free one where it would go. */
  private find(bytes: Uint8Array, at: number, family: number): number {
    return this.probe(
      word(bytes, at, family, 0),
      word(bytes, at, family, 1),
      word(bytes, at, family, 2),
      word(bytes, at, family, 3),
    );
  }

  private probe(w0: number, w1: number, w2: number, w3: number): number {
    const mask = this.slots - 1;
    let slot = hash(w0, w1, w2, w3) & mask;
    while (this.sides[slot] !== UNKNOWN_SIDE) {
      const k = slot * 4;
      if (
        this.words[k + 3] === w3 &&
        this.words[k + 2] === w2 &&
        this.words[k + 1] === w1 &&
        this.words[k] === w0
      )
        break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private grow(): void {
    const { words, sides, slots } = this;
    this.slots = slots * 2;
    this.words = new Int32Array(this.slots * 4);
    this.sides = new Int8Array(this.slots).fill(UNKNOWN_SIDE);
    for (let old = 0; old < slots; old++) {
      if (sides[old] === UNKNOWN_SIDE) continue;
      const k = old * 4;
      const slot = this.probe(words[k], words[k + 1], words[k + 2], words[k + 3]);
      this.words.set(words.subarray(k, k + 4), slot * 4);
      this.sides[slot] = sides[old];
    }
  }
}

function word(bytes: Uint8Array, at: number, family: number, index: number): number {
  if (family === 4) {
    if (index < 2) return 0;
    if (index === 2) return 0xffff;
    return be32(bytes, at);
  }
  return be32(bytes, at + index * 4);
}

function be32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

function hash(w0: number, w1: number, w2: number, w3: number): number {
  let h = Math.imul(w3, 0x9e3779b1 | 0) ^ Math.imul(w2, 0x85ebca6b | 0);
  h = Math.imul(h ^ (h >>> 15) ^ w1, 0xc2b2ae35 | 0) ^ w0;
  h = Math.imul(h ^ (h >>> 13), 0x27d4eb2f);
  return h ^ (h >>> 16);
}
