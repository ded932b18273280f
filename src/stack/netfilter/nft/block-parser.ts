// The bodies of chains, counters and flowtables in `{ … }`: what `add chain`, `add counter`, `add flowtable` and table blocks share.

import type { Family, Place, Statement } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { NftError } from './lexer.ts';
import { unsupported } from './refusal.ts';
import { parseStatements } from './rule-parser.ts';
import { priorityValue } from './ruleset.ts';
import type { BaseHook } from './ruleset.ts';

/** A name with its place: what a body is of. */
export interface Named {
  name: string;
  namePlace: Place;
  family: Family;
}

export interface ChainSpec {
  name: string;
  place: Place;
  base: BaseHook | null;
  /** A policy given without a hook changes an existing chain. */
  policy: 'accept' | 'drop' | null;
  rules: { statements: Statement[]; place: Place }[];
}

export interface FlowTableSpec {
  name: string;
  place: Place;
  hook: string | null;
  priority: number | null;
  devices: string[];
  offload: boolean;
  counter: boolean;
}

export interface CounterSpec {
  name: string;
  place: Place;
  packets: number;
  bytes: number;
}

const HOOKS = new Set('prerouting input forward output postrouting ingress egress'.split(' '));

/** Ends an item of a block: a newline or semicolon must stand before the brace (nft 1.0.6). */
function endItem(cursor: Cursor): void {
  if (cursor.token.kind !== 'newline' && !cursor.is(';')) cursor.fail('newline or semicolon');
  cursor.skipSeparators();
}

/** `{ type … hook … priority …; policy …; rules }`, or nothing. */
export function parseChainBody(cursor: Cursor, command: Named): ChainSpec {
  const chain: ChainSpec = {
    name: command.name,
    place: command.namePlace,
    base: null,
    policy: null,
    rules: [],
  };
  if (!cursor.take('{')) return chain;
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    if (cursor.take('type')) chain.base = parseBaseHook(cursor, command.family);
    else if (cursor.take('policy')) {
      chain.policy = parsePolicy(cursor);
      if (chain.base !== null) chain.base.policy = chain.policy;
    } else {
      const start = cursor.token.start;
      const statements = parseStatements(cursor);
      const end = cursor.tokens[cursor.at - 1].end;
      chain.rules.push({ statements, place: { start, end } });
    }
    endItem(cursor);
  }
  cursor.expect('}');
  return chain;
}

function parsePolicy(cursor: Cursor): 'accept' | 'drop' {
  if (!cursor.is('accept') && !cursor.is('drop')) cursor.fail("accept or drop or '$'");
  return cursor.next().text as 'accept' | 'drop';
}

function parseBaseHook(cursor: Cursor, family: Family): BaseHook {
  const { start } = cursor.tokens[cursor.at - 1];
  const type = cursor.word();
  if (type.text !== 'filter' && type.text !== 'nat' && type.text !== 'route')
    throw new NftError('unknown chain type', type.start, type.end);
  cursor.expect('hook');
  const hook = cursor.word();
  if (!HOOKS.has(hook.text)) throw new NftError('unknown chain hook', hook.start, hook.end);
  if (hook.text === 'egress') unsupported(hook);
  if (family === 'netdev' && hook.text !== 'ingress')
    throw new NftError('The netdev family does not support this hook', hook.start, hook.end);
  const devices = parseHookDevices(cursor);
  const priority = parsePriority(cursor, hook.text);
  if (hook.text === 'ingress' && devices.length === 0) {
    const { end } = cursor.tokens[cursor.at - 1];
    throw new NftError("Missing `device' in this chain definition", start, end);
  }
  return { type: type.text, hook: hook.text, priority, policy: 'accept', devices };
}

/** `device X` or `devices = { X, Y }` of an ingress hook. */
function parseHookDevices(cursor: Cursor): string[] {
  if (cursor.take('device')) return [cursor.word().text];
  if (!cursor.take('devices')) return [];
  cursor.expect('=');
  return parseDevices(cursor);
}

function parsePriority(cursor: Cursor, hook: string): number {
  cursor.expect('priority');
  const { token } = cursor;
  if (token.kind === 'word') {
    cursor.next();
    const dashed = /^(\w+)-(\d+)$/.exec(token.text);
    const base = priorityValue(dashed === null ? token.text : dashed[1], hook);
    if (base === null) {
      const message = `'${token.text}' is invalid priority in this context.`;
      throw new NftError(message, token.start, token.end);
    }
    if (dashed !== null) return base - Number(dashed[2]);
    if (cursor.take('+')) return base + cursor.number();
    return cursor.take('-') ? base - cursor.number() : base;
  }
  return cursor.take('-') ? -cursor.number() : cursor.number();
}

/** `{ packets N bytes N }`, or nothing. */
export function parseCounterBody(cursor: Cursor, command: Named): CounterSpec {
  const counter = { name: command.name, place: command.namePlace, packets: 0, bytes: 0 };
  if (cursor.take('{')) {
    cursor.skipSeparators();
    readCounterValues(cursor, counter);
    cursor.skipSeparators();
    cursor.expect('}');
  } else readCounterValues(cursor, counter);
  return counter;
}

function readCounterValues(cursor: Cursor, counter: CounterSpec): void {
  if (!cursor.take('packets')) return;
  counter.packets = cursor.number();
  cursor.expect('bytes');
  counter.bytes = cursor.number();
}

/** `{ hook ingress priority …; devices = { … }; flags offload; counter }`, or nothing. */
export function parseFlowTableBody(cursor: Cursor, command: Named): FlowTableSpec {
  const table: FlowTableSpec = {
    name: command.name,
    place: command.namePlace,
    hook: null,
    priority: null,
    devices: [],
    offload: false,
    counter: false,
  };
  if (!cursor.take('{')) return table;
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    if (cursor.take('hook')) {
      const hook = cursor.word();
      if (!HOOKS.has(hook.text)) throw new NftError('unknown chain hook', hook.start, hook.end);
      table.hook = hook.text;
      table.priority = parsePriority(cursor, 'ingress');
    } else if (cursor.take('devices')) {
      cursor.expect('=');
      table.devices.push(...parseDevices(cursor));
    } else if (cursor.take('flags')) {
      cursor.expect('offload');
      table.offload = true;
    } else if (cursor.take('counter')) table.counter = true;
    else cursor.fail();
    endItem(cursor);
  }
  cursor.expect('}');
  return table;
}

function parseDevices(cursor: Cursor): string[] {
  const devices: string[] = [];
  cursor.expect('{');
  cursor.skipNewlines();
  while (!cursor.is('}')) {
    devices.push(cursor.word().text);
    cursor.skipNewlines();
    if (!cursor.take(',')) break;
    cursor.skipNewlines();
  }
  cursor.expect('}');
  return devices;
}
