// Fields that only some ICMP messages have: nft puts the match on the type in front, unless the rule says the type already.

import type { MatchStatement, Statement } from './ast.ts';
import { partsOf, payloadField } from './fields.ts';
import type { Field } from './fields.ts';
import { NftError } from './lexer.ts';

/** The statements with those matches. Throws NftError for a type that has no such field. */
export function withIcmpTypes(statements: readonly Statement[]): Statement[] {
  const out: Statement[] = [];
  let known = -1;
  for (const s of statements) {
    if (s.kind === 'match') {
      const field = partsOf(s.left).find((part) => part.icmpTypes.length > 0);
      if (field !== undefined && known >= 0) check(field, known, s);
      if (field !== undefined && known < 0) {
        out.push(typeMatch(field));
        [known] = field.icmpTypes;
      }
      if (isType(s.left) && s.op === '==' && s.right.kind === 'value')
        known = s.right.value as number;
      if (isType(s.left) && s.op === '==' && s.right.kind === 'set')
        known = (s.right.elements[0] as { value: number }).value;
    }
    out.push(s);
  }
  return out;
}

function isType({ text }: Field): boolean {
  return text === 'icmp type' || text === 'icmpv6 type';
}

function check({ icmpTypes, text }: Field, known: number, { left }: MatchStatement): void {
  if (icmpTypes.includes(known)) return;
  const [protocol] = text.split(' ');
  const { start, end } = left.place ?? { start: 0, end: 0 };
  const message = `incompatible ${protocol} match: rule has ${known}, need ${icmpTypes[0]}`;
  throw new NftError(message, start, end);
}

function typeMatch({ text, icmpTypes }: Field): Statement {
  const left = payloadField(text.split(' ')[0], 'type') as Field;
  const written = icmpTypes.map((value) => ({ kind: 'value' as const, value }));
  const elements = [...written].sort((a, b) => a.value - b.value);
  const right = written.length === 1 ? written[0] : { kind: 'set' as const, elements, written };
  return { kind: 'match', left, mask: -1, op: '==', right };
}
