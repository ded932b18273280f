// What the objects of devlink share: handles, options, error texts of devlink(8) from iproute2 6.1.0, and the two forms of a listing.

import type { Devlink, DevlinkPort, DevlinkRegistry } from '../../../../driver/devlink.ts';
import { ENODEV, strerror } from '../../../../driver/errno.ts';
import type { NetNamespace } from '../../../../driver/net-namespace.ts';
import type { ExtAck } from '../../../../driver/netdev.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { jsonText } from '../json-text.ts';
import type { JsonNode } from '../json-text.ts';

/** The flags in front of the object. */
export interface DevlinkFlags {
  json: boolean;
  pretty: boolean;
  stats: boolean;
}

export interface DevlinkCall {
  words: string[];
  flags: DevlinkFlags;
  /** The instances of the namespace that the command runs in. */
  devlinks: DevlinkRegistry;
  net: NetNamespace;
}

export type DevlinkRunner = (call: DevlinkCall) => CommandResult;

/** What the tool says of its arguments before it asks the kernel. */
export class DevlinkUsageError extends Error {
  override readonly name = 'DevlinkUsageError';
}

/** The kernel's refusal: its sentence, if any, and the errno. */
export function refused(error: number, extack?: ExtAck): CommandResult {
  const said = extack === undefined || extack.message === '' ? '' : `Error: ${extack.message}.\n`;
  return failed(1, `${said}kernel answers: ${strerror(error)}\n`);
}

/** 0 or −errno as a result; a sentence beside success is a warning. */
export function answered(error: number, extack: ExtAck): CommandResult {
  if (error !== 0) return refused(error, extack);
  const stderr = extack.message === '' ? '' : `Warning: ${extack.message}.\n`;
  return { status: 0, stdout: '', stderr };
}

/** A word means the first command that begins with it. */
export function pick<T>(
  table: readonly (readonly [name: string, value: T])[],
  word: string,
): T | undefined {
  return table.find(([name]) => name.startsWith(word))?.[1];
}

/** Whether the handle begins the rest of the words: a listing without one is about every device. */
export function hasHandle(words: readonly string[]): boolean {
  return words.length > 0;
}

/** Takes `bus/name` from the words: the instance, or null when the kernel has none. */
export function takeDevlink(call: DevlinkCall): Devlink | null {
  const word = call.words.shift();
  if (word === undefined)
    throw new DevlinkUsageError('Devlink identification ("bus_name/dev_name") expected\n');
  const parts = word.split('/');
  if (parts.length !== 2)
    throw new DevlinkUsageError(
      'Wrong identification string format.\n' +
        `Devlink identification ("bus_name/dev_name") "${word}" is invalid\n`,
    );
  return call.devlinks.find(parts[0], parts[1]);
}

/** Takes `bus/name/index` or the name of a network device: the port, or null when there is none. */
export function takePort(call: DevlinkCall): { devlink: Devlink; port: DevlinkPort } | null {
  const word = call.words.shift() ?? '';
  const parts = word.split('/');
  if (parts.length === 1) {
    const dev = call.net.byName(word);
    const found = dev === null ? null : call.devlinks.portOf(dev);
    if (found === null) throw new DevlinkUsageError(`Netdevice "${word}" not found\n`);
    return found;
  }
  if (parts.length !== 3)
    throw new DevlinkUsageError(
      'Wrong port identification string format.\n' +
        'Expected "bus_name/dev_name/port_index" or "netdev_ifname".\n',
    );
  if (!/^[0-9]+$/.test(parts[2]))
    throw new DevlinkUsageError(
      `Port index "${parts[2]}" is not a number or not within range\n` +
        `Port identification "${word}" is invalid\n`,
    );
  const devlink = call.devlinks.find(parts[0], parts[1]);
  const port = devlink?.ports.find(({ index }) => index === Number(parts[2]));
  return devlink === null || port === undefined ? null : { devlink, port };
}

/** No such instance: what the kernel answers. */
export function noDevice(): CommandResult {
  return refused(ENODEV);
}

/** An option of a command: its word, and what the tool says when a required one is missing. */
export interface Option {
  name: string;
  missing?: string;
}

/** Takes `NAME VALUE` pairs in any order. */
export function takeOptions(words: string[], options: readonly Option[]): Map<string, string> {
  const values = new Map<string, string>();
  while (words.length > 0) {
    const word = words.shift() ?? '';
    const option = options.find(({ name }) => name.startsWith(word) && !values.has(name));
    if (option === undefined) throw new DevlinkUsageError(`Unknown option "${word}"\n`);
    const value = words.shift();
    if (value === undefined) throw new DevlinkUsageError('String parameter expected\n');
    values.set(option.name, value);
  }
  for (const { name, missing } of options)
    if (missing !== undefined && !values.has(name)) throw new DevlinkUsageError(`${missing}\n`);
  return values;
}

/** A whole number up to `maximum`. */
export function numberOf(text: string, maximum = Number.MAX_SAFE_INTEGER): number {
  const value = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  if (!(value <= maximum))
    throw new DevlinkUsageError(`"${text}" is not a number or not within range\n`);
  return value;
}

/** true and false in the forms that the tool takes. */
export function booleanOf(text: string): boolean {
  if (['true', '1', 'enable'].includes(text)) return true;
  if (['false', '0', 'disable'].includes(text)) return false;
  throw new DevlinkUsageError(`"${text}" is not a valid boolean value\n`);
}

/** What one device or port gives a listing. */
export interface Entry {
  handle: string;
  text: string;
  node: JsonNode;
}

/** A listing: text as it is, JSON under the name of what is listed. */
export function listing(
  flags: DevlinkFlags,
  section: string,
  entries: readonly Entry[],
): CommandResult {
  if (!flags.json) return ok(entries.map(({ text }) => text).join(''));
  const fields = entries.map(({ handle, node }) => [handle, node] as const);
  return ok(`${jsonText({ fields: [[section, { fields }]] }, flags.pretty)}\n`);
}

/** Members of an object that stand as words in the text. */
export type ScalarField = readonly [name: string, value: string | number | boolean];

export function object(...fields: (readonly [string, JsonNode])[]): JsonNode {
  return { fields };
}
