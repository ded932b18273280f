// The statement `log` (nft 1.0.6). It changes nothing here: there is no kernel log to write to, and nobody at a netlink group.

import type { Place } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { NftError } from './lexer.ts';

export interface LogStatement {
  kind: 'log';
  prefix: string | null;
  /** null for the default, warn. */
  level: string | null;
  /** In nft's order of bits. */
  flags: string[];
  group: number;
  snaplen: number;
  threshold: number;
}

const LEVELS = new Set('emerg alert crit err warn notice info debug audit'.split(' '));
const FLAGS = ['tcp sequence', 'tcp options', 'ip options', 'skuid', 'ether'];
const NONE = -1;

export function parseLog(cursor: Cursor): LogStatement {
  const place = cursor.next();
  const s: LogStatement = {
    kind: 'log',
    prefix: null,
    level: null,
    flags: [],
    group: NONE,
    snaplen: NONE,
    threshold: NONE,
  };
  let level: Place | null = null;
  for (;;) {
    if (cursor.take('prefix')) s.prefix = cursor.word().text;
    else if (cursor.take('level')) {
      const word = cursor.word();
      if (!LEVELS.has(word.text)) throw new NftError('invalid log level', word.start, word.end);
      level = word;
      s.level = word.text === 'warn' ? null : word.text;
    } else if (cursor.take('flags')) s.flags.push(...parseFlags(cursor));
    else if (cursor.take('group')) s.group = cursor.number();
    else if (cursor.take('snaplen')) s.snaplen = cursor.number();
    else if (cursor.take('queue-threshold')) s.threshold = cursor.number();
    else break;
  }
  if (level !== null && s.group !== NONE)
    throw new NftError('level and group are mutually exclusive', place.start, place.end);
  s.flags = FLAGS.filter((flag) => s.flags.includes(flag));
  return s;
}

function parseFlags(cursor: Cursor): string[] {
  if (cursor.take('all')) return FLAGS;
  if (cursor.take('skuid')) return ['skuid'];
  if (cursor.take('ether')) return ['ether'];
  if (cursor.take('ip')) {
    cursor.expect('options');
    return ['ip options'];
  }
  if (!cursor.take('tcp')) cursor.fail();
  const flags: string[] = [];
  do {
    if (cursor.take('sequence')) flags.push('tcp sequence');
    else {
      cursor.expect('options');
      flags.push('tcp options');
    }
  } while (cursor.take(','));
  return flags;
}

export function printLog(s: LogStatement): string {
  const words = ['log'];
  if (s.prefix !== null) words.push(`prefix "${s.prefix}"`);
  if (s.group !== NONE) words.push(`group ${s.group}`);
  if (s.snaplen !== NONE) words.push(`snaplen ${s.snaplen}`);
  if (s.threshold !== NONE) words.push(`queue-threshold ${s.threshold}`);
  if (s.level !== null) words.push(`level ${s.level}`);
  if (s.flags.length === FLAGS.length) words.push('flags all');
  else words.push(...flagWords(s.flags));
  return words.join(' ');
}

function flagWords(flags: readonly string[]): string[] {
  const tcp = flags.filter((f) => f.startsWith('tcp ')).map((f) => f.slice(4));
  const others = flags.filter((f) => !f.startsWith('tcp '));
  return [...(tcp.length > 0 ? [`tcp ${tcp.join(',')}`] : []), ...others].map((f) => `flags ${f}`);
}

export function logJson(s: LogStatement): unknown {
  const flags =
    s.flags.length === FLAGS.length ? 'all' : s.flags.length === 1 ? s.flags[0] : s.flags;
  const body = {
    ...(s.prefix === null ? {} : { prefix: s.prefix }),
    ...(s.group === NONE ? {} : { group: s.group }),
    ...(s.snaplen === NONE ? {} : { snaplen: s.snaplen }),
    ...(s.threshold === NONE ? {} : { 'queue-threshold': s.threshold }),
    ...(s.level === null ? {} : { level: s.level }),
    ...(s.flags.length === 0 ? {} : { flags }),
  };
  return { log: Object.keys(body).length === 0 ? null : body };
}
