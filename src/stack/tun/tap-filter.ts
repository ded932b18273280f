// The filter of destination addresses of a tap (TUNSETTXFILTER, drivers/net/tun.c update_filter and run_filter): up to eight exact
// addresses, further multicast ones by a mask of 64 bits, addressed by the top six bits of the Ethernet CRC.

const EXACT_MAX = 8;
const MAC_BYTES = 6;
const TUN_FLT_ALLMULTI = 0x0001;

export class TapFilter {
  /** Exact addresses; 0: the filter is off and everything passes. */
  count = 0;
  private readonly exact = new Uint8Array(EXACT_MAX * MAC_BYTES);
  private readonly mask = new Uint32Array(2);

  /** Takes a struct tun_filter; the number of exact addresses, −1 when the buffer is shorter than it says. */
  set(bytes: Uint8Array): number {
    if (bytes.length < 4) return -1;
    const flags = bytes[0] | (bytes[1] << 8);
    const count = bytes[2] | (bytes[3] << 8);
    if (count === 0) {
      this.count = 0;
      return 0;
    }
    if (bytes.length < 4 + count * MAC_BYTES) return -1;
    const addresses = bytes.subarray(4);
    this.count = 0;
    this.mask.fill(0);
    const exact = Math.min(count, EXACT_MAX);
    this.exact.set(addresses.subarray(0, exact * MAC_BYTES));
    for (let i = exact; i < count; i++) {
      const at = i * MAC_BYTES;
      // A unicast address that has no place leaves the filter off.
      if ((addresses[at] & 1) === 0) return 0;
      const bit = addressHash(addresses, at);
      this.mask[bit >> 5] |= 1 << (bit & 31);
    }
    if ((flags & TUN_FLT_ALLMULTI) !== 0) this.mask.fill(0xffff_ffff);
    this.count = exact;
    return exact;
  }

  /** Whether a frame whose destination address is at `at` passes. */
  passes(bytes: Uint8Array, at: number): boolean {
    if (this.count === 0) return true;
    for (let i = 0; i < this.count; i++) {
      let same = true;
      for (let b = 0; b < MAC_BYTES && same; b++)
        same = this.exact[i * MAC_BYTES + b] === bytes[at + b];
      if (same) return true;
    }
    if ((bytes[at] & 1) === 0) return false;
    const bit = addressHash(bytes, at);
    return ((this.mask[bit >> 5] >>> (bit & 31)) & 1) !== 0;
  }
}

/** Top six bits of ether_crc: the CRC of IEEE 802.3 with its most significant bit first, not inverted at the end. */
function addressHash(bytes: Uint8Array, at: number): number {
  let crc = 0xffff_ffff;
  for (let i = 0; i < MAC_BYTES; i++) {
    let byte = bytes[at + i];
    for (let bit = 0; bit < 8; bit++) {
      const feedback = (crc >>> 31) ^ (byte & 1);
      crc = (crc << 1) ^ (feedback === 1 ? 0x04c11db7 : 0);
      byte >>= 1;
    }
  }
  return crc >>> 26;
}
