// Matches on `ct label`: 128 bits, by number (names of connlabel.conf are left out).

import type { Cursor } from './cursor.ts';
import { NftError } from './lexer.ts';

const LABEL_COUNT = 128;

export interface LabelMatch {
  kind: 'ct-label';
  /** `any` (written without operator), `none` (`!`), or all bits alike. */
  op: 'any' | 'none' | '==' | '!=';
  /** Ascending. */
  labels: number[];
}

/** Behind `ct label`. */
export function parseLabelMatch(cursor: Cursor): LabelMatch {
  const op = cursor.take('!')
    ? 'none'
    : cursor.take('!=')
      ? '!='
      : cursor.take('==')
        ? '=='
        : 'any';
  const labels: number[] = [];
  do labels.push(parseLabel(cursor));
  while (cursor.take(',') || cursor.take('|'));
  return { kind: 'ct-label', op, labels: [...new Set(labels)].sort((a, b) => a - b) };
}

function parseLabel(cursor: Cursor): number {
  const { text, start, end, kind } = cursor.token;
  if (kind === 'word')
    throw new NftError(
      `/etc/connlabel.conf: could not parse conntrack label "${text}"`,
      start,
      end,
    );
  const label = cursor.number();
  if (label >= LABEL_COUNT)
    throw new NftError(`${text}: bit ${text} out of range (${LABEL_COUNT} max)`, start, end);
  return label;
}

export function printLabelMatch({ op, labels }: LabelMatch): string {
  const sign = op === 'any' ? '' : op === 'none' ? '! ' : `${op} `;
  return `ct label ${sign}${labels.join(',')}`;
}

export function labelMatchJson({ op, labels }: LabelMatch): unknown {
  const right = labels.length === 1 ? labels[0] : labels;
  const sign = op === 'any' ? 'in' : op === 'none' ? '!' : op;
  return { match: { op: sign, left: { ct: { key: 'label' } }, right } };
}

/** Whether a connection's labels (least significant word first; null for none) fulfil the match. */
export function labelsMatch({ op, labels }: LabelMatch, words: Uint32Array | null): boolean {
  let common = 0;
  let set = 0;
  for (const label of labels)
    if (words !== null && ((words[label >> 5] >>> (label & 31)) & 1) !== 0) common++;
  if (op === 'any') return common > 0;
  if (op === 'none') return common === 0;
  if (words !== null)
    for (let bit = 0; bit < LABEL_COUNT; bit++) set += (words[bit >> 5] >>> (bit & 31)) & 1;
  return (common === labels.length && set === common) === (op === '==');
}
