// CRC32c (Castagnoli, reflected polynomial 0x82F63B78), the checksum of SCTP packets (RFC 9260 appendix A): byte by byte with
// one table. SCTP sends it least significant byte first.

const TABLE = new Int32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) !== 0 ? 0x82f63b78 : 0);
  return crc;
});

/** Initial value of a running CRC. */
export const CRC32C_START = -1;

/** Continues a running CRC over [at, at + lenBytes). */
export function crc32cUpdate(crc: number, view: DataView, at: number, lenBytes: number): number {
  let value = crc;
  for (let i = at; i < at + lenBytes; i++)
    value = (value >>> 8) ^ TABLE[(value ^ view.getUint8(i)) & 255];
  return value;
}

/** The checksum of an SCTP packet whose checksum field counts as zero. */
export function sctpChecksum(view: DataView, at: number, lenBytes: number): number {
  let crc = crc32cUpdate(CRC32C_START, view, at, 8);
  for (let i = 0; i < 4; i++) crc = (crc >>> 8) ^ TABLE[crc & 255];
  return ~crc32cUpdate(crc, view, at + 12, lenBytes - 12);
}
