// flowtable: what runs in the flowtables, and handing flows back. A command of this model, with no Linux counterpart (there the
// only view is `conntrack -L`, and nothing takes a flow out of hardware alone): the RFC's cover letter had it on its to-do list.
//
//   flowtable list [FILTER]                    a line per flow
//   flowtable release software|classic [FILTER]
//   flowtable stats [table NAME]               what was counted (flowtable-stats.ts)
//
// FILTER: words of `proto tcp|udp`, `src A`, `dst A`, `sport N`, `dport N`, on the original direction; `table NAME` is the flowtable's.
// Released to software a flow leaves the device and is not offered again; released to classic it ends, and a rule that still says
// `flow add` may make it anew with its next packet.

import { twinAdapter } from '../../../driver/twin/adapter.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import { parseAddress, sameBytes } from '../../stack/ip/address.ts';
import { connectionLines } from '../../stack/netfilter/conntrack/listing.ts';
import {
  C_STATUS,
  D_PACKETS,
  IPS_HAS_ACCT,
  ROW_DOUBLES,
  ROW_WORDS,
} from '../../stack/netfilter/conntrack/table.ts';
import { T_DST, T_L4, tupleAddress } from '../../stack/netfilter/conntrack/tuple.ts';
import type { Flow } from '../../stack/netfilter/flowtable/flow.ts';
import { NF_FLOW_TEARDOWN } from '../../stack/netfilter/flowtable/flow.ts';
import { F_HARDWARE, F_SOFTWARE, F_TIMEOUT } from '../../stack/netfilter/flowtable/flow-rows.ts';
import type { FlowTable } from '../../stack/netfilter/flowtable/flowtable.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { failed, ok } from './command.ts';
import { statsText } from './flowtable-stats.ts';
import { netfilterOf } from './nft.ts';

const USAGE =
  'usage: flowtable list [FILTER] | flowtable release software|classic [FILTER] | flowtable stats [table NAME]\n' +
  '       FILTER := { proto tcp|udp | src ADDRESS | dst ADDRESS | sport N | dport N | table NAME }\n';

interface Filter {
  protocol: number;
  src: Uint8Array | null;
  dst: Uint8Array | null;
  sport: number;
  dport: number;
  table: string;
}

interface Found {
  table: FlowTable;
  flow: Flow;
}

export const flowtable: ShellCommand = {
  name: 'flowtable',
  summary: "the flowtables' flows: list, release software|classic; stats",
  run(args: string[], ctx: CommandContext): CommandResult {
    const [verb, ...rest] = args;
    if (verb === 'list') {
      const filter = parseFilter(rest);
      return typeof filter === 'string' ? refused(filter) : list(ctx, filter);
    }
    if (verb === 'stats') return stats(ctx, rest);
    if (verb !== 'release') return refused(verb === undefined ? '' : `unknown word '${verb}'`);
    const [where, ...words] = rest;
    if (where !== 'software' && where !== 'classic')
      return refused(`expected software or classic, found '${where ?? ''}'`);
    const filter = parseFilter(words);
    return typeof filter === 'string' ? refused(filter) : release(ctx, where, filter);
  },
};

function refused(why: string): CommandResult {
  return failed(2, why === '' ? USAGE : `flowtable: ${why}\n${USAGE}`);
}

function stats(ctx: CommandContext, words: readonly string[]): CommandResult {
  const [key, name] = words;
  if (words.length > 0 && (key !== 'table' || name === undefined || words.length > 2))
    return refused(`expected table NAME, found '${words.join(' ')}'`);
  const netfilter = netfilterOf(ctx);
  if (netfilter === null) return failed(1, 'flowtable: the machine has no netfilter\n');
  const tables = netfilter.flowtables.list().filter((t) => !name || t.settings.name === name);
  if (name !== undefined && tables.length === 0)
    return failed(1, `flowtable: no flowtable is named '${name}'\n`);
  return ok(tables.map(statsText).join(''));
}

/** The filter, or what was wrong with it. */
function parseFilter(words: readonly string[]): Filter | string {
  const filter: Filter = { protocol: 0, src: null, dst: null, sport: -1, dport: -1, table: '' };
  for (let i = 0; i < words.length; i += 2) {
    const [key, value] = [words[i], words[i + 1]];
    if (value === undefined) return `'${key}' needs a value`;
    if (key === 'proto') {
      if (value !== 'tcp' && value !== 'udp') return `proto: expected tcp or udp, found '${value}'`;
      filter.protocol = value === 'tcp' ? 6 : 17;
    } else if (key === 'src' || key === 'dst') {
      const address = parseAddress(value);
      if (address === null) return `${key}: expected an address, found '${value}'`;
      filter[key] = address;
    } else if (key === 'sport' || key === 'dport') {
      const port = Number(value);
      if (!/^\d+$/.test(value) || port > 65535) return `${key}: expected a port, found '${value}'`;
      filter[key] = port;
    } else if (key === 'table') filter.table = value;
    else return `unknown word '${key}'`;
  }
  return filter;
}

