// The MediaTek hash and its buckets, transcribed from the published formula in BigInt, and flows placed first come first served.

const BITS32 = 0xffffffffn;

/** First entry of a flow's bucket. */
export function ppeBucket(src: bigint, dst: bigint, ports: bigint, bucketEntries: number): number {
  const hv1 = ports;
  const hv2 = dst;
  const hv3 = src;
  let h = (hv1 & hv2) | (~hv1 & BITS32 & hv3);
  h = ((h << 8n) | (h >> 24n)) & BITS32;
  h ^= hv1 ^ hv2 ^ hv3;
  h ^= h >> 16n;
  h = (h << (bucketEntries === 4 ? 2n : 1n)) & BITS32;
  return Number(h & 8191n);
}

/** How many of these buckets' flows find a place. */
export function flowsPlaced(
  buckets: readonly number[],
  bucketEntries: number,
  statics: readonly number[],
): number {
  const used = new Set<number>();
  let placed = 0;
  for (const first of buckets)
    for (let entry = first; entry < first + bucketEntries; entry++)
      if (!used.has(entry) && !statics.includes(entry % 128)) {
        used.add(entry);
        placed++;
        break;
      }
  return placed;
}
