// What the options of ethtool share: error texts, `NAME VALUE` parameters as its netlink half reads them, and the offset that it
// prints with a kernel's complaint (bytes from the start of the netlink message to the attribute at fault).

import { strerror } from '../../../../driver/errno.ts';
import type { EthtoolExtAck } from '../../../../driver/ethtool-core.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import { failed } from '../command.ts';
import type { CommandResult } from '../command.ts';

/** A device by the name given, or null when there is none. */
export interface Target {
  name: string;
  dev: NetDevice | null;
}

export const BAD_ARGUMENTS =
  'ethtool: bad command line argument(s)\nFor more information run ethtool -h\n';

export function badArguments(before = '', stdout = ''): CommandResult {
  return { status: 1, stdout, stderr: before + BAD_ARGUMENTS };
}

/** `-g DEV foo`: netlink options that take no parameter. */
export function unexpected(word: string): CommandResult {
  return failed(1, `ethtool: unexpected parameter '${word}'\n`);
}

export function noDevice(status = 1): CommandResult {
  return netlinkError('no device matches name (offset 24)', 19, status);
}

/** A kernel's refusal as the netlink half prints it. */
export function netlinkError(message: string, error: number, status = 1): CommandResult {
  const said = message === '' ? '' : `netlink error: ${message}\n`;
  return failed(status, `${said}netlink error: ${strerror(error)}\n`);
}

/** A refusal with the offset of the parameter at fault, if the kernel named one. */
export function refused(
  target: Target,
  words: readonly string[],
  extack: EthtoolExtAck,
  error: number,
  status = 1,
): CommandResult {
  if (extack.message === '' || extack.attribute === '')
    return netlinkError(extack.message, error, status);
  const place = words.filter((_, i) => i % 2 === 0).indexOf(extack.attribute);
  const offset = headerBytes(target.name) + 8 * Math.max(place, 0);
  return netlinkError(`${extack.message} (offset ${offset})`, error, status);
}

/** Bytes of a request up to its first own attribute: message and family header, device name. */
export function headerBytes(name: string): number {
  return 28 + align4(name.length + 1);
}

export function align4(lenBytes: number): number {
  return (lenBytes + 3) & ~3;
}

/** u32: any number the tool's strtoul takes; switch: on or off; a list: its words, by index. */
export type ParameterKind = 'u32' | 'switch' | readonly string[];

/** Reads `NAME VALUE ...`; a result instead of a map is the tool's complaint. */
export function readParameters(
  option: string,
  words: readonly string[],
  kinds: Readonly<Record<string, ParameterKind>>,
): ReadonlyMap<string, number> | CommandResult {
  const values = new Map<string, number>();
  const fail = (said: string): CommandResult => failed(1, `ethtool (${option}): ${said}\n`);
  for (let i = 0; i < words.length; i += 2) {
    const name = words[i];
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) return fail(`unknown parameter '${name}'`);
    if (values.has(name)) return fail(`duplicate parameter '${name}'`);
    const text = words[i + 1];
    if (text === undefined) return fail(`no value for parameter '${name}'`);
    const value = parameterValue(kind, text);
    if (value === null) return fail(`invalid value '${text}' for parameter '${name}'`);
    values.set(name, value);
  }
  return values;
}

function parameterValue(kind: ParameterKind, text: string): number | null {
  if (kind === 'u32') return parseU32(text);
  if (kind === 'switch') return parseSwitch(text);
  return kind.includes(text) ? kind.indexOf(text) : null;
}

export function isResult(
  answer: ReadonlyMap<string, number> | CommandResult,
): answer is CommandResult {
  return 'status' in answer;
}

/** As strtoul with base 0, the whole word: decimal, 0x, or octal with a leading 0. */
export function parseU32(text: string): number | null {
  if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(text)) return null;
  const isOctal = /^0[0-9]+$/.test(text);
  const value = isOctal ? (/^[0-7]+$/.test(text) ? parseInt(text, 8) : NaN) : Number(text);
  return value <= 0xffffffff ? value : null;
}

function parseSwitch(text: string): number | null {
  return text === 'on' ? 1 : text === 'off' ? 0 : null;
}
