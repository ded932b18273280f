// ethtool -x and -X: indirection tables, hash keys and hash functions of RSS, with contexts. Grammar, messages and exit statuses as
// recorded from ethtool 6.1; `xfrm symmetric-xor|none` is a newer tool's, and only then does -x show the transformation.

import { EOPNOTSUPP, ENODEV, strerror } from '../../../../driver/errno.ts';
import {
  ethtoolDeleteContext,
  ethtoolSetRxfh,
  newExtAck,
} from '../../../../driver/ethtool-core.ts';
import { RSS_HASH_FUNCS } from '../../../../driver/ethtool.ts';
import type { RxFhChange, RxFhOps } from '../../../../driver/ethtool.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { badArguments, parseU32 } from './args.ts';
import type { Target } from './args.ts';

/** The tool's exit status for a key that does not fit. */
const KEY_STATUS = 2;
const PER_LINE = 8;

export function showRxfh({ dev }: Target, words: string[]): CommandResult {
  let context = 0;
  if (words.length > 0) {
    const value = parseU32(words[1] ?? '');
    if (words[0] !== 'context' || words.length !== 2 || value === null) return badArguments();
    context = value;
  }
  const rings = ringCount(dev);
  if (typeof rings !== 'number') return rings;
  const rxfh = dev?.ethtoolOps?.rxfh;
  if (dev === null || rxfh === undefined) return noTable(EOPNOTSUPP);
  const state = rxfh.get(dev, context);
  if (state === null) return noTable(2);
  const { indir, key, hfunc, symmetricXor } = state;
  let text = `RX flow hash indirection table for ${dev.name} with ${rings} RX ring(s):\n`;
  for (let i = 0; i < indir.length; i++) {
    if (i % PER_LINE === 0) text += `${String(i).padStart(5)}: `;
    text += ` ${String(indir[i]).padStart(5)}`;
    if (i % PER_LINE === PER_LINE - 1 || i === indir.length - 1) text += '\n';
  }
  const bytes = [...key].map((byte) => byte.toString(16).padStart(2, '0'));
  text += `RSS hash key:\n${bytes.join(':')}\nRSS hash function:\n`;
  RSS_HASH_FUNCS.forEach((name, bit) => {
    text += `    ${name}: ${((hfunc >> bit) & 1) === 1 ? 'on' : 'off'}\n`;
  });
  if (symmetricXor) text += 'RSS input transformation:\n    symmetric-xor: on\n';
  return ok(text);
}

/** Receive rings, or the tool's complaint. */
function ringCount(dev: NetDevice | null): number | CommandResult {
  const fail = (error: number): CommandResult =>
    failed(1, `Cannot get RX ring count: ${strerror(error)}\n`);
  if (dev === null) return fail(ENODEV);
  return dev.ethtoolOps?.rxnfc?.rings(dev) ?? fail(EOPNOTSUPP);
}

function noTable(error: number): CommandResult {
  const said = 'Cannot get RX flow hash indir size and/or key size';
  return failed(1, `${said}: ${strerror(error)}\n`);
}

interface Request {
  equal: number;
  /** −1: not given. */
  start: number;
  weights: number[] | null;
  isDefault: boolean;
  hkey: string | null;
  hfunc: string | null;
  symmetricXor: boolean | null;
  context: number | 'new';
  isDelete: boolean;
}

/** Reads the words; null: the tool knows no such line. */
function parse(words: readonly string[]): Request | null {
  const request: Request = {
    equal: 0,
    start: -1,
    weights: null,
    isDefault: false,
    hkey: null,
    hfunc: null,
    symmetricXor: null,
    context: 0,
    isDelete: false,
  };
  let i = 0;
  while (i < words.length) {
    const used = parseWord(words, i, request);
    if (used === 0) return null;
    i += used;
  }
  return words.length === 0 ? null : request;
}

/** Words used by what stands at `i`, 0 for none. */
function parseWord(words: readonly string[], i: number, request: Request): number {
  const next = words[i + 1];
  const count = next === undefined ? null : parseU32(next);
  switch (words[i]) {
    case 'equal':
      request.equal = count ?? 0;
      return request.equal > 0 ? 2 : 0;
    case 'start':
      request.start = count ?? -1;
      return count === null ? 0 : 2;
    case 'weight': {
      const weights: number[] = [];
      while (/^[0-9]/.test(words[i + 1 + weights.length] ?? ''))
        weights.push(parseU32(words[i + 1 + weights.length]) ?? 0);
      request.weights = weights;
      return weights.length === 0 ? 0 : 1 + weights.length;
    }
    case 'default':
      request.isDefault = true;
      return 1;
    case 'delete':
      request.isDelete = true;
      return 1;
    case 'hkey':
      request.hkey = next ?? null;
      return next === undefined ? 0 : 2;
    case 'hfunc':
      request.hfunc = next ?? null;
      return next === undefined ? 0 : 2;
    case 'xfrm':
      request.symmetricXor = next === 'symmetric-xor';
      return next === 'symmetric-xor' || next === 'none' ? 2 : 0;
    case 'context':
      request.context = next === 'new' ? 'new' : (count ?? 0);
      return next === 'new' || (count ?? 0) > 0 ? 2 : 0;
    default:
      return 0;
  }
}

