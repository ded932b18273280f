// CRC32c (Castagnoli), SCTP's checksum (RFC 9260, appendix A): reflected, polynomial 0x1edc6f41, one table look-up a byte.

const REFLECTED_POLYNOMIAL = 0x82f6_3b78;

const TABLE = Int32Array.from({ length: 256 }, (_unused, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++)
    crc = (crc & 1) !== 0 ? (crc >>> 1) ^ REFLECTED_POLYNOMIAL : crc >>> 1;
  return crc;
});

/** CRC of a run of bytes, signed 32-bit. */
export function crc32c(bytes: Uint8Array, at: number, lenBytes: number): number {
  let crc = -1;
  for (let i = at; i < at + lenBytes; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 0xff];
  return ~crc;
}
