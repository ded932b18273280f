// An entry's record: read, checked against the table's key, and given what it needs from the device's pools.

import { Detail } from '../admin/format.ts';
import * as S from '../admin/switch-format.ts';
import { ActionKind, ITEM_WORDS, MAX_ITEMS, readItems } from './actions.ts';
import { checkList, FINE, type Check, type ListContext } from './admin-check.ts';
import { TableKind } from './config.ts';
import { P_RANGE, PHV_WORDS } from './phv.ts';
import { RANGE_DPORT, RANGE_SPORT } from './pipeline.ts';
import type { NewEntry, StageTable } from './table.ts';

/** Largest priority number. */
const PRIORITY_MAX = 0x7fffffff;
const PORT_BITS = 16;

interface PortRange {
  field: number;
  lo: number;
  hi: number;
}

/** An entry as its record has it; `check` says why it does not fit the table's key. */
export function readEntry(
  records: DataView,
  at: number,
  table: StageTable,
  owner: number,
): { entry: NewEntry; ranges: PortRange[]; check: Check } {
  const entry: NewEntry = {
    template: -1,
    priority: records.getUint32(at + S.ENTRY_PRIORITY, true),
    value: new Uint32Array(PHV_WORDS),
    mask: new Uint32Array(PHV_WORDS),
    items: new Uint32Array(0),
    cookie: records.getUint32(at + S.ENTRY_COOKIE, true),
    owner,
    counter: -1,
    registers: [],
    ages: (records.getUint32(at + S.ENTRY_FLAGS, true) & S.ENTRY_AGES) !== 0,
  };
  for (let i = 0; i < PHV_WORDS; i++) {
    entry.mask[i] = records.getUint32(at + S.ENTRY_MASK + 4 * i, true);
    entry.value[i] = records.getUint32(at + S.ENTRY_VALUE + 4 * i, true) & entry.mask[i];
  }
  const ranges = readRanges(records, at);
  const items = records.getUint32(at + S.ENTRY_ITEMS, true);
  const refused = (detail: Detail, what: number): ReturnType<typeof readEntry> => ({
    entry,
    ranges,
    check: { detail, what },
  });
  if (items > MAX_ITEMS) return refused(Detail.TOO_MANY_ACTIONS, items);
  entry.items = readItems(records, at + S.ENTRY_ACTIONS, items);
  return { entry, ranges, check: fitKey(entry, ranges, table) };
}

/** Chooses the template and, for LPM, the priority. */
function fitKey(entry: NewEntry, ranges: readonly PortRange[], table: StageTable): Check {
  const { mask } = entry;
  if (mask[P_RANGE] !== 0) return { detail: Detail.FIELD_NOT_IN_TEMPLATE, what: P_RANGE };
  if (entry.priority > PRIORITY_MAX) return { detail: Detail.PRIORITY_RANGE, what: entry.priority };
  for (const { lo, hi } of ranges)
    if (lo > hi) return { detail: Detail.RANGE_NOT_ALLOWED, what: lo };
  // Any register may become the one of the range: the template must have all their bits.
  const wanted = mask.slice();
  if (ranges.length > 0) wanted[P_RANGE] = 0xffffffff;
  entry.template = table.templateFor(wanted);
  if (entry.template < 0) {
    if (table.templateFor(mask) >= 0) return { detail: Detail.RANGE_NOT_ALLOWED, what: 0 };
    const somewhere = (word: number): boolean =>
      table.templates.some((template) => (mask[word] & ~template.mask[word]) === 0);
    const stranger = mask.findIndex((_bits, word) => !somewhere(word));
    const what = stranger >= 0 ? stranger : table.templates[0].strangerIn(mask);
    return { detail: Detail.FIELD_NOT_IN_TEMPLATE, what };
  }
  const template = table.templates[entry.template];
  if (table.config.kind === TableKind.EXACT) {
    const open = template.openIn(mask);
    if (open >= 0) return { detail: Detail.MASK_NOT_ALLOWED, what: open };
  }
  if (table.config.kind === TableKind.LPM) {
    const length = template.prefixLength(mask);
    if (length < 0) return { detail: Detail.MASK_NOT_ALLOWED, what: template.openIn(mask) };
    entry.priority = template.totalBits - length;
  }
  return FINE;
}

/** Checks the actions, then takes counter, range registers, groups and meters; takes nothing when it refuses. */
export function takeResources(
  entry: NewEntry,
  ranges: readonly PortRange[],
  context: ListContext,
): Check {
  const { pipeline, stage } = context;
  const check = checkList(entry.items, context);
  if (check.detail !== Detail.NONE) return check;
  const counts = entry.items.some(
    (word, at) => at % ITEM_WORDS === 0 && (word & 0xff) === ActionKind.COUNT,
  );
  if (counts && pipeline.counters.freeCount === 0)
    return { detail: Detail.NO_FREE_COUNTER, what: pipeline.config.counters };
  const registers: number[] = [];
  for (const { field, lo, hi } of ranges) {
    const register = pipeline.ranges.acquire(field, { lo, hi, widthBits: PORT_BITS });
    if (register < 0) {
      for (const one of registers) pipeline.ranges.release(one);
      return { detail: Detail.NO_FREE_RANGE_REGISTER, what: pipeline.ranges.inUse };
    }
    registers.push(register);
    const bit = 2 ** register;
    entry.mask[P_RANGE] = entry.mask[P_RANGE] | bit;
    entry.value[P_RANGE] = entry.value[P_RANGE] | bit;
  }
  entry.registers = registers;
  if (counts) entry.counter = pipeline.counters.take();
  pipeline.useShared(entry.items, 1, stage);
  return FINE;
}

function readRanges(records: DataView, at: number): PortRange[] {
  const which = records.getUint32(at + S.ENTRY_RANGES, true);
  const ranges: PortRange[] = [];
  const read = (field: number, low: number, high: number): void => {
    const lo = records.getUint16(at + low, true);
    ranges.push({ field, lo, hi: records.getUint16(at + high, true) });
  };
  if ((which & 1) !== 0) read(RANGE_SPORT, S.ENTRY_SPORT_LOW, S.ENTRY_SPORT_HIGH);
  if ((which & 2) !== 0) read(RANGE_DPORT, S.ENTRY_DPORT_LOW, S.ENTRY_DPORT_HIGH);
  return ranges;
}
