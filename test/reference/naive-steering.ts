// Queue filters and Flow Director filters as plain lists of plain fields, searched from the top; and the Flow Director hash bit by
// bit over its stream. What the register model must agree with.

/** A packet as the filters see it; ports −1 where it has none. */
export interface PlainPacket {
  etherType: number;
  src: number;
  dst: number;
  proto: number;
  sport: number;
  dport: number;
  isSyn: boolean;
}

export interface PlainTuple {
  number: number;
  priority: number;
  queue: number;
  src: number | null;
  dst: number | null;
  sport: number | null;
  dport: number | null;
  /** 6, 17, 132, or 0 for any other. */
  proto: number | null;
}

/** The 5-tuple filter that wins, −1 for none. */
export function tupleWinner(filters: readonly PlainTuple[], packet: PlainPacket): number {
  const matching = filters.filter((one) => {
    if (packet.etherType !== 0x800) return false;
    const proto = [6, 17, 132].includes(packet.proto) ? packet.proto : 0;
    return (
      (one.src === null || one.src === packet.src) &&
      (one.dst === null || one.dst === packet.dst) &&
      (one.sport === null || one.sport === packet.sport) &&
      (one.dport === null || one.dport === packet.dport) &&
      (one.proto === null || one.proto === proto)
    );
  });
  matching.sort((a, b) => b.priority - a.priority || a.number - b.number);
  return matching[0]?.number ?? -1;
}

/**
 * The 15-bit Flow Director hash, one output bit at a time: output bit i is the parity of the stream bits that key bit n selects,
 * i places above it. The two halves of the folded stream are kept as arrays of bits.
 */
export function naiveFdirHash(words: readonly number[], key: number): number {
  const bit = (value: number, at: number): number => (at > 31 ? 0 : (value >>> at) & 1);
  const common = words.slice(1).reduce((sum, word) => sum ^ word, 0);
  const head = words[0];
  // Bit arrays: index is the bit number.
  const plain = Array.from({ length: 32 }, (_, i) => bit(common, (i + 16) % 32));
  const low = plain.map((b, i) => b ^ bit(head, i) ^ (i >= 16 ? bit(head, i - 16) : 0));
  const high = Array.from(
    { length: 32 },
    (_, i) => bit(common, i) ^ bit(head, i) ^ bit(head, i + 16),
  );
  let hash = 0;
  for (let out = 0; out < 15; out++) {
    let parity = 0;
    for (let n = 0; n < 16; n++) {
      const from = n === 0 ? plain : low;
      if (bit(key, n) === 1) parity ^= from[out + n] ?? 0;
      if (bit(key, n + 16) === 1) parity ^= high[out + n] ?? 0;
    }
    hash |= parity << out;
  }
  return hash;
}
