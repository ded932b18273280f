// Every reason for which a rule does not go somewhere: into a device's tables (`fit`, drivers), or into another dialect
// (`convert`). One list: reason (machine-readable), errno, what runs out or does not fit, what would make it fit.
//
// Shape of a refusal as Linux gives it: negative errno and one sentence (extack). docs/rules.md prints this list; a test holds
// the two together. Reasons are never renamed, only added.

import {
  E2BIG,
  EEXIST,
  EINVAL,
  ENOSPC,
  EOPNOTSUPP,
  ERANGE,
  ETIMEDOUT,
} from '../../driver/errno.ts';
import type { Place, Rule } from './rule.ts';

export interface ReasonInfo {
  /** Positive errno. */
  error: number;
  /** Sentence for extack; `{}` is what it is about (a field, an action, a number). */
  extack: string;
  /** Resource that ran out, '' where it is no matter of room. */
  resource: string;
  /** What would make it fit. */
  remedy: string;
}

const REASONS = {
  'field-not-in-template': {
    error: EOPNOTSUPP,
    extack: 'key field {} is in no key template',
    resource: '',
    remedy: 'a stage whose key template has the field, or the rule without it',
  },
  'key-too-wide': {
    error: EOPNOTSUPP,
    extack: 'key of {} bits is wider than the slices that can be ganged',
    resource: 'key bits',
    remedy: 'fewer fields, or wider slices',
  },
  'mask-not-allowed': {
    error: EOPNOTSUPP,
    extack: 'mask of {} is not allowed here',
    resource: '',
    remedy: 'an exact value, a prefix, or the mask that the table has; or a ternary table',
  },
  'mask-conflict': {
    error: EINVAL,
    extack: 'mask of {} differs from the one mask of the port',
    resource: '',
    remedy: 'the same mask in all rules, or deleting those that have another one',
  },
  'input-set-conflict': {
    error: EINVAL,
    extack: 'input set of {} differs from that of the other rules of the flow type',
    resource: '',
    remedy:
      'the same fields in all rules of the flow type, or deleting the others; or a ternary table',
  },
  'masks-exhausted': {
    error: ENOSPC,
    extack: 'no free mask: {} in use',
    resource: 'masks',
    remedy: 'rules that share masks, or more masks',
  },
  'no-free-entry': {
    error: ENOSPC,
    extack: 'table full: {} entries in use',
    resource: 'entries',
    remedy: 'a deeper table, or fewer rules',
  },
  'no-free-slices': {
    error: ENOSPC,
    extack: 'no free slices for a key of {} bits in the stage',
    resource: 'slices',
    remedy: 'fewer key templates or tables in the stage, or more slices',
  },
  'no-free-range-register': {
    error: ENOSPC,
    extack: 'no free port range register: {} in use',
    resource: 'range registers',
    remedy: 'ranges that repeat, ranges that are prefixes, or more registers',
  },
  'range-too-costly': {
    error: ENOSPC,
    extack: 'range of {} expands to more entries than are free',
    resource: 'entries',
    remedy: 'range registers, or a range that fewer prefixes cover',
  },
  'range-not-allowed': {
    error: EOPNOTSUPP,
    extack: 'range of {} cannot be matched here',
    resource: '',
    remedy: 'a table with range matching, or one rule for each value',
  },
  'bucket-full': {
    error: ENOSPC,
    extack: 'hash bucket full after {} displacements',
    resource: 'bucket slots',
    remedy: 'more ways, a stash, more displacements, or a lower load',
  },
  'entry-exists': {
    error: EEXIST,
    extack: 'an entry with the same key exists: rule {}',
    resource: '',
    remedy: 'deleting the other rule, or another key',
  },
  'wrong-precedence': {
    error: EINVAL,
    extack: 'would take precedence contrary to priority over or under rule {}',
    resource: '',
    remedy: 'a table that holds both rules, or rules that do not overlap',
  },
  'priority-out-of-range': {
    error: ERANGE,
    extack: 'priority {} is out of the range of the table',
    resource: 'priorities',
    remedy: 'fewer distinct priorities, or renumbering',
  },
  'action-not-supported': {
    error: EOPNOTSUPP,
    extack: 'action {} is not supported in this stage',
    resource: '',
    remedy: 'a stage or device with that action',
  },
  'too-many-actions': {
    error: E2BIG,
    extack: 'rule has {} actions, more than an entry holds',
    resource: 'action slots',
    remedy: 'fewer actions, or the rest in a further stage',
  },
  'action-field': {
    error: EOPNOTSUPP,
    extack: 'field {} cannot be written in this stage',
    resource: '',
    remedy: 'another field, or a stage that may write it',
  },
  'action-argument': {
    error: EOPNOTSUPP,
    extack: 'arguments of {} cannot be done by the device',
    resource: '',
    remedy: 'arguments within the limits of the device',
  },
  'no-free-counter': {
    error: ENOSPC,
    extack: 'no free counter: {} in use',
    resource: 'counters',
    remedy: 'rules without count, or more counters',
  },
  'no-free-meter': {
    error: ENOSPC,
    extack: 'no free meter: {} in use',
    resource: 'meters',
    remedy: 'sharing meters, or more of them',
  },
  'meter-config': {
    error: ERANGE,
    extack: 'rate of police {} is above what a meter can do',
    resource: '',
    remedy: 'a lower rate',
  },
  'no-such-group': {
    error: EINVAL,
    extack: 'group {} is not a stage of this device',
    resource: 'stages',
    remedy: 'a device with more stages',
  },
  'goto-backwards': {
    error: EINVAL,
    extack: 'jump to group {} does not go forward',
    resource: '',
    remedy: 'a group with a higher number',
  },
  'no-such-port': {
    error: EINVAL,
    extack: 'port {} is not a port of this device',
    resource: '',
    remedy: 'a port of the same device',
  },
  'rule-skips-hardware': {
    error: EOPNOTSUPP,
    extack: 'rule asks for software only ({})',
    resource: '',
    remedy: 'the rule without skip_hw',
  },
  'device-busy': {
    error: ETIMEDOUT,
    extack: 'the device did not complete the update within {} ms',
    resource: '',
    remedy: 'a lower insert rate, or a better order of inserts',
  },
  'dialect-field': {
    error: EOPNOTSUPP,
    extack: 'field {} cannot be said in the target dialect',
    resource: '',
    remedy: 'another dialect, or the rule without the field',
  },
  'dialect-mask': {
    error: EOPNOTSUPP,
    extack: 'mask of {} cannot be said in the target dialect',
    resource: '',
    remedy: 'an exact value or a prefix',
  },
  'dialect-range': {
    error: EOPNOTSUPP,
    extack: 'range of {} cannot be said in the target dialect',
    resource: '',
    remedy: 'one rule for each prefix of the range',
  },
  'dialect-action': {
    error: EOPNOTSUPP,
    extack: 'action {} cannot be said in the target dialect',
    resource: '',
    remedy: 'another dialect, or the rule without the action',
  },
  'dialect-priority': {
    error: ERANGE,
    extack: 'priority {} cannot be said in the target dialect',
    resource: 'priorities',
    remedy: 'rules that do not overlap, or fewer priorities',
  },
  'dialect-attribute': {
    error: EOPNOTSUPP,
    extack: '{} cannot be said in the target dialect',
    resource: '',
    remedy: 'another dialect, or the rule without it',
  },
} as const satisfies Record<string, ReasonInfo>;

