// Field values between text and 32-bit words: addresses, MAC addresses, long hexadecimal numbers, masks.
// Words are most significant first, as in rule.ts. Parsers answer null for text that is no such value.

import { formatAddress, formatMac, parseAddress, parseMac } from '../stack/ip/address.ts';
import { FIELD_BITS, fullMask, prefixMask } from './rule.ts';
import type { FieldMatch, FieldName, Place } from './rule.ts';

/** Bytes, most significant first, as the words of a field of that many bits. */
export function bytesToWords(bytes: Uint8Array): number[] {
  const words = new Array<number>(Math.ceil(bytes.length / 4)).fill(0);
  for (let at = 0; at < bytes.length; at++) {
    const bit = (bytes.length - 1 - at) * 8;
    const word = words.length - 1 - (bit >>> 5);
    words[word] = (words[word] | (bytes[at] << (bit & 31))) >>> 0;
  }
  return words;
}

export function wordsToBytes(words: readonly number[], bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(bits / 8));
  for (let at = 0; at < bytes.length; at++) {
    const bit = (bytes.length - 1 - at) * 8;
    bytes[at] = words[words.length - 1 - (bit >>> 5)] >>> (bit & 31);
  }
  return bytes;
}

/** Address of either family: its words and family. */
export function parseIp(text: string): { words: number[]; family: 4 | 6 } | null {
  const bytes = parseAddress(text);
  if (bytes === null) return null;
  return { words: bytesToWords(bytes), family: bytes.length === 4 ? 4 : 6 };
}

export function parseIpv4(text: string): number[] | null {
  const address = parseIp(text);
  return address === null || address.family !== 4 ? null : address.words;
}

export function parseIpv6(text: string): number[] | null {
  const address = parseIp(text);
  return address === null || address.family !== 6 ? null : address.words;
}

/** One word is IPv4, four are IPv6. */
export function formatIp(words: readonly number[]): string {
  return formatAddress(wordsToBytes(words, words.length * 32));
}

export function parseMacWords(text: string): number[] | null {
  const bytes = parseMac(text);
  return bytes === null ? null : bytesToWords(bytes);
}

export function formatMacWords(words: readonly number[]): string {
  return formatMac(wordsToBytes(words, 48));
}

/** A number of up to `bits` bits: 0x and any number of digits, or decimal up to 2^53 − 1. */
export function parseWide(text: string, bits: number): number[] | null {
  const words = new Array<number>(Math.ceil(bits / 32)).fill(0);
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) {
    const digits = text.slice(2).replace(/^0+/, '');
    for (let at = 0; at < digits.length; at++) {
      const bit = (digits.length - 1 - at) * 4;
      const word = words.length - 1 - (bit >>> 5);
      if (word < 0) return null;
      words[word] = (words[word] | (parseInt(digits[at], 16) << (bit & 31))) >>> 0;
    }
  } else {
    if (!/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) return null;
    const value = Number(text);
    words[words.length - 1] = value % 2 ** 32;
    if (words.length > 1) words[words.length - 2] = Math.floor(value / 2 ** 32);
    else if (value >= 2 ** 32) return null;
  }
  return fits(words, bits) ? words : null;
}

function fits(words: readonly number[], bits: number): boolean {
  const top = bits % 32;
  return top === 0 || words[0] < 2 ** top;
}

/** 0x and digits without leading zeros; zero is '0x0'. */
export function formatHex(words: readonly number[]): string {
  const digits = words.map((word) => word.toString(16).padStart(8, '0')).join('');
  return `0x${digits.replace(/^0+(?=.)/, '')}`;
}

export function complement(field: FieldName, mask: readonly number[]): number[] {
  const full = fullMask(field);
  return mask.map((word, at) => (~word & full[at]) >>> 0);
}

export function isFull(field: FieldName, mask: readonly number[]): boolean {
  return fullMask(field).every((word, at) => word === mask[at]);
}

export function isZero(words: readonly number[]): boolean {
  return words.every((word) => word === 0);
}

/** The value of an exact match on a field of up to 32 bits; −1 for no match, a mask or a range. */
export function exactValue(match: FieldMatch | null): number {
  if (match === null || match.kind !== 'mask' || match.value.length > 1) return -1;
  return isFull(match.field, match.mask) ? match.value[0] : -1;
}

export function exact(field: FieldName, value: number, at: Place): FieldMatch {
  return { field, kind: 'mask', value: [value], mask: fullMask(field), at };
}

/** Length of a prefix from text; null when it is no number of 0..bits. */
export function parsePrefix(field: FieldName, text: string): number[] | null {
  if (!/^[0-9]{1,3}$/.test(text) || Number(text) > FIELD_BITS[field]) return null;
  return prefixMask(field, Number(text));
}

/** tc's label: hexadecimal bytes from the first one on, missing ones zero, [/MASK]. The first byte is the lowest. */
export function parseLabel(text: string): { value: number[]; mask: number[] } | null {
  const [value, mask] = text.split('/', 2).map((part) => {
    const digits = part.replace(/^0x/, '');
    if (!/^([0-9a-fA-F]{2}){1,16}$/.test(digits)) return null;
    return parseWide(`0x${reverseBytes(digits)}`, 128);
  });
  if (value === null || mask === null) return null;
  return { value, mask: mask ?? fullMask('ct_label') };
}

/** A label as its bytes from the first one on, all sixteen. */
export function formatLabel(words: readonly number[]): string {
  return reverseBytes(words.map((word) => word.toString(16).padStart(8, '0')).join(''));
}

function reverseBytes(digits: string): string {
  return (digits.match(/../g) ?? []).reverse().join('');
}
