// The statements of a rule: matches, verdicts, counters, flow add, marks, NAT (nft 1.0.6 grammar, the part in fields.ts).
// What nft knows and this model does not is refused with EOPNOTSUPP's text at its place, never ignored.

import type { MatchStatement, Place, Statement } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { isCtSet, parseCtSet } from './ct-statements.ts';
import { metaField } from './fields.ts';
import { withIcmpTypes } from './icmp-types.ts';
import { IPPROTO_TCP } from '../conntrack/tuple.ts';
import { NftError } from './lexer.ts';
import { parseLimit } from './limit.ts';
import { parseLog } from './log.ts';
import { parseMarkValue } from './mark-value.ts';
import { parseKey, parseMatch } from './match-parser.ts';
import { parseNat } from './nat-parser.ts';
import { parseQuotaLimit } from './quota.ts';
import { unsupported } from './refusal.ts';
import { parseSetUpdate } from './set-statement.ts';

/** Words that begin statements which nft has and the model has not. */
const UNSUPPORTED = new Set(
  'queue dup fwd tproxy synproxy meter last xt numgen jhash symhash fib rt socket ipsec osf ether vlan arp ah esp comp exthdr hbh rt0 frag dst mh igmp'.split(
    ' ',
  ),
);

/** Statements that end a rule: nothing may follow. */
const TERMINAL = new Set<Statement['kind']>(['accept', 'drop', 'return', 'jump', 'reject', 'nat']);

/** Parses statements up to the end of the rule. */
export function parseStatements(cursor: Cursor): Statement[] {
  const statements: Statement[] = [];
  let terminal: Place | null = null;
  cursor.l4proto = 0;
  while (!cursor.atEnd) {
    const { start, end: wordEnd } = cursor.token;
    const s = parseStatement(cursor);
    const { end } = cursor.tokens[cursor.at - 1];
    statements.push(s);
    if (s.kind === 'match') cursor.l4proto = protocolOf(s) || cursor.l4proto;
    if (s.kind === 'comment') continue;
    if (terminal !== null)
      throw new NftError('Statement after terminal statement has no effect', start, end, terminal);
    if (TERMINAL.has(s.kind)) terminal = { start, end: s.kind === 'nat' ? wordEnd : end };
  }
  if (statements.length === 0) cursor.fail();
  return withIcmpTypes(withDependencies(statements));
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
  return s.kind === 'match' && protocolOf(s) === IPPROTO_TCP;
}

/** The transport protocol that a packet carries when the match holds, 0 for any. */
function protocolOf({ left, op, right }: MatchStatement): number {
  if (left.l4proto !== 0) return left.l4proto;
  const named = ['meta l4proto', 'ip protocol', 'ip6 nexthdr'].includes(left.text);
  const isOne = named && op === '==' && right.kind === 'value';
  return isOne ? (right.value as number) : 0;
}

function parseStatement(cursor: Cursor): Statement {
  const { token } = cursor;
  // Raw header bits: `@th,0,16`.
  if (cursor.is('@') && cursor.peek(1).kind === 'word' && cursor.peek(2).text === ',')
    unsupported({ start: token.start, end: cursor.peek(1).end });
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
  if (['accept', 'drop', 'return', 'continue', 'notrack'].includes(word)) {
    cursor.next();
    return { kind: word as 'accept' };
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
  const { start } = cursor.next();
  if (!cursor.take('name')) {
    const quota = parseQuotaLimit(cursor);
    return { kind: 'quota', quota, start, end: cursor.tokens[cursor.at - 1].end };
  }
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
  return parseMarkValue(cursor, target, start.start);
}
