// The report of `fit` as text: what a person asks first comes first (does it fit, what ran out, which rule, what it costs).

import { errnoName } from '../../driver/errno.ts';
import type { Refusal } from '../rules/refusal.ts';
import type { FitReport, RuleExplained, TableExplained } from './fit.ts';
import type { Overlaps } from './shadow.ts';
import type { SizeAnswer } from './sizes.ts';
import { duration, plain, textTable } from './text-table.ts';

/** Rules named in the lists of shadowed and redundant ones. */
const NAMED = 10;
/** Rules named that do something together. */
const TOGETHER = 4;

export function printFit(report: FitReport, file: string, title: string): string {
  const lines = [
    `${file} on ${report.device} (${title}): ${report.fits ? 'fits' : 'does not fit'}`,
    counts(report),
    '',
    ...resourceTable(report),
    '',
    ...refusalLines(report),
    ...precedenceLines(report),
    ...costTable(report),
    '',
    'sizes at which the answer changes:',
    ...report.sizes.map((size) => `  ${sizeLine(size, report)}`),
    '',
    ...overlapLines(report.overlaps),
  ];
  return `${lines.join('\n')}\n`;
}

function counts({ rules, accepted, refused, software, expansion }: FitReport): string {
  const parts = [`${rules} rules: ${accepted} in, ${refused} refused`];
  if (software > 0) parts.push(`${software} ask for software only`);
  parts.push(`${plain(expansion, 4)} entries per rule`);
  return parts.join(', ');
}

function resourceTable(report: FitReport): string[] {
  const rows = report.resources.map(({ path, title, used, capacity, percent, headroom }) => [
    title,
    String(used),
    String(capacity),
    `${plain(percent, 1)} %`,
    String(headroom),
    path,
  ]);
  const head = ['resource', 'used', 'of', 'used %', 'left', 'set by'];
  return textTable(head, rows, [1, 2, 3, 4]);
}

function refusalLines({ firstRefused, refusedBy }: FitReport): string[] {
  if (firstRefused === null) return [];
  const { rule, line, refusal } = firstRefused;
  const reasons = Object.entries(refusedBy).map(([reason, count]) => `${reason} ${count}`);
  return [
    `first refused: rule ${rule} (line ${line}): ${refusalLine(refusal)}`,
    `refused by reason: ${reasons.join(', ')}`,
    '',
  ];
}

function precedenceLines({ precedence, tables }: FitReport): string[] {
  if (tables.filter(({ rules }) => rules > 0).length < 2 && precedence.moved === 0) return [];
  if (!precedence.isDecided)
    return ['precedence between tables: not worked out for a set of this size', ''];
  if (precedence.moved === 0) return [];
  return [`${precedence.moved} rules passed by a table to keep their precedence`, ''];
}

function refusalLine({ extack, reason, error, resource, remedy }: Refusal): string {
  const ran = resource === '' ? '' : `; ran out: ${resource}`;
  return `${extack} (${reason}, ${errnoName(error)} ${error})${ran}; needs ${remedy}`;
}

function costTable(report: FitReport): string[] {
  const rows = report.tables
    .filter(({ rules }) => rules > 0)
    .map((cost) => [
      cost.table,
      String(cost.rules),
      String(cost.entries),
      String(cost.moves),
      duration(cost.timeS),
      cost.movesBest < 0 ? '-' : String(cost.movesBest),
      cost.movesBest < 0 ? '-' : duration(cost.timeBestS),
      plain(cost.rulesPerS, 1),
      cost.throughputGbps === null ? '-' : plain(cost.throughputGbps, 1),
    ]);
  if (rows.length === 0) return ['no table holds a rule'];
  const head = ['table', 'rules', 'entries', 'moves', 'time', 'best moves', 'best time'];
  return textTable([...head, 'rules/s now', 'Gb/s'], rows, [1, 2, 3, 4, 5, 6, 7, 8]);
}

function sizeLine(size: SizeAnswer, report: FitReport): string {
  const { path, now, leastForAll, next, enough } = size;
  if (leastForAll !== null)
    return `${path}=${now}: the same ${report.accepted} rules go in down to ${leastForAll}`;
  if (next === null || enough === null) return `${path}=${now}: a larger one brings no more rules`;
  if (next === enough) return `${path}=${now}: with ${enough} ${size.enoughRules} rules go in`;
  return (
    `${path}=${now}: from ${next} on ${size.nextRules} rules go in, ` +
    `with ${enough} ${size.enoughRules}, no more beyond`
  );
}

