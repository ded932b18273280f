// Netlink attributes: length and type in the host's order (little-endian here, as in the recordings), payload, padding to 4 bytes.
// The interface of the datapath is made of them, as in the kernel, because what it accepts and refuses is defined on them.
//
// Left out: message headers, policies; the reader of each attribute checks its length.

const HEADER_BYTES = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;

export interface NlAttr {
  readonly type: number;
  readonly value: Uint8Array;
}

/** The attributes in `bytes`; null when one does not fit or bytes are left over. */
export function readAttrs(bytes: Uint8Array): NlAttr[] | null {
  const attrs: NlAttr[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const lenBytes = bytes[at] | (bytes[at + 1] << 8);
    const type = (bytes[at + 2] | (bytes[at + 3] << 8)) & TYPE_MASK;
    if (lenBytes < HEADER_BYTES || at + lenBytes > bytes.length) return null;
    attrs.push({ type, value: bytes.subarray(at + HEADER_BYTES, at + lenBytes) });
    at += aligned(lenBytes);
  }
  return at < bytes.length ? null : attrs;
}

/** Bytes of a list of attributes. */
export function attrBytes(attrs: readonly NlAttr[]): Uint8Array {
  const sizes = attrs.map(({ value }) => aligned(HEADER_BYTES + value.length));
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  attrs.forEach(({ type, value }, i) => {
    const lenBytes = HEADER_BYTES + value.length;
    bytes.set([lenBytes & 0xff, lenBytes >> 8, type & 0xff, type >> 8], at);
    bytes.set(value, at + HEADER_BYTES);
    at += sizes[i];
  });
  return bytes;
}

/** An attribute that holds attributes. */
export function nested(type: number, attrs: readonly NlAttr[]): NlAttr {
  return { type, value: attrBytes(attrs) };
}

/** A number in the host's order. */
export function u32Attr(type: number, value: number): NlAttr {
  return { type, value: u32Bytes(value) };
}

/** A flag: an attribute without payload. */
export function flagAttr(type: number): NlAttr {
  return { type, value: new Uint8Array(0) };
}

export function u16Attr(type: number, value: number): NlAttr {
  return { type, value: Uint8Array.of(value & 0xff, value >> 8) };
}

/** 16 bits in network order. */
export function be16Attr(type: number, value: number): NlAttr {
  return { type, value: Uint8Array.of(value >> 8, value & 0xff) };
}

/** 32 bits in the host's order. */
export function u32Bytes(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}

export function readU32(bytes: Uint8Array, at = 0): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

export function readU16(bytes: Uint8Array, at = 0): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

export function readBe16(bytes: Uint8Array, at = 0): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

export function readBe32(bytes: Uint8Array, at = 0): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

function aligned(lenBytes: number): number {
  return (lenBytes + 3) & ~3;
}
