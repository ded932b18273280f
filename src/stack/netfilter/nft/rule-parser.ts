// The statements of a rule: matches, verdicts, counters, flow add, marks, NAT (nft 1.0.6 grammar, the part in fields.ts).
// What nft knows and this model does not is refused with EOPNOTSUPP's text at its place, never ignored.

import type { MatchOp, Place, Statement } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { isCtSet, parseCtSet } from './ct-statements.ts';
import {
  SOURCE_NETWORK,
  concatField,
  ctField,
  isPayload,
  isUnqualifiedMeta,
  metaField,
  payloadField,
} from './fields.ts';
import type { Field } from './fields.ts';
import { IPPROTO_TCP } from '../conntrack/tuple.ts';
import { NftError, isKeyword } from './lexer.ts';
import { parseLimit } from './limit.ts';
import { parseNat } from './nat-parser.ts';
import { parseQuotaLimit } from './quota.ts';
import { unsupported } from './refusal.ts';
import { parseSetUpdate } from './set-statement.ts';
import { parseMapRef } from './set-parser.ts';
import { isBitmask } from './types.ts';
import { parseRhs } from './value-parser.ts';

/** Words that begin statements which nft has and the model has not. */
const UNSUPPORTED = new Set(
  'queue dup fwd tproxy synproxy meter last xt numgen jhash symhash fib rt socket ipsec osf ether vlan arp sctp dccp ah esp comp exthdr hbh rt0 frag dst mh'.split(
    ' ',
  ),
);

/** Statements that end a rule: nothing may follow. */
const TERMINAL = new Set<Statement['kind']>(['accept', 'drop', 'return', 'jump', 'reject', 'nat']);

/** Parses statements up to the end of the rule. */
export function parseStatements(cursor: Cursor): Statement[] {
  const statements: Statement[] = [];
  let terminal: Place | null = null;
  while (!cursor.atEnd) {
    const { start, end: wordEnd } = cursor.token;
    const s = parseStatement(cursor);
    const { end } = cursor.tokens[cursor.at - 1];
    statements.push(s);
    if (s.kind === 'comment') continue;
    if (terminal !== null)
      throw new NftError('Statement after terminal statement has no effect', start, end, terminal);
    if (TERMINAL.has(s.kind)) terminal = { start, end: s.kind === 'nat' ? wordEnd : end };
  }
  if (statements.length === 0) cursor.fail();
  return withDependencies(statements);
}

/** `reject with tcp reset` is for TCP: nft adds the match unless the rule has it. */
function withDependencies(statements: Statement[]): Statement[] {
  const at = statements.findIndex((s) => s.kind === 'reject' && s.type === 'tcp reset');
  const left = metaField('l4proto');
  if (at < 0 || left === null || statements.slice(0, at).some(impliesTcp)) return statements;
  const match: Statement = {
    kind: 'match',
    left,
    mask: -1,
    op: '==',
    right: { kind: 'value', value: IPPROTO_TCP },
  };
  return [...statements.slice(0, at), match, ...statements.slice(at)];
}

function impliesTcp(s: Statement): boolean {
  if (s.kind !== 'match' || s.op === '!=') return false;
  if (s.left.l4proto === IPPROTO_TCP) return true;
  const named = ['meta l4proto', 'ip protocol', 'ip6 nexthdr'].includes(s.left.text);
  return named && s.right.kind === 'value' && s.right.value === IPPROTO_TCP;
}

function parseStatement(cursor: Cursor): Statement {
  const { token } = cursor;
  if (token.kind !== 'word') cursor.fail();
  const word = token.text;
  const simple = parseVerdict(cursor, word);
  if (simple !== null) return simple;
  if (word === 'counter') return parseCounter(cursor);
  if (word === 'flow') return parseFlow(cursor);
  if (word === 'limit') return parseLimit(cursor);
  if (word === 'quota') return parseQuota(cursor);
  if (word === 'log') return parseLog(cursor);
  if (word === 'reject') return parseReject(cursor);
  if (word === 'comment') {
    cursor.next();
    return { kind: 'comment', text: cursor.word().text };
  }
  if (word === 'masquerade' || word === 'snat' || word === 'dnat' || word === 'redirect')
    return parseNat(cursor, word, parseKey);
  if (word === 'add' || word === 'update' || word === 'delete')
    return parseSetUpdate(cursor, parseKey);
  if (isCtSet(cursor)) return parseCtSet(cursor);
  const meta = word === 'meta' || word === 'ct';
  if (meta && cursor.peek(2).text === 'set') return parseSetMark(cursor, word);
  if (word === 'mark' && cursor.peek(1).text === 'set') return parseSetMark(cursor, 'mark');
  if (UNSUPPORTED.has(word)) unsupported(token);
  return parseMatch(cursor);
}

function parseVerdict(cursor: Cursor, word: string): Statement | null {
  if (word === 'accept' || word === 'drop' || word === 'return' || word === 'notrack') {
    cursor.next();
    return { kind: word };
  }
  if (word !== 'jump' && word !== 'goto') return null;
  cursor.next();
  const name = cursor.word();
  return {
    kind: 'jump',
    goto: word === 'goto',
    chain: name.text,
    start: name.start,
    end: name.end,
  };
}

