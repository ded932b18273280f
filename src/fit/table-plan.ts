// What a table can say about a rule by itself, before room is counted: its key template, slices, entries, range registers,
// or why it can never hold it. Done once for each rule and table; counting room (admission.ts) then is a loop over numbers.

import { countPrefixes, expandToGray } from '../../hw/table/ranges.ts';
import { gangFor } from '../../hw/table/slices.ts';
import { figure } from '../devices/profile.ts';
import type { TableProfile } from '../devices/profile.ts';
import { refuse } from '../rules/refusal.ts';
import type { Refusal } from '../rules/refusal.ts';
import { FIELD_BITS, fullMask, matchOf } from '../rules/rule.ts';
import type { FieldMatch, MaskMatch, RangeMatch, Rule } from '../rules/rule.ts';
import { KeyLayout } from './key-layout.ts';

/** A rule in one table. */
export interface RulePlan {
  /** Why the table can never hold it, null when it is a matter of room. */
  refusal: Refusal | null;
  /** Index of the template. */
  template: number;
  /** Slices side by side. */
  gang: number;
  /** Entries after range expansion. */
  entries: number;
  /** Numbers of the distinct ranges that take a register. */
  ranges: readonly number[];
  /** Numbers of its mask and its whole key among the table's rules; −1 where the table does not ask. */
  mask: number;
  key: number;
  /** Number of its flow type, where masks are counted by type; else 0. */
  type: number;
}

const NO_RANGES: readonly number[] = [];
/** What tells one flow type (or PCTYPE) from another. */
const FLOW_TYPE_FIELDS = ['eth_type', 'ip_proto'] as const;

export class TablePlan {
  readonly id: string;
  readonly table: TableProfile;
  readonly layouts: readonly KeyLayout[];
  readonly groupFirst: number;
  readonly groupLast: number;
  private readonly rangeIds = new Map<string, number>();
  private readonly maskIds = new Map<string, number>();
  private readonly keyIds = new Map<string, number>();
  private readonly typeIds = new Map<string, number>();
  private readonly expansions = new Map<string, number>();

  constructor(id: string, table: TableProfile) {
    this.id = id;
    this.table = table;
    this.layouts = Object.entries(table.templates).map(
      ([name, fields]) => new KeyLayout(name, fields, table.implied),
    );
    this.groupFirst = figure(table.figures, 'groupFirst', 0);
    this.groupLast = figure(table.figures, 'groupLast', this.groupFirst);
  }

  plan(rule: Rule): RulePlan {
    const template = this.templateFor(rule);
    const refusal =
      this.groupRefusal(rule) ??
      this.fieldRefusal(rule, template) ??
      this.matchRefusal(rule, template);
    if (refusal !== null) return this.refused(refusal);
    const gang = this.gangOf(this.layouts[template]);
    if (gang > this.maxGang()) {
      const bits = String(this.layouts[template].keyBits);
      return this.refused(refuse('key-too-wide', bits));
    }
    const action = this.actionRefusal(rule);
    if (action !== null) return this.refused(action);
    const ranges = this.registersOf(rule);
    const entries = this.entriesOf(rule);
    const { mask, key, type } = this.identityOf(rule);
    return { refusal: null, template, gang, entries, ranges, mask, key, type };
  }

  /** Entries that one range costs here; 1 for a range in a register. */
  rangeCost(match: RangeMatch): number {
    const { ranges } = this.table;
    if (ranges !== 'prefix' && ranges !== 'srge') return 1;
    const name = `${match.low} ${match.high} ${FIELD_BITS[match.field]}`;
    let cost = this.expansions.get(name);
    if (cost === undefined) {
      const range = { lo: match.low, hi: match.high, widthBits: FIELD_BITS[match.field] };
      cost = ranges === 'prefix' ? countPrefixes(range) : expandToGray(range).length;
      this.expansions.set(name, cost);
    }
    return cost;
  }

  /** Slices that a template's key takes side by side. */
  gangOf(layout: KeyLayout): number {
    const sliceBits = figure(this.table.figures, 'sliceBits', 0);
    if (sliceBits === 0) return 1;
    return this.table.gang === 'whole'
      ? Math.ceil(layout.keyBits / sliceBits)
      : gangFor(layout.keyBits, sliceBits);
  }

  /** Slices that can be ganged: those of a bank, or of a row. */
  private maxGang(): number {
    const { figures } = this.table;
    const slices = figure(figures, 'slices', 1);
    return figure(figures, 'rowSlices', figure(figures, 'slicesPerBank', slices));
  }

