// `snat to`, `dnat to`, `masquerade`, `redirect` of a rule (nft 1.0.6): address or range, `:` port or range, flags. IPv6 addresses
// stand in brackets where a port follows.
//
// The target may be a map: of addresses, or (`addr . port`) of addresses with ports. Left out: `prefix to`, maps of ports alone.

import type { NatKind, NatStatement } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { isPayload, isUnqualifiedMeta } from './fields.ts';
import type { Field } from './fields.ts';
import { NftError } from './lexer.ts';
import type { Token } from './lexer.ts';
import { parseMapRef } from './set-parser.ts';
import { parseScalar } from './types.ts';
import type { Scalar, Types } from './types.ts';

const FLAGS = new Set(['random', 'fully-random', 'persistent']);

/** `parseKey` reads the key of a map. */
export function parseNat(
  cursor: Cursor,
  nat: NatKind,
  parseKey: (cursor: Cursor) => Field,
): NatStatement {
  const { start } = cursor.next();
  const s: NatStatement = {
    kind: 'nat',
    nat,
    family: null,
    address: null,
    map: null,
    port: null,
    portPlace: null,
    flags: [],
    start,
    end: start,
  };
  const withAddress = nat === 'snat' || nat === 'dnat';
  if (withAddress && (cursor.is('ip') || cursor.is('ip6')))
    s.family = cursor.next().text as 'ip' | 'ip6';
  if (withAddress && cursor.is('addr')) takeAddrPort(cursor);
  if (cursor.take('to')) {
    if (withAddress && isField(cursor)) s.map = parseMap(cursor, parseKey);
    else if (withAddress && !cursor.is(':')) s.address = parseAddresses(cursor);
    if (cursor.take(':')) {
      const from = cursor.token.start;
      s.port = parsePorts(cursor);
      s.portPlace = { start: from, end: cursor.tokens[cursor.at - 1].end };
    }
    if (s.address === null && s.map === null && s.port === null)
      cursor.fail(withAddress ? undefined : 'colon');
  } else if (withAddress) cursor.fail();
  parseFlags(cursor, s);
  s.end = cursor.tokens[cursor.at - 1].end;
  return s;
}

/** `addr . port`: what the map answers; the listing leaves it out. */
function takeAddrPort(cursor: Cursor): void {
  cursor.expect('addr');
  cursor.expect('.');
  cursor.expect('port');
}

function isField(cursor: Cursor): boolean {
  const { kind, text } = cursor.token;
  return (
    kind === 'word' &&
    (text === 'meta' || text === 'ct' || isPayload(text) || isUnqualifiedMeta(text))
  );
}

function parseMap(cursor: Cursor, parseKey: (cursor: Cursor) => Field): NatStatement['map'] {
  const key = parseKey(cursor);
  cursor.expect('map');
  return { key, map: parseMapRef(cursor, key, targetTypes) };
}

/** Whether a map's data is an address or an address and a port, by its first element: nft takes them from the statement's family. */
function targetTypes(tokens: readonly Token[]): Types {
  const colon = tokens.findIndex((t) => t.kind === 'punct' && t.text === ':');
  const comma = tokens.findIndex((t, i) => i > colon && t.kind === 'punct' && t.text === ',');
  const data = tokens.slice(colon + 1, comma < 0 ? tokens.length : comma);
  const type = data.some((t) => t.text.includes(':')) ? 'ipv6_addr' : 'ipv4_addr';
  return data.some((t) => t.kind === 'punct' && t.text === '.') ? [type, 'inet_service'] : [type];
}

function parseAddresses(cursor: Cursor): [Scalar, Scalar] {
  const place = cursor.token;
  const first = parseAddress(cursor);
  if (!cursor.take('-')) return [first, first];
  const last = parseAddress(cursor);
  if (isAfter(first, last))
    throw new NftError('Range has zero or negative size', place.start, place.end);
  return [first, last];
}

function parseAddress(cursor: Cursor): Scalar {
  const inBrackets = cursor.take('[');
  const { token } = cursor;
  if (token.kind !== 'address' && token.kind !== 'word') cursor.fail();
  cursor.next();
  const parsed = parseScalar(token.text.includes(':') ? 'ipv6_addr' : 'ipv4_addr', token.text, 128);
  if (!parsed.ok) throw new NftError(parsed.message, token.start, token.end);
  if (inBrackets) cursor.expect(']');
  return parsed.value;
}

function isAfter(a: Scalar, b: Scalar): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a > b;
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return true;
  for (let i = 0; i < 16; i++) if (a[i] !== b[i]) return a[i] > b[i];
  return false;
}

function parsePorts(cursor: Cursor): [number, number] {
  const place = cursor.token;
  const first = parsePort(cursor);
  if (!cursor.take('-')) return [first, first];
  const last = parsePort(cursor);
  if (first > last) throw new NftError('Range has zero or negative size', place.start, place.end);
  return [first, last];
}

function parsePort(cursor: Cursor): number {
  const { token } = cursor;
  if (token.kind !== 'number' && token.kind !== 'word') cursor.fail();
  cursor.next();
  const parsed = parseScalar('inet_service', token.text, 16);
  if (!parsed.ok) throw new NftError(parsed.message, token.start, token.end);
  return parsed.value as number;
}

function parseFlags(cursor: Cursor, s: NatStatement): void {
  const given = new Set<string>();
  while (FLAGS.has(cursor.token.text) && cursor.token.kind === 'word') {
    given.add(cursor.next().text);
    if (!cursor.take(',')) break;
  }
  // Listed in this order whatever was written.
  s.flags.push(...[...FLAGS].filter((flag) => given.has(flag)));
}
