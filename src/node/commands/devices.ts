// `flowtwin devices`: the device profiles, and every number of one with its source and status.

import process from 'node:process';
import type { Command } from 'commander';
import type { DeviceProfile, Figure } from '../../devices/profile.ts';
import { textTable } from '../../fit/text-table.ts';
import { deviceNames, loadDevice } from '../device-files.ts';

interface DevicesFlags {
  json: boolean;
  set: string[];
}

export function registerDevices(program: Command): void {
  program
    .command('devices')
    .description('list device profiles, or print every figure of one with source and status')
    .argument('[name]', 'a shipped profile, or a .json file')
    .option('--set <path=value>', 'change a figure (repeatable)', collect, [])
    .option('--json', 'print JSON', false)
    .action((name: string | undefined, flags: DevicesFlags) => devices(name, flags));
}

/** For options that may be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function devices(name: string | undefined, flags: DevicesFlags): void {
  if (name !== undefined) {
    const device = loadDevice(name, flags.set);
    process.stdout.write(flags.json ? `${JSON.stringify(device, null, 2)}\n` : printDevice(device));
    return;
  }
  const all = deviceNames().map((one) => loadDevice(one));
  if (flags.json) {
    const list = all.map(({ name, title, kind, tables }) => ({
      name,
      title,
      kind,
      tables: Object.keys(tables),
    }));
    process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
    return;
  }
  const rows = all.map((device) => [
    device.name,
    device.kind,
    Object.keys(device.tables).join(', '),
    device.title,
  ]);
  const lines = textTable(['device', 'kind', 'tables', 'title'], rows, []);
  process.stdout.write(`${lines.join('\n')}\n`);
}

function printDevice(device: DeviceProfile): string {
  const lines = [`${device.name}: ${device.title} (${device.kind})`];
  if (device.notes !== '') lines.push(device.notes);
  for (const [id, table] of Object.entries(device.tables)) {
    const order = table.engine === 'none' ? 'no order' : `order by ${table.engine}`;
    lines.push('', `table ${id}: ${table.title}`);
    lines.push(`  ${table.kind}, masks ${table.masks}, ranges by ${table.ranges}, ${order}`);
    for (const [name, fields] of Object.entries(table.templates))
      lines.push(`  key ${name}: ${fields.join(', ')}`);
    if (table.implied.length > 0) lines.push(`  implied: ${table.implied.join(', ')}`);
    lines.push(`  actions: ${table.actions.join(', ')}`);
    if (table.notes !== '') lines.push(`  ${table.notes}`);
    lines.push(...figureLines(table.figures, `${id}.`));
  }
  if (Object.keys(device.figures).length > 0) lines.push('', 'device');
  lines.push(...figureLines(device.figures, ''));
  return `${lines.join('\n')}\n`;
}

function figureLines(figures: Readonly<Record<string, Figure>>, prefix: string): string[] {
  const rows = Object.entries(figures).map(([name, { value, unit, source, status }]) => [
    `  ${prefix}${name}`,
    Array.isArray(value) ? value.join(' ') : String(value),
    unit ?? '',
    status,
    source,
  ]);
  if (rows.length === 0) return [];
  return textTable(['  figure', 'value', 'unit', 'status', 'source'], rows, [1]);
}
