// Addresses as bytes and as text: IPv4 dotted quads, IPv6 (RFC 4291 in, RFC 5952 out), MAC addresses; and the words of
// addresses as int32 for hash keys. Control-plane addresses are Uint8Arrays of 4 or 16 bytes in network order.

export const AF_INET = 2;
export const AF_INET6 = 10;

/** Big-endian 32-bit word as int32. */
export function loadInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** Stores an int32 big-endian. */
export function storeInt32(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}

/** Big-endian 16-bit word. */
export function loadUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

export function storeUint16(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 8;
  bytes[at + 1] = word;
}

/** Bytes of an IPv4 or IPv6 address; null when the text is neither. IPv4 needs four parts. */
export function parseAddress(text: string): Uint8Array | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/**
 * Like parseAddress, IPv4 in all forms of inet_aton(3): one to four numbers, the last of them filling what is left (`10.5` is 10.0.0.5), in
 * decimal, octal (`012`) or hexadecimal; anything behind white space does not count.
 */
export function parseAddressAton(text: string): Uint8Array | null {
  if (text.includes(':')) return parseIpv6(text);
  const parts = text.split(/\s/, 1)[0].split('.');
  if (parts.length > 4) return null;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1;
    if (!/^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.test(part)) return null;
    const value = /^0[0-7]/.test(part) ? parseInt(part, 8) : Number(part);
    if (value >= (isLast ? 256 ** (4 - i) : 256)) return null;
    if (!isLast) bytes[i] = value;
    else for (let at = i; at < 4; at++) bytes[at] = Math.floor(value / 256 ** (3 - at));
  }
  return bytes;
}

/** Text of an address of 4 or 16 bytes (RFC 5952 for IPv6). */
export function formatAddress(bytes: Uint8Array, at = 0, lenBytes = bytes.length): string {
  if (lenBytes === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  const groups: number[] = [];
  for (let i = 0; i < 8; i++) groups.push(loadUint16(bytes, at + 2 * i));
  let best = -1;
  let bestLen = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > bestLen) {
      best = i;
      bestLen = n;
    }
  }
  if (best === 0 && (bestLen === 6 || (bestLen === 5 && groups[5] === 0xffff)) && groups[6] !== 0) {
    const v4 = formatAddress(bytes, at + 12, 4);
    return bestLen === 6 ? `::${v4}` : `::ffff:${v4}`;
  }
  const hex = groups.map((g) => g.toString(16));
  if (best < 0) return hex.join(':');
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLen).join(':')}`;
}

/** Six bytes of a MAC address, `:` or `-` between; null when malformed. */
export function parseMac(text: string): Uint8Array | null {
  const parts = text.split(/[:-]/);
  if (parts.length !== 6 || !parts.every((p) => /^[0-9a-f]{1,2}$/i.test(p))) return null;
  return Uint8Array.from(parts, (p) => parseInt(p, 16));
}

/** `02:00:00:00:00:01`. */
export function formatMac(bytes: Uint8Array, at = 0): string {
  let text = '';
  for (let i = 0; i < 6; i++)
    text += (i === 0 ? '' : ':') + bytes[at + i].toString(16).padStart(2, '0');
  return text;
}

/** Whether two runs of bytes agree. */
export function sameBytes(
  a: Uint8Array,
  aAt: number,
  b: Uint8Array,
  bAt: number,
  lenBytes: number,
): boolean {
  for (let i = 0; i < lenBytes; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}

/** The address with the bits behind the prefix set to zero. */
export function maskAddress(address: Uint8Array, prefixLen: number): Uint8Array {
  return address.map((byte, i) => {
    const left = prefixLen - 8 * i;
    return left >= 8 ? byte : left <= 0 ? 0 : byte & (0xff << (8 - left));
  });
}

/** Whether both addresses have the same first `prefixLen` bits. */
export function samePrefix(a: Uint8Array, b: Uint8Array, prefixLen: number): boolean {
  if (a.length !== b.length) return false;
  return sameBytes(maskAddress(a, prefixLen), 0, maskAddress(b, prefixLen), 0, a.length);
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const out = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    if (!/^\d{1,3}$/.test(parts[i]) || Number(parts[i]) > 255) return null;
    out[i] = Number(parts[i]);
  }
  return out;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0], halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1], true) : [];
  if (head === null || tail === null) return null;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** Bytes of colon-separated groups; the last may be a dotted quad where `last` says so. */
function parseGroups(text: string, last: boolean): number[] | null {
  if (text === '') return [];
  const out: number[] = [];
  const groups = text.split(':');
  for (let i = 0; i < groups.length; i++) {
    if (last && i === groups.length - 1 && groups[i].includes('.')) {
      const v4 = parseIpv4(groups[i]);
      if (v4 === null) return null;
      out.push(...v4);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(groups[i])) return null;
      const g = parseInt(groups[i], 16);
      out.push(g >> 8, g & 255);
    }
  }
  return out;
}
