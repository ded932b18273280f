// Slow and plain oracles for the IP layer: longest prefix by trying every route, the Internet checksum in BigInt, reassembly by
// painting bytes. Written from the RFCs, not from the code under test.

/** A route of the oracle: the answer is its index. */
export interface NaiveRoute {
  address: readonly number[];
  prefixLen: number;
}

/** Index of the matching route with the longest prefix, −1 for none; the first one among equals. */
export function naiveLongestPrefix(
  routes: readonly NaiveRoute[],
  address: readonly number[],
): number {
  let best = -1;
  let bestLen = -1;
  routes.forEach((route, index) => {
    if (
      route.prefixLen > bestLen &&
      bits(route.address, route.prefixLen) === bits(address, route.prefixLen)
    ) {
      best = index;
      bestLen = route.prefixLen;
    }
  });
  return best;
}

function bits(address: readonly number[], length: number): string {
  return address
    .map((b) => b.toString(2).padStart(8, '0'))
    .join('')
    .slice(0, length);
}

/** RFC 1071 over bytes, as one big number modulo 65535. */
export function naiveChecksum(bytes: Uint8Array): number {
  let value = 0n;
  const even = bytes.length % 2 === 0 ? bytes : Uint8Array.from([...bytes, 0]);
  for (const byte of even) value = value * 256n + BigInt(byte);
  const folded = value === 0n ? 0n : ((value - 1n) % 65535n) + 1n;
  return Number(0xffffn - folded);
}
