// Keys and matches: left sides (fields, concatenations), masks, operators and right sides (nft 1.0.6 grammar).
//
// nft folds masks into what it lists: `ip saddr & 255.0.0.0 == 10.0.0.0` is the prefix 10.0.0.0/8, `tcp flags & syn == 0` is `tcp
// flags ! syn`.

import type { MatchOp, Place, Rhs, Statement } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { parseLabelMatch } from './ct-label.ts';
import {
  SOURCE_NETWORK,
  SOURCE_TRANSPORT,
  concatField,
  ctField,
  isCtPort,
  isPayload,
  isUnqualifiedMeta,
  metaField,
  payloadField,
} from './fields.ts';
import type { Field } from './fields.ts';
import { hasPrefixes, maskLength, maskScalar } from './intervals.ts';
import { NftError, isKeyword } from './lexer.ts';
import { unsupported } from './refusal.ts';
import { parseMapRef } from './set-parser.ts';
import { compareScalars, isBitmask } from './types.ts';
import type { Scalar } from './types.ts';
import { parseBits, parseRhs } from './value-parser.ts';

/** Left side of a match or key of a map: a field, or a concatenation `a . b`. */
export function parseKey(cursor: Cursor): Field {
  const { start } = cursor.token;
  const parts = [parseField(cursor)];
  while (cursor.is('.')) {
    const dot = cursor.next();
    // nft underlines a third part with its dot.
    const from = parts.length > 1 ? dot.start : cursor.token.start;
    const part = parseField(cursor);
    checkConflict(parts, part, { start: from, end: cursor.tokens[cursor.at - 1].end });
    parts.push(part);
  }
  const place = { start, end: cursor.tokens[cursor.at - 1].end };
  return { ...(parts.length === 1 ? parts[0] : concatField(parts)), place };
}

/** No packet has both: nft refuses fields of two protocols of a layer in one key. */
function checkConflict(parts: readonly Field[], part: Field, place: Place): void {
  const nameOf = ({ text }: Field): string => text.split(' ')[0];
  const other = parts.find(
    (p) =>
      (p.source === SOURCE_NETWORK && part.source === SOURCE_NETWORK && p.family !== part.family) ||
      (p.l4proto !== 0 && part.l4proto !== 0 && p.l4proto !== part.l4proto),
  );
  if (other === undefined) return;
  const names = `${nameOf(other)} vs. ${nameOf(part)}`;
  throw new NftError(`conflicting protocols specified: ${names}`, place.start, place.end);
}

/** One field. */
function parseField(cursor: Cursor): Field {
  const first = cursor.next();
  if (isUnqualifiedMeta(first.text)) return metaField(first.text) as Field;
  const isMeta = first.text === 'meta';
  const isCt = first.text === 'ct';
  if (first.text === 'mark') return metaField('mark') as Field;
  if (!isMeta && !isCt && !isPayload(first.text)) {
    cursor.at--;
    cursor.fail();
  }
  if (isCt) return parseCtField(cursor, first);
  const name = cursor.token;
  if (name.kind !== 'word') cursor.fail();
  cursor.next();
  const field = isMeta ? metaField(name.text) : payloadField(first.text, name.text);
  if (field !== null) return field;
  const isLater = isMeta
    ? META_LATER.has(name.text)
    : first.text === 'tcp' && name.text === 'option';
  if (isLater) unsupported({ start: first.start, end: name.end });
  cursor.at--;
  return cursor.fail();
}

/** `ct KEY`, `ct original|reply [ip|ip6] KEY`. */
function parseCtField(cursor: Cursor, { start }: Place): Field {
  const direction = cursor.is('original') || cursor.is('reply') ? cursor.next().text : null;
  const word = cursor.token;
  if (word.kind !== 'word') cursor.fail();
  cursor.next();
  const name =
    direction !== null && (word.text === 'ip' || word.text === 'ip6')
      ? `${word.text} ${cursor.next().text}`
      : word.text;
  const { end } = cursor.tokens[cursor.at - 1];
  const field = ctField(name, direction as 'original' | 'reply' | null);
  if (field !== null) return field;
  if (CT_LATER.has(name)) unsupported({ start, end });
  if (name === 'saddr' || name === 'daddr')
    throw new NftError(
      `cannot determine ip protocol version, use "ip ${name}" or "ip6 ${name}" instead`,
      start,
      end,
    );
  cursor.at--;
  return cursor.fail();
}

const CT_LATER = new Set(['count', 'event', 'timeout', 'expectation', 'secmark']);
const META_LATER = new Set(
  (
    'priority skuid skgid rtclassid cgroup time day hour random sdif sdifname nftrace secmark ibrname ' +
    'obrname iifkind oifkind ibrpvid ibrvproto ipsec secpath'
  ).split(' '),
);

const OPERATORS = new Set(['==', '!=', '<', '>', '<=', '>=']);

/** A match, or a verdict map. */
export function parseMatch(cursor: Cursor): Statement {
  const left = parseKey(cursor);
  const place = left.place ?? cursor.token;
  if (cursor.take('vmap'))
    return { kind: 'vmap', key: left, map: parseMapRef(cursor, left, () => 'verdict') };
  if (left.parts.length > 0) return parseConcatMatch(cursor, left);
  const isHeader = left.source === SOURCE_NETWORK || left.source === SOURCE_TRANSPORT;
  // Rules that write into headers.
  if (isHeader && cursor.is('set')) unsupported({ start: place.start, end: cursor.token.end });
  if (left.type === 'ct_label') return parseLabelMatch(cursor);
  if (isBitmask(left.type)) return parseBitMatch(cursor, left);
  return parseRelation(cursor, left, place);
}

