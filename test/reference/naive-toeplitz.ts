// The Toeplitz hash as it is defined: for every one bit of the input, the 32 key bits that begin there. Bit by bit, BigInt.

/** Hash of `input` under `key`; the key must be at least 32 bits longer than the input. */
export function naiveToeplitz(key: Uint8Array, input: readonly number[]): number {
  let keyBits = 0n;
  for (const byte of key) keyBits = (keyBits << 8n) | BigInt(byte);
  const length = 8 * key.length;
  let hash = 0n;
  input.forEach((byte, at) => {
    for (let bit = 0; bit < 8; bit++) {
      if (((byte >> (7 - bit)) & 1) === 0) continue;
      const first = 8 * at + bit;
      hash ^= (keyBits >> BigInt(length - 32 - first)) & 0xffffffffn;
    }
  });
  return Number(hash);
}

/** Bytes of a number, most significant first. */
export function bytesOf(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(value / 256 ** (count - 1 - i)) & 255);
}