function overlapLines(overlaps: Overlaps): string[] {
  const { shadowed, shadowedTogether, redundant, redundantTogether, notDecided } = overlaps;
  const lines = [rulesLine('shadowed', 'by', [...shadowed, ...shadowedTogether])];
  if (overlaps.redundantSought)
    lines.push(rulesLine('redundant', 'because of', [...redundant, ...redundantTogether]));
  else lines.push('redundant: not looked for in a set of this size');
  if (notDecided > 0)
    lines.push(`not decided: ${notDecided} (whether several rules cover one; too many steps)`);
  return lines;
}

function rulesLine(
  what: string,
  word: string,
  found: readonly (readonly [number, number | readonly number[]])[],
): string {
  if (found.length === 0) return `${what}: none`;
  const named = found.slice(0, NAMED).map(([rule, others]) => `${rule} ${word} ${numbers(others)}`);
  const more = found.length > NAMED ? `, and ${found.length - NAMED} more` : '';
  return `${what}: ${found.length} (rule ${named.join(', ')}${more})`;
}

/** One number, or several as "1 + 2 + 3". */
function numbers(rules: number | readonly number[]): string {
  if (typeof rules === 'number') return String(rules);
  const more = rules.length > TOGETHER ? ` + ${rules.length - TOGETHER} more` : '';
  return rules.slice(0, TOGETHER).join(' + ') + more;
}

/** Devices side by side, one line each. */
export function printComparison(reports: readonly FitReport[], file: string): string {
  const rows = reports.map((report) => {
    const fullest = Math.max(0, ...report.resources.map(({ percent }) => percent));
    const timeS = report.tables.reduce((sum, table) => sum + table.timeS, 0);
    const best = report.tables.reduce((sum, table) => sum + table.timeBestS, 0);
    return [
      report.device,
      report.fits ? 'yes' : 'no',
      String(report.accepted),
      String(report.refused),
      plain(report.expansion, 2),
      `${plain(fullest, 1)} %`,
      String(report.tables.reduce((sum, table) => sum + table.moves, 0)),
      duration(timeS),
      duration(best),
      report.firstRefused === null
        ? ''
        : `rule ${report.firstRefused.rule}: ${report.firstRefused.refusal.reason}`,
    ];
  });
  const head = ['device', 'fits', 'in', 'refused', 'entries/rule', 'fullest', 'moves', 'time'];
  const lines = textTable([...head, 'best time', 'first refused'], rows, [2, 3, 4, 5, 6, 7, 8]);
  return `${file}: ${reports[0].rules} rules\n\n${lines.join('\n')}\n`;
}

export function printExplained(explained: RuleExplained): string {
  const { rule, line, text, priority, outcome, refusal, shadowedBy, redundantBy } = explained;
  const lines = [
    `rule ${rule} (line ${line}, priority ${priority}): ${outcome}`,
    `  ${text.trim()}`,
  ];
  if (refusal !== null) lines.push(`  ${refusalLine(refusal)}`);
  for (const table of explained.tables) lines.push(...tableLines(table));
  if (shadowedBy.length > 0)
    lines.push(`  never wins: all of its packets go to rule ${numbers(shadowedBy)}`);
  if (redundantBy.length > 0)
    lines.push(`  needless: the same is done to its packets by rule ${numbers(redundantBy)}`);
  return `${lines.join('\n')}\n`;
}

function tableLines(table: TableExplained): string[] {
  if (table.refusal !== null) return [`  table ${table.table}: cannot: ${table.refusal.extack}`];
  const { template, keyBits, slices } = table;
  const name = `${table.table}${table.taken ? ' (taken)' : ''}`;
  const key = `key '${template}' of ${keyBits} bits`;
  const lines = [`  table ${name}: ${key}, ${slices} slices wide, ${table.entries} entries`];
  for (const { field, low, high, entries } of table.ranges) {
    const cost = entries === 1 ? 'a range register or one entry' : `${entries} entries`;
    lines.push(`    ${field} ${low} to ${high}: ${cost}`);
  }
  return lines;
}