/** `FIELD [& MASK] [OP] VALUE`. */
function parseRelation(cursor: Cursor, left: Field, place: Place): Statement {
  const mask = takeAnd(cursor) ? parseMask(cursor, left) : null;
  const op: MatchOp = isOperator(cursor) ? (cursor.next().text as MatchOp) : '==';
  // Ports of a connection's key have no type before the rule has said which protocol it is.
  if (isCtPort(left) && cursor.l4proto === 0) {
    const { start, end } = cursor.is('{') ? cursor.peek(1) : cursor.token;
    throw new NftError("Can't parse symbolic invalid expressions", start, end);
  }
  const right = parseGroup(cursor, () => parseRhs(cursor, left, true));
  if (mask === null) return { kind: 'match', left, mask: -1, op, right };
  const prefix = op === '==' || op === '!=' ? prefixOf(left, mask, right) : null;
  if (prefix !== null) return { kind: 'match', left, mask: -1, op, right: prefix };
  if (typeof mask !== 'number') unsupported(place);
  return { kind: 'match', left, mask, op, right };
}

function takeAnd(cursor: Cursor): boolean {
  return cursor.take('&') || cursor.take('and');
}

function isOperator(cursor: Cursor): boolean {
  return OPERATORS.has(cursor.token.text) && cursor.token.kind === 'punct';
}

function parseGroup<T>(cursor: Cursor, parse: () => T): T {
  const open = cursor.take('(');
  const inner = parse();
  if (open) cursor.expect(')');
  return inner;
}

function parseMask(cursor: Cursor, left: Field): Scalar {
  const { start, end } = cursor.token;
  const mask = parseGroup(cursor, () => parseRhs(cursor, left, false));
  if (mask.kind !== 'value') unsupported({ start, end });
  return mask.value;
}

/** The prefix that a mask makes of a value, null when it is none. */
function prefixOf(left: Field, mask: Scalar, right: Rhs): Rhs | null {
  if (right.kind !== 'value' || !hasPrefixes(left.type)) return null;
  const { value } = right;
  const lenBits = maskLength(mask, left.widthBits);
  if (lenBits < 1 || compareScalars(maskScalar(value, lenBits, left.widthBits), value) !== 0)
    return null;
  return lenBits === left.widthBits ? right : { kind: 'prefix', value, lenBits };
}

/** `FLAGS [OP] VALUE`, `FLAGS VALUE / MASK`, `FLAGS ! VALUE`, `FLAGS & MASK OP VALUE`. */
function parseBitMatch(cursor: Cursor, left: Field): Statement {
  const match = (op: MatchOp, right: Rhs, mask = -1): Statement =>
    ({ kind: 'match', left, mask, op, right }) as const;
  if (cursor.take('!')) return match('none', bitsRhs(parseBits(cursor, left, true)));
  if (takeAnd(cursor)) {
    const mask = parseGroup(cursor, () => parseBits(cursor, left, true));
    const op = isOperator(cursor) ? (cursor.next().text as MatchOp) : '==';
    const right = parseGroup(cursor, () => parseRhs(cursor, left, true));
    if (right.kind === 'value' && right.value === 0 && (op === '==' || op === '!='))
      return match(op === '==' ? 'none' : 'any', bitsRhs(mask));
    return match(op, right, mask);
  }
  const explicit = isOperator(cursor);
  const op = explicit ? (cursor.next().text as MatchOp) : '==';
  const right = parseGroup(cursor, () => parseRhs(cursor, left, true));
  if (right.kind !== 'value') return match(op, right);
  if (!cursor.take('/')) return match(explicit ? op : 'any', right);
  const { at } = cursor;
  const mask = parseBits(cursor, left, true);
  if (cursor.at === at + 1) cursor.fail('comma');
  return match(op, right, mask);
}

function bitsRhs(bits: number): Rhs {
  return { kind: 'value', value: bits };
}

/** A concatenation is compared with sets only. */
function parseConcatMatch(cursor: Cursor, left: Field): Statement {
  const { start, end } = left.place ?? cursor.token;
  const operator = cursor.token;
  if (OPERATORS.has(operator.text)) cursor.next();
  if (OPERATORS.has(operator.text) && operator.text !== '==' && operator.text !== '!=')
    throw new NftError(
      `Relational expression (${operator.text}) is undefined for concat expressions`,
      start,
      end,
      operator,
    );
  const from = cursor.token;
  if (!cursor.is('{') && !cursor.is('@') && isKeyword(from)) cursor.fail();
  const right = parseRhs(cursor, left, true);
  if (right.kind === 'concat')
    throw new NftError('Use concatenations with sets and maps, not singleton values', start, end, {
      start: from.start,
      end: cursor.tokens[cursor.at - 1].end,
    });
  return {
    kind: 'match',
    left,
    mask: -1,
    op: operator.text === '!=' ? '!=' : '==',
    right,
  };
}