function parseCounter(cursor: Cursor): Statement {
  cursor.next();
  if (cursor.take('name')) {
    const name = cursor.word();
    return { kind: 'counter-name', name: name.text, start: name.start, end: name.end };
  }
  const values = new Float64Array(2);
  if (cursor.take('packets')) {
    values[0] = cursor.number();
    cursor.expect('bytes');
    values[1] = cursor.number();
  }
  return { kind: 'counter', values };
}

function parseQuota(cursor: Cursor): Statement {
  cursor.next();
  if (!cursor.take('name')) return { kind: 'quota', quota: parseQuotaLimit(cursor) };
  const name = cursor.word();
  return { kind: 'quota-name', name: name.text, start: name.start, end: name.end };
}

function parseFlow(cursor: Cursor): Statement {
  const start = cursor.next().start;
  if (!cursor.take('add') && !cursor.take('offload')) cursor.fail();
  cursor.expect('@');
  const name = cursor.word();
  return { kind: 'flow', flowtable: name.text, start, end: name.end };
}

function parseLog(cursor: Cursor): Statement {
  cursor.next();
  if (cursor.take('prefix')) return { kind: 'log', prefix: cursor.word().text };
  return { kind: 'log', prefix: null };
}

function parseReject(cursor: Cursor): Statement {
  cursor.next();
  if (!cursor.take('with')) return { kind: 'reject', type: 'default', code: '' };
  if (cursor.take('tcp')) {
    cursor.expect('reset');
    return { kind: 'reject', type: 'tcp reset', code: '' };
  }
  const type = cursor.word();
  if (type.text !== 'icmp' && type.text !== 'icmpv6' && type.text !== 'icmpx') {
    cursor.at--;
    cursor.fail();
  }
  cursor.take('type');
  return { kind: 'reject', type: type.text as 'icmp', code: cursor.word().text };
}

function parseSetMark(cursor: Cursor, word: string): Statement {
  const start = cursor.next();
  if (word !== 'mark' && !cursor.take('mark'))
    unsupported({ start: start.start, end: cursor.token.end });
  cursor.expect('set');
  const target = word === 'ct' ? 'ct' : 'meta';
  if (cursor.token.kind === 'number')
    return { kind: 'set-mark', target, value: cursor.number(), from: null, mask: -1 };
  const key = parseKey(cursor);
  if (cursor.take('map')) {
    const map = parseMapRef(cursor, key, () => ['mark']);
    return { kind: 'map-mark', target, key, map, place: { start: start.start, end: map.end } };
  }
  if (key.text !== 'meta mark' && key.text !== 'ct mark') {
    cursor.at--;
    cursor.fail();
  }
  const from = key.text === 'ct mark' ? 'ct' : 'meta';
  const mask = cursor.take('&') ? cursor.number() : -1;
  return { kind: 'set-mark', target, value: 0, from, mask };
}

/** Left side of a match or key of a map: a field, or a concatenation `a . b`. */
function parseKey(cursor: Cursor): Field {
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
  const name = cursor.token;
  if (name.kind !== 'word') cursor.fail();
  cursor.next();
  const field = isMeta
    ? metaField(name.text)
    : isCt
      ? ctField(name.text)
      : payloadField(first.text, name.text);
  if (field !== null) return field;
  if (isCt && CT_LATER.has(name.text)) unsupported({ start: first.start, end: name.end });
  if (isMeta && META_LATER.has(name.text)) unsupported({ start: first.start, end: name.end });
  cursor.at--;
  return cursor.fail();
}

const CT_LATER = new Set(
  'expiration helper label id original reply packets bytes avgpkt count event'.split(' '),
);
const META_LATER = new Set(
  'priority iiftype oiftype skuid skgid rtclassid cpu iifgroup oifgroup cgroup time day hour random sdif'.split(
    ' ',
  ),
);

const OPERATORS = new Set(['==', '!=', '<', '>', '<=', '>=']);

function parseMatch(cursor: Cursor): Statement {
  const left = parseKey(cursor);
  if (cursor.take('vmap'))
    return { kind: 'vmap', key: left, map: parseMapRef(cursor, left, () => 'verdict') };
  if (left.parts.length > 0) return parseConcatMatch(cursor, left);
  let mask = -1;
  if (cursor.take('&')) {
    const open = cursor.take('(');
    const value = parseRhs(cursor, left, true);
    if (open) cursor.expect(')');
    mask = value.kind === 'value' ? (value.value as number) : -1;
  }
  let op: MatchOp = '==';
  const explicit = OPERATORS.has(cursor.token.text) && cursor.token.kind === 'punct';
  if (explicit) op = cursor.next().text as MatchOp;
  const open = cursor.take('(');
  const right = parseRhs(cursor, left, true);
  if (open) cursor.expect(')');
  if (isBitmask(left.type) && right.kind === 'value' && mask < 0) {
    if (!explicit) op = 'any';
    else if (op === '!=' && left.type !== 'tcp_flag') op = 'none';
  }
  return { kind: 'match', left, mask, op, right };
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
