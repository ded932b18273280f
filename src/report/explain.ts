// A packet's trace record as an explanation for people, in the manner of `ofproto/trace`: the steps, indented by where they
// happened, then why the packet took this path and what would have to differ for it to stay in hardware.

import { DROP_REASONS, MISS_REASONS } from '../../hw/pipeline/outcome.ts';
import type { MissReason } from '../../hw/pipeline/outcome.ts';
import { formatDuration } from '../scenario/quantity.ts';
import { STACK_DROPS } from '../stack/outcome.ts';
import { PS_PER_S } from '../../hw/time/units.ts';
import { FLOW_REMEDIES, MISS_REMEDIES } from './remedies.ts';
import type { TraceRecord, TraceRecordStep } from './trace.ts';

const FATE_TEXT: Record<TraceRecord['fate'], string> = {
  hardware: 'forwarded in hardware',
  'fast-path': 'forwarded by the software fast path (flowtable)',
  'classic-path': 'forwarded by the classic path (routing and netfilter)',
  local: 'delivered to this host',
  dropped: 'dropped',
};

/** Steps of the stack, printed deeper than those of the device. */
const STACK_STEPS = new Set([
  'stack-receive',
  'vlan-receive',
  'hook',
  'route',
  'local',
  'forward',
  'neigh-queued',
  'xmit',
  'stack-drop',
  'fragment',
  'reassembly',
  'icmp-sent',
]);
const NETFILTER_STEPS = new Set([
  'conntrack',
  'rule',
  'chain',
  'flow-add',
  'flow-refused',
  'fast-path',
  'fast-pass',
  'flow-teardown',
]);

/** The whole explanation, ending in a newline. */
export function explain(record: TraceRecord): string {
  const lines = [
    `packet ${record.packet} on ${record.port}, ${record.lenBytes} bytes, at ` +
      `${(record.arrivalPs / PS_PER_S).toFixed(9)} s`,
    `  ${record.key}`,
    '',
    ...record.steps.map((step) => stepLine(step, record.arrivalPs)),
    '',
    `fate: ${fateLine(record)}`,
    `why: ${whyLine(record)}`,
  ];
  const remedy = remedyLine(record);
  if (remedy !== '') lines.push(`to stay in hardware: ${remedy}`);
  return `${lines.join('\n')}\n`;
}

function stepLine(step: TraceRecordStep, arrivalPs: number): string {
  const depth = NETFILTER_STEPS.has(step.step) ? 2 : STACK_STEPS.has(step.step) ? 1 : 0;
  const fields = Object.entries(step)
    .filter(([name]) => name !== 'tPs' && name !== 'step' && name !== 'text')
    .map(([name, value]) => `${name}=${value}`);
  if (step.text !== undefined) fields.push(step.text);
  const after = `+${formatDuration(step.tPs - arrivalPs)}`.padStart(10);
  return `${after}  ${'    '.repeat(depth)}${[step.step, ...fields].join(' ')}`;
}

function fateLine(record: TraceRecord): string {
  const reason = record.reason === '' ? '' : ` (${record.reason})`;
  const took = formatDuration(record.endPs - record.arrivalPs);
  return `${FATE_TEXT[record.fate]}${reason}, ${took} after its first bit arrived`;
}

/** The reason for which the flow stage did not keep it: its name, or '' when the packet never missed there. */
function missOf(record: TraceRecord): string {
  for (const step of record.steps) {
    const miss = step['miss'];
    if (typeof miss === 'string' && miss !== 'none') return miss;
  }
  return '';
}

function textOf(record: TraceRecord, name: string): string | null {
  const found = [...record.steps].reverse().find((step) => step.step === name);
  return found === undefined ? null : (found.text ?? '');
}

function whyLine(record: TraceRecord): string {
  if (record.fate === 'hardware') return 'an entry of the flow table matched and forwards';
  const miss = missOf(record);
  const parts: string[] = [];
  if (record.fate === 'dropped') parts.push(`dropped: ${dropText(record.reason)}`);
  if (miss === '') parts.push('it ended in the device before the flow table');
  else parts.push(`hardware: ${MISS_REASONS.find((one) => one.name === miss)?.text ?? miss}`);
  const state = textOf(record, 'conntrack');
  if (state !== null) parts.push(`connection tracking: ${state}`);
  const pass = textOf(record, 'fast-pass');
  if (pass !== null) parts.push(`flowtable: passed on, ${pass}`);
  if (textOf(record, 'fast-path') !== null) parts.push('flowtable: hit');
  const refused = textOf(record, 'flow-refused');
  if (refused !== null) parts.push(`flow add: refused, ${refused}`);
  if (textOf(record, 'flow-add') !== null) parts.push('flow add: this packet started the offload');
  const teardown = textOf(record, 'flow-teardown');
  if (teardown !== null) parts.push(`the packet ended its flow: ${teardown}`);
  return parts.join('; ');
}

/** The sentence for a drop reason of the device or of software. */
function dropText(reason: string): string {
  const known = [...DROP_REASONS, ...STACK_DROPS].find((one) => one.name === reason);
  return known?.text ?? reason;
}

function remedyLine(record: TraceRecord): string {
  if (record.fate === 'hardware') return '';
  const miss = missOf(record);
  const number = MISS_REASONS.findIndex((one) => one.name === miss);
  if (number < 0 && record.fate === 'dropped') return 'it must not be dropped first, see above';
  if (miss !== 'no-entry') return number < 0 ? '' : MISS_REMEDIES[number as MissReason];
  return `${MISS_REMEDIES[number as MissReason]}; here: ${flowRemedy(record)}`;
}

/** No entry: which step of becoming an entry had not been taken. */
function flowRemedy(record: TraceRecord): string {
  const state = textOf(record, 'conntrack');
  if (textOf(record, 'fast-path') !== null) return FLOW_REMEDIES.pending;
  if (textOf(record, 'flow-add') !== null) return FLOW_REMEDIES.starting;
  if (state === null || state === 'invalid') return FLOW_REMEDIES.untracked;
  if (textOf(record, 'flow-refused') !== null) return FLOW_REMEDIES.establishing;
  if (textOf(record, 'flow-teardown') !== null) return FLOW_REMEDIES.closing;
  if (state === 'new') return FLOW_REMEDIES.establishing;
  return FLOW_REMEDIES.noRule;
}
