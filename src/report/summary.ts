// The summary of a run, for a terminal: the report's figures as a page of text. No colours, no widths taken from the
// terminal: the same run prints the same bytes everywhere.

import { formatCount, formatDuration, formatRate } from '../scenario/quantity.ts';
import { fatesAddUp } from './run-report.ts';
import type { Count, RunReport, TimeSummary } from './run-report.ts';
import { PS_PER_S } from '../../hw/time/units.ts';

/** The whole page, ending in a newline. */
export function formatSummary(report: RunReport): string {
  const lines: string[] = [
    ...commandLines(report),
    `${report.scenario} on ${report.device}, seed ${report.seed}`,
    '',
    ...portLines(report),
    '',
    ...fateLines(report),
    '',
    ...offloadLines(report),
    ...namespaceLines(report),
    ...latencyLines(report),
    '',
    ...queueLines(report),
    '',
    ...utilisationLines(report),
    ...assumptionLines(report),
    ...report.inputFaults.map((fault) => `input     ${fault}`),
    `digest    ${report.digest}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** What commands printed, each under its time and text. */
function commandLines(report: RunReport): string[] {
  return report.commands.flatMap(({ atPs, command, stdout, stderr }) => [
    `[${formatDuration(Math.max(0, atPs - report.firstArrivalPs))}] ${command}`,
    ...(stdout + stderr).trimEnd().split('\n'),
    '',
  ]);
}

function portLines(report: RunReport): string[] {
  const spanPs = Math.max(report.lastArrivalPs - report.firstArrivalPs, 1);
  const rate = (count: Count): string => formatRate((count.bytes * 8 * PS_PER_S) / spanPs);
  return table(
    ['port', 'in packets', 'in bytes', 'in rate', 'out packets', 'out bytes', 'out rate'],
    report.ports.map((port) => [
      port.name,
      formatCount(port.rx.packets),
      formatCount(port.rx.bytes),
      rate(port.rx),
      formatCount(port.tx.packets),
      formatCount(port.tx.bytes),
      rate(port.tx),
    ]),
  );
}

/** A line a network namespace; nothing when there is one. */
function namespaceLines(report: RunReport): string[] {
  if (report.namespaces.length === 0) return [];
  const rows = report.namespaces.map((one) => [
    one.name === '' ? '(initial)' : one.name,
    formatCount(one.connections),
    formatCount(one.flows),
    formatCount(one.flowsInHardware),
    formatCount(one.fastPathPackets),
    one.devices.join(' '),
  ]);
  const head = ['namespace', 'connections', 'flows', 'in hardware', 'fast path packets', 'devices'];
  return [...table(head, rows), ''];
}

function fateLines(report: RunReport): string[] {
  const { fates } = report;
  const rows: string[][] = [
    row('forwarded in hardware', fates.hardware, report.in),
    row('forwarded, software fast path', fates.fastPath, report.in),
    row('forwarded, classic path', fates.classicPath, report.in),
    row('delivered locally', fates.local, report.in, reasons(report.localBy)),
    row('dropped', fates.dropped, report.in, reasons(report.droppedBy)),
  ];
  if (fates.inFlight > 0)
    rows.push(['still in the machine', formatCount(fates.inFlight), '', '', '']);
  const verdict = fatesAddUp(report) ? 'adds up to what came in' : 'DOES NOT ADD UP';
  rows.push(['in all', formatCount(report.in.packets), formatCount(report.in.bytes), '', verdict]);
  const lines = table(['fate', 'packets', 'bytes', 'share', 'reasons'], rows);
  const toHost = reasons(report.toHost);
  if (toHost !== '') lines.push(`why hardware gave packets to the host: ${toHost}`);
  const { mirrored, sampled, replicated, sent, toHost: up, dropped } = report.copies;
  if (mirrored + sampled + replicated > 0)
    lines.push(
      `copies made in the device: mirrored ${formatCount(mirrored)}, sampled ${formatCount(sampled)}, ` +
        `by groups ${formatCount(replicated)}; sent ${formatCount(sent)}, to the host ${formatCount(up)}, ` +
        `dropped ${formatCount(dropped)}`,
    );
  if (report.hostFrames > 0)
    lines.push(`frames made by the host itself: ${formatCount(report.hostFrames)}`);
  if (report.extraFrames > 0)
    lines.push(`extra frames from fragmentation: ${formatCount(report.extraFrames)}`);
  return lines;
}

function row(name: string, count: Count, all: Count, why = ''): string[] {
  const share = all.packets === 0 ? 0 : (100 * count.packets) / all.packets;
  return [name, formatCount(count.packets), formatCount(count.bytes), `${share.toFixed(1)} %`, why];
}

function reasons(record: Record<string, number>): string {
  return Object.entries(record)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .map(([name, count]) => `${name} ${formatCount(count)}`)
    .join(', ');
}

function offloadLines(report: RunReport): string[] {
  const offload = report.offload;
  if (offload === null) return [];
  const or = (text: string): string => (text === '' ? 'none' : text);
  const t = offload.timeToHardware;
  const lines = [
    `offload   asked ${formatCount(offload.asked)}, installed ${formatCount(offload.installed)}, ` +
      `refused ${or(reasons(offload.refused))}, removed ${or(reasons(offload.removed))}, ` +
      `entries at the end ${formatCount(offload.hardwareEntries)}`,
  ];
  const notAdded = reasons(offload.notAdded);
  if (notAdded !== '')
    lines.unshift(`flow add  added ${formatCount(offload.added)}, not added ${notAdded}`);
  if (t.count > 0)
    lines.push(
      `          first packet to hardware: p50 ${formatDuration(t.p50Ps)}, ` +
        `p99 ${formatDuration(t.p99Ps)}, max ${formatDuration(t.maxPs)}`,
    );
  return [...lines, ''];
}

function latencyLines(report: RunReport): string[] {
  const { latency } = report;
  const one = (name: string, t: TimeSummary): string[] =>
    t.count === 0
      ? [name, '-', '-', '-', '-', '-']
      : [name, ...[t.p50Ps, t.p90Ps, t.p99Ps, t.p999Ps, t.maxPs].map(formatDuration)];
  return table(
    ['latency', 'p50', 'p90', 'p99', 'p99.9', 'max'],
    [
      one('hardware', latency.hardware),
      one('fast path', latency.fastPath),
      one('classic path', latency.classicPath),
    ],
  );
}

function queueLines(report: RunReport): string[] {
  const used = report.queues.filter(
    (queue) => queue.rxPackets + queue.txPackets + queue.rxDrops + queue.interrupts > 0,
  );
  return table(
    ['queue', 'rx packets', 'rx drops', 'tx packets', 'interrupts'],
    used.map((queue) => [
      `${queue.port}/${queue.queue}`,
      formatCount(queue.rxPackets),
      formatCount(queue.rxDrops),
      formatCount(queue.txPackets),
      formatCount(queue.interrupts),
    ]),
  );
}

function utilisationLines(report: RunReport): string[] {
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const { pcieToHost, pcieToDevice, cores } = report.utilisation;
  return [
    `busy      PCIe to host ${percent(pcieToHost)}, to device ${percent(pcieToDevice)}; ` +
      `cores ${cores.map(percent).join(', ')}`,
    `time      ${formatDuration(report.lastArrivalPs - report.firstArrivalPs)} of traffic, ` +
      `${formatDuration(report.endPs - report.firstArrivalPs)} until the last packet had ended`,
  ];
}

function assumptionLines(report: RunReport): string[] {
  const text = reasons(report.assumptions);
  return text === '' ? [] : [`assumed   ${text}`];
}

/** First column left, numbers right, a last text column left. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((name, i) =>
    Math.max(name.length, ...rows.map((cells) => (cells[i] ?? '').length)),
  );
  const last = head.length - 1;
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) =>
        i === 0 || (i === last && head[last] === 'reasons')
          ? cell.padEnd(widths[i])
          : cell.padStart(widths[i]),
      )
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)];
}
