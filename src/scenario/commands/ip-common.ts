// What the objects of ip(8) share: options, the words of a command line, iproute2's own error messages with their exit
// statuses (255 for syntax, 1 for what the tool finds itself, 2 for what the kernel refuses), and answers of the kernel.

import { strerror } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { Answer } from '../../stack/answer.ts';
import { AF_INET, AF_INET6, maskAddress, parseAddress } from '../../stack/ip/address.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { failed } from './command.ts';
import type { CommandResult } from './command.ts';

/** Global options of ip(8). */
export interface IpOptions {
  /** 0 for any, AF_INET, AF_INET6. */
  family: number;
  json: boolean;
  stats: boolean;
  details: boolean;
  brief: boolean;
  oneline: boolean;
  /** `netns exec` in every namespace. */
  all: boolean;
}

/** Ends a command with a message and a status; caught by ip.ts. */
export class IpError extends Error {
  override readonly name = 'IpError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Words of a command line, taken from the left. */
export class Words {
  private readonly words: readonly string[];
  private at = 0;

  constructor(words: readonly string[]) {
    this.words = words;
  }

  get isEmpty(): boolean {
    return this.at >= this.words.length;
  }

  /** Next word without taking it; '' at the end. */
  get peek(): string {
    return this.words[this.at] ?? '';
  }

  /** Takes the next word; "Command line is not complete" at the end. */
  next(): string {
    if (this.isEmpty) throw new IpError(255, 'Command line is not complete. Try option "help"');
    return this.words[this.at++];
  }

  /** Takes the next word when it is this one. */
  takes(word: string): boolean {
    if (this.isEmpty || this.words[this.at] !== word) return false;
    this.at++;
    return true;
  }

  rest(): string[] {
    return this.words.slice(this.at);
  }
}

/** Whether `word` abbreviates `full` (iproute2's matches()). */
export function abbreviates(word: string, full: string): boolean {
  return word.length > 0 && full.startsWith(word);
}

/** "argument ... is wrong". */
export function wrongArgument(word: string, message: string): IpError {
  return new IpError(255, `Error: argument "${word}" is wrong: ${message}`);
}

/** "either ... is duplicate, or ... is a garbage". */
export function garbage(key: string, word: string): IpError {
  return new IpError(255, `Error: either "${key}" is duplicate, or "${word}" is a garbage.`);
}

/** The device with this name; "Cannot find device" (status 1). */
export function deviceOf(stack: NetStack, name: string): NetDevice {
  const dev = stack.links.byName(name);
  if (dev === null) throw new IpError(1, `Cannot find device "${name}"`);
  return dev;
}

/** Unsigned decimal or 0x number up to `max`; `what` is the message for any other word. */
export function numberOf(word: string, what: string, max = Infinity): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(word) || Number(word) > max) throw wrongArgument(word, what);
  return Number(word);
}

/** The result of a request: nothing on success, else what iproute2 prints for the kernel's answer (status 2). */
export function answered(answer: Answer): CommandResult {
  return answer.error === 0 ? { status: 0, stdout: '', stderr: '' } : failed(2, refusal(answer));
}

/** Text for a refusal: the extack sentence, else strerror. */
export function refusal(answer: Answer): string {
  if (answer.message === '') return `RTNETLINK answers: ${strerror(answer.error)}\n`;
  return `Error: ${answer.message}${answer.message.endsWith('.') ? '' : '.'}\n`;
}

/** A prefix of the command line. */
export interface Prefix {
  family: number;
  /** As written (host bits kept). */
  address: Uint8Array;
  prefixLen: number;
  /** A length was written. */
  hasLength: boolean;
}

const FAMILY_NAMES: Readonly<Record<number, string>> = {
  0: 'any valid',
  [AF_INET]: 'inet',
  [AF_INET6]: 'inet6',
};

/** Parses `default`, `ADDR` or `ADDR/LEN`; the tool's message and status 1 when it is none. */
export function prefixOf(word: string, family: number): Prefix {
  if (word === 'default' || word === 'any' || word === 'all') {
    const chosen = family === 0 ? AF_INET : family;
    const address = new Uint8Array(chosen === AF_INET ? 4 : 16);
    return { family: chosen, address, prefixLen: 0, hasLength: true };
  }
  const slash = word.indexOf('/');
  const text = slash < 0 ? word : word.slice(0, slash);
  const address = parseAddress(text) ?? shortIpv4(text);
  const got = address === null ? 0 : address.length === 4 ? AF_INET : AF_INET6;
  const length =
    slash < 0 ? (address === null ? 0 : address.length * 8) : Number(word.slice(slash + 1));
  const goodLength = slash < 0 || /^\d+$/.test(word.slice(slash + 1));
  if (
    address === null ||
    (family !== 0 && got !== family) ||
    !goodLength ||
    length > address.length * 8
  )
    throw new IpError(
      1,
      `Error: ${FAMILY_NAMES[family]} prefix is expected rather than "${word}".`,
    );
  return { family: got, address, prefixLen: length, hasLength: slash >= 0 };
}

/** An address without length. */
export function addressOf(word: string, family: number): Uint8Array {
  const address = parseAddress(word);
  const got = address === null ? 0 : address.length === 4 ? AF_INET : AF_INET6;
  if (address === null || (family !== 0 && got !== family))
    throw new IpError(
      1,
      `Error: ${FAMILY_NAMES[family]} address is expected rather than "${word}".`,
    );
  return address;
}

/** The prefix with its host bits cleared. */
export function networkOf(prefix: Prefix): Uint8Array {
  return maskAddress(prefix.address, prefix.prefixLen);
}

/** `10` and `10.1` stand for 10.0.0.0 and 10.1.0.0. */
function shortIpv4(text: string): Uint8Array | null {
  if (!/^\d{1,3}(\.\d{1,3}){0,2}$/.test(text)) return null;
  const parts = text.split('.').map(Number);
  if (parts.some((p) => p > 255)) return null;
  return Uint8Array.from([...parts, 0, 0, 0].slice(0, 4));
}

/** Scope by number as rt_scopes has it. */
export function scopeName(scope: number): string {
  return SCOPES.find(([value]) => value === scope)?.[1] ?? String(scope);
}

/** Scope of a word; `Error: argument ... is wrong`. */
export function scopeOf(word: string): number {
  const known = SCOPES.find(([, name]) => name === word);
  return known !== undefined ? known[0] : numberOf(word, 'invalid "scope" value');
}

const SCOPES: readonly (readonly [number, string])[] = [
  [0, 'global'],
  [255, 'nowhere'],
  [254, 'host'],
  [253, 'link'],
  [200, 'site'],
];

/** One line of JSON as ip -j writes it. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
