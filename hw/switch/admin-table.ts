// A table's record: read and checked against what its stage has left, and written for a driver that asks.

import { Detail, writeU64 } from '../admin/format.ts';
import * as S from '../admin/switch-format.ts';
import { MAX_ITEMS, readItems } from './actions.ts';
import { FINE, type Check } from './admin-check.ts';
import {
  EXACT_WORDS,
  MAX_TABLES,
  MAX_TEMPLATES,
  TableKind,
  type SwitchConfig,
  type TableConfig,
} from './config.ts';
import { PHV_WORDS } from './phv.ts';
import type { SwitchPipeline } from './pipeline.ts';
import type { StageTable } from './table.ts';
import { KeyTemplate } from './template.ts';

/** Most entries of one table: numbers must fit a handle, and memory the host. */
const ENTRIES_MAX = 1 << 20;

/** The record as a table's configuration; null when it makes no sense. */
export function readTable(record: DataView): TableConfig | null {
  const word = (at: number): number => record.getUint32(at, true);
  const kind = word(S.TABLE_KIND);
  const count = word(S.TABLE_TEMPLATES);
  const items = word(S.TABLE_ITEMS);
  const entries = word(S.TABLE_ENTRIES);
  const isSingle = kind !== TableKind.TERNARY;
  if (kind > TableKind.LPM || items > MAX_ITEMS) return null;
  if (count < 1 || count > (isSingle ? 1 : MAX_TEMPLATES)) return null;
  if (entries < 1 || entries > ENTRIES_MAX) return null;
  const templates: Uint32Array[] = [];
  for (let t = 0; t < count; t++) {
    const mask = new Uint32Array(PHV_WORDS);
    for (let i = 0; i < PHV_WORDS; i++) mask[i] = word(S.TABLE_MASKS + 4 * (t * PHV_WORDS + i));
    if (mask.every((bits) => bits === 0)) return null;
    templates.push(mask);
  }
  const next = word(S.TABLE_NEXT);
  return {
    kind: kind as TableKind,
    stage: word(S.TABLE_STAGE),
    entries,
    templates,
    defaultItems: readItems(record, S.TABLE_DEFAULT, items),
    next: next === S.TABLE_NONE ? -1 : next,
    writes: word(S.TABLE_WRITES),
  };
}

/** Whether the stage can take it. */
export function checkTable(pipeline: SwitchPipeline, id: number, config: TableConfig): Check {
  const stage = pipeline.stages[config.stage];
  if (stage === undefined) return { detail: Detail.TABLE_CONFIG, what: config.stage };
  if (stage.tables >= stage.config.maxTables)
    return { detail: Detail.NO_FREE_TABLE, what: stage.tables };
  if (config.next >= 0) {
    const next = config.next < MAX_TABLES ? pipeline.tables[config.next] : null;
    if (next === null || config.next === id)
      return { detail: Detail.NO_SUCH_TABLE, what: config.next };
    if (next.config.stage <= config.stage)
      return { detail: Detail.GOTO_BACKWARDS, what: config.next };
  }
  for (const mask of config.templates) {
    const template = new KeyTemplate(mask, pipeline.config.implied);
    const isExact = config.kind === TableKind.EXACT;
    const fits = isExact ? template.keyWords <= EXACT_WORDS : stage.fits(template.keyBits);
    const hasMemory = isExact ? stage.config.exactEntries > 0 : stage.config.ternary !== null;
    if (!fits || !hasMemory) return { detail: Detail.KEY_TOO_WIDE, what: template.keyBits };
  }
  if (config.kind === TableKind.EXACT && config.entries > stage.freeExact)
    return { detail: Detail.NO_FREE_SLICES, what: stage.freeExact };
  return FINE;
}

/** Writes a table as it is. */
export function writeTable(record: DataView, table: StageTable, device: SwitchConfig): void {
  const { config } = table;
  const put = (at: number, value: number): void => record.setUint32(at, value, true);
  for (let at = 0; at < S.TABLE_BYTES; at += 4) put(at, 0);
  put(S.TABLE_KIND, config.kind);
  put(S.TABLE_STAGE, config.stage);
  put(S.TABLE_ENTRIES, config.entries);
  put(S.TABLE_NEXT, config.next < 0 ? S.TABLE_NONE : config.next);
  put(S.TABLE_WRITES, config.writes);
  put(S.TABLE_TEMPLATES, config.templates.length);
  put(S.TABLE_ITEMS, table.defaultItems.length / 4);
  put(S.TABLE_USED, table.count);
  put(S.TABLE_MAX_ITEMS, table.stage.config.maxItems);
  put(S.TABLE_ACTIONS, table.stage.config.actions);
  writeU64(record, S.TABLE_HITS, table.hits);
  writeU64(record, S.TABLE_MISSES, table.misses);
  table.defaultItems.forEach((word, i) => put(S.TABLE_DEFAULT + 4 * i, word));
  config.templates.forEach((mask, t) => {
    mask.forEach((word, i) => put(S.TABLE_MASKS + 4 * (t * PHV_WORDS + i), word));
  });
  put(S.TABLE_PACKET_BITS, device.packetBits);
  put(S.TABLE_BYTE_BITS, device.byteBits);
  put(S.TABLE_RANGE_REGISTERS, device.rangeRegisters);
}
