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
  /** Where the numbers from `from` on lie, for arrays in two pieces; null for the others. */
  upper: { from: number; offset: number } | null;
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
  return { name, offset, stride: 0, count: 1, upper: null, access, reset, meaning, bits, aliases };
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
  const stride = at(1) - offset;
  let from = 0;
  while (from < count && at(from) === offset + from * stride) from++;
  const upper = from === count ? null : { from, offset: at(from) };
  return { name, offset, stride, count, upper, access, reset, meaning, bits, aliases };
}

/** Offset of register `i` of an array. */
export function offsetOf(def: RegisterDef, i: number): number {
  const { upper, stride } = def;
  if (upper !== null && i >= upper.from) return upper.offset + (i - upper.from) * stride;
  return def.offset + i * stride;
}

/** Every place at which a register is mapped: its own offset first, then those of its aliases. */
export function placesOf(def: RegisterDef): { offset: number; index: number }[] {
  const places: { offset: number; index: number }[] = [];
  for (let index = 0; index < def.count; index++)
    places.push({ offset: offsetOf(def, index), index });
  for (const alias of def.aliases)
    for (let index = 0; index < alias.count; index++)
      places.push({ offset: alias.offset + index * alias.stride, index });
  return places;
}
