// `flowtwin validate`: every published figure that the model is held against, beside what the model says.
//
// Exit status: 0 when all gated rows are within their tolerance, 1 when one is not.

import process from 'node:process';
import type { Command } from 'commander';
import { rateRows, validationRows } from '../../devices/validation.ts';
import type { ValidationRow } from '../../devices/validation.ts';
import { textTable } from '../../fit/text-table.ts';
import { loadDevice } from '../device-files.ts';

export function registerValidate(program: Command): void {
  program
    .command('validate')
    .description('published figures beside what the model says')
    .option('--json', 'print JSON', false)
    .action((flags: { json: boolean }) => validate(flags.json));
}

function validate(json: boolean): void {
  const rows = [...validationRows((name) => loadDevice(name)), ...rateRows()];
  process.stdout.write(json ? `${JSON.stringify(rows, null, 2)}\n` : printRows(rows));
  if (rows.some(({ gated, holds }) => gated && !holds)) process.exitCode = 1;
}

function printRows(rows: readonly ValidationRow[]): string {
  const head = ['case', 'figure', 'published', 'model', 'unit', 'error', 'allowed'];
  const cells = rows.map((row) => [
    row.id,
    row.figure,
    bounded(row),
    significant(row.model),
    row.unit,
    row.bound === 'equal' && row.published !== null ? `${(100 * row.error).toFixed(2)} %` : '-',
    row.published === null
      ? '-'
      : row.tolerance === 0
        ? 'exact'
        : `${Number((100 * row.tolerance).toPrecision(2))} %`,
    row.basis,
    gateOf(row),
    row.source,
  ]);
  const lines = textTable([...head, 'basis', 'gate', 'source'], cells, [2, 3, 5, 6]);
  const notes = rows.flatMap((row) => row.notes ?? []);
  if (notes.length > 0) lines.push('', ...notes);
  const gated = rows.filter((row) => row.gated);
  const outside = gated.filter((row) => !row.holds).length;
  const predicted = gated.filter((row) => row.basis === 'predicted').length;
  lines.push(
    '',
    `${rows.length} figures, ${gated.length} gated (${predicted} predicted): ` +
      `${gated.length - outside} hold, ${outside} outside their tolerance`,
  );
  return `${lines.join('\n')}\n`;
}

function gateOf({ published, gated, holds, source }: ValidationRow): string {
  if (published === null) return '-';
  if (gated) return holds ? 'holds' : 'OUTSIDE';
  if (source.includes('memory')) return 'memory, gates nothing';
  return holds ? 'gates nothing (holds)' : 'gates nothing (outside)';
}

function bounded({ bound, published }: ValidationRow): string {
  if (published === null) return '-';
  const sign = bound === 'least' ? '>= ' : bound === 'most' ? '<= ' : '';
  return `${sign}${published}`;
}

function significant(value: number): string {
  return String(Number(value.toPrecision(8)));
}
