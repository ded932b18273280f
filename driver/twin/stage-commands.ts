// Records of the staged tables in host memory, and the commands that point to them (hw/admin/switch-format.ts).
//
// A record buffer is shared memory of its own, held from the command to its answer. A command that is answered late (time
// limit) gives its buffer back then, not before: the device may still read it.

import type { TwinAdapter } from './adapter.ts';
import type { EntryKey, PortBounds } from './flower-match.ts';
import type { Item } from './flower-actions.ts';
import { ENOMEM } from '../errno.ts';
import type { FlowPolice } from '../flow-rule.ts';
import { COUNTER_RECORD_BYTES, Opcode as Op, writeU64 } from '../../hw/admin/format.ts';
import type { Opcode } from '../../hw/admin/format.ts';
import * as S from '../../hw/admin/switch-format.ts';
import { ITEM_WORDS } from '../../hw/switch/actions.ts';
import { P_RANGE, PHV_WORDS } from '../../hw/switch/phv.ts';
import { METER_SRTCM } from '../../hw/table/meter.ts';

/** What a record buffer holds when the device has answered. */
export type RecordDone = (
  error: number,
  result: number,
  detail: number,
  what: number,
  records: DataView,
) => void;

export interface StageCommand {
  opcode: Opcode;
  id: number;
  count: number;
  handle: number;
  recordBytes: number;
  fill: (records: DataView) => void;
}

const NO_RECORDS = new DataView(new ArrayBuffer(0));

/** Sends a command with records. */
export function submitStage(adapter: TwinAdapter, command: StageCommand, done: RecordDone): void {
  const { kernel, admin } = adapter;
  const { recordBytes } = command;
  const memory = kernel.dma_alloc_coherent(Math.max(recordBytes, 4));
  if (memory === null) {
    done(-ENOMEM, 0, 0, 0, NO_RECORDS);
    return;
  }
  const { bytes, at, iova } = memory;
  bytes.fill(0, at, at + recordBytes);
  const records = new DataView(bytes.buffer, bytes.byteOffset + at, recordBytes);
  command.fill(records);
  const answer = (error: number, result: number, detail: number, what: number): void => {
    done(error, result, detail, what, records);
  };
  let isLate = false;
  admin.submit(
    command.opcode,
    (view, place) => {
      view.setUint32(place + S.SW_ID, command.id, true);
      view.setUint32(place + S.SW_COUNT, command.count, true);
      writeU64(view, place + S.SW_IOVA, iova);
      view.setUint32(place + S.SW_HANDLE, command.handle, true);
    },
    (error, result, detail, what) => {
      isLate = error !== 0 && detail === 0;
      answer(error, result, detail, what);
      if (!isLate) kernel.dma_free_coherent(memory);
    },
    (error, result) => {
      kernel.dma_free_coherent(memory);
      if (error === 0 && command.opcode === Op.ENTRY_ADD)
        for (let i = 0; i < command.count; i++)
          deleteEntry(adapter, i === 0 ? result : handleIn(records, i), () => undefined);
    },
  );
}

/** Handle that the device wrote to a record of ENTRY_ADD. */
export function handleIn(records: DataView, index: number): number {
  return records.getUint32(index * S.ENTRY_BYTES + S.ENTRY_HANDLE, true);
}

/** One rule's records. */
export interface EntryRecord {
  priority: number;
  cookie: number;
  keys: readonly EntryKey[];
  sport: PortBounds | null;
  dport: PortBounds | null;
  items: readonly Item[];
}

