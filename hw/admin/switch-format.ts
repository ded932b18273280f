// Admin commands of the staged tables (hw/switch): fields of the commands, and of the records in host memory that they
// point to, which are too long for a command. Conventions as in format.ts: little endian, offsets from the start.
//
// Keys are PHV words (hw/switch/phv.ts): u32 each, value and care mask, whatever the table's template; the device takes
// the narrowest template that has every bit compared. Action lists are items of four u32 (hw/switch/actions.ts).
// A command that names a record buffer gives its I/O address and length; the device reads it when it executes the command.

import { ITEM_WORDS, MAX_ITEMS } from '../switch/actions.ts';
import { PHV_WORDS } from '../switch/phv.ts';
import { MAX_TEMPLATES } from '../switch/config.ts';

// Common to the commands below.
/** u32: table, group or meter. */
export const SW_ID = 8;
/** u32: number of records, or of handles. */
export const SW_COUNT = 12;
/** u64: I/O address of the records. */
export const SW_IOVA = 16;
/** u32: handle (ENTRY_MOD, ENTRY_DEL), first handle (ENTRY_COUNTERS). A handle is table << 24 | number. */
export const SW_HANDLE = 24;

/** Bits of a handle below the table's number. */
export const HANDLE_BITS = 24;

// ENTRY_ADD: SW_ID table, SW_COUNT records, all or none; result: the first one's handle, or the number of the record that
// was refused (with what the Detail says in CPL_WHAT). Each record's ENTRY_HANDLE is written by the device.
// ENTRY_MOD: SW_HANDLE, one record of which only the actions count; SW_ID table.
export const ENTRY_BYTES = 512;
/** u32: lower wins; below 2^31. LPM tables ignore it: the longer prefix wins. */
export const ENTRY_PRIORITY = 0;
/** u32: echoed by counters and aging. */
export const ENTRY_COOKIE = 4;
/** u32: ENTRY_AGES: the aging sweeper watches the entry. */
export const ENTRY_FLAGS = 8;
export const ENTRY_AGES = 1;
/** u32, written by the device. */
export const ENTRY_HANDLE = 12;
/** u32: items of the action list. */
export const ENTRY_ITEMS = 16;
/** u32: bit 0 a range of the source port, bit 1 of the destination port. Then u16 low and high of each. */
export const ENTRY_RANGES = 20;
export const ENTRY_SPORT_LOW = 24;
export const ENTRY_SPORT_HIGH = 26;
export const ENTRY_DPORT_LOW = 28;
export const ENTRY_DPORT_HIGH = 30;
/** PHV_WORDS words each. */
export const ENTRY_VALUE = 32;
export const ENTRY_MASK = ENTRY_VALUE + 4 * PHV_WORDS;
export const ENTRY_ACTIONS = ENTRY_MASK + 4 * PHV_WORDS;
/** Records of one ENTRY_ADD at most. */
export const BATCH_MAX = 1024;

/** u32 of the completion: what a refusal is about (a PHV word, an action kind), as its Detail says. */
export const CPL_WHAT = 20;

// TABLE_SET: SW_ID table, one record. DEFAULT_SET: the same, only the default action counts.
// TABLE_QUERY: SW_ID table, one record, written by the device (the default action as it is).
export const TABLE_BYTES = 768;
/** u32: TableKind. */
export const TABLE_KIND = 0;
export const TABLE_STAGE = 4;
/** u32: entries at most. */
export const TABLE_ENTRIES = 8;
/** u32: next table, TABLE_NONE for none. */
export const TABLE_NEXT = 12;
export const TABLE_NONE = 0xffffffff;
/** u32: bits of the PHV words that actions may write, 0 for any. */
export const TABLE_WRITES = 16;
export const TABLE_TEMPLATES = 20;
/** u32: items of the default action. */
export const TABLE_ITEMS = 24;
// Written by TABLE_QUERY only: u32 entries in use, items allowed in a list, bits of the allowed actions; u64 lookups that hit,
// and that missed.
export const TABLE_USED = 28;
export const TABLE_MAX_ITEMS = 32;
export const TABLE_ACTIONS = 36;
export const TABLE_HITS = 40;
export const TABLE_MISSES = 48;
/** Items of the default action. */
export const TABLE_DEFAULT = 64;
/** PHV_WORDS words of each template. */
export const TABLE_MASKS = TABLE_DEFAULT + 4 * ITEM_WORDS * MAX_ITEMS;
export const TABLE_RECORD_END = TABLE_MASKS + 4 * PHV_WORDS * MAX_TEMPLATES;

// GROUP_SET: SW_ID group, one record. A group that is set again is changed at once, for all entries that use it.
export const GROUP_TYPE = 0;
export const GROUP_BUCKETS = 4;
/** u32: GROUP_NOT_BACK: ALL leaves the port of arrival out. */
export const GROUP_FLAGS = 8;
export const GROUP_NOT_BACK = 1;
export const GROUP_LIST = 16;
/** Each bucket: u32 items, then the items; the next bucket follows at BUCKET_BYTES. */
export const BUCKET_ITEMS_MAX = 7;
export const BUCKET_BYTES = 16 + 4 * ITEM_WORDS * BUCKET_ITEMS_MAX;
/** Bytes of a record with `buckets` buckets. */
export function groupBytes(buckets: number): number {
  return GROUP_LIST + BUCKET_BYTES * buckets;
}

// METER_SET: SW_ID meter, in the command itself. u8 algorithm (METER_* of table/meter.ts), u8 1 for colour-aware,
// u64 CIR and EIR or PIR in bytes per second, u32 CBS and EBS or PBS in bytes.
export const METER_ALGORITHM = 12;
export const METER_AWARE = 13;
export const METER_CIR = 24;
export const METER_EIR = 32;
export const METER_CBS = 40;
export const METER_EBS = 44;

// ENTRY_COUNTERS: SW_ID table, SW_HANDLE first handle's number, SW_COUNT handles, records as COUNTERS_READ (format.ts), with
// REC_FLAG_COUNTED where the entry has a counter. REC_LAST_HIT_PS is the time of the last hit. Counters wrap at the device's widths
// and show what the last copy had (both in TABLE_QUERY's device figures below).
export const REC_FLAG_COUNTED = 4;
// Device figures, u32 each, written by TABLE_QUERY behind the templates.
export const TABLE_PACKET_BITS = TABLE_RECORD_END + 8;
export const TABLE_BYTE_BITS = TABLE_RECORD_END + 12;
/** u32: range registers of the device. */
export const TABLE_RANGE_REGISTERS = TABLE_RECORD_END + 16;

// AGED_READ: SW_COUNT handles at most are taken from the list of entries that got old, written as u32 handles to SW_IOVA.
