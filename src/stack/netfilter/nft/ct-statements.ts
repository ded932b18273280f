// What rules and tables say to conntrack: `ct zone set`, `ct helper set`, `ct label set`, and the object `ct helper` (nft 1.0.6). `ct
// mark set` stands with the other marks (rule-parser.ts).
//
// Left out: `ct timeout`, `ct expectation`, `ct event set`, label names (connlabel.conf): labels are bit numbers.

import type { CtStatement, Place } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { NftError } from './lexer.ts';
import type { CtHelper } from './ruleset.ts';

const MAX_ZONE = 65535;
const MAX_LABEL = 127;
const SETTABLE = new Set(['zone', 'helper', 'label']);

/** Whether a `ct … set` statement of this file begins here. */
export function isCtSet(cursor: Cursor): boolean {
  if (!cursor.is('ct')) return false;
  const first = cursor.peek(1).text;
  if (first === 'original' || first === 'reply')
    return cursor.peek(2).text === 'zone' && cursor.peek(3).text === 'set';
  return SETTABLE.has(first) && cursor.peek(2).text === 'set';
}

export function parseCtSet(cursor: Cursor): CtStatement {
  const { start } = cursor.next();
  let direction: CtStatement['direction'] = null;
  if (cursor.take('original')) direction = 'original';
  else if (cursor.take('reply')) direction = 'reply';
  const key = cursor.next().text as CtStatement['key'];
  cursor.expect('set');
  const s: CtStatement = { kind: 'ct-set', key, direction, value: 0, name: '', start, end: start };
  if (key === 'helper') s.name = cursor.word().text;
  else {
    const place = cursor.token;
    s.value = cursor.number();
    const max = key === 'zone' ? MAX_ZONE : MAX_LABEL;
    if (s.value > max)
      throw new NftError(`Value ${s.value} exceeds valid range 0-${max}`, place.start, place.end);
  }
  s.end = cursor.tokens[cursor.at - 1].end;
  return s;
}

export function printCtSet(s: CtStatement): string {
  const way = s.direction === null ? '' : `${s.direction} `;
  return `ct ${way}${s.key} set ${s.key === 'helper' ? `"${s.name}"` : s.value}`;
}

export function ctSetJson(s: CtStatement): unknown {
  if (s.key === 'helper') return { 'ct helper': s.name };
  const key = s.direction === null ? { key: s.key } : { key: s.key, dir: s.direction };
  return { mangle: { key: { ct: key }, value: s.value } };
}

/** A `ct helper` object as written. */
export interface HelperSpec {
  name: string;
  place: Place;
  type: string;
  protocol: string;
  l3proto: 'ip' | 'ip6' | 'inet' | null;
}

/** Body of the object, behind its name. */
export function parseCtHelper(cursor: Cursor, name: string, place: Place): HelperSpec {
  const spec: HelperSpec = { name, place, type: '', protocol: '', l3proto: null };
  cursor.expect('{');
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    if (cursor.take('type')) {
      spec.type = cursor.word().text;
      cursor.expect('protocol');
      spec.protocol = cursor.word().text;
    } else if (cursor.take('l3proto')) {
      const family = cursor.word();
      if (family.text !== 'ip' && family.text !== 'ip6' && family.text !== 'inet') {
        cursor.at--;
        cursor.fail();
      }
      spec.l3proto = family.text;
    } else cursor.fail();
    cursor.skipSeparators();
  }
  cursor.expect('}');
  return spec;
}

export function printCtHelper(helper: CtHelper, tail: string): string {
  return `\tct helper ${helper.name} {${tail}\n\t\ttype "${helper.type}" protocol ${helper.protocol}\n\t\tl3proto ${helper.l3proto}\n\t}\n`;
}

/** On one line, as `nft monitor` prints it. */
export function printCtHelperLine({ type, protocol, l3proto }: CtHelper): string {
  return `{ type "${type}" protocol ${protocol}; l3proto ${l3proto}; } `;
}

export function ctHelperJson(family: string, table: string, helper: CtHelper): unknown {
  const { name, handle, type, protocol, l3proto } = helper;
  return { 'ct helper': { family, name, table, handle, type, protocol, l3proto } };
}