export type RefusalReason = keyof typeof REASONS;
export const REFUSAL_REASONS = Object.keys(REASONS) as RefusalReason[];

/** The facts about a reason. */
export function reasonInfo(reason: RefusalReason): ReasonInfo {
  return REASONS[reason];
}

/** Why a rule did not go in. */
export interface Refusal {
  reason: RefusalReason;
  /** Negative errno. */
  error: number;
  /** One sentence, as extack has it. */
  extack: string;
  /** The field, action or number that it is about. */
  what: string;
  /** '' where it is no matter of room. */
  resource: string;
  /** What would make this rule fit. */
  remedy: string;
  /** Where in the rule's text, or null where no single place is at fault. */
  at: Place | null;
}

/** `remedy` replaces the reason's general one where the caller knows better. */
export function refuse(
  reason: RefusalReason,
  what: string,
  at: Place | null = null,
  remedy = '',
): Refusal {
  const info = REASONS[reason];
  return {
    reason,
    error: -info.error,
    extack: info.extack.replace('{}', what),
    what,
    resource: info.resource,
    remedy: remedy === '' ? info.remedy : remedy,
    at,
  };
}

/** `FILE:LINE:COLUMN: extack (reason); needs remedy`. */
export function refusalText(rule: Rule, refusal: Refusal): string {
  const { file, line, column } = rule.source;
  const at = refusal.at ?? { line, column };
  return `${file}:${at.line}:${at.column}: ${refusal.extack} (${refusal.reason}); needs ${refusal.remedy}`;
}
