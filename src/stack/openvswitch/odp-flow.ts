// A flow of a datapath as `ovs-dpctl dump-flows` shows it: key, counters, time since the last packet, actions (spec F.2, 12).

import { PS_PER_MS } from '../../../hw/time/units.ts';
import type { Flow } from './flow-table.ts';
import { keyAttrs } from './key-attrs.ts';
import { attrBytes } from './nlattr.ts';
import { formatOdpActions } from './odp-actions-format.ts';
import { formatOdpKey } from './odp-key.ts';
import type { OdpStyle } from './odp-key.ts';

/** TCP flags in the order of printing, by bit. */
const FLAG_LETTERS = [
  [1, 'S'],
  [0, 'F'],
  [3, 'P'],
  [2, 'R'],
  [5, 'U'],
  [4, '.'],
  [6, 'E'],
  [7, 'C'],
] as const;

/** One line, without its end. */
export function formatFlow(flow: Flow, nowPs: number, style: OdpStyle): string {
  const key = attrBytes(keyAttrs(flow.key, flow.key, false));
  const mask = attrBytes(keyAttrs(flow.key, flow.mask, true));
  const parts = [
    formatOdpKey(key, mask, style),
    `packets:${flow.packets}`,
    `bytes:${flow.bytes}`,
    `used:${usedText(flow.usedPs, nowPs)}`,
  ];
  const flags = FLAG_LETTERS.filter(([bit]) => (flow.tcpFlags & (1 << bit)) !== 0);
  if (flags.length > 0) parts.push(`flags:${flags.map(([, letter]) => letter).join('')}`);
  if (style.verbose) parts.push('dp:ovs');
  parts.push(`actions:${formatOdpActions(flow.actionAttrs, style)}`);
  return parts.join(', ');
}

function usedText(usedPs: number, nowPs: number): string {
  if (usedPs < 0) return 'never';
  const ms = Math.floor(nowPs / PS_PER_MS) - Math.floor(usedPs / PS_PER_MS);
  return `${(ms / 1000).toFixed(3)}s`;
}