export function fillEntries(records: DataView, rule: EntryRecord): void {
  rule.keys.forEach((key, index) => {
    const at = index * S.ENTRY_BYTES;
    records.setUint32(at + S.ENTRY_PRIORITY, rule.priority, true);
    records.setUint32(at + S.ENTRY_COOKIE, rule.cookie >>> 0, true);
    records.setUint32(at + S.ENTRY_ITEMS, rule.items.length, true);
    const which = (rule.sport === null ? 0 : 1) | (rule.dport === null ? 0 : 2);
    records.setUint32(at + S.ENTRY_RANGES, which, true);
    const bounds = [...(rule.sport ?? [0, 0]), ...(rule.dport ?? [0, 0])];
    bounds.forEach((bound, i) => records.setUint16(at + S.ENTRY_SPORT_LOW + 2 * i, bound, true));
    key.value.forEach((word, i) => records.setUint32(at + S.ENTRY_VALUE + 4 * i, word, true));
    key.mask.forEach((word, i) => records.setUint32(at + S.ENTRY_MASK + 4 * i, word, true));
    rule.items.forEach(({ kind, args, high }, i) => {
      const place = at + S.ENTRY_ACTIONS + 4 * ITEM_WORDS * i;
      records.setUint32(place, (kind | (high << 16)) >>> 0, true);
      args.forEach((word, w) => records.setUint32(place + 4 + 4 * w, word >>> 0, true));
    });
  });
}

/** Removes one entry. */
export function deleteEntry(
  adapter: TwinAdapter,
  handle: number,
  done: (error: number) => void,
): void {
  adapter.admin.submit(
    Op.ENTRY_DEL,
    (view, at) => {
      view.setUint32(at + S.SW_HANDLE, handle, true);
    },
    (error) => {
      done(error);
    },
  );
}

/** Sets a meter for a policer. */
export function setMeter(
  adapter: TwinAdapter,
  id: number,
  police: FlowPolice,
  done: (error: number, detail: number) => void,
): void {
  adapter.admin.submit(
    Op.METER_SET,
    (view, at) => {
      view.setUint32(at + S.SW_ID, id, true);
      view.setUint8(at + S.METER_ALGORITHM, METER_SRTCM);
      writeU64(view, at + S.METER_CIR, Math.floor(police.rateBytesPerS));
      view.setUint32(at + S.METER_CBS, Math.min(Math.floor(police.burstBytes), 0xffffffff), true);
    },
    (error, _result, detail) => {
      done(error, detail);
    },
  );
}

/** Takes a meter away. */
export function deleteMeter(adapter: TwinAdapter, id: number): void {
  adapter.admin.submit(
    Op.METER_DEL,
    (view, at) => {
      view.setUint32(at + S.SW_ID, id, true);
    },
    () => undefined,
  );
}

/** Reads the counter record of one entry. */
export function readCounter(adapter: TwinAdapter, handle: number, done: RecordDone): void {
  const command: StageCommand = {
    opcode: Op.ENTRY_COUNTERS,
    id: handle >>> S.HANDLE_BITS,
    count: 1,
    handle,
    recordBytes: COUNTER_RECORD_BYTES,
    fill: () => undefined,
  };
  submitStage(adapter, command, done);
}

/** What the driver knows of the device's tables. */
export interface StageInfo {
  exists: boolean;
  packetBits: number;
  byteBits: number;
  rangeRegisters: number;
}

/** Asks the device for a table. */
export function queryTable(
  adapter: TwinAdapter,
  id: number,
  done: (info: StageInfo) => void,
): void {
  const command: StageCommand = {
    opcode: Op.TABLE_QUERY,
    id,
    count: 1,
    handle: 0,
    recordBytes: S.TABLE_BYTES,
    fill: () => undefined,
  };
  submitStage(adapter, command, (error, _result, _detail, _what, records) => {
    if (error !== 0) done({ exists: false, packetBits: 0, byteBits: 0, rangeRegisters: 0 });
    else
      done({
        exists: true,
        packetBits: records.getUint32(S.TABLE_PACKET_BITS, true),
        byteBits: records.getUint32(S.TABLE_BYTE_BITS, true),
        rangeRegisters: templateHasRanges(records)
          ? records.getUint32(S.TABLE_RANGE_REGISTERS, true)
          : 0,
      });
  });
}

/** Whether some key of a table has the range bits. */
function templateHasRanges(records: DataView): boolean {
  const templates = records.getUint32(S.TABLE_TEMPLATES, true);
  for (let t = 0; t < templates; t++)
    if (records.getUint32(S.TABLE_MASKS + 4 * (t * PHV_WORDS + P_RANGE), true) !== 0) return true;
  return false;
}