function find(ctx: CommandContext, filter: Filter): Found[] {
  const found: Found[] = [];
  for (const table of netfilterOf(ctx)?.flowtables.list() ?? []) {
    if (filter.table !== '' && table.settings.name !== filter.table) continue;
    for (const flow of table.flows)
      if (flow !== null && (flow.flags & NF_FLOW_TEARDOWN) === 0 && matches(table, flow, filter))
        found.push({ table, flow });
  }
  return found;
}

function matches(table: FlowTable, flow: Flow, filter: Filter): boolean {
  const { words } = table.ct.table;
  const row = flow.ctId * ROW_WORDS;
  const l4 = words[row + T_L4];
  if (filter.protocol !== 0 && flow.protocol !== filter.protocol) return false;
  if (filter.sport >= 0 && l4 >>> 16 !== filter.sport) return false;
  if (filter.dport >= 0 && (l4 & 0xffff) !== filter.dport) return false;
  return (
    isAddress(filter.src, tupleAddress(words, row, 0)) &&
    isAddress(filter.dst, tupleAddress(words, row, T_DST))
  );
}

function isAddress(wanted: Uint8Array | null, address: Uint8Array): boolean {
  if (wanted === null) return true;
  return wanted.length === address.length && sameBytes(wanted, 0, address, 0, wanted.length);
}

function list(ctx: CommandContext, filter: Filter): CommandResult {
  const netfilter = netfilterOf(ctx);
  if (netfilter === null) return failed(1, 'flowtable: the machine has no netfilter\n');
  const found = find(ctx, filter);
  const handles = hardwareHandles(ctx);
  const ids = found.map(({ flow }) => flow.ctId);
  const lines = connectionLines(ctx.stack, netfilter.conntrack, ids, { extended: true, id: false });
  const text = found.map(({ table, flow }, i) => `${lines[i]} ${detail(table, flow, handles)}\n`);
  return {
    status: 0,
    stdout: text.join(''),
    stderr: `${found.length} flows have been shown.\n`,
  };
}

/** Handle of each entry that the reference driver has in its device, by cookie; other drivers keep theirs to themselves. */
function hardwareHandles(ctx: CommandContext): Map<number, number> {
  const handles = new Map<number, number>();
  for (const dev of ctx.stack.links.all())
    for (const { cookie, handle, state } of twinAdapter(dev)?.flows.audit() ?? [])
      if (state === 'in') handles.set(cookie, handle);
  return handles;
}

/** Where the flow's packets go, the device's entries, and how many packets each path carried (original/reply). */
function detail(table: FlowTable, flow: Flow, handles: Map<number, number>): string {
  const { rows, ct } = table;
  const pair = (column: number): [number, number] => [
    rows.get(flow.id, column),
    rows.get(flow.id, column + 1),
  ];
  const software = pair(F_SOFTWARE);
  const hardware = pair(F_HARDWARE);
  const directions = ['none', 'original', 'reply', 'both'][flow.hwDirections];
  const entries = [0, 1].map((i) => handles.get(flow.cookie + i) ?? '-');
  const leftPs = rows.get(flow.id, F_TIMEOUT) - ct.now;
  const parts = [
    `flowtable=${table.settings.name}`,
    `path=${flow.hwDirections === 0 ? 'software' : 'hardware'}`,
    `in-hardware=${directions}`,
    `handles=${entries.join('/')}`,
    `software=${software.join('/')}`,
    `hardware=${hardware.join('/')}`,
  ];
  const isCounted = (ct.table.words[flow.ctId * ROW_WORDS + C_STATUS] & IPS_HAS_ACCT) !== 0;
  if (isCounted) {
    // With `counter` conntrack's figures hold all paths, without it the classic path's alone.
    const classic = [0, 1].map((i) => {
      const all = ct.table.doubles[flow.ctId * ROW_DOUBLES + D_PACKETS + i];
      return table.settings.counter ? all - software[i] - hardware[i] : all;
    });
    parts.push(`classic=${classic.join('/')}`);
  }
  parts.push(`timeout=${Math.max(0, Math.floor(leftPs / PS_PER_S))}`);
  return parts.join(' ');
}

function release(
  ctx: CommandContext,
  where: 'software' | 'classic',
  filter: Filter,
): CommandResult {
  const found = find(ctx, filter);
  let busy = 0;
  for (const { table, flow } of found)
    if (where === 'classic') table.teardown(flow, 'user');
    else if (!table.hardware.release(flow)) busy++;
  if (where === 'classic') for (const table of new Set(found.map((f) => f.table))) table.collect();
  if (busy > 0)
    return failed(
      1,
      `flowtable: ${busy} of ${found.length} flows have a request to hardware under way: try again\n`,
    );
  if (found.length === 0) return failed(1, '0 flows have been released.\n');
  return { ...ok(), stderr: `${found.length} flows have been released.\n` };
}
