// Why a tc filter did not go into the device: errno, reason and sentence, from what the driver saw or the device said.
//
// Reasons are those of docs/rules.md; what is no matter of the rule itself is listed in flower.ts.

import { E2BIG, EEXIST, EINVAL, EIO, ENOSPC, EOPNOTSUPP, ERANGE, ETIMEDOUT } from '../errno.ts';
import { DETAIL_NAMES } from '../../hw/admin/format.ts';
import { ACTION_NAMES } from '../../hw/switch/actions.ts';
import { PHV_FIELDS, type PhvField } from '../../hw/switch/phv.ts';

export interface FilterRefusal {
  /** Positive errno. */
  error: number;
  reason: string;
  message: string;
}

/** Names of the device's Details that the documented list has under another name. */
const RENAMED: Readonly<Record<string, string>> = {
  'same-key': 'entry-exists',
  'priority-range': 'priority-out-of-range',
  'no-such-table': 'no-such-group',
  'no-such-meter': 'no-free-meter',
  'action-port': 'no-such-port',
  'action-queue': 'action-argument',
};

/** Errno and sentence by reason; `{}` is what it is about. */
const SENTENCES: Readonly<Record<string, readonly [error: number, message: string]>> = {
  'field-not-in-template': [EOPNOTSUPP, 'key field {} is in no key template of the table'],
  'key-too-wide': [EOPNOTSUPP, 'key is wider than the slices that can be ganged'],
  'mask-not-allowed': [EOPNOTSUPP, 'mask of {} is not allowed in this table'],
  'no-free-entry': [ENOSPC, 'table full: {} entries in use'],
  'no-free-slices': [ENOSPC, 'no free slices of ternary memory in the stage'],
  'no-free-range-register': [ENOSPC, 'no free port range register: {} in use'],
  'range-not-allowed': [EOPNOTSUPP, 'port ranges cannot be matched in this table'],
  'range-too-costly': [ENOSPC, 'port ranges expand to {} entries, more than are free'],
  'bucket-full': [ENOSPC, 'no free entry in reach of this key in the hash table'],
  'entry-exists': [EEXIST, 'an entry with the same key is in the table'],
  'priority-out-of-range': [ERANGE, 'priority is out of the range of the table'],
  'action-not-supported': [EOPNOTSUPP, 'action {} is not supported in this stage'],
  'too-many-actions': [E2BIG, 'rule has {} actions, more than an entry holds'],
  'action-field': [EOPNOTSUPP, 'field {} cannot be written in this stage'],
  'action-argument': [EOPNOTSUPP, 'arguments of {} cannot be done by the device'],
  'no-such-port': [EINVAL, '{} is not a port of this device'],
  'goto-backwards': [EINVAL, 'goto chain {} does not go forward'],
  'no-such-group': [EINVAL, 'the device has no table for chain {}'],
  'no-free-meter': [ENOSPC, 'no free meter: the device has none with number {}'],
  'meter-config': [ERANGE, 'rate of police {} is above what a meter can do'],
  'no-free-counter': [ENOSPC, 'no free counter: {} in use'],
  'no-stages': [EOPNOTSUPP, 'the device has no table for tc filters'],
  'rule-missing': [EINVAL, 'request without a rule'],
  timeout: [ETIMEDOUT, 'the device did not answer in time'],
};

/** By reason; with `detail` (and reason '') what the device answered. `entries` is how many the rule takes. */
export function refusalOf(reason: string, what: string, detail = 0, entries = 1): FilterRefusal {
  let name = reason === '' ? (DETAIL_NAMES[detail] ?? 'device') : reason;
  name = RENAMED[name] ?? name;
  if (name === 'no-free-entry' && entries > 1)
    return refusalOf('range-too-costly', String(entries));
  if (name === 'none') name = 'device';
  const sentence = SENTENCES[name];
  if (sentence === undefined)
    return { error: EIO, reason: name, message: `the device refused the filter: ${name}` };
  const about = reason === '' ? subjectOf(name, Number(what)) : what;
  return { error: sentence[0], reason: name, message: sentence[1].replace('{}', about) };
}

/** What a completion's word is about, in words. */
function subjectOf(name: string, what: number): string {
  if (name === 'field-not-in-template' || name === 'mask-not-allowed' || name === 'action-field')
    return fieldsOf(what);
  if (name === 'action-not-supported' || name === 'action-argument')
    return ACTION_NAMES[what] ?? String(what);
  return String(what);
}

/** Names of the fields that a key word holds. */
function fieldsOf(word: number): string {
  const names = Object.entries(PHV_FIELDS)
    .filter(
      ([, field]: [string, PhvField]) => word >= field.word && word < field.word + field.words,
    )
    .map(([name]) => name);
  return names.join(' or ');
}
