// A rule as the key of a table: which template, how many bits, and the words that placement engines and hash tables read.
//
// Key bits count the template's fields only; implied fields (told apart by the parser) cost none, but are in the words, since
// rules that differ in them are different entries. Words hold a field of more than 16 bits each on its own, smaller ones
// side by side. Not the bit order of any device: only widths, equality and overlap are read from it.

import { expandToGray, expandToPrefixes, grayCode } from '../../hw/table/ranges.ts';
import type { Ternary } from '../../hw/table/ranges.ts';
import { FIELD_BITS, fieldWords } from '../rules/rule.ts';
import type { FieldMatch, FieldName, RangeMatch, Rule } from '../rules/rule.ts';
import type { RangeRule } from '../devices/profile.ts';

/** Where a field is: first word, and how far it is shifted up in it. */
interface FieldPlace {
  word: number;
  shift: number;
}

export class KeyLayout {
  readonly name: string;
  readonly fields: readonly FieldName[];
  /** Bits of the template's fields. */
  readonly keyBits: number;
  readonly words: number;
  private readonly places = new Map<FieldName, FieldPlace>();

  constructor(name: string, fields: readonly FieldName[], implied: readonly FieldName[]) {
    this.name = name;
    this.fields = fields;
    this.keyBits = fields.reduce((bits, field) => bits + FIELD_BITS[field], 0);
    let word = 0;
    let freeBits = 0;
    for (const field of new Set([...fields, ...implied])) {
      const bits = FIELD_BITS[field];
      if (bits <= 16 && bits <= freeBits) freeBits -= bits;
      else {
        word += fieldWords(field);
        freeBits = bits <= 16 ? 32 - bits : 0;
      }
      const first = bits <= 16 ? word - 1 : word - fieldWords(field);
      this.places.set(field, { word: first, shift: bits <= 16 ? freeBits : 0 });
    }
    this.words = word;
  }

  has(field: FieldName): boolean {
    return this.places.has(field);
  }

  /** Writes value and mask words of one field. */
  put(words: Uint32Array, field: FieldName, values: readonly number[]): void {
    const place = this.places.get(field) as FieldPlace;
    for (let i = 0; i < values.length; i++)
      words[place.word + i] = (words[place.word + i] | (values[i] << place.shift)) >>> 0;
  }
}

/** Value and mask words of one entry. */
export interface Encoded {
  value: Uint32Array;
  mask: Uint32Array;
}

/** The entries of a rule: one for each combination of its ranges' pieces. */
export function encodeRule(rule: Rule, layout: KeyLayout, ranges: RangeRule): Encoded[] {
  let entries: Encoded[] = [
    { value: new Uint32Array(layout.words), mask: new Uint32Array(layout.words) },
  ];
  for (const match of rule.matches) {
    const pieces = piecesOf(match, ranges);
    if (pieces.length === 1) for (const entry of entries) putPiece(entry, layout, match, pieces[0]);
    else
      entries = entries.flatMap((entry) =>
        pieces.map((piece) => {
          const copy = { value: entry.value.slice(), mask: entry.mask.slice() };
          putPiece(copy, layout, match, piece);
          return copy;
        }),
      );
  }
  return entries;
}

interface Piece {
  value: readonly number[];
  mask: readonly number[];
}

function piecesOf(match: FieldMatch, ranges: RangeRule): Piece[] {
  if (match.kind === 'range') return rangePieces(match, ranges);
  if (ranges !== 'srge' || !isPort(match.field)) return [match];
  return [{ value: [grayCode(match.value[0]) & match.mask[0]], mask: match.mask }];
}

/** With registers the range is a bit beside the key: the field itself is open. */
function rangePieces(match: RangeMatch, ranges: RangeRule): Piece[] {
  if (ranges === 'registers') return [{ value: [0], mask: [0] }];
  const range = { lo: match.low, hi: match.high, widthBits: FIELD_BITS[match.field] };
  const pieces: Ternary[] = ranges === 'srge' ? expandToGray(range) : expandToPrefixes(range);
  return pieces.map(({ value, mask }) => ({ value: [value], mask: [mask] }));
}

function isPort(field: FieldName): boolean {
  return field === 'sport' || field === 'dport';
}

function putPiece(entry: Encoded, layout: KeyLayout, match: FieldMatch, piece: Piece): void {
  layout.put(entry.value, match.field, piece.value);
  layout.put(entry.mask, match.field, piece.mask);
}
