// Hash of the MediaTek packet processing engine (mtk_eth_soc, mtk_ppe.c; hw 4.2): which bucket a flow goes to.
//
// Three words are mixed (bitwise choice, rotation, folding); the result times the bucket width gives the first entry of
// the bucket. Vectors in the test are those of the specification. Words are host numbers: ports as source << 16 |
// destination, addresses most significant byte first.

/** Entries of one PPE. */
export const PPE_ENTRIES = 8192;

/** First entry of the bucket of an IPv4 5-tuple; `bucketEntries` is 2 (V1) or 4 (V2). */
export function ppeHashIpv4(
  srcIp: number,
  dstIp: number,
  ports: number,
  bucketEntries: number,
): number {
  return mix(ports, dstIp, srcIp, bucketEntries);
}

/** As ppeHashIpv4 for IPv6: four words each, the first word most significant on the wire, at `srcAt` and `dstAt`. */
export function ppeHashIpv6(
  words: Uint32Array,
  srcAt: number,
  dstAt: number,
  ports: number,
  bucketEntries: number,
): number {
  const s0 = words[srcAt];
  const d0 = words[dstAt];
  const hv1 = words[srcAt + 3] ^ words[dstAt + 3] ^ ports;
  const hv2 = words[srcAt + 2] ^ words[dstAt + 2] ^ d0;
  const hv3 = words[srcAt + 1] ^ words[dstAt + 1] ^ s0;
  return mix(hv1, hv2, hv3, bucketEntries);
}

function mix(hv1: number, hv2: number, hv3: number, bucketEntries: number): number {
  let h = (hv1 & hv2) | (~hv1 & hv3);
  h = (h << 8) | (h >>> 24);
  h ^= hv1 ^ hv2 ^ hv3;
  h ^= h >>> 16;
  h <<= 31 - Math.clz32(bucketEntries);
  return h & (PPE_ENTRIES - 1);
}