/** What cannot stand together, in the order of the tool's checks; '' when all is well. */
function conflict(r: Request): string {
  const [equal, weight, start] = [r.equal > 0, r.weights !== null, r.start >= 0];
  const context = r.context !== 0;
  const rules: readonly [boolean, string][] = [
    [equal && weight, 'Equal and weight options are mutually exclusive'],
    [equal && r.isDefault, 'Equal and default options are mutually exclusive'],
    [weight && r.isDefault, 'Weight and default options are mutually exclusive'],
    [start && r.isDefault, 'Start and default options are mutually exclusive'],
    [start && !equal && !weight, 'Start must be used with equal or weight options'],
    [r.isDefault && context, 'Default and context options are mutually exclusive'],
    [r.isDelete && !context, 'Delete option requires context option'],
    [r.isDelete && weight, 'Delete and weight options are mutually exclusive'],
    [r.isDelete && equal, 'Delete and equal options are mutually exclusive'],
    [r.isDelete && r.isDefault, 'Delete and default options are mutually exclusive'],
    [r.isDelete && r.hkey !== null, 'Delete and hkey options are mutually exclusive'],
  ];
  return rules.find(([broken]) => broken)?.[1] ?? '';
}

export function setRxfh({ dev }: Target, words: string[]): CommandResult {
  const request = parse(words);
  if (request === null) return badArguments();
  const said = conflict(request);
  if (said !== '') return failed(1, `${said}\n`);
  const rings = ringCount(dev);
  if (typeof rings !== 'number') return rings;
  const rxfh = dev?.ethtoolOps?.rxfh;
  if (dev === null || rxfh === undefined)
    return failed(1, `Cannot get RX flow hash indir size and key size: ${strerror(EOPNOTSUPP)}\n`);
  if (request.isDelete) return answer(ethtoolDeleteContext(dev, Number(request.context)));
  const change = changeOf(dev, rxfh, request);
  if ('status' in change) return change;
  const id = ethtoolSetRxfh(dev, request.context, change, newExtAck());
  if (id < 0) return answer(id);
  return request.context === 'new' ? ok(`New RSS context is ${id}\n`) : ok();
}

function answer(error: number): CommandResult {
  if (error === 0) return ok();
  return failed(1, `Cannot set RX flow hash configuration: ${strerror(error)}\n`);
}

function changeOf(dev: NetDevice, rxfh: RxFhOps, request: Request): RxFhChange | CommandResult {
  const change: RxFhChange = {};
  if (request.hkey !== null) {
    const key = parseKey(request.hkey, rxfh.keySize(dev));
    if (typeof key === 'string') return failed(KEY_STATUS, `${key}\n`);
    change.key = key;
  }
  if (request.hfunc !== null) {
    const bit = RSS_HASH_FUNCS.indexOf(request.hfunc);
    if (bit < 0) return failed(1, `Unknown hash function: ${request.hfunc}\n`);
    change.hfunc = 1 << bit;
  }
  if (request.symmetricXor !== null) change.symmetricXor = request.symmetricXor;
  if (request.isDefault) change.indir = 'reset';
  const start = Math.max(request.start, 0);
  const size = rxfh.indirSize(dev);
  if (request.equal > 0)
    change.indir = Uint8Array.from({ length: size }, (_, i) =>
      Math.min(start + (i % request.equal), 255),
    );
  if (request.weights !== null) {
    const table = weighted(request.weights, start, size);
    if (typeof table === 'string') return failed(1, `${table}\n`);
    change.indir = table;
  }
  return change;
}

/** "aa:bb:..." as bytes, or what is wrong with it. */
function parseKey(text: string, keyBytes: number): Uint8Array | string {
  const parts = text.split(':');
  if (!parts.every((part) => /^[0-9a-f]{2}$/i.test(part))) return 'Invalid RSS hash key format';
  if (parts.length < keyBytes) return `Key is too short for device (${parts.length} < ${keyBytes})`;
  if (parts.length > keyBytes) return `Key is too long for device (${parts.length} > ${keyBytes})`;
  return Uint8Array.from(parts, (part) => parseInt(part, 16));
}

/** A table shared out by weights: entry i goes to the first queue whose share reaches beyond i. */
export function weighted(
  weights: readonly number[],
  start: number,
  size: number,
): Uint8Array | string {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (sum === 0) return 'At least one weight must be non-zero';
  if (sum > size) return 'Total weight exceeds the size of the indirection table';
  const table = new Uint8Array(size);
  let queue = -1;
  let partial = 0;
  for (let i = 0; i < size; i++) {
    while (i >= Math.floor((size * partial) / sum)) partial += weights[++queue];
    table[i] = Math.min(start + queue, 255);
  }
  return table;
}
