// `add @set { key … }`, `update @set { … }`, `delete @set { … }` in rules: how they are written, and what the kernel wants of the set.
//
// Left out: data (`{ key : data }`), and the older `set add key @set` and `meter`.

import { EINVAL, EOPNOTSUPP } from '../../../../driver/errno.ts';
import type { Cursor } from './cursor.ts';
import type { SetUpdate } from './ast.ts';
import {
  elementStatementJson,
  parseElementStatements,
  printElementStatements,
} from './element-statements.ts';
import { typesOf } from './fields.ts';
import type { Field } from './fields.ts';
import { refuseByKernel, unsupported } from './refusal.ts';
import type { NamedSet } from './set-model.ts';
import { formatTime, parseTime } from './time-text.ts';
import { widthOf } from './types.ts';
import { parseSetName } from './value-parser.ts';

/** Elements that a set may hold once rules add to it and its declaration does not say (nft_dynset_init). */
const DEFAULT_SIZE = 65535;
/** Keys up to so many bits are a bit map (nft_set_bitmap), which rules cannot change. */
const BITMAP_BITS = 16;
const MS_PER_S = 1000;

export function parseSetUpdate(cursor: Cursor, parseKey: (cursor: Cursor) => Field): SetUpdate {
  const word = cursor.next();
  if (!cursor.is('@')) cursor.fail("@ or '$'");
  const set = parseSetName(cursor);
  cursor.expect('{');
  const key = parseKey(cursor);
  const timeoutMs = cursor.take('timeout') ? parseTime(cursor) : 0;
  const statements = parseElementStatements(cursor);
  if (cursor.is(':')) unsupported(cursor.token);
  if (!cursor.is('}')) cursor.fail();
  const { end } = cursor.next();
  const op = word.text as SetUpdate['op'];
  return { kind: 'set-update', op, set, key, timeoutMs, statements, start: word.start, end };
}

/** Refuses a set that rules cannot change so; sets its size when it has none. Throws NftError. */
export function admitSetUpdate(set: NamedSet, s: SetUpdate): void {
  const isHash = set.dynamic || set.hasTimeout;
  const isBitmap = set.keyTypes.length === 1 && widthOf(set.keyTypes[0]) <= BITMAP_BITS;
  if (set.interval || set.constant) refuseByKernel(EOPNOTSUPP, s);
  if (!isHash && (isBitmap || set.declaredSize > 0)) refuseByKernel(EOPNOTSUPP, s);
  if (s.timeoutMs > 0 && !set.hasTimeout) refuseByKernel(EOPNOTSUPP, s);
  if (set.isMap || (s.statements.length > 0 && !set.dynamic)) refuseByKernel(EINVAL, s);
  if (set.size === 0) set.size = DEFAULT_SIZE;
}

export function printSetUpdate(s: SetUpdate): string {
  const words = [
    s.key.text,
    ...(s.timeoutMs > 0 ? [`timeout ${formatTime(s.timeoutMs)}`] : []),
    ...printElementStatements(s.statements, false),
  ];
  return `${s.op} @${s.set.name} { ${words.join(' ')} }`;
}

export function setUpdateJson(s: SetUpdate): unknown {
  const val = s.key.json;
  const timeout = Math.floor(s.timeoutMs / MS_PER_S);
  const stmt = s.statements.map((one) => elementStatementJson(one, false));
  return {
    set: {
      op: s.op,
      elem: s.timeoutMs > 0 ? { elem: { val, timeout } } : val,
      set: `@${s.set.name}`,
      ...(stmt.length > 0 ? { stmt } : {}),
    },
  };
}

/** Whether the key is of the set's types. */
export function isKeyOf(set: NamedSet, key: Field): boolean {
  return String(set.keyTypes) === String(typesOf(key));
}
