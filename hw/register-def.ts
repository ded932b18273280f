// What a line of the register map is, and the two ways to write one. The map itself: register-map.ts and its parts.

/** rw: kept and read back. ro: writes ignored. wo: reads 0. rc: statistics, cleared by reading. hook: see the meaning. */
export type Access = 'rw' | 'ro' | 'wo' | 'rc' | 'hook';

export interface RegisterDef {
  name: string;
  /** Offset of the first one, bytes. */
  offset: number;
  /** Distance to the next, bytes; 0 for a single register. */
  stride: number;
  count: number;
  access: Access;
  reset: number;
  meaning: string;
  /** Named fields, text. */
  bits: string;
  /** Other offsets of the same registers (first, stride, how many are mapped there). */
  aliases: readonly { offset: number; stride: number; count: number }[];
}

/** A register that exists once. */
export function one(
  name: string,
  offset: number,
  access: Access,
  reset: number,
  meaning: string,
  bits = '',
  aliases: RegisterDef['aliases'] = [],
): RegisterDef {
  return { name, offset, stride: 0, count: 1, access, reset, meaning, bits, aliases };
}

/** An array of registers (at most 256: the register file keeps the index in a byte). */
export function many(
  name: string,
  at: (i: number) => number,
  count: number,
  access: Access,
  reset: number,
  meaning: string,
  bits = '',
  aliases: RegisterDef['aliases'] = [],
): RegisterDef {
  const offset = at(0);
  return { name, offset, stride: at(1) - offset, count, access, reset, meaning, bits, aliases };
}
