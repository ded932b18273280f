// The words of `tuntap`: numbers, bytes, devices; and the error that ends a command with what was expected.

import type { NetStack } from '../../stack/net-stack.ts';
import type { TunDevice } from '../../stack/tun/tun-device.ts';

/** Wrong words: one line, status 2. */
export class TunError extends Error {
  override readonly name = 'TunError';
}

/** The word at `index`. */
export function take(args: readonly string[], index: number, what: string): string {
  const word = args[index];
  if (word === undefined) throw new TunError(`${what} expected`);
  return word;
}

/** A whole number, decimal or 0x; negative ones are allowed (−1 removes a program). */
export function numberOf(word: string, what: string): number {
  if (!/^-?\d+$|^0x[0-9a-f]+$/i.test(word)) throw new TunError(`${what}: "${word}" is no number`);
  return Number(word);
}

export function bytesOf(hex: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(hex)) throw new TunError(`"${hex}": pairs of hex digits expected`);
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function deviceOf(stack: NetStack, name: string): TunDevice {
  const dev = stack.links.byName(name);
  const tun = dev === null ? null : stack.tun.deviceOf(dev);
  if (tun === null) throw new TunError(`"${name}" is no tun or tap device`);
  return tun;
}
