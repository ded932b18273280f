// What a driver or the core reads of a packet's headers to tell its flow: addresses, ports, transport. Ethernet II, at most one tag
// in the packet, IPv4 and IPv6 without extension headers, TCP and UDP; the rest of flow_dissector is not here.

/** A flow's fields, filled by `readFlowKeys`. */
export class FlowKeys {
  /** 4, 6, or 0 when the packet is neither. */
  family = 0;
  /** 6 or 17 when the ports are valid, else 0. */
  proto = 0;
  /** XOR of all address words, source and destination. */
  addressXor = 0;
  /** IPv4 addresses; for IPv6 the last word. */
  src = 0;
  dst = 0;
  sport = 0;
  dport = 0;
  tcpFlags = 0;
}

/** Reads the packet whose Ethernet header begins at `at`. False when it is no whole TCP or UDP packet. */
export function readFlowKeys(
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
  to: FlowKeys,
): boolean {
  to.family = 0;
  to.proto = 0;
  const end = at + lenBytes;
  let l3 = at + 14;
  let type = (bytes[at + 12] << 8) | bytes[at + 13];
  if (type === 0x8100) {
    type = (bytes[at + 16] << 8) | bytes[at + 17];
    l3 += 4;
  }
  const headerBytes = type === 0x0800 ? 4 * (bytes[l3] & 15) : 40;
  const l4 = l3 + headerBytes;
  if ((type !== 0x0800 && type !== 0x86dd) || l4 + 8 > end) return false;
  const isV4 = type === 0x0800;
  if (isV4 && (((bytes[l3 + 6] & 0x3f) | bytes[l3 + 7]) !== 0 || headerBytes < 20)) return false;
  const proto = bytes[l3 + (isV4 ? 9 : 6)];
  if (proto !== 6 && proto !== 17) return false;
  if (proto === 6 && l4 + 20 > end) return false;
  const word = (p: number): number =>
    (bytes[p] << 24) | (bytes[p + 1] << 16) | (bytes[p + 2] << 8) | bytes[p + 3];
  to.family = isV4 ? 4 : 6;
  to.proto = proto;
  const addressesAt = isV4 ? l3 + 12 : l3 + 8;
  const addressBytes = isV4 ? 4 : 16;
  to.addressXor = 0;
  for (let i = 0; i < 2 * addressBytes; i += 4) to.addressXor ^= word(addressesAt + i);
  to.src = word(addressesAt + addressBytes - 4);
  to.dst = word(addressesAt + 2 * addressBytes - 4);
  to.sport = (bytes[l4] << 8) | bytes[l4 + 1];
  to.dport = (bytes[l4 + 2] << 8) | bytes[l4 + 3];
  to.tcpFlags = proto === 6 ? bytes[l4 + 13] : 0;
  return true;
}