  private refused(refusal: Refusal): RulePlan {
    const none = { template: -1, gang: 0, entries: 0, ranges: NO_RANGES };
    return { refusal, ...none, mask: -1, key: -1, type: 0 };
  }

  /** The narrowest template with all fields of the rule, −1 for none. */
  private templateFor(rule: Rule): number {
    let best = -1;
    for (const [index, layout] of this.layouts.entries()) {
      if (!rule.matches.every((match) => layout.has(match.field))) continue;
      if (best < 0 || layout.keyBits < this.layouts[best].keyBits) best = index;
    }
    return best;
  }

  private groupRefusal(rule: Rule): Refusal | null {
    const isHere = rule.group >= this.groupFirst && rule.group <= this.groupLast;
    return isHere ? null : refuse('no-such-group', String(rule.group));
  }

  private fieldRefusal(rule: Rule, template: number): Refusal | null {
    if (template >= 0) return null;
    const somewhere = (match: FieldMatch): boolean =>
      this.layouts.some((layout) => layout.has(match.field));
    const stranger = rule.matches.find((match) => !somewhere(match));
    if (stranger !== undefined) return refuse('field-not-in-template', stranger.field, stranger.at);
    const fields = rule.matches.map((match) => match.field).join(', ');
    return refuse('field-not-in-template', `set ${fields} together`);
  }

  private matchRefusal(rule: Rule, template: number): Refusal | null {
    const { table } = this;
    for (const match of rule.matches) {
      const { field, at } = match;
      if (match.kind === 'range') {
        if (table.ranges === 'none') return refuse('range-not-allowed', field, at);
        continue;
      }
      const mustBeFull = table.masks !== 'any' || table.implied.includes(field);
      if (mustBeFull && !isFull(match)) return refuse('mask-not-allowed', field, at);
    }
    if (table.masks !== 'exact') return null;
    // A rule without a tag field is about untagged packets (rule.ts), and so says all of vlan_id.
    for (const field of this.layouts[template].fields)
      if (field !== 'vlan_id' && !rule.matches.some((match) => match.field === field))
        return refuse('mask-not-allowed', field);
    return null;
  }

  private actionRefusal(rule: Rule): Refusal | null {
    for (const action of rule.actions) {
      if (!this.table.actions.includes(action.kind))
        return refuse('action-not-supported', action.kind, action.at);
      if (action.kind === 'goto' && action.group <= rule.group)
        return refuse('goto-backwards', String(action.group), action.at);
    }
    return null;
  }

  private entriesOf(rule: Rule): number {
    let entries = 1;
    for (const match of rule.matches) if (match.kind === 'range') entries *= this.rangeCost(match);
    return entries;
  }

  private registersOf(rule: Rule): readonly number[] {
    if (this.table.ranges !== 'registers') return NO_RANGES;
    const found: number[] = [];
    for (const match of rule.matches)
      if (match.kind === 'range')
        found.push(intern(this.rangeIds, `${match.field} ${match.low} ${match.high}`));
    return found.length === 0 ? NO_RANGES : found;
  }

  private identityOf(rule: Rule): { mask: number; key: number; type: number } {
    const { masks, masksPerType } = this.table.figures;
    if (masks === undefined && masksPerType === undefined) return { mask: -1, key: -1, type: 0 };
    let mask = '';
    let key = `${rule.group}`;
    for (const match of rule.matches) {
      const bits = match.kind === 'mask' ? match.mask.join('.') : 'range';
      const value = match.kind === 'mask' ? match.value.join('.') : `${match.low}-${match.high}`;
      mask += `${match.field}/${bits} `;
      key += ` ${match.field}=${value}`;
    }
    let type = '';
    if (masksPerType !== undefined)
      for (const field of FLOW_TYPE_FIELDS) type += ` ${matchText(matchOf(rule, field))}`;
    return {
      mask: intern(this.maskIds, `${mask}${type}`),
      key: intern(this.keyIds, `${key} ${mask}`),
      type: intern(this.typeIds, type),
    };
  }
}

function intern(ids: Map<string, number>, name: string): number {
  let id = ids.get(name);
  if (id === undefined) {
    id = ids.size;
    ids.set(name, id);
  }
  return id;
}

function matchText(match: FieldMatch | null): string {
  if (match === null) return 'any';
  return match.kind === 'mask' ? match.value.join('.') : `${match.low}-${match.high}`;
}

function isFull(match: MaskMatch): boolean {
  const full = fullMask(match.field);
  return match.mask.every((word, at) => word === full[at]);
}
