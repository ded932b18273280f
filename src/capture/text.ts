// UTF-8 both ways, for names and comments in pcapng options: the pure folders have no TextDecoder.
// Malformed sequences become U+FFFD; a string ends at its first NUL, as writers that pad with NULs need.

/** The text of `lenBytes` bytes at `at`, up to the first NUL. */
export function decodeUtf8(bytes: Uint8Array, at: number, lenBytes: number): string {
  let text = '';
  let i = at;
  const end = at + lenBytes;
  while (i < end) {
    const first = bytes[i++];
    if (first === 0) break;
    const followers =
      first < 0x80
        ? 0
        : first < 0xc2
          ? -1
          : first < 0xe0
            ? 1
            : first < 0xf0
              ? 2
              : first < 0xf5
                ? 3
                : -1;
    if (followers < 0) {
      text += '\ufffd';
      continue;
    }
    let code = followers === 0 ? first : first & (0x3f >> followers);
    let taken = 0;
    while (taken < followers && i < end && (bytes[i] & 0xc0) === 0x80) {
      code = (code << 6) | (bytes[i++] & 0x3f);
      taken++;
    }
    const whole = taken === followers && isScalar(code, followers);
    text += whole ? String.fromCodePoint(code) : '\ufffd';
  }
  return text;
}

/** No surrogates, nothing above U+10FFFF, no overlong form. */
function isScalar(code: number, followers: number): boolean {
  if (followers === 2) return code >= 0x800 && (code < 0xd800 || code > 0xdfff);
  if (followers === 3) return code >= 0x10000 && code <= 0x10ffff;
  return true;
}

/** The UTF-8 bytes of `text`, cut before the code point that would exceed `limitBytes`. */
export function encodeUtf8(text: string, limitBytes: number): Uint8Array {
  const bytes: number[] = [];
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const lenBytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes.length + lenBytes > limitBytes) break;
    if (lenBytes === 1) {
      bytes.push(code);
      continue;
    }
    const lead = (0xf00 >> lenBytes) & 0xff;
    bytes.push(lead | (code >> (6 * (lenBytes - 1))));
    for (let n = lenBytes - 2; n >= 0; n--) bytes.push(0x80 | ((code >> (6 * n)) & 0x3f));
  }
  return Uint8Array.from(bytes);
}
