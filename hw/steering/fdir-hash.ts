// The hash of Flow Director (82599 datasheet 7.1.2.7): which bucket a packet or filter belongs to, and its signature.
//
// The input is a stream of eleven words, most significant byte first on the wire:
//
//   0         pool, flow type, VLAN tag                 1 to 4, 5 to 8   destination and source address (IPv4: the first word)
//   9         source port, destination port             10               flexible bytes, 0
//
// Words 1 to 10 only ever enter as their XOR, `common`; word 0 enters twice over, shifted by half a word. With hi and lo below, bit
// n of the key's low half adds lo >> n, bit n of its high half adds hi >> n. The first bit of the stream must not be hashed with key
// bit 0, so lo gets word 0 only after that. Drivers compute the same value for filters they add; the device for every packet. The
// two keys of Linux drivers are given here for both sides. Read against ixgbe (ixgbe_82599.c, ixgbe_atr_compute_sig_hash_82599 and
// ..._perfect_hash_82599): the same, there with the signature in the upper half of one word.

/** Keys that drivers write to FDIRHKEY and FDIRSKEY, and so hash with. */
export const BUCKET_KEY = 0x3dad14e2;
export const SIGNATURE_KEY = 0x174d3614;

/** Flow types: transport in bits 1:0 (0 none, 1 UDP, 2 TCP, 3 SCTP), IPv6 in bit 2. */
export const FLOW_UDP = 1;
export const FLOW_TCP = 2;
export const FLOW_SCTP = 3;
export const FLOW_IPV6 = 4;

/** Bits of both hashes. */
const HASH_MASK = 0x7fff;

/** 15-bit hash of a stream: `head` is word 0, `common` the XOR of words 1 to 10. */
export function fdirHash(head: number, common: number, key: number): number {
  const swapped = (common >>> 16) | (common << 16);
  const hi = common ^ head ^ (head >>> 16);
  const lo = swapped ^ head ^ (head << 16);
  let hash = 0;
  if ((key & 1) !== 0) hash ^= swapped;
  if ((key & 0x10000) !== 0) hash ^= hi;
  for (let n = 1; n < 16; n++) {
    if (((key >>> n) & 1) !== 0) hash ^= lo >>> n;
    if (((key >>> (n + 16)) & 1) !== 0) hash ^= hi >>> n;
  }
  return hash & HASH_MASK;
}
